"""Domains and functions read back from labelled arrays that follow the schema of `data_schema`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from funcspace.errors import FileError, InputError
from funcspace.functions.files.data_schema import PART, SCHEMA, Variable
from funcspace.functions.files.domain_records import domain_from_record, space_on
from funcspace.functions.files.stored_array import SplitComplex
from funcspace.functions.function import Function
from funcspace.functions.lazy import LazyFunction
from funcspace.functions.space import FunctionSpace

__all__ = ["SchemaReader", "check_schema"]


class SchemaReader:
    """Reads what a `SchemaWriter` wrote, from any mapping of names to variables."""

    def __init__(self, variables: Mapping[str, Variable], source: str = "the data set") -> None:
        self.variables = variables
        self.source = source
        self._domains: dict[str, Any] = {}
        self.packs: dict[str, list[Any]] = {}

    def functions(self, *roles: str) -> list[str]:
        """Variables that hold functions, of the given roles or of any."""
        return [
            name
            for name, variable in self.variables.items()
            if "fs_space" in variable.attrs and (not roles or variable.attrs.get("fs_role") in roles)
        ]

    def array(self, name: str) -> np.ndarray:
        """A variable as an array."""
        data = np.asarray(self._variable(name).data[...])
        if data.dtype.kind in "mM":
            raise InputError(
                f"{name!r} was decoded to {data.dtype}; open the file with decode_times=False, decode_timedelta=False"
            )
        return data

    def _variable(self, name: str) -> Variable:
        if name not in self.variables:
            raise FileError(f"{self.source} lacks the variable {name!r}, which another one refers to")
        return self.variables[name]

    def domain(self, key: str) -> Any:
        """The domain that a variable describes."""
        if key not in self._domains:
            self._domains[key] = self._read_domain(key)
        return self._domains[key]

    def _read_domain(self, key: str) -> Any:
        attrs = self._variable(key).attrs
        check_schema(attrs, self.source)
        record, places = self.json(attrs, "fs_record", key), self.json(attrs, "fs_arrays", key)
        if "factors" in places:
            from funcspace.geometry.product import ProductDomain

            product = ProductDomain(tuple(self.domain(factor) for factor in places["factors"]))
            if product.fingerprint != record.get("fingerprint"):
                raise FileError(f"{self.source}: the product domain {key!r} is not the one that was written")
            return product
        try:
            return domain_from_record(record, {name: self.stored(place) for name, place in places.items()})
        except FileError as error:
            raise FileError(f"{self.source}: {key!r}: {error}") from error

    def stored(self, place: Any) -> np.ndarray:
        """An array of a record: a variable, columns of one, one in another order of columns, or an empty one."""
        if isinstance(place, str):
            return self.array(place)
        if isinstance(place, list):
            return np.stack([self.array(name) for name in place], axis=1)
        if "empty" in place:
            return np.empty(place["empty"], dtype=place["dtype"])
        return self.array(place["variable"])[:, place["order"]]

    def json(self, attrs: Mapping[str, Any], key: str, name: str) -> Any:
        """The JSON text of an attribute."""
        try:
            return json.loads(attrs[key])
        except (KeyError, TypeError, ValueError) as error:
            raise FileError(f"{self.source}: the attribute {key!r} of {name!r} is missing or damaged") from error

    def space(self, name: str) -> FunctionSpace:
        """The space of a function."""
        attrs = self._variable(name).attrs
        check_schema(attrs, self.source)
        return space_on(self.domain(str(attrs.get("fs_domain"))), self.json(attrs, "fs_space", name))

    def _order(self, name: str, space: FunctionSpace) -> tuple[int, ...] | None:
        """How to transpose a variable to (*batch, *layout, *components[, part]); None where it does not fit."""
        variable = self._variable(name)
        inner = [*self.json(variable.attrs, "fs_layout", name), *self.json(variable.attrs, "fs_values", name)]
        expected = (*space.layout, *space.component_shape)
        if self._is_split(name):
            inner, expected = [*inner, PART], (*expected, 2)
        dims = variable.dims
        if any(dim not in dims for dim in inner) or len(inner) != len(expected):
            return None
        if any(variable.data.shape[dims.index(d)] != n for d, n in zip(inner, expected, strict=True)):
            return None
        return tuple(dims.index(dim) for dim in (*(d for d in dims if d not in inner), *inner))

    def _is_split(self, name: str) -> bool:
        variable = self._variable(name)
        return (
            str(variable.attrs.get("fs_dtype", "")).startswith("complex") and np.dtype(variable.data.dtype).kind == "f"
        )

    def is_whole(self, name: str) -> bool:
        """Whether a function is on all of its domain: false for part of an xarray data set that was cut."""
        return self._order(name, self.space(name)) is not None

    def dtype(self, name: str) -> torch.dtype:
        """The type that the coefficients had."""
        kind = getattr(torch, str(self._variable(name).attrs.get("fs_dtype")), None)
        if not isinstance(kind, torch.dtype):
            raise FileError(
                f"{self.source}: {name!r} has the unknown type {self._variable(name).attrs.get('fs_dtype')!r}"
            )
        return kind

    def tensor(self, name: str, order: tuple[int, ...] | None = None) -> Tensor:
        """A variable as a tensor of the type it had."""
        array = self.array(name)
        array = np.ascontiguousarray(array if order is None else array.transpose(order))
        if not array.dtype.isnative:
            array = array.astype(array.dtype.newbyteorder("="))
        tensor = torch.from_numpy(array if array.flags.writeable else array.copy())
        if self._is_split(name):
            tensor = torch.view_as_complex(tensor)
        return tensor.to(self.dtype(name))

    def function(self, name: str) -> Function:
        """A function, read into memory.

        Raises
        ------
        FileError
            When the variable does not fit the space that it names.
        """
        space = self.space(name)
        order = self._order(name, space)
        if order is None:
            raise FileError(self._misfit(name, space))
        coefficients = self.tensor(name, order)
        batch = coefficients.shape[: coefficients.ndim - len(space.layout) - len(space.component_shape)]
        attrs = self._variable(name).attrs
        return Function(
            space,
            coefficients.reshape(*batch, *space.coefficient_shape),
            name=str(attrs.get("fs_name", name)),
            units=str(attrs.get("fs_units", "")),
        )

    def lazy(self, name: str) -> LazyFunction | Function:
        """A function whose samples stay in the file (bfloat16, which NumPy lacks, is read)."""
        space, kind = self.space(name), self.dtype(name)
        order = self._order(name, space)
        if order is None or order != tuple(range(len(order))):
            raise FileError(self._misfit(name, space))
        if kind in (torch.bfloat16, torch.complex32):
            return self.function(name)
        data, numpy_type = self._variable(name).data, torch.empty(0, dtype=kind).numpy().dtype
        if np.dtype(data.dtype) != numpy_type:
            data = SplitComplex(data, numpy_type)
        attrs = self._variable(name).attrs
        return LazyFunction.over(
            space, data, name=str(attrs.get("fs_name", name)), units=str(attrs.get("fs_units", ""))
        )

    def _misfit(self, name: str, space: FunctionSpace) -> str:
        variable = self._variable(name)
        sizes = dict(zip(variable.dims, variable.data.shape, strict=True))
        return (
            f"{self.source}: {name!r} with dimensions {sizes} does not hold a function of {space!r}, whose layout is "
            f"{(*space.layout, *space.component_shape)}"
        )


def check_schema(attrs: Mapping[str, Any], source: str) -> None:
    """Raise a FileError when there is no schema version, or one of a newer library."""
    version = attrs.get("fs_schema")
    try:
        number = int(version)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):
        raise FileError(
            f"{source} was not written by funcspace (no fs_schema attribute); read foreign data with OperatorData.read"
        ) from None
    if number > SCHEMA:
        raise FileError(f"{source} has schema {number}, this funcspace reads up to {SCHEMA}; install a newer funcspace")
