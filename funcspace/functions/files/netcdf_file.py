"""netCDF-4 files: written through netCDF4 or h5netcdf, read through netCDF4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from funcspace.errors import FileError, InputError
from funcspace.functions.files.chunks import chunk_shape
from funcspace.functions.files.data_schema import Variable
from funcspace.functions.files.stored_array import StoredArray, file_stamp, opened
from funcspace.optional import require

__all__ = ["NetCDFWriter", "read_netcdf"]

Engine = Literal["netcdf4", "h5netcdf"]


class NetCDFWriter:
    """Writes variables whole, or rows after rows; a dimension of unknown length grows with what is written."""

    def __init__(self, path: Path, engine: Engine | None = None) -> None:
        if engine not in (None, "netcdf4", "h5netcdf"):
            raise InputError(f'engine must be "netcdf4" or "h5netcdf", got {engine!r}')
        if engine == "h5netcdf":
            legacy = require("h5netcdf.legacyapi", feature="h5netcdf", install="pip install 'funcspace[io]'")
            self._file: Any = legacy.Dataset(path, mode="w")
        else:
            netcdf = require("netCDF4", feature="netCDF files", install="pip install netCDF4")
            self._file = netcdf.Dataset(path, mode="w", format="NETCDF4")
        self._path, self._legacy = path, engine == "h5netcdf"
        self._sizes: dict[str, int | None] = {}

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
        """Make a variable and return how many rows are best written at once; None as a length means: grows."""
        for dim, size in zip(dims, shape, strict=True):
            if dim not in self._sizes:
                self._file.createDimension(dim, size)
                self._sizes[dim] = size
            elif self._sizes[dim] not in (size, None):
                raise InputError(f"dimension {dim!r} has length {self._sizes[dim]}, but {name!r} needs {size}")
        chunks = chunk_shape(shape, dtype.itemsize)
        grows = any(self._sizes[dim] is None for dim in dims)
        options: dict[str, Any] = {"chunksizes": chunks} if grows else {}
        if not self._legacy:
            options["fill_value"] = False  # no fill value: every number stands for itself
        variable = self._guard(self._file.createVariable, name, dtype, tuple(dims), **options)
        if not self._legacy:
            variable.set_auto_maskandscale(False)
        self.describe(name, attrs)
        return chunks[0] if chunks else 1

    def describe(self, name: str, attrs: Mapping[str, Any]) -> None:
        """Add attributes to a variable."""
        for key, value in attrs.items():
            self._file.variables[name].setncattr(key, value)

    def write(self, name: str, start: int, rows: np.ndarray) -> None:
        """Write rows from `start` on (or all of a scalar)."""
        variable = self._file.variables[name]
        if not rows.ndim:
            self._guard(variable.__setitem__, Ellipsis, rows)
        elif rows.size:
            stop = start + len(rows)
            dim = variable.dimensions[0]
            if self._legacy and self._sizes[dim] is None and stop > len(self._file.dimensions[dim]):
                self._file.resize_dimension(dim, stop)
            self._guard(variable.__setitem__, slice(start, stop), rows)

    def finish(self, attrs: Mapping[str, Any]) -> None:
        """Write the attributes of the file and close it."""
        for key, value in attrs.items():
            self._file.setncattr(key, value)
        self._guard(self._file.close)

    def abandon(self) -> None:
        """Close after a failure; what was written is thrown away by the caller."""
        try:
            self._file.close()
        except (OSError, RuntimeError, ValueError):
            return

    def _guard(self, action: Any, *args: Any, **options: Any) -> Any:
        try:
            return action(*args, **options)
        except RuntimeError as error:
            raise FileError(f"cannot write {self._path.name}: {error}") from error


def read_netcdf(path: str) -> tuple[dict[str, Variable], dict[str, Any]]:
    """The variables of a file and its attributes; functions stay in the file, the rest is read."""
    stamp = file_stamp(path)
    with opened(path, "netcdf") as file:
        variables = {}
        for name, variable in file.variables.items():
            if not isinstance(variable.dtype, np.dtype):
                continue
            attrs = {key: variable.getncattr(key) for key in variable.ncattrs()}
            array = StoredArray(path, "netcdf", name, tuple(variable.shape), variable.dtype, stamp)
            data = array if "fs_role" in attrs else np.asarray(variable[...])
            variables[name] = Variable(tuple(variable.dimensions), data, attrs)
        return variables, {key: file.getncattr(key) for key in file.ncattrs()}
