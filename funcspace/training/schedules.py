"""Learning-rate schedules: a factor of the peak rate as a function of the progress of training."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from funcspace.errors import InputError

__all__ = ["SCHEDULES", "ExponentialDecay", "learning_rate_factor"]


def constant(progress: float) -> float:
    """The peak rate throughout."""
    return 1.0


def cosine(progress: float) -> float:
    """A short linear warm-up (2 %), then half a cosine down to a thousandth."""
    if progress < 0.02:
        return max(progress, 1e-4) / 0.02
    return 1e-3 + (1 - 1e-3) * 0.5 * (1 + math.cos(math.pi * (progress - 0.02) / 0.98))


def one_cycle(progress: float) -> float:
    """From a twenty-fifth up to the peak over the first fifth, then down to a thousandth; both along a cosine."""
    if progress < 0.2:
        return 0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * progress / 0.2))
    return 1e-3 + (1 - 1e-3) * 0.5 * (1 + math.cos(math.pi * (progress - 0.2) / 0.8))


def linear(progress: float) -> float:
    """Straight down to zero."""
    return 1.0 - progress


@dataclass(frozen=True)
class ExponentialDecay:
    """From the peak down to `final` times the peak, by the same factor in equal times.

    >>> ExponentialDecay(0.01)(0.5)
    0.1
    """

    final: float = 1e-3

    def __call__(self, progress: float) -> float:
        """The factor at a progress in [0, 1]."""
        return float(self.final**progress)


SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": constant,
    "cosine": cosine,
    "one-cycle": one_cycle,
    "linear": linear,
}


def learning_rate_factor(schedule: str | Callable[[float], float], progress: float) -> float:
    """The factor at a progress in [0, 1], for a schedule by name or any function of the progress.

    >>> learning_rate_factor("one-cycle", 0.2)
    1.0
    """
    if callable(schedule):
        return schedule(progress)
    if schedule not in SCHEDULES:
        raise InputError(f"the schedule must be one of {', '.join(SCHEDULES)} or a function, got {schedule!r}")
    return SCHEDULES[schedule](min(max(progress, 0.0), 1.0))
