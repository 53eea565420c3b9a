"""Initial weights of recurrent maps, drawn from a generator."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["contracting", "gaussian", "glorot", "uniform"]


def contracting(shape: tuple[int, ...], units: int, generator: torch.Generator) -> Float[Tensor, "*shape units units"]:
    """Positive definite matrices R^T R / M + 1, scaled to spectral radius one (Talathi and Vartak, 2016)."""
    r = torch.randn(*shape, units, units, generator=generator)
    k = r.mT @ r / units + torch.eye(units)
    return k / torch.linalg.matrix_norm(k, 2)[..., None, None]


def uniform(shape: tuple[int, ...], generator: torch.Generator, bound: float | None = None) -> Tensor:
    """Uniform between -bound and bound, by default one over the root of the last dimension."""
    width = shape[-1] ** -0.5 if bound is None else bound
    return (2.0 * torch.rand(*shape, generator=generator) - 1.0) * width


def gaussian(shape: tuple[int, ...], generator: torch.Generator, scale: float) -> Tensor:
    """Normal with mean zero."""
    return scale * torch.randn(*shape, generator=generator)


def glorot(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Uniform with the bound of Glorot and Bengio (2010) for a matrix (*, out, in)."""
    return uniform(shape, generator, (6.0 / (shape[-1] + shape[-2])) ** 0.5)
