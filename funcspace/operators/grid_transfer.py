"""Restriction and prolongation between the levels of a grid hierarchy, aligned in space and true to the boundary."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from funcspace.operators.grid_levels import GridLevel
from funcspace.operators.grid_stencil import CONV, CONV_TRANSPOSE, pad_ghosts, stencil_tensor

MODES = {3: "linear", 4: "bilinear", 5: "trilinear"}

__all__ = ["Prolongation", "Restriction", "Transfer", "prolong", "resample", "restrict"]


@lru_cache(maxsize=256)
def resampling_matrix(count: int, target: int, sides: tuple[str, str], samples: str) -> Float[Tensor, "target count"]:
    """Linear interpolation by position between two uniform samplings of one axis, with its ghost values (float64)."""
    matrix = torch.zeros(target, count, dtype=torch.float64)
    for i in range(target):
        if samples == "cells":
            position = (i + 0.5) * count / target - 0.5
        elif sides[0] == "periodic":
            position = i * count / target
        else:
            position = i * (count - 1) / (target - 1)
        base = min(math.floor(position), count - 1)
        for index, weight in ((base, 1.0 - (position - base)), (base + 1, position - base)):
            if weight <= 0.0:
                continue
            if 0 <= index < count:
                matrix[i, index] += weight
            elif sides[0] == "periodic":
                matrix[i, index % count] += weight
            else:
                edge, side = (0, sides[0]) if index < 0 else (count - 1, sides[1])
                matrix[i, edge] += -weight if side == "dirichlet" else weight
    return matrix


def resample(
    x: Float[Tensor, "batch channel *shape"], target: tuple[int, ...], level: GridLevel
) -> Float[Tensor, "batch channel *target"]:
    """Bring a field from one sampling of the level's box to another one, by linear interpolation along each axis."""
    if level.samples == "vertices" and all(
        sides[0] != "periodic" or n == m for sides, n, m in zip(level.boundary, x.shape[2:], target, strict=True)
    ):
        if tuple(x.shape[2:]) == target:
            return x
        return F.interpolate(x, size=list(target), mode=MODES[x.ndim], align_corners=True)
    for axis, (count, goal) in enumerate(zip(x.shape[2:], target, strict=True)):
        if count == goal:
            continue
        matrix = resampling_matrix(count, goal, level.boundary[axis], level.samples).to(x)
        y = x.movedim(1, -1)
        lead, tail = y.shape[: axis + 1], y.shape[axis + 2 :]
        y = matrix @ y.reshape(math.prod(lead), count, math.prod(tail))
        x = y.reshape(*lead, goal, *tail).movedim(-1, 1)
    return x


def transfer_stencil(dimension: int, samples: str) -> Float[Tensor, "*k"]:
    """Multilinear interpolation as weights from a coarse sample to fine ones (float64)."""
    profile = [0.5, 1.0, 0.5] if samples == "vertices" else [0.25, 0.75, 0.75, 0.25]
    return stencil_tensor([profile] * dimension)


def _classical(level: GridLevel, channels: int, like: Tensor) -> Tensor:
    stencil = transfer_stencil(len(level.shape), level.samples).to(like)
    return stencil.expand(channels, 1, *stencil.shape)


def restrict(
    x: Float[Tensor, "batch channel *fine"],
    level: GridLevel,
    weight: Float[Tensor, "out group *k"] | None = None,
    groups: int = 1,
) -> Float[Tensor, "batch out *coarse"]:
    """Strided convolution onto the next coarser level; full weighting of each channel where no weight is given.

    On an axis that is not coarsened the stencil acts through the sum of its weights.
    """
    dimension, channels = len(level.shape), x.shape[1]
    kernel, groups = (
        (weight, groups) if weight is not None else (_classical(level, channels, x) / 2**dimension, channels)
    )
    x = resample(x, level.aligned_shape, level)
    stride, padding = [], []
    for axis, halved in enumerate(level.halved):
        if halved:
            zero = level.samples == "vertices" and level.boundary[axis] == ("dirichlet", "dirichlet")
            stride, padding = [*stride, 2], [*padding, int(zero)]
        else:
            kernel = kernel.sum(dim=axis + 2, keepdim=True)
            stride, padding = [*stride, 1], [*padding, 0]
    skip = tuple(not h or bool(p) for h, p in zip(level.halved, padding, strict=True))
    if not all(skip):
        x = pad_ghosts(x, level.boundary, level.samples, skip=skip)
    return CONV[dimension](x, kernel, stride=stride, padding=padding, groups=groups)


