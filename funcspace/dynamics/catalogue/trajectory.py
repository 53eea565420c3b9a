"""Trajectories of flows and maps: starts on the attractor, batches, noise, and the Function that holds the samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from funcspace.arguments import as_numbers, check_amounts, check_counts, entropy_of
from funcspace.dynamics.catalogue.compiled_function import CompiledFunction
from funcspace.dynamics.catalogue.formula import Formula
from funcspace.dynamics.catalogue.sampling import (
    START,
    Sampling,
    as_function,
    generator_of,
    packed_rows,
    row_count,
    standardised,
    with_noise,
)
from funcspace.dynamics.catalogue.torch_field import TorchField
from funcspace.dynamics.integrators.outcome import DONE
from funcspace.dynamics.integrators.solve import Guards, as_guards, check_tolerance, raise_on_failure, solve, writable
from funcspace.errors import InputError, SolverError
from funcspace.functions import Function

if TYPE_CHECKING:
    from funcspace.dynamics.catalogue.system import System

__all__ = ["long_orbit", "sample", "starts"]

ORBIT_PERIODS, ORBIT_POINTS, ORBIT_BURN_IN = 256, 64, 20
ORBIT_ITERATES, MAP_BURN_IN = 16_384, 1_000
ORBIT_TOLERANCE = 1e-10
TORCH_PERIODS, TORCH_POINTS, TORCH_TOLERANCE = 64, 32, 1e-7
ORBIT_LIMIT, ESCAPE = 1e6, 40  # in scales, in periods


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
    check_counts(batch=batch, workers=workers)
    check_amounts(transient=transient, noise=noise)
    check_tolerance(tolerance)
    spacing = sampling.spacing(system)
    packed = packed_rows(system, parameters)
    rows = row_count(batch, packed, initial)
    entropy = entropy_of(seed)
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
            system, dynamical_noise, first, packed, transient=transient * unit, spacing=spacing,
            origins=before if system.equations.explicit_time else np.zeros(count),
            count=sampling.count, entropy=entropy, method=method, step=step, guards=as_guards(guards), workers=workers,
        )  # fmt: skip
    elif system.kind == "map":
        _check_iterations(system, transient, method, step)
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
        values = with_noise(values, noise, orbit, entropy) if noise else values
        values = standardised(values, orbit) if standardise else values
    components = system.variables if not (wrapped and system.equations.wrapped) else None
    return as_function(values if rows is not None else values[0], spacing, system.name, components)


def starts(system: System, entropy: Any, count: int) -> tuple[np.ndarray, np.ndarray]:
    """States on the long orbit at random times, and those times; number i depends on the seed and i alone."""
    orbit, spacing, beginning = system.long_orbit
    draws = np.array([generator_of(entropy, i, START).random() for i in range(count)])
    if system.kind == "map":
        return orbit[(draws * len(orbit)).astype(int)], np.zeros(count)
    place = draws * (len(orbit) - 1)
    left = np.minimum(place.astype(int), len(orbit) - 2)
    states, origins, rest = orbit[left], beginning + left * spacing, (place - left) * spacing
    if isinstance(system.equations, Formula | CompiledFunction):
        _advance(system, states, origins, rest)
        return states, beginning + place * spacing
    return states, origins


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


def long_orbit(system: System) -> tuple[np.ndarray, float, float]:
    """A long orbit from the system's own initial state, after a while, the spacing of its states and its first time.

    Where it escapes, as transient chaos does, its last part is left out.
    """
    if system.kind == "map":
        first = system.initial[None]
        return _iterated(system, first, system.packed[None], MAP_BURN_IN, 1, ORBIT_ITERATES, None)[0], 1.0, 0.0
    if system.period is None:
        raise InputError(
            f"starts of {system.name} are drawn from a long orbit, and its period is not known; give period=... to "
            "system(...), or initial=... to trajectory(...)"
        )
    spacing, count = system.period / ORBIT_POINTS, ORBIT_PERIODS * ORBIT_POINTS
    burn_in = ORBIT_BURN_IN * ORBIT_POINTS
    times, first = spacing * np.arange(burn_in + count), system.initial[None]
    if isinstance(system.equations, TorchField):
        return _torch_orbit(system, system.equations)
    guards = Guards(limit=ORBIT_LIMIT)
    outcome = solve(
        system.equations, first, system.packed[None], times, tolerance=ORBIT_TOLERANCE, scale=system.scale,
        guards=guards, name=system.name, check=False,
    )  # fmt: skip
    if outcome.codes[0] == DONE:
        return outcome.values[0, burn_in:], spacing, burn_in * spacing
    kept = int(outcome.samples[0]) - ESCAPE * ORBIT_POINTS
    if kept < 2 * ORBIT_POINTS:
        raise_on_failure(outcome, guards, system.name, "auto")
    burn_in = min(burn_in, kept // 2)
    return outcome.values[0, burn_in:kept], spacing, burn_in * spacing


def _torch_orbit(system: System, field: TorchField) -> tuple[np.ndarray, float, float]:
    """A shorter one, of a lower tolerance, for a step in torch takes a thousand times as long as a compiled one."""
    assert system.period is not None
    spacing = system.period / TORCH_POINTS
    beginning = ORBIT_BURN_IN * system.period
    times = np.concatenate([[0.0], beginning + spacing * np.arange(TORCH_PERIODS * TORCH_POINTS)])
    orbit = field.solve(
        system.initial[None], system.packed[None], times, tolerance=TORCH_TOLERANCE, scale=system.scale,
        guards=Guards(limit=ORBIT_LIMIT), name=system.name,
    )  # fmt: skip
    return orbit[0, 1:], spacing, beginning


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
    field = system.equations

    def solved(rows: slice, instants: np.ndarray) -> np.ndarray:
        if isinstance(field, TorchField):
            return field.solve(first[rows], packed[rows], instants, **options)
        return solve(field, first[rows], packed[rows], instants, **options).values

    if field.explicit_time and before.any():
        parts = [solved(slice(i, i + 1), times + transient + before[i]) for i in range(len(first))]
        values = np.concatenate(parts)
    else:
        # whether a torch function looks at the time was tried at a few times only
        timed = field.explicit_time or isinstance(field, TorchField)
        values = solved(slice(None), times + (transient if timed else 0.0))
    return values[:, 1:] if transient else values


def _iterated(
    system: System, first: np.ndarray, packed: np.ndarray, skip: int, every: int, count: int, guards: Guards | None
) -> np.ndarray:
    from funcspace.dynamics.integrators.iterate import iterate

    limits = as_guards(guards)
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


def _initial(system: System, initial: Any, count: int) -> np.ndarray:
    array = as_numbers(initial, f"initial states of {system.name}")
    if array.shape not in ((system.dimension,), (count, system.dimension)):
        raise InputError(
            f"initial must be a state ({system.dimension},) of {system.name} or one per trajectory "
            f"({count}, {system.dimension}); got shape {array.shape}"
        )
    return np.broadcast_to(array, (count, system.dimension))


def _check_iterations(system: System, transient: float, method: str, step: float | None) -> None:
    if transient != int(transient):
        raise InputError(f"{system.name} is a map; transient must be a whole number of iterations, got {transient}")
    if method != "auto" or step is not None:
        raise InputError(
            f"{system.name} is a map, which is iterated; method and step are for flows, got method={method!r}, "
            f"step={step!r}"
        )


def _check_method(system: System, method: str) -> None:
    if method == "Yoshida" and not system.equations.separable:
        raise InputError(
            f"method \"Yoshida\" needs a state (q, p) in halves with q' = f(p) and p' = g(q); {system.name} is not "
            'of this form; take "auto"'
        )
