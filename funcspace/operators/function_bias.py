"""A bias that is a function of position, as in the layers of MgNO."""

from __future__ import annotations

import math
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor, nn

from funcspace.operators.grid_levels import GridHierarchy, GridLevel
from funcspace.operators.grid_stencil import channels_last

__all__ = ["FunctionBias"]


class FunctionBias(nn.Module):
    r"""One smooth function per channel, the same on any grid over the box.

    .. math:: B_c(x) = \sum_m \beta_{cm} \prod_i \cos(\pi m_i t_i), \qquad t \in [0, 1]^d

    Along periodic axes only the constant is kept, so that shifts of the input still shift the output.

    Parameters
    ----------
    width : number of channels.
    periodic : which axes are periodic.
    modes : number of cosines along each other axis; 1 gives a constant per channel.
    """

    def __init__(self, width: int, periodic: tuple[bool, ...], modes: int) -> None:
        super().__init__()
        self.orders = tuple(product(*(range(1 if closed else modes) for closed in periodic)))
        self.weight = nn.Parameter(torch.zeros(width, len(self.orders)))

    def reset_parameters(self) -> None:
        """No bias."""
        nn.init.zeros_(self.weight)

    def functions(self, grid: GridLevel) -> Float[Tensor, "*shape mode"]:
        """The cosines at the samples of a grid (float64)."""
        axes = []
        for n in grid.shape:
            steps = torch.arange(n, dtype=torch.float64)
            axes.append(steps / max(n - 1, 1) if grid.samples == "vertices" else (steps + 0.5) / n)
        values = []
        for order in self.orders:
            value = torch.ones((), dtype=torch.float64)
            for m, t in zip(order, axes, strict=True):
                value = value[..., None] * torch.cos(math.pi * m * t)
            values.append(value)
        return torch.stack(values, dim=-1)

    def forward(self, like: Tensor, hierarchy: GridHierarchy) -> Float[Tensor, "1 width *shape"]:
        """The bias on the finest grid, in the type of a tensor."""
        if len(self.orders) == 1:
            return self.weight.reshape(1, -1, *([1] * len(hierarchy.levels[0].shape)))
        key = ("cosines", self.orders)
        cosines = hierarchy.cached(key, like, lambda: self.functions(hierarchy.levels[0]))
        return channels_last((cosines @ self.weight.T)[None].movedim(-1, 1))

    def extra_repr(self) -> str:
        """Channels and number of functions."""
        return f"{self.weight.shape[0]}, functions={len(self.orders)}"
