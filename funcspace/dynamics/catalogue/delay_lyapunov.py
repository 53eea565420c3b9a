r"""Lyapunov exponents of delay equations: tangent functions carried along solutions and orthonormalised now and then.

.. math:: \dot v(t) = \frac{\partial f}{\partial x(t)} v(t) + \sum_k \frac{\partial f}{\partial x(t - \tau_k)}
   v(t - \tau_k), \qquad (v_1, \dots, v_m) = (q_1, \dots, q_m) R, \qquad
   \lambda_i = \lim_{T \to \infty} \frac{1}{T} \sum \log R_{ii}

as functions on the last delay. J. D. Farmer, Physica D 4 (1982) did this with the delay replaced by a grid; here
solution and tangent functions are one delay equation to the integrator, with one control of the error, and vectors
are combined as the polynomials that they are. There are infinitely many exponents; the largest are found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from funcspace.arguments import check_counts, entropy_of, is_number
from funcspace.dynamics.catalogue.delay_history import FIT, NODES, Pieces
from funcspace.dynamics.catalogue.delay_trajectory import History, histories_on_attractor
from funcspace.dynamics.catalogue.lyapunov import LocalExponents, over_stretches
from funcspace.dynamics.estimate import Estimate
from funcspace.dynamics.integrators.outcome import DONE
from funcspace.dynamics.integrators.solve import ABSOLUTE, Guards, check_tolerance, writable
from funcspace.errors import InputError, SolverError

if TYPE_CHECKING:
    from funcspace.dynamics.catalogue.delay_system import DelaySystem

__all__ = ["MOST", "local_exponents", "lyapunov_spectrum"]

UNITS, WARM_UP, SHORTEST_WARM_UP, BLOCKS, MOST = 3_000, 0.1, 60, 4, 40
# Between two orthonormalisations the longest vector may outgrow the shortest by this much, in natural logarithms.
SPREAD = 6.0


def lyapunov_spectrum(
    system: DelaySystem,
    *,
    time: float | None = None,
    exponents: int = 4,
    seed: int = 0,
    batch: int = 8,
    tolerance: float = 1e-8,
    workers: int | None = None,
) -> Estimate:
    """The largest exponents (exponents,), in order, with standard errors.

    The solutions start on the attractor at random; the first tenth of each, at least 60 delays, aligns the tangent
    functions and does not count. The standard error is the larger of those of the means of solutions and of blocks.

    Parameters
    ----------
    time : length of all solutions together, by default 3000 times the period or the longest delay, whichever is longer.
    exponents : how many, up to 40.
    seed : of the histories.
    batch : number of solutions.
    tolerance : of the integration.
    workers : threads; all cores by default.

    Returns
    -------
    An `Estimate` whose `details` hold the `time` that counted and the `solutions`, the exponents of each.

    Raises
    ------
    InputError
        A number of exponents out of range, fewer than two solutions, a time that is not positive.
    SolverError
        When a solution diverges.
    """
    local = local_exponents(
        system, time=time, exponents=exponents, seed=seed, batch=batch, tolerance=tolerance, workers=workers
    )
    value, error, by_solution = over_stretches(local.rates, np.isfinite(local.rates[..., 0]))
    order = np.argsort(-value, kind="stable")
    total = local.duration * local.rates[..., 0].size
    return Estimate(value[order], error[order], {"time": total, "solutions": by_solution[:, order]})


def local_exponents(
    system: DelaySystem,
    *,
    time: float | None = None,
    exponents: int = 4,
    seed: int = 0,
    batch: int = 8,
    blocks: int = BLOCKS,
    tolerance: float = 1e-8,
    workers: int | None = None,
) -> LocalExponents:
    """The exponents of successive stretches of solutions, as `lyapunov_spectrum` measures them, without divergences.

    Parameters
    ----------
    time, exponents, seed, batch, tolerance, workers : as there.
    blocks : stretches of each solution.
    """
    check_counts(exponents=exponents, batch=batch, workers=workers)
    if exponents > MOST:
        raise InputError(f"exponents must be from 1 to {MOST}; got exponents={exponents}")
    if batch < 2:
        raise InputError(f"errors are estimated from at least two solutions; got batch={batch}")
    check_tolerance(tolerance)
    delays = np.broadcast_to(system.delay_rows(system.packed[None]), (batch, len(system.delays)))
    reach = float(delays.max())
    total = UNITS * max(system.time_unit, reach) if time is None else time
    if not (is_number(total) and total > 0):
        raise InputError(f"time must be positive; got {time}")
    pieces, origins = histories_on_attractor(system, entropy_of(seed), delays.max(axis=1))
    growth, spans = _carried(
        system, [_with_tangents(each, exponents, reach) for each in pieces], delays, origins, total / batch, exponents,
        blocks, tolerance, workers,
    )  # fmt: skip
    rates = (growth / spans[..., None]).transpose(1, 0, 2)
    return LocalExponents(rates, np.full(rates.shape[:2], np.nan), float(spans.mean()))


def _with_tangents(pieces: Pieces, vectors: int, reach: float) -> Pieces:
    """The history with tangent functions beside it: cosines in one component after the other."""
    d = pieces.coefficients.shape[2]
    times = pieces.knots[:, :1] + pieces.knots[:, 1:] * NODES
    functions = np.zeros((*times.shape, vectors, d))
    for v in range(vectors):
        functions[:, :, v, v % d] = np.cos(np.pi * (v // d) * times / reach)
    fitted = np.einsum("cn,pnv->pcv", FIT, functions.reshape(*times.shape, vectors * d))
    return Pieces(pieces.knots, np.concatenate([pieces.coefficients, fitted], axis=2))


def _carried(
    system: DelaySystem,
    pieces: list[Pieces],
    delays: np.ndarray,
    origins: np.ndarray,
    each: float,
    vectors: int,
    blocks: int,
    tolerance: float,
    workers: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of growth (solutions, blocks, vectors) and lengths of the blocks (solutions, blocks)."""
    from funcspace.dynamics.integrators.delay_tangent import carry_functions
    from funcspace.solvers.threads import over_threads

    d, rows, history, guards = system.dimension, len(pieces), History.joined(pieces), Guards()
    scale = writable(np.broadcast_to(np.asarray(system.scale, dtype=np.float64), d).copy())
    atol = writable(ABSOLUTE * tolerance * np.tile(scale, 1 + vectors))
    growth, spans, codes = np.zeros((rows, blocks, vectors)), np.zeros((rows, blocks)), np.zeros(rows)
    address, warm = system.equations.tangent_address(vectors), max(WARM_UP * each, SHORTEST_WARM_UP * delays.max())
    packed = writable(np.broadcast_to(system.packed, (rows, len(system.packed))))
    given, starts = writable(delays), writable(origins)

    def work(start: int, stop: int) -> None:
        carry_functions(
            address, start, stop, history.ranges, history.knots, history.coefficients, given, starts, packed, warm,
            each / blocks, SPREAD, scale, tolerance, atol, guards.limit / ABSOLUTE, guards.max_steps, growth, spans,
            codes,
        )  # fmt: skip

    over_threads(work, rows, workers)
    failed = np.flatnonzero(codes != DONE)
    if failed.size:
        raise SolverError(f"solution {failed[0]} of {system.name} ended before its time; start elsewhere")
    return growth, spans
