r"""The scan of `shallow_kernels` in float32, sixteen columns in the registers of the processor at a time.

Each of the four products with a weight or its transpose goes over panels of it; the gradients of the weights are
products over some steps of time at once.
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

BLOCK = 16  # steps whose activities are kept for one product over time


@numba.njit(**OPTIONS)
def forward(A, W1, W2, h1, h2, clipped, start, targets, gain, drive, states):
    """States z_1 .. z_T from the start; targets, gain and drive as in `scan`."""
    units, steps, columns = states.shape
    forced, driven, hidden = targets.shape[0], drive.shape[0] > 0, h2.shape[0]
    start_, targets_, drive_, states_ = start.reshape(-1), targets.reshape(-1), drive.reshape(-1), states.reshape(-1)
    inward, outward = as_panels(W2), as_panels(W1)
    x, z = np.zeros(units * 16, np.float32), np.zeros(whole(units) * 16, np.float32)
    u = np.empty(whole(hidden) * 16, np.float32)
    nothing = spread(np.float32(0))
    for c in range(0, columns, 16):
        for i in range(units):
            store(x, i * 16, load(start_, i * columns + c))
        for t in range(steps):
            for k in range(whole(hidden)):
                store(u, k * 16, nothing)
            add_product(u, inward, x, 0)
            for k in range(hidden):
                v = load(u, k * 16)
                p = positive_part(plus(v, spread(h2[k])))
                if clipped:
                    p = minus(p, positive_part(v))
                store(u, k * 16, p)
            for i in range(units):
                v = fused(spread(A[i]), load(x, i * 16), spread(h1[i]))
                if driven:
                    v = plus(v, load(drive_, (i * steps + t) * columns + c))
                store(z, i * 16, v)
            add_product(z, outward, u, 0)
            for i in range(units):
                v = load(z, i * 16)
                store(states_, (i * steps + t) * columns + c, v)
                store(x, i * 16, v)
            if gain[t] != 0:
                g = spread(gain[t])
                for i in range(forced):
                    store(x, i * 16, pulled(load(x, i * 16), g, targets_, (i * steps + t) * columns + c))


@numba.njit(**OPTIONS)
def backward(
    A, W1, W2, h1, h2, clipped, start, targets, gain, states, of_states,
    of_start, of_targets, of_drive, of_A, of_W1, of_W2, of_h1, of_h2,
):  # fmt: skip
    """Cotangents of the start, the targets, the drive and the parameters from those of the states."""
    units, steps, columns = states.shape
    forced, driven, hidden = targets.shape[0], of_drive.shape[0] > 0, h2.shape[0]
    wanted = of_targets.shape[0] > 0
    start_, targets_, states_ = start.reshape(-1), targets.reshape(-1), states.reshape(-1)
    of_states_, of_start_ = of_states.reshape(-1), of_start.reshape(-1)
    of_targets_, of_drive_ = of_targets.reshape(-1), of_drive.reshape(-1)
    inward, outward = as_panels(W2), as_panels(np.ascontiguousarray(W1.T))
    back = as_panels(np.ascontiguousarray(W2.T))
    of_unit, of_hidden = whole(units) * 16, whole(hidden) * 16
    y, u, q = np.zeros(of_unit, np.float32), np.empty(of_hidden, np.float32), np.empty(of_hidden, np.float32)
    # of the steps of a block: states, their cotangents, activities of the hidden units and their cotangents
    xs, ds = np.zeros(BLOCK * of_unit, np.float32), np.zeros(BLOCK * of_unit, np.float32)
    ps, ons = np.zeros(BLOCK * of_hidden, np.float32), np.zeros(BLOCK * of_hidden, np.float32)
    per_unit, per_hidden = np.zeros((2, units, 16), np.float32), np.zeros((hidden, 16), np.float32)
    unit_, hidden_ = per_unit.reshape(-1), per_hidden.reshape(-1)
    sums1, sums2 = np.zeros(of_unit * whole(hidden), np.float32), np.zeros(of_unit * whole(hidden), np.float32)
    nothing = spread(np.float32(0))
    for c in range(0, columns, 16):
        for i in range(units):
            store(y, i * 16, nothing)
        kept = 0
        for t in range(steps - 1, -1, -1):
            now, then = kept * of_unit, kept * of_hidden
            if gain[t] != 0 and t < steps - 1:
                g = spread(gain[t])
                for i in range(forced):
                    place = (i * steps + t) * columns + c
                    store(y, i * 16, released(load(y, i * 16), g, targets_, of_targets_, place, wanted))
            for i in range(units):
                if t == 0:
                    store(xs, now + i * 16, load(start_, i * columns + c))
                else:
                    store(xs, now + i * 16, load(states_, (i * steps + t - 1) * columns + c))
            if t > 0 and gain[t - 1] != 0:
                g = spread(gain[t - 1])
                for i in range(forced):
                    place = (i * steps + t - 1) * columns + c
                    store(xs, now + i * 16, pulled(load(xs, now + i * 16), g, targets_, place))
            for i in range(units):
                d = plus(load(of_states_, (i * steps + t) * columns + c), load(y, i * 16))
                if driven:
                    store(of_drive_, (i * steps + t) * columns + c, d)
                store(ds, now + i * 16, d)
                add_to(unit_, i * 16, d)
                add_product_to(unit_, (units + i) * 16, d, load(xs, now + i * 16))
                store(y, i * 16, times(spread(A[i]), d))
            for k in range(whole(hidden)):
                store(u, k * 16, nothing)
                store(q, k * 16, nothing)
            add_product(u, inward, xs, now)
            add_product(q, outward, ds, now)
            for k in range(hidden):
                v, w = load(u, k * 16), load(q, k * 16)
                s = plus(v, spread(h2[k]))
                p = positive_part(s)
                on = keep_where(s, w)
                add_to(hidden_, k * 16, on)
                if clipped:
                    p = minus(p, positive_part(v))
                    on = minus(on, keep_where(v, w))
                store(ps, then + k * 16, p)
                store(ons, then + k * 16, on)
            add_product(y, back, ons, then)
            kept += 1
            if kept == BLOCK or t == 0:
                add_outer(sums1, ds, ps, kept, units, hidden, of_unit, of_hidden)
                add_outer(sums2, xs, ons, kept, units, hidden, of_unit, of_hidden)
                kept = 0
        for i in range(units):
            store(of_start_, i * columns + c, load(y, i * 16))
    outer_sums(sums1, of_W1)
    outer_sums(sums2, of_W2.T)
    for i in range(units):
        of_h1[i] += per_unit[0, i].sum()
        of_A[i] += per_unit[1, i].sum()
    for k in range(hidden):
        of_h2[k] += per_hidden[k].sum()


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
