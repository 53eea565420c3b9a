"""What the compiled scans share: how forcing changes a state, and products with small matrices."""

import numba

__all__ = [
    "BLOCK_COLUMNS",
    "OPTIONS",
    "accumulate_outer",
    "add_cotangent",
    "add_product",
    "force",
    "keep_state",
    "state_before",
    "unforce",
]

OPTIONS = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"contract", "reassoc", "arcp", "nsz"}}

# Outer products over time are taken for blocks of steps with about this many columns, so that a sum over columns is a
# long dot product of numbers that lie side by side.
BLOCK_COLUMNS = 128


@numba.njit(inline="always", **OPTIONS)
def force(x, targets, t, gain):
    """Add gain (target - x) to x on the forced units; a target that is NaN forces nothing."""
    units, _, columns = targets.shape
    zero = x.dtype.type(0)
    for i in range(units):
        wanted, state = targets[i, t], x[i]
        for b in range(columns):
            pull = wanted[b] - state[b]
            # a choice instead of a branch, so that the loop becomes vector instructions
            state[b] += gain * (pull if pull == pull else zero)


@numba.njit(inline="always", **OPTIONS)
def unforce(cotangent, targets, t, gain, of_targets):
    """The adjoint of `force`: the cotangent of the unforced state in place, that of the targets where it is wanted."""
    units, _, columns = targets.shape
    zero = cotangent.dtype.type(0)
    for i in range(units):
        wanted, of_state = targets[i, t], cotangent[i]
        if of_targets.shape[0]:
            for b in range(columns):
                of_targets[i, t, b] = gain * of_state[b] if wanted[b] == wanted[b] else zero
        for b in range(columns):
            of_state[b] -= (gain if wanted[b] == wanted[b] else zero) * of_state[b]


@numba.njit(inline="always", **OPTIONS)
def keep_state(z, states, t, x):
    """Record the state z of a step, and take it as the one to go on from."""
    units, columns = z.shape
    for i in range(units):
        for b in range(columns):
            x[i, b] = z[i, b]
            states[i, t, b] = z[i, b]


@numba.njit(inline="always", **OPTIONS)
def state_before(x, start, states, targets, gain, t):
    """Set x to the forced state that step t went out from."""
    units, columns = x.shape
    if t == 0:
        for i in range(units):
            for b in range(columns):
                x[i, b] = start[i, b]
        return
    for i in range(units):
        for b in range(columns):
            x[i, b] = states[i, t - 1, b]
    if gain[t - 1] != 0:
        force(x, targets, t - 1, gain[t - 1])


@numba.njit(inline="always", **OPTIONS)
def add_cotangent(delta, of_states, cotangent, t, of_drive):
    """Set delta to the whole cotangent of the state of step t, which is that of the drive too."""
    units, columns = delta.shape
    for i in range(units):
        for b in range(columns):
            delta[i, b] = of_states[i, t, b] + cotangent[i, b]
    if of_drive.shape[0]:
        for i in range(units):
            for b in range(columns):
                of_drive[i, t, b] = delta[i, b]


@numba.njit(inline="always", **OPTIONS)
def add_product(z, transposed, f):
    """Add W f to z; W is given transposed, and four of its columns go at a time, which saves loads and stores of z."""
    units, columns = z.shape
    inner = f.shape[0]
    j = 0
    while j + 4 <= inner:
        for i in range(units):
            p, q, r, s = transposed[j, i], transposed[j + 1, i], transposed[j + 2, i], transposed[j + 3, i]
            for b in range(columns):
                z[i, b] += (p * f[j, b] + q * f[j + 1, b]) + (r * f[j + 2, b] + s * f[j + 3, b])
        j += 4
    while j < inner:
        for i in range(units):
            p = transposed[j, i]
            for b in range(columns):
                z[i, b] += p * f[j, b]
        j += 1


@numba.njit(**OPTIONS)
def accumulate_outer(total, left, right, columns):
    """Add left right^T to total, over the first columns of two blocks."""
    for i in range(left.shape[0]):
        for j in range(right.shape[0]):
            s = total[i, j]
            for b in range(columns):
                s += left[i, b] * right[j, b]
            total[i, j] = s
