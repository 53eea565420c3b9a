"""Compiled searches for neighbours that are close in space and far in time, and what becomes of such pairs."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import numpy as np
from numba import njit

from funcspace.dynamics.invariants._pair_kernels import _boxes

__all__ = ["divergence", "matches", "nearest", "wolf"]

_compiled: Any = partial(cast(Any, njit), cache=True, nogil=True)


@_compiled
def nearest(points, order, leaf, window, last):
    """For each i <= last the nearest different point j <= last with |i - j| > window, or -1; by leaves in `order`."""
    n, d = points.shape
    found = np.full(last + 1, -1)
    low, high = _boxes(points[order], leaf)
    leaves = low.shape[0]
    home = np.empty(n, np.int64)
    for place in range(n):
        home[order[place]] = place // leaf
    for i in range(last + 1):
        best = np.inf
        # leaves around the point's own come first: they bound the search before the rest is looked at
        for turn in range(leaves):
            a = turn - 1 if turn <= home[i] else turn
            if turn == 0:
                a = home[i]
            gap = 0.0
            for k in range(d):
                g = max(0.0, low[a, k] - points[i, k], points[i, k] - high[a, k])
                gap += g * g
            if gap >= best:
                continue
            for place in range(a * leaf, min(n, (a + 1) * leaf)):
                j = order[place]
                if j > last or abs(i - j) <= window:
                    continue
                square = 0.0
                for k in range(d):
                    square += (points[i, k] - points[j, k]) ** 2
                if 0.0 < square < best:
                    best = square
                    found[i] = j
    return found


@_compiled
def divergence(points, partners, steps, blocks):
    """Sums and numbers of log |x(i+k) - x(j+k)| over pairs (i, j), by block of i: (blocks, steps + 1) each."""
    d = points.shape[1]
    sums = np.zeros((blocks, steps + 1))
    numbers = np.zeros((blocks, steps + 1), np.int64)
    n = len(partners)
    for i in range(n):
        j = partners[i]
        if j < 0:
            continue
        block = i * blocks // n
        for k in range(steps + 1):
            square = 0.0
            for c in range(d):
                square += (points[i + k, c] - points[j + k, c]) ** 2
            if square > 0.0:
                sums[block, k] += 0.5 * np.log(square)
                numbers[block, k] += 1
    return sums, numbers


@_compiled
def wolf(points, evolve, window, smallest, largest, narrow):
    """Logarithmic growth over each stretch of `evolve` samples of a fiducial orbit and its replaced neighbour."""
    n, d = points.shape
    growths = np.empty((n - 1) // evolve)
    used = 0
    partner = -1
    direction = np.zeros(d)
    for i in range(0, n - evolve, evolve):
        best, best_cost = -1, np.inf
        for j in range(n - evolve):
            if abs(i - j) <= window:
                continue
            square, dot = 0.0, 0.0
            for c in range(d):
                v = points[j, c] - points[i, c]
                square += v * v
                dot += v * direction[c]
            if square < smallest * smallest or square > largest * largest:
                continue
            length = np.sqrt(square)
            cost = length
            if partner >= 0:
                # keep the direction of the difference that is replaced; a wide angle only if there is nothing better
                cosine = dot / length
                cost = length if cosine > narrow else largest * (3.0 - cosine)
            if cost < best_cost:
                best, best_cost = j, cost
        if best < 0:
            partner = -1
            continue
        before, after = 0.0, 0.0
        for c in range(d):
            before += (points[best, c] - points[i, c]) ** 2
            direction[c] = points[best + evolve, c] - points[i + evolve, c]
            after += direction[c] ** 2
        if after > 0.0:
            growths[used] = 0.5 * np.log(after / before)
            used += 1
            direction /= np.sqrt(after)
            partner = best
    return growths[:used]


@_compiled
def matches(x, length, tolerance):
    """Numbers of pairs of templates of `length` and of `length` + 1 samples that match within a tolerance."""
    n = len(x) - length
    shorter, longer = 0, 0
    order = np.argsort(x[:n])
    for a in range(n):
        i = order[a]
        for b in range(a + 1, n):
            j = order[b]
            if x[j] - x[i] > tolerance:
                break
            match = True
            for k in range(1, length):
                if abs(x[i + k] - x[j + k]) > tolerance:
                    match = False
                    break
            if match:
                shorter += 1
                if abs(x[i + length] - x[j + length]) <= tolerance:
                    longer += 1
    return shorter, longer
