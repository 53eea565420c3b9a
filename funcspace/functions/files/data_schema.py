"""How domains and functions lie in labelled arrays: CF and UGRID for every reader, attributes of our own for exactness.

One schema serves xarray data sets, netCDF files and Zarr stores. A domain is a scalar variable whose attributes hold
its record (`fs_record`) and say which variables its arrays are in (`fs_arrays`). A function is a variable whose
attributes name its domain and describe its space. Everything else (coordinates, topology, nodal copies) is there for
other programs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from funcspace.errors import InputError
from funcspace.functions.files.domain_records import domain_to_record, element_record
from funcspace.functions.space import FunctionSpace
from funcspace.geometry.domain import content_fingerprint

__all__ = ["CONVENTIONS", "SCHEMA", "FunctionHeader", "SchemaWriter", "Variable", "from_plain", "to_plain"]

SCHEMA = 1
CONVENTIONS = "CF-1.11"
PART = "complex_part"


@dataclass(frozen=True)
class Variable:
    """A labelled array; `data` has a shape and a dtype and can be indexed, wherever it lies."""

    dims: tuple[str, ...]
    data: Any
    attrs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FunctionHeader:
    """Where a function goes and how its coefficients are laid out there."""

    variable: str
    space: FunctionSpace
    dims: tuple[str, ...]
    tail: tuple[int, ...]
    dtype: np.dtype[Any]
    split: bool
    attrs: Mapping[str, Any]

    def encode(self, coefficients: Tensor) -> np.ndarray:
        """Coefficients `(*batch, *coefficient_shape)` as the array that is stored."""
        batch = coefficients.shape[: coefficients.ndim - len(self.space.coefficient_shape)]
        array = stored_numbers(coefficients, split=self.split)
        return array.reshape(*batch, *self.tail)


class SchemaWriter:
    """Collects variables; equal domains and equal axes are written once.

    Parameters
    ----------
    split_complex : store complex numbers as pairs of reals and half precision as float32, which every file format has.
    """

    def __init__(self, *, split_complex: bool) -> None:
        self.variables: dict[str, Variable] = {}
        self.coordinates: set[str] = set()
        self._split = split_complex
        self._taken: set[str] = set()
        self._domains: dict[str, str] = {}
        self._axes: dict[tuple[str, bytes, str], str] = {}
        self._layouts: dict[str, dict[str, Any]] = {}
        self._components: dict[tuple[str, ...], str] = {}

    def unique(self, name: str) -> str:
        """`name`, made fit for a file and numbered if it is taken."""
        base = re.sub(r"[^0-9A-Za-z_.\-]", "_", name) or "u"
        if not (base[0].isalpha() or base[0] == "_"):
            base = f"_{base}"
        candidate, number = base, 0
        while candidate in self._taken:
            number += 1
            candidate = f"{base}_{number}"
        self._taken.add(candidate)
        return candidate

    def add(self, name: str, dims: Sequence[str], data: Any, **attrs: Any) -> str:
        """Add a variable under a unique name and return that name."""
        chosen = self.unique(name)
        self.variables[chosen] = Variable(tuple(dims), np.asarray(data), attrs)
        return chosen

    def add_axis(self, name: str, values: np.ndarray, units: str, **attrs: Any) -> str:
        """A coordinate variable and its dimension; one for all domains that share the axis."""
        key = (name, values.tobytes(), units)
        if key not in self._axes:
            dim = self.unique(name)
            attrs |= {"units": units} if units else {}
            attrs |= {"axis": name.upper()} if name in ("x", "y", "z") else {}
            self.variables[dim] = Variable((dim,), values, attrs)
            self.coordinates.add(dim)
            self._axes[key] = dim
        return self._axes[key]

    def add_domain(self, domain: Any) -> str:
        """Add a domain (once) and return the name of the variable that describes it."""
        identity = _identity(domain)
        if identity in self._domains:
            return self._domains[identity]
        kind = type(domain).__name__
        if kind == "ProductDomain":
            record = {"kind": kind, "fingerprint": domain.fingerprint}
            places: dict[str, Any] = {"factors": [self.add_domain(factor) for factor in domain.factors]}
            key, attrs, layout = self.unique("product"), {}, {}
        else:
            record, arrays = domain_to_record(domain)
            add = {"Grid": self._add_grid, "Mesh": self._add_mesh, "Times": self._add_times}.get(kind, self._add_points)
            key, places, attrs, layout = add(domain, arrays)
        attrs = {"fs_schema": SCHEMA, "fs_record": json.dumps(record), "fs_arrays": json.dumps(places), **attrs}
        self.variables[key] = Variable((), np.zeros((), dtype=np.int32), attrs)
        if "cf_role" not in attrs:
            self.coordinates.add(key)
        self._domains[identity] = key
        self._layouts[key] = {"domain": domain, **layout}
        return key

    def _add_grid(self, grid: Any, arrays: Mapping[str, np.ndarray]) -> tuple[str, dict[str, Any], dict[str, Any], Any]:
        key = self.unique("grid")
        dims = [self.add_axis(name, values.numpy(), grid.units.get(name, "")) for name, values in grid.axes.items()]
        places = {
            f"axis_{name}": dim for name, dim in zip(grid.axis_names, dims, strict=True) if f"axis_{name}" in arrays
        }
        return key, places, {}, {"dims": dims}

    def _add_times(
        self, times: Any, arrays: Mapping[str, np.ndarray]
    ) -> tuple[str, dict[str, Any], dict[str, Any], Any]:
        key = self.unique("times")
        name = times.axis_names[0]
        dim = self.add_axis(name, times.instants.numpy(), times.units.get(name, ""), axis="T", long_name="time")
        return key, {array: dim for array in arrays}, {}, {"dims": [dim]}

    def _add_points(
        self, cloud: Any, arrays: Mapping[str, np.ndarray]
    ) -> tuple[str, dict[str, Any], dict[str, Any], Any]:
        key = self.unique("cloud")
        dim = self.unique(f"{key}_point")
        columns = self._add_columns(key, "", dim, cloud, arrays["points"])
        places: dict[str, Any] = {"points": columns}
        for name, array in arrays.items():
            if name != "points":
                along = dim if len(array) == len(cloud.points) else None
                places[name] = self._add_array(f"{key}_{name}", array, along)
        return key, places, {}, {"dims": [dim], "coordinates": columns}

    def _add_mesh(self, mesh: Any, arrays: Mapping[str, np.ndarray]) -> tuple[str, dict[str, Any], dict[str, Any], Any]:
        from funcspace.functions.files.ugrid import add_mesh

        return add_mesh(self, mesh, arrays)

    def _add_columns(
        self, key: str, place: str, dim: str, domain: Any, points: np.ndarray, standard_names: Sequence[str] = ()
    ) -> list[str]:
        """One coordinate variable per column of points (n, d), in the domain's units."""
        columns = []
        for i, axis in enumerate(domain.axis_names):
            units = domain.units.get(axis, "")
            attrs = {"long_name": f"{axis} coordinate"} | ({"units": units} if units else {})
            if i < len(standard_names):
                attrs["standard_name"] = standard_names[i]
            columns.append(self.add(f"{key}{place}_{axis}", (dim,), np.ascontiguousarray(points[:, i]), **attrs))
        self.coordinates.update(columns)
        return columns

    def _add_array(self, name: str, array: np.ndarray, dim: str | None = None) -> Any:
        """Any array of a record, its first axis along `dim` or one of its own; an empty one is only described."""
        if array.size == 0:
            return {"empty": list(array.shape), "dtype": array.dtype.str}
        dims = [dim or self.unique(f"{name}_index"), *(self.unique(f"{name}_axis{i}") for i in range(1, array.ndim))]
        return self.add(name, dims, array)

    def layout_dims(self, space: FunctionSpace) -> tuple[list[str], dict[str, Any], list[str]]:
        """Dimensions of a function's layout, attributes for other programs, and the coordinate variables along it."""
        key = self.add_domain(space.domain)
        domain: Any = space.domain
        if type(domain).__name__ != "ProductDomain":
            return self._factor_dims(key, space)
        dims: list[str] = []
        attrs: dict[str, Any] = {}
        coordinates = [key]
        elements = [part.strip() for part in space.element.split("*")]
        for factor, element in zip(domain.factors, elements, strict=True):
            more, extra, places = self._factor_dims(self.add_domain(factor), FunctionSpace(factor, element))
            dims, attrs, coordinates = dims + more, attrs | extra, coordinates + places
        return dims, attrs, coordinates

    def _factor_dims(self, key: str, space: FunctionSpace) -> tuple[list[str], dict[str, Any], list[str]]:
        layout = self._layouts[key]
        if type(space.domain).__name__ == "Mesh":
            from funcspace.functions.files.ugrid import mesh_dims

            return mesh_dims(self, key, layout, space.element, space)
        return layout["dims"], {}, [key, *layout.get("coordinates", [])]

    def header(
        self, name: str, space: FunctionSpace, dtype: torch.dtype, *, units: str = "", role: str = "function",
        batch_dims: Sequence[str] = (),
    ) -> FunctionHeader:  # fmt: skip
        """Reserve the place of a function and describe it; the coefficients come later, whole or in pieces."""
        domain = self.add_domain(space.domain)
        layout, attrs, coordinates = self.layout_dims(space)
        parts = self._component_dims(space)
        kind, split = stored_dtype(dtype, split=self._split)
        attrs = {
            "fs_role": role,
            "fs_name": name,
            "fs_units": units,
            "fs_domain": domain,
            "fs_place": type(getattr(space.domain, "factors", (space.domain,))[-1]).__name__,
            "fs_element": space.element,
            "fs_space": json.dumps(element_record(space)),
            "fs_layout": json.dumps(layout),
            "fs_values": json.dumps(parts),
            "fs_dtype": str(dtype).removeprefix("torch."),
            "fs_schema": SCHEMA,
            **({"units": units} if units else {}),
            **({"coordinates": " ".join(coordinates)} if coordinates else {}),
            **attrs,
        }
        tail = (*space.layout, *space.component_shape)
        dims = (*batch_dims, *layout, *parts)
        if split:
            tail, dims = (*tail, 2), (*dims, PART)
        return FunctionHeader(self.unique(name), space, dims, tail, kind, self._split, attrs)

    def _component_dims(self, space: FunctionSpace) -> list[str]:
        if not space.component_shape:
            return []
        key = (*space.components, *map(str, space.component_shape))
        if key not in self._components:
            self._components[key] = self.unique("component")
        base = self._components[key]
        return [base] if len(space.component_shape) == 1 else [
            f"{base}_axis{i}" for i in range(len(space.component_shape))
        ]  # fmt: skip

    def component_labels(self) -> dict[str, list[str]]:
        """Names along each component dimension."""
        return {dim: list(key[:-1]) for key, dim in self._components.items() if len(key) - 1 == int(key[-1])}


