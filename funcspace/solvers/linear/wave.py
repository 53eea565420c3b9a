"""The wave equation on meshes and grids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from funcspace.arguments import number_of, true_or_false
from funcspace.errors import InputError
from funcspace.functions import Function, FunctionSpace
from funcspace.geometry import Times
from funcspace.geometry.domain import Domain
from funcspace.solvers.assembly import Assembly
from funcspace.solvers.linear.batches import SharedFactors, functions_in, solve_batch
from funcspace.solvers.linear.boundary_parts import BoundaryParts, check_parts
from funcspace.solvers.linear.newmark_scheme import OscillatingSystem, element_frequency, newmark
from funcspace.solvers.linear.nodal_data import (
    given_in_time,
    load_in_time,
    lumped,
    nodal_values,
    sources_in_time,
)
from funcspace.solvers.linear.time_data import check_steady, intervals
from funcspace.solvers.linear.tracked_data import has_tracked_data
from funcspace.solvers.problem_arguments import by_part, check_data, check_iteration, checked_workers, named, names_of
from funcspace.solvers.problem_data import Data, batch_shape, check_coefficient, values_at
from funcspace.solvers.sparse_systems import Method, choose_method

__all__ = ["Wave", "WaveStates"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class WaveStates:
    """What a wave does.

    Attributes
    ----------
    displacement : u over times * domain.
    velocity : u_t over times * domain.
    energy : (*batch, times), the sum of int (u_t / c)^2 / 2 and int k |grad u|^2 / 2 as the scheme keeps it, for the
        half-step before each instant (for the first instant, the one after it).
    """

    displacement: Function
    velocity: Function
    energy: Float[Tensor, "*batch times"]


class Wave:
    r"""Waves with variable speed, with boundary conditions on named parts.

    u_tt + d u_t = c^2 div(k grad u) + f in the domain,  u = u0 and u_t = v0 at the first instant
    u = g on Dirichlet parts;  k du/dn = g on Neumann parts;  c sqrt(k) du/dn = -u_t on absorbing parts

    n points outwards. With u in U, lengths in L and times in T: c in L / T, f in U / T^2, d in 1 / T, k without unit.
    An elastic string or a membrane with u_tt = div(c^2 grad u) has its c^2 as k and speed 1.

    Finite elements in space and Newmark's scheme of gamma = 1/2 in time, of second order. beta = 1/4 is stable for
    every step; beta = 0 with `lumped=True` are explicit central differences. Without d, f, absorbing parts and moving
    boundary values the energy of the scheme is constant to rounding. One factorisation serves all steps of one length,
    and all samples whose c, k and d are the same. The absorbing condition is that of Engquist and Majda (Math. Comp.
    31, 1977) of first order: it lets waves out that arrive at a right angle, others reflect in part.

    Data may be numbers, callables of points (n, d), or Functions, also with a batch. Source and boundary values may
    also depend on time: callables of (points, t), or Functions over Times * domain that reach over the whole time.
    Where data are part of an autograd graph (Functions whose coefficients require gradients, tensors, callables such as
    networks), so is the solution, with its energy.

    Parameters
    ----------
    domain : a Mesh, straight or curved, or a vertex Grid.
    times : instants of the output; the first is that of the initial state.
    element : P1, P2, Q1 or Q2 on a Mesh, "linear" on a Grid.
    speed : c > 0.
    coefficient : k > 0.
    damping : d >= 0.
    source : f.
    initial : u0.
    initial_velocity : v0.
    dirichlet : g by part name; by default 0 on all of the boundary that `neumann` and `absorbing` do not name; {} for
        none.
    neumann : g by part name; parts that nothing names reflect.
    absorbing : names of parts.
    step : longest time step; by default the steps are those of `times`.
    beta : from 0 to 1/2.
    lumped : a diagonal mass matrix, for elements of first order.
    method : "direct", "multigrid" or "auto", by the number of unknowns.
    tolerance, max_iterations : of the iterative method.
    workers : number of threads over a batch; all cores by default.

    Raises
    ------
    InputError : an unknown part, a step that is not positive or, for beta < 1/4, too long to be stable (the message has
        the longest), data that are not finite or of the wrong sign.
    DomainError : a domain or basis this equation is not solved on.
    SolverError : no convergence, or values that are not finite.

    Examples
    --------
    >>> import math, torch
    >>> import funcspace as fs
    >>> from funcspace.solvers.linear import Wave
    >>> string = Wave(
    ...     fs.Grid(x=(0.0, 1.0, 65)), fs.Times(0.0, 0.02, 101), initial=lambda x: torch.sin(math.pi * x[:, 0])
    ... )
    >>> states = string.states()
    >>> round(float(states.displacement.values[-1, 32]), 3)
    1.0
    >>> bool((states.energy / states.energy[0] - 1).abs().max() < 1e-10)
    True
    """

    def __init__(
        self,
        domain: Domain,
        times: Times,
        element: str | None = None,
        *,
        speed: Data = 1.0,
        coefficient: Data = 1.0,
        damping: Data = 0.0,
        source: Any = 0.0,
        initial: Data = 0.0,
        initial_velocity: Data = 0.0,
        dirichlet: Mapping[str, Any] | None = None,
        neumann: Mapping[str, Any] | None = None,
        absorbing: Iterable[str] = (),
        step: float | None = None,
        beta: float = 0.25,
        lumped: bool = False,
        method: Method = "auto",
        tolerance: float = 1e-12,
        max_iterations: int = 500,
        workers: int | None = None,
    ) -> None:
        self.space = FunctionSpace(domain, element)
        self.times = times
        self._stretches = intervals(times, step)
        choose_method(method, 1, 1)
        if not 0.0 <= number_of(beta) <= 0.5:
            raise InputError(f"beta must lie between 0 (central differences) and 1/2; got {beta!r}")
        self.lumped = true_or_false(lumped, "lumped")
        if self.lumped and self.space.element not in ("P1", "Q1", "linear"):
            raise InputError(
                f'a lumped mass matrix needs elements of first order: P1, Q1 or "linear"; got {self.space.element!r}'
            )
        self.beta = float(beta)
        self.method: Method = method
        check_iteration(tolerance, max_iterations)
        self.tolerance, self.max_iterations, self.workers = tolerance, max_iterations, checked_workers(workers)
        self.absorbing = names_of(absorbing, "absorbing")
        dirichlet = None if dirichlet is None else by_part(dirichlet, "dirichlet")
        neumann = by_part(neumann, "neumann")
        check_parts(domain, dirichlet=dirichlet, neumann=neumann, absorbing=self.absorbing)
        check_steady(
            speed=speed, coefficient=coefficient, damping=damping, initial=initial, initial_velocity=initial_velocity
        )
        self._data: dict[str, Any] = {
            "speed": speed,
            "coefficient": coefficient,
            "damping": damping,
            "source": source,
            "initial": initial,
            "initial_velocity": initial_velocity,
            "dirichlet": dirichlet,
            "neumann": neumann,
        }
        check_data(named(self._data), ("speed", "coefficient"), not_negative=("damping",))

    @cached_property
    def assembly(self) -> Assembly:
        """Quadrature and basis functions on the domain."""
        return Assembly(self.space)

    @cached_property
    def parts(self) -> BoundaryParts:
        """Where the boundary conditions act."""
        data = self._data
        return BoundaryParts(self.assembly, data["dirichlet"], natural=data["neumann"], coupled=self.absorbing)

    def solve(self) -> Function:
        """The displacement over times * domain, with the batch shape of the data.

        Where data are part of an autograd graph so is the solution: derivatives come from the adjoint of the scheme,
        with the factors of the steps (see `tracked_wave`).
        """
        if self._is_tracked():
            space, (u, _), _ = self._tracked(energies=False)
            return Function(space, u, name="u")
        space, found = self._found(self.assembly.size)
        return Function(space, torch.from_numpy(found.reshape(*found.shape[:-2], *space.coefficient_shape)), name="u")

    def states(self) -> WaveStates:
        """Displacement, velocity and energy, with the batch shape of the data."""
        size = self.assembly.size
        if self._is_tracked():
            space, (u, v), energy = self._tracked(energies=True)
            return WaveStates(Function(space, u, name="u"), Function(space, v, name="velocity"), energy)
        space, found = self._found(2 * size + 1)
        shape = (*found.shape[:-2], *space.coefficient_shape)
        u, v = (
            Function(space, torch.from_numpy(found[..., first : first + size].reshape(shape)), name=name)
            for first, name in ((0, "u"), (size, "velocity"))
        )
        return WaveStates(u, v, torch.from_numpy(found[..., -1].copy()))

    def _is_tracked(self) -> bool:
        return has_tracked_data(self._data, self.assembly, self.times.start)

    def _tracked(self, *, energies: bool) -> tuple[FunctionSpace, tuple[Tensor, Tensor], Tensor]:
        """The space of the solution, coefficients of displacement and velocity, and energies, in the graph."""
        from funcspace.solvers.linear.differentiable_wave import tracked_wave

        batch = batch_shape(dict(functions_in(self._data)))
        u, v, energy = tracked_wave(self, (self.times.start, self._stretches), energies=energies)
        space = FunctionSpace(self.times * self.space.domain, f"linear * {self.space.element}")
        shape = (*batch, *space.coefficient_shape)
        return space, (u.reshape(shape), v.reshape(shape)), energy.reshape(*batch, -1)

    def _found(self, width: int) -> tuple[FunctionSpace, FloatArray]:
        """The space of the solution, and what the scheme writes to (*batch, times, width)."""
        parts = self.parts  # built before threads ask for it
        assert parts is not None
        found = solve_batch(
            self._data, ("speed", "coefficient", "damping"), self._rows, shape=(self.times.count, width),
            workers=self.workers,
        )  # fmt: skip
        return FunctionSpace(self.times * self.space.domain, f"linear * {self.space.element}"), found

    def _rows(self, data: dict[str, Any], shared: SharedFactors, out: FloatArray) -> None:
        parts, cells = self.parts, self.assembly.cells
        mass, damping, stiffness, slowness = shared.get("matrices", lambda: self._matrices(data))
        method = choose_method(self.method, len(parts.free), self.space.domain.dim, reused=True)

        def over_speed(values: FloatArray, size: int) -> FloatArray:
            return cells.load(values * slowness, size)  # the weak form is divided by c^2

        system = OscillatingSystem(
            parts.pattern,
            mass,
            damping,
            stiffness,
            load=load_in_time(
                self.assembly, parts, sources_in_time(self.assembly, data["source"], over_speed),
                {"neumann": data["neumann"]},
            ),
            given=given_in_time(parts, data["dirichlet"]),
            factorise=lambda values: parts.factorise(values, method, self.tolerance, self.max_iterations),
        )  # fmt: skip
        start = (
            nodal_values(self.assembly, data["initial"], "initial"),
            nodal_values(self.assembly, data["initial_velocity"], "initial_velocity"),
        )
        schedule = (self.times.start, self._stretches)
        newmark(system, start, schedule, self.beta, shared, out)

    def _matrices(self, data: dict[str, Any]) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Entries of mass, damping and stiffness matrix, and 1/c^2 at the points of the cells."""
        parts, cells = self.parts, self.assembly.cells

        def at_cells(name: str) -> FloatArray:
            own = lambda f: self.assembly.own_values(cells, f)  # noqa: E731
            return values_at(data[name], cells.points, name, same_space=own)

        c, k, d = at_cells("speed"), at_cells("coefficient"), at_cells("damping")
        check_coefficient(c, cells.points, "speed")
        check_coefficient(k, cells.points)
        if (d < 0).any():
            raise InputError("damping must not be negative")
        slowness = 1.0 / c**2
        shaped = cells.shaped
        made = (lambda blocks: lumped(blocks)) if self.lumped else (lambda blocks: blocks)
        mass, stiffness = self._local_matrices(slowness[0], k[0])
        local = made(cells.mass(shaped((d * slowness)[0]))) if d.any() else np.zeros_like(mass)
        edges, nothing = [], []
        for part, facets in parts.coupled.items():
            at_edge = [parts.at(part, data[name], name) for name in ("speed", "coefficient")]
            edges.append(made(facets.mass(facets.shaped((np.sqrt(at_edge[1]) / at_edge[0])[0]))))
            nothing.append(np.zeros_like(edges[-1]))
        values = parts.pattern.values
        return values([mass, *nothing]), values([local, *edges]), values([stiffness, *nothing]), slowness

    def _local_matrices(self, slowness: FloatArray, k: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mass and stiffness of the cells, by values at their points; raise where the step is too long for them."""
        cells = self.assembly.cells
        mass, stiffness = cells.mass(cells.shaped(slowness)), cells.stiffness(cells.shaped(k))
        mass = lumped(mass) if self.lumped else mass
        if self.beta < 0.25:
            self._check_step(element_frequency(stiffness, mass))
        return mass, stiffness

    def _check_step(self, frequency: float) -> None:
        longest = 2.0 / (frequency * (1.0 - 4.0 * self.beta) ** 0.5)
        step = max((stretch.step for stretch in self._stretches), default=0.0)
        if step > longest:
            raise InputError(
                f"with beta={self.beta:g} steps up to {longest:.4g} are stable on this mesh; the step is {step:.4g}. "
                "Give a shorter step, or beta=0.25, which is stable for every step"
            )

    def __repr__(self) -> str:
        return f"Wave({self.space.element!r} on {self.space.domain!r}, {self.times!r}, beta={self.beta:g})"
