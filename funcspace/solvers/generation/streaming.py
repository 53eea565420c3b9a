"""Data sets of any size from a problem: on all cores, streamed, resumable, reproducible."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from funcspace.arguments import entropy_of, true_or_false, whole_number
from funcspace.errors import FileError, InputError, SolverError
from funcspace.functions import OperatorData
from funcspace.solvers.generation.assembling import (
    FinishedSet,
    assemble,
    check_same_problem,
    finished_set,
    owners,
)
from funcspace.solvers.generation.making import FailedSample, Problem
from funcspace.solvers.generation.parts import PartsFolder, pending_ranges
from funcspace.solvers.generation.progress import sample_bar
from funcspace.solvers.generation.workers import in_processes, in_this_process, on_cluster, where_it_pays
from funcspace.solvers.threads import available_cores

__all__ = ["Generation", "generate"]

LARGEST_CHUNK = 32
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Generation:
    """A finished set on disk.

    Attributes
    ----------
    path : the file.
    first, count : samples first, ..., first + count - 1 were asked for.
    seed : their seed.
    failed : the samples that the solver could not make; they are not in the file.
    """

    path: Path
    first: int
    count: int
    seed: int
    failed: tuple[FailedSample, ...] = ()

    @property
    def data(self) -> OperatorData:
        """The samples, left on disk until they are used (functions on meshes that vary are read)."""
        return OperatorData.load(self.path, lazy=True)

    @property
    def indices(self) -> tuple[int, ...]:
        """The number of each sample in the file, in order."""
        missing = {sample.index for sample in self.failed}
        return tuple(i for i in range(self.first, self.first + self.count) if i not in missing)

    def __len__(self) -> int:
        return self.count - len(self.failed)

    def __repr__(self) -> str:
        failed = f", {len(self.failed)} failed: {_shortened(self.failed)}" if self.failed else ""
        return f"Generation: {len(self):,} samples of seed {self.seed} in {self.path}{failed}"


def generate(
    problem: Problem,
    n: int,
    path: Any,
    seed: int | None = 0,
    *,
    first: int = 0,
    chunk: int | None = None,
    workers: int | None = None,
    client: Any = None,
    progress: bool | None = None,
    resume: bool = True,
    retry_failed: bool = False,
) -> Generation:
    """Make samples first, ..., first + n - 1 of a problem and stream them to a file.

    Chunks of samples are made in any order by worker processes and committed one by one to the folder `PATH.parts`;
    at the end they are joined in order and the file appears under its name. Memory holds a few chunks; the disk for a
    moment holds the set twice. Sample i depends on (seed, i) alone, so that the file has the same bytes whatever the
    chunks, the workers and the interruptions.

    After an interruption, a kill included, the same call goes on from the last committed chunk; workers, chunk and n
    may differ. A finished set is extended by a call with a larger range. To be safe against another problem under the
    same name, one finished sample is made anew and compared.

    A sample that raises a SolverError, an ArithmeticError or a LinAlgError is left out, reported, and recorded in
    `attributes["generated"]["failed"]` of the set.

    Parameters
    ----------
    problem : anything with `sample(n, seed, first=...) -> OperatorData`, such as `Darcy`.
    n : number of samples.
    path : the file to write, `.zarr` or `.nc`.
    seed : any integer >= 0; None draws a fresh one, which the set records.
    first : number of the first sample.
    chunk : samples per chunk; at most 32 by default, fewer for small sets.
    workers : number of processes; 1 makes the samples in this process, with the threads that the problem itself uses.
        By default it begins so, and goes on with one process for each core where that saves time. A problem made of
        lambdas or of what the main script defines needs the package cloudpickle to travel to them; one that computes on
        a GPU wants workers=1.
    client : a `dask.distributed.Client` whose workers make the samples in place of processes of this machine.
    progress : show a bar; by default when standard error is a terminal.
    resume : go on with what is there; False starts over and replaces the file.
    retry_failed : make the samples that failed before once more.

    Raises
    ------
    InputError
        When a number is out of range, the problem cannot be sent to a worker, or it is not the one that made what is
        there.
    FileError
        When the file is in the way or cannot be written, or another process is making it.
    SolverError
        When no sample could be made, or a worker process died.

    Examples
    --------
    >>> import tempfile
    >>> import funcspace as fs
    >>> path = tempfile.mkdtemp() + "/darcy.zarr"
    >>> made = fs.solvers.generate(fs.solvers.Darcy(resolution=16), 6, path, workers=1)
    >>> len(made), made.failed, made.data.outputs["u"].space.layout
    (6, (), (16, 16))
    """
    target = _checked(problem, n, path, first, chunk, workers, seed)
    _check_ways(client, progress, resume, retry_failed)
    n, first, seed = int(n), int(first), None if seed is None else int(seed)
    parts = PartsFolder(target)
    finished = finished_set(target) if resume else None
    if finished is not None:
        first, n = _widened(problem, finished, first, n, seed)
    with parts.locked():
        journal = parts.start(_journal(problem, seed, finished), resume=resume)
        if seed is not None and journal["seed"] != seed:
            raise InputError(
                f"{parts.folder} holds samples of seed {journal['seed']}, not {seed}; choose another path, or give "
                "resume=False to start over"
            )
        seed = int(journal["seed"])
        sources = [*([finished] if finished else []), *parts.parts()]
        check_same_problem(problem, owners(sources), seed)
        failed = _failures(sources, first, n)
        done = set(owners(sources)) | (set() if retry_failed else set(failed))
        size = chunk or min(LARGEST_CHUNK, max(1, n // (4 * (workers or available_cores()))))
        ranges = pending_ranges(first, n, done, size)
        _make(problem, ranges, seed, parts, workers=workers, client=client, progress=progress, n=n)
        sources = [*([finished] if finished else []), *parts.parts()]
        found, failed = owners(sources), _failures(sources, first, n)
        failures = tuple(failed[i] for i in sorted(failed))
        if len(failures) == n:
            raise SolverError(f"none of the {n} samples could be made; {_shortened(failures)}")
        if finished is None or parts.parts():
            assemble(parts, found, failures, first=first, count=n, seed=seed)
        parts.remove()
    if failures:
        logger.warning(
            "%d of %d samples could not be made and were left out: %s", len(failures), n, _shortened(failures)
        )
    return Generation(target, first, n, seed, failures)


def _make(
    problem: Problem,
    ranges: list[tuple[int, int]],
    seed: int,
    parts: PartsFolder,
    *,
    workers: int | None,
    client: Any,
    progress: bool | None,
    n: int,
) -> None:
    if not ranges:
        return
    if client is not None:
        done = on_cluster(problem, ranges, seed, parts, client=client)
    elif workers is None and available_cores() > 1:
        done = where_it_pays(problem, ranges, seed, parts, workers=available_cores())
    elif workers is None or min(workers, len(ranges)) == 1:
        done = in_this_process(problem, ranges, seed, parts)
    else:
        done = in_processes(problem, ranges, seed, parts, workers=min(workers, len(ranges)))
    with _closing(done), sample_bar(progress, n, n - sum(count for _, count in ranges)) as bar:
        for count, failed in done:
            bar.advance(count, len(failed))


@contextmanager
def _closing(iterator: Any) -> Iterator[None]:
    """End the workers at once when the loop is left early."""
    try:
        yield
    finally:
        iterator.close()


def _checked(
    problem: Any, n: int, path: Any, first: int, chunk: int | None, workers: int | None, seed: int | None
) -> Path:
    if not callable(getattr(problem, "sample", None)):
        raise InputError(f"a problem must have sample(n, seed, first=...), such as Darcy; got {problem!r}")
    optional = {"chunk": chunk, "workers": workers, "seed": seed}
    given = {name: value for name, value in optional.items() if value is not None}
    for name, value in {"n": n, "first": first, **given}.items():
        whole_number(value, name, 0 if name in ("first", "seed") else 1)
    if not isinstance(path, str | PathLike):
        raise InputError(f"path must be the path of a file that ends in .zarr or .nc; got {path!r}")
    target = Path(path).absolute()
    if target.suffix not in (".zarr", ".nc"):
        raise FileError(f"cannot tell the format of {target.name!r}: the name must end in .zarr or .nc (netCDF)")
    if not target.parent.is_dir():
        raise FileError(f"cannot write {target}: the folder {target.parent} does not exist")
    return target


def _check_ways(client: Any, progress: Any, resume: Any, retry_failed: Any) -> None:
    if client is not None and not callable(getattr(client, "submit", None)):
        raise InputError(f"client must be a dask.distributed.Client, or None; got {client!r}")
    true_or_false(False if progress is None else progress, "progress")
    true_or_false(resume, "resume")
    true_or_false(retry_failed, "retry_failed")


def _widened(problem: Problem, finished: FinishedSet, first: int, n: int, seed: int | None) -> tuple[int, int]:
    """The range asked for, which must hold all samples that are there.

    Raises
    ------
    FileError
        When it does not, or the seed is another; the message tells of another problem, too.
    """
    stop = finished.first + finished.count
    seeds = seed is not None and seed != finished.seed
    wrong = [f"holds samples of seed {finished.seed}, not {seed}"] if seeds else []
    if first > finished.first or first + n < stop:
        wrong.append(
            f"holds samples {finished.first} to {stop - 1} already, and {first} to {first + n - 1} were asked for"
        )
    if not wrong:
        return first, n
    way = "choose another path" if seeds else "load it and take a slice"
    try:
        check_same_problem(problem, owners([finished]), finished.seed)
    except InputError:
        wrong.append(f"was made by another problem than {problem!r}")
        way = "choose another path"
    raise FileError(f"{finished.path} {', and it '.join(wrong)}; {way}, or give resume=False to replace it")


def _journal(problem: Problem, seed: int | None, finished: FinishedSet | None) -> dict[str, Any]:
    from funcspace import __version__

    if seed is None:
        seed = int(entropy_of(None)) if finished is None else finished.seed
    return {"seed": seed, "problem": repr(problem), "funcspace": __version__}


def _failures(sources: list[Any], first: int, n: int) -> dict[int, FailedSample]:
    """Samples of the range that failed and were not made later."""
    made = owners(sources)
    failed = {sample.index: sample for source in sources for sample in source.failed}
    return {i: sample for i, sample in failed.items() if i not in made and first <= i < first + n}


def _shortened(failed: tuple[FailedSample, ...]) -> str:
    shown = "; ".join(f"sample {sample.index}: {' '.join(sample.message.split())}" for sample in failed[:3])
    return shown + (f"; and {len(failed) - 3} more" if len(failed) > 3 else "")
