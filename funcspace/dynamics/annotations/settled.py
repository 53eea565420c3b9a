"""Chaos that ends: when orbits settle on something quieter, and how long that takes on average."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from funcspace.dynamics.estimate import Estimate

__all__ = ["Settling", "lifetime", "settling"]

QUIET = 0.4
LOUD_GROWTH, LOUD_ERRORS = 2.0, 4.0
RELAPSES = 0.1
FEWEST_ENDED, ITERATIONS = 2, 5


@dataclass(frozen=True, eq=False)
class Settling:
    """Which stretches (blocks, orbits) belong to the louder motion at first, and which to the quieter one later.

    Attributes
    ----------
    before, after : masks (blocks, orbits); a stretch in which the change happens belongs to neither.
    ended : which orbits (orbits,) have changed.
    """

    before: np.ndarray
    after: np.ndarray
    ended: np.ndarray


def settling(growth: np.ndarray, over: int = 1) -> Settling | None:
    """Find a change for good, from large growth to small, in the growth of tangent vectors over stretches.

    An orbit changes after the last stretch whose growth lies above the middle between a loud and a quiet level. There
    is such a change in the system if the loud level is well above the quiet one, growth hardly falls below
    the middle before it, and at least two orbits have changed.

    Parameters
    ----------
    growth : logarithms of lengths (blocks, orbits); NaN where an orbit escaped.
    over : take the mean of so many successive stretches, where single ones are too short to tell.
    """
    if over > 1:
        padded = np.pad(growth, ((over // 2, over - 1 - over // 2), (0, 0)), mode="edge")
        growth = np.lib.stride_tricks.sliding_window_view(padded, over, axis=0).mean(axis=-1)
    known = np.where(np.isfinite(growth), growth, np.inf)
    quiet = float(np.median(known[-max(1, len(known) // 4) :].min(axis=1)))
    first = growth[np.isfinite(growth)]
    loud = float(np.quantile(first, 0.97)) if first.size else 0.0
    found: Settling | None = None
    middle = 0.0
    for _ in range(ITERATIONS):
        middle = 0.5 * (loud + quiet)
        found = _split(known > middle)
        if found is None:
            return None
        loud, quiet = float(np.median(known[found.before])), float(np.median(known[found.after]))
    if found is None:
        return None
    spread = np.median(np.abs(known[found.before] - loud)) + np.median(np.abs(known[found.after] - quiet))
    distinct = loud > LOUD_GROWTH and quiet < QUIET * loud and loud - quiet > LOUD_ERRORS * spread
    relapses = float(((known <= middle) & found.before).sum() / found.before.sum())
    return found if distinct and relapses <= RELAPSES else None


def _split(loud: np.ndarray) -> Settling | None:
    """The stretches before and after the last loud one of each orbit; None where too few orbits have both."""
    count = len(loud)
    last = np.where(loud.any(axis=0), count - 1 - loud[::-1].argmax(axis=0), -1)
    place = np.arange(count)[:, None]
    before, ended = place < last, last < count - max(2, count // 20)
    after = (place > last + 1) & ended
    return Settling(before, after, ended) if before.any() and after.any() and ended.sum() >= FEWEST_ENDED else None


def lifetime(durations: np.ndarray, ended: np.ndarray) -> Estimate:
    r"""Mean lifetime :math:`\tau = \sum_i t_i / n` of exponential decay, of which n of the orbits have ended.

    The error is :math:`\tau / \sqrt{n}`.
    """
    count = int(ended.sum())
    mean = float(durations.sum() / max(1, count))
    return Estimate(mean, mean / np.sqrt(max(1, count)))
