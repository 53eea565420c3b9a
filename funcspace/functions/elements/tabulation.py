"""Basis functions of a finite element at reference points of cells: values and gradients in physical coordinates."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from funcspace.functions.elements.elements import FiniteElement

if TYPE_CHECKING:
    from funcspace.geometry.meshes.mesh import Mesh

__all__ = ["CellMap", "Tabulation", "inverse_and_determinant"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

NEWTON_STEPS = 30


class CellMap:
    """The maps F from the reference cell to the cells of a mesh, with first and second derivatives.

    Cells are given as an index array (...,) and reference points as (..., d), of shapes that broadcast.
    """

    def __init__(self, mesh: Mesh) -> None:
        self.reference, self.degree = mesh.reference, mesh.degree
        self.nodes, self.cell_nodes = mesh.nodes.numpy(), mesh.cell_nodes.numpy()
        self.affine = mesh.degree == 1 and mesh.reference.is_simplex

    def points(self, cells: IntArray, at: FloatArray) -> FloatArray:
        """F(X), of shape (..., d)."""
        shape = self.reference.shape(at.reshape(-1, at.shape[-1]), self.degree)
        return np.einsum("...k,...ki->...i", shape.reshape(*at.shape[:-1], -1), self.nodes[self.cell_nodes[cells]])

    def _local(self, cells: IntArray) -> FloatArray:
        nodes = self.cell_nodes[cells]
        return self.nodes[nodes] - self.nodes[nodes[..., :1]]

    @cached_property
    def _affine_jacobians(self) -> FloatArray:
        local = self._local(np.arange(len(self.cell_nodes)))
        return np.ascontiguousarray(local[:, 1:].swapaxes(1, 2))

    def jacobians(self, cells: IntArray, at: FloatArray) -> FloatArray:
        """dF_i/dX_a, of shape (..., d, d)."""
        if self.affine:
            return self._affine_jacobians[cells]
        slopes = self.reference.shape_gradients(at.reshape(-1, at.shape[-1]), self.degree)
        slopes = slopes.reshape(*at.shape[:-1], *slopes.shape[1:])
        return np.einsum("...ki,...ka->...ia", self._local(cells), slopes)

    def hessians(self, cells: IntArray, at: FloatArray) -> FloatArray:
        """d2F_i/dX_a dX_b, of shape (..., d, d, d)."""
        curvature = self._shape_hessians(at.reshape(-1, at.shape[-1]))
        curvature = curvature.reshape(*at.shape[:-1], *curvature.shape[1:])
        return np.einsum("...ki,...kab->...iab", self._local(cells), curvature)

    def _shape_hessians(self, at: FloatArray) -> FloatArray:
        exponents, dim = self.reference.exponents(self.degree), at.shape[1]
        coefficients = self.reference.monomial_coefficients(self.degree)
        result = np.empty((len(at), coefficients.shape[1], dim, dim))
        for a in range(dim):
            for b in range(dim):
                powers, factors = exponents.copy(), np.ones(len(exponents))
                for axis in (a, b):
                    factors = factors * powers[:, axis]
                    powers[:, axis] = np.maximum(powers[:, axis] - 1, 0)
                monomials = np.prod(at[:, None, :] ** powers, axis=2)
                result[:, :, a, b] = (monomials * factors) @ coefficients
        return result

    def inverse(self, cells: IntArray, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Reference coordinates (n, d) of points (n, d) in given cells by Newton's method, and the residual (n,).

        The residual is the largest coordinate of F(X) - x, relative to the size of the cell.
        """
        at = np.broadcast_to(self.reference.corners.mean(axis=0), points.shape).copy()
        size = np.abs(self._local(cells)).max(axis=(1, 2))
        for _ in range(2 if self.affine else NEWTON_STEPS):
            residual = points - self.points(cells, at)
            step = np.einsum("nai,ni->na", inverse_and_determinant(self.jacobians(cells, at))[0], residual)
            at += step
            if float(np.abs(step).max(initial=0.0)) < 1e-15:
                break
        return at, np.abs(points - self.points(cells, at)).max(axis=1) / size


