"""The Navier-Stokes solver: manufactured solutions, orders in time, published numbers, batches, what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from funcspace import Function, FunctionSpace, InputError, Mesh, SolverError, Times
from funcspace.solvers.flow import CylinderFlow, NavierStokes, Stokes
from funcspace.solvers.flow.convection import (
    convection_entries,
    plain_convection,
    plain_reaction,
    reaction_entries,
)
from funcspace.solvers.flow.saddle_system import SaddleSystem
from funcspace.solvers.flow.taylor_hood import TaylorHood

PI = math.pi
NU = 0.05
LID = {"top": (1.0, 0.0), "left": 0, "right": 0, "bottom": 0}


def pulse(t: float) -> tuple[float, float]:
    """A factor and its derivative."""
    return math.cos(t) + 0.3 * math.sin(2 * t), -math.sin(t) + 0.6 * math.cos(2 * t)


def vortices(x, t=0.0):
    """u = g(t) (sin cos, -cos sin), an array of vortices."""
    s, c = torch.sin(PI * x), torch.cos(PI * x)
    return pulse(t)[0] * torch.stack([s[:, 0] * c[:, 1], -c[:, 0] * s[:, 1]], dim=1)


def vortex_pressure(x, t=0.0):
    """p = sin(t + 1) x y."""
    return math.sin(t + 1) * x[:, 0] * x[:, 1]


def vortex_force(x, t=0.0, rate=1.0, density=1.0):
    """density (rate du/dt + u . grad u) - NU Lap u + grad p."""
    g, slope = pulse(t)
    s, c = torch.sin(PI * x), torch.cos(PI * x)
    carried = g**2 * PI * s * c
    changing = rate * slope / g * vortices(x, t)
    return density * (changing + carried) + 2 * PI**2 * NU * vortices(x, t) + math.sin(t + 1) * x[:, [1, 0]]


def velocity_error(u: Function, exact) -> tuple[float, float]:
    """Errors in L2 of u and, by its gradient against that of the interpolant, in H1."""
    rule = u.space.quadrature(6)
    gap = rule.values(u.coefficients) - exact(rule.points)
    return float((rule.weights @ gap.square().sum(dim=1)).sqrt()), float((u - u.space.interpolate(exact)).norm("H1"))


@pytest.mark.parametrize("cells", ["triangle", "quadrilateral"])
def test_rates_of_steady_flow_and_quadratic_convergence(cells):
    found = []
    for h in (1 / 8, 1 / 16):
        flow = NavierStokes(
            Mesh.rectangle(h, cells=cells), viscosity=NU, density=2.0, velocity={"boundary": vortices},
            force=lambda x: vortex_force(x, rate=0.0, density=2.0),
        ).solve()  # fmt: skip
        rule = flow.pressure.space.quadrature(6)
        p = rule.values(flow.pressure.coefficients) - vortex_pressure(rule.points)
        p = p - rule.weights @ p
        found.append([*velocity_error(flow.velocity, vortices), float((rule.weights @ p.square()).sqrt())])
        sizes = flow.residuals
        assert sizes[-1] < 1e-10 and sizes[-1] < 50 * sizes[-2] ** 2 / sizes[0] + 1e-14
    rates = np.log2(np.array(found[0]) / np.array(found[1]))
    assert rates[0] >= 2.8 and rates[1] >= 1.85 and rates[2] >= 1.85


@pytest.mark.parametrize(
    "mesh", [Mesh.disc(0.5, curved=True), Mesh.rectangle(0.3, cells="quadrilateral"), Mesh.box(0.5)]
)
def test_compiled_assembly_equals_the_plain_one(mesh):
    elements = TaylorHood(mesh)
    system = SaddleSystem(elements, np.unique(elements.scalar.dofs("boundary").numpy()), coupled=True)
    wind = np.random.default_rng(0).standard_normal((elements.n_velocity, elements.dim))
    for fast, plain in ((convection_entries, plain_convection), (reaction_entries, plain_reaction)):
        expected = plain(elements, system, wind)
        assert np.abs(fast(elements, system, wind) - expected).max() < 1e-13 * np.abs(expected).max()


def test_the_jacobian_is_the_derivative():
    """(C(u + e w)(u + e w) - C(u - e w)(u - e w)) / 2 e = C(u) w + D(u) w exactly, for a quadratic term."""
    elements = TaylorHood(Mesh.rectangle(0.5))
    system = SaddleSystem(elements, np.unique(elements.scalar.dofs("boundary").numpy()), coupled=True)
    u, w = np.random.default_rng(1).standard_normal((2, elements.n_velocity, 2))

    def carried(v):
        return system.scalar_matrix(convection_entries(elements, system, v)) @ v

    blocks = reaction_entries(elements, system, u)
    tangent = system.scalar_matrix(convection_entries(elements, system, u)) @ w
    for i in range(2):
        for j in range(2):
            tangent[:, i] += system.scalar_matrix(blocks[i, j]) @ w[:, j]
    assert np.allclose((carried(u + w) - carried(u - w)) / 2, tangent, atol=1e-13)


def test_dfg_2d_1():
    """Schäfer and Turek's steady benchmark at Re = 20; values of Nabh (1998)."""
    channel = CylinderFlow(0.41 / 12, reynolds=20.0, mean_velocity=0.2)
    flow = channel.solve()
    drag, lift = channel.coefficients(flow, 0.2).tolist()
    assert drag == pytest.approx(5.57953523384, rel=5e-4)
    assert lift == pytest.approx(0.010618948146, rel=0.03)
    assert float(channel.pressure_drop(flow)) == pytest.approx(0.11752016697, rel=0.01)


