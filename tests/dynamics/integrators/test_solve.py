"""Integrators on problems with known solutions: accuracy, order, dense output, stiffness, events, guards."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from funcspace.dynamics import Guards
from funcspace.dynamics.catalogue.formula import Formula
from funcspace.dynamics.integrators import solve
from funcspace.dynamics.integrators.batched import integrate_batched
from funcspace.dynamics.integrators.collocation import radau_coefficients
from funcspace.errors import InputError, SolverError

NONE = np.empty((1, 0))


def kepler(t, s):
    """Motion about the origin under the force 1/r^2; (q, p)."""
    x, y, u, v = s
    cube = (x**2 + y**2) ** 1.5
    return [u, v, -x / cube, -y / cube]


def spiral(t, s):
    """x' = A x with eigenvalues -0.2 +- 3i, and a forcing whose integral is known."""
    x, y, _ = s
    return [-0.2 * x - 3.0 * y, 3.0 * x - 0.2 * y, np.cos(t)]


def exact_spiral(t):
    return np.stack([np.exp(-0.2 * t) * np.cos(3 * t), np.exp(-0.2 * t) * np.sin(3 * t), np.sin(t)], axis=-1)


def van_der_pol(t, s, mu=1e3):
    x, y = s
    return [y, mu * ((1 - x**2) * y) - x]


SPIRAL, KEPLER = Formula.traced(spiral, 3, {}), Formula.traced(kepler, 4, {})
START = np.array([[1.0, 0.0, 0.0]])
ELLIPSE = np.array([[0.5, 0.0, 0.0, np.sqrt(3.0)]])  # eccentricity 0.5, period 2 pi


@pytest.mark.parametrize(
    ("method", "tolerance", "bound"),
    [
        ("DOP853", 1e-12, 1e-10),
        ("DOP853", 1e-6, 1e-4),
        ("Tsit5", 1e-9, 1e-7),
        ("Radau", 1e-11, 1e-9),
        ("auto", 1e-12, 1e-10),
    ],
)
def test_adaptive_methods_reach_their_tolerance_at_all_instants(method, tolerance, bound):
    times = np.linspace(0.0, 20.0, 401)
    found = solve(SPIRAL, START, NONE, times, tolerance=tolerance, method=method)
    assert abs(found.values[0] - exact_spiral(times)).max() < bound
    assert found.codes[0] == 0 and found.samples[0] == 401 and found.reached[0] >= 20.0


def test_steps_are_few_and_do_not_depend_on_the_instants():
    coarse = solve(SPIRAL, START, NONE, np.array([0.0, 20.0]), tolerance=1e-10)
    fine = solve(SPIRAL, START, NONE, np.linspace(0.0, 20.0, 5001), tolerance=1e-10)
    assert coarse.steps[0] == fine.steps[0] < 200
    assert (coarse.values[0, -1] == fine.values[0, -1]).all()


@pytest.mark.parametrize("method", ["RK4", "Yoshida"])
def test_methods_of_constant_step_are_of_order_four(method):
    errors = []
    for count in (400, 800):
        found = solve(KEPLER, ELLIPSE, NONE, np.array([0.0, 2 * np.pi]), method=method, step=2 * np.pi / count)
        errors.append(abs(found.values[0, -1] - ELLIPSE[0]).max())
    assert 3.7 < np.log2(errors[0] / errors[1]) < 4.3


def test_the_symplectic_method_keeps_energy_where_runge_kutta_loses_it():
    times = 2 * np.pi * np.arange(0, 201, 10.0)

    def drift(method):
        x, y, u, v = solve(KEPLER, ELLIPSE, NONE, times, method=method, step=2 * np.pi / 200).values[0].T
        energy = 0.5 * (u**2 + v**2) - 1.0 / np.hypot(x, y)
        return abs(energy[-1] - energy[0]), abs(np.diff(energy)).max()

    assert drift("Yoshida")[0] < 1e-6 and drift("RK4")[0] > 5e-5


def test_radau_coefficients_satisfy_the_order_conditions():
    nodes, matrix, gamma, error, lagrange = radau_coefficients(5)
    for k in range(1, 10):
        assert matrix[-1] @ nodes ** (k - 1) == pytest.approx(1.0 / k, rel=1e-12)
    for k in range(1, 6):
        np.testing.assert_allclose(matrix @ nodes ** (k - 1), nodes**k / k, atol=1e-14)
    values = np.array([np.polyval(row, nodes) for row in lagrange])
    np.testing.assert_allclose(values, np.eye(5), atol=1e-10)
    assert np.linalg.eigvals(matrix).real.min() > 0 and gamma > 0 and len(error) == 5


