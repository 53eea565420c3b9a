"""The straight part of a curve, found without a hand: where a slope is the same in both halves and over the longest."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
        inside = (x >= window[0]) & (x <= window[1])
        if inside.sum() < 4:
            raise InputError(
                f"the region {window} holds {int(inside.sum())} points of the curve, which reaches from "
                f"{x[0] if len(x) else float('nan'):.4g} to {x[-1] if len(x) else float('nan'):.4g}; it needs 4"
            )
        return _fit(x[inside], y[inside], weights[inside], shortest)
    stride = max(1, len(x) // 60)
    parts = [
        _fit(x[first:last], y[first:last], weights[first:last], shortest)
        for first in range(0, len(x), stride)
        for last in range(first + 6, len(x) + 1, stride)
        if x[last - 1] - x[first] >= shortest * (1 - 1e-9)
    ]
    if not parts:
        raise InputError(
            "the series is too short or too noisy: the curve has no straight part of the length that an estimate needs"
        )
    least = 0.002 * np.ptp(y) / np.ptp(x)
    scores = np.array([(p.window[1] - p.window[0]) / (p.error + max(0.02 * abs(p.slope), least)) for p in parts])
    best = parts[int(scores.argmax())]
    spread = np.std([part.slope for part, score in zip(parts, scores, strict=True) if score >= 0.8 * scores.max()])
    return replace(best, error=float(np.hypot(best.error, spread)))


def _fit(x: FloatArray, y: FloatArray, weights: FloatArray, shortest: float) -> StraightPart:
    slope = _slope(x, y, weights)
    middle = len(x) // 2
    low, high = slice(None, middle + 1), slice(middle, None)
    drift = _slope(x[low], y[low], weights[low]) - _slope(x[high], y[high], weights[high])
    pieces = max(3, round(3 * (x[-1] - x[0]) / shortest))
    knots = np.interp(np.linspace(x[0], x[-1], pieces + 1), x, y)
    scatter = np.diff(knots).std(ddof=1) * pieces / (x[-1] - x[0])
    error = float(np.hypot(scatter / np.sqrt(pieces) * (1 + 2 / pieces), 0.5 * drift))
    return StraightPart(slope, error, (float(x[0]), float(x[-1])))


def _slope(x: FloatArray, y: FloatArray, weights: FloatArray) -> float:
    centred = x - weights @ x / weights.sum()
    weighted = weights * centred
    return float(weighted @ y / (weighted @ centred))
