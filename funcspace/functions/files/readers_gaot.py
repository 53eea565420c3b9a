"""netCDF files of functions on point clouds: `u`, `c` and `x` over (sample, time, node, channel)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from funcspace.errors import FileError, InputError
from funcspace.functions.files.coordinate_axes import times_from_coordinates
from funcspace.functions.files.field_rows import Field, Task, Tasks, task_data
from funcspace.functions.files.stored_array import StoredArray, file_stamp, opened
from funcspace.functions.function import Function
from funcspace.functions.ragged import RaggedFunction
from funcspace.functions.space import FunctionSpace

if TYPE_CHECKING:
    from funcspace.functions.operator_data import OperatorData

__all__ = ["from_gaot"]


def from_gaot(
    path: Any,
    *,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    domain: Any = None,
    task: Tasks = "step",
    stride: int = 1,
    instants: Any = None,
    element: str | None = None,
    lazy: bool | None = None,
) -> OperatorData:
    """Samples from a file with `u` (S, T, N, channels), perhaps `c` (S, T or 1, N, channels), `x` (S or 1, 1, N, d).

    With one instant, `c` is the input and `u` the output; with several, see `task`. Nodes that are the same for all
    samples make one PointCloud; nodes that differ make ragged functions, which are read into memory.

    Parameters
    ----------
    domain : where the functions live, for files without `x`, or a mesh whose points are the nodes.
    task : "step" pairs each state with the one `stride` instants later; "trajectory" pairs the first with all instants.
    instants : the T instants, which the files do not hold; 0, 1, 2, ... when None.

    Raises
    ------
    FileError
        When the file is missing, truncated or has no such `u`.
    InputError
        When the nodes are missing, or what is asked for is not there.
    """
    where = str(path)
    arrays = _arrays(where)
    if "u" not in arrays or len(arrays["u"].shape) != 4:
        raise FileError(f"{where} has no variable u of shape (samples, instants, nodes, channels)")
    fields = {name: array for name, array in arrays.items() if name in ("u", "c") and len(array.shape) == 4}
    count, steps, nodes, _ = fields["u"].shape
    points = np.asarray(arrays["x"][...], dtype=np.float64) if "x" in arrays else None
    if points is None and domain is None:
        raise InputError(f"{where} does not hold the nodes (x); give domain=..., such as a Grid of {nodes} samples")
    if domain is None and points is not None and points.shape[0] > 1:
        if not (points == points[:1]).all():
            return _ragged(where, fields, points[:, 0], task, steps, element, inputs, outputs)
        points = points[:1]
    if domain is None and points is not None:
        from funcspace.geometry.cloud import PointCloud

        domain = PointCloud(points.reshape(-1, points.shape[-1]))
    assert domain is not None
    space = FunctionSpace(domain, element)
    if space.n_dofs != nodes:
        raise InputError(f"{where} has {nodes} nodes, but {domain!r} has {space.n_dofs} dofs")
    times = times_from_coordinates(np.arange(steps, dtype=float) if instants is None else instants)[0]
    if times.count != steps:
        raise InputError(f"instants must have {steps} entries, one per instant of the file; got {times.count}")
    flat = {
        name: Field(name, array if array.shape[1] > 1 or steps == 1 else _FirstInstant(array), (True,), True,
                    array.shape[1] > 1 or steps == 1)
        for name, array in fields.items()
    }  # fmt: skip
    plan = Task(task if steps > 1 else "step", count, steps, stride if steps > 1 else 1, times)
    if steps == 1:
        outputs = outputs or ["u"]
        if inputs is None and "c" not in fields:
            raise InputError(f"{where} has one instant and no c: there is nothing to take as input")
    return task_data(
        flat, plan, domain, (nodes,), inputs=inputs, outputs=outputs, element=element, lazy=lazy, source=where,
        attributes={"format": "GAOT"},
    )  # fmt: skip


def _arrays(path: str) -> dict[str, StoredArray]:
    stamp = file_stamp(path)
    with opened(path, "netcdf") as file:
        return {
            name: StoredArray(path, "netcdf", name, tuple(variable.shape), variable.dtype, stamp)
            for name, variable in file.variables.items()
            if isinstance(variable.dtype, np.dtype)
        }


class _FirstInstant:
    """A field with one instant beside others with several: it does not vary in time."""

    def __init__(self, array: StoredArray) -> None:
        self._array = array
        self.shape, self.dtype = (array.shape[0], *array.shape[2:]), array.dtype

    def read(self, selections: Sequence[Any]) -> list[np.ndarray]:
        return self._array.read([(selection[0], 0, *selection[1:]) for selection in selections])


def _ragged(
    path: str, fields: dict[str, StoredArray], points: np.ndarray, task: str, steps: int, element: str | None,
    inputs: Sequence[str] | None, outputs: Sequence[str] | None,
) -> OperatorData:  # fmt: skip
    from funcspace.functions.operator_data import OperatorData
    from funcspace.geometry.cloud import PointCloud

    if steps > 1:
        raise InputError(
            f"{path} has nodes that differ between samples and {steps} instants; only one instant is supported"
        )
    ins, outs = list(inputs if inputs is not None else ["c"]), list(outputs if outputs is not None else ["u"])
    missing = [name for name in (*ins, *outs) if name not in fields]
    if missing:
        raise InputError(f"{path} has no field {missing[0]!r}; it has {list(fields)}")
    clouds: list[Any] = [PointCloud(nodes) for nodes in points]

    def column(name: str) -> RaggedFunction:
        values = torch.from_numpy(np.ascontiguousarray(fields[name][:, 0]))
        count = values.shape[-1]
        names = (name,) if count == 1 else tuple(f"{name}{i}" for i in range(count))
        return RaggedFunction.pack(
            [
                Function(FunctionSpace(cloud, element, components=names), v[:, 0] if count == 1 else v, name=name)
                for cloud, v in zip(clouds, values, strict=True)
            ]
        )

    return OperatorData(
        {name: column(name) for name in ins},
        {name: column(name) for name in outs},
        attributes={"format": "GAOT"},
    )
