"""Autocorrelation of trajectories and the time over which it decays."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcspace.arguments import is_number, is_whole
from funcspace.dynamics.series import FloatArray, Series, as_series, unbatched
from funcspace.errors import InputError

__all__ = ["autocorrelation", "decorrelation_time"]


def autocorrelation(data: Any, most: int | None = None) -> Any:
    r"""Autocorrelation of each component at lags 0, ..., `most`.

    .. math:: \rho_k = \frac{T \sum_{t=1}^{T-k} (x_t - \bar x)(x_{t+k} - \bar x)}{(T - k) \sum_t (x_t - \bar x)^2}

    Parameters
    ----------
    data : trajectories (..., time, components).
    most : the longest lag, in samples; half the series by default.

    Returns
    -------
    array
        (..., most + 1, components).

    Raises
    ------
    InputError
        When a component does not vary, or the lag is longer than the series.

    Examples
    --------
    >>> import numpy as np
    >>> autocorrelation(np.cos(np.pi * np.arange(1000) / 2), most=3)[:, 0].round(3) + 0.0
    array([ 1.,  0., -1.,  0.])
    """
    series = as_series(data, minimum=3)
    most = series.length // 2 if most is None else most
    if not (is_whole(most) and 0 <= most < series.length):
        raise InputError(f"the longest lag must be between 0 and {series.length - 1} samples, got {most!r}")
    return unbatched(correlations(series, most), series.batch_shape)


def decorrelation_time(
    data: Any, level: float = 1.0 / np.e, *, step: float | None = None, per_component: bool = False
) -> Any:
    """Time at which the autocorrelation first falls below a level, the longest over the components.

    Between samples it is interpolated linearly.

    Parameters
    ----------
    data : trajectories (..., time, components).
    level : 1/e by default; 0 for the first zero.
    step : time between samples where `data` is an array; the result is in samples if nothing says it.
    per_component : return one time per component, in a last axis.

    Raises
    ------
    InputError
        When a component does not vary or its autocorrelation does not fall below the level within half the series.

    Examples
    --------
    >>> import numpy as np
    >>> round(decorrelation_time(np.sin(0.01 * np.arange(10_000)), level=0.0), 1)  # a quarter of a period of 628
    157.8
    """
    series = as_series(data, minimum=3, step=step)
    if not (is_number(level) and -1 < level < 1):
        raise InputError(f"level must lie between -1 and 1, got {level!r}")
    rho = correlations(series, series.length // 2)
    below = rho < level
    if not below.any(axis=1).all():
        batch, component = np.argwhere(~below.any(axis=1))[0]
        where = f"trajectory {batch}, " if len(rho) > 1 else ""
        raise InputError(
            f"{where}component {component}: the autocorrelation stays above {level:.3g} over half the series of "
            f"{series.length} samples; a longer one is needed"
        )
    last = below.argmax(axis=1)
    after = np.take_along_axis(rho, last[:, None], axis=1)[:, 0]
    before = np.take_along_axis(rho, last[:, None] - 1, axis=1)[:, 0]
    lags = last - 1 + (before - level) / (before - after)
    times = lags * (series.step if series.step is not None else 1.0)
    return unbatched(times if per_component else times.max(axis=1), series.batch_shape)


def correlations(series: Series, most: int) -> FloatArray:
    """Autocorrelation up to a lag, (batch, lags, components), by Fourier transform."""
    from scipy.fft import irfft, next_fast_len, rfft

    x = series.values - series.values.mean(axis=1, keepdims=True)
    variance = np.square(x).mean(axis=1)
    varying = np.ptp(series.values, axis=1) > 1e-12 * np.abs(series.values).max(axis=1)
    bad = np.argwhere(~(varying & (variance > 0)))  # squares may underflow
    if len(bad):
        raise InputError(f"component {bad[0][1]} of {series.name} does not vary and has no autocorrelation")
    size = next_fast_len(series.length + most, real=True)
    transform = rfft(x, size, axis=1)
    products = irfft(transform.real**2 + transform.imag**2, size, axis=1)[:, : most + 1]
    products /= (series.length - np.arange(most + 1))[:, None]
    return products / variance[:, None]


def independence_window(values: FloatArray) -> int:
    """Samples after which states of one orbit (time, components) count as independent: twice its decay to 1/e."""
    length = len(values)
    varying = values[:, np.ptp(values, axis=0) > 0]
    rho = correlations(Series(varying[None], (), None, "the trajectory"), length // 2)[0]
    below = rho < 1.0 / np.e
    lag = np.where(below.any(axis=0), below.argmax(axis=0), length // 2).max()
    return int(min(2 * lag, max(1, length // 10)))
