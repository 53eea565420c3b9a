"""Functions from xarray data of other origin: rectilinear coordinates, times, points, UGRID meshes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from funcspace.errors import InputError
from funcspace.functions.files.coordinate_axes import axis_from_coordinates, times_from_coordinates
from funcspace.functions.function import Function
from funcspace.functions.lazy import LazyFunction
from funcspace.functions.space import FunctionSpace
from funcspace.geometry.grid import Grid
from funcspace.geometry.grid_axis import Samples

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["PlainLayout", "function_from_plain", "plain_layout"]

BATCH = ("sample", "samples", "batch", "member", "ensemble", "run", "runs", "realization", "realisation", "trajectory")
TIME = ("time", "t")
COMPONENTS = ("component", "components", "channel", "channels", "variable", "direction", "vector")


@dataclass(frozen=True)
class PlainLayout:
    """How the dimensions of a DataArray become batch, domain and components, in this order of `dims`."""

    space: FunctionSpace
    dims: tuple[str, ...]
    batch: int
    flips: tuple[int, ...]
    name: str
    units: str

    def values(self, array: xr.DataArray) -> np.ndarray:
        """The numbers in order (*batch, *layout, *components)."""
        block = np.asarray(array.transpose(*self.dims).values)
        if self.flips:
            block = np.flip(block, self.flips)
        kind = block.dtype
        if kind.kind in "biu":
            return block.astype(np.float64)
        return np.ascontiguousarray(block.astype(kind.newbyteorder("=")) if not kind.isnative else block)

    def function(self, array: xr.DataArray) -> Function:
        """The function in memory."""
        values = self.values(array)
        coefficients = torch.from_numpy(values if values.flags.writeable else values.copy())
        shape = (*coefficients.shape[: self.batch], *self.space.coefficient_shape)
        return Function(self.space, coefficients.reshape(shape), name=self.name, units=self.units)

    def lazy(self, array: xr.DataArray) -> LazyFunction:
        """The function left where xarray has it; one batch dimension is needed."""
        return LazyFunction.over(self.space, _Rows(array, self), name=self.name, units=self.units)


class _Rows:
    """Samples of a DataArray, read when they are asked for."""

    def __init__(self, array: xr.DataArray, layout: PlainLayout) -> None:
        self._array, self._layout = array, layout
        self.shape = tuple(array.sizes[dim] for dim in layout.dims)
        self.dtype = np.dtype(np.float64) if array.dtype.kind in "biu" else array.dtype.newbyteorder("=")

    def __getitem__(self, index: Any) -> np.ndarray:
        return self._layout.values(self._array.isel({self._layout.dims[0]: index}))

    def rows(self, indices: np.ndarray) -> np.ndarray:
        """The samples at these indices."""
        return self[np.asarray(indices)]


def function_from_plain(dataset: xr.Dataset, name: str | None = None, **options: Any) -> Function:
    """A function from one variable of a Dataset; the options are those of `plain_layout`."""
    if name is None:
        known = [str(key) for key, v in dataset.data_vars.items() if v.ndim and v.dtype.kind in "biufc"]
        if len(known) != 1:
            raise InputError(f"the Dataset holds {len(known)} variables with numbers, {known}; say which one")
        name = known[0]
    array = dataset[name]
    return plain_layout(array, dataset, **options).function(array)


def plain_layout(
    array: xr.DataArray,
    dataset: xr.Dataset,
    *,
    element: str | None = None,
    periodic: Iterable[str] = (),
    samples: Samples = "vertices",
    sample_dim: str | None = None,
) -> PlainLayout:
    """Work out from names and coordinates what each dimension is.

    * batch: `sample_dim`, or dimensions called sample, batch, member, run, ..., and leading ones without coordinate;
    * time: called time or t, or with dates;
    * components: called component, channel, ..., with text labels, or last and without coordinate;
    * space: one numeric coordinate each (a Grid; descending ones are flipped), or several along one dimension (a
      PointCloud); nodes and faces of a UGRID topology make a Mesh.

    Raises
    ------
    InputError
        When a dimension is none of these; it is named.
    """
    name = str(array.name)
    if array.dtype.kind not in "biufc":
        hint = "; open the file with decode_timedelta=False" if array.dtype.kind in "mM" else ""
        raise InputError(f"variable {name!r} holds {array.dtype}, not numbers{hint}")
    kinds = _classify(array, dataset, sample_dim)
    by_kind = {kind: [dim for dim, is_kind in kinds.items() if is_kind == kind] for kind in set(kinds.values())}
    times, flips_by_dim = None, {}
    if len(by_kind.get("time", [])) > 1:
        raise InputError(
            f"variable {name!r} has several dimensions of time, {by_kind['time']}; select along all but one"
        )
    for dim in by_kind.get("time", []):
        times, flips_by_dim[dim] = times_from_coordinates(array[dim].values, str(array[dim].attrs.get("units", "")))
    spatial = [dim for dim, kind in kinds.items() if kind in ("axis", "points", "mesh")]
    place, default = _place(array, dataset, kinds, spatial, flips_by_dim, tuple(periodic), samples)
    if times is None and place is None:
        raise InputError(
            f"variable {name!r} has no dimension with coordinates among {list(kinds)}; add them with assign_coords, or "
            "use OperatorData.from_arrays with a domain"
        )
    domain = place if times is None else times if place is None else times * place
    batch, parts = by_kind.get("batch", []), by_kind.get("component", [])
    dims = (*batch, *by_kind.get("time", []), *spatial, *parts)
    shape = tuple(array.sizes[dim] for dim in parts)
    space = FunctionSpace(
        domain,
        element or (default if times is None else None),
        value_shape=shape,
        components=_labels(array, parts, name),
    )
    flips = tuple(dims.index(dim) for dim, flipped in flips_by_dim.items() if flipped)
    return PlainLayout(space, dims, len(batch), flips, name, str(array.attrs.get("units", "")))


def _classify(array: xr.DataArray, dataset: xr.Dataset, sample_dim: str | None) -> dict[str, str]:
    from funcspace.functions.files.plain_ugrid import mesh_location

    dims = [str(dim) for dim in array.dims]
    if sample_dim is not None and sample_dim not in dims:
        raise InputError(f"variable {array.name!r} has no dimension {sample_dim!r}; it has {dims}")
    located = mesh_location(array, dataset)
    kinds: dict[str, str] = {}
    for dim in dims:
        lines = _numeric_coordinates(array, dim)
        label = array.coords[dim].dtype.kind if dim in array.coords else None
        if dim == sample_dim or (sample_dim is None and dim.lower() in BATCH):
            kinds[dim] = "batch"
        elif located is not None and dim == located.dim:
            kinds[dim] = "mesh"
        elif label in ("M", "m") or (dim.lower() in TIME and dim in array.coords):
            kinds[dim] = "time"
        elif dim.lower() in COMPONENTS or label in ("U", "S", "T") or (label == "O" and not lines):
            kinds[dim] = "component"
        elif dim in array.coords or len(lines) == 1:
            kinds[dim] = "axis"
        elif len(lines) > 1:
            kinds[dim] = "points"
        else:
            kinds[dim] = "bare"
    return _settle_bare(array, kinds)


def _settle_bare(array: xr.DataArray, kinds: dict[str, str]) -> dict[str, str]:
    """Dimensions without coordinate: leading ones are batches, the last one may be components."""
    dims = list(kinds)
    leading = True
    for i, dim in enumerate(dims):
        if kinds[dim] == "bare":
            if leading and i < len(dims) - 1:
                kinds[dim] = "batch"
            elif i == len(dims) - 1 and any(kinds[d] in ("axis", "points", "mesh", "time") for d in dims[:i]):
                kinds[dim] = "component"
        elif kinds[dim] != "batch":
            leading = False
    bare = [dim for dim in dims if kinds[dim] == "bare"]
    if bare:
        curved = [str(c) for c in array.coords if array.coords[c].ndim > 1]
        hint = f" (the coordinates {curved} have several dimensions: a curvilinear grid is no Grid)" if curved else ""
        raise InputError(
            f"variable {array.name!r}: the dimensions {bare} have no coordinates{hint}; assign some, name "
            "the one that counts samples with sample_dim, or use OperatorData.from_arrays with a domain"
        )
    return kinds


def _numeric_coordinates(array: xr.DataArray, dim: str) -> list[str]:
    """One-dimensional numeric coordinates along a dimension: its own alone if it has one."""
    if dim in array.coords:
        return [dim] if array.coords[dim].dtype.kind in "iuf" else []
    return [str(c) for c, v in array.coords.items() if v.dims == (dim,) and v.dtype.kind in "iuf"]


def _place(
    array: xr.DataArray, dataset: xr.Dataset, kinds: dict[str, str], spatial: Sequence[str],
    flips: dict[str, bool], periodic: tuple[str, ...], samples: Samples,
) -> tuple[Any, str | None]:  # fmt: skip
    """The domain in space and its element, and which dimensions to flip."""
    others = [dim for dim in spatial if kinds[dim] != "axis"]
    if periodic and (others or not spatial):
        raise InputError(f"periodic names {periodic[0]!r}, but variable {array.name!r} does not live on a grid")
    if not spatial:
        return None, None
    if others and len(spatial) > 1:
        raise InputError(
            f"variable {array.name!r} mixes the dimensions {spatial}: points or cells ({others}) can be combined with "
            "time only; select along the others"
        )
    if others and kinds[others[0]] == "mesh":
        from funcspace.functions.files.plain_ugrid import mesh_location

        located = mesh_location(array, dataset)
        assert located is not None
        return located.mesh(), located.element
    if others:
        from funcspace.geometry.cloud import PointCloud

        names = _numeric_coordinates(array, others[0])
        columns = [np.asarray(array.coords[c].values, dtype=np.float64) for c in names]
        return PointCloud(np.stack(columns, axis=1), axis_names=names, units=_units(array, names)), None
    axes, names = [], []
    for dim in spatial:
        label = _numeric_coordinates(array, dim)
        if not label:
            raise InputError(f"the coordinates of {dim!r} are {array.coords[dim].dtype}, not numbers")
        closed = dim in periodic or label[0] in periodic
        axis, flips[dim] = axis_from_coordinates(
            label[0], array.coords[label[0]].values, periodic=closed, samples=samples
        )
        axes.append(axis)
        names.append(label[0])
    unknown = [name for name in periodic if name not in names and name not in spatial]
    if unknown:
        raise InputError(f"periodic names {unknown[0]!r}, but the axes are {names}")
    return Grid.from_axes(axes, _units(array, names)), None


def _units(array: xr.DataArray, names: Sequence[str]) -> dict[str, str]:
    return {name: str(array.coords[name].attrs["units"]) for name in names if array.coords[name].attrs.get("units")}


def _labels(array: xr.DataArray, parts: Sequence[str], name: str) -> tuple[str, ...]:
    if not parts:
        return (name,)
    if len(parts) == 1 and parts[0] in array.coords and array.coords[parts[0]].dtype.kind in "UTO":
        labels = tuple(str(label) for label in array.coords[parts[0]].values)
        if len(set(labels)) == len(labels):
            return labels
    count = int(np.prod([array.sizes[dim] for dim in parts]))
    return tuple(f"{name}{i}" for i in range(count))
