"""What the door of a mesh checks: shapes, indices, degenerate, inverted, folded and dangling cells."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from funcspace.errors import DomainError, InputError
from funcspace.geometry.meshes.mesh_node_orders import from_theirs
from funcspace.geometry.meshes.mesh_topology import Topology, quadratic_numbering
from funcspace.geometry.meshes.reference_cells import FloatArray, IntArray, ReferenceCell
from funcspace.geometry.number_tensor import refuse_masked

__all__ = [
    "as_cells",
    "as_nodes",
    "check_connected",
    "check_shapes",
    "corner_determinants",
    "oriented",
    "recognised",
    "split_nodes",
    "used_nodes",
]


def as_nodes(points: Any) -> FloatArray:
    """Coordinates (n, d), d in 1, 2, 3, finite, as a float64 array of our own."""
    refuse_masked(points, "points")
    array = points.detach().cpu().numpy() if isinstance(points, Tensor) else np.asarray(points)
    if array.dtype.kind not in "fiu":
        raise InputError(f"points must be real numbers; got dtype {array.dtype}")
    array = np.array(array, dtype=np.float64, order="C")
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or not 1 <= array.shape[1] <= 3:
        raise InputError(f"points must have shape (n, d) with d = 1, 2 or 3, one row per point; got {array.shape}")
    finite = np.isfinite(array).all(axis=1)
    if not finite.all():
        first = int(np.flatnonzero(~finite)[0])
        raise InputError(f"points must be finite; point {first} is {array[first].tolist()}")
    return array


def as_cells(cells: Any, n_points: int) -> IntArray:
    """Point indices (m, corners) as int64: whole numbers in range, none twice in one cell, at least one cell."""
    refuse_masked(cells, "cells")
    array = cells.detach().cpu().numpy() if isinstance(cells, Tensor) else np.asarray(cells)
    if array.ndim != 2:
        raise InputError(f"cells must have shape (m, corners), one row of point indices per cell; got {array.shape}")
    if array.shape[0] == 0:
        raise InputError("a mesh needs at least one cell; got an empty array of cells")
    if array.dtype.kind not in "iu":
        raise InputError(f"cells must be whole numbers (point indices); got dtype {array.dtype}")
    array = np.array(array, dtype=np.int64, order="C")
    bad = (array < 0) | (array >= n_points)
    if bad.any():
        cell, corner = (int(i) for i in np.argwhere(bad)[0])
        raise DomainError(
            f"cell {cell} names point {int(array[cell, corner])}, but there are only {n_points} points, numbered from 0"
        )
    ordered = np.sort(array, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
    if twice.any():
        cell = int(np.flatnonzero(twice)[0])
        raise DomainError(f"cell {cell} is degenerate: it names the same point twice, {array[cell].tolist()}")
    return array


def used_nodes(
    nodes: FloatArray, cells: IntArray, *, drop_unused: bool
) -> tuple[FloatArray, IntArray, IntArray | None]:
    """Refuse points that belong to no cell, or drop them; also the indices of the points kept (None: all)."""
    used = np.zeros(len(nodes), dtype=bool)
    used[cells] = True
    if used.all():
        return nodes, cells, None
    if not drop_unused:
        first, count = int(np.flatnonzero(~used)[0]), int((~used).sum())
        raise DomainError(
            f"dangling point {first}: {count} of {len(nodes)} points belong to no cell; pass drop_unused=True "
            "to leave them out"
        )
    renumber = np.cumsum(used) - 1
    return np.ascontiguousarray(nodes[used]), renumber[cells], np.flatnonzero(used)


def split_nodes(
    nodes: FloatArray, cell_nodes: IntArray, reference: ReferenceCell
) -> tuple[FloatArray, IntArray, int, IntArray]:
    """Quadratic cells in any node numbering to ours: vertices (in the order given), then edges, facets, interiors.

    Returns the nodes, the cells' nodes, the number of vertices, and for each new node its old index.
    """
    corners = cell_nodes[:, : reference.n_corners]
    vertices, inverse = np.unique(corners, return_inverse=True)
    numbering, total = quadratic_numbering(inverse.reshape(corners.shape), len(vertices), reference)
    old = np.empty(total, dtype=np.int64)
    old[numbering] = cell_nodes
    size = np.abs(nodes).max(initial=1.0)
    mismatch = np.abs(nodes[old[numbering]] - nodes[cell_nodes]).max(axis=2) > 1e-9 * size
    if mismatch.any():
        cell, local = (int(i) for i in np.argwhere(mismatch)[0])
        raise DomainError(
            f"cell {cell} does not match its neighbour: both share an edge or facet, but its node "
            f"{int(cell_nodes[cell, local])} "
            f"lies elsewhere than the neighbour's {int(old[numbering[cell, local]])}"
        )
    return np.ascontiguousarray(nodes[old]), numbering, len(vertices), old


def corner_determinants(
    nodes: FloatArray, cell_nodes: IntArray, reference: ReferenceCell, degree: int
) -> tuple[FloatArray, FloatArray]:
    """Jacobian determinants where a cell may invert (m, samples), and the rounding level of each cell (m,).

    Affine cells have one sample; others are sampled at their nodes.
    """
    if degree == 1 and reference.is_simplex:
        samples = reference.corners[:1]
    else:
        samples = reference.nodes if degree == 2 else reference.corners
    gradients = reference.shape_gradients(samples, degree)
    local = nodes[cell_nodes] - nodes[cell_nodes[:, :1]]
    determinants = np.linalg.det(np.einsum("mki,skj->msij", local, gradients))
    size = np.abs(local).max(axis=(1, 2))
    magnitude = np.maximum(size, np.abs(nodes[cell_nodes[:, 0]]).max(axis=1))
    return determinants, 32 * np.finfo(float).eps * magnitude * size ** (reference.dim - 1)


def check_shapes(
    nodes: FloatArray, cell_nodes: IntArray, reference: ReferenceCell, degree: int, orientation: str
) -> IntArray:
    """Refuse cells of no volume and inverted cells; returns the sign of each cell, +1 or -1 (corners run clockwise).

    See `funcspace.geometry.meshes.mesh.Mesh` for what counts as inverted.
    """
    determinants, rounding = corner_determinants(nodes, cell_nodes, reference, degree)
    low, high = determinants.min(axis=1), determinants.max(axis=1)
    flat = np.maximum(np.abs(low), np.abs(high)) <= rounding
    if flat.any():
        cell = int(np.flatnonzero(flat)[0])
        raise DomainError(
            f"cell {cell} is degenerate: it has no {('length', 'area', 'volume')[reference.dim - 1]}; its points are "
            f"{nodes[cell_nodes[cell, : reference.n_corners]].tolist()}"
        )
    twisted = (low <= rounding) & (high >= -rounding)
    if twisted.any():
        cell = int(np.flatnonzero(twisted)[0])
        raise DomainError(
            f"inverted cell {cell}: the Jacobian determinant of the {reference.name} goes from {low[cell]:.3g} "
            f"to {high[cell]:.3g}, "
            "so the cell overlaps itself or has an angle of 180 degrees or more; check the order and place of "
            "its points "
            f"{cell_nodes[cell].tolist()}"
        )
    signs = np.where(low > 0, 1, -1).astype(np.int64)
    if orientation == "check":
        _check_signs(signs, cell_nodes, reference)
    return signs


def _check_signs(signs: IntArray, cell_nodes: IntArray, reference: ReferenceCell) -> None:
    negative = signs < 0
    if not negative.any():
        return
    if reference.is_simplex:
        corners = cell_nodes[:, : reference.n_corners]
        if (corners[:, 1:] > corners[:, :-1]).all() or negative.all():
            return  # ascending corners carry no orientation (scikit-fem's habit); all clockwise is consistent
        share = negative.mean()
        if reference.dim == 3 and 0.2 <= share <= 0.8:
            return  # tetrahedra in no particular orientation, as Delaunay codes give them
        odd = negative if share <= 0.5 else ~negative
    elif reference.name == "hexahedron" and negative.all():
        return  # as scikit-fem makes them
    else:
        odd = negative
    cell = int(np.flatnonzero(odd)[0])
    raise DomainError(
        f"inverted cell {cell}: its Jacobian determinant has the wrong sign ({int(odd.sum())} of {len(signs)} "
        "cells), its corners "
        f"{cell_nodes[cell, : reference.n_corners].tolist()} run the other way round; check the mesh, or pass "
        "orientation='fix' "
        "to reorder such cells, or orientation='keep' to take them as they are"
    )


def recognised(nodes: FloatArray, cell_nodes: IntArray, reference: ReferenceCell, degree: int) -> IntArray:
    """Hexahedra in VTK's order, as gmsh's corners are, in ours: in the wrong one of the two every cell is twisted."""
    if reference.name != "hexahedron":
        return cell_nodes

    def twisted(cells: IntArray) -> np.ndarray:
        determinants, _ = corner_determinants(nodes, cells, reference, degree)
        return determinants.min(axis=1) * determinants.max(axis=1) <= 0

    if not twisted(cell_nodes).all():
        return cell_nodes
    reordered = cell_nodes[:, from_theirs(reference.name, degree, "vtk")]
    return reordered if not twisted(reordered).all() else cell_nodes


def oriented(cell_nodes: IntArray, signs: IntArray, reference: ReferenceCell) -> IntArray:
    """The cells with the corners of those of negative sign reordered by a reflection of the reference cell."""
    if reference.is_simplex and reference.dim > 1:
        swap = np.arange(reference.dim)
        swap[-2:] = swap[[-1, -2]]
        mirror = lambda x: x[:, swap]  # noqa: E731
    else:
        mirror = lambda x: np.hstack([1.0 - x[:, :1], x[:, 1:]])  # noqa: E731
    mirrored = mirror(reference.nodes[: cell_nodes.shape[1]])
    distance = np.abs(mirrored[:, None] - reference.nodes[None, : cell_nodes.shape[1]]).sum(axis=2)
    permutation = distance.argmin(axis=1)
    result = cell_nodes.copy()
    result[signs < 0] = cell_nodes[signs < 0][:, permutation]
    return result


def check_connected(
    nodes: FloatArray,
    corners: IntArray,
    reference: ReferenceCell,
    topology: Topology,
    signs: IntArray,
    *,
    allow_dangling: bool,
) -> None:
    """Refuse facets of more than two cells, cells that share no facet, and cells folded over their neighbour."""
    if (topology.facet_counts > 2).any():
        facet = int(np.flatnonzero(topology.facet_counts > 2)[0])
        cells = np.flatnonzero((topology.cell_facets == facet).any(axis=1))
        raise DomainError(
            f"the facet with points {topology.facets[facet].tolist()} belongs to {len(cells)} cells "
            f"({cells[:4].tolist()}); "
            "at most two cells may meet at a facet: remove the cells given twice or overlapping"
        )
    if len(corners) > 1 and not allow_dangling:
        alone = (topology.facet_counts[topology.cell_facets] == 1).all(axis=1)
        if alone.any():
            cell = int(np.flatnonzero(alone)[0])
            raise DomainError(
                f"dangling cell {cell}: it shares no facet with any other cell ({int(alone.sum())} such of "
                f"{len(corners)}); "
                "remove it, merge duplicate points, or pass allow_dangling=True"
            )
    _check_folds(nodes, corners, reference, topology, signs)


def _check_folds(
    nodes: FloatArray, corners: IntArray, reference: ReferenceCell, topology: Topology, signs: IntArray
) -> None:
    """Two neighbours lie on opposite sides of their facet: they induce opposite orientations on it."""
    induced = np.stack(
        [
            signs * sign * _parity(corners[:, list(facet)])
            for facet, sign in zip(reference.facets, _facet_signs(reference), strict=True)
        ],
        axis=1,
    )
    total = np.bincount(topology.cell_facets.ravel(), weights=induced.ravel(), minlength=len(topology.facets))
    folded = (topology.facet_counts == 2) & (total != 0)
    if not folded.any():
        return
    folds = folded[topology.cell_facets].sum(axis=1)
    rare = -1 if (signs > 0).sum() >= (signs < 0).sum() else 1
    # the culprit folds over most of its neighbours; between equals, the one oriented unlike the rest
    badness = 2 * folds + (signs == rare)
    pair = topology.facet_cells[np.flatnonzero(folded)]
    candidates = np.unique(pair)
    cell = int(candidates[np.argmax(badness[candidates])])
    facet = int(np.flatnonzero(folded & np.isin(np.arange(len(folded)), topology.cell_facets[cell]))[0])
    other = next(int(c) for c in topology.facet_cells[facet] if c != cell)
    raise DomainError(
        f"inverted cell {cell}: it lies on the same side of the facet {topology.facets[facet].tolist()} as its "
        f"neighbour, cell {other}, "
        f"so the two overlap; move its points {corners[cell].tolist()} or remove it"
    )


def _parity(rows: IntArray) -> IntArray:
    """Orientation of each row of distinct indices relative to its canonical order, +1 or -1.

    For up to three indices the canonical order is ascending; for four (a cyclic quadrilateral) it starts at the
    smallest and goes on to the smaller of its two neighbours.
    """
    count = rows.shape[1]
    if count == 1:
        return np.ones(len(rows), dtype=np.int64)
    if count == 4:
        start = rows.argmin(axis=1)
        take = np.arange(len(rows))
        after, before = rows[take, (start + 1) % 4], rows[take, (start - 1) % 4]
        return np.where(after < before, 1, -1)
    inversions = sum((rows[:, i] > rows[:, j]).astype(np.int64) for i in range(count) for j in range(i + 1, count))
    return 1 - 2 * (np.asarray(inversions) % 2)


def _facet_signs(reference: ReferenceCell) -> list[int]:
    """+1 where the local order of a facet's corners agrees with the outward normal of the reference cell."""
    centre, result = reference.corners.mean(axis=0), []
    for facet in reference.facets:
        corner = reference.corners[list(facet)]
        outward = corner.mean(axis=0) - centre
        if reference.dim == 1:
            sign = outward[0]
        elif reference.dim == 2:
            tangent = corner[1] - corner[0]
            sign = tangent[1] * outward[0] - tangent[0] * outward[1]
        else:
            sign = np.cross(corner[1] - corner[0], corner[2] - corner[0]) @ outward
        result.append(1 if sign > 0 else -1)
    return result
