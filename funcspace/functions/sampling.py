"""Values of what users give as a function: a number, a value, or a callable of the points."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from funcspace.errors import InputError
from funcspace.geometry.number_tensor import number_tensor, refuse_masked

__all__ = ["sample"]


def sample(source: Any, points: Tensor, value_shape: tuple[int, ...]) -> Float[Tensor, "n ..."]:
    """Values of a number, a constant value or a callable at points, as float64 (or complex) of shape (n, *value_shape).

    Raises
    ------
    InputError
        When the result has another shape or is not finite.
    """
    count = len(points)
    raw = source(points) if callable(source) else source
    refuse_masked(raw, "the array of values")
    try:
        values = number_tensor(raw, "the array of values")
    except InputError as error:
        raise InputError(
            f"a function is given by a number, a value or a callable of the points, got {raw!r}"
        ) from error
    if not values.is_complex():
        values = values.to(torch.float64)
    values = values.to("cpu")
    full = (count, *value_shape)
    if tuple(values.shape) == full:
        pass
    elif tuple(values.shape) == (count, math.prod(value_shape)):
        values = values.reshape(full)
    elif values.ndim == 0 or tuple(values.shape) == value_shape:
        values = values.expand(full).clone()
    else:
        raise InputError(f"values must have shape {full} (points, *value) or {value_shape}, got {tuple(values.shape)}")
    finite = torch.isfinite(values.reshape(count, -1)).all(dim=1)
    if not bool(finite.all()):
        first = int(torch.nonzero(~finite)[0])
        raise InputError(
            f"values must be finite; at point {first}, {points[first].tolist()}, got {values[first].tolist()}"
        )
    return values
