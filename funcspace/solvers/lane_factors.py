"""Cholesky factorisation of many matrices of one sparsity pattern, eight at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcspace.solvers.front_factor import FrontFactor, NotPositiveError, check_pivots, finite
from funcspace.solvers.front_pattern import FrontPattern

__all__ = ["LANES", "LaneFactors"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

LANES = 8
# Numbers in the fronts of one matrix: above the first (64 MB for eight) memory is not kept for the next eight; above
# the second (256 MB) matrices go one at a time.
LARGEST_KEPT, LARGEST_TOGETHER = 1_000_000, 4_000_000


class LaneFactors:
    r"""Solves with symmetric positive definite matrices :math:`A_1, A_2, \dots` of one pattern.

    .. math:: P A_s P^T = L_s L_s^T

    The order P and the pattern of L are found once. The numbers are then computed for eight matrices side by side, so
    that each index is read once for eight of them, in fronts: dense blocks of columns with the same pattern (Duff and
    Reid, ACM TOMS 9, 1983). What a sample gets does not depend on its neighbours: the same bits in any batch.

    Parameters
    ----------
    pattern : a symmetric matrix with the pattern, CSR with sorted indices.
    order : the unknowns in the order of elimination, as of `nested_dissection`.
    """

    def __init__(self, pattern: Any, order: IntArray) -> None:
        self.pattern = FrontPattern(pattern, order)
        self.size = self.pattern.size
        self._free: list[tuple[FloatArray, tuple[FloatArray, FloatArray]]] = []

    @property
    def nonzeros(self) -> int:
        """Numbers in the fronts of L."""
        return self.pattern.nonzeros

    def one(self, entries: FloatArray) -> FrontFactor:
        """The factor of one matrix, its entries (nonzeros,) in the pattern's order."""
        return FrontFactor(self.pattern, entries)

    def solve(self, entries: FloatArray, loads: FloatArray) -> FloatArray:
        """Solutions (n, k) for k <= 8 matrices, their entries (nonzeros, k) in the pattern's order, and loads (n, k).

        Raises
        ------
        SolverError
            When a matrix is not positive definite.
        """
        from funcspace.solvers import _lane_kernels

        kernels: Any = _lane_kernels
        pattern, count = self.pattern, entries.shape[1]
        if count == 1 or self.nonzeros > LARGEST_TOGETHER:
            columns = (FrontFactor(pattern, a)(b) for a, b in zip(entries.T, loads.T, strict=True))
            return np.stack(list(columns), axis=1)
        # empty lanes repeat the last matrix
        lanes = np.minimum(np.arange(LANES), count - 1)
        if count < LANES:
            entries, loads = entries[:, lanes], loads[:, lanes]
        # memory that was used before needs no new pages
        lower, stacks = self._free.pop() if self._free else pattern.storage(LANES)
        try:
            chosen = np.ascontiguousarray(entries).reshape(-1)
            if not kernels.factor(pattern.fronts, pattern.sources, pattern.row_places, chosen, lower, stacks):
                raise NotPositiveError
            check_pivots(lower.reshape(-1, LANES)[pattern.row_pivots], chosen.reshape(-1, LANES)[pattern.diagonal])
            x = np.ascontiguousarray(loads[pattern.order])
            kernels.solve(pattern.fronts, pattern.rows, lower, x.reshape(-1))
        finally:
            if self.nonzeros <= LARGEST_KEPT:
                self._free.append((lower, stacks))
        found = np.empty((self.size, count))
        found[pattern.order] = x[:, :count]
        return finite(found)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_free": []}
