"""Arrays that stay in a file: opened for each read and closed after it, in whichever process or thread asks."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np

from funcspace.errors import FileError, FuncspaceError
from funcspace.functions.files.zarr_rows import direct_rows
from funcspace.optional import require

__all__ = ["SplitComplex", "StoredArray", "file_stamp", "opened"]

Kind = Literal["netcdf", "hdf5", "zarr"]
HDF5 = b"\x89HDF\r\n\x1a\n"
INSTALL = "pip install 'funcspace[io]'"

# The HDF5 library that netCDF4 carries is not safe for threads, and netCDF4 lets go of the interpreter's lock.
_one_at_a_time = threading.RLock()


def _new_lock() -> None:
    global _one_at_a_time
    _one_at_a_time = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)


@dataclass(frozen=True, eq=False)
class StoredArray:
    """An array of a netCDF, HDF5 or Zarr store. Holds no open file, so that it can be pickled and forked.

    Attributes
    ----------
    path : the file, or the folder of a Zarr store.
    name : the array in it, with its groups.
    stamp : what the file was when it was first read; if it is replaced meanwhile, reading raises a FileError.
    """

    path: str
    kind: Kind
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    stamp: tuple[int, ...]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        return self.read([index])[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[...], dtype=dtype)

    def rows(self, indices: np.ndarray) -> np.ndarray:
        """The entries `indices` of the first axis, in that order; neighbours are read together."""
        wanted = np.asarray(indices)
        result = np.empty((len(wanted), *self.shape[1:]), dtype=self.dtype)
        order = np.argsort(wanted, kind="stable")
        ordered = wanted[order]
        cuts = np.flatnonzero(np.diff(ordered) != 1) + 1
        runs = [run for run in np.split(np.arange(len(ordered)), cuts) if run.size]
        ends = [(int(ordered[run[0]]), int(ordered[run[-1]]) + 1) for run in runs]
        blocks = None
        if self.kind == "zarr":
            self._check_stamp()
            blocks = direct_rows(f"{self.path}/{self.name}", self.stamp, ends)
        if blocks is None:
            blocks = self.read([slice(start, stop) for start, stop in ends])
        for run, block in zip(runs, blocks, strict=True):
            result[order[run]] = block
        return result

    def read(self, selections: Sequence[Any]) -> list[np.ndarray]:
        """Several selections with the file opened once.

        Raises
        ------
        FileError
            When the file is gone, was replaced since, or cannot be read.
        """
        self._check_stamp()
        if self.kind == "netcdf" and _is_hdf5(self.path):
            with opened(
                self.path, "hdf5"
            ) as store:  # ten times quicker to open: it does not look at the other variables
                if self.name in store:
                    array = store[self.name]
                    return [np.asarray(array[selection]) for selection in selections]
        place, name = (f"{self.path}/{self.name}", "") if self.kind == "zarr" else (self.path, self.name)
        with opened(place, self.kind) as store:
            array = store[name] if name else store
            return [np.asarray(array[selection]) for selection in selections]

    def _check_stamp(self) -> None:
        if file_stamp(self.path) != self.stamp:
            raise FileError(f"{self.path} was replaced or changed since it was opened; load it again")


@dataclass(frozen=True, eq=False)
class SplitComplex:
    """Pairs of reals seen as complex numbers, or float32 seen as the half precision that it holds."""

    array: Any
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the view."""
        return self.array.shape[:-1] if self.dtype.kind == "c" else self.array.shape

    def __getitem__(self, index: Any) -> np.ndarray:
        return self._as_type(np.asarray(self.array[index]))

    def rows(self, indices: np.ndarray) -> np.ndarray:
        """The entries `indices` of the first axis."""
        return self._as_type(self.array.rows(indices))

    def _as_type(self, block: np.ndarray) -> np.ndarray:
        if self.dtype.kind == "c":
            return np.ascontiguousarray(block).view(self.dtype)[..., 0]
        return block.astype(self.dtype)


@contextmanager
def opened(path: str, kind: Kind) -> Iterator[Any]:
    """A file, or a Zarr group or array, open for reading inside the block; every failure becomes a FileError."""
    try:
        if kind == "zarr":
            zarr = require("zarr", feature="Zarr stores", install=INSTALL)
            yield zarr.open(path, mode="r")
            return
        with _one_at_a_time:
            file = _open_hdf5(path) if kind == "hdf5" else _open_netcdf(path)
            try:
                yield file
            finally:
                file.close()
    except FuncspaceError:
        raise
    except (OSError, RuntimeError, KeyError, EOFError, ValueError) as error:
        raise FileError(f"cannot read {path}: {error}") from error


def _is_hdf5(path: str) -> bool:
    """Whether h5py is there and can read a file."""
    if find_spec("h5py") is None:
        return False
    with open(path, "rb") as file:
        return file.read(8) == HDF5


def _open_netcdf(path: str) -> Any:
    netcdf = require("netCDF4", feature="netCDF files", install="pip install netCDF4")
    file = netcdf.Dataset(path, mode="r")
    file.set_auto_maskandscale(False)
    file.set_always_mask(False)
    return file


def _open_hdf5(path: str) -> Any:
    return require("h5py", feature="HDF5 files", install=INSTALL).File(path, mode="r")


def file_stamp(path: str) -> tuple[int, ...]:
    """What tells whether a file or Zarr store is still the same: device, inode, size, time of change."""
    where = Path(path)
    try:
        status = os.stat(where / "zarr.json" if where.is_dir() else where)
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror or error}") from error
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
