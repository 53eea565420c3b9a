"""Which candidates are kept: guards, tests on a trajectory, and a measured largest exponent."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np

from funcspace.dynamics.discovery.candidate import Candidate
from funcspace.dynamics.estimate import Estimate
from funcspace.dynamics.integrators.outcome import BLOWN_UP, DONE, TOO_MANY_STEPS
from funcspace.dynamics.invariants import zero_one_test
from funcspace.errors import InputError

__all__ = ["Trial", "Verdict", "neighbour_rates", "try_candidate"]

TOLERANCE, ROUGH = 1e-10, 1e-8
LIMIT, ABSOLUTE = 1e3, 1e-3
STEPS_PER_PERIOD = 2_000
LARGEST_SPREAD = 30.0
FIXED, FLAT, LINEAR, REGULAR = 1e-3, 1e-6, 0.99, 0.2
DISTANCE = 1e-7
SCREENING, BLOCKS, ERRORS, EFOLDS, LATE, LAST = 4, 24, 4.0, 10.0, 0.5, 0.25


@dataclass(frozen=True)
class Trial:
    """How long candidates are integrated and measured.

    Attributes
    ----------
    points, periods : of the trajectory that is kept.
    transient, measured : periods before it, and after it over which the largest exponent is measured.
    wall_time : seconds after which a candidate is given up. The guards on steps end a candidate long before, and always
        at the same place; this one is for machines that are suspended or overloaded.
    """

    points: int = 4096
    periods: float = 40.0
    transient: float = 40.0
    measured: float = 720.0
    wall_time: float = 60.0

    def __post_init__(self) -> None:
        if isinstance(self.points, bool) or not isinstance(self.points, int | np.integer) or self.points < 100:
            raise InputError(f"a trajectory needs at least 100 points; got points={self.points!r}")
        for name in ("periods", "measured", "wall_time"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise InputError(f"{name} must be a positive number; got {value}")
        if not (np.isfinite(self.transient) and self.transient >= 0):
            raise InputError(f"transient must not be negative; got {self.transient}")


@dataclass(frozen=True, eq=False)
class Verdict:
    """What came of a candidate; states (points, dimension) and the exponent only of those that were accepted."""

    candidate: Candidate
    reason: str
    states: np.ndarray | None = None
    exponent: Estimate | None = None
    seconds: float = 0.0


def try_candidate(candidate: Candidate, trial: Trial) -> Verdict:
    """Integrate, test and measure; the first test that fails ends it."""
    begin = time.perf_counter()
    with np.errstate(all="ignore"):
        states, reason = _trajectory(candidate, trial)
        if states is None:
            return Verdict(candidate, reason)
        shown = candidate.wrap(states)
        reason = _first_failure(shown)
        if reason:
            return Verdict(candidate, reason)
        exponent, reason = _largest_exponent(candidate, states[-1], trial, begin)
    if exponent is None:
        return Verdict(candidate, reason)
    return Verdict(candidate, "accepted", shown, exponent, time.perf_counter() - begin)


def _sizes(candidate: Candidate, periods: float) -> np.ndarray:
    """Scales for the control of errors; components that grow may reach as far as they do in the whole time."""
    sizes = candidate.scale.copy()
    growing = np.setdiff1d(np.arange(len(sizes)), candidate.bounded)
    sizes[growing] *= max(1.0, periods)
    return sizes


def _address(compiled: Any) -> int:
    return int(compiled.address)


def _ended(code: int) -> str:
    return {BLOWN_UP: "blown up", TOO_MANY_STEPS: "too many steps"}.get(code, "not integrable")


def _trajectory(candidate: Candidate, trial: Trial) -> tuple[np.ndarray | None, str]:
    from funcspace.dynamics.discovery._coupled_kernels import coupled
    from funcspace.dynamics.integrators.dop853 import dop853

    period, d = candidate.period, len(candidate.initial)
    spacing = trial.periods * period / trial.points
    times = np.concatenate([[-trial.transient * period - spacing], spacing * np.arange(trial.points)])
    values, report = np.empty((1, len(times), d)), np.zeros((1, 8 + d))
    steps = int(STEPS_PER_PERIOD * (trial.transient + trial.periods + 1.0))
    sizes = _sizes(candidate, trial.transient + trial.periods)
    nothing, none = np.empty((1, 0)), np.empty((1, 0, d))
    # a first step of zero lets the driver find one
    dop853(0)(
        _address(coupled), 0, 0, 0, 1, candidate.initial[None].copy(), candidate.packed()[None], times, values,
        TOLERANCE, ABSOLUTE * TOLERANCE * sizes, LIMIT / ABSOLUTE, np.zeros(1), np.inf, steps, False, nothing, none,
        report,
    )  # fmt: skip
    code = int(report[0, 0])
    if code != DONE:
        return None, _ended(code)
    states = values[0, 1:]
    return (states, "") if np.isfinite(states).all() else (None, "not integrable")


def _first_failure(shown: np.ndarray) -> str:
    """The first test that a trajectory (points, components) in bounded coordinates fails; "" if it passes all."""
    centre, spread = shown.mean(axis=0), shown.std(axis=0)
    if not (spread > FLAT * np.maximum(np.abs(centre), 1e-300)).all():
        return "does not vary"
    z = (shown - centre) / spread
    if np.abs(z).max() > LARGEST_SPREAD:
        return "blown up"
    late = z[-len(z) // 10 :]
    if (np.abs(np.diff(late, axis=0)).max(axis=0) < FIXED).any():
        return "fixed point"
    singular = np.linalg.eigvalsh(np.cov(z.T).reshape(z.shape[1], -1)) if z.shape[1] > 1 else np.array([1.0])
    if z.shape[1] > 1 and singular[-1] > LINEAR * singular.sum():
        return "linear"
    for i in range(z.shape[1]):
        try:
            if float(zero_one_test(z[:, i], frequencies=16)) >= REGULAR:
                return ""
        except InputError:
            return ""  # too slow a component for this test to say anything
    return "regular by the 0-1 test"


def neighbour_rates(
    field: int,
    packed: np.ndarray,
    state: np.ndarray,
    *,
    scale: np.ndarray,
    sizes: np.ndarray,
    moved: np.ndarray,
    period: float,
    block: float,
    steps: int,
) -> Generator[tuple[float, int], None, None]:
    """Growth rates of the distance of two neighbouring orbits over stretches, and codes of how the stretches ended.

    Parameters
    ----------
    field : address of the right-hand side of one orbit.
    packed : its parameters.
    state : where the first orbit starts.
    scale : sizes of components, by which distances are measured.
    sizes : sizes for the control of errors.
    moved : which components differ at first.
    period : the distance is renewed at least so often.
    block : length of a stretch.
    steps : most steps of a stretch.
    """
    from funcspace.dynamics.discovery._coupled_kernels import doubled, separation

    both = np.concatenate([[float(field), float(len(state))], packed])[None]
    offset = DISTANCE * scale * moved / np.sqrt(max(1, np.count_nonzero(moved)))
    pair = np.concatenate([state, state + offset])[None].copy()
    absolute = ABSOLUTE * ROUGH * np.concatenate([sizes, sizes])
    told = np.array([0.0, 0.0, 0.05 * period])
    while True:
        growth = separation(
            _address(doubled), pair, both, block, told[2], period, DISTANCE, scale, ROUGH, absolute, LIMIT / ABSOLUTE,
            steps, told,
        )  # fmt: skip
        yield growth / block, int(told[0])


def _largest_exponent(
    candidate: Candidate, state: np.ndarray, trial: Trial, begin: float
) -> tuple[Estimate | None, str]:
    """The largest exponent of two neighbouring orbits, if it is positive beyond doubt and stays so."""
    from funcspace.dynamics.discovery._coupled_kernels import coupled

    stretches = neighbour_rates(
        _address(coupled),
        candidate.packed(),
        state,
        scale=candidate.scale,
        sizes=_sizes(candidate, trial.measured),
        moved=np.isin(np.arange(len(state)), candidate.bounded),
        period=candidate.period,
        block=trial.measured * candidate.period / BLOCKS,
        steps=int(STEPS_PER_PERIOD * trial.measured / BLOCKS),
    )
    found: list[float] = []
    for k, (rate, code) in zip(range(BLOCKS + 1), stretches, strict=False):
        if code != DONE:
            return None, _ended(code)
        if time.perf_counter() - begin > trial.wall_time:
            return None, "too slow"
        if k:  # in the first stretch the difference turns to the direction of fastest growth
            found.append(rate)
        if k == SCREENING and np.mean(found) <= 0.0:
            return None, "no positive exponent"
    rates = np.array(found)
    pairs = rates.reshape(-1, 2).mean(axis=1)
    error = max(rates.std(ddof=1) / np.sqrt(len(rates)), pairs.std(ddof=1) / np.sqrt(len(pairs)))
    value = float(rates.mean())
    if not (value > ERRORS * error and value * trial.measured * candidate.period > EFOLDS):
        return None, "no positive exponent"
    third = rates[-BLOCKS // 3 :]
    if third.mean() < LATE * value or third[-2:].mean() < LAST * value:
        return None, "chaos ends"
    return Estimate(value, float(error)), ""
