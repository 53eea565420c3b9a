"""Linear elasticity: patch test, manufactured solutions, known numbers, equilibrium, batches, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from funcspace import Function, FunctionSpace, Grid, InputError, Mesh, PointCloud
from funcspace.errors import DomainError
from funcspace.solvers.solids import LinearElasticity
from funcspace.solvers.solids.isotropic import lame_parameters

PI = math.pi
TRIANGLES, QUADS = Mesh.rectangle(0.25), Mesh.rectangle(0.25, cells="quadrilateral")
TETRAHEDRA, HEXAHEDRA = Mesh.box(0.5), Mesh.box(0.5, cells="hexahedron")
CLAMPED = {"left": 0.0}


def distorted(mesh: Mesh, amount: float = 0.06) -> Mesh:
    """The mesh with its inner vertices moved, so that no cell is special."""
    x = mesh.points.clone()
    inside = ((x > 1e-9) & (x < 1 - 1e-9)).all(dim=1)
    shift = torch.stack([torch.sin(7.0 * x.sum(dim=1) + 2.0 * k) for k in range(mesh.dim)], dim=1)
    x[inside] += amount * shift[inside]
    return Mesh(x, mesh.cells).with_boundaries(
        {name: mesh.boundary[name] for name in mesh.boundary if name != "boundary"}
    )


def cook(n: int, cells: str = "triangle") -> Mesh:
    """Cook's membrane: the quadrilateral (0, 0), (48, 44), (48, 60), (0, 44)."""
    square = Mesh.rectangle(1 / n, cells=cells)
    x, y = square.points.T
    points = torch.stack([48 * x, 44 * x + y * (44 - 28 * x)], dim=1)
    return Mesh(points, square.cells).with_boundaries({name: square.boundary[name] for name in ("left", "right")})


class Manufactured:
    """u = (sin(pi x) cos(pi y/2), x y + cos(pi x)/2 [, z (x + y)/2 ...]); stress and force by automatic derivatives."""

    def __init__(self, dim: int, plane: str = "strain"):
        self.dim, self.plane = dim, plane

    def u(self, x):
        parts = [
            torch.sin(PI * x[..., 0]) * torch.cos(PI * x[..., 1] / 2),
            x[..., 0] * x[..., 1] + torch.cos(PI * x[..., 0]) / 2,
        ]
        if self.dim == 3:
            parts[0] = parts[0] + x[..., 2] ** 2 / 2
            parts.append(torch.sin(x[..., 2] * x[..., 0]) + x[..., 1] / 3)
        return torch.stack(parts, dim=-1)

    def young(self, x):
        return 1.0 + x[..., 0] ** 2 + x[..., 1] / 2

    def gradient(self, x):
        return torch.func.vmap(torch.func.jacrev(self.u))(x)

    def stress(self, x, poisson=0.3):
        h = torch.func.jacrev(self.u)(x)
        strain = (h + h.T) / 2
        young = self.young(x)
        lame_lambda, mu = young * poisson / ((1 + poisson) * (1 - 2 * poisson)), young / (2 * (1 + poisson))
        if self.plane == "stress":
            lame_lambda = 2 * lame_lambda * mu / (lame_lambda + 2 * mu)
        return lame_lambda * torch.trace(strain) * torch.eye(self.dim, dtype=x.dtype) + 2 * mu * strain

    def force(self, x):
        divergence = lambda p: torch.einsum("ijj->i", torch.func.jacrev(self.stress)(p))  # noqa: E731
        return -torch.func.vmap(divergence)(x)

    def traction(self, *normal):
        n = torch.tensor(normal, dtype=torch.float64)
        return lambda x: torch.func.vmap(self.stress)(x) @ n


def errors(u: Function, exact: Manufactured) -> tuple[float, float]:
    rule = u.space.quadrature(6)
    value = rule.values(u.coefficients) - exact.u(rule.points)
    assert rule.gradients is not None
    gradient = rule.gradients(u.coefficients) - exact.gradient(rule.points)
    return tuple(float((rule.weights @ e.flatten(1).square().sum(dim=1)).sqrt()) for e in (value, gradient))


