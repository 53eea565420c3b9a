"""The multigrid operator W_Mg: a learned linear map of multi-channel fields with the shape of a multigrid cycle."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from funcspace.operators.anchored import anchored
from funcspace.operators.grid_levels import GridHierarchy, GridLevel
from funcspace.operators.grid_stencil import StencilConv, laplacian_stencil
from funcspace.operators.grid_transfer import Prolongation, Restriction, Transfer
from funcspace.operators.module_parts import parts
from funcspace.operators.multigrid_cycle import Level, multigrid_cycle

__all__ = ["LevelWeights", "MultigridLayer"]

GAIN = 1 / 3**0.5
DAMPING = 8 / 9  # of the modes that a coarser grid cannot hold, the slowest shrink fastest


class LevelWeights(nn.Module):
    """The learned parts of one level of one cycle.

    The smoothers S mix channels. The operators A and the transfers R and P are one stencil for each channel: they act
    on all channels alike before training, as in multigrid, so that their products over the levels stay well scaled.

    Parameters
    ----------
    width, dimension, samples : channels, space dimension, "vertices" or "cells".
    smoothing, post_smoothing : smoothing steps on the way down and up.
    points : points per axis of the smoothers.
    coarsest : no transfers.
    residual : restrict the residual and not the right-hand side.
    revisit : hold an operator of the next level for the second visit of a W cycle.
    """

    def __init__(
        self,
        width: int,
        dimension: int,
        samples: str,
        *,
        smoothing: int,
        post_smoothing: int,
        points: int,
        coarsest: bool,
        residual: bool,
        revisit: bool,
    ) -> None:
        super().__init__()

        def smoothers(count: int) -> nn.ModuleList:
            return nn.ModuleList([StencilConv(width, width, dimension, points=points) for _ in range(count)])

        def operators(count: int) -> nn.ModuleList:
            return nn.ModuleList([StencilConv(width, width, dimension, depthwise=True) for _ in range(count)])

        self.smoothers = smoothers(smoothing)
        self.operators = operators(smoothing - 1 + int(residual and not coarsest))
        self.post_smoothers, self.post_operators = smoothers(post_smoothing), operators(post_smoothing)
        self.coarse_operators = operators(int(revisit and not coarsest))
        transfers = [] if coarsest else [Restriction, Prolongation]
        self.transfers = nn.ModuleList([t(width, width, dimension, samples, depthwise=True) for t in transfers])

    def reset_parameters(self, spacing: Sequence[float], gain: float = GAIN) -> None:
        """Random smoothers; A the finite-element Laplacian with unit diagonal; R full weighting, P interpolation."""
        stencil = laplacian_stencil(spacing)
        self._set(stencil / stencil.max())
        for smoother in parts((*self.smoothers, *self.post_smoothers), StencilConv):
            smoother.reset_parameters(gain)
        for module in parts(self.transfers, Transfer):
            module.reset_parameters()

    def reset_to_solver(self, spacing: Sequence[float], coarse_spacing: Sequence[float] | None) -> None:
        """The classical method for -Laplace: A the finite-element stencil, S damped Jacobi, in physical units."""
        self.reset_parameters(spacing)
        stencil = laplacian_stencil(spacing)
        self._set(stencil, None if coarse_spacing is None else laplacian_stencil(coarse_spacing))
        with torch.no_grad():
            for smoother in parts((*self.smoothers, *self.post_smoothers), StencilConv):
                weight = smoother.weight
                weight.zero_()
                centre = (smoother.points // 2,) * smoother.dimension
                weight[(slice(None), slice(None), *centre)] = (
                    DAMPING / stencil.max() * torch.eye(len(weight)).to(weight)
                )

    def _set(self, stencil: Tensor, coarse: Tensor | None = None) -> None:
        with torch.no_grad():
            for operator in parts((*self.operators, *self.post_operators), StencilConv):
                operator.weight.copy_(stencil)
            for operator in parts(self.coarse_operators, StencilConv):
                operator.weight.copy_(stencil if coarse is None else coarse)

    def level(self, grid: GridLevel, coarse: GridLevel | None, mask: Tensor | None) -> Level:
        """The maps of this level on a grid; without transfers where there is no coarser grid."""

        def stencil(conv: nn.Module, on: GridLevel):
            return lambda x: conv(x, on.boundary, on.samples)

        def interior(u: Tensor) -> Tensor:
            return u if mask is None else u * mask

        down, up = None, None
        if coarse is not None and len(self.transfers):
            restriction, prolongation = self.transfers
            down, up = (lambda r: restriction(interior(r), grid)), (lambda e: prolongation(e, grid))
        again = self.coarse_operators if coarse is not None else ()
        return Level(
            smoothers=[stencil(m, grid) for m in self.smoothers],
            operators=[stencil(m, grid) for m in self.operators],
            post_smoothers=[stencil(m, grid) for m in self.post_smoothers],
            post_operators=[stencil(m, grid) for m in self.post_operators],
            restriction=down,
            prolongation=up,
            coarse_operator=next((stencil(m, coarse) for m in again if coarse is not None), None),
            boundary=interior,
        )


class MultigridLayer(nn.Module):
    r"""A linear operator on multi-channel fields, applied as one or several multigrid cycles from zero.

    .. math:: W_{Mg} f = u, \qquad u \leftarrow u + \mathrm{cycle}(f - A u)

    Parameters
    ----------
    width : number of channels.
    dimension : 1, 2 or 3.
    samples : "vertices" or "cells".
    levels : number of levels with weights of their own.
    smoothing : smoothing steps on the way down: on the finest level, on each between, on the coarsest.
    post_smoothing : smoothing steps on the way up.
    cycle : "backslash" (no smoothing on the way up), "V" or "W".
    cycles : how many cycles, each with weights of its own.
    restriction : "residual", or "full" for the right-hand side itself.
    fine_points : points per axis of the smoother on the finest level: 1 (mixes channels at each point) or 3.

    Shapes
    ------
    input, output : (batch, width, *shape).
    """

    def __init__(
        self,
        width: int,
        dimension: int,
        samples: str,
        levels: int,
        *,
        smoothing: tuple[int, ...] = (1, 1, 2),
        post_smoothing: int = 1,
        cycle: str = "backslash",
        cycles: int = 1,
        restriction: str = "residual",
        fine_points: int = 1,
    ) -> None:
        super().__init__()
        self.full_restriction, self.revisits = restriction == "full", cycle == "W"
        self.defects = nn.ModuleList([StencilConv(width, width, dimension, depthwise=True) for _ in range(cycles - 1)])
        self.cycles = nn.ModuleList()
        for _ in range(cycles):
            weights = [
                LevelWeights(
                    width,
                    dimension,
                    samples,
                    smoothing=smoothing[2] if i == levels - 1 else smoothing[0] if i == 0 else smoothing[1],
                    post_smoothing=0 if i == levels - 1 or cycle == "backslash" else post_smoothing,
                    points=fine_points if i == 0 else 3,
                    coarsest=i == levels - 1,
                    residual=not self.full_restriction,
                    revisit=cycle == "W",
                )
                for i in range(levels)
            ]
            self.cycles.append(nn.ModuleList(weights))

    def reset_parameters(self, spacings: Sequence[Sequence[float]], *, solver: bool = False) -> None:
        """Multigrid initialisation, given the spacing of each level; with `solver`, the classical method itself."""
        finest = laplacian_stencil(spacings[0])
        gain = GAIN / len(self.cycles) ** 0.5 / (4 if self.revisits else 1)
        with torch.no_grad():
            for defect in parts(self.defects, StencilConv):
                defect.weight.copy_(finest if solver else finest / finest.max())
        for weights in parts(self.cycles, nn.ModuleList):
            for i, level in enumerate(parts(weights, LevelWeights)):
                if solver:
                    level.reset_to_solver(spacings[i], spacings[i + 1] if i + 1 < len(spacings) else None)
                else:
                    level.reset_parameters(spacings[i], gain)

    def forward(
        self, f: Float[Tensor, "batch width *shape"], hierarchy: GridHierarchy
    ) -> Float[Tensor, "batch width *shape"]:
        """Apply the operator on a hierarchy of grids, anchored at the level that the weights belong to."""
        first = parts(parts(self.cycles, nn.ModuleList)[0], LevelWeights)[0]
        detail = parts(first.smoothers, StencilConv)[0].pointwise
        return anchored(f, hierarchy, lambda x: self._cycled(x, hierarchy), detail, homogeneous=True)

    def _cycled(self, f: Tensor, hierarchy: GridHierarchy) -> Tensor:
        u: Tensor | None = None
        grids, indices = hierarchy.levels[hierarchy.extra :], hierarchy.weights[hierarchy.extra :]
        for k, cycle in enumerate(parts(self.cycles, nn.ModuleList)):
            weights, levels = parts(cycle, LevelWeights), []
            for i, (grid, index) in enumerate(zip(grids, indices, strict=True)):
                coarse = grids[i + 1] if i + 1 < len(grids) else None
                mask = hierarchy.mask(hierarchy.extra + i, f)
                levels.append(weights[index].level(grid, coarse, mask))
            rest = f if u is None else f - self.defects[k - 1](u, grids[0].boundary, grids[0].samples)
            e = multigrid_cycle(levels, rest, full_restriction=self.full_restriction)
            u = e if u is None else u + e
        assert u is not None
        return u
