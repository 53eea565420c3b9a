"""Node orders of other codes against ours: VTK (and meshio), gmsh, and Basix (DOLFINx)."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np

from funcspace.geometry.meshes.reference_cells import REFERENCE_CELLS, FloatArray

__all__ = ["from_theirs", "to_theirs"]

Convention = Literal["vtk", "gmsh", "basix"]

_CUBE = np.array(
    [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]], dtype=np.float64
)
_CUBE_EDGES: dict[Convention, tuple[tuple[int, int], ...]] = {
    "vtk": ((0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7)),
    "gmsh": ((0, 1), (0, 3), (0, 4), (1, 2), (1, 5), (2, 3), (2, 6), (3, 7), (4, 5), (4, 7), (5, 6), (6, 7)),
}
# the axis and side of each face, in order
_CUBE_FACES: dict[Convention, tuple[tuple[int, float], ...]] = {
    "vtk": ((0, 0.0), (0, 1.0), (1, 0.0), (1, 1.0), (2, 0.0), (2, 1.0)),
    "gmsh": ((2, 0.0), (1, 0.0), (0, 0.0), (0, 1.0), (1, 1.0), (2, 1.0)),
}


# Basix counts corners of boxes with x fastest; edges and faces come in the order of their corners
_BASIX_SIMPLEX_EDGES = {
    "interval": ((0, 1),),
    "triangle": ((1, 2), (0, 2), (0, 1)),
    "tetrahedron": ((2, 3), (1, 3), (1, 2), (0, 3), (0, 2), (0, 1)),
}
_BASIX_BOX_ENTITIES = {
    "quadrilateral": ((0, 1), (0, 2), (1, 3), (2, 3), (0, 1, 2, 3)),
    "hexahedron": (
        *((0, 1), (0, 2), (0, 4), (1, 3), (1, 5), (2, 3), (2, 6), (3, 7), (4, 5), (4, 6), (5, 7), (6, 7)),
        *((0, 1, 2, 3), (0, 1, 4, 5), (0, 2, 4, 6), (1, 3, 5, 7), (2, 3, 6, 7), (4, 5, 6, 7)),
        tuple(range(8)),
    ),
}


def _basix_nodes(name: str) -> FloatArray:
    reference = REFERENCE_CELLS[name]
    corners, entities = reference.corners, _BASIX_SIMPLEX_EDGES.get(name, ())
    if not entities:
        corners = np.array([p[::-1] for p in np.ndindex(*[2] * reference.dim)], dtype=np.float64)
        entities = _BASIX_BOX_ENTITIES[name]
    return np.vstack([corners, *(corners[list(entity)].mean(axis=0) for entity in entities)])


def _their_nodes(name: str, convention: Convention) -> FloatArray:
    if convention == "basix":
        return _basix_nodes(name)
    if name == "hexahedron":
        edges = [_CUBE[list(edge)].mean(axis=0) for edge in _CUBE_EDGES[convention]]
        faces = [[side if a == axis else 0.5 for a in range(3)] for axis, side in _CUBE_FACES[convention]]
        return np.vstack([_CUBE, *edges, faces, np.full(3, 0.5)])
    nodes = REFERENCE_CELLS[name].nodes
    if name == "tetrahedron" and convention == "gmsh":
        return nodes[[0, 1, 2, 3, 4, 5, 6, 7, 9, 8]]
    return nodes


@lru_cache(maxsize=32)
def from_theirs(name: str, degree: int, convention: Convention) -> tuple[int, ...]:
    """Columns of their cells that make ours: `ours = theirs[:, from_theirs(...)]`."""
    reference = REFERENCE_CELLS[name]
    count = reference.n_nodes(degree)
    gaps = np.abs(reference.nodes[:count, None] - _their_nodes(name, convention)[None, :count]).sum(axis=2)
    return tuple(int(i) for i in gaps.argmin(axis=1))


def to_theirs(name: str, degree: int, convention: Convention) -> tuple[int, ...]:
    """Columns of our cells that make theirs."""
    return tuple(int(i) for i in np.argsort(from_theirs(name, degree, convention)))
