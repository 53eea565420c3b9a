"""How long and how fast to learn from windows of trajectories where the caller says nothing."""

from __future__ import annotations

import torch

from funcspace.training import ExponentialDecay, Recipe

__all__ = ["BATCHES", "BATCH_SIZE", "WINDOW_RECIPE"]

BATCHES = 50  # of an epoch
BATCH_SIZE = 16

WINDOW_RECIPE = Recipe(
    epochs=400,
    batch_size=BATCH_SIZE,
    learning_rate=5e-3,
    weight_decay=0.0,
    schedule=ExponentialDecay(2e-3),
    optimizer=torch.optim.RAdam,
    clip=10.0,
    monitor="state_space_divergence",
    validate_every=10,
)
