"""The Poisson solver: manufactured solutions and rates, boundary conditions, batches, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from funcspace import Function, FunctionSpace, Grid, InputError, Mesh, SolverError
from funcspace.errors import DomainError
from funcspace.solvers.poisson import Poisson

PI = math.pi


class Smooth:
    """u = sin(pi x) cos(pi y/2) [+ z^2/2] + x y with k = 1 + x^2 + y/2 and c = 2, in 2 or 3 dimensions."""

    reaction = 2.0

    def k(self, x):
        return 1 + x[:, 0] ** 2 + 0.5 * x[:, 1]

    def u(self, x):
        plane = torch.sin(PI * x[:, 0]) * torch.cos(PI * x[:, 1] / 2) + x[:, 0] * x[:, 1]
        return plane + (0.5 * x[:, 2] ** 2 if x.shape[1] == 3 else 0.0)

    def gradient(self, x):
        parts = [
            PI * torch.cos(PI * x[:, 0]) * torch.cos(PI * x[:, 1] / 2) + x[:, 1],
            -PI / 2 * torch.sin(PI * x[:, 0]) * torch.sin(PI * x[:, 1] / 2) + x[:, 0],
            *([x[:, 2]] if x.shape[1] == 3 else []),
        ]
        return torch.stack(parts, dim=1)

    def f(self, x):
        laplacian = -1.25 * PI**2 * torch.sin(PI * x[:, 0]) * torch.cos(PI * x[:, 1] / 2) + (x.shape[1] == 3)
        along = 2 * x[:, 0] * self.gradient(x)[:, 0] + 0.5 * self.gradient(x)[:, 1]
        return -self.k(x) * laplacian - along + self.reaction * self.u(x)

    def flux(self, *normal):
        n = torch.tensor(normal, dtype=torch.float64)
        return lambda x: self.k(x) * (self.gradient(x) @ n)


EXACT = Smooth()


def errors(u: Function, exact=EXACT) -> tuple[float, float]:
    """L2 norm and H1 seminorm of the error, by a rule of high degree."""
    rule = u.space.quadrature(6)
    value = rule.values(u.coefficients) - exact.u(rule.points)
    assert rule.gradients is not None
    gradient = rule.gradients(u.coefficients) - exact.gradient(rule.points)
    return float((rule.weights @ value**2).sqrt()), float((rule.weights @ (gradient**2).sum(dim=1)).sqrt())


def rates(solutions: list[Function], exact=EXACT) -> tuple[float, float]:
    """Observed orders between the last two, by the mean mesh size (dofs to the power -1/d)."""
    (l2, h1), (l2_fine, h1_fine) = (errors(u, exact) for u in solutions[-2:])
    size = math.log(solutions[-1].space.n_dofs / solutions[-2].space.n_dofs) / solutions[-1].space.domain.dim
    return math.log(l2 / l2_fine) / size, math.log(h1 / h1_fine) / size


@pytest.mark.parametrize("element", ["P1", "P2"])
@pytest.mark.parametrize("shape", ["square", "disc", "l_shape"])
def test_rates_with_dirichlet_conditions(shape, element):
    make = {"square": Mesh.rectangle, "disc": Mesh.disc, "l_shape": Mesh.l_shape}[shape]
    options = {"curved": True} if shape == "disc" and element == "P2" else {}
    solutions = [
        Poisson(
            make(h, **options),
            element,
            coefficient=EXACT.k,
            source=EXACT.f,
            reaction=2.0,
            dirichlet={"boundary": EXACT.u},
        ).solve()
        for h in (0.12, 0.06)
    ]
    l2, h1 = rates(solutions)
    order = 1 if element == "P1" else 2
    assert l2 >= order + 0.9 and h1 >= order - (0.05 if order == 1 else 0.1)


def test_curved_cells_keep_the_rate_where_straight_ones_lose_it():
    """u = cos(pi r^2 / 2) vanishes on the circle; straight edges impose 0 elsewhere, an error of order h^1.5 in H1."""

    class Radial:
        def u(self, x):
            return torch.cos(PI / 2 * (x**2).sum(dim=1))

        def gradient(self, x):
            return -PI * x * torch.sin(PI / 2 * (x**2).sum(dim=1))[:, None]

        def f(self, x):
            r2 = (x**2).sum(dim=1)
            return 2 * PI * torch.sin(PI / 2 * r2) + PI**2 * r2 * torch.cos(PI / 2 * r2)

    exact = Radial()
    found = {
        curved: rates([Poisson(Mesh.disc(h, curved=curved), "P2", source=exact.f).solve() for h in (0.2, 0.1)], exact)
        for curved in (False, True)
    }
    assert found[True][0] >= 2.9 and found[True][1] >= 1.9
    assert found[False][1] <= 1.7


@pytest.mark.parametrize("element", ["P1", "P2", "Q1", "Q2"])
def test_box(element):
    cells = "tetrahedron" if element[0] == "P" else "hexahedron"
    sizes = (1 / 4, 1 / 8) if element[1] == "1" else (1 / 3, 1 / 6)
    solutions = [
        Poisson(
            Mesh.box(h, cells=cells), element, coefficient=EXACT.k, source=EXACT.f, reaction=2.0,
            dirichlet={"left": EXACT.u, "bottom": EXACT.u, "front": EXACT.u},
            neumann={"right": EXACT.flux(1.0, 0.0, 0.0), "back": EXACT.flux(0.0, 0.0, 1.0)},
            robin={"top": (3.0, lambda x: EXACT.flux(0.0, 1.0, 0.0)(x) + 3.0 * EXACT.u(x))},
        ).solve()
        for h in sizes
    ]  # fmt: skip
    (l2, h1), (l2_fine, h1_fine) = (errors(u) for u in solutions)
    order = int(element[1])
    assert math.log2(l2 / l2_fine) >= order + 0.75 and math.log2(h1 / h1_fine) >= order - 0.15


NATURAL = {
    "dirichlet": {"left": EXACT.u},
    "neumann": {"right": EXACT.flux(1.0, 0.0), "top": EXACT.flux(0.0, 1.0)},
    "robin": {"bottom": (3.0, lambda x: EXACT.flux(0.0, -1.0)(x) + 3.0 * EXACT.u(x))},
}


@pytest.mark.parametrize("element", ["P1", "P2", "Q1", "Q2"])
def test_natural_conditions_on_named_parts(element):
    cells = "triangle" if element[0] == "P" else "quadrilateral"
    solutions = [
        Poisson(
            Mesh.rectangle(h, cells=cells), element, coefficient=EXACT.k, source=EXACT.f, reaction=2.0, **NATURAL
        ).solve()
        for h in (0.1, 0.05)
    ]
    (l2, h1), (l2_fine, h1_fine) = (errors(u) for u in solutions)
    order = int(element[1])
    assert math.log2(l2 / l2_fine) >= order + 0.9 and math.log2(h1 / h1_fine) >= order - (0.05 if order == 1 else 0.1)


def test_grid_with_natural_conditions_by_both_methods():
    solutions = {}
    for n in (17, 33):
        grid = Grid(x=(0.0, 1.0, n), y=(0.0, 1.0, n + 4))
        for method in ("auto", "direct"):
            solutions[n, method] = Poisson(
                grid, coefficient=EXACT.k, source=EXACT.f, reaction=2.0, method=method, **NATURAL
            ).solve()
        gap = (solutions[n, "auto"] - solutions[n, "direct"]).norm("L2") / solutions[n, "direct"].norm("L2")
        assert float(gap) <= 1e-9
    l2, h1 = rates([solutions[17, "auto"], solutions[33, "auto"]])
    assert l2 >= 1.9 and h1 >= 0.95


def test_variable_robin_coefficient_agrees_between_grid_and_mesh():
    alpha = lambda x: 1.0 + x[:, 0]  # noqa: E731
    grid = Poisson(Grid(x=(0.0, 1.0, 11), y=(0.0, 1.0, 11)), source=1.0, robin={"top": (alpha, 0.5)}).solve()
    mesh = Poisson(Mesh.rectangle(0.1, cells="quadrilateral"), source=1.0, robin={"top": (alpha, 0.5)}).solve()
    assert torch.allclose(grid(mesh.space.dof_points), mesh.coefficients, atol=1e-12)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_periodic_axes(dim):
    """-Lap u + u = f with u = sin(2 pi x) on a periodic first axis."""
    solutions = []
    for n in (8, 16):
        others = {name: (0.0, 1.0, 5) for name in ("y", "z")[: dim - 1]}
        grid = Grid(x=(0.0, 1.0, n), periodic=("x",), **others)
        u = Poisson(
            grid, source=lambda x: (1 + 4 * PI**2) * torch.sin(2 * PI * x[:, 0]), reaction=1.0, dirichlet={}
        ).solve()
        nodes = u.space.dof_points
        solutions.append(float((u.coefficients - torch.sin(2 * PI * nodes[:, 0])).abs().max()))
    assert solutions[1] <= 0.3 * solutions[0] and solutions[1] <= 0.02


def test_interval():
    u = Poisson(Mesh.interval(0.1), "P2", source=lambda x: 12 * x[:, 0] ** 2, neumann={"right": -4.0}).solve()
    # u = -x^4 has u'' = -12 x^2, u(0) = 0, u'(1) = -4
    assert float((u.coefficients + u.space.dof_points[:, 0] ** 4).abs().max()) <= 1e-5


def test_anisotropic_coefficient():
    """k = [[2, 1], [1, 3]], u = x^2 - x y is in P2: -div(k grad u) = -(2*2 + 2*(-1)) = -2, solved exactly."""
    k = np.array([[2.0, 1.0], [1.0, 3.0]])
    exact = lambda x: x[:, 0] ** 2 - x[:, 0] * x[:, 1]  # noqa: E731
    for domain, element in ((Mesh.rectangle(0.3), "P2"), (Mesh.disc(0.4, curved=True), "P2")):
        u = Poisson(domain, element, coefficient=k, source=-2.0, dirichlet={"boundary": exact}).solve()
        tolerance = 1e-11 if not domain.is_curved else 2e-3
        assert float((u.coefficients - exact(u.space.dof_points)).abs().max()) <= tolerance
    field = FunctionSpace(Mesh.rectangle(0.5), "P1", value_shape=(2, 2)).interpolate(k)
    u = Poisson(Mesh.rectangle(0.3), "P2", coefficient=field, source=-2.0, dirichlet={"boundary": exact}).solve()
    assert float((u.coefficients - exact(u.space.dof_points)).abs().max()) <= 1e-11
    grid = Grid(x=(0.0, 1.0, 21), y=(0.0, 1.0, 21))
    field = lambda x: k * np.ones((len(x), 1, 1))  # noqa: E731
    u = Poisson(grid, coefficient=field, source=-2.0, dirichlet={"boundary": exact}).solve()
    assert float((u.coefficients - exact(u.space.dof_points)).abs().max()) <= 2e-3


def test_a_pure_neumann_batch_is_what_its_samples_are_alone():
    space = FunctionSpace(Mesh.disc(0.4))
    generator = torch.Generator().manual_seed(0)
    f, k = (torch.rand(35, space.n_dofs, dtype=torch.float64, generator=generator) for _ in range(2))
    f = f - (space.integrals @ f.T / space.integrals.sum())[:, None]
    source, coefficient = Function(space, f), Function(space, 0.5 + k)
    together = Poisson(space.domain, source=source, dirichlet={}, workers=2).solve()
    apart = Poisson(space.domain, source=source, coefficient=coefficient, dirichlet={}, workers=2).solve()
    for i in (0, 34):
        one = slice(i, i + 1)
        alone = Poisson(space.domain, source=source[one], dirichlet={}, workers=1).solve()
        assert torch.equal(together.coefficients[one], alone.coefficients)
        alone = Poisson(space.domain, source=source[one], coefficient=coefficient[one], dirichlet={}).solve()
        assert torch.equal(apart.coefficients[one], alone.coefficients)


def test_pure_neumann_problem():
    """u = cos(pi x) has no flux; f = pi^2 cos(pi x) balances."""
    f = lambda x: PI**2 * torch.cos(PI * x[:, 0])  # noqa: E731
    for domain, element in ((Mesh.rectangle(0.05), "P2"), (Grid(x=(0.0, 1.0, 41), y=(0.0, 1.0, 40)), None)):
        for method in ("auto", "direct"):
            u = Poisson(domain, element, source=f, dirichlet={}, method=method).solve()
            assert abs(float(u.integral())) <= 1e-12
            assert float((u.coefficients - torch.cos(PI * u.space.dof_points[:, 0])).abs().max()) <= 1e-3
            with pytest.raises(SolverError, match="balance"):
                Poisson(domain, element, source=1.0, dirichlet={}, method=method).solve()
    flux = Poisson(Mesh.rectangle(0.2), "P2", source=1.0, neumann={"left": -1.0}, dirichlet={}).solve()
    # u'' = -1, outward derivative -1 at x = 0 is u'(0) = 1, u'(1) = 0: u = x - x^2/2 - 1/3
    x = flux.space.dof_points[:, 0]
    assert float((flux.coefficients - (x - x**2 / 2 - 1 / 3)).abs().max()) <= 1e-12


def test_default_condition_holds_where_nothing_else_is_named():
    u = Poisson(Mesh.rectangle(0.1), source=1.0, neumann={"right": 0.0}).solve()
    assert float(u.coefficients[u.space.dofs("left")].abs().max()) == 0.0
    inner_right = [i for i in u.space.dofs("right").tolist() if 0 < float(u.space.dof_points[i, 1]) < 1]
    assert float(u.coefficients[inner_right].min()) > 0.0


def test_functions_on_other_spaces_as_data():
    mesh = Mesh.rectangle(0.1)
    grid = Grid(x=(0.0, 1.0, 11), y=(0.0, 1.0, 11))
    linear = lambda x: 1.0 + x[:, 0] + 2 * x[:, 1]  # noqa: E731
    expected = Poisson(mesh, "P2", coefficient=linear, source=linear, dirichlet={"boundary": linear}).solve()
    for space in (FunctionSpace(mesh, "P1"), FunctionSpace(mesh, "P2"), FunctionSpace(grid)):
        data = space.interpolate(linear)
        u = Poisson(mesh, "P2", coefficient=data, source=data, dirichlet={"boundary": data}).solve()
        assert torch.allclose(u.coefficients, expected.coefficients, atol=1e-11)


@pytest.mark.parametrize("which", ["coefficient", "source", "dirichlet", "all"])
@pytest.mark.parametrize("domain", [Mesh.rectangle(0.15), Grid(x=(0.0, 1.0, 9), y=(0.0, 1.0, 12))])
def test_batches_are_the_single_solves(domain, which):
    space = FunctionSpace(domain)
    generator = torch.Generator().manual_seed(0)
    batch = Function(space, 0.5 + torch.rand(2, 3, space.n_dofs, dtype=torch.float64, generator=generator))

    def problem(data: Function) -> Poisson:
        options = {name: data if which in (name, "all") else 1.0 for name in ("coefficient", "source")}
        return Poisson(domain, **options, dirichlet={"boundary": data if which in ("dirichlet", "all") else 0.5})

    together = problem(batch).solve()
    assert together.batch_shape == (2, 3)
    for i in range(2):
        for j in range(3):
            single = problem(Function(space, batch.coefficients[i, j])).solve()
            assert torch.allclose(together.coefficients[i, j], single.coefficients, atol=1e-11)


def test_algebraic_multigrid_agrees_with_the_direct_solve():
    pytest.importorskip("pyamg")
    options = {"coefficient": EXACT.k, "source": EXACT.f, "reaction": 2.0, **NATURAL}
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    for element in ("P1", "P2"):
        direct = Poisson(Mesh.rectangle(0.04), element, method="direct", **options).solve()
        found = Poisson(Mesh.rectangle(0.04), element, method="multigrid", tolerance=1e-11, **options).solve()
        assert float((found - direct).norm("L2") / direct.norm("L2")) <= 1e-9
        again = Poisson(Mesh.rectangle(0.04), element, method="multigrid", tolerance=1e-11, **options).solve()
        assert torch.equal(found.coefficients, again.coefficients)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    with pytest.raises(SolverError, match="multigrid stopped") as caught:
        Poisson(Mesh.rectangle(0.04), source=1.0, method="multigrid", max_iterations=1).solve()
    assert caught.value.state is not None


def test_with_data_shares_the_pattern():
    problem = Poisson(Mesh.rectangle(0.2), source=1.0)
    first = problem.solve()
    second = problem.with_data(source=2.0)
    assert second._discrete is problem._discrete
    assert torch.allclose(second.solve().coefficients, 2 * first.coefficients, atol=1e-12)
    with pytest.raises(InputError, match="with_data takes"):
        problem.with_data(sources=2.0)


class TestBadInput:
    mesh = Mesh.rectangle(0.5)
    grid = Grid(x=(0.0, 1.0, 5), y=(0.0, 1.0, 5))

    @pytest.mark.parametrize("kind", ["dirichlet", "neumann", "robin"])
    def test_unknown_part_lists_the_known(self, kind):
        with pytest.raises(InputError, match=r"inflow.*bottom.*left"):
            Poisson(self.mesh, **{kind: {"inflow": (1.0, 1.0) if kind == "robin" else 1.0}})

    @pytest.mark.parametrize("domain", [mesh, grid])
    @pytest.mark.parametrize("bad", [0.0, -1.0])
    def test_coefficient_must_be_positive(self, domain, bad):
        with pytest.raises(InputError, match="coefficient must be positive"):
            Poisson(domain, coefficient=bad, source=1.0).solve()
        with pytest.raises(InputError, match="coefficient must be positive"):
            Poisson(domain, coefficient=lambda x: x[:, 0] - 0.5, source=1.0).solve()

    @pytest.mark.parametrize("domain", [mesh, grid])
    def test_nan_names_the_datum(self, domain):
        for name in ("coefficient", "source", "reaction"):
            with pytest.raises(InputError, match=f"{name} must be finite"):
                Poisson(domain, **{name: lambda x: x[:, 0] * float("nan")}).solve()
        with pytest.raises(InputError, match="must be finite"):
            Poisson(domain, dirichlet={"left": float("nan")}).solve()

    def test_bad_sample_of_a_batch_is_named(self):
        space = FunctionSpace(self.grid)
        values = torch.ones(3, 25, dtype=torch.float64)
        values[1, 7] = -1.0
        with pytest.raises(InputError, match="sample 1"):
            Poisson(self.grid, coefficient=Function(space, values), source=1.0).solve()

    def test_matrices_must_be_positive_definite(self):
        with pytest.raises(InputError, match="symmetric and positive definite"):
            Poisson(self.mesh, coefficient=np.array([[1.0, 2.0], [2.0, 1.0]])).solve()
        with pytest.raises(InputError, match="symmetric and positive definite"):
            Poisson(self.mesh, coefficient=np.array([[1.0, 0.5], [0.0, 1.0]])).solve()

    def test_shapes(self):
        with pytest.raises(InputError, match=r"source\(points\) must have shape"):
            Poisson(self.mesh, source=lambda x: torch.ones(3)).solve()
        with pytest.raises(InputError, match="source with values of shape"):
            Poisson(self.mesh, source=np.ones(3)).solve()
        with pytest.raises(InputError, match="batches of the data must agree"):
            space = FunctionSpace(self.mesh)
            ones = torch.ones(3, space.n_dofs, dtype=torch.float64)
            Poisson(self.mesh, coefficient=Function(space, ones), source=Function(space, ones[:2])).solve()
        with pytest.raises(InputError, match="coefficient has no sample"):
            Poisson(self.mesh, coefficient=Function(space, ones[:0])).solve()

    def test_signs_and_options(self):
        with pytest.raises(InputError, match="reaction must not be negative"):
            Poisson(self.mesh, reaction=-1.0).solve()
        with pytest.raises(InputError, match="alpha must not be negative"):
            Poisson(self.mesh, robin={"left": (-1.0, 0.0)}).solve()
        with pytest.raises(InputError, match="must be a pair"):
            Poisson(self.mesh, robin={"left": 1.0})  # type: ignore[dict-item]
        with pytest.raises(InputError, match="method must be"):
            Poisson(self.mesh, method="fast")  # type: ignore[arg-type]
        with pytest.raises(InputError, match="tolerance must"):
            Poisson(self.mesh, tolerance=0.0)
        with pytest.raises(InputError, match="Neumann and a Robin"):
            Poisson(self.mesh, neumann={"left": 0.0}, robin={"left": (1.0, 0.0)})

    def test_spaces(self):
        with pytest.raises(InputError, match="P1, P2, Q1 and Q2"):
            Poisson(self.mesh, "P0").solve()
        with pytest.raises(DomainError, match="vertices"):
            Poisson(Grid(x=(0.0, 1.0, 5), samples="cells")).solve()
