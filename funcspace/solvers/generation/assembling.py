"""The finished set: samples of all parts in the order of their numbers, streamed into one file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from funcspace.atomic_write import replace_folder
from funcspace.errors import FileError, InputError
from funcspace.functions import OperatorData, RaggedFunction
from funcspace.functions.files.data_writer import DataWriter
from funcspace.solvers.generation.making import FAILURES, FailedSample, Problem
from funcspace.solvers.generation.parts import Part, PartsFolder

__all__ = ["FinishedSet", "assemble", "check_same_problem", "finished_set", "owners"]

BLOCK = 64
KEY = "generated"
Owners = Mapping[int, tuple[Any, int]]


@dataclass(frozen=True)
class FinishedSet:
    """A set that `generate` finished: samples first, ..., first + count - 1 of a seed but those that failed."""

    path: Path
    first: int
    count: int
    seed: int
    failed: tuple[FailedSample, ...]

    @property
    def indices(self) -> list[int]:
        """The numbers of the samples in the file, in order."""
        failed = {sample.index for sample in self.failed}
        return [i for i in range(self.first, self.first + self.count) if i not in failed]


def finished_set(path: Path) -> FinishedSet | None:
    """The set at a path, None where there is nothing.

    Raises
    ------
    FileError
        When what is there was not made by `generate`.
    """
    if not path.exists():
        return None
    try:
        record = OperatorData.load(path, lazy=True).attributes[KEY]
        failed = tuple(FailedSample(**entry) for entry in record["failed"])
        return FinishedSet(path, record["first"], record["count"], record["seed"], failed)
    except (FileError, KeyError, TypeError) as error:
        raise FileError(
            f"{path} exists and is not a set made by generate; choose another path, or give resume=False to replace it"
        ) from error


def owners(sources: Sequence[Part | FinishedSet]) -> dict[int, tuple[Part | FinishedSet, int]]:
    """For the number of each sample that is there, its source and its row in it."""
    return {index: (source, row) for source in sources for row, index in enumerate(source.indices)}


def _runs(found: Owners, wanted: Sequence[int]) -> Iterator[tuple[Any, int, int]]:
    """Rows start, ..., stop - 1 of one source that come next in the order of the samples."""
    run: list[Any] = []
    for index in wanted:
        source, row = found[index]
        if run and run[0] is source and run[2] == row:
            run[2] += 1
            continue
        if run:
            yield run[0], run[1], run[2]
        run = [source, row, row + 1]
    if run:
        yield run[0], run[1], run[2]


def assemble(
    parts: PartsFolder, found: Owners, failed: Sequence[FailedSample], *, first: int, count: int, seed: int
) -> None:
    """Write the samples that were made to the target of the parts, which appears whole or is replaced in one step."""
    whole = parts.folder / f"whole{parts.target.suffix}"
    record = {"first": first, "count": count, "seed": seed, "failed": [asdict(sample) for sample in failed]}
    opened: tuple[Any, OperatorData | None] = (None, None)
    head: Mapping[str, Any] | None = None
    with DataWriter(whole) as writer:
        for source, start, stop in _runs(found, [i for i in range(first, first + count) if i in found]):
            if opened[0] is not source:
                opened = (source, OperatorData.load(source.path, lazy=isinstance(source, FinishedSet)))
            data = opened[1]
            assert data is not None
            for row in range(start, stop, BLOCK):
                piece = data[row : min(row + BLOCK, stop)]
                if head is None:
                    head = {**piece.attributes, "first": first, KEY: record}
                writer.append(replace(piece, attributes=head))
    if parts.target.suffix == ".zarr":
        replace_folder(whole, parts.target)
    else:
        os.replace(whole, parts.target)


def check_same_problem(problem: Problem, found: Owners, seed: int) -> None:
    """Make one of the samples that are there anew and compare.

    Raises
    ------
    InputError
        When it is not the same: another problem, other options, or another version of a solver.
    """
    if not found:
        return
    index = min(found)
    source, row = found[index]
    stored = OperatorData.load(source.path, lazy=isinstance(source, FinishedSet))[row : row + 1]
    advice = (
        f"{source.path.name} was made by another problem than {problem!r}: sample {index} differs; choose another "
        "path, or give resume=False to start over"
    )
    try:
        fresh = problem.sample(1, seed, first=index)
    except FAILURES as error:
        raise InputError(advice) from error
    for old, new in ((stored.inputs, fresh.inputs), (stored.outputs, fresh.outputs)):
        if list(old) != list(new) or not all(_agree(old[name], new[name]) for name in old):
            raise InputError(advice)


def _agree(one: Any, other: Any) -> bool:
    ragged = isinstance(one, RaggedFunction)
    if ragged != isinstance(other, RaggedFunction):
        return False
    spaces = (one.spaces, other.spaces) if ragged else (one.space, other.space)
    if spaces[0] != spaces[1] or one.dtype != other.dtype if not ragged else spaces[0] != spaces[1]:
        return False
    a, b = one.coefficients, other.coefficients
    # Rounding may differ between machines; another problem differs by more.
    return a.shape == b.shape and bool(torch.linalg.vector_norm(a - b) <= 1e-5 * torch.linalg.vector_norm(a))
