"""Symmetric systems assembled from elements, solved as a torch operation with derivatives in their coefficients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Inexact, Int
from numpy.typing import NDArray
from torch import Tensor

from funcspace.solvers.threads import over_threads

__all__ = ["ElementForm", "action", "element_solve", "matrix_products", "solver_among"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class ElementForm:
    r"""A symmetric bilinear form that is linear in a coefficient.

    a_c(u, v) = sum over elements e and points q of c_eq u_e^T T_eq v_e

    Attributes
    ----------
    tables : T, with the two local axes flattened.
    dofs : global dofs of each element.
    """

    tables: Float[Tensor, "element q local_local"]
    dofs: Int[Tensor, "element local"]

    def action(self, coefficient: Tensor, x: Tensor) -> Tensor:
        """The form of each x (samples, dofs) against all basis functions; coefficient (samples, element * q)."""
        elements, q, _ = self.tables.shape
        local = self.dofs.shape[1]
        gathered = x[:, self.dofs].transpose(0, 1)
        spread = self.tables.to(x.dtype).reshape(elements, q * local, local).transpose(1, 2)
        products = (gathered @ spread).reshape(elements, -1, q, local)
        weighted = (products * coefficient.reshape(-1, elements, q, 1).transpose(0, 1)).sum(dim=2).transpose(0, 1)
        return torch.zeros(len(weighted), x.shape[1], dtype=weighted.dtype).index_add(
            1, self.dofs.reshape(-1), weighted.flatten(1)
        )

    def derivative(self, u: Tensor, v: Tensor) -> Tensor:
        """Derivatives of the form at u, v (samples, dofs) in the coefficient, (samples, element * q)."""
        a, b = u[:, self.dofs], v[:, self.dofs]
        outer = (a[..., :, None] * b[..., None, :]).flatten(2).transpose(0, 1)
        return (outer @ self.tables.to(outer.dtype).transpose(1, 2)).transpose(0, 1).flatten(1)


def action(forms: Sequence[Any], coefficients: list[Tensor], x: Tensor) -> Inexact[Tensor, "samples dofs"]:
    """The sum of some forms of x against all basis functions."""
    first, *others = (form.action(c, x) for form, c in zip(forms, coefficients, strict=True))
    for term in others:
        first = first + term
    return first


def matrix_products(cells: Any) -> FloatArray:
    """Tables (element, d * d * q, local * local) of the form grad v . k grad u, for coefficients (element, q, d, d)."""
    gradients = cells.table("grad", slice(None)).transpose(2, 3, 1, 0)
    left = gradients[:, :, :, None, :, None] * cells.weights[..., None, None, None, None]
    return (left * gradients[:, :, None, :, None, :]).reshape(len(cells.dofs), -1, cells.dofs.shape[1] ** 2)


def solver_among(
    free: NDArray[np.int64], factorise: Callable[[int], Callable[[Any], Any]], matrices: int, workers: int | None
) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """What solves for right-hand sides (samples, dofs) among the free dofs and sets the others to zero.

    Parameters
    ----------
    free : the dofs that are unknown.
    factorise : of the number of a sample, what solves for (n,) or (n, k) with its matrix among the free dofs.
    matrices : number of samples, or 1 where all have one matrix.
    workers : number of threads over samples with matrices of their own; all cores when None.
    """
    solves: list[Any] = [None] * matrices

    def factor(start: int, stop: int) -> None:
        for sample in range(start, stop):
            solves[sample] = factorise(sample)

    if len(free):
        over_threads(factor, matrices, workers)

    def solve(right: NDArray[Any]) -> NDArray[Any]:
        found, loads = np.zeros_like(right), np.ascontiguousarray(right[:, free])
        if not loads.size:
            return found
        if matrices == 1:
            found[:, free] = solves[0](np.ascontiguousarray(loads.T)).T
            return found

        def work(start: int, stop: int) -> None:
            for sample in range(start, stop):
                found[sample, free] = solves[sample](loads[sample])

        over_threads(work, len(loads), workers)
        return found

    return solve


def element_solve(
    solver: Callable[[FloatArray], FloatArray], forms: Sequence[Any], coefficients: list[Tensor], right: Tensor
) -> Inexact[Tensor, "samples dofs"]:
    r"""What `solver` finds for right-hand sides (samples, dofs), with the derivatives of the system it solves.

    sum_forms a_c(u, v) = b(v);  with the adjoint w for the cotangent of u:  dL/db = w,  dL/dc_eq = -w_e^T T_eq u_e

    Complex systems are symmetric, not Hermitian: the adjoint is the conjugate of what solves for the conjugate
    cotangent.

    Parameters
    ----------
    solver : solves with the matrix of forms and coefficients; it takes and returns (samples, dofs) and sets the dofs
        that are not unknown to zero. It holds what it needs (factors, levels) and is used again backward.
    forms, coefficients : the forms (with the methods of `ElementForm`), and (samples or 1, element * q) of each.
    """
    samples = max(len(right), *(len(c) for c in coefficients))
    return _Solve.apply(solver, forms, right.expand(samples, -1), *(c.expand(samples, -1) for c in coefficients))


class _Solve(torch.autograd.Function):
    """The solution of a symmetric system; its backward is another such solve, so that all orders exist."""

    @staticmethod
    def forward(ctx: Any, solver: Any, forms: Sequence[Any], right: Tensor, *coefficients: Tensor) -> Tensor:
        found = torch.from_numpy(solver(np.ascontiguousarray(right.detach().resolve_conj().numpy())))
        ctx.save_for_backward(found, *coefficients)
        ctx.solver, ctx.forms = solver, forms
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        found, *coefficients = ctx.saved_tensors
        adjoint = _Solve.apply(ctx.solver, ctx.forms, gradients[0].conj(), *coefficients)
        needed = ctx.needs_input_grad[3:]
        of_coefficients = (
            -form.derivative(adjoint, found).conj() if need else None
            for form, need in zip(ctx.forms, needed, strict=True)
        )
        return (None, None, adjoint.conj(), *of_coefficients)
