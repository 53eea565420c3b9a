r"""Products of matrices with sixteen columns of float32, tile by tile in the registers of the processor.

A matrix is laid out in panels of six rows, (panel, inner, 6), the last filled up with zeros: six sums of sixteen
columns stay in registers while a panel passes, on processors with sixteen registers of eight numbers as on those with
32 of sixteen. Arrays that are multiplied are flat, sixteen columns to a row; what a product is added to has room for
`whole(rows)` rows.
"""

# The first argument of an intrinsic is the compiler's own.
# pyright: reportCallIssue=false
import numba
import numpy as np

from funcspace.dynamics.reconstruction.kernels.forcing_kernels import OPTIONS
from funcspace.register_vectors import fused, load, spread, store

__all__ = ["add_outer", "add_product", "as_panels", "outer_sums", "whole"]

ROWS = 6


@numba.njit(inline="always", **OPTIONS)
def whole(rows):
    """The number of rows of all panels."""
    return (rows + ROWS - 1) // ROWS * ROWS


@numba.njit(**OPTIONS)
def as_panels(matrix):
    """The panels of a matrix (rows, inner)."""
    rows, inner = matrix.shape
    panels = np.zeros((whole(rows) // ROWS, inner, ROWS), matrix.dtype)
    for i in range(rows):
        for j in range(inner):
            panels[i // ROWS, j, i % ROWS] = matrix[i, j]
    return panels


@numba.njit(**OPTIONS)
def add_product(total, panels, right, place):
    """Add to `total` the product of a matrix in panels with the rows of `right` from a place on."""
    count, inner = panels.shape[:2]
    for p in range(count):
        at = p * ROWS * 16
        a, b, c = load(total, at), load(total, at + 16), load(total, at + 32)
        d, e, f = load(total, at + 48), load(total, at + 64), load(total, at + 80)
        panel = panels[p]
        for j in range(inner):
            v, w = load(right, place + j * 16), panel[j]
            a, b, c = fused(spread(w[0]), v, a), fused(spread(w[1]), v, b), fused(spread(w[2]), v, c)
            d, e, f = fused(spread(w[3]), v, d), fused(spread(w[4]), v, e), fused(spread(w[5]), v, f)
        store(total, at, a), store(total, at + 16, b), store(total, at + 32, c)
        store(total, at + 48, d), store(total, at + 64, e), store(total, at + 80, f)


@numba.njit(**OPTIONS)
def add_outer(sums, left, right, steps, rows, columns, left_row, right_row):
    """Add to `sums` the products of each of the rows of `left` with each of those of `right`, over some steps.

    A step takes `left_row` and `right_row` numbers, in which there is room for whole tiles. Sums are kept for each of
    the sixteen columns, in tiles of three rows by two, (tile of rows, tile of columns, 6, 16); `outer_sums` adds up the
    columns.
    """
    at = 0
    for i in range(0, rows, 3):
        for j in range(0, columns, 2):
            a, b, c = load(sums, at), load(sums, at + 16), load(sums, at + 32)
            d, e, f = load(sums, at + 48), load(sums, at + 64), load(sums, at + 80)
            for t in range(steps):
                x, y = t * left_row + i * 16, t * right_row + j * 16
                u, v = load(right, y), load(right, y + 16)
                w = load(left, x)
                a, b = fused(w, u, a), fused(w, v, b)
                w = load(left, x + 16)
                c, d = fused(w, u, c), fused(w, v, d)
                w = load(left, x + 32)
                e, f = fused(w, u, e), fused(w, v, f)
            store(sums, at, a), store(sums, at + 16, b), store(sums, at + 32, c)
            store(sums, at + 48, d), store(sums, at + 64, e), store(sums, at + 80, f)
            at += 96


@numba.njit(**OPTIONS)
def outer_sums(sums, total):
    """Add what `add_outer` summed to a matrix (rows, columns)."""
    rows, columns = total.shape
    across = (columns + 1) // 2
    for i in range(rows):
        for j in range(columns):
            at = ((i // 3 * across + j // 2) * 6 + i % 3 * 2 + j % 2) * 16
            s = np.float32(0)
            for b in range(16):
                s += sums[at + b]
            total[i, j] += s
