"""Compiled multifrontal Cholesky factorisation of one matrix, and solves for many right-hand sides.

What `_lane_kernels` does in each lane, to the same bits; eight rows of a column are taken at once in place of eight
matrices. A front of w columns and r rows below them is stored by columns of w + r numbers and some zeros, so that
eight numbers may be read and written from any of its rows on. So is what it leaves for its parent.
"""

# Plain functions without annotations: what numba compiles, the run-time checks of the tests must not wrap.
# The first argument of an intrinsic is the compiler's own.
# pyright: basic, reportCallIssue=false
import numpy as np
from numba import njit

from funcspace.register_vectors import load, minus_scalars, minus_scaled, scaled, store
from funcspace.solvers.front_pattern import PADDING


@njit(cache=True, nogil=True)
def eliminate_front(panel, width, high, update):
    """Factor the columns of a front and subtract their products from the triangle below."""
    stride = high + PADDING
    for j in range(width):
        own = j * stride
        pivot = panel[own + j]
        for k in range(j):
            value = panel[k * stride + j]
            pivot = minus_scalars(pivot, value, value)
        if not pivot > 0.0:
            return False
        inverse = 1.0 / np.sqrt(pivot)
        i = j + 1
        while i + 24 < high:
            a0, a1 = load(panel, own + i), load(panel, own + i + 8)
            a2, a3 = load(panel, own + i + 16), load(panel, own + i + 24)
            for k in range(0, own, stride):
                b = panel[k + j]
                a0 = minus_scaled(a0, load(panel, k + i), b)
                a1 = minus_scaled(a1, load(panel, k + i + 8), b)
                a2 = minus_scaled(a2, load(panel, k + i + 16), b)
                a3 = minus_scaled(a3, load(panel, k + i + 24), b)
            store(panel, own + i, scaled(a0, inverse))
            store(panel, own + i + 8, scaled(a1, inverse))
            store(panel, own + i + 16, scaled(a2, inverse))
            store(panel, own + i + 24, scaled(a3, inverse))
            i += 32
        while i < high:
            a0 = load(panel, own + i)
            for k in range(0, own, stride):
                a0 = minus_scaled(a0, load(panel, k + i), panel[k + j])
            store(panel, own + i, scaled(a0, inverse))
            i += 8
        panel[own + j] = inverse
    below = high - width
    height, end = below + PADDING, width * stride
    j = 0
    while j + 4 <= below:
        u0 = j * height
        u1, u2, u3 = u0 + height, u0 + 2 * height, u0 + 3 * height
        s = width + j
        i = j
        while i + 8 < below:
            a0, a1, a2, a3 = load(update, u0 + i), load(update, u1 + i), load(update, u2 + i), load(update, u3 + i)
            b0, b1 = load(update, u0 + i + 8), load(update, u1 + i + 8)
            b2, b3 = load(update, u2 + i + 8), load(update, u3 + i + 8)
            for k in range(0, end, stride):
                x, y = load(panel, k + width + i), load(panel, k + width + i + 8)
                z = panel[k + s]
                a0, b0 = minus_scaled(a0, x, z), minus_scaled(b0, y, z)
                z = panel[k + s + 1]
                a1, b1 = minus_scaled(a1, x, z), minus_scaled(b1, y, z)
                z = panel[k + s + 2]
                a2, b2 = minus_scaled(a2, x, z), minus_scaled(b2, y, z)
                z = panel[k + s + 3]
                a3, b3 = minus_scaled(a3, x, z), minus_scaled(b3, y, z)
            store(update, u0 + i, a0)
            store(update, u1 + i, a1)
            store(update, u2 + i, a2)
            store(update, u3 + i, a3)
            store(update, u0 + i + 8, b0)
            store(update, u1 + i + 8, b1)
            store(update, u2 + i + 8, b2)
            store(update, u3 + i + 8, b3)
            i += 16
        while i < below:
            a0, a1, a2, a3 = load(update, u0 + i), load(update, u1 + i), load(update, u2 + i), load(update, u3 + i)
            for k in range(0, end, stride):
                x = load(panel, k + width + i)
                a0, a1 = minus_scaled(a0, x, panel[k + s]), minus_scaled(a1, x, panel[k + s + 1])
                a2, a3 = minus_scaled(a2, x, panel[k + s + 2]), minus_scaled(a3, x, panel[k + s + 3])
            store(update, u0 + i, a0)
            store(update, u1 + i, a1)
            store(update, u2 + i, a2)
            store(update, u3 + i, a3)
            i += 8
        j += 4
    while j < below:
        u0 = j * height
        for i in range(j, below, 8):
            a0 = load(update, u0 + i)
            for k in range(0, end, stride):
                a0 = minus_scaled(a0, load(panel, k + width + i), panel[k + width + j])
            store(update, u0 + i, a0)
        j += 1
    return True


@njit(cache=True, nogil=True)
def take_child(update, relative, width, panel, stride, parent_update, parent_height):
    """Add what a child left to the front of its parent, of `width` columns."""
    count = len(relative)
    for j in range(count):
        across, u = relative[j], j * (count + PADDING)
        if across < width:
            for i in range(j, count):
                panel[across * stride + relative[i]] += update[u + i]
        else:
            column = (across - width) * parent_height - width
            for i in range(j, count):
                parent_update[column + relative[i]] += update[u + i]


