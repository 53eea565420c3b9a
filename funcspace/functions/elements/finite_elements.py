"""Finite elements on meshes: scikit-fem's elements and numbering, tabulated wherever values are asked for."""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from funcspace.errors import InputError
from funcspace.functions.basis import Basis, MaskedMap, Outside, Quadrature
from funcspace.functions.elements.elements import FiniteElement, finite_element
from funcspace.functions.elements.nesting import parent_points
from funcspace.functions.elements.quadrature import DeferredMap, cell_rule
from funcspace.functions.elements.tabulation import CellMap, Tabulation, inverse_and_determinant
from funcspace.functions.maps.linear_map import LinearMap
from funcspace.functions.maps.sparse_map import SparseMap
from funcspace.geometry.domain import as_points
from funcspace.optional import require

if TYPE_CHECKING:
    from funcspace.geometry.meshes.mesh import Mesh

__all__ = ["FiniteElementBasis"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

CHUNK_ENTRIES = 1 << 22
CACHED_RULES = 4


class FiniteElementBasis:
    r"""A finite-element basis on a mesh, numbered as scikit-fem numbers it.

    ============  =======================================================  ==========================
    element       cells                                                    values
    ============  =======================================================  ==========================
    P0            all                                                      scalar, one per cell
    P1, P2        interval, triangle, tetrahedron                          scalar, continuous
    Q1, Q2        quadrilateral, hexahedron                                scalar, continuous
    RT            triangle, quadrilateral, tetrahedron, hexahedron         vector, continuous normally
    N1curl        triangle, quadrilateral, tetrahedron, hexahedron         vector, continuous tangentially
    ============  =======================================================  ==========================

    RT and N1curl are those of lowest order. Their gradients are taken cell by cell ("broken"), and so is the stiffness,
    :math:`\sum_K \int_K \nabla\phi_i : \nabla\phi_j`; what is continuous across cells is the divergence or the curl.

    Parameters
    ----------
    domain : the mesh, straight or curved.
    element : name of the element; P1 or Q1 when None.

    Raises
    ------
    InputError
        When the cells of the mesh have no such element.

    Examples
    --------
    >>> from funcspace.geometry.meshes.mesh import Mesh
    >>> basis = FiniteElementBasis(Mesh.rectangle(0.5), "P2")
    >>> basis.name, basis.dof_shape, round(float(basis.mass().matrix.sum()), 12)
    ('P2', (25,), 1.0)
    """

    exact = True

    def __init__(self, domain: Mesh, element: str | None) -> None:
        self.domain: Any = domain
        self.element: FiniteElement = finite_element(element, domain.cell_type)
        self.name, self.degree = self.element.name, self.element.degree
        self.nodal = self.element.family == "H1"
        self.intrinsic_shape: tuple[int, ...] = () if self.nodal else (domain.dim,)
        assembly = require("skfem.assembly", feature="finite elements", install="pip install scikit-fem")
        self._dofs: Any = assembly.Dofs(domain.to_skfem(), self.element.skfem)
        self.cell_dofs: IntArray = np.ascontiguousarray(self._dofs.element_dofs.T.astype(np.int64))
        self.dof_shape: tuple[int, ...] = (int(self._dofs.N),)
        self.layout = self.dof_shape
        self._map = CellMap(domain)
        self._tabulation = Tabulation(self.element, self._map, domain.to_skfem())
        self._rules: dict[int, Quadrature] = {}

    @cached_property
    def skfem_basis(self) -> Any:
        """The same basis in scikit-fem, with the quadrature of `mass` and `stiffness`, to assemble other forms with."""
        assembly = require("skfem.assembly", feature="finite elements", install="pip install scikit-fem")
        points, weights = self._rule(None)
        return assembly.CellBasis(
            self.domain.to_skfem(),
            self.element.skfem,
            quadrature=(np.ascontiguousarray(points.T), weights),
            dofs=self._dofs,
        )

    @cached_property
    def _owners(self) -> tuple[IntArray, IntArray]:
        """For each dof the lowest of the cells that have it, as in point location, and its local number there."""
        flat, position = self.cell_dofs.reshape(-1), np.empty(self.dof_shape, dtype=np.int64)
        position[flat[::-1]] = np.arange(flat.size)[::-1]  # of repeated indices the last assignment stays
        return np.divmod(position, self.cell_dofs.shape[1])

    @cached_property
    def _dof_reference(self) -> FloatArray:
        return np.asarray(self.element.skfem.doflocs, dtype=np.float64)[self._owners[1]]

    @cached_property
    def dof_points(self) -> Float[Tensor, "n d"] | None:
        """Where the nodal values sit, on curved meshes through the map of the cell; None for RT and N1curl."""
        if not self.nodal:
            return None
        points = self._map.points(self._owners[0], self._dof_reference)
        if self._dofs.element.nodal_dofs:
            vertices = self.domain.points.numpy()
            points[: len(vertices)] = vertices
        return torch.from_numpy(points)

    def evaluation(self, points: Tensor, derivative: bool, outside: Outside) -> LinearMap:
        """Values (m, *intrinsic) or gradients (m, *intrinsic, d) at points (m, d).

        Between cells, where a gradient or a discontinuous value has several limits, it is that of one of them.

        Raises
        ------
        OutsideError
            When points lie outside the mesh and `outside="raise"`.
        """
        where = as_points(points, self.domain.dim)
        if outside not in ("raise", "nan", "nearest"):
            raise InputError(f'outside must be "raise", "nan" or "nearest", got {outside!r}')
        if self.nodal and self.dof_points is not None and torch.equal(where, self.dof_points):
            return self._matrix(self._owners[0], self._dof_reference, derivative)
        found = self.domain.locate(where, outside=outside)
        cells, reference = np.asarray(found.cells), np.asarray(found.reference)
        missing = cells < 0
        if not missing.any():
            return self._matrix(cells, reference, derivative)
        inner = self._matrix(
            np.where(missing, 0, cells), np.where(missing[:, None], 0.0, reference), derivative, ~missing
        )
        return MaskedMap(inner, torch.from_numpy(missing))

    def _matrix(
        self, cells: IntArray, at: FloatArray, derivative: bool, keep: NDArray[np.bool_] | None = None
    ) -> SparseMap:
        """The basis at reference points (m, d) of cells (m,) as a sparse map; rows not kept are empty."""
        table = (self._tabulation.gradients if derivative else self._tabulation.values)(cells, at)
        if keep is not None:
            table = table * keep.reshape(-1, *([1] * (table.ndim - 1)))
        return self._sparse(table, self.cell_dofs[cells])

    def _sparse(self, table: FloatArray, dofs: IntArray) -> SparseMap:
        """Rows (m, *rest) from a table (m, basis, *rest) and the dofs (m, basis) of its columns."""
        rows, width, rest = table.shape[0], table.shape[1], table.shape[2:]
        per_row = int(np.prod(rest))
        data = np.require(table.reshape(rows, width, per_row).swapaxes(1, 2).reshape(-1), requirements="W")
        kind = np.int32 if data.size < np.iinfo(np.int32).max else np.int64
        indices = np.repeat(dofs.astype(kind), per_row, axis=0).reshape(-1)
        pointers = np.arange(rows * per_row + 1, dtype=kind) * width
        csr = sp.csr_matrix((data, indices, pointers), shape=(rows * per_row, self.dof_shape[0]))
        csr.eliminate_zeros()
        return SparseMap(csr, self.dof_shape, (rows, *rest))

    def _default_degree(self) -> int:
        return 2 * self.degree

    def _rule(self, degree: int | None) -> tuple[FloatArray, FloatArray]:
        """Reference rule whose physical counterpart is exact to `degree`: the degree of det F' comes on top."""
        dim, geometry = self.domain.dim, self.domain.degree
        simplex = self.domain.reference.is_simplex
        jacobian = dim * (geometry - 1) if simplex else dim * geometry - 1
        if not self.nodal and not self._map.affine:
            jacobian += 2
        return cell_rule(self.domain.cell_type, (self._default_degree() if degree is None else degree) + jacobian)

    def _weights(self, cells: IntArray, at: FloatArray, weights: FloatArray) -> FloatArray:
        """Physical weights (cells, q)."""
        _, determinants = inverse_and_determinant(self._map.jacobians(cells[:, None], at[None]))
        return np.abs(determinants) * weights

    def _chunks(self, points_per_cell: int, entries_per_point: int) -> list[IntArray]:
        size = max(1, CHUNK_ENTRIES // max(1, points_per_cell * entries_per_point))
        every = np.arange(len(self.cell_dofs))
        return [every[start : start + size] for start in range(0, len(every), size)]

    def _bilinear(self, derivative: bool) -> SparseMap:
        """Sum over the cells of the integrals of products of basis functions or of their gradients."""
        at, weights = self._rule(None)
        width = self.cell_dofs.shape[1]
        per_value = self.domain.dim ** (len(self.intrinsic_shape) + derivative)
        local = np.empty((len(self.cell_dofs), width, width))
        tabulate = self._tabulation.gradients if derivative else self._tabulation.values
        for cells in self._chunks(len(weights), width * per_value):
            table = tabulate(cells[:, None], at[None])
            table = table.reshape(len(cells), len(weights), width, -1).swapaxes(1, 2)
            scaled = table * self._weights(cells, at, weights)[:, None, :, None]
            local[cells] = table.reshape(len(cells), width, -1) @ scaled.reshape(len(cells), width, -1).swapaxes(1, 2)
        rows = np.repeat(self.cell_dofs, width, axis=1).reshape(-1)
        columns = np.tile(self.cell_dofs, (1, width)).reshape(-1)
        matrix = sp.csr_matrix((local.reshape(-1), (rows, columns)), shape=self.dof_shape * 2)
        return SparseMap(0.5 * (matrix + matrix.T))  # sums of rounded parts differ in the last bit

    @cached_property
    def _mass(self) -> SparseMap:
        return self._bilinear(derivative=False)

    def mass(self) -> LinearMap:
        """Integrals of products of basis functions; exact for all but RT and N1curl on cells that are not affine."""
        return self._mass

    @cached_property
    def _stiffness(self) -> SparseMap:
        return self._bilinear(derivative=True)

    def stiffness(self) -> LinearMap:
        """Integrals of products of gradients, cell by cell; exact on affine cells."""
        return self._stiffness

    def quadrature(self, degree: int | None = None) -> Quadrature:
        """A rule on every cell, points in the order of the cells.

        Parameters
        ----------
        degree : exact for polynomials of this degree in the reference coordinates of each cell (per variable on
            quadrilaterals and hexahedra); by default that of products of two basis functions.
        """
        key = self._default_degree() if degree is None else int(degree)
        if key < 0:
            raise InputError(f"degree of a quadrature must be 0 or more, got {degree}")
        if key not in self._rules:
            if len(self._rules) >= CACHED_RULES:
                self._rules.pop(next(iter(self._rules)))
            self._rules[key] = self._quadrature(key)
        return self._rules[key]

    def _quadrature(self, degree: int) -> Quadrature:
        at, weights = self._rule(degree)
        every = np.arange(len(self.cell_dofs))
        cells, reference = np.repeat(every, len(weights)), np.tile(at, (len(every), 1))
        chunks = self._chunks(len(weights), self.domain.dim**2)
        physical = np.concatenate([self._weights(part, at, weights) for part in chunks]).reshape(-1)
        shape = (len(cells), *self.intrinsic_shape)
        return Quadrature(
            torch.from_numpy(self._map.points(cells, reference)),
            torch.from_numpy(physical),
            DeferredMap(self.dof_shape, shape, partial(self._matrix, cells, reference, False)),
            DeferredMap(self.dof_shape, (*shape, self.domain.dim), partial(self._matrix, cells, reference, True)),
        )

    def boundary_dofs(self, part: str) -> Int[Tensor, " k"]:
        """Dofs on the facets of a named part, with their edges and vertices, ascending; none for P0.

        Raises
        ------
        InputError
            When the mesh has no part of that name; the ones it has are listed.
        """
        if part not in self.domain.boundary:
            raise InputError(f"no boundary part {part!r}; this mesh has {sorted(self.domain.boundary)}")
        facets = self.domain.boundary[part].numpy()
        return torch.from_numpy(self._dofs.get_facet_dofs(facets).flatten().astype(np.int64))

    def refinement(self, finer: Basis) -> LinearMap | None:
        """Interpolation into a nodal basis on the same mesh or on one made by `refined()`, without point location."""
        if not isinstance(finer, FiniteElementBasis) or not (self.nodal and finer.nodal):
            return None
        other: Any = finer.domain
        nested = parent_points(self.domain, other, finer._owners[0], finer._dof_reference)
        return None if nested is None else self._matrix(*nested, derivative=False)

    def divergence(self) -> SparseMap:
        r"""Cell means of the divergence, :math:`|K|^{-1} \int_K \mathrm{div}\, u`, (dofs,) to (cells,), in P0.

        Exact for RT, whose divergence is constant on affine cells.
        """
        means = self._mean_gradients()
        return self._sparse(np.einsum("mbii->mb", means), self.cell_dofs)

    def curl(self) -> SparseMap:
        r"""Cell means of the curl: (dofs,) to (cells,) in two dimensions, to (cells, 3) in three.

        Exact for N1curl on affine cells, where the curl is constant.
        """
        means = self._mean_gradients()
        if self.domain.dim == 2:
            return self._sparse(means[:, :, 1, 0] - means[:, :, 0, 1], self.cell_dofs)
        pairs = ((2, 1), (0, 2), (1, 0))
        return self._sparse(
            np.stack([means[:, :, i, j] - means[:, :, j, i] for i, j in pairs], axis=-1), self.cell_dofs
        )

    def _mean_gradients(self) -> FloatArray:
        """Means over each cell of the gradients of its basis functions, (cells, basis, d, d)."""
        if self.nodal:
            raise InputError(f"divergence and curl are those of RT and N1curl; {self.name} is scalar")
        at, weights = self._rule(None)
        result = np.empty((*self.cell_dofs.shape, self.domain.dim, self.domain.dim))
        for cells in self._chunks(len(weights), self.cell_dofs.shape[1] * self.domain.dim**2):
            physical = self._weights(cells, at, weights)
            gradients = self._tabulation.gradients(cells[:, None], at[None])
            result[cells] = np.einsum("mqbij,mq->mbij", gradients, physical / physical.sum(axis=1, keepdims=True))
        return result

    def __reduce__(self) -> tuple[Any, ...]:
        return FiniteElementBasis, (self.domain, self.name)

    def __repr__(self) -> str:
        return f"FiniteElementBasis({self.name} on {self.domain!r}, {self.dof_shape[0]:,} dofs)"
