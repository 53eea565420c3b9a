"""What all periodic problems share: initial data, solutions over time, data sets, and their flow maps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from funcspace.arguments import is_whole, number_of, whole_number
from funcspace.errors import InputError, SolverError
from funcspace.functions import Function, FunctionSpace, OperatorData
from funcspace.geometry import Grid, Times
from funcspace.solvers.problem_arguments import sampling
from funcspace.solvers.spectral.equation import Equation
from funcspace.solvers.spectral.flow_map import FlowMap
from funcspace.solvers.spectral.initial_data import initial_values
from funcspace.solvers.spectral.march import Breakdown, March, one_thread_per_operation
from funcspace.solvers.spectral.modes import Modes
from funcspace.solvers.spectral.numerics import Numerics

__all__ = ["InitialLaw", "SpectralProblem", "periodic_grid"]

AXES = ("x", "y", "z")
Initial = Function | Tensor | np.ndarray | Callable[[Tensor], Any]


class InitialLaw(Protocol):
    """A law of random initial fields, such as a `GaussianField`: sample i of a seed depends on (seed, i) alone."""

    @property
    def domain(self) -> Any:
        """The grid of the fields."""
        ...

    def sample(self, n: int, seed: int | None = 0, *, first: int = 0) -> Function:
        """Fields first, ..., first + n - 1 of a seed."""
        ...


class SpectralProblem(ABC):
    """An evolution equation on a periodic grid, solved by Fourier modes and exponential time differencing.

    Concrete problems give their equation; here is what they have in common.

    Parameters
    ----------
    domain : the grid of the data.
    components : names of the components of a state; one name makes scalar fields.
    name : name of a state in data sets and plots.
    horizon : what `sample` solves to: a final time, or `Times` for trajectories.
    spin_up : time that `sample` lets pass before its initial fields are taken.
    initial : law of the random initial fields.
    numerics : steps, precision, device, threads; those of `Numerics()` when None.
    """

    def __init__(
        self,
        domain: Grid,
        components: Sequence[str],
        *,
        name: str,
        horizon: float | Times,
        spin_up: float,
        initial: InitialLaw,
        numerics: Numerics | None,
    ) -> None:
        if not (numerics is None or isinstance(numerics, Numerics)):
            raise InputError(f"numerics must be a Numerics, such as Numerics(step=0.01); got {numerics!r}")
        self.domain, self.name, self.numerics = domain, name, Numerics() if numerics is None else numerics
        self.components = tuple(components)
        self.horizon = checked_instants(horizon) if isinstance(horizon, Times) else checked_time(horizon, "horizon")
        self.spin_up = checked_time(spin_up, "spin_up")
        if not (callable(getattr(initial, "sample", None)) and hasattr(initial, "domain")):
            raise InputError(
                "initial must be a law of random fields with a domain and sample(n, seed, first=...), such as a "
                f"GaussianField; got {initial!r}"
            )
        self.initial = initial
        if initial.domain != domain:
            raise InputError(f"the initial fields live on {initial.domain!r}, the problem on {domain!r}")

    @property
    @abstractmethod
    def degree(self) -> int:
        """Degree of the products in the equation, which sets the cutoff of the modes."""

    @abstractmethod
    def make_equation(self, modes: Modes) -> Equation:
        """The equation for the spectra on some modes."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """The equation and its parameters, for the attributes of data sets."""

    @cached_property
    def space(self) -> FunctionSpace:
        """The space of a state: trigonometric interpolation on the grid."""
        return FunctionSpace(self.domain, "fourier", components=self.components)

    @cached_property
    def solver_space(self) -> FunctionSpace:
        """The space of a state on the solver's grid."""
        factor = self.numerics.refinement
        if factor == 1:
            return self.space
        fine = self.domain.with_shape(*(factor * n for n in self.domain.shape))
        return FunctionSpace(fine, "fourier", components=self.components)

    @cached_property
    def equation(self) -> Equation:
        """The equation on the modes of the solver's grid."""
        modes = Modes(self.solver_space.domain, self.degree, dtype=self.numerics.dtype, device=self.numerics.device)
        return self.make_equation(modes)

    @cached_property
    def march(self) -> March:
        """The engine that advances batches."""
        return March(self.equation, self.numerics)

    def solve(self, initial: Initial, times: Times | float) -> Function:
        """The solution from an initial state at time 0, or from a batch of them.

        Gradients with respect to the initial state go through.

        Parameters
        ----------
        initial : a Function, an array `(*batch, *grid shape[, components])`, or a callable of the points (n, d) that
            gives (n,) or (n, components).
        times : instants not before 0, for a Function over `times * domain`; a number for one on the domain at that
            time. A state at time 0 is the initial state as given; later ones hold the modes below the cutoff.

        Raises
        ------
        InputError
            When the initial state does not fit or holds NaN or infinity, or a time is negative.
        SolverError
            When a given step is unstable or a solution blows up; its `state` is the last good state of the first
            sample that failed, a Function over the instant that it belongs to.
        """
        with one_thread_per_operation():
            return self._solve(initial, times)

    def _solve(self, initial: Initial, times: Times | float) -> Function:
        values, batch = initial_values(initial, self.space)
        given = values
        values = self.refined(values).to(dtype=self.numerics.dtype, device=self.numerics.device)
        if not isinstance(times, Times):
            duration = checked_time(times, "times")
            coarse = self._coarse(self._at(values, 0.0, duration)) if duration else given
            return Function(self.space, self._dofs(coarse, self.space).reshape(*batch, *self.space.coefficient_shape),
                            name=self.name)  # fmt: skip
        instants = checked_instants(times).instants.tolist()
        frames, now = [], 0.0
        for number, instant in enumerate(instants):
            # The nominal step of equispaced times, for bits do not agree among their differences.
            duration = times.step if number and times.step is not None else instant - now
            if duration > 0:
                values = self._at(values, now, duration)
                frames.append(self._coarse(values))
            else:
                frames.append(given.to(values))
            now = instant
        space = FunctionSpace(times * self.domain, "linear * fourier", components=self.components)
        stacked = torch.stack([self._dofs(frame, self.space) for frame in frames], dim=1)
        return Function(space, stacked.reshape(*batch, *space.coefficient_shape), name=self.name)

    def _at(self, values: Tensor, start: float, duration: float) -> Tensor:
        try:
            return self.march.advance(values, start, duration)
        except Breakdown as broken:
            instant = FunctionSpace(
                Times.at([broken.time]) * self.domain, "linear * fourier", components=self.components
            )
            dofs = self._dofs(self._coarse(broken.values[None]), self.space)
            state = Function(instant, dofs.reshape(instant.coefficient_shape), name=self.name)
            raise SolverError(
                f"{type(self).__name__}, sample {broken.sample}, time {broken.time:.6g}: {broken.reason}", state
            ) from None

    def _coarse(self, values: Tensor) -> Tensor:
        """Values at the points of the data's grid, among those of the solver's."""
        factor = self.numerics.refinement
        return values[(..., *[slice(None, None, factor)] * self.domain.dim)]

    def _dofs(self, values: Tensor, space: FunctionSpace) -> Tensor:
        """Coefficients (batch, dofs[, components]) of values (batch, components, *grid)."""
        last = values.flatten(2).movedim(1, -1)
        return last.reshape(len(values), *space.coefficient_shape)

    def refined(self, values: Tensor) -> Tensor:
        """Values (batch, components, *grid) at the points of the solver's grid, by trigonometric interpolation."""
        if self.numerics.refinement == 1:
            return values
        dofs = self.space.prolongation(self.solver_space)(self._dofs(values, self.space))
        count = len(self.components)
        return dofs.reshape(len(values), -1, count).movedim(-1, 1).reshape(
            len(values), count, *self.solver_space.layout
        )  # fmt: skip

    def initial_fields(self, n: int, seed: int | None = 0, *, first: int = 0) -> Function:
        """The initial states of samples first, ..., first + n - 1 of a seed, after the spin-up."""
        n, entropy, first = sampling(n, seed, first)
        drawn = self.initial.sample(n, entropy, first=first)
        start = Function(self.space, drawn.coefficients.to(self.numerics.dtype), name=f"{self.name}0")
        return self.solve(start, self.spin_up).renamed(f"{self.name}0") if self.spin_up else start

    def sample(self, n: int, seed: int | None = 0, *, first: int = 0) -> OperatorData:
        """Samples first, ..., first + n - 1 of a seed: initial state to the state at `horizon`, or to a trajectory.

        Sample i depends on (seed, i) alone: the same bytes whatever n, the batch and the number of threads.

        Parameters
        ----------
        n : number of samples.
        seed : any integer >= 0; None draws a fresh one from the operating system, which `attributes["seed"]` keeps.
        first : number of the first sample, to continue a set.

        Raises
        ------
        SolverError
            When a solution blows up.
        """
        n, chosen, first = sampling(n, seed, first)
        start = self.initial_fields(n, chosen, first=first)
        attributes = {**self.describe(), "seed": chosen, "first": first, "spin_up": self.spin_up}
        if not isinstance(self.horizon, Times):
            attributes["horizon"] = self.horizon
        return OperatorData({start.name: start}, {self.name: self.solve(start, self.horizon)}, {}, {}, attributes)

    def flow_map(self, duration: float, *, steps: int | None = None) -> FlowMap:
        """The map from a state to the state after some time, with its tangent map, by a fixed number of steps.

        Parameters
        ----------
        duration : the time between the states.
        steps : number of steps; one by default.
        """
        if self.numerics.refinement != 1:
            raise InputError("the flow map lives on the solver's own grid; set refinement=1")
        return FlowMap(self.space, self.march.stepper, self.equation, duration, steps=1 if steps is None else steps)

    def __repr__(self) -> str:
        given = ", ".join(f"{key}={value!r}" for key, value in self.describe().items() if key != "problem")
        return f"{type(self).__name__}({given}) on {self.domain!r}"


