"""Rows of an uncompressed Zarr array, read at their place in the chunk files; Zarr itself always reads whole chunks."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from funcspace.errors import FileError

__all__ = ["direct_rows"]

CHECKSUMMED = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
KEYS = {"name": "default", "configuration": {"separator": "/"}}


def direct_rows(path: str, stamp: tuple[int, ...], runs: list[tuple[int, int]]) -> list[np.ndarray] | None:
    """The rows `start` to `stop` of each run; None where the array is not laid out so that this is possible.

    The checksum of a chunk covers all of it and is not looked at here; eager reading does.

    Parameters
    ----------
    path : the folder of the array.
    stamp : what the store was, so that its description is read once.

    Raises
    ------
    FileError
        When a chunk is missing or too short.
    """
    found = _layout(path, stamp)
    if found is None:
        return None
    rows, shape, dtype, inner = found
    size = int(np.prod(shape)) * dtype.itemsize
    blocks = []
    for start, stop in runs:
        block = np.empty((stop - start, *shape), dtype=dtype)
        bytes_of = block.reshape(-1).view(np.uint8).data
        for chunk in range(start // rows, -(-stop // rows)):
            first, last = max(start, chunk * rows), min(stop, (chunk + 1) * rows)
            target = bytes_of[(first - start) * size : (last - start) * size]
            _fill(Path(path, "c", str(chunk), *inner), (first - chunk * rows) * size, target)
        blocks.append(block)
    return blocks


def _fill(file: Path, offset: int, target: memoryview) -> None:
    try:
        with file.open("rb", buffering=0) as chunk:
            chunk.seek(offset)
            done = 0
            while done < len(target):
                count = chunk.readinto(target[done:])
                if not count:
                    raise FileError(f"cannot read {file}: it is truncated")
                done += count
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"cannot read {file}: {error.strerror or error}") from error


@lru_cache(maxsize=64)
def _layout(path: str, stamp: tuple[int, ...]) -> tuple[int, tuple[int, ...], np.dtype[Any], tuple[str, ...]] | None:
    """Rows per chunk, shape of a row, type, and the rest of a chunk's name."""
    del stamp
    try:
        meta = json.loads(Path(path, "zarr.json").read_text())
        grid, shape = meta["chunk_grid"], tuple(meta["shape"])
        chunks = tuple(grid["configuration"]["chunk_shape"])
        fits = grid["name"] == "regular" and chunks[1:] == shape[1:] and meta["codecs"] == CHECKSUMMED
        if not (fits and shape and meta["chunk_key_encoding"] == KEYS and meta["data_type"].startswith("float")):
            return None
        return chunks[0], shape[1:], np.dtype(meta["data_type"]).newbyteorder("<"), ("0",) * (len(shape) - 1)
    except (OSError, KeyError, TypeError, ValueError):
        return None
