"""The method of steps: exact solutions, breaking points, continuous extension, order, several delays, failures."""

from __future__ import annotations

from math import factorial

import numpy as np
import pytest

from funcspace.dynamics.catalogue import system
from funcspace.dynamics.catalogue.delay_history import Pieces, fitted_pieces
from funcspace.dynamics.integrators.delay import breaking_points
from funcspace.dynamics.integrators.solve import Guards
from funcspace.errors import InputError, SolverError


def before(t, x, earlier):
    return -earlier


def by_steps(t: float) -> float:
    """The solution of x'(t) = -x(t - 1) with x = 1 up to 0: a polynomial of degree n on [n - 1, n]."""
    return sum((-1) ** k * (t - (k - 1)) ** k / factorial(k) for k in range(int(t) + 2) if t >= k - 1)


def test_piecewise_polynomials_are_exact():
    delayed = system(before, initial=[1.0], delays=(1.0,))
    x = delayed.trajectory(200, dt=0.0631, tolerance=1e-12).numpy()[:, 0]
    np.testing.assert_allclose(x, [by_steps(0.0631 * k) for k in range(200)], rtol=0, atol=1e-13)


def test_error_follows_the_tolerance():
    # cos solves x'(t) = -x(t - pi / 2) and is its history
    delayed, errors = system(before, initial=np.cos, delays=(np.pi / 2,)), []
    times, tolerances = 0.37 * np.arange(160), 10.0 ** -np.arange(5, 14)
    for tolerance in tolerances:
        x = delayed.trajectory(160, dt=0.37, tolerance=float(tolerance)).numpy()[:, 0]
        errors.append(np.abs(x - np.cos(times)).max())
    assert all(error < 20 * tolerance for error, tolerance in zip(errors, tolerances, strict=True))
    assert errors[0] > 1e4 * errors[-1]


def oscillation(z: complex, delay: float):
    """x' = -c x(t - delay) for a complex x that has the solution exp(z t), as real components."""
    c = -z * np.exp(z * delay)
    real, imaginary = float(c.real), float(c.imag)

    def rhs(t, x, earlier):
        a, b = earlier
        return imaginary * b - real * a, -imaginary * a - real * b

    def history(t):
        value = np.exp(z * t)
        return [value.real, value.imag]

    return system(rhs, initial=history, delays=(delay,))


def test_errors_fall_with_the_step_to_the_power_eight():
    # no step is longer than the delay, which a loose tolerance leaves to be the step
    errors, z = [], -0.4 + 2.0j
    for delay in (0.4, 0.2, 0.1):
        x = oscillation(z, delay).trajectory(2, dt=4.0, tolerance=1e-2).numpy()[1]
        errors.append(abs(x[0] + 1j * x[1] - np.exp(4.0 * z)))
    rates = np.log2(np.array(errors[:-1]) / errors[1:])
    assert (rates > 7.0).all() and errors[-1] < 1e-10


def test_several_delays_time_and_parameters():
    # x = sin t solves x' = a (x(t - 1) - sin(t - 1)) + b (x(t - 0.3) - sin(t - 0.3)) + cos t
    def rhs(t, x, one, other, a=-0.7, b=0.4):
        return a * (one - np.sin(t - 1.0)) + b * (other - np.sin(t - 0.3)) + np.cos(t)

    delayed = system(rhs, initial=np.sin, delays=(1.0, 0.3))
    x = delayed.trajectory(100, dt=0.17).numpy()[:, 0]
    np.testing.assert_allclose(x, np.sin(0.17 * np.arange(100)), atol=1e-11)


def test_without_the_delayed_term_it_is_dop853():
    def lorenz(t, state):
        x, y, z = state
        return 10.0 * (y - x), x * (28.0 - z) - y, x * y - 2.667 * z

    flow = system(lorenz, initial=(1.0, 2.0, 3.0)).trajectory(200, dt=0.02, tolerance=1e-13).numpy()
    delayed = system(lambda t, state, _: lorenz(t, state), initial=(1.0, 2.0, 3.0), delays=(0.4,))
    np.testing.assert_allclose(delayed.trajectory(200, dt=0.02, tolerance=1e-13).numpy(), flow, atol=1e-9)


