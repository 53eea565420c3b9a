"""Compiled multifrontal Cholesky factorisation of eight matrices of one pattern at once.

A number of a matrix is eight numbers here, of the eight matrices. A front of w columns and r rows below them is stored
by rows, (w + r) w numbers; the diagonal holds the reciprocals of the pivots. What it leaves for its parent is a lower
triangle, row after row.
"""

# Plain functions without annotations: what numba compiles, the run-time checks of the tests must not wrap.
# The first argument of an intrinsic is the compiler's own.
# pyright: basic, reportCallIssue=false
import numpy as np
from numba import njit

from funcspace.register_vectors import load, minus_product, plus, reciprocal_root, spread, store, times


@njit(cache=True, nogil=True)
def eliminate_front(panel, width, high, update):
    """Factor the columns of a front and subtract their products from the triangle below."""
    for j in range(width):
        row_j = 8 * j * width
        pivot = load(panel, row_j + 8 * j)
        for k in range(j):
            value = load(panel, row_j + 8 * k)
            pivot = minus_product(pivot, value, value)
        inverse = reciprocal_root(pivot)
        store(panel, row_j + 8 * j, inverse)
        for c in range(8):
            if not 0.0 < panel[row_j + 8 * j + c] < np.inf:
                return False
        i = j + 1
        while i + 4 <= high:
            r0 = 8 * i * width
            r1, r2, r3 = r0 + 8 * width, r0 + 16 * width, r0 + 24 * width
            a0, a1 = load(panel, r0 + 8 * j), load(panel, r1 + 8 * j)
            a2, a3 = load(panel, r2 + 8 * j), load(panel, r3 + 8 * j)
            for k in range(j):
                b = load(panel, row_j + 8 * k)
                a0, a1 = minus_product(a0, load(panel, r0 + 8 * k), b), minus_product(a1, load(panel, r1 + 8 * k), b)
                a2, a3 = minus_product(a2, load(panel, r2 + 8 * k), b), minus_product(a3, load(panel, r3 + 8 * k), b)
            store(panel, r0 + 8 * j, times(a0, inverse))
            store(panel, r1 + 8 * j, times(a1, inverse))
            store(panel, r2 + 8 * j, times(a2, inverse))
            store(panel, r3 + 8 * j, times(a3, inverse))
            i += 4
        while i < high:
            r0 = 8 * i * width
            a0 = load(panel, r0 + 8 * j)
            for k in range(j):
                a0 = minus_product(a0, load(panel, r0 + 8 * k), load(panel, row_j + 8 * k))
            store(panel, r0 + 8 * j, times(a0, inverse))
            i += 1
    below = high - width
    i = 0
    while i < below:
        r0, u0 = 8 * (width + i) * width, 4 * i * (i + 1)
        # of the last row alone, the second of the pair is the first again
        two = i + 1 < below
        r1, u1 = (r0 + 8 * width, u0 + 8 * (i + 1)) if two else (r0, u0)
        j = 0
        while j + 4 <= i + 1:
            s0 = 8 * (width + j) * width
            s1, s2, s3 = s0 + 8 * width, s0 + 16 * width, s0 + 24 * width
            a0, a1 = load(update, u0 + 8 * j), load(update, u0 + 8 * j + 8)
            a2, a3 = load(update, u0 + 8 * j + 16), load(update, u0 + 8 * j + 24)
            b0, b1 = load(update, u1 + 8 * j), load(update, u1 + 8 * j + 8)
            b2, b3 = load(update, u1 + 8 * j + 16), load(update, u1 + 8 * j + 24)
            for k in range(0, 8 * width, 8):
                x, y = load(panel, r0 + k), load(panel, r1 + k)
                z = load(panel, s0 + k)
                a0, b0 = minus_product(a0, x, z), minus_product(b0, y, z)
                z = load(panel, s1 + k)
                a1, b1 = minus_product(a1, x, z), minus_product(b1, y, z)
                z = load(panel, s2 + k)
                a2, b2 = minus_product(a2, x, z), minus_product(b2, y, z)
                z = load(panel, s3 + k)
                a3, b3 = minus_product(a3, x, z), minus_product(b3, y, z)
            store(update, u1 + 8 * j, b0)
            store(update, u1 + 8 * j + 8, b1)
            store(update, u1 + 8 * j + 16, b2)
            store(update, u1 + 8 * j + 24, b3)
            store(update, u0 + 8 * j, a0)
            store(update, u0 + 8 * j + 8, a1)
            store(update, u0 + 8 * j + 16, a2)
            store(update, u0 + 8 * j + 24, a3)
            j += 4
        while j <= i:
            s0 = 8 * (width + j) * width
            a0, b0 = load(update, u0 + 8 * j), load(update, u1 + 8 * j)
            for k in range(0, 8 * width, 8):
                z = load(panel, s0 + k)
                a0, b0 = minus_product(a0, load(panel, r0 + k), z), minus_product(b0, load(panel, r1 + k), z)
            store(update, u1 + 8 * j, b0)
            store(update, u0 + 8 * j, a0)
            j += 1
        if two:
            a0 = load(update, u1 + 8 * j)
            for k in range(0, 8 * width, 8):
                z = load(panel, r1 + k)
                a0 = minus_product(a0, z, z)
            store(update, u1 + 8 * j, a0)
        i += 2
    return True