@pytest.mark.parametrize(
    ("mesh", "element"),
    [(TRIANGLES, "P1"), (TRIANGLES, "P2"), (QUADS, "Q1"), (QUADS, "Q2"), (TETRAHEDRA, "P1"), (TETRAHEDRA, "P2"),
     (HEXAHEDRA, "Q1"), (HEXAHEDRA, "Q2")],
)  # fmt: skip
@pytest.mark.parametrize("method", ["direct", "multigrid"])
def test_patch_test(mesh, element, method):
    """A linear displacement on the boundary is the exact solution inside, on distorted cells, to rounding."""
    if method == "multigrid":
        pytest.importorskip("pyamg")
    d = mesh.dim
    slope = torch.tensor([[0.1, 0.3, -0.2], [0.2, -0.1, 0.4], [0.5, 0.1, 0.2]], dtype=torch.float64)[:d, :d]
    linear = lambda x: x @ slope.T + 0.7  # noqa: E731
    problem = LinearElasticity(
        distorted(mesh),
        element,
        young=2.0,
        poisson=0.3,
        displacement={"boundary": linear},
        method=method,
        tolerance=1e-13,
    )
    u = problem.solve()
    assert float((u.coefficients - linear(u.space.dof_points)).abs().max()) <= 1e-12
    strain = problem.strain(u, "P0").coefficients
    assert float((strain - (slope + slope.T) / 2).abs().max()) <= 1e-12


@pytest.mark.parametrize(
    ("element", "cells"), [("P1", "triangle"), ("P2", "triangle"), ("Q1", "quadrilateral"), ("Q2", "quadrilateral")]
)
@pytest.mark.parametrize("plane", ["strain", "stress"])
def test_rates_in_the_plane(element, cells, plane):
    """Variable Young's modulus; displacement left, a roller below, tractions right and above."""
    exact = Manufactured(2, plane)
    found = []
    for h in (1 / 16, 1 / 32) if element[1] == "1" else (1 / 8, 1 / 16):
        problem = LinearElasticity(
            Mesh.rectangle(h, cells=cells), element, young=exact.young, poisson=0.3, plane=plane,
            displacement={"left": exact.u, "bottom": {"uy": lambda x: exact.u(x)[:, 1]}},
            traction={"right": exact.traction(1.0, 0.0), "top": exact.traction(0.0, 1.0),
                      "bottom": exact.traction(0.0, -1.0)},
            body_force=exact.force,
        )  # fmt: skip
        found.append(errors(problem.solve(), exact))
    l2, h1 = (math.log2(coarse / fine) for coarse, fine in zip(*found, strict=True))
    order = int(element[1])
    assert l2 >= order + 0.9 and h1 >= order - 0.1


@pytest.mark.parametrize(
    ("element", "cells", "sizes"),
    [("P1", "tetrahedron", (4, 8)), ("P2", "tetrahedron", (2, 4)), ("Q1", "hexahedron", (4, 8))],
)
def test_rates_in_space(element, cells, sizes):
    exact = Manufactured(3)
    found = []
    for n in sizes:
        problem = LinearElasticity(
            Mesh.box(1 / n, cells=cells), element, young=exact.young, poisson=0.3, body_force=exact.force,
            displacement={"left": exact.u, "bottom": exact.u, "front": exact.u, "back": exact.u},
            traction={"right": exact.traction(1.0, 0.0, 0.0), "top": exact.traction(0.0, 1.0, 0.0)},
        )  # fmt: skip
        found.append(errors(problem.solve(), exact))
    l2, h1 = (math.log2(coarse / fine) for coarse, fine in zip(*found, strict=True))
    order = int(element[1])
    assert l2 >= order + 0.75 and h1 >= order - 0.15


def test_cooks_membrane():
    """Middle of the loaded edge under a unit shear force, E = 1, nu = 1/3, plane stress: 23.97 (Krysl, FinEtools)."""
    problem = LinearElasticity(
        cook(24),
        "P2",
        young=1.0,
        poisson=1 / 3,
        plane="stress",
        displacement=CLAMPED,
        traction={"right": (0.0, 1 / 16)},
    )
    tip = float(problem.solve()([[48.0, 52.0]])[0, 1])
    assert tip == pytest.approx(23.97, rel=1.5e-3)


