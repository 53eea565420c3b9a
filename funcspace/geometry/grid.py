"""Rectilinear grids in any number of dimensions, on vertices or in cells, periodic or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from funcspace.errors import InputError
from funcspace.geometry.cached_property import cached_property
from funcspace.geometry.domain import content_fingerprint
from funcspace.geometry.grid_axis import GridAxis, Samples

__all__ = ["Grid", "periodic_names"]

SIDES = (("left", "right"), ("bottom", "top"), ("front", "back"))


def periodic_names(periodic: Any, axes: Iterable[str] | None = None) -> tuple[str, ...]:
    """Names of axes, from one name or several.

    Raises
    ------
    InputError
        When it is neither, such as True, or a name is not among `axes`.
    """
    if not isinstance(periodic, Iterable):
        raise InputError(f"periodic holds the names of axes, such as ('x', 'y'); got {periodic!r}")
    names = (periodic,) if isinstance(periodic, str) else tuple(periodic)
    unknown = [name for name in names if axes is not None and name not in axes]
    if unknown:
        raise InputError(f"periodic names the axis {unknown[0]!r}, but the axes are {list(axes or ())}")
    return names


class Grid:
    """A box with samples on the product of its axes.

    Parameters
    ----------
    periodic : names of the axes that close on themselves; such an axis leaves out its end point.
    samples : "vertices" (samples include both ends of an axis) or "cells" (samples sit at cell centres).
    units : unit of each axis that has one, by name.
    **axes : each axis by name, as `(start, stop, count)` or as a vector of strictly increasing coordinates.
        The order of the keywords is the order of the array axes: the first varies slowest.

    Raises
    ------
    InputError
        When an axis cannot be read, or `periodic` or `units` names an axis that is not there.

    Examples
    --------
    >>> import funcspace as fs
    >>> grid = fs.Grid(x=(0.0, 1.0, 5), y=(0.0, 2.0, 3))
    >>> grid
    Grid(x=(0.0, 1.0, 5), y=(0.0, 2.0, 3))
    >>> float(grid.measure.sum())
    2.0
    """

    def __init__(
        self,
        *,
        periodic: Iterable[str] = (),
        samples: Samples = "vertices",
        units: Mapping[str, str] | None = None,
        **axes: Any,
    ) -> None:
        if not axes:
            raise InputError("a Grid needs at least one axis, such as x=(0.0, 1.0, 65)")
        closed = periodic_names(periodic, axes)
        unknown = [name for name in units or () if name not in axes]
        if unknown:
            raise InputError(f"units names the axis {unknown[0]!r}, but the axes are {list(axes)}")
        self._axes = tuple(
            GridAxis.parse(name, axis, periodic=name in closed, samples=samples) for name, axis in axes.items()
        )
        self._units = dict(units or {})

    @classmethod
    def from_axes(cls, axes: Iterable[GridAxis], units: Mapping[str, str] | None = None) -> Grid:
        """A grid from ready-made axes, all with the same kind of samples."""
        parts = tuple(axes)
        names = [axis.name for axis in parts]
        if not names or len(set(names)) != len(names):
            raise InputError(f"a Grid needs axes with distinct names, got {names}")
        if len({axis.samples for axis in parts}) != 1:
            raise InputError("all axes of a Grid must hold the same kind of samples, vertices or cells")
        grid = cls.__new__(cls)
        grid._axes, grid._units = parts, dict(units or {})
        return grid

    @property
    def grid_axes(self) -> tuple[GridAxis, ...]:
        """The axes, in array order."""
        return self._axes

    @property
    def dim(self) -> int:
        """Number of axes."""
        return len(self._axes)

    @property
    def axis_names(self) -> tuple[str, ...]:
        """Names of the axes, in array order."""
        return tuple(axis.name for axis in self._axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of samples along each axis."""
        return tuple(axis.count for axis in self._axes)

    @property
    def axes(self) -> dict[str, Float[Tensor, " n"]]:
        """Coordinates of the samples along each axis, by name."""
        return {axis.name: axis.coordinates for axis in self._axes}

    @property
    def samples(self) -> Samples:
        """Whether samples sit on "vertices" or in "cells"."""
        return self._axes[0].samples

    @property
    def periodic(self) -> tuple[str, ...]:
        """Names of the periodic axes."""
        return tuple(axis.name for axis in self._axes if axis.periodic)

    @property
    def is_uniform(self) -> bool:
        """Whether each axis is equispaced."""
        return all(axis.is_uniform for axis in self._axes)

    @property
    def spacing(self) -> tuple[float, ...]:
        """Distance between samples along each axis; a DomainError where an axis is not equispaced."""
        return tuple(axis.spacing for axis in self._axes)

    @property
    def extent(self) -> dict[str, tuple[float, float]]:
        """Start and stop of each axis, by name."""
        return {axis.name: (axis.start, axis.stop) for axis in self._axes}

    @property
    def units(self) -> Mapping[str, str]:
        """Unit of each axis that has one."""
        return dict(self._units)

    @property
    def bounds(self) -> Float[Tensor, "2 d"]:
        """Lower and upper corner."""
        ends = [[axis.start for axis in self._axes], [axis.stop for axis in self._axes]]
        return torch.tensor(ends, dtype=torch.float64)

    @cached_property
    def points(self) -> Float[Tensor, "n d"]:
        """Coordinates of all samples, the first axis slowest."""
        mesh = torch.meshgrid(*(axis.coordinates for axis in self._axes), indexing="ij")
        return torch.stack([part.reshape(-1) for part in mesh], dim=1)

    @cached_property
    def measure(self) -> Float[Tensor, " n"]:
        """Product of the quadrature weights of the axes: trapezoidal on vertices, midpoint in cells."""
        weights = self._axes[0].weights
        for axis in self._axes[1:]:
            weights = (weights[:, None] * axis.weights).reshape(-1)
        return weights

    @cached_property
    def boundary(self) -> Mapping[str, Int[Tensor, " k"]]:
        """Indices of the samples on (or, for cells, next to) each side; periodic axes have no sides."""
        index = torch.arange(self.points.shape[0]).reshape(self.shape)
        parts: dict[str, Tensor] = {}
        for number, axis in enumerate(self._axes):
            if axis.periodic:
                continue
            low, high = SIDES[number] if number < len(SIDES) else (f"{axis.name}_low", f"{axis.name}_high")
            parts[low] = index.select(number, 0).reshape(-1)
            parts[high] = index.select(number, axis.count - 1).reshape(-1)
        whole = torch.cat(list(parts.values())) if parts else torch.empty(0, dtype=torch.int64)
        return {"boundary": torch.unique(whole), **parts}

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the content."""
        return content_fingerprint(["grid", repr(self._axes), sorted(self._units.items())])

    def with_shape(self, *counts: int) -> Grid:
        """The same box with other numbers of samples; one number stands for every axis.

        >>> import funcspace as fs
        >>> fs.Grid(x=(0.0, 1.0, 5), y=(0.0, 2.0, 3)).with_shape(9, 5).shape
        (9, 5)
        """
        if len(counts) == 1:
            counts = counts * self.dim
        if len(counts) != self.dim:
            raise InputError(f"expected {self.dim} counts, one per axis of {self.axis_names}, got {len(counts)}")
        axes = {axis.name: (axis.start, axis.stop, n) for axis, n in zip(self._axes, counts, strict=True)}
        return Grid(periodic=self.periodic, samples=self.samples, units=self._units, **axes)

    def refined(self, times: int = 1) -> Grid:
        """Halve the intervals or cells of each axis; the samples of a vertex grid stay samples."""
        axes = self._axes
        for _ in range(times):
            axes = tuple(axis.refined() for axis in axes)
        return Grid.from_axes(axes, self._units)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Grid) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        parts = [
            f"{a.name}=({a.start}, {a.stop}, {a.count})" if a.is_uniform else f"{a.name}=<{a.count} coordinates>"
            for a in self._axes
        ]
        if self.periodic:
            parts.append(f"periodic={self.periodic}")
        if self.samples == "cells":
            parts.append('samples="cells"')
        return f"Grid({', '.join(parts)})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td><b>{a.name}</b></td><td>{a.start:g} &hellip; {a.stop:g} {self._units.get(a.name, '')}</td>"
            f"<td>{a.count} {a.samples}{', periodic' if a.periodic else ''}"
            f"{'' if a.is_uniform else ', non-uniform'}</td></tr>"
            for a in self._axes
        )
        return f"<div><b>Grid</b> {' &times; '.join(map(str, self.shape))}<table>{rows}</table></div>"
