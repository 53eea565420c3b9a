"""Discover new chaotic systems."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

import numpy as np

from funcspace.dynamics.discovery.candidate import Mutation, candidate, checked_founders, founder
from funcspace.dynamics.discovery.discovered import Discovered
from funcspace.dynamics.discovery.discovery_store import DiscoveryStore
from funcspace.dynamics.discovery.selection import Trial, Verdict, try_candidate
from funcspace.dynamics.estimate import Estimate
from funcspace.errors import InputError, SolverError
from funcspace.solvers.threads import available_cores

__all__ = ["discover"]

logger = logging.getLogger(__name__)
AHEAD = 4
MOST_CANDIDATES = 200


def discover(
    n: int,
    *,
    seed: int = 0,
    path: Any = None,
    founders: Sequence[str] | None = None,
    mutation: Mutation | None = None,
    trial: Trial | None = None,
    workers: int | None = None,
) -> Discovered:
    r"""Find n chaotic systems that nobody has seen: jittered founders, and skew products of two of them.

    .. math:: \theta' = \theta + N(0, (s |\theta|)^2 + 10^{-6}), \qquad
       \dot x = f_a(x; \theta'_a), \quad \dot y_i = r \big( f_{b,i}(y; \theta'_b) + g_i f_{a,s(i)}(x; \theta'_a) \big)

    with gains scaled by the root mean squares of both flows (after Lai, Bao and Gilpin, arXiv 2505.13755). A candidate
    is integrated within bounds on steps and on the size of its state; it must vary in every component, neither settle
    on a point nor fill a line, and not be regular by the 0-1 test. What remains is measured: the distance of two
    neighbouring orbits must grow at a rate that is positive beyond four standard errors, and go on growing.

    Candidate k depends on the seed and k alone, and the first n that are accepted are returned: the same bytes for any
    number of workers, with a path or without, in one go or resumed.

    Parameters
    ----------
    n : number of systems.
    seed : of the candidates.
    path : folder of a Zarr store to write to. One that is there already is continued, if it has the same settings;
        what was interrupted goes on where it ended.
    founders : names of flows; all that stay chaotic by default.
    mutation : how candidates differ from founders.
    trial : how they are integrated and measured.
    workers : threads; all cores by default.

    Raises
    ------
    InputError
        Arguments out of range, founders from which nothing can be made, a path with systems of other settings.
    SolverError
        When hardly any candidate is chaotic.

    Examples
    --------
    >>> import funcspace as fs
    >>> found = fs.dynamics.discover(2, seed=0, founders=("Lorenz", "Rossler"))
    >>> len(found), found[0].coefficients.shape[0], bool((found.exponents.value > 3 * found.exponents.error).all())
    (2, 4096, True)
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise InputError(f"discover needs a whole number of systems, at least 1; got {n!r}")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"the seed must be a whole number, at least 0; got {seed!r}")
    names, change, test = checked_founders(founders), mutation or Mutation(), trial or Trial()
    entropy = np.random.SeedSequence(seed).entropy
    settings = {
        "seed": int(seed),
        "founders": list(names),
        "mutation": asdict(change),
        "trial": {key: value for key, value in asdict(test).items() if key != "wall_time"},
    }
    store = None if path is None else DiscoveryStore(path, settings)
    kept: list[Verdict] = []
    count, first = (0, 0) if store is None else (len(store), store.last_index() + 1)
    rejected: Counter[str] = Counter()
    if count < n:
        for name in names:
            founder(name)
        verdicts = _verdicts(first, entropy, names, change, test, workers)
        for verdict in verdicts:
            if verdict.reason != "accepted":
                rejected[verdict.reason] += 1
                tried = verdict.candidate.index + 1
                if tried > MOST_CANDIDATES * (count + 1):
                    verdicts.close()
                    raise SolverError(
                        f"of {tried} candidates only {count} are chaotic; the commonest reason is "
                        f"{rejected.most_common(1)[0][0]!r}. Take less jitter, or other founders"
                    )
                continue
            if store is None:
                kept.append(verdict)
            else:
                store.append(count, verdict, _spacing(verdict, test))
            count += 1
            logger.info("%d of %d: %s", count, n, verdict.candidate.name)
            if count == n:
                verdicts.close()
                break
    if store is not None:
        return store.read(n, rejected)
    exponents = [verdict.exponent for verdict in kept if verdict.exponent is not None]
    return Discovered(
        tuple(verdict.candidate for verdict in kept),
        [verdict.states for verdict in kept],
        np.array([_spacing(verdict, test) for verdict in kept]),
        Estimate([float(e) for e in exponents], [e.error for e in exponents]),
        dict(rejected),
    )


def _spacing(verdict: Verdict, trial: Trial) -> float:
    return trial.periods * verdict.candidate.period / trial.points


def _verdicts(
    first: int, entropy: Any, names: Sequence[str], mutation: Mutation, trial: Trial, workers: int | None
) -> Generator[Verdict, None, None]:
    """Verdicts on candidates in their order, from threads that work some candidates ahead."""

    def judge(index: int) -> Verdict:
        return try_candidate(candidate(index, entropy, names, mutation), trial)

    threads = available_cores() if workers is None else max(1, int(workers))
    if threads == 1:
        index = first
        while True:
            yield judge(index)
            index += 1
    pool = ThreadPoolExecutor(threads)
    waiting: deque[Future[Verdict]] = deque()
    try:
        index = first
        while True:
            while len(waiting) < AHEAD * threads:
                waiting.append(pool.submit(judge, index))
                index += 1
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
