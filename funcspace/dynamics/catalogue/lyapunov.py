r"""Lyapunov exponents of systems: tangent vectors carried along orbits and orthonormalised now and then.

.. math:: \dot V = \frac{\partial f}{\partial x} V, \qquad V = Q R, \qquad
   \lambda_i = \lim_{T \to \infty} \frac{1}{T} \sum \log R_{ii}

G. Benettin, L. Galgani, A. Giorgilli and J.-M. Strelcyn, Meccanica 15 (1980). State, tangent vectors and the
integral of the divergence are one system to the compiled integrator, with one control of the error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from funcspace.arguments import check_counts, entropy_of, is_number
from funcspace.dynamics.catalogue.torch_field import NEEDS_COMPILED, TorchField
from funcspace.dynamics.catalogue.trajectory import starts
from funcspace.dynamics.estimate import Estimate
from funcspace.dynamics.integrators.outcome import DONE
from funcspace.dynamics.integrators.solve import Guards, check_tolerance
from funcspace.errors import InputError, SolverError

if TYPE_CHECKING:
    from funcspace.dynamics.catalogue.system import System

__all__ = ["LocalExponents", "local_exponents", "lyapunov_spectrum", "over_stretches"]

PERIODS, ITERATIONS = 2_000, 200_000
FLOW_BATCH, MAP_BATCH = 16, 128
WARM_UP = 0.1
BLOCKS = 4
# Between two orthonormalisations the longest vector may outgrow the shortest by this much, in natural logarithms.
SPREAD = 6.0
SHORTEST, LONGEST = 1e-4, 1.0


def lyapunov_spectrum(
    system: System,
    *,
    time: float | None = None,
    exponents: int | None = None,
    seed: int = 0,
    batch: int | None = None,
    tolerance: float = 1e-8,
    workers: int | None = None,
) -> Estimate:
    """The exponents (exponents,), largest first, with standard errors.

    The orbits start on the attractor at random; the first tenth of each aligns the tangent vectors and does not count.
    The standard error is the larger of those of the means of orbits and of blocks of them. Tangent vectors do not see
    jumps of the right-hand side: at one they would have to jump themselves, which takes the place of the surface and
    the derivatives on both sides of it. Those of SprottMore alone, among the flows of the database, matter, and its
    annotated exponent comes from neighbouring orbits instead.

    Parameters
    ----------
    time : length of all orbits together, 2000 periods (200 000 iterations of a map) by default.
    exponents : how many, all by default.
    seed : of the starts.
    batch : number of orbits.
    tolerance : of the integration.
    workers : threads; all cores by default.

    Returns
    -------
    An `Estimate` whose `details` hold the `mean_divergence` along the same orbits, to which all exponents add up, the
    `time` that counted, the `orbits`, the exponents of each orbit, and how many blocks were `escaped`: where orbits
    leave for good, as in transient chaos, the block does not count and another start takes over.

    Raises
    ------
    InputError
        More exponents than dimensions, fewer than two orbits, a time that is not positive.
    SolverError
        When most orbits diverge.
    """
    local = local_exponents(
        system, time=time, exponents=exponents, seed=seed, batch=batch, tolerance=tolerance, workers=workers
    )
    rates, duration = local.rates, local.duration
    counted = np.isfinite(rates[..., 0])
    if counted.sum() < 0.5 * counted.size or counted.any(axis=0).sum() < 2:
        raise SolverError(f"most orbits of {system.name} escape before {duration:.4g} units of time have passed")
    value, error, by_orbit = over_stretches(rates, counted)
    order = np.argsort(-value, kind="stable")
    details = {
        "mean_divergence": float(local.divergences[counted].mean()),
        "time": duration * int(counted.sum()),
        "orbits": by_orbit[:, order],
        "escaped": int(counted.size - counted.sum()),
    }
    return Estimate(value[order], error[order], details)


def over_stretches(rates: np.ndarray, counted: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means (exponents,) of rates (blocks, orbits, exponents), their standard errors, and the means of each orbit.

    The error is the larger of those of the means of orbits and of stretches; `counted` (blocks, orbits) says which
    stretches count, of at least two orbits.
    """
    by_orbit = np.stack([rates[use, i].mean(axis=0) for i, use in enumerate(counted.T) if use.any()])
    error = np.maximum(
        by_orbit.std(axis=0, ddof=1) / np.sqrt(len(by_orbit)),
        rates[counted].std(axis=0, ddof=1) / np.sqrt(counted.sum()),
    )
    return rates[counted].mean(axis=0), error, by_orbit


@dataclass(frozen=True, eq=False)
class LocalExponents:
    """Exponents of stretches of orbits; NaN where an orbit escaped, and another start then took over.

    Attributes
    ----------
    rates : growth per time along each tangent vector, in the order of the vectors, (blocks, orbits, exponents).
    divergences : mean divergence over each stretch, (blocks, orbits); NaN of delay equations, which have none.
    duration : length of a stretch.
    """

    rates: np.ndarray
    divergences: np.ndarray
    duration: float


