"""The Stokes solver: rates on manufactured solutions, exact flows, forces, boundary conditions, what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from funcspace import Function, FunctionSpace, Grid, InputError, Mesh, SolverError
from funcspace.errors import DomainError
from funcspace.solvers.flow import Flow, Stokes, channel_with_cylinder

PI = math.pi


class Plane:
    """u = curl of sin(pi x) sin(pi y) / pi + x^2 y, p = cos(pi x) y, viscosity 1 + x / 2 in the symmetric form."""

    def u(self, x):
        s, c = torch.sin(PI * x), torch.cos(PI * x)
        return torch.stack([s[:, 0] * c[:, 1] + x[:, 0] ** 2, -c[:, 0] * s[:, 1] - 2 * x[:, 0] * x[:, 1]], dim=1)

    def p(self, x):
        return torch.cos(PI * x[:, 0]) * x[:, 1]


class Space:
    """u = (y^2 + sin(pi z), z^2 + sin(pi x), x^2 + sin(pi y)), p = x y - z / 2."""

    def u(self, x):
        turned = x[:, [1, 2, 0]]
        return turned**2 + torch.sin(PI * x[:, [2, 0, 1]])

    def p(self, x):
        return x[:, 0] * x[:, 1] - 0.5 * x[:, 2]


@torch.enable_grad()
def derivative(function, x):
    """Jacobian (n, values, d) of a function of points."""
    x = x if x.requires_grad else x.detach().clone().requires_grad_(True)
    values = function(x)
    values = values if values.ndim == 2 else values[:, None]
    return torch.stack(
        [torch.autograd.grad(values[:, i].sum(), x, create_graph=True)[0] for i in range(values.shape[1])], dim=1
    )


def stress(exact, x, nu, symmetric):
    """nu grad u [+ nu grad u^T] - p, (n, d, d)."""
    slope = derivative(exact.u, x)
    viscous = slope + (slope.transpose(1, 2) if symmetric else 0.0)
    return nu(x)[:, None, None] * viscous - exact.p(x)[:, None, None] * torch.eye(x.shape[1], dtype=x.dtype)


def force(exact, nu, symmetric, density=0.0):
    """-div stress + density u . grad u."""

    @torch.enable_grad()
    def f(points):
        x = points.detach().clone().requires_grad_(True)
        slope = derivative(exact.u, points)
        rows = [derivative(lambda y, i=i: stress(exact, y, nu, symmetric)[:, i], x) for i in range(x.shape[1])]
        divergence = torch.stack([torch.einsum("njj->n", row) for row in rows], dim=1)
        carried = torch.einsum("nij,nj->ni", slope, exact.u(points))
        return (density * carried - divergence).detach()

    return f


def traction(exact, nu, symmetric, *normal):
    n = torch.tensor(normal, dtype=torch.float64)
    return lambda x: (stress(exact, x, nu, symmetric) @ n).detach()


def errors(flow: Flow, exact, *, mean_free: bool) -> np.ndarray:
    """Errors of u in L2, of its gradient, and of p in L2."""
    rule = flow.velocity.space.quadrature(6)
    u = rule.values(flow.velocity.coefficients) - exact.u(rule.points)
    slope = rule.gradients(flow.velocity.coefficients) - derivative(exact.u, rule.points).detach()
    p = flow.pressure.space.quadrature(6).values(flow.pressure.coefficients) - exact.p(rule.points)
    if mean_free:
        p = p - (rule.weights @ p) / rule.weights.sum()
    parts = [u.square().sum(dim=1), slope.square().sum(dim=(1, 2)), p.square()]
    return np.sqrt([float(rule.weights @ part) for part in parts])


def weak_divergence(flow: Flow) -> float:
    """Largest integral of psi div u, relative to those of psi |grad u|."""
    rule = flow.velocity.space.quadrature(6)
    slope = rule.gradients(flow.velocity.coefficients)
    test = flow.pressure.space.quadrature(6).values
    divergence = test.T(rule.weights * torch.einsum("qii->q", slope))
    scale = test.T(rule.weights * slope.flatten(1).norm(dim=1))
    return float((divergence.abs() / scale.abs()).max())


@pytest.mark.parametrize("cells", ["triangle", "quadrilateral"])
@pytest.mark.parametrize("form", ["gradient", "symmetric"])
def test_rates_with_velocities_and_tractions(cells, form):
    exact, symmetric = Plane(), form == "symmetric"

    def nu(x):
        return 1 + 0.5 * x[:, 0]

    found = []
    for h in (1 / 8, 1 / 16):
        flow = Stokes(
            Mesh.rectangle(h, cells=cells), viscosity=nu, force=force(exact, nu, symmetric), stress=form,
            velocity={"left": exact.u, "bottom": exact.u},
            traction={
                "right": traction(exact, nu, symmetric, 1.0, 0.0), "top": traction(exact, nu, symmetric, 0.0, 1.0)
            },
        ).solve()  # fmt: skip
        assert weak_divergence(flow) < 1e-11
        found.append(errors(flow, exact, mean_free=False))
    rates = np.log2(found[0] / found[1])
    assert rates[0] >= 2.85 and rates[1] >= 1.9 and rates[2] >= 1.85


def test_rates_on_a_curved_disc_with_the_velocity_given_all_round():
    exact = Plane()

    def nu(x):
        return torch.ones_like(x[:, 0])

    found = []
    for h in (0.3, 0.15):
        mesh = Mesh.disc(h, curved=True)
        flow = Stokes(mesh, force=force(exact, nu, False), velocity={"boundary": exact.u}).solve()
        assert abs(float(flow.pressure.mean())) < 1e-12
        found.append((math.sqrt(mesh.n_cells), errors(flow, exact, mean_free=True)))
    refinement = math.log(found[1][0] / found[0][0])
    rates = np.log(found[0][1] / found[1][1]) / refinement
    assert rates[0] >= 2.8 and rates[1] >= 1.85 and rates[2] >= 1.8


@pytest.mark.parametrize("cells", ["tetrahedron", "hexahedron"])
def test_rates_in_space(cells):
    exact = Space()

    def nu(x):
        return torch.ones_like(x[:, 0])

    found = []
    for h in (1 / 2, 1 / 4):
        flow = Stokes(
            Mesh.box(h, cells=cells), force=force(exact, nu, True), stress="symmetric",
            velocity={part: exact.u for part in ("left", "right", "bottom", "front", "back")},
            traction={"top": traction(exact, nu, True, 0.0, 1.0, 0.0)},
        ).solve()  # fmt: skip
        assert weak_divergence(flow) < 1e-11
        found.append(errors(flow, exact, mean_free=False))
    rates = np.log2(found[0] / found[1])
    assert rates[0] >= 2.6 and rates[1] >= 1.75 and rates[2] >= 1.6


def test_corner_cells_whose_velocities_are_all_given():
    """At four corners of this box a tetrahedron has no free velocity; linear flow with linear pressure stays exact."""
    linear = lambda x: torch.stack([x[:, 1], x[:, 2], x[:, 0]], dim=1)  # noqa: E731
    slope = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    flow = Stokes(
        Mesh.box(1 / 3), force=lambda x: slope.expand(len(x), 3), velocity={"boundary": linear}, stress="symmetric"
    ).solve()
    assert torch.allclose(flow.velocity.coefficients, linear(flow.velocity.space.dof_points), atol=1e-12)
    points = flow.pressure.space.dof_points
    gap = flow.pressure.coefficients - points @ slope
    corner = ((points == 0) | (points == 1)).all(dim=1)
    assert float((gap[~corner] - gap[~corner].mean()).abs().max()) < 1e-10
    assert float((gap - gap[~corner].mean()).abs().max()) < 1.0


@pytest.mark.parametrize("cells", ["triangle", "quadrilateral"])
def test_poiseuille_flow_is_exact(cells):
    """u = y (1 - y) / 2, p = nu (L - x): both lie in the spaces."""
    mesh = Mesh.rectangle(0.25, 2.0, 1.0, cells=cells)
    profile = lambda x: torch.stack([x[:, 1] * (1 - x[:, 1]) / 2, 0 * x[:, 1]], dim=1)  # noqa: E731
    flow = Stokes(mesh, viscosity=3.0, velocity={"left": profile, "bottom": 0, "top": 0}).solve()
    at = flow.velocity.space.dof_points
    assert torch.allclose(flow.velocity.coefficients, profile(at), atol=1e-12)
    assert torch.allclose(flow.pressure.coefficients, 3.0 * (2.0 - flow.pressure.space.dof_points[:, 0]), atol=1e-11)


def test_the_force_converges_at_twice_the_rate_of_the_stress():
    """On the inner circle of a ring the force of the fluid is the integral of -(grad u - p) n, n = -r / |r|."""
    exact = Plane()

    def nu(x):
        return torch.ones_like(x[:, 0])

    angle = 2 * PI * torch.arange(256, dtype=torch.float64) / 256
    out = torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)
    push = torch.einsum("nij,nj->ni", stress(exact, 0.5 * out, nu, False), out).detach()
    expected = push.mean(dim=0) * (2 * PI * 0.5)
    found = []
    for h in (0.2, 0.1):
        mesh = Mesh.annulus(h, curved=True)
        flow = Stokes(mesh, force=force(exact, nu, False), velocity={"boundary": exact.u}).solve()
        found.append((math.sqrt(mesh.n_cells), float((flow.force("inner") - expected).norm())))
    assert math.log(found[0][1] / found[1][1]) / math.log(found[1][0] / found[0][0]) > 3.4
    assert found[1][1] < 1e-3


def test_free_components_are_a_plane_of_symmetry():
    """Half a channel with v = 0 and u free on its middle line carries half of the whole channel's flow."""
    profile = lambda x: torch.stack([x[:, 1] * (2 - x[:, 1]), 0 * x[:, 1]], dim=1)  # noqa: E731
    half = Stokes(Mesh.rectangle(0.25), velocity={"top": (None, 0.0), "left": profile, "bottom": 0}).solve()
    assert torch.allclose(half.velocity.coefficients, profile(half.velocity.space.dof_points), atol=1e-12)


