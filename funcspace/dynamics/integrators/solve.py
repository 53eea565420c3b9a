"""Initial-value problems of compiled right-hand sides: a batch of trajectories at given instants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from jaxtyping import Float

from funcspace.arguments import is_number
from funcspace.dynamics.integrators.outcome import DONE, REASONS, STIFF
from funcspace.errors import InputError, SolverError

__all__ = [
    "METHODS",
    "CompiledField",
    "Guards",
    "Method",
    "Outcome",
    "as_guards",
    "check_tolerance",
    "raise_on_failure",
    "solve",
    "writable",
]

Method = Literal["auto", "DOP853", "Tsit5", "Radau", "RK4", "Yoshida"]
METHODS = ("auto", "DOP853", "Tsit5", "Radau", "RK4", "Yoshida")
ADAPTIVE = ("auto", "DOP853", "Tsit5", "Radau")
SMALLEST, LARGEST = 1e-14, 1e-2
HEAD = 8
ABSOLUTE = 1e-6


class CompiledField(Protocol):
    """What the drivers need: a dimension, and addresses of machine code."""

    @property
    def dimension(self) -> int:
        """Length of the state."""
        ...

    @property
    def field_address(self) -> int:
        """Address of (t, state*, parameters*, out*)."""
        ...

    @property
    def jacobian_address(self) -> int:
        """Address of the function that writes the Jacobian, row by row; only implicit methods ask for it."""
        ...


@dataclass(frozen=True)
class Guards:
    """What ends an integration that would not end well.

    Attributes
    ----------
    max_steps : steps per trajectory, rejected ones included.
    limit : bound on the magnitude of each component, in units of its scale.
    """

    max_steps: int = 10_000_000
    limit: float = 1e9

    def __post_init__(self) -> None:
        if not (is_number(self.max_steps) and self.max_steps >= 1 and self.max_steps == int(self.max_steps)):
            raise InputError(f"max_steps must be a whole number, at least 1; got {self.max_steps!r}")
        if not (is_number(self.limit) and self.limit > 0):
            raise InputError(f"limit must be a positive number of scales; got {self.limit!r}")


def as_guards(guards: Any) -> Guards:
    """The guards of a call, those of `Guards()` for None."""
    if guards is not None and not isinstance(guards, Guards):
        raise InputError(f"guards must be fs.dynamics.Guards(max_steps=..., limit=...); got {guards!r}")
    return guards or Guards()


@dataclass(frozen=True, eq=False)
class Outcome:
    """What an integration gives beside the samples, one row per trajectory.

    Attributes
    ----------
    values : samples (batch, times, dimension).
    codes : how each ended; 0 is well.
    steps, rejected, calls : accepted and rejected steps, calls of the right-hand side.
    reached : time of the last accepted step, at or beyond the last sample.
    next_step : the step that the controller would take next.
    final : state at `reached`.
    event_times, event_states : (batch, events) and (batch, events, dimension), where events were asked for.
    samples : how many of the samples are filled.
    """

    values: np.ndarray
    codes: np.ndarray
    steps: np.ndarray
    rejected: np.ndarray
    calls: np.ndarray
    reached: np.ndarray
    next_step: np.ndarray
    final: np.ndarray
    event_times: np.ndarray
    event_states: np.ndarray
    events: np.ndarray
    samples: np.ndarray


@dataclass(frozen=True, eq=False)
class Event:
    """Zeros of a function of time and state, in a direction (1 up, -1 down, 0 both); `count` of them end a run."""

    address: int
    direction: int
    count: int


def solve(
    field: CompiledField,
    initial: Float[np.ndarray, "batch dimension"],
    parameters: Float[np.ndarray, "batch entries"],
    times: Float[np.ndarray, " times"],
    *,
    tolerance: float = 1e-12,
    scale: Any = 1.0,
    method: Method = "auto",
    step: float | None = None,
    guards: Guards | None = None,
    event: Event | None = None,
    first_steps: np.ndarray | None = None,
    workers: int | None = 1,
    name: str = "the system",
    check: bool = True,
) -> Outcome:
    r"""Solve :math:`\dot x = f(t, x, p)`, :math:`x(t_0) = x_0` and sample at the times, the first of which is t_0.

    Steps keep the local error of component i below `tolerance (|x_i| + 1e-6 scale_i)`, in the root mean square.

    =========  =========================================================================================
    "auto"     DOP853; where it meets stiffness, Radau from there on
    "DOP853"   Dormand and Prince, explicit, order 8, dense output of order 7
    "Tsit5"    Tsitouras, explicit, order 5, dense output of order 4; for tolerances above 1e-7
    "Radau"    Radau IIA of 5 stages, implicit, order 9, L-stable; needs the Jacobian
    "RK4"      the classical method of order 4 with constant steps of at most `step`
    "Yoshida"  symplectic, order 4, constant steps; for x = (q, p) with q' = f(p), p' = g(q)
    =========  =========================================================================================

    Parameters
    ----------
    tolerance : relative tolerance.
    scale : typical size of the components, a number or one per component.
    step : step of the methods that have a constant one.
    first_steps : first step of each trajectory; found where 0.
    workers : threads that share the batch; None for all cores.
    check : raise when a trajectory does not reach the last time.

    Raises
    ------
    InputError
        Tolerance or step out of range, unknown method, numbers that are not finite.
    SolverError
        When a trajectory ends early; its `state` holds the last good state.
    """
    _check(initial, times, tolerance, method, step)
    batch, dimension = initial.shape
    limits = as_guards(guards)
    values = np.full((batch, len(times), dimension), np.nan)
    report = np.zeros((batch, HEAD + dimension))
    wanted = event.count if event else 0
    event_times, event_states = np.full((batch, wanted), np.nan), np.full((batch, wanted, dimension), np.nan)
    sizes = np.broadcast_to(np.asarray(scale, dtype=np.float64), dimension)
    atol = writable(ABSOLUTE * tolerance * sizes)
    packed = writable(np.broadcast_to(parameters, (batch, parameters.shape[-1])))
    starts = np.zeros(batch) if first_steps is None else first_steps
    drive = driver(method, field, step)
    states, instants = writable(initial), writable(times)

    def work(start: int, stop: int) -> None:
        drive(
            event.address if event else 0,
            event.direction if event else 0,
            start,
            stop,
            states,
            packed,
            instants,
            values,
            tolerance,
            atol,
            limits.limit / ABSOLUTE,
            starts,
            np.inf,
            limits.max_steps,
            method == "auto",
            event_times,
            event_states,
            report,
        )

    if batch == 1 or workers == 1:
        work(0, batch)
    else:
        from funcspace.solvers.threads import over_threads

        over_threads(work, batch, workers)
    if method == "auto" and event is None:
        _finish_stiff(field, packed, instants, values, report, atol, tolerance, limits)
    outcome = Outcome(
        values,
        report[:, 0].astype(int),
        report[:, 2].astype(int),
        report[:, 3].astype(int),
        report[:, 4].astype(int),
        report[:, 5],
        report[:, 6],
        report[:, HEAD:],
        event_times,
        event_states,
        report[:, 7].astype(int),
        report[:, 1].astype(int),
    )
    if check:
        raise_on_failure(outcome, limits, name, method)
    return outcome


def writable(array: np.ndarray) -> np.ndarray:
    """The array contiguous and writable: of another layout or flag numba would compile another driver."""
    return np.require(array, dtype=np.float64, requirements=["C", "W"])


def driver(method: Method, field: CompiledField, step: float | None) -> Callable[..., None]:
    """The compiled driver of a method, bound to the field."""
    if method in ("auto", "DOP853"):
        from funcspace.dynamics.integrators.dop853 import dop853

        compiled = dop853(field.dimension)
    elif method == "Tsit5":
        from funcspace.dynamics.integrators.tsit5 import tsit5 as compiled
    elif method == "Radau":
        from funcspace.dynamics.integrators.radau import radau

        jacobian = field.jacobian_address
        return lambda *arguments: radau(field.field_address, jacobian, *arguments)
    else:
        from funcspace.dynamics.integrators.fixed_step import rk4, yoshida

        fixed = rk4 if method == "RK4" else yoshida
        return lambda *arguments: fixed(field.field_address, step, *arguments)
    return lambda *arguments: compiled(field.field_address, *arguments)


def _finish_stiff(
    field: CompiledField,
    packed: np.ndarray,
    times: np.ndarray,
    values: np.ndarray,
    report: np.ndarray,
    atol: np.ndarray,
    tolerance: float,
    limits: Guards,
) -> None:
    """Trajectories that the explicit method gave up as stiff go on with the implicit one."""
    for row in np.flatnonzero(report[:, 0] == STIFF):
        filled = int(report[row, 1])
        if filled == len(times):
            report[row, 0] = DONE
            continue
        rest = np.concatenate([[report[row, 5]], times[filled:]])
        more = np.full((1, len(rest), values.shape[2]), np.nan)
        tail = np.zeros((1, report.shape[1]))
        nothing = np.empty((1, 0)), np.empty((1, 0, values.shape[2]))
        driver("Radau", field, None)(
            0, 0, 0, 1, report[row : row + 1, HEAD:].copy(), packed[row : row + 1], rest, more, tolerance, atol,
            limits.limit / ABSOLUTE, report[row : row + 1, 6].copy(), np.inf, limits.max_steps, False, *nothing, tail,
        )  # fmt: skip
        values[row, filled:] = more[0, 1:]
        report[row, [2, 3, 4]] += tail[0, [2, 3, 4]]
        report[row, [0, 5, 6]], report[row, HEAD:] = tail[0, [0, 5, 6]], tail[0, HEAD:]
        report[row, 1] = filled + tail[0, 1] - 1


def check_tolerance(tolerance: Any) -> None:
    """Raise an InputError for a tolerance that is no number, or one that no method can keep to."""
    if not (is_number(tolerance) and SMALLEST <= tolerance <= LARGEST):
        raise InputError(f"tolerance must lie between {SMALLEST} and {LARGEST}; got {tolerance!r}")


def _check(initial: np.ndarray, times: np.ndarray, tolerance: float, method: str, step: float | None) -> None:
    if method not in METHODS:
        raise InputError(f"method must be one of {', '.join(METHODS)}; got {method!r}")
    if method in ADAPTIVE:
        check_tolerance(tolerance)
        if step is not None:
            raise InputError(f'method {method!r} finds its steps; step={step!r} is for "RK4" and "Yoshida"')
    elif not (is_number(step) and step > 0):
        raise InputError(f"method {method!r} takes constant steps; give a positive step=..., got {step!r}")
    bad = np.argwhere(~np.isfinite(initial))
    if len(bad):
        row, i = bad[0]
        raise InputError(f"initial states must be finite; component {i} of trajectory {row} is {initial[row, i]}")
    back = np.flatnonzero(~(np.diff(times) > 0))
    if back.size:
        raise InputError(f"times must increase; times {back[0]} and {back[0] + 1} are {times[back[0] : back[0] + 2]}")


def raise_on_failure(outcome: Outcome, guards: Guards, name: str, method: str) -> None:
    """Report the first trajectory that did not reach the last time."""
    failed = np.flatnonzero((outcome.codes != DONE) & (outcome.codes != STIFF))
    if not failed.size:
        return
    row = int(failed[0])
    reason = REASONS[int(outcome.codes[row])].format(max_steps=guards.max_steps, limit=guards.limit)
    many = f" (and {failed.size - 1} more of {len(outcome.codes)})" if failed.size > 1 else ""
    state = ", ".join(f"{x:.6g}" for x in outcome.final[row][:6])
    raise SolverError(
        f"trajectory {row} of {name}{many} {reason}: it ended at time {outcome.reached[row]:.6g} in the state "
        f"({state}), with method {method!r}; start elsewhere, change parameters or tolerance, or raise the guard",
        state=outcome.final[row].copy(),
    )
