"""Finished samples of a set that is being made: a folder of parts, each committed whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from funcspace.atomic_write import atomic_file
from funcspace.errors import FileError
from funcspace.functions import OperatorData
from funcspace.functions.files.data_writer import DataWriter
from funcspace.solvers.generation.making import FailedSample

__all__ = ["Part", "PartsFolder"]

SCHEMA = 1


@dataclass(frozen=True)
class Part:
    """Samples first, ..., first + count - 1 without those that failed, in a file of their own.

    Attributes
    ----------
    path : the data file; None where all samples failed.
    """

    first: int
    count: int
    failed: tuple[FailedSample, ...]
    path: Path | None

    @property
    def indices(self) -> list[int]:
        """The numbers of the samples in the file, in order."""
        failed = {sample.index for sample in self.failed}
        return [i for i in range(self.first, self.first + self.count) if i not in failed]


class PartsFolder:
    """The parts of one set, beside the file that they become: `NAME.parts`.

    A part is a data file and then its record `samples-FIRST-COUNT.json`; without the record the part does not exist.
    Each is written under a temporary name, synchronised and renamed, so that after a kill at any instant what has a
    record is whole.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.folder = target.with_name(f"{target.name}.parts")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process; the system lets go of it when the process ends, however it ends.

        Raises
        ------
        FileError
            When another process makes the same set, or the folder cannot be made.
        """
        import fcntl

        try:
            self.folder.mkdir(exist_ok=True)
            lock = (self.folder / "lock").open("w")
        except OSError as error:
            raise FileError(f"cannot write {self.folder}: {error.strerror or error}") from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise FileError(
                    f"another process is making {self.target}; wait for it or choose another path"
                ) from None
            try:
                yield
            finally:
                if not any(self.folder.glob("samples-*.json")):
                    self.remove()  # nothing to go on with

    def start(self, journal: dict[str, Any], *, resume: bool) -> dict[str, Any]:
        """The journal that is there, or this one, written; with `resume=False` what is there is thrown away first."""
        for entry in self.folder.iterdir():
            unfinished = entry.name.startswith(".") or entry.stem == "whole"
            if unfinished or (not resume and entry.name != "lock"):
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink(missing_ok=True)
        file = self.folder / "journal.json"
        if file.exists():
            found = json.loads(file.read_text())
            if found.get("schema") != SCHEMA:
                raise FileError(f"{self.folder} was made by another version of funcspace; give resume=False")
            return found
        _write_json(file, {"schema": SCHEMA, **journal})
        return journal

    def commit(self, first: int, count: int, pieces: Sequence[OperatorData], failed: Sequence[FailedSample]) -> None:
        """Add a part."""
        name = f"samples-{first:09d}-{count}"
        if pieces:
            with DataWriter(self.folder / f"{name}.nc") as writer:
                for piece in pieces:
                    writer.append(piece)
        record = {
            "first": first,
            "count": count,
            "made": sum(map(len, pieces)),
            "failed": [asdict(sample) for sample in failed],
        }
        _write_json(self.folder / f"{name}.json", record)

    def parts(self) -> list[Part]:
        """All parts that were committed."""
        found = []
        for file in sorted(self.folder.glob("samples-*.json")):
            record = json.loads(file.read_text())
            data = file.with_suffix(".nc")
            if record["made"] and not data.exists():
                continue
            failed = tuple(FailedSample(**entry) for entry in record["failed"])
            found.append(Part(record["first"], record["count"], failed, data if record["made"] else None))
        return found

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


def pending_ranges(first: int, count: int, done: set[int], chunk: int) -> list[tuple[int, int]]:
    """Ranges (first, count) of at most `chunk` samples that cover those not done."""
    ranges: list[tuple[int, int]] = []
    for i in range(first, first + count):
        if i in done:
            continue
        if ranges and sum(ranges[-1]) == i and ranges[-1][1] < chunk:
            ranges[-1] = (ranges[-1][0], ranges[-1][1] + 1)
        else:
            ranges.append((i, 1))
    return ranges
