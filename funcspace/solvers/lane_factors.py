"""Cholesky factorisation of many matrices of one sparsity pattern, eight at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcspace.errors import SolverError

__all__ = ["LANES", "LaneFactors"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

LANES = 8


class LaneFactors:
    r"""Solves with symmetric positive definite matrices :math:`A_1, A_2, \dots` of one pattern.

    .. math:: P A_s P^T = L_s D_s L_s^T

    The fill-reducing order P and the pattern of L are found once. The numbers are then computed for eight matrices
    side by side, so that each index is read once for eight of them (Davis, Algorithm 849: a concise sparse Cholesky
    factorization package, ACM TOMS 31, 2005, row by row). What a sample gets does not depend on its neighbours: the
    same bits in any batch.

    Parameters
    ----------
    pattern : a matrix with the pattern, CSR with sorted indices; its values serve to find P.

    Raises
    ------
    SolverError
        When that matrix is singular.
    """

    def __init__(self, pattern: Any) -> None:
        import scipy.sparse as sp
        from scipy.sparse.linalg import splu

        from funcspace.solvers._lane_kernels import eliminate

        options = {"SymmetricMode": True}
        try:
            order = splu(pattern.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options).perm_c
        except RuntimeError as error:
            raise SolverError(
                "the system is singular: each connected piece of the domain needs a Dirichlet or Robin part or a "
                "reaction"
            ) from error
        self.size = int(pattern.shape[0])
        self._order: IntArray = np.argsort(order)
        numbered = sp.csr_matrix(
            (np.arange(1, pattern.nnz + 1, dtype=np.float64), pattern.indices, pattern.indptr), shape=pattern.shape
        )
        upper = sp.triu(numbered[self._order][:, self._order], format="csc")
        upper.sort_indices()
        self._places: IntArray = upper.data.astype(np.int64) - 1
        self._upper = upper.indptr.astype(np.int64), upper.indices.astype(np.int32)
        self._lower: Any = eliminate(self.size, *self._upper)

    @property
    def nonzeros(self) -> int:
        """Entries of L below its diagonal."""
        return int(self._lower[0][-1])

    def solve(self, entries: FloatArray, loads: FloatArray) -> FloatArray:
        """Solutions (n, k) for k <= 8 matrices, their entries (nonzeros, k) in the pattern's order, and loads (n, k).

        Raises
        ------
        SolverError
            When a matrix is not positive definite.
        """
        from funcspace.solvers import _lane_kernels

        kernels: Any = _lane_kernels
        count = entries.shape[1]
        begin, below = self._lower[:2]
        found = np.empty((self.size, count))
        if count == 1:
            lower, inverse = np.empty(self.nonzeros), np.empty(self.size)
            chosen, x = entries[self._places, 0], loads[self._order, 0]
            self._check(kernels.factor_one(*self._upper, chosen, *self._lower, lower, inverse))
            kernels.solve_one(begin, below, lower, inverse, x)
            found[self._order, 0] = x
        else:
            # empty lanes repeat the last matrix
            lanes = np.minimum(np.arange(LANES), count - 1)
            lower, inverse = np.empty((self.nonzeros, LANES)), np.empty((self.size, LANES))
            chosen = np.ascontiguousarray(entries[self._places][:, lanes])
            x = np.ascontiguousarray(loads[self._order][:, lanes])
            self._check(kernels.factor(*self._upper, chosen, *self._lower, lower, inverse))
            kernels.solve(begin, below, lower, inverse, x)
            found[self._order] = x[:, :count]
        if not np.isfinite(found).all():
            raise SolverError("the direct solve gave values that are not finite", state=found)
        return found

    @staticmethod
    def _check(stopped: int) -> None:
        if stopped >= 0:
            raise SolverError(
                "a system is not positive definite to rounding: each connected piece of the domain needs a Dirichlet "
                "or Robin part or a reaction, and the coefficient must not vanish"
            )
