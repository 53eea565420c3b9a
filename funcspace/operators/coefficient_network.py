"""An unrolled multigrid solver whose operators come from a coefficient field and whose other parts are learned."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from funcspace.operators.coefficient_stencil import (
    apply_stencil,
    coefficient_means,
    element_coefficients,
    mode_count,
    stencil_diagonal,
)
from funcspace.operators.grid_levels import GridHierarchy, GridLevel
from funcspace.operators.grid_stencil import StencilConv
from funcspace.operators.grid_transfer import Prolongation, Restriction, Transfer, prolong, restrict
from funcspace.operators.module_parts import parts
from funcspace.operators.multigrid_cycle import Level, multigrid_cycle

__all__ = ["CoefficientNetwork"]

DAMPING = 0.9


@dataclass(frozen=True)
class Fields:
    """Per level: stencil coefficients and inverse diagonals from the coefficient field, and the Dirichlet mask."""

    grids: list[GridLevel]
    indices: list[int]
    coefficients: list[Tensor]
    inverses: list[Tensor]
    masks: list[Tensor | None]

    @property
    def extra(self) -> bool:
        """Whether the first level is finer than the one that the finest weights were made for."""
        return len(self.indices) > 1 and self.indices[0] == self.indices[1]

    def below(self) -> Fields:
        """The same without the first level."""
        return Fields(self.grids[1:], self.indices[1:], self.coefficients[1:], self.inverses[1:], self.masks[1:])


class SolverLevel(nn.Module):
    """Smoothers and transfers of one level of one cycle; residuals are divided by the operator's diagonal first."""

    def __init__(
        self,
        channels: int,
        coarse_channels: int | None,
        dimension: int,
        samples: str,
        smoothing: int,
        post_smoothing: int,
    ) -> None:
        super().__init__()

        def smoothers(count: int) -> nn.ModuleList:
            return nn.ModuleList([StencilConv(channels, channels, dimension) for _ in range(count)])

        self.smoothers, self.post_smoothers = smoothers(smoothing), smoothers(post_smoothing)
        self.transfers = nn.ModuleList()
        if coarse_channels is not None:
            same = channels == coarse_channels
            self.transfers.append(Restriction(channels, coarse_channels, dimension, samples, depthwise=same))
            self.transfers.append(Prolongation(coarse_channels, channels, dimension, samples, depthwise=same))

    def reset_parameters(self) -> None:
        """Damped Jacobi, full weighting and interpolation, with a little mixing of channels so that they can part."""
        with torch.no_grad():
            for smoother in parts((*self.smoothers, *self.post_smoothers), StencilConv):
                smoother.reset_parameters(gain=0.05)
                weight = smoother.weight
                centre = (1,) * (weight.ndim - 2)
                weight[(slice(None), slice(None), *centre)] += DAMPING * torch.eye(len(weight)).to(weight)
            for transfer in parts(self.transfers, Transfer):
                transfer.reset_parameters()
                if transfer.groups == 1:
                    weight = transfer.weight
                    weight.copy_(transfer.stencil().to(weight).expand_as(weight) / transfer.in_channels)

    def level(self, hold: Fields, i: int, revisit: bool) -> Level:
        """The maps of this level for given coefficients; with classical transfers where the level is an extra one."""
        grid, coefficients, inverse, mask = hold.grids[i], hold.coefficients[i], hold.inverses[i], hold.masks[i]
        coarsest = i + 1 == len(hold.grids)

        def operator(u: Tensor) -> Tensor:
            return apply_stencil(u, coefficients, grid)

        def smoother(conv: nn.Module):
            return lambda r: conv(r * inverse, grid.boundary, grid.samples)

        def interior(u: Tensor) -> Tensor:
            return u if mask is None else u * mask

        down, up = None, None
        if not coarsest and hold.indices[i] == hold.indices[i + 1]:
            down, up = (lambda r: restrict(interior(r), grid)), (lambda e: prolong(e, grid))
        elif not coarsest and len(self.transfers):
            restriction, prolongation = self.transfers
            down, up = (lambda r: restriction(interior(r), grid)), (lambda e: prolongation(e, grid))
        again = None
        if revisit and not coarsest:
            again = lambda e: apply_stencil(e, hold.coefficients[i + 1], hold.grids[i + 1])  # noqa: E731
        return Level(
            smoothers=[smoother(m) for m in self.smoothers],
            operators=[operator] * len(self.smoothers),
            post_smoothers=[smoother(m) for m in self.post_smoothers],
            post_operators=[operator] * len(self.post_smoothers),
            restriction=down,
            prolongation=up,
            coarse_operator=again,
            boundary=interior,
        )


