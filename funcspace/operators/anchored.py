"""Operators on other grids than the one that their weights belong to."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from funcspace.operators.grid_levels import GridHierarchy, GridLevel
from funcspace.operators.grid_transfer import prolong, resample, restrict

__all__ = ["anchored"]


def _down(x: Tensor, grid: GridLevel, target: GridLevel) -> Tensor:
    if target.shape == grid.coarse_shape:
        return restrict(x, grid)
    return resample(x, target.shape, grid)


def _up(x: Tensor, grid: GridLevel, source: GridLevel) -> Tensor:
    if source.shape == grid.coarse_shape:
        return prolong(x, grid)
    return resample(x, grid.shape, grid)


def anchored(
    f: Float[Tensor, "batch channel *fine"],
    hierarchy: GridHierarchy,
    operator: Callable[[Tensor], Tensor],
    detail: Callable[[Tensor], Tensor],
    *,
    homogeneous: bool = False,
) -> Float[Tensor, "batch out *fine"]:
    r"""An operator at the level that its weights belong to, and a pointwise map on what that level cannot hold.

    .. math:: F_h(f) = P\,F_{h_0}(R f) + D (f - P R f)

    Stencils live in index space: applied to another grid as they are, they would act on another neighbourhood. R halves
    the grid as often as that brings it closer to the spacing of the weights, and interpolates for what is left.

    Parameters
    ----------
    operator : acts on the grid that has the spacing of the weights.
    detail : D, acts at each point alone.
    homogeneous : whether the result satisfies the boundary conditions of the hierarchy.
    """
    extra = hierarchy.extra
    fields = [f]
    for i in range(extra):
        grid = hierarchy.levels[i].with_natural_boundary()
        fields.append(_down(fields[-1], grid, hierarchy.levels[i + 1]))
    u = operator(fields[-1])
    for i in reversed(range(extra)):
        grid, coarse = hierarchy.levels[i], hierarchy.levels[i + 1]
        natural = grid.with_natural_boundary()
        u = _up(u, grid if homogeneous else natural, coarse)
        u = u + detail(fields[i] - _up(fields[i + 1], natural, coarse))
        mask = hierarchy.mask(i, u) if homogeneous else None
        u = u if mask is None else u * mask
    return u
