"""Compiled right-hand sides that call others by address, and the separation of two neighbouring orbits."""

# One compiled field serves every pair of founders, so that a candidate costs no compilation: the addresses of the two
# right-hand sides are entries of the parameters (a double holds a 48-bit address exactly).

import numpy as np
from numba import carray, cfunc, njit, types  # pyright: ignore[reportPrivateImportUsage]

from funcspace.dynamics.integrators.calls import call_field
from funcspace.dynamics.integrators.dop853 import dop853
from funcspace.dynamics.integrators.outcome import BLOWN_UP, DONE, TOO_MANY_STEPS

HEAD = 8
_pointer = types.CPointer(types.float64)
_signature = types.void(types.float64, _pointer, _pointer, _pointer)
_integrate = dop853(0)


@cfunc(_signature, cache=True, error_model="numpy")
def coupled(t, state, parameters, out):
    """The skew product x' = f_a(x), y_i' = r (f_b,i(y) + g_i f_a,s(i)(x)).

    Parameters: addresses of f_a and f_b, lengths of x and y, numbers of parameters of both, the pace r, a free
    entry; then those parameters, the gains g and the sources s (negative for none).
    """
    head = carray(parameters, (HEAD,))
    first, second, n, m = int(head[0]), int(head[1]), int(head[2]), int(head[3])
    after_a = HEAD + int(head[4])
    gains = after_a + int(head[5])
    sources = gains + m
    p = carray(parameters, (sources + m, 1))
    x, f = carray(state, (n + m, 1)), carray(out, (n + m, 1))
    call_field(first, t, x, 0, p, HEAD, f, 0)
    if m > 0:
        call_field(second, t, x, n, p, after_a, f, n)
        for i in range(m):
            source = int(p[sources + i, 0])
            if source >= 0:
                f[n + i, 0] += p[gains + i, 0] * f[source, 0]
            f[n + i, 0] *= head[6]


@cfunc(_signature, cache=True, error_model="numpy")
def doubled(t, state, parameters, out):
    """Two copies of a field side by side; parameters: its address, its dimension, then its own."""
    p = carray(parameters, (3, 1))
    address, d = int(p[0, 0]), int(p[1, 0])
    x, f = carray(state, (2 * d, 1)), carray(out, (2 * d, 1))
    call_field(address, t, x, 0, p, 2, f, 0)
    call_field(address, t, x, d, p, 2, f, d)


@njit(cache=True, nogil=True, error_model="numpy")
def separation(field, state, p, duration, interval, longest, size, scale, rtol, atol, limit, max_steps, told):
    """Growth of the distance of two orbits over a time, renewed to `size` (in scales) before it is large.

    `state` (1, 2 d) holds both and is carried on; `told` gets how it ended, the steps, and the interval between
    renewals, which follows the growth.
    """
    d = state.shape[1] // 2
    out, report = np.empty((1, 2, 2 * d)), np.empty((1, 8 + 2 * d))
    first, times, guess = np.empty((1, 2 * d)), np.empty(2), np.zeros(1)
    nothing, none = np.empty((1, 0)), np.empty((1, 0, 2 * d))
    elapsed, growth, steps, code = 0.0, 0.0, 0.0, DONE
    while elapsed < duration * (1.0 - 1e-12):
        span = min(interval, duration - elapsed)
        times[0], times[1] = 0.0, span
        guess[0] = min(guess[0], span)
        first[0, :] = state[0]
        _integrate(
            field, 0, 0, 0, 1, first, p, times, out, rtol, atol, limit, guess, np.inf, max_steps, False, nothing, none,
            report,
        )  # fmt: skip
        steps += report[0, 2] + report[0, 3]
        if report[0, 0] != DONE or steps > max_steps:
            code = int(report[0, 0]) if report[0, 0] != DONE else TOO_MANY_STEPS
            break
        square = 0.0
        for i in range(d):
            square += ((out[0, 1, d + i] - out[0, 1, i]) / scale[i]) ** 2
        distance = np.sqrt(square)
        if not (distance > 0.0 and np.isfinite(distance)):
            code = BLOWN_UP
            break
        rate = np.log(distance / size)
        if rate > 6.0 and span > 1e-3 * longest:
            interval = 0.5 * span  # so far apart the distance no longer grows like a tangent vector: again
            continue
        for i in range(d):
            state[0, i] = out[0, 1, i]
            state[0, d + i] = out[0, 1, i] + (out[0, 1, d + i] - out[0, 1, i]) * (size / distance)
        growth += rate
        elapsed += span
        guess[0] = report[0, 6]
        interval = min(longest, span * min(2.0, max(0.3, 3.0 / (abs(rate) + 1e-12))))
    told[0], told[1], told[2] = code, steps, interval
    return growth
