"""How far the invariant measure of a generated orbit is from that of the truth: the Kullback-Leibler divergence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from funcspace.arguments import check_counts, is_number, is_whole
from funcspace.dynamics.metrics.mixture_divergence import mixture_divergence, reference_mixture_divergence
from funcspace.dynamics.metrics.pointwise_errors import component_scale
from funcspace.dynamics.series import FloatArray, paired_series, unbatched
from funcspace.errors import InputError

__all__ = ["Occupation", "state_space_divergence"]

Mode = Literal["standard", "reference", "reference_minmax", "reference_two_sigma"]
MOST_BOXES = 2**62
MOST_COUNTED = 2**20  # boxes; where there are more, only the occupied ones are kept


def state_space_divergence(
    true: Any,
    generated: Any,
    bins: int = 30,
    *,
    method: Literal["histogram", "mixture"] | None = None,
    mode: Mode = "standard",
    pseudocount: float = 1e-5,
    variance: float = 1.0,
    samples: int = 1000,
    most_points: int = 10_000,
    seed: int = 0,
) -> Any:
    r"""Kullback-Leibler divergence of the occupation of state space, in nats (D_stsp).

    .. math:: D = \sum_k p_k \log (p_k / q_k), \qquad p_k = \frac{c_k + \alpha}{\sum_j c_j + \alpha K^N}

    *Histogram* (up to 5 components): K bins per component between the minimum and maximum of the truth, each moved
    out by 0.1 standard deviations; c counts the true, and for q the generated samples; alpha is the pseudocount.
    Generated samples outside that box, NaN and infinity included, have no box but count in the sum of q: an orbit
    that spends the share s outside pays -log(1 - s), and one that has left altogether scores about what a fixed point
    does. Invariant under shifts and scalings of the components, not under rotations.

    *Mixture* (6 components and more): p and q are mixtures of Gaussians of covariance `variance` times the unit
    matrix, one around each sample of the standardised data (both by the mean and deviation of the truth),
    D = mean of log p - log q over `samples` draws from p, in float64 and the log domain. An orbit that is nowhere
    finite scores infinity.

    The named modes repeat published implementations, their drop rules included (the rest of the arguments apply):

    =====================  ==========================================================================================
    "reference"            Hess et al. (ICML 2023), Brenner et al. (2024), Julia: the box above; generated samples
                           outside are dropped, NaN when none is left. Mixture: unscaled data, the first `most_points`
                           samples, float32 densities, draws whose p or q underflows are dropped. Counters do not wrap
                           at 65,536 samples in one bin, as the 16-bit ones of the original do
    "reference_minmax"     their Python versions: box from minimum to maximum, and the first bin of each component,
                           too, is dropped
    "reference_two_sigma"  Brenner et al. (ICML 2022): box of plus and minus 2 standard deviations, drops as above
    =====================  ==========================================================================================

    Anchors, Lorenz-63 with 10^5 samples at dt = 0.01 and 30 bins: independent true orbits 0.03 to 0.06, only the first
    10^4 true samples 0.44, i.i.d. Gaussian of the same covariance 2.3, the fixed point at the mean 16.4. For the
    mixture with variance 1 the i.i.d. Gaussian scores under 0.1: in few dimensions prefer the histogram, in many report
    `spectral_distance` beside it.

    Parameters
    ----------
    true, generated : trajectories (..., time, components); their lengths may differ.
    bins : K, per component.
    method : "histogram" or "mixture"; by default by the number of components.
    mode : "standard" or one of the above.
    pseudocount : alpha.
    variance : of the Gaussians of the mixture, in units of the variance of the truth (of the data in "reference").
    samples : Monte Carlo draws of the mixture.
    most_points : the mixture uses at most so many samples of a trajectory, evenly spread in time.
    seed : of the draws.

    Raises
    ------
    InputError
        When shapes do not fit, the truth is not finite or does not vary, or there are too many boxes to be numbered.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> truth, same, wide = (scale * rng.normal(size=(20_000, 2)) for scale in (1.0, 1.0, 2.0))
    >>> round(state_space_divergence(truth, same), 2), round(state_space_divergence(truth, wide), 1)
    (0.07, 0.7)
    >>> round(state_space_divergence(truth, truth[::-1]), 12)
    0.0
    """
    truth, model, batch = paired_series(true, generated)
    if not (is_whole(bins) and bins >= 2):
        raise InputError(f"bins must be a whole number, at least 2; got {bins!r}")
    check_counts(samples=samples)
    sizes = is_number(pseudocount) and pseudocount > 0 and is_number(variance) and variance > 0
    if not sizes or not (is_whole(most_points) and most_points >= 2):
        raise InputError(
            f"pseudocount and variance must be positive, samples at least 1, most_points at least 2; got "
            f"pseudocount={pseudocount}, variance={variance}, samples={samples}, most_points={most_points}"
        )
    if mode not in BOXES:
        raise InputError(f"mode must be one of {sorted(BOXES)}, got {mode!r}")
    if method is None:
        method = "histogram" if truth.components <= 5 else "mixture"
    scores = np.empty(len(truth.values))
    if method == "histogram":
        box = BOXES[mode]
        if bins**truth.components > MOST_BOXES:
            raise InputError(
                f"{bins} bins in {truth.components} components are too many boxes to be numbered; use "
                'method="mixture" or fewer bins'
            )
        for i, (x, y) in enumerate(zip(truth.values, model.values, strict=True)):
            scores[i] = Occupation(x, bins, pseudocount, box).divergence(y)
    elif method == "mixture":
        if mode not in ("standard", "reference"):
            raise InputError(f'the mixture knows the modes "standard" and "reference", got {mode!r}')
        if mode == "standard":
            component_scale(truth)
        compute = mixture_divergence if mode == "standard" else reference_mixture_divergence
        for i, (x, y) in enumerate(zip(truth.values, model.values, strict=True)):
            scores[i] = compute(x, y, variance, samples, most_points=most_points, seed=seed)
    else:
        raise InputError(f'method must be "histogram", "mixture" or None, got {method!r}')
    return unbatched(scores, batch)


@dataclass(frozen=True)
class BoxRule:
    """Where the box lies and which samples count.

    Attributes
    ----------
    margin : distance of the box beyond the range of the truth, in standard deviations.
    deviations : half width of the box about the mean, in standard deviations, instead of the range.
    first_bin : the lowest bin of each component that is kept.
    outside_counts : whether generated samples outside the box count in the normalisation.
    """

    margin: float = 0.1
    deviations: float | None = None
    first_bin: int = 0
    outside_counts: bool = False

    def limits(self, true: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Lower and upper corner of the box."""
        from funcspace.dynamics.metrics._occupation_kernels import summary

        low, high, mean, sigma = summary(true)
        constant = np.flatnonzero(high - low <= 1e-12 * np.maximum(np.abs(low), np.abs(high)))
        if len(constant):
            raise InputError(
                f"component {constant[0]} of the true trajectory does not vary, so that it has no bins; leave it out"
            )
        if self.deviations is not None:
            return mean - self.deviations * sigma, mean + self.deviations * sigma
        return low - self.margin * sigma, high + self.margin * sigma


