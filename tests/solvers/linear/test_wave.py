"""The wave equation: rates in space and time, energy, absorbing boundaries, batches, bad input."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import pytest
import torch

from funcspace import Function, FunctionSpace, Grid, InputError, Mesh, Times
from funcspace.solvers.linear import Wave

PI = math.pi


class Manufactured:
    """u = cos(2 t) sin(pi x/2) cos(pi y) + t x y with c = 1 + x/2, k = 1 + y/2, d = 0.3."""

    data: ClassVar = {"speed": lambda x: 1 + 0.5 * x[:, 0], "coefficient": lambda x: 1 + 0.5 * x[:, 1], "damping": 0.3}

    def wave(self, x):
        return torch.sin(PI / 2 * x[:, 0]) * torch.cos(PI * x[:, 1])

    def u(self, x, t):
        return math.cos(2 * t) * self.wave(x) + t * x[:, 0] * x[:, 1]

    def rate(self, x, t):
        return -2 * math.sin(2 * t) * self.wave(x) + x[:, 0] * x[:, 1]

    def gradient(self, x, t):
        c = math.cos(2 * t)
        along = PI / 2 * c * torch.cos(PI / 2 * x[:, 0]) * torch.cos(PI * x[:, 1]) + t * x[:, 1]
        across = -PI * c * torch.sin(PI / 2 * x[:, 0]) * torch.sin(PI * x[:, 1]) + t * x[:, 0]
        return torch.stack([along, across], dim=1)

    def f(self, x, t):
        second = -4 * math.cos(2 * t) * self.wave(x)
        k, c2 = self.data["coefficient"](x), self.data["speed"](x) ** 2
        flux = -1.25 * PI**2 * k * math.cos(2 * t) * self.wave(x) + 0.5 * self.gradient(x, t)[:, 1]
        return second + 0.3 * self.rate(x, t) - c2 * flux

    def conditions(self):
        right = lambda x, t: self.data["coefficient"](x) * self.gradient(x, t)[:, 0]  # noqa: E731
        return {"dirichlet": {"left": self.u, "bottom": self.u, "top": self.u}, "neumann": {"right": right}}


EXACT = Manufactured()


def solve(domain, element, times, **options):
    return Wave(
        domain, times, element, source=EXACT.f, initial=lambda x: EXACT.u(x, 0.0),
        initial_velocity=lambda x: EXACT.rate(x, 0.0), **EXACT.data, **EXACT.conditions(), **options,
    ).states()  # fmt: skip


@pytest.mark.parametrize("element", ["P1", "P2", "Q1", "Q2", "linear"])
def test_rates_in_space(element):
    cells = "triangle" if element[0] == "P" else "quadrilateral"
    found = []
    for h in (0.2, 0.1):
        n = round(1 / h) + 1
        domain = Grid(x=(0.0, 1.0, n), y=(0.0, 1.0, n)) if element == "linear" else Mesh.rectangle(h, cells=cells)
        states = solve(domain, element, Times(0.0, 0.2, 2), step=0.02 if element[-1] != "2" else 0.01)
        space = FunctionSpace(domain, element)
        rule = space.quadrature(6)
        value = rule.values(states.displacement.coefficients[-1]) - EXACT.u(rule.points, 0.2)
        gradient = rule.gradients(states.displacement.coefficients[-1]) - EXACT.gradient(rule.points, 0.2)
        found.append((float((rule.weights @ value**2).sqrt()), float((rule.weights @ (gradient**2).sum(dim=1)).sqrt())))
    l2, h1 = (math.log2(coarse / fine) for coarse, fine in zip(*found, strict=True))
    order = 2 if element in ("P2", "Q2") else 1
    assert l2 >= order + 0.8 and h1 >= order - 0.1


@pytest.mark.parametrize("beta", [0.0, 0.1, 0.25])
def test_rates_in_time(beta):
    """u = cos(3 t) (x^2 + y) is in P2 at each instant: what remains is the error of the scheme."""
    shape = lambda x: x[:, 0] ** 2 + x[:, 1]  # noqa: E731
    u = lambda x, t: math.cos(3 * t) * shape(x)  # noqa: E731
    f = lambda x, t: -9 * u(x, t) - 2 * math.cos(3 * t)  # noqa: E731
    fixed = {"left": u, "top": u, "bottom": u}
    flux = {"right": lambda x, t: 2 * math.cos(3 * t) + 0 * x[:, 0]}
    places = FunctionSpace(Mesh.rectangle(0.5), "P2").dof_points
    found = []
    for n in (24, 48):
        states = Wave(
            Mesh.rectangle(0.5), Times(0.0, 1.0, 2), "P2", source=f, dirichlet=fixed, neumann=flux, step=1 / n,
            beta=beta, initial=shape,
        ).states()  # fmt: skip
        exact = u(places, 1.0), -3 * math.sin(3.0) * shape(places)
        last = states.displacement.coefficients[-1], states.velocity.coefficients[-1]
        found.append([float((a - b).abs().max()) for a, b in zip(last, exact, strict=True)])
    assert all(math.log2(a / b) == pytest.approx(2, abs=0.25) for a, b in zip(*found, strict=True))
    assert max(found[1]) < 2e-2


def test_a_wave_leaves_through_an_absorbing_end_at_second_order():
    """u = sin(3 (t - x)) on a line that the left end drives, against steps and elements refined together."""
    u = lambda x, t: torch.sin(3 * (t - x[:, 0]))  # noqa: E731
    found = []
    for n in (20, 40):
        line = Mesh.interval(1 / n)
        wave = Wave(
            line, Times(0.0, 1.0, 2), dirichlet={"left": u}, absorbing="right", step=1 / n,
            initial=lambda x: u(x, 0.0), initial_velocity=lambda x: 3 * torch.cos(3 * x[:, 0]),
        )  # fmt: skip
        found.append(float((wave.solve().coefficients[-1] - u(line.points, 1.0)).abs().max()))
    assert math.log2(found[0] / found[1]) > 1.8 and found[1] < 2e-3


@pytest.mark.parametrize(("beta", "element", "lumped"), [(0.25, "P2", False), (0.25, "P1", True), (0.0, "P1", True)])
def test_energy_is_constant(beta, element, lumped):
    """Two thousand steps in a layered cavity, part of its boundary free: the energy drifts by rounding alone."""
    mesh = Mesh.rectangle(0.2)
    wave = Wave(
        mesh, Times(0.0, 0.2, 101), element, step=0.01, beta=beta, lumped=lumped,
        speed=lambda x: torch.where(x[:, 1] > 0.5, 2.0, 1.0).double(), dirichlet={"left": 0.0},
        initial=lambda x: torch.exp(-30 * (x - 0.6).square().sum(dim=1)) * x[:, 0],
        initial_velocity=lambda x: x[:, 0],
    )  # fmt: skip
    energy = wave.states().energy
    assert energy.shape == (101,) and float(energy[0]) > 0.1
    assert float((energy / energy[0] - 1).abs().max()) <= 1e-10


def test_energy_of_a_standing_wave():
    """u = cos(c pi t) sin(pi x): the energy is c^2-independent, pi^2/4, half of it kinetic on average."""
    states = Wave(
        Mesh.interval(0.02), Times(0.0, 0.01, 51), "P2", speed=3.0, initial=lambda x: torch.sin(PI * x[:, 0])
    ).states()
    assert float(states.energy[-1]) == pytest.approx(PI**2 / 4, rel=3e-3)
    middle = states.displacement(torch.tensor([[0.5, 0.5]], dtype=torch.float64))
    assert float(middle) == pytest.approx(math.cos(1.5 * PI), abs=5e-3)


def test_central_differences_follow_their_dispersion_relation():
    """Explicit and lumped on a periodic grid: sin(dt w/2) = (c dt/h) sin(k h/2) to rounding."""
    n, dt, c = 20, 0.02, 1.5
    grid = Grid(x=(0.0, 1.0, n), periodic=("x",))
    shape = torch.sin(2 * PI * grid.points[:, 0])
    start = Function(FunctionSpace(grid), shape)
    u = Wave(grid, Times(0.0, dt, 30), initial=start, speed=c, beta=0.0, lumped=True, dirichlet={}).solve()
    omega = 2 / dt * math.asin(c * dt * n * math.sin(PI / n))
    expected = torch.cos(omega * u.domain.times.instants)[:, None] * shape
    assert torch.allclose(u.coefficients, expected, rtol=0, atol=1e-12)


def test_absorbing_ends_let_a_pulse_out():
    """A pulse on a line splits in two, which leave; with fixed ends they stay, and one end reflects its half."""
    times = Times(0.0, 0.05, 41)
    pulse = lambda x: torch.exp(-200 * (x[:, 0] - 0.5) ** 2)  # noqa: E731
    line = Mesh.interval(0.01)

    def left_over(**boundary):
        energy = Wave(line, times, "P2", initial=pulse, speed=0.8, step=0.005, **boundary).states().energy
        return (energy[[20, 30]] / energy[0]).tolist()

    assert max(left_over(absorbing=("left", "right"))) < 1e-8
    assert left_over(absorbing=["right"]) == pytest.approx([0.5, 0.5], abs=1e-4)
    assert left_over() == pytest.approx([1.0, 1.0], abs=1e-10)


def test_reflection_from_a_first_order_absorbing_side():
    """A plane pulse along the normal leaves a strip; damping does the same to a standing wave, at its rate."""
    strip = Mesh.rectangle(1 / 30, width=1.0, height=0.1)
    pulse = lambda x: torch.exp(-100 * (x[:, 0] - 0.4) ** 2)  # noqa: E731
    wave = Wave(strip, Times(0.0, 0.05, 33), initial=pulse, dirichlet={}, absorbing=("left", "right"), step=0.0125)
    energy = wave.states().energy
    assert float(energy[-1] / energy[0]) < 1e-3 and bool((energy.diff() <= 1e-12).all())


def test_damping_decays_a_mode():
    """u'' + d u' + w^2 u = 0 with w = pi: the amplitude falls as exp(-d t/2)."""
    d = 0.5
    states = Wave(
        Mesh.interval(0.05), Times(0.0, 0.01, 301), "P2", damping=d, initial=lambda x: torch.sin(PI * x[:, 0])
    ).states()
    t = states.displacement.domain.times.instants
    w = math.sqrt(PI**2 - d**2 / 4)
    expected = torch.exp(-d * t / 2) * (torch.cos(w * t) + d / (2 * w) * torch.sin(w * t))
    middle = states.displacement(torch.stack([t, torch.full_like(t, 0.5)], dim=1))
    assert float((middle - expected).abs().max()) < 2e-3


