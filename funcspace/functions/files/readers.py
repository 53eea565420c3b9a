"""Data sets that users already have: which reader a file needs is told from its content."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from funcspace.errors import FileError, InputError
from funcspace.functions.files.chunks import free_memory
from funcspace.functions.files.data_files import load_data
from funcspace.functions.files.field_rows import Tasks
from funcspace.functions.files.plain_xarray import plain_layout
from funcspace.functions.files.readers_arrays import from_hdf5, from_matlab, from_npz
from funcspace.functions.files.readers_gaot import from_gaot
from funcspace.functions.files.readers_pdebench import from_pdebench
from funcspace.functions.files.readers_well import from_well
from funcspace.functions.files.schema_reader import SchemaReader
from funcspace.functions.files.stored_array import INSTALL, opened
from funcspace.functions.files.xarray_io import as_dataset, variables_of
from funcspace.geometry.grid import periodic_names
from funcspace.geometry.grid_axis import SAMPLES, Samples
from funcspace.optional import require

if TYPE_CHECKING:
    from funcspace.functions.operator_data import OperatorData

__all__ = ["file_kind", "read_data", "read_xarray"]

READERS: dict[str, tuple[Callable[..., OperatorData], set[str]]] = {
    "funcspace": (load_data, {"lazy"}),
    "the_well": (
        from_well, {"inputs", "outputs", "task", "stride", "element", "periodic", "samples", "lazy"}
    ),
    "PDEBench": (
        from_pdebench, {"inputs", "outputs", "task", "stride", "element", "periodic", "samples", "lazy"}
    ),
    "GAOT": (from_gaot, {"inputs", "outputs", "domain", "task", "stride", "instants", "element", "lazy"}),
    "npz": (from_npz, {"inputs", "outputs", "domain", "element", "parameters", "periodic"}),
    "HDF5": (from_hdf5, {"inputs", "outputs", "domain", "element", "parameters", "periodic"}),
    "MATLAB": (from_matlab, {"inputs", "outputs", "domain", "element", "parameters"}),
}  # fmt: skip


def read_data(
    path: Any,
    *,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    parameters: Sequence[str] | None = None,
    domain: Any = None,
    element: str | None = None,
    task: Tasks | None = None,
    stride: int | None = None,
    instants: Any = None,
    periodic: Sequence[str] | None = None,
    samples: Samples | None = None,
    lazy: bool | None = None,
) -> OperatorData:
    """Samples from a file of any known layout, told by its content.

    ============  ==========================================================================================
    funcspace     written by `OperatorData.save`
    the_well      HDF5 with groups t0_fields, t1_fields, t2_fields
    PDEBench      HDF5 with `tensor` or `density`, and `x-coordinate`; or numbered groups with `data`
    GAOT          netCDF with `u` over (sample, time, node, channel)
    npz           NumPy archive of named arrays
    MATLAB        .mat of version 5 or 7.3
    HDF5          any other HDF5 file of arrays whose dimensions have no names
    xarray        any other netCDF file or Zarr store with labelled axes
    ============  ==========================================================================================

    Parameters
    ----------
    inputs, outputs : names of fields or arrays; what the layout suggests when None.
    parameters : names of arrays with one number per sample.
    domain : where the functions live, for files that do not tell.
    task : for trajectories, "step" pairs each state with the one `stride` instants later; "trajectory" pairs the first
        with all instants.
    instants : the instants, for files that do not tell.
    periodic : names of the periodic axes.
    samples : whether grid coordinates are "vertices" or centres of "cells".
    lazy : leave the functions in the file; by default when they would fill a quarter of the free memory or more.

    Raises
    ------
    FileError
        When the file is missing, truncated, or of no known layout.
    InputError
        When an option does not apply to the layout, or names something that is not there.
    """
    if samples is not None:
        _check_samples(samples)
    closed = None if periodic is None else periodic_names(periodic)
    kind = file_kind(path)
    given = {
        "inputs": inputs, "outputs": outputs, "parameters": parameters, "domain": domain, "element": element,
        "task": task, "stride": stride, "instants": instants, "periodic": closed, "samples": samples, "lazy": lazy,
    }  # fmt: skip
    options = {name: value for name, value in given.items() if value is not None}
    reader, known = READERS.get(kind, (_read_labelled, LABELLED))
    unknown = [name for name in options if name not in known]
    if unknown:
        raise InputError(
            f"{path} is read as {kind}, for which {unknown[0]!r} means nothing; its options are {sorted(known)}"
        )
    missing = [name for name in ("inputs", "outputs") if name not in options and kind in ("npz", "HDF5", "xarray")]
    if missing:
        raise InputError(f"{path} is read as {kind}: say which of its arrays are inputs=[...] and outputs=[...]")
    return reader(path, **options)


def file_kind(path: Any) -> str:
    """Which layout a file has: a key of the table in `read_data`.

    Raises
    ------
    FileError
        When there is no such file, or its content is of no known kind.
    """
    target = Path(path)
    if not target.exists():
        raise FileError(f"there is no file {target}")
    if target.is_dir():
        return _zarr_kind(target)
    try:
        with target.open("rb") as file:
            head = file.read(520)
    except OSError as error:
        raise FileError(f"cannot read {target}: {error.strerror or error}") from error
    if head.startswith(b"PK\x03\x04"):
        return "npz"
    if head.startswith(b"MATLAB"):
        return "MATLAB"
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return _hdf5_kind(target)
    if head.startswith(b"CDF"):
        return "xarray"
    if head.startswith(b"\x93NUMPY"):
        raise FileError(f"{target} is one NumPy array; load it and use OperatorData.from_arrays")
    raise FileError(
        f"{target} is of no known kind; for meshes with data use Function.from_file, else OperatorData.from_arrays"
    )


def _zarr_kind(folder: Path) -> str:
    if not any((folder / name).is_file() for name in ("zarr.json", ".zgroup", ".zmetadata")):
        raise FileError(f"{folder} is a folder, but no Zarr store")
    with opened(str(folder), "zarr") as group:
        return "funcspace" if group.attrs.get("fs_kind") == "OperatorData" else "xarray"


def _hdf5_kind(path: Path) -> str:
    # netCDF4 is always there, h5py is not; any HDF5 file opens as netCDF
    with opened(str(path), "netcdf") as file:
        names, groups = set(file.variables), set(file.groups)
        if "fs_kind" in file.ncattrs() and file.getncattr("fs_kind") == "OperatorData":
            return "funcspace"
        if groups & {"t0_fields", "t1_fields", "t2_fields"}:
            return "the_well"
        numbered = [name for name in groups if name.isdigit() and "data" in file.groups[name].variables]
        if numbered or ("x-coordinate" in names and names & {"tensor", "density"}):
            return "PDEBench"
        if "u" in names and file["u"].ndim == 4:
            named = [dim for dim in file["u"].dimensions if not dim.startswith("phony") and dim.lower() not in GAOT]
            if not named or ("x" in names and file["x"].ndim == 4):
                return "GAOT"
        if any("MATLAB_class" in variable.ncattrs() for variable in file.variables.values()):
            return "MATLAB"
        if _nameless(file):
            return "HDF5"
    return "xarray"


def _nameless(group: Any) -> bool:
    """Whether all dimensions under a group have names only because netCDF makes some up."""
    return all(name.startswith("phony_dim_") for name in group.dimensions) and all(
        map(_nameless, group.groups.values())
    )


GAOT = ("sample", "samples", "time", "t", "node", "nodes", "channel", "channels")
LABELLED = {"inputs", "outputs", "parameters", "element", "periodic", "samples", "lazy"}


def _read_labelled(path: Any, **options: Any) -> OperatorData:
    xr = require("xarray", feature="labelled arrays", install="pip install xarray")
    target, lazy = Path(path), options.pop("lazy", None)
    try:
        if target.is_dir():
            require("zarr", feature="Zarr stores", install=INSTALL)
            with warnings.catch_warnings():  # stores of others need not gather their metadata in one place
                warnings.filterwarnings("ignore", "Failed to open Zarr store with consolidated")
                dataset = xr.open_zarr(target, chunks=None, decode_timedelta=False)
        else:
            dataset = xr.open_dataset(target, decode_timedelta=False)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise FileError(f"cannot read {target}: {error}") from error
    columns = [*options.get("inputs", ()), *options.get("outputs", ())]
    size = sum(dataset[name].nbytes for name in columns if name in dataset)
    lazy = size > free_memory() // 4 if lazy is None else lazy
    if lazy:
        return read_xarray(dataset, lazy=True, **options)
    with dataset:
        return read_xarray(dataset, **options)


def read_xarray(
    dataset: Any,
    inputs: Sequence[str],
    outputs: Sequence[str],
    *,
    parameters: Sequence[str] = (),
    element: str | None = None,
    periodic: Iterable[str] = (),
    samples: Samples = "vertices",
    sample_dim: str | None = None,
    lazy: bool = False,
) -> OperatorData:
    """Samples from variables of an xarray Dataset.

    Axes, units, times and batches are read from names and coordinates, as `Function.from_xarray` does. A variable
    without a dimension of samples is the same for all samples.

    Parameters
    ----------
    inputs, outputs : names of variables.
    parameters : names of variables with one number per sample.
    periodic : names of the periodic axes.
    samples : whether the coordinates are "vertices" or centres of "cells".
    sample_dim : the dimension that counts samples; told by its name, or by being first without coordinate, when None.
    lazy : leave the numbers where xarray has them until they are used.

    Raises
    ------
    InputError
        When a variable is missing, has several dimensions of samples, or has dimensions that say too little; when
        no variable has an axis that `periodic` names, or the dimension `sample_dim`.
    """
    from funcspace.functions.operator_data import OperatorData

    dataset, _ = as_dataset(dataset)
    missing = [name for name in (*inputs, *outputs, *parameters) if name not in dataset.variables]
    if missing:
        raise InputError(f"the Dataset has no variable {missing[0]!r}; it has {sorted(map(str, dataset.data_vars))}")
    _check_samples(samples)
    closed = periodic_names(periodic)
    chosen = [dataset[name] for name in (*inputs, *outputs)]
    _check_known("periodic", closed, {str(name) for array in chosen for name in (*array.dims, *array.coords)})
    dims = {str(dim) for name in (*inputs, *outputs, *parameters) for dim in dataset[name].dims}
    _check_known("sample_dim", () if sample_dim is None else (sample_dim,), dims)
    reader = SchemaReader(variables_of(dataset))
    ours = set(reader.functions())
    counts: dict[str, int] = {}
    columns: dict[str, Any] = {}
    for name in (*inputs, *outputs):
        if name in ours and reader.variables[name].attrs.get("fs_domain") in reader.variables and reader.is_whole(name):
            columns[name] = reader.function(name)
            batch = columns[name].batch_shape
        else:
            layout = plain_layout(
                dataset[name], dataset, element=element, periodic=_of(closed, dataset[name]), samples=samples,
                sample_dim=sample_dim if sample_dim in dataset[name].dims else None,
            )  # fmt: skip
            batch = tuple(dataset[name].sizes[dim] for dim in layout.dims[: layout.batch])
            columns[name] = layout.lazy(dataset[name]) if lazy and len(batch) == 1 else layout.function(dataset[name])
        if len(batch) > 1:
            raise InputError(
                f"{name!r} has the batch dimensions {dataset[name].dims[: len(batch)]}; stack them into one"
            )
        counts |= {name: batch[0]} if batch else {}
    numbers = {name: np.asarray(dataset[name].values) for name in parameters}
    counts |= {name: len(values) for name, values in numbers.items() if values.ndim}
    total = max(counts.values(), default=1)
    for name, column in columns.items():
        if name not in counts:
            shape = (total, *column.coefficients.shape)
            columns[name] = column.with_coefficients(column.coefficients.expand(shape).clone())
    return OperatorData(
        {name: columns[name] for name in inputs},
        {name: columns[name] for name in outputs},
        {n: torch.as_tensor(np.broadcast_to(v, (total,)).copy() if not v.ndim else v) for n, v in numbers.items()},
        attributes={str(k): v for k, v in dataset.attrs.items() if isinstance(v, str) and not str(k).startswith("fs_")},
    )


def _of(names: Iterable[str], array: Any) -> tuple[str, ...]:
    """Those of the names that a variable knows as dimension or coordinate."""
    return tuple(name for name in names if name in array.dims or (name in array.coords and array.coords[name].ndim))


def _check_known(option: str, names: Iterable[str], known: Iterable[str]) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(f"{option} names {unknown[0]!r}, which no chosen variable has; they have {sorted(known)}")


def _check_samples(samples: Any) -> None:
    if samples not in SAMPLES:
        raise InputError(f'samples must be "vertices" or "cells", got {samples!r}')