BOXES = {
    "standard": BoxRule(outside_counts=True),
    "reference": BoxRule(),
    "reference_minmax": BoxRule(margin=0.0, first_bin=1),
    "reference_two_sigma": BoxRule(deviations=2.0, first_bin=1),
}


class Occupation:
    """How often a trajectory is in each box of state space, as what generated ones are compared with.

    Parameters
    ----------
    true : (time, components).
    bins, pseudocount, rule : see `state_space_divergence`.
    """

    def __init__(
        self, true: FloatArray, bins: int = 30, pseudocount: float = 1e-5, rule: BoxRule = BOXES["standard"]
    ) -> None:
        from funcspace.dynamics.metrics import _occupation_kernels as kernels

        self.bins, self.pseudocount, self.rule = bins, pseudocount, rule
        self.low, self.high = rule.limits(true)
        self.inverse = bins / (self.high - self.low)
        self.boxes = float(bins) ** true.shape[1]
        if self.boxes <= MOST_COUNTED:
            self.counts = np.zeros(int(self.boxes), dtype=np.int64)
            self.inside = kernels.count(true, self.low, self.high, self.inverse, bins, rule.first_bin, self.counts)
        else:
            self.labels = kernels.label(true, self.low, self.high, self.inverse, bins, rule.first_bin)
            self.inside = len(self.labels)

    def divergence(self, generated: FloatArray) -> float:
        """The divergence of a generated trajectory (time, components)."""
        from funcspace.dynamics.metrics import _occupation_kernels as kernels

        where = self.low, self.high, self.inverse, self.bins, self.rule.first_bin
        if self.boxes <= MOST_COUNTED:
            counts = np.zeros_like(self.counts)
            inside = kernels.count(generated, *where, counts)
            occupied = (self.counts > 0) | (counts > 0)
            p, q = self.counts[occupied], counts[occupied]
        else:
            labels = kernels.label(generated, *where)
            inside = len(labels)
            occupied, place = np.unique(np.concatenate([self.labels, labels]), return_inverse=True)
            p = np.bincount(place[: self.inside], minlength=len(occupied))
            q = np.bincount(place[self.inside :], minlength=len(occupied))
        if inside == 0 and not self.rule.outside_counts:
            return float("nan")
        alpha = self.pseudocount
        total_p = self.inside + alpha * self.boxes
        total_q = (len(generated) if self.rule.outside_counts else inside) + alpha * self.boxes
        divergence = float((p + alpha) / total_p @ (np.log(p + alpha) - np.log(q + alpha)))
        # boxes that both leave empty have p/q = total_q/total_p like all others, and no term of their own
        return divergence + float(np.log(total_q / total_p))
