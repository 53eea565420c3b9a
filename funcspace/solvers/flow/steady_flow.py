"""Steady Navier-Stokes flow of one sample: Picard steps, then Newton's method, with continuation where it fails."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from funcspace.solvers.flow.linear_solve import Factorisation
from funcspace.solvers.flow.momentum import Linearised, Momentum

__all__ = ["SteadyResult", "steady_flow"]

FloatArray = NDArray[np.float64]

PICARD_STEPS = 2
HALVINGS = 4
SMALLEST_STEP = 1.0 / 512.0
BLOW_UP = 1e4


@dataclass(frozen=True)
class SteadyResult:
    """The state that was reached, for convection counted `weight` times, and how.

    Attributes
    ----------
    state : all unknowns.
    operator : the system that the state solves.
    weight : 1 when the flow that was asked for was found.
    residuals : relative residuals of the last run of the iteration.
    """

    state: FloatArray
    operator: Linearised
    weight: float
    residuals: tuple[float, ...]


def steady_flow(
    momentum: Momentum, load: FloatArray, given: FloatArray, start: FloatArray | None, tolerance: float, most: int
) -> SteadyResult:
    r"""Solve :math:`\nu L u + s \rho C(u) u + B^T p = f` for s = 1.

    The iteration starts from Stokes flow (s = 0) unless a start is given. When it fails, s goes from 0 to 1, that is,
    the Reynolds number is raised in steps, which are halved as often as needed. The result's weight is below 1 when
    no step was small enough.
    """
    state, operator = _stokes(momentum, load, given)
    found = None if start is None else _iterate(momentum, load, given, _with_given(momentum, start, given), 1.0,
                                                tolerance, most)  # fmt: skip
    if found is None:
        found = _iterate(momentum, load, given, state, 1.0, tolerance, most)
    if found is not None:
        return found
    best = SteadyResult(state, operator, 0.0, ())
    slope = np.zeros_like(state)
    step = 0.25
    while best.weight < 1.0 and step >= SMALLEST_STEP:
        weight = min(1.0, best.weight + step)
        guess = best.state + (weight - best.weight) * slope
        found = _iterate(momentum, load, given, guess, weight, tolerance, most)
        if found is None:
            step *= 0.5
        else:
            slope = (found.state - best.state) / (weight - best.weight)
            best, step = found, 1.5 * step
    return best


def _stokes(momentum: Momentum, load: FloatArray, given: FloatArray) -> tuple[FloatArray, Linearised]:
    operator = momentum.linearised(0.0, None)
    state = _with_given(momentum, np.zeros(operator.system.size), given)
    right = operator.right(momentum.problem, load, given)
    state[operator.system.free] = Factorisation(operator.matrix).refined(right)
    return state, operator


def _with_given(momentum: Momentum, state: FloatArray, given: FloatArray) -> FloatArray:
    state = state.copy()
    state[momentum.problem.fixed] = given
    return state


def _iterate(
    momentum: Momentum,
    load: FloatArray,
    given: FloatArray,
    state: FloatArray,
    weight: float,
    tolerance: float,
    most: int,
) -> SteadyResult | None:
    """Picard and Newton steps at one weight of convection; None when they do not converge."""
    free = momentum.problem.plain_system.free
    operator, residual, size = _residual(momentum, load, given, state, weight)
    sizes = [size]
    for step in range(most):
        if size <= tolerance:
            return SteadyResult(state, operator, weight, tuple(sizes))
        if not np.isfinite(size) or size > BLOW_UP * sizes[0]:
            return None
        newton, trial = step >= PICARD_STEPS, state
        tangent = momentum.jacobian(0.0, momentum.velocity(state), weight) if newton else operator
        move = Factorisation(tangent.matrix).solve(residual)
        for halving in range(HALVINGS if newton else 1):
            trial = state.copy()
            trial[free] += 0.5**halving * move
            operator, residual, size = _residual(momentum, load, given, trial, weight)
            if size < sizes[-1]:
                break
        state = trial
        sizes.append(size)
    return SteadyResult(state, operator, weight, tuple(sizes)) if size <= tolerance else None


def _residual(
    momentum: Momentum, load: FloatArray, given: FloatArray, state: FloatArray, weight: float
) -> tuple[Linearised, FloatArray, float]:
    """The system at a state, its residual (free,), and the size of that relative to its terms."""
    operator = momentum.linearised(0.0, momentum.velocity(state), weight)
    free = operator.system.free
    right = operator.right(momentum.problem, load, given)
    residual = right - operator.matrix @ state[free]
    terms = float(np.linalg.norm(abs(operator.matrix) @ np.abs(state[free]))) + float(np.linalg.norm(right))
    return operator, residual, float(np.linalg.norm(residual)) / terms if terms > 0.0 else 0.0
