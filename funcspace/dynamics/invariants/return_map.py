"""Return maps: what one peak of a series says about the next."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from funcspace.dynamics.series import FloatArray, as_signal
from funcspace.errors import InputError

__all__ = ["ReturnMap", "return_map"]


class ReturnMap(NamedTuple):
    """Successive extrema: values, the values that follow them, and the times of the former, each (returns,)."""

    value: FloatArray
    following: FloatArray
    times: FloatArray


def return_map(
    data: Any, component: int | None = None, *, minima: bool = False, step: float | None = None
) -> ReturnMap:
    r"""Pairs of successive maxima (M_n, M_{n+1}) of a component, refined by a parabola through three samples.

    .. math:: M = x_i + \frac{(x_{i+1} - x_{i-1})^2}{8 (2 x_i - x_{i-1} - x_{i+1})}

    (Lorenz, J. Atmos. Sci. 20, 1963: the maxima of z make a cusp, almost a curve.)

    Parameters
    ----------
    data : one trajectory (time, components).
    component : which one; may be left out if there is a single one.
    minima : successive minima instead.
    step : time between samples where `data` is an array; 1 if nothing says it.

    Raises
    ------
    InputError
        A batch, or fewer than two extrema.

    Examples
    --------
    >>> import numpy as np
    >>> t = 0.05 * np.arange(1000)
    >>> value, following, times = return_map(np.exp(-0.1 * t) * np.sin(t), step=0.05)
    >>> (following / value).round(3)  # exp(-0.2 pi)
    array([0.533, 0.533, 0.533, 0.533, 0.533, 0.533, 0.533])
    """
    series = as_signal(data, component, minimum=5, step=step)
    if series.batch_shape:
        raise InputError(f"return_map takes one trajectory, got a batch of shape {series.batch_shape}")
    x = series.values[0, :, 0] * (-1.0 if minima else 1.0)
    peaks = 1 + np.flatnonzero((x[1:-1] > x[:-2]) & (x[1:-1] >= x[2:]))
    if len(peaks) < 2:
        raise InputError(f"a return map needs at least two {'minima' if minima else 'maxima'}; there are {len(peaks)}")
    before, top, after = x[peaks - 1], x[peaks], x[peaks + 1]
    bend = 2.0 * top - before - after
    values = (top + (after - before) ** 2 / (8.0 * bend)) * (-1.0 if minima else 1.0)
    times = (peaks + 0.5 * (after - before) / bend) * (series.step if series.step is not None else 1.0)
    return ReturnMap(values[:-1], values[1:], times[:-1])
