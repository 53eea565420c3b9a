"""Operators on grids finer than the one that their weights belong to."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from funcspace.operators.grid_levels import GridHierarchy
from funcspace.operators.grid_transfer import prolong, restrict

__all__ = ["anchored"]


def anchored(
    f: Float[Tensor, "batch channel *fine"],
    hierarchy: GridHierarchy,
    operator: Callable[[Tensor], Tensor],
    detail: Callable[[Tensor], Tensor],
    *,
    homogeneous: bool = False,
) -> Float[Tensor, "batch out *fine"]:
    r"""An operator at the level that its weights belong to, and a pointwise map on what that level cannot hold.

    .. math:: F_h(f) = P\,F_{2h}(R f) + D (f - P R f), \qquad F_{h_0} = \text{operator}

    Stencils live in index space: applied to a finer grid as they are, they would act on a smaller neighbourhood.

    Parameters
    ----------
    operator : acts on the grid of the finest level with weights of its own.
    detail : D, acts at each point alone.
    homogeneous : whether the result satisfies the boundary conditions of the hierarchy.
    """
    extra = hierarchy.extra
    fields = [f]
    for grid in hierarchy.levels[:extra]:
        fields.append(restrict(fields[-1], grid.with_natural_boundary()))
    u = operator(fields[-1])
    for i in reversed(range(extra)):
        grid = hierarchy.levels[i]
        natural = grid.with_natural_boundary()
        u = prolong(u, grid if homogeneous else natural) + detail(fields[i] - prolong(fields[i + 1], natural))
        mask = hierarchy.mask(i, u) if homogeneous else None
        u = u if mask is None else u * mask
    return u
