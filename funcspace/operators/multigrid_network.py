"""The multigrid neural operator with stencils that are the same everywhere: layers of W_Mg and a pointwise map."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from funcspace.operators.anchored import anchored
from funcspace.operators.function_bias import FunctionBias
from funcspace.operators.grid_levels import GridHierarchy
from funcspace.operators.grid_stencil import StencilConv
from funcspace.operators.module_parts import parts
from funcspace.operators.multigrid_layer import MultigridLayer

__all__ = ["ACTIVATIONS", "MultigridNetwork"]

ACTIVATIONS = {"gelu": F.gelu, "identity": lambda x: x}


class MultigridNetwork(nn.Module):
    r"""Layers :math:`x \leftarrow \sigma(W_{Mg} x + W x + B)` between two linear maps.

    Parameters
    ----------
    in_channels, out_channels, width : channels of the input, the output, and between.
    layers : how many.
    activation : "gelu", or "identity" for a linear operator.
    periodic : which axes are periodic.
    bias_modes : cosines per axis of the bias functions.
    **cycle options** : see `MultigridLayer`.

    Shapes
    ------
    input : (batch, in_channels, *shape); output : (batch, out_channels, *shape).
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
        cycles: int,
        restriction: str,
        fine_points: int,
        activation: str,
        periodic: tuple[bool, ...],
        bias_modes: int,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.lift = StencilConv(in_channels, width, dimension)
        self.multigrid, self.pointwise = nn.ModuleList(), nn.ModuleList()
        self.biases = nn.ModuleList([FunctionBias(width, periodic, bias_modes) for _ in range(layers + 1)])
        for _ in range(layers):
            layer = MultigridLayer(
                width,
                dimension,
                samples,
                levels,
                smoothing=smoothing,
                post_smoothing=post_smoothing,
                cycle=cycle,
                cycles=cycles,
                restriction=restriction,
                fine_points=fine_points,
            )
            self.multigrid.append(layer)
            self.pointwise.append(StencilConv(width, width, dimension, points=1))
        self.project = StencilConv(width, out_channels, dimension, points=1)

    def reset_parameters(self, spacings: Sequence[Sequence[float]], initialisation: str) -> None:
        """Multigrid initialisation; with "solver" each W_Mg solves a Poisson equation and nothing else acts."""
        solver = initialisation == "solver"
        for layer in parts(self.multigrid, MultigridLayer):
            layer.reset_parameters(spacings, solver=solver)
        for skip in parts(self.pointwise, StencilConv):
            skip.reset_parameters()
        for bias in parts(self.biases, FunctionBias):
            bias.reset_parameters()
        self.lift.reset_parameters(gain=1.0)
        self.project.reset_parameters(gain=0.5)
        if solver:
            with torch.no_grad():
                for skip in parts(self.pointwise, StencilConv):
                    skip.weight.zero_()
                for conv in (self.lift, self.project):
                    conv.weight.zero_()
                    ins = conv.weight.shape[1]
                    centre = (conv.points // 2,) * conv.dimension
                    for o in range(conv.weight.shape[0]):
                        conv.weight[(o, o % ins, *centre)] = 1.0

    def forward(
        self, x: Float[Tensor, "batch channel *shape"], hierarchy: GridHierarchy
    ) -> Float[Tensor, "batch out *shape"]:
        """Map input channels to output channels on a hierarchy of grids."""
        finest = hierarchy.levels[0]
        sigma = ACTIVATIONS[self.activation]
        own = hierarchy.levels[hierarchy.extra].with_natural_boundary().boundary
        x = anchored(x, hierarchy, lambda v: self.lift(v, own, finest.samples), self.lift.pointwise)
        x = x + self.biases[0](x, hierarchy)
        for layer, skip, bias in zip(self.multigrid, self.pointwise, self.biases[1:], strict=True):
            x = sigma(layer(x, hierarchy) + skip(x, finest.boundary, finest.samples) + bias(x, hierarchy))
        return self.project(x, finest.boundary, finest.samples)
