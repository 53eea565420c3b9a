"""Radau IIA of five stages, compiled: implicit, order 9, L-stable, for stiff systems.

z_i = h sum_j a_ij f(t + c_j h, x + z_j),  x(t + h) = x + z_5

E. Hairer and G. Wanner, Solving Ordinary Differential Equations II (1996), section IV.8. The stages are solved by
simplified Newton iterations with the exact Jacobian; the dense output is the collocation polynomial.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from funcspace.dynamics.integrators.calls import call_field
from funcspace.dynamics.integrators.collocation import radau_coefficients
from funcspace.dynamics.integrators.first_step import first_step
from funcspace.dynamics.integrators.outcome import BLOWN_UP, DONE, NOT_FINITE, STEP_TOO_SMALL, TOO_MANY_STEPS

__all__ = ["radau"]

STAGES = 5
NODES, MATRIX, GAMMA, ERROR, LAGRANGE = radau_coefficients(STAGES)
NEWTON = 12


@njit(nogil=True, error_model="numpy")
def _factor(a, pivots):  # type: ignore[no-untyped-def]
    """LU factors in place, with row exchanges."""
    n = a.shape[0]
    for k in range(n):
        best = k
        for i in range(k + 1, n):
            if abs(a[i, k]) > abs(a[best, k]):
                best = i
        pivots[k] = best
        if best != k:
            for j in range(n):
                a[k, j], a[best, j] = a[best, j], a[k, j]
        inverse = 1.0 / a[k, k]
        for i in range(k + 1, n):
            if a[i, k] != 0.0:
                a[i, k] *= inverse
                for j in range(k + 1, n):
                    a[i, j] -= a[i, k] * a[k, j]


@njit(nogil=True, error_model="numpy")
def _solve(a, pivots, x):  # type: ignore[no-untyped-def]
    n = a.shape[0]
    for k in range(n):
        best = pivots[k]
        if best != k:
            x[k], x[best] = x[best], x[k]
    for k in range(n):
        for j in range(k):
            x[k] -= a[k, j] * x[j]
    for k in range(n - 1, -1, -1):
        for j in range(k + 1, n):
            x[k] -= a[k, j] * x[j]
        x[k] /= a[k, k]


@njit(nogil=True, error_model="numpy")
def _dense(theta, w, z, target):  # type: ignore[no-untyped-def]
    """The collocation polynomial at t + theta h, to a row of w; row 0 is the state at t."""
    for i in range(w.shape[1]):
        w[target, i] = w[0, i]
    for j in range(STAGES):
        weight = LAGRANGE[j, 0]
        for k in range(1, STAGES + 1):
            weight = weight * theta + LAGRANGE[j, k]
        for i in range(w.shape[1]):
            w[target, i] += weight * z[j, i]


@njit(nogil=True, error_model="numpy")
def _stages(field, jacobian, t, h, w, z, f, p, row, system, small, jac, pivots, rtol, atol):  # type: ignore[no-untyped-def]
    """Newton's iterations for z: the scaled error of the step, infinity where they do not converge, and the calls."""
    d = w.shape[1]
    call_field(jacobian, t, w, 0, p, row, jac, 0)
    for i in range(d):
        for j in range(d):
            entry = jac[0, i * d + j]
            small[i, j] = (1.0 if i == j else 0.0) - h * GAMMA * entry
            for a in range(STAGES):
                for b in range(STAGES):
                    system[a * d + i, b * d + j] = (1.0 if a == b and i == j else 0.0) - h * MATRIX[a, b] * entry
    _factor(system, pivots[0])
    _factor(small, pivots[1])
    change = np.empty(STAGES * d)
    previous, calls = np.inf, 0
    for attempt in range(NEWTON):
        for j in range(STAGES):
            for i in range(d):
                w[2, i] = w[0, i] + z[j, i]
            call_field(field, t + NODES[j] * h, w, 2, p, row, f, j)
        calls += STAGES
        for a in range(STAGES):
            for i in range(d):
                total = -z[a, i]
                for b in range(STAGES):
                    total += h * MATRIX[a, b] * f[b, i]
                change[a * d + i] = total
        _solve(system, pivots[0], change)
        size = 0.0
        for a in range(STAGES):
            for i in range(d):
                z[a, i] += change[a * d + i]
                size += (change[a * d + i] / (atol[i] + rtol * abs(w[0, i]))) ** 2
        size = np.sqrt(size / (STAGES * d))
        if size < 1e-3 or (attempt > 1 and size < 0.05 and size > 0.5 * previous):  # the limit of rounding
            break
        if not size < 2.0 * previous or attempt == NEWTON - 1:
            return np.inf, calls
        previous = size
    for i in range(d):
        total = h * GAMMA * w[3, i]
        for j in range(STAGES):
            total += ERROR[j] * z[j, i]
        change[i] = total
    _solve(small, pivots[1], change[:d])
    error = 0.0
    for i in range(d):
        w[1, i] = w[0, i] + z[STAGES - 1, i]
        error += (change[i] / (atol[i] + rtol * max(abs(w[0, i]), abs(w[1, i])))) ** 2
    return np.sqrt(error / d), calls


