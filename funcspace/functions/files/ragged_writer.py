"""Ragged columns written batch after batch, in the layout of `ragged_records`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from funcspace.errors import InputError
from funcspace.functions.files.data_schema import SCHEMA, SchemaWriter, Variable, stored_dtype, stored_numbers
from funcspace.functions.files.domain_records import domain_to_record, element_record
from funcspace.functions.files.row_stream import RowStream
from funcspace.functions.ragged import RaggedFunction

__all__ = ["RaggedWriter"]


@dataclass
class _Column:
    """What is known of a ragged column so far; a few integers per sample stay in memory."""

    first: RaggedFunction
    role: str
    rows: RowStream
    counts: list[int] = field(default_factory=list)
    domains: list[int] = field(default_factory=list)
    elements: list[int] = field(default_factory=list)
    known: list[dict[str, Any]] = field(default_factory=list)


class RaggedWriter:
    """Packs coefficients and domains of ragged columns into growing arrays; equal domains are written once.

    Parameters
    ----------
    sink : the `ZarrWriter` or `NetCDFWriter` that is written to.
    schema : gives names to variables.
    """

    def __init__(self, sink: Any, schema: SchemaWriter) -> None:
        self._sink, self._schema = sink, schema
        self._columns: dict[str, _Column] = {}
        self._key = schema.unique("domains")
        self._numbers: dict[str, int] = {}
        self._records: list[dict[str, Any]] = []
        self._blocks: dict[tuple[str, tuple[int, ...], str], RowStream | None] = {}

    def start(self, name: str, column: RaggedFunction, role: str) -> str:
        """Make the array of a column and return its name."""
        variable = self._schema.unique(name)
        packed = self._schema.unique(f"{variable}_packed")
        kind, split = stored_dtype(column.coefficients.dtype, split=True)
        tail = (*column.coefficients.shape[1:], *((2,) if split else ()))
        components = [self._schema.unique(f"{variable}_component_{i}") for i in range(column.coefficients.ndim - 1)]
        dims = (packed, *components, *(("complex_part",) if split else ()))
        step = self._sink.create(variable, dims, (None, *tail), kind, {})
        self._columns[name] = _Column(column, role, RowStream(self._sink, variable, step))
        return variable

    def check(self, name: str, column: Any) -> None:
        """Raise an InputError when a batch does not continue the first one."""
        first = self._columns[name].first
        if not isinstance(column, RaggedFunction):
            raise InputError(f"{name!r} was ragged in the first batch and must be in every batch; got {column!r}")
        expected, got = ((f.coefficients.dtype, tuple(f.coefficients.shape[1:])) for f in (first, column))
        if expected != got:
            raise InputError(f"{name!r} must have coefficients of type and shape {expected} in every batch; got {got}")

    def append(self, name: str, column: RaggedFunction) -> None:
        """Add the samples of a batch to a column."""
        own = self._columns[name]
        kind, _ = stored_dtype(column.coefficients.dtype, split=True)
        own.rows.append(stored_numbers(column.coefficients, split=True).astype(kind, copy=False))
        own.counts += column.ptr.diff().tolist()
        for space in column.spaces:
            record = element_record(space)
            if record not in own.known:
                own.known.append(record)
            own.elements.append(own.known.index(record))
            own.domains.append(self._number(space.domain))

    def _number(self, domain: Any) -> int:
        fingerprint = domain.fingerprint
        if fingerprint not in self._numbers:
            record, arrays = domain_to_record(domain)
            places = {name: self._place(name, array) for name, array in arrays.items()}
            self._numbers[fingerprint] = len(self._records)
            self._records.append({"record": record, "arrays": places})
        return self._numbers[fingerprint]

    def _place(self, name: str, array: np.ndarray) -> list[int]:
        """Append an array of a domain; the number of its block, where it starts there and where it stops."""
        block = (name, array.shape[1:], array.dtype.str)
        stream = self._blocks.setdefault(block, None)
        before = 0 if stream is None else len(stream)
        if array.size and stream is None:
            variable = self._schema.unique(f"{self._key}_{name}")
            dims = [self._schema.unique(f"{variable}_index")]
            dims += [self._schema.unique(f"{variable}_axis{i}") for i in range(1, array.ndim)]
            step = self._sink.create(variable, dims, (None, *array.shape[1:]), array.dtype, {})
            stream = self._blocks[block] = RowStream(self._sink, variable, step)
        if stream is not None:
            stream.append(array)
        return [list(self._blocks).index(block), before, before + len(array)]

    def finish(self, sample: str) -> None:
        """Write what is pending, the counts along the dimension of samples, and all descriptions."""
        for own in self._columns.values():
            self._finish_column(own, sample)
        names: list[Any] = []
        for (_, tail, dtype), stream in self._blocks.items():
            if stream is not None:
                stream.flush()
            names.append({"empty": [0, *tail], "dtype": dtype} if stream is None else stream.variable)
        attrs = {"fs_schema": SCHEMA, "fs_records": json.dumps(self._records), "fs_blocks": json.dumps(names)}
        self._sink.put(self._key, Variable((), np.zeros((), dtype=np.int32), attrs))

    def _finish_column(self, own: _Column, sample: str) -> None:
        own.rows.flush()
        variable, name = own.rows.variable, own.first.name
        packed = f"{variable}_packed"

        def put(suffix: str, values: list[int], **attrs: Any) -> str:
            chosen = self._schema.unique(f"{variable}_{suffix}")
            self._sink.put(chosen, Variable((sample,), np.array(values, dtype=np.int64), attrs))
            return chosen

        places = {
            "domains": self._key,
            "count": put(
                "count", own.counts, sample_dimension=packed, long_name=f"number of dofs of {name} per sample"
            ),
            "domain": put("domain", own.domains),
            "element": put("element", own.elements),
            "elements": own.known,
        }
        attrs = {
            "fs_role": own.role,
            "fs_name": name,
            "fs_units": own.first.units,
            "fs_ragged": json.dumps(places),
            "fs_dtype": str(own.first.coefficients.dtype).removeprefix("torch."),
            "fs_schema": SCHEMA,
            **({"units": own.first.units} if own.first.units else {}),
        }
        self._sink.describe(variable, attrs)
