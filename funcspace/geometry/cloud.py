"""Point clouds: points without connectivity, each standing for a piece of the domain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from funcspace.errors import InputError
from funcspace.geometry.cached_property import cached_property
from funcspace.geometry.domain import as_points, content_fingerprint
from funcspace.geometry.number_tensor import number_tensor

__all__ = ["PointCloud", "estimated_measure"]

NAMES = ("x", "y", "z")
# Beyond these a triangulation of the cloud costs more than it is worth.
TRIANGULATED_DIMENSIONS = 3
TRIANGULATED_POINTS = 200_000


class PointCloud:
    """Points in space with the measure that each stands for.

    Parameters
    ----------
    points : (n, d) coordinates; in one dimension (n,) will do.
    measure : (n,) non-negative weights so that a weighted sum is an integral; estimated on first use when None, see
        `estimated_measure`: give it where the domain is not convex.
    units : unit of each axis that has one, by name.
    axis_names : one name per coordinate; x, y, z (or x0, x1, ...) by default.
    boundary : indices of the points on each named part; the part "boundary" is all of them unless given. Without it,
        "boundary" is empty.

    Raises
    ------
    InputError
        When there are no points, numbers are not finite, shapes differ, or an index or name does not exist.

    Examples
    --------
    >>> import numpy as np
    >>> import funcspace as fs
    >>> cloud = fs.PointCloud(np.random.default_rng(0).random((50, 2)), boundary={"inlet": [3, 7]})
    >>> cloud
    PointCloud(50 points in 2-D, parts boundary, inlet)
    """

    def __init__(
        self,
        points: Any,
        measure: Any = None,
        units: Mapping[str, str] | None = None,
        axis_names: Iterable[str] | None = None,
        boundary: Mapping[str, Any] | None = None,
    ) -> None:
        array = number_tensor(points, "points")
        if array.ndim not in (1, 2) or array.numel() == 0:
            raise InputError(f"a PointCloud needs points of shape (n, d), at least one; got {tuple(array.shape)}")
        self._points = as_points(array, 1 if array.ndim == 1 else array.shape[1]).clone()
        count, dim = self._points.shape
        default = NAMES[:dim] if dim <= len(NAMES) else tuple(f"x{i}" for i in range(dim))
        self._axis_names = default if axis_names is None else tuple(axis_names)
        if len(self._axis_names) != dim or len(set(self._axis_names)) != dim:
            raise InputError(f"axis_names must be {dim} distinct names, got {self._axis_names}")
        unknown = [name for name in units or {} if name not in self._axis_names]
        if unknown:
            raise InputError(f"units names the axis {unknown[0]!r}, but the axes are {list(self._axis_names)}")
        self._units = dict(units or {})
        self._given = None if measure is None else _checked_measure(measure, count)
        self._boundary = _checked_boundary(boundary or {}, count)

    @property
    def points(self) -> Float[Tensor, "n d"]:
        """Coordinates."""
        return self._points

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        return self._points.shape[1]

    @cached_property
    def measure(self) -> Float[Tensor, " n"]:
        """What each point stands for: as given, or estimated."""
        return torch.from_numpy(estimated_measure(self._points.numpy())) if self._given is None else self._given

    @property
    def has_measure(self) -> bool:
        """Whether the measure was given rather than estimated."""
        return self._given is not None

    @property
    def boundary(self) -> Mapping[str, Int[Tensor, " k"]]:
        """Indices of the points of each named part."""
        return dict(self._boundary)

    @property
    def bounds(self) -> Float[Tensor, "2 d"]:
        """Lower and upper corner of the box around the points."""
        return torch.stack([self._points.amin(dim=0), self._points.amax(dim=0)])

    @property
    def axis_names(self) -> tuple[str, ...]:
        """One name per coordinate."""
        return self._axis_names

    @property
    def units(self) -> Mapping[str, str]:
        """Unit of each axis that has one."""
        return dict(self._units)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the content; an estimated measure follows from the points and does not count."""
        parts = [part for name in sorted(self._boundary) for part in (name, self._boundary[name])]
        measure = "estimated" if self._given is None else self._given
        return content_fingerprint(
            ["cloud", self._points, measure, self._axis_names, sorted(self._units.items()), *parts]
        )

    def __len__(self) -> int:
        return len(self._points)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PointCloud) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        parts = [name for name, indices in self._boundary.items() if len(indices)]
        return f"PointCloud({len(self):,} points in {self.dim}-D{', parts ' + ', '.join(parts) if parts else ''})"

    def _repr_html_(self) -> str:
        low, high = self.bounds.tolist()
        rows = "".join(
            f"<tr><td><b>{name}</b></td><td>{a:.6g} &hellip; {b:.6g} {self._units.get(name, '')}</td></tr>"
            for name, a, b in zip(self._axis_names, low, high, strict=True)
        )
        return f"<div><b>PointCloud</b> {len(self):,} points<table>{rows}</table></div>"


