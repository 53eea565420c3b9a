"""Data sets written in pieces, so that they may be larger than memory."""

from __future__ import annotations

import json
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch

from funcspace.errors import DomainError, InputError
from funcspace.functions.files.data_files import (
    Sink,
    describe_columns,
    description,
    opened_for_writing,
    sample_dim,
    write_parameters,
)
from funcspace.functions.files.data_schema import FunctionHeader, SchemaWriter
from funcspace.functions.files.ragged_writer import RaggedWriter
from funcspace.functions.files.row_stream import RowStream
from funcspace.functions.ragged import RaggedFunction
from funcspace.functions.space import FunctionSpace

if TYPE_CHECKING:
    from funcspace.functions.operator_data import OperatorData

__all__ = ["DataWriter"]


class DataWriter:
    """Writes an `OperatorData` batch after batch to a Zarr store or a netCDF file.

    The first batch fixes names, spaces, types, boundary data and attributes. Ragged columns keep a few integers per
    sample in memory, and the descriptions of their domains. The file appears under its name when the
    writer is closed; when the block ends with an exception, or nothing was appended, nothing is left behind.

    Parameters
    ----------
    path : the file to write, `.zarr` or `.nc`.
    template : data of any length that fixes names and spaces before the first batch; none of it is written.

    Raises
    ------
    FileError
        As `OperatorData.save`.
    InputError, DomainError
        When a batch does not match the first.

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> import funcspace as fs
    >>> path = tempfile.mkdtemp() + "/waves.nc"
    >>> grid = fs.Grid(x=(0.0, 1.0, 9))
    >>> with DataWriter(path) as writer:
    ...     for _ in range(3):
    ...         u = torch.rand(4, 9)
    ...         writer.append(fs.OperatorData.from_arrays({"u": u}, {"v": 2 * u}, grid))
    >>> len(fs.OperatorData.load(path))
    12
    """

    def __init__(self, path: Any, template: OperatorData | None = None) -> None:
        self._stack = ExitStack()
        self._sink: Sink = self._stack.enter_context(opened_for_writing(path))
        self._count = 0
        self._headers: dict[str, FunctionHeader] = {}
        self._streams: dict[str, RowStream] = {}
        self._ragged: RaggedWriter | None = None
        self._parameters: dict[str, list[torch.Tensor]] = {}
        self._started = self._closed = False
        if template is not None:
            self._guarded(self._start, template)

    def __len__(self) -> int:
        """Samples appended so far."""
        return self._count

    def append(self, batch: OperatorData) -> None:
        """Add the samples of a batch."""
        if self._closed:
            raise InputError("this DataWriter is closed")
        self._guarded(self._append, batch)

    def _guarded(self, action: Any, *args: Any) -> None:
        try:
            action(*args)
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise

    def _start(self, data: OperatorData) -> None:
        self._attrs = description(data)
        self._schema = SchemaWriter(split_complex=True)
        self._sample = sample_dim(self._schema, data)
        headers, places = describe_columns(self._schema, data, self._sample, ragged=False)
        for name, variable in self._schema.variables.items():
            self._sink.put(name, variable)
        self._roles = (tuple(data.inputs), tuple(data.outputs), tuple(data.parameters))
        columns = [(role, *c) for role, cs in (("input", data.inputs), ("output", data.outputs)) for c in cs.items()]
        single = [name for _, name, column in columns if not isinstance(column, RaggedFunction)]
        for name, (_, header) in zip(single, headers, strict=True):
            rows = self._sink.create(header.variable, header.dims, (None, *header.tail), header.dtype, header.attrs)
            self._headers[name] = header
            self._streams[name] = RowStream(self._sink, header.variable, rows)
        for role, name, column in columns:
            if isinstance(column, RaggedFunction):
                self._ragged = self._ragged or RaggedWriter(self._sink, self._schema)
                places[role][name] = self._ragged.start(name, column, role)
        self._attrs["fs_columns"] = {
            role: {name: places[role][name] for name in group}
            for role, group in (("input", data.inputs), ("output", data.outputs))
        }
        self._parameters = {name: [] for name in data.parameters}
        self._started = True

    def _append(self, batch: OperatorData) -> None:
        if not self._started:
            self._start(batch)
        roles = (tuple(batch.inputs), tuple(batch.outputs), tuple(batch.parameters))
        if roles != self._roles:
            raise InputError(f"a batch must have the inputs, outputs and parameters {self._roles}; got {roles}")
        columns: dict[str, Any] = {**batch.inputs, **batch.outputs}
        for name, column in columns.items():
            self._check(name, column)
        for name, column in columns.items():
            if name in self._headers:
                self._streams[name].append(self._headers[name].encode(column.coefficients))
            else:
                assert self._ragged is not None
                self._ragged.append(name, column)
        for name, values in batch.parameters.items():
            self._parameters[name].append(values)
        self._count += len(batch)

    def _check(self, name: str, column: Any) -> None:
        if name not in self._headers:
            assert self._ragged is not None
            self._ragged.check(name, column)
            return
        space: FunctionSpace = self._headers[name].space
        if getattr(column, "space", None) != space:
            raise DomainError(f"{name!r} must be on {space!r} in every batch; got {column!r}")
        kind = self._headers[name].attrs["fs_dtype"]
        if str(column.dtype) != f"torch.{kind}":
            raise InputError(f"{name!r} must be of type {kind} in every batch; got {column.dtype}")

    def close(self) -> None:
        """Write what is pending, and give the file its name.

        Raises
        ------
        InputError
            When nothing was appended; no file is left.
        """
        if self._closed:
            return
        if not self._count:
            self._guarded(_nothing_appended)
        self._guarded(self._finish)
        self._closed = True
        self._stack.close()

    def _finish(self) -> None:
        for stream in self._streams.values():
            stream.flush()
        if self._ragged is not None:
            self._ragged.finish(self._sample)
        parameters = {name: torch.cat(values) for name, values in self._parameters.items()}
        write_parameters(self._sink, self._schema, parameters, self._sample, self._attrs)
        self._attrs["fs_columns"] = json.dumps(self._attrs["fs_columns"])
        self._sink.finish(self._attrs)

    def __enter__(self) -> DataWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._closed:
            return
        if kind is None:
            self.close()
            return
        self._closed = True
        self._stack.__exit__(kind, error, trace)


def _nothing_appended() -> None:
    raise InputError("nothing was appended to this DataWriter; no file was written")