def prolong(
    x: Float[Tensor, "batch channel *coarse"],
    level: GridLevel,
    weight: Float[Tensor, "channel group *k"] | None = None,
    groups: int = 1,
) -> Float[Tensor, "batch out *fine"]:
    """Transposed convolution from the next coarser level; multilinear interpolation where no weight is given."""
    dimension, channels = len(level.shape), x.shape[1]
    kernel, groups = (weight, groups) if weight is not None else (_classical(level, channels, x), channels)
    stride, padding, last, skip = [], [], [], []
    for axis, halved in enumerate(level.halved):
        inside = level.samples == "vertices" and level.boundary[axis][0] != "periodic"
        skip.append(not halved or inside)
        stride.append(2 if halved else 1)
        padding.append((1 if inside else 3) if halved else 0)
        last.append(int(halved and level.samples == "vertices" and not inside))
        if not halved:
            kernel = kernel.sum(dim=axis + 2, keepdim=True) / 2
    if not all(skip):
        x = pad_ghosts(x, level.boundary, level.samples, skip=tuple(skip))
    x = CONV_TRANSPOSE[dimension](x, kernel, None, stride, padding, last, groups)
    return resample(x, level.shape, level)


class Transfer(nn.Module):
    """Weights of a stencil between a level and the next coarser one, per channel or mixing channels.

    On vertices the stencil has 3 points per axis, centred on the coarse vertex; on cells 4, centred on the coarse cell.
    """

    def __init__(
        self, in_channels: int, out_channels: int, dimension: int, samples: str, depthwise: bool, transposed: bool
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.dimension, self.samples = dimension, samples
        self.groups = in_channels if depthwise else 1
        size = [3 if samples == "vertices" else 4] * dimension
        lead = (in_channels, out_channels) if transposed else (out_channels, in_channels)
        self.weight = nn.Parameter(torch.empty(lead[0], lead[1] // self.groups, *size))
        self.reset_parameters()

    def stencil(self) -> Float[Tensor, "*k"]:
        """Multilinear interpolation."""
        return transfer_stencil(self.dimension, self.samples)

    def reset_parameters(self) -> None:
        """The classical stencil: times the identity of channels if per channel, else times random mixing weights."""
        stencil = self.stencil().to(self.weight)
        lead = self.weight.shape[:2]
        if self.groups > 1 or (self.in_channels == self.out_channels == 1):
            mixing = torch.ones(lead)
        else:
            mixing = torch.randn(lead) / math.sqrt(self.in_channels)
        with torch.no_grad():
            self.weight.copy_(mixing.to(self.weight).reshape(*lead, *([1] * self.dimension)) * stencil)

    def extra_repr(self) -> str:
        """Channels and kind of grid."""
        kind = ", depthwise=True" if self.groups > 1 else ""
        return f'{self.in_channels}, {self.out_channels}, dimension={self.dimension}, samples="{self.samples}"{kind}'


class Restriction(Transfer):
    r"""From a level to the next coarser one; full weighting, the scaled adjoint of interpolation, before training.

    .. math:: (R x)(i) = \sum_k R(k)\, x(2 i + k)

    Shapes
    ------
    input : (batch, in_channels, *level.shape); output : (batch, out_channels, *level.coarse_shape).
    """

    def __init__(
        self, in_channels: int, out_channels: int, dimension: int, samples: str, *, depthwise: bool = False
    ) -> None:
        super().__init__(in_channels, out_channels, dimension, samples, depthwise, transposed=False)

    def stencil(self) -> Float[Tensor, "*k"]:
        """Multilinear interpolation over 2^d: the weights sum to one."""
        return super().stencil() / 2**self.dimension

    def forward(self, x: Float[Tensor, "batch channel *fine"], level: GridLevel) -> Float[Tensor, "batch out *coarse"]:
        """Restrict a field of the level."""
        return restrict(x, level, self.weight, self.groups)


class Prolongation(Transfer):
    r"""From the next coarser level to a level; multilinear interpolation before training.

    .. math:: (P x)(j) = \sum_i P(j - 2 i)\, x(i)

    Shapes
    ------
    input : (batch, in_channels, *level.coarse_shape); output : (batch, out_channels, *level.shape).
    """

    def __init__(
        self, in_channels: int, out_channels: int, dimension: int, samples: str, *, depthwise: bool = False
    ) -> None:
        super().__init__(in_channels, out_channels, dimension, samples, depthwise, transposed=True)

    def forward(self, x: Float[Tensor, "batch channel *coarse"], level: GridLevel) -> Float[Tensor, "batch out *fine"]:
        """Prolong a field of the next coarser level."""
        return prolong(x, level, self.weight, self.groups)
