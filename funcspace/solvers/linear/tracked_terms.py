"""Sums of forms with tracked coefficients: their action, their matrices, and solves with these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from funcspace.functions.maps.sparse_map import SparseMap
from funcspace.solvers.element_solve import ElementForm, action, element_solve, matrix_products
from funcspace.solvers.linear.boundary_parts import BoundaryParts
from funcspace.solvers.threads import over_threads

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


class TrackedTerms:
    r"""The sum over terms of :math:`a_c(u, v)`.

    Parameters
    ----------
    parts : with the sparsity of the matrix.
    weighted : (weight, terms) to be summed; coefficients of the same form are added.
    """

    def __init__(self, parts: BoundaryParts, *weighted: tuple[float, list[Term]]) -> None:
        self.parts = parts
        merged: dict[int, Term] = {}
        for weight, terms in weighted:
            for term in terms:
                scaled = weight * term.coefficient
                known = merged.get(id(term.form))
                merged[id(term.form)] = Term(
                    term.form, scaled if known is None else known.coefficient + scaled, term.group
                )
        self.terms = list(merged.values())
        self.forms = [term.form for term in self.terms]
        self.coefficients = [term.coefficient for term in self.terms]

    def operator(self) -> Callable[[Tensor], Tensor]:
        """The map of x (samples, size) to the sum against all basis functions."""
        if not self.terms:
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
        matrices, free = max(len(c) for c in self.coefficients), self.parts.free
        solves: list[Any] = [None] * matrices

        def factor(start: int, stop: int) -> None:
            for sample in range(start, stop):
                solves[sample] = factorise(self.entries(sample), sample)

        if len(free):
            over_threads(factor, matrices, workers)

        def solve(right: Array) -> Array:
            found = np.zeros_like(right)
            if not len(free):
                return found
            if matrices == 1:
                found[:, free] = solves[0](np.ascontiguousarray(right[:, free].T)).T
                return found

            def work(start: int, stop: int) -> None:
                for sample in range(start, stop):
                    found[sample, free] = solves[sample](right[sample, free])

            over_threads(work, len(right), workers)
            return found

        return lambda right: element_solve(solve, self.forms, self.coefficients, right)

    def entries(self, sample: int) -> Array:
        """The entries of a sample's matrix in the pattern."""
        dtype = self.coefficients[0].detach().numpy().dtype
        groups = [self.parts.cells_dofs, *(facets.dofs for facets in self.parts.coupled.values())]
        blocks = [np.zeros((len(dofs), dofs.shape[1] ** 2), dtype) for dofs in groups]
        for term in self.terms:
            values = term.coefficient[sample if len(term.coefficient) > 1 else 0].detach().numpy()
            tables = term.form.tables.numpy()
            blocks[term.group] += (values.reshape(len(tables), 1, -1) @ tables)[:, 0]
        if dtype.kind == "c":
            values_of = self.parts.pattern.values
            return values_of([b.real for b in blocks]) + 1j * values_of([b.imag for b in blocks])
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
