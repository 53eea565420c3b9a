"""Compiled propagation of tangent vectors through a product of matrices, kept orthonormal by Gram-Schmidt."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import numpy as np
from numba import njit

__all__ = ["growth"]

ROUNDING = 2.3e-16

_compiled: Any = partial(cast(Any, njit), cache=True, nogil=True)


@_compiled
def _orthonormalise(rows, logs, single):
    """Make the rows orthonormal in place and add the logarithms of their lengths; whether that was possible.

    A row of which nothing but rounding is left after a `single` matrix is one that it has annihilated: its logarithm is
    minus infinity, and a direction orthogonal to the rows before takes its place.
    """
    k, d = rows.shape
    for i in range(k):
        length = _normalise(rows[i])
        if not np.isfinite(length):
            return False
        left = 0.0
        if length > 0.0:
            left = _orthogonalise(rows, i)
        if left > d * ROUNDING:
            logs[i] += np.log(length) + np.log(left)
            continue
        if not single:
            return False
        logs[i] = -np.inf
        for axis in range(d):
            rows[i] = 0.0
            rows[i, axis] = 1.0
            if _orthogonalise(rows, i) ** 2 > 0.5 / d:
                break
    return True


@_compiled
def _normalise(row):
    """Divide by the length, unless that is zero or not finite; the length."""
    largest = np.abs(row).max()
    if not (largest > 0.0 and np.isfinite(largest)):
        return largest
    row /= largest
    length = np.sqrt((row * row).sum())
    row /= length
    return largest * length


@_compiled
def _orthogonalise(rows, i):
    """Make a row of length one orthogonal to those before it, of length one again; the length that it had left.

    Twice is enough for rounding, unless nothing is left.
    """
    d = rows.shape[1]
    total = 1.0
    for _ in range(2):
        for j in range(i):
            projection = 0.0
            for c in range(d):
                projection += rows[i, c] * rows[j, c]
            for c in range(d):
                rows[i, c] -= projection * rows[j, c]
        length = _normalise(rows[i])
        total *= length
        if not total > d * ROUNDING:
            return total
    return total


@_compiled
def growth(jacobians, rows, every, logs):
    """Propagate `rows` (k, d) through matrices (steps, d, d), orthonormalising after each `every` of them.

    The logarithmic growth over the n-th stretch goes to logs[n]. Returns the step at which a vector was lost, or -1.
    """
    steps, d, _ = jacobians.shape
    k = rows.shape[0]
    image = np.empty_like(rows)
    for n in range(steps):
        for i in range(k):
            for r in range(d):
                total = 0.0
                for c in range(d):
                    total += jacobians[n, r, c] * rows[i, c]
                image[i, r] = total
        rows[:] = image
        if (n + 1) % every == 0 and not _orthonormalise(rows, logs[n // every], every == 1):
            return n
    return -1
