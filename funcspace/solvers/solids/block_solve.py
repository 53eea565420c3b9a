"""Solves with the symmetric systems of solids: direct, or multigrid that knows the rigid-body motions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from funcspace.solvers.front_factor import NotPositiveError
from funcspace.solvers.solids.block_pattern import BlockPattern
from funcspace.solvers.solids.rigid_modes import rigid_modes
from funcspace.solvers.sparse_systems import factorise

__all__ = ["block_solver"]

FloatArray = NDArray[np.float64]


def block_solver(
    pattern: BlockPattern,
    blocks: FloatArray,
    *,
    method: Literal["direct", "multigrid"],
    tolerance: float,
    max_iterations: int,
) -> Callable[[FloatArray], FloatArray]:
    """A function that solves for right-hand sides (free,) or (free, k) of the free unknowns.

    Parameters
    ----------
    blocks : of the whole matrix.

    Raises
    ------
    SolverError
        A singular matrix, or no convergence.
    """
    if method == "direct":
        try:
            return pattern.factors.one(pattern.inner(blocks).data)
        except NotPositiveError:
            # the tangent of an unstable state, which Newton's method passes on its way
            return factorise(pattern.inner(blocks), "direct", tolerance, max_iterations)
    modes = rigid_modes(pattern.points)
    modes[pattern.fixed] = 0.0
    solve = factorise(pattern.decoupled(blocks), "multigrid", tolerance, max_iterations, near_nullspace=modes)

    def inner(load: FloatArray) -> FloatArray:
        whole = np.zeros((pattern.size, *load.shape[1:]))
        whole[pattern.free] = load
        return solve(whole)[pattern.free]

    return inner
