"""The heat equation: rates in space and time, boundary data in time, batches, the maximum principle, bad input."""

from __future__ import annotations

import math
from typing import ClassVar

import pytest
import torch

from funcspace import Function, FunctionSpace, Grid, InputError, Mesh, Times
from funcspace.errors import DomainError, OutsideError
from funcspace.solvers import Poisson
from funcspace.solvers.linear import Heat

PI = math.pi


class Manufactured:
    """u = exp(-t) cos(pi x/2) sin(pi y) + t x y with k = 1 + x + y/2, c = 2 + y, r = 1."""

    data: ClassVar = {
        "coefficient": lambda x: 1 + x[:, 0] + 0.5 * x[:, 1],
        "capacity": lambda x: 2 + x[:, 1],
        "reaction": 1.0,
    }

    def u(self, x, t):
        wave = torch.cos(PI / 2 * x[:, 0]) * torch.sin(PI * x[:, 1])
        return math.exp(-t) * wave + t * x[:, 0] * x[:, 1]

    def gradient(self, x, t):
        e = math.exp(-t)
        along = -PI / 2 * e * torch.sin(PI / 2 * x[:, 0]) * torch.sin(PI * x[:, 1]) + t * x[:, 1]
        across = PI * e * torch.cos(PI / 2 * x[:, 0]) * torch.cos(PI * x[:, 1]) + t * x[:, 0]
        return torch.stack([along, across], dim=1)

    def f(self, x, t):
        wave = torch.cos(PI / 2 * x[:, 0]) * torch.sin(PI * x[:, 1])
        rate = -math.exp(-t) * wave + x[:, 0] * x[:, 1]
        laplacian = -1.25 * PI**2 * math.exp(-t) * wave
        g = self.gradient(x, t)
        k, c = self.data["coefficient"](x), self.data["capacity"](x)
        return c * rate - k * laplacian - g[:, 0] - 0.5 * g[:, 1] + self.u(x, t)

    def flux(self, *normal):
        n = torch.tensor(normal, dtype=torch.float64)
        return lambda x, t: self.data["coefficient"](x) * (self.gradient(x, t) @ n)

    def conditions(self):
        top = self.flux(0.0, 1.0)
        return {
            "dirichlet": {"left": self.u, "bottom": self.u},
            "neumann": {"right": self.flux(1.0, 0.0)},
            "robin": {"top": (3.0, lambda x, t: top(x, t) + 3 * self.u(x, t))},
        }


EXACT = Manufactured()


def error(u: Function, t: float, exact=EXACT) -> tuple[float, float]:
    """L2 norm and H1 seminorm of the error at the last instant."""
    space = FunctionSpace(u.domain.space, u.space.element.split(" * ")[1])
    last = u.coefficients[-1]
    rule = space.quadrature(6)
    value = rule.values(last) - exact.u(rule.points, t)
    assert rule.gradients is not None
    gradient = rule.gradients(last) - exact.gradient(rule.points, t)
    return float((rule.weights @ value**2).sqrt()), float((rule.weights @ (gradient**2).sum(dim=1)).sqrt())


def solve(domain, element, times, **options) -> Function:
    start = lambda x: EXACT.u(x, 0.0)  # noqa: E731
    return Heat(
        domain, times, element, source=EXACT.f, initial=start, **EXACT.data, **EXACT.conditions(), **options
    ).solve()


@pytest.mark.parametrize("element", ["P1", "P2", "Q1", "Q2", "linear"])
def test_rates_in_space(element):
    cells = "triangle" if element[0] == "P" else "quadrilateral"
    found = []
    for h in (0.2, 0.1):
        n = round(1 / h) + 1
        domain = Grid(x=(0.0, 1.0, n), y=(0.0, 1.0, n)) if element == "linear" else Mesh.rectangle(h, cells=cells)
        found.append(error(solve(domain, element, Times(0.0, 0.01, 6), damped=0), 0.05))
    l2, h1 = (math.log2(coarse / fine) for coarse, fine in zip(*found, strict=True))
    order = 2 if element in ("P2", "Q2") else 1
    assert l2 >= order + 0.85 and h1 >= order - 0.1


