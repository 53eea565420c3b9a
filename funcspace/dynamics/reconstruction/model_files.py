"""Models with what is told about them on disk: one folder with JSON and safetensors, as surrogates are kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from funcspace.atomic_write import atomic_folder
from funcspace.errors import CheckpointError
from funcspace.training.model import model_config
from funcspace.training.surrogate_files import DESCRIPTION, SCHEMA, WEIGHTS, model_from, read_description

__all__ = ["load_model", "save_model"]

Made = TypeVar("Made")


def save_model(model: nn.Module, folder: Path, *, loader: str, about: dict[str, Any]) -> Path:
    """Write a model; an earlier one in `folder` is replaced only when the new one is whole.

    Parameters
    ----------
    loader : the function that reads it again, "module:name".
    about : what else is told, plain data.
    """
    from safetensors.torch import save

    description = {
        "schema": SCHEMA,
        "loader": loader,
        "model": {"class": f"{type(model).__module__}:{type(model).__qualname__}", "config": model_config(model)},
        "dtype": str(next(model.parameters()).dtype).removeprefix("torch."),
        **about,
    }
    tensors = {name: t.detach().cpu().contiguous() for name, t in model.state_dict().items()}
    folder.absolute().parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(folder, may_replace=lambda old: (old / DESCRIPTION).exists()) as place:
        (place / DESCRIPTION).write_text(json.dumps(description, indent=1, allow_nan=True))
        (place / WEIGHTS).write_bytes(save(tensors))
    return folder


def load_model(folder: Path, made: Callable[[Any, dict[str, Any]], Made]) -> Made:
    """Read what `save_model` wrote, and make something of the model and what was told about it.

    Raises
    ------
    CheckpointError
        When the folder is truncated, of a newer schema, or of another model.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    description = read_description(folder)
    try:
        weights = load((folder / WEIGHTS).read_bytes())
        name, config = description["model"]["class"], description["model"]["config"]
        return made(model_from(folder, name, config, weights, getattr(torch, description["dtype"])), description)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{folder} is damaged or incomplete: {type(error).__name__}: {error}") from error
