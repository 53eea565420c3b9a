"""Finite-element matrices and loads on meshes and grids, with the sparsity pattern built once for a batch."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from funcspace.errors import DomainError, InputError
from funcspace.functions import Function, FunctionSpace
from funcspace.functions.maps.sparse_map import SparseMap
from funcspace.geometry import Grid, Mesh

__all__ = ["Assembly", "FacetAssembly", "SparsePattern"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

CHUNK_ENTRIES = 1 << 22


class SparsePattern:
    """Where local matrices go in a CSR matrix, and in its block of free dofs.

    Parameters
    ----------
    groups : arrays (elements, local dofs) of global dofs; local matrices come in the same order.
    size : number of global dofs.
    free : global dofs that stay unknown.
    """

    def __init__(self, groups: list[IntArray], size: int, free: IntArray) -> None:
        import scipy.sparse as sp

        from funcspace.solvers._pattern_kernels import places

        rows = [np.repeat(dofs, dofs.shape[1], axis=1).ravel() for dofs in groups]
        columns = [np.tile(dofs, (1, dofs.shape[1])).ravel() for dofs in groups]
        self._groups = np.cumsum([0, *(len(block) for block in rows)])
        pairs = (np.concatenate(rows), np.concatenate(columns))
        whole = sp.csr_matrix((np.ones(len(pairs[0])), pairs), shape=(size, size))
        whole.sum_duplicates()
        self.size, self.nonzeros = size, int(whole.nnz)
        self._slots = np.empty(len(pairs[0]), dtype=np.int64)
        start: Any = 0
        for dofs in groups:
            start = places(whole.indptr, whole.indices, np.ascontiguousarray(dofs), start, self._slots)
        whole.data = np.arange(1, self.nonzeros + 1, dtype=np.float64)
        self._whole = (whole.indices, whole.indptr)
        rows_free = whole[free]
        self._inner = rows_free[:, free].tocsr()
        fixed = np.setdiff1d(np.arange(size), free)
        self._coupling = rows_free[:, fixed].tocsr()
        self._inner_places = self._inner.data.astype(np.int64) - 1
        self._coupling_places = self._coupling.data.astype(np.int64) - 1
        self.free, self.fixed = free, fixed

    def values(self, local: list[FloatArray]) -> FloatArray:
        """The entries of the whole matrix from local matrices (elements, local, local)."""
        flat = np.concatenate([block.ravel() for block in local])
        return np.asarray(np.bincount(self._slots, weights=flat, minlength=self.nonzeros), dtype=np.float64)

    def slots(self, group: int) -> IntArray:
        """Which entry of the whole matrix each entry of a group's local matrices adds to."""
        return self._slots[self._groups[group] : self._groups[group + 1]]

    def inner_entries(self, values: FloatArray) -> FloatArray:
        """Entries of the block among the free dofs, those of each matrix of a batch (nonzeros, samples)."""
        return values[self._inner_places]

    def whole(self, values: NDArray[Any]) -> Any:
        """The matrix among all dofs, CSR."""
        import scipy.sparse as sp

        return sp.csr_matrix((values, *self._whole), shape=(self.size, self.size))

    def inner(self, values: NDArray[Any]) -> Any:
        """The block among the free dofs, CSR."""
        return self._with(self._inner, values[self._inner_places])

    def coupling(self, values: NDArray[Any]) -> Any:
        """The block from the fixed dofs to the free ones, CSR."""
        return self._with(self._coupling, values[self._coupling_places])

    @staticmethod
    def _with(pattern: Any, data: NDArray[Any]) -> Any:
        import scipy.sparse as sp

        return sp.csr_matrix((data, pattern.indices, pattern.indptr), shape=pattern.shape)