@pytest.mark.parametrize(("theta", "damped", "order"), [(1.0, 0, 1), (0.75, 0, 1), (0.5, 0, 2), (0.5, 2, 2)])
def test_rates_in_time(theta, damped, order):
    """u = sin(3 t) (x^2 + y) is in P2 at each instant: what remains is the error of the scheme."""
    u = lambda x, t: math.sin(3 * t) * (x[:, 0] ** 2 + x[:, 1])  # noqa: E731
    f = lambda x, t: 3 * math.cos(3 * t) * (x[:, 0] ** 2 + x[:, 1]) - 2 * math.sin(3 * t)  # noqa: E731
    flux = lambda x, t: 2 * math.sin(3 * t) + 0 * x[:, 0]  # noqa: E731
    problem = {"source": f, "dirichlet": {"left": u, "top": u, "bottom": u}, "neumann": {"right": flux}}
    mesh, found = Mesh.rectangle(0.5), []
    for n in (8, 16):
        states = Heat(mesh, Times(0.0, 1.0, 2), "P2", step=1 / n, theta=theta, damped=damped, **problem).solve()
        found.append(float((states.coefficients[-1] - u(FunctionSpace(mesh, "P2").dof_points, 1.0)).abs().max()))
    assert math.log2(found[0] / found[1]) == pytest.approx(order, abs=0.2) and found[1] < 0.05


def test_each_mode_decays_by_the_scheme():
    """On a periodic grid sin(2 pi x) is an eigenvector: the state is multiplied by the scheme's rational function."""
    n, dt, theta = 16, 0.01, 0.75
    grid = Grid(x=(0.0, 1.0, n), periodic=("x",))
    wave = torch.sin(2 * PI * grid.points[:, 0])
    initial = Function(FunctionSpace(grid), wave)
    u = Heat(grid, Times(0.0, dt, 5), initial=initial, theta=theta, dirichlet={}).solve()
    c = math.cos(2 * PI / n)
    rate = 6 * n**2 * (1 - c) / (2 + c)
    factor = (1 - (1 - theta) * dt * rate) / (1 + theta * dt * rate)
    expected = torch.stack([factor**i * wave for i in range(5)])
    assert torch.allclose(u.coefficients, expected, rtol=0, atol=1e-13)


def test_a_growing_mode_of_an_indefinite_matrix():
    """With r = -1000 and long steps M + theta dt A has eigenvalues of both signs; the mode follows the scheme still."""
    n, dt, theta, r = 16, 0.01, 0.75, -1000.0
    grid = Grid(x=(0.0, 1.0, n), periodic=("x",))
    wave = torch.sin(2 * PI * grid.points[:, 0])
    initial = Function(FunctionSpace(grid), wave)
    u = Heat(grid, Times(0.0, dt, 3), initial=initial, theta=theta, reaction=r, dirichlet={}).solve()
    c = math.cos(2 * PI / n)
    rate = 6 * n**2 * (1 - c) / (2 + c) + r
    factor = (1 - (1 - theta) * dt * rate) / (1 + theta * dt * rate)
    assert 1 + theta * dt * rate < 0 < 1 + theta * dt * (12 * n**2 + r)
    assert torch.allclose(u.coefficients, torch.stack([factor**i * wave for i in range(3)]), rtol=0, atol=1e-12)


def test_insulated_heat_is_conserved_and_a_source_adds_what_it_brings():
    mesh = Mesh.disc(0.3)
    space = FunctionSpace(mesh)
    start = space.interpolate(lambda x: torch.exp(x[:, 0] + x[:, 1]))
    u = Heat(mesh, Times(0.0, 0.1, 6), initial=start, source=2.0, dirichlet={}, capacity=3.0).solve()
    total = 3.0 * torch.stack([Function(space, c).integral() for c in u.coefficients])
    brought = 2.0 * float(space.integrals.sum()) * u.domain.times.instants
    assert torch.allclose(total, total[0] + brought, rtol=1e-12)


