"""The theta scheme for linear systems of ordinary differential equations with given components."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcspace.arguments import number_of, whole_number
from funcspace.errors import InputError, SolverError
from funcspace.solvers.assembly import SparsePattern
from funcspace.solvers.linear.batches import SharedFactors, put_rows
from funcspace.solvers.linear.time_data import Interval

__all__ = ["ThetaSystem", "check_theta", "damped_steps", "integrate"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class ThetaSystem:
    r"""M u' + A u = f(t) on the free dofs, u = g(t) on the fixed ones.

    (M + theta dt A) u^{n+1} = (M - (1 - theta) dt A) u^n + dt (theta f^{n+1} + (1 - theta) f^n)

    Attributes
    ----------
    pattern : sparsity of M and A.
    mass, operator : entries of M and A in the pattern.
    load : f at a time, (samples or 1, size).
    given : g at a time, (samples or 1, fixed dofs).
    factorise : entries of a matrix in the pattern to a function that solves with its block among the free dofs.
    """

    pattern: SparsePattern
    mass: FloatArray
    operator: FloatArray
    load: Callable[[float], FloatArray]
    given: Callable[[float], FloatArray]
    factorise: Callable[[FloatArray], Callable[[FloatArray], FloatArray]]


def check_theta(theta: float) -> None:
    """Raise an InputError unless the scheme is stable for every step."""
    if not 0.5 <= number_of(theta) <= 1.0:
        raise InputError(
            f"theta must lie between 0.5 (Crank-Nicolson) and 1 (backward Euler), where the scheme is stable for every "
            f"step; got {theta!r}"
        )


def damped_steps(damped: int | None, theta: float) -> int:
    """The number of damped first steps: two for Crank-Nicolson where none was given."""
    if damped is None:
        return 2 if theta == 0.5 else 0
    return whole_number(damped, "damped", least=0)


def integrate(
    system: ThetaSystem,
    start: FloatArray,
    schedule: tuple[float, list[Interval]],
    *,
    theta: float,
    damped: int,
    shared: SharedFactors,
    out: FloatArray,
) -> None:
    """Write the states (samples, instants, size) that follow from initial ones (samples or 1, size).

    The first `damped` steps are each two half-steps of backward Euler, which have the same matrix as a Crank-Nicolson
    step and damp the high frequencies of rough initial data that Crank-Nicolson would carry along for ever (Rannacher,
    Numer. Math. 43, 1984). The order in time remains two.

    Raises
    ------
    SolverError
        When a state is not finite; `.state` holds the last good one.
    """
    pattern = system.pattern
    free, fixed = pattern.free, pattern.fixed
    t, stretches = schedule
    load, given = system.load(t), system.given(t)
    samples = len(out)
    u = np.array(np.broadcast_to(start[:, free], (samples, len(free))).T, order="C")
    edge = _columns(given, samples)
    out[:, 0, free], out[:, 0, fixed] = u.T, edge.T

    steps: dict[tuple[float, float], Any] = {}

    def matrices(dt: float, weight: float) -> Any:
        if (dt, weight) not in steps:
            implicit = weight * dt
            new, old = system.mass + implicit * system.operator, system.mass - (dt - implicit) * system.operator
            solve = shared.get(implicit, lambda: system.factorise(new))
            steps[dt, weight] = solve, pattern.inner(old), pattern.coupling(old), pattern.coupling(new)
        return steps[dt, weight]

    def advance(t: float, dt: float, weight: float) -> None:
        nonlocal u, edge, load
        solve, old, old_coupling, new_coupling = matrices(dt, weight)
        new_load, new_edge = system.load(t + dt), _columns(system.given(t + dt), samples)
        right = old @ u
        if new_edge.any() or edge.any():
            right += old_coupling @ edge - new_coupling @ new_edge
        mean_load = new_load if new_load is load else weight * new_load + (1.0 - weight) * load
        right += dt * mean_load[:, free].T
        u = solve(right) if len(free) else right
        edge, load = new_edge, new_load

    done = 0
    for number, stretch in enumerate(stretches):
        for inner in range(stretch.count):
            t = stretch.start + inner * stretch.step
            if done < damped:
                advance(t, 0.5 * stretch.step, 1.0)
                advance(t + 0.5 * stretch.step, 0.5 * stretch.step, 1.0)
            else:
                advance(t, stretch.step, theta)
            done += 1
        if not np.isfinite(u).all():
            raise SolverError(
                f"the state is not finite at time {t + stretch.step:g}; `.state` is the last good one",
                state=out[:, number],
            )
        put_rows(out, number + 1, free, u)
        put_rows(out, number + 1, fixed, edge)


def _columns(values: FloatArray, samples: int) -> FloatArray:
    return np.ascontiguousarray(np.broadcast_to(values, (samples, values.shape[1])).T)
