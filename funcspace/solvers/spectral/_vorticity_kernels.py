"""Compiled parts of the transport of vorticity: what stands between its two complex Fourier transforms.

The velocity is one complex field z = u + i v, with transform (k_x + i k_y) w(k) / |k|^2, and its square holds both
products that transport needs. Arrays are as in `Modes`, the waves along y first: (batch, K_y + 1, n_x) for spectra of
real functions, (batch, n_y, n_x) for those of complex ones. Index -k of a wave is (n - k) mod n.
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

from numba import njit

__all__ = ["transport", "velocity"]

_compiled: Any = partial(cast(Any, njit), cache=True, nogil=True, fastmath={"contract", "nsz"}, error_model="numpy")


@_compiled
def velocity(w, symbol, z):
    """The transform of u + i v from that of the vorticity; the symbol is odd, w(-k) is the conjugate of w(k)."""
    kept, nx = w.shape[1], w.shape[2]
    ny = z.shape[1]
    for b in range(w.shape[0]):
        for i in range(kept):
            for j in range(nx):
                z[b, i, j] = symbol[i, j] * w[b, i, j]
        for i in range(kept, ny - kept + 1):
            for j in range(nx):
                z[b, i, j] = 0.0
        for i in range(1, kept):
            z[b, ny - i, 0] = -symbol[i, 0] * w[b, i, 0].conjugate()
            for j in range(1, nx):
                z[b, ny - i, nx - j] = -symbol[i, j] * w[b, i, j].conjugate()


@_compiled
def transport(q, symbol, forcing, n):
    """N = f + c q(k) + conj(c q(-k)), q the transform of (u + i v)^2 and c = -i (k_x - i k_y)^2 / 4."""
    kept, nx = n.shape[1], n.shape[2]
    ny = q.shape[1]
    for b in range(n.shape[0]):
        for i in range(kept):
            k = 0 if i == 0 else ny - i
            n[b, i, 0] = forcing[i, 0] + symbol[i, 0] * q[b, i, 0] + (symbol[i, 0] * q[b, k, 0]).conjugate()
            for j in range(1, nx):
                there = (symbol[i, j] * q[b, k, nx - j]).conjugate()
                n[b, i, j] = forcing[i, j] + symbol[i, j] * q[b, i, j] + there
