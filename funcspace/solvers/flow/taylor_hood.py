"""The Taylor-Hood pair of elements on a mesh: quadratic velocities, linear pressures, and their fixed matrices."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from funcspace.errors import DomainError
from funcspace.functions import Function, FunctionSpace
from funcspace.functions.elements.quadrature import cell_rule
from funcspace.functions.elements.tabulation import CellMap, inverse_and_determinant
from funcspace.geometry import Mesh
from funcspace.geometry.domain import Domain

__all__ = ["TaylorHood"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

CHUNK_ENTRIES = 1 << 22


class TaylorHood:
    r"""P2-P1 on triangles and tetrahedra, Q2-Q1 on quadrilaterals and hexahedra (Taylor and Hood, 1973).

    With scalar basis functions :math:`\phi_k` of the velocity and :math:`\psi_m` of the pressure:

    .. math::
        M_{kl} = \int \phi_k \phi_l, \quad
        L^{ij}_{kl} = \int \nu \, (\delta_{ij} \nabla\phi_k \cdot \nabla\phi_l
            + s \, \partial_j \phi_k \, \partial_i \phi_l), \quad
        B^i_{mk} = -\int \psi_m \partial_i \phi_k,

    s = 0 for the gradient form of the viscous term, s = 1 for the symmetric one.

    Parameters
    ----------
    domain : a Mesh of triangles, quadrilaterals, tetrahedra or hexahedra, straight or curved.

    Raises
    ------
    DomainError
        For any other domain.
    """

    def __init__(self, domain: Domain) -> None:
        if not isinstance(domain, Mesh) or domain.dim < 2:
            kind = f"{domain.cell_type} Mesh" if isinstance(domain, Mesh) else type(domain).__name__
            raise DomainError(
                f"incompressible flow is solved on a Mesh in two or three dimensions (triangles, quadrilaterals, "
                f"tetrahedra or hexahedra); got a {kind}"
            )
        self.mesh, self.dim = domain, domain.dim
        letter = "P" if domain.reference.is_simplex else "Q"
        self.scalar = FunctionSpace(domain, f"{letter}2")
        self.velocity = FunctionSpace(domain, f"{letter}2", components=("u", "v", "w")[: self.dim])
        self.pressure = FunctionSpace(domain, f"{letter}1", components=("p",))
        quadratic: Any = self.velocity.basis
        linear: Any = self.pressure.basis
        self.dofs: IntArray = quadratic.cell_dofs
        self.pressure_dofs: IntArray = linear.cell_dofs
        # exact for u . grad u . v on cells that are images of affine maps
        degree = 5 + (2 if domain.is_curved else 0)
        at, weights = cell_rule(domain.cell_type, degree)
        self.phi, self.slopes = _reference_table(quadratic.element.skfem, at)
        self.psi, _ = _reference_table(linear.element.skfem, at)
        self._map = CellMap(domain)
        cells = np.arange(len(self.dofs))
        jacobians = self._map.jacobians(cells[:, None], at[: 1 if self._map.affine else None][None])
        # (cells, q or 1, d, d): one matrix per cell where it does not vary in the cell
        self.inverse, determinants = inverse_and_determinant(jacobians)
        self.weights: FloatArray = np.ascontiguousarray(np.abs(determinants) * weights)
        self._at = at

    @cached_property
    def points(self) -> FloatArray:
        """Quadrature points (cells * q, d)."""
        cells = np.arange(len(self.dofs))
        return self._map.points(cells[:, None], self._at[None]).reshape(-1, self.dim)

    @cached_property
    def dof_points(self) -> FloatArray:
        """Places of the velocity dofs (N, d)."""
        places = self.velocity.dof_points
        assert places is not None
        return places.numpy()

    @property
    def n_velocity(self) -> int:
        """Dofs of one component of the velocity."""
        return self.velocity.n_dofs

    @property
    def n_pressure(self) -> int:
        """Dofs of the pressure."""
        return self.pressure.n_dofs

    def _chunks(self) -> list[slice]:
        per = self.phi.size * self.dim * self.phi.shape[1]
        step = max(1, CHUNK_ENTRIES // per)
        return [slice(start, start + step) for start in range(0, len(self.dofs), step)]

    def _gradients(self, chunk: slice) -> FloatArray:
        """Gradients of the velocity's basis functions (cells, q, k, d)."""
        return self.slopes[None] @ self.inverse[chunk]

    def mass(self) -> FloatArray:
        """Local mass matrices (cells, k, k)."""
        products = self.phi[:, :, None] * self.phi[:, None, :]
        return np.tensordot(self.weights, products, axes=1)

    def viscous(self, viscosity: FloatArray, *, symmetric: bool) -> FloatArray:
        """Local blocks (d, d, cells, k, k), or (1, 1, cells, k, k) for the gradient form, where all are alike.

        Parameters
        ----------
        viscosity : (cells, q) values.
        """
        from funcspace.solvers.flow._assembly_kernels import viscous

        d, k = (self.dim if symmetric else 1), self.phi.shape[1]
        blocks = np.empty((d, d, len(self.dofs), k, k))
        viscous(np.ascontiguousarray(viscosity), self.slopes, self.inverse, self.weights, symmetric, blocks)
        return blocks

    def divergence(self) -> FloatArray:
        """Local matrices (d, cells, pressures, velocities) of minus the divergence."""
        blocks = np.empty((self.dim, len(self.dofs), self.psi.shape[1], self.phi.shape[1]))
        for chunk in self._chunks():
            weighted = self._gradients(chunk) * self.weights[chunk][..., None, None]
            blocks[:, chunk] = -np.einsum("qm,cqki->icmk", self.psi, weighted, optimize=True)
        return blocks

    @cached_property
    def pressure_weights(self) -> FloatArray:
        """Integrals of the pressure's basis functions."""
        local = self.weights @ self.psi
        found = np.bincount(self.pressure_dofs.ravel(), weights=local.ravel(), minlength=self.n_pressure)
        return np.asarray(found, dtype=np.float64)

    def load(self, force: FloatArray) -> FloatArray:
        """Integrals (samples, d, N) of f . v for values (samples, cells * q, d)."""
        total = np.empty((len(force), self.dim, self.n_velocity))
        for sample, values in enumerate(force):
            weighted = values.reshape(*self.weights.shape, self.dim) * self.weights[..., None]
            local = np.einsum("cqi,qk->ick", weighted, self.phi, optimize=True)
            for i in range(self.dim):
                total[sample, i] = np.bincount(self.dofs.ravel(), weights=local[i].ravel(), minlength=self.n_velocity)
        return total

    def values(self, function: Function) -> FloatArray | None:
        """Values (samples, cells * q, *value) at the quadrature points of a Function on this very mesh's elements."""
        space = function.space
        if space.domain.fingerprint != self.mesh.fingerprint:
            return None
        tables = {self.velocity.element: (self.phi, self.dofs), self.pressure.element: (self.psi, self.pressure_dofs)}
        if space.element not in tables:
            return None
        table, dofs = tables[space.element]
        coefficients = function.coefficients.detach().cpu().to(torch.float64).numpy()
        coefficients = coefficients.reshape(-1, *space.coefficient_shape)
        # sample after sample, so that the last bits of one do not depend on the others
        found = np.stack([np.einsum("qk,ck...->cq...", table, sample[dofs]) for sample in coefficients])
        return found.reshape(len(coefficients), -1, *coefficients.shape[2:])


def _reference_table(element: Any, at: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Values (q, k) and gradients (q, k, d) of a scalar element on the reference cell."""
    places = np.ascontiguousarray(at.T)
    count = len(element.doflocs)
    tables = [element.lbasis(places, index) for index in range(count)]
    values = np.stack([np.broadcast_to(value, len(at)) for value, _ in tables], axis=1)
    slopes = [np.broadcast_to(np.asarray(slope), (at.shape[1], len(at))) for _, slope in tables]
    return np.ascontiguousarray(values), np.ascontiguousarray(np.moveaxis(np.stack(slopes), -1, 0))
