"""Learned laws in scikit-fem forms: exact solutions of closed-form laws, and Newton's quadratic convergence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import skfem
import torch
from skfem.helpers import ddot, dot, grad, sym_grad
from torch import nn

import funcspace as fs
from funcspace.training.fem import FormValues, PointwiseLaw, form_values, newton


@skfem.LinearForm
def flux(v: Any, w: Any) -> Any:
    return w["k"] * dot(grad(w["u"]), grad(v)) - w["f"] * v


@skfem.BilinearForm
def by_value(du: Any, v: Any, w: Any) -> Any:
    return dot(w["k"] * grad(du) + w["dk"] * du * grad(w["u"]), grad(v))


@skfem.BilinearForm
def by_gradient(du: Any, v: Any, w: Any) -> Any:
    """k = k(x, u, grad u)."""
    change = w["dk_u"] * du + dot(w["dk_g"], grad(du))
    return dot(w["k"] * grad(du) + change * grad(w["u"]), grad(v))


def conductor(basis: Any, law: PointwiseLaw, source: float) -> Any:
    def system(x: np.ndarray) -> tuple[np.ndarray, Any]:
        u = basis.interpolate(x)
        k = form_values(law, u)
        residual = flux.assemble(basis, u=u, k=k.value, f=np.full(k.value.shape, source))
        return residual, by_value.assemble(basis, u=u, k=k.value, dk=k.derivatives[0])

    return system


def start(basis: Any) -> tuple[np.ndarray, np.ndarray]:
    """u = 0 at x = 0, u = 1 at x = 1, and the free dofs."""
    left, right = basis.get_dofs(lambda x: x[0] == 0.0), basis.get_dofs(lambda x: x[0] == 1.0)
    u = np.zeros(basis.N)
    u[right.flatten()] = 1.0
    return u, basis.complement_dofs(left, right)


def orders(residuals: tuple[float, ...]) -> np.ndarray:
    """log R_{n+1} / log R_n of relative residuals above rounding."""
    r = np.array([x for x in residuals if x > 1e-12 * residuals[0]]) / residuals[0]
    logs = np.log(r[r < 0.1])
    return logs[1:] / logs[:-1]


def test_exact_solution_and_rate() -> None:
    """-div((1 + u^2) grad u) = 0 between 0 and 1: u + u^3/3 = 4 x / 3. P2 errors fall as h^3."""
    errors = []
    for refinements in (2, 3, 4):
        basis = skfem.CellBasis(skfem.MeshTri().refined(refinements), skfem.ElementTriP2(), intorder=6)
        u0, free = start(basis)
        result = newton(conductor(basis, PointwiseLaw(lambda u: 1.0 + u**2), 0.0), u0, free)
        u, x = result.solution, basis.doflocs[0]
        errors.append(float(np.abs(u + u**3 / 3 - 4 / 3 * x).max()))
        assert result.residuals[-1] < 1e-10 * result.residuals[0]
    assert np.log2(errors[1] / errors[2]) > 2.7 and errors[2] < 2e-5


def test_newton_is_quadratic_for_a_trained_law() -> None:
    """A network fitted to k(u) = 1 + u^2 gives the solution of the closed-form law, with as few Newton steps."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(1, 24), nn.Tanh(), nn.Linear(24, 1))
    samples = torch.linspace(-0.2, 1.3, 200)[:, None]
    optimiser = torch.optim.LBFGS(network.parameters(), max_iter=300, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = ((network(samples) - 1.0 - samples**2) ** 2).mean()
        value.backward()
        return value

    optimiser.step(loss)
    basis = skfem.CellBasis(skfem.MeshTri().refined(3), skfem.ElementTriP2(), intorder=6)
    u0, free = start(basis)
    learned = newton(conductor(basis, PointwiseLaw.of_features(network), 1.0), u0, free)
    closed = newton(conductor(basis, PointwiseLaw(lambda u: 1.0 + u**2), 1.0), u0, free)
    assert learned.iterations <= closed.iterations + 1
    assert orders(learned.residuals)[-1] > 1.7 and orders(closed.residuals)[-1] > 1.7
    assert np.abs(learned.solution - closed.solution).max() < 5e-3


def test_gradient_dependent_law() -> None:
    """k(x, u, grad u) = 1 + x u^2 + |grad u|^2 / 2 in closed form: the Jacobian matches differences of the residual."""
    basis = skfem.CellBasis(skfem.MeshQuad().refined(2), skfem.ElementQuad1(), intorder=4)
    law = PointwiseLaw(lambda x, u, g: 1.0 + x[:, 0] * u**2 + 0.5 * (g**2).sum(dim=1))

    def system(x: np.ndarray) -> tuple[np.ndarray, Any]:
        u = basis.interpolate(x)
        k = form_values(law, basis.global_coordinates(), u, u.grad)
        residual = flux.assemble(basis, u=u, k=k.value, f=np.ones_like(k.value))
        return residual, by_gradient.assemble(basis, u=u, k=k.value, dk_u=k.derivatives[1], dk_g=k.derivatives[2])

    generator = np.random.default_rng(3)
    u, direction = generator.standard_normal((2, basis.N))
    _, jacobian = system(u)
    h = 1e-6
    change = (system(u + h * direction)[0] - system(u - h * direction)[0]) / (2 * h)
    np.testing.assert_allclose(jacobian @ direction, change, atol=1e-6 * np.abs(change).max())
    u0, free = start(basis)
    assert orders(newton(system, u0, free).residuals)[-1] > 1.7


def test_constitutive_law() -> None:
    """A linear sigma(eps) from a network layer gives the Jacobian of linear elasticity, and one Newton step."""
    lam, mu = 1.2, 0.7
    identity = np.eye(2)
    stiffness = lam * np.einsum("ij,kl->ijkl", identity, identity) + 2 * mu * np.einsum(
        "ik,jl->ijkl", identity, identity
    )
    layer = nn.Linear(4, 4, bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(stiffness.reshape(4, 4)))
    law = PointwiseLaw.of_features(layer, (2, 2))
    basis = skfem.CellBasis(skfem.MeshTri().refined(2), skfem.ElementVector(skfem.ElementTriP1()))

    @skfem.LinearForm
    def forces(v: Any, w: Any) -> Any:
        return ddot(w["sigma"], sym_grad(v)) - v[1]

    @skfem.BilinearForm
    def tangent(du: Any, v: Any, w: Any) -> Any:
        return np.einsum("ijkl...,kl...,ij...->...", w["C"], sym_grad(du), sym_grad(v))

    def system(x: np.ndarray) -> tuple[np.ndarray, Any]:
        found: FormValues = form_values(law, sym_grad(basis.interpolate(x)))
        return forces.assemble(basis, sigma=found.value), tangent.assemble(basis, C=found.derivatives[0])

    free = basis.complement_dofs(basis.get_dofs(lambda x: x[0] == 0.0))
    result = newton(system, np.zeros(basis.N), free)
    assert result.iterations == 1
    mesh = fs.Mesh.from_skfem(basis.mesh).with_boundaries({"wall": lambda x: x[:, 0] == 0.0})
    young, poisson = mu * (3 * lam + 2 * mu) / (lam + mu), lam / (2 * (lam + mu))
    from funcspace.solvers.solids import LinearElasticity

    ours = LinearElasticity(
        mesh, "P1", young=young, poisson=poisson, displacement={"wall": 0.0}, body_force=(0.0, 1.0)
    ).solve()
    np.testing.assert_allclose(ours.to_skfem(basis), result.solution, atol=1e-12)


def test_newton_reports_what_went_wrong() -> None:
    def quadratic(u: np.ndarray) -> tuple[np.ndarray, Any]:
        return u**2 + 1.0, sp.diags(2.0 * u)

    with pytest.raises(fs.SolverError, match=r"does not make the residual smaller|after 5 iterations") as caught:
        newton(quadratic, np.array([0.3]), max_iterations=5)
    assert np.isfinite(caught.value.state).all()
    with pytest.raises(fs.SolverError, match="singular"):
        newton(lambda u: (u - 1.0, sp.csr_matrix((2, 2))), np.zeros(2))
    with pytest.raises(fs.InputError, match="not finite at dof 1"):
        newton(quadratic, np.array([1.0, np.nan]))
    with pytest.raises(fs.SolverError, match="not finite at the start"):
        newton(lambda u: (u * np.nan, sp.eye(1)), np.ones(1))
    basis = skfem.CellBasis(skfem.MeshTri(), skfem.ElementTriP1())
    with pytest.raises(fs.InputError, match=r"\(\*operand, elements, points\)"):
        form_values(PointwiseLaw(lambda u: u), np.zeros(basis.N))


def test_steps_are_halved_where_whole_ones_diverge() -> None:
    """arctan from far away: Newton without a line search runs off."""

    def system(u: np.ndarray) -> tuple[np.ndarray, Any]:
        return np.arctan(u), sp.diags(1.0 / (1.0 + u**2))

    assert abs(newton(system, np.array([10.0]), absolute=1e-12).solution[0]) < 1e-9
    with pytest.raises(fs.SolverError):
        newton(system, np.array([10.0]), line_search=False, max_iterations=4)
