"""How well the pattern over the components of a state is forecast, instant by instant."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcspace.arguments import as_numbers
from funcspace.dynamics.series import paired_series, unbatched
from funcspace.errors import InputError

__all__ = ["spatial_correlation"]


def spatial_correlation(true: Any, generated: Any, climatology: Any = None) -> Any:
    r"""Pearson correlation over space (the components) at each instant.

    .. math:: r_t = \frac{\sum_d a_{td} b_{td}}{(\sum_d a_{td}^2)^{1/2} (\sum_d b_{td}^2)^{1/2}}

    where a and b are the true and generated states minus their means over space; with a climatology, minus it and
    nothing else, which makes the anomaly correlation coefficient (ACC) of weather forecasting, useful down to
    0.5 or 0.6. Meant for spatially extended systems. A state that is not finite or has no pattern scores 0.

    Anchors: an independent orbit, or i.i.d. Gaussian, 0 on average over time; a fixed point, at the climatology, 0.

    Parameters
    ----------
    true, generated : trajectories (..., time, components) of equal length, at least 2 components.
    climatology : mean state, (components,).

    Returns
    -------
    array
        (..., time).

    Raises
    ------
    InputError
        When shapes or lengths do not fit, the truth is not finite, or there is one component only.

    Examples
    --------
    >>> spatial_correlation([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]], [[2.0, 4.0, 6.0], [3.0, 2.0, 1.0]]).round(12)
    array([ 1., -1.])
    """
    truth, model, batch = paired_series(true, generated, minimum=1, equal_length=True)
    if truth.components < 2:
        raise InputError("a correlation over space needs at least 2 components, got 1")
    if climatology is None:
        with np.errstate(invalid="ignore", over="ignore"):
            a, b = (part.values - part.values.mean(axis=2, keepdims=True) for part in (truth, model))
    else:
        mean = as_numbers(climatology, "the climatology")
        if mean.shape != (truth.components,) or not np.isfinite(mean).all():
            raise InputError(f"climatology must be a finite state of shape ({truth.components},), got {mean.shape}")
        a, b = truth.values - mean, model.values - mean
    b = np.where(np.isfinite(b).all(axis=2, keepdims=True), b, 0.0)
    with np.errstate(invalid="ignore", over="ignore"):
        size = np.linalg.norm(a, axis=2) * np.linalg.norm(b, axis=2)
        found = np.einsum("btd,btd->bt", a, b) / np.where(size > 0, size, 1.0)
    return unbatched(np.where(np.isfinite(found), found, 0.0).clip(-1.0, 1.0), batch)
