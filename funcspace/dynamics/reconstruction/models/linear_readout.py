"""Models whose only trained weights are a linear read-out of fixed functions of the past."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from funcspace.dynamics.reconstruction.models.history_model import check_history

__all__ = ["LinearReadout"]


class LinearReadout(nn.Module, ABC):
    r"""x_{t+1} = W phi(x_t, x_{t-1}, ...), or x_{t+1} - x_t = W phi(...), where phi holds nothing to train.

    Components are standardised: `mean` and `scale` hold those of the data. Subclasses say what phi is.

    Parameters
    ----------
    observed : N, number of components.
    context : instants that phi needs.
    regressors : length of phi.
    increments : whether W phi is the change of the state, not the next state.
    """

    replicas = None
    inputs = 0
    mean: Tensor
    scale: Tensor

    def __init__(self, observed: int, *, context: int, regressors: int, increments: bool) -> None:
        super().__init__()
        self.observed, self.context, self.regressors, self.increments = observed, context, regressors, increments
        self.W = nn.Parameter(torch.zeros(observed, regressors))
        self.register_buffer("mean", torch.zeros(observed))
        self.register_buffer("scale", torch.ones(observed))

    @property
    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Constructor arguments, plain data."""

    @property
    @abstractmethod
    def latent(self) -> int:
        """Numbers that the state of a free run consists of."""

    @abstractmethod
    def begin(self, history: Float[Tensor, "batch instant observed"]) -> Tensor:
        """The model's state after a history."""

    @abstractmethod
    def advance(self, state: Tensor, x: Float[Tensor, "batch observed"]) -> Tensor:
        """The model's state after one more instant."""

    @abstractmethod
    def phi(self, state: Tensor) -> Float[Tensor, "batch regressor"]:
        """The regressors in a state."""

    @abstractmethod
    def blocks(
        self, history: Float[Tensor, "batch instant observed"], size: int = 4096
    ) -> Iterator[Float[Tensor, "batch row regressor"]]:
        """The regressors after each instant of a history, from instant `context` on, up to `size` rows at a time."""

    def following(self, x: Float[Tensor, "... observed"], phi: Float[Tensor, "... regressor"]) -> Tensor:
        """The next state after x."""
        change = phi @ self.W.mT
        return x + change if self.increments else change

    def follow(self, history: Float[Tensor, "batch instant observed"]) -> Float[Tensor, "batch prediction observed"]:
        """The state after each instant of a history, from instant `context` on; differentiable in W."""
        check_history(self, history)
        phi = torch.cat(list(self.blocks(history)), dim=1)
        return self.following(history[:, self.context - 1 :], phi)

    forward = follow

    @torch.no_grad()
    def generate(
        self, history: Float[Tensor, "batch instant observed"], steps: int
    ) -> Float[Tensor, "batch time observed"]:
        """A free run after the last instant of a history, all of which is taken in."""
        check_history(self, history)
        x, state = history[:, -1], self.begin(history)
        found = []
        for _ in range(steps):
            x = self.following(x, self.phi(state))
            state = self.advance(state, x)
            found.append(x)
        return torch.stack(found, dim=1)

    def extra_repr(self) -> str:
        """Constructor arguments and the number of trained weights."""
        shown = ", ".join(f"{k}={v!r}" for k, v in self.config.items() if k != "seed")
        return f"{shown}, {self.W.numel():,} parameters"