def test_force_on_a_cylinder_balances_what_the_rest_of_the_boundary_exerts():
    """With v = (1, 0) everywhere the weak momentum equation says: all forces on fixed parts, outlet free, add to 0."""
    mesh = channel_with_cylinder(0.1)
    profile = lambda x: torch.stack([x[:, 1] * (0.41 - x[:, 1]), 0 * x[:, 1]], dim=1)  # noqa: E731
    flow = Stokes(mesh, velocity={"inlet": profile, "walls": 0, "cylinder": 0}).solve()
    whole = -flow.reactions.sum(dim=0)
    assert float(whole.abs().max()) < 1e-10
    drag = flow.force("cylinder")
    assert drag[0] > 0 and abs(drag[1]) < 0.1 * drag[0]


def test_batches_are_loops():
    mesh = Mesh.rectangle(0.25)
    plane = FunctionSpace(mesh, "P2", components=("u", "v"))
    generator = torch.Generator().manual_seed(0)
    push = Function(plane, torch.randn(3, *plane.coefficient_shape, generator=generator, dtype=torch.float64))
    thick = Function(FunctionSpace(mesh, "P1"), 1 + torch.rand(3, 25, generator=generator, dtype=torch.float64))
    for data in ({"force": push}, {"force": push, "viscosity": thick}):
        together = Stokes(mesh, **data).solve()
        assert together.velocity.batch_shape == (3,)
        for i in range(3):
            alone = Stokes(mesh, **{name: value[i] for name, value in data.items()}).solve()
            assert torch.allclose(together.velocity.coefficients[i], alone.velocity.coefficients, atol=1e-13)
            assert torch.allclose(together.pressure.coefficients[i], alone.pressure.coefficients, atol=1e-12)
            assert torch.allclose(together.force("left")[i], alone.force("left"), atol=1e-12)


