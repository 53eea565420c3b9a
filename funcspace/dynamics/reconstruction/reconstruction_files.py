"""Reconstructions on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from funcspace.dynamics.reconstruction.model_files import load_model, save_model
from funcspace.dynamics.reconstruction.reconstruction import Reconstruction

__all__ = ["load_reconstruction", "save_reconstruction"]

LOADER = f"{__name__}:load_reconstruction"


def save_reconstruction(reconstruction: Reconstruction, folder: Path) -> Path:
    """Write a reconstruction; an existing one in `folder` is replaced only when the new one is whole."""
    about = {
        "step": reconstruction.step,
        "steps": list(reconstruction.steps),
        "components": list(reconstruction.components),
        "name": reconstruction.name,
        "units": reconstruction.units,
        "time_unit": reconstruction.time_unit,
        "history": reconstruction.history,
        "provenance": reconstruction.provenance,
    }
    return save_model(reconstruction.model, folder, loader=LOADER, about=about)


def load_reconstruction(folder: Path) -> Reconstruction:
    """Read what `save_reconstruction` wrote.

    Raises
    ------
    CheckpointError
        When the folder is truncated, of a newer schema, or of another model.
    """

    def made(model: Any, about: dict[str, Any]) -> Reconstruction:
        return Reconstruction(
            model, float(about["step"]), tuple(about["components"]), about["name"], about["units"], about["time_unit"],
            about["history"], about["provenance"], tuple(about.get("steps", ())),
        )  # fmt: skip

    return load_model(folder, made)
