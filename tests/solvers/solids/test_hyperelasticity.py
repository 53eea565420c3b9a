"""Hyperelasticity: exact deformations, derivatives, objectivity, Newton's order, Cook's membrane, failures, batches."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from funcspace import Function, FunctionSpace, InputError, Mesh, SolverError
from funcspace.solvers.solids import Hyperelasticity, LinearElasticity, LoadState, MooneyRivlin, NeoHookean
from funcspace.solvers.solids.pointwise_law import PointwiseLaw
from funcspace.solvers.solids.strain_energies import determinant

SQUARE, CUBE = Mesh.rectangle(0.5), Mesh.box(0.5)
NEO = NeoHookean(lame_lambda=2.0, lame_mu=1.0)
MOONEY = MooneyRivlin(c10=0.3, c01=0.2, bulk=2.0)
CLAMPED = {"left": 0.0}


def test_torchs_determinant_in_a_law():
    """Its second derivative is not finite at F = I; the cofactors in its place are exact."""

    def by_torch(f: Tensor) -> Tensor:
        return 0.5 * (f.square().sum() - 3.0) - torch.linalg.det(f).log() + f.det().log() ** 2

    h = np.concatenate([np.zeros((1, 3, 3)), random_gradients(4, 3)])
    found = PointwiseLaw(by_torch, 3, "strain").tangents(h, [])
    expected = PointwiseLaw(NEO, 3, "strain").tangents(h, [np.full(5, 2.0), np.full(5, 1.0)])
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


def random_gradients(n: int, dim: int, size: float = 0.2) -> np.ndarray:
    return size * np.random.default_rng(0).standard_normal((n, dim, dim))


def rotation(seed: int, dim: int = 3) -> Tensor:
    q, _ = torch.linalg.qr(torch.randn(dim, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)))
    return q * torch.linalg.det(q)


def random_displacement(problem: Hyperelasticity, size: float = 0.05) -> Function:
    generator = torch.Generator().manual_seed(3)
    shape = problem.space.coefficient_shape
    return Function(problem.space, size * torch.randn(shape, dtype=torch.float64, generator=generator))


@pytest.mark.parametrize("law", [NEO, MOONEY, NeoHookean(young=2.0, poisson=0.3)])
def test_energies_are_objective_and_isotropic(law):
    """psi(Q F) = psi(F) = psi(F Q) for rotations Q; no energy and no stress at rest."""
    numbers = {name: float(value) for name, value in law.parameters.items()}
    for seed in range(5):
        f = torch.eye(3, dtype=torch.float64) + torch.from_numpy(random_gradients(5, 3)[seed])
        q = rotation(seed)
        assert float(law(q @ f, **numbers)) == pytest.approx(float(law(f, **numbers)), rel=1e-12)
        assert float(law(f @ q, **numbers)) == pytest.approx(float(law(f, **numbers)), rel=1e-12)
    rest = torch.eye(3, dtype=torch.float64).requires_grad_()
    energy = law(rest, **numbers)
    (stress,) = torch.autograd.grad(energy, rest)
    assert abs(float(energy.detach())) <= 1e-15 and float(stress.abs().max()) <= 1e-14


@pytest.mark.parametrize("dim", [2, 3])
def test_stress_and_moduli_of_the_neo_hookean_law(dim):
    """P = mu (F - F^-T) + lambda ln J F^-T, and its derivative, in closed form."""
    h = random_gradients(7, dim)
    values = [np.full(7, 2.0), np.full(7, 1.0)]
    _, stress, moduli = PointwiseLaw(NEO, dim, "strain").tangents(h, values)
    f = h + np.eye(dim)
    inverse, log = np.linalg.inv(f), np.log(np.linalg.det(f))
    transposed = inverse.swapaxes(1, 2)
    np.testing.assert_allclose(stress, f - transposed + 2 * log[:, None, None] * transposed, atol=1e-12)
    expected = np.einsum("ik,JL->iJkL", np.eye(dim), np.eye(dim))[None]
    expected = expected + (1 - 2 * log)[:, None, None, None, None] * np.einsum("nLi,nJk->niJkL", inverse, inverse)
    expected = expected + 2 * np.einsum("nJi,nLk->niJkL", inverse, inverse)
    np.testing.assert_allclose(moduli, expected, atol=1e-12)


@pytest.mark.parametrize("law", [NEO, MOONEY])
@pytest.mark.parametrize(("dim", "plane"), [(2, "strain"), (2, "incompressible"), (3, "strain")])
def test_small_strains_are_linear_elasticity(law, dim, plane):
    """mu = 2 (c10 + c01), K = lambda + 2 mu/3; an incompressible sheet has nu = 1/2, E = 3 mu in plane stress."""
    mu, bulk = (1.0, 2.0 + 2.0 / 3.0) if law is NEO else (1.0, 2.0)
    mesh = SQUARE if dim == 2 else CUBE
    pull = {"right": (1e-7, 3e-7, 0.0)[:dim]}
    u = Hyperelasticity(mesh, "P2", energy=law, plane=plane, displacement=CLAMPED, traction=pull).solve()
    moduli = (
        {"young": 3 * mu, "poisson": 0.5}
        if plane == "incompressible"
        else {"lame_lambda": bulk - 2 * mu / 3, "lame_mu": mu}
    )
    linear_plane = "stress" if plane == "incompressible" else "strain"
    linear = LinearElasticity(mesh, "P2", plane=linear_plane, displacement=CLAMPED, traction=pull, **moduli)
    v = linear.solve()
    assert float((u - v).norm("max") / v.norm("max")) <= 1e-5


@pytest.mark.parametrize(
    ("mesh", "element"),
    [(SQUARE, "P1"), (SQUARE, "P2"), (Mesh.rectangle(0.5, cells="quadrilateral"), "Q2"), (CUBE, "P1"), (CUBE, "P2")],
)
def test_patch_test(mesh, element):
    """A homogeneous deformation of the boundary is an equilibrium inside, whatever the law; from zero in one step."""
    d = mesh.dim
    slope = torch.tensor([[0.4, 0.5, -0.2], [0.1, -0.2, 0.3], [0.2, 0.1, 0.3]], dtype=torch.float64)[:d, :d]
    problem = Hyperelasticity(mesh, element, energy=MOONEY, displacement={"boundary": lambda x: x @ slope.T})
    u = problem.solve()
    assert float((u.coefficients - u.space.dof_points @ slope.T).abs().max()) <= 1e-9


def test_uniaxial_tension_of_an_incompressible_sheet():
    """Mooney-Rivlin: P = 2 (c10 + c01/l)(l - 1/l^2) at the stretch l, the sheet narrows by 1/sqrt(l)."""
    stretch = 2.5
    sheet = Hyperelasticity(
        SQUARE, "P1", energy=MOONEY, plane="incompressible",
        displacement={"left": {"ux": 0.0}, "bottom": {"uy": 0.0}, "right": {"ux": stretch - 1}},
    )  # fmt: skip
    u = sheet.solve()
    force = 2 * (0.3 + 0.2 / stretch) * (stretch - stretch**-2)
    assert sheet.reaction(u, "right").tolist() == pytest.approx([force, 0.0], abs=1e-9)
    assert float(u([[1.0, 1.0]])[0, 1]) == pytest.approx(stretch**-0.5 - 1, abs=1e-9)
    assert sheet.stress(u, "P0").coefficients[0].flatten().tolist() == pytest.approx(
        [force * stretch, 0, 0, 0], abs=1e-8
    )
    assert float(sheet.von_mises(u).coefficients.max()) == pytest.approx(force * stretch, abs=1e-8)


def test_uniaxial_strain_has_the_stress_across():
    """F = diag(l, 1, 1): sigma = (mu (l^2 - 1) + lambda ln l)/l along, lambda ln l / l across."""
    stretch = 1.5
    bar = Hyperelasticity(
        SQUARE, "P1", energy=NEO, displacement={"boundary": lambda x: (stretch - 1) * x * torch.tensor([1.0, 0.0])}
    )
    u = bar.solve()
    along = ((stretch**2 - 1) + 2 * math.log(stretch)) / stretch
    across = 2 * math.log(stretch) / stretch
    assert bar.stress(u, "P0").coefficients[0].diagonal().tolist() == pytest.approx([along, across], abs=1e-12)
    assert float(bar.von_mises(u).coefficients.max()) == pytest.approx(along - across, abs=1e-12)


def test_forces_are_the_derivative_of_the_energy_and_the_tangent_that_of_the_forces():
    for mesh, plane in ((SQUARE, "strain"), (SQUARE, "incompressible"), (CUBE, "strain")):
        problem = Hyperelasticity(mesh, "P2", energy=MOONEY, plane=plane)
        u, v = random_displacement(problem, 0.01), random_displacement(problem, 1.0)
        v = v.with_coefficients(v.coefficients.flip(0))
        step = 1e-5
        ahead, behind = u + v * step, u - v * step
        slope = (problem.energy(ahead) - problem.energy(behind)) / (2 * step)
        assert float(slope) == pytest.approx(float((problem.forces(u) * v.coefficients).sum()), rel=1e-6)
        change = (problem.forces(ahead) - problem.forces(behind)) / (2 * step)
        tangent = problem.tangent(u)
        found = torch.from_numpy(tangent @ v.coefficients.flatten().numpy()).reshape(change.shape)
        assert float((found - change).abs().max() / change.abs().max()) <= 1e-6
        assert abs(tangent - tangent.T).max() <= 1e-12 * abs(tangent).max()


def test_rigid_motions_store_no_energy_and_turn_the_forces():
    problem = Hyperelasticity(CUBE, "P1", energy=MOONEY)
    q = rotation(2)
    x = problem.space.dof_points
    rigid = Function(problem.space, x @ q.T + 3.0 - x)
    assert abs(float(problem.energy(rigid))) <= 1e-13
    assert float(problem.forces(rigid).abs().max()) <= 1e-13
    u = random_displacement(problem)
    turned = Function(problem.space, (x + u.coefficients) @ q.T - x)
    assert float(problem.energy(turned)) == pytest.approx(float(problem.energy(u)), rel=1e-11)
    assert torch.allclose(problem.forces(turned), problem.forces(u) @ q.T, atol=1e-12)
    assert torch.allclose(
        problem.von_mises(turned, "P0").coefficients, problem.von_mises(u, "P0").coefficients, atol=1e-11
    )


def test_newton_converges_quadratically():
    """In the last steps the residual is at most a constant times its square before."""
    problem = Hyperelasticity(
        Mesh.rectangle(0.25), "P2", energy=NEO, displacement=CLAMPED, traction={"right": (0.5, 0.5)}, tolerance=1e-11
    )
    (state,) = problem.follow()
    r = [value for value in state.residuals if value < 0.1]
    orders = [math.log(c / b) / math.log(b / a) for a, b, c in zip(r, r[1:], r[2:], strict=False)]
    assert len(orders) >= 2 and min(orders) >= 1.8
    assert all(after <= 2 * before**2 for before, after in pairwise(r))


def cook(n: int) -> Mesh:
    square = Mesh.rectangle(1 / n, cells="quadrilateral")
    x, y = square.points.T
    points = torch.stack([48 * x, 44 * x + y * (44 - 28 * x)], dim=1)
    return Mesh(points, square.cells).with_boundaries({name: square.boundary[name] for name in ("left", "right")})


def test_cooks_membrane():
    """E = 200, nu = 0.35, shear traction 4, plane strain, upper corner: 6.1469 (B. Müller, thesis, Essen 2015).

    With psi = mu/2 (I1 - 3) - mu ln J + lambda/4 (J^2 - 1 - 2 ln J), given here by the user.
    """
    mu, lame = 200 / 2.7, 200 * 0.35 / (1.35 * 0.3)

    def energy(f: Tensor) -> Tensor:
        j = determinant(f)
        return mu / 2 * (f.square().sum() - 3) - mu * j.log() + lame / 4 * (j**2 - 1 - 2 * j.log())

    tips = []
    for n in (4, 8, 16):
        problem = Hyperelasticity(cook(n), "Q2", energy=energy, displacement=CLAMPED, traction={"right": (0.0, 4.0)})
        tips.append(float(problem.solve()([[48.0, 60.0]])[0, 1]))
    assert tips[-1] == pytest.approx(6.1469, rel=4e-3)
    # the corners are singular: the order is seen in the differences, and with it the limit
    ratio = (tips[1] - tips[0]) / (tips[2] - tips[1])
    assert tips[2] + (tips[2] - tips[1]) / (ratio - 1) == pytest.approx(6.1469, rel=1e-3)


def test_cooks_membrane_as_in_dolfinx():
    """P2 on 16 x 16 x 2 triangles, psi of MooneyRivlin with c01 = 0, mu = 0.4225, nu = 0.3, traction 1/16.

    dolfinx 0.5.2, with derivatives of the same energy by UFL and a rule of degree 6, gives these displacements.
    """
    square = Mesh.rectangle(1 / 16)
    x, y = square.points.T
    mesh = Mesh(torch.stack([48 * x, 44 * x + y * (44 - 28 * x)], dim=1), square.cells)
    mesh = mesh.with_boundaries({name: square.boundary[name] for name in ("left", "right")})
    mu, nu = 0.4225, 0.3
    law = MooneyRivlin(c10=mu / 2, bulk=2 * mu * (1 + nu) / (3 * (1 - 2 * nu)))
    u = Hyperelasticity(mesh, "P2", energy=law, displacement=CLAMPED, traction={"right": (0.0, 1 / 16)}).solve()
    expected = [[-5.48299994, 15.07044183], [-9.17518657, 14.71716867], [-13.86873525, 13.75606496]]
    found = u([[48.0, 44.0], [48.0, 52.0], [48.0, 60.0]])
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


class LearnedLaw(torch.nn.Module):
    """A network on the invariants of C, corrected so that the body at rest has no stress."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first = torch.nn.Parameter(torch.rand(8, 2, dtype=torch.float64, generator=generator))
        self.second = torch.nn.Parameter(torch.rand(8, dtype=torch.float64, generator=generator))

    def forward(self, f: Tensor) -> Tensor:
        j = determinant(f)
        i1 = f.square().sum() * j ** (-2.0 / 3.0)
        inputs = torch.stack([i1 - 3.0, (j - 1.0) ** 2])
        return (self.second * torch.nn.functional.softplus(self.first @ inputs)).sum() + (j - 1.0) ** 2


