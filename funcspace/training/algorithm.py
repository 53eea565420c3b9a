"""How a model learns from data: the part of training that differs between operators and dynamical systems."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["Algorithm", "ClippingTask", "DirectAlgorithm", "MonitoredTask", "ParametricTask", "StatefulTask", "Task"]


class Task(Protocol):
    """One training problem: what the loop in `fit` needs to know of data and model, and no more."""

    samples: int
    description: Mapping[str, Any]

    def loss(self, model: Callable[..., Tensor], rows: np.ndarray) -> Float[Tensor, ""]:
        """Mean loss over the samples numbered `rows`; differentiable in the model's parameters."""
        ...

    def validate(self, model: nn.Module) -> dict[str, Any]:
        """Metrics on the validation data, by name; smaller is better; empty without validation data.

        Numbers; or arrays with one for each of the models that the first axis of all weights numbers, of each of
        which the best weights are then kept.
        """
        ...

    def surrogate(self, model: nn.Module) -> Any:
        """The trained surrogate."""
        ...


@runtime_checkable
class ClippingTask(Protocol):
    """A task that bounds gradients in a way of its own, such as for each of several models apart."""

    def clip_gradients(self, model: nn.Module, largest: float | None) -> Tensor | None:
        """Bound the gradients in place; `largest` is what `fit(clip=...)` says.

        Returns their norm, by which `fit` tells that they are finite; None where they always are.
        """
        ...


@runtime_checkable
class MonitoredTask(Protocol):
    """A task that knows the names of its metrics beforehand, so that `fit` can refuse others at once."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names that `validate` will give; empty without validation data."""
        ...


@runtime_checkable
class StatefulTask(Protocol):
    """A task that changes as it goes; its state is kept in the checkpoints."""

    def state(self) -> dict[str, Tensor]:
        """Everything that a resumed run needs."""
        ...

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state."""
        ...


@runtime_checkable
class ParametricTask(Protocol):
    """A task with unknowns of its own, such as initial states, that are learned along with the weights.

    Its `state` must hold their values, and its `restore` copy into them. On one device only.
    """

    def parameter_groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """The unknowns in groups, each with the factor of its learning rate; they do not decay."""
        ...


class Algorithm(Protocol):
    """A way of learning, given to `fit(..., algorithm=...)`; an attribute `recipe` gives its defaults."""

    def begin(self, model: nn.Module, data: Any, validation: Any, *, device: torch.device, dtype: torch.dtype) -> Task:
        """Set up the task for a model and data; raises an InputError where they do not fit each other."""
        ...


@runtime_checkable
class DirectAlgorithm(Protocol):
    """A way of learning that solves at once; given to `fit` as an `Algorithm` is, it takes the place of the loop."""

    def solve(self, model: nn.Module, data: Any, validation: Any, *, seed: int) -> Any:
        """The trained surrogate, with its `history`, and what tells this run from another as its `provenance`."""
        ...
