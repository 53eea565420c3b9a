"""Annotations of a system, measured: exponents, dimensions, times, and the kind of its motion."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from funcspace.dynamics.annotations.annotate_delayed import annotate_delayed
from funcspace.dynamics.annotations.annotations import Annotations
from funcspace.dynamics.annotations.settled import lifetime, settling
from funcspace.dynamics.annotations.statistics import SETTLED_AFTER, WITHIN, with_statistics
from funcspace.dynamics.annotations.summary import BLOCKS, ERRORS, FEWEST_EFOLDS, check_enough, summary, unit_of
from funcspace.dynamics.catalogue.delay_system import DelaySystem
from funcspace.dynamics.catalogue.formula import Formula
from funcspace.dynamics.catalogue.lyapunov import local_exponents, over_stretches
from funcspace.dynamics.catalogue.system import System
from funcspace.dynamics.catalogue.trajectory import starts
from funcspace.dynamics.estimate import Estimate
from funcspace.errors import InputError

__all__ = ["annotate"]

FLOW_TIME, MAP_TIME = 20_000.0, 500_000.0
FLOW_ORBITS, MAP_ORBITS = 16, 64
# Where chaos may end: starts along the first periods of the orbit from the initial state, stretches of a few periods.
EARLY_ORBITS, EARLY_PERIODS, EARLY_LENGTH, STRETCH = 32, 10, 1_200.0, 5.0
SMOOTHED = (5, 25)
ESCAPED = 1e4
STEPS_PER_STRETCH = 1_000_000


def annotate(system: Any, *, effort: float = 1.0, seed: int = 0, workers: int | None = None) -> Annotations:
    """Measure what `Annotations` holds.

    Exponents come from 16 orbits on the attractor, 1,250 periods each (of maps: 64 of 7,800 iterations; of delay
    equations: 625 periods or delays, see `annotate_delayed`), in 40 stretches. Exponents are positive beyond three
    standard errors and if lengths go on growing exponentially. Where the orbits of a flow settle, or are regular from
    the beginning, 32 others that start near the initial state show whether there was chaos before, and how long.

    Parameters
    ----------
    effort : factor to the length of all orbits.
    seed : of starts.
    workers : threads; all cores by default.

    Raises
    ------
    InputError
        When it is no flow, map or delay equation, the effort is not positive, or the period of a flow is not known.
    SolverError
        When orbits cannot be continued.

    Examples
    --------
    >>> import funcspace as fs
    >>> fs.dynamics.annotate(fs.dynamics.system("Henon"), effort=0.02).kind
    'chaotic'
    """
    if not isinstance(system, System | DelaySystem):
        raise InputError(f"annotate measures flows, maps and delay equations; got {system!r}")
    if not (np.isfinite(effort) and effort > 0):
        raise InputError(f"the effort must be a positive number; got {effort}")
    if isinstance(system, DelaySystem):
        return replace(annotate_delayed(system, effort, seed, workers), dysts=system.annotations.dysts)
    found = _over_jumps(system, effort, seed) if _jumps(system) else _long_run(system, effort, seed, workers)
    if system.kind == "flow" and not system.hamiltonian and found.kind in ("regular", "quasi-periodic"):
        found = _before_settling(system, found, effort, seed, workers)
    if found.kind in ("chaotic", "hyperchaotic", "quasi-periodic", "regular"):
        found = _with_statistics(system, found, effort, seed)
    return replace(found, dysts=system.annotations.dysts)


def _long_run(system: System, effort: float, seed: int, workers: int | None) -> Annotations:
    """Exponents in the long run, after what settles has settled, and the kind of motion."""
    flow, unit = system.kind == "flow", unit_of(system)
    time = effort * (FLOW_TIME if flow else MAP_TIME) * unit
    orbits = FLOW_ORBITS if flow else MAP_ORBITS
    local = local_exponents(system, time=time, seed=seed, batch=orbits, blocks=BLOCKS, workers=workers)
    counted = np.isfinite(local.rates[..., 0])
    settled = None if system.hamiltonian else settling(local.rates[..., 0] * local.duration)
    if settled is not None:
        counted &= settled.after
    found = summary(system, local, counted)
    if flow and found.kind in ("chaotic", "hyperchaotic") and not np.isfinite(local.rates[..., 0]).all():
        escape = _escape(system, effort, seed, workers)
        return found if escape is None else replace(found, kind="escaping", lifetime=escape)
    return found


def _jumps(system: System) -> bool:
    """Whether the right-hand side of a flow jumps somewhere, which tangent vectors do not see."""
    if system.kind != "flow" or not isinstance(system.equations, Formula):
        return False
    graph = system.equations.graph.reduced(system.equations.outputs)[0]
    return any(node[0] in ("sign", "floor") for node in graph.nodes)


def _over_jumps(system: System, effort: float, seed: int) -> Annotations:
    """The largest exponent of neighbouring orbits."""
    from funcspace.dynamics.discovery.selection import neighbour_rates

    unit, size = unit_of(system), np.broadcast_to(np.asarray(system.scale, dtype=np.float64), system.dimension).copy()
    first = starts(system, np.random.SeedSequence(seed).entropy, FLOW_ORBITS)[0]
    block = effort * FLOW_TIME * unit / (FLOW_ORBITS * BLOCKS)
    rates = np.full((BLOCKS, FLOW_ORBITS), np.nan)
    for i, state in enumerate(first):
        stretches = neighbour_rates(
            system.equations.field_address,
            system.packed,
            state,
            scale=size,
            sizes=size,
            moved=np.ones(system.dimension, dtype=bool),
            period=unit,
            block=block,
            steps=STEPS_PER_STRETCH,
        )
        for k, (rate, code) in zip(range(-1, BLOCKS), stretches, strict=False):
            if code:
                break
            if k >= 0:
                rates[k, i] = rate
    counted = np.isfinite(rates)
    check_enough(system, counted, block)
    value, error = (float(found[0]) for found in over_stretches(rates[..., None], counted)[:2])
    growth = value * block * BLOCKS / 2
    positive = value > ERRORS * error and growth > FEWEST_EFOLDS
    orbit = system.reference_orbit[0]
    return Annotations(
        kind="chaotic" if positive else "regular",
        largest_exponent=Estimate(value, error),
        mean_divergence=float(system.divergence(orbit).mean()),
        periods=block * float(counted.sum()) / unit,
    )


def _before_settling(system: System, later: Annotations, effort: float, seed: int, workers: int | None) -> Annotations:
    """Chaos that came before a regular motion, if there was any: its exponents and its lifetime."""
    unit = unit_of(system)
    early = system.trajectory(EARLY_PERIODS * EARLY_ORBITS, points_per_period=EARLY_ORBITS, tolerance=WITHIN).numpy()
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(1,))))
    first = early[::EARLY_PERIODS] + 1e-3 * system.scale * generator.standard_normal((EARLY_ORBITS, system.dimension))
    length = effort * EARLY_LENGTH
    local = local_exponents(
        system,
        time=EARLY_ORBITS * length * unit,
        batch=EARLY_ORBITS,
        blocks=max(8, round(length / STRETCH)),
        workers=workers,
        initial=first,
    )
    growth = local.rates[..., 0] * local.duration
    for over in SMOOTHED:
        settled = settling(growth * over, over)
        if settled is not None:
            found = summary(system, local, settled.before & np.isfinite(growth))
            durations = (settled.before.sum(axis=0) + 1) * local.duration / unit
            return replace(found, kind="transient", lifetime=lifetime(durations, settled.ended))
    return later


def _escape(system: System, effort: float, seed: int, workers: int | None) -> Estimate | None:
    """The mean time after which orbits leave for good; None if none of them does."""
    from funcspace.dynamics.integrators.outcome import BLOWN_UP, TOO_MANY_STEPS
    from funcspace.dynamics.integrators.solve import Guards, solve

    unit, count = unit_of(system), EARLY_ORBITS
    first = starts(system, np.random.SeedSequence(seed).entropy, count)[0]
    times = np.linspace(0.0, effort * EARLY_LENGTH * unit, 257)
    scale = np.broadcast_to(np.asarray(system.scale, dtype=np.float64), system.dimension).copy()
    scale[list(system.unbounded)] *= times[-1] / unit
    outcome = solve(
        system.equations, first, np.tile(system.packed, (count, 1)), times, tolerance=WITHIN, scale=scale,
        guards=Guards(limit=ESCAPED), workers=workers, check=False,
    )  # fmt: skip
    ended = np.isin(outcome.codes, (BLOWN_UP, TOO_MANY_STEPS))
    return lifetime(outcome.reached / unit, ended) if ended.any() else None


def _with_statistics(system: System, found: Annotations, effort: float, seed: int) -> Annotations:
    """The same with statistics of bounded coordinates along one long orbit; those that do not vary are left out."""
    flow = system.kind == "flow"

    def orbit(points: int, rate: int) -> np.ndarray:
        options = {"seed": seed, "tolerance": WITHIN, "wrapped": True}
        if flow:
            options |= {"points_per_period": rate, "transient": 0.0 if found.chaotic else SETTLED_AFTER}
        values = system.trajectory(points, **options).numpy()
        return values[:, np.ptp(values, axis=0) > 0]

    return with_statistics(found, orbit, orbit, unit_of(system) if flow else None, effort)
