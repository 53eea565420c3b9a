"""Advection and diffusion: layers, rates, transport in time, batches, bad input."""

from __future__ import annotations

import math

import pytest
import torch

from funcspace import Function, FunctionSpace, Grid, InputError, Mesh, SolverError, Times
from funcspace.solvers import Poisson
from funcspace.solvers.linear import AdvectionDiffusion

PI = math.pi


def layer(x, k):
    """(exp(x/k) - 1) / (exp(1/k) - 1) without overflow."""
    return (torch.exp((x - 1) / k) - math.exp(-1 / k)) / (1 - math.exp(-1 / k))


@pytest.mark.parametrize("k", [1.0, 0.05, 1e-3, 1e-6])
@pytest.mark.parametrize("kind", ["grid", "mesh"])
def test_nodal_values_of_a_boundary_layer_are_exact_in_one_dimension(k, kind):
    """u' - k u'' = 0, u(0) = 0, u(1) = 1: exact at the nodes at any Peclet number, never beyond 0 and 1."""
    domain = Grid(x=(0.0, 1.0, 11)) if kind == "grid" else Mesh.interval(0.1)
    u = AdvectionDiffusion(domain, velocity=[1.0], diffusion=k, dirichlet={"left": 0.0, "right": 1.0}).solve()
    assert torch.allclose(u.coefficients, layer(domain.points[:, 0], k), rtol=0, atol=1e-12)


def test_galerkin_oscillates_where_the_layer_is_thin():
    grid = Grid(x=(0.0, 1.0, 12))
    ends = {"left": 0.0, "right": 1.0}
    u = AdvectionDiffusion(grid, velocity=[1.0], diffusion=1e-3, dirichlet=ends, stabilised=False).solve()
    assert float(u.coefficients.min()) < -0.2


@pytest.mark.parametrize(("outflow", "low", "high"), [("free", -0.1, 1.2), ("prescribed", -0.1, 1.55)])
@pytest.mark.parametrize("element", ["P1", "Q1", "linear"])
def test_layers_in_the_plane_overshoot_by_little(element, outflow, low, high):
    """Skew flow over a jump at the inflow, 25,000 times as fast as diffusion over a cell; with prescribed values at the
    outflow there is a second layer, steeper than any element can follow."""
    cells = "quadrilateral" if element == "Q1" else "triangle"
    grid = Grid(x=(0.0, 1.0, 21), y=(0.0, 1.0, 21))
    domain = grid if element == "linear" else Mesh.rectangle(0.05, cells=cells)
    inflow = {"bottom": 1.0, "left": lambda x: (x[:, 1] < 0.2).double()}
    ends = {"right": 0.0, "top": 0.0}
    conditions = {"dirichlet": inflow, "neumann": ends} if outflow == "free" else {"dirichlet": ends | inflow}
    flow = {"velocity": [math.cos(PI / 3), math.sin(PI / 3)], "diffusion": 1e-6, **conditions}
    u = AdvectionDiffusion(domain, element, **flow).solve()
    assert float(u.coefficients.min()) >= low and float(u.coefficients.max()) <= high
    if outflow == "prescribed":
        plain = AdvectionDiffusion(domain, element, stabilised=False, **flow).solve()
        assert float(plain.coefficients.max()) > 2.0
    away = torch.tensor([[0.8, 0.3], [0.5, 0.2], [0.1, 0.8], [0.25, 0.9]], dtype=torch.float64)
    assert torch.allclose(u(away), torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=torch.float64), atol=0.03)


class Manufactured:
    """u = sin(pi x) cos(pi y/2) + x y with b = (1 + y, x), k = kappa (1 + x), r = 1."""

    def __init__(self, kappa):
        self.kappa = kappa
        self.data = {
            "velocity": lambda x: torch.stack([1 + x[:, 1], x[:, 0]], dim=1),
            "diffusion": lambda x: kappa * (1 + x[:, 0]),
            "reaction": 1.0,
        }

    def u(self, x):
        return torch.sin(PI * x[:, 0]) * torch.cos(PI * x[:, 1] / 2) + x[:, 0] * x[:, 1]

    def gradient(self, x):
        along = PI * torch.cos(PI * x[:, 0]) * torch.cos(PI * x[:, 1] / 2) + x[:, 1]
        across = -PI / 2 * torch.sin(PI * x[:, 0]) * torch.sin(PI * x[:, 1] / 2) + x[:, 0]
        return torch.stack([along, across], dim=1)

    def f(self, x):
        g, b = self.gradient(x), self.data["velocity"](x)
        laplacian = -1.25 * PI**2 * torch.sin(PI * x[:, 0]) * torch.cos(PI * x[:, 1] / 2)
        return (b * g).sum(dim=1) - self.data["diffusion"](x) * laplacian - self.kappa * g[:, 0] + self.u(x)

    def conditions(self):
        k = self.data["diffusion"]
        right = lambda x: k(x) * self.gradient(x)[:, 0]  # noqa: E731
        top = lambda x: k(x) * self.gradient(x)[:, 1] + 2 * self.u(x)  # noqa: E731
        return {
            "dirichlet": {"left": self.u, "bottom": self.u},
            "neumann": {"right": right},
            "robin": {"top": (2.0, top)},
        }


