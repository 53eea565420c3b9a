"""The form of MgNO that its authors released: unknown and right-hand side restricted separately, zero padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from funcspace.errors import InputError
from funcspace.operators.module_parts import parts

__all__ = ["ReferenceNetwork"]

CONVS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


class ReferenceCycle(nn.Module):
    r"""A backslash cycle without a coarse-grid correction in the strict sense.

    .. math::

        u &\leftarrow S f, \quad u \leftarrow u + S_i (f - A_i u); \qquad
        f \leftarrow R f, \quad u \leftarrow \Pi u \quad\text{level by level}; \\
        u_j &\leftarrow u_j + R^T_j u_{j+1} \quad\text{on the way up}
    """

    def __init__(self, in_channels: int, width: int, levels: int, smoothing: tuple[int, ...], dimension: int) -> None:
        super().__init__()
        conv, transposed = CONVS[dimension], TRANSPOSED[dimension]

        def stencil(i: int, o: int, stride: int = 1) -> nn.Module:
            return conv(i, o, 3, stride=stride, padding=1, bias=False)

        steps = [smoothing[2] if i == levels - 1 else smoothing[0] if i == 0 else smoothing[1] for i in range(levels)]
        self.smoothers = nn.ModuleList(
            [nn.ModuleList([stencil(in_channels, width) for _ in range(count)]) for count in steps]
        )
        self.operators = nn.ModuleList(
            [
                nn.ModuleList([stencil(width, in_channels) for _ in range(count - 1 if i == 0 else count)])
                for i, count in enumerate(steps)
            ]
        )
        coarser = range(levels - 1)
        self.restrict_unknown = nn.ModuleList([stencil(width, width, 2) for _ in coarser])
        self.restrict_source = nn.ModuleList([stencil(in_channels, in_channels, 2) for _ in coarser])
        self.prolong = nn.ModuleList([transposed(width, width, 4, stride=2, padding=1, bias=False) for _ in coarser])

    def forward(self, f: Float[Tensor, "batch channel *shape"]) -> Float[Tensor, "batch width *shape"]:
        """Apply the cycle."""
        unknowns: list[Tensor] = []
        u: Any = None
        groups = zip(parts(self.smoothers, nn.ModuleList), parts(self.operators, nn.ModuleList), strict=True)
        for level, (smoothers, operators) in enumerate(groups):
            if level > 0:
                u, f = self.restrict_unknown[level - 1](u), self.restrict_source[level - 1](f)
            pairs = list(smoothers)
            if level == 0:
                u, pairs = pairs[0](f), pairs[1:]
            for smoother, operator in zip(pairs, operators, strict=True):
                u = u + smoother(f - operator(u))
            unknowns.append(u)
        for level in range(len(unknowns) - 2, -1, -1):
            u = unknowns[level] + self.prolong[level](u)
        return u


class ReferenceNetwork(nn.Module):
    """Layers GELU(cycle(x) + W x + b), the first straight from the input channels, and a linear map to the output.

    Shapes
    ------
    input : (batch, in_channels, *shape); output : (batch, out_channels, *shape).
    Every axis must be divisible by 2^(levels - 1).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: int,
        layers: int,
        levels: int,
        smoothing: tuple[int, ...],
        dimension: int,
    ) -> None:
        super().__init__()
        self.divisor = 2 ** (levels - 1)
        channels = [in_channels] + [width] * (layers - 1)
        self.cycles = nn.ModuleList([ReferenceCycle(c, width, levels, smoothing, dimension) for c in channels])
        self.pointwise = nn.ModuleList([CONVS[dimension](c, width, 1) for c in channels])
        self.project = CONVS[dimension](width, out_channels, 1, bias=False)

    def reset_parameters(self, spacings: Sequence[Sequence[float]] = (), initialisation: str = "multigrid") -> None:
        """The default initialisation of torch, as in the authors' code."""
        for module in self.modules():
            if isinstance(
                module, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d
            ):
                module.reset_parameters()

    def forward(
        self, x: Float[Tensor, "batch channel *shape"], context: Any = None
    ) -> Float[Tensor, "batch out *shape"]:
        """Map input channels to output channels."""
        if any(n % self.divisor for n in x.shape[2:]):
            raise InputError(
                f"the reference form needs a grid shape divisible by {self.divisor}, got {tuple(x.shape[2:])}; "
                "the default form takes any"
            )
        for cycle, pointwise in zip(self.cycles, self.pointwise, strict=True):
            x = F.gelu(cycle(x) + pointwise(x))
        return self.project(x)
