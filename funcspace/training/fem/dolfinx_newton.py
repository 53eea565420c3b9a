"""Newton's method for DOLFINx problems whose forms hold learned laws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from funcspace.errors import InputError, SolverError
from funcspace.functions.fem.dolfinx_api import INSTALL
from funcspace.optional import require
from funcspace.training.fem import dolfinx_forms as forms
from funcspace.training.fem.dolfinx_law import DolfinxLaw
from funcspace.training.fem.newton import NewtonResult

__all__ = ["solve_dolfinx"]

HALVINGS = 12
ROUNDING = 1e-13
DIRECT = {"ksp_type": "preonly", "pc_type": "lu"}


def solve_dolfinx(
    residual: Any,
    u: Any,
    bcs: Sequence[Any] = (),
    *,
    laws: Sequence[DolfinxLaw] = (),
    tolerance: float = 1e-10,
    absolute: float = 0.0,
    max_iterations: int = 25,
    petsc_options: Mapping[str, Any] | None = None,
) -> NewtonResult:
    r"""Solve F(u; v) = 0 for all v by Newton's method; the values of `u` are the start, and then the solution.

    .. math:: D_u F(u; \delta u, v) = -F(u; v), \quad u \leftarrow u + s\,\delta u

    with the derivative of UFL plus that of the laws. Steps are halved while they make the residual larger.

    Parameters
    ----------
    residual : UFL form of the unknown `u` and a test function, with laws in it.
    u : dolfinx.fem.Function.
    bcs : Dirichlet conditions.
    laws : the laws in the form; their coefficients are renewed at every iterate.
    tolerance, absolute : of the residual, relative to the first one, and in any case.
    petsc_options : of the linear solver; an LU factorisation by default.

    Raises
    ------
    SolverError
        When Newton's method or a linear solve does not converge; `.state` is a copy of the last good coefficients, and
        `u` holds them.
    """
    if not (hasattr(u, "function_space") and hasattr(u, "x")):
        raise InputError(f"u must be a dolfinx.fem.Function; got {type(u).__name__}")
    ufl = require("ufl", feature="learned laws in DOLFINx", install=INSTALL)
    conditions, options = list(bcs), dict(DIRECT if petsc_options is None else petsc_options)
    du = ufl.TrialFunction(u.function_space)
    jacobian = ufl.derivative(residual, u, du)
    for law in laws:
        jacobian = jacobian + law.derivative(residual, u, du)
    forms_ = forms.compiled(residual), forms.compiled(jacobian)
    fixed = forms.constrained_dofs(conditions)
    forms.impose(u, conditions)
    load, size = _residual(forms_[0], laws, fixed)
    if not np.isfinite(size):
        raise SolverError("the residual is not finite at the start", state=u.x.array.copy())
    norms = [size]
    goal = max(tolerance * size, absolute)
    while norms[-1] > goal:
        if len(norms) > max_iterations:
            raise SolverError(
                f"Newton's method stopped at residual {norms[-1]:.2e} after {max_iterations} iterations (the first was "
                f"{norms[0]:.2e}, the goal {goal:.2e}); start nearer to the solution, load in steps, or raise "
                "max_iterations",
                state=u.x.array.copy(),
            )
        matrix = forms.assemble_jacobian(forms_[1], conditions)
        step = forms.solve_linear(matrix, load, options)
        matrix.destroy()
        if not np.isfinite(step).all():
            raise SolverError(
                "the linear solve of a Newton step did not converge: the Jacobian is singular, or petsc_options ask "
                "for a solver that does not suit it",
                state=u.x.array.copy(),
            )
        load, size = _advance(u, step, forms_[0], laws, fixed, norms)
        norms.append(size)
        if size > goal and size >= norms[-2] and size <= ROUNDING * norms[0]:
            break
    return NewtonResult(np.array(u.x.array), tuple(norms))


def _residual(form: Any, laws: Sequence[DolfinxLaw], fixed: Any) -> tuple[Any, float]:
    for law in laws:
        law.update()
    load = forms.assemble_residual(form)
    values = load.getArray()
    values[fixed] = 0.0
    return load, float(np.linalg.norm(values))


def _advance(
    u: Any, step: Any, form: Any, laws: Sequence[DolfinxLaw], fixed: Any, norms: list[float]
) -> tuple[Any, float]:
    old, factor = np.array(u.x.array), 1.0
    for _ in range(HALVINGS):
        u.x.array[:] = old - factor * step
        try:
            load, size = _residual(form, laws, fixed)
        except SolverError:
            size, load = float("inf"), None  # the law has no value there
        if np.isfinite(size) and (size < norms[-1] or norms[-1] <= ROUNDING * norms[0]):
            return load, size
        factor /= 2
    u.x.array[:] = old
    for law in laws:
        law.update()
    raise SolverError(
        f"Newton's step does not make the residual smaller than {norms[-1]:.2e}, not even {2 * factor:.1e} of it: "
        "start nearer to the solution, or load in steps",
        state=old,
    )
