r"""The scan of z -> A z + W Phi(z) + h, Phi_i(z) = sum_b alpha_b [phi(z_i - H_ib) - clipped phi(z_i)], phi the ReLU.

Arrays are (unit, time, column): a column is one sequence, and the innermost loops run over columns.
"""

import numba
import numpy as np

from funcspace.dynamics.reconstruction.kernels.forcing_kernels import (
    BLOCK_COLUMNS,
    OPTIONS,
    accumulate_outer,
    add_cotangent,
    add_product,
    force,
    keep_state,
    state_before,
    unforce,
)

__all__ = ["backward_all", "forward_all"]


@numba.njit(inline="always", **OPTIONS)
def _activate(x, slopes, thresholds, clipped, f):
    units, columns = x.shape
    zero = x.dtype.type(0)
    for i in range(units):
        for b in range(columns):
            f[i, b] = 0
        for k in range(slopes.shape[0]):
            a, c = slopes[k], thresholds[i, k]
            for b in range(columns):
                f[i, b] += a * max(x[i, b] - c, zero)
            if clipped:
                for b in range(columns):
                    f[i, b] -= a * max(x[i, b], zero)


@numba.njit(**OPTIONS)
def forward(A, W, h, slopes, thresholds, clipped, start, targets, gain, drive, states):
    """States z_1 .. z_T from the start; targets, gain and drive as in `scan`."""
    units, steps, columns = states.shape
    x, f, z = start.copy(), np.empty_like(start), np.empty_like(start)
    transposed = np.ascontiguousarray(W.T)
    for t in range(steps):
        _activate(x, slopes, thresholds, clipped, f)
        for i in range(units):
            a, c = A[i], h[i]
            for b in range(columns):
                z[i, b] = a * x[i, b] + c
        if drive.shape[0]:
            for i in range(units):
                for b in range(columns):
                    z[i, b] += drive[i, t, b]
        add_product(z, transposed, f)
        keep_state(z, states, t, x)
        if gain[t] != 0:
            force(x, targets, t, gain[t])


@numba.njit(**OPTIONS)
def backward(
    A, W, h, slopes, thresholds, clipped, start, targets, gain, states, of_states,
    of_start, of_targets, of_drive, of_A, of_W, of_h, of_slopes, of_thresholds,
):  # fmt: skip
    """Cotangents of the start, the targets, the drive and the parameters from those of the states."""
    units, steps, columns = states.shape
    bases = slopes.shape[0]
    per_block = max(1, BLOCK_COLUMNS // columns)
    lefts = np.empty((units, per_block * columns), states.dtype)
    rights = np.empty((units, per_block * columns), states.dtype)
    x, f = np.empty_like(start), np.empty_like(start)
    cotangent, delta, through = np.zeros_like(start), np.empty_like(start), np.empty_like(start)
    zero = states.dtype.type(0)
    filled = 0
    for t in range(steps - 1, -1, -1):
        if gain[t] != 0 and t < steps - 1:
            unforce(cotangent, targets, t, gain[t], of_targets)
        add_cotangent(delta, of_states, cotangent, t, of_drive)
        state_before(x, start, states, targets, gain, t)
        _activate(x, slopes, thresholds, clipped, f)
        for i in range(units):
            s, r = of_h[i], of_A[i]
            for b in range(columns):
                s += delta[i, b]
                r += delta[i, b] * x[i, b]
            of_h[i], of_A[i] = s, r
            for b in range(columns):
                lefts[i, filled + b] = delta[i, b]
                rights[i, filled + b] = f[i, b]
        filled += columns
        if filled == per_block * columns or t == 0:
            accumulate_outer(of_W, lefts, rights, filled)
            filled = 0
        for i in range(units):
            for b in range(columns):
                through[i, b] = 0
        add_product(through, W, delta)  # W itself is the transposed matrix of W^T
        for i in range(units):
            a = A[i]
            for b in range(columns):
                cotangent[i, b] = a * delta[i, b]
            for k in range(bases):
                a, c = slopes[k], thresholds[i, k]
                rise, shift = zero, zero
                for b in range(columns):
                    g = through[i, b]
                    above = g if x[i, b] > c else zero
                    base = g if (clipped and x[i, b] > 0) else zero
                    rise += above * (x[i, b] - c) - base * x[i, b]
                    shift += above
                    cotangent[i, b] += a * (above - base)
                of_slopes[k] += rise
                of_thresholds[i, k] -= a * shift
    of_start[:] = cotangent


@numba.njit(**OPTIONS)
def forward_all(first, last, A, W, h, slopes, thresholds, clipped, start, targets, gain, drive, states):
    """The scans of replicas first .. last - 1, which every array but the options numbers in front."""
    for r in range(first, last):
        forward(A[r], W[r], h[r], slopes[r], thresholds[r], clipped, start[r], targets[r], gain[r], drive[r], states[r])


@numba.njit(**OPTIONS)
def backward_all(
    first, last, A, W, h, slopes, thresholds, clipped, start, targets, gain, states, of_states,
    of_start, of_targets, of_drive, of_A, of_W, of_h, of_slopes, of_thresholds,
):  # fmt: skip
    """The adjoints of the same replicas."""
    for r in range(first, last):
        backward(
            A[r], W[r], h[r], slopes[r], thresholds[r], clipped, start[r], targets[r], gain[r], states[r], of_states[r],
            of_start[r], of_targets[r], of_drive[r], of_A[r], of_W[r], of_h[r], of_slopes[r], of_thresholds[r],
        )  # fmt: skip
