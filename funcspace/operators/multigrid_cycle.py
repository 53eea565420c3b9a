"""One multigrid cycle over any hierarchy: a level is an operator, smoothers, transfers and a boundary condition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

__all__ = ["CYCLES", "Level", "multigrid_cycle"]

Map = Callable[[Tensor], Tensor]
CYCLES: tuple[str, ...] = ("backslash", "V", "W")


def _identity(x: Tensor) -> Tensor:
    return x


@dataclass(frozen=True)
class Level:
    """What a cycle needs of one level. Nothing here says whether it is a grid, a mesh or a graph.

    Attributes
    ----------
    smoothers : S_1 ... S_p of the way down, each from right-hand sides to unknowns.
    operators : A_2 ... A_p before the later smoothers and, unless restriction is "full" or the level is the coarsest,
        one more for the residual that is restricted. Each maps unknowns to right-hand sides; all may be the same.
    post_smoothers, post_operators : the same for the way up; empty in a backslash cycle.
    restriction : residuals of this level to the next coarser one; None on the coarsest.
    prolongation : corrections of the next coarser level to this one; None on the coarsest.
    coarse_operator : A of the next coarser level for the second visit of a W cycle.
    boundary : makes unknowns satisfy the boundary condition exactly.
    """

    smoothers: Sequence[Map]
    operators: Sequence[Map]
    post_smoothers: Sequence[Map] = ()
    post_operators: Sequence[Map] = ()
    restriction: Map | None = None
    prolongation: Map | None = None
    coarse_operator: Map | None = None
    boundary: Map = _identity


def multigrid_cycle(levels: Sequence[Level], f: Tensor, *, full_restriction: bool = False) -> Tensor:
    r"""An approximate solution of :math:`A u = f` from one cycle that starts at zero.

    .. math::

        u &\leftarrow S_1 f, \qquad u \leftarrow u + S_i (f - A_i u) \\
        u &\leftarrow u + P\, \mathrm{cycle}\bigl(R (f - A u)\bigr) \\
        u &\leftarrow u + S'_i (f - A'_i u)

    Parameters
    ----------
    levels : finest first.
    f : right-hand side on the finest level.
    full_restriction : restrict f itself instead of the residual, which makes the cycle additive.

    Notes
    -----
    A W cycle visits the next level twice, the second time with the residual of the first visit:
    :math:`e \leftarrow e + \mathrm{cycle}(f_c - A_c e)`.
    """
    level = levels[0]
    u = level.boundary(level.smoothers[0](f))
    steps = len(level.smoothers)
    for i in range(1, steps):
        u = u + level.boundary(level.smoothers[i](f - level.operators[i - 1](u)))
    if len(levels) > 1 and level.restriction is not None and level.prolongation is not None:
        rest = level.restriction(f if full_restriction else f - level.operators[steps - 1](u))
        e = multigrid_cycle(levels[1:], rest, full_restriction=full_restriction)
        if level.coarse_operator is not None:
            again = rest - level.coarse_operator(e)
            e = e + multigrid_cycle(levels[1:], again, full_restriction=full_restriction)
        u = u + level.boundary(level.prolongation(e))
    for smoother, operator in zip(level.post_smoothers, level.post_operators, strict=True):
        u = u + level.boundary(smoother(f - operator(u)))
    return u