def test_a_learned_law():
    """A torch module as psi: equilibrium is where energy minus work is least."""
    law = LearnedLaw()
    problem = Hyperelasticity(SQUARE, "P2", energy=law, displacement=CLAMPED, traction={"right": (0.2, 0.3)})
    u = problem.solve()
    load = torch.from_numpy(problem.loading.forces()[0])
    fixed = problem.space.dofs("left")
    out_of_balance = problem.forces(u) - load
    out_of_balance[fixed] = 0.0
    assert float(out_of_balance.abs().max()) <= 1e-9
    potential = lambda w: float(problem.energy(w) - (load * w.coefficients).sum())  # noqa: E731
    for seed in range(4):
        move = 1e-3 * torch.randn(
            u.coefficients.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
        )
        move[fixed] = 0.0
        assert potential(u.with_coefficients(u.coefficients + move)) > potential(u)
    assert all(parameter.grad is None for parameter in law.parameters())
    with pytest.raises(InputError, match=r"\.double\(\)|one float64 number"):
        Hyperelasticity(SQUARE, "P2", energy=LearnedLaw().float(), displacement=CLAMPED).solve()


def test_load_steps_halve_themselves_where_one_is_too_large():
    """A block compressed to a third of its height: given displacements of this size turn cells inside out at once."""
    options = {"energy": NEO, "displacement": {"bottom": 0.0, "top": (0.0, -0.65)}}
    block = Hyperelasticity(Mesh.rectangle(0.25), "P1", max_halvings=8, **options)
    states = block.follow([0.5, 1.0])
    assert [state.factor for state in states] == [0.5, 1.0]
    assert float((states[-1].displacement - block.solve()).norm("max")) <= 1e-8
    half = Hyperelasticity(Mesh.rectangle(0.25), "P1", energy=NEO, displacement={"bottom": 0.0, "top": (0.0, -0.325)})
    assert float((states[0].displacement - half.solve()).norm("max")) <= 1e-8
    with pytest.raises(SolverError, match="load factor 0"):
        Hyperelasticity(
            Mesh.rectangle(0.25), "P1", max_halvings=0, energy=NEO, displacement={"bottom": 0.0, "top": (0.0, -1.2)}
        ).solve()


