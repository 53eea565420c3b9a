r"""The scan of z -> A z + W1 [phi(W2 z + h2) - clipped phi(W2 z)] + h1, phi the ReLU.

Arrays are (unit, time, column): a column is one sequence, and the innermost loops run over columns.
"""

import numba
import numpy as np

from funcspace.dynamics.reconstruction.kernels.forcing_kernels import (
    BLOCK_COLUMNS,
    OPTIONS,
    accumulate_outer,
    add_cotangent,
    force,
    keep_state,
    state_before,
    unforce,
)

__all__ = ["backward_all", "forward_all"]


@numba.njit(inline="always", **OPTIONS)
def _hidden(x, W2, u):
    """Set u to W2 x, two units at a time, which saves loads and stores of u."""
    hidden, columns = u.shape
    units = x.shape[0]
    for k in range(hidden):
        w = W2[k, 0]
        for b in range(columns):
            u[k, b] = w * x[0, b]
        j = 1
        while j + 2 <= units:
            w, v = W2[k, j], W2[k, j + 1]
            for b in range(columns):
                u[k, b] += w * x[j, b] + v * x[j + 1, b]
            j += 2
        if j < units:
            w = W2[k, j]
            for b in range(columns):
                u[k, b] += w * x[j, b]


@numba.njit(inline="always", **OPTIONS)
def _activate(u, h2, clipped, psi):
    hidden, columns = u.shape
    zero = u.dtype.type(0)
    for k in range(hidden):
        c = h2[k]
        if clipped:
            for b in range(columns):
                psi[k, b] = max(u[k, b] + c, zero) - max(u[k, b], zero)
        else:
            for b in range(columns):
                psi[k, b] = max(u[k, b] + c, zero)


@numba.njit(**OPTIONS)
def forward(A, W1, W2, h1, h2, clipped, start, targets, gain, drive, states):
    """States z_1 .. z_T from the start; targets, gain and drive as in `scan`."""
    units, steps, columns = states.shape
    hidden = h2.shape[0]
    x, z = start.copy(), np.empty_like(start)
    u, psi = np.empty((hidden, columns), x.dtype), np.empty((hidden, columns), x.dtype)
    for t in range(steps):
        _hidden(x, W2, u)
        _activate(u, h2, clipped, psi)
        for i in range(units):
            a, c = A[i], h1[i]
            for b in range(columns):
                z[i, b] = a * x[i, b] + c
            if drive.shape[0]:
                for b in range(columns):
                    z[i, b] += drive[i, t, b]
            k = 0
            while k + 4 <= hidden:
                p, q, r, s = W1[i, k], W1[i, k + 1], W1[i, k + 2], W1[i, k + 3]
                for b in range(columns):
                    z[i, b] += (p * psi[k, b] + q * psi[k + 1, b]) + (r * psi[k + 2, b] + s * psi[k + 3, b])
                k += 4
            while k < hidden:
                p = W1[i, k]
                for b in range(columns):
                    z[i, b] += p * psi[k, b]
                k += 1
        keep_state(z, states, t, x)
        if gain[t] != 0:
            force(x, targets, t, gain[t])


@numba.njit(**OPTIONS)
def backward(
    A, W1, W2, h1, h2, clipped, start, targets, gain, states, of_states,
    of_start, of_targets, of_drive, of_A, of_W1, of_W2, of_h1, of_h2,
):  # fmt: skip
    """Cotangents of the start, the targets, the drive and the parameters from those of the states."""
    units, steps, columns = states.shape
    hidden = h2.shape[0]
    per_block = max(1, BLOCK_COLUMNS // columns)
    width = per_block * columns
    deltas, inputs = np.empty((units, width), states.dtype), np.empty((units, width), states.dtype)
    activities, slopes = np.empty((hidden, width), states.dtype), np.empty((hidden, width), states.dtype)
    x, u, psi = (
        np.empty_like(start),
        np.empty((hidden, columns), states.dtype),
        np.empty((hidden, columns), states.dtype),
    )
    q = np.empty((hidden, columns), states.dtype)
    cotangent, delta = np.zeros_like(start), np.empty_like(start)
    zero = states.dtype.type(0)
    filled = 0
    for t in range(steps - 1, -1, -1):
        if gain[t] != 0 and t < steps - 1:
            unforce(cotangent, targets, t, gain[t], of_targets)
        add_cotangent(delta, of_states, cotangent, t, of_drive)
        state_before(x, start, states, targets, gain, t)
        _hidden(x, W2, u)
        _activate(u, h2, clipped, psi)
        for k in range(hidden):
            w = W1[0, k]
            for b in range(columns):
                q[k, b] = w * delta[0, b]
            for i in range(1, units):
                w = W1[i, k]
                for b in range(columns):
                    q[k, b] += w * delta[i, b]
            c, s = h2[k], of_h2[k]
            if clipped:
                for b in range(columns):
                    on = q[k, b] if u[k, b] + c > 0 else zero
                    s += on
                    q[k, b] = on - (q[k, b] if u[k, b] > 0 else zero)
            else:
                for b in range(columns):
                    q[k, b] = q[k, b] if u[k, b] + c > 0 else zero
                    s += q[k, b]
            of_h2[k] = s
        for i in range(units):
            s, r = of_h1[i], of_A[i]
            for b in range(columns):
                s += delta[i, b]
                r += delta[i, b] * x[i, b]
            of_h1[i], of_A[i] = s, r
            for b in range(columns):
                deltas[i, filled + b] = delta[i, b]
                inputs[i, filled + b] = x[i, b]
        for k in range(hidden):
            for b in range(columns):
                activities[k, filled + b] = psi[k, b]
                slopes[k, filled + b] = q[k, b]
        filled += columns
        if filled == width or t == 0:
            accumulate_outer(of_W1, deltas, activities, filled)
            accumulate_outer(of_W2, slopes, inputs, filled)
            filled = 0
        for i in range(units):
            a = A[i]
            for b in range(columns):
                cotangent[i, b] = a * delta[i, b]
        for k in range(hidden):
            for i in range(units):
                w = W2[k, i]
                for b in range(columns):
                    cotangent[i, b] += w * q[k, b]
    of_start[:] = cotangent


@numba.njit(**OPTIONS)
def forward_all(first, last, A, W1, W2, h1, h2, clipped, start, targets, gain, drive, states):
    """The scans of replicas first .. last - 1, which every array but the options numbers in front."""
    for r in range(first, last):
        forward(A[r], W1[r], W2[r], h1[r], h2[r], clipped, start[r], targets[r], gain[r], drive[r], states[r])


@numba.njit(**OPTIONS)
def backward_all(
    first, last, A, W1, W2, h1, h2, clipped, start, targets, gain, states, of_states,
    of_start, of_targets, of_drive, of_A, of_W1, of_W2, of_h1, of_h2,
):  # fmt: skip
    """The adjoints of the same replicas."""
    for r in range(first, last):
        backward(
            A[r], W1[r], W2[r], h1[r], h2[r], clipped, start[r], targets[r], gain[r], states[r], of_states[r],
            of_start[r], of_targets[r], of_drive[r], of_A[r], of_W1[r], of_W2[r], of_h1[r], of_h2[r],
        )  # fmt: skip
