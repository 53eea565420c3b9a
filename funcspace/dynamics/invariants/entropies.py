"""Entropies of the patterns of a series: permutation entropy, sample entropy and its course over scales."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from funcspace.arguments import check_counts, is_number, is_whole
from funcspace.dynamics.series import FloatArray, as_signal, unbatched
from funcspace.errors import InputError

__all__ = ["multiscale_entropy", "permutation_entropy", "sample_entropy"]


def permutation_entropy(
    data: Any, order: int = 4, lag: int = 1, *, component: int | None = None, normalise: bool = True
) -> Any:
    r"""Entropy of the order patterns of m successive samples.

    .. math:: H = -\sum_\pi p(\pi) \log p(\pi) \; \Big/ \log m!

    (Bandt and Pompe, Phys. Rev. Lett. 88, 2002.) Invariant under increasing maps of the series; ties are in order of
    time.

    Anchors: a monotone series 0, white noise 1; the logistic map at r = 4 with m = 3, where the pattern "falling
    twice" never occurs, 0.83.

    Parameters
    ----------
    data : trajectories (..., time, components).
    order : m, between 2 and 8.
    lag : samples between those of a pattern.
    component : which one; may be left out if there is a single one.
    normalise : divide by log m!; else in nats.

    Raises
    ------
    InputError
        Arguments out of range, or a series shorter than one pattern.

    Examples
    --------
    >>> permutation_entropy([4, 7, 9, 10, 6, 11, 3], order=3, normalise=False).__round__(4)  # 1.5219 bits, as published
    1.0549
    """
    if not (is_whole(order) and 2 <= order <= 8):
        raise InputError(f"order must be between 2 and 8 samples, got {order!r}")
    check_counts(lag=lag)
    series = as_signal(data, component, minimum=(order - 1) * lag + 1)
    patterns = np.lib.stride_tricks.sliding_window_view(series.values[:, :, 0], (order - 1) * lag + 1, axis=1)[
        ..., ::lag
    ]
    codes = np.argsort(patterns, axis=2, kind="stable") @ order ** np.arange(order)
    entropies = []
    for each in codes:
        share = np.unique(each, return_counts=True)[1] / len(each)
        entropies.append(-float(share @ np.log(share)) + 0.0)
    scale = math.log(math.factorial(order)) if normalise else 1.0
    return unbatched(np.array(entropies) / scale, series.batch_shape)


def sample_entropy(data: Any, length: int = 2, tolerance: float = 0.2, *, component: int | None = None) -> Any:
    r"""Minus the logarithm of the probability that patterns that match over m samples still match over m + 1.

    .. math:: S = -\log (A / B)

    (Richman and Moorman, Am. J. Physiol. 278, 2000), B and A being the numbers of pairs of patterns of m and m + 1
    samples whose samples differ by at most `tolerance` standard deviations of the series. Infinite where no pair
    matches over m + 1.

    Anchors: a periodic series about 0; Gaussian white noise with m = 2 and tolerance 0.2: 2.2 (-log erf(0.1)).

    Parameters
    ----------
    data : trajectories (..., time, components).
    length : m.
    tolerance : in standard deviations of the series.
    component : which one; may be left out if there is a single one.

    Raises
    ------
    InputError
        Arguments out of range, a series of fewer than m + 2 samples or one that does not vary, no matches over m
        samples.

    Examples
    --------
    >>> import numpy as np
    >>> round(sample_entropy(np.random.default_rng(0).normal(size=4000)), 1)
    2.2
    """
    _check_patterns(length, tolerance)
    series = as_signal(data, component, minimum=length + 2)
    found = [_sample_entropy(x[:, 0], length, tolerance * x.std()) for x in series.values]
    return unbatched(found, series.batch_shape)


def multiscale_entropy(
    data: Any,
    scales: Sequence[int] = tuple(range(1, 21)),
    length: int = 2,
    tolerance: float = 0.15,
    *,
    component: int | None = None,
) -> Any:
    r"""Sample entropy of the series averaged over successive blocks, for each length of block.

    .. math:: y^{(s)}_j = \frac1s \sum_{i=(j-1)s+1}^{js} x_i

    (Costa, Goldberger and Peng, Phys. Rev. Lett. 89, 2002.) The tolerance is that of the original series at all scales.

    Anchors: white noise falls from 2.5 at scale 1 to 1.3 at scale 10; 1/f noise stays about constant.

    Parameters
    ----------
    data : trajectories (..., time, components).
    scales : s, lengths of the blocks.
    length, tolerance, component : as in `sample_entropy`.

    Returns
    -------
    array
        (..., scales).

    Raises
    ------
    InputError
        As `sample_entropy`, for the series at the coarsest scale.

    Examples
    --------
    >>> import numpy as np
    >>> multiscale_entropy(np.random.default_rng(0).normal(size=8000), scales=(1, 5)).round(1)
    array([2.5, 1.7])
    """
    _check_patterns(length, tolerance)
    blocks = list(scales) if isinstance(scales, Iterable) else []
    if not blocks or not all(is_whole(s) and s >= 1 for s in blocks):
        raise InputError(f"scales must be whole numbers of samples, at least 1; got {scales!r}")
    series = as_signal(data, component, minimum=max(blocks) * (length + 2))
    found = np.empty((len(series.values), len(blocks)))
    for i, x in enumerate(series.values[:, :, 0]):
        for k, s in enumerate(blocks):
            coarse = x[: len(x) // s * s].reshape(-1, s).mean(axis=1)
            found[i, k] = _sample_entropy(coarse, length, tolerance * x.std())
    return unbatched(found, series.batch_shape)


def _check_patterns(length: int, tolerance: float) -> None:
    check_counts(length=length)
    if not (is_number(tolerance) and tolerance > 0):
        raise InputError(f"tolerance must be positive, in standard deviations; got {tolerance!r}")


def _sample_entropy(x: FloatArray, length: int, tolerance: float) -> float:
    from funcspace.dynamics.invariants._neighbour_kernels import matches

    if np.ptp(x) <= 1e-12 * np.abs(x).max():
        raise InputError("the series does not vary, so that a tolerance in standard deviations means nothing")
    shorter, longer = matches(np.ascontiguousarray(x), length, tolerance)
    if shorter == 0:
        raise InputError(
            f"no two patterns of {length} samples match within {tolerance:.3g}; lengthen the series or the tolerance"
        )
    return -math.log(longer / shorter) + 0.0 if longer else math.inf
