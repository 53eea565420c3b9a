"""DOP853 compiled: an explicit Runge-Kutta method of order 8 with dense output of order 7.

x(t + h) = x(t) + h sum_i b_i k_i,  k_i = f(t + c_i h, x + h sum_{j<i} a_ij k_j),  12 stages, 3 more for dense output

E. Hairer, S. P. Norsett and G. Wanner, Solving Ordinary Differential Equations I (1993), section II.10; the error
estimate combines those of order 5 and 3. Stiffness is seen as there: h |k_12 - k_11| / |x_12 - x_11| estimates
h |lambda| and lies outside the domain of stability fifteen times.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import njit

from funcspace.dynamics.integrators.calls import call_field
from funcspace.dynamics.integrators.dop853_table import DENSE, ERROR_3, ERROR_5, MATRIX, NODES
from funcspace.dynamics.integrators.first_step import first_step
from funcspace.dynamics.integrators.fused import combination_of, fused
from funcspace.dynamics.integrators.outcome import (
    ACROSS,
    BLOWN_UP,
    DONE,
    NOT_FINITE,
    STEP_TOO_SMALL,
    STIFF,
    TOO_MANY_STEPS,
)

__all__ = ["ROWS", "dop853"]

ROWS = 26
SPECIALISED = (3,)
STAGES = 3  # the row of the first stage
slope, shape = combination_of(MATRIX, STAGES), combination_of(DENSE, STAGES)
error_of = combination_of([ERROR_5, ERROR_3], STAGES)


def dop853(dimension: int) -> Any:
    """The compiled driver; for the commonest dimension one whose loops over components are unrolled."""
    return _compiled(dimension if dimension in SPECIALISED else 0)


@cache
def _compiled(dimension: int) -> Any:
    @njit(cache=True, nogil=True, error_model="numpy")
    def integrate(
        field,
        event,
        direction,
        start,
        stop,
        initial,
        p,
        times,
        out,
        rtol,
        atol,
        limit,
        first_steps,
        longest,
        max_steps,
        detect,
        event_times,
        event_states,
        report,
    ):
        d = dimension if dimension > 0 else initial.shape[1]
        n, wanted = times.shape[0], event_times.shape[1]
        w = np.empty((ROWS, d))
        g = np.empty((1, 1))
        end = times[n - 1]
        for row in range(start, stop):
            t = times[0]
            for i in range(d):
                w[0, i] = initial[row, i]
                out[row, 0, i] = w[0, i]
            sample, steps, rejected, found = 1, 0, 0, 0
            suspicious, innocent, across = 0, 0, 0
            code = DONE
            call_field(field, t, w, 0, p, row, w, 3)
            h, calls = first_steps[row], 1
            if h == 0.0:
                h = first_step(field, t, end - t, w, p, row, rtol, atol, 0.125)
                calls = 2
            h = min(h, longest)
            before = 0.0
            if event != 0:
                call_field(event, t, w, 0, p, row, g, 0)
                before = g[0, 0]
            while sample < n:
                if steps + rejected >= max_steps:
                    code = TOO_MANY_STEPS
                    break
                smallest = 1e-15 * max(abs(t), 1e-3 * (end - times[0]))
                if not h > smallest:
                    if across == ACROSS:
                        code = STEP_TOO_SMALL
                        break
                    across, h = across + 1, smallest
                for i in range(d):
                    w[2, i] = fused(h, slope(1, w, i), w[0, i])
                call_field(field, t + NODES[1] * h, w, 2, p, row, w, 4)
                for i in range(d):
                    w[2, i] = fused(h, slope(2, w, i), w[0, i])
                call_field(field, t + NODES[2] * h, w, 2, p, row, w, 5)
                for i in range(d):
                    w[2, i] = fused(h, slope(3, w, i), w[0, i])
                call_field(field, t + NODES[3] * h, w, 2, p, row, w, 6)
                for i in range(d):
                    w[2, i] = fused(h, slope(4, w, i), w[0, i])
                call_field(field, t + NODES[4] * h, w, 2, p, row, w, 7)
                for i in range(d):
                    w[2, i] = fused(h, slope(5, w, i), w[0, i])
                call_field(field, t + NODES[5] * h, w, 2, p, row, w, 8)
                for i in range(d):
                    w[2, i] = fused(h, slope(6, w, i), w[0, i])
                call_field(field, t + NODES[6] * h, w, 2, p, row, w, 9)
                for i in range(d):
                    w[2, i] = fused(h, slope(7, w, i), w[0, i])
                call_field(field, t + NODES[7] * h, w, 2, p, row, w, 10)
                for i in range(d):
                    w[2, i] = fused(h, slope(8, w, i), w[0, i])
                call_field(field, t + NODES[8] * h, w, 2, p, row, w, 11)
                for i in range(d):
                    w[2, i] = fused(h, slope(9, w, i), w[0, i])
                call_field(field, t + NODES[9] * h, w, 2, p, row, w, 12)
                for i in range(d):
                    w[2, i] = fused(h, slope(10, w, i), w[0, i])
                call_field(field, t + NODES[10] * h, w, 2, p, row, w, 13)
                for i in range(d):
                    w[2, i] = fused(h, slope(11, w, i), w[0, i])
                call_field(field, t + h, w, 2, p, row, w, 14)
                for i in range(d):
                    w[1, i] = fused(h, slope(12, w, i), w[0, i])
                error5, error3 = 0.0, 0.0
                for i in range(d):
                    e5 = error_of(0, w, i)
                    e3 = error_of(1, w, i)
                    scale = atol[i] + rtol * max(abs(w[0, i]), abs(w[1, i]))
                    error5 += (e5 / scale) ** 2
                    error3 += (e3 / scale) ** 2
                weight = error5 + 0.01 * error3
                error = 0.0 if weight == 0.0 else h * error5 / np.sqrt(d * weight)
                calls += 11
                if not error < 1.0 and not (h == smallest and np.isfinite(error)):
                    rejected += 1
                    finite = np.isfinite(error)
                    h *= max(0.2, 0.9 / np.sqrt(np.sqrt(np.sqrt(error)))) if finite else 0.1
                    if not finite and not h > 1e-12 * max(abs(t), 1e-3 * (end - times[0])):
                        code = NOT_FINITE
                        break
                    continue
                call_field(field, t + h, w, 1, p, row, w, 15)
                calls += 1
                steps += 1
                across = 0 if error < 1.0 else across
                if detect:
                    change, distance = 0.0, 0.0
                    for i in range(d):
                        change += (w[15, i] - w[14, i]) ** 2
                        distance += (w[1, i] - w[2, i]) ** 2
                    if distance > 0.0 and h * h * change > 37.2 * distance:
                        innocent = 0
                        suspicious += 1
                        if suspicious == 15:
                            code = STIFF
                    elif suspicious > 0:
                        innocent += 1
                        if innocent == 6:
                            suspicious = 0
                crossed = False
                after = 0.0
                if event != 0:
                    call_field(event, t + h, w, 1, p, row, g, 0)
                    after = g[0, 0]
                    up, down = before < 0.0 <= after, before > 0.0 >= after
                    crossed = (up and direction >= 0) or (down and direction <= 0)
                if crossed or times[sample] <= t + h:
                    # The three stages and the polynomial of the dense output.
                    for i in range(d):
                        w[2, i] = fused(h, slope(13, w, i), w[0, i])
                    call_field(field, t + NODES[13] * h, w, 2, p, row, w, 16)
                    for i in range(d):
                        w[2, i] = fused(h, slope(14, w, i), w[0, i])
                    call_field(field, t + NODES[14] * h, w, 2, p, row, w, 17)
                    for i in range(d):
                        w[2, i] = fused(h, slope(15, w, i), w[0, i])
                    call_field(field, t + NODES[15] * h, w, 2, p, row, w, 18)
                    for i in range(d):
                        w[19, i] = w[1, i] - w[0, i]
                        w[20, i] = h * w[3, i] - w[19, i]
                        w[21, i] = w[19, i] - h * w[15, i] - w[20, i]
                        w[22, i] = h * shape(0, w, i)
                        w[23, i] = h * shape(1, w, i)
                        w[24, i] = h * shape(2, w, i)
                        w[25, i] = h * shape(3, w, i)
                    calls += 3
                    while sample < n and times[sample] <= t + h:
                        x = (times[sample] - t) / h
                        y = 1.0 - x
                        for i in range(d):
                            inner = fused(y, fused(x, w[25, i], w[24, i]), w[23, i])
                            inner = fused(x, fused(y, fused(x, inner, w[22, i]), w[21, i]), w[20, i])
                            out[row, sample, i] = fused(x, fused(y, inner, w[19, i]), w[0, i])
                        sample += 1
                    if crossed:
                        x, low, high, value_low, value_high = 0.5, 0.0, 1.0, before, after
                        for attempt in range(60):
                            x = (low * value_high - high * value_low) / (value_high - value_low)
                            if attempt % 3 == 2 or not low < x < high:
                                x = 0.5 * (low + high)
                            y = 1.0 - x
                            for i in range(d):
                                inner = fused(y, fused(x, w[25, i], w[24, i]), w[23, i])
                                inner = fused(x, fused(y, fused(x, inner, w[22, i]), w[21, i]), w[20, i])
                                w[2, i] = fused(x, fused(y, inner, w[19, i]), w[0, i])
                            call_field(event, t + x * h, w, 2, p, row, g, 0)
                            value = g[0, 0]
                            if value == 0.0 or high - low < 1e-15:
                                break
                            if (value < 0.0) == (value_low < 0.0):
                                low, value_low = x, value
                            else:
                                high, value_high = x, value
                        event_times[row, found] = t + x * h
                        for i in range(d):
                            event_states[row, found, i] = w[2, i]
                        found += 1
                before = after
                t += h
                largest = 0.0
                for i in range(d):
                    w[0, i] = w[1, i]
                    w[3, i] = w[15, i]
                    largest = max(largest, abs(w[0, i]) * (rtol / atol[i]))
                if largest > limit:
                    code = BLOWN_UP
                if code != DONE or (wanted > 0 and found == wanted):
                    break
                factor = 0.9 / np.sqrt(np.sqrt(np.sqrt(error))) if error > 1e-12 else 6.0
                h = min(h * min(6.0, factor), longest)
            report[row, 0], report[row, 1], report[row, 2], report[row, 3] = code, sample, steps, rejected
            report[row, 4], report[row, 5], report[row, 6], report[row, 7] = calls, t, h, found
            for i in range(d):
                report[row, 8 + i] = w[0, i]

    return integrate