def test_finite_speed_of_signals():
    """A boundary that starts to move is felt at x only after x/c (up to the smoothing of the mesh)."""
    line = Mesh.interval(0.005)
    kick = lambda x, t: math.sin(PI * min(t, 1.0)) ** 2 + 0 * x[:, 0]  # noqa: E731
    u = Wave(line, Times(0.0, 0.05, 11), "P2", speed=1.0, dirichlet={"left": kick, "right": 0.0}, step=0.0025).solve()
    ahead = u(torch.tensor([[0.5, 0.6], [0.5, 0.9]], dtype=torch.float64))
    behind = u(torch.tensor([[0.5, 0.2]], dtype=torch.float64))
    assert float(ahead.abs().max()) < 1e-3
    assert float(behind) == pytest.approx(math.sin(PI * 0.3) ** 2, abs=2e-3)


def test_a_batch_is_what_its_samples_are_alone():
    mesh = Mesh.rectangle(0.25)
    space = FunctionSpace(mesh)
    generator = torch.Generator().manual_seed(0)

    def random(n, low=0.0):
        return Function(space, low + torch.rand(n, space.n_dofs, dtype=torch.float64, generator=generator))

    times = Times(0.0, 0.05, 4)
    initial, speed = random(5), random(5, low=1.0)
    one_matrix = Wave(mesh, times, initial=initial, absorbing=["top"], workers=2).states()
    own_matrix = Wave(mesh, times, initial=initial, speed=speed, source=1.0, absorbing=["top"], workers=2).states()
    assert one_matrix.energy.shape == (5, 4)
    for i in range(5):
        alone = Wave(mesh, times, initial=initial[i], absorbing=["top"]).states()
        assert torch.equal(one_matrix.displacement.coefficients[i], alone.displacement.coefficients)
        assert torch.equal(one_matrix.velocity.coefficients[i], alone.velocity.coefficients)
        alone = Wave(mesh, times, initial=initial[i], speed=speed[i], source=1.0, absorbing=["top"]).states()
        assert torch.equal(own_matrix.displacement.coefficients[i], alone.displacement.coefficients)


