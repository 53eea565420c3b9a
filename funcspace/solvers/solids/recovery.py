"""Fields of stress and strain from their values at quadrature points: L2 projections, means over cells, von Mises."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from funcspace.errors import InputError
from funcspace.functions import Function, FunctionSpace
from funcspace.solvers.assembly import Assembly
from funcspace.solvers.solids.vector_elements import VectorElements

__all__ = [
    "averaged_at_nodes",
    "recovered",
    "tensor_components",
    "tensor_function",
    "von_mises_function",
    "von_mises_stress",
]

FloatArray = NDArray[np.float64]


def recovered(
    elements: VectorElements,
    values: FloatArray,
    element: str | None,
    *,
    components: tuple[str, ...],
    shape: tuple[int, ...],
) -> tuple[FunctionSpace, FloatArray]:
    """Coefficients (samples, dofs, n) of the L2 projection of values (samples, points, n) into a scalar basis.

    Parameters
    ----------
    values : at the quadrature points of the cells.
    element : a continuous element, that of the displacement by default, or "P0" for means over cells.
    components, shape : those of the space that comes with the coefficients.
    """
    domain, assembly = elements.space.domain, elements.assembly
    name = elements.space.element if element is None else element
    space = FunctionSpace(domain, name, components=components, value_shape=shape)
    basis: Any = space.basis
    if name == "P0":
        weights = assembly.cells.weights
        shaped = values.reshape(len(values), *weights.shape, -1)
        means = np.einsum("seqn,eq->sen", shaped, weights / weights.sum(axis=1, keepdims=True))
        found = np.empty_like(means)
        found[:, basis.cell_dofs[:, 0]] = means
        return space, found
    if name != elements.space.element and not basis.nodal:
        raise InputError(f"fields are recovered in P0, P1, P2, Q1 or Q2; got {name!r}")
    same = name == elements.space.element
    cells = (assembly if same else Assembly(FunctionSpace(domain, name), assembly.degree)).cells
    loads = np.stack([cells.load(values[..., i], space.n_dofs) for i in range(values.shape[-1])], axis=2)
    solve = basis.mass().inverse()
    flat = torch.from_numpy(loads.transpose(0, 2, 1).reshape(-1, *space.dof_shape))
    found = solve(flat).numpy().reshape(len(values), values.shape[-1], -1)
    return space, np.ascontiguousarray(found.transpose(0, 2, 1))


def tensor_components(letter: str, axes: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the components of a tensor, row by row: sxx, sxy, ..."""
    return tuple(f"{letter}{a}{b}" for a in axes for b in axes)


def tensor_function(
    elements: VectorElements, values: FloatArray, element: str | None, *, batch: tuple[int, ...], letter: str, name: str
) -> Function:
    """The Function (d, d) recovered from tensors (samples, points, d, d)."""
    d = elements.dim
    axes = tuple(component[1:] for component in elements.components)
    names = tensor_components(letter, axes)
    space, found = recovered(
        elements, values.reshape(*values.shape[:2], d * d), element, components=names, shape=(d, d)
    )
    return Function(space, torch.from_numpy(found.reshape(*batch, *space.coefficient_shape)), name=name)


def von_mises_function(
    elements: VectorElements, stress: FloatArray, across: FloatArray, element: str | None, batch: tuple[int, ...]
) -> Function:
    """Von Mises stress of the recovered stress: never negative at the nodes.

    Parameters
    ----------
    stress : (samples, points, d, d).
    across : the normal stress across the plane, (samples, points); without use in 3 dimensions.
    """
    d = elements.dim
    values = stress.reshape(*stress.shape[:2], d * d)
    if d == 2:
        values = np.concatenate([values, across[..., None]], axis=-1)
    count = values.shape[-1]
    names = tuple(f"s{i}" for i in range(count))
    space, found = recovered(elements, values, element, components=names, shape=(count,))
    result = von_mises_stress(found[..., : d * d].reshape(*found.shape[:2], d, d), found[..., -1] if d == 2 else None)
    scalar = FunctionSpace(space.domain, space.element, components=("von_mises",))
    return Function(scalar, torch.from_numpy(result.reshape(*batch, *scalar.coefficient_shape)), name="von_mises")


def averaged_at_nodes(elements: VectorElements, means: Function) -> Function:
    """Means over cells averaged at each node over the cells around it, by their sizes: bounded where stress is not."""
    sizes = elements.weights.sum(axis=1)
    basis: Any = means.space.basis
    values = means.coefficients.numpy()[basis.cell_dofs[:, 0]] * sizes
    count = elements.dofs.shape[1]
    total, around = (
        np.bincount(elements.dofs.ravel(), weights=np.repeat(column, count), minlength=elements.nodes)
        for column in (values, sizes)
    )
    space = FunctionSpace(elements.space.domain, elements.space.element, components=means.space.components)
    return Function(space, torch.from_numpy(total / around), name=means.name, units=means.units)


def von_mises_stress(stress: FloatArray, across: FloatArray | None = None) -> FloatArray:
    """Von Mises stress (...) of stress tensors (..., d, d), and for d = 2 the normal stress across the plane (...).

    sqrt(3/2 s : s),  s = sigma - tr(sigma)/3 I

    >>> import numpy as np
    >>> round(float(von_mises_stress(np.array([[0.0, 2.0], [2.0, 0.0]]))), 6)
    3.464102
    """
    d = stress.shape[-1]
    full = np.zeros((*stress.shape[:-2], 3, 3))
    full[..., :d, :d] = 0.5 * (stress + stress.swapaxes(-1, -2))
    if d == 2 and across is not None:
        full[..., 2, 2] = across
    mean = np.einsum("...ii->...", full) / 3.0
    deviator = full - mean[..., None, None] * np.eye(3)
    return np.asarray(np.sqrt(1.5 * np.einsum("...ij,...ij->...", deviator, deviator)))