def test_failure_carries_the_last_equilibrium():
    """Compressed to nothing and beyond: no equilibrium past u_y = -1, the last one before it is in the error."""
    column = {"left": {"ux": 0.0}, "right": {"ux": 0.0}, "bottom": {"uy": 0.0}, "top": {"uy": -1.25}}
    problem = Hyperelasticity(SQUARE, "P1", energy=NEO, displacement=column, max_halvings=5)
    with pytest.raises(SolverError, match="no equilibrium was found beyond load factor") as caught:
        problem.solve()
    state = caught.value.state
    assert isinstance(state, LoadState) and 0.6 <= state.factor < 0.8
    y = problem.space.dof_points[:, 1]
    assert torch.allclose(state.displacement.coefficients[:, 1], -1.25 * state.factor * y, atol=1e-8)


def test_batches_are_the_single_solves():
    space = FunctionSpace(SQUARE, "P1")
    generator = torch.Generator().manual_seed(1)
    mu = Function(space, 0.5 + torch.rand(3, space.n_dofs, dtype=torch.float64, generator=generator))
    pressure = Function(space, 0.2 * torch.rand(3, space.n_dofs, dtype=torch.float64, generator=generator))

    def problem(i=None):
        pick = lambda f: f if i is None else f[i]  # noqa: E731
        law = NeoHookean(lame_lambda=1.0, lame_mu=pick(mu))
        return Hyperelasticity(SQUARE, "P2", energy=law, displacement=CLAMPED, pressure={"top": pick(pressure)})

    u = problem().solve()
    assert u.batch_shape == (3,)
    fields = problem().von_mises(u), problem().energy(u), problem().reaction(u, "left")
    for i in range(3):
        v = problem(i).solve()
        assert torch.equal(u.coefficients[i], v.coefficients)
        assert torch.allclose(fields[0].coefficients[i], problem(i).von_mises(v).coefficients, atol=1e-12)
        assert torch.allclose(fields[1][i], problem(i).energy(v)) and torch.allclose(
            fields[2][i], problem(i).reaction(v, "left")
        )


