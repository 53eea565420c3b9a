"""Tangent vectors along orbits, compiled: integrate for a while, orthonormalise, add up the logarithms of growth."""

from __future__ import annotations

import numpy as np
from numba import njit

from funcspace.dynamics.integrators.dop853 import dop853
from funcspace.dynamics.integrators.outcome import DONE

__all__ = ["carry"]

_integrate = dop853(0)


@njit(nogil=True, error_model="numpy")
def _orthonormalise(state, d, count, scale, logs):  # type: ignore[no-untyped-def]
    """Gram and Schmidt, twice for each vector, in units of the scale; the logarithms of the lengths."""
    for k in range(count):
        a = d * (k + 1)
        for i in range(d):
            state[a + i] /= scale[i]
        for _ in range(2):
            for m in range(k):
                b, product = d * (m + 1), 0.0
                for i in range(d):
                    product += state[a + i] * state[b + i]
                for i in range(d):
                    state[a + i] -= product * state[b + i]
        square = 0.0
        for i in range(d):
            square += state[a + i] * state[a + i]
        length = np.sqrt(square)
        logs[k] = np.log(length) if length > 0.0 else -700.0
        for i in range(d):
            state[a + i] /= max(length, 1e-300)
    for k in range(count):
        for i in range(d):
            state[d * (k + 1) + i] *= scale[i]


@njit(cache=True, nogil=True, error_model="numpy")
def carry(  # type: ignore[no-untyped-def]
    field,
    start,
    stop,
    states,
    p,
    origins,
    duration,
    intervals,
    steps,
    bounds,
    spread,
    d,
    count,
    scale,
    rtol,
    atol,
    limit,
    max_steps,
    growth,
    report,
):
    """Carry rows start to stop for a duration; a row is a state, `count` tangent vectors and an integral.

    `intervals` is the time between orthonormalisations of each row; it follows the growth so that lengths do not come
    to differ by much more than exp(spread), within the bounds. `steps` is the last step of the integrator. Growth is
    added to `growth` (rows, count); `report` (rows, 3) tells how each ended, when, and after how many steps.
    """
    size = states.shape[1]
    first, out = np.empty((1, size)), np.empty((1, 2, size))
    guess, times, logs = np.empty(1), np.empty(2), np.empty(count)
    nothing, none = np.empty((1, 0)), np.empty((1, 0, size))
    told = np.empty((1, 8 + size))
    for row in range(start, stop):
        elapsed, code, total = 0.0, DONE, 0.0
        while elapsed < duration * (1.0 - 1e-12):
            span = min(intervals[row], duration - elapsed)
            if duration - elapsed - span < 1e-9 * duration:
                span = duration - elapsed
            times[0], times[1] = origins[row] + elapsed, origins[row] + elapsed + span
            guess[0] = min(steps[row], span)
            first[0, :] = states[row]
            _integrate(
                field, 0, 0, 0, 1, first, p[row : row + 1], times, out, rtol, atol, limit, guess, np.inf,
                max_steps, False, nothing, none, told,
            )  # fmt: skip
            total += told[0, 2] + told[0, 3]
            if told[0, 0] != DONE or total > max_steps:
                code = int(told[0, 0]) if told[0, 0] != DONE else 1
                states[row, :d] = told[0, 8 : 8 + d]
                break
            states[row, :] = out[0, 1]
            _orthonormalise(states[row], d, count, scale, logs)
            low, high = logs[0], logs[0]
            for k in range(count):
                low, high = min(low, logs[k]), max(high, logs[k])
            range_of_lengths = max(high - low, abs(high), abs(low))
            wanted = span * min(1.5, max(0.1, spread / (range_of_lengths + 1e-12)))
            intervals[row] = min(bounds[1], max(bounds[0], wanted))
            if range_of_lengths > 1.5 * spread and intervals[row] < 0.9 * span:
                states[row, :] = first[0]  # the shortest vector has drowned in errors of the longest: again
                continue
            steps[row] = told[0, 6]
            for k in range(count):
                growth[row, k] += logs[k]
            elapsed += span
        report[row, 0], report[row, 1], report[row, 2] = code, origins[row] + elapsed, total