def estimated_measure(points: np.ndarray) -> np.ndarray:
    """Measure of points (n, d), adding up to that of their convex hull.

    In up to three dimensions each simplex of a Delaunay triangulation is shared by its corners, so that linear
    functions are integrated exactly over the hull; in one dimension this is the trapezoidal rule. Elsewhere, and for
    points on a line or plane, each point gets a share like the d-th power of the distance to its 2 d-th neighbour, of
    the volume of the box around the points (directions without extent left out). Coincident points share equally. A
    single place has measure 1.
    """
    places, back, copies = np.unique(points, axis=0, return_inverse=True, return_counts=True)
    back = back.reshape(-1)
    return (_distinct_measure(places) / copies)[back]


def _distinct_measure(points: np.ndarray) -> np.ndarray:
    count, dim = points.shape
    if count == 1:
        return np.ones(1)
    if dim == 1:
        steps = np.diff(points[:, 0]) / 2
        return np.append(steps, 0.0) + np.insert(steps, 0, 0.0)
    if dim <= TRIANGULATED_DIMENSIONS and dim < count <= TRIANGULATED_POINTS:
        shares = _triangulated_measure(points)
        if shares is not None:
            return shares
    return _neighbour_measure(points)


def _triangulated_measure(points: np.ndarray) -> np.ndarray | None:
    from scipy.spatial import Delaunay, QhullError

    count, dim = points.shape
    centred = points - points.mean(axis=0)
    try:
        cells = Delaunay(centred).simplices
    except QhullError:
        return None
    corners = centred[cells]
    volumes = np.abs(np.linalg.det(corners[:, 1:] - corners[:, :1])) / np.prod(np.arange(1, dim + 1))
    if not volumes.sum() > 0:
        return None
    return np.bincount(cells.reshape(-1), np.repeat(volumes / (dim + 1), dim + 1), minlength=count)


def _neighbour_measure(points: np.ndarray) -> np.ndarray:
    from scipy.spatial import cKDTree

    count = len(points)
    extent = np.ptp(points, axis=0)
    extent = extent[extent > 1e-12 * extent.max()]
    reach = min(2 * extent.size, count - 1)
    distances = cKDTree(points).query(points, k=reach + 1)[0][:, -1]
    shares = (distances / distances.max()) ** extent.size
    return shares / shares.sum() * np.prod(extent)


def _checked_measure(measure: Any, count: int) -> Tensor:
    values = number_tensor(measure, "measure").detach().to(device="cpu", dtype=torch.float64, copy=True)
    if tuple(values.shape) != (count,):
        raise InputError(f"measure must have shape ({count},), one weight per point; got {tuple(values.shape)}")
    bad = torch.nonzero(~(torch.isfinite(values) & (values >= 0))).reshape(-1)
    if len(bad):
        raise InputError(
            f"measure must be finite and not negative; that of point {int(bad[0])} is {float(values[bad[0]])}"
        )
    if float(values.sum()) == 0.0:
        raise InputError("measure is zero everywhere; leave it out to have it estimated")
    return values


def _checked_boundary(boundary: Mapping[str, Any], count: int) -> dict[str, Tensor]:
    parts: dict[str, Tensor] = {}
    for name, indices in boundary.items():
        array = indices.detach().cpu().numpy() if isinstance(indices, Tensor) else np.asarray(indices)
        if array.dtype == bool and array.shape == (count,):
            array = np.flatnonzero(array)
        if array.size == 0:
            array = array.astype(np.int64).reshape(-1)
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise InputError(
                f"boundary part {name!r} must be a vector of point indices, got {array.dtype} {array.shape}"
            )
        bad = np.flatnonzero((array < 0) | (array >= count))
        if bad.size:
            raise InputError(f"boundary part {name!r} names point {array[bad[0]]}, but there are {count} points")
        parts[name] = torch.from_numpy(np.unique(array.astype(np.int64)))
    if "boundary" in parts:
        return parts
    whole = torch.unique(torch.cat([torch.empty(0, dtype=torch.int64), *parts.values()]))
    return {"boundary": whole, **parts}
