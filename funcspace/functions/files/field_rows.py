"""Samples of a learning task as views of the trajectories that a file holds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import torch

from funcspace.errors import InputError
from funcspace.functions.files.chunks import free_memory
from funcspace.functions.files.stored_array import file_stamp, opened
from funcspace.functions.lazy import LazyFunction
from funcspace.functions.space import FunctionSpace
from funcspace.geometry.times import Times

if TYPE_CHECKING:
    from funcspace.functions.operator_data import OperatorData

__all__ = ["Field", "FieldRows", "GroupedArray", "Task", "Tasks", "task_data"]

BLOCK = 1 << 26
Tasks = Literal["step", "trajectory"]


class Readable(Protocol):
    """An array that reads several selections with its file opened once."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type."""
        ...

    def read(self, selections: Sequence[Any]) -> list[np.ndarray]:
        """The selections, in order."""
        ...


@dataclass(frozen=True)
class Task:
    """How trajectories become samples.

    Attributes
    ----------
    kind : "step" pairs each state with the one `stride` instants later; "trajectory" pairs the first with all of them.
    trajectories, instants : how many the file holds.
    times : the instants, None where the file does not tell them.
    """

    kind: Tasks
    trajectories: int
    instants: int
    stride: int = 1
    times: Times | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("step", "trajectory"):
            raise InputError(f'task must be "step" or "trajectory", got {self.kind!r}')
        if self.stride < 1 or (self.kind == "step" and self.instants > 1 and self.stride >= self.instants):
            raise InputError(f"stride must be at least 1 and below the {self.instants} instants, got {self.stride}")

    @property
    def per_trajectory(self) -> int:
        """Samples that each trajectory gives."""
        return max(1, self.instants - self.stride) if self.kind == "step" else 1

    @property
    def samples(self) -> int:
        """Samples altogether."""
        return self.trajectories * self.per_trajectory


@dataclass(frozen=True)
class Field:
    """A field as a file holds it: `([trajectory,] [instant,] *axes that it varies along, *components)`."""

    name: str
    array: Readable
    axes: tuple[bool, ...]
    by_trajectory: bool = True
    by_time: bool = True
    flips: tuple[bool, ...] = ()
    units: str = ""

    @property
    def values(self) -> tuple[int, ...]:
        """Shape of the components."""
        return tuple(self.array.shape[self.by_trajectory + self.by_time + sum(self.axes) :])


