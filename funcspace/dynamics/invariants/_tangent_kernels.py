"""Compiled propagation of tangent vectors through a product of matrices, kept orthonormal by Gram-Schmidt."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import numpy as np
from numba import njit

__all__ = ["growth"]

_compiled: Any = partial(cast(Any, njit), cache=True, nogil=True)


@_compiled
def _orthonormalise(rows, logs):
    """Make the rows orthonormal in place, twice is enough for rounding, and add the logarithms of their lengths."""
    k, d = rows.shape
    for i in range(k):
        length = 0.0
        for c in range(d):
            length += rows[i, c] ** 2
        length = np.sqrt(length)
        if not (length > 0.0 and np.isfinite(length)):
            return False
        total = np.log(length)
        for c in range(d):
            rows[i, c] /= length
        for _ in range(2):
            for j in range(i):
                projection = 0.0
                for c in range(d):
                    projection += rows[i, c] * rows[j, c]
                for c in range(d):
                    rows[i, c] -= projection * rows[j, c]
        length = 0.0
        for c in range(d):
            length += rows[i, c] ** 2
        length = np.sqrt(length)
        if not length > 0.0:
            return False
        for c in range(d):
            rows[i, c] /= length
        logs[i] += total + np.log(length)
    return True


@_compiled
def growth(jacobians, rows, every, logs):
    """Propagate `rows` (k, d) through matrices (steps, d, d), orthonormalising after each `every` of them.

    The logarithmic growth over the n-th stretch goes to logs[n]. Returns the step at which a vector vanished, or -1.
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
        if (n + 1) % every == 0 and not _orthonormalise(rows, logs[n // every]):
            return n
    return -1
