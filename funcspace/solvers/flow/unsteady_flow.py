"""Navier-Stokes flow in time for one sample: BDF2 or the theta scheme, one factorisation for many steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from funcspace.errors import InputError, SolverError
from funcspace.solvers.flow.flow_solution import Flow
from funcspace.solvers.flow.linear_solve import Factorisation, krylov
from funcspace.solvers.flow.momentum import Linearised, Momentum
from funcspace.solvers.flow.stokes import flow_of, reactions

__all__ = ["Recording", "Scheme", "UnsteadyFlow"]

FloatArray = NDArray[np.float64]
Scheme = Literal["bdf2", "theta"]

# New factors cost about as much as this many solves. They pay once the solves that were spent beyond those that a
# step takes with new factors add up to as many (where the number of solves grows steadily this is the best moment).
SOLVES_PER_FACTORS = 30
MOST_SOLVES = 12
REFACTORISATIONS = 3


@dataclass
class Recording:
    """States at the times asked for, the residual at fixed unknowns at the last of them, and observations by name."""

    states: FloatArray
    residual: FloatArray
    instants: list[float] = field(default_factory=list)
    observed: dict[str, list[Tensor]] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """One implicit problem: rate * u + N(u) = f + history at a time, with given boundary values and a first guess."""

    time: float
    rate: float
    history: FloatArray
    wind: FloatArray
    guess: FloatArray
    fixed: FloatArray


class UnsteadyFlow:
    """Steps in time.

    Parameters
    ----------
    momentum : the operator of the sample.
    sample : its number in the batch of the data.
    scheme, theta : as in `NavierStokes.evolve`.
    implicit : Newton's method for the convection term instead of extrapolation.
    tolerance : relative residual of each step.
    """

    def __init__(
        self, momentum: Momentum, *, sample: int, scheme: Scheme, theta: float, implicit: bool, tolerance: float
    ) -> None:
        self.momentum, self.problem, self.sample = momentum, momentum.problem, sample
        self.scheme, self.theta, self.implicit, self.tolerance = scheme, theta, implicit, tolerance
        self._timed = self.problem.varies_in_time
        self._data: dict[float, tuple[FloatArray, FloatArray]] = {}
        self._factors: Factorisation | None = None
        self._fewest = self._excess = 0

    def run(
        self,
        start: FloatArray,
        instants: FloatArray,
        largest: float | None,
        observe: Callable[[Flow], Mapping[str, Any]] | None,
    ) -> Recording:
        """Step from the first of the instants to the last."""
        state = self._consistent(start, float(instants[0]), float(instants[1] - instants[0]))
        states = np.empty((len(instants), len(state)))
        recording = Recording(states, np.empty(0))
        states[0] = self._centred(state)
        past, stage_before = [(float(instants[0]), state)], (float(instants[0]), state, None)
        for number in range(1, len(instants)):
            begin, end = float(instants[number - 1]), float(instants[number])
            count = 1 if largest is None else max(1, math.ceil((end - begin) / largest - 1e-9))
            step = (end - begin) / count
            for part in range(count):
                now, then = begin + part * step, end if part == count - 1 else begin + (part + 1) * step
                stage = self._stage(past, then)
                try:
                    with np.errstate(over="ignore", invalid="ignore"):
                        found, operator = self._solve(stage)
                except SolverError as error:
                    raise self._failure(f"the step to t = {then:.6g} failed: {error}", state, now) from error
                residual = self._reactions(operator, found, stage)
                following, residual_then = self._advance(state, found, residual, stage, then, stage_before)
                if not np.isfinite(following).all():
                    raise self._failure(f"the step to t = {then:.6g} gave values that are not finite", state, now)
                stage_before = (stage.time, found, residual)
                state = following
                past = [*past[-2:], (then, state)]
                recording.residual = residual_then
                recording.instants.append(then)
                if observe is not None:
                    self._observe(observe, state, residual_then, then, recording)
            states[number] = self._centred(state)
        return recording

    def _stage(self, past: list[tuple[float, FloatArray]], then: float) -> Stage:
        """The implicit problem of the step to `then`, from up to three states with their times."""
        now, state = past[-1]
        step = then - now
        u = self.momentum.velocity(state)
        ratio, u_before = 0.0, u
        if len(past) > 1:
            ratio, u_before = step / (now - past[-2][0]), self.momentum.velocity(past[-2][1])
        if self.scheme == "bdf2" and len(past) > 1:
            rate = (1.0 + 2.0 * ratio) / ((1.0 + ratio) * step)
            history = (1.0 + ratio) / step * u - ratio**2 / ((1.0 + ratio) * step) * u_before
            reach, time, fixed = ratio, then, self._given(then)
        else:
            theta = self.theta if self.scheme == "theta" else 1.0
            rate, history = 1.0 / (theta * step), u / (theta * step)
            reach, time = theta * ratio, now + theta * step
            fixed = theta * self._given(then) + (1.0 - theta) * self._given(now)
        guess = _extrapolated(past, time)
        guess[self.problem.fixed] = fixed
        return Stage(time, rate, history, u + reach * (u - u_before), guess, fixed)

    def _solve(self, stage: Stage) -> tuple[FloatArray, Linearised]:
        """The solution of an implicit problem, and the system that it solves."""
        force = self._load(stage.time) + self.momentum.density * (self.momentum.mass @ stage.history).T
        return self._implicit(stage, force) if self.implicit else self._linearised(stage, force)

    def _linearised(self, stage: Stage, force: FloatArray) -> tuple[FloatArray, Linearised]:
        operator = self.momentum.linearised(stage.rate, stage.wind)
        right = operator.right(self.problem, force, stage.fixed)
        free = operator.system.free
        for _ in range(2):
            fresh = self._factors is None
            factors = Factorisation(operator.matrix) if self._factors is None else self._factors
            found, solves, done = krylov(
                operator.matrix, right, stage.guess[free], factors, self.tolerance, MOST_SOLVES
            )
            if fresh:
                self._fewest, self._excess = solves, 0
            self._excess += solves - self._fewest
            self._factors = factors if done and self._excess <= SOLVES_PER_FACTORS else None
            if done:
                state = stage.guess.copy()
                state[free] = found
                return state, operator
            if fresh:
                break
        raise SolverError("its linear system was not solved to the tolerance, or values overflowed")

    def _implicit(self, stage: Stage, force: FloatArray) -> tuple[FloatArray, Linearised]:
        """Newton's method with the factors of an earlier derivative until they converge too slowly."""
        state = stage.guess.copy()
        free = self.problem.plain_system.free
        renewed, size, before = 0, math.inf, math.inf
        for count in range(REFACTORISATIONS * MOST_SOLVES):
            velocity = self.momentum.velocity(state)
            operator = self.momentum.linearised(stage.rate, velocity)
            right = operator.right(self.problem, force, stage.fixed)
            residual = right - operator.matrix @ state[free]
            size = float(np.linalg.norm(residual)) / max(float(np.linalg.norm(right)), 1e-300)
            if size <= self.tolerance and count:
                return state, operator
            if not np.isfinite(size) or renewed > REFACTORISATIONS:
                break
            if self._factors is None or (count and size > 0.3 * before):
                self._factors = Factorisation(self.momentum.jacobian(stage.rate, velocity).matrix)
                renewed += 1
            state[free] += self._factors.solve(residual)
            before = size
        raise SolverError(f"Newton's method stopped at relative residual {size:.2e}; take smaller steps")

    def _reactions(self, operator: Linearised, found: FloatArray, stage: Stage) -> FloatArray:
        force = self._load(stage.time) + self.momentum.density * (self.momentum.mass @ stage.history).T
        return reactions(operator.system, operator.values, found[None], force[None])[0]

    def _advance(
        self,
        state: FloatArray,
        found: FloatArray,
        residual: FloatArray,
        stage: Stage,
        then: float,
        stage_before: tuple[float, FloatArray, FloatArray | None],
    ) -> tuple[FloatArray, FloatArray]:
        """State and residual at the end of the step from those of its stage; pressures are extrapolated from stages."""
        if self.scheme == "bdf2" or self.theta == 1.0:
            return found, residual
        following = (found - (1.0 - self.theta) * state) / self.theta
        time, earlier, earlier_residual = stage_before
        reach = (then - stage.time) / (stage.time - time)
        pressures = slice(self.momentum.elements.dim * self.momentum.elements.n_velocity, None)
        following[pressures] = found[pressures] + reach * (found[pressures] - earlier[pressures])
        if earlier_residual is None:
            return following, residual
        return following, residual + reach * (residual - earlier_residual)

    def _consistent(self, start: FloatArray, time: float, step: float) -> FloatArray:
        r"""The L2 projection onto discretely divergence-free velocities with the boundary values of the data.

        Its pressure is the one that makes :math:`\rho \partial_t u = f - N(u) - \nabla p` divergence free.
        """
        momentum, problem = self.momentum, self.problem
        system, density = problem.plain_system, momentum.density
        entries = density * problem.mass
        blocks = entries
        if system.coupled:
            d = momentum.elements.dim
            blocks = np.zeros((d, d, len(entries)))
            blocks[range(d), range(d)] = entries
        projection = Linearised(system, system.values(blocks))
        factors = Factorisation(projection.matrix)
        fixed = self._given(time)
        force = density * (momentum.mass @ momentum.velocity(start)).T
        state = start.copy()
        state[problem.fixed] = fixed
        state[system.free] = factors.refined(projection.right(problem, force, fixed))
        state[momentum.elements.dim * momentum.elements.n_velocity :] = 0.0
        operator = momentum.linearised(0.0, momentum.velocity(state))
        slope = (self._given(time + 1e-3 * step) - fixed) / (1e-3 * step) if self._timed else np.zeros_like(fixed)
        force = self._load(time)
        right = operator.right(problem, force, fixed) - operator.matrix @ state[system.free]
        drive = projection.right(problem, np.zeros_like(force), slope)
        # the continuity rows must see the rate of the boundary values, not these
        pressures = system.free >= momentum.elements.dim * momentum.elements.n_velocity
        right[pressures] = 0.0
        rate = factors.solve(right + drive)
        pressure_rows = system.free[pressures]
        state[pressure_rows] = rate[pressures]
        return state

    def _given(self, time: float) -> FloatArray:
        return self._at(time)[0]

    def _load(self, time: float) -> FloatArray:
        return self._at(time)[1]

    def _at(self, time: float) -> tuple[FloatArray, FloatArray]:
        """Given velocities (fixed,) and load (d, N) of the sample; computed once where they do not vary in time."""
        key = time if self._timed else 0.0
        if key not in self._data:
            if len(self._data) > 4:
                self._data.pop(next(iter(self._data)))
            given, load = self.problem.given(time), self.problem.load(time)
            chosen = self.sample
            self._data[key] = (given[chosen if len(given) > 1 else 0], load[chosen if len(load) > 1 else 0])
        return self._data[key]

    def _centred(self, state: FloatArray) -> FloatArray:
        """The state with a pressure of mean zero where only its gradient is determined."""
        if not self.problem.plain_system.undetermined:
            return state
        weights = self.momentum.elements.pressure_weights
        state = state.copy()
        state[-len(weights) :] -= (state[-len(weights) :] @ weights) / weights.sum()
        return state

    def _flow(self, state: FloatArray, residual: FloatArray, time: float) -> Flow:
        return flow_of(self.problem, state[None], residual[None], time=time, batch=())

    def _observe(
        self,
        observe: Callable[[Flow], Mapping[str, Any]],
        state: FloatArray,
        residual: FloatArray,
        time: float,
        recording: Recording,
    ) -> None:
        values = observe(self._flow(state, residual, time))
        if not isinstance(values, Mapping):
            raise InputError(f"observe must return numbers or tensors by name (a dict); got {type(values).__name__}")
        for name, value in values.items():
            recording.observed.setdefault(name, []).append(torch.as_tensor(value))

    def _failure(self, message: str, state: FloatArray, time: float) -> SolverError:
        return SolverError(
            f"{message}; the error's .state is the last good flow",
            state=self._flow(state, np.zeros(len(self.problem.fixed)), time),
        )


def _extrapolated(past: list[tuple[float, FloatArray]], time: float) -> FloatArray:
    """The polynomial through some states, at a later time."""
    total = np.zeros_like(past[0][1])
    for index, (own, state) in enumerate(past):
        others = [other for place, (other, _) in enumerate(past) if place != index]
        total += math.prod((time - other) / (own - other) for other in others) * state
    return total
