"""The 0-1 test for chaos."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcspace.arguments import check_counts, entropy_of, is_whole
from funcspace.dynamics.estimate import Estimate
from funcspace.dynamics.series import FloatArray, as_signal, unbatched
from funcspace.errors import InputError

__all__ = ["zero_one_test"]


def zero_one_test(
    data: Any, component: int | None = None, *, frequencies: int = 100, stride: int | None = None, seed: int = 0
) -> Estimate:
    r"""Growth of a random walk driven by the series: near 0 for regular, near 1 for chaotic motion.

    .. math:: z_c(n) = \sum_{j \le n} x_j e^{i c j}, \quad
              D_c(n) = \langle |z_c(j + n) - z_c(j)|^2 \rangle_j - \bar x^2 \frac{1 - \cos nc}{1 - \cos c}, \quad
              K = \mathrm{median}_c \, \mathrm{corr}(n, D_c(n))

    (Gottwald and Melbourne, SIAM J. Appl. Dyn. Syst. 8, 2009), n up to a tenth of the length, c random in
    (pi/5, 4 pi/5). A flow sampled finely looks regular to it: by default only every so many-th sample is used that
    the autocorrelation has fallen to 1/e.

    Anchors: logistic map at r = 4 gives 1.00, at r = 3.5 (period 4) 0.0; Lorenz-63 1.00; white noise 1.00, which it
    does not tell from chaos.

    Parameters
    ----------
    data : trajectories (..., time, components).
    component : which one; may be left out if there is a single one.
    frequencies : number of values of c.
    stride : use every so many-th sample.
    seed : of the values of c.

    Returns
    -------
    Estimate
        K for each trajectory; the error is that of the median over c.

    Raises
    ------
    InputError
        Fewer than 100 samples after thinning, a series that does not vary.

    Examples
    --------
    >>> import numpy as np
    >>> x = [0.4]
    >>> for _ in range(2000):
    ...     x.append(3.97 * x[-1] * (1 - x[-1]))
    >>> round(float(zero_one_test(np.array(x))), 1), abs(float(zero_one_test(np.sin(np.arange(2000))))) < 0.05
    (1.0, True)
    """
    series = as_signal(data, component, minimum=100)
    check_counts(stride=stride)
    if not (is_whole(frequencies) and frequencies >= 2):
        raise InputError(f"frequencies must be a whole number, at least 2; got {frequencies!r}")
    c = np.random.default_rng(entropy_of(seed)).uniform(np.pi / 5, 4 * np.pi / 5, frequencies)
    growths = np.stack([_growths(x[:, 0], c, stride) for x in series.values])
    spread = 1.2533 * growths.std(axis=1, ddof=1) / np.sqrt(frequencies)
    return Estimate(unbatched(np.median(growths, axis=1), series.batch_shape), unbatched(spread, series.batch_shape))


def _growths(x: FloatArray, c: FloatArray, stride: int | None) -> FloatArray:
    """Correlation of displacement and time for each c."""
    from scipy.fft import fft, ifft, next_fast_len

    if np.ptp(x) <= 1e-12 * np.abs(x).max():
        raise InputError("the series does not vary; there is nothing to test")
    if stride is None:
        stride = _decay(x)
    x = x[::stride]
    if len(x) < 100:
        raise InputError(f"{len(x)} samples are left of the series, every {stride}-th; at least 100 are needed")
    most = len(x) // 10
    starts = len(x) - most
    walk = np.cumsum(x * np.exp(1j * c[:, None] * np.arange(1, len(x) + 1)), axis=1)
    squares = np.cumsum(np.pad(np.abs(walk) ** 2, ((0, 0), (1, 0))), axis=1)
    lags = np.arange(1, most + 1)
    size = next_fast_len(len(x) + starts)
    cross = ifft(fft(walk, size) * np.conj(fft(walk[:, :starts], size)))[:, 1 : most + 1].real
    displacement = (squares[:, lags + starts] - squares[:, lags] + squares[:, [starts]] - 2.0 * cross) / starts
    displacement -= x.mean() ** 2 * (1 - np.cos(lags * c[:, None])) / (1 - np.cos(c[:, None]))
    time = lags - lags.mean()
    centred = displacement - displacement.mean(axis=1, keepdims=True)
    return centred @ time / np.sqrt((time @ time) * np.square(centred).sum(axis=1))


def _decay(x: FloatArray) -> int:
    """First lag at which the autocorrelation is below 1/e, 1 for a map."""
    size = 2 * len(x)
    centred = x - x.mean()
    rho = np.fft.irfft(np.abs(np.fft.rfft(centred, size)) ** 2)[: len(x) // 2]
    below = rho < rho[0] / np.e
    return max(1, int(below.argmax())) if below.any() else len(x) // 2
