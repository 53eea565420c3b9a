"""Constant steps: the classical Runge-Kutta method, and Yoshida's symplectic composition."""

from __future__ import annotations

import numpy as np
from numba import njit

from funcspace.dynamics.integrators.calls import call_field
from funcspace.dynamics.integrators.outcome import BLOWN_UP, DONE, NOT_FINITE, TOO_MANY_STEPS

__all__ = ["rk4", "yoshida"]

# Yoshida, Phys. Lett. A 150 (1990): three leapfrog steps of lengths w1, w0, w1 times h make one of order 4.
W1 = 1.0 / (2.0 - 2.0 ** (1.0 / 3.0))
W0 = 1.0 - 2.0 * W1


@njit(nogil=True, error_model="numpy")
def _rk4_step(field, t, h, w, p, row):  # type: ignore[no-untyped-def]
    d = w.shape[1]
    call_field(field, t, w, 0, p, row, w, 2)
    for i in range(d):
        w[1, i] = w[0, i] + 0.5 * h * w[2, i]
    call_field(field, t + 0.5 * h, w, 1, p, row, w, 3)
    for i in range(d):
        w[1, i] = w[0, i] + 0.5 * h * w[3, i]
    call_field(field, t + 0.5 * h, w, 1, p, row, w, 4)
    for i in range(d):
        w[1, i] = w[0, i] + h * w[4, i]
    call_field(field, t + h, w, 1, p, row, w, 5)
    for i in range(d):
        w[0, i] += h / 6.0 * (w[2, i] + 2.0 * (w[3, i] + w[4, i]) + w[5, i])


@njit(nogil=True, error_model="numpy")
def _yoshida_step(field, t, h, w, p, row):  # type: ignore[no-untyped-def]
    d = w.shape[1]
    half = d // 2
    for weight in (W1, W0, W1):
        for kick in (0.5, 1.0, 0.5):
            call_field(field, t, w, 0, p, row, w, 2)
            if kick == 1.0:
                for i in range(half):
                    w[0, i] += weight * h * w[2, i]
            else:
                for i in range(half, d):
                    w[0, i] += kick * weight * h * w[2, i]


def _driver(symplectic):  # type: ignore[no-untyped-def]
    @njit(cache=True, nogil=True, error_model="numpy")
    def integrate(
        field,
        longest,
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
        unused,
        max_steps,
        detect,
        event_times,
        event_states,
        report,
    ):
        d, n = initial.shape[1], times.shape[0]
        w = np.empty((6, d))
        for row in range(start, stop):
            t, steps, sample, code = times[0], 0, 1, DONE
            for i in range(d):
                w[0, i] = initial[row, i]
                out[row, 0, i] = w[0, i]
            while sample < n and code == DONE:
                # As many equal steps as lead exactly to the next instant.
                count = max(1, int(np.ceil((times[sample] - times[sample - 1]) / longest - 1e-9)))
                h = (times[sample] - times[sample - 1]) / count
                if steps + count > max_steps:
                    code = TOO_MANY_STEPS
                    break
                for k in range(count):
                    if symplectic:
                        _yoshida_step(field, times[sample - 1] + k * h, h, w, p, row)
                    else:
                        _rk4_step(field, times[sample - 1] + k * h, h, w, p, row)
                steps += count
                largest = 0.0
                for i in range(d):
                    largest = max(largest, abs(w[0, i]) * (rtol / atol[i])) if np.isfinite(w[0, i]) else np.inf
                if not largest <= limit:
                    code = BLOWN_UP if np.isfinite(largest) else NOT_FINITE
                    break
                t = times[sample]
                for i in range(d):
                    out[row, sample, i] = w[0, i]
                sample += 1
            report[row, 0], report[row, 1], report[row, 2], report[row, 3] = code, sample, steps, 0
            report[row, 4], report[row, 5], report[row, 6], report[row, 7] = (
                (9 if symplectic else 4) * steps,
                t,
                longest,
                0,
            )
            for i in range(d):
                report[row, 8 + i] = w[0, i] if code == DONE else out[row, sample - 1, i]

    return integrate


rk4, yoshida = _driver(False), _driver(True)