def test_breaking_points_are_sums_of_delays():
    np.testing.assert_allclose(breaking_points(np.array([2.0]), 100.0), 2.0 * np.arange(1, 9))
    found = breaking_points(np.array([0.1, 0.3]), 0.85)
    np.testing.assert_allclose(found, 0.1 * np.arange(1, 9), rtol=1e-12)


def test_a_kink_of_the_history_costs_no_accuracy():
    # x'(t) = -x(t - 1) on [0, 1] is a quadrature of the history |t + 0.4|
    delayed = system(before, initial=lambda t: abs(t + 0.4), delays=(1.0,))
    x = delayed.trajectory(11, dt=0.1).numpy()[:, 0]
    t = 0.1 * np.arange(11)
    integral = np.where(t < 0.6, 0.6 * t - t**2 / 2, 0.18 + (t - 0.6) ** 2 / 2)
    np.testing.assert_allclose(x, 0.4 - integral, atol=1e-11)


def test_pieces_reproduce_polynomials_and_shift():
    def polynomial(t):
        return np.stack([t**7 - t, 1.0 + t**3], axis=-1)

    pieces = fitted_pieces(polynomial, 2.0, np.ones(2), "p")
    assert len(pieces.knots) == 1
    times = np.linspace(-2.0, 0.0, 33)
    np.testing.assert_allclose(pieces(times), polynomial(times), atol=1e-12)
    fine = fitted_pieces(lambda t: np.sin(9.0 * t)[:, None], 3.0, np.ones(1), "sine")
    shifted = fine.before(-0.7, 1.1)
    assert isinstance(shifted, Pieces) and shifted.knots[0, 0] <= -1.1
    times = np.linspace(-1.1, 0.0, 50)
    np.testing.assert_allclose(shifted(times)[:, 0], np.sin(9.0 * (times - 0.7)), atol=1e-12)


def test_failures_are_reported():
    explosive = system(lambda t, x, earlier: x * x + 0.0 * earlier, initial=[1.0], delays=(0.5,), name="explosive")
    with pytest.raises(SolverError, match=r"trajectory 0 of explosive .* ended at time (0\.99|1)"):
        explosive.trajectory(10, dt=0.5)
    slow = system(before, initial=[1.0], delays=(1e-3,), name="slow")
    with pytest.raises(SolverError, match="max_steps=50"):
        slow.trajectory(10, dt=0.5, guards=Guards(max_steps=50))
    root = system(lambda t, x, earlier: -np.sqrt(x - 0.5) - 1.0 + 0.0 * earlier, initial=[1.0], delays=(1.0,))
    with pytest.raises(SolverError, match=r"not finite|resolution of time"):
        root.trajectory(10, dt=0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"initial": [1.0, 2.0]}, r"history must be a state \(1,\)"),
        ({"initial": lambda t: [1.0, 2.0]}, r"at -1 it gave shape \(2,\)"),
        ({"initial": [np.nan]}, "must be finite"),
        ({"initial": lambda t: np.log(-0.5 - t) if t < -0.5 else np.nan}, "must be finite"),
        ({"tolerance": 1.0}, "tolerance must lie between"),
        ({"embedding": 0}, "embedding must be a whole number"),
        ({"embedding": True}, "embedding must be a whole number"),
        ({"batch": 0}, "batch must be a whole number"),
        ({"transient": -1.0}, "transient must be a number that is not negative"),
        ({"initial": [[1.0], [2.0]], "batch": 3}, "number of trajectories is not clear"),
    ],
)
def test_bad_input(options, message):
    delayed = system(before, initial=[1.0], delays=(1.0,))
    with pytest.raises(InputError, match=message):
        delayed.trajectory(5, dt=0.1, **options)
