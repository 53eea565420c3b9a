"""The solve of linear elasticity as a torch operation: derivatives with respect to all of its data."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from funcspace.solvers.element_solve import ElementForm, action, element_solve, solver_among
from funcspace.solvers.problem_data import is_tracked, tensors_at
from funcspace.solvers.solids.block_solve import block_solver
from funcspace.solvers.sparse_systems import choose_method
from funcspace.solvers.tracked_values import load_of, tracked_at

if TYPE_CHECKING:
    from funcspace.solvers.solids.linear_elasticity import LinearElasticity

__all__ = ["has_tracked_data", "solve_tracked"]

FloatArray = NDArray[np.float64]


def has_tracked_data(problem: LinearElasticity) -> bool:
    """Whether a datum of the problem is part of an autograd graph."""
    point = np.asarray(problem.space.domain.points[:1], dtype=np.float64)
    data = {**problem.moduli.data(), **problem.loading.data()}
    return any(is_tracked(datum, point) for datum in data.values())


def solve_tracked(problem: LinearElasticity) -> Float[Tensor, "samples unknowns"]:
    r"""Displacements, part of the graph of the data; the unknowns are numbered d n + i.

    u = g + w with K(lambda, mu) w = b - K(lambda, mu) g on the free unknowns, and w = 0 elsewhere
    """
    elements, pattern = problem.elements, problem._pattern
    problem._lame  # noqa: B018 - refuses moduli out of range
    coefficients = list(_lame(problem))
    forms = _forms(problem)
    load, given = _forces(problem), _given(problem)
    unknown = torch.zeros(pattern.size, dtype=torch.float64)
    unknown[pattern.free] = 1.0
    if given.requires_grad or bool(given.any()):
        load = load - action(forms, coefficients, given)
    lame_lambda, lame_mu = (c.detach().numpy() for c in coefficients)
    matrices = max(len(lame_lambda), len(lame_mu))
    method = choose_method(problem.method, len(pattern.free), elements.dim)

    def factor(sample: int) -> Callable[[FloatArray], FloatArray]:
        mine = (v[sample if len(v) > 1 else 0].reshape(elements.weights.shape) for v in (lame_lambda, lame_mu))
        blocks = pattern.blocks(elements.isotropic_stiffness(*mine))
        return block_solver(
            pattern, blocks, method=method, tolerance=problem.tolerance, max_iterations=problem.max_iterations
        )

    solve = solver_among(pattern.free, factor, matrices, problem.workers)
    return given + element_solve(solve, forms, coefficients, load * unknown)


def _at(problem: LinearElasticity, where: Any, datum: Any, name: str, shape: tuple[int, ...] = ()) -> Tensor:
    return tracked_at(problem.elements.assembly, where, datum, name, shapes=(shape,))


def _lame(problem: LinearElasticity) -> tuple[Tensor, Tensor]:
    """Lame's lambda of the problem, in the plane where it is plane, and mu, at the quadrature points."""
    moduli, cells = problem.moduli, problem.elements.assembly.cells
    stress = problem.elements.dim == 2 and problem.plane == "stress"
    if moduli.young is not None:
        young, poisson = (_at(problem, cells, getattr(moduli, n), n) for n in ("young", "poisson"))
        mu = young / (2 * (1 + poisson))
        return young * poisson / ((1 + poisson) * ((1 - poisson) if stress else (1 - 2 * poisson))), mu
    both, mu = (_at(problem, cells, getattr(moduli, n), n) for n in ("lame_lambda", "lame_mu"))
    return (2 * both * mu / (both + 2 * mu) if stress else both), mu


def _forms(problem: LinearElasticity) -> list[ElementForm]:
    """The forms of lambda, div u div v, and of mu, 2 eps(u) : eps(v)."""
    elements = problem.elements
    d, gradients = elements.dim, elements.all_gradients
    cells, q, nodes, _ = gradients.shape
    weighted = gradients * elements.weights[..., None, None]
    volumetric = weighted[:, :, :, :, None, None] * gradients[:, :, None, None]
    shear = volumetric.transpose(0, 1, 2, 5, 4, 3).copy()
    products = weighted @ gradients.swapaxes(2, 3)
    for i in range(d):
        shear[:, :, :, i, :, i] += products
    dofs = (elements.dofs[:, :, None] * d + np.arange(d)).reshape(cells, -1)
    numbers = torch.from_numpy(np.ascontiguousarray(dofs))
    tables = (np.ascontiguousarray(t.reshape(cells, q, (nodes * d) ** 2)) for t in (volumetric, shear))
    return [ElementForm(torch.from_numpy(t), numbers) for t in tables]


def _forces(problem: LinearElasticity) -> Tensor:
    """Nodal forces (samples or 1, unknowns)."""
    elements, loading = problem.elements, problem.loading
    assembly, d = elements.assembly, elements.dim
    loading.forces()  # refuses loads on parts without facets
    total = torch.zeros(1, elements.nodes, d, dtype=torch.float64)
    if loading.body_force is not None:
        total = total + load_of(assembly.cells, _at(problem, assembly.cells, loading.body_force, "body_force", (d,)))
    for part, datum in loading.traction.items():
        facets = assembly.facets(assembly.parts[part])
        total = total + load_of(facets, _at(problem, facets, datum, f"traction[{part!r}]", (d,)))
    for part, datum in loading.pressure.items():
        facets = assembly.facets(assembly.parts[part])
        values = _at(problem, facets, datum, f"pressure[{part!r}]")
        total = total + load_of(facets, -values[..., None] * torch.from_numpy(elements.normals(facets)))
    return total.flatten(1)


def _given(problem: LinearElasticity) -> Tensor:
    """Displacements that are given (samples or 1, unknowns), zero elsewhere."""
    elements = problem.elements
    d, points = elements.dim, elements.dof_points
    found = torch.zeros(1, elements.nodes * d, dtype=torch.float64)
    for dofs, component, datum, label in problem.loading._supports:
        where = points[dofs]
        if component is not None:
            values, numbers = tensors_at(datum, where, label), dofs * d + component
        else:
            whole = datum.expand(d) if isinstance(datum, Tensor) and datum.ndim == 0 else datum
            whole = np.full(d, float(whole)) if isinstance(whole, int | float) else whole
            values = tensors_at(whole, where, label, shapes=((d,),)).flatten(1)
            numbers = (dofs[:, None] * d + np.arange(d)).ravel()
        found = found.expand(max(len(found), len(values)), -1)
        found = found.index_copy(1, torch.from_numpy(numbers), values.expand(len(found), -1))
    return found