def test_lid_driven_cavity():
    """Extrema of u on the vertical middle line at Re = 100: -0.2140424 at y = 0.4581 (Botella and Peyret, 1998)."""
    flow = NavierStokes(Mesh.rectangle(1 / 24), viscosity=0.01, velocity=LID).solve()
    y = torch.linspace(0.4, 0.5, 101, dtype=torch.float64)
    u = flow.velocity(torch.stack([torch.full_like(y, 0.5), y], dim=1))[:, 0]
    assert float(u.min()) == pytest.approx(-0.2140424, rel=2e-3)
    assert float(y[u.argmin()]) == pytest.approx(0.4581, abs=3e-3)


def test_continuation_reaches_what_the_direct_iteration_does_not():
    """Five iterations do not lead from Stokes flow to Re = 1000; five at each of some smaller numbers do."""
    cavity = NavierStokes(Mesh.rectangle(1 / 16), viscosity=1 / 1000, velocity=LID)
    direct = cavity.solve()
    assert len(direct.residuals) > 6
    stepped = cavity.solve(max_iterations=5)
    assert float((direct.velocity - stepped.velocity).norm()) < 1e-7


@pytest.mark.parametrize(
    ("scheme", "convection"),
    [("bdf2", "linearised"), ("bdf2", "newton"), ("theta", "linearised"), ("theta", "newton")],
)
def test_second_order_in_time(scheme, convection):
    flow = NavierStokes(Mesh.rectangle(0.25), viscosity=NU, velocity={"boundary": vortices}, force=vortex_force)
    last = {}
    for count in (8, 16, 128):
        run = flow.evolve(Times(0.0, 1.0, 2), vortices, step=1.0 / count, scheme=scheme, convection=convection)
        last[count] = run.last
        assert run.steps.tolist() == pytest.approx(np.arange(1, count + 1) / count)

    def gaps(count):
        one, fine = last[count], last[128]
        return np.array(
            [
                float((one.velocity - fine.velocity).norm()),
                float((one.pressure - fine.pressure).norm()),
                float((one.force("left") - fine.force("left")).norm()),
            ]
        )

    rates = np.log2(gaps(8) / gaps(16))
    assert rates[0] > 1.85 and rates[1] > 1.75 and rates[2] > 1.6


