"""Discovered systems on disk: a Zarr group with one array per system, each of which appears whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from funcspace.dynamics.discovery.candidate import Candidate
from funcspace.dynamics.discovery.discovered import Discovered
from funcspace.dynamics.discovery.selection import Verdict
from funcspace.dynamics.estimate import Estimate
from funcspace.errors import FileError, InputError
from funcspace.functions.files.stored_array import INSTALL
from funcspace.optional import require

__all__ = ["DiscoveryStore"]

FORMAT = "funcspace discovered systems 1"


class DiscoveryStore:
    """A folder with a Zarr group that grows by a system at a time.

    Parameters
    ----------
    path : the folder.
    settings : what the systems depend on; a folder with others is refused.

    Raises
    ------
    FileError
        When there is something else at the path, or no folder that it could be in.
    InputError
        When there are systems of other settings.
    """

    def __init__(self, path: Any, settings: Mapping[str, Any] | None = None) -> None:
        self._zarr = require("zarr", feature="Zarr stores", install=INSTALL)
        self.path = Path(path)
        described = self.path / "zarr.json"
        if described.is_file():
            group = self._zarr.open_group(self.path, mode="r")
            if group.attrs.get("format") != FORMAT:
                raise FileError(f"{self.path} is a Zarr store of another kind; choose another path")
            stored = group.attrs["settings"]
            if settings is not None and stored != json.loads(json.dumps(settings)):
                differing = [k for k in settings if stored.get(k) != json.loads(json.dumps(settings[k]))]
                raise InputError(
                    f"{self.path} holds systems of other settings ({', '.join(differing)}): {differing[0]} is "
                    f"{stored.get(differing[0])!r} there; choose another path"
                )
        elif settings is None:
            raise FileError(f"there are no discovered systems at {self.path}")
        else:
            if self.path.is_file():
                raise FileError(f"{self.path} is a file; choose another path")
            if self.path.exists() and any(self.path.iterdir()):
                raise FileError(f"{self.path} is a folder with other content and is not overwritten")
            if not self.path.absolute().parent.is_dir():
                raise FileError(f"cannot write {self.path}: the folder {self.path.parent} does not exist")
            self.path.mkdir(exist_ok=True)
            group = self._zarr.open_group(self.path, mode="w", zarr_format=3)
            group.attrs.put({"format": FORMAT, "settings": dict(settings)})

    def __len__(self) -> int:
        count = 0
        while (self.path / _name(count)).is_dir():
            count += 1
        return count

    def append(self, place: int, verdict: Verdict, spacing: float) -> None:
        """Write the system of a place."""
        partial = self.path / f".{_name(place)}"
        shutil.rmtree(partial, ignore_errors=True)
        assert verdict.states is not None and verdict.exponent is not None
        array = self._zarr.create_array(
            store=str(partial), shape=verdict.states.shape, chunks=verdict.states.shape, dtype="float64",
            compressors=None, dimension_names=("time", "component"), zarr_format=3,
        )  # fmt: skip
        array[...] = verdict.states
        array.attrs.put(
            {
                "candidate": verdict.candidate.to_record(),
                "name": verdict.candidate.name,
                "spacing": spacing,
                "exponent": [verdict.exponent.value, verdict.exponent.error],
            }
        )
        os.replace(partial, self.path / _name(place))

    def last_index(self) -> int:
        """Number of the last candidate that was accepted; -1 where there is none."""
        count = len(self)
        return -1 if count == 0 else int(self._attributes(count - 1)["candidate"]["index"])

    def _attributes(self, place: int) -> dict[str, Any]:
        return json.loads((self.path / _name(place) / "zarr.json").read_text(encoding="utf-8"))["attributes"]

    def read(self, count: int | None = None, rejected: Mapping[str, int] | None = None) -> Discovered:
        """The first systems, or all; trajectories stay on disk until they are used."""
        number = len(self) if count is None else min(count, len(self))
        records = [self._attributes(i) for i in range(number)]
        exponents = np.array([record["exponent"] for record in records]).reshape(-1, 2)
        return Discovered(
            tuple(Candidate.from_record(record["candidate"]) for record in records),
            [_Stored(self._zarr, self.path / _name(i)) for i in range(number)],
            np.array([record["spacing"] for record in records]),
            Estimate(exponents[:, 0], exponents[:, 1]),
            rejected or {},
        )


class _Stored:
    """An array in a store, read when it is indexed."""

    def __init__(self, zarr: Any, path: Path) -> None:
        self._zarr, self._path = zarr, path

    def __getitem__(self, index: Any) -> np.ndarray:
        return np.asarray(self._zarr.open_array(str(self._path), mode="r")[index])


def _name(place: int) -> str:
    return f"system_{place:06d}"
