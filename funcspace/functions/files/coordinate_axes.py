"""Grid axes and times from the coordinate arrays that users and public data sets have."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcspace.errors import InputError
from funcspace.geometry.grid_axis import GridAxis, Samples
from funcspace.geometry.times import Times

__all__ = ["axis_from_coordinates", "equispaced", "times_from_coordinates"]


def axis_from_coordinates(
    name: str, values: Any, *, periodic: bool = False, samples: Samples = "vertices"
) -> tuple[GridAxis, bool]:
    """A grid axis from coordinates (n,), and whether they ran backwards (the data must then be flipped).

    Coordinates that are equispaced to the precision of their own type make a uniform axis.

    Raises
    ------
    InputError
        When there are fewer than two, or they are not finite or not strictly monotone.

    Examples
    --------
    >>> import numpy as np
    >>> axis, flipped = axis_from_coordinates("x", np.linspace(1, 0, 11, dtype=np.float32))
    >>> axis.start, axis.stop, axis.count, axis.is_uniform, flipped
    (0.0, 1.0, 11, True, True)
    """
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "iuf":
        raise InputError(
            f"coordinates of {name!r} must be a vector of numbers, got {array.dtype} of shape {array.shape}"
        )
    if array.size < 2:
        raise InputError(
            f"axis {name!r} has {array.size} coordinate; an axis needs two or more, so leave it out (squeeze)"
        )
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        raise InputError(f"coordinates of {name!r} must be finite; number {bad[0]} is {array[bad[0]]}")
    steps = np.diff(array.astype(np.float64))
    flipped = bool(steps[0] < 0)
    if flipped:
        array, steps = array[::-1], -steps[::-1]
    if not (steps > 0).all():
        i = int(np.argmin(steps > 0))
        raise InputError(
            f"coordinates of {name!r} must run in one direction; next to each other are {array[i]} and {array[i + 1]}"
        )
    ends = equispaced(array)
    if ends is None:
        return GridAxis.parse(name, array.astype(np.float64), periodic=periodic, samples=samples), flipped
    start, stop = ends
    step = (stop - start) / (array.size - 1)
    if samples == "cells":
        start, stop = _tidy(start - step / 2, step, array), _tidy(stop + step / 2, step, array)
    elif periodic:
        stop = _tidy(stop + step, step, array)
    return GridAxis.parse(name, (start, stop, array.size), periodic=periodic, samples=samples), flipped


def equispaced(array: np.ndarray) -> tuple[float, float] | None:
    """First and last of equispaced numbers, cleaned of the rounding of their type; None where they are not."""
    values = array.astype(np.float64)
    step = (values[-1] - values[0]) / (values.size - 1)
    straight = values[0] + step * np.arange(values.size)
    if np.abs(values - straight).max() > _slack(step, array):
        return None
    return _tidy(values[0], step, array), _tidy(values[-1], step, array)


def _slack(step: float, array: np.ndarray) -> float:
    """How far equispaced numbers of this type may be from where they should be."""
    resolution = float(np.finfo(array.dtype).eps) if array.dtype.kind == "f" else 0.0
    return min(0.01 * abs(step), 1e-9 * abs(step) + 8 * resolution * float(np.abs(array).max()))


def _tidy(value: float, step: float, array: np.ndarray) -> float:
    """The shortest decimal within the rounding of the array's type; the value itself if there is none."""
    slack = _slack(step, array)
    for digits in range(9):
        short = round(value, digits)
        if abs(short - value) <= slack:
            return float(short)
    return float(value)


def times_from_coordinates(values: Any, unit: str = "") -> tuple[Times, bool]:
    """Times from coordinates (n,), and whether they ran backwards; dates become seconds since the first.

    Raises
    ------
    InputError
        When they are not finite or not strictly monotone.
    """
    array, unit = _seconds(np.asarray(values), unit)
    if array.ndim != 1 or array.dtype.kind not in "iuf" or array.size == 0:
        raise InputError(f"times must be a vector of numbers or dates, got {array.dtype} of shape {array.shape}")
    flipped = bool(array.size > 1 and array[0] > array[-1])
    array = array[::-1] if flipped else array
    if array.size > 1 and array.dtype.kind == "f" and array.dtype.itemsize < 8 and np.isfinite(array).all():
        ends = equispaced(array)  # the decimals that were meant, not their single precision
        if ends is not None and ends[1] > ends[0]:
            return Times(ends[0], (ends[1] - ends[0]) / (array.size - 1), array.size, unit), flipped
    return Times.at(array, unit), flipped


def _seconds(array: np.ndarray, unit: str) -> tuple[np.ndarray, str]:
    if array.dtype.kind == "M":
        if np.isnat(array).any():
            raise InputError(f"times must be dates; number {int(np.argmax(np.isnat(array)))} is missing (NaT)")
        first = array.min()
        return (array - first) / np.timedelta64(1, "s"), f"seconds since {np.datetime_as_string(first, unit='s')}"
    if array.dtype.kind == "m":
        return array / np.timedelta64(1, "s"), "s"
    if array.dtype == object and array.size and hasattr(array.flat[0], "isoformat"):
        first = min(array.tolist())
        seconds = [(moment - first).total_seconds() for moment in array.tolist()]
        return np.array(seconds), f"seconds since {first.isoformat()}"
    return array, unit
