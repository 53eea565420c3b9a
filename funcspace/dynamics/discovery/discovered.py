"""What `discover` found: systems, trajectories, exponents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from funcspace.dynamics.annotations.annotations import Annotations
from funcspace.dynamics.catalogue.sampling import as_function
from funcspace.dynamics.discovery.candidate import Candidate
from funcspace.dynamics.estimate import Estimate
from funcspace.functions import Function

if TYPE_CHECKING:
    from funcspace.dynamics.catalogue.system import System

__all__ = ["Discovered"]


@dataclass(frozen=True, eq=False, repr=False)
class Discovered(Sequence[Function]):
    """New systems, in the order of their candidates; an index gives the trajectory.

    Attributes
    ----------
    candidates : what the systems are made of.
    states : the samples (points, components) of each trajectory, in memory or in a Zarr store, read when used.
    spacings : time between samples of each.
    exponents : the largest exponent of each with its standard error.
    rejected : how many candidates each test rejected, by reason.
    """

    candidates: tuple[Candidate, ...]
    states: Sequence[Any]
    spacings: np.ndarray
    exponents: Estimate
    rejected: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Any) -> Discovered:
        """The systems that `discover(..., path=path)` wrote; trajectories stay on disk until they are used.

        Raises
        ------
        FileError
            When there are none.
        """
        from funcspace.dynamics.discovery.discovery_store import DiscoveryStore

        return DiscoveryStore(path).read()

    def __len__(self) -> int:
        return len(self.candidates)

    def __getitem__(self, index: Any) -> Any:
        """The trajectory of a number as a Function over Times; for a slice, the systems of it."""
        if isinstance(index, slice):
            chosen = range(len(self))[index]
            return Discovered(
                tuple(self.candidates[i] for i in chosen),
                [self.states[i] for i in chosen],
                self.spacings[index],
                Estimate(self.exponents.value[index], self.exponents.error[index]),
            )
        place = range(len(self))[index]
        return as_function(self.states[place][...], float(self.spacings[place]), self.candidates[place].name)

    def __iter__(self) -> Iterator[Function]:
        return (self[i] for i in range(len(self)))

    @property
    def trajectories(self) -> Sequence[Function]:
        """The trajectories, in bounded coordinates (phases and angles as cosines, for example)."""
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the systems."""
        return tuple(each.name for each in self.candidates)

    def system(self, index: int) -> System:
        """The system of a number, with its equations as a formula; its annotations hold the measured exponent."""
        place = range(len(self))[index]
        exponent = Estimate(float(self.exponents.value[place]), float(self.exponents.error[place]))
        return replace(self.candidates[place].system(), annotations=Annotations(largest_exponent=exponent))

    @property
    def systems(self) -> tuple[System, ...]:
        """All systems."""
        return tuple(self.system(i) for i in range(len(self)))

    def __repr__(self) -> str:
        skew = sum(each.response is not None for each in self.candidates)
        tried = sum(self.rejected.values()) + len(self)
        seen = f", of {tried} candidates" if self.rejected else ""
        return f"Discovered({len(self)} chaotic systems, {skew} of them skew products{seen})"
