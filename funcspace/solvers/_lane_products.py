"""Compiled products of a sparse matrix with eight vectors at once, and integrals of eight coefficients over cells."""

# Plain functions without annotations: what numba compiles, the run-time checks of the tests must not wrap.
# The first argument of an intrinsic is the compiler's own.
# pyright: basic, reportCallIssue=false
from numba import njit

from funcspace.register_vectors import fused, load, spread, store


@njit(cache=True, nogil=True)
def add_product(start, column, values, x, out):
    """Add the product of a CSR matrix with x (columns * 8) to `out` (rows * 8)."""
    for i in range(len(start) - 1):
        total = load(out, 8 * i)
        for p in range(start[i], start[i + 1]):
            total = fused(load(x, 8 * column[p]), spread(values[p]), total)
        store(out, 8 * i, total)


@njit(cache=True, nogil=True)
def integrals(values, lanes, weights, out):
    """Integrals over cells (cells * 8) of the rows `lanes` of values (samples, cells * points)."""
    cells, points = weights.shape
    for c in range(8):
        row = values[lanes[c]]
        for e in range(cells):
            total = 0.0
            for q in range(points):
                total += weights[e, q] * row[e * points + q]
            out[8 * e + c] = total


@njit(cache=True, nogil=True)
def side_by_side(values, lanes, out):
    """The rows `lanes` of values (samples, n) side by side (n * 8)."""
    n = values.shape[1]
    for first in range(0, n, 64):
        last = min(first + 64, n)
        for c in range(8):
            row = values[lanes[c]]
            for i in range(first, last):
                out[8 * i + c] = row[i]
