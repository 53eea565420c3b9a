"""Surrogates on disk: one folder with JSON and safetensors, written whole, read without ever running a pickle."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from funcspace.atomic_write import atomic_folder
from funcspace.errors import CheckpointError
from funcspace.functions import FunctionSpace
from funcspace.functions.files.domain_records import space_from_record, space_to_record
from funcspace.functions.normalisers import Normaliser
from funcspace.training.model import model_config
from funcspace.training.packing import Field, Packing
from funcspace.training.surrogate import Surrogate

__all__ = ["load_saved", "load_surrogate", "model_from", "read_description", "save_surrogate"]

SCHEMA = 1
DESCRIPTION, WEIGHTS, SPACES = "surrogate.json", "model.safetensors", "spaces.safetensors"


def save_surrogate(surrogate: Surrogate, folder: Path) -> Path:
    """Write a surrogate; an existing surrogate in `folder` is replaced only when the new one is whole."""
    from safetensors.numpy import save as save_arrays
    from safetensors.torch import save as save_tensors

    model = surrogate.model
    arrays: dict[str, np.ndarray] = {}
    spaces: dict[str, Any] = {}

    def describe(field: Field) -> dict[str, Any]:
        key = field.space.fingerprint
        if key not in spaces:
            record, parts = space_to_record(field.space)
            spaces[key] = record
            arrays.update({f"{key}/{name}": np.ascontiguousarray(part) for name, part in parts.items()})
        return {
            "name": field.name,
            "space": key,
            "components": list(field.space.components),
            "units": field.units,
            "normaliser": field.normaliser.to_dict(),
        }

    packing = surrogate.packing
    description = {
        "schema": SCHEMA,
        "model": {
            "class": f"{type(model).__module__}:{type(model).__qualname__}",
            "config": model_config(model),
        },
        "dtype": str(next((p.dtype for p in model.parameters()), torch.float32)).removeprefix("torch."),
        "inputs": [describe(f) for f in packing.inputs],
        "outputs": [describe(f) for f in packing.outputs],
        "parameters": [list(p) for p in packing.parameters],
        "spaces": spaces,
        "history": surrogate.history,
        "provenance": surrogate.provenance,
    }
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    folder.absolute().parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(folder, may_replace=lambda old: (old / DESCRIPTION).exists()) as place:
        (place / DESCRIPTION).write_text(json.dumps(description, indent=1, allow_nan=True))
        (place / WEIGHTS).write_bytes(save_tensors(weights))
        (place / SPACES).write_bytes(save_arrays(arrays))
    return folder


def load_saved(folder: Path, model_class: type[nn.Module] | None = None) -> Any:
    """Read a surrogate, or whatever else of this library describes itself in the same way and names its loader."""
    loader = str(read_description(folder).get("loader", ""))
    if not loader:
        return load_surrogate(folder, model_class=model_class)
    module, _, name = loader.partition(":")
    if module.partition(".")[0] != "funcspace":
        raise CheckpointError(f"{folder} names a loader outside this library: {loader}")
    try:
        load = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise CheckpointError(f"{folder} names an unknown loader: {loader}") from error
    return load(folder)


def read_description(folder: Path) -> dict[str, Any]:
    """The JSON of a saved surrogate, of a schema that this version knows."""
    if not (folder / DESCRIPTION).is_file():
        raise CheckpointError(f"{folder} holds no saved surrogate: there is no {DESCRIPTION} in it")
    try:
        description = json.loads((folder / DESCRIPTION).read_text())
        schema = int(description["schema"])
    except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{folder / DESCRIPTION} is damaged: {error}") from error
    if schema > SCHEMA:
        raise CheckpointError(
            f"{folder} has schema {schema}, this version reads up to {SCHEMA}; upgrade funcspace to load it"
        )
    return description


def load_surrogate(folder: Path, *, model_class: type[nn.Module] | None = None) -> Surrogate:
    """Read a surrogate written by `save_surrogate`.

    Parameters
    ----------
    model_class : the class of a model from outside this library; only classes of this library are looked up by name.

    Raises
    ------
    CheckpointError
        When the folder is missing, truncated, of a newer schema, or of another model.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as load_arrays
    from safetensors.torch import load as load_tensors

    description = read_description(folder)
    try:
        weights = load_tensors((folder / WEIGHTS).read_bytes())
        arrays = load_arrays((folder / SPACES).read_bytes())
        spaces = {
            key: space_from_record(
                record, {n.split("/", 1)[1]: a for n, a in arrays.items() if n.startswith(f"{key}/")}
            )
            for key, record in description["spaces"].items()
        }
        packing = Packing(
            tuple(_field(entry, spaces) for entry in description["inputs"]),
            tuple(_field(entry, spaces) for entry in description["outputs"]),
            tuple((str(n), float(m), float(d)) for n, m, d in description["parameters"]),
        )
        config, name = description["model"]["config"], description["model"]["class"]
        dtype = getattr(torch, description["dtype"])
        history, provenance = list(description["history"]), dict(description["provenance"])
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{folder} is damaged or incomplete: {type(error).__name__}: {error}") from error
    model = model_from(folder, name, config, weights, dtype, model_class)
    return Surrogate(model, packing, history, provenance)


def model_from(
    folder: Path,
    name: str,
    config: dict[str, Any],
    weights: dict[str, torch.Tensor],
    dtype: torch.dtype,
    model_class: type[nn.Module] | None = None,
) -> nn.Module:
    """The model of a class by name, its arguments and its weights, ready to be used."""
    kind = _class(name, folder) if model_class is None else model_class
    try:
        model = kind(**config).to(dtype)
        model.load_state_dict(weights)
    except (TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"the weights in {folder} do not fit {kind.__name__}(**{config}): {error}") from error
    return model.eval()


def _field(entry: dict[str, Any], spaces: dict[str, FunctionSpace]) -> Field:
    space = spaces[entry["space"]]
    names = tuple(entry["components"])
    if names != space.components:
        space = FunctionSpace(space.domain, space.element, components=names, value_shape=space.value_shape or None)
    return Field(entry["name"], space, entry["units"], Normaliser.from_dict(entry["normaliser"]))


def _class(name: str, folder: Path) -> type[nn.Module]:
    module, _, qualname = name.partition(":")
    if module.partition(".")[0] != "funcspace":
        raise CheckpointError(
            f"{folder} was saved from {module}.{qualname}, which is not part of this library; "
            "pass its class: fs.load(folder, model_class=...)"
        )
    try:
        kind = getattr(importlib.import_module(module), qualname)
    except (ImportError, AttributeError) as error:
        raise CheckpointError(f"{folder} holds a model of the unknown class {name}") from error
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise CheckpointError(f"{folder} names {name}, which is not a model")
    return kind