def test_variable_steps_keep_the_order():
    flow = NavierStokes(Mesh.rectangle(0.25), viscosity=NU, velocity={"boundary": vortices}, force=vortex_force)

    def stretched(count):
        s = torch.linspace(0, 1, count + 1, dtype=torch.float64)
        return flow.evolve(Times.at(s + 0.1 * torch.sin(2 * PI * s)), vortices).last.velocity

    fine = stretched(256)
    first, second = (float((stretched(count) - fine).norm()) for count in (16, 32))
    assert math.log2(first / second) > 1.85


def test_implicit_euler_is_of_first_order():
    flow = NavierStokes(Mesh.rectangle(0.25), viscosity=NU, velocity={"boundary": vortices}, force=vortex_force)
    ends = [
        flow.evolve(Times(0.0, 1.0, 2), vortices, step=1 / count, scheme="theta", theta=1.0).last.velocity
        for count in (16, 32, 256)
    ]
    rate = math.log2(float((ends[0] - ends[2]).norm()) / float((ends[1] - ends[2]).norm()))
    assert 0.85 < rate < 1.3


def test_the_velocity_is_divergence_free_at_all_times_and_the_midpoint_rule_keeps_the_energy_balance():
    """Without force, |u^{n+1}|^2 - |u^n|^2 = -2 dt nu |grad u^{n+1/2}|^2 up to the small divergence of the FE flow."""
    mesh = Mesh.rectangle(0.125)
    flow = NavierStokes(mesh, viscosity=0.002)
    space = FunctionSpace(mesh, "P2", components=("u", "v"))
    start = space.interpolate(lambda x: torch.stack([16 * _bump(x, 0, 1), -16 * _bump(x, 1, 0)], dim=1))
    history = flow.evolve(
        Times(0.0, 0.1, 6), start, step=0.025, scheme="theta", convection="newton", tolerance=1e-12,
        observe=lambda f: {"energy": f.velocity.norm() ** 2},
    )  # fmt: skip
    rule = space.quadrature(4)
    slopes = rule.gradients(history.velocity.coefficients)
    test = FunctionSpace(mesh, "P1").quadrature(4).values
    assert float(test.T(rule.weights * torch.einsum("tqii->tq", slopes)).abs().max()) < 1e-13
    energy = torch.cat([history.velocity.norm().new_tensor([float(_at(history.velocity, space, 0).norm() ** 2)]),
                        history.observed["energy"]])  # fmt: skip
    assert (energy.diff() < 0).all()
    middle = [_at(history.velocity, space, k) for k in range(6)]
    dissipated = 0.002 * sum(float(f.norm("H1_semi") ** 2) for f in middle) / 6 * 2 * 0.5
    assert float(energy[0] - energy[-1]) == pytest.approx(dissipated, rel=0.02)


def test_steady_flow_stays():
    cavity = NavierStokes(Mesh.rectangle(0.125), viscosity=0.01, velocity=LID)
    steady = cavity.solve()
    later = cavity.evolve(Times(0.0, 1.0, 2), steady, step=0.25)
    assert float((later.last.velocity - steady.velocity).norm()) < 1e-9
    assert float((later.last.pressure - steady.pressure).norm()) < 1e-8
    assert torch.allclose(later.last.force("top"), steady.force("top"), atol=1e-8)


def test_slow_flow_is_stokes_flow():
    stokes = Stokes(Mesh.rectangle(0.25), velocity=LID).solve()
    slow = NavierStokes(Mesh.rectangle(0.25), density=1e-9, velocity=LID).solve()
    assert float((stokes.velocity - slow.velocity).norm()) < 1e-9


