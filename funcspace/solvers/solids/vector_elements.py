"""Integrals of vector-valued elements made of a scalar basis: internal forces, stiffness, loads on cells and facets."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from funcspace.errors import DomainError
from funcspace.functions import Function, FunctionSpace
from funcspace.geometry import Grid, Mesh
from funcspace.geometry.domain import Domain
from funcspace.solvers.assembly import Assembly, FacetAssembly

__all__ = ["VectorElements"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

CHUNK_ENTRIES = 1 << 21


class VectorElements:
    """Vector functions u = sum_a u_a phi_a, u_a in R^d, on a Mesh or a vertex Grid of 2 or 3 dimensions.

    Coefficients have the shape (dofs, d) of a FunctionSpace with the components ("ux", "uy"[, "uz"]).

    Parameters
    ----------
    domain : where the body is.
    element : P1, P2, Q1, Q2, or "linear" on a Grid.
    degree : of the quadrature; products of two basis functions and a linear coefficient are exact by default.

    Raises
    ------
    DomainError
        When the domain is neither Grid nor Mesh, or has one dimension.
    """

    def __init__(self, domain: Domain, element: str | None = None, degree: int | None = None) -> None:
        if not isinstance(domain, Grid | Mesh):
            raise DomainError(f"solids are solved on a Grid or a Mesh; got {type(domain).__name__}")
        if domain.dim not in (2, 3):
            raise DomainError(f"solids are solved in 2 or 3 dimensions; this domain has {domain.dim}")
        scalar = FunctionSpace(domain, element)
        self.assembly = Assembly(scalar, degree)
        self.dim, self.nodes = domain.dim, scalar.n_dofs
        self.components = tuple(f"u{name}" for name in domain.axis_names)
        self.space = FunctionSpace(domain, scalar.element, components=self.components)
        self.dofs = self.assembly.cells.dofs
        self.weights = self.assembly.cells.weights
        self.points = self.assembly.cells.points

    @property
    def dof_points(self) -> FloatArray:
        """Where the nodal values sit, (dofs, d)."""
        points = self.space.dof_points
        assert points is not None
        return points.numpy()

    def chunks(self, per_element: int) -> list[slice]:
        """Ranges of elements whose arrays of `per_element` numbers fit the processor's caches and memory."""
        step = max(1, CHUNK_ENTRIES // max(1, per_element))
        return [slice(start, start + step) for start in range(0, len(self.weights), step)]

    def gradients(self, chunk: slice) -> FloatArray:
        """Gradients of the basis functions at the quadrature points, (elements, q, nodes, d)."""
        basis: Any = self.assembly.cells.basis.basis
        return np.stack([np.asarray(field.grad)[:, chunk] for (field,) in basis]).transpose(2, 3, 0, 1)

    @cached_property
    def all_gradients(self) -> FloatArray:
        """The gradients on all elements, kept for solvers that need them again and again."""
        return np.ascontiguousarray(self.gradients(slice(None)))

    def displacement_gradient(self, u: FloatArray, chunk: slice, gradients: FloatArray) -> FloatArray:
        """H_ij = du_i/dx_j at the quadrature points, (elements, q, d, d), from u (dofs, d)."""
        local = u[self.dofs[chunk]]
        return local.swapaxes(1, 2)[:, None] @ gradients

    def internal_forces(self, stress: FloatArray, chunk: slice, gradients: FloatArray) -> FloatArray:
        """The integrals of P : grad(phi_a e_i), (elements, nodes, d), from P (elements, q, d, d)."""
        weighted = (stress * self.weights[chunk][..., None, None]).transpose(0, 2, 1, 3)
        count, d = len(weighted), self.dim
        flat = gradients.transpose(0, 1, 3, 2).reshape(count, -1, gradients.shape[2])
        return (weighted.reshape(count, d, -1) @ flat).swapaxes(1, 2)

    def tangent(self, moduli: FloatArray, chunk: slice, gradients: FloatArray) -> FloatArray:
        """The integrals of grad(phi_a e_i) : A : grad(phi_b e_k), from A (elements, q, d, d, d, d)."""
        count, points, nodes, d = gradients.shape
        weighted = (moduli * self.weights[chunk][..., None, None, None, None]).transpose(0, 1, 3, 2, 4, 5)
        half = gradients @ weighted.reshape(count, points, d, -1)
        half = half.reshape(count, points, nodes, d, d, d).transpose(0, 2, 3, 4, 1, 5)
        flat = gradients.transpose(0, 1, 3, 2).reshape(count, points * d, nodes)
        found = half.reshape(count, nodes * d * d, points * d) @ flat
        return found.reshape(count, nodes, d, d, nodes).swapaxes(3, 4)

    def isotropic_stiffness(self, lame_lambda: FloatArray, lame_mu: FloatArray) -> FloatArray:
        r"""The integrals of lambda div u div v + 2 mu eps(u) : eps(v), (elements, nodes, d, nodes, d).

        With the moduli at the quadrature points, (elements, q).
        """
        nodes, d = self.dofs.shape[1], self.dim
        parts = []
        for chunk in self.chunks((nodes * d) ** 2 + self.weights.shape[1] * nodes * d):
            flat = self.gradients(chunk).reshape(-1, self.weights.shape[1], nodes * d)
            weights = self.weights[chunk]
            shape = (len(flat), nodes, d, nodes, d)
            left = flat.swapaxes(1, 2)
            volumetric = ((left * (lame_lambda[chunk] * weights)[:, None]) @ flat).reshape(shape)
            shear = ((left * (lame_mu[chunk] * weights)[:, None]) @ flat).reshape(shape)
            total = volumetric + shear.transpose(0, 1, 4, 3, 2)
            trace = np.einsum("eakbk->eab", shear)
            for i in range(d):
                total[:, :, i, :, i] += trace
            parts.append(total)
        return np.concatenate(parts)

    def scatter(self, local: FloatArray, dofs: IntArray | None = None) -> FloatArray:
        """Sum nodal vectors (elements, nodes, d) into (dofs, d)."""
        flat = (self.dofs if dofs is None else dofs).ravel()
        columns = [np.bincount(flat, weights=local[..., i].ravel(), minlength=self.nodes) for i in range(self.dim)]
        return np.asarray(np.stack(columns, axis=1), dtype=np.float64)

    def load(self, elements: Any, values: FloatArray) -> FloatArray:
        """Integrals of f . phi_a e_i over cells or facets: (samples, dofs, d) from values (samples, points, d)."""
        columns = [elements.load(values[..., i], self.nodes) for i in range(self.dim)]
        return np.stack(columns, axis=2)

    def normals(self, facets: FacetAssembly) -> FloatArray:
        """Outward unit normals at the quadrature points of facets, (points, d)."""
        normals = np.asarray(facets.basis.normals)
        return np.ascontiguousarray(normals.reshape(self.dim, -1).T)

    def own_values(self, elements: Any, function: Function) -> FloatArray | None:
        """Values of a Function of the same basis at the quadrature points; None for other spaces."""
        return self.assembly.own_values(elements, function)

    def function(self, values: FloatArray, batch: tuple[int, ...], name: str = "u") -> Function:
        """The displacement with coefficients (samples, dofs, d)."""
        found = np.ascontiguousarray(values).reshape(*batch, *self.space.coefficient_shape)
        return Function(self.space, torch.from_numpy(found), name=name)

    def coefficients(self, function: Function) -> FloatArray:
        """Coefficients (samples, dofs, d) of a displacement on this space.

        Raises
        ------
        DomainError
            When the function lives on another space.
        """
        if not isinstance(function, Function) or function.space.fingerprint != self.space.fingerprint:
            raise DomainError(f"a displacement on {self.space!r} is expected; got {function!r}; use .to(problem.space)")
        values = function.coefficients.detach().cpu().to(torch.float64).numpy()
        return values.reshape(-1, self.nodes, self.dim)
