"""The streamline-upwind Petrov-Galerkin method for advection that outweighs diffusion."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from funcspace.solvers.assembly import CellAssembly

__all__ = ["StreamlineUpwind"]

FloatArray = NDArray[np.float64]


class StreamlineUpwind:
    r"""Integrals of b.grad u - div(k grad u) + r u against v + tau b.grad v.

    tau = ((2|b| / (h (coth Pe - 1/Pe)))^2 + (2/dt)^2 + r^2)^(-1/2),  Pe = |b| h / (2 k),
    h = 2 |b| / sum_i |b.grad phi_i|

    with the mean of the sum over a cell, where it varies. In one dimension with linear elements and constant data tau
    makes nodal values exact. The residual holds its second derivatives and the gradient of k, so that the method
    is consistent and keeps the order of the elements. (Brooks and Hughes, Comput. Methods Appl. Mech. Eng. 32, 1982.)

    Parameters
    ----------
    cells : the assembly over straight cells.
    velocity : b, (elements, q, d).
    diffusion, reaction : k > 0 and r, (elements, q).
    step : dt, None for steady problems.
    quadratic : whether second derivatives of the basis functions count.
    active : False for the plain Galerkin method.
    """

    def __init__(
        self,
        cells: CellAssembly,
        velocity: FloatArray,
        diffusion: FloatArray,
        reaction: FloatArray,
        *,
        step: float | None,
        quadratic: bool,
        active: bool = True,
    ) -> None:
        self.cells, self.velocity, self.diffusion, self.reaction = cells, velocity, diffusion, reaction
        self._quadratic = quadratic
        self._varies = bool(np.ptp(diffusion, axis=1).any())
        self.tau = self._parameter(step) if active else np.zeros_like(diffusion)

    def _parameter(self, step: float | None) -> FloatArray:
        speed = np.linalg.norm(self.velocity, axis=2)
        along = np.empty_like(speed)
        for chunk in self.cells._chunks():
            total = np.abs(self._along(chunk)).sum(axis=0)
            along[chunk] = total.mean(axis=1, keepdims=True)
        moving = along > 0
        h = 2.0 * speed / np.where(moving, along, 1.0)
        peclet = speed * h / (2.0 * self.diffusion)
        # coth x - 1/x, by its series where both terms are large.
        small = peclet < 1e-2
        safe = np.where(small, 1.0, peclet)
        upwind = np.where(small, peclet / 3.0, 1.0 / np.tanh(safe) - 1.0 / safe)
        steady = np.where(moving & (upwind > 0), 0.5 * h * upwind / np.where(speed > 0, speed, 1.0), 0.0)
        rate = self.reaction**2 + (0.0 if step is None else (2.0 / step) ** 2)
        return steady / np.sqrt(1.0 + rate * steady**2)

    def _along(self, chunk: slice) -> FloatArray:
        """b.grad phi, (local, elements, q)."""
        return np.einsum("eqd,ldeq->leq", self.velocity[chunk], self.cells.table("grad", chunk))

    def _slopes(self, chunk: slice) -> FloatArray:
        """Weights (elements, d, q) that take the values of a linear function at the points to its gradient."""
        count, d = self.cells.weights.shape[1], self.cells.points.shape[1]
        points = self.cells.points.reshape(-1, count, d)[chunk]
        centred = points - points.mean(axis=1, keepdims=True)
        return np.linalg.pinv(centred)

    def operator(self) -> FloatArray:
        """Local matrices (elements, test, trial)."""
        blocks = []
        for chunk in self.cells._chunks():
            phi = self.cells.table("value", chunk)
            gradient = self.cells.table("grad", chunk)
            along = self._along(chunk)
            k, r, weights = self.diffusion[chunk], self.reaction[chunk], self.cells.weights[chunk]
            residual = along + r * phi
            if self._quadratic:
                slopes = self._slopes(chunk)
                laplacian = np.einsum("edq,ldeq->le", slopes, gradient)
                residual = residual - k * laplacian[:, :, None]
            if self._varies:
                slope = np.einsum("edp,ep->ed", self._slopes(chunk), k)
                residual = residual - np.einsum("ed,ldeq->leq", slope, gradient)
            galerkin = np.einsum("teq,leq->etl", phi * weights, along + r * phi)
            diffusive = np.einsum("tdeq,ldeq->etl", gradient * (k * weights), gradient)
            upwind = np.einsum("teq,leq->etl", along * (self.tau[chunk] * weights), residual)
            blocks.append(galerkin + diffusive + upwind)
        return np.concatenate(blocks)

    def mass(self) -> FloatArray:
        """Local matrices of u against v + tau b.grad v."""
        blocks = []
        for chunk in self.cells._chunks():
            phi, weights = self.cells.table("value", chunk), self.cells.weights[chunk]
            test = phi + self.tau[chunk] * self._along(chunk)
            blocks.append(np.einsum("teq,leq->etl", test * weights, phi))
        return np.concatenate(blocks)

    def load(self, values: FloatArray, size: int) -> FloatArray:
        """Integrals of f against v + tau b.grad v: (samples, size) from values (samples, points)."""
        total = self.cells.load(values, size)
        if not self.tau.any():
            return total
        for chunk in self.cells._chunks():
            test = self._along(chunk) * (self.tau[chunk] * self.cells.weights[chunk])
            dofs = self.cells.dofs[chunk].ravel()
            for sample, flat in enumerate(values):
                local = np.einsum("teq,eq->et", test, self.cells.shaped(flat)[chunk])
                total[sample] += np.bincount(dofs, weights=local.ravel(), minlength=size)
        return total
