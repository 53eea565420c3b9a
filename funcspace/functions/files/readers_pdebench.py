"""HDF5 files laid out as those of PDEBench."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from funcspace.errors import FileError
from funcspace.functions.files.coordinate_axes import axis_from_coordinates, times_from_coordinates
from funcspace.functions.files.field_rows import Field, GroupedArray, Task, Tasks, task_data
from funcspace.functions.files.stored_array import StoredArray, file_stamp, opened
from funcspace.geometry.grid import Grid, periodic_names
from funcspace.geometry.grid_axis import Samples

if TYPE_CHECKING:
    from funcspace.functions.operator_data import OperatorData

__all__ = ["from_pdebench"]

AXES = ("x", "y", "z")


def from_pdebench(
    path: Any,
    *,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    task: Tasks = "step",
    stride: int = 1,
    element: str | None = None,
    periodic: Sequence[str] = (),
    samples: Samples = "cells",
    lazy: bool | None = None,
) -> OperatorData:
    """Samples from a file of PDEBench.

    ==========================================  =======================================================
    `tensor` (n, t, x[, y[, z]][, c])           one field `u`
    `nu` (n, x, y) beside `tensor` (n, 1, x, y)  Darcy: input `nu`, output `u`
    `density`, `pressure`, `Vx`, ...            one field each (n, t, x[, y[, z]])
    groups `0000`, `0001`, ... with `data`      one field `u` (t, x[, y], c) per group
    ==========================================  =======================================================

    Parameters
    ----------
    task : "step" pairs each state with the one `stride` instants later; "trajectory" pairs the first with all instants.
    periodic : names of the periodic axes; the files do not tell.
    samples : the coordinates are centres of "cells", as PDEBench's solvers have them, or "vertices".
    lazy : leave the fields in the file; by default when they would fill a quarter of the free memory or more.

    Raises
    ------
    FileError
        When the file is missing, truncated or of another layout.
    InputError
        When a field or axis is asked for that is not there.
    """
    where = str(path)
    stamp = file_stamp(where)
    with opened(where, "hdf5") as file:
        groups = sorted(key for key in file if key.isdigit() and "data" in file[key])
        place = file[groups[0]]["grid"] if groups and "grid" in file[groups[0]] else file
        coordinates = {
            axis: np.asarray(place[key][...]) for axis in AXES for key in (f"{axis}-coordinate", axis) if key in place
        }
        if not coordinates:
            raise FileError(f"{where} has no x-coordinate and so is not laid out as PDEBench's files are")
        instants = next((np.asarray(place[key][...]) for key in ("t-coordinate", "t") if key in place), None)
        dim = len(coordinates)
        fields = _fields(file, where, stamp, groups, dim)
        attributes = {
            key: float(value) for key, value in file.attrs.items() if np.ndim(value) == 0 and _is_number(value)
        }
    closed = periodic_names(periodic, coordinates)
    parsed = [
        axis_from_coordinates(name, values, periodic=name in closed, samples=samples)
        for name, values in coordinates.items()
    ]
    grid = Grid.from_axes([axis for axis, _ in parsed])
    flips = tuple(flip for _, flip in parsed)
    fields = {
        name: Field(name, array, (True,) * dim, True, by_time, flips) for name, (array, by_time) in fields.items()
    }
    moving = [field for field in fields.values() if field.by_time]
    count = moving[0].array.shape[1]
    times = None if instants is None or count < 2 else times_from_coordinates(instants[:count])[0]
    plan = Task(task if count > 1 else "step", moving[0].array.shape[0], count, stride if count > 1 else 1, times)
    if outputs is None and count == 1:
        outputs = [field.name for field in moving]
    return task_data(
        fields, plan, grid, grid.shape, inputs=inputs, outputs=outputs, element=element, lazy=lazy, source=where,
        attributes={"format": "PDEBench", **attributes},
    )  # fmt: skip


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating)


def _fields(
    file: Any, path: str, stamp: tuple[int, ...], groups: Sequence[str], dim: int
) -> dict[str, tuple[Any, bool]]:
    """The arrays by name, and whether each varies in time."""
    if groups:
        first = file[groups[0]]["data"]
        return {"u": (GroupedArray(path, groups, "data", tuple(first.shape), first.dtype), True)}
    found: dict[str, tuple[Any, bool]] = {}
    for key in file:
        dataset = file[key]
        if key.endswith("-coordinate") or not hasattr(dataset, "shape") or dataset.dtype.kind not in "fiu":
            continue
        array = StoredArray(path, "hdf5", key, tuple(dataset.shape), dataset.dtype, stamp)
        if dataset.ndim == 1 + dim:
            found[key] = (array, False)
        elif dataset.ndim in (2 + dim, 3 + dim):
            found["u" if key == "tensor" else key] = (array, True)
    if not any(by_time for _, by_time in found.values()):
        raise FileError(f"{path} has no array of {2 + dim} dimensions (sample, time, space) beside its coordinates")
    return found