class CoefficientNetwork(nn.Module):
    r"""Cycles :math:`u \leftarrow u + \mathrm{cycle}_k(f - A(a) u)` for :math:`A(a) = -\nabla\cdot(a\nabla)`.

    The coefficient of each channel and gradient mode on each level is a learned blend of the arithmetic, harmonic and
    directional means of `a` over the level's cells; one set for all cycles. The source f is a learned affine map of
    the other input channels. The finest level has as many channels as the output, the coarser ones `width`.

    Shapes
    ------
    input : (batch, in_channels, *shape), channel 0 the positive coefficient; output : (batch, out_channels, *shape).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: int,
        layers: int,
        dimension: int,
        samples: str,
        levels: int,
        smoothing: tuple[int, ...],
        post_smoothing: int,
        cycle: str,
    ) -> None:
        super().__init__()
        self.dimension, self.cycle = dimension, cycle
        self.channels = [out_channels] + [width] * (levels - 1)
        modes, means = mode_count(dimension), 2 + dimension
        self.blends = nn.ParameterList([nn.Parameter(torch.empty(c * modes, means)) for c in self.channels])
        self.source = StencilConv(in_channels, out_channels, dimension, points=1, bias=True)
        self.cycles = nn.ModuleList()
        for _ in range(layers):
            self.cycles.append(
                nn.ModuleList(
                    [
                        SolverLevel(
                            self.channels[i],
                            self.channels[i + 1] if i + 1 < levels else None,
                            dimension,
                            samples,
                            smoothing[2] if i == levels - 1 else smoothing[0] if i == 0 else smoothing[1],
                            post_smoothing if i < levels - 1 else 0,
                        )
                        for i in range(levels)
                    ]
                )
            )
        self.reset_parameters(1.0)

    def reset_parameters(self, source: float) -> None:
        """A classical solver with a constant source of the given size."""
        with torch.no_grad():
            for level, blend in enumerate(self.blends):
                blend.fill_(1.0 / blend.shape[1])
                if level == 0:
                    blend.zero_()
                    blend[:, 0] = 1.0
            self.source.weight.zero_()
            assert self.source.bias is not None
            self.source.bias.fill_(source)
            for channel in range(1, self.source.in_channels):
                self.source.weight[(channel - 1) % self.source.out_channels, channel] = source
        for levels in parts(self.cycles, nn.ModuleList):
            for level in parts(levels, SolverLevel):
                level.reset_parameters()

    def forward(
        self, x: Float[Tensor, "batch channel *shape"], hierarchy: GridHierarchy
    ) -> Float[Tensor, "batch out *shape"]:
        """Solve, approximately."""
        grids, indices = hierarchy.levels, hierarchy.weights
        means = coefficient_means(x[:, :1], grids)
        masks = [hierarchy.mask(i, x) for i in range(len(grids))]
        fields = []
        for grid, mean, index in zip(grids, means, indices, strict=True):
            blend = self.blends[index]
            fields.append(
                element_coefficients(mean, blend + (1 - blend.sum(dim=1, keepdim=True)) / blend.shape[1], grid)
            )
        inverses = [
            1.0 / stencil_diagonal(field, self.channels[index], grid)
            for field, grid, index in zip(fields, grids, indices, strict=True)
        ]
        finest = grids[0]
        source = self.source(x, finest.boundary, finest.samples)
        source = source - self.source.weight[:, 0].reshape(1, -1, *([1] * self.dimension)) * x[:, :1]
        hold = Fields(list(grids), list(indices), fields, inverses, masks)
        return self._solve(source if masks[0] is None else source * masks[0], hold)

    def _solve(self, f: Tensor, hold: Fields) -> Tensor:
        """All cycles, on an extra level from the solution of the level below it (full multigrid)."""
        finest, mask = hold.grids[0], hold.masks[0]
        u: Tensor | None = None
        if hold.extra:
            natural = finest.with_natural_boundary()
            u = prolong(self._solve(restrict(f, natural), hold.below()), finest)
            u = u if mask is None else u * mask
        for cycle in parts(self.cycles, nn.ModuleList):
            weights = parts(cycle, SolverLevel)
            levels = [weights[index].level(hold, i, self.cycle == "W") for i, index in enumerate(hold.indices)]
            rest = f if u is None else f - apply_stencil(u, hold.coefficients[0], finest)
            e = multigrid_cycle(levels, rest if mask is None else rest * mask)
            u = e if u is None else u + e
        assert u is not None
        return u
