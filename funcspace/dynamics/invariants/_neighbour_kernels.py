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
def nearest(points, order, leaf, window, last, stride):
    """For each `stride`-th i <= last the nearest different j <= last with |i - j| > window, or -1."""
    n, d = points.shape
    found = np.full(last // stride + 1, -1)
    low, high = _boxes(points[order], leaf)
    leaves = low.shape[0]
    home = np.empty(n, np.int64)
    for place in range(n):
        home[order[place]] = place // leaf
    for i in range(0, last + 1, stride):
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
                    found[i // stride] = j
    return found


@_compiled
def _difference(points, flow, i, j, out):
    """The difference of points j and i without its part along the flow at i, and the square of its length."""
    along = 0.0
    for c in range(points.shape[1]):
        out[c] = points[j, c] - points[i, c]
        along += out[c] * flow[i, c]
    square = 0.0
    for c in range(points.shape[1]):
        out[c] -= along * flow[i, c]
        square += out[c] * out[c]
    return square


@_compiled
def divergence(points, flow, partners, stride, steps, blocks):
    """Sums and numbers of log |x(i+k) - x(j+k)| over pairs, by block of i: (blocks, steps + 1) each.

    `flow` holds the unit vectors along which differences do not count, or zeros.
    """
    sums = np.zeros((blocks, steps + 1))
    numbers = np.zeros((blocks, steps + 1), np.int64)
    gap = np.empty(points.shape[1])
    n = len(partners)
    for i in range(n):
        if partners[i] < 0:
            continue
        block = i * blocks // n
        for k in range(steps + 1):
            square = _difference(points, flow, i * stride + k, partners[i] + k, gap)
            if square > 0.0:
                sums[block, k] += 0.5 * np.log(square)
                numbers[block, k] += 1
    return sums, numbers


@_compiled
def wolf(points, evolve, window, smallest, largest, narrow):
    """Logarithmic growth over each stretch of `evolve` samples of the distance to a neighbour that is replaced."""
    n, d = points.shape
    growths = np.empty((n - 1) // evolve)
    used, partner = 0, -1
    direction = np.zeros(d)
    for i in range(0, n - evolve, evolve):
        before = np.inf
        if 0 <= partner < n - evolve and abs(i - partner) > window:
            before = 0.0
            for c in range(d):
                before += (points[partner, c] - points[i, c]) ** 2
        if not (0.0 < before <= largest * largest):
            aimed = partner >= 0
            partner, best_cost = -1, np.inf
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
                # keep the direction of the difference that is replaced; a wide angle only if there is nothing better
                cost = length if not aimed or dot > narrow * length else largest * (3.0 - dot / length)
                if cost < best_cost:
                    partner, best_cost, before = j, cost, square
        if partner < 0:
            continue
        after = 0.0
        for c in range(d):
            direction[c] = points[partner + evolve, c] - points[i + evolve, c]
            after += direction[c] ** 2
        if after > 0.0:
            growths[used] = 0.5 * np.log(after / before)
            used += 1
            direction /= np.sqrt(after)
            partner += evolve
        else:
            partner = -1
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
