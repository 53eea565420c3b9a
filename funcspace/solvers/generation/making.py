"""Samples of a problem, going on past those that cannot be made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from funcspace.errors import InputError, SolverError
from funcspace.functions import OperatorData

__all__ = ["FailedSample", "Problem", "make_samples"]

FAILURES = (SolverError, ArithmeticError, np.linalg.LinAlgError)


class Problem(Protocol):
    """A recipe of samples, such as `Darcy`; sample i depends on (seed, i) alone."""

    def sample(self, n: int, seed: int | None = 0, *, first: int = 0) -> OperatorData:
        """Samples first, ..., first + n - 1 of a seed."""
        ...


@dataclass(frozen=True)
class FailedSample:
    """A sample that could not be made: its number, the solver's message, and the seed of the set."""

    index: int
    message: str
    seed: int


def make_samples(problem: Problem, first: int, count: int, seed: int) -> tuple[list[OperatorData], list[FailedSample]]:
    """Samples first, ..., first + count - 1 in order, in pieces, and those that failed.

    A batch that fails is halved until the samples that fail are found; all others are in the pieces.

    Raises
    ------
    InputError
        When the problem makes another number of samples than it was asked for.
    """
    try:
        made = problem.sample(count, seed, first=first)
    except FAILURES as error:
        if count == 1:
            return [], [FailedSample(first, str(error) or type(error).__name__, seed)]
    else:
        if len(made) != count:
            raise InputError(f"{problem!r} made {len(made)} samples where {count} were asked for")
        return [made], []
    half = count // 2
    pieces, failed = make_samples(problem, first, half, seed)
    more, others = make_samples(problem, first + half, count - half, seed)
    return pieces + more, failed + others
