"""The Kaplan-Yorke dimension of a Lyapunov spectrum."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcspace.arguments import as_numbers
from funcspace.dynamics.estimate import Estimate
from funcspace.dynamics.series import unbatched
from funcspace.errors import InputError

__all__ = ["kaplan_yorke_dimension"]

# Orbits whose scatter tells the variance of a sum of exponents, however many exponents there are.
ENOUGH = 8


def kaplan_yorke_dimension(spectrum: Any, *, complete: bool = True) -> Estimate:
    r"""The dimension at which the sum of the largest exponents, interpolated, becomes negative.

    .. math:: D = j + \frac{S_j}{|\lambda_{j+1}|}, \qquad S_j = \sum_{i \le j} \lambda_i \ge 0 > S_{j+1}

    (Kaplan and Yorke, 1979.) 0 if all exponents are negative, the dimension of the space if no sum is. Errors are
    propagated to first order, with the covariance of the exponents if the spectrum is an Estimate that knows it
    (`details["covariance"]`), as independent ones otherwise.

    Parameters
    ----------
    spectrum : exponents in any order, (..., exponents), an array or an Estimate.
    complete : whether these are all exponents; if not, sums that stay positive are an error.

    Raises
    ------
    InputError
        When an exponent is NaN or infinity, or exponents are missing that the dimension depends on.

    Examples
    --------
    >>> from funcspace.dynamics.estimate import Estimate
    >>> kaplan_yorke_dimension(Estimate([0.9056, 0.0, -14.572], [0.002, 0.001, 0.003]))
    Estimate(2.06215 +- 0.00015)
    >>> float(kaplan_yorke_dimension([-0.1, -2.0]))
    0.0
    """
    known = isinstance(spectrum, Estimate)
    values = as_numbers(spectrum, "the exponents")
    if values.ndim == 0 or values.shape[-1] == 0:
        raise InputError(f"a spectrum has shape (..., exponents), got {values.shape}")
    usable = values < np.inf  # minus infinity is the exponent of what a map annihilates
    if not usable.all():
        bad = tuple(int(i) for i in np.argwhere(~usable)[0])
        raise InputError(f"exponents must be finite, or minus infinity; exponent {bad} is {values[bad]}")
    errors = np.asarray(spectrum.error, dtype=np.float64) if known else np.full(values.shape, np.nan)
    n = values.shape[-1]
    covariance = _known_covariance(spectrum, n) if known else None
    if covariance is None:
        covariance = errors[..., None] ** 2 * np.eye(n)
    rows = zip(values.reshape(-1, n), np.asarray(covariance).reshape(-1, n, n), strict=True)
    found = [_dimension(row, matrix, complete) for row, matrix in rows]
    batch = values.shape[:-1]
    return Estimate(unbatched([f[0] for f in found], batch), unbatched([f[1] for f in found], batch))


def _known_covariance(spectrum: Estimate, n: int) -> np.ndarray | None:
    if "covariance" in spectrum.details:
        return np.asarray(spectrum.details["covariance"])
    orbits = np.asarray(spectrum.details.get("orbits", ()))
    if len(spectrum.shape) == 1 and orbits.ndim == 2 and orbits.shape[1] == n and len(orbits) >= min(n + 1, ENOUGH):
        return np.cov(orbits.T).reshape(n, n) / len(orbits)
    return None


def _dimension(exponents: np.ndarray, covariance: np.ndarray, complete: bool) -> tuple[float, float]:
    order = np.argsort(-exponents, kind="stable")
    sums = np.cumsum(exponents[order])
    j = int((sums < 0).argmax()) if (sums < 0).any() else len(sums)
    if j == len(sums):
        if not complete:
            raise InputError(
                f"the sum of the {len(sums)} exponents is {sums[-1]:.4g}, still positive; more of them are needed"
            )
        return float(j), 0.0
    if j == 0:
        return 0.0, 0.0
    last = exponents[order[j]]
    gradient = np.zeros(len(sums))
    gradient[order[:j]] = 1.0 / abs(last)
    gradient[order[j]] = sums[j - 1] / last**2
    used = np.flatnonzero(gradient)
    variance = gradient[used] @ covariance[np.ix_(used, used)] @ gradient[used]
    return float(j + sums[j - 1] / abs(last)), float(np.sqrt(max(variance, 0.0))) if np.isfinite(variance) else np.nan
