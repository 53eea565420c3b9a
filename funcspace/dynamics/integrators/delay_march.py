r"""The method of steps, compiled: solutions of delay equations as polynomial pieces.

.. math:: \dot x(t) = f\big(t, x(t), x(t - \tau_1), \dots, x(t - \tau_k)\big), \qquad x(t) = \varphi(t), \quad t \le 0

A step of DOP853 from t to t + h, h at most the smallest delay, looks the delayed states up in pieces that it has made
before; its dense output is the next piece. A. Bellen and M. Zennaro, Numerical Methods for Delay Differential
Equations (2003), chapters 4 to 6. At the start the derivative jumps; the jump comes back, in a derivative higher by
one, after each delay. Steps end at these breaking points, which are given.

A piece is a polynomial of degree 7 in y = (s - a) / h, from its start a on:

x(s) = c_0 + y (c_1 + (1 - y) (c_2 + y (c_3 + (1 - y) (c_4 + y (c_5 + (1 - y) (c_6 + y c_7))))))
"""

from __future__ import annotations

import numpy as np
from numba import njit

from funcspace.dynamics.integrators.calls import call_field
from funcspace.dynamics.integrators.dop853_table import DENSE, ERROR_3, ERROR_5, MATRIX, NODES
from funcspace.dynamics.integrators.outcome import BLOWN_UP, DONE, NOT_FINITE, STEP_TOO_SMALL, TOO_MANY_STEPS

__all__ = [
    "CLOCK",
    "CODE",
    "COEFFICIENTS",
    "COUNT",
    "REJECTED",
    "ROWS",
    "STAGE_ROWS",
    "STEPS",
    "TIME",
    "begin",
    "copied",
    "extent",
    "look_up",
    "march",
]

COEFFICIENTS, ROWS = 8, 19
# Entries of the clock of a march: time, next step, pieces, breaking points passed, steps, rejected steps, how it ended.
TIME, NEXT, COUNT, PASSED, STEPS, REJECTED, CODE = 0, 1, 2, 3, 4, 5, 6
CLOCK = 7
STAGE_ROWS = 3


@njit(nogil=True, error_model="numpy")
def extent(delays):  # type: ignore[no-untyped-def]
    """The shortest and the longest delay."""
    shortest, longest = delays[0], delays[0]
    for k in range(1, delays.shape[0]):
        shortest, longest = min(shortest, delays[k]), max(longest, delays[k])
    return shortest, longest


@njit(nogil=True, error_model="numpy")
def look_up(knots, pieces, count, place, s, target, row, offset):  # type: ignore[no-untyped-def]
    """The state at time s to target[row, offset:]; the piece it lies in, the search for which begins at `place`."""
    while place + 1 < count and knots[place + 1, 0] <= s:
        place += 1
    while place > 0 and knots[place, 0] > s:
        place -= 1
    y = (s - knots[place, 0]) / knots[place, 1]
    z = 1.0 - y
    for i in range(pieces.shape[2]):
        inner = pieces[place, 5, i] + z * (pieces[place, 6, i] + y * pieces[place, 7, i])
        inner = pieces[place, 2, i] + y * (pieces[place, 3, i] + z * (pieces[place, 4, i] + y * inner))
        target[row, offset + i] = pieces[place, 0, i] + y * (pieces[place, 1, i] + z * inner)
    return place


@njit(nogil=True, error_model="numpy")
def _derivative(field, t, w, row, p, delays, origin, knots, pieces, count, places, u, out):  # type: ignore[no-untyped-def]
    d = w.shape[1]
    for i in range(d):
        u[0, i] = w[row, i]
    for k in range(delays.shape[0]):
        places[k] = look_up(knots, pieces, count, places[k], t - delays[k], u, 0, (k + 1) * d)
    call_field(field, origin + t, u, 0, p, 0, w, out)


@njit(nogil=True, error_model="numpy")
def begin(field, p, delays, origin, knots, pieces, clock, w, u, places, rtol, atol):  # type: ignore[no-untyped-def]
    """Set the clock to the end of the history, time 0; the state there, its derivative and a first step."""
    d, count = w.shape[1], int(clock[COUNT])
    for k in range(delays.shape[0]):
        places[k] = 0
    last = look_up(knots, pieces, count, count - 1, 0.0, w, 0, 0)
    _derivative(field, 0.0, w, 0, p, delays, origin, knots, pieces, count, places, u, STAGE_ROWS)
    state, slope = 0.0, 0.0
    for i in range(d):
        size = atol[i] + rtol * abs(w[0, i])
        state += (w[0, i] / size) ** 2
        slope += (w[STAGE_ROWS, i] / size) ** 2
    shortest = extent(delays)[0]
    h = 0.01 * np.sqrt(state / slope) if state > 1e-10 and slope > 1e-10 else 1e-6 * shortest
    for entry in range(CLOCK):
        clock[entry] = 0.0
    clock[NEXT], clock[COUNT] = min(h, shortest), last + 1


@njit(nogil=True, error_model="numpy")
def _copy(knots, pieces, first, count, to_knots, to_pieces):  # type: ignore[no-untyped-def]
    # Loops, for slices of arrays take numba longer to compile than all the rest.
    for j in range(count):
        for c in range(2):
            to_knots[j, c] = knots[first + j, c]
        for c in range(COEFFICIENTS):
            for i in range(pieces.shape[2]):
                to_pieces[j, c, i] = pieces[first + j, c, i]


