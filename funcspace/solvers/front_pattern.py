"""The pattern of a sparse Cholesky factor in fronts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FrontPattern", "nested_dissection"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# Columns of a front and its parent are eliminated together up to this number, or up to this part of zeros.
SMALL, WASTE = 4, 0.12
# A vector of eight that starts inside a column may reach this far beyond it.
PADDING = 7


def nested_dissection(pattern: Any, points: FloatArray) -> IntArray:
    """An order of elimination of little fill for the graph of a symmetric matrix (CSR) with nodes at points (n, d).

    The graph is cut in two by nodes that are numbered last, and so are the two parts (George, SIAM J. Numer. Anal. 10,
    1973).

    >>> import numpy as np, scipy.sparse as sp
    >>> chain = sp.diags([1.0] * 15).tocsr() + sp.diags([1.0] * 14, 1) + sp.diags([1.0] * 14, -1)
    >>> int(nested_dissection(chain.tocsr(), np.arange(15.0)[:, None])[-1])
    7
    """
    from funcspace.solvers._front_analysis import dissect

    start, column = pattern.indptr.astype(np.int64), pattern.indices.astype(np.int64)
    return np.asarray(dissect(start, column, np.ascontiguousarray(points, dtype=np.float64)))


class FrontPattern:
    r"""Fronts of :math:`L` in :math:`P A P^T = L L^T`: columns of one pattern, with the rows below them.

    Parameters
    ----------
    pattern : a symmetric matrix with the pattern of A, CSR with sorted indices.
    order : the unknowns in the order of elimination.

    Attributes
    ----------
    order : the unknowns in an equivalent order in which each front follows its children.
    diagonal : places of the diagonal entries of A.
    row_pivots, column_pivots : places of the diagonal of L in fronts stored by rows and by columns.
    """

    def __init__(self, pattern: Any, order: IntArray) -> None:
        from funcspace.solvers import _front_analysis

        analysis: Any = _front_analysis
        n = self.size = int(pattern.shape[0])
        graph = (pattern.indptr.astype(np.int64), pattern.indices.astype(np.int64))
        order = np.asarray(order, dtype=np.int64)
        start, row, _ = analysis.upper_triangle(*graph, order)
        self.order: IntArray = order[analysis.tree(n, start, row)[1]]
        start, row, places = analysis.upper_triangle(*graph, self.order)
        parents, begin, below = analysis.columns(n, start, row)
        first = analysis.fronts(parents, begin, SMALL, WASTE)
        owner, rows_start, self.rows, relative, parent, depth = analysis.layout(first, begin, below)
        front, down, across = analysis.entry_places(start, row, owner, first, rows_start, self.rows)
        width, below = np.diff(first), np.diff(rows_start)
        high = width + below
        # the children of each front, the last of them first, and where these start; at the end those without a parent
        count = len(width)
        starts, place = analysis.grouped(np.where(parent < 0, count, parent)[::-1].copy(), count + 1)
        family = count - 1 - place, starts[:-1]
        panels = np.concatenate([[0], np.cumsum(high * width)])
        ends, by_front = analysis.grouped(front, count)
        self.sources: IntArray = places[by_front]
        self.row_places: IntArray = (down * width[front] + across)[by_front]
        self.column_places: IntArray = (across * (high + PADDING)[front] + down)[by_front]
        padded = np.concatenate([[0], np.cumsum((high + PADDING) * width)])
        stacks = [
            analysis.stack_places(sizes, *family, depth)
            for sizes in (below * (below + 1) // 2, below * (below + PADDING))
        ]
        self._heights = [heights for _, *heights in stacks]
        self.fronts, self.padded_fronts = (
            (first, rows_start, relative, *family, panel_start, ends, depth, on_stack)
            for panel_start, (on_stack, *_) in zip((panels, padded), stacks, strict=True)
        )
        self.nonzeros = int(panels[-1])
        # where the diagonals of A and of L are
        column = np.repeat(np.arange(n), np.diff(start))
        self.diagonal: IntArray = np.zeros(n, dtype=np.int64)
        self.diagonal[column[row == column]] = places[row == column]
        inside = np.arange(n) - first[owner]
        self.row_pivots: IntArray = panels[owner] + inside * (width[owner] + 1)
        self.column_pivots: IntArray = padded[owner] + inside * (high[owner] + PADDING + 1)

    def storage(self, lanes: int) -> tuple[FloatArray, tuple[FloatArray, FloatArray]]:
        """Memory for the fronts of L and the two stacks."""
        even, odd = self._heights[0] if lanes > 1 else self._heights[1]
        size = self.nonzeros if lanes > 1 else int(self.padded_fronts[5][-1])
        return np.empty(size * lanes), (np.empty(even * lanes), np.empty(odd * lanes))
