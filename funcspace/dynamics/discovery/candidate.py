"""Candidates for new systems: founders with jittered parameters, alone or one driving another."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from funcspace.dynamics.annotations.annotations import Annotations
from funcspace.dynamics.catalogue.formula import Formula
from funcspace.dynamics.catalogue.registry import system, systems
from funcspace.dynamics.catalogue.system import System
from funcspace.dynamics.discovery.skew_products import rms_flow, skew_product
from funcspace.errors import InputError

__all__ = ["Candidate", "Founder", "Mutation", "candidate", "checked_founders", "default_founders", "founder"]

# Their right-hand sides cost a hundred times as much as those of the others.
SLOW = ("InteriorSquirmer", "MacArthur")
SMALLEST_JITTER = 1e-3
COUPLED = 0.5


@dataclass(frozen=True)
class Mutation:
    """How candidates differ from founders.

    Attributes
    ----------
    jitter : standard deviation of parameters, relative to their values.
    skew : share of skew products among candidates; the others are founders with other parameters.
    coupling : typical strength of the drive, in units of the response's own flow.
    spread : standard deviation of the logarithms of strength and pace.
    """

    jitter: float = 0.3
    skew: float = 0.75
    coupling: float = 1.0
    spread: float = 0.4

    def __post_init__(self) -> None:
        for name in ("jitter", "coupling", "spread"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise InputError(f"{name} must not be negative; got {value}")
        if not 0.0 <= self.skew <= 1.0:
            raise InputError(f"skew is a share between 0 and 1; got {self.skew}")


@dataclass(frozen=True, eq=False)
class Founder:
    """What candidates need to know of a founder: states on its attractor, its size and the size of its flow."""

    system: System
    states: np.ndarray
    spread: np.ndarray
    flow: np.ndarray

    @property
    def bounded(self) -> list[int]:
        """Components that do not grow without bound."""
        return [i for i in range(self.system.dimension) if i not in self.system.unbounded]


def default_founders() -> tuple[str, ...]:
    """The flows that stay chaotic, without the two that are slow to evaluate and those that cannot be founders."""
    names = systems("flow", kind_of="chaotic")
    return tuple(name for name in names if name not in SLOW and _fit(system(name)))


def _fit(found: Any) -> bool:
    """Whether candidates can be made from a system: time does not occur in it, and not all of it grows."""
    if not (isinstance(found, System) and isinstance(found.equations, Formula)):
        return False
    return not found.equations.explicit_time and found.kind == "flow" and len(found.unbounded) < found.dimension


def checked_founders(names: Sequence[str] | None) -> tuple[str, ...]:
    """The founders, once all are found to be fit.

    Raises
    ------
    InputError
        For an empty list, unknown names, and systems from which no candidates can be made.
    """
    if names is None:
        return default_founders()
    if not names or isinstance(names, str):
        raise InputError(f"discover needs a list of at least one founder; got {names!r}")
    for name in names:
        if not _fit(system(name)):
            raise InputError(
                f"{name} cannot be a founder: it must be an autonomous flow of which at least one component is bounded"
            )
    return tuple(names)


@functools.cache
def founder(name: str) -> Founder:
    """The founder of a name; its reference orbit is made once."""
    found = system(name)
    orbit = found.reference_orbit[0]
    spread = orbit.std(axis=0)
    spread = np.where(spread > 1e-12 * np.abs(orbit).max(axis=0), spread, found.scale)
    spread[list(found.unbounded)] = np.broadcast_to(found.scale, found.dimension)[list(found.unbounded)]
    return Founder(found, orbit[:: max(1, len(orbit) // 512)], spread, rms_flow(found))


@dataclass(frozen=True, eq=False)
class Candidate:
    """A system that may be chaotic.

    Attributes
    ----------
    index : its number; it depends on the seed and this alone.
    driver, response : names of the founders; response is None for a single one.
    parameters : of both, one after the other, as the compiled code takes them.
    gains, sources, pace : of the skew product.
    initial : a state near the attractors of the founders.
    """

    index: int
    driver: str
    response: str | None
    parameters: tuple[np.ndarray, np.ndarray]
    gains: np.ndarray
    sources: np.ndarray
    pace: float
    initial: np.ndarray

    @property
    def members(self) -> tuple[Founder, ...]:
        """The founders."""
        return (founder(self.driver),) if self.response is None else (founder(self.driver), founder(self.response))

    @property
    def period(self) -> float:
        """Time scale of the whole: the slower of both."""
        first = self.members[0].system.period or 1.0
        if self.response is None:
            return first
        return max(first, (self.members[1].system.period or 1.0) / self.pace)

    @property
    def scale(self) -> np.ndarray:
        """Typical size of the components."""
        return np.concatenate([member.spread for member in self.members])

    @property
    def bounded(self) -> np.ndarray:
        """Numbers of the components that do not grow without bound."""
        places, first = [], 0
        for member in self.members:
            places += [first + i for i in member.bounded]
            first += member.system.dimension
        return np.array(places)

    @property
    def name(self) -> str:
        """What the system is called."""
        return f"{self.driver}{'->' + self.response if self.response else ''} #{self.index}"

    def packed(self) -> np.ndarray:
        """Parameters of the compiled field `coupled`."""
        first, second = self.members[0].system.equations, self.members[-1].system.equations
        single = self.response is None
        head = [
            float(first.field_address),
            float(second.field_address),
            float(first.dimension),
            0.0 if single else float(second.dimension),
            float(len(self.parameters[0])),
            float(len(self.parameters[1])),
            self.pace,
            0.0,
        ]
        return np.concatenate([head, *self.parameters, self.gains, self.sources.astype(np.float64)])

    def wrap(self, states: np.ndarray) -> np.ndarray:
        """Bounded coordinates of states (..., dimension)."""
        parts, first = [], 0
        for member, values in zip(self.members, self.parameters, strict=False):
            stop = first + member.system.dimension
            parts.append(member.system.equations.wrap(states[..., first:stop], values))
            first = stop
        return np.concatenate(parts, axis=-1)

    def system(self) -> System:
        """The system, with its equations as one formula."""
        changed = [
            member.system.with_parameters(**_unpacked(member.system, values))
            for member, values in zip(self.members, self.parameters, strict=False)
        ]
        if self.response is None:
            found = changed[0]
        else:
            found = skew_product(
                changed[0], changed[1], sources=[int(s) for s in self.sources], gains=self.gains, pace=self.pace
            )
        return _renamed(found, self)

    def to_record(self) -> dict[str, Any]:
        """Plain data for JSON, numbers to the last bit."""
        return {
            "index": self.index,
            "driver": self.driver,
            "response": self.response,
            "parameters": [values.tolist() for values in self.parameters],
            "gains": self.gains.tolist(),
            "sources": self.sources.tolist(),
            "pace": self.pace,
            "initial": self.initial.tolist(),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Candidate:
        """From what `to_record` gave."""
        first, second = (np.array(values, dtype=np.float64) for values in record["parameters"])
        return cls(
            int(record["index"]),
            record["driver"],
            record["response"],
            (first, second),
            np.array(record["gains"], dtype=np.float64),
            np.array(record["sources"], dtype=np.int64),
            float(record["pace"]),
            np.array(record["initial"], dtype=np.float64),
        )


def candidate(index: int, entropy: Any, founders: Sequence[str], mutation: Mutation) -> Candidate:
    r"""The candidate of a number.

    Parameters become :math:`\theta' = \theta + \epsilon, \; \epsilon \sim N(0, (s |\theta|)^2 + 10^{-6})`, half of the
    time with the sign kept. In a skew product each bounded component of the response is driven, with probability one
    half, by a random component of the driver's flow; gains are the ratio of both flows' root mean squares times a
    strength, the pace the ratio of the periods, both times a log-normal factor.
    """
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy, spawn_key=(index,))))
    skewed = bool(generator.random() < mutation.skew)
    first = founder(founders[int(generator.integers(len(founders)))])
    values = _jittered(first.system.packed, generator, mutation.jitter)
    start = first.states[int(generator.integers(len(first.states)))]
    if not skewed:
        none = np.empty(0)
        return Candidate(index, first.system.name, None, (values, none), none, none.astype(np.int64), 1.0, start.copy())
    second = founder(founders[int(generator.integers(len(founders)))])
    others = _jittered(second.system.packed, generator, mutation.jitter)
    rest = second.states[int(generator.integers(len(second.states)))]
    strength, tempo = np.exp(mutation.spread * generator.standard_normal(2))
    m, felt = second.system.dimension, second.bounded
    sources, gains = np.full(m, -1, dtype=np.int64), np.zeros(m)
    driven = generator.random(len(felt)) < COUPLED
    driven[int(generator.integers(len(felt)))] = True
    chosen = generator.integers(len(first.bounded), size=len(felt))
    for place, i in enumerate(felt):
        source = first.bounded[int(chosen[place])]
        if driven[place] and first.flow[source] > 0:
            sources[i], gains[i] = source, mutation.coupling * strength * second.flow[i] / first.flow[source]
    pace = tempo * (second.system.period or 1.0) / (first.system.period or 1.0)
    return Candidate(
        index,
        first.system.name,
        second.system.name,
        (values, others),
        gains,
        sources,
        float(pace),
        np.concatenate([start, rest]),
    )


def _jittered(values: np.ndarray, generator: np.random.Generator, jitter: float) -> np.ndarray:
    if jitter == 0.0:
        return values.copy()
    spread = np.sqrt((jitter * np.abs(values)) ** 2 + SMALLEST_JITTER**2)
    changed = values + spread * generator.standard_normal(len(values))
    return np.copysign(changed, values) if generator.random() < 0.5 else changed


def _unpacked(found: System, values: np.ndarray) -> dict[str, Any]:
    """Parameters by name from the vector that the compiled code takes."""
    named, first = {}, 0
    for name, shape in found.equations.shapes.items():
        size = int(np.prod(shape))
        part = values[first : first + size]
        named[name] = float(part[0]) if not shape else part.reshape(shape)
        first += size
    return named


def _renamed(found: System, made: Candidate) -> System:
    return replace(
        found,
        name=made.name,
        initial=made.initial,
        period=made.period,
        scale=made.scale,
        annotations=Annotations(),
        citation="",
        hamiltonian=False,
        corrected=False,
    )