def periodic_grid(
    domain: Grid | None, resolution: int | Sequence[int] | None, length: float | Sequence[float] | None, *,
    dim: Any, default: tuple[int, float], start: float = 0.0,
) -> Grid:  # fmt: skip
    """The grid of a problem: the one that was given, or a cube of some resolution and length.

    Raises
    ------
    InputError : both ways at once, a wrong number of axes, an axis that is not periodic, a number out of range.
    """
    if domain is not None:
        if resolution is not None or length is not None:
            raise InputError("give a domain, or resolution and length, not both")
        if not isinstance(domain, Grid) or domain.dim != dim or len(domain.periodic) != dim or not domain.is_uniform:
            raise InputError(f"the domain must be an equispaced Grid with {dim} periodic axes; got {domain!r}")
        return domain
    count, side = default[0] if resolution is None else resolution, default[1] if length is None else length
    if whole_number(dim, "dim") > len(AXES):
        raise InputError(f"dim must be 1, 2 or 3; got {dim!r}")
    counts = tuple(count) if isinstance(count, Sequence) else (count,) * dim
    sides = tuple(side) if isinstance(side, Sequence) else (side,) * dim
    if len(counts) != dim or not all(is_whole(n) and n >= 4 for n in counts):
        raise InputError(f"resolution must be one whole number, at least 4, or {dim} of them; got {resolution!r}")
    if len(sides) != dim or not all(number_of(s) > 0 for s in sides):
        raise InputError(f"length must be one positive number or {dim} of them; got {length!r}")
    axes: dict[str, Any] = {
        name: (start, start + float(side), int(n)) for name, side, n in zip(AXES, sides, counts, strict=False)
    }
    return Grid(periodic=tuple(axes), **axes)


def checked_instants(times: Times) -> Times:
    """Times that do not begin before the initial state."""
    if times.start < 0:
        raise InputError(f"the initial state is at time 0, so that times cannot be negative; got {times.start}")
    return times


def checked_time(value: Any, name: str) -> float:
    """A finite time, not negative."""
    time = number_of(value)
    if not time >= 0:
        raise InputError(f"{name} must be Times or a finite number of time units, not negative; got {value!r}")
    return time


def checked_number(value: Any, name: str, *, least: float = -np.inf) -> float:
    """A finite number, not below `least`."""
    number = number_of(value)
    if not number >= least:
        bound = "" if least == -np.inf else f" of at least {least:g}"
        raise InputError(f"{name} must be a finite number{bound}; got {value!r}")
    return number
