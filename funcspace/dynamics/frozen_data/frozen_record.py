"""What a frozen trajectory is made from: checkpoints, spacing and parameters, as recorded when a version was made."""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import Any, Literal

import numpy as np

from funcspace.dynamics.catalogue.abstract_system import unknown
from funcspace.errors import InputError

__all__ = ["FrozenRecord", "Kind", "Split", "content_hash", "frozen_names", "frozen_record"]

Split = Literal["train", "test"]
Kind = Literal["flow", "map", "delay"]
SPLITS: tuple[Split, ...] = ("train", "test")
# Where the file of a version has the systems of each kind; a name means the first that has it.
GROUPS: dict[Kind, str] = {"flow": "systems", "map": "maps", "delay": "delays"}
VERSIONS = (1,)
DIGITS = 1e3


@dataclass(frozen=True, eq=False)
class FrozenRecord:
    """A trajectory of a version of the frozen data.

    Attributes
    ----------
    name, split, version, kind : which one; the kind is "flow", "map" or "delay".
    checkpoints : states (segments + 1, entries), `points` apart; each segment is integrated from its own. Of a delay
        equation a state is the solution over the last delay, at the nodes that `frozen_data.segments` takes.
    points : samples per segment.
    spacing : time between samples.
    start : time of the first sample, where time occurs in the equations.
    parameters : as the compiled code takes them.
    scale : size of each component, for tolerances and for the hash.
    seed, method, tolerance : how the checkpoints were made, and segments are integrated; a map has neither of the
        last two.
    sha256 : hash of the content, see `content_hash`.
    """

    name: str
    split: Split
    version: int
    kind: Kind
    checkpoints: np.ndarray
    points: int
    spacing: float
    start: float
    parameters: np.ndarray
    scale: np.ndarray
    seed: int
    method: str
    tolerance: float
    sha256: str


def content_hash(values: np.ndarray, scale: np.ndarray) -> str:
    """SHA-256 of samples (points, dimension) rounded to a thousandth of the scale of each component.

    Rounding makes it the same on machines whose arithmetic differs in the last bits, as segments are too short for
    that to grow to more than 1e-9; a change of 1e-7 in the samples is seen, because some of them round otherwise.

    >>> values = np.array([[0.5], [1.0]])
    >>> content_hash(values, np.ones(1)) == content_hash(values * (1.0 + 1e-12), np.ones(1))
    True
    """
    rounded = np.rint(values / scale * DIGITS) + 0.0
    return hashlib.sha256(np.ascontiguousarray(rounded, dtype="<i8").tobytes()).hexdigest()


@functools.cache
def _content(version: int) -> tuple[dict[str, Any], np.ndarray]:
    folder = files("funcspace.dynamics.frozen_data")
    described = json.loads(folder.joinpath(f"version{version}.json").read_text(encoding="utf-8"))
    with as_file(folder.joinpath(f"version{version}.npy")) as path:
        values = np.load(path, allow_pickle=False)
    return described, values


def _checked(version: int) -> int:
    if version not in VERSIONS:
        raise InputError(f"there are versions {', '.join(map(str, VERSIONS))} of the frozen data; got {version!r}")
    return version


def frozen_names(version: int = 1, *, kind: Kind | None = None) -> tuple[str, ...]:
    """The systems that a version holds, of all kinds or of one.

    Raises
    ------
    InputError
        For an unknown version or kind.

    Examples
    --------
    >>> [len(frozen_names(kind=kind)) for kind in ("flow", "map", "delay")]
    [129, 23, 6]
    """
    described = _content(_checked(version))[0]
    if kind not in (None, *GROUPS):
        raise InputError(unknown("kind", kind, GROUPS))
    names = [name for each in (GROUPS if kind is None else (kind,)) for name in described[GROUPS[each]]]
    return tuple(dict.fromkeys(names))


def frozen_record(name: str, split: Split = "train", *, kind: Kind | None = None, version: int = 1) -> FrozenRecord:
    """The record of a frozen trajectory.

    Raises
    ------
    InputError
        For an unknown name, split, kind or version.
    """
    described, values = _content(_checked(version))
    if split not in SPLITS:
        raise InputError(f"the split must be one of {', '.join(SPLITS)}; got {split!r}")
    names = frozen_names(version, kind=kind)
    if name not in names:
        raise InputError(unknown(f"frozen {kind or 'system'}", name, names))
    kind = kind or next(each for each in GROUPS if name in described[GROUPS[each]])
    system = described[GROUPS[kind]][name]
    protocol, own = {**described["protocol"], **system}, system[split]
    rows = protocol["segments"] + 1
    entries = system.get("entries", len(system["scale"]))
    states = values[own["offset"] : own["offset"] + rows * entries].reshape(rows, entries)
    return FrozenRecord(
        name,
        split,
        version,
        kind,
        states,
        protocol["points"],
        system["spacing"],
        own["start"],
        np.array(system["parameters"], dtype=np.float64),
        np.array(system["scale"], dtype=np.float64),
        protocol["seed"],
        protocol["method"],
        protocol["tolerance"],
        own["sha256"],
    )
