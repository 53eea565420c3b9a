"""Conjugate gradients with smoothed aggregation for scalar equations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcspace.errors import SolverError
from funcspace.optional import require

__all__ = ["SmoothedAggregation"]

FloatArray = NDArray[np.float64]

# Damping of the prolongation's smoothing, relative to row sums of absolute values.
DAMPING = 4.0 / 3.0
COARSEST = 200
MOST_LEVELS = 12


@dataclass(frozen=True)
class _Level:
    """A matrix, as rows with the place of their diagonals, and the way to the next coarser level."""

    matrix: tuple[Any, ...]
    prolongation: tuple[Any, ...]
    restriction: Any


class SmoothedAggregation:
    r"""A multigrid V(1, 1) cycle on aggregates, as the preconditioner of conjugate gradients.

    .. math:: P = (I - \omega D^{-1} A)\, T, \qquad A_c = P^T A P

    T holds the near null space, the constant, piece by piece; D the sums of absolute values of the rows of A (Vanek,
    Mandel, Brezina, Computing 56, 1996). Sweeps of Gauss-Seidel go forward on the way down and backward on the way up,
    so that the cycle is symmetric.

    Parameters
    ----------
    matrix : symmetric positive definite, CSR.
    theta : connections weaker than this part of sqrt(a_ii a_jj) do not aggregate.

    Raises
    ------
    SolverError
        When a row has no positive diagonal, or the coarsest matrix is singular.
    """

    def __init__(self, matrix: Any, theta: float) -> None:
        import scipy.sparse as sp
        from scipy.sparse.linalg import splu

        pyamg: Any = require("pyamg", feature='method="multigrid"', install='pip install "funcspace[fem]"')
        self.levels: list[_Level] = []
        self.matrix = matrix
        near = np.ones(matrix.shape[0])
        while matrix.shape[0] > COARSEST and len(self.levels) < MOST_LEVELS:
            rows = self._rows(matrix)
            strong = pyamg.strength.symmetric_strength_of_connection(matrix, theta)
            pieces = pyamg.aggregation.standard_aggregation(strong)[0].tocsr()
            if pieces.nnz == 0 or pieces.shape[1] == matrix.shape[0]:
                break
            owner = np.repeat(np.arange(len(near)), np.diff(pieces.indptr))
            lengths = np.sqrt(np.bincount(pieces.indices, weights=near[owner] ** 2, minlength=pieces.shape[1]))
            tentative = sp.csr_matrix(
                (near[owner] / lengths[pieces.indices], pieces.indices, pieces.indptr), shape=pieces.shape
            )
            damping = DAMPING / (abs(matrix) @ np.ones(len(near)))
            smoothed = matrix @ tentative
            smoothed.data *= -np.repeat(damping, np.diff(smoothed.indptr))
            prolongation = (tentative + smoothed).tocsr()
            restriction = prolongation.T.tocsr()
            self.levels.append(
                _Level(rows, (prolongation.indptr, prolongation.indices, prolongation.data), restriction)
            )
            matrix = (restriction @ (matrix @ prolongation)).tocsr()
            matrix.sort_indices()
            near = lengths
        try:
            self._coarsest: Any = splu(matrix.tocsc(), diag_pivot_thresh=0.0, options={"SymmetricMode": True})
        except RuntimeError as error:
            raise SolverError(SINGULAR) from error

    @staticmethod
    def _rows(matrix: Any) -> tuple[Any, ...]:
        from funcspace.solvers._aggregation_kernels import diagonals

        middle: Any = diagonals(matrix.indptr, matrix.indices)
        if middle.min() < 0 or not matrix.data[middle].min() > 0.0:
            raise SolverError(SINGULAR)
        return matrix.indptr, middle, matrix.indices, matrix.data

    def cycle(self, load: FloatArray, level: int = 0) -> FloatArray:
        """An approximate solution, linear and symmetric in the load."""
        from funcspace.solvers import _aggregation_kernels

        if level == len(self.levels):
            return self._coarsest.solve(load)
        kernels: Any = _aggregation_kernels
        own = self.levels[level]
        x, residual = np.empty_like(load), np.empty_like(load)
        kernels.descend(own.matrix, load, x, residual)
        correction = self.cycle(own.restriction @ residual, level + 1)
        kernels.ascend(own.matrix, own.prolongation, load, correction, x)
        return x

    def solve(self, load: FloatArray, tolerance: float, max_iterations: int) -> FloatArray:
        """Conjugate gradients from zero until the residual has fallen by `tolerance`, or for so many iterations."""
        found, residual = np.zeros_like(load), load.copy()
        bound = tolerance * float(np.linalg.norm(load))
        step = z = self.cycle(residual)
        size = float(residual @ z)
        for _ in range(max_iterations):
            product = self.matrix @ step
            curvature = float(step @ product)
            if not curvature > 0.0:
                break
            length = size / curvature
            found += length * step
            residual -= length * product
            if float(np.linalg.norm(residual)) <= bound:
                break
            z = self.cycle(residual)
            last, size = size, float(residual @ z)
            step = z + (size / last) * step
        return found


SINGULAR = (
    "the system is singular: each connected piece of the domain needs a Dirichlet or Robin part or a reaction, and the "
    "coefficient must not vanish"
)
