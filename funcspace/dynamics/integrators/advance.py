"""States carried along their orbits, each for a time of its own."""

from __future__ import annotations

import numpy as np
from numba import njit

from funcspace.dynamics.integrators.dop853 import dop853

__all__ = ["advance"]

_integrate = dop853(0)


@njit(cache=True, nogil=True, error_model="numpy")
def advance(field, start, stop, states, p, origins, durations, rtol, atol, limit, max_steps, codes):  # type: ignore[no-untyped-def]
    """Replace rows start to stop of the states by those after their durations; codes tell how each ended."""
    d = states.shape[1]
    first, out, guess, times = np.empty((1, d)), np.empty((1, 2, d)), np.zeros(1), np.empty(2)
    nothing, none, told = np.empty((1, 0)), np.empty((1, 0, d)), np.empty((1, 8 + d))
    for row in range(start, stop):
        codes[row] = 0
        if durations[row] > 0.0:
            first[0, :] = states[row]
            times[0], times[1] = origins[row], origins[row] + durations[row]
            _integrate(
                field, 0, 0, 0, 1, first, p[row : row + 1], times, out, rtol, atol, limit, guess, np.inf,
                max_steps, False, nothing, none, told,
            )  # fmt: skip
            codes[row] = int(told[0, 0])
            states[row, :] = out[0, 1]
