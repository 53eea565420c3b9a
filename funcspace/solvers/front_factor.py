"""The Cholesky factor of one sparse matrix, for many right-hand sides."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcspace.errors import SolverError
from funcspace.solvers.front_pattern import FrontPattern

__all__ = ["FrontFactor", "NotPositiveError", "check_pivots", "finite"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# Right-hand sides solved together: four registers of eight.
COLUMNS = 32
# A pivot this many times smaller than the diagonal entry it came from has no correct digit.
LARGEST_CANCELLATION = 1e14


class NotPositiveError(SolverError):
    """A matrix is not positive definite."""

    def __init__(self) -> None:
        super().__init__(
            "a system is not positive definite to rounding: each connected piece of the domain needs a Dirichlet or "
            "Robin part or a reaction, and the coefficient must not vanish"
        )


class FrontFactor:
    """Solves with one symmetric positive definite matrix; a column has the same bits whatever stands beside it.

    Parameters
    ----------
    pattern : of the factor.
    entries : of the matrix, in the order of its pattern.

    Raises
    ------
    SolverError
        When the matrix is not positive definite.
    """

    def __init__(self, pattern: FrontPattern, entries: FloatArray) -> None:
        self._pattern = pattern
        self._lower, stacks = pattern.storage(1)
        chosen = np.ascontiguousarray(entries, dtype=np.float64)
        fronts, places = pattern.padded_fronts, pattern.column_places
        if not _kernels().factor(fronts, pattern.sources, places, chosen, self._lower, stacks):
            raise NotPositiveError
        check_pivots(self._lower[pattern.column_pivots], chosen[pattern.diagonal])

    def __call__(self, load: FloatArray) -> FloatArray:
        """The solution for right-hand sides (n,) or (n, k).

        Raises
        ------
        SolverError
            When it is not finite.
        """
        pattern, found = self._pattern, np.empty(load.shape)
        columns, solved = load.reshape(pattern.size, -1), found.reshape(pattern.size, -1)
        factor, order = (pattern.padded_fronts, pattern.rows, self._lower), pattern.order
        if columns.shape[1] == 1:
            x = columns[order, 0]
            _kernels().solve_one(*factor, x)
            solved[order, 0] = finite(x)
            return found
        block = np.zeros((pattern.size, COLUMNS))
        for start in range(0, columns.shape[1], COLUMNS):
            part = columns[:, start : start + COLUMNS]
            count = part.shape[1]
            block[:, :count], block[:, count:] = part[order], 0.0
            _kernels().solve_columns(*factor, block.reshape(-1))
            solved[order, start : start + count] = finite(block[:, :count])
        return found

    def rows(self, loads: FloatArray, among: IntArray, out: FloatArray) -> None:
        """Write solutions into the columns `among` of `out` (k, m), for right-hand sides in those of `loads` (k, m)."""
        pattern, kernels = self._pattern, _kernels()
        factor, order = (pattern.padded_fronts, pattern.rows, self._lower), among[pattern.order]
        if len(loads) == 1:
            x = loads[0, order]
            kernels.solve_one(*factor, x)
            out[0, order] = finite(x)
            return
        loads = np.ascontiguousarray(loads)
        x = np.zeros(pattern.size * COLUMNS)
        for start in range(0, len(loads), COLUMNS):
            part = slice(start, start + COLUMNS)
            kernels.to_columns(loads[part], order, x)
            kernels.solve_columns(*factor, x)
            kernels.from_columns(finite(x), order, out[part])


def check_pivots(reciprocal: FloatArray, diagonal: FloatArray) -> None:
    """Raise where a pivot, given the reciprocals of the diagonal of L, is what rounding leaves of that of A."""
    if not (reciprocal**2 * diagonal < LARGEST_CANCELLATION).all():
        raise NotPositiveError


def _kernels() -> Any:
    from funcspace.solvers import _front_kernels

    return _front_kernels


def finite(found: FloatArray) -> FloatArray:
    """The solution, when it is finite."""
    # a sum that is finite has finite terms
    if not np.isfinite(found.sum()) and not np.isfinite(found).all():
        raise SolverError("the direct solve gave values that are not finite", state=found)
    return found
