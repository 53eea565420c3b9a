"""How long and how fast to train: what `fit` takes where the caller gives nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

__all__ = ["Recipe"]


@dataclass(frozen=True)
class Recipe:
    """Settings of `fit`; an algorithm may bring its own as the attribute `recipe`.

    Attributes
    ----------
    epochs, batch_size, learning_rate, weight_decay, schedule, optimizer, clip, monitor, validate_every : as in `fit`.
    """

    epochs: int = 100
    batch_size: int = 8
    learning_rate: float = 1e-3
    weight_decay: float = 1e-5
    schedule: str | Callable[[float], float] = "one-cycle"
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.AdamW
    clip: float | None = 1.0
    monitor: str = "rel_l2"
    validate_every: int = 1
