"""How a model learns from data: the part of training that differs between operators and dynamical systems."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["Algorithm", "Task"]


class Task(Protocol):
    """One training problem: what the loop in `fit` needs to know of data and model, and no more."""

    samples: int
    description: Mapping[str, Any]

    def loss(self, model: Callable[..., Tensor], rows: np.ndarray) -> Float[Tensor, ""]:
        """Mean loss over the samples numbered `rows`; differentiable in the model's parameters."""
        ...

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Metrics on the validation data, by name; smaller is better; empty without validation data."""
        ...

    def surrogate(self, model: nn.Module) -> Any:
        """The trained surrogate."""
        ...


class Algorithm(Protocol):
    """A way of learning, given to `fit(..., algorithm=...)`."""

    def begin(self, model: nn.Module, data: Any, validation: Any, *, device: torch.device, dtype: torch.dtype) -> Task:
        """Set up the task for a model and data; raises an InputError where they do not fit each other."""
        ...
