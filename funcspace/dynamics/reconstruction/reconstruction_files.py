"""Reconstructions on disk: one folder with JSON and safetensors, as surrogates are kept."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from funcspace.atomic_write import atomic_folder
from funcspace.dynamics.reconstruction.reconstruction import Reconstruction
from funcspace.errors import CheckpointError
from funcspace.training.model import model_config
from funcspace.training.surrogate_files import DESCRIPTION, SCHEMA, WEIGHTS, model_from, read_description

__all__ = ["load_reconstruction", "save_reconstruction"]

LOADER = f"{__name__}:load_reconstruction"


def save_reconstruction(reconstruction: Reconstruction, folder: Path) -> Path:
    """Write a reconstruction; an existing one in `folder` is replaced only when the new one is whole."""
    from safetensors.torch import save

    model = reconstruction.model
    description = {
        "schema": SCHEMA,
        "loader": LOADER,
        "model": {"class": f"{type(model).__module__}:{type(model).__qualname__}", "config": model_config(model)},
        "dtype": str(next(model.parameters()).dtype).removeprefix("torch."),
        "step": reconstruction.step,
        "steps": list(reconstruction.steps),
        "components": list(reconstruction.components),
        "name": reconstruction.name,
        "units": reconstruction.units,
        "time_unit": reconstruction.time_unit,
        "history": reconstruction.history,
        "provenance": reconstruction.provenance,
    }
    tensors = {name: t.detach().cpu().contiguous() for name, t in model.state_dict().items()}
    folder.absolute().parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(folder, may_replace=lambda old: (old / DESCRIPTION).exists()) as place:
        (place / DESCRIPTION).write_text(json.dumps(description, indent=1, allow_nan=True))
        (place / WEIGHTS).write_bytes(save(tensors))
    return folder


def load_reconstruction(folder: Path) -> Reconstruction:
    """Read what `save_reconstruction` wrote.

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
        model = model_from(folder, name, config, weights, getattr(torch, description["dtype"]))
        return Reconstruction(
            model, float(description["step"]), tuple(description["components"]),
            description["name"], description["units"], description["time_unit"], description["history"],
            description["provenance"], tuple(description.get("steps", ())),
        )  # fmt: skip
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{folder} is damaged or incomplete: {type(error).__name__}: {error}") from error
