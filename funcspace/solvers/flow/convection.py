"""The convection term of the Navier-Stokes equations and its derivative, on a fixed sparsity pattern."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from funcspace.solvers.flow.saddle_system import SaddleSystem
from funcspace.solvers.flow.taylor_hood import TaylorHood

__all__ = ["convection_entries", "plain_convection", "plain_reaction", "reaction_entries"]

FloatArray = NDArray[np.float64]


def convection_entries(elements: TaylorHood, system: SaddleSystem, wind: FloatArray) -> FloatArray:
    r"""Entries of :math:`C_{kl} = \int (w \cdot \nabla\phi_l) \, \phi_k` on the scalar pattern; w (N, d)."""
    from funcspace.solvers.flow._assembly_kernels import convection

    out = np.zeros(system.entries)
    convection(
        np.ascontiguousarray(wind), elements.dofs, elements.phi, elements.slopes, elements.inverse, elements.weights,
        system.slots, out,
    )  # fmt: skip
    return out


def reaction_entries(elements: TaylorHood, system: SaddleSystem, velocity: FloatArray) -> FloatArray:
    r"""Entries (d, d, entries) of :math:`D^{ij}_{kl} = \int (\partial_j u_i) \, \phi_l \phi_k`; nodal u (N, d)."""
    from funcspace.solvers.flow._assembly_kernels import reaction

    d = elements.dim
    out = np.zeros((d, d, system.entries))
    reaction(
        np.ascontiguousarray(velocity), elements.dofs, elements.phi, elements.slopes, elements.inverse,
        elements.weights, system.slots, out,
    )  # fmt: skip
    return out


def plain_convection(elements: TaylorHood, system: SaddleSystem, wind: FloatArray) -> FloatArray:
    """The same as `convection_entries` in array operations: slow, plain, and the measure of the compiled kernel."""
    gradient = elements.slopes[None] @ elements.inverse
    there = np.einsum("qk,cki->cqi", elements.phi, wind[elements.dofs])
    along = np.einsum("cqi,cqli->cql", there, gradient)
    return system.scatter(np.einsum("cq,qk,cql->ckl", elements.weights, elements.phi, along))


def plain_reaction(elements: TaylorHood, system: SaddleSystem, velocity: FloatArray) -> FloatArray:
    """The same as `reaction_entries` in array operations."""
    gradient = elements.slopes[None] @ elements.inverse
    slope = np.einsum("cki,cqkj->cqij", velocity[elements.dofs], gradient)
    local = np.einsum("cq,cqij,qk,ql->ijckl", elements.weights, slope, elements.phi, elements.phi)
    return np.stack([np.stack([system.scatter(block) for block in row]) for row in local])
