"""Tangent functions along solutions of delay equations, compiled: march, orthonormalise, add up the growth.

A state of a delay equation is a function on the last delay; so is a tangent vector. They are orthonormalised in the
inner product <v, w> = mean over the last delay of v(s) . w(s), taken at equidistant times, and combinations are made of
the polynomial pieces, so that no vector is ever discretised.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from funcspace.dynamics.integrators.delay_march import (
    CLOCK,
    CODE,
    COEFFICIENTS,
    COUNT,
    ROWS,
    STAGE_ROWS,
    TIME,
    begin,
    copied,
    extent,
    look_up,
    march,
)
from funcspace.dynamics.integrators.outcome import DONE

__all__ = ["carry_functions"]

SAMPLES, PER_VECTOR, SPARE = 64, 8, 64


@njit(nogil=True, error_model="numpy")
def _orthonormalise(knots, pieces, clock, w, reach, scale, sample, change, value, logs):  # type: ignore[no-untyped-def]
    """Gram and Schmidt, twice for each function; `change` is the triangular matrix that maps the old to the new."""
    d, count, m = scale.shape[0], int(clock[COUNT]), logs.shape[0]
    n, t = sample.shape[1] // d, clock[TIME]
    place = count - 1
    for j in range(n):
        place = look_up(knots, pieces, count, place, t - reach * (j / (n - 1)), value, 0, 0)
        for a in range(m):
            for i in range(d):
                sample[a, j * d + i] = value[0, d * (1 + a) + i] / scale[i]
    first, size = place, n * d
    for a in range(m):
        for b in range(m):
            change[a, b] = 1.0 if a == b else 0.0
        for _ in range(2):
            for b in range(a):
                product = 0.0
                for j in range(size):
                    product += sample[a, j] * sample[b, j]
                product /= n
                for j in range(size):
                    sample[a, j] -= product * sample[b, j]
                for j in range(a):
                    change[a, j] -= product * change[b, j]
        square = 0.0
        for j in range(size):
            square += sample[a, j] * sample[a, j]
        length = np.sqrt(square / n)
        logs[a] = np.log(length) if length > 0.0 else -700.0
        for j in range(size):
            sample[a, j] /= max(length, 1e-300)
        for j in range(a + 1):
            change[a, j] /= max(length, 1e-300)
    for a in range(m - 1, -1, -1):
        for i in range(d):
            here = d * (1 + a) + i
            for row in (0, STAGE_ROWS):
                total = 0.0
                for b in range(a + 1):
                    total += change[a, b] * w[row, d * (1 + b) + i]
                w[row, here] = total
            for q in range(first, count):
                for c in range(COEFFICIENTS):
                    total = 0.0
                    for b in range(a + 1):
                        total += change[a, b] * pieces[q, c, d * (1 + b) + i]
                    pieces[q, c, here] = total


@njit(cache=True, nogil=True, error_model="numpy")
def carry_functions(  # type: ignore[no-untyped-def]
    field, start, stop, ranges, knots, pieces, delays, origins, p, warm, duration, spread, scale, rtol, atol, limit,
    max_steps, growth, spans, codes,
):  # fmt: skip
    """Carry rows start to stop: a solution and its tangent functions, for `warm` and then block after block.

    Growth is added to `growth` (rows, blocks, vectors), the length of each block to `spans` (rows, blocks). The time
    between orthonormalisations follows the growth, so that lengths do not differ by much more than exp(spread).
    """
    width, k, d, m = pieces.shape[2], delays.shape[1], scale.shape[0], growth.shape[2]
    w, u, clock, places = (
        np.zeros((ROWS, width)),
        np.zeros((1, (k + 1) * width)),
        np.zeros(CLOCK),
        np.zeros(k, np.int64),
    )
    sample, change = np.zeros((m, max(SAMPLES, PER_VECTOR * m) * d)), np.zeros((m, m))
    value, logs, none = np.zeros((1, width)), np.zeros(m), np.zeros(0)
    for row in range(start, stop):
        first, count = ranges[row, 0], ranges[row, 1] - ranges[row, 0]
        kept, made = copied(knots, pieces, first, count, SPARE)
        parameters, delay, origin, reach = p[row : row + 1], delays[row], origins[row], extent(delays[row])[1]
        clock[COUNT] = count
        begin(field, parameters, delay, origin, kept, made, clock, w, u, places, rtol, atol)
        gap = 0.1 * reach
        for block in range(-1, growth.shape[1]):
            begun = clock[TIME]
            end = warm if block < 0 else begun + duration
            while clock[TIME] < end and clock[CODE] == DONE:
                before = clock[TIME]
                kept, made = march(
                    field, parameters, delay, none, origin, kept, made, clock, w, u, places, min(before + gap, end),
                    reach, rtol, atol, limit, max_steps,
                )  # fmt: skip
                if clock[CODE] != DONE:
                    break
                _orthonormalise(kept, made, clock, w, reach, scale, sample, change, value, logs)
                low, high = logs[0], logs[0]
                for a in range(m):
                    low, high = min(low, logs[a]), max(high, logs[a])
                    if block >= 0:
                        growth[row, block, a] += logs[a]
                widest = max(high - low, abs(high), abs(low))
                span = clock[TIME] - before
                gap = min(reach, max(0.02 * reach, span * min(1.5, max(0.1, spread / (widest + 1e-12)))))
            if block >= 0:
                spans[row, block] = clock[TIME] - begun
        codes[row] = clock[CODE]
