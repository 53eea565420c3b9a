"""Data sets of functions in netCDF files and Zarr stores."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from funcspace.atomic_write import atomic_file, atomic_folder
from funcspace.errors import FileError, InputError
from funcspace.functions.files.chunks import free_memory
from funcspace.functions.files.data_schema import (
    CONVENTIONS,
    SCHEMA,
    FunctionHeader,
    SchemaWriter,
    Variable,
    from_plain,
    stored_dtype,
    stored_numbers,
    to_plain,
)
from funcspace.functions.files.netcdf_file import Engine, NetCDFWriter, read_netcdf
from funcspace.functions.files.ragged_records import add_domains, add_ragged, read_ragged
from funcspace.functions.files.schema_reader import SchemaReader, check_schema
from funcspace.functions.files.zarr_store import ZarrWriter, is_zarr_store, read_zarr
from funcspace.functions.ragged import RaggedFunction

if TYPE_CHECKING:
    from funcspace.functions.operator_data import Column, OperatorData

__all__ = ["load_data", "save_data"]

BLOCK = 1 << 24
Sink = NetCDFWriter | ZarrWriter


def save_data(data: OperatorData, path: Any, *, engine: Engine | None = None) -> None:
    """Write a data set to netCDF (`.nc`) or Zarr (`.zarr`); it appears whole or not at all.

    Lazy columns are copied in blocks, so that sets larger than memory can be written.

    Parameters
    ----------
    engine : for netCDF, the package that writes: "netcdf4" (default) or "h5netcdf".

    Raises
    ------
    FileError
        Another suffix, a folder that does not exist, a full disk, or a folder in the way that is no Zarr store.
    InputError
        When attributes or boundary data hold something that a file cannot.
    """
    attrs = description(data)
    with opened_for_writing(path, engine) as sink:
        schema = SchemaWriter(split_complex=True)
        headers, attrs["fs_columns"] = describe_columns(schema, data, sample := sample_dim(schema, data))
        for name, variable in schema.variables.items():
            sink.put(name, variable)
        for column, header in headers:
            shape = (len(data), *header.tail)
            rows = sink.create(header.variable, header.dims, shape, header.dtype, header.attrs)
            step = max(rows, BLOCK // max(1, int(np.prod(shape[1:])) * header.dtype.itemsize) // rows * rows)
            for start in range(0, len(data), step):
                sink.write(header.variable, start, header.encode(column[start : start + step].coefficients))
        write_parameters(sink, schema, data.parameters, sample, attrs)
        attrs["fs_columns"] = json.dumps(attrs["fs_columns"])
        sink.finish(attrs)


def description(data: OperatorData) -> dict[str, Any]:
    """The attributes of a file: conventions, schema, boundary data, and the data set's own attributes."""
    from funcspace import __version__

    return {
        "Conventions": CONVENTIONS,
        "source": f"funcspace {__version__}",
        "fs_schema": SCHEMA,
        "fs_kind": "OperatorData",
        "fs_boundary": json.dumps(to_plain(data.boundary, "boundary")),
        "fs_attributes": json.dumps(to_plain(data.attributes, "attributes")),
    }


def sample_dim(schema: SchemaWriter, data: OperatorData) -> str:
    """The name of the dimension of samples; the domains come first, so that their axes keep their names."""
    for column in {**data.inputs, **data.outputs}.values():
        if not isinstance(column, RaggedFunction):
            schema.add_domain(column.space.domain)
    return schema.unique("sample")


def describe_columns(
    schema: SchemaWriter, data: OperatorData, sample: str, *, ragged: bool = True
) -> tuple[list[tuple[Any, FunctionHeader]], dict[str, dict[str, str]]]:
    """Headers of the columns with one space, and the variable of each name by role.

    Ragged columns are added whole, or left to the caller with `ragged=False`.
    """
    packed = [c for c in {**data.inputs, **data.outputs}.values() if isinstance(c, RaggedFunction)]
    pack = add_domains(schema, [s.domain for c in packed for s in c.spaces]) if packed and ragged else ("", {})
    headers: list[tuple[Any, FunctionHeader]] = []
    places: dict[str, dict[str, str]] = {"input": {}, "output": {}}
    for role, columns in (("input", data.inputs), ("output", data.outputs)):
        for name, column in columns.items():
            if isinstance(column, RaggedFunction):
                if ragged:
                    places[role][name] = add_ragged(schema, name, column, role, sample, pack)
                continue
            header = schema.header(name, column.space, column.dtype, units=column.units, role=role, batch_dims=[sample])
            header.attrs["fs_name"] = column.name  # pyright: ignore[reportIndexIssue]
            headers.append((column, header))
            places[role][name] = header.variable
    return headers, places


