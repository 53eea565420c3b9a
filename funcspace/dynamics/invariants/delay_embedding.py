"""States from a partial observation: delay vectors and the choice of their lag."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from funcspace.arguments import check_counts, is_whole
from funcspace.dynamics.invariants.autocorrelation import correlations
from funcspace.dynamics.invariants.mutual_information import delayed_mutual_information
from funcspace.dynamics.series import as_series, as_signal
from funcspace.errors import InputError

__all__ = ["delay_embedding", "embedding_lag"]


def delay_embedding(data: Any, dimension: int, lag: int = 1) -> np.ndarray:
    r"""Delay vectors, the present first.

    .. math:: y_t = (x_t, x_{t-\tau}, \ldots, x_{t-(m-1)\tau})

    (Takens, 1981.) With several components, each is delayed and the vectors are joined, lag by lag.

    Parameters
    ----------
    data : trajectories (..., time, components).
    dimension : m, number of delays, the present included.
    lag : tau, in samples.

    Returns
    -------
    array
        (..., time - (m - 1) tau, m * components).

    Raises
    ------
    InputError
        When the series is not longer than (m - 1) tau.

    Examples
    --------
    >>> delay_embedding([1.0, 2.0, 3.0, 4.0, 5.0], 2, lag=2)
    array([[3., 1.],
           [4., 2.],
           [5., 3.]])
    """
    check_counts(dimension=dimension, lag=lag)
    span = (dimension - 1) * lag
    series = as_series(data, minimum=span + 1)
    length = series.length - span
    delayed = [series.values[:, span - m * lag : span - m * lag + length] for m in range(dimension)]
    return np.concatenate(delayed, axis=2).reshape(*series.batch_shape, length, dimension * series.components)


def embedding_lag(
    data: Any,
    method: Literal["mutual_information", "autocorrelation"] = "mutual_information",
    *,
    component: int | None = None,
    most: int | None = None,
) -> int:
    """A lag for delay vectors, in samples.

    The first minimum of the delayed mutual information, or the first lag at which the autocorrelation is below 1/e.

    Parameters
    ----------
    data : one trajectory (time, components).
    method : "mutual_information" or "autocorrelation".
    component : which one; may be left out if there is a single one.
    most : the longest lag that is tried; a tenth of the series by default.

    Raises
    ------
    InputError
        A batch, or no such lag.

    Examples
    --------
    >>> import numpy as np
    >>> embedding_lag(np.sin(2 * np.pi * np.arange(10_000) / 100.3), "autocorrelation")
    20
    """
    series = as_signal(data, component, minimum=30)
    if series.batch_shape:
        raise InputError(f"embedding_lag takes one trajectory, got a batch of shape {series.batch_shape}")
    most = series.length // 10 if most is None else most
    if not (is_whole(most) and 1 <= most < series.length - 10):
        raise InputError(f"the longest lag must be between 1 and {series.length - 11} samples, got {most!r}")
    if method == "autocorrelation":
        good = correlations(series, most)[0, :, 0] < 1.0 / np.e
    elif method == "mutual_information":
        # lags are tried in growing ranges, since the first minimum is early as a rule
        good, reach = np.zeros(1, dtype=bool), min(most, 32)
        while True:
            information = delayed_mutual_information(series.values[0, :, 0], reach)
            inner = (information[1:-1] < information[:-2]) & (information[1:-1] <= information[2:])
            good = np.concatenate([[False], inner])
            if good.any() or reach == most:
                break
            reach = min(most, 4 * reach)
    else:
        raise InputError(f'method must be "mutual_information" or "autocorrelation", got {method!r}')
    if not good.any():
        raise InputError(
            f"{method} shows no lag up to {most} samples; try the other method, a longer series or most=..."
        )
    return int(good.argmax())
