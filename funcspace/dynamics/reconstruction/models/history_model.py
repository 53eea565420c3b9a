"""Models that start from several past states instead of one."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from funcspace.errors import InputError

__all__ = ["HistoryModel", "OneStepMap", "check_history"]


@runtime_checkable
class HistoryModel(Protocol):
    """A model of standardised components that needs `context` instants to start from, and makes use of more."""

    context: int

    def generate(
        self, history: Float[Tensor, "batch instant observed"], steps: int
    ) -> Float[Tensor, "batch time observed"]:
        """A free run after the last instant of a history."""
        ...

    def follow(self, history: Float[Tensor, "batch instant observed"]) -> Float[Tensor, "batch prediction observed"]:
        """The state after each instant of a history, from instant `context` on."""
        ...


def check_history(model: Any, history: Float[Tensor, "batch instant component"]) -> None:
    """Raise an InputError unless a history has the components of a model and the instants that it starts from."""
    if history.shape[1] < model.context or history.shape[2] != model.observed:
        raise InputError(
            f"{type(model).__name__} starts from at least {model.context} instants of {model.observed} components; "
            f"got {history.shape[1]} of {history.shape[2]}"
        )


class OneStepMap:
    """What models have in common whose next observation follows from the last one."""

    context: int = 1
    observed: int

    @abstractmethod
    def step(self, x: Float[Tensor, "*batch observed"]) -> Float[Tensor, "*batch observed"]:
        """The next standardised observation."""

    @property
    def latent(self) -> int:
        """N."""
        return self.observed

    def follow(self, history: Float[Tensor, "batch instant observed"]) -> Float[Tensor, "batch instant observed"]:
        """The state after each instant of a history."""
        check_history(self, history)
        return self.step(history)

    @torch.no_grad()
    def generate(
        self, history: Float[Tensor, "batch instant observed"], steps: int
    ) -> Float[Tensor, "batch time observed"]:
        """A free run after the last instant of a history."""
        check_history(self, history)
        x, found = history[:, -1], []
        for _ in range(steps):
            x = self.step(x)
            found.append(x)
        return torch.stack(found, dim=1)
