"""Compiled counting of samples in the boxes of a regular partition of state space."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import numpy as np
from numba import njit

__all__ = ["count", "label", "summary"]

_compiled: Any = partial(cast(Any, njit), cache=True, nogil=True)


@_compiled
def _box(point, low, high, inverse, bins, first):
    """Number of the box of a point, or -1 outside (NaN compares false and so is outside)."""
    number = 0
    for d in range(point.shape[0]):
        place = (point[d] - low[d]) * inverse[d]
        if not (place >= first and point[d] < high[d]):
            return -1
        number = number * bins + min(int(place), bins - 1)  # which rounding may bring to the number of bins
    return number


@_compiled
def count(points, low, high, inverse, bins, first, counts):
    """Add each point to the count of its box and return how many have one."""
    inside = 0
    for i in range(points.shape[0]):
        number = _box(points[i], low, high, inverse, bins, first)
        if number >= 0:
            counts[number] += 1
            inside += 1
    return inside


@_compiled
def label(points, low, high, inverse, bins, first):
    """Number of the box of each point that has one."""
    labels = np.empty(points.shape[0], np.int64)
    inside = 0
    for i in range(points.shape[0]):
        number = _box(points[i], low, high, inverse, bins, first)
        if number >= 0:
            labels[inside] = number
            inside += 1
    return labels[:inside]


@_compiled
def summary(points):
    """Least, greatest, mean and standard deviation of each component: rows of a (4, components) array."""
    n, d = points.shape
    found = np.zeros((4, d))
    for k in range(d):
        found[0, k] = found[1, k] = points[0, k]
    for i in range(n):
        for k in range(d):
            v = points[i, k]
            found[0, k] = min(found[0, k], v)
            found[1, k] = max(found[1, k], v)
            found[2, k] += v
    found[2] /= n
    for i in range(n):
        for k in range(d):
            found[3, k] += (points[i, k] - found[2, k]) ** 2
    found[3] = np.sqrt(found[3] / n)
    return found