@pytest.mark.parametrize("element", ["P1", "P2", "Q1", "linear"])
@pytest.mark.parametrize("kappa", [0.5, 1e-3])
def test_rates(element, kappa):
    """Orders p + 1 and p, also where advection dominates; there SUPG's theory gives p + 1/2 in L2 on any mesh."""
    exact, found = Manufactured(kappa), []
    for h in (0.1, 0.05):
        n = round(1 / h) + 1
        cells = "quadrilateral" if element == "Q1" else "triangle"
        domain = Grid(x=(0.0, 1.0, n), y=(0.0, 1.0, n)) if element == "linear" else Mesh.rectangle(h, cells=cells)
        u = AdvectionDiffusion(domain, element, source=exact.f, **exact.data, **exact.conditions()).solve()
        rule = u.space.quadrature(6)
        value = rule.values(u.coefficients) - exact.u(rule.points)
        gradient = rule.gradients(u.coefficients) - exact.gradient(rule.points)
        found.append((float((rule.weights @ value**2).sqrt()), float((rule.weights @ (gradient**2).sum(dim=1)).sqrt())))
    l2, h1 = (math.log2(coarse / fine) for coarse, fine in zip(*found, strict=True))
    order = 2 if element == "P2" else 1
    assert l2 >= order + (0.85 if kappa == 0.5 else 0.5) and h1 >= order - 0.1


def test_without_velocity_it_is_the_poisson_problem():
    mesh = Mesh.rectangle(0.2)
    data = {"source": 1.0, "reaction": 2.0, "dirichlet": {"left": 1.0}, "robin": {"top": (2.0, 1.0)}}
    u = AdvectionDiffusion(mesh, velocity=[0.0, 0.0], diffusion=0.7, **data).solve()
    same = Poisson(mesh, coefficient=0.7, **data).solve()
    assert torch.allclose(u.coefficients, same.coefficients, atol=1e-12)


def test_a_travelling_pulse():
    """A Gaussian on a periodic line after one turn: moved by b t, widened by 2 k t."""
    grid = Grid(x=(0.0, 1.0, 200), periodic=("x",))
    k, s = 1e-3, 0.06

    def exact(x, t):
        var = s**2 + 2 * k * t
        total = sum(torch.exp(-((x - 0.4 - t + m) ** 2) / (2 * var)) for m in range(-2, 4))
        return total * s / math.sqrt(var)

    x = grid.points[:, 0]
    u = AdvectionDiffusion(
        grid, velocity=[1.0], diffusion=k, times=Times(0.0, 0.5, 3), step=0.005, dirichlet={},
        initial=lambda p: exact(p[:, 0], 0.0),
    ).solve()  # fmt: skip
    assert float((u.coefficients[2] - exact(x, 1.0)).abs().max()) < 5e-3
    mass = u.coefficients.mean(dim=1)
    assert torch.allclose(mass, mass[0].expand(3), atol=1e-13)


@pytest.mark.parametrize("stabilised", [True, False])
@pytest.mark.parametrize(("theta", "order"), [(1.0, 1), (0.5, 2)])
def test_rates_in_time(theta, order, stabilised):
    """u = exp(2 t) (x + y) is in P1 at each instant: what remains is the error of the scheme."""
    u = lambda x, t: math.exp(2 * t) * (x[:, 0] + x[:, 1])  # noqa: E731
    f = lambda x, t: math.exp(2 * t) * (2 * (x[:, 0] + x[:, 1]) + 3)  # noqa: E731
    mesh, found = Mesh.rectangle(0.5), []
    flux = {"right": lambda x, t: 0.1 * math.exp(2 * t) + 0 * x[:, 0]}
    fixed = {part: u for part in ("left", "bottom", "top")}
    for n in (16, 32):
        solution = AdvectionDiffusion(
            mesh, velocity=[1.0, 2.0], diffusion=0.1, source=f, dirichlet=fixed, neumann=flux,
            times=Times(0.0, 1.0, 2), step=1 / n, theta=theta, stabilised=stabilised,
            initial=lambda x: u(x, 0.0),
        ).solve()  # fmt: skip
        found.append(float((solution.coefficients[-1] - u(mesh.points, 1.0)).abs().max()))
    # The weight of the residual in time falls with the step, which blurs the order of the stabilised scheme.
    assert math.log2(found[0] / found[1]) == pytest.approx(order, abs=0.3 if stabilised else 0.15)