@njit(nogil=True, error_model="numpy")
def copied(knots, pieces, first, count, spare):  # type: ignore[no-untyped-def]
    """`count` pieces from the first on, in new arrays with room for `spare` more."""
    more, longer = np.empty((count + spare, 2)), np.empty((count + spare, COEFFICIENTS, pieces.shape[2]))
    _copy(knots, pieces, first, count, more, longer)
    return more, longer


@njit(nogil=True, error_model="numpy")
def _room(knots, pieces, clock, places, needed):  # type: ignore[no-untyped-def]
    """Drop the pieces that end before `needed`, or, where they are few, take arrays twice as long."""
    count, drop = int(clock[COUNT]), 0
    while drop + 1 < count and knots[drop + 1, 0] <= needed:
        drop += 1
    if drop > count // 2:
        _copy(knots, pieces, drop, count - drop, knots, pieces)
        for k in range(places.shape[0]):
            places[k] = max(0, places[k] - drop)
        clock[COUNT] = count - drop
        return knots, pieces
    return copied(knots, pieces, 0, count, count + 2)


@njit(nogil=True, error_model="numpy")
def march(  # type: ignore[no-untyped-def]
    field, p, delays, breaks, origin, knots, pieces, clock, w, u, places, until, reach, rtol, atol, limit, max_steps
):
    """Steps until the time is at least `until`; the pieces with the new ones, those older than `reach` dropped.

    `p` is the row of parameters (1, entries), `breaks` the times, in order, that steps must end at, `origin` what is
    added to the time that the right-hand side sees. Rows of w: state, state after the step, argument of a stage, and
    the stages.
    """
    d, shortest = w.shape[1], extent(delays)[0]
    while clock[TIME] < until and clock[CODE] == DONE:
        t, h = clock[TIME], min(clock[NEXT], shortest)
        if clock[STEPS] + clock[REJECTED] >= max_steps:
            clock[CODE] = TOO_MANY_STEPS
            break
        if not h > 1e-15 * max(abs(t), 1e-3 * shortest):
            clock[CODE] = STEP_TOO_SMALL
            break
        end, stop = t + h, int(clock[PASSED])
        if stop < breaks.shape[0]:
            if breaks[stop] - t <= h * (1.0 + 1e-9):
                end, h = breaks[stop], breaks[stop] - t
            elif breaks[stop] - t < 2.0 * h:
                h = 0.5 * (breaks[stop] - t)
                end = t + h
        count = int(clock[COUNT])
        for s in range(1, 13):
            target = 1 if s == 12 else 2
            for i in range(d):
                total = 0.0
                for j in range(s):
                    total += MATRIX[s, j] * w[STAGE_ROWS + j, i]
                w[target, i] = w[0, i] + h * total
            moment = t + NODES[s] * h
            _derivative(field, moment, w, target, p, delays, origin, knots, pieces, count, places, u, STAGE_ROWS + s)
        error5, error3 = 0.0, 0.0
        for i in range(d):
            e5, e3 = 0.0, 0.0
            for j in range(12):
                e5 += ERROR_5[j] * w[STAGE_ROWS + j, i]
                e3 += ERROR_3[j] * w[STAGE_ROWS + j, i]
            size = atol[i] + rtol * max(abs(w[0, i]), abs(w[1, i]))
            error5 += (e5 / size) ** 2
            error3 += (e3 / size) ** 2
        mixed = error5 + 0.01 * error3
        error = h * error5 / np.sqrt(mixed * d) if mixed > 0.0 else mixed
        if not error < 1.0:
            clock[REJECTED] += 1
            finite = np.isfinite(error)
            clock[NEXT] = h * (max(0.2, 0.9 * error**-0.125) if finite else 0.1)
            if not finite and not clock[NEXT] > 1e-12 * max(abs(t), 1e-3 * shortest):
                clock[CODE] = NOT_FINITE
            continue
        for s in range(13, 16):
            for i in range(d):
                total = 0.0
                for j in range(s):
                    total += MATRIX[s, j] * w[STAGE_ROWS + j, i]
                w[2, i] = w[0, i] + h * total
            _derivative(
                field, t + NODES[s] * h, w, 2, p, delays, origin, knots, pieces, count, places, u, STAGE_ROWS + s
            )
        if count == knots.shape[0]:
            knots, pieces = _room(knots, pieces, clock, places, t - reach)
            count = int(clock[COUNT])
        knots[count, 0], knots[count, 1] = t, h
        largest = 0.0
        for i in range(d):
            gain, first, last = w[1, i] - w[0, i], h * w[STAGE_ROWS, i], h * w[STAGE_ROWS + 12, i]
            pieces[count, 0, i], pieces[count, 1, i] = w[0, i], gain
            pieces[count, 2, i], pieces[count, 3, i] = first - gain, 2.0 * gain - (last + first)
            for c in range(4):
                total = 0.0
                for j in range(16):
                    total += DENSE[c, j] * w[STAGE_ROWS + j, i]
                pieces[count, 4 + c, i] = h * total
            w[0, i] = w[1, i]
            w[STAGE_ROWS, i] = w[STAGE_ROWS + 12, i]
            largest = max(largest, abs(w[0, i]) * (rtol / atol[i]))
        clock[COUNT] = count + 1
        clock[STEPS] += 1
        if largest > limit:
            clock[CODE] = BLOWN_UP
        if stop < breaks.shape[0] and end >= breaks[stop]:
            clock[PASSED] += 1
        clock[TIME] = end
        clock[NEXT] = h * min(6.0, 0.9 * error**-0.125 if error > 1e-12 else 6.0)
    return knots, pieces