def test_linear_elements_lock_where_quadratic_ones_do_not():
    """Cook's membrane in plane strain, lambda = 7500, mu = 0.375 (nu = 0.49998): 16.4326 (FinEtools, extrapolated)."""
    tips = {}
    for element in ("P1", "P2"):
        problem = LinearElasticity(
            cook(24),
            element,
            lame_lambda=7500.0,
            lame_mu=0.375,
            displacement=CLAMPED,
            traction={"right": (0.0, 1 / 16)},
        )
        tips[element] = float(problem.solve()([[48.0, 52.0]])[0, 1])
    assert tips["P2"] == pytest.approx(16.4326, rel=0.015)
    assert tips["P1"] < 0.4 * 16.4326


@pytest.mark.parametrize("plane", ["strain", "stress"])
def test_tube_under_pressure(plane):
    """Lame's solution: radial stress A - B/r^2, hoop stress A + B/r^2, u_r = ((1 + nu)/E)((1 - 2 nu) A r + B/r)."""
    a, b, p, young, nu = 0.5, 1.0, 3.0, 10.0, 0.3
    big_a, big_b = p * a**2 / (b**2 - a**2), p * a**2 * b**2 / (b**2 - a**2)
    ring = Mesh.annulus(0.08, a, b, curved=True)
    # held by symmetry would need a quarter; rollers on the axes are nodes, so the exact displacement is given outside
    effective = (young, nu) if plane == "strain" else (young * (1 + 2 * nu) / (1 + nu) ** 2, nu / (1 + nu))
    e, v = effective

    def exact(x):
        r2 = (x**2).sum(dim=1, keepdim=True)
        return (1 + v) / e * ((1 - 2 * v) * big_a + big_b / r2) * x

    problem = LinearElasticity(
        ring, "P2", young=young, poisson=nu, plane=plane, displacement={"outer": exact}, pressure={"inner": p}
    )
    u = problem.solve()
    assert float((u.coefficients - exact(u.space.dof_points)).norm() / u.coefficients.norm()) <= 1e-4
    points = torch.tensor([[0.7, 0.0]])
    across = nu * 2 * big_a if plane == "strain" else 0.0
    radial, hoop = big_a - big_b / 0.49, big_a + big_b / 0.49
    expected = math.sqrt(((radial - hoop) ** 2 + (hoop - across) ** 2 + (across - radial) ** 2) / 2)
    assert float(problem.von_mises(u)(points)) == pytest.approx(expected, rel=5e-3)
    assert problem.stress(u)(points)[0].diagonal().tolist() == pytest.approx([radial, hoop], abs=0.05)
    assert problem.reaction(u, "outer").abs().max() <= 1e-9 * p


def test_equilibrium_and_energy():
    """Reactions balance all loads; by Clapeyron's theorem the energy is half the work of the loads."""
    body = LinearElasticity(
        distorted(TETRAHEDRA), "P2", young=3.0, poisson=0.2, displacement=CLAMPED, body_force=(0.1, -1.0, 0.3),
        traction={"right": (1.0, 0.5, -0.2)}, pressure={"top": 0.7},
    )  # fmt: skip
    u = body.solve()
    total = np.array([0.1, -1.0, 0.3]) + np.array([1.0, 0.5, -0.2]) + np.array([0.0, -0.7, 0.0])
    np.testing.assert_allclose(body.reaction(u, "left").numpy(), -total, atol=1e-12)
    work = (u.coefficients.numpy() * body.loading.forces()[0]).sum()
    assert float(body.energy(u)) == pytest.approx(work / 2, rel=1e-12)