class _Elements:
    """Basis functions at the quadrature points of cells or facets, numbered by the dofs of the space."""

    def __init__(self, basis: Any, dofs: IntArray, size: int) -> None:
        self.basis = basis
        self.dofs = dofs
        self.size = size
        self.weights: FloatArray = np.asarray(basis.dx)
        coordinates = np.asarray(basis.global_coordinates())
        self.points: FloatArray = np.ascontiguousarray(coordinates.reshape(len(coordinates), -1).T)

    def shaped(self, values: FloatArray) -> FloatArray:
        """Values (points, ...) unfolded to (elements, quadrature points, ...)."""
        return values.reshape(*self.weights.shape, *values.shape[1:])

    def averaged(self, values: FloatArray) -> FloatArray:
        """Values (samples, points) replaced by their plain means over each element."""
        means = values.reshape(len(values), *self.weights.shape).mean(axis=2, keepdims=True)
        return np.broadcast_to(means, (len(values), *self.weights.shape)).reshape(values.shape)

    def table(self, kind: str, chunk: slice) -> FloatArray:
        """Basis functions (local, elements, q) on some elements, or for "grad" gradients (local, d, elements, q)."""
        count = len(self.weights[chunk])
        tables = []
        for (field,) in self.basis.basis:
            if kind == "grad":
                tables.append(np.asarray(field.grad)[:, chunk])
            else:
                value = np.asarray(field)
                tables.append(np.broadcast_to(value, self.weights.shape)[chunk])
        stacked = np.stack(tables)
        return stacked if kind == "grad" else stacked.reshape(len(tables), count, -1)

    def _chunks(self) -> list[slice]:
        per = self.weights.shape[1] * self.dofs.shape[1] * 3
        step = max(1, CHUNK_ENTRIES // per)
        return [slice(start, start + step) for start in range(0, len(self.weights), step)]

    def mass(self, coefficient: FloatArray) -> FloatArray:
        """Local matrices of the integral of c u v; coefficient (elements, q)."""
        blocks = []
        for chunk in self._chunks():
            phi = np.moveaxis(self.table("value", chunk), 0, 1)
            weighted = phi * (coefficient[chunk] * self.weights[chunk])[:, None, :]
            blocks.append(weighted @ phi.transpose(0, 2, 1))
        return np.concatenate(blocks)

    def load(self, values: NDArray[Any], size: int) -> NDArray[Any]:
        """Integrals of f against each basis function: (samples, size) from values (samples, points)."""
        if np.iscomplexobj(values):
            return self.load(np.real(values), size) + 1j * self.load(np.imag(values), size)
        total = np.zeros((len(values), size))
        for chunk in self._chunks():
            phi = self.table("value", chunk)
            dofs = self.dofs[chunk].ravel()
            for sample, flat in enumerate(values):
                f = flat.reshape(self.weights.shape)[chunk] * self.weights[chunk]
                local = np.einsum("ieq,eq->ei", phi, f)
                total[sample] += np.bincount(dofs, weights=local.ravel(), minlength=size)
        return total

    @cached_property
    def evaluation(self) -> SparseMap:
        """The map from coefficients (dofs,) to values at the points."""
        import scipy.sparse as sp

        phi = self.table("value", slice(None))
        count, local = self.weights.size, self.dofs.shape[1]
        values = np.moveaxis(phi, 0, -1).reshape(count, local)
        columns = np.repeat(self.dofs, self.weights.shape[1], axis=0)
        starts = np.arange(0, count * local + 1, local)
        return SparseMap(sp.csr_matrix((values.ravel(), columns.ravel(), starts), shape=(count, self.size)))

    @cached_property
    def products(self) -> FloatArray:
        """Weighted products of the basis functions, (elements, q, local * local)."""
        phi = np.moveaxis(self.table("value", slice(None)), 0, -1)
        weighted = phi * self.weights[..., None]
        return np.ascontiguousarray((weighted[..., :, None] * phi[..., None, :]).reshape(*self.weights.shape, -1))

    def interpolate(self, coefficients: NDArray[Any]) -> NDArray[Any]:
        """Values (samples, points, *value) of functions of the same space, coefficients (samples, dofs, *value)."""
        found: Any = np.empty((len(coefficients), *self.weights.shape, *coefficients.shape[2:]), coefficients.dtype)
        for chunk in self._chunks():
            phi = self.table("value", chunk)
            # One sample at a time, so that its bits do not depend on the batch.
            for values, sample in zip(found, coefficients, strict=True):
                values[chunk] = np.einsum("ieq,ei...->eq...", phi, sample[self.dofs[chunk]])
        return found.reshape(len(coefficients), -1, *coefficients.shape[2:])


class CellAssembly(_Elements):
    """Integrals over cells."""

    @cached_property
    def gradient_products(self) -> FloatArray:
        """Weighted products of the gradients of the basis functions, (elements, q, local * local)."""
        gradients = self.table("grad", slice(None)).transpose(2, 3, 0, 1)
        products = (gradients * self.weights[..., None, None]) @ gradients.swapaxes(2, 3)
        return np.ascontiguousarray(products.reshape(*self.weights.shape, -1))

    @cached_property
    def _constant_gradients(self) -> FloatArray | None:
        """Gradients (elements, local, d) where all are constant on each cell: linear elements on straight simplices."""
        gradients = []
        for (field,) in self.basis.basis:
            found = np.asarray(field.grad)
            if not (found == found[..., :1]).all():
                return None
            gradients.append(found[..., 0])
        return np.ascontiguousarray(np.stack(gradients).transpose(2, 0, 1))

    def stiffness(self, coefficient: FloatArray) -> FloatArray:
        """Local matrices of the integral of grad v . k grad u; coefficient (elements, q[, d, d])."""
        constant = self._constant_gradients if coefficient.ndim == 2 else None
        if constant is not None:
            integrals = np.einsum("eq,eq->e", coefficient, self.weights)
            return (constant * integrals[:, None, None]) @ constant.swapaxes(1, 2)
        blocks = []
        for chunk in self._chunks():
            gradient = np.ascontiguousarray(self.table("grad", chunk).transpose(2, 0, 3, 1))
            k = coefficient[chunk]
            if k.ndim == 2:
                flux = gradient * (k * self.weights[chunk])[:, None, :, None]
            else:
                flux = np.einsum("eqab,eiqb->eiqa", k * self.weights[chunk][..., None, None], gradient)
            shape = (*gradient.shape[:2], -1)
            blocks.append(flux.reshape(shape) @ gradient.reshape(shape).transpose(0, 2, 1))
        return np.concatenate(blocks)


class FacetAssembly(_Elements):
    """Integrals over some boundary facets."""


class Assembly:
    """Assembly over one space of continuous elements: P1, P2, Q1, Q2 on a Mesh, "linear" on a vertex Grid.

    Raises
    ------
    InputError
        When the element has no nodal, continuous functions.
    DomainError
        When a Grid holds cell samples.
    """

    def __init__(self, space: FunctionSpace, degree: int | None = None) -> None:
        import skfem

        domain = space.domain
        self.space = space
        if isinstance(domain, Mesh):
            if space.element not in ("P1", "P2", "Q1", "Q2"):
                raise InputError(f"this equation takes the elements P1, P2, Q1 and Q2; got {space.element!r}")
            self.mesh: Any = domain.to_skfem()
            basis: Any = space.basis
            self.element: Any = basis.element.skfem
            self._renumber = np.arange(space.n_dofs)
            curved = domain.is_curved
        elif isinstance(domain, Grid):
            if domain.samples != "vertices" or space.element != "linear":
                raise DomainError(
                    f'on a Grid this equation takes the "linear" basis on vertices; got {space.element!r} on {domain!r}'
                )
            self.mesh, self.element, self._renumber = _grid_mesh(domain)
            curved = False
        else:
            raise DomainError(f"boundary-value problems are solved on a Grid or a Mesh; got {type(domain).__name__}")
        order = 1 if space.element in ("P1", "Q1", "linear") else 2
        self.degree = (2 * order + 1 + (2 if curved else 0)) if degree is None else degree
        self._dofs = skfem.Dofs(self.mesh, self.element)
        self.size = space.n_dofs
        # loads of functions of this very basis (True), or of P1 on the mesh
        self._loads: dict[bool, Any] = {}
        cells = skfem.CellBasis(self.mesh, self.element, intorder=self.degree, dofs=self._dofs)
        self.cells = CellAssembly(cells, self._numbered(cells.element_dofs), self.size)

    def _numbered(self, dofs: Any) -> IntArray:
        return np.ascontiguousarray(self._renumber[np.asarray(dofs).T].astype(np.int64))

    @cached_property
    def dof_points(self) -> FloatArray:
        """Where the dofs are, (size, d)."""
        points = self.space.dof_points
        assert points is not None
        return np.ascontiguousarray(points.numpy())

    @cached_property
    def parts(self) -> dict[str, IntArray]:
        """Facets of each named boundary part."""
        if isinstance(self.space.domain, Mesh):
            return {name: np.asarray(facets, dtype=np.int64) for name, facets in self.space.domain.boundary.items()}
        return _grid_facets(self.space.domain, self.mesh)

    def facets(self, facets: IntArray) -> FacetAssembly:
        """Assembly over some facets."""
        import skfem

        basis = skfem.FacetBasis(self.mesh, self.element, facets=facets, intorder=self.degree, dofs=self._dofs)
        return FacetAssembly(basis, self._numbered(basis.element_dofs), self.size)

    def facet_dofs(self, facets: IntArray) -> IntArray:
        """Dofs on some facets."""
        if len(facets) == 0:
            return np.empty(0, dtype=np.int64)
        if self.space.element in ("P1", "Q1") and isinstance(self.space.domain, Mesh):
            return np.unique(self.space.domain.topology.facets[facets]).astype(np.int64)
        return np.unique(self._renumber[self._dofs.get_facet_dofs(facets).flatten()])

    def owns(self, function: Function) -> bool:
        """Whether a Function has this very basis, if perhaps other components."""
        space = function.space
        return space.domain.fingerprint == self.space.domain.fingerprint and space.basis.name == self.space.basis.name

    @cached_property
    def linear_evaluation(self) -> Any:
        """The map (CSR) from nodal values of P1 functions on the mesh to values at the quadrature points of cells."""
        own = self.space.element == "P1"
        linear = self if own else Assembly(FunctionSpace(self.space.domain, "P1"), self.degree)
        return linear.cells.evaluation._matrix()

    def own_loads(self, function: Any) -> FloatArray | None:
        """Integrals (samples, dofs, *value) of a batch of functions against the basis; None for all else.

        Functions of this very basis, or of P1 on the very mesh: what `cells.load` gives from their values at
        quadrature points, without going through these.
        """
        if not (isinstance(function, Function) and function.batch_shape) or function.coefficients.is_complex():
            return None
        space, own = function.space, self.owns(function)
        if not own and not self.is_linear(space):
            return None
        coefficients = function.coefficients.detach().cpu().to(torch.float64)
        flat = coefficients.reshape(-1, space.n_dofs, *space.value_shape).numpy()
        if not np.isfinite(flat.sum()):
            return None
        if own not in self._loads:
            to_points = self.cells.evaluation._matrix()
            weighted = to_points.T.multiply(self.cells.weights.ravel()).tocsr()
            self._loads[own] = (weighted @ (to_points if own else self.linear_evaluation)).tocsr()
        columns = np.moveaxis(flat, 1, 0)
        found = self._loads[own] @ np.ascontiguousarray(columns.reshape(len(columns), -1))
        return np.ascontiguousarray(np.moveaxis(found.reshape(self.size, *columns.shape[1:]), 0, 1))

    def is_linear(self, space: FunctionSpace) -> bool:
        """Whether functions are P1 on the very mesh."""
        on_mesh = isinstance(space.domain, Mesh) and space.domain.fingerprint == self.space.domain.fingerprint
        return on_mesh and space.element == "P1"

    def own_values(self, elements: _Elements, function: Function) -> NDArray[Any] | None:
        """Values at the quadrature points of a Function of this very basis, or on cells of P1; None for others."""
        space, own = function.space, self.owns(function)
        if not own and not (elements is self.cells and self.is_linear(space)):
            return None
        kind = torch.complex128 if function.coefficients.is_complex() else torch.float64
        flat = function.coefficients.detach().cpu().to(kind).numpy().reshape(-1, *space.coefficient_shape)
        if own:
            return elements.interpolate(flat)
        # One sample at a time, so that its bits do not depend on the batch.
        found = [self.linear_evaluation @ sample.reshape(len(sample), -1) for sample in flat]
        return np.stack(found).reshape(len(flat), -1, *space.coefficient_shape[1:])


def _grid_mesh(grid: Grid) -> tuple[Any, Any, IntArray]:
    """The grid as a scikit-fem mesh, its multilinear element, and the grid sample of each mesh vertex."""
    import skfem

    if grid.dim > 3:
        raise DomainError(f"boundary-value problems are solved in 1 to 3 dimensions; the Grid has {grid.dim}")
    lines = []
    for axis in grid.grid_axes:
        line = axis.coordinates.numpy()
        lines.append(np.append(line, axis.stop) if axis.periodic else line)
    if grid.dim == 1:
        mesh: Any = skfem.MeshLine(lines[0])
        element: Any = skfem.ElementLineP1()
    elif grid.dim == 2:
        mesh, element = skfem.MeshQuad.init_tensor(*lines), skfem.ElementQuad1()
    else:
        mesh, element = skfem.MeshHex.init_tensor(*lines), skfem.ElementHex1()
    index = []
    for line, axis, coordinate in zip(lines, grid.grid_axes, np.asarray(mesh.p), strict=True):
        middles = 0.5 * (line[1:] + line[:-1])
        index.append(np.searchsorted(middles, coordinate) % axis.count)
    return mesh, element, np.asarray(np.ravel_multi_index(tuple(index), grid.shape), dtype=np.int64)


def _grid_facets(grid: Any, mesh: Any) -> dict[str, IntArray]:
    """Facets of the sides of a grid, by the grid's names."""
    middles = np.asarray(mesh.p)[:, np.asarray(mesh.facets)].mean(axis=1)
    outer = np.asarray(mesh.boundary_facets())
    names = [name for name in grid.boundary if name != "boundary"]
    parts: dict[str, IntArray] = {}
    position = 0
    for number, axis in enumerate(grid.grid_axes):
        if axis.periodic:
            continue
        for bound in (axis.start, axis.stop):
            on = np.abs(middles[number, outer] - bound) <= 1e-9 * axis.length
            parts[names[position]] = outer[on].astype(np.int64)
            position += 1
    whole = np.concatenate(list(parts.values())) if parts else np.empty(0, dtype=np.int64)
    return {"boundary": np.unique(whole), **parts}