@pytest.mark.parametrize("element", ["P1", "P2", "linear"])
def test_in_time_it_tends_to_the_steady_state(element):
    """In the plane, with data of all kinds: long implicit steps lose what they started from."""
    exact = Manufactured(0.05)
    domain = Grid(x=(0.0, 1.0, 7), y=(0.0, 1.0, 7)) if element == "linear" else Mesh.rectangle(0.2)
    data = {"source": exact.f, **exact.data, **exact.conditions()}
    for stabilised in (True, False):
        steady = AdvectionDiffusion(domain, element, stabilised=stabilised, **data).solve()
        u = AdvectionDiffusion(
            domain, element, times=Times(0.0, 1e5, 4), initial=3.0, theta=1.0, stabilised=stabilised, **data
        ).solve()
        assert torch.allclose(u.coefficients[-1], steady.coefficients, rtol=0, atol=1e-9)


def test_a_batch_is_what_its_samples_are_alone():
    mesh = Mesh.rectangle(0.25)
    space, field = FunctionSpace(mesh), FunctionSpace(mesh, components=("bx", "by"))
    generator = torch.Generator().manual_seed(0)
    source = Function(space, torch.rand(4, space.n_dofs, dtype=torch.float64, generator=generator))
    b = Function(field, torch.rand(4, space.n_dofs, 2, dtype=torch.float64, generator=generator))
    for times in (None, Times(0.0, 0.1, 3)):
        shared = AdvectionDiffusion(mesh, velocity=[1.0, 0.5], diffusion=0.01, source=source, times=times, workers=2)
        shared = shared.solve()
        own = AdvectionDiffusion(mesh, velocity=b, diffusion=0.01, source=1.0, times=times, workers=2).solve()
        for i in (0, 3):
            alone = AdvectionDiffusion(mesh, velocity=[1.0, 0.5], diffusion=0.01, source=source[i], times=times)
            assert torch.equal(shared.coefficients[i], alone.solve().coefficients)
            alone = AdvectionDiffusion(mesh, velocity=b[i], diffusion=0.01, source=1.0, times=times)
            assert torch.equal(own.coefficients[i], alone.solve().coefficients)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"diffusion": 0.0}, "diffusion must be positive"),
        ({"velocity": "east"}, "velocity must be a vector"),
        ({"velocity": [1.0]}, r"velocity with values of shape \(2,\)"),
        ({"velocity": lambda x, t: x}, "velocity must not depend on time"),
        ({"element": "P2", "velocity": [math.nan, 0.0]}, "velocity must be finite"),
        ({"element": "Q2", "cells": "quadrilateral"}, "streamline upwinding takes"),
        ({"step": 0.1}, "needs times"),
        ({"source": lambda x, t: x[:, 0]}, "need times"),
        ({"times": Times(0.0, 1.0, 2), "step": 0.0}, "step must be a positive time"),
        ({"times": Times(0.0, 1.0, 2), "theta": 0.0}, "theta must lie"),
        ({"neumann": {"outlet": 0.0}}, "names the part 'outlet'"),
    ],
)
def test_refuses(options, message):
    element, cells = options.pop("element", None), options.pop("cells", "triangle")
    with pytest.raises(InputError, match=message):
        AdvectionDiffusion(
            Mesh.rectangle(0.5, cells=cells), element, **{"velocity": [1.0, 0.0], "diffusion": 1.0, **options}
        ).solve()


def test_a_problem_without_anything_to_hold_on_to_is_singular():
    with pytest.raises(SolverError, match="singular"):
        AdvectionDiffusion(
            Grid(x=(0.0, 1.0, 8), periodic=("x",)), velocity=[0.0], diffusion=1.0, dirichlet={}, source=1.0
        ).solve()
