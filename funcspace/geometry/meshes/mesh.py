"""Meshes of intervals, triangles, quadrilaterals, tetrahedra or hexahedra, straight or curved, with named parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from torch import Tensor

from funcspace.errors import InputError
from funcspace.geometry.cached_property import cached_property
from funcspace.geometry.domain import content_fingerprint
from funcspace.geometry.meshes import mesh_checks
from funcspace.geometry.meshes.mesh_exchange import MeshExchange
from funcspace.geometry.meshes.mesh_generators import MeshGenerators
from funcspace.geometry.meshes.mesh_geometry import MeshGeometry
from funcspace.geometry.meshes.mesh_parts import renumbered, resolve_parts
from funcspace.geometry.meshes.reference_cells import FloatArray, IntArray, ReferenceCell, reference_cell

if TYPE_CHECKING:
    from funcspace.geometry.meshes.mesh_quality import MeshQuality
    from funcspace.geometry.meshes.point_location import Location, PointLocator

__all__ = ["Mesh"]

Orientation = Literal["check", "keep", "fix"]


class Mesh(MeshGeometry, MeshGenerators, MeshExchange):
    """Cells of one type that meet facet to facet.

    A cell is the image of its reference cell under F(X) = sum_j N_j(X) x_j, with linear (multilinear) shape
    functions N_j, or quadratic ones on curved meshes. All numbering (corners, facets, edges, quadratic nodes) is
    scikit-fem's.

    Parameters
    ----------
    points : coordinates (n, d) of all nodes, d = 1, 2, 3.
    cells : indices (m, nodes) into `points`. The cell type follows from d and the nodes per cell: d = 1: 2 interval;
        d = 2: 3 triangle, 4 quadrilateral; d = 3: 4 tetrahedron, 8 hexahedron; curved: d = 1: 3; d = 2: 6 or 9; d =
        3: 10 or 27 (corners, then midpoints of edges, then of facets, then of the cell). Hexahedra may also come in
        VTK's order.
    boundaries : named parts: facet indices (k,), facets by their points (k, corners), or predicates on midpoints (k,
        d).
    cell_type : checked against the shape of `cells` when given.
    units : unit of each axis that has one, by axis name.
    axis_names : one name per coordinate; x, y, z when not given.
    orientation : "check" refuses inverted cells; "fix" reorders the corners of cells that run the other way round;
        "keep" takes them as they are. A cell that overlaps itself or a neighbour, or has no volume, is refused in
        any case.
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
    Inverted, in detail. Quadrilaterals must have positive Jacobian determinants at all corners, hexahedra
    determinants of one sign throughout the mesh. Simplices may run either way round if they do so consistently.
    Codes that give no orientation are recognised: rows of ascending indices (scikit-fem), and tetrahedra of which at
    least a fifth run each way (Delaunay codes); all others are refused.

    Examples
    --------
    >>> mesh = Mesh([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], [[0, 1, 2], [0, 2, 3]])
    >>> mesh
    Mesh(triangle, 2 cells, 4 points, h=1.41, boundary: 4 facets)
    >>> float(mesh.measure.sum())
    1.0
    """

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
        given = np.arange(len(nodes), dtype=np.int64)  # the number each node had on input
        nodes, cell_nodes, kept = mesh_checks.used_nodes(nodes, cell_nodes, drop_unused=drop_unused)
        given = given if kept is None else given[kept]
        cell_nodes = mesh_checks.recognised(nodes, cell_nodes, reference, degree)
        signs = mesh_checks.check_shapes(nodes, cell_nodes, reference, degree, orientation)
        if orientation == "fix":
            cell_nodes = mesh_checks.oriented(cell_nodes, signs, reference)
            signs = np.ones_like(signs)
        n_vertices = len(nodes)
        if degree == 2:
            nodes, cell_nodes, n_vertices, order = mesh_checks.split_nodes(nodes, cell_nodes, reference)
            given = given[order]
        self._set(nodes, cell_nodes, reference, degree, n_vertices, units=units, axis_names=axis_names)
        mesh_checks.check_connected(
            nodes, self._corners, reference, self.topology, signs, allow_dangling=allow_dangling
        )
        if boundaries:
            numbers = {name: renumbered(part, given[:n_vertices]) for name, part in boundaries.items()}
            self._parts.update(resolve_parts(numbers, self.topology, self._facet_midpoints))

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
            nodes,
            cell_nodes,
            self._reference,
            degree,
            n_vertices,
            units=self._units,
            axis_names=self._axis_names,
        )

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(
            f"a Mesh is immutable: cannot set {name!r}; with_boundaries(...) and refined() make another"
        )

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in self.__dict__.items() if name in MeshGeometry.__annotations__}
        return {**state, "_reference": self._reference.name}

    def __setstate__(self, state: dict[str, Any]) -> None:
        from funcspace.geometry.meshes.reference_cells import REFERENCE_CELLS

        self.__dict__.update({**state, "_reference": REFERENCE_CELLS[state["_reference"]]})

    # identity

    @cached_property
    def fingerprint(self) -> str:
        """Hash of cell type, nodes, cells, named parts, units and axis names: 16 hexadecimal digits."""
        parts: list[Any] = [
            "mesh",
            self.cell_type,
            self._nodes,
            self._cell_nodes,
            self._axis_names,
            sorted(self._units.items()),
        ]
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
        return (
            f"Mesh({curved}{self.cell_type}, {cells}, {self._n_vertices:,} points, h={self.h:.3g}, boundary: {names})"
        )

    def _repr_html_(self) -> str:
        from funcspace.geometry.meshes.mesh_html import mesh_html

        return mesh_html(self)

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

    @cached_property
    def locator(self) -> PointLocator:
        """The search tree over the cells, built once."""
        from funcspace.geometry.meshes.point_location import PointLocator

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
        from funcspace.geometry.meshes.mesh_refinement import refined

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
        >>> import torch
        >>> disc = Mesh.disc(0.5).curved(lambda x: x / x.norm(dim=1, keepdim=True))
        >>> abs(float(disc.measure.sum()) - torch.pi) < 2e-3
        True
        """
        from funcspace.geometry.meshes.mesh_refinement import curved

        return curved(self, mapping, part)

    def quality(self) -> MeshQuality:
        """Angles, aspect ratios, sizes and counts, with a readable repr."""
        from funcspace.geometry.meshes.mesh_quality import MeshQuality

        return MeshQuality.of(self)
