"""Sums of forms with tracked coefficients: their action, their matrices, and solves with these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from funcspace.functions.maps.sparse_map import SparseMap
from funcspace.solvers.element_solve import ElementForm, action, element_solve, matrix_products, solver_among
from funcspace.solvers.linear.boundary_parts import BoundaryParts

__all__ = ["Term", "TrackedTerms", "facet_form", "mass_form", "stiffness_term"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Term:
    """A form and its coefficient.

    Attributes
    ----------
    form : linear in the coefficient.
    coefficient : (samples or 1, element * q).
    group : which local matrices of the sparsity pattern it adds to: 0 for cells, 1, 2, ... for coupled parts.
    """

    form: ElementForm
    coefficient: Tensor
    group: int = 0

    @cached_property
    def local(self) -> Tensor:
        """The local matrices, (samples or 1, element * local * local)."""
        tables, dtype = self.form.tables, self.coefficient.dtype
        values = self.coefficient.reshape(len(self.coefficient), *tables.shape[:2]).transpose(0, 1)
        return (values @ tables.to(dtype)).transpose(0, 1).flatten(1)


@dataclass(frozen=True)
class LocalForm:
    """A bilinear form given by its local matrices: these are its coefficient, see `ElementForm`.

    Over the steps of a time loop their derivatives are sums of products of two vectors; what quadrature makes of them
    is done once.
    """

    dofs: Tensor

    def action(self, coefficient: Tensor, x: Tensor) -> Tensor:
        """The form of each x (samples, dofs) against all basis functions."""
        elements, local = self.dofs.shape
        matrices = coefficient.reshape(-1, elements, local, local)
        found = (matrices @ x[:, self.dofs][..., None]).flatten(1)
        return torch.zeros(len(found), x.shape[1], dtype=found.dtype).index_add(1, self.dofs.reshape(-1), found)

    def derivative(self, u: Tensor, v: Tensor) -> Tensor:
        """Derivatives of the form at u, v (samples, dofs) in the local matrices."""
        a, b = u[:, self.dofs], v[:, self.dofs]
        return (a[..., :, None] * b[..., None, :]).flatten(1)


class TrackedTerms:
    r"""The sum over terms of :math:`a_c(u, v)`.

    Parameters
    ----------
    parts : with the sparsity of the matrix.
    weighted : (weight, terms) to be summed.
    """

    def __init__(self, parts: BoundaryParts, *weighted: tuple[float, list[Term]]) -> None:
        self.parts = parts
        self._local: dict[int, Tensor] = {}
        self.forms: list[Any] = []
        for weight, terms in weighted:
            for term in terms:
                if term.group in self._local:
                    self._local[term.group] = self._local[term.group] + weight * term.local
                else:
                    self._local[term.group] = weight * term.local
                    self.forms.append(LocalForm(term.form.dofs))
        self.coefficients = list(self._local.values())

    def operator(self) -> Callable[[Tensor], Tensor]:
        """The map of x (samples, size) to the sum against all basis functions."""
        if not self.forms:
            return torch.zeros_like
        if any(c.requires_grad or c.is_complex() or len(c) > 1 for c in self.coefficients):
            return lambda x: action(self.forms, self.coefficients, x)
        return SparseMap(self.parts.pattern.whole(self.entries(0)))

    def solver(
        self, factorise: Callable[[Array, int], Callable[[Any], Any]], workers: int | None
    ) -> Callable[[Tensor], Tensor]:
        """What solves among the free dofs for right-hand sides (samples, size); the fixed ones are set to zero.

        Parameters
        ----------
        factorise : takes the entries of a matrix in the pattern, and the sample that it is of, to a function that
            solves for (n,) or (n, k).
        workers : number of threads over samples with matrices of their own.
        """
        matrices = max(len(c) for c in self.coefficients)
        solve = solver_among(self.parts.free, lambda i: factorise(self.entries(i), i), matrices, workers)
        return lambda right: element_solve(solve, self.forms, self.coefficients, right)

    def entries(self, sample: int) -> Array:
        """The entries of a sample's matrix in the pattern."""
        dtype = np.complex128 if self.coefficients[0].is_complex() else np.float64
        groups = [self.parts.cells_dofs, *(facets.dofs for facets in self.parts.coupled.values())]
        blocks: list[Array] = [np.zeros(dofs.size * dofs.shape[1], dtype) for dofs in groups]
        for group, local in self._local.items():
            blocks[group] = local[sample if len(local) > 1 else 0].detach().numpy()
        if dtype is np.complex128:
            values_of = self.parts.pattern.values
            return values_of([np.real(b) for b in blocks]) + 1j * values_of([np.imag(b) for b in blocks])
        return self.parts.pattern.values(blocks)


def mass_form(cells: Any, *, lumped: bool = False) -> ElementForm:
    """The integral of c u v over cells, with row sums on the diagonal where it is lumped."""
    return _form(cells, cells.products, lumped)


def facet_form(facets: Any, *, lumped: bool = False) -> ElementForm:
    """The integral of c u v over facets."""
    return _form(facets, facets.products, lumped)


def stiffness_term(cells: Any, k: Tensor) -> Term:
    """The integral of grad v . k grad u over cells, for values (samples, points[, d, d])."""
    tables = cells.gradient_products if k.ndim == 2 else matrix_products(cells)
    return Term(ElementForm(torch.from_numpy(tables), torch.from_numpy(cells.dofs)), k.reshape(len(k), -1))


def _form(elements: Any, products: Array, lumped: bool) -> ElementForm:
    tables = torch.from_numpy(products)
    if lumped:
        local = elements.dofs.shape[1]
        rows = tables.reshape(*tables.shape[:2], local, local).sum(dim=3)
        tables = torch.diag_embed(rows).flatten(2)
    return ElementForm(tables, torch.from_numpy(elements.dofs))
