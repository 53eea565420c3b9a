"""Mutual information of two series, and of a series with its own past."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from funcspace.arguments import is_whole
from funcspace.dynamics.series import FloatArray, as_signal, unbatched
from funcspace.errors import InputError

__all__ = ["delayed_mutual_information", "mutual_information"]

JITTER = 1e-9  # standard deviations
Method = Literal["neighbours", "histogram"]


def mutual_information(
    x: Any, y: Any, method: Method = "neighbours", *, neighbours: int = 4, bins: int | None = None
) -> Any:
    r"""What one series tells about another at the same instant, in nats.

    .. math:: I = \int p(x, y) \log \frac{p(x, y)}{p(x) \, p(y)} \, dx \, dy

    "neighbours" is the estimator of Kraskov, Stoegbauer and Grassberger (Phys. Rev. E 69, 2004, the first),
    :math:`\psi(k) + \psi(T) - \langle \psi(n_x + 1) + \psi(n_y + 1) \rangle`, unbiased for independent series and
    invariant under scaling of either; values that occur several times are told apart by noise far below their spacing.
    "histogram" fills bins between minimum and maximum and is biased upwards by
    about (bins - 1)^2 / 2T.

    Anchors: independent series 0; jointly Gaussian with correlation r: -log(1 - r^2)/2.

    Parameters
    ----------
    x, y : series (..., time) of one component each, (..., time, 1), equally long.
    method : "neighbours" or "histogram".
    neighbours : k.
    bins : per series; the cube root of the number of samples by default, rounded up.

    Raises
    ------
    InputError
        Unequal lengths or batches, more than one component, arguments out of range, a series that does not vary.

    Examples
    --------
    >>> import numpy as np
    >>> a, b = np.random.default_rng(0).normal(size=(2, 5000))
    >>> round(mutual_information(a, 0.6 * a + 0.8 * b), 2)  # -log(1 - 0.36)/2
    0.22
    """
    first, second = as_signal(x, None, name="x", minimum=10), as_signal(y, None, name="y", minimum=10)
    if first.values.shape != second.values.shape or first.batch_shape != second.batch_shape:
        raise InputError(
            f"x and y must be equally long and have equal batch axes; got {(*first.batch_shape, first.length)} and "
            f"{(*second.batch_shape, second.length)}"
        )
    pairs = zip(first.values[..., 0], second.values[..., 0], strict=True)
    if method == "histogram":
        count = _bins(bins, first.length)
        found = [_binned_information(a, b, count) for a, b in pairs]
    elif method == "neighbours":
        if not (is_whole(neighbours) and 1 <= neighbours < first.length):
            raise InputError(f"neighbours must be between 1 and {first.length - 1}, got {neighbours!r}")
        found = [_neighbour_information(a, b, neighbours) for a, b in pairs]
    else:
        raise InputError(f'method must be "neighbours" or "histogram", got {method!r}')
    return unbatched(found, first.batch_shape)


def delayed_mutual_information(data: Any, most: int, *, component: int | None = None, bins: int | None = None) -> Any:
    """Mutual information of a series with itself 0, ..., `most` samples later, in nats, by histograms.

    Its first minimum is a customary lag for embeddings (Fraser and Swinney, Phys. Rev. A 33, 1986): `embedding_lag`.

    Parameters
    ----------
    data : trajectories (..., time, components).
    most : the longest lag, in samples.
    component : which one; may be left out if there is a single one.
    bins : per axis; the cube root of the number of samples by default, rounded up.

    Returns
    -------
    array
        (..., most + 1).

    Raises
    ------
    InputError
        A lag that leaves fewer than 10 pairs, arguments out of range, a series that does not vary.

    Examples
    --------
    >>> import numpy as np
    >>> information = delayed_mutual_information(np.sin(2 * np.pi * np.arange(4000) / 100), most=50)
    >>> bool(information[0] > information[25]), bool(information[50] > information[25])
    (True, True)
    """
    series = as_signal(data, component, minimum=11)
    if not (is_whole(most) and 0 <= most <= series.length - 10):
        raise InputError(f"the longest lag must be between 0 and {series.length - 10} samples, got {most!r}")
    count = _bins(bins, series.length)
    found = np.empty((len(series.values), most + 1))
    for i, x in enumerate(series.values[..., 0]):
        place = _places(x, count)
        for lag in range(most + 1):
            found[i, lag] = _table_information(place[: len(x) - lag], place[lag:], count)
    return unbatched(found, series.batch_shape)


def _bins(bins: int | None, length: int) -> int:
    if bins is None:
        return max(4, int(np.ceil(np.cbrt(length))))
    if not (is_whole(bins) and 2 <= bins <= 4096):
        raise InputError(f"bins must be between 2 and 4096, got {bins!r}")
    return bins


def _places(x: FloatArray, bins: int) -> np.ndarray:
    width = np.ptp(x)
    if width <= 1e-12 * np.abs(x).max():
        raise InputError("a series does not vary; it carries no information")
    return np.minimum(((x - x.min()) * (bins / width)).astype(np.int64), bins - 1)


def _binned_information(x: FloatArray, y: FloatArray, bins: int) -> float:
    return _table_information(_places(x, bins), _places(y, bins), bins)


def _table_information(a: np.ndarray, b: np.ndarray, bins: int) -> float:
    joint = np.bincount(a * bins + b, minlength=bins * bins).reshape(bins, bins) / len(a)
    product = joint.sum(axis=1)[:, None] * joint.sum(axis=0)
    filled = joint > 0
    return float(joint[filled] @ np.log(joint[filled] / product[filled]))


def _neighbour_information(x: FloatArray, y: FloatArray, k: int) -> float:
    from scipy.spatial import cKDTree
    from scipy.special import digamma

    for series in (x, y):
        _places(series, 2)
    noise = JITTER * np.random.default_rng(0).standard_normal((2, len(x)))
    x, y = (
        series + (small if len(np.unique(series)) < len(series) else 0.0)
        for series, small in zip(((x - x.mean()) / x.std(), (y - y.mean()) / y.std()), noise, strict=True)
    )
    points = np.stack([x, y], axis=1)
    # the neighbour at the radius itself does not count, whatever the rounding
    radius = cKDTree(points).query(points, k=k + 1, p=np.inf)[0][:, -1] * (1.0 - 1e-12)
    numbers = []
    for series in (x, y):
        ordered = np.sort(series)
        inside = np.searchsorted(ordered, series + radius, "left") - np.searchsorted(ordered, series - radius, "right")
        numbers.append(np.maximum(inside, 1))  # strictly within the radius, the sample itself included
    return float(digamma(k) + digamma(len(x)) - (digamma(numbers[0]) + digamma(numbers[1])).mean())
