"""The state of a training run in one file, written whole: safetensors with a JSON header, never pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from funcspace.atomic_write import atomic_file
from funcspace.errors import CheckpointError

__all__ = ["Progress", "load_checkpoint", "save_checkpoint"]

SCHEMA = 1
NAME = "checkpoint.safetensors"


@dataclass
class Progress:
    """How far a run has come."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0
    best: float | list[float] = float("inf")
    best_epoch: int = -1
    history: list[dict[str, Any]] = field(default_factory=list)


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    best: Mapping[str, Tensor] | None,
    progress: Progress,
    settings: Mapping[str, Any],
    task: Mapping[str, Tensor] | None = None,
) -> None:
    """Write everything that a resumed run needs; the previous checkpoint stays until the new one is whole."""
    from safetensors.torch import save

    tensors = {f"model/{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"best/{name}": value for name, value in (best or {}).items()}
    tensors |= {f"task/{name}": value for name, value in (task or {}).items()}
    plain: dict[str, Any] = {}
    state = optimizer.state_dict()
    for index, entries in state["state"].items():
        for name, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer/{index}/{name}"] = value
            else:
                plain[f"{index}/{name}"] = value
    header = {
        "schema": SCHEMA,
        "progress": progress.__dict__,
        "settings": dict(settings),
        "groups": [{k: v for k, v in g.items() if isinstance(v, int | float | bool | list | tuple | str | None)}
                   for g in state["param_groups"]],
        "plain": plain,
    }  # fmt: skip
    packed = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    with atomic_file(folder / NAME) as temporary:
        temporary.write_bytes(save(packed, metadata={"funcspace": json.dumps(header)}))


def load_checkpoint(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, settings: Mapping[str, Any]
) -> tuple[Progress, dict[str, Tensor] | None, dict[str, Tensor]] | None:
    """Restore model and optimizer in place; progress, best weights and state of the task; None without a checkpoint.

    Raises
    ------
    CheckpointError
        When the file is damaged, of a newer schema, or of a run with other settings, naming the first that differs.
    """
    path = folder / NAME
    if not path.exists():
        return None
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            header = json.loads((file.metadata() or {})["funcspace"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise CheckpointError(f"{path} is not a readable checkpoint of this library: {error}") from error
    if header["schema"] > SCHEMA:
        raise CheckpointError(
            f"{path} has schema {header['schema']}, this version reads up to {SCHEMA}; upgrade funcspace to resume it"
        )
    theirs = json.loads(json.dumps(header["settings"]))
    ours = json.loads(json.dumps(dict(settings)))
    for key in sorted(set(theirs) | set(ours)):
        if theirs.get(key) != ours.get(key):
            raise CheckpointError(
                f"{folder} holds a run with another {key}: {theirs.get(key)!r} there, {ours.get(key)!r} now; "
                "choose another folder, or pass resume=False to start again"
            )
    model.load_state_dict({n.removeprefix("model/"): t for n, t in tensors.items() if n.startswith("model/")})
    state: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer/"):
            _, index, key = name.split("/", 2)
            state.setdefault(int(index), {})[key] = value
    for name, value in header["plain"].items():
        index, key = name.split("/", 1)
        state.setdefault(int(index), {})[key] = value
    groups = optimizer.state_dict()["param_groups"]
    merged = [old | new for old, new in zip(groups, header["groups"], strict=True)]
    optimizer.load_state_dict({"state": state, "param_groups": merged})
    best, task = (
        {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)} for prefix in ("best/", "task/")
    )
    return Progress(**header["progress"]), best or None, task
