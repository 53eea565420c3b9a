"""Numbers that callers give, checked at the door: whole ones, amounts, switches, arrays and seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Real
from typing import Any, TypeGuard

import numpy as np
import torch

from funcspace.errors import InputError

__all__ = [
    "as_numbers",
    "check_amounts",
    "check_counts",
    "entries_of",
    "entropy_of",
    "is_number",
    "is_whole",
    "number_of",
    "positive_number",
    "require_counts",
    "true_or_false",
    "whole_number",
]


def is_whole(value: Any) -> TypeGuard[int]:
    """Whether a value is one whole number, and neither True nor False."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is one finite number, and neither True nor False."""
    return is_whole(value) or (isinstance(value, float | np.floating) and bool(np.isfinite(value)))


def number_of(value: Any) -> float:
    """One finite number as a float, also from an array or tensor without axes; NaN where the value is none.

    NaN fails every comparison, so that one bound refuses numbers out of range and what is no number.

    >>> number_of(np.float32(0.5)), number_of(torch.tensor(2)), number_of("high"), number_of(True)
    (0.5, 2.0, nan, nan)
    """
    if isinstance(value, np.ndarray | torch.Tensor) and value.ndim == 0:
        value = value.item()
    number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    return number if math.isfinite(number) else math.nan


def positive_number(value: Any, name: str) -> float:
    """A finite number above 0 as a float.

    Raises
    ------
    InputError
        When it is anything else.

    Examples
    --------
    >>> positive_number(np.float32(0.5), "step")
    0.5
    """
    number = number_of(value)
    if not number > 0:
        raise InputError(f"{name} must be a positive number, got {value!r}")
    return number


def true_or_false(value: Any, name: str) -> bool:
    """A switch as a bool, from True, False, 1 or 0; an InputError for all else."""
    if not (isinstance(value, bool | np.bool_) or (is_whole(value) and value in (0, 1))):
        raise InputError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def entries_of(value: Any) -> tuple[Any, ...]:
    """The entries of a list, a vector or anything else to go through; none of a text, a number or None.

    >>> entries_of([1, 2]), entries_of("ab"), entries_of(3.0)
    ((1, 2), (), ())
    """
    if not isinstance(value, Iterable) or isinstance(value, str | bytes) or getattr(value, "ndim", 1) == 0:
        return ()
    return tuple(value)


def as_numbers(value: Any, what: str) -> np.ndarray:
    """A float64 array, or an InputError that says what must be numbers."""
    if isinstance(value, torch.Tensor) and value.requires_grad:
        raise InputError(
            f"{what} must carry no gradient, for it would be lost; detach, or integrate with "
            "integrators.integrate_batched, which keeps it"
        )
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} must be numbers; got {value!r}") from error


def whole_number(value: Any, name: str, least: int = 1) -> int:
    """A count or a seed as an int, from an int or an integer of NumPy.

    Raises
    ------
    InputError
        When it is anything else, such as 3.0 or True, or less than `least`.

    Examples
    --------
    >>> whole_number(np.int64(3), "epochs")
    3
    """
    if not (is_whole(value) and value >= least):
        bound = "that is not negative" if least == 0 else f"of at least {least}"
        raise InputError(f"{name} must be a whole number {bound}, got {value!r}")
    return int(value)


def require_counts(**counts: Any) -> None:
    """Raise an InputError for a count, by its name, that is no whole number from 1 on."""
    for name, value in counts.items():
        whole_number(value, name)


def check_counts(**counts: int | None) -> None:
    """Like `require_counts`, but None stands for a default."""
    require_counts(**{name: value for name, value in counts.items() if value is not None})


def check_amounts(**amounts: float) -> None:
    """Raise an InputError for an amount, by its name, that is no finite number from 0 on."""
    for name, value in amounts.items():
        if not (is_number(value) and value >= 0):
            raise InputError(f"{name} must be a number that is not negative; got {value!r}")


def entropy_of(seed: Any) -> Any:
    """What all random numbers of a seed come from; of None, something new each time."""
    refused = f"seed must be a whole number that is not negative, or None; got {seed!r}"
    if isinstance(seed, bool):
        raise InputError(refused)
    try:
        return np.random.SeedSequence(seed).entropy
    except (TypeError, ValueError) as error:
        raise InputError(refused) from error