def write_parameters(
    sink: Sink, schema: SchemaWriter, parameters: Mapping[str, torch.Tensor], sample: str, attrs: dict[str, Any]
) -> None:
    """One variable along the samples for each parameter."""
    places = attrs["fs_columns"].setdefault("parameter", {})
    for name, values in parameters.items():
        variable = schema.unique(name)
        kind, split = stored_dtype(values.dtype, split=True)
        dims = [sample, *(schema.unique(f"{variable}_axis{i}") for i in range(1, values.ndim))]
        own = {
            "fs_role": "parameter",
            "fs_name": name,
            "fs_dtype": str(values.dtype).removeprefix("torch."),
            "fs_schema": SCHEMA,
        }
        array = stored_numbers(values, split=True).astype(kind, copy=False)
        sink.put(variable, Variable((*dims, *(("complex_part",) if split else ())), array, own))
        places[name] = variable


@contextmanager
def opened_for_writing(path: Any, engine: Engine | None = None) -> Iterator[Sink]:
    """A writer for the format that the suffix names; the file takes its name when the block ends well."""
    target = Path(path)
    if target.suffix == ".zarr":
        if engine is not None:
            raise InputError(f"engine={engine!r} is for netCDF; a Zarr store has none")
        place: Any = atomic_folder(target, may_replace=is_zarr_store)
    elif target.suffix == ".nc":
        place = atomic_file(target)
    else:
        raise FileError(f"cannot tell the format of {target.name!r}: the name must end in .nc (netCDF) or .zarr")
    with place as temporary:
        sink: Sink = ZarrWriter(temporary) if target.suffix == ".zarr" else NetCDFWriter(temporary, engine)
        try:
            yield sink
        except BaseException:
            sink.abandon()
            raise


def load_data(path: Any, *, lazy: bool | None = None) -> OperatorData:
    """Read a data set that `save_data` or `DataWriter` wrote.

    Parameters
    ----------
    lazy : leave the coefficients in the file until they are used; by default when they would fill a quarter of the free
        memory or more. Ragged columns are always read.

    Raises
    ------
    FileError
        When the file is missing, truncated, foreign, of another suffix, or of a newer schema.
    """
    from funcspace.functions.operator_data import OperatorData

    target = Path(path).absolute()
    if target.suffix not in (".nc", ".zarr"):
        raise FileError(f"cannot tell the format of {target.name!r}: the name must end in .nc (netCDF) or .zarr")
    if not target.exists():
        raise FileError(f"there is no file {target}")
    variables, attrs = read_zarr(str(target)) if target.suffix == ".zarr" else read_netcdf(str(target))
    check_schema(attrs, str(target))
    if attrs.get("fs_kind") != "OperatorData":
        raise FileError(
            f"{target} holds a {attrs.get('fs_kind')}, not a data set; open it with xarray and Function.from_xarray"
        )
    reader = SchemaReader(variables, str(target))
    places = reader.json(attrs, "fs_columns", "the file")
    columns = [name for role in ("input", "output") for name in places[role].values()]
    missing = [name for name in (*columns, *places.get("parameter", {}).values()) if name not in variables]
    if missing:
        raise FileError(f"{target} is damaged: the variable {missing[0]!r} is missing")
    if lazy is None:
        size = sum(int(np.prod(variables[n].data.shape)) * variables[n].data.dtype.itemsize for n in columns)
        lazy = size > free_memory() // 4

    def column(name: str) -> Column:
        if "fs_ragged" in variables[name].attrs:
            return read_ragged(reader, name)
        return reader.lazy(name) if lazy else reader.function(name)

    return OperatorData(
        {name: column(variable) for name, variable in places["input"].items()},
        {name: column(variable) for name, variable in places["output"].items()},
        {name: reader.tensor(variable) for name, variable in places.get("parameter", {}).items()},
        from_plain(reader.json(attrs, "fs_boundary", "the file")),
        from_plain(reader.json(attrs, "fs_attributes", "the file")),
    )