class Tabulation:
    """An element's basis functions on the cells of a mesh, through scikit-fem's reference basis.

    Parameters
    ----------
    element : the element.
    cell_map : the maps of the mesh.
    topology : the same mesh in scikit-fem, for the signs of facet and edge functions.
    """

    def __init__(self, element: FiniteElement, cell_map: CellMap, topology: Any) -> None:
        self.element, self.cell_map = element, cell_map
        self.count = int(element.skfem._bfun_counts().sum())
        self._mapping = topology._mapping()

    @cached_property
    def _signs(self) -> FloatArray:
        signs = [self.element.skfem.orient(self._mapping, i) for i in range(self.count)]
        return np.stack(signs, axis=1).astype(np.float64)

    def _reference(self, at: FloatArray) -> tuple[FloatArray, FloatArray]:
        """scikit-fem's values and derivatives (gradient, divergence or curl), (..., basis, components)."""
        flat = np.ascontiguousarray(at.reshape(-1, at.shape[-1]).T)
        values, slopes = [], []
        for i in range(self.count):
            value, slope = self.element.skfem.lbasis(flat, i)
            values.append(np.atleast_2d(value).T)
            slopes.append(np.atleast_2d(slope).T)
        value, slope = np.stack(values, axis=1), np.stack(slopes, axis=1)
        shape = (*at.shape[:-1], self.count)
        return value.reshape(*shape, value.shape[2]), slope.reshape(*shape, slope.shape[2])

    def _reference_jacobian(self, at: FloatArray) -> FloatArray:
        """dphi_a/dX_c of a vector element, (..., basis, d, d), by differences: phi is linear in each coordinate."""
        columns = []
        for axis in range(at.shape[-1]):
            ends = []
            for end in (0.0, 1.0):
                moved = at.copy()
                moved[..., axis] = end
                ends.append(self._reference(moved)[0])
            columns.append(ends[1] - ends[0])
        return np.stack(columns, axis=-1)

    def values(self, cells: IntArray, at: FloatArray) -> FloatArray:
        """Values (..., basis) or, for vector elements, (..., basis, d) at reference points (..., d) of cells (...,)."""
        phi, _ = self._reference(at)
        if self.element.family == "H1":
            return np.broadcast_to(phi[..., 0], (*np.broadcast_shapes(cells.shape, at.shape[:-1]), self.count))
        jacobians = self.cell_map.jacobians(cells, at)
        return self._mapped(phi, jacobians, *inverse_and_determinant(jacobians)) * self._sign(cells)

    def gradients(self, cells: IntArray, at: FloatArray) -> FloatArray:
        r"""Gradients (..., basis, d), or (..., basis, d, d) with the derivative last for vector elements.

        With H the second derivatives of F, :math:`J^{-T} \nabla\phi` for H1 and, before the last step from X to x,

        .. math::
            |\det J| \, \partial_c (J \phi / |\det J|)
                &= H_c \phi + J \partial_c \phi - \mathrm{tr}(J^{-1} H_c) J \phi, \\
            \partial_c (J^{-T} \phi) &= J^{-T} \partial_c \phi - J^{-T} H_c^T J^{-T} \phi.
        """
        jacobians = self.cell_map.jacobians(cells, at)
        inverse, determinant = inverse_and_determinant(jacobians)
        if self.element.family == "H1":
            return _product(self._reference(at)[1], inverse)
        phi, _ = self._reference(at)
        slope = self._reference_jacobian(at)
        if self.element.family == "Hdiv":
            slope = np.einsum("...ia,...bac->...bic", jacobians, slope) / np.abs(determinant)[..., None, None, None]
        else:
            slope = np.einsum("...ai,...bac->...bic", inverse, slope)
        if not self.cell_map.affine:
            slope = slope + self._curvature(cells, at, phi, jacobians, inverse, determinant)
        return np.einsum("...bic,...ck->...bik", slope, inverse) * self._sign(cells)[..., None]

    def _mapped(
        self, phi: FloatArray, jacobians: FloatArray, inverse: FloatArray, determinant: FloatArray
    ) -> FloatArray:
        """Piola transform: contravariant for Hdiv, covariant for Hcurl."""
        if self.element.family == "Hdiv":
            return np.einsum("...ia,...ba->...bi", jacobians, phi) / np.abs(determinant)[..., None, None]
        return np.einsum("...ai,...ba->...bi", inverse, phi)

    def _curvature(
        self,
        cells: IntArray,
        at: FloatArray,
        phi: FloatArray,
        jacobians: FloatArray,
        inverse: FloatArray,
        determinant: FloatArray,
    ) -> FloatArray:
        """The terms of the gradient that come from the second derivatives of the cell's map."""
        hessians = self.cell_map.hessians(cells, at)
        mapped = self._mapped(phi, jacobians, inverse, determinant)
        if self.element.family == "Hdiv":
            stretch = np.einsum("...ai,...iac->...c", inverse, hessians)
            bend = np.einsum("...iac,...ba->...bic", hessians, phi) / np.abs(determinant)[..., None, None, None]
            return bend - mapped[..., None] * stretch[..., None, None, :]
        turned = np.einsum("...bj,...jec->...bec", mapped, hessians)
        return -np.einsum("...bec,...ei->...bic", turned, inverse)

    def _sign(self, cells: IntArray) -> FloatArray:
        return self._signs[cells][..., None]


def inverse_and_determinant(matrices: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Inverses (..., d, d) and determinants (...,) of small matrices by cofactors, d = 1, 2, 3."""
    dim = matrices.shape[-1]
    adjugate = np.empty_like(matrices)
    if dim == 1:
        adjugate[...] = 1.0
    elif dim == 2:
        adjugate[..., 0, 0], adjugate[..., 1, 1] = matrices[..., 1, 1], matrices[..., 0, 0]
        adjugate[..., 0, 1], adjugate[..., 1, 0] = -matrices[..., 0, 1], -matrices[..., 1, 0]
    else:
        for i in range(3):
            j, k = (i + 1) % 3, (i + 2) % 3
            adjugate[..., i] = np.cross(matrices[..., j, :], matrices[..., k, :])
    determinants = np.einsum("...a,...a->...", adjugate[..., 0, :], matrices[..., :, 0])
    return adjugate / determinants[..., None, None], determinants


def _product(slopes: FloatArray, inverse: FloatArray) -> FloatArray:
    """Chain rule: slopes (..., basis, a) with J^-1 (..., a, i)."""
    shape = np.broadcast_shapes(slopes.shape[:-2], inverse.shape[:-2])
    return np.matmul(np.broadcast_to(slopes, (*shape, *slopes.shape[-2:])), inverse)