def test_tends_to_the_steady_state():
    mesh = Mesh.l_shape(0.25)
    steady = Poisson(mesh, source=1.0, coefficient=2.0).solve()
    u = Heat(mesh, Times(0.0, 2.0, 5), source=1.0, coefficient=2.0, theta=1.0).solve()
    assert torch.allclose(u.coefficients[-1], steady.coefficients, atol=1e-6)
    held = Heat(mesh, Times(0.0, 0.3, 4), source=1.0, coefficient=2.0, initial=steady).solve()
    assert torch.allclose(held.coefficients, steady.coefficients.expand(4, -1), atol=1e-12)


def test_maximum_principle_of_lumped_backward_euler():
    """Rough data on a mesh of right angles: values stay between the extremes, which Galerkin's mass does not keep."""
    grid = Mesh.rectangle(0.1)
    space = FunctionSpace(grid)
    inside = ((space.dof_points - 0.5).abs().amax(dim=1) < 0.15).double()
    start = Function(space, inside)
    times = Times(0.0, 1e-5, 4)
    kept = Heat(grid, times, initial=start, theta=1.0, lumped=True).solve().coefficients
    broken = Heat(grid, times, initial=start, theta=1.0).solve().coefficients
    assert kept.min() >= -1e-15 and kept.max() <= 1 + 1e-15
    assert broken.min() < -1e-3


def test_damped_first_steps_remove_the_oscillations_of_rough_data():
    mesh = Mesh.interval(0.02)
    step = lambda x: (x[:, 0] > 0.5).double()  # noqa: E731
    ends = {"dirichlet": {"left": 0.0, "right": 1.0}}
    states = {d: Heat(mesh, Times(0.0, 0.05, 9), initial=step, damped=d, **ends).solve() for d in (0, 2)}
    order = FunctionSpace(mesh).dof_points[:, 0].argsort()
    falls = {d: float(u.coefficients[3][order].diff().clamp(max=0).sum()) for d, u in states.items()}
    assert falls[0] < -0.1 and falls[2] > -1e-2


def test_a_batch_is_what_its_samples_are_alone():
    mesh = Mesh.rectangle(0.2)
    space = FunctionSpace(mesh)
    generator = torch.Generator().manual_seed(0)

    def random(n, low=0.0):
        return Function(space, low + torch.rand(n, space.n_dofs, dtype=torch.float64, generator=generator))

    times = Times(0.0, 0.01, 4)
    initial, source, k = random(5), random(5), random(5, low=0.5)
    one_matrix = Heat(mesh, times, initial=initial, source=source, workers=2).solve()
    own_matrix = Heat(mesh, times, initial=initial, coefficient=k, robin={"top": (k, 1.0)}, workers=2).solve()
    for i in range(5):
        alone = Heat(mesh, times, initial=initial[i], source=source[i], workers=1).solve()
        assert torch.equal(one_matrix.coefficients[i], alone.coefficients)
        alone = Heat(mesh, times, initial=initial[i], coefficient=k[i], robin={"top": (k[i], 1.0)}).solve()
        assert torch.equal(own_matrix.coefficients[i], alone.coefficients)
    pairs = Function(space, initial.coefficients[:4].reshape(2, 2, -1))
    assert Heat(mesh, times, initial=pairs).solve().batch_shape == (2, 2)


def test_functions_of_time_and_space_are_data():
    """A source linear in time, as a Function over times * mesh, as a callable, and in a batch."""
    mesh, times = Mesh.rectangle(0.25), Times(0.0, 0.05, 5)
    law = lambda x, t: t * x[:, 0]  # noqa: E731
    whole = FunctionSpace(times * mesh)
    source = whole.interpolate(lambda z: z[:, 0] * z[:, 1])
    by_callable = Heat(mesh, times, source=law, dirichlet={"left": law, "right": 0.0}).solve()
    edge = {"dirichlet": {"left": source, "right": 0.0}}
    by_function = Heat(mesh, times, source=source, **edge).solve()
    assert torch.allclose(by_callable.coefficients, by_function.coefficients, atol=1e-14)
    batch = Function(whole, torch.stack([source.coefficients, 2 * source.coefficients]))
    both = Heat(mesh, times, source=batch, **edge).solve()
    assert torch.allclose(both.coefficients[0], by_function.coefficients, atol=1e-14)
    with pytest.raises(OutsideError, match="does not reach"):
        Heat(mesh, Times(0.0, 0.1, 5), source=source).solve()


