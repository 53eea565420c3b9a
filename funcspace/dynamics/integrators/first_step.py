"""The length of the first step of an adaptive integration."""

from __future__ import annotations

import numpy as np
from numba import njit

from funcspace.dynamics.integrators.calls import call_field

__all__ = ["first_step"]


@njit(nogil=True, error_model="numpy")
def first_step(field, t, duration, w, p, row, rtol, atol, exponent):  # type: ignore[no-untyped-def]
    """A step whose explicit Euler step changes the state and the slope by little, measured by the tolerance.

    E. Hairer, S. P. Norsett and G. Wanner, Solving Ordinary Differential Equations I (1993), section II.4. Row 0 of w
    holds the state, row 3 its derivative; rows 2 and 4 are overwritten.
    """
    d = w.shape[1]
    d0, d1, d2 = 0.0, 0.0, 0.0
    for i in range(d):
        scale = atol[i] + rtol * abs(w[0, i])
        d0 += (w[0, i] / scale) ** 2
        d1 += (w[3, i] / scale) ** 2
    h = 1e-6 * duration if d0 < 1e-10 or d1 < 1e-10 else 0.01 * np.sqrt(d0 / d1)
    h = min(h, duration)
    for i in range(d):
        w[2, i] = w[0, i] + h * w[3, i]
    call_field(field, t + h, w, 2, p, row, w, 4)
    for i in range(d):
        d2 += ((w[4, i] - w[3, i]) / (atol[i] + rtol * abs(w[0, i]))) ** 2
    slope = max(np.sqrt(d1 / d), np.sqrt(d2 / d) / h) if h > 0.0 else 0.0
    return min(100.0 * h, (0.01 / slope) ** exponent) if slope > 1e-15 else h