def test_multigrid_agrees_with_the_direct_solve():
    pytest.importorskip("pyamg")
    options = {"energy": NEO, "displacement": CLAMPED, "traction": {"right": (0.0, 0.1, 0.05)}}
    direct = Hyperelasticity(Mesh.box(0.25), "P1", method="direct", **options).solve()
    found = Hyperelasticity(Mesh.box(0.25), "P1", method="multigrid", **options).solve()
    assert float((found - direct).norm("max") / direct.norm("max")) <= 1e-8


class TestBadInput:
    def test_energy(self):
        def solve(energy):
            return Hyperelasticity(SQUARE, energy=energy, displacement=CLAMPED).solve()

        with pytest.raises(InputError, match="energy must be a function"):
            solve(1.0)
        with pytest.raises(InputError, match="one float64 number; got a tensor of shape"):
            solve(lambda f: f)
        with pytest.raises(InputError, match="one float64 number; got float"):
            solve(lambda f: 1.0)
        with pytest.raises(InputError, match="at F = I"):
            solve(lambda f: (f - 1.0).sum().log())
        with pytest.raises(InputError, match="no finite second derivative"):
            solve(lambda f: (torch.linalg.eigvalsh(f.mT @ f) ** 1.5).sum())
        with pytest.raises(InputError, match="give young and poisson, or"):
            NeoHookean(young=1.0)
        with pytest.raises(InputError, match="poisson must be"):
            solve(NeoHookean(young=1.0, poisson=0.5))
        with pytest.raises(InputError, match=r"c10 \+ c01 and bulk must be positive"):
            solve(MooneyRivlin(c10=1.0, bulk=0.0))
        with pytest.raises(InputError, match="lame_mu must be finite"):
            solve(NeoHookean(lame_lambda=1.0, lame_mu=float("nan")))

    def test_supports_and_options(self):
        with pytest.raises(SolverError, match="leave free the translation along y"):
            Hyperelasticity(SQUARE, energy=NEO, displacement={"left": {"ux": 0.0}}).solve()
        with pytest.raises(InputError, match=r"inflow.*left"):
            Hyperelasticity(SQUARE, energy=NEO, displacement={"inflow": 0.0})
        with pytest.raises(InputError, match="plane must be"):
            Hyperelasticity(SQUARE, energy=NEO, plane="stress")  # type: ignore[arg-type]
        with pytest.raises(InputError, match="steps must be a whole number of at least 1"):
            Hyperelasticity(SQUARE, energy=NEO, steps=0)
        problem = Hyperelasticity(SQUARE, energy=NEO, displacement=CLAMPED)
        for factors in ([], [0.0, 1.0], [0.5, 0.5]):
            with pytest.raises(InputError, match="load factors must ascend"):
                problem.follow(factors)
        space = FunctionSpace(SQUARE, "P1")
        batch = Function(space, torch.ones(2, space.n_dofs, dtype=torch.float64))
        with pytest.raises(InputError, match="one load at a time"):
            Hyperelasticity(SQUARE, energy=NEO, displacement=CLAMPED, pressure={"top": batch}).follow()