def test_batches_are_loops_and_bytes_do_not_depend_on_threads():
    mesh = Mesh.rectangle(0.25)
    space = FunctionSpace(mesh, "P1")
    nu = Function(space, torch.tensor([0.1, 0.02, 0.05], dtype=torch.float64)[:, None].expand(3, 25).clone())
    times = Times(0.0, 0.2, 3)

    def problem(viscosity, workers=None):
        return NavierStokes(mesh, viscosity=viscosity, velocity=LID, workers=workers)

    steady = problem(nu).solve()
    moving = problem(nu).evolve(times, step=0.1, observe=lambda f: {"force": f.force("top")})
    assert tuple(moving.observed["force"].shape) == (3, 4, 2)
    for i in range(3):
        alone = problem(nu[i])
        assert torch.equal(steady.velocity.coefficients[i], alone.solve().velocity.coefficients)
        run = alone.evolve(times, step=0.1, observe=lambda f: {"force": f.force("top")})
        assert torch.equal(moving.velocity.coefficients[i], run.velocity.coefficients)
        assert torch.equal(moving.observed["force"][i], run.observed["force"])
    assert torch.equal(problem(nu, 1).solve().velocity.coefficients, problem(nu, 3).solve().velocity.coefficients)


def test_bad_input():
    mesh = Mesh.rectangle(0.5)
    flow = NavierStokes(mesh, velocity=LID)
    with pytest.raises(InputError, match="density"):
        NavierStokes(mesh, density=0.0)
    with pytest.raises(InputError, match="must not depend on time"):
        NavierStokes(mesh, viscosity=lambda x, t: 1 + t * x[:, 0])
    with pytest.raises(InputError, match="two instants"):
        flow.evolve(Times(0.0, 1.0, 1))
    with pytest.raises(InputError, match="step must be"):
        flow.evolve(Times(0.0, 1.0, 2), step=-0.1)
    with pytest.raises(InputError, match=r"theta must lie in \[1/2, 1\]"):
        flow.evolve(Times(0.0, 1.0, 2), theta=0.3)
    with pytest.raises(InputError, match="scheme must be"):
        flow.evolve(Times(0.0, 1.0, 2), scheme="rk4")
    with pytest.raises(InputError, match="convection must be"):
        flow.evolve(Times(0.0, 1.0, 2), convection="explicit")
    with pytest.raises(InputError, match="initial"):
        flow.evolve(Times(0.0, 1.0, 2), (1.0, 0.0, 0.0))
    with pytest.raises(InputError, match="at one time"):
        flow.solve(flow.evolve(Times(0.0, 1.0, 2)).velocity)
    with pytest.raises(InputError, match="observe must return"):
        flow.evolve(Times(0.0, 1.0, 2), observe=lambda f: 1.0)
    with pytest.raises(InputError, match="tolerance"):
        flow.solve(tolerance=0.0)


def test_no_convergence_carries_the_last_good_flow():
    cavity = NavierStokes(Mesh.rectangle(0.25), viscosity=1e-5, velocity=LID)
    with pytest.raises(SolverError, match="of the Reynolds number") as caught:
        cavity.solve(max_iterations=3)
    assert torch.isfinite(caught.value.state.velocity.coefficients).all()
    assert float(caught.value.state.velocity.norm()) > 0.1


def test_values_that_are_not_finite_are_found_at_once():
    def blow_up(x, t):
        return torch.full_like(x, 1e200 if t > 0.25 else 0.0)

    with pytest.raises(SolverError, match=r"t = 0\.3") as caught:
        NavierStokes(Mesh.rectangle(0.5), force=blow_up).evolve(Times(0.0, 0.1, 6))
    assert caught.value.state.time == pytest.approx(0.2)


def _bump(x, i, j):
    """Derivative by y (i = 0, j = 1) or x of x^2 (1 - x)^2 y^2 (1 - y)^2."""
    f = x**2 * (1 - x) ** 2
    slope = 2 * x * (1 - x) * (1 - 2 * x)
    return f[:, 0] * slope[:, 1] if i == 0 else slope[:, 0] * f[:, 1]


def _at(history: Function, space: FunctionSpace, index: int) -> Function:
    return Function(space, history.coefficients[index])
