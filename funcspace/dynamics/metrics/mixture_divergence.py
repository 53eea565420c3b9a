"""Divergence of two Gaussian mixtures with one component per sample, by Monte Carlo in the log domain."""

from __future__ import annotations

import math

import numpy as np

from funcspace.arguments import entropy_of
from funcspace.dynamics.series import FloatArray

__all__ = ["mixture_divergence", "reference_mixture_divergence"]

FARTHEST = 1e150  # standard deviations
CHUNK_ENTRIES = 4_000_000


def mixture_divergence(
    true: FloatArray, generated: FloatArray, variance: float, samples: int, *, most_points: int, seed: int
) -> float:
    r"""KL divergence of mixtures of :math:`N(x_i, s^2 I)` on data standardised by the truth, with exact sums.

    .. math:: D = \frac1S \sum_s \Big[ \mathrm{logsumexp}_i \tfrac{-|z_s - x_i|^2}{2 s^2} - \log T
              - \mathrm{logsumexp}_j \tfrac{-|z_s - y_j|^2}{2 s^2} + \log T' \Big], \quad z_s \sim p

    Generated samples that are not finite, or so far off that their squares are not, count in T' and have no Gaussian.
    At most `most_points` samples of each, evenly spread.
    """
    mean, sigma = true.mean(axis=0), true.std(axis=0)
    x, y = ((_spread(part, most_points) - mean) / sigma for part in (true, generated))
    with np.errstate(invalid="ignore"):
        finite = y[(np.abs(y) < FARTHEST).all(axis=1)]
    if not len(finite):
        return math.inf
    z = _draws(x, variance, samples, seed)
    log_p = _log_sums(z, x, variance) - math.log(len(x))
    log_q = _log_sums(z, finite, variance) - math.log(len(y))
    return float(np.mean(log_p - log_q))


def reference_mixture_divergence(
    true: FloatArray, generated: FloatArray, variance: float, samples: int, *, most_points: int, seed: int
) -> float:
    """The same as published implementations compute it: raw data, float32 densities, underflows dropped."""
    x, y = true[:most_points], generated[:most_points]
    z = _draws(x, variance, samples, seed).astype(np.float32)
    p, q = (_mean_densities(z, part.astype(np.float32), variance) for part in (x, y))
    kept = (p > 0) & (q > 0)
    if not kept.any():
        return math.nan
    return float(np.mean(np.log(p[kept]) - np.log(q[kept])))


def _spread(points: FloatArray, most: int) -> FloatArray:
    if len(points) <= most:
        return points
    return points[np.linspace(0, len(points) - 1, most).round().astype(np.int64)]


def _draws(points: FloatArray, variance: float, samples: int, seed: int) -> FloatArray:
    generator = np.random.default_rng(entropy_of(seed))
    chosen = points[generator.integers(len(points), size=samples)]
    return chosen + math.sqrt(variance) * generator.standard_normal(chosen.shape)


def _half_squares(z: np.ndarray, points: np.ndarray, variance: float) -> np.ndarray:
    """-|z - x|^2 / (2 variance), from a matrix product; coordinates are of order 1, so that nothing cancels badly."""
    squares = np.square(z).sum(axis=1)[:, None] + np.square(points).sum(axis=1)[None] - 2.0 * (z @ points.T)
    return np.minimum(squares, squares.dtype.type(np.inf)).clip(min=0) / (-2.0 * variance)


def _log_sums(z: FloatArray, points: FloatArray, variance: float) -> FloatArray:
    """Log of the sum of exp(-|z - x|^2 / (2 variance)) over the points, for each z."""
    result = np.empty(len(z))
    chunk = max(1, CHUNK_ENTRIES // len(points))
    for start in range(0, len(z), chunk):
        exponents = _half_squares(z[start : start + chunk], points, variance)
        highest = exponents.max(axis=1, keepdims=True)
        exponents -= highest
        result[start : start + chunk] = np.log(np.exp(exponents, out=exponents).sum(axis=1)) + highest[:, 0]
    return result


def _mean_densities(z: np.ndarray, points: np.ndarray, variance: float) -> np.ndarray:
    result = np.empty(len(z), dtype=np.float32)
    chunk = max(1, CHUNK_ENTRIES // len(points))
    norm = np.float32((2.0 * math.pi * variance) ** (-0.5 * z.shape[1]))
    with np.errstate(all="ignore"):
        for start in range(0, len(z), chunk):
            exponents = _half_squares(z[start : start + chunk], points, variance).astype(np.float32)
            densities = norm * np.exp(exponents)
            result[start : start + chunk] = np.nan_to_num(densities.mean(axis=1), nan=0.0)
    return result
