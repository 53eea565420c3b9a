"""Samples of a recording as a trajectory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from funcspace.errors import InputError
from funcspace.functions import Function, FunctionSpace
from funcspace.geometry import Times

__all__ = ["stretch_of", "trajectory_of"]


def stretch_of(length: int, rate: float, start: float, count: int | None, what: str) -> slice:
    """The samples from `start` seconds on, `count` of them or all.

    Raises
    ------
    InputError
        When the recording ends before.
    """
    if not (np.isfinite(start) and start >= 0):
        raise InputError(f"start must be a time in seconds, at least 0; got {start}")
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 2):
        raise InputError(f"count must be a whole number of samples, at least 2, or None; got {count!r}")
    first = round(start * rate)
    last = length if count is None else first + count
    if last > length or length - first < 2:
        raise InputError(
            f"{what} has {length} samples, {length / rate:.1f} s; from {start:g} s on it has {max(0, length - first)}"
            + ("" if count is None else f", not count={count}")
        )
    return slice(first, last)


def trajectory_of(
    values: np.ndarray,
    *,
    rate: float,
    first: int,
    components: Sequence[str],
    name: str,
    units: str,
    standardise: bool,
) -> Function:
    """Values (time, component), sample `first` of a recording and on, as a Function over Times in seconds.

    Raises
    ------
    InputError
        When they are to be standardised and a component is constant.
    """
    if standardise:
        scale = values.std(axis=0)
        flat = np.flatnonzero(~(scale > 1e-12 * np.abs(values).max(axis=0)))
        if len(flat):
            raise InputError(
                f"component {components[flat[0]]!r} of {name} is constant in this stretch; choose another one, or "
                "standardise=False"
            )
        values, units = (values - values.mean(axis=0)) / scale, ""
    space = FunctionSpace(Times(first / rate, 1.0 / rate, len(values), "s"), components=tuple(components))
    coefficients = torch.from_numpy(np.ascontiguousarray(values)).reshape(space.coefficient_shape)
    return Function(space, coefficients, name=name, units=units)
