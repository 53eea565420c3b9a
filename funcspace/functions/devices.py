"""Where tensors can be: the devices of this machine."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from funcspace.errors import InputError

__all__ = ["available_devices", "checked_place"]


def available_devices() -> tuple[str, ...]:
    """Kinds of devices that this machine has, "cpu" first."""
    accelerators = {"cuda": torch.cuda, "mps": torch.mps}
    return ("cpu", *(name for name, kind in accelerators.items() if kind.is_available()))


def checked_place(target: Any) -> Any:
    """A device or dtype that `Tensor.to` takes, as it was given.

    Raises
    ------
    InputError
        When it is neither, or this machine has no such device.
    """
    if isinstance(target, torch.dtype | Tensor):
        return target
    try:
        torch.empty(0, device=torch.device(target))
    except Exception as error:  # of many kinds: no such name, no such device, torch built without it
        raise InputError(
            f"expected a dtype, or a device that is there (this machine has {', '.join(available_devices())}); got "
            f"{target!r}"
        ) from error
    return target
