"""How often the data must take over so that training can follow a chaotic orbit."""

from __future__ import annotations

import numpy as np

from funcspace.dynamics.invariants.autocorrelation import autocorrelation
from funcspace.dynamics.invariants.mutual_information import delayed_mutual_information
from funcspace.dynamics.reconstruction.windows import Recording

__all__ = ["forcing_interval"]


def forcing_interval(recording: Recording, most: int = 100) -> int:
    """The time over which a component forgets itself, in steps, at most `most`; the median over components.

    That is the shortest of the first minimum of the autocorrelation, its fall below 1/e, and the first minimum of the
    delayed mutual information.
    """
    found = []
    for values in recording.values:
        series = values.numpy()
        series = series[np.isfinite(series).all(axis=1)]
        reach = min(most, len(series) // 4)
        if reach < 2:
            continue
        correlation = np.asarray(autocorrelation(series, reach))
        for component in range(series.shape[1]):
            rho = correlation[:, component]
            below = np.flatnonzero(rho < 1.0 / np.e)
            times = [_first_minimum(rho), int(below[0]) if len(below) else most]
            times.append(_first_minimum(np.asarray(delayed_mutual_information(series[:, component], reach, bins=64))))
            found.append(min(times))
    return max(1, round(float(np.median(found)))) if found else most


def _first_minimum(curve: np.ndarray) -> int:
    inner = np.flatnonzero((curve[1:-1] < curve[:-2]) & (curve[1:-1] <= curve[2:]))
    return int(inner[0]) + 1 if len(inner) else len(curve) - 1
