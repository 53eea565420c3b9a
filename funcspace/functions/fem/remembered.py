"""What was worked out for an object of another code, kept as long as that object lives."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["recall", "remember"]

# By identity: the objects of the other codes compare by content, or not at all.
_known: dict[int, tuple[NDArray[np.float64], Any]] = {}


def recall(thing: Any, coordinates: NDArray[np.float64]) -> Any:
    """What is known of `thing`; None when nothing is, or when the points of its mesh have moved since."""
    found = _known.get(id(thing))
    return None if found is None or not np.array_equal(found[0], coordinates) else found[1]


def remember(thing: Any, coordinates: NDArray[np.float64], value: Any) -> Any:
    """Keep `value` for `thing` and return it."""
    if id(thing) not in _known:
        weakref.finalize(thing, _known.pop, id(thing), None)
    _known[id(thing)] = (np.array(coordinates), value)
    return value