def test_uneven_instants_start_anew_at_second_order():
    mesh = Mesh.interval(0.05)
    start = lambda x: torch.sin(PI * x[:, 0])  # noqa: E731
    for step in (0.02, 0.01):
        u = Wave(mesh, Times.at([0.0, 0.33, 0.5, 1.0]), "P2", initial=start, step=step).solve()
        middle = u(torch.tensor([[t, 0.5] for t in (0.33, 0.5, 1.0)], dtype=torch.float64))
        error = float((middle - torch.cos(PI * torch.tensor([0.33, 0.5, 1.0]))).abs().max())
        assert error < 12 * step**2


def test_longest_stable_step_is_told():
    mesh = Mesh.rectangle(0.1)
    with pytest.raises(InputError, match=r"steps up to 0\.0\d+ are stable") as caught:
        Wave(mesh, Times(0.0, 0.5, 3), beta=0.0, lumped=True).solve()
    longest = float(str(caught.value).split("up to ")[1].split()[0])
    stiffness, mass = FunctionSpace(mesh).stiffness.matrix, np.asarray(FunctionSpace(mesh).mass.matrix.sum(axis=1))
    true = 2 / math.sqrt(np.linalg.eigvals(stiffness.toarray() / mass).real.max())
    assert 0.5 * true <= longest <= true
    rough = Function(FunctionSpace(mesh), torch.linspace(0, 1, len(mesh.points), dtype=torch.float64).frac().sin())
    states = Wave(mesh, Times(0.0, 1.0, 11), beta=0.0, lumped=True, step=0.999 * longest, initial=rough).states()
    assert float(states.energy[-1] / states.energy[0]) == pytest.approx(1.0, abs=1e-10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step": -1.0}, "step must be a positive time"),
        ({"beta": 0.6}, "beta must lie between"),
        ({"speed": 0.0}, "speed must be positive"),
        ({"damping": -1.0}, "damping must not be negative"),
        ({"absorbing": "lid"}, "absorbing names the part 'lid'"),
        ({"absorbing": ["top"], "neumann": {"top": 1.0}}, "give it one"),
        ({"speed": lambda x, t: 1 + x[:, 0]}, "speed must not depend on time"),
        ({"initial": math.inf}, "initial must be finite"),
        ({"element": "P2", "lumped": True}, "first order"),
    ],
)
def test_refuses(options, message):
    element = options.pop("element", None)
    with pytest.raises(InputError, match=message):
        Wave(Mesh.rectangle(0.5), Times(0.0, 0.1, 3), element, **options).solve()


@pytest.mark.parametrize("tracked", [False, True])
def test_energy_at_one_instant(tracked):
    """pi^2 / 4 for sin(pi x)."""
    amplitude = torch.tensor(1.0, dtype=torch.float64, requires_grad=tracked)
    start = {"initial": lambda x: amplitude * torch.sin(math.pi * x[:, 0])}
    states = Wave(Grid(x=(0.0, 1.0, 65)), Times.at([0.0]), **start).states()
    assert float(states.energy.detach()) == pytest.approx(math.pi**2 / 4, rel=1e-3)
