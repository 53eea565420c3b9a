"""Errors of a forecast sample by sample: mean squared, absolute, normalised, scaled and symmetric percentage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcspace.arguments import as_numbers, check_counts
from funcspace.dynamics.series import FloatArray, Series, as_series, paired_series, unbatched
from funcspace.errors import InputError

__all__ = ["mae", "mase", "mse", "nrmse", "rmse", "smape", "smape100", "smape200"]


def mse(true: Any, generated: Any) -> Any:
    r"""Mean squared error over time and components.

    .. math:: \frac1{TN} \sum_{t,d} (x_{td} - \hat x_{td})^2

    Anchors, for a standardised truth: an independent orbit, or i.i.d. Gaussian of the same covariance, 2; the fixed
    point at the mean 1. A diverged forecast (NaN or infinity in it) scores infinity.

    Parameters
    ----------
    true, generated : trajectories (..., time, components) of equal length.

    Returns
    -------
    float or array
        One number per trajectory of the batch.

    Raises
    ------
    InputError
        When shapes, lengths or time steps do not fit, or the truth is not finite.

    Examples
    --------
    >>> mse([[0.0, 0.0], [1.0, 1.0]], [[0.0, 0.0], [1.0, 3.0]])
    1.0
    """
    return _reduced(true, generated, lambda x, y: np.square(x - y).mean(axis=(1, 2)), worst=np.inf)


def rmse(true: Any, generated: Any) -> Any:
    """Root of the mean squared error, in the unit of the data; see `mse`.

    >>> rmse([0.0, 0.0], [3.0, 3.0])
    3.0
    """
    return _root(mse(true, generated))


def mae(true: Any, generated: Any) -> Any:
    """Mean absolute error over time and components, in the unit of the data; infinity for a diverged forecast.

    >>> mae([0.0, 0.0], [3.0, -1.0])
    2.0
    """
    return _reduced(true, generated, lambda x, y: np.abs(x - y).mean(axis=(1, 2)), worst=np.inf)


def nrmse(true: Any, generated: Any, scale: Any = None) -> Any:
    r"""Root mean squared error in units of the standard deviation of each component.

    .. math:: \Big( \frac1{TN} \sum_{t,d} (x_{td} - \hat x_{td})^2 / \sigma_d^2 \Big)^{1/2}

    Anchors: an independent orbit, or i.i.d. Gaussian of the same covariance, 1.41; the fixed point at the mean 1;
    a diverged forecast infinity.

    Parameters
    ----------
    true, generated : trajectories (..., time, components) of equal length.
    scale : standard deviation of each component (a number or one per component); that of `true` over the compared
        window by default. Short windows need that of the attractor.

    Raises
    ------
    InputError
        As `mse`, and when a component of the truth does not vary or the scale does not fit.

    Examples
    --------
    >>> nrmse([[0.0, 0.0], [2.0, 20.0]], [[1.0, 0.0], [2.0, 10.0]])
    0.7071067811865476
    """
    truth, model, batch = paired_series(true, generated, equal_length=True)
    sigma = component_scale(truth, scale)[:, None]
    return _root(_scored(truth, model, batch, lambda x, y: np.square((x - y) / sigma).mean(axis=(1, 2)), worst=np.inf))


def smape(true: Any, generated: Any, upper: float = 200.0) -> Any:
    r"""Symmetric mean absolute percentage error, between 0 and `upper`.

    .. math:: \frac{U}{TN} \sum_{t,d} \frac{|x_{td} - \hat x_{td}|}{|x_{td}| + |\hat x_{td}|}

    The literature uses both U = 200 and U = 100 under one name; `smape200` and `smape100` name the range. A term
    0/0 counts 0, a NaN or infinite forecast U. Not invariant under shifts of the data.

    Anchors, for standardised Lorenz-63 and U = 200: an independent orbit 144; i.i.d. Gaussian of the same covariance
    144; the fixed point at the mean 200.

    Parameters
    ----------
    true, generated : trajectories (..., time, components) of equal length.
    upper : 200 or 100.

    Raises
    ------
    InputError
        As `mse`, or another upper end.

    Examples
    --------
    >>> smape([1.0, 2.0], [1.0, 6.0]), smape100([1.0, 2.0], [1.0, 6.0])
    (50.0, 25.0)
    """
    if upper not in (100, 200):
        raise InputError(f"the upper end of smape is 200 or 100, got {upper!r}")
    truth, model, batch = paired_series(true, generated, equal_length=True)
    return unbatched(upper * smape_terms(truth.values, model.values).mean(axis=(1, 2)), batch)


def smape200(true: Any, generated: Any) -> Any:
    """`smape` from 0 to 200, as in the forecasting benchmarks on the chaos database up to 2024."""
    return smape(true, generated, 200.0)


def smape100(true: Any, generated: Any) -> Any:
    """`smape` from 0 to 100, as in dysts since April 2025 and in Panda's tables."""
    return smape(true, generated, 100.0)


