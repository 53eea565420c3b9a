"""Compiled kernels of the Cholesky factorisation of one matrix, or of eight of one pattern at once."""

# Plain functions without annotations: what numba compiles, the run-time checks of the tests must not wrap.
# pyright: basic
import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def eliminate(n, start, row):
    """Pattern of L from the upper triangle in columns, by the elimination tree.

    Returns the start of each column of L, its rows, and for each row of L its columns in the order of elimination with
    their places in L.
    """
    parent, seen = np.full(n, -1), np.full(n, -1)
    count, rows = np.zeros(n, np.int64), np.zeros(n + 1, np.int64)
    for k in range(n):
        seen[k] = k
        rows[k + 1] = rows[k]
        for p in range(start[k], start[k + 1]):
            i = row[p]
            while i < k and seen[i] != k:
                if parent[i] == -1:
                    parent[i] = k
                count[i] += 1
                rows[k + 1] += 1
                seen[i] = k
                i = parent[i]
    begin = np.zeros(n + 1, np.int64)
    for i in range(n):
        begin[i + 1] = begin[i] + count[i]
    below, left = np.empty(begin[n], np.int32), np.empty(begin[n], np.int32)
    place, free = np.empty(begin[n], np.int64), begin[:-1].copy()
    order = np.empty(n, np.int64)
    seen[:] = -1
    for k in range(n):
        seen[k] = k
        top = n
        for p in range(start[k], start[k + 1]):
            i, length = row[p], 0
            while i < k and seen[i] != k:
                seen[i] = k
                length += 1
                i = parent[i]
            i = row[p]
            for j in range(top - length, top):
                order[j] = i
                i = parent[i]
            top -= length
        t = rows[k]
        for s in range(top, n):
            i = order[s]
            left[t], place[t], below[free[i]] = i, free[i], k
            free[i] += 1
            t += 1
    return begin, below, rows, left, place


@njit(cache=True, nogil=True)
def factor(start, row, entries, begin, below, rows, left, place, lower, inverse):
    """A = L D L^T in eight lanes: `entries` (upper, 8) to `lower` (nonzeros of L, 8) and 1/D, `inverse` (n, 8).

    The arithmetic of a lane does not depend on the others. The lanes are written out: their loads come before their
    stores, which the compiler cannot know of a loop over arrays that might overlap.
    """
    n = len(inverse)
    y = np.zeros((n, 8))
    for k in range(n):
        for p in range(start[k], start[k + 1]):
            y[row[p]] = entries[p]
        d0, d1, d2, d3 = y[k, 0], y[k, 1], y[k, 2], y[k, 3]
        d4, d5, d6, d7 = y[k, 4], y[k, 5], y[k, 6], y[k, 7]
        y[k] = 0.0
        for t in range(rows[k], rows[k + 1]):
            i, end = left[t], place[t]
            y0, y1, y2, y3 = y[i, 0], y[i, 1], y[i, 2], y[i, 3]
            y4, y5, y6, y7 = y[i, 4], y[i, 5], y[i, 6], y[i, 7]
            y[i] = 0.0
            for p in range(begin[i], end):
                r = below[p]
                a0, a1 = y[r, 0] - lower[p, 0] * y0, y[r, 1] - lower[p, 1] * y1
                a2, a3 = y[r, 2] - lower[p, 2] * y2, y[r, 3] - lower[p, 3] * y3
                a4, a5 = y[r, 4] - lower[p, 4] * y4, y[r, 5] - lower[p, 5] * y5
                a6, a7 = y[r, 6] - lower[p, 6] * y6, y[r, 7] - lower[p, 7] * y7
                y[r, 0], y[r, 1], y[r, 2], y[r, 3] = a0, a1, a2, a3
                y[r, 4], y[r, 5], y[r, 6], y[r, 7] = a4, a5, a6, a7
            l0, l1 = y0 * inverse[i, 0], y1 * inverse[i, 1]
            l2, l3 = y2 * inverse[i, 2], y3 * inverse[i, 3]
            l4, l5 = y4 * inverse[i, 4], y5 * inverse[i, 5]
            l6, l7 = y6 * inverse[i, 6], y7 * inverse[i, 7]
            d0, d1, d2, d3 = d0 - y0 * l0, d1 - y1 * l1, d2 - y2 * l2, d3 - y3 * l3
            d4, d5, d6, d7 = d4 - y4 * l4, d5 - y5 * l5, d6 - y6 * l6, d7 - y7 * l7
            lower[end, 0], lower[end, 1], lower[end, 2], lower[end, 3] = l0, l1, l2, l3
            lower[end, 4], lower[end, 5], lower[end, 6], lower[end, 7] = l4, l5, l6, l7
        if not (d0 > 0 and d1 > 0 and d2 > 0 and d3 > 0 and d4 > 0 and d5 > 0 and d6 > 0 and d7 > 0):
            return k
        inverse[k, 0], inverse[k, 1], inverse[k, 2], inverse[k, 3] = 1 / d0, 1 / d1, 1 / d2, 1 / d3
        inverse[k, 4], inverse[k, 5], inverse[k, 6], inverse[k, 7] = 1 / d4, 1 / d5, 1 / d6, 1 / d7
    return -1


@njit(cache=True, nogil=True)
def solve(begin, below, lower, inverse, x):
    """Overwrite right-hand sides (n, 8) by solutions."""
    n = len(inverse)
    for i in range(n):
        for p in range(begin[i], begin[i + 1]):
            r = below[p]
            for c in range(8):
                x[r, c] -= lower[p, c] * x[i, c]
    for i in range(n - 1, -1, -1):
        for c in range(8):
            x[i, c] *= inverse[i, c]
        for p in range(begin[i], begin[i + 1]):
            r = below[p]
            for c in range(8):
                x[i, c] -= lower[p, c] * x[r, c]


@njit(cache=True, nogil=True)
def factor_one(start, row, entries, begin, below, rows, left, place, lower, inverse):
    """What `factor` does in each lane, for one matrix: `entries` (upper,), `lower` (nonzeros of L,), `inverse` (n,)."""
    n = len(inverse)
    y = np.zeros(n)
    for k in range(n):
        for p in range(start[k], start[k + 1]):
            y[row[p]] = entries[p]
        d = y[k]
        y[k] = 0.0
        for t in range(rows[k], rows[k + 1]):
            i, end = left[t], place[t]
            value = y[i]
            y[i] = 0.0
            for p in range(begin[i], end):
                y[below[p]] -= lower[p] * value
            ratio = value * inverse[i]
            d = d - value * ratio
            lower[end] = ratio
        if not d > 0:
            return k
        inverse[k] = 1 / d
    return -1


@njit(cache=True, nogil=True)
def solve_one(begin, below, lower, inverse, x):
    """What `solve` does in each lane, for one right-hand side (n,)."""
    n = len(inverse)
    for i in range(n):
        for p in range(begin[i], begin[i + 1]):
            x[below[p]] -= lower[p] * x[i]
    for i in range(n - 1, -1, -1):
        x[i] *= inverse[i]
        for p in range(begin[i], begin[i + 1]):
            x[i] -= lower[p] * x[below[p]]