@njit(cache=True, nogil=True, error_model="numpy")
def radau(  # type: ignore[no-untyped-def]
    field,
    jacobian,
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
    """Integrate trajectories start to stop; arguments as in DOP853's driver, with the address of the Jacobian."""
    d, n, wanted = initial.shape[1], times.shape[0], event_times.shape[1]
    w, z, f, g = np.empty((6, d)), np.zeros((STAGES, d)), np.empty((STAGES, d)), np.empty((1, 1))
    system, small, jac = np.empty((STAGES * d, STAGES * d)), np.empty((d, d)), np.empty((1, d * d))
    pivots = np.empty((2, STAGES * d), dtype=np.int64)
    span = times[n - 1] - times[0]
    for row in range(start, stop):
        t, sample, steps, rejected, found, code = times[0], 1, 0, 0, 0, DONE
        for i in range(d):
            w[0, i] = initial[row, i]
            out[row, 0, i] = w[0, i]
        call_field(field, t, w, 0, p, row, w, 3)
        h, calls = first_steps[row], 1
        if h == 0.0:
            h = first_step(field, t, span, w, p, row, rtol, atol, 1.0 / 6.0)
            calls = 2
        h = min(h, longest)
        before = 0.0
        if event != 0:
            call_field(event, t, w, 0, p, row, g, 0)
            before = g[0, 0]
        z[:] = 0.0
        while sample < n:
            if steps + rejected >= max_steps:
                code = TOO_MANY_STEPS
                break
            if not h > 1e-15 * max(abs(t), 1e-3 * span):
                code = STEP_TOO_SMALL
                break
            error, evaluations = _stages(field, jacobian, t, h, w, z, f, p, row, system, small, jac, pivots, rtol, atol)
            calls += evaluations
            if not error < 1.0:
                rejected += 1
                h *= max(0.2, 0.9 * error ** (-1.0 / 6.0)) if np.isfinite(error) else 0.25
                z[:] = 0.0
                continue
            call_field(field, t + h, w, 1, p, row, w, 3)
            calls += 1
            steps += 1
            while sample < n and times[sample] <= t + h:
                _dense((times[sample] - t) / h, w, z, 2)
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
                        _dense(x, w, z, 2)
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
            factor = min(5.0, 0.9 * error ** (-1.0 / 6.0)) if error > 1e-5 else 5.0
            following = min(h * factor, longest)
            # The polynomial of this step, continued, is where the next iteration starts.
            for i in range(d):
                w[5, i] = w[1, i]
            for j in range(STAGES):
                _dense(1.0 + NODES[j] * following / h, w, z, 2)
                for i in range(d):
                    f[j, i] = w[2, i] - w[5, i]
            keep = 1.0 if following < 1.5 * h else 0.0
            for j in range(STAGES):
                for i in range(d):
                    z[j, i] = keep * f[j, i]
            h = following
            largest = 0.0
            for i in range(d):
                w[0, i] = w[5, i]
                largest = max(largest, abs(w[0, i]) * (rtol / atol[i])) if np.isfinite(w[0, i]) else np.inf
            if not largest <= limit:
                code = BLOWN_UP if np.isfinite(largest) else NOT_FINITE
            if code != DONE or (wanted > 0 and found == wanted):
                break
        report[row, 0], report[row, 1], report[row, 2], report[row, 3] = code, sample, steps, rejected
        report[row, 4], report[row, 5], report[row, 6], report[row, 7] = calls, t, h, found
        for i in range(d):
            report[row, 8 + i] = w[0, i]
