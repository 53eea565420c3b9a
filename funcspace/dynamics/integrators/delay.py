"""Delay equations of compiled right-hand sides: a batch of solutions at given instants, or one as pieces."""

from __future__ import annotations

import numpy as np
from numba import njit

from funcspace.dynamics.integrators.delay_march import (
    CLOCK,
    CODE,
    COUNT,
    REJECTED,
    ROWS,
    STEPS,
    TIME,
    begin,
    copied,
    extent,
    look_up,
    march,
)
from funcspace.dynamics.integrators.outcome import DONE

__all__ = ["breaking_points", "sampled", "solution_pieces"]

ORDER = 8
# Breaking points nearer than this, relative to the longest delay, are one.
SAME = 1e-12
SPARE = 64


def breaking_points(delays: np.ndarray, last: float) -> np.ndarray:
    """Sums of up to 8 delays (delays,), in order, up to the time `last`: where a jump at 0 comes back.

    After 8 delays the jump is in a derivative that the method does not see.

    >>> breaking_points(np.array([1.0, 1.5]), 3.2)
    array([1. , 1.5, 2. , 2.5, 3. ])
    """
    found, front = np.zeros(0), np.zeros(1)
    gap = SAME * float(delays.max())
    for _ in range(ORDER):
        front = np.sort((front[:, None] + delays).ravel())
        front = front[front <= last]
        if not front.size:
            break
        front = front[np.diff(front, prepend=-np.inf) > gap]
        found = np.concatenate([found, front])
    found = np.sort(found)
    return found[np.diff(found, prepend=-np.inf) > gap]


@njit(cache=True, nogil=True, error_model="numpy")
def sampled(  # type: ignore[no-untyped-def]
    field, start, stop, ranges, knots, pieces, delays, breaks, origins, p, times, lags, out, rtol, atol, limit,
    max_steps, report,
):  # fmt: skip
    """States at times - lags (rows, lags) to out (rows, times, lags * dimension), rows start to stop.

    The history of a row is the pieces ranges[row, 0] to ranges[row, 1], with time 0 where the solution begins; a lag is
    at most the longest delay of the row. `report` (rows, 5 + dimension) tells how each ended, the number of samples, of
    steps and of rejected steps, the last time and the last state.
    """
    d, k = pieces.shape[2], delays.shape[1]
    w, u, clock, places = np.zeros((ROWS, d)), np.zeros((1, (k + 1) * d)), np.zeros(CLOCK), np.zeros(k, np.int64)
    value = np.zeros((1, d))
    for row in range(start, stop):
        first, count = ranges[row, 0], ranges[row, 1] - ranges[row, 0]
        kept, made = copied(knots, pieces, first, count, SPARE)
        parameters, delay, origin, reach = p[row : row + 1], delays[row], origins[row], extent(delays[row])[1]
        clock[COUNT] = count
        begin(field, parameters, delay, origin, kept, made, clock, w, u, places, rtol, atol)
        sample = 0
        while sample < times.shape[0]:
            kept, made = march(
                field, parameters, delay, breaks[row], origin, kept, made, clock, w, u, places, times[sample],
                reach, rtol, atol, limit, max_steps,
            )  # fmt: skip
            if clock[CODE] != DONE:
                break
            count = int(clock[COUNT])
            for j in range(lags.shape[1]):
                look_up(kept, made, count, count - 1, times[sample] - lags[row, j], value, 0, 0)
                for i in range(d):
                    out[row, sample, j * d + i] = value[0, i]
            sample += 1
        report[row, 0], report[row, 1], report[row, 2], report[row, 3] = (
            clock[CODE], sample, clock[STEPS], clock[REJECTED],
        )  # fmt: skip
        report[row, 4] = clock[TIME]
        for i in range(d):
            report[row, 5 + i] = w[0, i]


@njit(cache=True, nogil=True, error_model="numpy")
def solution_pieces(  # type: ignore[no-untyped-def]
    field, knots, pieces, delays, breaks, origin, p, until, rtol, atol, limit, max_steps
):
    """All pieces of one solution up to a time, its history included, and how it ended."""
    d, k = pieces.shape[2], delays.shape[0]
    w, u, clock, places = np.zeros((ROWS, d)), np.zeros((1, (k + 1) * d)), np.zeros(CLOCK), np.zeros(k, np.int64)
    clock[COUNT] = knots.shape[0]
    begin(field, p, delays, origin, knots, pieces, clock, w, u, places, rtol, atol)
    kept, made = march(
        field, p, delays, breaks, origin, knots, pieces, clock, w, u, places, until, np.inf, rtol, atol, limit,
        max_steps,
    )  # fmt: skip
    count = int(clock[COUNT])
    kept, made = copied(kept, made, 0, count, 0)
    return kept, made, int(clock[CODE])
