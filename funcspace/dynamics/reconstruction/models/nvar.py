"""Nonlinear vector autoregression, the next-generation reservoir computer."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement
from math import comb
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from funcspace.arguments import require_counts
from funcspace.dynamics.reconstruction.models.linear_readout import LinearReadout
from funcspace.errors import InputError

__all__ = ["NVAR"]

MOST_REGRESSORS = 20_000


class NVAR(LinearReadout):
    r"""Nonlinear vector autoregression: the change of the state is a polynomial of delayed states.

    x_{t+1} - x_t = W phi(x_t, x_{t-s}, ..., x_{t-(k-1)s}),  phi = all monomials up to degree p, the constant included

    With degree 1 this is the linear vector autoregression. Gauthier, Bollt, Griffith, Barbosa: Next generation
    reservoir computing, Nature Communications 12, 5564 (2021). Ours holds the monomials of all degrees up to p, where
    the paper takes those of degrees 0, 1 and p; for p = 2 these are the same.

    Trained by `RidgeRegression`, in closed form.

    Parameters
    ----------
    observed : N, number of components.
    delays : k.
    stride : s, steps between delays.
    degree : p, 1 to 3.

    Examples
    --------
    >>> model = NVAR(observed=3, delays=2, degree=2)
    >>> model.context, model.regressors
    (2, 28)
    """

    monomials: Tensor

    def __init__(self, observed: int, delays: int = 2, *, stride: int = 1, degree: int = 2) -> None:
        require_counts(observed=observed, delays=delays, stride=stride, degree=degree)
        if degree > 3:
            raise InputError(f"degree must be 1, 2 or 3, got {degree}")
        regressors = comb(delays * observed + degree, degree)
        if regressors > MOST_REGRESSORS:
            raise InputError(
                f"{delays} delays of {observed} components have {regressors:,} monomials up to degree {degree}, more "
                f"than {MOST_REGRESSORS:,}; take fewer delays or a smaller degree"
            )
        super().__init__(observed, context=(delays - 1) * stride + 1, regressors=regressors, increments=True)
        self.delays, self.stride, self.degree = delays, stride, degree
        # factors of each monomial; factor 0 is the constant one
        factors = list(combinations_with_replacement(range(delays * observed + 1), degree))
        self.register_buffer("monomials", torch.tensor(factors).mT.contiguous(), persistent=False)

    @property
    def config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {"observed": self.observed, "delays": self.delays, "stride": self.stride, "degree": self.degree}

    @property
    def latent(self) -> int:
        """N times the instants kept."""
        return self.observed * self.context

    def begin(self, history: Float[Tensor, "batch instant observed"]) -> Float[Tensor, "batch context observed"]:
        """The last instants, newest first."""
        return history[:, -self.context :].flip(1)

    def advance(
        self, state: Float[Tensor, "batch context observed"], x: Float[Tensor, "batch observed"]
    ) -> Float[Tensor, "batch context observed"]:
        """Shifted by one instant."""
        return torch.cat([x[:, None], state[:, :-1]], dim=1)

    def phi(self, state: Float[Tensor, "batch context observed"]) -> Float[Tensor, "batch regressor"]:
        """All monomials of the delayed states."""
        return self._monomials(state[:, :: self.stride].flatten(1))

    def blocks(
        self, history: Float[Tensor, "batch instant observed"], size: int = 4096
    ) -> Iterator[Float[Tensor, "batch row regressor"]]:
        """The regressors after each instant from instant `context` on."""
        rows = history.shape[1] - self.context + 1
        for first in range(0, rows, size):
            now = torch.arange(first, min(first + size, rows), device=history.device) + self.context - 1
            past = now[:, None] - self.stride * torch.arange(self.delays, device=history.device)
            yield self._monomials(history[:, past].flatten(2))

    def _monomials(self, delayed: Tensor) -> Tensor:
        padded = torch.cat([torch.ones_like(delayed[..., :1]), delayed], dim=-1)
        product = padded[..., self.monomials[0]]
        for factor in self.monomials[1:]:
            product = product * padded[..., factor]
        return product
