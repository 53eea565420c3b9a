"""Iteration of compiled maps."""

from __future__ import annotations

import numpy as np
from numba import njit

from funcspace.dynamics.integrators.calls import call_field
from funcspace.dynamics.integrators.outcome import BLOWN_UP, DONE

__all__ = ["iterate"]


@njit(cache=True, nogil=True, error_model="numpy")
def iterate(field, start, stop, initial, p, skip, every, limit, out, report):  # type: ignore[no-untyped-def]
    """Iterates x_(k+1) = f(x_k): after `skip` of them every `every`-th goes to out (batch, samples, dimension)."""
    d, n = initial.shape[1], out.shape[1]
    w = np.empty((2, d))
    for row in range(start, stop):
        code, k, last = DONE, 0, skip + (n - 1) * every
        for i in range(d):
            w[0, i] = initial[row, i]
        while True:
            if k >= skip and (k - skip) % every == 0:
                for i in range(d):
                    out[row, (k - skip) // every, i] = w[0, i]
            if k == last:
                break
            call_field(field, float(k), w, 0, p, row, w, 1)
            largest = 0.0
            for i in range(d):
                largest = max(largest, abs(w[1, i])) if np.isfinite(w[1, i]) else np.inf
            if not largest <= limit:
                code = BLOWN_UP
                break
            k += 1
            for i in range(d):
                w[0, i] = w[1, i]
        report[row, 0], report[row, 1] = code, k
        for i in range(d):
            report[row, 2 + i] = w[0, i]
