"""Power spectra of trajectories, smoothed over frequencies."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from funcspace.arguments import is_number
from funcspace.dynamics.series import FloatArray, as_series
from funcspace.errors import InputError

__all__ = ["PowerSpectrum", "power_spectrum"]

Detrend = Literal["none", "mean", "linear"]
Window = Literal["none", "hann"]


class PowerSpectrum(NamedTuple):
    """Frequencies in cycles per unit of time, (frequencies,), and densities, (..., frequencies, components)."""

    frequencies: FloatArray
    density: FloatArray

    def peak(self) -> Any:
        """The frequency of the highest density of each component, zero left out."""
        found = self.frequencies[1 + self.density[..., 1:, :].argmax(axis=-2)]
        return float(found) if found.ndim == 0 else found


def power_spectrum(
    data: Any,
    smoothing: float = 0.0,
    *,
    detrend: Detrend = "mean",
    window: Window = "none",
    step: float | None = None,
) -> PowerSpectrum:
    r"""One-sided power spectral density of each component, smoothed by a Gaussian.

    .. math:: S(f_k) = \frac{c_k \Delta t}{\sum_n w_n^2} \Big| \sum_n w_n x_n e^{-2 \pi i k n / T} \Big|^2,
              \qquad f_k = \frac{k}{T \Delta t}

    with c = 2 except at f = 0 and the Nyquist frequency, so that the integral over f is the variance (Parseval).

    Parameters
    ----------
    data : trajectories (..., time, components).
    smoothing : standard deviation of the Gaussian, in frequency bins; the ends are continued by reflection.
    detrend : what is subtracted first: "none", the "mean", or the least-squares line ("linear").
    window : "none", or "hann" against leakage.
    step : time between samples where `data` is an array; 1 if nothing says it.

    Raises
    ------
    InputError
        A series that is too short or not finite, a negative smoothing, an unknown name.

    Examples
    --------
    >>> import numpy as np
    >>> spectrum = power_spectrum(np.sin(2 * np.pi * 0.1 * np.arange(1000)))
    >>> spectrum.peak(), round(float(np.trapezoid(spectrum.density[:, 0], spectrum.frequencies)), 6)
    (array([0.1]), 0.5)
    """
    series = as_series(data, minimum=4, step=step)
    x = detrended(series.values, detrend)
    if window not in ("none", "hann"):
        raise InputError(f'window must be "none" or "hann", got {window!r}')
    length = series.length
    weights = np.ones(length) if window == "none" else np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 2
    dt = series.step if series.step is not None else 1.0
    power = np.abs(np.fft.rfft(x * weights[:, None], axis=1)) ** 2 * (dt / np.square(weights).sum())
    power[:, 1 : (length + 1) // 2] *= 2.0
    density = smoothed(power, smoothing)
    frequencies = np.arange(length // 2 + 1) / (length * dt)
    return PowerSpectrum(frequencies, density.reshape(*series.batch_shape, *density.shape[1:]))


def detrended(x: FloatArray, kind: Detrend) -> FloatArray:
    """Samples (batch, time, components) without their mean or line."""
    if kind not in ("none", "mean", "linear"):
        raise InputError(f'detrend must be "none", "mean" or "linear", got {kind!r}')
    if kind == "none":
        return x
    centred = x - x.mean(axis=1, keepdims=True)
    if kind == "linear":
        t = np.arange(x.shape[1]) - 0.5 * (x.shape[1] - 1)
        centred -= t[:, None] * (np.einsum("t,btd->bd", t, centred) / (t @ t))[:, None]
    return centred


def smoothed(power: FloatArray, width: float, *, mode: Literal["reflect", "mirror"] = "reflect") -> FloatArray:
    """Convolution along frequency (axis 1) with a Gaussian cut off at four deviations."""
    if not (is_number(width) and width >= 0):
        raise InputError(f"smoothing must be a number of frequency bins, not negative; got {width!r}")
    if width == 0:
        return power
    from scipy.ndimage import gaussian_filter1d

    return gaussian_filter1d(power, width, axis=1, mode=mode, truncate=4.0)
