r"""The scan of `al_rnn_kernels` in float32, sixteen columns in the registers of the processor at a time.

W goes over the state, which stays in the first cache, in panels; its gradient is one product over all of the time at
the end.
"""

# The first argument of an intrinsic is the compiler's own.
# pyright: reportCallIssue=false
import numba
import numpy as np

from funcspace.dynamics.reconstruction.kernels.forced_registers import add_product_to, add_to, pulled, released
from funcspace.dynamics.reconstruction.kernels.forcing_kernels import OPTIONS
from funcspace.dynamics.reconstruction.kernels.panels import add_outer, add_product, as_panels, outer_sums, whole
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


@numba.njit(**OPTIONS)
def forward(A, W, h, relu, centred, start, targets, gain, drive, states):
    """States z_1 .. z_T from the start; targets, gain and drive as in `scan`."""
    units, steps, columns = states.shape
    forced, driven = targets.shape[0], drive.shape[0] > 0
    x, f = np.zeros(whole(units) * 16, np.float32), np.empty(units * 16, np.float32)
    panels = as_panels(W)
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
            add_product(x, panels, f, 0)
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
    panels, row = as_panels(np.ascontiguousarray(W.T)), whole(units) * 16
    x, y, through = np.empty(units * 16, np.float32), np.empty(units * 16, np.float32), np.zeros(row, np.float32)
    fs, deltas = np.zeros(steps * row, np.float32), np.zeros(steps * row, np.float32)
    sums = np.zeros((2, units, 16), np.float32)
    sums_, outer = sums.reshape(-1), np.zeros(row * whole(units), np.float32)
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
            now = t * row
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
            add_product(through, panels, deltas, now)
            for i in range(units - relu, units):
                store(through, i * 16, keep_where(load(fs, now + i * 16), load(through, i * 16)))
            if centred:
                _subtract_mean(through, 0, units)
            for i in range(units):
                add_to(y, i * 16, load(through, i * 16))
        for i in range(units):
            store(of_start_, i * columns + c, load(y, i * 16))
        add_outer(outer, deltas, fs, steps, units, units, row, row)
    outer_sums(outer, of_W)
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
