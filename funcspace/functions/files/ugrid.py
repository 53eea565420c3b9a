"""Meshes in UGRID terms: a topology variable, node coordinates, corners of cells; the dofs of each cell beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from funcspace.functions.files.data_schema import SchemaWriter
    from funcspace.functions.function import Function
    from funcspace.functions.space import FunctionSpace

__all__ = ["add_mesh", "mesh_dims", "nodal_copy", "vtk_corners"]

CELLS = {1: ("edge", "nEdges"), 2: ("face", "nFaces"), 3: ("volume", "nVolumes")}
STANDARD_NAMES = ("projection_x_coordinate", "projection_y_coordinate")  # what UGRID readers look for on a plane
VTK_TYPES = {"interval": 3, "triangle": 5, "quadrilateral": 9, "tetrahedron": 10, "hexahedron": 12}
VTK_HEXAHEDRON = ((0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1))


def vtk_corners(reference: Any) -> list[int]:
    """Local corner numbers of a cell in VTK's order."""
    if reference.name != "hexahedron":
        return list(range(reference.n_corners))
    corners = [tuple(round(c) for c in corner) for corner in reference.corners]
    return [corners.index(corner) for corner in VTK_HEXAHEDRON]


def add_mesh(
    writer: SchemaWriter, mesh: Any, arrays: Mapping[str, np.ndarray]
) -> tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Write a mesh; return its name, where its arrays are, the topology attributes, and the dimensions of its parts."""
    key = writer.unique("mesh")
    cell, plural = CELLS[mesh.dim]
    node_dim, cell_dim = writer.unique(f"{key}_nNodes"), writer.unique(f"{key}_{plural}")
    columns = writer._add_columns(key, "_node", node_dim, mesh, arrays["nodes"], STANDARD_NAMES)
    order = vtk_corners(mesh.reference)
    connectivity = writer.add(
        f"{key}_{cell}_nodes",
        (cell_dim, writer.unique(f"{key}_{cell}_corners")),
        np.ascontiguousarray(arrays["cells"][:, order]),
        cf_role=f"{cell}_node_connectivity",
        start_index=0,
        long_name=f"corners of each {mesh.cell_type}, in VTK's order",
        vtk_cell_type=VTK_TYPES[mesh.cell_type],
    )
    places: dict[str, Any] = {
        "nodes": columns,
        "cells": {"variable": connectivity, "order": np.argsort(order).tolist()},
    }
    if mesh.is_curved:
        places["cells"] = writer.add(
            f"{key}_{cell}_all_nodes",
            (cell_dim, writer.unique(f"{key}_{cell}_all_nodes_index")),
            arrays["cells"],
            long_name=f"nodes of each curved {mesh.cell_type}: corners, edges, facets, interior",
            start_index=0,
        )
    names = [name for name in mesh.boundary if name != "boundary"]
    for i, name in enumerate(names):
        places[f"part_{i}"] = writer._add_array(f"{key}_boundary_{name}", arrays[f"part_{i}"])
        if isinstance(places[f"part_{i}"], str):
            part = writer.variables[places[f"part_{i}"]]
            attrs = {"long_name": f"facets of the boundary part {name}", "start_index": 0}
            writer.variables[places[f"part_{i}"]] = type(part)(part.dims, part.data, attrs)
    attrs = {
        "cf_role": "mesh_topology",
        "topology_dimension": mesh.dim,
        "node_coordinates": " ".join(columns),
        "node_dimension": node_dim,
        f"{cell}_node_connectivity": connectivity,
        f"{cell}_dimension": cell_dim,
        "long_name": f"{mesh.n_cells} {mesh.cell_type} cells",
    }
    return key, places, attrs, {"node": node_dim, "cell": cell_dim, "elements": {}, "columns": columns}


def mesh_dims(
    writer: SchemaWriter, key: str, layout: dict[str, Any], element: str, space: FunctionSpace
) -> tuple[list[str], dict[str, Any], list[str]]:
    """The dimension of an element's dofs, attributes for UGRID readers, and the coordinate variables along it.

    P1 and Q1 are on the nodes, P0 on the cells, all others on a dimension of their own.
    """
    mesh: Any = space.domain
    cell = CELLS[mesh.dim][0]
    attrs: dict[str, Any] = {"mesh": key}
    if element in ("P1", "Q1") and not mesh.is_curved:
        return [layout["node"]], {**attrs, "location": "node"}, layout["columns"]
    if element == "P0":
        return [layout["cell"]], {**attrs, "location": cell}, []
    if element not in layout["elements"]:
        dim = writer.unique(f"{key}_dof_{element}")
        cell_dofs = writer.add(
            f"{key}_cell_dofs_{element}",
            (layout["cell"], writer.unique(f"{key}_local_dof_{element}")),
            space.basis.cell_dofs,  # pyright: ignore[reportAttributeAccessIssue]
            long_name=f"dofs of each cell, {element}",
            start_index=0,
        )
        layout["elements"][element] = (dim, cell_dofs)
    dim, cell_dofs = layout["elements"][element]
    return [dim], {**attrs, "location": "dof", "fs_cell_dofs": cell_dofs}, []


def nodal_copy(function: Function) -> np.ndarray | None:
    """Values at the vertices, `(*batch, [time,] vertices, *components)`, for programs that know nodes only.

    None where a program sees the function without it (P0, P1, Q1) or where it has no value at a vertex (RT, N1curl).
    """
    space = function.space
    element = space.element.split("*")[-1].strip()
    domain: Any = space.domain
    mesh = getattr(domain, "factors", (domain,))[-1]
    if type(mesh).__name__ != "Mesh" or mesh.is_curved or element not in ("P2", "Q2"):
        return None
    values = function.values.detach().cpu()
    axis = values.ndim - len(space.component_shape) - 1
    return values.index_select(axis, torch.arange(len(mesh.points))).numpy()
