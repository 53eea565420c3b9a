"""Meshes of standard domains, each at a stated mesh size: the class methods that `Mesh` offers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from torch import Tensor

from funcspace.errors import InputError
from funcspace.geometry.domain import as_points
from funcspace.geometry.meshes.reference_cells import FloatArray, IntArray

if TYPE_CHECKING:
    from funcspace.geometry.meshes.mesh import Mesh

__all__ = ["MeshGenerators"]

SIDES = (("left", "right"), ("bottom", "top"), ("front", "back"))


class MeshGenerators:
    """Generators; the first argument h is the mesh size: edges have about this length, none is longer than 1.5 h."""

    @classmethod
    def interval(cls, h: float, *, start: float = 0.0, stop: float = 1.0) -> Mesh:
        """Equal intervals on [start, stop]; parts left, right.

        >>> from funcspace.geometry.meshes.mesh import Mesh
        >>> Mesh.interval(0.25)
        Mesh(interval, 4 cells, 5 points, h=0.25, boundary: left, right)
        """
        return _box(h, [(start, stop)], "interval")

    @classmethod
    def rectangle(
        cls,
        h: float,
        width: float = 1.0,
        height: float = 1.0,
        *,
        cells: Literal["triangle", "quadrilateral"] = "triangle",
        origin: Sequence[float] = (0.0, 0.0),
    ) -> Mesh:
        """A rectangle cut into equal rectangles with sides of at most h, or these into two triangles each.

        Parts left, right (x low, x high), bottom, top (y low, y high).

        >>> from funcspace.geometry.meshes.mesh import Mesh
        >>> Mesh.rectangle(0.1)
        Mesh(triangle, 200 cells, 121 points, h=0.141, boundary: left, right, bottom, top)
        """
        return _box(h, _extents(origin, (width, height)), cells)

    @classmethod
    def box(
        cls,
        h: float,
        width: float = 1.0,
        height: float = 1.0,
        depth: float = 1.0,
        *,
        cells: Literal["tetrahedron", "hexahedron"] = "tetrahedron",
        origin: Sequence[float] = (0.0, 0.0, 0.0),
    ) -> Mesh:
        """A box cut into equal boxes with sides of at most h, or these into five tetrahedra each.

        Parts left, right (x), bottom, top (y), front, back (z low, z high).

        >>> from funcspace.geometry.meshes.mesh import Mesh
        >>> Mesh.box(0.5, cells="hexahedron")
        Mesh(hexahedron, 8 cells, 27 points, h=0.5, boundary: left, right, bottom, top, front, back)
        """
        return _box(h, _extents(origin, (width, height, depth)), cells)

    @classmethod
    def l_shape(cls, h: float, *, cells: Literal["triangle", "quadrilateral"] = "triangle") -> Mesh:
        """The square [-1, 1]^2 without [0, 1] x [-1, 0]; its re-entrant corner is the origin.

        Parts left (x = -1), right (x = 1), bottom (y = -1), top (y = 1), notch (the two sides at the origin).
        """
        count = steps(1.0, positive("h", h))
        axis = np.linspace(-1.0, 1.0, 2 * count + 1)
        square = tensor_mesh([axis, axis], cells)
        centre = square.points.numpy()[square.cells.numpy()].mean(axis=1)
        from funcspace.geometry.meshes.mesh import Mesh

        mesh = Mesh(square.points, square.cells[(centre[:, 0] < 0) | (centre[:, 1] > 0)], drop_unused=True)
        return mesh.with_boundaries(
            {
                "left": lambda x: x[:, 0] == -1,
                "right": lambda x: x[:, 0] == 1,
                "bottom": lambda x: x[:, 1] == -1,
                "top": lambda x: x[:, 1] == 1,
                "notch": lambda x: ((x[:, 0] == 0) & (x[:, 1] < 0)) | ((x[:, 1] == 0) & (x[:, 0] > 0)),
            }
        )

    @classmethod
    def disc(cls, h: float, radius: float = 1.0, *, center: Sequence[float] = (0.0, 0.0), curved: bool = False) -> Mesh:
        """A disc: rings of 6, 12, 18, ... points around the centre. With `curved=True` its boundary is quadratic.

        >>> from funcspace.geometry.meshes.mesh import Mesh
        >>> Mesh.disc(0.1)
        Mesh(triangle, 726 cells, 397 points, h=0.128, boundary: 66 facets)
        """
        from funcspace.geometry.meshes.mesh_discs import disc

        return disc(positive("h", h), positive("radius", radius), center, curved)

    @classmethod
    def annulus(
        cls,
        h: float,
        inner: float = 0.5,
        outer: float = 1.0,
        *,
        center: Sequence[float] = (0.0, 0.0),
        curved: bool = False,
    ) -> Mesh:
        """The ring between two circles; parts inner, outer. With `curved=True` its boundary is quadratic."""
        from funcspace.geometry.meshes.mesh_discs import annulus

        return annulus(positive("h", h), positive("inner", inner), positive("outer", outer), center, curved)

    @classmethod
    def perforated_plate(
        cls,
        h: float,
        width: float = 1.0,
        height: float = 1.0,
        *,
        holes: Sequence[Sequence[float]] | None = None,
        curved: bool = False,
    ) -> Mesh:
        """The rectangle [0, width] x [0, height] without round holes.

        Parameters
        ----------
        holes : (x, y, radius) of each hole; when not given, one in the middle with a fifth of the shorter side as
            radius.
        curved : quadratic geometry, whose nodes lie on the circles.

        Notes
        -----
        Parts left, right, bottom, top, holes (all of them), hole_0, hole_1, ...
        """
        from funcspace.geometry.meshes.mesh_discs import perforated_plate

        w, t = positive("width", width), positive("height", height)
        chosen = [(w / 2, t / 2, min(w, t) / 5)] if holes is None else holes
        return perforated_plate(positive("h", h), w, t, chosen, curved)

    @classmethod
    def from_signed_distance(
        cls,
        distance: Callable[[Tensor], Any],
        h: float,
        bounds: Any,
        *,
        fixed_points: Any = None,
    ) -> Mesh:
        """A triangle mesh of the plane domain where a signed distance is negative.

        Parameters
        ----------
        distance : signed distance of points (n, 2), negative inside; see `funcspace.geometry.signed_distance`. It need
            not be exact far from the boundary.
        h : mesh size. Features thinner than h are not resolved.
        bounds : lower and upper corner (2, 2) of a box that holds the domain.
        fixed_points : points (k, 2) that become vertices. Corners of the domain are found where its sides meet at an
            angle; give those that must be met exactly.

        Raises
        ------
        DomainError
            The domain reaches beyond the bounds, has no boundary in them, or is too thin for h.

        Examples
        --------
        >>> import torch
        >>> from funcspace.geometry import signed_distance as sd
        >>> from funcspace.geometry.meshes.mesh import Mesh
        >>> moon = sd.difference(sd.ball((0.0, 0.0), 1.0), sd.box((0.0, 0.0), (2.0, 2.0)))
        >>> mesh = Mesh.from_signed_distance(moon, 0.1, [(-1.0, -1.0), (1.0, 1.0)])
        >>> abs(float(mesh.measure.sum()) - 0.75 * torch.pi) < 0.01
        True
        """
        from funcspace.geometry.meshes.mesh_contours import as_array_function, boundary_loops
        from funcspace.geometry.meshes.mesh_fill import fill_loops

        box = as_points(bounds, 2, name="bounds").numpy()
        if box.shape != (2, 2) or not (box[0] < box[1]).all():
            raise InputError(f"bounds must be the lower and the upper corner of a box, (2, 2); got {box.tolist()}")
        fixed = np.zeros((0, 2)) if fixed_points is None else as_points(fixed_points, 2, name="fixed_points").numpy()
        function = as_array_function(distance)
        if len(fixed) and (function(fixed) > 0.25 * positive("h", h)).any():
            first = int((function(fixed) > 0.25 * h).argmax())
            raise InputError(f"fixed point {first} at {fixed[first].tolist()} lies outside the domain")
        loops, inner = boundary_loops(function, positive("h", h), box, fixed)
        return fill_loops(loops, h, function, inner)


def positive(name: str, value: float) -> float:
    """A finite number above zero."""
    if isinstance(value, (int, float, np.number)) and 0 < float(value) < np.inf:
        return float(value)
    raise InputError(f"{name} must be a finite number above 0; got {value!r}")


def _extents(origin: Sequence[float], lengths: Sequence[float]) -> list[tuple[float, float]]:
    if len(origin) != len(lengths):
        raise InputError(f"origin must have {len(lengths)} coordinates; got {origin!r}")
    return [(low, low + positive("the side length", side)) for low, side in zip(origin, lengths, strict=True)]


def steps(length: float, h: float) -> int:
    """The fewest equal steps of at most h; a length that is a multiple of h up to rounding takes exactly that many."""
    return max(1, int(np.ceil(length / h - 1e-9)))


def _box(h: float, extents: Sequence[tuple[float, float]], cells: str) -> Mesh:
    positive("h", h)
    for low, high in extents:
        if not (np.isfinite([low, high]).all() and low < high):
            raise InputError(f"an axis must go from a lower to a higher finite number; got {low!r}, {high!r}")
    axes = [np.linspace(low, high, steps(high - low, h) + 1) for low, high in extents]
    return tensor_mesh(axes, cells)


def tensor_mesh(axes: Sequence[FloatArray], cells: str) -> Mesh:
    """The product of axes (each increasing), with its sides as named parts; the first axis varies fastest."""
    from funcspace.geometry.meshes.mesh import Mesh

    dim, counts = len(axes), [len(axis) for axis in axes]
    makers = {
        (1, "interval"): _intervals,
        (2, "triangle"): _triangles,
        (2, "quadrilateral"): _quadrilaterals,
        (3, "tetrahedron"): _tetrahedra,
        (3, "hexahedron"): _hexahedra,
    }
    if (dim, cells) not in makers:
        raise InputError(f"cells must be one of {', '.join(c for d, c in makers if d == dim)}; got {cells!r}")
    coordinates = np.meshgrid(*axes, indexing="ij")
    points = np.stack([c.ravel(order="F") for c in coordinates], axis=1)
    index = np.arange(len(points), dtype=np.int64).reshape(counts, order="F")
    mesh = Mesh(points, makers[dim, cells](index))
    sides: dict[str, Callable[[Tensor], Any]] = {}
    for axis, (low, high) in zip(range(dim), SIDES, strict=False):
        for name, value in ((low, axes[axis][0]), (high, axes[axis][-1])):
            sides[name] = lambda x, a=axis, v=value: x[:, a] == v
    return mesh.with_boundaries(sides)


def _lattice_corner(index: IntArray, offset: Sequence[int]) -> IntArray:
    window = tuple(slice(o, index.shape[a] - 1 + o) for a, o in enumerate(offset))
    return index[window].ravel(order="F")


def _intervals(index: IntArray) -> IntArray:
    return np.stack([index[:-1], index[1:]], axis=1)


def _quadrilaterals(index: IntArray) -> IntArray:
    return np.stack([_lattice_corner(index, o) for o in ((0, 0), (1, 0), (1, 1), (0, 1))], axis=1)


def _triangles(index: IntArray) -> IntArray:
    square = _quadrilaterals(index)
    return np.stack([square[:, [0, 1, 2]], square[:, [0, 2, 3]]], axis=1).reshape(-1, 3)


def _hexahedra(index: IntArray) -> IntArray:
    from funcspace.geometry.meshes.reference_cells import REFERENCE_CELLS

    corners = REFERENCE_CELLS["hexahedron"].corners.astype(int).tolist()
    return np.stack([_lattice_corner(index, o) for o in corners], axis=1)


def _tetrahedra(index: IntArray) -> IntArray:
    """Five tetrahedra per box; neighbouring boxes are cut in mirrored ways so that the cuts of their faces agree."""
    corner = {o: _lattice_corner(index, o) for o in np.ndindex(2, 2, 2)}
    grid = np.meshgrid(*(np.arange(n - 1) for n in index.shape), indexing="ij")
    odd = ((grid[0] + grid[1] + grid[2]) % 2 == 1).ravel(order="F")
    result = np.empty((len(odd), 5, 4), dtype=np.int64)
    for mirrored, rows in ((0, ~odd), (1, odd)):
        peaks = [o for o in np.ndindex(2, 2, 2) if sum(o) % 2 == mirrored]
        apices = [o for o in np.ndindex(2, 2, 2) if sum(o) % 2 != mirrored]
        around = [[tuple(a ^ (axis == i) for i, a in enumerate(apex)) for axis in range(3)] for apex in apices]
        tetrahedra = [peaks, *([apex, *ends] for apex, ends in zip(apices, around, strict=True))]
        for local, tetrahedron in enumerate(tetrahedra):
            edges = np.array(tetrahedron[1:]) - np.array(tetrahedron[0])
            if np.linalg.det(edges) < 0:
                tetrahedron[2], tetrahedron[3] = tetrahedron[3], tetrahedron[2]
            for vertex, offset in enumerate(tetrahedron):
                result[rows, local, vertex] = corner[tuple(int(i) for i in offset)][rows]
    return result.reshape(-1, 4)
