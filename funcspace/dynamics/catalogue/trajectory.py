"""Sampling of systems: times, starts on the attractor, batches, noise, and the Function that holds the samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from funcspace.dynamics.catalogue.compiled_function import CompiledFunction
from funcspace.dynamics.catalogue.formula import Formula
from funcspace.dynamics.catalogue.torch_field import TorchField
from funcspace.dynamics.integrators.outcome import DONE
from funcspace.dynamics.integrators.solve import Guards, raise_on_failure, solve, writable
from funcspace.errors import InputError, SolverError
from funcspace.functions import Function, FunctionSpace
from funcspace.geometry import Times

if TYPE_CHECKING:
    from funcspace.dynamics.catalogue.system import System

__all__ = ["Sampling", "child_seed", "long_orbit", "packed_rows", "row_count", "sample", "starts"]

ORBIT_PERIODS, ORBIT_POINTS, ORBIT_BURN_IN = 256, 64, 20
ORBIT_ITERATES, MAP_BURN_IN = 16_384, 1_000
ORBIT_TOLERANCE = 1e-10
ORBIT_LIMIT, ESCAPE = 1e6, 40  # in scales, in periods
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
        if isinstance(self.count, bool) or not isinstance(self.count, int | np.integer) or self.count < 1:
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
            if not (isinstance(value, int | float | np.number) and np.isfinite(value) and value > 0):
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


def sample(
    system: System,
    sampling: Sampling,
    *,
    batch: int | None,
    seed: int | None,
    transient: float,
    noise: float,
    dynamical_noise: Any,
    standardise: bool,
    parameters: Mapping[str, Any] | None,
    initial: Any,
    wrapped: bool,
    tolerance: float,
    method: str,
    step: float | None,
    guards: Guards | None,
    workers: int | None,
) -> Function:
    """The work of `System.trajectory`, whose arguments these are."""
    if batch is not None and (isinstance(batch, bool) or not isinstance(batch, int | np.integer) or batch < 1):
        raise InputError(f"batch must be a whole number of trajectories, at least 1; got {batch!r}")
    if not (np.isfinite(transient) and transient >= 0 and np.isfinite(noise) and noise >= 0):
        raise InputError(f"transient and noise must not be negative; got transient={transient}, noise={noise}")
    spacing = sampling.spacing(system)
    packed = packed_rows(system, parameters)
    rows = row_count(batch, packed, initial)
    entropy = np.random.SeedSequence(seed).entropy
    count = 1 if rows is None else rows
    before, first = np.zeros(count), np.broadcast_to(system.initial, (count, system.dimension))
    if initial is not None:
        first = _initial(system, initial, count)
    elif seed is not None or batch is not None:
        first, before = starts(system, entropy, count)
    packed = np.broadcast_to(packed, (count, packed.shape[-1]))
    first = np.ascontiguousarray(first, dtype=np.float64)
    unit = system.period if system.period is not None else 1.0
    if dynamical_noise is not None:
        from funcspace.dynamics.catalogue.dynamical_noise import driven

        values = driven(
            system, dynamical_noise, first, packed, origins=before, transient=transient * unit, spacing=spacing,
            count=sampling.count, entropy=entropy, method=method, step=step, guards=guards or Guards(), workers=workers,
        )  # fmt: skip
    elif system.kind == "map":
        values = _iterated(system, first, packed, int(transient), int(spacing), sampling.count, guards)
    else:
        options: dict[str, Any] = {"tolerance": tolerance, "method": method, "step": step, "guards": guards}
        options |= {"workers": workers, "name": system.name, "scale": system.scale}
        _check_method(system, method)
        values = _integrated(system, first, packed, before, transient * unit, spacing, sampling.count, options)
    if wrapped:
        values = system.equations.wrap(values, packed[:, None, :])
    if noise or standardise:
        orbit = system.reference_orbit[0]
        orbit = system.wrap(orbit) if wrapped else orbit
        mean, deviation = orbit.mean(axis=0), orbit.std(axis=0)
        if noise:
            for i in range(count):
                generator = np.random.Generator(np.random.PCG64(child_seed(entropy, i, NOISE)))
                values[i] += noise * deviation * generator.standard_normal(values[i].shape)
        if standardise:
            values = (values - mean) / np.where(deviation > 0, deviation, 1.0)
    return _function(system, values if rows is not None else values[0], spacing, wrapped)


def _function(system: System, values: np.ndarray, spacing: float, wrapped: bool) -> Function:
    components = system.variables if not (wrapped and system.equations.wrapped) else None
    space = FunctionSpace(Times(0.0, spacing, values.shape[-2]), components=components, value_shape=(values.shape[-1],))
    return Function(space, torch.from_numpy(np.ascontiguousarray(values)), name=system.name)


def child_seed(entropy: Any, index: int, purpose: int) -> np.random.SeedSequence:
    """The seed of trajectory number `index`, for one purpose."""
    return np.random.SeedSequence(entropy, spawn_key=(index, purpose))


def starts(system: System, entropy: Any, count: int) -> tuple[np.ndarray, np.ndarray]:
    """States on the long orbit at random times, and those times; number i depends on the seed and i alone."""
    orbit, spacing = system.reference_orbit
    draws = np.array(
        [np.random.Generator(np.random.PCG64(child_seed(entropy, i, START))).random() for i in range(count)]
    )
    if system.kind == "map":
        return orbit[(draws * len(orbit)).astype(int)], np.zeros(count)
    place = draws * (len(orbit) - 1)
    left = np.minimum(place.astype(int), len(orbit) - 2)
    states, origins, rest = orbit[left], left * spacing, (place - left) * spacing
    if isinstance(system.equations, Formula | CompiledFunction):
        _advance(system, states, origins, rest)
    return states, place * spacing


def _advance(system: System, states: np.ndarray, origins: np.ndarray, durations: np.ndarray) -> None:
    """Move the states along their orbits, in place."""
    from funcspace.dynamics.integrators.advance import advance

    count, guards, codes = len(states), Guards(), np.zeros(len(states))
    scale = np.broadcast_to(np.asarray(system.scale, dtype=np.float64), system.dimension)
    packed = writable(np.broadcast_to(system.packed, (count, len(system.packed))))
    advance(
        system.equations.field_address, 0, count, states, packed, origins, durations, ORBIT_TOLERANCE,
        writable(ORBIT_TOLERANCE * scale), guards.limit, guards.max_steps, codes,
    )  # fmt: skip
    failed = np.flatnonzero(codes)
    if failed.size:
        raise SolverError(f"start {failed[0]} of {system.name} could not be carried along its orbit")


def long_orbit(system: System) -> tuple[np.ndarray, float]:
    """A long orbit from the system's own initial state, after a while, and the spacing of its states.

    Where it escapes, as transient chaos does, its last part is left out.
    """
    if system.kind == "map":
        first = system.initial[None]
        return _iterated(system, first, system.packed[None], MAP_BURN_IN, 1, ORBIT_ITERATES, None)[0], 1.0
    if system.period is None:
        raise InputError(
            f"starts of {system.name} are drawn from a long orbit, and its period is not known; give period=... to "
            "system(...), or initial=... to trajectory(...)"
        )
    spacing, count = system.period / ORBIT_POINTS, ORBIT_PERIODS * ORBIT_POINTS
    burn_in = 0 if system.equations.explicit_time else ORBIT_BURN_IN * ORBIT_POINTS
    times, first = spacing * np.arange(burn_in + count), system.initial[None]
    if isinstance(system.equations, TorchField):
        return system.equations.solve(first, system.packed[None], times, scale=system.scale)[0, burn_in:], spacing
    guards = Guards(limit=ORBIT_LIMIT)
    outcome = solve(
        system.equations, first, system.packed[None], times, tolerance=ORBIT_TOLERANCE, scale=system.scale,
        guards=guards, name=system.name, check=False,
    )  # fmt: skip
    if outcome.codes[0] == DONE:
        return outcome.values[0, burn_in:], spacing
    kept = int(outcome.samples[0]) - ESCAPE * ORBIT_POINTS
    if kept < 2 * ORBIT_POINTS:
        raise_on_failure(outcome, guards, system.name, "auto")
    return outcome.values[0, min(burn_in, kept // 2) : kept], spacing


def _integrated(
    system: System,
    first: np.ndarray,
    packed: np.ndarray,
    before: np.ndarray,
    transient: float,
    spacing: float,
    count: int,
    options: dict[str, Any],
) -> np.ndarray:
    times = spacing * np.arange(count)
    if transient:
        times = np.concatenate([[-transient], times])
    if isinstance(system.equations, TorchField):
        values = system.equations.solve(first, packed, times, **options)
    elif system.equations.explicit_time and before.any():
        solved = [
            solve(
                system.equations, first[i : i + 1], packed[i : i + 1], times + transient + before[i], **options
            ).values
            for i in range(len(first))
        ]
        values = np.concatenate(solved)
    else:
        shift = transient if system.equations.explicit_time else 0.0
        values = solve(system.equations, first, packed, times + shift, **options).values
    return values[:, 1:] if transient else values


def _iterated(
    system: System, first: np.ndarray, packed: np.ndarray, skip: int, every: int, count: int, guards: Guards | None
) -> np.ndarray:
    from funcspace.dynamics.integrators.iterate import iterate

    limits = guards or Guards()
    values, report = np.empty((len(first), count, system.dimension)), np.zeros((len(first), 2 + system.dimension))
    states, rows = writable(first), writable(packed)
    iterate(system.equations.field_address, 0, len(first), states, rows, skip, every, limits.limit, values, report)
    failed = np.flatnonzero(report[:, 0] != DONE)
    if failed.size:
        row = int(failed[0])
        raise SolverError(
            f"trajectory {row} of {system.name} grew beyond {limits.limit:g} after {int(report[row, 1])} "
            f"iterations; start elsewhere or change the parameters",
            state=report[row, 2:].copy(),
        )
    return values


def packed_rows(system: Any, parameters: Mapping[str, Any] | None) -> np.ndarray:
    """The parameters of a call as a vector, or (batch, entries) where some have a batch axis."""
    if not parameters:
        return system.packed
    values: dict[str, Any] = dict(system.parameters)
    sizes: dict[str, int] = {}
    for name, value in system.known(parameters).items():
        array = np.asarray(value, dtype=np.float64)
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


def _initial(system: System, initial: Any, count: int) -> np.ndarray:
    array = np.asarray(initial, dtype=np.float64)
    if array.shape not in ((system.dimension,), (count, system.dimension)):
        raise InputError(
            f"initial must be a state ({system.dimension},) of {system.name} or one per trajectory "
            f"({count}, {system.dimension}); got shape {array.shape}"
        )
    return np.broadcast_to(array, (count, system.dimension))


def _check_method(system: System, method: str) -> None:
    if method == "Yoshida" and not system.equations.separable:
        raise InputError(
            f"method \"Yoshida\" needs a state (q, p) in halves with q' = f(p) and p' = g(q); {system.name} is not "
            'of this form; take "auto"'
        )
