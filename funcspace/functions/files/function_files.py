"""Single functions in files: exactly in netCDF and Zarr, and for ParaView and its kin on meshes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from funcspace.errors import FileError, InputError
from funcspace.functions.files.data_files import opened_for_writing
from funcspace.functions.files.data_schema import CONVENTIONS, SCHEMA, SchemaWriter, Variable
from funcspace.functions.files.netcdf_file import read_netcdf
from funcspace.functions.files.schema_reader import SchemaReader
from funcspace.functions.files.zarr_store import read_zarr
from funcspace.functions.function import Function
from funcspace.functions.space import FunctionSpace
from funcspace.optional import require

__all__ = ["function_from_file", "function_to_file"]

EXACT = (".nc", ".zarr")


def function_to_file(function: Function, path: Any) -> None:
    """Write a function to netCDF or Zarr (everything, exactly), or to a mesh file (.vtu, .xdmf, .msh, ...) for viewing.

    In mesh files P1 and Q1 are data on points, P0 on cells, P2 and Q2 data on the points of quadratic cells, RT and
    N1curl vectors at the middle of each cell. Each function of a batch gets a name of its own, `u_0`, `u_1`, ...;
    vectors in the plane get a third component 0, which ParaView needs.

    Raises
    ------
    InputError
        When the function is not on a mesh, or complex, and the format is a mesh file.
    FileError
        When the file cannot be written.
    """
    if Path(path).suffix in EXACT:
        _write_exactly(function, path)
        return
    if type(function.domain).__name__ != "Mesh":
        raise InputError(f"mesh files hold functions on a Mesh, not on {function.domain!r}; write netCDF (.nc) instead")
    if function.coefficients.is_complex():
        raise InputError(
            f"{function.name!r} is complex, which mesh files cannot hold; write its real and imaginary parts"
        )
    from funcspace.geometry.meshes.mesh_files import write_mesh

    mesh, values, on_points = _viewable(function)
    names = {function.name: values} if not function.batch_shape else {
        f"{function.name}_{'_'.join(map(str, index))}": values[index] for index in np.ndindex(*function.batch_shape)
    }  # fmt: skip
    data = {name: _three_components(array, mesh.dim) for name, array in names.items()}
    write_mesh(path, mesh, point_data=data if on_points else None, cell_data=None if on_points else data)


def _write_exactly(function: Function, path: Any) -> None:
    with opened_for_writing(path) as sink:
        schema = SchemaWriter(split_complex=True)
        schema.add_domain(function.domain)
        batch = [schema.unique("sample") for _ in function.batch_shape]
        header = schema.header(function.name, function.space, function.dtype, units=function.units, batch_dims=batch)
        schema.variables[header.variable] = Variable(header.dims, header.encode(function.coefficients), header.attrs)
        for name, variable in schema.variables.items():
            sink.put(name, variable)
        sink.finish({"Conventions": CONVENTIONS, "fs_schema": SCHEMA, "fs_kind": "Function"})


def _viewable(function: Function) -> tuple[Any, np.ndarray, bool]:
    """A mesh, values `(*batch, points or cells, *value)` on it, and whether they are on points."""
    space, mesh = function.space, function.domain
    coefficients = function.coefficients.detach().cpu().to(torch.promote_types(function.dtype, torch.float32))
    if space.element in ("P1", "Q1"):
        return mesh, coefficients.numpy(), True
    if space.element == "P0":
        return mesh, coefficients.numpy(), False
    if space.element in ("P2", "Q2"):
        curved = mesh if mesh.is_curved else mesh.curved()
        if space.dof_points is not None and torch.allclose(space.dof_points, curved.nodes, atol=1e-12):
            return curved, coefficients.numpy(), True
    nodes = mesh.points.numpy()[mesh.cells.numpy()]
    middles = space.evaluation(nodes.mean(axis=1), outside="nearest")(coefficients)
    return mesh, middles.numpy(), False


def _three_components(values: np.ndarray, dim: int) -> np.ndarray:
    if values.ndim == 2 and values.shape[1] == dim == 2:
        return np.pad(values, ((0, 0), (0, 1)))
    return values.reshape(len(values), -1) if values.ndim > 2 else values


def function_from_file(path: Any, name: str | None = None) -> Function:
    """Read a function from netCDF or Zarr, or one of the data of a mesh file.

    Data on points make a P1 or Q1 function (P2 or Q2 on quadratic cells), data on cells a P0 function. In the plane a
    third component that is zero everywhere is left out.

    Parameters
    ----------
    name : which of several data.

    Raises
    ------
    FileError
        When the file is missing, truncated, foreign or empty of data.
    InputError
        When there is no data of that name, or several and none was named; the names are listed.
    """
    target = Path(path)
    if not target.exists():
        raise FileError(f"there is no file {target}")
    if target.suffix in EXACT:
        return _read_exactly(target, name)
    from funcspace.geometry.meshes.mesh_files import read_mesh

    mesh, on_points, on_cells = read_mesh(target)
    known = [*on_points, *(key for key in on_cells if key not in on_points)]
    numeric = [key for key in known if not key.startswith(("gmsh:", "medit:"))]
    if not numeric and name is None:
        raise FileError(f"{target} holds a mesh without data; read it with Mesh.from_file")
    if name is None and len(numeric) > 1:
        raise InputError(f"{target} holds the data {numeric}; say which one")
    name = numeric[0] if name is None else name
    if name not in known:
        raise InputError(f"{target} has no data {name!r}; it has {numeric}")
    pointwise = name in on_points
    values = np.asarray(on_points[name] if pointwise else on_cells[name])
    return _on_mesh(mesh, values, name, pointwise)


def _on_mesh(mesh: Any, values: np.ndarray, name: str, pointwise: bool) -> Function:
    if values.dtype.kind != "f":
        values = values.astype(np.float64)
    if values.ndim == 2 and values.shape[1] == 3 and mesh.dim == 2 and not values[:, 2].any():
        values = values[:, :2]
    values = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    count = values.shape[1] if values.ndim > 1 else 1
    components = (name,) if count == 1 else tuple(f"{name}{i}" for i in range(count))
    element = "P0" if not pointwise else f"{'P' if mesh.reference.is_simplex else 'Q'}{mesh.degree}"
    space = FunctionSpace(mesh, element, components=components)
    if (
        pointwise
        and mesh.is_curved
        and not (space.dof_points is not None and torch.allclose(space.dof_points, mesh.nodes, atol=1e-9))
    ):
        space, values = FunctionSpace(mesh, element[0] + "1", components=components), values[: len(mesh.points)]
    values = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("=")))
    return Function(space, torch.from_numpy(values), name=name)


def _read_exactly(path: Path, name: str | None) -> Function:
    variables, attrs = (read_zarr if path.suffix == ".zarr" else read_netcdf)(str(path))
    if "fs_schema" in attrs:
        reader = SchemaReader(variables, str(path))
        names = {str(variables[key].attrs.get("fs_name", key)): key for key in reader.functions()}
        if name is None and len(names) != 1:
            raise InputError(f"{path} holds the functions {sorted(names)}; say which one")
        key = next(iter(names.values())) if name is None else names.get(name)
        if key is None:
            raise InputError(f"{path} has no function {name!r}; it has {sorted(names)}")
        return reader.function(key)
    xr = require("xarray", feature="labelled arrays", install="pip install xarray")
    opened = xr.open_zarr(path, decode_timedelta=False) if path.suffix == ".zarr" else xr.open_dataset(
        path, decode_timedelta=False
    )  # fmt: skip
    with opened as dataset:
        return Function.from_xarray(dataset, name)