def _identity(domain: Any) -> str:
    """The fingerprint, and the bits of instants, which it rounds."""
    times = getattr(domain, "factors", (domain,))[0]
    return f"{domain.fingerprint} {content_fingerprint([getattr(times, 'instants', None)])}"


def stored_dtype(dtype: torch.dtype, *, split: bool) -> tuple[np.dtype[Any], bool]:
    """The type that is stored, and whether it is a pair of reals."""
    if dtype.is_complex and split:
        return np.dtype(np.float64 if dtype == torch.complex128 else np.float32), True
    if dtype == torch.bfloat16 or (split and dtype == torch.float16):
        return np.dtype(np.float32), False
    if dtype == torch.complex32:
        return np.dtype(np.complex64), False
    if dtype == torch.bool and split:
        return np.dtype(np.int8), False
    return torch.empty(0, dtype=dtype).numpy().dtype, False


def stored_numbers(values: Tensor, *, split: bool) -> np.ndarray:
    """The numbers of a tensor in the type that is stored; no digit is lost."""
    values = values.detach().cpu().resolve_conj().resolve_neg()
    if values.dtype == torch.complex32:
        values = values.to(torch.complex64)
    if values.is_complex() and split:
        values = torch.view_as_real(values)
    kind, _ = stored_dtype(values.dtype, split=split)
    if values.dtype in (torch.bfloat16, torch.float16) and kind == np.float32:
        values = values.to(torch.float32)
    return np.ascontiguousarray(values.numpy().astype(kind, copy=False))


