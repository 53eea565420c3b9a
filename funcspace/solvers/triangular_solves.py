"""Triangular solves for many right-hand sides at once, each with the same bits as if it were alone."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["TriangularFactors"]

FloatArray = NDArray[np.float64]

_compiled: Any = partial(cast(Any, njit), cache=True, nogil=True)

# Columns solved together: a row of them fills a few cache lines, all of them stay in the second-level cache.
COLUMNS = 64


@_compiled
def _solve_columns(orders, lower, upper, pivots, load, b, found):
    """Solve for the columns of `load` into those of `found`, with `b` to work in."""
    rows, columns = orders
    lower_start, lower_column, lower_value = lower
    upper_start, upper_column, upper_value = upper
    count = b.shape[1]
    for i in range(len(rows)):
        for c in range(count):
            b[i, c] = load[rows[i], c]
        for p in range(lower_start[i], lower_start[i + 1]):
            value, j = lower_value[p], lower_column[p]
            for c in range(count):
                b[i, c] -= value * b[j, c]
    for i in range(len(rows) - 1, -1, -1):
        for p in range(upper_start[i], upper_start[i + 1]):
            value, j = upper_value[p], upper_column[p]
            for c in range(count):
                b[i, c] -= value * b[j, c]
        for c in range(count):
            b[i, c] *= pivots[i]
            found[columns[i], c] = b[i, c]


@_compiled
def _solve_one(orders, lower, upper, pivots, load, b, found):
    """The same operations in the same order as in `_solve_columns`, for one column."""
    rows, columns = orders
    lower_start, lower_column, lower_value = lower
    upper_start, upper_column, upper_value = upper
    for i in range(len(rows)):
        total = load[rows[i]]
        for p in range(lower_start[i], lower_start[i + 1]):
            total -= lower_value[p] * b[lower_column[p]]
        b[i] = total
    for i in range(len(rows) - 1, -1, -1):
        total = b[i]
        for p in range(upper_start[i], upper_start[i + 1]):
            total -= upper_value[p] * b[upper_column[p]]
        b[i] = total * pivots[i]
        found[columns[i]] = b[i]


class TriangularFactors:
    r"""The factors of a sparse LU decomposition, P A Q = L U, laid out for many solves.

    A time loop solves thousands of times with one matrix; a batch solves for many columns at each step. Rows of L and
    U are then read once for up to 64 columns. The arithmetic of a column does not depend on how many stand beside it,
    so that a sample has the same bytes in any batch.

    Parameters
    ----------
    factor : what `scipy.sparse.linalg.splu` returned, real.
    """

    def __init__(self, factor: Any) -> None:
        lower, upper = factor.L.tocsr(), factor.U.tocsr()
        lower.sort_indices()
        upper.sort_indices()
        self.size = lower.shape[0]
        # The unit diagonal of L comes last in its row, the pivot of U first.
        keep_lower = np.ones(lower.nnz, dtype=bool)
        keep_lower[lower.indptr[1:] - 1] = False
        keep_upper = np.ones(upper.nnz, dtype=bool)
        keep_upper[upper.indptr[:-1]] = False
        self._pivots: FloatArray = 1.0 / upper.data[upper.indptr[:-1]]
        steps = np.arange(self.size + 1, dtype=lower.indptr.dtype)
        self._lower = (lower.indptr - steps, lower.indices[keep_lower], lower.data[keep_lower])
        self._upper = (upper.indptr - steps, upper.indices[keep_upper], upper.data[keep_upper])
        # Where row i of the permuted system comes from, and where its unknown goes.
        self._orders = (np.argsort(factor.perm_r), np.argsort(factor.perm_c))

    def __call__(self, load: FloatArray) -> FloatArray:
        """The solution for right-hand sides (n,) or (n, k)."""
        factors = (self._orders, self._lower, self._upper, self._pivots)
        load = np.asarray(load, dtype=np.float64)
        found = np.empty(load.shape)
        if load.ndim == 1 or load.shape[1] == 1:
            _solve_one(*factors, np.ascontiguousarray(load.ravel()), np.empty(self.size), found.reshape(-1))
            return found
        for start in range(0, load.shape[1], COLUMNS):
            part = np.ascontiguousarray(load[:, start : start + COLUMNS])
            solved = found if part.shape == load.shape else np.empty(part.shape)
            _solve_columns(*factors, part, np.empty(part.shape), solved)
            if solved is not found:
                found[:, start : start + COLUMNS] = solved
        return found
