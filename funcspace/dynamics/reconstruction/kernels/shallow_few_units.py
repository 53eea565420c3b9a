r"""The scan of shallow maps of few units in float32, sixteen columns in the registers of the processor at a time.

The state, its cotangent and what reaches it from above stay in registers while a step passes over the hidden units, and
gradients of the weights gather per column, to be summed once at the end. This needs a loop over the units written out,
so that the source is made for each number of units.
"""

from functools import cache
from types import ModuleType

import numba
import numpy as np

from funcspace import register_vectors
from funcspace.dynamics.reconstruction.kernels import forced_registers
from funcspace.dynamics.reconstruction.kernels.forcing_kernels import OPTIONS

__all__ = ["kernels"]

# A line with {i} stands for one line per unit, a line with {j} for one per unit but the first. The functions do what
# those of the same names in `shallow_kernels` do.
SOURCE = """
@numba.njit(**OPTIONS)
def forward(A, W1, W2, h1, h2, clipped, start, targets, gain, drive, states):
    steps, columns = states.shape[1:]
    forced, driven, hidden = targets.shape[0], drive.shape[0] > 0, h2.shape[0]
    start_, targets_, drive_, states_ = start.reshape(-1), targets.reshape(-1), drive.reshape(-1), states.reshape(-1)
    for c in range(0, columns, 16):
        x{i} = load(start_, {i} * columns + c)
        for t in range(steps):
            z{i} = fused(spread(A[{i}]), x{i}, spread(h1[{i}]))
            if driven:
                z{i} = plus(z{i}, load(drive_, ({i} * steps + t) * columns + c))
            for k in range(hidden):
                u = times(spread(W2[k, 0]), x0)
                u = fused(spread(W2[k, {j}]), x{j}, u)
                p = positive_part(plus(u, spread(h2[k])))
                if clipped:
                    p = minus(p, positive_part(u))
                z{i} = fused(spread(W1[{i}, k]), p, z{i})
            store(states_, ({i} * steps + t) * columns + c, z{i})
            x{i} = z{i}
            if gain[t] != 0:
                g = spread(gain[t])
                if {i} < forced: x{i} = pulled(z{i}, g, targets_, ({i} * steps + t) * columns + c)


@numba.njit(**OPTIONS)
def backward(
    A, W1, W2, h1, h2, clipped, start, targets, gain, states, of_states,
    of_start, of_targets, of_drive, of_A, of_W1, of_W2, of_h1, of_h2,
):
    steps, columns = states.shape[1:]
    forced, driven, hidden = targets.shape[0], of_drive.shape[0] > 0, h2.shape[0]
    wanted = of_targets.shape[0] > 0
    start_, targets_, states_ = start.reshape(-1), targets.reshape(-1), states.reshape(-1)
    of_states_, of_start_ = of_states.reshape(-1), of_start.reshape(-1)
    of_targets_, of_drive_ = of_targets.reshape(-1), of_drive.reshape(-1)
    per_unit = np.zeros((2, UNITS, 16), np.float32)
    per_hidden = np.zeros((hidden, 2 * UNITS + 1, 16), np.float32)
    unit_, hidden_ = per_unit.reshape(-1), per_hidden.reshape(-1)
    nothing = spread(np.float32(0))
    for c in range(0, columns, 16):
        y{i} = nothing
        for t in range(steps - 1, -1, -1):
            if gain[t] != 0 and t < steps - 1:
                g = spread(gain[t])
                at{i} = ({i} * steps + t) * columns + c
                if {i} < forced: y{i} = released(y{i}, g, targets_, of_targets_, at{i}, wanted)
            d{i} = plus(load(of_states_, ({i} * steps + t) * columns + c), y{i})
            if driven:
                store(of_drive_, ({i} * steps + t) * columns + c, d{i})
            if t == 0:
                x{i} = load(start_, {i} * columns + c)
            else:
                x{i} = load(states_, ({i} * steps + t - 1) * columns + c)
                if gain[t - 1] != 0:
                    g = spread(gain[t - 1])
                    if {i} < forced: x{i} = pulled(x{i}, g, targets_, ({i} * steps + t - 1) * columns + c)
            add_to(unit_, {i} * 16, d{i})
            add_product_to(unit_, (UNITS + {i}) * 16, d{i}, x{i})
            y{i} = times(spread(A[{i}]), d{i})
            for k in range(hidden):
                at = k * (2 * UNITS + 1) * 16
                u = times(spread(W2[k, 0]), x0)
                u = fused(spread(W2[k, {j}]), x{j}, u)
                q = times(spread(W1[0, k]), d0)
                q = fused(spread(W1[{j}, k]), d{j}, q)
                s = plus(u, spread(h2[k]))
                p = positive_part(s)
                on = keep_where(s, q)
                add_to(hidden_, at, on)
                if clipped:
                    p = minus(p, positive_part(u))
                    on = minus(on, keep_where(u, q))
                add_product_to(hidden_, at + (1 + {i}) * 16, p, d{i})
                add_product_to(hidden_, at + (UNITS + 1 + {i}) * 16, on, x{i})
                y{i} = fused(spread(W2[k, {i}]), on, y{i})
        store(of_start_, {i} * columns + c, y{i})
    for i in range(UNITS):
        of_h1[i] += per_unit[0, i].sum()
        of_A[i] += per_unit[1, i].sum()
    for k in range(hidden):
        of_h2[k] += per_hidden[k, 0].sum()
        for i in range(UNITS):
            of_W1[i, k] += per_hidden[k, 1 + i].sum()
            of_W2[k, i] += per_hidden[k, 1 + UNITS + i].sum()


@numba.njit(**OPTIONS)
def forward_all(first, last, A, W1, W2, h1, h2, clipped, start, targets, gain, drive, states):
    for r in range(first, last):
        forward(A[r], W1[r], W2[r], h1[r], h2[r], clipped, start[r], targets[r], gain[r], drive[r], states[r])


@numba.njit(**OPTIONS)
def backward_all(
    first, last, A, W1, W2, h1, h2, clipped, start, targets, gain, states, of_states,
    of_start, of_targets, of_drive, of_A, of_W1, of_W2, of_h1, of_h2,
):
    for r in range(first, last):
        backward(
            A[r], W1[r], W2[r], h1[r], h2[r], clipped, start[r], targets[r], gain[r], states[r], of_states[r],
            of_start[r], of_targets[r], of_drive[r], of_A[r], of_W1[r], of_W2[r], of_h1[r], of_h2[r],
        )
"""


@cache
def kernels(units):
    """A module with `forward_all` and `backward_all` for maps of so many units; compiled code is kept on disk."""
    made = ModuleType(__name__)
    words = {name: getattr(room, name) for room in (register_vectors, forced_registers) for name in room.__all__}
    made.__dict__.update(words, numba=numba, np=np, OPTIONS=OPTIONS, UNITS=units)
    exec(compile(_written_out(units), __file__, "exec"), made.__dict__)
    return made


def _written_out(units):
    lines = []
    for line in SOURCE.splitlines():
        if "{i}" in line:
            lines += [line.replace("{i}", str(i)) for i in range(units)]
        elif "{j}" in line:
            lines += [line.replace("{j}", str(j)) for j in range(1, units)]
        else:
            lines.append(line)
    return "\n".join(lines)
