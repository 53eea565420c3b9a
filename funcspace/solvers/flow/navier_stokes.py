"""The incompressible Navier-Stokes equations, steady and in time, by Taylor-Hood elements."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from funcspace.arguments import number_of, positive_number
from funcspace.errors import DomainError, InputError, SolverError
from funcspace.functions import Function
from funcspace.geometry import Times
from funcspace.geometry.domain import Domain
from funcspace.geometry.product import ProductDomain
from funcspace.solvers.flow.flow_problem import FlowProblem, Stress
from funcspace.solvers.flow.flow_solution import Flow, FlowHistory
from funcspace.solvers.flow.momentum import Momentum
from funcspace.solvers.flow.steady_flow import steady_flow
from funcspace.solvers.flow.stokes import describe, flow_of, reactions
from funcspace.solvers.flow.unsteady_flow import Recording, Scheme, UnsteadyFlow
from funcspace.solvers.problem_arguments import check_iteration, checked_times, checked_workers
from funcspace.solvers.problem_data import Data, values_at
from funcspace.solvers.threads import over_threads

__all__ = ["NavierStokes"]

FloatArray = NDArray[np.float64]
Convection = Literal["linearised", "newton"]


class NavierStokes:
    r"""Flow of an incompressible Newtonian fluid.

    .. math::
        \rho \, (\partial_t u + u \cdot \nabla u) - \nabla\cdot(\nu \nabla u) + \nabla p = f,
        \quad \nabla\cdot u = 0.

    Conditions and elements are those of `Stokes`. nu is the dynamic viscosity; with the density rho = 1 it is the
    kinematic one and p is the pressure over the density. Data may depend on time too: callables (points, time).

    ===============  ==================================================================================================
    solve()          steady flow: Picard steps, then Newton's method; where these fail, the Reynolds number is raised
                     from 0 in steps that are halved as needed
    evolve(...)      flow in time: BDF2 with variable steps, or the one-step theta scheme; the carrying velocity is
                     extrapolated to second order (one linear system per step, no restriction of the step) or implicit
                     (Newton's method). One factorisation serves many steps
    ===============  ==================================================================================================

    Parameters
    ----------
    domain : a Mesh of triangles, quadrilaterals, tetrahedra or hexahedra.
    viscosity : nu > 0.
    density : rho > 0, a number.
    velocity, traction, force, stress, workers : as for `Stokes`.

    Raises
    ------
    InputError, DomainError : as `Stokes`.
    SolverError : no convergence; `.state` is the last good `Flow`.

    Examples
    --------
    >>> import torch
    >>> import funcspace as fs
    >>> moving_lid = {"top": (1.0, 0.0), "left": 0, "right": 0, "bottom": 0}
    >>> cavity = NavierStokes(fs.Mesh.rectangle(0.1), viscosity=0.01, velocity=moving_lid)
    >>> flow = cavity.solve()
    >>> round(float(flow.velocity(torch.tensor([[0.5, 0.5]]))[0, 0]), 2)
    -0.21
    >>> history = cavity.evolve(fs.Times(0.0, 0.5, 3), step=0.1)
    >>> history.velocity.space.element, tuple(history.velocity.coefficients.shape)
    ('linear * P2', (3, 441, 2))
    """

    def __init__(
        self,
        domain: Domain,
        *,
        viscosity: Data = 1.0,
        density: float = 1.0,
        velocity: Mapping[str, Any] | None = None,
        traction: Mapping[str, Any] | None = None,
        force: Any = 0.0,
        stress: Stress = "gradient",
        workers: int | None = None,
    ) -> None:
        self.problem = FlowProblem(
            domain, viscosity=viscosity, velocity=velocity, traction=traction, force=force, stress=stress
        )
        self.density, self.workers = positive_number(density, "density"), checked_workers(workers)

    def _momentum(self, viscosity: FloatArray, sample: int) -> Momentum:
        return Momentum(self.problem, viscosity[sample if len(viscosity) > 1 else 0], self.density)

    def solve(
        self, initial: Any = None, *, tolerance: float = 1e-10, max_iterations: int = 25, time: float = 0.0
    ) -> Flow:
        """The steady flow; of several the one that the iteration finds.

        Parameters
        ----------
        initial : a velocity to start from (d numbers, a callable, a Function) or a `Flow`; Stokes flow by default.
        tolerance : size of the residual relative to the sizes of the terms that it is the sum of.
        max_iterations : bound on the steps at one Reynolds number.
        time : the time at which data that depend on it are taken.

        Raises
        ------
        SolverError
            When not even continuation converges; `.state` is the flow at the highest Reynolds number reached.
        """
        check_iteration(tolerance, max_iterations)
        if math.isnan(number_of(time)):
            raise InputError(f"time must be a finite number; got {time!r}")
        problem, system = self.problem, self.problem.plain_system
        problem.check_held()
        viscosity, given, load = problem.viscosities(), problem.given(time), problem.load(time)
        starts = None if initial is None else self._states(initial)
        samples = problem.samples
        states = np.empty((samples, system.size))
        residuals = np.empty((samples, len(problem.fixed)))
        histories: list[tuple[float, ...]] = [()] * samples

        def one(sample: int) -> None:
            momentum = self._momentum(viscosity, sample)
            force, fixed = _pick(load, sample), _pick(given, sample)
            start = None if starts is None else _pick(starts, sample)
            result = steady_flow(momentum, force, fixed, start, tolerance, max_iterations)
            found = reactions(system, result.operator.values, result.state[None], force[None])
            if result.weight < 1.0:
                raise SolverError(
                    f"no steady flow was found for sample {sample}: continuation stopped at {result.weight:.3g} of the "
                    "Reynolds number. Refine the mesh, give a better `initial`, or evolve in time: the flow may not be "
                    "steady. The error's .state is the flow where continuation stopped",
                    state=flow_of(problem, result.state[None], found, history=result.residuals, batch=()),
                )
            states[sample], residuals[sample], histories[sample] = result.state, found[0], result.residuals

        over_threads(lambda start, stop: [one(i) for i in range(start, stop)], samples, self.workers)
        return flow_of(problem, states, residuals, history=histories[-1])

    def evolve(
        self,
        times: Times,
        initial: Any = None,
        *,
        step: float | None = None,
        scheme: Scheme = "bdf2",
        theta: float = 0.5,
        convection: Convection = "linearised",
        tolerance: float = 1e-8,
        observe: Callable[[Flow], Mapping[str, Any]] | None = None,
    ) -> FlowHistory:
        r"""The flow from an initial velocity on.

        ==========  =====================================================================================
        "bdf2"      second order, damps fast modes; variable steps; its first step is an implicit Euler step
        "theta"     :math:`\rho M (u^{n+\theta} - u^n) / (\theta \Delta t) + N(u^{n+\theta}) = f^{n+\theta}`:
                    second order for theta = 1/2, which conserves energy, else first; 1 is implicit Euler
        ==========  =====================================================================================

        Parameters
        ----------
        times : when to return the flow; the first instant is the initial one. For a long run of which only `observe`
            matters give two instants and a step.
        initial : d numbers, a callable of points, a vector Function, or a `Flow`; at rest by default. What is not
            divergence free in it is taken out by the L2 projection.
        step : largest time step: each interval of `times` is cut into equal steps of at most this; None for one step
            per interval.
        convection : "linearised", or "newton" for the implicit term.
        tolerance : of the linear or nonlinear systems, relative to their right-hand sides. The velocity is
            discretely divergence free to rounding in any case.
        observe : called after each step with the `Flow`; what it returns, numbers or tensors by name, is stacked
            in the history's `observed`.

        Raises
        ------
        SolverError
            When a step does not converge or gives values that are not finite; `.state` is the last good flow.
        """
        if checked_times(times).count < 2:
            raise InputError("times must have two instants at least: the initial one and a later one")
        if step is not None:
            positive_number(step, "step")
        if scheme not in ("bdf2", "theta"):
            raise InputError(f'scheme must be "bdf2" or "theta"; got {scheme!r}')
        if not 0.5 <= number_of(theta) <= 1.0:
            raise InputError(f"theta must lie in [1/2, 1], where the scheme is stable; got {theta!r}")
        if convection not in ("linearised", "newton"):
            raise InputError(f'convection must be "linearised" or "newton"; got {convection!r}')
        if not (observe is None or callable(observe)):
            raise InputError(f"observe must be a function of a Flow, or None; got {observe!r}")
        check_iteration(tolerance, 1)
        problem = self.problem
        viscosity = problem.viscosities()
        starts = np.zeros((1, problem.plain_system.size)) if initial is None else self._states(initial)
        recordings: list[Recording | None] = [None] * problem.samples

        def one(sample: int) -> None:
            run = UnsteadyFlow(
                self._momentum(viscosity, sample), sample=sample, scheme=scheme, theta=theta,
                implicit=convection == "newton", tolerance=tolerance,
            )  # fmt: skip
            recordings[sample] = run.run(_pick(starts, sample), times.instants.numpy(), step, observe)

        over_threads(lambda start, stop: [one(i) for i in range(start, stop)], problem.samples, self.workers)
        return self._history([r for r in recordings if r is not None], times)

    def _history(self, recordings: list[Recording], times: Times) -> FlowHistory:
        from funcspace.functions import FunctionSpace

        problem, elements = self.problem, self.problem.elements
        batch, d, n = problem.batch, elements.dim, elements.n_velocity
        states = np.stack([recording.states for recording in recordings])
        u = np.ascontiguousarray(states[..., : d * n].reshape(*states.shape[:2], d, n).swapaxes(-1, -2))
        domain = times * elements.mesh
        flat_u = torch.from_numpy(u.reshape(*batch, times.count, n, d))
        flat_p = torch.from_numpy(np.ascontiguousarray(states[..., d * n :]).reshape(*batch, times.count, -1))
        velocity = FunctionSpace(domain, f"linear * {elements.velocity.element}", components=("u", "v", "w")[:d])
        pressure = FunctionSpace(domain, f"linear * {elements.pressure.element}", components=("p",))
        last = flow_of(
            problem, states[:, -1], np.stack([r.residual for r in recordings]), time=float(times.instants[-1])
        )
        observed = {}
        for name in recordings[0].observed:
            rows = torch.stack([torch.stack(recording.observed[name]) for recording in recordings])
            observed[name] = rows.reshape(*batch, *rows.shape[1:])
        return FlowHistory(
            Function(velocity, flat_u, name="velocity"),
            Function(pressure, flat_p, name="pressure"),
            last,
            torch.tensor(recordings[0].instants, dtype=torch.float64),
            observed,
        )

    def _states(self, initial: Any) -> FloatArray:
        """States (samples or 1, unknowns) of initial velocities, the pressure zero or that of a Flow."""
        elements = self.problem.elements
        d, n = elements.dim, elements.n_velocity
        pressure = np.zeros((1, elements.n_pressure))
        if isinstance(initial, Flow):
            if initial.pressure.space.fingerprint == elements.pressure.fingerprint:
                pressure = _array(initial.pressure.coefficients).reshape(-1, elements.n_pressure)
            initial = initial.velocity
        if isinstance(initial, Function):
            if isinstance(initial.domain, ProductDomain):
                raise InputError(
                    "initial must be a velocity at one time; of a FlowHistory take .last, or .velocity at an instant"
                )
            if initial.space.value_shape != (d,):
                raise InputError(f"initial must be a velocity with {d} components; got {initial!r}")
            if initial.batch_shape not in ((), self.problem.batch):
                raise DomainError(
                    f"initial has the batch shape {initial.batch_shape}; the data of the problem have "
                    f"{self.problem.batch or 'none'}"
                )
            values = _array(initial.to(elements.velocity).coefficients).reshape(-1, n, d)
            if not np.isfinite(values).all():
                raise InputError("initial holds values that are not finite")
        else:
            values = values_at(initial, elements.dof_points, "initial", shapes=((d,),))
        flat = values.swapaxes(1, 2).reshape(len(values), d * n)
        rows = max(len(flat), len(pressure))
        return np.concatenate(
            [np.broadcast_to(flat, (rows, d * n)), np.broadcast_to(pressure, (rows, elements.n_pressure))], axis=1
        )

    def __repr__(self) -> str:
        return describe("NavierStokes", self.problem)


def _array(values: Tensor) -> FloatArray:
    return values.detach().cpu().to(torch.float64).numpy()


def _pick(values: FloatArray, sample: int) -> FloatArray:
    return values[sample if len(values) > 1 else 0]
