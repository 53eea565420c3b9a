"""The Helmholtz equation: plane waves, rates, resonances, complex data and files, bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from funcspace import Function, FunctionSpace, Grid, InputError, Mesh, OperatorData, SolverError
from funcspace.solvers import Poisson
from funcspace.solvers.linear import Helmholtz

PI = math.pi
K = 8.0
DIRECTION = torch.tensor([math.cos(0.5), math.sin(0.5)], dtype=torch.float64)


def plane(x):
    return torch.exp(1j * K * (x @ DIRECTION[: x.shape[1]]))


def plane_gradient(x):
    return 1j * K * plane(x)[:, None] * DIRECTION


def incoming(*normal):
    """What an impedance part must be fed to let the plane wave in: du/dn - i k u."""
    n = torch.tensor(normal, dtype=torch.float64)
    return lambda x: plane_gradient(x) @ n.to(torch.complex128) - 1j * K * plane(x)


SIDES = {"left": (-1.0, 0.0), "right": (1.0, 0.0), "bottom": (0.0, -1.0), "top": (0.0, 1.0)}


def errors(u: Function) -> tuple[float, float]:
    rule = u.space.quadrature(6)
    value = rule.values(u.coefficients) - plane(rule.points)
    gradient = rule.gradients(u.coefficients) - plane_gradient(rule.points)
    return (
        float((rule.weights @ value.abs() ** 2).sqrt()),
        float((rule.weights @ (gradient.abs() ** 2).sum(dim=1)).sqrt()),
    )


@pytest.mark.parametrize("element", ["P1", "P2", "Q1", "Q2", "linear"])
def test_plane_wave_through_impedance_sides(element):
    cells = "triangle" if element[0] == "P" else "quadrilateral"
    found = []
    for h in (0.05, 0.025) if element[-1] != "2" else (0.1, 0.05):
        n = round(1 / h) + 1
        domain = Grid(x=(0.0, 1.0, n), y=(0.0, 1.0, n)) if element == "linear" else Mesh.rectangle(h, cells=cells)
        sides = {part: incoming(*normal) for part, normal in SIDES.items()}
        u = Helmholtz(domain, element, frequency=2 * K, speed=2.0, impedance=sides).solve()
        assert u.coefficients.dtype == torch.complex128
        found.append(errors(u))
    l2, h1 = (math.log2(coarse / fine) for coarse, fine in zip(*found, strict=True))
    order = 2 if element in ("P2", "Q2") else 1
    assert l2 >= order + 0.9 and h1 >= order - 0.1


def test_plane_wave_with_dirichlet_and_neumann_sides():
    """Complex Dirichlet and Neumann values make a complex solution without impedance."""
    mesh = Mesh.rectangle(0.05)
    flux = lambda x: plane_gradient(x)[:, 0]  # noqa: E731
    fixed = {part: plane for part in ("left", "bottom", "top")}
    u = Helmholtz(mesh, "P2", frequency=K, dirichlet=fixed, neumann={"right": flux}).solve()
    assert errors(u)[0] < 2e-3
    real = Helmholtz(
        mesh, "P2", frequency=K, dirichlet={part: lambda x: plane(x).real for part in fixed},
        neumann={"right": lambda x: flux(x).real},
    ).solve()  # fmt: skip
    assert real.coefficients.dtype == torch.float64
    assert torch.allclose(real.coefficients, u.coefficients.real, atol=1e-10)


def test_manufactured_with_variable_speed_coefficient_and_loss():
    """u = sin(pi x) cos(pi y) (1 + i), a = 1 + x, c = 1 + y, eta = 0.2: f from the equation, in P2."""
    omega = 5.0
    wave = lambda x: torch.sin(PI * x[:, 0]) * torch.cos(PI * x[:, 1])  # noqa: E731

    def f(x):
        slope = PI * torch.cos(PI * x[:, 0]) * torch.cos(PI * x[:, 1])
        k2 = (omega / (1 + x[:, 1])) ** 2 * (1 + 0.2j)
        return (1 + 1j) * ((1 + x[:, 0]) * 2 * PI**2 * wave(x) - slope - k2 * wave(x))

    found = []
    for h in (0.2, 0.1):
        u = Helmholtz(
            Mesh.rectangle(h), "P2", frequency=omega, speed=lambda x: 1 + x[:, 1], coefficient=lambda x: 1 + x[:, 0],
            loss=0.2, source=f, dirichlet={"left": 0.0, "right": 0.0},
        ).solve()  # fmt: skip
        rule = u.space.quadrature(6)
        value = rule.values(u.coefficients) - (1 + 1j) * wave(rule.points)
        found.append(float((rule.weights @ value.abs() ** 2).sqrt()))
    assert math.log2(found[0] / found[1]) >= 2.9


def test_short_waves_of_first_order_elements_are_too_short_by_the_known_factor():
    """On a line of linear elements k_h = k (1 + (k h)^2/24 ...) with the wave at the nodes exp(i k_h x)."""
    n, k = 200, 40.0
    grid = Grid(x=(0.0, 1.0, n + 1))
    u = Helmholtz(grid, frequency=k, dirichlet={"left": 1.0}, impedance={"right": 0.0}).solve()
    slope = np.polyfit(grid.points[:, 0].numpy(), np.unwrap(np.angle(u.coefficients.numpy())), 1)[0]
    z = (k / n) ** 2
    exact = n * math.acos((1 - z / 3) / (1 + z / 6))
    assert slope == pytest.approx(exact, rel=1e-4)
    assert exact / k - 1 == pytest.approx(-z / 24, rel=0.05)


def test_a_discrete_resonance_is_refused_and_a_loss_mends_it():
    from scipy.sparse.linalg import eigsh

    mesh = Mesh.rectangle(0.1)
    space = FunctionSpace(mesh)
    stiffness, mass = space.stiffness.matrix, space.mass.matrix
    roots = eigsh(stiffness, M=mass, k=4, sigma=15.0, v0=np.ones(space.n_dofs), return_eigenvectors=False)
    resonance = math.sqrt(min(roots, key=lambda r: abs(r - 2 * PI**2)))
    source = lambda x: x[:, 0]  # noqa: E731
    with pytest.raises(SolverError, match="is a resonance of this cavity"):
        Helmholtz(mesh, frequency=resonance, source=source, dirichlet={}).solve()
    near = Helmholtz(mesh, frequency=resonance * (1 + 1e-6), source=source, dirichlet={}).solve()
    assert bool(torch.isfinite(near.coefficients).all())
    lossy = Helmholtz(mesh, frequency=resonance, source=source, loss=0.01, dirichlet={}).solve()
    assert bool(torch.isfinite(lossy.coefficients.abs()).all())


def test_low_frequencies_tend_to_the_poisson_problem():
    mesh = Mesh.disc(0.3)
    slow = Helmholtz(mesh, frequency=1e-5, source=1.0).solve()
    assert torch.allclose(slow.coefficients, Poisson(mesh, source=1.0).solve().coefficients, atol=1e-9)


def test_reciprocity():
    """The response at q to a source at p is that at p to a source at q, whatever the medium."""
    mesh = Mesh.rectangle(0.1)
    space = FunctionSpace(mesh)
    bumps = [
        lambda x, p=p: torch.exp(-50 * (x - torch.tensor(p)).square().sum(dim=1)) for p in ((0.2, 0.3), (0.7, 0.6))
    ]
    sources = Function(space, torch.stack([space.interpolate(bump).coefficients for bump in bumps]))
    sides = {"top": 0.0, "left": 0.0}
    u = Helmholtz(
        mesh, frequency=9.0, speed=lambda x: 1 + x[:, 0], source=sources, impedance=sides, dirichlet={}
    ).solve()
    loads = space.mass(sources.coefficients).to(torch.complex128)
    response = loads @ u.coefficients.T
    assert response[0, 1].item() == pytest.approx(response[1, 0].item(), rel=1e-10)


def test_a_batch_is_what_its_samples_are_alone():
    mesh = Mesh.rectangle(0.2)
    space = FunctionSpace(mesh)
    generator = torch.Generator().manual_seed(0)
    speed = Function(space, 1 + torch.rand(4, space.n_dofs, dtype=torch.float64, generator=generator))
    source = Function(space, torch.randn(4, space.n_dofs, dtype=torch.complex128, generator=generator))
    both = Helmholtz(mesh, frequency=6.0, speed=speed, source=source, impedance={"top": 0.0}, workers=2).solve()
    same_medium = Helmholtz(mesh, frequency=6.0, source=source, dirichlet={}, workers=2).solve()
    for i in range(4):
        alone = Helmholtz(mesh, frequency=6.0, speed=speed[i], source=source[i], impedance={"top": 0.0}).solve()
        assert torch.equal(both.coefficients[i], alone.coefficients)
        alone = Helmholtz(mesh, frequency=6.0, source=source[i], dirichlet={}).solve()
        assert torch.equal(same_medium.coefficients[i], alone.coefficients)


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_complex_solutions_survive_files(tmp_path, suffix):
    mesh = Mesh.rectangle(0.25)
    u = Helmholtz(mesh, frequency=5.0, source=1.0, impedance={"top": 0.0}).solve()
    u.to_file(tmp_path / f"u{suffix}")
    back = Function.from_file(tmp_path / f"u{suffix}")
    assert back.coefficients.dtype == torch.complex128 and torch.equal(back.coefficients, u.coefficients)
    batch = Function(u.space, torch.stack([u.coefficients, 1j * u.coefficients]), name="p")
    data = OperatorData({"a": Function(u.space, torch.ones(2, u.space.n_dofs))}, {"p": batch})
    data.save(tmp_path / f"data{suffix}")
    again = OperatorData.load(tmp_path / f"data{suffix}", lazy=False)
    assert torch.equal(again.outputs["p"].coefficients, batch.coefficients)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frequency": 0.0}, "frequency must be a positive number"),
        ({"frequency": math.inf}, "frequency must be a positive number"),
        ({"speed": 0.0}, "speed must be positive"),
        ({"speed": lambda x: 1j + x[:, 0]}, "speed must be real"),
        ({"loss": -0.1}, "loss must not be negative"),
        ({"source": lambda x: 1j * x[:, 0] / 0}, "source must be finite"),
        ({"source": lambda x, t: x[:, 0]}, "must not depend on time"),
        ({"impedance": {"lid": 0.0}}, "impedance names the part 'lid'"),
        ({"impedance": {"top": 0.0}, "neumann": {"top": 0.0}}, "give it one"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(InputError, match=message):
        Helmholtz(Mesh.rectangle(0.5), **{"frequency": 3.0, **options}).solve()
