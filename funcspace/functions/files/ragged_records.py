"""Ragged batches in labelled arrays: packed coefficients, a count per sample (CF), and the domains packed likewise."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from funcspace.errors import FileError
from funcspace.functions.files.data_schema import SCHEMA, SchemaWriter, Variable, stored_dtype, stored_numbers
from funcspace.functions.files.domain_records import domain_from_record, domain_to_record, element_record, space_on
from funcspace.functions.files.schema_reader import SchemaReader, check_schema
from funcspace.functions.ragged import RaggedFunction

__all__ = ["add_domains", "add_ragged", "read_ragged"]


def add_domains(writer: SchemaWriter, domains: Sequence[Any]) -> tuple[str, dict[str, int]]:
    """Pack many domains: arrays of one name behind one another. Returns the key and the number of each fingerprint."""
    distinct = {domain.fingerprint: domain for domain in domains}
    key = writer.unique("domains")
    blocks: dict[tuple[str, tuple[int, ...], str], list[np.ndarray]] = {}
    records = []
    for domain in distinct.values():
        record, arrays = domain_to_record(domain)
        places = {}
        for name, array in arrays.items():
            block = (name, array.shape[1:], array.dtype.str)
            before = sum(len(part) for part in blocks.setdefault(block, []))
            blocks[block].append(array)
            places[name] = [list(blocks).index(block), before, before + len(array)]
        records.append({"record": record, "arrays": places})
    names = []
    for (name, _, _), parts in blocks.items():
        array = np.concatenate(parts)
        names.append(writer._add_array(f"{key}_{name}", array))
    attrs = {"fs_schema": SCHEMA, "fs_records": json.dumps(records), "fs_blocks": json.dumps(names)}
    writer.variables[key] = Variable((), np.zeros((), dtype=np.int32), attrs)
    return key, {fingerprint: i for i, fingerprint in enumerate(distinct)}


def add_ragged(
    writer: SchemaWriter, name: str, column: RaggedFunction, role: str, sample: str, domains: tuple[str, dict[str, int]]
) -> str:  # fmt: skip
    """Write a ragged batch; return the name of its variable."""
    key, numbers = domains
    elements: list[dict[str, Any]] = []
    chosen = []
    for space in column.spaces:
        record = element_record(space)
        if record not in elements:
            elements.append(record)
        chosen.append(elements.index(record))
    variable = writer.unique(name)
    packed = writer.unique(f"{variable}_packed")
    kind, split = stored_dtype(column.coefficients.dtype, split=True)
    data = stored_numbers(column.coefficients, split=True)
    components = [writer.unique(f"{variable}_component_{i}") for i in range(column.coefficients.ndim - 1)]
    count = writer.add(
        f"{variable}_count",
        (sample,),
        column.ptr.diff().numpy(),
        sample_dimension=packed,
        long_name=f"number of dofs of {name} in each sample",
    )
    which = np.array([numbers[space.domain.fingerprint] for space in column.spaces])
    attrs = {
        "fs_role": role,
        "fs_name": column.name,
        "fs_units": column.units,
        "fs_ragged": json.dumps(
            {
                "domains": key,
                "count": count,
                "domain": writer.add(f"{variable}_domain", (sample,), which),
                "element": writer.add(f"{variable}_element", (sample,), np.array(chosen)),
                "elements": elements,
            }
        ),
        "fs_dtype": str(column.coefficients.dtype).removeprefix("torch."),
        "fs_schema": SCHEMA,
        **({"units": column.units} if column.units else {}),
    }
    dims = (packed, *components, *(("complex_part",) if split else ()))
    writer.variables[variable] = Variable(dims, data.astype(kind, copy=False), attrs)
    return variable


def read_ragged(reader: SchemaReader, name: str) -> RaggedFunction:
    """A ragged batch, read into memory."""
    attrs = reader.variables[name].attrs
    check_schema(attrs, reader.source)
    ragged = reader.json(attrs, "fs_ragged", name)
    domains = _read_domains(reader, ragged["domains"])
    counts = reader.array(ragged["count"])
    made: dict[tuple[int, int], Any] = {}
    spaces = []
    for domain, element in zip(
        reader.array(ragged["domain"]).tolist(), reader.array(ragged["element"]).tolist(), strict=True
    ):
        if (domain, element) not in made:
            made[domain, element] = space_on(domains[domain], ragged["elements"][element])
        spaces.append(made[domain, element])
    coefficients = reader.tensor(name)
    if len(coefficients) != counts.sum() or any(n != s.n_dofs for n, s in zip(counts, spaces, strict=True)):
        raise FileError(f"{reader.source}: the counts of the ragged function {name!r} do not fit its dofs")
    ptr = torch.from_numpy(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
    return RaggedFunction(
        tuple(spaces), coefficients, ptr, str(attrs.get("fs_name", name)), str(attrs.get("fs_units", ""))
    )


def _read_domains(reader: SchemaReader, key: str) -> list[Any]:
    if key in reader.packs:
        return reader.packs[key]
    attrs = reader.variables[key].attrs
    blocks = [reader.stored(place) for place in reader.json(attrs, "fs_blocks", key)]
    domains = []
    for entry in reader.json(attrs, "fs_records", key):
        arrays = {name: blocks[block][start:stop] for name, (block, start, stop) in entry["arrays"].items()}
        domains.append(domain_from_record(entry["record"], arrays))
    reader.packs[key] = domains
    return domains
