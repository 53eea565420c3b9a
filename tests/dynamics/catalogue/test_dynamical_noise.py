"""Flows with dynamical noise: strong orders, stationary laws, correlated sources, seeds, bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from funcspace.dynamics.catalogue import system
from funcspace.dynamics.catalogue.dynamical_noise import diffusion_of
from funcspace.dynamics.integrators.solve import Guards
from funcspace.dynamics.integrators.stochastic import solve_stochastic
from funcspace.errors import InputError, SolverError


def growth(t, x, rate=0.5):
    return rate * x


def relative(t, x):
    return 0.8 * x


GROWTH = system(growth, initial=[1.0], name="growth", period=1.0)


def along(increments: np.ndarray, diffusion, coarse: int) -> np.ndarray:
    """Ends at time 1 of GROWTH for Wiener increments (paths, steps, 1), `coarse` of them added up to one."""
    paths, steps, _ = increments.shape
    summed = increments.reshape(paths, steps // coarse, coarse, 1).sum(axis=2)
    return solve_stochastic(
        GROWTH.equations.field_address,
        diffusion,
        np.ones((paths, 1)),
        np.full((paths, 1), 0.5),
        origins=np.zeros(paths),
        spacing=1.0,
        count=2,
        step=coarse / steps,
        transient=0.0,
        increments=lambda row, part, h: lambda count: summed[row],
        limits=np.full(1, 1e9),
    )[:, 1, 0]


@pytest.mark.parametrize(("method", "order"), [("EulerMaruyama", 0.5), ("Milstein", 1.0)])
def test_strong_orders_on_geometric_brownian_motion(method, order):
    paths, steps = 2000, 256
    increments = np.random.default_rng(0).standard_normal((paths, steps, 1)) / np.sqrt(steps)
    exact = np.exp(0.5 - 0.5 * 0.8**2 + 0.8 * increments.sum(axis=(1, 2)))
    diffusion = diffusion_of(GROWTH, relative, method)
    assert diffusion.milstein == (method == "Milstein")
    coarse = np.array([1, 2, 4, 8, 16])
    errors = [np.abs(along(increments, diffusion, c) - exact).mean() for c in coarse]
    slope = np.polyfit(np.log(coarse), np.log(errors), 1)[0]
    assert abs(slope - order) < 0.08, errors


def test_a_plain_loop_does_the_same():
    def rhs(t, state, a=1.2):
        x, v = state
        return v, -a * x - 0.3 * v + 0.1 * np.sin(t)

    def noise(t, state, a):
        return 0.2 * state[0] + t, a * np.cos(state[1])

    s = system(rhs, dimension=2, initial=(0.3, -0.2), name="driven")
    x = s.trajectory(6, dt=0.1, dynamical_noise=noise, seed=4, initial=(0.3, -0.2), step=0.02).numpy()
    seed = np.random.SeedSequence(np.random.SeedSequence(4).entropy, spawn_key=(0, 2)).spawn(2)[1]
    h = 0.02
    dw = np.sqrt(h) * np.random.Generator(np.random.PCG64(seed)).standard_normal((25, 2))
    state, expected = np.array([0.3, -0.2]), [np.array([0.3, -0.2])]
    for n in range(25):
        t, (a, b) = n * h, state
        f = np.array([b, -1.2 * a - 0.3 * b + 0.1 * np.sin(t)])
        g, slope = np.array([0.2 * a + t, 1.2 * np.cos(b)]), np.array([0.2, -1.2 * np.sin(b)])
        state = state + h * f + g * dw[n] + 0.5 * g * slope * (dw[n] ** 2 - h)
        if n % 5 == 4:
            expected.append(state)
    np.testing.assert_allclose(x, expected, rtol=1e-12)


def test_stationary_law_of_ornstein_and_uhlenbeck():
    # dx = -a x dt + s dW has variance s^2 / (2 a) and correlation exp(-a t)
    s = system(lambda t, x, a=1.5: -a * x, initial=[0.0], name="ou", period=1.0)
    x = s.trajectory(
        400, dt=0.2, batch=200, initial=np.zeros((200, 1)), transient=4.0, dynamical_noise=0.6, step=0.01, seed=1
    ).numpy()[..., 0]
    variance = 0.6**2 / 3.0
    assert abs(x.var() - variance) < 0.02 * variance
    assert abs((x[:, 1:] * x[:, :-1]).mean() / variance - np.exp(-0.3)) < 0.02
    assert abs(x.mean()) < 0.02 * np.sqrt(variance) and abs((x**4).mean() / variance**2 - 3.0) < 0.15


def test_a_matrix_correlates_the_components():
    s = system(lambda t, x: (0.0 * x[0], 0.0 * x[1]), dimension=2, initial=(0.0, 0.0), name="walk")
    matrix = np.array([[1.0, 0.5, 0.0], [0.0, 1.0, -2.0]])
    options = {"dt": 1.0, "batch": 1, "initial": (0.0, 0.0), "step": 0.5, "seed": 2}
    x = s.trajectory(20_001, dynamical_noise=matrix, **options).numpy()[0]
    np.testing.assert_allclose(np.cov(np.diff(x, axis=0).T), matrix @ matrix.T, atol=0.15)
    by_function = s.trajectory(
        20_001, dynamical_noise=lambda t, state: [[1.0, 0.5, 0.0], [0.0 * state[0], 1.0, -2.0]], **options
    ).numpy()[0]
    np.testing.assert_allclose(by_function, x, atol=1e-9)
    by_array = s.trajectory(5, dynamical_noise=[0.3, 0.3], **options).numpy()
    np.testing.assert_array_equal(by_array, s.trajectory(5, dynamical_noise=0.3, **options).numpy())


def test_without_noise_it_is_the_flow_and_samples_depend_on_seed_and_number_alone():
    lorenz = system("Lorenz")
    flow = lorenz.trajectory(20, seed=3).numpy()
    still = lorenz.trajectory(20, seed=3, dynamical_noise=0.0, step=2e-5).numpy()
    np.testing.assert_allclose(still, flow, atol=1e-2)
    many = lorenz.trajectory(50, seed=3, batch=5, dynamical_noise=2.0, transient=1.0, workers=2)
    few = lorenz.trajectory(20, seed=3, batch=2, dynamical_noise=2.0, transient=1.0, workers=1)
    assert torch.equal(many.coefficients[:2, :20], few.coefficients)
    assert not torch.equal(many.coefficients[0], many.coefficients[1])
    other = lorenz.trajectory(20, seed=4, batch=2, dynamical_noise=2.0, transient=1.0)
    assert not torch.equal(other.coefficients, few.coefficients)


def test_parameters_and_time_reach_the_noise():
    s = system(lambda t, x, sigma=0.0: 0.0 * x, initial=[0.0], name="walk", period=1.0)
    sigma = np.array([0.5, 2.0])
    x = s.trajectory(
        4001, dt=0.1, parameters={"sigma": sigma}, initial=[0.0], seed=0, step=0.1,
        dynamical_noise=lambda t, state, sigma: sigma * (1.0 + 0.0 * state),
    ).numpy()[..., 0]  # fmt: skip
    np.testing.assert_allclose(np.diff(x).std(axis=1), sigma * np.sqrt(0.1), rtol=0.05)
    late = s.trajectory(3, dt=1.0, initial=[0.0], seed=0, step=0.1, dynamical_noise=lambda t, y: [np.maximum(t - 1, 0)])
    assert late.numpy()[1, 0] == 0.0 != late.numpy()[2, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dynamical_noise": [1.0, 2.0]}, r"an array \(3,\), a matrix \(3, sources\)"),
        ({"dynamical_noise": np.nan}, "must be finite"),
        ({"dynamical_noise": "strong"}, "must be numbers or a function"),
        ({"dynamical_noise": lambda t, x: x[:2]}, "must return 3 entries"),
        ({"dynamical_noise": lambda t, x, zeta: x}, "takes 'zeta', which is no parameter of Lorenz"),
        ({"dynamical_noise": lambda t, x: x if x[0] > 0 else -x}, "cannot be traced"),
        ({"dynamical_noise": lambda t, x: x[[1, 2, 0]], "method": "Milstein"}, "entry 0 of .* depends on component 1"),
        ({"dynamical_noise": lambda t, x: [[x[0]], [x[1]], [x[2]]], "method": "Milstein"}, "needs diagonal noise"),
        ({"dynamical_noise": 1.0, "method": "RK4"}, "with dynamical_noise, method must be one of auto, EulerMaruyama"),
        ({"dynamical_noise": 1.0, "step": -1.0}, "step must be positive"),
        ({"method": "Milstein"}, "method must be one of auto, DOP853"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(InputError, match=message):
        system("Lorenz").trajectory(5, seed=0, **options)


def test_what_cannot_be_driven():
    with pytest.raises(InputError, match="Henon is a map"):
        system("Henon").trajectory(5, dynamical_noise=0.1)
    inside = system(lambda t, x: -torch.sin(x), dimension=1, initial=(1.0,), name="inside")
    with pytest.raises(InputError, match="need compiled equations"):
        inside.trajectory(5, dt=0.1, dynamical_noise=0.1)
    with pytest.raises(SolverError, match=r"trajectory 0 of Lorenz left its bounds at time .* smaller step"):
        system("Lorenz").trajectory(50, seed=0, dynamical_noise=1e3, guards=Guards(limit=5.0))


def test_the_clock_of_autonomous_systems_starts_at_zero():
    still = system(lambda t, x: [0 * x[0]], initial=[0.0], period=1.0)
    found = still.trajectory(
        3, dt=1.0, batch=200, seed=0, dynamical_noise=lambda t, x: np.where(t > 2.0, 1.0, 0.0), step=0.01
    )
    assert abs(found.numpy()).max() == 0.0
