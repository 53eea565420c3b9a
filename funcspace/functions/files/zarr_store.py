"""Zarr 3 stores in a folder: one array per variable, uncompressed chunks of whole samples with a checksum each."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from funcspace.errors import FileError
from funcspace.functions.files.chunks import chunk_shape
from funcspace.functions.files.data_schema import Variable
from funcspace.functions.files.stored_array import INSTALL, StoredArray, file_stamp, opened
from funcspace.optional import require

__all__ = ["ZarrWriter", "is_zarr_store", "read_zarr"]


class ZarrWriter:
    """Writes variables whole, or rows after rows; a first axis of unknown length grows with what is written."""

    def __init__(self, folder: Path) -> None:
        zarr = require("zarr", feature="Zarr stores", install=INSTALL)
        self._codecs = require("zarr.codecs", feature="Zarr stores", install=INSTALL)
        self._consolidate = zarr.consolidate_metadata
        self._group: Any = zarr.open_group(folder, mode="w", zarr_format=3)
        self._arrays: dict[str, Any] = {}

    def put(self, name: str, variable: Variable) -> None:
        """Write a variable at once."""
        data = np.asarray(variable.data)
        self.create(name, variable.dims, data.shape, data.dtype, variable.attrs)
        self.write(name, 0, data)

    def create(
        self,
        name: str,
        dims: Sequence[str],
        shape: Sequence[int | None],
        dtype: np.dtype[Any],
        attrs: Mapping[str, Any],
    ) -> int:
        """Make an array and return how many rows are best written at once; None as a length means: grows."""
        chunks = chunk_shape(shape, dtype.itemsize)
        self._arrays[name] = self._group.create_array(
            name,
            shape=tuple(0 if n is None else n for n in shape),
            chunks=chunks,
            dtype=dtype,
            dimension_names=tuple(dims),
            attributes=dict(attrs),
            compressors=[self._codecs.Crc32cCodec()],
            fill_value=_absent(dtype),
            config={"write_empty_chunks": True},  # so that a missing chunk is a lost one
        )
        return chunks[0] if chunks else 1

    def write(self, name: str, start: int, rows: np.ndarray) -> None:
        """Write rows from `start` on (or all of a scalar)."""
        array = self._arrays[name]
        if not rows.ndim:
            array[...] = rows
            return
        stop = start + len(rows)
        if stop > array.shape[0]:
            array.resize((stop, *array.shape[1:]))
        if rows.size:
            array[start:stop] = rows

    def describe(self, name: str, attrs: Mapping[str, Any]) -> None:
        """Add attributes that were not known when an array was made."""
        self._arrays[name].attrs.update(dict(attrs))

    def finish(self, attrs: Mapping[str, Any]) -> None:
        """Write the attributes of the group, and all metadata once more in one place, where xarray looks first."""
        self._group.attrs.put(dict(attrs))
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # Zarr 3 does not specify consolidated metadata yet, but all readers know it
            self._consolidate(self._group.store)

    def abandon(self) -> None:
        """Nothing is open between writes."""


def _absent(dtype: np.dtype[Any]) -> Any:
    """A fill value that no chunk consists of; others, who leave out chunks of zeros, do not use it."""
    if dtype.kind in "fc":
        return np.nan
    return np.iinfo(dtype).max if dtype.kind == "u" else np.iinfo(dtype).min


def _lost_chunks(array: Any) -> int:
    """How many chunks are missing that were written."""
    if array.dtype.kind not in "iufc" or not np.array_equal(array.fill_value, _absent(array.dtype), equal_nan=True):
        return 0
    return array.nchunks - array.nchunks_initialized


def is_zarr_store(folder: Path) -> bool:
    """Whether a folder is a Zarr store, and so may be replaced by another one."""
    return (folder / "zarr.json").is_file() or (folder / ".zgroup").is_file()


def read_zarr(path: str) -> tuple[dict[str, Variable], dict[str, Any]]:
    """The variables of a store and its attributes; functions stay in the store, the rest is read.

    Raises
    ------
    FileError
        When chunks are missing.
    """
    stamp = file_stamp(path)
    with opened(path, "zarr") as group:
        variables, ours = {}, "fs_schema" in group.attrs
        for name, array in group.arrays():
            missing = _lost_chunks(array) if ours else 0
            if missing:
                raise FileError(f"{path} is truncated: {missing} of the {array.nchunks} chunks of {name!r} are missing")
            dims = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS")
            stored = StoredArray(path, "zarr", name, tuple(array.shape), np.dtype(array.dtype), stamp)
            names = dims or tuple(f"{name}_axis{i}" for i in range(array.ndim))
            data = stored if "fs_role" in array.attrs else np.asarray(array[...])
            variables[name] = Variable(tuple(map(str, names)), data, dict(array.attrs))
        return variables, dict(group.attrs)
