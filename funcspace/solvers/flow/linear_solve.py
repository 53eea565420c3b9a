"""The linear systems of flow: a sparse factorisation, and Krylov steps with it while the matrix changes little."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcspace.errors import SolverError

__all__ = ["Factorisation", "krylov"]

FloatArray = NDArray[np.float64]

# A larger threshold moves pivots off the diagonal where they need not be, which multiplies the fill.
PIVOT_THRESHOLD = 1e-8


class Factorisation:
    """Sparse LU of a matrix whose unknowns come in a good elimination order.

    Raises
    ------
    SolverError
        When the matrix is singular.
    """

    def __init__(self, matrix: Any) -> None:
        from scipy.sparse.linalg import splu

        try:
            # the order holds as long as pivots stay on the diagonal, which pressures allow once velocities are gone
            self._factors = splu(
                matrix, permc_spec="NATURAL", diag_pivot_thresh=PIVOT_THRESHOLD, options={"SymmetricMode": True}
            )
        except RuntimeError as error:
            raise SolverError(
                "the system is singular: each connected piece of the domain needs a part where the velocity is given, "
                "and every cell a vertex or an edge inside the domain"
            ) from error
        self._matrix = matrix

    def refined(self, right: FloatArray) -> FloatArray:
        """Solution as by `solve`, corrected once by its residual: the divergence then vanishes to rounding."""
        found = self.solve(right)
        return found + self.solve(right - self._matrix @ found)

    def solve(self, right: FloatArray) -> FloatArray:
        """Solution for right-hand sides (n,) or (n, k)."""
        found = self._factors.solve(right)
        if not np.isfinite(found).all():
            raise SolverError(
                "the direct solve gave values that are not finite: the system is singular to rounding", state=None
            )
        return found


def krylov(
    matrix: Any, right: FloatArray, start: FloatArray, nearby: Factorisation, tolerance: float, most: int
) -> tuple[FloatArray, int, bool]:
    r"""Solve A x = b with the factors of a nearby matrix: one correction, then GMRES (Saad and Schultz, 1986).

    Where the two matrices differ in the momentum rows alone, the correction makes the velocity discretely divergence
    free, and all later search directions keep that.

    Returns
    -------
    The solution, the number of solves with the factors, and whether :math:`|b - A x| \le tolerance |b|`.
    """
    goal = tolerance * float(np.linalg.norm(right))
    found = start + nearby.solve(right - matrix @ start)
    residual = right - matrix @ found
    size = float(np.linalg.norm(residual))
    if size <= goal or not np.isfinite(size + goal):
        return found, 1, bool(np.isfinite(size + goal))
    basis, images, directions = [residual / size], np.zeros((most + 1, most)), []
    target = np.zeros(most + 1)
    target[0] = size
    for step in range(most):
        direction = nearby.solve(basis[step])
        directions.append(direction)
        image = matrix @ direction
        for _ in range(2):
            for row, vector in enumerate(basis):
                part = float(vector @ image)
                images[row, step] += part
                image -= part * vector
        images[step + 1, step] = float(np.linalg.norm(image))
        block = images[: step + 2, : step + 1]
        weights = np.linalg.lstsq(block, target[: step + 2], rcond=None)[0]
        rest = float(np.linalg.norm(block @ weights - target[: step + 2]))
        done = rest <= goal
        if done or step == most - 1 or images[step + 1, step] == 0.0:
            return found + np.stack(directions, axis=1) @ weights, step + 2, done
        basis.append(image / images[step + 1, step])
    return found, 1, False
