"""Learned laws in DOLFINx forms: exact derivatives, quadratic Newton, solutions of closed-form laws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from funcspace.errors import InputError, SolverError
from funcspace.training.fem import DolfinxLaw, PointwiseLaw, solve_dolfinx

pytestmark = [
    pytest.mark.dolfinx,
    # FFCx leaves files that it compiles open
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]
pytest.importorskip("dolfinx")

import dolfinx  # noqa: E402
import ufl  # noqa: E402
from dolfinx import fem  # noqa: E402
from mpi4py import MPI  # noqa: E402
from ufl import dot, dx, grad, inner, sym  # noqa: E402


def square(n: int = 8) -> Any:
    return dolfinx.mesh.create_unit_square(MPI.COMM_SELF, n, n)


def sides(space: Any, values: dict[float, float]) -> list[Any]:
    """Constant values on x = 0 and x = 1."""
    mesh = space.mesh
    return [
        fem.dirichletbc(
            value,
            fem.locate_dofs_topological(
                space,
                1,
                dolfinx.mesh.locate_entities_boundary(mesh, 1, lambda x, s=side: np.isclose(x[0], s)),
            ),
            space,
        )
        for side, value in values.items()
    ]


def is_quadratic(residuals: tuple[float, ...]) -> bool:
    """In the last steps above rounding log(residual) doubles: |R_{n+1}| < C |R_n|^2 with one C."""
    r = np.array([x for x in residuals if x > 1e-12 * residuals[0]]) / residuals[0]
    return len(r) >= 3 and bool((r[2:] / r[1:-1] ** 1.8 < 20.0).all())


def test_learned_coefficient_against_the_same_form_in_ufl() -> None:
    mesh = square()
    space = fem.FunctionSpace(mesh, ("CG", 2))
    u, v = fem.Function(space), ufl.TestFunction(space)
    law = DolfinxLaw(lambda u: 1.0 + u**2, u, degree=4)
    bcs = sides(space, {0.0: 0.0, 1.0: 1.0})
    result = solve_dolfinx(law.value * dot(grad(u), grad(v)) * law.dx - 2.0 * v * dx, u, bcs, laws=[law])
    closed = fem.Function(space)
    form = (1 + closed**2) * dot(grad(closed), grad(v)) * law.dx - 2.0 * v * dx
    other = solve_dolfinx(form, closed, bcs)
    np.testing.assert_allclose(u.x.array, closed.x.array, atol=1e-12)
    np.testing.assert_allclose(result.residuals[:4], other.residuals[:4], rtol=1e-8)
    assert is_quadratic(result.residuals) and result.residuals[-1] < 1e-10 * result.residuals[0]


def test_exact_solution_of_a_nonlinear_conductor() -> None:
    """-div((1 + u^2) grad u) = 0 between u = 0 and u = 1: u + u^3/3 is linear in x."""
    errors = []
    for n in (4, 8):
        space = fem.FunctionSpace(square(n), ("CG", 2))
        u, v = fem.Function(space), ufl.TestFunction(space)
        law = DolfinxLaw(lambda u: 1.0 + u**2, u, degree=4)
        solve_dolfinx(law.value * dot(grad(u), grad(v)) * law.dx, u, sides(space, {0.0: 0.0, 1.0: 1.0}), laws=[law])
        x = space.tabulate_dof_coordinates()[:, 0]
        errors.append(float(np.abs(u.x.array + u.x.array**3 / 3 - 4 / 3 * x).max()))
    assert errors[1] < errors[0] / 6 and errors[1] < 1e-4


def test_gradient_dependent_coefficient_of_a_network() -> None:
    """k(x, u, grad u) from a float32 network: the residual falls quadratically, so the derivative is exact."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 1), nn.Softplus())
    mesh = square()
    space = fem.FunctionSpace(mesh, ("CG", 1))
    u, v = fem.Function(space), ufl.TestFunction(space)
    law = DolfinxLaw(PointwiseLaw.of_features(network), ufl.SpatialCoordinate(mesh), u, grad(u), degree=2)
    form = law.value * dot(grad(u), grad(v)) * law.dx - 8.0 * v * dx
    result = solve_dolfinx(form, u, sides(space, {0.0: 0.0, 1.0: 1.0}), laws=[law])
    assert is_quadratic(result.residuals) and result.iterations <= 8


def test_constitutive_law() -> None:
    """A stress sigma(eps) that stiffens with the strain, against the same law written in UFL."""
    mesh = square(4)
    space = fem.VectorFunctionSpace(mesh, ("CG", 2))

    def stress(eps: torch.Tensor) -> torch.Tensor:
        energy = (eps**2).sum(dim=(1, 2))[:, None, None]
        trace = eps.diagonal(dim1=1, dim2=2).sum(dim=1)[:, None, None]
        return (2.0 + 5.0 * energy) * eps + 3.0 * trace * torch.eye(2, dtype=eps.dtype)

    clamped = dolfinx.mesh.locate_entities_boundary(mesh, 1, lambda x: np.isclose(x[0], 0.0))
    bc = fem.dirichletbc(np.zeros(2), fem.locate_dofs_topological(space, 1, clamped), space)
    force = fem.Constant(mesh, np.array([0.5, -1.0]))
    u, v = fem.Function(space), ufl.TestFunction(space)
    law = DolfinxLaw(stress, sym(grad(u)), degree=4)
    assert law.shape == (2, 2)
    result = solve_dolfinx(inner(law.value, sym(grad(v))) * law.dx - dot(force, v) * dx, u, [bc], laws=[law])
    closed = fem.Function(space)
    eps = sym(grad(closed))
    sigma = (2 + 5 * inner(eps, eps)) * eps + 3 * ufl.tr(eps) * ufl.Identity(2)
    solve_dolfinx(inner(sigma, sym(grad(v))) * law.dx - dot(force, v) * dx, closed, [bc])
    np.testing.assert_allclose(u.x.array, closed.x.array, atol=1e-11)
    assert is_quadratic(result.residuals)


def test_failures_carry_the_last_good_state() -> None:
    mesh = square(2)
    space = fem.FunctionSpace(mesh, ("CG", 1))
    u, v = fem.Function(space), ufl.TestFunction(space)
    law = DolfinxLaw(lambda u: torch.where(u > 0.5, torch.nan, 1.0 + 0 * u), u, degree=2)
    bcs = sides(space, {0.0: 0.0, 1.0: 1.0})
    with pytest.raises(SolverError, match="its operands are"):
        solve_dolfinx(law.value * dot(grad(u), grad(v)) * law.dx, u, bcs, laws=[law])
    u.x.array[:] = 0.0
    smooth = DolfinxLaw(lambda u: 1.0 + u**2, u, degree=2)
    with pytest.raises(SolverError, match="after 1 iterations") as caught:
        form = smooth.value * dot(grad(u), grad(v)) * smooth.dx
        solve_dolfinx(form, u, bcs, laws=[smooth], max_iterations=1)
    assert np.isfinite(caught.value.state).all()
    with pytest.raises(InputError, match="at least one operand"):
        DolfinxLaw(lambda u: u, degree=2)
    with pytest.raises(InputError, match="no operand holds"):
        DolfinxLaw(lambda u: u, ufl.as_ufl(2.0), degree=2)
    with pytest.raises(InputError, match="got FunctionSpace"):
        solve_dolfinx(v * dx, space)
