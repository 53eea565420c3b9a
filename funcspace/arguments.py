"""Numbers that callers give, checked at the door: whole ones, amounts, arrays and seeds."""

from __future__ import annotations

from typing import Any, TypeGuard

import numpy as np
import torch

from funcspace.errors import InputError

__all__ = [
    "as_numbers",
    "check_amounts",
    "check_counts",
    "entropy_of",
    "is_number",
    "is_whole",
    "require_counts",
    "whole_number",
]


def is_whole(value: Any) -> TypeGuard[int]:
    """Whether a value is one whole number, and neither True nor False."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is one finite number, and neither True nor False."""
    return is_whole(value) or (isinstance(value, float | np.floating) and bool(np.isfinite(value)))


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
    try:
        return np.random.SeedSequence(seed).entropy
    except (TypeError, ValueError) as error:
        raise InputError(f"seed must be a whole number that is not negative, or None; got {seed!r}") from error
