"""What a mesh knows about itself: points, cells, facets, named parts, sizes, measure, and the map of its cells."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from funcspace.errors import InputError
from funcspace.geometry.cached_property import cached_property
from funcspace.geometry.domain import as_points
from funcspace.geometry.meshes.mesh_topology import Topology
from funcspace.geometry.meshes.reference_cells import FloatArray, IntArray, ReferenceCell

__all__ = ["MeshGeometry"]


class MeshGeometry:
    """The data of `Mesh` and all that follows from it, each computed when first asked for."""

    _nodes: FloatArray
    _cell_nodes: IntArray
    _reference: ReferenceCell
    _degree: int
    _n_vertices: int
    _parts: dict[str, IntArray]
    _units: dict[str, str]
    _axis_names: tuple[str, ...]

    # points and cells

    @property
    def dim(self) -> int:
        """Number of coordinates of a point."""
        return self._reference.dim

    @property
    def cell_type(self) -> str:
        """interval, triangle, quadrilateral, tetrahedron or hexahedron."""
        return self._reference.name

    @property
    def reference(self) -> ReferenceCell:
        """The reference cell: corners, facets, shape functions, quadrature."""
        return self._reference

    @property
    def degree(self) -> int:
        """Degree of the geometry: 1, or 2 on a curved mesh."""
        return self._degree

    @property
    def is_curved(self) -> bool:
        """Whether the geometry is quadratic."""
        return self._degree == 2

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return len(self._cell_nodes)

    @cached_property
    def points(self) -> Float[Tensor, "n d"]:
        """Coordinates of the vertices (the corners of cells)."""
        return torch.from_numpy(self._nodes[: self._n_vertices])

    @cached_property
    def nodes(self) -> Float[Tensor, "nodes d"]:
        """Coordinates of all nodes of the geometry: the vertices first; on a straight mesh nothing else."""
        return torch.from_numpy(self._nodes)

    @cached_property
    def _corners(self) -> IntArray:
        return np.ascontiguousarray(self._cell_nodes[:, : self._reference.n_corners])

    @cached_property
    def cells(self) -> Int[Tensor, "m corners"]:
        """Vertices of each cell."""
        return torch.from_numpy(self._corners)

    @cached_property
    def cell_nodes(self) -> Int[Tensor, "m nodes_per_cell"]:
        """Nodes of each cell: its vertices, then on a curved mesh the midpoints of edges, facets and the cell."""
        return torch.from_numpy(self._cell_nodes)

    @property
    def axis_names(self) -> tuple[str, ...]:
        """One name per coordinate."""
        return self._axis_names

    @property
    def units(self) -> Mapping[str, str]:
        """Unit of each coordinate that has one."""
        return MappingProxyType(self._units)

    @cached_property
    def bounds(self) -> Float[Tensor, "2 d"]:
        """Lower and upper corner of the box around all nodes."""
        return torch.from_numpy(np.stack([self._nodes.min(axis=0), self._nodes.max(axis=0)]))

    # facets and named parts

    @cached_property
    def topology(self) -> Topology:
        """Facets, the facets of each cell, the cells of each facet."""
        return Topology.of(self._corners, self._reference)

    @cached_property
    def facets(self) -> Int[Tensor, "k corners"]:
        """Vertices of each facet (a point, an edge or a face), numbered as in scikit-fem."""
        return torch.from_numpy(self.topology.facets)

    @cached_property
    def cell_facets(self) -> Int[Tensor, "m facets_per_cell"]:
        """Facets of each cell, in the local order of the reference cell."""
        return torch.from_numpy(self.topology.cell_facets)

    @cached_property
    def facet_cells(self) -> Int[Tensor, "k 2"]:
        """The cells on both sides of each facet, lower index first; -1 outside."""
        return torch.from_numpy(self.topology.facet_cells)

    @cached_property
    def boundary(self) -> Mapping[str, Int[Tensor, " k"]]:
        """Facet indices of each named part; "boundary" is all boundary facets."""
        parts = {name: torch.from_numpy(indices) for name, indices in self._parts.items()}
        return MappingProxyType({**parts, "boundary": torch.from_numpy(self.topology.boundary_facets)})

    def boundary_points(self, part: str = "boundary") -> Int[Tensor, " p"]:
        """Vertices on a named part, ascending."""
        return torch.unique(self.facets[self._part(part)])

    def _part(self, part: str) -> Int[Tensor, " k"]:
        if part not in self.boundary:
            raise InputError(f"no boundary part {part!r}; the parts are {', '.join(self.boundary)}")
        return self.boundary[part]

    @cached_property
    def _facet_midpoints(self) -> FloatArray:
        midpoints = self._nodes[self.topology.facets].mean(axis=1)
        if self.is_curved and self.dim > 1:
            # the middle of each facet in reference coordinates, seen from its first cell
            first = self.topology.facet_cells[:, 0]
            local = (self.topology.cell_facets[first] == np.arange(len(first))[:, None]).argmax(axis=1)
            centres = np.array([self._reference.corners[list(f)].mean(axis=0) for f in self._reference.facets])
            midpoints = self._map(first, centres[local])
        return midpoints

    @cached_property
    def facet_midpoints(self) -> Float[Tensor, "k d"]:
        """Midpoint of each facet; on a curved mesh it lies on the curved facet."""
        return torch.from_numpy(self._facet_midpoints)

    # sizes

    @cached_property
    def mesh_sizes(self) -> Float[Tensor, " m"]:
        """Longest edge of each cell (between its corners)."""
        ends = self._nodes[self._corners[:, np.array(self._reference.edges)]]
        return torch.from_numpy(np.linalg.norm(ends[:, :, 1] - ends[:, :, 0], axis=2).max(axis=1))

    @cached_property
    def h(self) -> float:
        """Longest edge of the mesh."""
        return float(self.mesh_sizes.max())

    @cached_property
    def _vertex_weights(self) -> FloatArray:
        reference, degree = self._reference, self._degree
        # the degree of det F', plus one for the vertex function
        order = reference.dim * (degree - 1) + 1 if reference.is_simplex else reference.dim * degree
        points, weights = reference.quadrature(order)
        corner_shape, result = reference.shape(points), np.zeros(self._corners.shape)
        for start in range(0, self.n_cells, 20_000):
            chunk = slice(start, start + 20_000)
            jacobians = self._jacobians(self._cell_nodes[chunk], points)
            result[chunk] = (np.abs(np.linalg.det(jacobians)) * weights) @ corner_shape
        return result

    @cached_property
    def volumes(self) -> Float[Tensor, " m"]:
        """Measure of each cell: its length, area or volume, curved facets included."""
        return torch.from_numpy(self._vertex_weights.sum(axis=1))

    @cached_property
    def measure(self) -> Float[Tensor, " n"]:
        """Weight of each vertex, w_i = integral of its linear (multilinear) basis function; they sum to the measure."""
        weights = np.bincount(self._corners.ravel(), weights=self._vertex_weights.ravel(), minlength=self._n_vertices)
        return torch.from_numpy(weights)

    # the map from the reference cell

    def _map(self, cells: IntArray, reference: FloatArray) -> FloatArray:
        shape = self._reference.shape(reference, self._degree)
        return np.einsum("nk,nki->ni", shape, self._nodes[self._cell_nodes[cells]])

    def _jacobians(self, cell_nodes: IntArray, reference: FloatArray) -> FloatArray:
        """dF_i/dX_j of each cell at each of the same reference points: (m, q, d, d)."""
        gradients = self._reference.shape_gradients(reference, self._degree)
        local = self._nodes[cell_nodes] - self._nodes[cell_nodes[:, :1]]
        return np.einsum("mki,qkj->mqij", local, gradients, optimize=True)

    def map_to_points(self, cells: Any, reference: Any) -> Float[Tensor, "n d"]:
        """Points x = F(X) of reference coordinates X (n, d), each in its cell (n,): the inverse of `locate`."""
        index = np.asarray(cells, dtype=np.int64)
        return torch.from_numpy(self._map(index, as_points(reference, self.dim, name="reference").numpy()))