def local_exponents(
    system: System,
    *,
    time: float | None = None,
    exponents: int | None = None,
    seed: int = 0,
    batch: int | None = None,
    blocks: int = BLOCKS,
    tolerance: float = 1e-8,
    workers: int | None = None,
    initial: np.ndarray | None = None,
) -> LocalExponents:
    """The exponents of successive stretches of orbits, as `lyapunov_spectrum` measures them.

    Parameters
    ----------
    time, exponents, seed, batch, tolerance, workers : as there.
    blocks : stretches of each orbit.
    initial : states (batch, dimension) to start from, instead of random ones on the attractor; then nothing is left
        out at first but what aligns the tangent vectors, ten periods.
    """
    if isinstance(system.equations, TorchField):
        raise InputError(f"Lyapunov exponents of {system.name} {NEEDS_COMPILED}")
    count = system.dimension if exponents is None else exponents
    orbits = batch if batch is not None else (MAP_BATCH if system.kind == "map" else FLOW_BATCH)
    check_counts(exponents=exponents, batch=batch, workers=workers)
    check_tolerance(tolerance)
    if count > system.dimension:
        raise InputError(f"{system.name} has {system.dimension} Lyapunov exponents; got exponents={count}")
    if orbits < 2:
        raise InputError(f"errors are estimated from at least two orbits; got batch={orbits}")
    unit = 1.0 if system.kind == "map" else system.period
    if unit is None:
        raise InputError(f"the period of {system.name} is not known; give period=... to system(...)")
    total = (ITERATIONS if system.kind == "map" else PERIODS * unit) if time is None else time
    if not (is_number(total) and total > 0):
        raise InputError(f"time must be positive; got {time}")
    if initial is None:
        first, before = starts(system, entropy_of(seed), orbits)
    else:
        first, before = np.array(initial, dtype=np.float64), np.zeros(orbits)
    each = total / orbits
    run = (
        _Iterations(system, first, count)
        if system.kind == "map"
        else _Flow(system, first, before, count, tolerance, workers)
    )
    aligning = (10.0 if system.kind == "flow" else 100.0) * unit
    run.advance(max(WARM_UP * each, aligning) if initial is None else aligning)
    rates, divergences, duration = [], [], 0.0
    for _ in range(blocks):
        growth, divergence, duration = run.advance(each / blocks)
        rates.append(growth / duration)
        divergences.append(divergence / duration)
    return LocalExponents(np.stack(rates), np.stack(divergences), duration)


class _Flow:
    """Orbits of a flow with their tangent vectors, and the interval between orthonormalisations."""

    def __init__(
        self, system: System, first: np.ndarray, before: np.ndarray, count: int, tolerance: float, workers: int | None
    ) -> None:
        self.system, self.count, self.tolerance, self.workers = system, count, tolerance, workers
        orbits, d = first.shape
        scale = np.broadcast_to(np.asarray(system.scale, dtype=np.float64), d)
        self.scale = np.where(scale > 0, scale, 1.0)
        self.packed = np.tile(np.append(system.packed, float(count)), (orbits, 1))
        vectors = np.broadcast_to(np.eye(d)[:count] * self.scale, (orbits, count, d))
        self.state = np.concatenate([first, vectors.reshape(orbits, -1), np.zeros((orbits, 1))], axis=1)
        self.times = before if system.equations.explicit_time else np.zeros(orbits)
        self.atol = tolerance * np.concatenate([self.scale, np.tile(self.scale, count), [1.0]])
        assert system.period is not None
        self.steps, self.intervals = np.zeros(orbits), np.full(orbits, 0.01 * system.period)
        self.bounds = np.array([SHORTEST, LONGEST]) * system.period
        self.first, self.replaced = self.state[:, :d].copy(), 0

    def advance(self, duration: float) -> tuple[np.ndarray, np.ndarray, float]:
        """Logarithms of growth (orbits, count) and integrals of the divergence (orbits,) over a time."""
        from funcspace.dynamics.integrators.tangent import carry
        from funcspace.solvers.threads import over_threads

        growth, report, guards = np.zeros((len(self.state), self.count)), np.zeros((len(self.state), 3)), Guards()
        self.state[:, -1] = 0.0

        def work(start: int, stop: int) -> None:
            carry(
                self.system.equations.extended_address,
                start,
                stop,
                self.state,
                self.packed,
                self.times,
                duration,
                self.intervals,
                self.steps,
                self.bounds,
                SPREAD,
                self.system.dimension,
                self.count,
                self.scale,
                self.tolerance,
                self.atol,
                guards.limit,
                guards.max_steps,
                growth,
                report,
            )

        over_threads(work, len(self.state), self.workers)
        integral = self.state[:, -1].copy()
        for row in np.flatnonzero(report[:, 0] != DONE):
            growth[row], integral[row] = np.nan, np.nan
            self._start_again(int(row))
        if self.system.equations.explicit_time:
            self.times = self.times + duration
        return growth, integral, duration

    def _start_again(self, row: int) -> None:
        """Another start for an orbit that escaped."""
        d, others = self.system.dimension, len(self.first)
        self.replaced += 1
        self.state[row, :d] = self.first[(row + self.replaced) % others]
        self.state[row, d:-1] = (np.eye(d)[: self.count] * self.scale).ravel()
        self.steps[row], self.intervals[row] = 0.0, self.bounds[0]


class _Iterations:
    """Orbits of a map with their tangent vectors."""

    def __init__(self, system: System, first: np.ndarray, count: int) -> None:
        self.system, self.count, self.state = system, count, first
        self.vectors = np.broadcast_to(np.eye(system.dimension)[:, :count], (len(first), system.dimension, count))

    def advance(self, duration: float) -> tuple[np.ndarray, np.ndarray, float]:
        """Logarithms of growth (orbits, count) and of volumes (orbits,) over a number of iterations."""
        growth, volume = np.zeros((len(self.state), self.count)), np.zeros(len(self.state))
        iterations = max(1, round(duration))
        equations, packed = self.system.equations, self.system.packed
        for _ in range(iterations):
            matrix = equations.jacobian(self.state, 0.0, packed)
            self.state = equations.evaluate(self.state, 0.0, packed)
            self.vectors, r = np.linalg.qr(matrix @ self.vectors)
            growth += np.log(np.maximum(np.abs(np.einsum("bii->bi", r)), 1e-300))
            volume += np.log(np.maximum(np.abs(np.linalg.det(matrix)), 1e-300))
        return growth, volume, float(iterations)
