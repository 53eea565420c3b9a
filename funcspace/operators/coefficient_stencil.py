r"""Stencils of :math:`-\nabla\cdot(a \nabla u)` from a coefficient field, on every level of a grid hierarchy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from funcspace.operators.grid_levels import GridLevel
from funcspace.operators.grid_stencil import CONV, CONV_TRANSPOSE, pad_ghosts, stencil_tensor

__all__ = [
    "CoefficientMeans",
    "apply_stencil",
    "coefficient_means",
    "element_coefficients",
    "mode_count",
    "stencil_diagonal",
]

POOL = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
ADAPTIVE_POOL = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}


def _modes(dimension: int) -> list[tuple[int, ...]]:
    """Which axes a mode differences: single axes first, then the products of several."""
    subsets = [s for s in product((0, 1), repeat=dimension) if any(s)]
    return sorted(subsets, key=lambda s: (sum(s), [-x for x in s]))


def mode_count(dimension: int) -> int:
    """Number of gradient modes of a multilinear element: all products of means and differences but the constant."""
    return 2**dimension - 1


def _mode_stencils(spacing: tuple[float, ...]) -> Float[Tensor, "mode 1 *two"]:
    r"""Modes g_S with :math:`|K|^{-1} \int_K |\nabla u|^2 = \sum_S g_S(u)^2` for multilinear u on a box K."""
    dimension = len(spacing)
    stencils = []
    for mode in _modes(dimension):
        energy = 0.0
        for axis, differenced in enumerate(mode):
            if differenced:
                energy += spacing[axis] ** -2 * (1.0 / 12.0) ** (sum(mode) - 1)
        profile = [[-1.0, 1.0] if differenced else [0.5, 0.5] for differenced in mode]
        stencils.append(math.sqrt(energy) * stencil_tensor(profile))
    return torch.stack(stencils)[:, None]


def _cell_shape(level: GridLevel) -> tuple[int, ...]:
    """Cells of the grid: between neighbouring vertices, or around the samples."""
    if level.samples == "cells":
        return level.shape
    return tuple(n if sides[0] == "periodic" else n - 1 for n, sides in zip(level.shape, level.boundary, strict=True))


@dataclass(frozen=True)
class CoefficientMeans:
    """Means of the coefficient over the cells of a level.

    Attributes
    ----------
    values : (batch, 2 + d, *cells): arithmetic, harmonic, and for each axis the mean that is harmonic along the axis
        and arithmetic across it (conductors in series, then in parallel). Equal where the coefficient is constant.
    """

    values: Float[Tensor, "batch mean *cells"]


def coefficient_means(
    coefficient: Float[Tensor, "batch 1 *shape"], levels: tuple[GridLevel, ...]
) -> list[CoefficientMeans]:
    """The means of a positive coefficient, sampled on the finest level, over the cells of every level."""
    finest = levels[0]
    dimension = len(finest.shape)
    if finest.samples == "vertices":
        padded = coefficient
        for axis, sides in enumerate(finest.boundary):
            if sides[0] == "periodic":
                padded = torch.cat((padded, padded.narrow(axis + 2, 0, 1)), dim=axis + 2)
        pieces = [padded.narrow(2, 0, padded.shape[2] - 1), padded.narrow(2, 1, padded.shape[2] - 1)]
        for axis in range(1, dimension):
            count = padded.shape[axis + 2] - 1
            pieces = [p.narrow(axis + 2, start, count) for p in pieces for start in (0, 1)]
        corners = torch.stack(pieces)
        arithmetic, harmonic = corners.mean(dim=0), 1.0 / (1.0 / corners).mean(dim=0)
    else:
        arithmetic, harmonic = coefficient, coefficient
    result = []
    for level in levels:
        cells = _cell_shape(level)
        pool = ADAPTIVE_POOL[dimension]
        means = [pool(arithmetic, cells), 1.0 / pool(1.0 / harmonic, cells)]
        middle = torch.sqrt(arithmetic * harmonic)
        for axis in range(dimension):
            along = list(middle.shape[2:])
            along[axis] = cells[axis]
            means.append(pool(1.0 / pool(1.0 / middle, along), cells))
        result.append(CoefficientMeans(torch.cat(means, dim=1)))
    return result


def element_coefficients(
    means: CoefficientMeans, weights: Float[Tensor, "channel_mode mean"], level: GridLevel
) -> Float[Tensor, "batch channel_mode *elements"]:
    r"""Geometric blend of the means, one for each channel and mode, on the elements between samples and their ghosts.

    .. math:: \kappa_{c,S} = \prod_m a_m^{w_{c,S,m}}, \qquad \sum_m w_{c,S,m} = 1

    A constant coefficient is reproduced, and twice the coefficient gives twice the operator.
    """
    dimension = len(level.shape)
    logs = torch.log(means.values)
    if level.samples == "cells":
        logs = POOL[dimension](pad_ghosts(logs, level.with_natural_boundary().boundary, "cells"), 2, stride=1)
    else:
        for axis, sides in enumerate(level.boundary):
            n = logs.shape[axis + 2]
            if sides[0] == "periodic":
                logs = torch.cat((logs.narrow(axis + 2, n - 1, 1), logs), dim=axis + 2)
            else:
                ends = (logs.narrow(axis + 2, 0, 1), logs.narrow(axis + 2, n - 1, 1))
                logs = torch.cat((ends[0], logs, ends[1]), dim=axis + 2)
    return torch.exp(CONV[dimension](logs, weights.reshape(*weights.shape, *([1] * dimension))))


def apply_stencil(
    u: Float[Tensor, "batch channel *shape"],
    coefficients: Float[Tensor, "batch channel_mode *elements"],
    level: GridLevel,
) -> Float[Tensor, "batch channel *shape"]:
    r"""The operator :math:`A(\kappa) u = G^T \kappa\, G u \approx -\nabla\cdot(\kappa\nabla u)`, per volume.

    G takes the gradient modes of the multilinear element between neighbouring samples. With boundary values from ghosts
    the operator is the same on the boundary as inside.
    """
    batch, channels = u.shape[:2]
    dimension = len(level.shape)
    stencils = _mode_stencils(level.spacing).to(u)
    padded = pad_ghosts(u, level.boundary, level.samples)
    modes = CONV[dimension](padded.reshape(batch * channels, 1, *padded.shape[2:]), stencils)
    modes = modes * coefficients.reshape(batch * channels, -1, *coefficients.shape[2:])
    result = CONV_TRANSPOSE[dimension](modes, stencils, padding=1)
    return result.reshape(batch, channels, *level.shape)


def stencil_diagonal(
    coefficients: Float[Tensor, "batch channel_mode *elements"], channels: int, level: GridLevel
) -> Float[Tensor, "batch channel *shape"]:
    """The diagonal of the operator of `apply_stencil` (up to the reflections in ghosts)."""
    batch = coefficients.shape[0]
    squares = _mode_stencils(level.spacing).to(coefficients) ** 2
    modes = coefficients.reshape(batch * channels, -1, *coefficients.shape[2:])
    return CONV_TRANSPOSE[len(level.shape)](modes, squares, padding=1).reshape(batch, channels, *level.shape)