def test_bytes_do_not_depend_on_threads():
    mesh = Mesh.rectangle(0.25)
    plane = FunctionSpace(mesh, "P2", components=("u", "v"))
    push = Function(plane, torch.linspace(-1, 1, 70 * 81 * 2, dtype=torch.float64).reshape(70, 81, 2) ** 3)
    one, many = (Stokes(mesh, force=push, workers=workers).solve() for workers in (1, 3))
    assert torch.equal(one.velocity.coefficients, many.velocity.coefficients)


def test_bad_input():
    mesh = Mesh.rectangle(0.5)
    with pytest.raises(DomainError, match="two or three dimensions"):
        Stokes(Grid(x=(0.0, 1.0, 5), y=(0.0, 1.0, 5)))
    with pytest.raises(DomainError, match="interval"):
        Stokes(Mesh.interval(0.5))
    with pytest.raises(InputError, match=r"velocity names the part 'lid'.*'top'"):
        Stokes(mesh, velocity={"lid": (1.0, 0.0)})
    with pytest.raises(InputError, match="both a velocity and a traction"):
        Stokes(mesh, velocity={"top": 0}, traction={"top": (1.0, 0.0)})
    with pytest.raises(InputError, match="at least one part"):
        Stokes(mesh, velocity={})
    with pytest.raises(InputError, match=r"component 'u'.*nothing holds it"):
        Stokes(mesh, velocity={"top": (None, 0.0)}).solve()
    with pytest.raises(InputError, match=r"velocity\['top'\] must be finite"):
        Stokes(mesh, velocity={"top": (math.nan, 0.0)}).solve()
    with pytest.raises(InputError, match=r"velocity\['top'\].*shape \(2,\)"):
        Stokes(mesh, velocity={"top": (1.0, 0.0, 0.0)}).solve()
    with pytest.raises(InputError, match="viscosity must be positive; got -1"):
        Stokes(mesh, viscosity=-1.0).solve()
    with pytest.raises(InputError, match="viscosity must be positive"):
        Stokes(mesh, viscosity=lambda x: x[:, 0] - 0.5).solve()
    with pytest.raises(InputError, match="stress must be"):
        Stokes(mesh, stress="full")
    with pytest.raises(InputError, match="no boundary part 'lid'"):
        Stokes(mesh, velocity={"top": (1.0, 0.0), "left": 0, "right": 0, "bottom": 0}).solve().force("lid")


def test_net_flux_through_a_closed_boundary_is_refused():
    with pytest.raises(SolverError, match=r"net outward flux of sample 0 is 1 .*right 1"):
        Stokes(Mesh.rectangle(0.25), velocity={"boundary": 0, "right": lambda x: _unit(x) * 6 * _arch(x)}).solve()


def test_a_small_flux_imbalance_is_spread_evenly():
    """Given u = (1.001 x - 0.0005, -y) on all sides: div u is 0.001 everywhere in the discrete sense."""
    mesh = Mesh.rectangle(0.25)
    flow = Stokes(mesh, velocity={"boundary": lambda x: torch.stack([1.001 * x[:, 0], -x[:, 1]], dim=1)}).solve()
    rule = flow.velocity.space.quadrature(4)
    divergence = torch.einsum("qii->q", rule.gradients(flow.velocity.coefficients))
    test = flow.pressure.space.quadrature(4).values
    assert torch.allclose(test.T(rule.weights * (divergence - 0.001)), torch.zeros(25, dtype=torch.float64), atol=1e-13)


def _unit(x):
    return torch.tensor([[1.0, 0.0]], dtype=x.dtype)


def _arch(x):
    return (x[:, 1] * (1 - x[:, 1]))[:, None]
