"""Annotations of a system, measured: exponents, dimensions, times, and the kind of its motion."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from funcspace.dynamics.annotations.annotations import Annotations, KindOfMotion
from funcspace.dynamics.annotations.settled import lifetime, settling
from funcspace.dynamics.catalogue.formula import Formula
from funcspace.dynamics.catalogue.lyapunov import LocalExponents, local_exponents, over_stretches
from funcspace.dynamics.catalogue.system import System
from funcspace.dynamics.catalogue.trajectory import starts
from funcspace.dynamics.estimate import Estimate
from funcspace.dynamics.invariants import correlation_dimension, decorrelation_time, kaplan_yorke_dimension
from funcspace.errors import InputError, SolverError

__all__ = ["annotate"]

FLOW_TIME, MAP_TIME = 20_000.0, 500_000.0
FLOW_ORBITS, MAP_ORBITS, BLOCKS = 16, 64, 40
# A positive exponent makes lengths grow by more than this factor, as a logarithm, in the later half of an orbit; where
# they grow by a power of time, as near regular orbits, it is one or two.
FEWEST_EFOLDS, ERRORS = 5.0, 3.0
# Where chaos may end: starts along the first periods of the orbit from the initial state, stretches of a few periods.
EARLY_ORBITS, EARLY_PERIODS, EARLY_LENGTH, STRETCH = 32, 10, 1_200.0, 5.0
SMOOTHED = (5, 25)
POINTS, POINTS_PER_PERIOD = 30_000, 20
CORRELATED_POINTS, CORRELATED_PER_PERIOD = 20_000, 50
SETTLED_AFTER = 1_000.0
ESCAPED = 1e4
WITHIN = 1e-9
STEPS_PER_STRETCH = 1_000_000


def annotate(system: Any, *, effort: float = 1.0, seed: int = 0, workers: int | None = None) -> Annotations:
    """Measure what `Annotations` holds.

    Exponents come from 16 orbits on the attractor, 1,250 periods each (of maps: 64 of 7,800 iterations), in 40
    stretches. Exponents are positive beyond three standard errors and if lengths go on growing exponentially. Where
    orbits settle, or are regular from the beginning, 32 others that start near the initial state show whether there
    was chaos before, and how long.

    Parameters
    ----------
    effort : factor to the length of all orbits.
    seed : of starts.
    workers : threads; all cores by default.

    Raises
    ------
    InputError
        When it is no flow or map, the effort is not positive, or the period of a flow is not known.
    SolverError
        When orbits cannot be continued.

    Examples
    --------
    >>> import funcspace as fs
    >>> fs.dynamics.annotate(fs.dynamics.system("Henon"), effort=0.02).kind
    'chaotic'
    """
    if not isinstance(system, System):
        raise InputError(f"annotate measures flows and maps, each a System; got {system!r}")
    if not (np.isfinite(effort) and effort > 0):
        raise InputError(f"the effort must be a positive number; got {effort}")
    found = _over_jumps(system, effort, seed) if _jumps(system) else _long_run(system, effort, seed, workers)
    if system.kind == "flow" and not system.hamiltonian and found.kind in ("regular", "quasi-periodic"):
        found = _before_settling(system, found, effort, seed, workers)
    if found.kind in ("chaotic", "hyperchaotic", "quasi-periodic", "regular"):
        found = _with_statistics(system, found, effort, seed)
    return replace(found, dysts=system.annotations.dysts)


def _unit(system: System) -> float:
    return 1.0 if system.kind == "map" or system.period is None else system.period


def _long_run(system: System, effort: float, seed: int, workers: int | None) -> Annotations:
    """Exponents in the long run, after what settles has settled, and the kind of motion."""
    flow, unit = system.kind == "flow", _unit(system)
    time = effort * (FLOW_TIME if flow else MAP_TIME) * unit
    orbits = FLOW_ORBITS if flow else MAP_ORBITS
    local = local_exponents(system, time=time, seed=seed, batch=orbits, blocks=BLOCKS, workers=workers)
    counted = np.isfinite(local.rates[..., 0])
    settled = None if system.hamiltonian else settling(local.rates[..., 0] * local.duration)
    if settled is not None:
        counted &= settled.after
    found = _summary(system, local, counted)
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

    unit, size = _unit(system), np.broadcast_to(np.asarray(system.scale, dtype=np.float64), system.dimension).copy()
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
    _check_enough(system, counted, block)
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


def _check_enough(system: System, counted: np.ndarray, duration: float) -> None:
    if counted.sum() < 4 or counted.any(axis=0).sum() < 2:
        raise SolverError(f"most orbits of {system.name} cannot be continued for {duration:.4g} units of time")


def _summary(system: System, local: LocalExponents, counted: np.ndarray) -> Annotations:
    """The spectrum over the stretches that count, and the kind of motion that it speaks of."""
    _check_enough(system, counted, local.duration)
    rates = local.rates
    value, error, by_orbit = over_stretches(rates, counted)
    half = counted.copy()
    half[: len(counted) // 2] = False
    half = half if half.any() else counted
    length = local.duration * half.sum() / max(1, half.any(axis=0).sum())
    order = np.argsort(-value, kind="stable")
    growth = rates[half].mean(axis=0)[order] * length
    spectrum = Estimate(value[order], error[order], {"orbits": by_orbit[:, order]})
    positive = int(((spectrum.value > ERRORS * spectrum.error) & (growth > FEWEST_EFOLDS)).sum())
    vanishing = int((np.abs(growth) < FEWEST_EFOLDS).sum())
    if positive:
        kind: KindOfMotion = "hyperchaotic" if positive > 1 else "chaotic"
    else:
        fewest = 2 if system.kind == "flow" else 1
        kind = "quasi-periodic" if vanishing >= fewest and growth[0] > -FEWEST_EFOLDS else "regular"
    return Annotations(
        kind=kind,
        largest_exponent=Estimate(float(spectrum.value[0]), float(spectrum.error[0])),
        spectrum=spectrum,
        kaplan_yorke_dimension=kaplan_yorke_dimension(spectrum),
        mean_divergence=float(local.divergences[counted].mean()),
        periods=local.duration * int(counted.sum()) / _unit(system),
    )


def _before_settling(system: System, later: Annotations, effort: float, seed: int, workers: int | None) -> Annotations:
    """Chaos that came before a regular motion, if there was any: its exponents and its lifetime."""
    unit = _unit(system)
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
            found = _summary(system, local, settled.before & np.isfinite(growth))
            durations = (settled.before.sum(axis=0) + 1) * local.duration / unit
            return replace(found, kind="transient", lifetime=lifetime(durations, settled.ended))
    return later


def _escape(system: System, effort: float, seed: int, workers: int | None) -> Estimate | None:
    """The mean time after which orbits leave for good; None if none of them does."""
    from funcspace.dynamics.integrators.outcome import BLOWN_UP, TOO_MANY_STEPS
    from funcspace.dynamics.integrators.solve import Guards, solve

    unit, count = _unit(system), EARLY_ORBITS
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
    """The correlation dimension and the decorrelation time, of bounded coordinates along one long orbit."""
    flow, known = system.kind == "flow", {}

    def orbit(points: int, rate: int) -> np.ndarray:
        """An orbit (instants, components) in bounded coordinates; those that do not vary are left out."""
        count, options = max(2_000, round(effort * points)), {"seed": seed, "tolerance": WITHIN, "wrapped": True}
        if flow:
            after = 0.0 if found.chaotic else SETTLED_AFTER
            values = system.trajectory(count, points_per_period=rate, transient=after, **options).numpy()
        else:
            values = system.trajectory(count, **options).numpy()
        return values[:, np.ptp(values, axis=0) > 0]

    with suppress(InputError):  # a fixed point, or no scaling region
        dimension = correlation_dimension(orbit(POINTS, POINTS_PER_PERIOD))
        known["correlation_dimension"] = Estimate(dimension.value, dimension.error)
    with suppress(InputError):  # an autocorrelation that does not decay
        step = _unit(system) / (CORRELATED_PER_PERIOD if flow else 1)
        values = orbit(CORRELATED_POINTS, CORRELATED_PER_PERIOD)
        known["decorrelation_time"] = float(decorrelation_time(values, step=step))
    return replace(found, **known)
