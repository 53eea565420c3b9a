"""The straight part of a curve, found without a hand: where a slope is the same in both halves and over the longest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from funcspace.dynamics.series import FloatArray
from funcspace.errors import InputError

__all__ = ["StraightPart", "straight_part"]


@dataclass(frozen=True)
class StraightPart:
    """Slope of a curve over a window.

    Attributes
    ----------
    slope, error : the least-squares slope and its standard error, systematic part included.
    window : first and last abscissa.
    """

    slope: float
    error: float
    window: tuple[float, float]


def straight_part(
    x: FloatArray,
    y: FloatArray,
    *,
    shortest: float,
    window: tuple[float, float] | None = None,
    variance: FloatArray | None = None,
) -> StraightPart:
    r"""Slope over the window that is long and straight.

    The error of a window combines the scatter of the slopes s of its n pieces, each about `shortest`/3 long, and the
    drift between the slopes of its halves; the window with the highest score is taken:

    .. math:: \epsilon^2 = \frac{\mathrm{var}(s)}{n} \Big( 1 + \frac2n \Big)^2 + \frac{(s_{left} - s_{right})^2}{4},
              \qquad \mathrm{score} = \frac{\mathrm{length}}{\epsilon + 0.02 \, |\mathrm{slope}|}

    The spread of the slopes of all windows that score at least 80 % of it is added to the error.

    Parameters
    ----------
    x : increasing abscissae.
    y : the curve.
    shortest : length of the shortest window that is tried.
    window : take this window instead of the best one.
    variance : of the curve at each abscissa, which weights the fits; equal by default.

    Raises
    ------
    InputError
        When the curve is too short for a window.
    """
    weights = np.ones(len(x)) if variance is None else 1.0 / variance
    if window is not None:
        inside = np.flatnonzero((x >= window[0]) & (x <= window[1]))
        if len(inside) < 4:
            raise InputError(
                f"the region {window} holds {len(inside)} points of the curve, which reaches from "
                f"{x[0] if len(x) else float('nan'):.4g} to {x[-1] if len(x) else float('nan'):.4g}; it needs 4"
            )
        firsts, lasts = inside[:1], inside[-1:] + 1
    else:
        stride = max(1, len(x) // 60)
        firsts, lasts = (
            grid.ravel() for grid in np.meshgrid(np.arange(0, len(x), stride), np.arange(6, len(x) + 1, stride))
        )
        long = lasts - firsts >= 6
        firsts, lasts = firsts[long], lasts[long]
        long = x[lasts - 1] - x[firsts] >= shortest * (1 - 1e-9)
        firsts, lasts = firsts[long], lasts[long]
        if not len(firsts):
            raise InputError(
                "the series is too short or too noisy: the curve has no straight part of the length that an estimate "
                "needs"
            )
    slopes, errors = _fits(x, y, weights, firsts, lasts, shortest)
    lengths = x[lasts - 1] - x[firsts]
    scores = lengths / (errors + np.maximum(0.02 * np.abs(slopes), 0.002 * np.ptp(y) / np.ptp(x)))
    best = int(scores.argmax())
    error = float(np.hypot(errors[best], slopes[scores >= 0.8 * scores[best]].std()))
    return StraightPart(float(slopes[best]), error, (float(x[firsts[best]]), float(x[lasts[best] - 1])))


def _fits(
    x: FloatArray, y: FloatArray, weights: FloatArray, firsts: np.ndarray, lasts: np.ndarray, shortest: float
) -> tuple[FloatArray, FloatArray]:
    """Slope and error over each window [first, last), all at once from running sums."""
    centre = x.mean()
    powers = (weights, weights * (x - centre), weights * y, weights * (x - centre) ** 2, weights * (x - centre) * y)
    sums = np.concatenate([np.zeros((5, 1)), np.cumsum(powers, axis=1)], axis=1)

    def slope(start: np.ndarray, stop: np.ndarray) -> FloatArray:
        w, wx, wy, wxx, wxy = sums[:, stop] - sums[:, start]
        return (wxy - wx * wy / w) / (wxx - wx * wx / w)

    middles = firsts + (lasts - firsts) // 2
    drifts = slope(firsts, middles + 1) - slope(middles, lasts)
    begin, end = x[firsts], x[lasts - 1]
    pieces = np.maximum(3, np.rint(3 * (end - begin) / shortest).astype(np.int64))
    scatters = np.empty(len(firsts))
    for count in np.unique(pieces):
        chosen = pieces == count
        knots = np.interp(np.linspace(begin[chosen], end[chosen], count + 1), x, y)
        scatters[chosen] = np.diff(knots, axis=0).std(axis=0, ddof=1) * count / (end[chosen] - begin[chosen])
    return slope(firsts, lasts), np.hypot(scatters / np.sqrt(pieces) * (1 + 2 / pieces), 0.5 * drifts)
