"""Batches of independent samples over the cores of the machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

__all__ = ["available_cores", "limit_cores", "over_columns", "over_threads"]

_limit: list[int] = []


def over_threads(work: Callable[[int, int], Any], samples: int, workers: int | None) -> None:
    """Call work(start, stop) on ranges that cover the samples, from a pool of threads."""
    threads = min(available_cores() if workers is None else max(1, int(workers)), samples)
    if threads == 1:
        work(0, samples)
        return
    step = max(1, min(32, -(-samples // (4 * threads))))
    with ThreadPoolExecutor(threads) as pool:
        jobs = [pool.submit(work, start, min(start + step, samples)) for start in range(0, samples, step)]
        for job in jobs:
            job.result()


def over_columns(work: Callable[[slice], Any], samples: int, workers: int | None, *, together: int = 32) -> None:
    """Call work(rows) on ranges that cover the samples, in whole groups of `together` samples but for the last."""
    groups = -(-samples // together)
    over_threads(
        lambda start, stop: work(slice(start * together, min(stop * together, samples))), max(groups, 1), workers
    )


def available_cores() -> int:
    """Number of cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([cores, *_limit])


def limit_cores(count: int) -> None:
    """Let solvers of this process use at most so many cores: it is one of several that share the machine."""
    _limit[:] = [max(1, int(count))]
