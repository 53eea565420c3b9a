r"""The scan of `al_rnn_kernels` in float32, sixteen columns in the registers of the processor at a time.

Rows of W go four at a time over the state, which stays in the first cache. The gradient of W is one product over all
of the time at the end, in tiles of four by four.
"""

# The first argument of an intrinsic is the compiler's own.
# pyright: reportCallIssue=false
import numba
import numpy as np

from funcspace.dynamics.reconstruction.kernels.forced_registers import add_product_to, add_to, pulled, released
from funcspace.dynamics.reconstruction.kernels.forcing_kernels import OPTIONS
from funcspace.register_vectors import (
    fused,
    keep_where,
    load,
    minus,
    plus,
    positive_part,
    spread,
    store,
    times,
)

__all__ = ["backward_all", "forward_all"]


@numba.njit(inline="always", **OPTIONS)
def _activate(x, relu, centred, f, place, units):
    """Set f, from a place on, to the activations of the state x."""
    for i in range(units):
        store(f, place + i * 16, load(x, i * 16))
    if centred:
        _subtract_mean(f, place, units)
    for i in range(units - relu, units):
        store(f, place + i * 16, positive_part(load(f, place + i * 16)))


@numba.njit(inline="always", **OPTIONS)
def _subtract_mean(f, place, units):
    total = load(f, place)
    for i in range(1, units):
        total = plus(total, load(f, place + i * 16))
    mean = times(total, spread(np.float32(1.0 / units)))
    for i in range(units):
        store(f, place + i * 16, minus(load(f, place + i * 16), mean))


@numba.njit(inline="always", **OPTIONS)
def _add_product(z, W, f, place, units):
    """Add W f to z, with f from a place on."""
    i = 0
    while i + 4 <= units:
        a, b, c, d = load(z, i * 16), load(z, (i + 1) * 16), load(z, (i + 2) * 16), load(z, (i + 3) * 16)
        for j in range(units):
            v = load(f, place + j * 16)
            a = fused(spread(W[i, j]), v, a)
            b = fused(spread(W[i + 1, j]), v, b)
            c = fused(spread(W[i + 2, j]), v, c)
            d = fused(spread(W[i + 3, j]), v, d)
        store(z, i * 16, a)
        store(z, (i + 1) * 16, b)
        store(z, (i + 2) * 16, c)
        store(z, (i + 3) * 16, d)
        i += 4
    while i < units:
        a = load(z, i * 16)
        for j in range(units):
            a = fused(spread(W[i, j]), load(f, place + j * 16), a)
        store(z, i * 16, a)
        i += 1


@numba.njit(inline="always", **OPTIONS)
def _add_outer(of_W, deltas, fs, steps, units):
    """Add to of_W the sum over time and columns of deltas times fs, both (time, unit, column)."""
    tile = np.empty(16 * 16, np.float32)
    row = units * 16
    for i in range(0, units, 4):
        # beyond the last unit a tile takes that one again, and leaves the result
        i1, i2, i3 = min(i + 1, units - 1) * 16, min(i + 2, units - 1) * 16, min(i + 3, units - 1) * 16
        for j in range(0, units, 4):
            j1, j2, j3 = min(j + 1, units - 1) * 16, min(j + 2, units - 1) * 16, min(j + 3, units - 1) * 16
            zero = spread(np.float32(0))
            t00, t01, t02, t03, t10, t11, t12, t13 = zero, zero, zero, zero, zero, zero, zero, zero
            t20, t21, t22, t23, t30, t31, t32, t33 = zero, zero, zero, zero, zero, zero, zero, zero
            for t in range(steps):
                at = t * row
                a, b = load(fs, at + j * 16), load(fs, at + j1)
                c, d = load(fs, at + j2), load(fs, at + j3)
                e = load(deltas, at + i * 16)
                t00, t01, t02, t03 = fused(e, a, t00), fused(e, b, t01), fused(e, c, t02), fused(e, d, t03)
                e = load(deltas, at + i1)
                t10, t11, t12, t13 = fused(e, a, t10), fused(e, b, t11), fused(e, c, t12), fused(e, d, t13)
                e = load(deltas, at + i2)
                t20, t21, t22, t23 = fused(e, a, t20), fused(e, b, t21), fused(e, c, t22), fused(e, d, t23)
                e = load(deltas, at + i3)
                t30, t31, t32, t33 = fused(e, a, t30), fused(e, b, t31), fused(e, c, t32), fused(e, d, t33)
            store(tile, 0, t00), store(tile, 16, t01), store(tile, 32, t02), store(tile, 48, t03)
            store(tile, 64, t10), store(tile, 80, t11), store(tile, 96, t12), store(tile, 112, t13)
            store(tile, 128, t20), store(tile, 144, t21), store(tile, 160, t22), store(tile, 176, t23)
            store(tile, 192, t30), store(tile, 208, t31), store(tile, 224, t32), store(tile, 240, t33)
            for r in range(min(4, units - i)):
                for s in range(min(4, units - j)):
                    place = (r * 4 + s) * 16
                    total = np.float32(0)
                    for b in range(16):
                        total += tile[place + b]
                    of_W[i + r, j + s] += total


