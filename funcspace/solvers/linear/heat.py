"""The heat equation on meshes and grids."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from funcspace.arguments import true_or_false
from funcspace.errors import InputError
from funcspace.functions import Function, FunctionSpace
from funcspace.geometry import Times
from funcspace.geometry.domain import Domain
from funcspace.solvers.assembly import Assembly
from funcspace.solvers.linear.batches import SharedFactors, functions_in, solve_batch
from funcspace.solvers.linear.boundary_parts import BoundaryParts, check_parts, check_robin
from funcspace.solvers.linear.nodal_data import given_in_time, load_in_time, lumped, nodal_values, sources_in_time
from funcspace.solvers.linear.theta_scheme import ThetaSystem, check_theta, damped_steps, integrate
from funcspace.solvers.linear.time_data import check_steady, intervals
from funcspace.solvers.linear.tracked_data import has_tracked_data
from funcspace.solvers.problem_arguments import by_part, check_data, check_iteration, checked_workers, named
from funcspace.solvers.problem_data import Data, batch_shape, check_coefficient, values_at
from funcspace.solvers.sparse_systems import Method, choose_method

__all__ = ["Heat"]

FloatArray = NDArray[np.float64]


class Heat:
    r"""Diffusion in time, with boundary conditions on named parts.

    c u_t - div(k grad u) + r u = f in the domain,  u = u0 at the first instant
    u = g on Dirichlet parts;  k du/dn = g on Neumann parts;  k du/dn + alpha u = g on Robin parts

    n points outwards. With u in U, lengths in L and times in T: f is in [c] U / T, k in [c] L^2 / T, a Neumann g in
    [k] U / L, r in [c] / T.

    The theta scheme on finite elements: second order in time for theta = 1/2 (Crank-Nicolson), first for theta = 1
    (backward Euler, which with `lumped=True` keeps the maximum principle on meshes without obtuse angles). One
    factorisation serves all steps of one length, and all samples whose k, c, r and alpha are the same.

    Data may be numbers, callables of points (n, d), or Functions; source, initial state and boundary values may have
    a batch, as may the rest. Source and boundary values may also depend on time: callables of (points, t), or
    Functions over Times * domain that reach over the whole time. Dirichlet values hold at the first instant already.
    Where data are part of an autograd graph (Functions whose coefficients require gradients, tensors, callables such as
    networks), so is the solution.

    Parameters
    ----------
    domain : a Mesh, straight or curved, or a vertex Grid.
    times : instants of the output; the first is that of the initial state.
    element : P1, P2, Q1 or Q2 on a Mesh, "linear" on a Grid.
    coefficient : k > 0, or symmetric positive definite (d, d) values.
    capacity : c > 0.
    reaction : r; negative values make the solution grow.
    source : f.
    initial : u0.
    dirichlet : g by part name; by default 0 on all of the boundary that `neumann` and `robin` do not name; {} for none.
    neumann : g by part name; parts that nothing names are insulated.
    robin : (alpha, g) by part name, alpha >= 0.
    step : longest time step; by default the steps are those of `times`.
    theta : weight of the new state, from 1/2 to 1.
    damped : number of first steps that are two half-steps of backward Euler each, which damp the high frequencies of
        rough initial data; by default 2 for Crank-Nicolson.
    lumped : a diagonal mass matrix, for elements of first order.
    method : "direct", "multigrid" or "auto", by the number of unknowns.
    tolerance, max_iterations : of the iterative method.
    workers : number of threads over a batch; all cores by default.

    Raises
    ------
    InputError : an unknown part, a step that is not positive, data that are not finite or of the wrong sign.
    DomainError : a domain or basis this equation is not solved on.
    SolverError : no convergence, or values that are not finite.

    Examples
    --------
    >>> import math, torch
    >>> import funcspace as fs
    >>> from funcspace.solvers.linear import Heat
    >>> start = lambda x: torch.sin(math.pi * x[:, 0]) * torch.sin(math.pi * x[:, 1])
    >>> u = Heat(fs.Mesh.rectangle(0.1), fs.Times(0.0, 0.01, 6), "P2", initial=start, step=0.002).solve()
    >>> center = torch.tensor([[0.05, 0.5, 0.5]], dtype=torch.float64)
    >>> round(float(u(center)), 3), round(math.exp(-0.1 * math.pi**2), 3)
    (0.373, 0.373)
    """

    def __init__(
        self,
        domain: Domain,
        times: Times,
        element: str | None = None,
        *,
        coefficient: Data = 1.0,
        capacity: Data = 1.0,
        reaction: Data = 0.0,
        source: Any = 0.0,
        initial: Data = 0.0,
        dirichlet: Mapping[str, Any] | None = None,
        neumann: Mapping[str, Any] | None = None,
        robin: Mapping[str, tuple[Any, Any]] | None = None,
        step: float | None = None,
        theta: float = 0.5,
        damped: int | None = None,
        lumped: bool = False,
        method: Method = "auto",
        tolerance: float = 1e-10,
        max_iterations: int = 500,
        workers: int | None = None,
    ) -> None:
        self.space = FunctionSpace(domain, element)
        self.times = times
        self._stretches = intervals(times, step)
        check_theta(theta)
        choose_method(method, 1, 1)
        self.lumped = true_or_false(lumped, "lumped")
        if self.lumped and self.space.element not in ("P1", "Q1", "linear"):
            raise InputError(
                f'a lumped mass matrix needs elements of first order: P1, Q1 or "linear"; got {self.space.element!r}'
            )
        self.theta, self.damped = float(theta), damped_steps(damped, theta)
        self.method: Method = method
        check_iteration(tolerance, max_iterations)
        self.tolerance, self.max_iterations, self.workers = tolerance, max_iterations, checked_workers(workers)
        dirichlet = None if dirichlet is None else by_part(dirichlet, "dirichlet")
        neumann, robin = by_part(neumann, "neumann"), by_part(robin, "robin")
        check_parts(domain, dirichlet=dirichlet, neumann=neumann, robin=robin)
        check_robin(robin)
        alphas = {part: pair[0] for part, pair in robin.items()}
        check_steady(coefficient=coefficient, capacity=capacity, reaction=reaction, robin_alpha=alphas, initial=initial)
        self._data: dict[str, Any] = {
            "coefficient": coefficient,
            "capacity": capacity,
            "reaction": reaction,
            "source": source,
            "initial": initial,
            "dirichlet": dirichlet,
            "neumann": neumann,
            "alpha": alphas,
            "robin": {part: pair[1] for part, pair in robin.items()},
        }
        check_data(named(self._data), ("coefficient", "capacity"))

    @cached_property
    def assembly(self) -> Assembly:
        """Quadrature and basis functions on the domain."""
        return Assembly(self.space)

    @cached_property
    def parts(self) -> BoundaryParts:
        """Where the boundary conditions act."""
        given = self._data["dirichlet"]
        return BoundaryParts(self.assembly, given, natural=self._data["neumann"], coupled=self._data["robin"])

    def solve(self) -> Function:
        """The solution over times * domain, with the batch shape of the data.

        Where data are part of an autograd graph so is the solution: derivatives come from the adjoint of the scheme,
        with the factors of the steps (see `tracked_heat`).
        """
        from funcspace.solvers.linear.differentiable_heat import tracked_heat

        parts = self.parts  # built before threads ask for it
        assert parts is not None
        shape = (self.times.count, self.assembly.size)
        space = FunctionSpace(self.times * self.space.domain, f"linear * {self.space.element}")
        if has_tracked_data(self._data, self.assembly, self.times.start):
            batch = batch_shape(dict(functions_in(self._data)))
            tracked = tracked_heat(self, (self.times.start, self._stretches))
            return Function(space, tracked.reshape(*batch, *space.coefficient_shape), name="u")
        values = solve_batch(
            self._data, ("coefficient", "capacity", "reaction", "alpha"), self._states, shape=shape,
            workers=self.workers,
        )  # fmt: skip
        batch = values.shape[:-2]
        return Function(space, torch.from_numpy(values.reshape(*batch, *space.coefficient_shape)), name="u")

    def _states(self, data: dict[str, Any], shared: SharedFactors, out: FloatArray) -> None:
        parts = self.parts
        mass, operator = shared.get("matrices", lambda: self._matrices(data))
        method = choose_method(self.method, len(parts.free), self.space.domain.dim, reused=True)
        system = ThetaSystem(
            parts.pattern,
            mass,
            operator,
            load=load_in_time(
                self.assembly, parts, sources_in_time(self.assembly, data["source"]),
                {"neumann": data["neumann"], "robin": data["robin"]},
            ),
            given=given_in_time(parts, data["dirichlet"]),
            factorise=lambda values: parts.factorise(values, method, self.tolerance, self.max_iterations),
        )  # fmt: skip
        start = nodal_values(self.assembly, data["initial"], "initial")
        schedule = (self.times.start, self._stretches)
        integrate(system, start, schedule, theta=self.theta, damped=self.damped, shared=shared, out=out)

    def _matrices(self, data: dict[str, Any]) -> tuple[FloatArray, FloatArray]:
        """Entries of the mass and the stiffness matrix for data without a batch."""
        parts, cells, d = self.parts, self.assembly.cells, self.space.domain.dim

        def at_cells(name: str, shapes: tuple[tuple[int, ...], ...] = ((),)) -> FloatArray:
            own = lambda f: self.assembly.own_values(cells, f)  # noqa: E731
            return values_at(data[name], cells.points, name, shapes=shapes, same_space=own)

        k, c, r = at_cells("coefficient", ((), (d, d))), at_cells("capacity"), at_cells("reaction")
        check_coefficient(k, cells.points)
        check_coefficient(c, cells.points, "capacity")
        local_mass = cells.mass(cells.shaped(c[0]))
        local_stiffness = cells.stiffness(cells.shaped(k[0]))
        if r.any():
            local_reaction = cells.mass(cells.shaped(r[0]))
            local_stiffness = local_stiffness + (lumped(local_reaction) if self.lumped else local_reaction)
        edges, nothing = [], []
        for part, facets in parts.coupled.items():
            alpha = parts.at(part, data["alpha"][part], f"robin[{part!r}] alpha")
            if (alpha < 0).any():
                raise InputError(f"robin[{part!r}] alpha must not be negative")
            block = facets.mass(facets.shaped(alpha[0]))
            edges.append(lumped(block) if self.lumped else block)
            nothing.append(np.zeros_like(block))
        local_mass = lumped(local_mass) if self.lumped else local_mass
        return parts.pattern.values([local_mass, *nothing]), parts.pattern.values([local_stiffness, *edges])

    def __repr__(self) -> str:
        return f"Heat({self.space.element!r} on {self.space.domain!r}, {self.times!r}, theta={self.theta:g})"
