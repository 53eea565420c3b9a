"""Sparse systems: direct or by algebraic multigrid where they are symmetric positive definite, direct otherwise."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from funcspace.errors import InputError, SolverError
from funcspace.optional import require

__all__ = ["Method", "choose_method", "factorise", "factorise_general"]

FloatArray = NDArray[np.float64]
Method = Literal["auto", "direct", "multigrid"]

# Above these sizes the fill-in of a factorisation costs more than multigrid, by dimension.
DIRECT_LIMITS = {1: 10_000_000, 2: 150_000, 3: 10_000}
REUSED_LIMITS = {1: 10_000_000, 2: 480_000, 3: 16_000}


def choose_method(method: Method, size: int, dim: int, *, reused: bool = False) -> Literal["direct", "multigrid"]:
    """Resolve "auto" by the number of unknowns; without pyamg it is always "direct".

    A factorisation that serves the many steps of a time loop pays for itself up to larger systems.
    """
    if method not in ("auto", "direct", "multigrid"):
        raise InputError(f'method must be "auto", "direct" or "multigrid"; got {method!r}')
    if method != "auto":
        return method
    large = size > (REUSED_LIMITS if reused else DIRECT_LIMITS)[dim]
    return "multigrid" if large and importlib.util.find_spec("pyamg") is not None else "direct"


def factorise(
    matrix: Any,
    method: Literal["direct", "multigrid"],
    tolerance: float,
    max_iterations: int,
    *,
    many: bool = False,
    near_nullspace: FloatArray | None = None,
) -> Callable[[FloatArray], FloatArray]:
    """A function that solves a symmetric positive definite system for right-hand sides (n,) or (n, k).

    With `many` the factors are laid out anew, which costs about as much as the factorisation of a small system and
    makes later solves several times faster, each column with the same bits whatever stands beside it.

    Multigrid takes vectors (n, k) of small energy, such as rigid-body motions, as its `near_nullspace` (the constant
    by default), and a matrix in rows of blocks (BSR) as a system of as many unknowns per node.

    Raises
    ------
    SolverError
        When the matrix is singular, or the iteration does not reach the tolerance; `.state` is the last iterate.
    """
    if method == "direct":
        return _direct(matrix, many)
    return _multigrid(matrix, tolerance, max_iterations, near_nullspace)


def factorise_general(matrix: Any, *, singular: str, many: bool = False) -> Callable[[Any], Any]:
    """A function that solves a square system, real or complex, symmetric or not, for right-hand sides (n,) or (n, k).

    Threshold pivoting prefers the diagonal, which keeps the fill-in low on the nearly symmetric patterns of finite
    elements.

    Parameters
    ----------
    singular : what to say of a singular matrix.
    many : lay the factors out for many right-hand sides (real matrices), see `factorise`.

    Raises
    ------
    SolverError
        When the matrix is singular to rounding.
    """
    from scipy.sparse.linalg import splu

    try:
        factor = splu(matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.1)
    except RuntimeError as error:
        raise SolverError(singular) from error
    return _checked(_columns(factor, many and matrix.dtype.kind == "f"), singular)


def _columns(factor: Any, many: bool) -> Callable[[Any], Any]:
    if many:
        from funcspace.solvers.triangular_solves import TriangularFactors

        return TriangularFactors(factor)
    return lambda load: factor.solve(load)


def _checked(solve: Callable[[Any], Any], singular: str) -> Callable[[Any], Any]:
    def checked(load: Any) -> Any:
        found = solve(load)
        if not np.isfinite(found).all():
            raise SolverError(f"the direct solve gave values that are not finite: {singular}", state=found)
        return found

    return checked


def _direct(matrix: Any, many: bool) -> Callable[[FloatArray], FloatArray]:
    from scipy.sparse.linalg import splu

    try:
        factor = splu(
            matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
        )
    except RuntimeError as error:
        raise SolverError(
            "the system is singular: each connected piece of the domain needs a Dirichlet or Robin part or a reaction"
        ) from error

    return _checked(_columns(factor, many), "the system is singular to rounding")


def _multigrid(
    matrix: Any, tolerance: float, max_iterations: int, near_nullspace: FloatArray | None = None
) -> Callable[[FloatArray], FloatArray]:
    run = _block_cycles(matrix, near_nullspace) if near_nullspace is not None else _scalar_cycles(matrix)

    def one(load: FloatArray) -> FloatArray:
        norm = float(np.linalg.norm(load))
        if norm == 0.0:
            return np.zeros_like(load)
        found = np.zeros_like(load)
        # Restarting measures the true residual, from which the recurrence of conjugate gradients may have drifted.
        for _ in range(3):
            residual = load - matrix @ found
            relative = float(np.linalg.norm(residual)) / norm
            if relative <= tolerance:
                return found
            found = found + run(residual, min(0.5, 0.5 * tolerance / relative), max_iterations)
        relative = float(np.linalg.norm(load - matrix @ found)) / norm
        if not relative <= max(tolerance, _rounding(matrix, found, norm)):
            raise SolverError(
                f"multigrid stopped at relative residual {relative:.2e} after {max_iterations} iterations (tolerance "
                f'{tolerance:g}); raise max_iterations or tolerance, or use method="direct"',
                state=found,
            )
        return found

    def solve(load: FloatArray) -> FloatArray:
        return one(load) if load.ndim == 1 else np.stack([one(column) for column in load.T], axis=1)

    return solve


def _scalar_cycles(matrix: Any) -> Callable[[FloatArray, float, int], FloatArray]:
    from funcspace.solvers.smoothed_aggregation import SmoothedAggregation

    matrix = matrix.tocsr()
    matrix.sort_indices()
    return SmoothedAggregation(matrix, 0.0 if matrix.nnz < 12 * matrix.shape[0] else 0.02).solve


def _block_cycles(matrix: Any, near_nullspace: FloatArray) -> Callable[[FloatArray, float, int], FloatArray]:
    pyamg = require("pyamg", feature='method="multigrid"', install='pip install "funcspace[fem]"')
    # Local weights in place of spectral radii: those would be estimated from random vectors of the global generator.
    hierarchy = pyamg.smoothed_aggregation_solver(
        matrix,
        B=near_nullspace,
        symmetry="symmetric",
        strength=("symmetric", {"theta": 0.05}),
        smooth=("jacobi", {"weighting": "local", "omega": 4.0 / 3.0}),
        presmoother=("gauss_seidel", {"sweep": "forward"}),
        postsmoother=("gauss_seidel", {"sweep": "backward"}),
        improve_candidates=None,
        max_coarse=200,
        coarse_solver="splu",
    )
    return lambda load, tolerance, most: hierarchy.solve(load, tol=tolerance, maxiter=most, accel="cg", cycle="V")


def _rounding(matrix: Any, found: FloatArray, norm: float) -> float:
    """Relative residual that rounding alone leaves."""
    return 1e-15 * float(np.linalg.norm(abs(matrix) @ np.abs(found))) / norm
