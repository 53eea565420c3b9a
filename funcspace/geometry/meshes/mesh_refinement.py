"""Uniform refinement and quadratic geometry: both number their new points as the nodes of quadratic cells."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from funcspace.errors import InputError
from funcspace.geometry.domain import as_points
from funcspace.geometry.meshes.mesh_checks import check_shapes
from funcspace.geometry.meshes.mesh_topology import quadratic_numbering
from funcspace.geometry.meshes.reference_cells import REFERENCE_CELLS, FloatArray, IntArray, ReferenceCell

if TYPE_CHECKING:
    from funcspace.geometry.meshes.mesh import Mesh

__all__ = ["curved", "quadratic_nodes", "refined"]


def quadratic_nodes(mesh: Mesh) -> tuple[FloatArray, IntArray]:
    """Nodes and cell nodes of the quadratic geometry that equals a mesh's own."""
    nodes, corners, reference = mesh.nodes.numpy(), mesh.cells.numpy(), mesh.reference
    if mesh.is_curved:
        return nodes, mesh.cell_nodes.numpy()
    numbering, total = quadratic_numbering(corners, len(nodes), reference)
    result = np.empty((total, mesh.dim))
    for local, entity in enumerate(reference.node_entities):
        result[numbering[:, local]] = nodes[corners[:, list(entity)]].mean(axis=1)
    return result, numbering


def curved(mesh: Mesh, mapping: Callable[[Tensor], Any] | None, part: str) -> Mesh:
    """Quadratic geometry; `mapping` moves the nodes on the facets of a named part that are no vertices."""
    nodes, cell_nodes = quadratic_nodes(mesh)
    nodes = nodes.copy()
    if mapping is not None:
        moved = _nodes_on(mesh, cell_nodes, part)
        answer = as_points(mapping(torch.from_numpy(nodes[moved])), mesh.dim, name="mapped points")
        if len(answer) != len(moved):
            raise InputError(f"the mapping must return one point per point: {len(moved)} in, {len(answer)} out")
        nodes[moved] = answer.numpy()
        check_shapes(nodes, cell_nodes, mesh.reference, 2, "keep")
    result = mesh._like(nodes, cell_nodes, 2, mesh.points.shape[0])
    return result._with_parts(mesh._parts)


def _nodes_on(mesh: Mesh, cell_nodes: IntArray, part: str) -> IntArray:
    """Nodes beyond the vertices on the facets of a part."""
    reference, facets = mesh.reference, mesh._part(part).numpy()
    owners = mesh.facet_cells.numpy()[facets, 0]
    local = (mesh.cell_facets.numpy()[owners] == facets[:, None]).argmax(axis=1)
    found = []
    for index, corners in enumerate(reference.facets):
        on_facet = [
            n
            for n, entity in enumerate(reference.node_entities)
            if len(entity) > 1 and set(entity) <= set(corners) and reference.dim > 1
        ]
        found.append(cell_nodes[owners[local == index]][:, on_facet].ravel())
    return np.unique(np.concatenate(found)).astype(np.int64)


def refined(mesh: Mesh) -> Mesh:
    """One uniform refinement; see `Mesh.refined`."""
    reference = mesh.reference
    nodes, cell_nodes = quadratic_nodes(mesh)
    choice = _diagonals(nodes, cell_nodes, reference)
    children = np.stack([np.array(t) for t in _templates(reference.name)])  # (choices, 2^d, corners)
    cells = np.take_along_axis(cell_nodes[:, None, :], children[choice].reshape(mesh.n_cells, 1, -1), axis=2).reshape(
        -1, reference.n_corners
    )
    if mesh.is_curved:
        numbering, total = quadratic_numbering(cells, len(nodes), reference)
        new = np.empty((total, mesh.dim))
        grid = numbering.reshape(mesh.n_cells, children.shape[1], -1)
        for which in range(len(children)):
            rows = np.flatnonzero(choice == which)
            for child, corners in enumerate(children[which]):
                place = reference.shape(reference.nodes) @ reference.nodes[corners]
                values = np.einsum("qk,mki->mqi", reference.shape(place, 2), nodes[cell_nodes[rows]])
                new[grid[rows, child]] = values
        new[: len(nodes)] = nodes  # kept to the last bit
        result = mesh._like(new, numbering, 2, len(nodes))
    else:
        result = mesh._like(nodes, np.ascontiguousarray(cells), 1, len(nodes))
    return result._with_parts(_inherited(mesh, result, choice)) if mesh._parts else result


