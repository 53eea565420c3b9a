"""Training: one loop for all models, losses in the norms of function spaces, surrogates that can be kept."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from torch import nn

from funcspace.training.algorithm import (
    Algorithm,
    ClippingTask,
    DirectAlgorithm,
    MonitoredTask,
    ParametricTask,
    StatefulTask,
    Task,
)
from funcspace.training.fit import fit
from funcspace.training.losses import NormLoss
from funcspace.training.model import GroupedModel, OperatorModel
from funcspace.training.recipe import Recipe
from funcspace.training.schedules import ExponentialDecay
from funcspace.training.supervised import Supervised
from funcspace.training.surrogate import Surrogate

__all__ = [
    "Algorithm",
    "ClippingTask",
    "DirectAlgorithm",
    "ExponentialDecay",
    "GroupedModel",
    "MonitoredTask",
    "NormLoss",
    "OperatorModel",
    "ParametricTask",
    "Recipe",
    "StatefulTask",
    "Supervised",
    "Surrogate",
    "Task",
    "fit",
    "load",
]


def load(folder: str | PathLike[str], *, model_class: type[nn.Module] | None = None) -> Any:
    """Load what was saved with `Surrogate.save` or `Reconstruction.save`.

    Parameters
    ----------
    model_class : the class of a model that is not part of this library.

    Raises
    ------
    CheckpointError
        When the folder is missing, damaged, of a newer schema or of another model.
    """
    from funcspace.training.surrogate_files import load_saved

    return load_saved(Path(folder), model_class)