def test_rigid_motions_have_no_strain():
    for mesh in (TRIANGLES, TETRAHEDRA):
        d = mesh.dim
        turn = torch.randn(d, d, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        problem = LinearElasticity(mesh, "P2", young=1.0, poisson=0.3)
        u = problem.space.interpolate(lambda x, a=turn - turn.T: x @ a.T + 0.3)
        assert float(problem.energy(u)) <= 1e-28
        assert float(problem.von_mises(u).coefficients.abs().max()) <= 1e-12


def test_lame_parameters_say_the_same():
    first, second = lame_parameters(2.0, 0.3)
    load = {"displacement": CLAMPED, "body_force": (0.0, -1.0)}
    for plane in ("strain", "stress"):
        one = LinearElasticity(TRIANGLES, "P2", young=2.0, poisson=0.3, plane=plane, **load)
        other = LinearElasticity(TRIANGLES, "P2", lame_lambda=first, lame_mu=second, plane=plane, **load)
        u, v = one.solve(), other.solve()
        assert torch.allclose(u.coefficients, v.coefficients, atol=1e-13)
        assert torch.allclose(one.von_mises(u).coefficients, other.von_mises(v).coefficients, atol=1e-11)


@pytest.mark.parametrize("which", ["young", "traction", "displacement", "all"])
def test_batches_are_the_single_solves(which):
    scalar = FunctionSpace(TRIANGLES, "P1")
    vector = scalar.with_components("x", "y")
    generator = torch.Generator().manual_seed(0)
    young = Function(scalar, 0.5 + torch.rand(2, 3, scalar.n_dofs, dtype=torch.float64, generator=generator))
    pull = Function(vector, torch.randn(2, 3, scalar.n_dofs, 2, dtype=torch.float64, generator=generator))

    def problem(young_of, pull_of):
        return LinearElasticity(
            TRIANGLES, "P2", young=young_of if which in ("young", "all") else 2.0, poisson=0.3,
            traction={"right": pull_of if which in ("traction", "all") else (0.0, 1.0)},
            displacement={"left": pull_of if which in ("displacement", "all") else 0.0},
        )  # fmt: skip

    together = problem(young, pull)
    u = together.solve()
    assert u.batch_shape == (2, 3) and u.coefficients.shape == (2, 3, u.space.n_dofs, 2)
    fields = together.von_mises(u), together.energy(u), together.reaction(u, "left")
    for i, j in ((0, 0), (1, 2)):
        one = problem(Function(scalar, young.coefficients[i, j]), Function(vector, pull.coefficients[i, j]))
        v = one.solve()
        assert torch.allclose(u.coefficients[i, j], v.coefficients, atol=1e-11)
        assert torch.allclose(fields[0].coefficients[i, j], one.von_mises(v).coefficients, atol=1e-10)
        assert torch.allclose(fields[1][i, j], one.energy(v), atol=1e-11)
        assert torch.allclose(fields[2][i, j], one.reaction(v, "left"), atol=1e-10)


def test_grids_and_meshes_of_the_same_cells_agree():
    grid = Grid(x=(0.0, 1.0, 5), y=(0.0, 1.0, 5))
    options = {"young": lambda x: 1 + x[:, 0], "poisson": 0.3, "displacement": CLAMPED, "body_force": (0.0, -1.0)}
    u = LinearElasticity(grid, **options).solve()
    v = LinearElasticity(QUADS, "Q1", **options).solve()
    assert torch.allclose(u.coefficients, v(grid.points), atol=1e-12)


def test_multigrid_agrees_with_the_direct_solve():
    pytest.importorskip("pyamg")
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    for mesh, element in ((Mesh.rectangle(0.04), "P2"), (Mesh.box(0.15), "P1")):
        pull = (0.0,) * (mesh.dim - 1) + (1.0,)
        problem = dict(young=1.0, poisson=0.3, displacement={"left": 0.0, "bottom": {"uy": 0.1}}, body_force=pull)
        direct = LinearElasticity(mesh, element, method="direct", **problem).solve()
        found = LinearElasticity(mesh, element, method="multigrid", tolerance=1e-12, **problem).solve()
        assert float((found - direct).norm("L2") / direct.norm("L2")) <= 1e-9
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_with_data_shares_the_pattern():
    problem = LinearElasticity(TRIANGLES, young=1.0, poisson=0.3, displacement=CLAMPED, body_force=(0.0, 1.0))
    u = problem.solve()
    heavier = problem.with_data(body_force=(0.0, 2.0), young=4.0)
    assert heavier._pattern is problem._pattern
    assert torch.allclose(heavier.solve().coefficients, u.coefficients / 2, atol=1e-12)
    assert problem.with_data(displacement={"right": 0.0})._pattern is not problem._pattern
    with pytest.raises(InputError, match="with_data takes"):
        problem.with_data(youngs=1.0)


class TestBadInput:
    def test_moduli(self):
        with pytest.raises(InputError, match="give young and poisson, or"):
            LinearElasticity(TRIANGLES, young=1.0)
        with pytest.raises(InputError, match="give young and poisson, or"):
            LinearElasticity(TRIANGLES, young=1.0, poisson=0.3, lame_mu=1.0)
        for poisson in (0.5, 0.7, -1.0):
            with pytest.raises(InputError, match=r"poisson must be above -1 and below 0\.5"):
                LinearElasticity(TRIANGLES, young=1.0, poisson=poisson, displacement=CLAMPED).solve()
        with pytest.raises(InputError, match="P2 or Q2"):
            LinearElasticity(TRIANGLES, young=1.0, poisson=0.5, displacement=CLAMPED).solve()
        with pytest.raises(InputError, match="young must be positive"):
            LinearElasticity(TRIANGLES, young=lambda x: x[:, 0] - 0.5, poisson=0.3, displacement=CLAMPED).solve()
        with pytest.raises(InputError, match="lame_mu must be positive"):
            LinearElasticity(TRIANGLES, lame_lambda=1.0, lame_mu=0.0, displacement=CLAMPED).solve()
        with pytest.raises(InputError, match="3 lame_lambda"):
            LinearElasticity(TRIANGLES, lame_lambda=-1.0, lame_mu=1.0, displacement=CLAMPED).solve()

    def test_an_incompressible_sheet_is_fine_in_plane_stress(self):
        held = {"left": {"ux": 0.0}, "bottom": {"uy": 0.0}}
        u = LinearElasticity(
            TRIANGLES, young=2.0, poisson=0.5, plane="stress", displacement=held, traction={"right": (1.0, 0.0)}
        ).solve()
        assert torch.allclose(u([[1.0, 1.0]]), torch.tensor([[0.5, -0.25]], dtype=torch.float64), atol=1e-12)

    @pytest.mark.parametrize("kind", ["displacement", "traction", "pressure"])
    def test_unknown_part_lists_the_known(self, kind):
        with pytest.raises(InputError, match=r"inflow.*bottom.*left"):
            LinearElasticity(TRIANGLES, young=1.0, poisson=0.3, **{kind: {"inflow": 0.0}})

    def test_unknown_component_lists_the_known(self):
        with pytest.raises(InputError, match=r"'uz'.*'ux', 'uy'"):
            LinearElasticity(TRIANGLES, young=1.0, poisson=0.3, displacement={"left": {"uz": 0.0}})

    def test_data(self):
        base = {"young": 1.0, "poisson": 0.3, "displacement": CLAMPED}
        with pytest.raises(InputError, match=r"body_force must be finite"):
            LinearElasticity(TRIANGLES, body_force=(0.0, float("nan")), **base).solve()
        with pytest.raises(InputError, match=r"traction\['right'\] with values of shape \(2,\)"):
            LinearElasticity(TRIANGLES, traction={"right": 1.0}, **base).solve()
        with pytest.raises(InputError, match="batches of the data must agree"):
            space = FunctionSpace(TRIANGLES, "P1")
            ones = torch.ones(3, space.n_dofs, dtype=torch.float64)
            pressure = {"right": Function(space, ones[:2])}
            LinearElasticity(
                TRIANGLES, young=Function(space, ones), poisson=0.3, displacement=CLAMPED, pressure=pressure
            ).solve()
        with pytest.raises(InputError, match="by part"):
            LinearElasticity(TRIANGLES, young=1.0, poisson=0.3, displacement=0.0)  # type: ignore[arg-type]

    def test_options_and_spaces(self):
        with pytest.raises(InputError, match="plane must be"):
            LinearElasticity(TRIANGLES, young=1.0, poisson=0.3, plane="stretch")  # type: ignore[arg-type]
        with pytest.raises(DomainError, match="2 or 3 dimensions"):
            LinearElasticity(Mesh.interval(0.5), young=1.0, poisson=0.3)
        with pytest.raises(DomainError, match="on a Grid or a Mesh; got PointCloud"):
            LinearElasticity(PointCloud(torch.rand(9, 2)), young=1.0, poisson=0.3)
        with pytest.raises(InputError, match="P1, P2, Q1 and Q2"):
            LinearElasticity(TRIANGLES, "P0", young=1.0, poisson=0.3)
        problem = LinearElasticity(TRIANGLES, young=1.0, poisson=0.3, displacement=CLAMPED)
        with pytest.raises(DomainError, match=r"to\(problem.space\)"):
            problem.stress(LinearElasticity(QUADS, young=1.0, poisson=0.3, displacement=CLAMPED).solve())
        with pytest.raises(InputError, match="no boundary part"):
            problem.reaction(problem.solve(), "lid")
