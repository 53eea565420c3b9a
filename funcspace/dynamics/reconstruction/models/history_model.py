"""Models that start from several past states instead of one."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

__all__ = ["HistoryModel"]


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
