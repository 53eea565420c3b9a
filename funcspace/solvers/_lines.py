"""One-dimensional problems on a grid: tridiagonal systems, solved by elimination."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["solve_line"]

FloatArray = NDArray[np.float64]


def solve_line(
    k: FloatArray,
    c: FloatArray,
    alpha: FloatArray,
    h: FloatArray,
    load: FloatArray,
    given: FloatArray,
    sides: NDArray[np.bool_],
    singular: bool,
) -> tuple[FloatArray, float]:
    """Values at the vertices of one sample, and the relative residual. The arguments are those of `solve_grid`."""
    from scipy.linalg import solveh_banded

    diagonal = np.zeros(len(h) + 1)
    for shifted in (slice(None, -1), slice(1, None)):
        diagonal[shifted] += k / h + c * h / 3.0
    coupling = -k / h + c * h / 6.0
    diagonal[0] += alpha[0]
    diagonal[-1] += alpha[1]

    def apply(u: FloatArray) -> FloatArray:
        image = diagonal * u
        image[:-1] += coupling * u[1:]
        image[1:] += coupling * u[:-1]
        return image

    # A pure Neumann problem is pinned at its first vertex.
    first, last = int(sides[0] or singular), len(diagonal) - int(sides[1])
    values = given.copy()
    right = (load - apply(given))[first:last]
    if not right.size:
        return values, 0.0
    bands = np.zeros((2, last - first))
    bands[0, 1:] = coupling[first : last - 1]
    bands[1] = diagonal[first:last]
    values[first:last] = solveh_banded(bands, right, check_finite=False)
    norm = float(np.linalg.norm(right))
    residual = float(np.linalg.norm((load - apply(values))[first:last]))
    if singular:
        values -= values.mean()
    return values, residual / norm if norm > 0 else 0.0
