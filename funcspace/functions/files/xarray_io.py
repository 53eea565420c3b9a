"""Functions as xarray data sets, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from funcspace.errors import DomainError, FileError, InputError
from funcspace.functions.files.data_schema import CONVENTIONS, SCHEMA, SchemaWriter, Variable
from funcspace.functions.files.schema_reader import SchemaReader, check_schema
from funcspace.functions.files.ugrid import nodal_copy
from funcspace.functions.function import Function
from funcspace.geometry.grid import Grid
from funcspace.optional import require

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["as_dataset", "function_from_xarray", "function_to_xarray", "variables_of"]


def function_to_xarray(function: Function) -> xr.Dataset:
    """A Dataset that holds a function, its domain and its space in CF 1.11 and UGRID 1.0 terms.

    ==============  =====================================================================================
    Grid            dimensions (sample.., x, y, ..[, component]) with coordinate variables
    Times           dimension time; on products before the dimensions of the other factor
    Mesh            topology variable `mesh`; P1 and Q1 on the nodes, P0 on the cells; other elements on a
                    dimension of dofs with the dofs of each cell, and for P2 and Q2 a copy `<name>_node`
    PointCloud      one dimension of points, coordinates along it
    ==============  =====================================================================================

    Attributes whose names begin with `fs_` make the way back exact.
    """
    xr = require("xarray", feature="labelled arrays", install="pip install xarray")
    writer = SchemaWriter(split_complex=False)
    writer.add_domain(function.domain)
    batch = [writer.unique("sample") for _ in function.batch_shape]
    header = writer.header(function.name, function.space, function.dtype, units=function.units, batch_dims=batch)
    writer.variables[header.variable] = Variable(header.dims, header.encode(function.coefficients), header.attrs)
    copy = nodal_copy(function)
    if copy is not None:
        _add_nodal_copy(writer, header.variable, copy)
    data, coords = {}, {}
    for name, variable in writer.variables.items():
        attrs = {key: value for key, value in variable.attrs.items() if key != "coordinates"}
        encoding = {"_FillValue": None} if variable.data.dtype.kind in "fc" else {}
        target = coords if name in writer.coordinates else data
        target[name] = xr.Variable(variable.dims, variable.data, attrs, encoding)
    for dim, labels in writer.component_labels().items():
        coords[dim] = xr.Variable((dim,), labels)
    first = {header.variable: data.pop(header.variable)}
    return xr.Dataset(
        {**first, **data}, coords, {"Conventions": CONVENTIONS, "fs_schema": SCHEMA, "fs_kind": "Function"}
    )


def _add_nodal_copy(writer: SchemaWriter, name: str, values: Any) -> None:
    variable = writer.variables[name]
    key = variable.attrs["mesh"]
    dims = tuple(
        writer.variables[key].attrs["node_dimension"] if dim.startswith(f"{key}_dof_") else dim for dim in variable.dims
    )
    attrs = {"mesh": key, "location": "node", "long_name": f"{name} at the nodes (a copy for viewing)"}
    if "units" in variable.attrs:
        attrs["units"] = variable.attrs["units"]
    writer.variables[writer.unique(f"{name}_node")] = Variable(dims, values, attrs)


def function_from_xarray(dataset: Any, name: str | None = None) -> Function:
    """The function in a Dataset or DataArray: exactly, if `function_to_xarray` wrote it; else from its labels.

    Data of other origin lie on rectilinear coordinates (a Grid, Times, or Times * Grid), on points, or on a UGRID mesh;
    see `funcspace.functions.files.plain_xarray`.

    Parameters
    ----------
    name : which variable; may be left out when there is only one candidate.

    Raises
    ------
    InputError
        When there is no such variable, several candidates, or labels that say too little; the names are listed.
    DomainError
        When part of a function on a mesh or cloud was cut out.
    """
    dataset, name = as_dataset(dataset, name)
    reader = SchemaReader(variables_of(dataset))
    ours = {str(reader.variables[key].attrs.get("fs_name", key)): key for key in reader.functions()}
    key = _chosen(name, ours, dataset)
    if key is not None and key in reader.functions():
        if _is_whole(reader, key):
            return reader.function(key)
        attrs = reader.variables[key].attrs
        if "location" in attrs or "PointCloud" in str(attrs.get("fs_place")):
            raise DomainError(
                f"{key!r} is part of a function on {attrs.get('fs_domain')!r} or came without it; pass the whole "
                "Dataset, not a selection of its dofs or a single DataArray"
            )
    from funcspace.functions.files.plain_xarray import function_from_plain

    return function_from_plain(dataset, key)


def _is_whole(reader: SchemaReader, key: str) -> bool:
    """Whether a function and its domain are as they were written; false where an axis was cut or a part is missing."""
    attrs = reader.variables[key].attrs
    check_schema(attrs, "the data set")
    reader.json(attrs, "fs_space", key)
    domain = reader.variables.get(str(attrs.get("fs_domain")))
    if domain is None:
        return False
    check_schema(domain.attrs, "the data set")
    try:
        return reader.is_whole(key) and _labels_agree(reader, key)
    except FileError:
        return False


def _labels_agree(reader: SchemaReader, key: str) -> bool:
    """Whether the coordinates along grids and times are still those of the domain, for they may have been changed."""
    domain = reader.space(key).domain
    labels: list[Any] = []
    for factor in getattr(domain, "factors", (domain,)):
        labels += list(factor.axes.values()) if isinstance(factor, Grid) else [getattr(factor, "instants", None)]
    dims = reader.json(reader.variables[key].attrs, "fs_layout", key)
    return all(
        label is None or dim not in reader.variables or np.array_equal(label.numpy(), reader.array(dim))
        for dim, label in zip(dims, labels, strict=True)
    )


def _chosen(name: str | None, ours: dict[str, str], dataset: xr.Dataset) -> str | None:
    if name is None and len(ours) > 1:
        raise InputError(f"the Dataset holds the functions {sorted(ours)}; say which one")
    if name is None:
        return next(iter(ours.values()), None)
    if name in ours or name in dataset.variables:
        return ours.get(name, name)
    known = sorted({*ours, *(str(key) for key in dataset.data_vars)})
    raise InputError(f"the Dataset has no variable {name!r}; it has {known}")


def as_dataset(data: Any, name: str | None = None) -> tuple[xr.Dataset, str | None]:
    """A Dataset from a Dataset or a DataArray, and the name of the latter."""
    xr = require("xarray", feature="labelled arrays", install="pip install xarray")
    if isinstance(data, xr.DataArray):
        label = str(data.name or name or "u")
        if label in data.dims or label in data.coords:
            label = f"{label}_values"
        return data.to_dataset(name=label), label
    if not isinstance(data, xr.Dataset):
        raise InputError(f"expected an xarray Dataset or DataArray, got {type(data).__name__}")
    return data, name


def variables_of(dataset: xr.Dataset) -> dict[str, Variable]:
    """The variables of a Dataset, read when indexed."""
    return {
        str(name): Variable(tuple(map(str, variable.dims)), variable, variable.attrs)
        for name, variable in dataset.variables.items()
    }