class FieldRows:
    """A field at the instants of a task, one row per sample.

    Parameters
    ----------
    offset : which instant of the pair; None for whole trajectories.
    space_shape : number of samples along each axis of space.
    """

    def __init__(self, field: Field, task: Task, offset: int | None, space_shape: tuple[int, ...]) -> None:
        expected = tuple(n for n, varies in zip(space_shape, field.axes, strict=True) if varies)
        lead = ((task.trajectories,) if field.by_trajectory else ()) + ((task.instants,) if field.by_time else ())
        found = tuple(field.array.shape)
        if found[: len(lead) + len(expected)] != (*lead, *expected):
            raise InputError(
                f"field {field.name!r} must have shape {(*lead, *expected)} and then its components; got {found}"
            )
        self._field, self._task, self._offset, self._space = field, task, offset, space_shape
        times = (task.instants,) if offset is None else ()
        self.shape = (task.samples, *times, *space_shape, *field.values)
        self.dtype = np.dtype(field.array.dtype).newbyteorder("=")
        if self.dtype.kind in "biu":
            self.dtype = np.dtype(np.float64)

    def __getitem__(self, index: Any) -> np.ndarray:
        return self.rows(np.arange(self.shape[0])[index])

    def rows(self, indices: np.ndarray) -> np.ndarray:
        """The samples at these indices."""
        wanted = np.asarray(indices).reshape(-1)
        trajectory, instant = np.divmod(wanted, self._task.per_trajectory)
        keys = np.stack(
            [
                trajectory if self._field.by_trajectory else 0 * trajectory,
                instant + self._offset if self._field.by_time and self._offset is not None else 0 * instant,
            ],
            axis=1,
        )
        distinct, back = np.unique(keys, axis=0, return_inverse=True)
        result = np.empty((len(distinct), *self.shape[1:]), dtype=self.dtype)
        runs = self._runs(distinct)
        size = max(1, math.prod(self.shape[1:]) * self.dtype.itemsize)
        for group in _groups(runs, max(1, BLOCK // size)):
            blocks = self._field.array.read([self._selection(distinct[start], stop - start) for start, stop in group])
            for (start, stop), block in zip(group, blocks, strict=True):
                rows = block if self._runs_along is not None else [block]
                for row, values in zip(range(start, stop), rows, strict=True):
                    result[row] = self._spread(np.asarray(values))
        back = back.reshape(-1)
        return result if np.array_equal(back, np.arange(len(wanted))) else result[back]

    @property
    def _runs_along(self) -> int | None:
        """The key, trajectory (0) or instant (1), along which neighbours lie in the file; None if there is one."""
        if self._field.by_time and self._offset is not None:
            return 1
        return 0 if self._field.by_trajectory else None

    def _runs(self, keys: np.ndarray) -> list[tuple[int, int]]:
        """Rows that lie next to each other in the file, as (first, one past the last)."""
        along = self._runs_along
        if along is None:
            return [(i, i + 1) for i in range(len(keys))]
        steps = np.diff(keys, axis=0)
        step = np.zeros(2, dtype=keys.dtype)
        step[along] = 1
        edges = np.concatenate([[0], np.flatnonzero((steps != step).any(axis=1)) + 1, [len(keys)]])
        longest = max(1, BLOCK // max(1, math.prod(self.shape[1:]) * self.dtype.itemsize))
        return [
            (start, min(start + longest, stop))
            for first, stop in pairwise(edges.tolist())
            for start in range(first, stop, longest)
        ]

    def _selection(self, key: np.ndarray, count: int) -> tuple[Any, ...]:
        trajectory, instant = int(key[0]), int(key[1])
        if self._runs_along == 1:
            lead: tuple[Any, ...] = (trajectory,) if self._field.by_trajectory else ()
            return (*lead, slice(instant, instant + count), Ellipsis)
        return (slice(trajectory, trajectory + count), Ellipsis) if self._field.by_trajectory else (Ellipsis,)

    def _spread(self, block: np.ndarray) -> np.ndarray:
        """One sample with all axes of space, running forwards."""
        times = 1 if self._offset is None else 0
        if times and not self._field.by_time:
            block = block[None]
        for axis, varies in enumerate(self._field.axes):
            if not varies:
                block = np.expand_dims(block, times + axis)
        turned = tuple(times + axis for axis, flip in enumerate(self._field.flips) if flip)
        return np.broadcast_to(np.flip(block, turned) if turned else block, self.shape[1:])


def _groups(runs: list[tuple[int, int]], rows: int) -> Iterator[list[tuple[int, int]]]:
    """Runs in groups of about so many rows, so that little is held besides the result."""
    group: list[tuple[int, int]] = []
    for run in runs:
        group.append(run)
        if run[1] - group[0][0] >= rows:
            yield group
            group = []
    if group:
        yield group


class GroupedArray:
    """Arrays of one shape, one in each of several HDF5 groups, as one array with the group first."""

    def __init__(self, path: str, groups: Sequence[str], name: str, shape: tuple[int, ...], dtype: Any) -> None:
        self.path, self.groups, self.name = path, tuple(groups), name
        self.shape, self.dtype = (len(groups), *shape), np.dtype(dtype)
        self._stamp = file_stamp(path)

    def read(self, selections: Sequence[Any]) -> list[np.ndarray]:
        """The selections; each is a tuple that begins with the number of the group."""
        with opened(self.path, "hdf5") as file:
            return [self._read(file, selection) for selection in selections]

    def _read(self, file: Any, selection: tuple[Any, ...]) -> np.ndarray:
        first, rest = selection[0], selection[1:]
        if isinstance(first, slice):
            return np.stack([np.asarray(file[f"{group}/{self.name}"][rest]) for group in self.groups[first]])
        return np.asarray(file[f"{self.groups[first]}/{self.name}"][rest])


def task_data(
    fields: Mapping[str, Field],
    task: Task,
    domain: Any,
    space_shape: tuple[int, ...],
    *,
    inputs: Sequence[str] | None,
    outputs: Sequence[str] | None,
    element: str | None = None,
    lazy: bool | None = None,
    parameters: Mapping[str, Any] | None = None,
    boundary: Mapping[str, Any] | None = None,
    attributes: Mapping[str, Any] | None = None,
    source: str,
) -> OperatorData:
    """Samples of a task: inputs are states at the first instant of each pair, outputs `<name>_next` at the second.

    For whole trajectories inputs are `<name>_start` and outputs functions over time. Fields that do not vary in time
    keep their names; they are inputs unless asked for otherwise.
    """
    from funcspace.functions.operator_data import OperatorData

    moving = [name for name, field in fields.items() if field.by_time and task.instants > 1]
    ins = _known(inputs, fields, source) if inputs is not None else list(fields)
    outs = _known(outputs, fields, source) if outputs is not None else moving
    if inputs is None:
        ins = [name for name in ins if name in moving or name not in outs]
    if not outs:
        raise InputError(f"nothing varies in time in {source}; say which of {list(fields)} are outputs=[...]")
    columns: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    for role, names in enumerate((ins, outs)):
        for name in names:
            label, offset = _place(name, name in moving, role == 1, task)
            columns[role][label] = _column(fields[name], label, task, offset, domain, space_shape, element)
    size = sum(math.prod(c.array.shape) * c.array.dtype.itemsize for group in columns for c in group.values())
    if lazy is None:
        lazy = size > free_memory() // 4
    if not lazy:
        columns = tuple({n: c.load() for n, c in group.items()} for group in columns)  # pyright: ignore[reportAssignmentType]
    return OperatorData(
        columns[0], columns[1], {n: torch.as_tensor(np.asarray(v)) for n, v in (parameters or {}).items()},
        dict(boundary or {}), dict(attributes or {}),
    )  # fmt: skip


def _known(names: Sequence[str], fields: Mapping[str, Field], source: str) -> list[str]:
    missing = [name for name in names if name not in fields]
    if missing:
        raise InputError(f"{source} has no field {missing[0]!r}; it has {list(fields)}")
    return list(names)


def _place(name: str, moves: bool, is_output: bool, task: Task) -> tuple[str, int | None]:
    """The name of a column and which instant it shows."""
    if not moves:
        return name, 0
    if task.kind == "step":
        return (f"{name}_next", task.stride) if is_output else (name, 0)
    return (name, None) if is_output else (f"{name}_start", 0)


def _column(
    field: Field, label: str, task: Task, offset: int | None, domain: Any, shape: tuple[int, ...], element: str | None
) -> LazyFunction:  # fmt: skip
    if offset is None and task.times is None:
        raise InputError(f"whole trajectories of {field.name!r} need instants, which the file does not give")
    place = domain if offset is not None else task.times * domain  # pyright: ignore[reportOptionalOperand]
    rows = FieldRows(field, task, offset, shape)
    count = math.prod(field.values)
    names = (label,) if count == 1 else tuple(f"{label}{i}" for i in range(count))
    values = () if field.values == (1,) else field.values
    space = FunctionSpace(place, element if offset is not None else None, value_shape=values, components=names)
    return LazyFunction.over(space, rows, name=label, units=field.units)
