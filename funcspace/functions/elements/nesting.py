"""Where the cells of a refined mesh lie in the cells of the mesh it came from, without point location."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from funcspace.functions.elements.tabulation import CellMap

if TYPE_CHECKING:
    from funcspace.geometry.meshes.mesh import Mesh

__all__ = ["parent_points", "same_cells"]

TOLERANCE = 1e-9


def same_cells(first: Mesh, second: Mesh) -> bool:
    """Whether two meshes have the same nodes and cells, whatever their named parts."""
    return first is second or (
        (first.cell_type, first.degree) == (second.cell_type, second.degree)
        and np.array_equal(first.cell_nodes.numpy(), second.cell_nodes.numpy())
        and np.array_equal(first.nodes.numpy(), second.nodes.numpy())
    )


def parent_points(
    coarse: Mesh, fine: Mesh, cells: NDArray[np.int64], at: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """Coarse cells (n,) and reference points (n, d) there of the points `at` (n, d) of fine cells; None if not nested.

    Nested means that `fine` is `coarse` or came from it by `Mesh.refined`, which numbers the children of a cell in one
    block. The points found are checked to lie in the parent cell and to be the same points.
    """
    if same_cells(coarse, fine):
        return cells, at
    if (coarse.cell_type, coarse.degree) != (fine.cell_type, fine.degree):
        return None
    children, rest = divmod(fine.n_cells, coarse.n_cells)
    generations = (children.bit_length() - 1) // coarse.dim
    if rest or generations < 1 or children != 2 ** (coarse.dim * generations):
        return None
    n_vertices = len(coarse.points)
    if len(fine.points) < n_vertices or not np.array_equal(fine.points[:n_vertices].numpy(), coarse.points.numpy()):
        return None
    parents = cells // children
    found, residual = CellMap(coarse).inverse(parents, CellMap(fine).points(cells, at))
    if residual.max(initial=0.0) > TOLERANCE or coarse.reference.inside(found).min(initial=0.0) < -TOLERANCE:
        return None
    return parents, found