def mase(true: Any, generated: Any, training: Any, lag: int = 1) -> Any:
    r"""Mean absolute error in units of that of the naive forecast on the training series, the mean over components.

    .. math::
        \frac1N \sum_d \frac{\frac1T \sum_t |x_{td} - \hat x_{td}|}
        {\frac1{T'-m} \sum_{t>m} |x'_{td} - x'_{t-m,d}|}

    (Hyndman and Koehler, Int. J. Forecasting 22, 2006.) Below 1 the forecast beats "as m samples ago". A
    diverged forecast scores infinity.

    Parameters
    ----------
    true, generated : trajectories (..., time, components) of equal length.
    training : one series x' (time, components) on which the naive forecast is judged.
    lag : m, 1 or the length of a season.

    Raises
    ------
    InputError
        As `mse`; when the training series is no longer than the lag or does not change over it.

    Examples
    --------
    >>> mase([4.0, 5.0], [5.0, 7.0], training=[0.0, 1.0, 2.0, 3.0])
    1.5
    """
    check_counts(lag=lag)
    history = as_series(training, name="the training series", minimum=lag + 1)
    truth, model, batch = paired_series(true, generated, minimum=1, equal_length=True)
    if history.components != truth.components or history.batch_shape:
        raise InputError(
            f"training must be a single series of {truth.components} components; got batch {history.batch_shape} and "
            f"{history.components} components"
        )
    naive = np.abs(history.values[0, lag:] - history.values[0, :-lag]).mean(axis=0)
    if (naive == 0).any():
        raise InputError(
            f"component {int(np.argmin(naive))} of the training series does not change over a lag of {lag}"
        )
    return _scored(truth, model, batch, lambda x, y: (np.abs(x - y).mean(axis=1) / naive).mean(axis=1), worst=np.inf)


def smape_terms(true: FloatArray, generated: FloatArray) -> FloatArray:
    """|x - y| / (|x| + |y|) in [0, 1]; 0/0 is 0 and what is not finite is 1."""
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        size = np.abs(true) + np.abs(generated)
        terms = np.where(size == 0, 0.0, np.abs(true - generated) / size)
    return np.where(np.isfinite(generated) & np.isfinite(terms), terms, 1.0)


def component_scale(truth: Series, scale: Any = None) -> FloatArray:
    """Standard deviation of each component of each trajectory, (batch, components); or the one that was given."""
    if scale is None:
        sigma = truth.values.std(axis=1)
        bad = np.argwhere(is_constant(truth.values))
        if len(bad):
            raise InputError(
                f"component {bad[0][1]} of {truth.name} does not vary, so that nothing can be measured in units of "
                "its standard deviation; leave it out, or give the scale of each component or standardise=False where "
                "these are arguments"
            )
        return sigma
    given = as_numbers(scale, "the scale")
    if given.shape not in ((), (truth.components,)) or not (np.isfinite(given).all() and (given > 0).all()):
        raise InputError(
            f"scale must be a positive number or {truth.components} of them, one per component; got {scale!r}"
        )
    return np.broadcast_to(given, (len(truth.values), truth.components))


def is_constant(values: FloatArray) -> np.ndarray:
    """Which components (batch, components) do not vary over time beyond rounding."""
    return ~(np.ptp(values, axis=1) > 1e-12 * np.abs(values).max(axis=1))


def _reduced(true: Any, generated: Any, score: Callable[[Any, Any], FloatArray], *, worst: float) -> Any:
    truth, model, batch = paired_series(true, generated, minimum=1, equal_length=True)
    return _scored(truth, model, batch, score, worst=worst)


def _scored(
    truth: Series, model: Series, batch: tuple[int, ...], score: Callable[[Any, Any], FloatArray], *, worst: float
) -> Any:
    """The score of each trajectory, the worst one for those that are not finite."""
    with np.errstate(invalid="ignore", over="ignore"):
        scores = score(truth.values, model.values)
    finite = np.isfinite(model.values).all(axis=(1, 2))
    return unbatched(np.where(finite, scores, worst), batch)


def _root(numbers: Any) -> Any:
    return float(np.sqrt(numbers)) if np.ndim(numbers) == 0 else np.sqrt(numbers)
