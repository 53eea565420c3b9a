"""HDF5 files laid out as those of The Well: fields by tensor order, with flags for what varies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from funcspace.errors import FileError, InputError
from funcspace.functions.files.coordinate_axes import axis_from_coordinates, times_from_coordinates
from funcspace.functions.files.field_rows import Field, Task, Tasks, task_data
from funcspace.functions.files.stored_array import StoredArray, file_stamp, opened
from funcspace.geometry.grid import SIDES, Grid, periodic_names
from funcspace.geometry.grid_axis import GridAxis, Samples

if TYPE_CHECKING:
    from funcspace.functions.operator_data import OperatorData

__all__ = ["from_well"]

GROUPS = ("t0_fields", "t1_fields", "t2_fields")


def from_well(
    path: Any,
    *,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    task: Tasks = "step",
    stride: int = 1,
    element: str | None = None,
    periodic: Sequence[str] | None = None,
    samples: Samples = "vertices",
    lazy: bool | None = None,
) -> OperatorData:
    """Samples from a file of The Well.

    Scalar, vector and tensor fields keep their components together. Constant fields are inputs, scalars are parameters,
    boundary conditions per side go to `boundary`, periodic ones make periodic axes.

    Parameters
    ----------
    inputs, outputs : names of fields; all of them, and those that vary in time, when None.
    task : "step" pairs each state with the one `stride` instants later; "trajectory" pairs the first with all instants.
    periodic : names of the periodic axes, where the file is not to be believed.
    samples : whether the coordinates are "vertices" or centres of "cells".
    lazy : leave the fields in the file; by default when they would fill a quarter of the free memory or more.

    Raises
    ------
    FileError
        When the file is missing, truncated or lacks what the format asks for.
    InputError
        When a field or axis is asked for that is not there, or the grid differs between trajectories.
    """
    where = str(path)
    stamp = file_stamp(where)
    with opened(where, "hdf5") as file:
        try:
            names = [_text(name) for name in file["dimensions"].attrs["spatial_dims"]]
            coordinates = {name: _coordinates(file["dimensions"][name], name) for name in names}
            conditions = _conditions(file.get("boundary_conditions", {}), names)
            closed = periodic_names(conditions["periodic"] if periodic is None else periodic, coordinates)
            parsed = [
                axis_from_coordinates(name, values, periodic=name in closed, samples=samples)
                for name, values in coordinates.items()
            ]
            grid = Grid.from_axes([axis for axis, _ in parsed])
            flips = tuple(flip for _, flip in parsed)
            fields = _fields(file, where, stamp, len(names), flips)
            if not fields:
                raise FileError(f"{where} has no fields in {', '.join(GROUPS)}")
            plan = _plan(file, fields, task, stride)
            parameters = _parameters(file.get("scalars", {}), plan)
            attributes = {key: _text(value) for key, value in file.attrs.items() if isinstance(value, str | bytes)}
        except KeyError as error:
            raise FileError(f"{where} is not laid out as The Well asks: {error}") from error
    return task_data(
        fields, plan, grid, grid.shape, inputs=inputs, outputs=outputs, element=element, lazy=lazy, source=where,
        parameters=parameters, boundary=_sides(conditions["sides"], grid.grid_axes, flips),
        attributes={"format": "the_well", **attributes},
    )  # fmt: skip


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _coordinates(dataset: Any, name: str) -> np.ndarray:
    values = np.asarray(dataset[...])
    if values.ndim > 1:
        flat = values.reshape(-1, values.shape[-1])
        if not (flat == flat[0]).all():
            raise InputError(f"the coordinates of {name!r} differ between trajectories or instants; one grid is needed")
        values = flat[0]
    return values


def _fields(file: Any, path: str, stamp: tuple[int, ...], dim: int, flips: tuple[bool, ...]) -> dict[str, Field]:
    fields: dict[str, Field] = {}
    for group in GROUPS:
        for name in file.get(group, {}):
            dataset = file[f"{group}/{name}"]
            attrs = dataset.attrs
            array = StoredArray(path, "hdf5", f"{group}/{name}", tuple(dataset.shape), dataset.dtype, stamp)
            varying = tuple(bool(v) for v in np.atleast_1d(attrs.get("dim_varying", [True] * dim)))
            fields[name] = Field(
                name,
                array,
                varying,
                bool(attrs.get("sample_varying", True)),
                bool(attrs.get("time_varying", True)),
                flips,
                _text(attrs.get("units", "")),
            )
    return fields


def _plan(file: Any, fields: Mapping[str, Field], task: Tasks, stride: int) -> Task:
    count = file.attrs.get("n_trajectories")
    if count is None:
        count = next((f.array.shape[0] for f in fields.values() if f.by_trajectory), 1)
    times = np.asarray(file["dimensions/time"][...])
    if times.ndim > 1:
        times = times[0] if (times == times[0]).all() or task == "step" else None
        if times is None:
            raise InputError('the instants differ between trajectories; read single steps with task="step"')
    units = _text(file["dimensions/time"].attrs.get("units", ""))
    return Task(task, int(count), len(times), stride, times_from_coordinates(times, units)[0])


def _parameters(scalars: Any, plan: Task) -> dict[str, np.ndarray]:
    """Scalars as one number per sample; those that vary in time only where samples are steps."""
    parameters = {}
    trajectory, instant = np.divmod(np.arange(plan.samples), plan.per_trajectory)
    for name in scalars:
        values = np.asarray(scalars[name][...])
        by_sample = bool(scalars[name].attrs.get("sample_varying", False))
        by_time = bool(scalars[name].attrs.get("time_varying", False))
        if values.dtype.kind not in "biuf" or (by_time and plan.kind != "step"):
            continue
        values = values.reshape(plan.trajectories if by_sample else 1, -1)
        parameters[name] = values[trajectory if by_sample else 0 * trajectory, instant if by_time else 0 * instant]
    return parameters


def _conditions(groups: Any, names: Sequence[str]) -> dict[str, Any]:
    """Periodic axes, and the kind of condition at the low and high side of the others."""
    periodic: list[str] = []
    sides: dict[str, tuple[int, int, str]] = {}
    for key in groups:
        attrs = groups[key].attrs
        kind = _text(attrs.get("bc_type", "")).lower()
        dims = [_text(dim) for dim in np.atleast_1d(attrs.get("associated_dims", []))]
        along = [dim for dim in dims if dim in names]
        if kind == "periodic":
            periodic += along
            continue
        mask = np.asarray(groups[key]["mask"][...]) if "mask" in groups[key] else np.zeros(0, dtype=bool)
        if len(along) != 1 or mask.ndim != 1:
            sides[key] = (-1, -1, kind)
            continue
        ends = [end for end in (0, 1) if mask.size == 0 or bool(mask[-end])]
        for end in ends:
            sides[f"{key} {end}"] = (names.index(along[0]), end, kind)
    return {"periodic": periodic, "sides": sides}


def _sides(
    sides: Mapping[str, tuple[int, int, str]], axes: Sequence[GridAxis], flips: Sequence[bool]
) -> dict[str, dict[str, str]]:
    """Conditions by side; the ends of an axis that ran backwards change places."""
    boundary = {}
    for key, (axis, end, kind) in sides.items():
        if axis < 0:
            boundary[key] = {"type": kind}
        elif not axes[axis].periodic:
            boundary[SIDES[axis][1 - end if flips[axis] else end]] = {"type": kind}
    return boundary