def test_uneven_instants_and_one_instant():
    mesh = Mesh.interval(0.1)
    start = lambda x: torch.sin(PI * x[:, 0])  # noqa: E731
    uneven = Heat(mesh, Times.at([0.0, 0.01, 0.05, 0.1]), initial=start, step=0.01, damped=0).solve()
    even = Heat(mesh, Times(0.0, 0.01, 11), initial=start, damped=0).solve()
    assert torch.allclose(uneven.coefficients, even.coefficients[[0, 1, 5, 10]], atol=1e-13)
    only = Heat(mesh, Times(0.0, 1.0, 1), initial=start).solve()
    assert torch.allclose(only.coefficients[0], FunctionSpace(mesh).interpolate(start).coefficients, atol=1e-15)


def test_multigrid_agrees_with_the_factorisation():
    mesh = Mesh.rectangle(0.05)
    by = {m: Heat(mesh, Times(0.0, 0.1, 3), initial=1.0, source=1.0, method=m).solve() for m in ("direct", "multigrid")}
    assert torch.allclose(by["direct"].coefficients, by["multigrid"].coefficients, atol=1e-8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step": 0.0}, "step must be a positive time"),
        ({"step": math.nan}, "step must be a positive time"),
        ({"theta": 0.3}, "theta must lie between"),
        ({"damped": -1}, "damped must be a whole number that is not negative"),
        ({"dirichlet": {"lid": 0.0}}, r"names the part 'lid'; this domain has \['bottom'"),
        ({"neumann": {"top": 0.0}, "robin": {"top": (1.0, 0.0)}}, "give it one"),
        ({"robin": {"top": 1.0}}, "must be a pair"),
        ({"coefficient": -1.0}, "coefficient must be positive"),
        ({"capacity": 0.0}, "capacity must be positive"),
        ({"robin": {"top": (-1.0, 0.0)}}, "alpha must not be negative"),
        ({"source": math.nan}, "source must be finite"),
        ({"source": lambda x, t: x[:, 0] / 0}, "source must be finite"),
        ({"coefficient": lambda x, t: 1 + x[:, 0]}, "coefficient must not depend on time"),
        ({"element": "P2", "lumped": True}, "first order"),
        ({"element": "P3"}, "P3"),
        ({"initial": lambda x: 1j * x[:, 0]}, "initial must be real"),
    ],
)
def test_refuses(options, message):
    element = options.pop("element", None)
    with pytest.raises(InputError, match=message):
        Heat(Mesh.rectangle(0.5), Times(0.0, 0.1, 3), element, **options).solve()


def test_refuses_other_domains_and_mismatched_batches():
    with pytest.raises(DomainError, match="vertices"):
        Heat(Grid(x=(0.0, 1.0, 5), samples="cells"), Times(0.0, 0.1, 3)).solve()
    with pytest.raises(InputError, match="times must be a Times"):
        Heat(Mesh.rectangle(0.5), [0.0, 1.0])  # type: ignore[arg-type]
    space = FunctionSpace(Mesh.rectangle(0.5))
    two, three = (Function(space, torch.ones(n, space.n_dofs, dtype=torch.float64)) for n in (2, 3))
    with pytest.raises(InputError, match="batches of the data must agree"):
        Heat(space.domain, Times(0.0, 0.1, 3), source=two, initial=three).solve()
    with pytest.raises(InputError, match="source has no sample"):
        Heat(space.domain, Times(0.0, 0.1, 3), source=two[:0]).solve()
