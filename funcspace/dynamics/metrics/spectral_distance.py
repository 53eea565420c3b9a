"""How far the power spectra of a generated orbit are from those of the truth."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from funcspace.arguments import is_whole
from funcspace.dynamics.invariants.power_spectrum import Detrend, detrended, smoothed
from funcspace.dynamics.metrics.pointwise_errors import component_scale, is_constant
from funcspace.dynamics.series import FloatArray, paired_series, unbatched
from funcspace.errors import InputError

__all__ = ["spectral_distance"]


def spectral_distance(
    true: Any,
    generated: Any,
    smoothing: float = 20.0,
    *,
    mode: Literal["standard", "reference"] = "standard",
    detrend: Detrend = "mean",
    lowest: int | None = None,
    per_component: bool = False,
) -> Any:
    r"""Hellinger distance of smoothed, normalised power spectra, the mean over components (D_H), between 0 and 1.

    .. math:: D = \frac1N \sum_d \Big( 1 - \sum_k \sqrt{F_{dk} G_{dk}} \Big)^{1/2}

    F and G are the squared magnitudes of the Fourier transforms of the standardised components, smoothed over
    frequency bins by a Gaussian, with sum 1. So the distance does not see shifts and scalings of a component,
    each orbit being standardised by itself, nor phases. Orbits of unequal length are cut to the
    shorter one. It depends on the length at fixed smoothing, because the width of a bin does: compare only distances
    of one length and one smoothing.

    A component that does not vary, or an orbit that is not finite, scores 1.

    Anchors, Lorenz-63 with 10^5 samples at dt = 0.01 and smoothing 20: independent true orbits 0.05, i.i.d. Gaussian
    0.88, the fixed point 1.

    Parameters
    ----------
    true, generated : trajectories (..., time, components).
    smoothing : standard deviation of the Gaussian in frequency bins; 0 for none.
    mode : "standard", or "reference" for the implementation behind the tables of Hess et al. (ICML 2023), which
        continues the spectra at their ends without repeating the first value and gives NaN for a fixed point.
    detrend : what is subtracted from each component first.
    lowest : compare only so many of the lowest frequencies, zero included.
    per_component : return one distance per component, in a last axis, and not their mean.

    Raises
    ------
    InputError
        When shapes or time steps do not fit, the truth does not vary, or an argument is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.arange(2000)
    >>> slow, fast = np.sin(0.05 * t), np.sin(0.5 * t)
    >>> round(spectral_distance(slow, 3.0 * np.cos(0.05 * t)), 2), round(spectral_distance(slow, fast), 2)
    (0.01, 0.99)
    """
    truth, model, batch = paired_series(true, generated, minimum=4)
    if mode not in ("standard", "reference"):
        raise InputError(f'mode must be "standard" or "reference", got {mode!r}')
    length = min(truth.length, model.length)
    if lowest is not None and not (is_whole(lowest) and 1 < lowest <= length // 2 + 1):
        raise InputError(f"lowest must be between 2 and {length // 2 + 1} frequencies, got {lowest!r}")
    truth, model = (part.first(length).time_contiguous() for part in (truth, model))
    component_scale(truth)
    finite = np.asarray(np.isfinite(model.values).all(axis=(1, 2)))
    shares, still = [], np.zeros((len(finite), truth.components), dtype=bool)
    for values in (truth.values, model.values if finite.all() else np.where(finite[:, None, None], model.values, 0.0)):
        power, constant = _normalised_power(values, detrend)
        power = smoothed(power, smoothing, mode="reflect" if mode == "standard" else "mirror")[:, :lowest]
        total = power.sum(axis=1, keepdims=True)
        still |= constant | (total[:, 0] <= 0)
        shares.append(power / np.where(total > 0, total, 1.0))
    distances = np.sqrt(0.5 * np.square(np.sqrt(shares[0]) - np.sqrt(shares[1])).sum(axis=1))
    distances[still] = 1.0 if mode == "standard" else np.nan
    distances[~finite] = 1.0 if mode == "standard" else np.nan
    return unbatched(distances if per_component else distances.mean(axis=1), batch)


def _normalised_power(values: FloatArray, detrend: Detrend) -> tuple[FloatArray, np.ndarray]:
    """Squared magnitudes of the transform of standardised components, and which components do not vary."""
    with np.errstate(over="ignore"):
        sigma = values.std(axis=1)
    constant = is_constant(values) | ~np.isfinite(sigma)
    x = detrended(values / np.where(constant, np.inf, sigma)[:, None], detrend)
    transform = np.fft.rfft(x, axis=1)
    return transform.real**2 + transform.imag**2, constant