@njit(cache=True, nogil=True)
def take_child(update, relative, width, panel, parent_update):
    """Add what a child left to the front of its parent, of `width` columns."""
    u = 0
    for i in range(len(relative)):
        down = relative[i]
        row = 8 * down * width
        below = 4 * (down - width) * (down - width + 1) - 8 * width
        for j in range(i + 1):
            across = relative[j]
            if across < width:
                q = row + 8 * across
                store(panel, q, plus(load(panel, q), load(update, u)))
            else:
                q = below + 8 * across
                store(parent_update, q, plus(load(parent_update, q), load(update, u)))
            u += 8


@njit(cache=True, nogil=True)
def factor(fronts, sources, places, entries, lower, stacks):
    """A = L L^T: the lower triangles' `entries` (nonzeros * 8) to the fronts of L, `lower`; whether all are positive.

    What a front leaves for its parent lies on one of two stacks, of the even depths of the tree and of the odd ones.
    """
    first, rows_start, relative, children, children_start, panel_start, entry_start, depth, stack_place = fronts
    for s in range(len(first) - 1):
        width = first[s + 1] - first[s]
        below = rows_start[s + 1] - rows_start[s]
        high = width + below
        panel = lower[8 * panel_start[s] : 8 * panel_start[s + 1]]
        for p in range(0, len(panel), 8):
            store(panel, p, spread(0.0))
        for p in range(entry_start[s], entry_start[s + 1]):
            store(panel, 8 * places[p], load(entries, 8 * sources[p]))
        update = stacks[depth[s] % 2][8 * stack_place[s] : 8 * stack_place[s] + 4 * below * (below + 1)]
        for p in range(0, len(update), 8):
            store(update, p, spread(0.0))
        for p in range(children_start[s], children_start[s + 1]):
            c = children[p]
            inside = relative[rows_start[c] : rows_start[c + 1]]
            take_child(stacks[1 - depth[s] % 2][8 * stack_place[c] :], inside, width, panel, update)
        if not eliminate_front(panel, width, high, update):
            return False
    return True


@njit(cache=True, nogil=True)
def solve(fronts, rows, lower, x):
    """Overwrite right-hand sides (n * 8) by solutions."""
    first, rows_start, panel_start = fronts[0], fronts[1], fronts[5]
    for s in range(len(first) - 1):
        width, start = first[s + 1] - first[s], 8 * first[s]
        panel = lower[8 * panel_start[s] : 8 * panel_start[s + 1]]
        for i in range(width):
            row, a0 = 8 * i * width, load(x, start + 8 * i)
            for k in range(0, 8 * i, 8):
                a0 = minus_product(a0, load(panel, row + k), load(x, start + k))
            store(x, start + 8 * i, times(a0, load(panel, row + 8 * i)))
        row = 8 * width * width
        for t in range(rows_start[s], rows_start[s + 1]):
            a0 = load(x, 8 * rows[t])
            for k in range(0, 8 * width, 8):
                a0 = minus_product(a0, load(panel, row + k), load(x, start + k))
            store(x, 8 * rows[t], a0)
            row += 8 * width
    for s in range(len(first) - 2, -1, -1):
        width, start = first[s + 1] - first[s], 8 * first[s]
        panel = lower[8 * panel_start[s] : 8 * panel_start[s + 1]]
        row = 8 * width * width
        for t in range(rows_start[s], rows_start[s + 1]):
            b = load(x, 8 * rows[t])
            for k in range(0, 8 * width, 8):
                store(x, start + k, minus_product(load(x, start + k), load(panel, row + k), b))
            row += 8 * width
        for k in range(width - 1, -1, -1):
            a0 = load(x, start + 8 * k)
            for i in range(k + 1, width):
                a0 = minus_product(a0, load(panel, 8 * (i * width + k)), load(x, start + 8 * i))
            store(x, start + 8 * k, times(a0, load(panel, 8 * (k * width + k))))
