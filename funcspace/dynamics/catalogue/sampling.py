"""Sampling of systems of every kind: times, seeds, batches, noise, and the Function that holds the samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from funcspace.arguments import as_numbers, is_number, is_whole
from funcspace.errors import InputError
from funcspace.functions import Function, FunctionSpace
from funcspace.geometry import Times

__all__ = [
    "NOISE",
    "START",
    "Sampling",
    "as_function",
    "child_seed",
    "generator_of",
    "packed_rows",
    "row_count",
    "standardised",
    "with_noise",
]

STANDARD_POINTS = 100
NOISE, START = 1, 0


@dataclass(frozen=True)
class Sampling:
    """How many instants, and how far apart; at most one of the three ways to say it."""

    count: int
    points_per_period: float | None = None
    dt: float | None = None
    points_per_lyapunov_time: float | None = None

    def __post_init__(self) -> None:
        if not (is_whole(self.count) and self.count >= 1):
            raise InputError(f"a trajectory needs a whole number of instants, at least 1; got n={self.count!r}")
        ways = {
            "points_per_period": self.points_per_period,
            "dt": self.dt,
            "points_per_lyapunov_time": self.points_per_lyapunov_time,
        }
        given = {name: value for name, value in ways.items() if value is not None}
        if len(given) > 1:
            raise InputError(f"give one of {', '.join(ways)}, not {' and '.join(given)}")
        for name, value in given.items():
            if not (is_number(value) and value > 0):
                raise InputError(f"{name} must be a positive number; got {value!r}")

    def spacing(self, system: Any) -> float:
        """The time between instants."""
        if system.kind == "map":
            if self.points_per_period is not None or self.points_per_lyapunov_time is not None:
                raise InputError(f"{system.name} is a map; its instants are dt iterations apart, dt=1 by default")
            every = 1 if self.dt is None else self.dt
            if every != int(every):
                raise InputError(f"{system.name} is a map; dt must be a whole number of iterations, got {every}")
            return float(every)
        if self.dt is not None:
            return float(self.dt)
        if self.points_per_lyapunov_time is not None:
            return 1.0 / (system.largest_exponent * self.points_per_lyapunov_time)
        if system.period is None:
            raise InputError(f"the period of {system.name} is not known; give dt=..., the time between instants")
        return system.period / (STANDARD_POINTS if self.points_per_period is None else self.points_per_period)


def child_seed(entropy: Any, index: int, purpose: int) -> np.random.SeedSequence:
    """The seed of trajectory number `index`, for one purpose."""
    return np.random.SeedSequence(entropy, spawn_key=(index, purpose))


def generator_of(entropy: Any, index: int, purpose: int) -> np.random.Generator:
    """The random numbers of trajectory number `index`, for one purpose."""
    return np.random.Generator(np.random.PCG64(child_seed(entropy, index, purpose)))


def with_noise(values: np.ndarray, level: float, orbit: np.ndarray, entropy: Any) -> np.ndarray:
    """Samples (batch, ..., components) and noise, relative to the deviation of each component along an orbit."""
    size, found = level * orbit.std(axis=0), np.empty_like(values)
    for i, row in enumerate(values):
        found[i] = row + size * generator_of(entropy, i, NOISE).standard_normal(row.shape)
    return found


def standardised(values: np.ndarray, orbit: np.ndarray) -> np.ndarray:
    """Samples (..., components), shifted and scaled to what has mean 0 and variance 1 along an orbit."""
    deviation = orbit.std(axis=0)
    return (values - orbit.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)


def as_function(values: np.ndarray, spacing: float, name: str, components: Sequence[str] | None = None) -> Function:
    """Samples ([batch,] instants, components), the first of which belongs to time 0, as a Function over Times."""
    times = Times(0.0, spacing, values.shape[-2])
    space = FunctionSpace(times, components=components, value_shape=(values.shape[-1],))
    return Function(space, torch.from_numpy(np.ascontiguousarray(values)), name=name)


def packed_rows(system: Any, parameters: Mapping[str, Any] | None) -> np.ndarray:
    """The parameters of a call as a vector, or (batch, entries) where some have a batch axis."""
    if not parameters:
        return system.packed
    values: dict[str, Any] = dict(system.parameters)
    sizes: dict[str, int] = {}
    for name, value in system.known(parameters).items():
        array = as_numbers(value, f"parameter {name!r} of {system.name}")
        shape = tuple(system.equations.shapes[name])
        if array.shape[array.ndim - len(shape) :] != shape or array.ndim - len(shape) > 1:
            raise InputError(
                f"parameter {name!r} of {system.name} must have shape {shape} or (batch, *{shape}); got {array.shape}"
            )
        if not np.isfinite(array).all():
            raise InputError(f"parameter {name!r} of {system.name} must be finite")
        if array.ndim > len(shape):
            sizes[name] = len(array)
        values[name] = array
    if len(set(sizes.values())) > 1:
        raise InputError(f"parameters with a batch axis must agree in its length; got {sizes}")
    return system.equations.pack(values)


def row_count(batch: int | None, packed: np.ndarray, initial: Any) -> int | None:
    """The number of trajectories that the arguments agree on; None for one without a batch axis."""
    given = {} if batch is None else {"batch": int(batch)}
    if packed.ndim == 2:
        given["parameters"] = len(packed)
    if initial is not None and np.ndim(initial) == 2:
        given["initial"] = len(initial)
    if len(set(given.values())) > 1:
        raise InputError(f"the number of trajectories is not clear: {', '.join(f'{k} {v}' for k, v in given.items())}")
    return next(iter(given.values()), None)