@njit(cache=True, nogil=True)
def factor(fronts, sources, places, entries, lower, stacks):
    """A = L L^T: the lower triangle's `entries` to the fronts of L, `lower`; whether A is positive."""
    first, rows_start, relative, children, children_start, panel_start, entry_start, depth, stack_place = fronts
    for s in range(len(first) - 1):
        width = first[s + 1] - first[s]
        below = rows_start[s + 1] - rows_start[s]
        high = width + below
        panel = lower[panel_start[s] : panel_start[s + 1]]
        panel[:] = 0.0
        for p in range(entry_start[s], entry_start[s + 1]):
            panel[places[p]] = entries[sources[p]]
        update = stacks[depth[s] % 2][stack_place[s] : stack_place[s] + below * (below + PADDING)]
        update[:] = 0.0
        for p in range(children_start[s], children_start[s + 1]):
            c = children[p]
            inside = relative[rows_start[c] : rows_start[c + 1]]
            left = stacks[1 - depth[s] % 2][stack_place[c] :]
            take_child(left, inside, width, panel, high + PADDING, update, below + PADDING)
        if not eliminate_front(panel, width, high, update):
            return False
    return True


@njit(cache=True, nogil=True)
def solve_one(fronts, rows, lower, x):
    """Overwrite a right-hand side (n,) by the solution."""
    first, rows_start, panel_start = fronts[0], fronts[1], fronts[5]
    for s in range(len(first) - 1):
        start, width = first[s], first[s + 1] - first[s]
        low = rows_start[s]
        below = rows_start[s + 1] - low
        stride, base = width + below + PADDING, panel_start[s]
        for k in range(width):
            value = x[start + k] * lower[base + k * stride + k]
            x[start + k] = value
            column = base + k * stride
            for i in range(k + 1, width):
                x[start + i] = minus_scalars(x[start + i], lower[column + i], value)
            for t in range(below):
                x[rows[low + t]] = minus_scalars(x[rows[low + t]], lower[column + width + t], value)
    for s in range(len(first) - 2, -1, -1):
        start, width = first[s], first[s + 1] - first[s]
        low = rows_start[s]
        below = rows_start[s + 1] - low
        stride, base = width + below + PADDING, panel_start[s]
        for k in range(width - 1, -1, -1):
            column, total = base + k * stride, x[start + k]
            for t in range(below):
                total = minus_scalars(total, lower[column + width + t], x[rows[low + t]])
            for i in range(k + 1, width):
                total = minus_scalars(total, lower[column + i], x[start + i])
            x[start + k] = total * lower[column + k]


@njit(cache=True, nogil=True)
def solve_columns(fronts, rows, lower, x):
    """What `solve_one` does, for 32 right-hand sides (n * 32)."""
    first, rows_start, panel_start = fronts[0], fronts[1], fronts[5]
    for s in range(len(first) - 1):
        width = first[s + 1] - first[s]
        below = rows_start[s + 1] - rows_start[s]
        stride, base, start = width + below + PADDING, panel_start[s], 32 * first[s]
        for i in range(width + below):
            row = start + 32 * i if i < width else 32 * rows[rows_start[s] + i - width]
            a0, a1, a2, a3 = load(x, row), load(x, row + 8), load(x, row + 16), load(x, row + 24)
            for k in range(min(i, width)):
                value, q = lower[base + k * stride + i], start + 32 * k
                a0, a1 = minus_scaled(a0, load(x, q), value), minus_scaled(a1, load(x, q + 8), value)
                a2, a3 = minus_scaled(a2, load(x, q + 16), value), minus_scaled(a3, load(x, q + 24), value)
            if i < width:
                value = lower[base + i * stride + i]
                a0, a1, a2, a3 = scaled(a0, value), scaled(a1, value), scaled(a2, value), scaled(a3, value)
            store(x, row, a0)
            store(x, row + 8, a1)
            store(x, row + 16, a2)
            store(x, row + 24, a3)
    for s in range(len(first) - 2, -1, -1):
        width = first[s + 1] - first[s]
        below = rows_start[s + 1] - rows_start[s]
        stride, base, start = width + below + PADDING, panel_start[s], 32 * first[s]
        for k in range(width - 1, -1, -1):
            own, column = start + 32 * k, base + k * stride
            a0, a1, a2, a3 = load(x, own), load(x, own + 8), load(x, own + 16), load(x, own + 24)
            for t in range(below):
                value, q = lower[column + width + t], 32 * rows[rows_start[s] + t]
                a0, a1 = minus_scaled(a0, load(x, q), value), minus_scaled(a1, load(x, q + 8), value)
                a2, a3 = minus_scaled(a2, load(x, q + 16), value), minus_scaled(a3, load(x, q + 24), value)
            for i in range(k + 1, width):
                value, q = lower[column + i], start + 32 * i
                a0, a1 = minus_scaled(a0, load(x, q), value), minus_scaled(a1, load(x, q + 8), value)
                a2, a3 = minus_scaled(a2, load(x, q + 16), value), minus_scaled(a3, load(x, q + 24), value)
            value = lower[column + k]
            store(x, own, scaled(a0, value))
            store(x, own + 8, scaled(a1, value))
            store(x, own + 16, scaled(a2, value))
            store(x, own + 24, scaled(a3, value))


@njit(cache=True, nogil=True)
def to_columns(loads, order, x):
    """Right-hand sides (k <= 32, n) to the layout of `solve_columns`."""
    for first in range(0, len(order), 128):
        last = min(first + 128, len(order))
        for c in range(len(loads)):
            for i in range(first, last):
                x[32 * i + c] = loads[c, order[i]]


@njit(cache=True, nogil=True)
def from_columns(x, order, found):
    """Solutions back from the layout of `solve_columns`."""
    for first in range(0, len(order), 128):
        last = min(first + 128, len(order))
        for c in range(len(found)):
            for i in range(first, last):
                found[c, order[i]] = x[32 * i + c]
