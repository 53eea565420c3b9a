"""Annotations of a delay equation: its leading exponents, as far as its dimension needs them, and statistics."""

from __future__ import annotations

import numpy as np

from funcspace.dynamics.annotations.annotations import Annotations
from funcspace.dynamics.annotations.settled import settling
from funcspace.dynamics.annotations.statistics import POINTS, SETTLED_AFTER, WITHIN, with_statistics
from funcspace.dynamics.annotations.summary import BLOCKS, summary
from funcspace.dynamics.catalogue.delay_lyapunov import MOST, local_exponents
from funcspace.dynamics.catalogue.delay_system import DelaySystem

__all__ = ["annotate_delayed"]

# Lengths of all orbits together, in periods or longest delays, whichever is longer.
LENGTH, TRIAL_LENGTH, ORBITS = 10_000.0, 400.0, 16
TRIED, BEYOND = (4, 10, 20), 4
FEWEST_LAGS = 10
STATES_TRIED = 8
# What varies less, in scales, has come to rest.
STILL = 1e-9
# A cycle that is sampled at a fraction of its period shows a few points only; states per period are so many more.
MORE = 0.5 * (5.0**0.5 - 1.0)


def annotate_delayed(system: DelaySystem, effort: float, seed: int, workers: int | None) -> Annotations:
    r"""Measure a delay equation, which has infinitely many exponents.

    Short runs find how many of the largest are needed for their sum to be negative, up to 40; these are measured. The
    correlation dimension is that of states at equidistant instants of the last delay, at least ten. So many points as
    are taken, n, show dimensions up to :math:`2 \log_{10} n` (J.-P. Eckmann and D. Ruelle, Physica D 56, 1992); where
    the Kaplan-Yorke dimension is larger, or not reached, it is left out. A component that matters as an angle alone,
    as that of SprottDelay, which wanders without bound, is replaced by its cosine and sine.
    """
    unit = max(system.time_unit, float(system.delay_rows(system.packed[None]).max()))
    options = {"seed": seed, "batch": ORBITS, "workers": workers}
    needed = MOST
    for tried in TRIED:
        rates = local_exponents(system, time=TRIAL_LENGTH * unit, exponents=tried, blocks=4, **options).rates
        sums = np.cumsum(np.sort(rates.mean(axis=(0, 1)))[::-1])
        if sums[-1] < 0:
            needed = min(int(np.flatnonzero(sums < 0)[0]) + 1 + BEYOND, MOST)
            break
    local = local_exponents(system, time=effort * LENGTH * unit, exponents=needed, blocks=BLOCKS, **options)
    counted = np.isfinite(local.rates[..., 0])
    settled = settling(local.rates[..., 0] * local.duration)
    if settled is not None:
        counted &= settled.after
    return _with_statistics(system, summary(system, local, counted), effort, seed)


def _with_statistics(system: DelaySystem, found: Annotations, effort: float, seed: int) -> Annotations:
    after = 0.0 if found.chaotic else SETTLED_AFTER
    dimension = np.inf if found.kaplan_yorke_dimension is None else float(found.kaplan_yorke_dimension)

    turning = _angles(system)

    def orbit(points: int, rate: float, lags: int = 1) -> np.ndarray:
        values = system.trajectory(
            points, dt=system.time_unit / rate, seed=seed, transient=after, embedding=lags, tolerance=WITHIN
        ).numpy()
        moving = np.ptp(values, axis=0) > STILL * np.tile(np.broadcast_to(system.scale, system.dimension), lags)
        turns, straight = moving & np.tile(turning, lags), moving & ~np.tile(turning, lags)
        return np.concatenate([values[:, straight], np.cos(values[:, turns]), np.sin(values[:, turns])], axis=1)

    def states(points: int, rate: int) -> np.ndarray:
        return orbit(points, rate + MORE, max(FEWEST_LAGS, 2 * int(np.ceil(dimension)) + 1))

    seen = dimension < 2.0 * np.log10(effort * POINTS)
    return with_statistics(found, states if seen else None, orbit, system.time_unit, effort)


def _angles(system: DelaySystem) -> np.ndarray:
    """Which components (dimension,) may be moved by a turn, together with their past, without any effect."""
    generator, count, d = np.random.Generator(np.random.PCG64(0)), len(system.delays), system.dimension
    states = generator.standard_normal((1 + count, STATES_TRIED, d)) * system.scale
    plain = system.rhs(*states)
    moved = [system.rhs(*(states + 2.0 * np.pi * direction)) for direction in np.eye(d)]
    return np.array([np.allclose(each, plain, rtol=1e-9, atol=1e-9) for each in moved])
