"""The wave equation as a torch operation: derivatives by the adjoint of its time scheme."""

from __future__ import annotations

from itertools import accumulate, groupby
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from funcspace.solvers.linear.time_data import Interval
from funcspace.solvers.linear.tracked_data import TrackedData, in_time, nonnegative
from funcspace.solvers.linear.tracked_terms import Term, TrackedTerms, facet_form, mass_form, stiffness_term
from funcspace.solvers.problem_data import check_coefficient
from funcspace.solvers.sparse_systems import choose_method

if TYPE_CHECKING:
    from funcspace.solvers.linear.wave import Wave

__all__ = ["tracked_wave"]


def tracked_wave(
    problem: Wave, schedule: tuple[float, list[Interval]], *, energies: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Displacements and velocities (samples, instants, size) and energies (samples, instants) of Newmark's scheme.

    S (w^{n+1/2} - w^{n-1/2}) = dt (f^n - K u^n - C w^{n-1/2}),  S = M + dt/2 C + beta dt^2 K

    All are part of the graph of the data, in which M, C, K and f are linear once 1/c^2 and sqrt(k)/c are known.
    Backward, cotangents run through the transposed steps with the factors of S that the steps forward made. Without
    `energies` these are zero.
    """
    system = _System(problem, schedule[0])
    u, v, t = *system.start(schedule[0]), schedule[0]
    energy = torch.zeros(1, dtype=torch.float64)
    if energies and not schedule[1]:  # one instant, without a half-step to tell its energy
        energy = 0.5 * (v * system.mass_operator(v) + u * system.stiffness_operator(u)).sum(dim=-1)
    records = [(u, v, energy)]
    for dt, group in groupby(schedule[1], key=lambda stretch: stretch.step):
        ends = list(accumulate(stretch.count for stretch in group))
        first = len(records) == 1
        found, energy = _EqualSteps(system, dt, energies).run(u, v, t, set(ends))
        if first:
            records[0] = (u, v, energy)
        records += found
        u, v, _ = records[-1]
        t += ends[-1] * dt
    samples = max(len(part) for record in records for part in record)
    u, v, energy = (
        torch.stack([part.expand(samples, *part.shape[1:]) for part in parts], dim=1)
        for parts in zip(*records, strict=True)
    )
    return u, v, energy


class _System:
    """Terms of mass, damping and stiffness, loads and given components."""

    def __init__(self, problem: Wave, t: float) -> None:
        self.problem, self.parts, self.data = problem, problem.parts, problem._data
        self.tracked = TrackedData(problem.assembly, self.parts)
        slowness = self._terms()
        self.source = in_time(self.data["source"], lambda f: self.tracked.source(f, slowness))
        self.edges = in_time({"neumann": self.data["neumann"]}, self.tracked.edges)
        self.given = in_time(self.data["dirichlet"], self.tracked.given)
        self.free = torch.zeros(problem.assembly.size, dtype=torch.float64)
        self.free[torch.from_numpy(self.parts.free)] = 1.0
        self.mass_operator = TrackedTerms(self.parts, (1.0, self.mass)).operator()
        self.damping_operator = TrackedTerms(self.parts, (1.0, self.damping)).operator()
        self.stiffness_operator = TrackedTerms(self.parts, (1.0, self.stiffness)).operator()

    def start(self, t: float) -> tuple[Tensor, Tensor]:
        """Displacement and velocity at the first instant."""
        u, v = (self.tracked.nodal(self.data[name], name) for name in ("initial", "initial_velocity"))
        return u * self.free + self.given(t), v

    def load(self, t: float) -> Tensor:
        """Of source and natural conditions at a time."""
        return self.source(t) + self.edges(t)

    def _terms(self) -> Tensor:
        """Set the terms; 1/c^2 at the points of the cells."""
        problem, tracked, data = self.problem, self.tracked, self.data
        cells, lumped = problem.assembly.cells, problem.lumped
        c, k, d = (tracked.at(cells, data[name], name) for name in ("speed", "coefficient", "damping"))
        check_coefficient(c.detach().numpy(), cells.points, "speed")
        check_coefficient(k.detach().numpy(), cells.points)
        nonnegative(d, "damping")
        slowness, product = 1.0 / c**2, mass_form(cells, lumped=lumped)
        self.mass, self.stiffness = [Term(product, slowness)], [stiffness_term(cells, k)]
        self.damping = [Term(product, d * slowness)] if d.requires_grad or bool(d.any()) else []
        for group, (part, facets) in enumerate(self.parts.coupled.items(), 1):
            speed, along = (tracked.at(facets, data[name], f"{name} on {part!r}") for name in ("speed", "coefficient"))
            self.damping.append(Term(facet_form(facets, lumped=lumped), along.sqrt() / speed, group))
        if problem.beta < 0.25:
            for sample in range(max(len(c), len(k))):
                # raises where the step is too long
                problem._local_matrices(
                    *(values[sample if len(values) > 1 else 0].detach().numpy() for values in (slowness, k))
                )
        return slowness


class _EqualSteps:
    """Steps of one length."""

    def __init__(self, system: _System, dt: float, energies: bool) -> None:
        self.system, self.dt, self.beta, self._energies = system, dt, system.problem.beta, energies
        self._solvers: dict[bool, Any] = {}

    def run(self, u: Tensor, v: Tensor, t: float, rows: set[int]) -> tuple[list[tuple[Tensor, ...]], Tensor]:
        """What is known after the steps of `rows`, and the energy of the first half-step."""
        system, dt, fixed = self.system, self.dt, 1.0 - self.system.free
        total, records = max(rows), []
        before, w, jump = u, v, torch.zeros_like(u)
        first = torch.zeros(1, dtype=torch.float64)
        for step in range(total + 1):
            now = t + step * dt
            # The first step is symmetric about its instant, where the velocity is known in place of a half-step.
            given = None if step == total else system.given(now + dt)
            # Beyond the last step the given components go on with the acceleration that they had.
            if given is not None:
                jump = (1.0 if step else 2.0) * ((given - u * fixed) / dt - w * fixed)
            delta = self._change(now, u, w, jump, symmetric=step == 0)
            if step:
                v = w + 0.5 * delta
            if step in rows:
                records.append((u, v, self._energy(before, u)))
            if given is None:
                break
            w = w + delta if step else v + 0.5 * delta
            before, u = u, (u + dt * w) * system.free + given
            if step == 0:
                first = self._energy(before, u)
        return records, first

    def _change(self, t: float, u: Tensor, w: Tensor, jump: Tensor, symmetric: bool) -> Tensor:
        """The change of w about an instant; that of the given components is known."""
        system = self.system
        right = self.dt * (system.load(t) - system.stiffness_operator(u) - system.damping_operator(w))
        solve, operator = self._solver(symmetric)
        if jump.requires_grad or bool(jump.any()):
            right = right - operator(jump)
        return solve(right) + jump

    def _solver(self, symmetric: bool) -> tuple[Any, Any]:
        system, dt = self.system, self.dt
        key = symmetric and bool(system.damping)
        if key not in self._solvers:
            problem, parts = system.problem, system.parts
            half = 0.0 if symmetric else 0.5
            terms = TrackedTerms(
                parts, (1.0, system.mass), (half * dt, system.damping), (self.beta * dt**2, system.stiffness)
            )
            method = choose_method(problem.method, len(parts.free), problem.space.domain.dim, reused=True)

            def factorise(values: Any, sample: int) -> Any:
                return parts.factorise(values, method, problem.tolerance, problem.max_iterations)

            self._solvers[key] = terms.solver(factorise, problem.workers), terms.operator()
        return self._solvers[key]

    def _energy(self, before: Tensor, after: Tensor) -> Tensor:
        system = self.system
        if not self._energies:
            return torch.zeros(1, dtype=torch.float64)
        w, mean = (after - before) / self.dt, 0.5 * (before + after)
        energy = (w * system.mass_operator(w)).sum(dim=-1) + (mean * system.stiffness_operator(mean)).sum(dim=-1)
        if self.beta != 0.25:
            energy = energy + (self.beta - 0.25) * self.dt**2 * (w * system.stiffness_operator(w)).sum(dim=-1)
        return 0.5 * energy
