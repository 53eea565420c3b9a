"""Newton's method for discrete systems whose forms hold a learned law."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcspace.errors import InputError, SolverError

__all__ = ["NewtonResult", "newton"]

FloatArray = NDArray[np.float64]
HALVINGS = 12
# Residuals of this share of the first one are rounding.
ROUNDING = 1e-13


@dataclass(frozen=True)
class NewtonResult:
    """The solution and the Euclidean norm of the residual at each iterate, the first one included.

    Attributes
    ----------
    solution : (dofs,).
    residuals : one number per iterate.
    """

    solution: FloatArray
    residuals: tuple[float, ...]

    @property
    def iterations(self) -> int:
        """Number of linear solves."""
        return len(self.residuals) - 1


def newton(
    system: Callable[[FloatArray], tuple[FloatArray, Any]],
    start: FloatArray,
    free: Any = None,
    *,
    tolerance: float = 1e-10,
    absolute: float = 0.0,
    max_iterations: int = 25,
    line_search: bool = True,
    solve: Callable[[Any, FloatArray], FloatArray] | None = None,
) -> NewtonResult:
    r"""Solve :math:`R(u) = 0` for the free dofs by :math:`u \leftarrow u - s\,J(u)^{-1} R(u)`.

    Steps are halved while they make the residual larger; the whole step, s = 1, is what converges quadratically.

    Parameters
    ----------
    system : u (dofs,) to the residual (dofs,) and the Jacobian, sparse (dofs, dofs).
    start : first iterate, with the boundary values in it.
    free : indices (or a mask) of the unknown dofs; all when None.
    tolerance : of the residual, relative to that of `start`.
    absolute : a residual that is small enough in any case; give one for starts that are near the solution.
    line_search : whether to halve steps.
    solve : (J, r) -> J^-1 r, in place of a sparse LU factorisation.

    Raises
    ------
    SolverError
        When the residual is not finite or does not reach the tolerance; `.state` is the last good iterate.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> result = newton(lambda u: (u**2 - 2.0, sp.diags(2.0 * u)), np.array([1.0]))
    >>> round(float(result.solution[0]), 10), result.iterations
    (1.4142135624, 4)
    """
    u = np.array(start, dtype=np.float64)
    if u.ndim != 1:
        raise InputError(f"start must have shape (dofs,); got {u.shape}")
    if not np.isfinite(u).all():
        raise InputError(f"start is not finite at dof {int(np.flatnonzero(~np.isfinite(u))[0])}")
    unknown = np.arange(len(u)) if free is None else np.arange(len(u))[free]
    residual, jacobian = system(u)
    norms = [_norm(residual[unknown], u, "at the start")]
    goal = max(tolerance * norms[0], absolute)
    while norms[-1] > goal:
        if len(norms) > max_iterations:
            raise SolverError(
                f"Newton's method stopped at residual {norms[-1]:.2e} after {max_iterations} iterations (the first was "
                f"{norms[0]:.2e}, the goal {goal:.2e}); start nearer to the solution, load in steps, or raise "
                "max_iterations",
                state=u,
            )
        step = np.zeros_like(u)
        step[unknown] = (solve or _lu)(
            jacobian[unknown][:, unknown] if free is not None else jacobian, residual[unknown]
        )
        if not np.isfinite(step).all():
            raise SolverError("the Jacobian is singular: its solve gave values that are not finite", state=u)
        u, residual, jacobian, size = _advanced(system, u, step, unknown, norms[-1], line_search)
        norms.append(size)
        if size > goal and size >= norms[-2] and size <= ROUNDING * norms[0]:
            break
    return NewtonResult(u, tuple(norms))


def _advanced(
    system: Any, u: FloatArray, step: FloatArray, unknown: Any, before: float, line_search: bool
) -> tuple[FloatArray, FloatArray, Any, float]:
    factor = 1.0
    for _ in range(HALVINGS if line_search else 1):
        trial = u - factor * step
        try:
            residual, jacobian = system(trial)
            size = float(np.linalg.norm(residual[unknown]))
        except SolverError:
            residual, jacobian, size = u, None, float("inf")  # the law has no value there
        if np.isfinite(size) and (size < before or not line_search or before <= ROUNDING):
            return trial, residual, jacobian, size
        factor /= 2
    if not line_search:
        raise SolverError(
            "Newton's step led to a residual that is not finite; start nearer or allow line_search", state=u
        )
    raise SolverError(
        f"Newton's step does not make the residual smaller than {before:.2e}, not even {factor * 2:.1e} of it: the "
        "Jacobian is not that of the residual, or the residual is at rounding",
        state=u,
    )


def _norm(residual: FloatArray, u: FloatArray, where: str) -> float:
    size = float(np.linalg.norm(residual))
    if not np.isfinite(size):
        raise SolverError(f"the residual is not finite {where}", state=u)
    return size


def _lu(jacobian: Any, residual: FloatArray) -> FloatArray:
    from scipy.sparse.linalg import splu

    try:
        return splu(jacobian.tocsc()).solve(residual)
    except RuntimeError as error:
        raise SolverError("the Jacobian is singular: fix the dofs that the system leaves free") from error
