"""The heat equation as a torch operation: derivatives by the adjoint of its time scheme."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from funcspace.solvers.linear.time_data import Interval
from funcspace.solvers.linear.tracked_data import TrackedData, in_time, nonnegative
from funcspace.solvers.linear.tracked_terms import Term, TrackedTerms, facet_form, mass_form, stiffness_term
from funcspace.solvers.problem_data import check_coefficient
from funcspace.solvers.sparse_systems import choose_method

if TYPE_CHECKING:
    from funcspace.solvers.linear.heat import Heat

__all__ = ["tracked_heat"]


def tracked_heat(problem: Heat, schedule: tuple[float, list[Interval]]) -> Tensor:
    r"""States (samples, instants, size) of the theta scheme, part of the graph of the data.

    S u^{n+1} = R u^n + dt (theta f^{n+1} + (1 - theta) f^n),  S = M + theta dt A,  R = M - (1 - theta) dt A

    M, A and f are linear in the data. Backward, the cotangents of the states run through the transposed steps,

    S w^{n+1} = dL/du^{n+1},  dL/du^n += R w^{n+1}

    with the factors of S that the steps forward made.
    """
    march = _March(problem, schedule[0])
    states, done = [march.u], 0
    for stretch in schedule[1]:
        for inner in range(stretch.count):
            t, dt = stretch.start + inner * stretch.step, stretch.step
            if done < problem.damped:
                march.advance(t, 0.5 * dt, 1.0)
                march.advance(t + 0.5 * dt, 0.5 * dt, 1.0)
            else:
                march.advance(t, dt, problem.theta)
            done += 1
        states.append(march.u)
    samples = max(len(state) for state in states)
    return torch.stack([state.expand(samples, -1) for state in states], dim=1)


class _March:
    """The state, and the operators of the steps."""

    def __init__(self, problem: Heat, t: float) -> None:
        self.problem, self.parts, data = problem, problem.parts, problem._data
        tracked = TrackedData(problem.assembly, self.parts)
        self._source = in_time(data["source"], tracked.source)
        self._edges = in_time({kind: data[kind] for kind in ("neumann", "robin")}, tracked.edges)
        self._given = in_time(data["dirichlet"], tracked.given)
        self.mass, self.operator = self._terms(tracked, data)
        self._steps: dict[tuple[float, float], Any] = {}
        self._solvers: dict[float, Any] = {}
        self.load, given = self._load(t), self._given(t)
        free = torch.zeros(problem.assembly.size, dtype=torch.float64)
        free[torch.from_numpy(self.parts.free)] = 1.0
        self.u = tracked.nodal(data["initial"], "initial") * free + given

    def advance(self, t: float, dt: float, theta: float) -> None:
        """One step from the state at t."""
        if (dt, theta) not in self._steps:
            self._steps[dt, theta] = self._make(dt, theta)
        solve, new, old = self._steps[dt, theta]
        load, given = self._load(t + dt), self._given(t + dt)
        right = old(self.u) + dt * (theta * load + (1.0 - theta) * self.load)
        if given.requires_grad or bool(given.any()):
            right = right - new(given)
        self.u, self.load = solve(right) + given, load

    def _load(self, t: float) -> Tensor:
        return self._source(t) + self._edges(t)

    def _make(self, dt: float, theta: float) -> tuple[Any, Any, Any]:
        implicit = theta * dt
        new = TrackedTerms(self.parts, (1.0, self.mass), (implicit, self.operator))
        old = TrackedTerms(self.parts, (1.0, self.mass), (implicit - dt, self.operator))
        if implicit not in self._solvers:
            problem = self.problem
            method = choose_method(problem.method, len(self.parts.free), problem.space.domain.dim, reused=True)

            def factorise(values: Any, sample: int) -> Any:
                return self.parts.factorise(values, method, problem.tolerance, problem.max_iterations)

            self._solvers[implicit] = new.solver(factorise, problem.workers)
        return self._solvers[implicit], new.operator(), old.operator()

    def _terms(self, tracked: TrackedData, data: dict[str, Any]) -> tuple[list[Term], list[Term]]:
        """Those of the mass and of the stiffness matrix."""
        cells, lumped = self.problem.assembly.cells, self.problem.lumped
        k = tracked.at(cells, data["coefficient"], "coefficient", matrices=True)
        c, r = (tracked.at(cells, data[name], name) for name in ("capacity", "reaction"))
        check_coefficient(k.detach().numpy(), cells.points)
        check_coefficient(c.detach().numpy(), cells.points, "capacity")
        product = mass_form(cells, lumped=lumped)
        mass, operator = [Term(product, c)], [stiffness_term(cells, k)]
        if r.requires_grad or bool(r.any()):
            operator.append(Term(product, r))
        for group, (part, facets) in enumerate(self.parts.coupled.items(), 1):
            name = f"robin[{part!r}] alpha"
            alpha = nonnegative(tracked.at(facets, data["alpha"][part], name), name)
            operator.append(Term(facet_form(facets, lumped=lumped), alpha, group))
        return mass, operator
