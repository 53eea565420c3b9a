"""Correlation sum and correlation dimension of an attractor."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from funcspace.arguments import is_number, is_whole
from funcspace.dynamics.estimate import Estimate
from funcspace.dynamics.invariants.autocorrelation import independence_window
from funcspace.dynamics.invariants.scaling_region import straight_part
from funcspace.dynamics.series import FloatArray, as_series, unbatched
from funcspace.errors import InputError

__all__ = ["CorrelationSum", "correlation_dimension", "correlation_sum"]

LEAF = 32
FEWEST_PAIRS = 100
LARGEST_SHARE = 0.1
MOST_PAIRS = 5e7
SHORTEST = 3.0 * np.log(2.0)


class CorrelationSum(NamedTuple):
    """Radii in ascending order and the share of pairs of points that are closer than each."""

    radii: FloatArray
    share: FloatArray


def correlation_sum(
    data: Any, *, theiler: int | None = None, largest: float | None = None, standardise: bool = True
) -> CorrelationSum:
    r"""Share of pairs of points that are closer than r, for radii spaced by about a twelfth of an octave.

    .. math:: C(r) = \frac{2}{(T - w)(T - w - 1)} \#\{ i + w < j : |x_i - x_j| < r \}

    exactly counted over the leaves of a k-d tree; pairs closer than w in time are left out (Theiler, Phys. Rev. A 34,
    1986).

    Parameters
    ----------
    data : one trajectory (time, components).
    theiler : w, in samples; by default twice the time in which the autocorrelation falls to 1/e.
    largest : greatest radius, which sets the cost; by default about where C = 0.1.
    standardise : measure in standard deviations of each component.

    Raises
    ------
    InputError
        A batch, fewer than 100 samples, a series that does not vary, or a window that leaves no pairs.

    Examples
    --------
    >>> import numpy as np
    >>> radii, share = correlation_sum(np.random.default_rng(0).random(5000), theiler=0, standardise=False)
    >>> round(float(np.interp(0.01, radii, share)), 3)  # 2 r - r^2 on an interval of length 1
    0.02
    """
    series = as_series(data, minimum=100)
    if series.batch_shape:
        raise InputError(f"correlation_sum takes one trajectory, got a batch of shape {series.batch_shape}")
    return _correlation_sum(series.values[0], theiler, largest, standardise)[0]


def correlation_dimension(
    data: Any,
    *,
    theiler: int | None = None,
    region: tuple[float, float] | None = None,
    standardise: bool = True,
) -> Estimate:
    r"""Correlation dimension D2: slope of the logarithm of the correlation sum.

    .. math:: D_2 = \lim_{r \to 0} \frac{d \log C(r)}{d \log r}

    (Grassberger and Procaccia, Physica D 9, 1983), by least squares over the scaling region. The region is, among all
    of at least three octaves between 100 pairs and 10 % of all pairs, the one where the slope is known best:
    scatter between octaves and drift between the halves make the error that is reported. For a partially observed
    system, embed first: `delay_embedding`.

    Known values: circle 1, Henon map 1.22, Lorenz-63 2.05, filled square 2. The series should have thousands of
    samples: roughly 10^(D/2 + 1) at least. Noise of size s makes the slope at r < s that of the space.

    Parameters
    ----------
    data : trajectories (..., time, components).
    theiler : pairs at most so many samples apart do not count; by default twice the time in which the
        autocorrelation falls to 1/e.
    region : smallest and largest radius of the fit, instead of the automatic one.
    standardise : measure in standard deviations of each component.

    Returns
    -------
    Estimate
        One dimension per trajectory, with `details` "region", "radii", "correlation_sum" and "theiler" (a list of
        such dictionaries, "each", for a batch).

    Raises
    ------
    InputError
        Fewer than 100 samples, NaN or infinity, a trajectory that does not vary, no scaling region.

    Examples
    --------
    >>> import numpy as np
    >>> angle = 2 * np.pi * np.random.default_rng(0).random(10_000)
    >>> correlation_dimension(np.stack([np.cos(angle), np.sin(angle)], axis=-1))
    Estimate(1.0026 +- 0.0051)
    """
    series = as_series(data, minimum=100)
    found = [_dimension(values, theiler, region, standardise) for values in series.values]
    if not series.batch_shape:
        return Estimate(*found[0])
    value, error, details = zip(*found, strict=True)
    return Estimate(unbatched(value, series.batch_shape), unbatched(error, series.batch_shape), {"each": list(details)})


def _dimension(
    values: FloatArray, theiler: int | None, region: tuple[float, float] | None, standardise: bool
) -> tuple[float, float, dict[str, Any]]:
    largest = None
    if region is not None:
        if np.shape(region) != (2,) or not (all(map(is_number, region)) and 0 < region[0] < region[1]):
            raise InputError(f"region must be two increasing radii, got {region!r}")
        largest = region[1]
    total, pairs, window = _correlation_sum(values, theiler, largest, standardise)
    number = total.share * pairs
    kept = number >= FEWEST_PAIRS
    x, y = np.log(total.radii[kept]), np.log(total.share[kept])
    limits = None if region is None else (float(np.log(region[0])), float(np.log(region[1])))
    # an encounter of two stretches of an orbit makes several pairs, so that fewer of them are independent
    variance = 0.05**2 + 10.0 / number[kept]
    part = straight_part(x, y, shortest=SHORTEST, window=limits, variance=variance)
    details = {
        "region": (float(np.exp(part.window[0])), float(np.exp(part.window[1]))),
        "radii": total.radii,
        "correlation_sum": total.share,
        "theiler": window,
    }
    return part.slope, part.error, details


def _correlation_sum(
    values: FloatArray, theiler: int | None, largest: float | None, standardise: bool
) -> tuple[CorrelationSum, float, int]:
    """The sum, the number of pairs that it counts, and the window."""
    from funcspace.dynamics.invariants import _pair_kernels as kernels

    spread = values.std(axis=0)
    varying = (np.ptp(values, axis=0) > 1e-12 * np.abs(values).max(axis=0)) & (spread > 0)  # squares may underflow
    if not varying.any():
        raise InputError("the trajectory does not vary: all its samples are one point, of dimension 0")
    points = (values - values.mean(axis=0))[:, varying]
    if standardise:
        points = points / spread[varying]
    points = np.ascontiguousarray(points)
    window = independence_window(values) if theiler is None else theiler
    if not (is_whole(window) and 0 <= window <= len(points) - 50):
        raise InputError(f"theiler must be between 0 and {len(points) - 50} samples, got {theiler!r}")
    n = len(points) - window
    pairs = 0.5 * n * (n - 1)
    edges = kernels.bin_edges()
    if largest is None:
        sample = np.ascontiguousarray(points[:: max(1, len(points) // 1500)])
        rough = np.cumsum(kernels.pair_counts(sample, LEAF, np.inf))
        share = min(LARGEST_SHARE, MOST_PAIRS / pairs)
        largest = float(edges[1 + np.searchsorted(rough, share * rough[-1])])
    elif not (is_number(largest) and largest > 0):
        raise InputError(f"the largest radius must be positive, got {largest!r}")
    order = kernels.leaf_order(points, LEAF)
    counts = kernels.pair_counts(points[order], LEAF, largest) - kernels.close_in_time(points, window)
    below = np.concatenate([[0], np.cumsum(counts)])[: len(edges)]
    # copies of a point are pairs at any radius: the sum says nothing below the smallest distance of different points
    used = (edges <= largest) & (below > counts[0])
    return CorrelationSum(edges[used], below[used] / pairs), pairs, window
