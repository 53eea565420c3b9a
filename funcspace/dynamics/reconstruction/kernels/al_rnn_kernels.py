r"""The scan of z -> A z + W phi(z) + h with phi the ReLU on the last `relu` units, all of them for the vanilla PLRNN.

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
def _activate(x, relu, centred, f):
    units, columns = x.shape
    for i in range(units):
        for b in range(columns):
            f[i, b] = x[i, b]
    if centred:
        mean = np.zeros(columns, x.dtype)
        for i in range(units):
            for b in range(columns):
                mean[b] += x[i, b]
        for i in range(units):
            for b in range(columns):
                f[i, b] -= mean[b] / units
    for i in range(units - relu, units):
        for b in range(columns):
            f[i, b] = max(f[i, b], x.dtype.type(0))


@numba.njit(**OPTIONS)
def forward(A, W, h, relu, centred, start, targets, gain, drive, states):
    """States z_1 .. z_T from the start; targets, gain and drive as in `scan`."""
    units, steps, columns = states.shape
    x, f, z = start.copy(), np.empty_like(start), np.empty_like(start)
    transposed = np.ascontiguousarray(W.T)
    for t in range(steps):
        _activate(x, relu, centred, f)
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
    A, W, h, relu, centred, start, targets, gain, states, of_states, of_start, of_targets, of_drive, of_A, of_W, of_h
):
    """Cotangents of the start, the targets, the drive and the parameters from those of the states."""
    units, steps, columns = states.shape
    per_block = max(1, BLOCK_COLUMNS // columns)
    lefts = np.empty((units, per_block * columns), states.dtype)
    rights = np.empty((units, per_block * columns), states.dtype)
    x, f = np.empty_like(start), np.empty_like(start)
    cotangent, delta, through = np.zeros_like(start), np.empty_like(start), np.empty_like(start)
    filled = 0
    for t in range(steps - 1, -1, -1):
        if gain[t] != 0 and t < steps - 1:
            unforce(cotangent, targets, t, gain[t], of_targets)
        add_cotangent(delta, of_states, cotangent, t, of_drive)
        state_before(x, start, states, targets, gain, t)
        _activate(x, relu, centred, f)
        for i in range(units):
            s, r = of_h[i], of_A[i]
            for b in range(columns):
                s += delta[i, b]
                r += delta[i, b] * x[i, b]
            of_h[i], of_A[i] = s, r
        for i in range(units):
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
        for i in range(units - relu, units):
            for b in range(columns):
                if not f[i, b] > 0:
                    through[i, b] = 0
        if centred:
            mean = np.zeros(columns, states.dtype)
            for i in range(units):
                for b in range(columns):
                    mean[b] += through[i, b]
            for i in range(units):
                for b in range(columns):
                    through[i, b] -= mean[b] / units
        for i in range(units):
            a = A[i]
            for b in range(columns):
                cotangent[i, b] = a * delta[i, b] + through[i, b]
    of_start[:] = cotangent


@numba.njit(**OPTIONS)
def forward_all(first, last, A, W, h, relu, centred, start, targets, gain, drive, states):
    """The scans of replicas first .. last - 1, which every array but the options numbers in front."""
    for r in range(first, last):
        forward(A[r], W[r], h[r], relu, centred, start[r], targets[r], gain[r], drive[r], states[r])


@numba.njit(**OPTIONS)
def backward_all(
    first, last, A, W, h, relu, centred, start, targets, gain, states, of_states,
    of_start, of_targets, of_drive, of_A, of_W, of_h,
):  # fmt: skip
    """The adjoints of the same replicas."""
    for r in range(first, last):
        backward(
            A[r], W[r], h[r], relu, centred, start[r], targets[r], gain[r], states[r], of_states[r],
            of_start[r], of_targets[r], of_drive[r], of_A[r], of_W[r], of_h[r],
        )  # fmt: skip
