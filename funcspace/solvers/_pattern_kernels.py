"""Compiled look-up of entries in a sparse matrix."""

# Plain functions without annotations: what numba compiles, the run-time checks of the tests must not wrap.
# pyright: basic
import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def places(start, column, dofs, offset, found):
    """Where in a CSR matrix with sorted rows the entries (i, j) of local matrices on dofs (elements, local) are."""
    width = dofs.shape[1]
    slot = offset
    for e in range(dofs.shape[0]):
        for a in range(width):
            row = dofs[e, a]
            for b in range(width):
                wanted = dofs[e, b]
                low, high = start[row], start[row + 1] - 1
                while low < high:
                    middle = (low + high) // 2
                    if column[middle] < wanted:
                        low = middle + 1
                    else:
                        high = middle
                found[slot] = low
                slot += 1
    return np.int64(slot)
