"""Tsit5 compiled: an explicit Runge-Kutta method of order 5 with dense output of order 4.

x(t + h) = x(t) + h sum_i b_i k_i,  k_i = f(t + c_i h, x + h sum_{j<i} a_ij k_j),  6 stages and the next k_1

Ch. Tsitouras, Computers & Mathematics with Applications 62 (2011), 770-775.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from funcspace.dynamics.integrators.calls import call_field
from funcspace.dynamics.integrators.first_step import first_step
from funcspace.dynamics.integrators.outcome import ACROSS, BLOWN_UP, DONE, NOT_FINITE, STEP_TOO_SMALL, TOO_MANY_STEPS
from funcspace.dynamics.integrators.tsit5_table import ERROR, MATRIX, NODES

__all__ = ["tsit5"]

ROWS = 10


@njit(nogil=True, error_model="numpy")
def _dense(x, h, w, target):  # type: ignore[no-untyped-def]
    """The state at t + x h to a row of w: row 0 the state at t, rows 3 to 9 the stages."""
    q = x * x
    b1 = -1.0530884977290216 * x * (x - 1.3299890189751412) * (q - 1.4364028541716351 * x + 0.7139816917074209)
    b2 = 0.1017 * q * (q - 2.1966568338249754 * x + 1.2949852507374631)
    b3 = 2.490627285651252793 * q * (q - 2.38535645472061657 * x + 1.57803468208092486)
    b4 = -16.54810288924490272 * (x - 1.21712927295533244) * (x - 0.61620406037800089) * q
    b5 = 47.37952196281928122 * (x - 1.203071208372362603) * (x - 0.658047292653547382) * q
    b6 = -34.87065786149660974 * (x - 1.2) * (x - 2.0 / 3.0) * q
    b7 = 2.5 * (x - 1.0) * (x - 0.6) * q
    for i in range(w.shape[1]):
        w[target, i] = w[0, i] + h * (
            b1 * w[3, i] + b2 * w[4, i] + b3 * w[5, i] + b4 * w[6, i] + b5 * w[7, i] + b6 * w[8, i] + b7 * w[9, i]
        )


@njit(cache=True, nogil=True, error_model="numpy")
def tsit5(  # type: ignore[no-untyped-def]
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
    """Integrate trajectories start to stop; arguments as in DOP853's driver."""
    d, n, wanted = initial.shape[1], times.shape[0], event_times.shape[1]
    w, g = np.empty((ROWS, d)), np.empty((1, 1))
    span = times[n - 1] - times[0]
    for row in range(start, stop):
        t, sample, steps, rejected, found, across, code = times[0], 1, 0, 0, 0, 0, DONE
        for i in range(d):
            w[0, i] = initial[row, i]
            out[row, 0, i] = w[0, i]
        call_field(field, t, w, 0, p, row, w, 3)
        h, calls = first_steps[row], 1
        if h == 0.0:
            h = first_step(field, t, span, w, p, row, rtol, atol, 0.2)
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
            smallest = 1e-15 * max(abs(t), 1e-3 * span)
            if not h > smallest:
                if across == ACROSS:
                    code = STEP_TOO_SMALL
                    break
                across, h = across + 1, smallest
            for s in range(1, 7):
                target = 1 if s == 6 else 2
                for i in range(d):
                    total = 0.0
                    for j in range(s):
                        total += MATRIX[s, j] * w[3 + j, i]
                    w[target, i] = w[0, i] + h * total
                call_field(field, t + NODES[s] * h, w, target, p, row, w, 3 + s)
            calls += 6
            error = 0.0
            for i in range(d):
                total = 0.0
                for j in range(7):
                    total += ERROR[j] * w[3 + j, i]
                error += (h * total / (atol[i] + rtol * max(abs(w[0, i]), abs(w[1, i])))) ** 2
            error = np.sqrt(error / d)
            if not error < 1.0 and not (h == smallest and np.isfinite(error)):
                rejected += 1
                finite = np.isfinite(error)
                h *= max(0.2, 0.9 * error**-0.2) if finite else 0.1
                if not finite and not h > 1e-12 * max(abs(t), 1e-3 * span):
                    code = NOT_FINITE
                    break
                continue
            steps += 1
            across = 0 if error < 1.0 else across
            while sample < n and times[sample] <= t + h:
                _dense((times[sample] - t) / h, h, w, 2)
                for i in range(d):
                    out[row, sample, i] = w[2, i]
                sample += 1
            if event != 0:
                call_field(event, t + h, w, 1, p, row, g, 0)
                after = g[0, 0]
                up, down = before < 0.0 <= after, before > 0.0 >= after
                if (up and direction >= 0) or (down and direction <= 0):
                    low, high, x = 0.0, 1.0, 0.5
                    for _ in range(52):
                        x = 0.5 * (low + high)
                        _dense(x, h, w, 2)
                        call_field(event, t + x * h, w, 2, p, row, g, 0)
                        if (g[0, 0] < 0.0) == (before < 0.0):
                            low = x
                        else:
                            high = x
                    event_times[row, found] = t + x * h
                    for i in range(d):
                        event_states[row, found, i] = w[2, i]
                    found += 1
                before = after
            t += h
            largest = 0.0
            for i in range(d):
                w[0, i] = w[1, i]
                w[3, i] = w[9, i]
                largest = max(largest, abs(w[0, i]) * (rtol / atol[i]))
            if largest > limit:
                code = BLOWN_UP
            if code != DONE or (wanted > 0 and found == wanted):
                break
            h = min(h * (min(5.0, 0.9 * error**-0.2) if error > 1e-6 else 5.0), longest)
        report[row, 0], report[row, 1], report[row, 2], report[row, 3] = code, sample, steps, rejected
        report[row, 4], report[row, 5], report[row, 6], report[row, 7] = calls, t, h, found
        for i in range(d):
            report[row, 8 + i] = w[0, i]
