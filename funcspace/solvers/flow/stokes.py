"""The Stokes equations: slow incompressible flow, by Taylor-Hood elements."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from funcspace.errors import SolverError
from funcspace.functions import Function
from funcspace.geometry.domain import Domain
from funcspace.solvers.flow.flow_problem import FlowProblem, Stress
from funcspace.solvers.flow.flow_solution import Flow
from funcspace.solvers.flow.linear_solve import Factorisation
from funcspace.solvers.flow.saddle_system import SaddleSystem
from funcspace.solvers.problem_arguments import checked_workers
from funcspace.solvers.problem_data import Data
from funcspace.solvers.threads import over_columns, over_threads

__all__ = ["Stokes"]

FloatArray = NDArray[np.float64]

# Fluxes come from interpolated velocities: up to this imbalance they count as balanced.
BALANCE = 1e-2


class Stokes:
    r"""Slow flow of an incompressible fluid.

    .. math::
        -\nabla\cdot(\nu \nabla u) + \nabla p = f, \quad \nabla\cdot u = 0,

    with u given on some parts of the boundary and the traction :math:`\nu \, \partial_n u - p n = g` on others; parts
    that nothing names are free outlets, g = 0 ("do-nothing"). With `stress="symmetric"` the viscous term is
    :math:`-\nabla\cdot(2 \nu \varepsilon(u))` and :math:`g = 2 \nu \varepsilon(u) n - p n`, the physical traction.
    Both describe the same flow where nu is constant and the velocity is given on the whole boundary.

    With lengths in L, u in U and nu in [nu]: p and g in [nu] U / L, f in [nu] U / L^2.

    Elements: P2-P1 on triangles and tetrahedra, Q2-Q1 on quadrilaterals and hexahedra. Errors are of order h^3 for u in
    L2, h^2 for its gradient and for p.

    Parameters
    ----------
    domain : a Mesh of these cells, straight or curved.
    viscosity : nu > 0: a number, a callable, or a Function.
    velocity : u by part: d numbers (None for a component that is free, as across a plane of symmetry), 0, a callable
        of points (n, d) that returns (n, d), or a vector Function. By default 0 on all of the boundary that `traction`
        does not name. Where parts meet, the later one holds.
    traction : g by part, in the same ways.
    force : f, in the same ways.
    stress : "gradient" or "symmetric".
    workers : number of threads over a batch; all cores by default.

    Raises
    ------
    InputError : an unknown part (the message lists the known ones), data of a wrong shape or not finite.
    DomainError : a domain that is not such a mesh.
    SolverError : a singular system, or velocities on the whole boundary with a net flux.

    Notes
    -----
    Functions with a batch make a batch of problems; the factorisation is shared where the viscosity is. Where the
    velocity through the whole boundary is given, the pressure of mean zero is returned, and a flux imbalance below one
    percent, the size of interpolation errors, is spread evenly over the domain.

    Examples
    --------
    >>> import torch
    >>> import funcspace as fs
    >>> channel = fs.Mesh.rectangle(0.25, 2.0, 1.0)
    >>> inflow = lambda x: torch.stack([x[:, 1] * (1 - x[:, 1]), 0 * x[:, 1]], dim=1)
    >>> flow = Stokes(channel, velocity={"left": inflow, "bottom": 0, "top": 0}).solve()
    >>> [round(value, 6) + 0.0 for value in flow.velocity(torch.tensor([[1.5, 0.5]]))[0].tolist()]
    [0.25, 0.0]
    >>> round(float(flow.pressure(torch.tensor([[0.5, 0.5]]))), 6)
    3.0
    """

    def __init__(
        self,
        domain: Domain,
        *,
        viscosity: Data = 1.0,
        velocity: Mapping[str, Any] | None = None,
        traction: Mapping[str, Any] | None = None,
        force: Any = 0.0,
        stress: Stress = "gradient",
        workers: int | None = None,
    ) -> None:
        self.problem = FlowProblem(
            domain, viscosity=viscosity, velocity=velocity, traction=traction, force=force, stress=stress
        )
        self.workers = checked_workers(workers)

    @cached_property
    def _system(self) -> SaddleSystem:
        return self.problem.plain_system

    def solve(self) -> Flow:
        """Velocity and pressure, with the batch shape of the data."""
        problem, system = self.problem, self._system
        problem.check_held()
        viscosity, given, load = problem.viscosities(), problem.given(), problem.load()
        samples = problem.samples
        states = np.empty((samples, system.size))
        residuals = np.empty((samples, len(problem.fixed)))

        def matrices(sample: int) -> FloatArray:
            return system.values(problem.viscous(viscosity[sample]))

        def finish(rows: slice, values: FloatArray, factors: Factorisation) -> None:
            fixed = np.broadcast_to(given, (samples, given.shape[1]))[rows]
            forces = np.broadcast_to(load, (samples, *load.shape[1:]))[rows]
            right = right_side(system, values, forces, fixed)
            right = balanced(problem, system, right, fixed)
            states[rows] = 0.0
            states[rows, problem.fixed] = fixed
            states[rows, system.free] = factors.refined(np.ascontiguousarray(right.T)).T
            residuals[rows] = reactions(system, values, states[rows], forces)

        def work(start: int, stop: int) -> None:
            for sample in range(start, stop):
                values = matrices(sample)
                finish(slice(sample, sample + 1), values, Factorisation(system.inner(values)))

        if len(viscosity) == 1:
            values = matrices(0)
            factors = Factorisation(system.inner(values))
            over_columns(lambda rows: finish(rows, values, factors), samples, self.workers)
        else:
            over_threads(work, samples, self.workers)
        return flow_of(problem, states, residuals)

    def __repr__(self) -> str:
        return describe("Stokes", self.problem)


def describe(name: str, problem: FlowProblem) -> str:
    """Name, domain and conditions of a flow problem in a line."""
    parts = {"velocity": problem.velocity, "traction": problem.traction}
    shown = ", ".join(f"{kind} on {sorted(given)}" for kind, given in parts.items() if given)
    return f"{name}({problem.elements.mesh!r}{', ' + shown if shown else ''})"


def right_side(system: SaddleSystem, values: FloatArray, load: FloatArray, fixed: FloatArray) -> FloatArray:
    """Right-hand sides (samples, free) for loads (samples, d, N) and given velocities (samples, fixed)."""
    whole = np.zeros((len(load), system.size))
    flat = load.reshape(len(load), -1)
    whole[:, : flat.shape[1]] = flat
    return whole[:, system.free] - (system.coupling(values) @ fixed.T).T


def reactions(system: SaddleSystem, values: FloatArray, states: FloatArray, load: FloatArray) -> FloatArray:
    """Residual (samples, fixed) of the momentum equation in the rows of the fixed unknowns; completes the states."""
    system.fill_unfelt(states)
    return (system.reaction(values) @ states.T).T - load.reshape(len(load), -1)[:, system.fixed]


def balanced(problem: FlowProblem, system: SaddleSystem, right: FloatArray, fixed: FloatArray) -> FloatArray:
    """Right-hand sides (samples, free) whose net flux, where it must vanish, is spread over the domain.

    Raises
    ------
    SolverError
        When a net flux of more than BALANCE of all flux is forced through the boundary.
    """
    if not system.undetermined:
        return right
    total = -(system.divergence.T @ np.ones(system.divergence.shape[0]))[problem.fixed]
    # row by row, so that the last bits of a sample do not depend on those beside it
    net, gross = _row_sums(fixed * total), _row_sums(np.abs(fixed * total))
    rounding = 1e-10 * np.abs(fixed).max(axis=1) * np.abs(total).max()
    bad = np.flatnonzero(np.abs(net) > BALANCE * gross + rounding)
    if bad.size:
        sample = int(bad[0])
        fluxes = ", ".join(f"{part} {flux:.6g}" for part, flux in problem.fluxes(fixed[sample]).items())
        raise SolverError(
            "the velocity is given on the whole boundary, and as much must flow in as out; the net outward flux of "
            f"sample {sample} is {net[sample]:.6g} ({fluxes}). Balance it, or leave a part free as an outlet"
        )
    # what the equations that are left out would take is spread as well
    weights = problem.elements.pressure_weights.copy()
    weights[system.unfelt] = 0.0
    kept = -(system.divergence.T @ (weights > 0.0).astype(np.float64))[problem.fixed]
    spread = np.zeros(system.size)
    spread[-len(weights) :] = weights / weights.sum()
    return right - np.outer(_row_sums(fixed * kept), spread[system.free])


def _row_sums(values: FloatArray) -> FloatArray:
    return np.ascontiguousarray(values).sum(axis=1)


def flow_of(
    problem: FlowProblem,
    states: FloatArray,
    residuals: FloatArray,
    *,
    time: float | None = None,
    history: tuple[float, ...] = (),
    batch: tuple[int, ...] | None = None,
) -> Flow:
    """The flow of states (samples, unknowns) and residuals (samples, fixed)."""
    elements = problem.elements
    d, n = elements.dim, elements.n_velocity
    shape = problem.batch if batch is None else batch
    u = np.ascontiguousarray(states[:, : d * n].reshape(-1, d, n).swapaxes(1, 2))
    p = states[:, d * n :].copy()
    if problem.plain_system.undetermined:
        weights = elements.pressure_weights
        p -= (_row_sums(p * weights) / weights.sum())[:, None]
    forces = np.zeros((len(states), d * n))
    forces[:, problem.fixed] = residuals
    forces = np.ascontiguousarray(forces.reshape(-1, d, n).swapaxes(1, 2))
    return Flow(
        Function(elements.velocity, torch.from_numpy(u.reshape(*shape, n, d)), name="velocity"),
        Function(elements.pressure, torch.from_numpy(p.reshape(*shape, -1)), name="pressure"),
        torch.from_numpy(forces.reshape(*shape, n, d)),
        time,
        history,
    )
