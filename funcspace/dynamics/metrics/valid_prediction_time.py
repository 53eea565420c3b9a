"""For how long a forecast of a chaotic orbit stays close to the truth, by the two definitions in use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, SupportsFloat

import numpy as np

from funcspace.arguments import as_numbers, is_number
from funcspace.dynamics.metrics.pointwise_errors import component_scale, smape_terms
from funcspace.dynamics.series import FloatArray, Series, paired_series, unbatched
from funcspace.errors import InputError

__all__ = ["valid_prediction_time", "valid_prediction_time_smape"]

Unit = Literal["steps", "time", "lyapunov"]


def valid_prediction_time(
    true: Any,
    generated: Any,
    threshold: float | Sequence[float] = 0.4,
    lyapunov: Any = None,
    *,
    error: Literal["component", "norm"] = "component",
    scale: Any = None,
    step: float | None = None,
    unit: Unit | None = None,
) -> Any:
    r"""Time until the instantaneous normalised error first exceeds a threshold.

    .. math:: \mathrm{VPT} = \lambda \, \Delta t \, \min \{ n : E_n > \epsilon \}, \qquad
              E_n = \Big( \frac1N \sum_d (x_{nd} - \hat x_{nd})^2 / \sigma_d^2 \Big)^{1/2}

    or, for `error="norm"`, :math:`E_n = |x_n - \hat x_n| / \langle |x|^2 \rangle^{1/2}` about the mean of the truth
    (Pathak et al., Phys. Rev. Lett. 120, 2018, without subtracting the mean of systems that have none). Both
    trajectories start at the same instant, n = 0. A forecast that never exceeds the threshold scores the whole length,
    a lower bound. NaN and infinity exceed every threshold. Not comparable with `valid_prediction_time_smape`.

    Anchors: truth against an independent orbit, i.i.d. Gaussian of the same covariance and the fixed point at the mean
    all exceed 0.4 within the first samples on average (Lorenz-63: 0.07, 0.00 and 0.01 Lyapunov times).

    Parameters
    ----------
    true, generated : trajectories (..., time, components) of equal length.
    threshold : epsilon; several give one result each, in a last axis.
    lyapunov : the largest Lyapunov exponent, per unit of time, measured rather than taken from a table.
    error : how the error is normalised.
    scale : standard deviation of each component; that of `true` by default. Pass the attractor's for short windows.
    step : time between samples where the trajectories are arrays.
    unit : "steps", "time" or "lyapunov" times; by default "lyapunov" if the exponent is given, else "time" if the
        time between samples is known, else "steps".

    Raises
    ------
    InputError
        As `mse`; a threshold or exponent that is not positive; a unit for which the exponent or the step is missing.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.arange(200) * 0.05
    >>> true, generated = np.sin(t), np.sin(1.1 * t)
    >>> (
    ...     valid_prediction_time(true, generated, unit="steps"),
    ...     round(valid_prediction_time(true, generated, step=0.05), 3),
    ... )
    (56.0, 2.8)
    >>> round(valid_prediction_time(true, generated, lyapunov=0.9, step=0.05), 3)
    2.52
    """
    truth, model, batch = paired_series(true, generated, step=step, equal_length=True)
    if error not in ("component", "norm"):
        raise InputError(f'error must be "component" or "norm", got {error!r}')
    sigma = component_scale(truth, scale)[:, None, :]
    with np.errstate(invalid="ignore", over="ignore"):
        squares = np.square(truth.values - model.values)
        if error == "component":
            errors = np.sqrt((squares / sigma**2).mean(axis=2))
        else:
            errors = np.sqrt(squares.sum(axis=2) / np.square(sigma).sum(axis=2))
    return _crossing(errors, _thresholds(threshold), batch, _factor(truth, model, lyapunov, unit))


def valid_prediction_time_smape(
    true: Any,
    generated: Any,
    threshold: float | Sequence[float] = 30.0,
    lyapunov: Any = None,
    *,
    step: float | None = None,
    unit: Unit | None = None,
) -> Any:
    r"""Time until the cumulative sMAPE (0 to 200) first exceeds a threshold.

    .. math:: \mathrm{VPT} = \lambda \, \Delta t \, \min \{ n : \frac1{n+1} \sum_{m \le n} s_m > \epsilon \},
              \qquad s_m = \frac{200}{N} \sum_d \frac{|x_{md} - \hat x_{md}|}{|x_{md}| + |\hat x_{md}|}

    (Zhang and Gilpin, ICLR 2025, with epsilon = 30.) The running mean forgives late errors, so that these times are
    longer than those of `valid_prediction_time`; they depend on the origin of the coordinates. Parameters, units and
    errors are those of `valid_prediction_time`.

    Anchors for standardised Lorenz-63: an independent orbit 0.00, i.i.d. Gaussian of the same covariance 0.00, the
    fixed point at the mean 0 Lyapunov times.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.arange(200) * 0.05
    >>> valid_prediction_time_smape(2 + np.sin(t), 2 + np.sin(1.3 * t), unit="steps")
    114.0
    """
    truth, model, batch = paired_series(true, generated, step=step, equal_length=True)
    terms = 200.0 * smape_terms(truth.values, model.values).mean(axis=2)
    running = np.cumsum(terms, axis=1) / np.arange(1, truth.length + 1)
    return _crossing(running, _thresholds(threshold), batch, _factor(truth, model, lyapunov, unit))


def _thresholds(threshold: float | Sequence[float]) -> FloatArray:
    values = as_numbers(threshold, "threshold")
    if values.ndim > 1 or values.size == 0 or not (np.isfinite(values).all() and (values > 0).all()):
        raise InputError(f"threshold must be a positive number or a list of them, got {threshold!r}")
    return values


def _factor(truth: Series, model: Series, lyapunov: Any, unit: Unit | None) -> float:
    """What one step counts in the unit that is asked for."""
    if isinstance(lyapunov, SupportsFloat) and not is_number(lyapunov):  # an Estimate, or an array of one number
        one = as_numbers(lyapunov, "lyapunov")
        lyapunov = float(one.ravel()[0]) if one.size == 1 else float("nan")
    if lyapunov is not None and not (is_number(lyapunov) and lyapunov > 0):
        raise InputError(f"lyapunov must be a positive exponent per unit of time, got {lyapunov!r}")
    step = truth.step if truth.step is not None else model.step
    if unit is None:
        unit = "lyapunov" if lyapunov is not None else "time" if step is not None else "steps"
    if unit not in ("steps", "time", "lyapunov"):
        raise InputError(f'unit must be "steps", "time" or "lyapunov", got {unit!r}')
    if unit == "steps":
        return 1.0
    dt = truth.time_step(step)
    if unit == "time":
        return dt
    if lyapunov is None:
        raise InputError('unit="lyapunov" needs the largest exponent: lyapunov=...')
    return dt * lyapunov


def _crossing(errors: FloatArray, thresholds: FloatArray, batch: tuple[int, ...], factor: float) -> Any:
    """Index of the first error beyond each threshold, the length where there is none, times the factor."""
    length = errors.shape[1]
    results = []
    for epsilon in np.atleast_1d(thresholds):
        beyond = ~(errors <= epsilon)
        results.append(np.where(beyond.any(axis=1), beyond.argmax(axis=1), length))
    steps = np.stack(results, axis=-1) * factor
    return unbatched(steps if thresholds.ndim else steps[..., 0], batch)
