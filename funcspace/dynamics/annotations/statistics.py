"""Statistics of one long orbit: the correlation dimension and the decorrelation time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import numpy as np

from funcspace.dynamics.annotations.annotations import Annotations
from funcspace.dynamics.estimate import Estimate
from funcspace.dynamics.invariants import correlation_dimension, decorrelation_time
from funcspace.errors import InputError

__all__ = ["POINTS", "SETTLED_AFTER", "WITHIN", "with_statistics"]

POINTS, POINTS_PER_PERIOD, FEWEST_POINTS = 30_000, 20, 2_000
CORRELATED_POINTS, CORRELATED_PER_PERIOD = 20_000, 50
# Regular motion is looked at after so many periods; the tolerance of the orbit.
SETTLED_AFTER, WITHIN = 1_000.0, 1e-9


def with_statistics(
    found: Annotations,
    states: Callable[[int, int], np.ndarray] | None,
    observed: Callable[[int, int], np.ndarray],
    unit: float | None,
    effort: float,
) -> Annotations:
    """The annotations with both numbers, as far as they exist.

    Parameters
    ----------
    states : gives a number of states (instants, components), so many per period, that the dimension is measured from;
        it is not where this is None.
    observed : the same for the decorrelation time.
    unit : the period; None for a map.
    effort : factor to the numbers of states.
    """
    known = {}

    def count(points: int) -> int:
        return max(FEWEST_POINTS, round(effort * points))

    with suppress(InputError):  # a fixed point, or no scaling region
        if states is not None:
            dimension = correlation_dimension(states(count(POINTS), POINTS_PER_PERIOD))
            known["correlation_dimension"] = Estimate(dimension.value, dimension.error)
    with suppress(InputError):  # an autocorrelation that does not decay
        step = 1.0 if unit is None else unit / CORRELATED_PER_PERIOD
        values = observed(count(CORRELATED_POINTS), CORRELATED_PER_PERIOD)
        known["decorrelation_time"] = float(decorrelation_time(values, step=step))
    return replace(found, **known)
