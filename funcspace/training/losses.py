"""Losses between functions, measured in the norms of their space and not in those of the coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from funcspace.errors import InputError
from funcspace.functions import FunctionSpace

__all__ = ["NormLoss", "first_zero", "squared_norms", "zero_truth"]

Kind = Literal["L2", "H1"]


def squared_norms(
    space: FunctionSpace, coefficients: Float[Tensor, "batch ..."], h1_weight: float = 0.0
) -> Float[Tensor, " batch"]:
    r"""Per sample :math:`c^T (M + \lambda K) c` with the mass and stiffness of the space."""
    image = space.mass(coefficients)
    if h1_weight:
        image = image + h1_weight * space.stiffness(coefficients)
    return (coefficients * image).flatten(start_dim=1).sum(dim=1)


def first_zero(coefficients: Shaped[Tensor, "batch ..."]) -> int | None:
    """The first sample whose coefficients are all zero; None where there is none."""
    zero = ~coefficients.reshape(len(coefficients), -1).any(dim=1)
    return int(torch.nonzero(zero)[0]) if bool(zero.any()) else None


def zero_truth(sample: str, *remedies: str) -> InputError:
    """The error to raise where a relative error is asked for and a truth, described by `sample`, is zero."""
    ways = ", or ".join((f"leave {sample} out", *remedies))
    return InputError(f"a relative error needs a truth that is not zero; {ways}")


@dataclass(frozen=True)
class NormLoss:
    r"""Relative (or absolute) error in the L2 or H1 norm, the mean over the samples.

    .. math:: \ell = \frac1N \sum_n \left( \frac{e_n^T (M + \lambda K) e_n}{y_n^T (M + \lambda K) y_n} \right)^{1/2}

    with :math:`\lambda = 0` for "L2" and :math:`\lambda` = `weight` for "H1".

    Parameters
    ----------
    kind : "L2" or "H1".
    weight : the factor of the stiffness, in length squared; 1 gives the H1 norm.
    relative : divide by the norm of the target. `fit` refuses targets that are zero; the error of one is enormous here.
    """

    kind: Kind = "H1"
    weight: float = 1.0
    relative: bool = True

    def __post_init__(self) -> None:
        if self.kind not in ("L2", "H1"):
            raise InputError(f'the loss must be "L2" or "H1", got {self.kind!r}')
        if self.weight < 0:
            raise InputError(f"the weight of the stiffness must not be negative, got {self.weight}")

    def per_sample(
        self, space: FunctionSpace, prediction: Float[Tensor, "batch ..."], target: Float[Tensor, "batch ..."]
    ) -> Float[Tensor, " batch"]:
        """The error of each sample."""
        weight = self.weight if self.kind == "H1" else 0.0
        error = squared_norms(space, prediction - target, weight)
        tiny = torch.finfo(error.dtype).tiny
        if not self.relative:
            return error.clamp_min(tiny).sqrt()
        size = squared_norms(space, target, weight)
        return (error.clamp_min(tiny) / size.clamp_min(tiny)).sqrt()

    def __call__(
        self, space: FunctionSpace, prediction: Float[Tensor, "batch ..."], target: Float[Tensor, "batch ..."]
    ) -> Float[Tensor, ""]:
        """The mean error over the samples."""
        return self.per_sample(space, prediction, target).mean()
