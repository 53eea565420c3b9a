"""Meshes: intervals, triangles, quadrilaterals, tetrahedra or hexahedra, straight or curved, with named boundary parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from os import PathLike
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from funcspace.errors import InputError
from funcspace.geometry import mesh_checks
from funcspace.geometry.domain import as_points, content_fingerprint
from funcspace.geometry.mesh_generators import MeshGenerators
from funcspace.geometry.mesh_parts import resolve_parts
from funcspace.geometry.mesh_topology import Topology, quadratic_numbering
from funcspace.geometry.reference_cells import FloatArray, IntArray, ReferenceCell, reference_cell

if TYPE_CHECKING:
    from funcspace.geometry.mesh_quality import MeshQuality
    from funcspace.geometry.point_location import Location, PointLocator

__all__ = ["Mesh"]

Orientation = Literal["check", "keep", "fix"]


class Mesh(MeshGenerators):
    """Cells of one type that meet facet to facet.

    A cell is the image of its reference cell under F(X) = sum_j N_j(X) x_j, with linear (multilinear) shape functions N_j,
    or quadratic ones on curved meshes. All numbering (corners, facets, edges, quadratic nodes) is scikit-fem's.

    Parameters
    ----------
    points : coordinates (n, d) of all nodes, d = 1, 2, 3.
    cells : indices (m, nodes) into `points`. The cell type follows from d and the nodes per cell: d = 1: 2 interval;
        d = 2: 3 triangle, 4 quadrilateral; d = 3: 4 tetrahedron, 8 hexahedron; curved: d = 1: 3; d = 2: 6 or 9; d = 3: 10 or 27
        (corners, then midpoints of edges, then of facets, then of the cell).
    boundaries : named parts: facet indices (k,), facets by their points (k, corners), or predicates on midpoints (k, d).
    cell_type : checked against the shape of `cells` when given.
    units : unit of each axis that has one, by axis name.
    axis_names : one name per coordinate; x, y, z when not given.
    orientation : "check" refuses inverted cells; "fix" reorders the corners of cells that run the other way round;
        "keep" takes them as they are. A cell that overlaps itself or a neighbour, or has no volume, is refused in any case.
    allow_dangling : accept cells that share no facet with any other cell.
    drop_unused : leave out points that belong to no cell (the others keep their order) instead of refusing them.

    Raises
    ------
    InputError
        Wrong shapes or types, NaN or infinity, an unknown cell type, a bad named part.
    DomainError
        A broken mesh: a cell that names a missing point, has no volume, is inverted, folded or dangling; a dangling
        point; a facet with more than two cells.

    Notes
    -----
    Inverted, in detail. Quadrilaterals and hexahedra must have positive Jacobian determinants at all corners. Simplices
    may run either way round if they do so consistently. Codes that give no orientation are recognised: rows of ascending
    indices (scikit-fem), and tetrahedra of which at least a fifth run each way (Delaunay codes); all others are refused.

    Examples
    --------
    >>> mesh = Mesh([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], [[0, 1, 2], [0, 2, 3]])
    >>> mesh
    Mesh(triangle, 2 cells, 4 points, h=1.41, boundary: 4 facets)
    >>> float(mesh.measure.sum())
    1.0
    """

    _nodes: FloatArray
    _cell_nodes: IntArray
    _reference: ReferenceCell
    _degree: int
    _n_vertices: int
    _parts: dict[str, IntArray]
    _units: dict[str, str]
    _axis_names: tuple[str, ...]

    def __init__(
        self,
        points: Any,
        cells: Any,
        *,
        boundaries: Mapping[str, Any] | None = None,
        cell_type: str | None = None,
        units: Mapping[str, str] | None = None,
        axis_names: Sequence[str] | None = None,
        orientation: Orientation = "check",
        allow_dangling: bool = False,
        drop_unused: bool = False,
    ) -> None:
        if orientation not in ("check", "keep", "fix"):
            raise InputError(f"orientation must be 'check', 'keep' or 'fix'; got {orientation!r}")
        nodes = mesh_checks.as_nodes(points)
        cell_nodes = mesh_checks.as_cells(cells, len(nodes))
        reference, degree = reference_cell(nodes.shape[1], cell_nodes.shape[1], cell_type)
        nodes, cell_nodes, _ = mesh_checks.used_nodes(nodes, cell_nodes, drop_unused=drop_unused)
        signs = mesh_checks.check_shapes(nodes, cell_nodes, reference, degree, orientation)
        if orientation == "fix":
            cell_nodes = mesh_checks.oriented(cell_nodes, signs, reference)
            signs = np.ones_like(signs)
        n_vertices = len(nodes)
        if degree == 2:
            nodes, cell_nodes, n_vertices, _ = mesh_checks.split_nodes(nodes, cell_nodes, reference)
        self._set(nodes, cell_nodes, reference, degree, n_vertices, units=units, axis_names=axis_names)
        mesh_checks.check_connected(
            nodes, self._corners, reference, self.topology, signs, allow_dangling=allow_dangling
        )
        if boundaries:
            self._parts.update(resolve_parts(boundaries, self.topology, self._facet_midpoints))

    def _set(
        self,
        nodes: FloatArray,
        cell_nodes: IntArray,
        reference: ReferenceCell,
        degree: int,
        n_vertices: int,
        *,
        parts: Mapping[str, IntArray] | None = None,
        units: Mapping[str, str] | None = None,
        axis_names: Sequence[str] | None = None,
    ) -> None:
        names = tuple(axis_names) if axis_names is not None else ("x", "y", "z")[: reference.dim]
        if len(names) != reference.dim or len(set(names)) != len(names):
            raise InputError(f"axis_names must be {reference.dim} distinct names, one per coordinate; got {names}")
        unknown = [name for name in units or {} if name not in names]
        if unknown:
            raise InputError(f"units names the axis {unknown[0]!r}, but the axes are {list(names)}")
        fields = {
            "_nodes": nodes,
            "_cell_nodes": cell_nodes,
            "_reference": reference,
            "_degree": degree,
            "_n_vertices": n_vertices,
            "_parts": dict(parts or {}),
            "_units": dict(units or {}),
            "_axis_names": names,
        }
        self.__dict__.update(fields)

    @classmethod
    def _unchecked(cls, *args: Any, **options: Any) -> Mesh:
        mesh = cls.__new__(cls)
        mesh._set(*args, **options)
        return mesh

    def _like(self, nodes: FloatArray, cell_nodes: IntArray, degree: int, n_vertices: int) -> Mesh:
        """A mesh of the same cell type, units and axis names, without named parts and without checks."""
        return Mesh._unchecked(
            nodes, cell_nodes, self._reference, degree, n_vertices, units=self._units, axis_names=self._axis_names
        )

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a Mesh is immutable: cannot set {name!r}; with_boundaries(...) and refined() make another")

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in self.__dict__.items() if name in Mesh.__annotations__}
        return {**state, "_reference": self._reference.name}

    def __setstate__(self, state: dict[str, Any]) -> None:
        from funcspace.geometry.reference_cells import REFERENCE_CELLS

        self.__dict__.update({**state, "_reference": REFERENCE_CELLS[state["_reference"]]})

    # identity

    @cached_property
    def fingerprint(self) -> str:
        """Hash of cell type, nodes, cells, named parts, units and axis names: 16 hexadecimal digits."""
        parts: list[Any] = ["mesh", self.cell_type, self._nodes, self._cell_nodes, self._axis_names, sorted(self._units.items())]
        for name in sorted(self._parts):
            parts += [name, self._parts[name]]
        return content_fingerprint(parts)

    def __eq__(self, other: object) -> bool:
        return self.fingerprint == other.fingerprint if isinstance(other, Mesh) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        curved = "curved " if self.is_curved else ""
        names = ", ".join(self._parts) or f"{len(self.topology.boundary_facets):,} facets"
        cells = f"{self.n_cells:,} cell{'s' if self.n_cells > 1 else ''}"
        return f"Mesh({curved}{self.cell_type}, {cells}, {self._n_vertices:,} points, h={self.h:.3g}, boundary: {names})"

    def _repr_html_(self) -> str:
        from funcspace.geometry.mesh_html import mesh_html

        return mesh_html(self)

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

    def with_boundaries(
        self, boundaries: Mapping[str, Callable[[Tensor], Any] | Any], *, replace: bool = False
    ) -> Mesh:
        """The same mesh with further named parts (or only these, with `replace=True`).

        Parameters
        ----------
        boundaries : for each name facet indices (k,), facets by their points (k, corners), or a predicate that takes
            the midpoints of the boundary facets (k, d) and returns k booleans.

        Examples
        --------
        >>> mesh = Mesh.rectangle(0.5).with_boundaries({"inflow": lambda x: (x[:, 0] == 0) & (x[:, 1] > 0.5)})
        >>> mesh.facet_midpoints[mesh.boundary["inflow"]].tolist()
        [[0.0, 0.75]]
        """
        parts = {} if replace else dict(self._parts)
        parts.update(resolve_parts(boundaries, self.topology, self._facet_midpoints))
        return self._with_parts(parts)

    def _with_parts(self, parts: Mapping[str, IntArray]) -> Mesh:
        mesh = self._like(self._nodes, self._cell_nodes, self._degree, self._n_vertices)
        keep = {k: v for k, v in self.__dict__.items() if k not in {"_parts", "fingerprint", "boundary", "_skfem"}}
        mesh.__dict__.update({**keep, "_parts": dict(parts)})
        return mesh

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
        # degree of det F', plus one for the vertex function
        if reference.is_simplex:
            order = reference.dim * (degree - 1) + 1
        else:
            order = reference.dim * degree + (1 if degree == 2 or reference.dim == 3 else 0)
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

    def map_to_points(self, cells: Int[Tensor, " n"], reference: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Points x = F(X) of reference coordinates X, each in its cell: the inverse of `locate`."""
        index = np.asarray(cells, dtype=np.int64)
        return torch.from_numpy(self._map(index, as_points(reference, self.dim, name="reference").numpy()))

    @cached_property
    def locator(self) -> PointLocator:
        """The search tree over the cells, built once."""
        from funcspace.geometry.point_location import PointLocator

        return PointLocator.of(self)

    def locate(
        self,
        points: Any,
        *,
        outside: Literal["raise", "nan", "nearest"] = "raise",
        tolerance: float = 1e-10,
    ) -> Location:
        """The cell of each point and its reference coordinates there; see `PointLocator.locate`."""
        return self.locator.locate(points, outside=outside, tolerance=tolerance)

    # other meshes and reports

    def refined(self, times: int = 1) -> Mesh:
        """Each cell cut into 2^d, `times` times; vertices keep their indices and positions, named parts are kept.

        The children of cell c are the cells 2^d c, ..., 2^d c + 2^d - 1. New points are the midpoints of edges (and of
        facets and cells where these are not simplices); on a curved mesh they lie on the curved geometry.

        Examples
        --------
        >>> Mesh.interval(0.5).refined().points.ravel().tolist()
        [0.0, 0.5, 1.0, 0.25, 0.75]
        """
        from funcspace.geometry.mesh_refinement import refined

        if times < 0:
            raise InputError(f"times must be 0 or more; got {times}")
        mesh = self
        for _ in range(times):
            mesh = refined(mesh)
        return mesh

    def curved(self, mapping: Callable[[Tensor], Any] | None = None, part: str = "boundary") -> Mesh:
        """The same cells with quadratic geometry; `mapping` (k, d) -> (k, d) moves the new nodes on a named part.

        Examples
        --------
        >>> disc = Mesh.disc(0.5).curved(lambda x: x / x.norm(dim=1, keepdim=True))
        >>> abs(float(disc.measure.sum()) - torch.pi) < 2e-3
        True
        """
        from funcspace.geometry.mesh_refinement import curved

        return curved(self, mapping, part)

    def quality(self) -> MeshQuality:
        """Angles, aspect ratios, sizes and counts, with a readable repr."""
        from funcspace.geometry.mesh_quality import MeshQuality

        return MeshQuality.of(self)

    def to_skfem(self) -> Any:
        """This mesh in scikit-fem, with the same numbering of points, cells and facets and the same named boundaries."""
        if "_skfem" not in self.__dict__:
            from funcspace.geometry.mesh_skfem import to_skfem

            self.__dict__["_skfem"] = to_skfem(self)
        return self.__dict__["_skfem"]

    @classmethod
    def from_skfem(cls, mesh: Any, **options: Any) -> Mesh:
        """A scikit-fem mesh; points, cells and named boundaries keep their numbers."""
        from funcspace.geometry.mesh_skfem import from_skfem

        return from_skfem(mesh, **options)

    @classmethod
    def from_dolfinx(cls, mesh: Any, facet_tags: Any = None, names: Mapping[str, int] | None = None) -> Mesh:
        """A DOLFINx mesh (0.5 or later); named parts from facet tags, `names` maps each name to its tag."""
        from funcspace.geometry.mesh_dolfinx import from_dolfinx

        return from_dolfinx(mesh, facet_tags, names)

    @classmethod
    def from_file(cls, path: str | PathLike[str]) -> Mesh:
        """A mesh from any file that meshio reads; see `funcspace.geometry.mesh_files.read_mesh`."""
        from funcspace.geometry.mesh_files import read_mesh

        return read_mesh(path)[0]

    def to_file(self, path: str | PathLike[str]) -> None:
        """Write to a file of the format its extension names; see `funcspace.geometry.mesh_files.write_mesh`."""
        from funcspace.geometry.mesh_files import write_mesh

        write_mesh(path, self)


def quadratic_nodes(mesh: Mesh) -> tuple[FloatArray, IntArray]:
    """Nodes and cell nodes of the quadratic geometry that equals a mesh's own."""
    if mesh.is_curved:
        return mesh._nodes, mesh._cell_nodes
    numbering, total = quadratic_numbering(mesh._corners, mesh._n_vertices, mesh._reference)
    nodes = np.empty((total, mesh.dim))
    for local, entity in enumerate(mesh._reference.node_entities):
        nodes[numbering[:, local]] = mesh._nodes[mesh._corners[:, list(entity)]].mean(axis=1)
    return nodes, numbering
