"""Sampling of delay equations: histories on the attractor, batches, noise, and the Function that holds the samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from funcspace.arguments import check_amounts, check_counts, entropy_of
from funcspace.dynamics.catalogue.delay_history import Pieces, pieces_of
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
from funcspace.dynamics.integrators.outcome import DONE, REASONS
from funcspace.dynamics.integrators.solve import ABSOLUTE, Guards, as_guards, check_tolerance, writable
from funcspace.errors import InputError, SolverError
from funcspace.functions import Function

if TYPE_CHECKING:
    from funcspace.dynamics.catalogue.delay_system import DelaySystem

__all__ = ["ORBIT_POINTS", "History", "histories_on_attractor", "long_solution", "sample"]

ORBIT_POINTS, ORBIT_UNITS, ORBIT_BURN_IN = 64, 256, 100
ORBIT_TOLERANCE, ORBIT_LIMIT = 1e-10, 1e6
HEAD = 5


@dataclass(frozen=True, eq=False)
class History:
    """The histories of a batch as the compiled drivers take them: pieces one after the other, and which are whose."""

    ranges: np.ndarray
    knots: np.ndarray
    coefficients: np.ndarray

    @classmethod
    def joined(cls, pieces: Sequence[Pieces]) -> History:
        """From one set of pieces per trajectory; a set that several share is stored once."""
        places: dict[int, tuple[int, int]] = {}
        knots, coefficients, end = [], [], 0
        for each in pieces:
            if id(each) not in places:
                places[id(each)] = (end, end + len(each.knots))
                end += len(each.knots)
                knots.append(each.knots)
                coefficients.append(each.coefficients)
        ranges = np.array([places[id(each)] for each in pieces], dtype=np.int64)
        return cls(ranges, writable(np.concatenate(knots)), writable(np.concatenate(coefficients)))


def sample(
    system: DelaySystem,
    sampling: Sampling,
    *,
    batch: int | None,
    seed: int | None,
    transient: float,
    noise: float,
    standardise: bool,
    parameters: Mapping[str, Any] | None,
    initial: Any,
    embedding: int | None,
    tolerance: float,
    guards: Guards | None,
    workers: int | None,
) -> Function:
    """The work of `DelaySystem.trajectory`, whose arguments these are."""
    check_counts(batch=batch, embedding=embedding, workers=workers)
    check_amounts(transient=transient, noise=noise)
    check_tolerance(tolerance)
    spacing = sampling.spacing(system)
    packed = packed_rows(system, parameters)
    at_zero = initial(0.0) if callable(initial) else initial
    rows = row_count(batch, packed, at_zero)
    count = 1 if rows is None else rows
    packed = np.ascontiguousarray(np.broadcast_to(packed, (count, packed.shape[-1])))
    delays, entropy = system.delay_rows(packed), entropy_of(seed)
    reach, origins = delays.max(axis=1), np.zeros(count)
    if initial is None and (seed is not None or batch is not None):
        pieces, origins = histories_on_attractor(system, entropy, reach)
    else:
        history = system.initial if initial is None else initial
        scale = np.broadcast_to(np.asarray(system.scale, dtype=np.float64), system.dimension)
        pieces = pieces_of(history, count, system.dimension, reach, scale, system.name)
    lagged = 1 if embedding is None else embedding
    lags = reach[:, None] * (np.arange(lagged) / max(1, lagged - 1))
    times = transient * system.time_unit + spacing * np.arange(sampling.count)
    values = _solved(system, pieces, delays, origins, packed, times, lags, tolerance, as_guards(guards), workers)
    if noise or standardise:
        orbit = system.reference_orbit[0]
        values = values.reshape(*values.shape[:-1], lagged, system.dimension)
        values = with_noise(values, noise, orbit, entropy) if noise else values
        values = standardised(values, orbit) if standardise else values
        values = values.reshape(*values.shape[:-2], -1)
    components = system.variables if embedding is None else None
    return as_function(values if rows is not None else values[0], spacing, system.name, components)


def _solved(
    system: DelaySystem,
    pieces: Sequence[Pieces],
    delays: np.ndarray,
    origins: np.ndarray,
    packed: np.ndarray,
    times: np.ndarray,
    lags: np.ndarray,
    tolerance: float,
    guards: Guards,
    workers: int | None,
) -> np.ndarray:
    from funcspace.dynamics.integrators.delay import breaking_points, sampled
    from funcspace.solvers.threads import over_threads

    d, history = system.dimension, History.joined(pieces)
    distinct, which = np.unique(delays, axis=0, return_inverse=True)
    breaks = [breaking_points(row, float(times[-1])) for row in distinct]
    table = np.full((len(breaks), max(1, max(map(len, breaks)))), np.inf)
    for i, row in enumerate(breaks):
        table[i, : len(row)] = row
    table = writable(table[which.ravel()])
    values, report = np.full((len(pieces), len(times), d * lags.shape[1]), np.nan), np.zeros((len(pieces), HEAD + d))
    atol = writable(ABSOLUTE * tolerance * np.broadcast_to(np.asarray(system.scale, dtype=np.float64), d))
    rows, address = [writable(x) for x in (delays, origins, packed, times, lags)], system.equations.field_address

    def work(start: int, stop: int) -> None:
        delay, origin, p, instants, lagged = rows
        sampled(
            address, start, stop, history.ranges, history.knots, history.coefficients, delay, table, origin, p,
            instants, lagged, values, tolerance, atol, guards.limit / ABSOLUTE, guards.max_steps, report,
        )  # fmt: skip

    over_threads(work, len(pieces), workers)
    failed = np.flatnonzero(report[:, 0] != DONE)
    if failed.size:
        row = int(failed[0])
        _raise(system, row, int(report[row, 0]), report[row, 4], report[row, HEAD:], guards)
    return values


def _raise(system: DelaySystem, row: int, code: int, time: float, state: np.ndarray, guards: Guards) -> None:
    reason = REASONS[code].format(max_steps=guards.max_steps, limit=guards.limit)
    shown = ", ".join(f"{x:.6g}" for x in state[:6])
    raise SolverError(
        f"trajectory {row} of {system.name} {reason}: it ended at time {time:.6g} in the state ({shown}); start "
        "elsewhere, change parameters or tolerance, or raise the guard",
        state=state.copy(),
    )


def long_solution(system: DelaySystem) -> Pieces:
    """A long solution from the system's own history, after a while, as pieces from time 0 on."""
    from funcspace.dynamics.integrators.delay import breaking_points, solution_pieces

    d, delays, guards = system.dimension, system.delay_rows(system.packed[None])[0], Guards(limit=ORBIT_LIMIT)
    unit = max(system.time_unit, float(delays.max()))
    scale = np.broadcast_to(np.asarray(system.scale, dtype=np.float64), d)
    start = pieces_of(system.initial, 1, d, delays.max(keepdims=True), scale, system.name)[0]
    burn_in = ORBIT_BURN_IN * unit
    end = burn_in + ORBIT_UNITS * unit
    knots, coefficients, code = solution_pieces(
        system.equations.field_address,
        writable(start.knots),
        writable(start.coefficients),
        writable(delays),
        breaking_points(delays, end),
        0.0,
        writable(system.packed[None]),
        end,
        ORBIT_TOLERANCE,
        writable(ABSOLUTE * ORBIT_TOLERANCE * scale),
        guards.limit / ABSOLUTE,
        guards.max_steps,
    )
    if code != DONE:
        _raise(system, 0, code, float(knots[-1].sum()), coefficients[-1, 0], guards)
    first = int(np.searchsorted(knots[:, 0], burn_in))
    knots = knots[first:]
    return Pieces(knots, coefficients[first:])


def histories_on_attractor(system: DelaySystem, entropy: Any, reach: np.ndarray) -> tuple[list[Pieces], np.ndarray]:
    """Parts of the long solution as histories, one for each reach (rows,), and when they end on it."""
    orbit = system.reference_pieces
    first, last = float(orbit.knots[0, 0]), float(orbit.knots[-1].sum())
    if reach.max() > last - first:
        raise InputError(
            f"a delay of {reach.max():g} is longer than the solution of {system.name} from which histories are drawn, "
            f"{last - first:g}; set it by with_parameters"
        )
    pieces, origins = [], np.zeros(len(reach))
    for i, length in enumerate(reach):
        draw = generator_of(entropy, i, START).random()
        end = first + length + draw * (last - first - length)
        pieces.append(orbit.before(end, float(length)))
        origins[i] = end if system.equations.explicit_time else 0.0
    return pieces, origins
