"""Counts and seeds that users give."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcspace.errors import InputError

__all__ = ["whole_number"]


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
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        bound = "that is not negative" if least == 0 else f"of at least {least}"
        raise InputError(f"{name} must be a whole number {bound}, got {value!r}")
    return int(value)