def _inherited(mesh: Mesh, fine: Mesh, choice: IntArray) -> dict[str, IntArray]:
    """The facets of the refined mesh that lie on the facets of each named part."""
    origin = np.full(len(fine.facets), -1, dtype=np.int64)
    coarse, cell_facets = mesh.cell_facets.numpy(), fine.cell_facets.numpy()
    cell_facets = cell_facets.reshape(mesh.n_cells, -1, cell_facets.shape[1])
    for which, table in enumerate(_facet_tables(mesh.cell_type)):
        rows = np.flatnonzero(choice == which)
        for child, local, parent in table:
            origin[cell_facets[rows, child, local]] = coarse[rows, parent]
    parts = {}
    for name, facets in mesh._parts.items():
        member = np.zeros(len(mesh.facets) + 1, dtype=bool)  # the last entry stands for -1
        member[facets] = True
        parts[name] = np.flatnonzero(member[origin])
    return parts


def _diagonals(nodes: FloatArray, cell_nodes: IntArray, reference: ReferenceCell) -> IntArray:
    """Which diagonal splits the inner octahedron of each tetrahedron: the shortest (the first of equals)."""
    if reference.name != "tetrahedron":
        return np.zeros(len(cell_nodes), dtype=np.int64)
    lengths = np.stack(
        [np.linalg.norm(nodes[cell_nodes[:, a]] - nodes[cell_nodes[:, b]], axis=1) for a, b in _OCTAHEDRON],
        axis=1,
    )
    return (lengths <= lengths.min(axis=1, keepdims=True) * (1 + 1e-9)).argmax(axis=1)


# opposite edge midpoints of a tetrahedron, as nodes of the quadratic cell: edges (0,1)-(2,3), (1,2)-(0,3), (0,2)-(1,3)
_OCTAHEDRON = ((4, 9), (5, 7), (6, 8))


@lru_cache(maxsize=8)
def _templates(name: str) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """Children of a cell as nodes of its quadratic cell, one list per choice of diagonal; orientation is kept."""
    reference = REFERENCE_CELLS[name]
    nodes = reference.nodes

    def node_at(point: FloatArray) -> int:
        return int(np.abs(nodes - point).sum(axis=1).argmin())

    # a copy of the cell, halved, at each corner
    corner_children = [
        tuple(node_at((corner + other) / 2) for other in reference.corners) for corner in reference.corners
    ]
    if name == "triangle":
        return ((*corner_children, (3, 4, 5)),)
    if name != "tetrahedron":
        return (tuple(corner_children),)
    result = []
    for a, b in _OCTAHEDRON:
        ring = [n for pair in _OCTAHEDRON if a not in pair for n in pair]
        around = [ring[0], ring[2], ring[1], ring[3]]
        inner = []
        for i in range(4):
            tetrahedron = [a, b, around[i], around[(i + 1) % 4]]
            if np.linalg.det(nodes[tetrahedron[1:]] - nodes[tetrahedron[0]]) < 0:
                tetrahedron[2:] = tetrahedron[:1:-1]
            inner.append(tuple(tetrahedron))
        result.append((*corner_children, *inner))
    return tuple(result)


@lru_cache(maxsize=8)
def _facet_tables(name: str) -> tuple[tuple[tuple[int, int, int], ...], ...]:
    """For each choice of diagonal: (child, its local facet, the parent's local facet on which that lies)."""
    reference, tables = REFERENCE_CELLS[name], []
    for template in _templates(name):
        table = []
        for child, corners in enumerate(template):
            for local, facet in enumerate(reference.facets):
                used = {c for i in facet for c in reference.node_entities[corners[i]]}
                table += [(child, local, parent) for parent, whole in enumerate(reference.facets) if used <= set(whole)]
        tables.append(tuple(table))
    return tuple(tables)
