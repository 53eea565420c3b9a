"""Ranges of samples over threads, and the limit for processes that share a machine."""

import threading

import pytest

from funcspace.solvers import threads
from funcspace.solvers.threads import available_cores, limit_cores, over_threads


@pytest.mark.parametrize(("samples", "workers"), [(1, 4), (7, 2), (100, 3), (5, 1)])
def test_every_sample_is_in_one_range(samples, workers):
    seen, lock = [], threading.Lock()

    def work(start, stop):
        with lock:
            seen.extend(range(start, stop))

    over_threads(work, samples, workers)
    assert sorted(seen) == list(range(samples))


def test_a_limit_of_cores(monkeypatch):
    monkeypatch.setattr(threads, "_limit", [])
    before = available_cores()
    limit_cores(10_000)
    assert available_cores() == before
    limit_cores(1)
    assert available_cores() == 1


def test_errors_of_threads_reach_the_caller():
    def work(start, stop):
        if stop > 3:
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        over_threads(work, 8, 2)
