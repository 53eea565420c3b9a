"""The Helmholtz equation as a torch operation: derivatives by the adjoint system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from funcspace.solvers.element_solve import action
from funcspace.solvers.linear.tracked_data import TrackedData, nonnegative
from funcspace.solvers.linear.tracked_terms import Term, TrackedTerms, facet_form, mass_form, stiffness_term
from funcspace.solvers.problem_data import check_coefficient

if TYPE_CHECKING:
    from funcspace.solvers.linear.helmholtz import Helmholtz

__all__ = ["tracked_helmholtz"]


def tracked_helmholtz(problem: Helmholtz) -> Tensor:
    r"""Solutions (samples, size), part of the graph of the data.

    S u = b,  S = K(a) - M((omega/c)^2 (1 + i eta)) - i B(omega/c sqrt(a))

    S is symmetric, so that the factor of S also solves the adjoint system, with conjugate data.
    """
    parts, cells, data = problem.parts, problem.assembly.cells, problem._data
    dtype = torch.complex128 if problem.is_complex else torch.float64
    tracked = TrackedData(problem.assembly, parts, dtype)
    a, c, eta = (tracked.at(cells, data[name], name) for name in ("coefficient", "speed", "loss"))
    check_coefficient(a.detach().numpy(), cells.points)
    check_coefficient(c.detach().numpy(), cells.points, "speed")
    nonnegative(eta, "loss")
    square = (problem.frequency / c) ** 2
    product = mass_form(cells)
    terms = [stiffness_term(cells, a.to(dtype)), Term(product, -square * (1.0 + 1j * eta if dtype.is_complex else 1.0))]
    for group, (part, facets) in enumerate(parts.coupled.items(), 1):
        speed, along = (tracked.at(facets, data[name], f"{name} on {part!r}") for name in ("speed", "coefficient"))
        terms.append(Term(facet_form(facets), -1j * problem.frequency / speed * along.sqrt(), group))
    system = TrackedTerms(parts, (1.0, terms))
    mass = TrackedTerms(parts, (1.0, [Term(product, square)]))

    def factorise(values: Any, sample: int) -> Any:
        solve = problem._factor(values, mass.entries(sample))
        # one at a time, as without derivatives
        return lambda load: solve(load) if load.ndim == 1 else np.stack([solve(b) for b in load.T], axis=1)

    solve = system.solver(factorise, problem.workers)
    load = tracked.source(data["source"]) + tracked.edges({kind: data[kind] for kind in ("neumann", "impedance")})
    given = tracked.given(data["dirichlet"])
    if given.requires_grad or bool(given.any()):
        load = load - action(system.forms, system.coefficients, given)
    return given + solve(load)
