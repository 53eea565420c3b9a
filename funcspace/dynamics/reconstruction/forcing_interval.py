"""How often the data must take over so that training can follow a chaotic orbit."""

from __future__ import annotations

import numpy as np

from funcspace.dynamics.invariants.autocorrelation import autocorrelation
from funcspace.dynamics.invariants.mutual_information import delayed_mutual_information, mutual_information
from funcspace.dynamics.reconstruction.windows import Recording

__all__ = ["forcing_interval"]

BINS = 64
FEWEST = 50  # values, or pairs of them, that tell anything


def forcing_interval(recording: Recording, most: int = 100) -> int:
    """The time over which a component forgets itself, in steps, at most `most`; the median over components.

    That is the shortest of the first minimum of the autocorrelation, its fall below 1/e, and the first minimum of the
    delayed mutual information. Where values are missing both are taken over the pairs that are known; of their curves,
    which are rougher then, minima count after a running mean. Components that do not vary say nothing.
    """
    found = []
    for values in recording.values:
        for series in values.numpy().T:
            known = np.isfinite(series)
            reach = min(most, len(series) // 4)
            if reach < 2 or known.sum() < FEWEST or np.ptp(series[known]) <= 1e-12 * np.abs(series[known]).max():
                continue
            whole = bool(known.all())
            if whole:
                rho = np.asarray(autocorrelation(series, reach))
                information = np.asarray(delayed_mutual_information(series, reach, bins=BINS))
            else:
                rho, information = _of_known_pairs(series, known, reach)
            below = np.flatnonzero(rho < 1.0 / np.e)
            minima = [_first_minimum(curve if whole else _smoothed(curve)) for curve in (rho, information)]
            found.append(min(*minima, int(below[0]) if len(below) else most))
    return max(1, round(float(np.median(found)))) if found else most


def _of_known_pairs(series: np.ndarray, known: np.ndarray, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """Autocorrelation and delayed mutual information up to the lag where too few pairs are left."""
    centred = series - series[known].mean()
    rho, information = [1.0], []
    for lag in range(reach + 1):
        both = known[: len(series) - lag] & known[lag:]
        if both.sum() < FEWEST:
            break
        a, b = centred[: len(series) - lag][both], centred[lag:][both]
        bins = min(BINS, max(2, int(both.sum() ** (1.0 / 3.0))))
        information.append(mutual_information(a, b, "histogram", bins=bins))
        if lag:
            rho.append(float((a * b).mean() / np.sqrt((a * a).mean() * (b * b).mean())))
    return np.array(rho[: max(1, len(information))]), np.array(information)


def _smoothed(curve: np.ndarray) -> np.ndarray:
    if len(curve) < 5:
        return curve
    return np.convolve(np.pad(curve, 2, mode="edge"), np.full(5, 0.2), mode="valid")


def _first_minimum(curve: np.ndarray) -> int:
    inner = np.flatnonzero((curve[1:-1] < curve[:-2]) & (curve[1:-1] <= curve[2:]))
    return int(inner[0]) + 1 if len(inner) else len(curve) - 1
