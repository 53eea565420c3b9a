"""Compressible gas: the Euler equations by second-order finite volumes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from funcspace.arguments import entries_of, is_whole, number_of, positive_number, true_or_false
from funcspace.errors import DomainError, InputError, SolverError
from funcspace.functions import Function, FunctionSpace, OperatorData
from funcspace.geometry import Grid, Times
from funcspace.solvers.conservation.gas_boundaries import GasBoundary, Inflow, side_conditions
from funcspace.solvers.conservation.gas_samples import RECIPES, callable_values, initial_states
from funcspace.solvers.conservation.ideal_gas import (
    check_gamma,
    check_primitive,
    conserved_from_primitive,
    primitive_from_conserved,
)
from funcspace.solvers.gaussian_fields import sample_generator
from funcspace.solvers.problem_arguments import checked_workers, sampling
from funcspace.solvers.threads import over_threads

__all__ = ["Euler"]

FloatArray = NDArray[np.float64]
Limiter = Literal["minmod", "van_leer", "mc"]
LIMITERS = ("minmod", "van_leer", "mc")
# strong-stability-preserving Runge-Kutta schemes of Heun, and of Shu and Osher
STAGES = {2: ((0.0, 1.0), (0.5, 0.5)), 3: ((0.0, 1.0), (0.75, 0.25), (1.0 / 3.0, 2.0 / 3.0))}
AXES = ("x", "y")


class Euler:
    r"""Flow of an ideal gas without viscosity, in one or two dimensions.

    rho_t + div(rho v) = 0,  (rho v)_t + div(rho v v^T + p I) = 0,  E_t + div((E + p) v) = 0

    with E = p / (gamma - 1) + rho |v|^2 / 2. Cell means on a uniform grid; limited linear reconstruction of density,
    velocity and pressure (MUSCL: B. van Leer, J. Comput. Phys. 32, 1979), HLLC fluxes (E. F. Toro, M. Spruce, W.
    Speares, Shock Waves 4, 1994) and strong-stability-preserving Runge-Kutta steps of the given Courant number, the
    sum over the axes of dt (|v| + c) / dx. Mass, momentum and energy are conserved to rounding. A step after which
    density or pressure is not positive somewhere is repeated with constant reconstruction there.

    ============  ===================================================================================================
    "riemann"     1-D: two random states meet at a random point
    "quadrants"   2-D: four random states meet at a random point
    "lax_liu"     2-D: one of the nineteen configurations of `lax_liu`, about a random point
    "pieces"      random states on the Voronoi cells of 3 to 8 random points
    ============  ===================================================================================================

    Random states have density and pressure log-uniform in [0.1, 3] and velocities uniform in [-0.75, 0.75]; points lie
    in the middle 40 % of the box, those of "pieces" anywhere. One seed gives the same data at every resolution.

    Parameters
    ----------
    initial : recipe of `sample`: a name, a callable of points (n, d), such as `lax_liu(3)` or a `RiemannProblem`, or
        one of (points, generator) with a numpy Generator; it gives density, velocities and pressure (n, d + 2).
    resolution : cells per side of the unit interval or square; 256 in one dimension and 128 in two by default.
    domain : a uniform cell Grid of one or two axes in place of it.
    times : instants from 0 on, as `Times` or a list, or one final time, at which samples are recorded.
    gamma : ratio of specific heats.
    boundary : "outflow", "reflecting" or `Inflow`, for all sides or by side (left, right, bottom, top); axes of
        a periodic grid are periodic, and "periodic" with `resolution` makes them so.
    limiter : "minmod", "van_leer" or "mc" (monotonised central), from the most to the least diffusive.
    courant : Courant number of the steps, at most 1; above 1/2 oscillations may arise.
    stages : stages, and order, of the time stepping: 2 or 3.
    step : a fixed time step; an error where its Courant number exceeds 1.
    workers : number of threads; all cores by default.
    compiled : False runs the plain NumPy twin of the kernels.

    Raises
    ------
    InputError : an option out of range, a domain that does not fit.
    SolverError : density or pressure not positive, or the Courant number of a fixed step above 1; its `state` is the
        last good one.

    Examples
    --------
    >>> data = Euler("riemann", resolution=64).sample(4, seed=0)
    >>> data.inputs["initial"].space.components, data.outputs["state"].values.shape
    (('density', 'momentum_x', 'energy'), torch.Size([4, 64, 3]))
    """

    def __init__(
        self,
        initial: str | Callable[..., Any] = "riemann",
        resolution: int | None = None,
        *,
        domain: Grid | None = None,
        times: Times | Sequence[float] | float = 0.2,
        gamma: float = 1.4,
        boundary: GasBoundary | Mapping[str, GasBoundary] = "outflow",
        limiter: Limiter = "van_leer",
        courant: float = 0.4,
        stages: int = 2,
        step: float | None = None,
        workers: int | None = None,
        compiled: bool = True,
    ) -> None:
        if not (isinstance(initial, str) or callable(initial)):
            raise InputError(f"initial must be one of {', '.join(RECIPES)} or a callable; got {initial!r}")
        if domain is None:
            domain = _unit_box(initial, resolution, boundary == "periodic")
            boundary = "outflow" if isinstance(boundary, str) and boundary == "periodic" else boundary
        elif resolution is not None:
            raise InputError("give resolution for the unit box or a domain of your own, not both")
        _check_domain(domain)
        if isinstance(initial, str):
            initial_states(initial, domain.dim)
        if limiter not in LIMITERS:
            raise InputError(f"limiter must be one of {', '.join(LIMITERS)}; got {limiter!r}")
        if not 0.0 < number_of(courant) <= 1.0:
            raise InputError(f"courant must lie in (0, 1], above which the scheme is unstable; got {courant!r}")
        if not (is_whole(stages) and stages in STAGES):
            raise InputError(f"stages must be 2 or 3; got {stages!r}")
        self.domain, self.initial, self.gamma = domain, initial, check_gamma(gamma)
        self.boundary, self.limiter, self.courant, self.stages = boundary, limiter, float(courant), int(stages)
        self.step = None if step is None else positive_number(step, "step")
        self.workers, self.compiled = checked_workers(workers), true_or_false(compiled, "compiled")
        self.times = _checked_times(times)
        self._kinds, self._inflow = side_conditions(boundary, domain)

    @cached_property
    def space(self) -> FunctionSpace:
        """The space of states: cell means of density, momenta and energy."""
        momenta = tuple(f"momentum_{axis}" for axis in self.domain.axis_names)
        return FunctionSpace(self.domain, "constant", components=("density", *momenta, "energy"))

    def state(self, density: Any, velocity: Any, pressure: Any) -> Function:
        """A state from density, velocity (one entry per axis) and pressure: numbers, arrays of cells or callables.

        Arrays have the shape of the grid or (cells,), with batch axes before; callables take points (n, d).
        """
        if self.domain.dim == 1 and not isinstance(velocity, list | tuple):
            velocity = (velocity,)
        entries = entries_of(velocity)
        if len(entries) != self.domain.dim:
            raise InputError(f"velocity must have {self.domain.dim} entries; got {len(entries)}")
        columns = [self._cells(value) for value in (density, *entries, pressure)]
        return self._function(np.stack(np.broadcast_arrays(*columns), axis=-1), "initial data")

    def _cells(self, value: Any) -> FloatArray:
        points = self.domain.points
        values = np.asarray(value(points) if callable(value) else value, dtype=np.float64)
        shape = self.domain.shape
        if values.ndim >= len(shape) and values.shape[values.ndim - len(shape) :] == shape:
            values = values.reshape(*values.shape[: values.ndim - len(shape)], -1)
        if values.ndim and values.shape[-1] != len(points):
            raise InputError(f"an array of cells must end in the shape {shape} or ({len(points)},); got {values.shape}")
        return np.broadcast_to(values, (*values.shape[:-1], len(points)))

    def _function(self, primitive: FloatArray, name: str) -> Function:
        check_primitive(primitive, self.domain.points.numpy(), name)
        return Function(self.space, torch.from_numpy(conserved_from_primitive(primitive, self.gamma)), name="initial")

    def primitive(self, state: Function) -> Function:
        """Density, velocity and pressure of a state, or of a batch or a history of states."""
        if state.space.components != self.space.components:
            raise InputError(f"a state has the components {self.space.components}; got {state.space.components}")
        velocities = tuple(f"velocity_{axis}" for axis in self.domain.axis_names)
        space = state.space.with_components("density", *velocities, "pressure")
        values = primitive_from_conserved(state.coefficients.detach().cpu().numpy(), self.gamma)
        return Function(space, torch.from_numpy(values), name=state.name)

    def solve(
        self, initial: Function | Callable[[Tensor], Any], times: Times | Sequence[float] | float | None = None
    ) -> Function:
        """The state at the given times, a Function over them, or at one time, a Function on the grid; from time 0 on.

        Parameters
        ----------
        initial : a state or a batch of states on `space`, or a callable of points that gives density, velocities and
            pressure (n, d + 2).
        times : `Times` or a final time; those of the problem by default.
        """
        return self._solve(initial, self.times if times is None else _checked_times(times), 0)

    def _solve(self, initial: Any, times: Times | float, first: int) -> Function:
        start = self._start(initial)
        batch = start.batch_shape
        states = start.coefficients.to(torch.float64).numpy().reshape(-1, *self.space.coefficient_shape)
        check_primitive(primitive_from_conserved(states, self.gamma), self.domain.points.numpy(), "the initial state")
        instants = times.instants.numpy() if isinstance(times, Times) else np.array([times])
        histories = np.empty((len(states), len(instants), *self.space.coefficient_shape))

        def work(begin: int, end: int) -> None:
            for i in range(begin, end):
                self._advance(states[i], instants, histories[i], first + i)

        over_threads(work, len(states), self.workers if self.compiled else 1)
        if not isinstance(times, Times):
            return Function(
                self.space,
                torch.from_numpy(histories[:, 0]).reshape(*batch, *start.coefficients.shape[-2:]),
                name="state",
            )
        space = FunctionSpace(times * self.domain, "linear * constant", components=self.space.components)
        return Function(space, torch.from_numpy(histories).reshape(*batch, *space.coefficient_shape), name="state")

    def _start(self, initial: Any) -> Function:
        if isinstance(initial, Function):
            if initial.space != self.space:
                raise DomainError(f"the initial state must be on {self.space!r}; got {initial!r}")
            if initial.dtype != torch.float64:
                raise InputError(f"the initial state must be float64; got {initial.dtype}: use .to(torch.float64)")
            return initial
        if not callable(initial):
            raise InputError(f"initial must be a Function or a callable of points; got {type(initial).__name__}")
        return self._function(callable_values(initial, self.domain.points, self.domain.dim), "initial data")

    @cached_property
    def _kernel(self) -> Callable[..., Any]:
        if self.compiled:
            from funcspace.solvers.conservation.euler_kernels import advance
        else:
            from funcspace.solvers.conservation.euler_arrays import advance
        return advance

    def _advance(self, start: FloatArray, instants: FloatArray, history: FloatArray, sample: int) -> None:
        """Fill the history of one sample."""
        dim, shape = self.domain.dim, (1, *self.domain.shape)[-2:]
        used = [0, *range(1, 1 + dim), 3]
        state = np.zeros((4, *shape))
        state[used] = start.T.reshape(len(used), *shape)
        weights, widths = np.array(STAGES[self.stages]), np.array(self.domain.spacing)
        courant = self.courant if self.step is None else 1.0
        now = 0.0
        for number, instant in enumerate(instants):
            status, reached, _, _, highest = self._kernel(
                state, (now, float(instant)), widths, self.gamma, LIMITERS.index(self.limiter), weights, courant,
                self.step or 0.0, self._kinds, self._inflow,
            )  # fmt: skip
            cells = state[used].reshape(len(used), -1).T
            if status:
                what = (
                    f"the fixed step {self.step} has the Courant number {highest:.3g}, above 1; reduce it"
                    if status == 2
                    else "density or pressure would not stay positive; reduce courant, or mend the initial data"
                )
                last = Function(self.space, torch.from_numpy(cells.copy()), name="state")
                raise SolverError(f"sample {sample} at time {reached:.6g} of {instants[-1]:.6g}: {what}", last)
            history[number] = cells
            now = float(instant)

    def sample(self, n: int, seed: int | None = 0, *, first: int = 0) -> OperatorData:
        """Samples first, ..., first + n - 1 of a seed: input "initial" and output "state" (float64).

        Sample i depends on (seed, i) alone.

        Parameters
        ----------
        n : number of samples.
        seed : any integer >= 0; None draws a fresh one, which `attributes["seed"]` keeps.
        first : number of the first sample.
        """
        n, entropy, first = sampling(n, seed, first)
        draw = self._draw
        start = self._function(np.stack([draw(sample_generator(entropy, first + i)) for i in range(n)]), "initial data")
        state = self._solve(start, self.times, first)
        sides = dict(self.boundary) if isinstance(self.boundary, Mapping) else {"boundary": self.boundary}
        boundary = {side: _described(condition) for side, condition in sides.items()}
        attributes = {
            "problem": "rho_t + div(rho v) = 0, (rho v)_t + div(rho v v^T + p I) = 0, E_t + div((E + p) v) = 0",
            "initial": self._name,
            "gamma": self.gamma,
            "scheme": f"MUSCL ({self.limiter}), HLLC, SSP-RK{self.stages}, Courant number {self.courant}",
            "times": self.times.instants.tolist() if isinstance(self.times, Times) else self.times,
            "seed": entropy,
            "first": first,
        }
        return OperatorData({"initial": start}, {"state": state}, {}, boundary, attributes)

    @cached_property
    def _draw(self) -> Callable[[np.random.Generator], FloatArray]:
        points, dim = self.domain.points, self.domain.dim
        if isinstance(self.initial, str):
            recipe, where = initial_states(self.initial, dim), points.numpy()
            return lambda generator: recipe(where, generator)
        source = self.initial
        if _takes_generator(source):
            return lambda generator: callable_values(lambda x: source(x, generator), points, dim)
        fixed = callable_values(source, points, dim)
        return lambda generator: fixed

    @property
    def _name(self) -> str:
        if isinstance(self.initial, str):
            return self.initial
        return getattr(self.initial, "__name__", type(self.initial).__name__)

    def __repr__(self) -> str:
        return f"Euler({self._name!r}) on {self.domain!r}"


def _unit_box(initial: Any, resolution: int | None, periodic: bool) -> Grid:
    from funcspace.solvers.conservation.four_states import FourStates

    plane = isinstance(initial, FourStates) or initial in ("quadrants", "lax_liu")
    count = (128 if plane else 256) if resolution is None else resolution
    if not (is_whole(count) and count >= 4):
        raise InputError(f"resolution must be a whole number of at least 4 cells per side; got {resolution!r}")
    axes = AXES[: 1 + plane]
    return Grid(samples="cells", periodic=axes if periodic else (), **dict.fromkeys(axes, (0.0, 1.0, int(count))))


def _check_domain(domain: Any) -> None:
    if not isinstance(domain, Grid) or domain.samples != "cells" or domain.dim > 2:
        raise InputError(
            f'the Euler equations are solved on a Grid(..., samples="cells") of one or two axes; got {domain!r}'
        )
    if not domain.is_uniform or min(domain.shape) < 4:
        raise InputError(f"the grid must be uniform, with at least 4 cells along each axis; got {domain!r}")


def _checked_times(times: Any) -> Times | float:
    if isinstance(times, list | tuple):
        times = Times.at(times)
    if isinstance(times, Times):
        if times.start < 0.0:
            raise InputError(f"the initial state is that of time 0; times start at {times.start}")
        return times
    if number_of(times) > 0:
        return number_of(times)
    raise InputError(f"times must be Times, a list of instants or a positive final time; got {times!r}")


def _takes_generator(source: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(source).parameters.values()
    except (TypeError, ValueError):
        return False
    needed = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty]
    return len(needed) >= 2


def _described(condition: Inflow | str) -> dict[str, Any]:
    if isinstance(condition, Inflow):
        values = {"density": condition.density, "velocity": list(condition.velocity), "pressure": condition.pressure}
        return {"type": "inflow", **values}
    return {"type": condition}
