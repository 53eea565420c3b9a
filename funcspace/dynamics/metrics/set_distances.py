"""Distances between attractors as sets of points and as measures: Hausdorff and sliced Wasserstein."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from funcspace.arguments import check_counts, entropy_of
from funcspace.dynamics.metrics.pointwise_errors import component_scale
from funcspace.dynamics.series import FloatArray, Series, paired_series, unbatched
from funcspace.errors import InputError

__all__ = ["hausdorff_distance", "sliced_wasserstein"]


def hausdorff_distance(
    true: Any,
    generated: Any,
    *,
    kind: Literal["largest", "average"] = "largest",
    standardise: bool = True,
) -> Any:
    r"""Distance of two orbits as sets of points.

    .. math:: d = \max \Big( \max_x \min_y |x - y|, \; \max_y \min_x |x - y| \Big)

    `kind="average"` replaces the inner maxima by means over the points, which forgives single outliers. A
    metric on closed sets for "largest"; both are invariant under rotations. An orbit that is not finite scores
    infinity.

    Anchors, Lorenz-63 with 10^5 samples, standardised: independent true orbits 0.3 (average 0.02), i.i.d. Gaussian 3
    (0.4), the fixed point at the mean 4 (1.5).

    Parameters
    ----------
    true, generated : trajectories (..., time, components); their lengths may differ.
    kind : "largest" or "average".
    standardise : measure in standard deviations of the components of the truth; else in the units of the data.

    Raises
    ------
    InputError
        When shapes do not fit, or the truth is not finite or (if it is standardised) does not vary.

    Examples
    --------
    >>> hausdorff_distance([[0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [1.0, 2.0]], standardise=False)
    2.0
    """
    if kind not in ("largest", "average"):
        raise InputError(f'kind must be "largest" or "average", got {kind!r}')
    truth, model, batch = paired_series(true, generated, minimum=1)
    reduce = np.max if kind == "largest" else np.mean
    scores = np.full(len(truth.values), np.inf)
    for i, (x, y) in enumerate(_scaled_pairs(truth, model, standardise)):
        if np.isfinite(y).all():
            scores[i] = max(reduce(_distances(x, y)), reduce(_distances(y, x)))
    return unbatched(scores, batch)


def sliced_wasserstein(
    true: Any, generated: Any, projections: int = 200, *, standardise: bool = True, seed: int = 0
) -> Any:
    r"""Mean distance of the one-dimensional shadows of two orbits, exact on each of some random lines.

    .. math:: \frac1P \sum_p W_1(\theta_p^T x, \theta_p^T y), \qquad W_1 = \int |F^{-1}(s) - G^{-1}(s)| \, ds

    (Bonneel et al., J. Math. Imaging Vis. 51, 2015.) A metric on measures up to the choice of lines; invariant under
    rotations up to the same. An orbit that is not finite scores infinity.

    Anchors, Lorenz-63 with 10^5 samples, standardised: independent true orbits 0.01, i.i.d. Gaussian 0.1, the fixed
    point at the mean 0.8. So it measures the measure's bulk and sees little of a fractal's fine structure.

    Parameters
    ----------
    true, generated : trajectories (..., time, components); their lengths may differ.
    projections : P, number of lines.
    standardise : measure in standard deviations of the components of the truth; else in the units of the data.
    seed : of the lines.

    Raises
    ------
    InputError
        As `hausdorff_distance`, or fewer than one projection.

    Examples
    --------
    >>> round(sliced_wasserstein([[0.0], [1.0]], [[2.0], [3.0]], standardise=False), 12)
    2.0
    """
    check_counts(projections=projections)
    truth, model, batch = paired_series(true, generated, minimum=1)
    lines = np.random.default_rng(entropy_of(seed)).standard_normal((truth.components, projections))
    lines /= np.linalg.norm(lines, axis=0)
    scores = np.full(len(truth.values), np.inf)
    for i, (x, y) in enumerate(_scaled_pairs(truth, model, standardise)):
        if np.isfinite(y).all():
            scores[i] = np.mean([wasserstein_1(x @ line, y @ line) for line in lines.T])
    return unbatched(scores, batch)


def _distances(points: FloatArray, queries: FloatArray) -> FloatArray:
    """Distance of each query to the nearest point."""
    from scipy.spatial import cKDTree

    # a tree of copies of one point has no order to search by
    return cKDTree(np.unique(points, axis=0), balanced_tree=False).query(queries)[0]


def wasserstein_1(x: FloatArray, y: FloatArray) -> float:
    """The integral of the difference of two empirical quantile functions."""
    x, y = np.sort(x), np.sort(y)
    if len(x) == len(y):
        return float(np.abs(x - y).mean())
    levels = np.union1d(np.arange(1, len(x) + 1) / len(x), np.arange(1, len(y) + 1) / len(y))
    middle = levels - 0.5 * np.diff(levels, prepend=0.0)
    quantiles = [each[np.minimum((middle * len(each)).astype(np.int64), len(each) - 1)] for each in (x, y)]
    return float(np.abs(quantiles[0] - quantiles[1]) @ np.diff(levels, prepend=0.0))


def _scaled_pairs(truth: Series, model: Series, standardise: bool) -> Any:
    scale = component_scale(truth)[:, None] if standardise else 1.0
    with np.errstate(invalid="ignore", over="ignore"):
        return zip(truth.values / scale, model.values / scale, strict=True)
