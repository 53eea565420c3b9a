"""Compiled counting of pairs of points by distance, over the leaves of a k-d tree.

Distances fall into bins whose edges are read off the bits of the squared distance: four per doubling of the square, at
2^e (1, 1.25, 1.5, 1.75), so that a bin costs a shift and no logarithm.
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import numpy as np
from numba import njit

__all__ = ["FIRST_BIN", "bin_edges", "close_in_time", "leaf_order", "pair_counts"]

_compiled: Any = partial(cast(Any, njit), cache=True, nogil=True)

SHIFT = 50
FIRST_BIN = int(np.float64(2.0**-200).view(np.int64)) >> SHIFT
BINS = (int(np.float64(2.0**200).view(np.int64)) >> SHIFT) - FIRST_BIN


def bin_edges() -> np.ndarray:
    """Lower edges of the bins, as distances."""
    return np.sqrt(((np.arange(BINS + 1, dtype=np.int64) + FIRST_BIN) << SHIFT).view(np.float64))


@_compiled
def leaf_order(points, leaf):
    """An order of the points in which each run of `leaf` of them is a leaf of a k-d tree split at medians."""
    n, d = points.shape
    order = np.arange(n)
    stack = [(0, n)]
    while len(stack) > 0:
        start, stop = stack.pop()
        if stop - start <= leaf:
            continue
        widest, width = 0, -1.0
        for k in range(d):
            low, high = np.inf, -np.inf
            for i in range(start, stop):
                v = points[order[i], k]
                low, high = min(low, v), max(high, v)
            if high - low > width:
                widest, width = k, high - low
        keys = np.empty(stop - start)
        for i in range(start, stop):
            keys[i - start] = points[order[i], widest]
        order[start:stop] = order[start:stop][np.argsort(keys)]
        leaves = (stop - start + leaf - 1) // leaf
        middle = start + leaf * (leaves // 2)
        stack.append((start, middle))
        stack.append((middle, stop))
    return order


@_compiled
def _boxes(points, leaf):
    """Lower and upper corners of the leaves."""
    n, d = points.shape
    count = (n + leaf - 1) // leaf
    low = np.full((count, d), np.inf)
    high = np.full((count, d), -np.inf)
    for i in range(n):
        for k in range(d):
            low[i // leaf, k] = min(low[i // leaf, k], points[i, k])
            high[i // leaf, k] = max(high[i // leaf, k], points[i, k])
    return low, high


@_compiled(fastmath={"contract", "reassoc", "nsz"})
def _leaf_pair(columns, a, a_stop, b, b_stop, same, squares, counts):
    """Count the pairs of two leaves, rows of one against all of the other so that the compiler vectorises."""
    d = columns.shape[0]
    bits = squares.view(np.int64)
    for i in range(a, a_stop):
        first = i + 1 if same else b
        m = b_stop - first
        for j in range(m):
            squares[j] = 0.0
        for k in range(d):
            x = columns[k, i]
            row = columns[k, first:b_stop]
            for j in range(m):
                squares[j] += (x - row[j]) ** 2
        for j in range(m):
            place = (bits[j] >> 50) - FIRST_BIN
            counts[min(max(place, 0), BINS - 1)] += 1


@_compiled
def pair_counts(points, leaf, largest):
    """Number of pairs in each bin of distance up to `largest`, for points in leaf order."""
    n, d = points.shape
    columns = np.ascontiguousarray(points.T)
    low, high = _boxes(points, leaf)
    counts = np.zeros(BINS, np.int64)
    squares = np.empty(leaf)
    limit = largest * largest
    for a in range(low.shape[0]):
        for b in range(a, low.shape[0]):
            nearest = 0.0
            for k in range(d):
                gap = max(0.0, low[a, k] - high[b, k], low[b, k] - high[a, k])
                nearest += gap * gap
            if nearest <= limit:
                _leaf_pair(
                    columns, a * leaf, min(n, (a + 1) * leaf), b * leaf, min(n, (b + 1) * leaf), a == b, squares, counts
                )
    return counts


@_compiled
def close_in_time(points, window):
    """Number of pairs in each bin whose instants differ by at most `window` samples."""
    n, d = points.shape
    counts = np.zeros(BINS, np.int64)
    square = np.empty(1)
    bits = square.view(np.int64)
    for i in range(n):
        for j in range(i + 1, min(n, i + window + 1)):
            square[0] = 0.0
            for k in range(d):
                square[0] += (points[i, k] - points[j, k]) ** 2
            place = (bits[0] >> 50) - FIRST_BIN
            counts[min(max(place, 0), BINS - 1)] += 1
    return counts
