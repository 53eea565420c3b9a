"""Numbers as users hold them, in lists, NumPy arrays or tensors, taken in without loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from funcspace.errors import InputError

__all__ = ["number_tensor", "refuse_masked"]


def refuse_masked(values: Any, name: str) -> None:
    """Raise an InputError where a NumPy array has masked entries: what lies under a mask is no datum."""
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        first = tuple(int(i) for i in np.argwhere(np.ma.getmaskarray(values))[0])
        where = f", the first at index {first if len(first) != 1 else first[0]}" if first else ""
        raise InputError(
            f"{name} must hold no masked entries; there are {np.ma.count_masked(values)}{where}; leave those rows out, "
            "or give each entry a value with .filled(value)"
        )


def number_tensor(values: Any, name: str) -> Tensor:
    """A tensor of the same numbers and type, in the machine's order of bytes; tensors are returned as they are.

    Raises
    ------
    InputError
        When there is anything else than numbers in it, or an entry is masked.

    Examples
    --------
    >>> number_tensor(np.array([1.0, 2.0], dtype=">f8"), "weights")
    tensor([1., 2.], dtype=torch.float64)
    """
    if isinstance(values, Tensor):
        return values
    refuse_masked(values, name)
    try:
        array = np.asarray(values, order="C")
        if array.dtype.kind not in "biufc":
            raise TypeError(f"their type is {array.dtype}")
        return torch.as_tensor(array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("=")))
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must hold numbers, got {type(values).__name__}: {error}") from error