def to_plain(value: Any, name: str) -> Any:
    """A value of attributes or boundary data as plain data for JSON; arrays and tensors keep their type.

    Raises
    ------
    InputError
        When something in it has no plain form; `name` says where.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return to_plain(value.item(), name)
    if isinstance(value, complex):
        return {"fs_complex": [value.real, value.imag]}
    if isinstance(value, Tensor):
        return {"fs_tensor": value.detach().cpu().tolist(), "dtype": str(value.dtype).removeprefix("torch.")}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return {"fs_array": value.tolist(), "dtype": value.dtype.str}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: to_plain(item, f"{name}[{key!r}]") for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_plain(item, f"{name}[{i}]") for i, item in enumerate(value)]
    raise InputError(
        f"{name} is a {type(value).__name__}, which a file cannot hold; use numbers, text, arrays, lists and mappings"
    )


def from_plain(value: Any) -> Any:
    """What `to_plain` made plain."""
    if isinstance(value, list):
        return [from_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "fs_complex" in value:
        return complex(*value["fs_complex"])
    if "fs_tensor" in value:
        return torch.tensor(value["fs_tensor"], dtype=getattr(torch, value["dtype"]))
    if "fs_array" in value:
        return np.array(value["fs_array"], dtype=value["dtype"])
    return {key: from_plain(item) for key, item in value.items()}
