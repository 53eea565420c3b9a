"""Compiled legs of a multigrid cycle with Gauss-Seidel smoothing."""

# Plain functions without annotations: what numba compiles, the run-time checks of the tests must not wrap.
# pyright: basic
import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def diagonals(start, column):
    """Where the diagonal entry of each row of a CSR matrix with sorted rows is; -1 at the first row without one."""
    places = np.empty(len(start) - 1, np.int64)
    for i in range(len(places)):
        places[i] = -1
        for p in range(start[i], start[i + 1]):
            if column[p] == i:
                places[i] = p
    return places


@njit(cache=True, nogil=True)
def descend(matrix, load, x, residual):
    """One forward sweep from zero, and the residual it leaves: what is above the diagonal."""
    start, middle, column, value = matrix
    for i in range(len(load)):
        total = load[i]
        for p in range(start[i], middle[i]):
            total -= value[p] * x[column[p]]
        x[i] = total / value[middle[i]]
    for i in range(len(load)):
        total = 0.0
        for p in range(middle[i] + 1, start[i + 1]):
            total -= value[p] * x[column[p]]
        residual[i] = total


@njit(cache=True, nogil=True)
def ascend(matrix, prolongation, load, correction, x):
    """Add a correction from the coarser level, and one backward sweep."""
    first, fine_column, weight = prolongation
    for i in range(len(load)):
        total = x[i]
        for p in range(first[i], first[i + 1]):
            total += weight[p] * correction[fine_column[p]]
        x[i] = total
    start, middle, column, value = matrix
    for i in range(len(load) - 1, -1, -1):
        total = load[i]
        for p in range(start[i], middle[i]):
            total -= value[p] * x[column[p]]
        for p in range(middle[i] + 1, start[i + 1]):
            total -= value[p] * x[column[p]]
        x[i] = total / value[middle[i]]