def test_stiffness_is_noticed_and_left_to_the_implicit_method():
    field = Formula.traced(van_der_pol, 2, {"mu": ()})
    start, mu, times = np.array([[2.0, 0.0]]), np.array([[1e3]]), np.array([0.0, 1.0, 20.0])
    found = solve(field, start, mu, times, tolerance=1e-9)
    explicit = solve(field, start, mu, times, tolerance=1e-9, method="DOP853")
    assert found.calls[0] < 0.01 * explicit.calls[0]
    np.testing.assert_allclose(found.values, explicit.values, atol=5e-8)


def test_dense_output_is_as_good_as_the_steps():
    times = np.linspace(0.0, 2 * np.pi, 1001)
    found = solve(KEPLER, ELLIPSE, NONE, times, tolerance=1e-12).values[0]
    x, y, u, v = found.T
    assert abs(0.5 * (u**2 + v**2) - 1.0 / np.hypot(x, y) + 0.5).max() < 1e-10
    assert abs(x * v - y * u - np.sqrt(0.75)).max() < 1e-10


def test_batches_do_not_depend_on_workers_and_take_parameters_by_row():
    field = Formula.traced(lambda t, s, rate=1.0: -rate * s, 1, {"rate": ()})
    rates = np.linspace(0.5, 2.0, 70)[:, None]
    times = np.linspace(0.0, 3.0, 7)
    one = solve(field, np.ones((70, 1)), rates, times, workers=1).values
    many = solve(field, np.ones((70, 1)), rates, times, workers=3).values
    assert (one == many).all()
    np.testing.assert_allclose(one[..., 0], np.exp(-rates * times), atol=1e-8)


def test_what_goes_wrong_is_told():
    escape = Formula.traced(lambda t, s: s**2, 1, {})
    with pytest.raises(SolverError, match=r"trajectory 1 of escape.*ended at time 1 ") as caught:
        solve(escape, np.array([[0.1], [1.0]]), np.empty((2, 0)), np.array([0.0, 2.0]), name="escape")
    assert caught.value.state[0] > 1e9
    with pytest.raises(SolverError, match="max_steps=5"):
        solve(SPIRAL, START, NONE, np.array([0.0, 100.0]), guards=Guards(max_steps=5))
    root = Formula.traced(lambda t, s: -np.sqrt(s), 1, {})
    with pytest.raises(SolverError):
        solve(root, np.ones((1, 1)), NONE, np.array([0.0, 3.0]))
    with pytest.raises(InputError, match="tolerance must lie"):
        solve(SPIRAL, START, NONE, np.array([0.0, 1.0]), tolerance=1.0)
    with pytest.raises(InputError, match="step"):
        solve(SPIRAL, START, NONE, np.array([0.0, 1.0]), method="RK4")
    with pytest.raises(InputError, match="component 1 of trajectory 0 is nan"):
        solve(SPIRAL, np.array([[1.0, np.nan, 0.0]]), NONE, np.array([0.0, 1.0]))
    with pytest.raises(InputError, match="times must increase"):
        solve(SPIRAL, START, NONE, np.array([0.0, 1.0, 1.0]))


@pytest.mark.parametrize("method", ["Tsit5", "RK4"])
def test_the_batched_integrator_is_differentiable_and_agrees(method):
    rate = torch.tensor([0.3, 0.7], dtype=torch.float64, requires_grad=True)
    start = torch.ones(2, 1, dtype=torch.float64)
    times = torch.linspace(0.0, 2.0, 5, dtype=torch.float64)
    found = integrate_batched(lambda t, x: -rate[:, None] * x, start, times, tolerance=1e-9, method=method, step=0.01)
    exact = torch.exp(-rate[:, None] * times)
    torch.testing.assert_close(found[..., 0], exact, rtol=1e-8, atol=1e-9)
    (slope,) = torch.autograd.grad(found[:, -1, 0].sum(), rate)
    torch.testing.assert_close(slope, -2.0 * torch.exp(-2.0 * rate), rtol=1e-7, atol=1e-8)


def test_the_batched_integrator_refuses_what_it_cannot_do():
    start, times = torch.ones(1, 1), torch.tensor([0.0, 2.0])
    with pytest.raises(SolverError, match=r"halt|not finite"):
        integrate_batched(lambda t, x: x**2, start, times)
    with pytest.raises(InputError, match="increase"):
        integrate_batched(lambda t, x: -x, start, times.flip(0))
