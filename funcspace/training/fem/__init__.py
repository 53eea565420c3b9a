"""Learned laws and surrogates inside finite-element codes: in forms, as operators, in Krylov and Newton solves."""

from funcspace.training.fem.dolfinx_law import DolfinxLaw
from funcspace.training.fem.dolfinx_newton import solve_dolfinx
from funcspace.training.fem.krylov import KrylovResult, flexible_cg
from funcspace.training.fem.newton import NewtonResult, newton
from funcspace.training.fem.pointwise_law import PointwiseLaw
from funcspace.training.fem.skfem_law import FormValues, form_values
from funcspace.training.fem.surrogate_operators import DolfinxOperator, SkfemOperator
from funcspace.training.fem.surrogate_preconditioner import SurrogatePreconditioner

__all__ = [
    "DolfinxLaw",
    "DolfinxOperator",
    "FormValues",
    "KrylovResult",
    "NewtonResult",
    "PointwiseLaw",
    "SkfemOperator",
    "SurrogatePreconditioner",
    "flexible_cg",
    "form_values",
    "newton",
    "solve_dolfinx",
]
