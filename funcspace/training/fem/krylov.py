"""Conjugate gradients that take a preconditioner which is not a fixed matrix, such as a surrogate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcspace.errors import InputError, SolverError

__all__ = ["KrylovResult", "flexible_cg"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class KrylovResult:
    """The solution and the Euclidean norm of the residual at each iterate, that of the start included.

    Attributes
    ----------
    solution : (n,).
    residuals : one number per iterate.
    """

    solution: FloatArray
    residuals: tuple[float, ...]

    @property
    def iterations(self) -> int:
        """Number of products with the matrix after the first residual."""
        return len(self.residuals) - 1


def flexible_cg(
    matrix: Any,
    load: FloatArray,
    preconditioner: Callable[[FloatArray], FloatArray] | None = None,
    start: FloatArray | None = None,
    *,
    tolerance: float = 1e-8,
    max_iterations: int = 1000,
    memory: int = 10,
) -> KrylovResult:
    r"""Solve A x = b, A symmetric and positive definite, by flexible conjugate gradients.

    .. math:: p_k = z_k - \sum_j \frac{z_k^T A p_j}{p_j^T A p_j} p_j, \qquad z_k = B(r_k),
        \qquad x_{k+1} = x_k + \frac{p_k^T r_k}{p_k^T A p_k} p_k

    over the last `memory` directions (Notay, Flexible conjugate gradients, SIAM J. Sci. Comput. 22, 2000). B may be
    nonlinear and may differ from step to step: each step minimises the error in the energy norm along p, so that a
    poor B slows the method down but does not make it diverge. With a fixed symmetric B the iterates are those of the
    preconditioned conjugate gradients.

    Parameters
    ----------
    preconditioner : B, residual (n,) to correction (n,); the identity when None. Where it gives a direction that does
        not reduce the error, the residual itself is taken.
    start : x_0, such as a surrogate's prediction; 0 when None.
    tolerance : of the residual, relative to the load.
    memory : directions kept.

    Raises
    ------
    SolverError
        When the residual does not reach the tolerance; `.state` is the last iterate.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> A = sp.diags([-1.0, 2.0, -1.0], [-1, 0, 1], shape=(50, 50), format="csr")
    >>> flexible_cg(A, np.ones(50)).iterations
    25
    """
    b = np.asarray(load, dtype=np.float64)
    if b.ndim != 1 or matrix.shape != (len(b), len(b)):
        raise InputError(f"a system of shape {matrix.shape} does not fit a load of shape {b.shape}")
    if memory < 1:
        raise InputError(f"memory must be at least 1; got {memory}")
    x = np.zeros_like(b) if start is None else np.array(start, dtype=np.float64)
    if x.shape != b.shape or not np.isfinite(x).all():
        raise InputError(f"start must be finite and of shape {b.shape}; got shape {x.shape}")
    residual = b - matrix @ x
    norms = [float(np.linalg.norm(residual))]
    goal = tolerance * float(np.linalg.norm(b))
    directions: list[tuple[FloatArray, FloatArray, float]] = []
    while norms[-1] > goal:
        if len(norms) > max_iterations:
            raise SolverError(
                f"flexible conjugate gradients stopped at relative residual {norms[-1] / np.linalg.norm(b):.2e} after "
                f"{max_iterations} iterations (tolerance {tolerance:g})",
                state=x,
            )
        found = residual if preconditioner is None else np.asarray(preconditioner(residual), dtype=np.float64)
        step = _direction(matrix, residual, found, directions)
        if step is None and preconditioner is not None:
            step = _direction(matrix, residual, residual, directions)
        if step is None:
            raise SolverError("the matrix is not positive definite", state=x)
        p, product, energy = step
        length = float(p @ residual) / energy
        x = x + length * p
        residual = residual - length * product
        directions = [*directions[-memory + 1 :], step] if memory > 1 else [step]
        norms.append(float(np.linalg.norm(residual)))
        if len(norms) % 50 == 0:
            residual = b - matrix @ x  # the recurrence drifts
    return KrylovResult(x, tuple(norms))


def _direction(
    matrix: Any, residual: FloatArray, candidate: FloatArray, directions: list[tuple[FloatArray, FloatArray, float]]
) -> tuple[FloatArray, FloatArray, float] | None:
    """A candidate made conjugate to the directions before, with its product and energy; None where it is of no use."""
    if candidate.shape != residual.shape or not np.isfinite(candidate).all():
        return None
    p = candidate.copy()
    for old, product, energy in directions:
        p -= float(candidate @ product) / energy * old
    product = matrix @ p
    energy = float(p @ product)
    size = float(np.linalg.norm(p) * np.linalg.norm(product))
    useful = energy > 1e-14 * size > 0.0 and abs(float(p @ residual)) > 0.0
    return (p, product, energy) if useful else None
