"""Who makes the chunks: this process, worker processes of this machine, or a dask.distributed cluster.

Worker processes are plain Python processes that read pickles from a pipe. They do not import the caller's main script
anew, so that scripts need no main guard, and they end by themselves when the caller is gone.
"""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from queue import SimpleQueue
from time import monotonic
from typing import Any

from funcspace.errors import InputError, SolverError
from funcspace.optional import require
from funcspace.solvers.generation.making import FailedSample, Problem, make_samples
from funcspace.solvers.generation.parts import PartsFolder
from funcspace.solvers.threads import available_cores

__all__ = ["in_processes", "in_this_process", "on_cluster", "where_it_pays"]

Range = tuple[int, int]
Done = tuple[int, list[FailedSample]]
SECONDS_THAT_PAY = 10.0
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def in_this_process(problem: Problem, ranges: Sequence[Range], seed: int, parts: PartsFolder) -> Iterator[Done]:
    """Make the chunks one after another; yields the size of each and its failed samples."""
    for first, count in ranges:
        pieces, failed = make_samples(problem, first, count, seed)
        parts.commit(first, count, pieces, failed)
        yield count, failed


def in_processes(
    problem: Problem, ranges: Sequence[Range], seed: int, parts: PartsFolder, *, workers: int
) -> Iterator[Done]:
    """Make the chunks in worker processes, which share the cores evenly.

    Raises
    ------
    InputError
        When the problem cannot be sent to another process.
    SolverError
        When a worker process dies.
    """
    cores = max(1, available_cores() // workers)
    payload = _pickled((without_caches(problem), seed, parts, cores))
    idle: SimpleQueue[_Worker] = SimpleQueue()
    crew = [_Worker(payload, cores) for _ in range(workers)]
    for worker in crew:
        idle.put(worker)

    def work(chunk: Range) -> Done:
        worker = idle.get()
        try:
            return chunk[1], worker.make(*chunk)
        finally:
            idle.put(worker)

    pool = ThreadPoolExecutor(workers)
    try:
        for job in as_completed([pool.submit(work, chunk) for chunk in ranges]):
            yield job.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in crew:
            worker.stop()


def where_it_pays(
    problem: Problem, ranges: Sequence[Range], seed: int, parts: PartsFolder, *, workers: int
) -> Iterator[Done]:
    """Begin in this process, and start worker processes once what remains would take long enough to pay for them."""
    started = monotonic()
    for number, chunk in enumerate(ranges):
        remaining = len(ranges) - number
        if number and remaining > 1 and (monotonic() - started) / number * remaining > SECONDS_THAT_PAY:
            yield from in_processes(problem, ranges[number:], seed, parts, workers=min(workers, remaining))
            return
        yield from in_this_process(problem, [chunk], seed, parts)


class _Worker:
    def __init__(self, payload: bytes, cores: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from funcspace.solvers.generation.worker import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                **dict.fromkeys(THREADS, str(cores)),
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            },
        )
        self._payload: bytes | None = payload

    def make(self, first: int, count: int) -> list[FailedSample]:
        """Make and commit one chunk; the samples that failed."""
        sent, received = self._process.stdin, self._process.stdout
        assert sent is not None and received is not None
        try:
            if self._payload is not None:
                pickle.dump(self._payload, sent)
                self._payload = None
            pickle.dump((first, count), sent)
            sent.flush()
            outcome = pickle.load(received)
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            code = self._process.wait()
            hint = " (out of memory?)" if code == -9 else ""
            raise SolverError(
                f"a worker process ended with exit code {code}{hint} while it made samples {first} to "
                f"{first + count - 1}; what is finished is kept, and the same call goes on from there"
            ) from error
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # what was to be sent to a process that is gone
                    continue


def without_caches(problem: Any) -> Any:
    """A copy of a problem that has not computed anything yet: factorisations and closures do not travel."""
    cached = {
        name for kind in type(problem).__mro__ for name, v in vars(kind).items() if isinstance(v, cached_property)
    }
    if not cached & set(getattr(problem, "__dict__", ())):
        return problem
    bare = copy.copy(problem)
    for name in cached:
        bare.__dict__.pop(name, None)
    return bare


def _pickled(content: Any) -> bytes:
    """The bytes of an object; cloudpickle also takes lambdas and what the main script defines."""
    dumps: Callable[[Any], bytes] = import_module("cloudpickle").dumps if find_spec("cloudpickle") else pickle.dumps
    try:
        return dumps(content)
    except (TypeError, ValueError, AttributeError, pickle.PicklingError) as error:
        raise InputError(
            f"{content[0]!r} cannot be sent to worker processes: {error}; define its functions in a module, or give "
            "workers=1"
        ) from error


def on_cluster(
    problem: Problem, ranges: Iterable[Range], seed: int, parts: PartsFolder, *, client: Any
) -> Iterator[Done]:
    """Make the chunks on the workers of a dask.distributed client; this process writes them.

    At most two chunks per thread of the cluster are on their way, so that neither side holds many.
    """
    distributed = require("distributed", feature="client=", install="pip install 'dask[distributed]'")
    sent = client.scatter(without_caches(problem), broadcast=True, hash=False)
    waiting = iter(ranges)

    def submit(chunk: Range) -> Any:
        return client.submit(_make_chunk, sent, *chunk, seed, pure=False)

    slots = 2 * max(1, sum(client.nthreads().values()))
    running = [submit(chunk) for _, chunk in zip(range(slots), waiting, strict=False)]
    queue = distributed.as_completed(running)
    try:
        for future in queue:
            first, count, pieces, failed = future.result()
            parts.commit(first, count, pieces, failed)
            future.release()
            following = next(waiting, None)
            if following is not None:
                queue.add(submit(following))
            yield count, failed
    finally:
        client.cancel([*queue.futures, sent])


def _make_chunk(problem: Problem, first: int, count: int, seed: int) -> tuple[int, int, Any, list[FailedSample]]:
    return first, count, *make_samples(problem, first, count, seed)
