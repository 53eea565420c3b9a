"""Point location: which cell of a mesh holds a point, and where in it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from funcspace.errors import InputError, OutsideError
from funcspace.geometry.domain import as_points
from funcspace.geometry.meshes.mesh_tree import Tree, build_tree
from funcspace.geometry.meshes.reference_cells import FloatArray, IntArray, ReferenceCell

if TYPE_CHECKING:
    from funcspace.geometry.meshes.mesh import Mesh

__all__ = ["Location", "PointLocator"]

Outside = Literal["raise", "nan", "nearest"]
CHUNK = 20_000


@dataclass(frozen=True, eq=False)
class Location:
    """Cells and reference coordinates of points: x = F_cell(X).

    Attributes
    ----------
    cells : index of the cell of each point; -1 for points outside with `outside="nan"`.
    reference : coordinates in scikit-fem's reference cell; NaN for points outside with `outside="nan"`.
    """

    cells: Int[Tensor, " n"]
    reference: Float[Tensor, "n d"]

    @property
    def found(self) -> Tensor:
        """Which points have a cell."""
        return self.cells >= 0

    def __len__(self) -> int:
        return self.cells.shape[0]

    def __repr__(self) -> str:
        missing = int((~self.found).sum())
        return f"Location({len(self):,} points{f', {missing:,} outside' if missing else ''})"


@lru_cache(maxsize=1)
def _kernels() -> tuple[ModuleType, ModuleType]:
    """The compiled parts: numba is imported when points are located for the first time."""
    from funcspace.geometry.meshes import mesh_kernels, mesh_nearest

    return mesh_kernels, mesh_nearest


@dataclass(frozen=True, eq=False)
class PointLocator:
    """A bounding-volume tree over the cells of a mesh, with all that the compiled kernels need. Make it with `of`."""

    reference: ReferenceCell
    tree: Tree
    cells_data: tuple[Any, ...]
    geometry: tuple[Any, ...]
    corners: FloatArray
    facets: IntArray
    frames: FloatArray

    @classmethod
    def of(cls, mesh: Mesh) -> PointLocator:
        """Build the tree; quadratic cells are boxed by the control points of their Bezier form, which enclose them."""
        reference, degree = mesh.reference, mesh.degree
        nodes = mesh.nodes.numpy()[mesh.cell_nodes.numpy()]
        base = int(reference.corners.sum(axis=1).argmin())  # the corner at X = 0
        origin = nodes[:, base : base + 1].copy()
        local = nodes - origin
        control = nodes if degree == 1 else origin + np.einsum("kj,mji->mki", _bezier(reference.name), local)
        lower, upper = control.min(axis=1), control.max(axis=1)
        sizes = np.linalg.norm(upper - lower, axis=1)
        affine = reference.is_simplex and degree == 1
        polynomials = np.einsum("kj,mji->mki", reference.monomial_coefficients(degree), local)
        polynomials[:, 0] = origin[:, 0]
        middle = reference.corners.mean(axis=0, keepdims=True)
        jacobian = np.einsum("mki,kj->mij", local, reference.shape_gradients(middle, degree)[0])
        inverses = np.linalg.inv(jacobian)
        start = (
            origin[:, 0] if affine else origin[:, 0] + np.einsum("k,mki->mi", reference.shape(middle, degree)[0], local)
        )
        magnitude = np.abs(nodes).max(axis=(1, 2))
        rounding = (1e-14 if affine else 1e-13 if degree == 1 else 1e-12) + 8 * np.finfo(
            float
        ).eps * magnitude * np.abs(inverses).sum(axis=2).max(axis=1)
        tree = build_tree(lower, upper, sizes)
        geometry = (
            np.ascontiguousarray(start),
            np.ascontiguousarray(inverses),
            None if affine else np.ascontiguousarray(polynomials),
            reference.exponents(degree),
            reference.is_simplex,
        )
        corners = np.ascontiguousarray(nodes[:, : reference.n_corners])
        facets = np.array(reference.facets, dtype=np.int64)
        return cls(
            reference, tree, (lower, upper, sizes, rounding), geometry, corners, facets, _facet_frames(reference)
        )

    def locate(self, points: Any, *, outside: Outside = "raise", tolerance: float = 1e-10) -> Location:
        """The cell of each point and its reference coordinates there.

        Parameters
        ----------
        points : coordinates (n, d).
        outside : what becomes of points outside: "raise" an OutsideError; "nan": cell -1 and NaN coordinates;
            "nearest": the nearest point of the mesh stands in for the point.
        tolerance : a point this far outside, relative to the size of the nearest cell, counts as inside; its reference
            coordinates then leave the reference cell by as much, so that F(X) still is the point.

        Raises
        ------
        InputError
            Points of the wrong shape, not finite; an unknown choice; a negative tolerance.
        OutsideError
            Points outside with `outside="raise"`; it carries their indices and distances.

        Notes
        -----
        A point on a facet belongs to the lowest of the cells that meet there.

        Examples
        --------
        >>> from funcspace.geometry.meshes.mesh import Mesh
        >>> location = Mesh.interval(0.25).locate([0.1, 0.5, 1.0])
        >>> location.cells.tolist(), [round(x, 12) for x in location.reference.ravel().tolist()]
        ([0, 1, 3], [0.4, 1.0, 1.0])
        """
        if outside not in ("raise", "nan", "nearest"):
            raise InputError(f"outside must be 'raise', 'nan' or 'nearest'; got {outside!r}")
        if not (isinstance(tolerance, (int, float, np.number)) and 0 <= float(tolerance) < np.inf):
            raise InputError(f"tolerance must be a finite number, 0 or more; got {tolerance!r}")
        coordinates = np.ascontiguousarray(as_points(points, self.reference.dim).numpy())
        cells = np.empty(len(coordinates), dtype=np.int64)
        reference = np.full(coordinates.shape, np.nan)
        order = self._order(coordinates)

        def search(chunk: slice) -> None:
            _kernels()[0].locate_many(
                coordinates,
                order[chunk],
                float(tolerance),
                self.tree,
                self.cells_data,
                *self.geometry,
                cells,
                reference,
            )

        _in_threads(search, len(coordinates))
        missing = np.flatnonzero(cells < 0)
        if missing.size:
            self._outside(coordinates, missing, cells, reference, outside, float(tolerance))
        return Location(torch.from_numpy(cells), torch.from_numpy(reference))

    def nearest(self, points: FloatArray, limit: float = np.inf) -> tuple[IntArray, FloatArray, FloatArray]:
        """Nearest cell (-1 beyond the limit), reference coordinates of the nearest point in it, and distance."""
        cells, reference = np.empty(len(points), dtype=np.int64), np.full(points.shape, np.nan)
        distance = np.empty(len(points))
        points = np.ascontiguousarray(points)

        def search(chunk: slice) -> None:
            _kernels()[1].nearest_many(
                points[chunk],
                float(limit),
                self.tree,
                self.cells_data,
                *self.geometry,
                self.corners,
                self.facets,
                self.frames,
                cells[chunk],
                reference[chunk],
                distance[chunk],
            )

        _in_threads(search, len(points))
        return cells, reference, distance

    def _outside(
        self,
        points: FloatArray,
        missing: IntArray,
        cells: IntArray,
        reference: FloatArray,
        outside: Outside,
        tolerance: float,
    ) -> None:
        """Settle the points that no cell holds: those within the tolerance by distance, then by the choice made."""
        sizes = self.cells_data[2]
        limit = tolerance * float(sizes.max()) * (1 + 1e-12) if outside == "nan" else np.inf
        nearest, place, distance = self.nearest(points[missing], limit)
        close = (nearest >= 0) & (distance <= tolerance * sizes[nearest])
        inside = np.flatnonzero(close)
        if inside.size:
            exact, slack = np.empty((inside.size, points.shape[1])), np.empty(inside.size)
            _kernels()[0].invert_many(points[missing[inside]], nearest[inside], *self.geometry, exact, slack)
            place[inside] = np.where((slack > -10.0)[:, None], exact, place[inside])
        if outside == "raise" and not close.all():
            far = np.flatnonzero(~close)
            raise _outside_error(points, missing[far], distance[far])
        take = np.ones(len(missing), dtype=bool) if outside == "nearest" else close
        cells[missing[take]] = nearest[take]
        reference[missing[take]] = place[take]
        reference[missing[~take]] = np.nan

    def _order(self, points: FloatArray) -> IntArray:
        """Neighbours after one another, so that the tree stays in the cache; the given order for few points."""
        count, dim = points.shape
        if count < 10_000:
            return np.arange(count, dtype=np.int64)
        box = self.tree[2][0]
        grid = max(1, int(count ** (1.0 / dim) / 4))
        scaled = (points - box[0]) * (grid / np.maximum(box[1] - box[0], 1e-300))
        index = np.clip(scaled, 0, grid - 1).astype(np.int64)
        key = index[:, 0]
        for axis in range(1, dim):
            # boustrophedon: every second row backwards
            key = key * grid + np.where(key % 2 == 1, grid - 1 - index[:, axis], index[:, axis])
        return np.argsort(key, kind="stable")


def _outside_error(points: FloatArray, indices: IntArray, distances: FloatArray) -> OutsideError:
    shown = ", ".join(
        f"point {i} at {points[i].tolist()} ({d:.3g} away)" for i, d in zip(indices[:3], distances, strict=False)
    )
    more = ", ..." if len(indices) > 3 else ""
    return OutsideError(
        f"{len(indices)} of {len(points)} points lie outside the mesh: {shown}{more}; pass outside='nearest' "
        "to use the nearest "
        "point of the mesh, outside='nan' to mark them, or a larger tolerance",
        indices=torch.from_numpy(indices),
        distances=torch.from_numpy(distances),
    )


def _in_threads(search: Callable[[slice], None], count: int) -> None:
    """Run over chunks of the points, on as many threads as torch uses; the result does not depend on their number."""
    chunks = [slice(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]
    workers = min(torch.get_num_threads(), len(chunks))
    if workers <= 1:
        for chunk in chunks:
            search(chunk)
        return
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(search, chunks))


@lru_cache(maxsize=8)
def _bezier(name: str) -> FloatArray:
    """From the nodes of a quadratic cell to its Bernstein-Bezier control points."""
    from funcspace.geometry.meshes.reference_cells import REFERENCE_CELLS

    reference = REFERENCE_CELLS[name]
    x = reference.nodes
    if reference.is_simplex:
        bary = np.hstack([1 - x.sum(axis=1, keepdims=True), x])
        pairs = [(i, j) for i in range(bary.shape[1]) for j in range(i, bary.shape[1])]
        values = np.stack([bary[:, i] * bary[:, j] * (1 if i == j else 2) for i, j in pairs], axis=1)
    else:
        one = [
            np.stack([(1 - x[:, a]) ** 2, 2 * x[:, a] * (1 - x[:, a]), x[:, a] ** 2], axis=1) for a in range(x.shape[1])
        ]
        values = one[0]
        for other in one[1:]:
            values = (values[:, :, None] * other[:, None, :]).reshape(len(x), -1)
    return np.linalg.inv(values).astype(np.float64)


def _facet_frames(reference: ReferenceCell) -> FloatArray:
    """Origin and two directions of each facet of the reference cell, and in the last row whether it is a triangle."""
    frames = np.zeros((len(reference.facets), 4, reference.dim))
    for index, facet in enumerate(reference.facets):
        corners = reference.corners[list(facet)]
        frames[index, 0] = corners[0]
        if len(facet) > 1:
            frames[index, 1] = corners[1] - corners[0]
        if len(facet) > 2:
            frames[index, 2] = corners[-1] - corners[0]
        frames[index, 3] = float(len(facet) == 3)
    return frames