@numba.njit(**OPTIONS)
def forward(A, W, h, relu, centred, start, targets, gain, drive, states):
    """States z_1 .. z_T from the start; targets, gain and drive as in `scan`."""
    units, steps, columns = states.shape
    forced, driven = targets.shape[0], drive.shape[0] > 0
    x, f = np.empty(units * 16, np.float32), np.empty(units * 16, np.float32)
    start_, targets_, drive_, states_ = start.reshape(-1), targets.reshape(-1), drive.reshape(-1), states.reshape(-1)
    for c in range(0, columns, 16):
        for i in range(units):
            store(x, i * 16, load(start_, i * columns + c))
        for t in range(steps):
            _activate(x, relu, centred, f, 0, units)
            for i in range(units):
                z = fused(spread(A[i]), load(x, i * 16), spread(h[i]))
                if driven:
                    z = plus(z, load(drive_, (i * steps + t) * columns + c))
                store(x, i * 16, z)
            _add_product(x, W, f, 0, units)
            for i in range(units):
                store(states_, (i * steps + t) * columns + c, load(x, i * 16))
            if gain[t] != 0:
                g = spread(gain[t])
                for i in range(forced):
                    store(x, i * 16, pulled(load(x, i * 16), g, targets_, (i * steps + t) * columns + c))


@numba.njit(**OPTIONS)
def backward(
    A, W, h, relu, centred, start, targets, gain, states, of_states, of_start, of_targets, of_drive, of_A, of_W, of_h
):
    """Cotangents of the start, the targets, the drive and the parameters from those of the states."""
    units, steps, columns = states.shape
    forced, driven, wanted = targets.shape[0], of_drive.shape[0] > 0, of_targets.shape[0] > 0
    transposed = np.ascontiguousarray(W.T)
    x, y, through = np.empty(units * 16, np.float32), np.empty(units * 16, np.float32), np.empty(units * 16, np.float32)
    fs, deltas = np.empty(steps * units * 16, np.float32), np.empty(steps * units * 16, np.float32)
    sums = np.zeros((2, units, 16), np.float32)
    sums_ = sums.reshape(-1)
    start_, targets_, states_ = start.reshape(-1), targets.reshape(-1), states.reshape(-1)
    of_states_, of_start_ = of_states.reshape(-1), of_start.reshape(-1)
    of_targets_, of_drive_ = of_targets.reshape(-1), of_drive.reshape(-1)
    zero = spread(np.float32(0))
    for c in range(0, columns, 16):
        for i in range(units):
            store(y, i * 16, zero)
        for t in range(steps - 1, -1, -1):
            if gain[t] != 0 and t < steps - 1:
                g = spread(gain[t])
                for i in range(forced):
                    place = (i * steps + t) * columns + c
                    store(y, i * 16, released(load(y, i * 16), g, targets_, of_targets_, place, wanted))
            for i in range(units):
                if t == 0:
                    store(x, i * 16, load(start_, i * columns + c))
                else:
                    store(x, i * 16, load(states_, (i * steps + t - 1) * columns + c))
            if t > 0 and gain[t - 1] != 0:
                g = spread(gain[t - 1])
                for i in range(forced):
                    store(x, i * 16, pulled(load(x, i * 16), g, targets_, (i * steps + t - 1) * columns + c))
            now = t * units * 16
            _activate(x, relu, centred, fs, now, units)
            for i in range(units):
                d = plus(load(of_states_, (i * steps + t) * columns + c), load(y, i * 16))
                if driven:
                    store(of_drive_, (i * steps + t) * columns + c, d)
                store(deltas, now + i * 16, d)
                add_to(sums_, i * 16, d)
                add_product_to(sums_, (units + i) * 16, d, load(x, i * 16))
                store(y, i * 16, times(spread(A[i]), d))
                store(through, i * 16, zero)
            _add_product(through, transposed, deltas, now, units)
            for i in range(units - relu, units):
                store(through, i * 16, keep_where(load(fs, now + i * 16), load(through, i * 16)))
            if centred:
                _subtract_mean(through, 0, units)
            for i in range(units):
                add_to(y, i * 16, load(through, i * 16))
        for i in range(units):
            store(of_start_, i * columns + c, load(y, i * 16))
        _add_outer(of_W, deltas, fs, steps, units)
    for i in range(units):
        of_h[i] += sums[0, i].sum()
        of_A[i] += sums[1, i].sum()


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
