"""Delay systems of the database and of one's own: equations, accuracy, starts, embedding, exponents, bad input."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.special import lambertw

from funcspace.dynamics.catalogue import DelaySystem, system, systems
from funcspace.dynamics.catalogue.delay_equations import CompiledDelayFunction
from funcspace.dynamics.catalogue.delay_trajectory import histories_on_attractor
from funcspace.dynamics.invariants import kaplan_yorke_dimension
from funcspace.errors import InputError

NAMES = systems("delay")


def test_the_six_of_the_database():
    assert NAMES == ("IkedaDelay", "MackeyGlass", "PiecewiseCircuit", "ScrollDelay", "SprottDelay", "VossDelay")
    assert set(NAMES) < set(systems()) and systems("delay", dimension=1) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_right_hand_sides_are_those_of_dysts(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import dysts.flows

    theirs, ours = getattr(dysts.flows, name)(), system(name)
    states = np.random.default_rng(0).uniform(0.1, 1.5, (7, 2))
    expected = [theirs._rhs(x, e, 0.0, *theirs.param_list) for x, e in states]
    found = ours.rhs(states[:, :1], states[:, 1:])
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-13)
    inside = ours.rhs(torch.from_numpy(states[:, :1]), torch.from_numpy(states[:, 1:]))
    np.testing.assert_allclose(inside.numpy(), found, rtol=1e-13)
    again = system(theirs)
    assert again.parameters == ours.parameters and again.initial == ours.initial


def by_scipy(delayed: DelaySystem, times: np.ndarray) -> np.ndarray:
    """The solution at times by scipy, one delay after the other, its dense output being the past of the next."""
    tau, p, start, rhs = delayed.parameters["tau"], delayed.packed, delayed.initial, delayed.equations.evaluate

    def constant(t):
        return start

    earlier, x, found, t = constant, start, np.empty(len(times)), 0.0
    while t < times[-1]:
        done = solve_ivp(
            lambda s, y, before=earlier: rhs(y, before(s - tau)[None], s, p),
            (t, t + tau), x, method="DOP853", rtol=1e-11, atol=1e-12, dense_output=True,
        )  # fmt: skip
        inside = (times >= t) & (times <= t + tau)
        found[inside] = done.sol(times[inside])[0]
        earlier, x, t = done.sol, done.y[:, -1], t + tau
    return found


@pytest.mark.parametrize("name", ["IkedaDelay", "MackeyGlass", "SprottDelay", "VossDelay"])
def test_an_independent_integration_agrees(name):
    delayed = system(name)
    tau = delayed.parameters["tau"]
    x = delayed.trajectory(41, dt=tau / 20).numpy()[:, 0]
    expected = by_scipy(delayed, tau / 20 * np.arange(41))
    np.testing.assert_allclose(x, expected, atol=1e-8 * float(delayed.scale[0]))


@pytest.mark.parametrize("name", NAMES)
def test_one_period_equals_a_reference(name):
    delayed = system(name)
    x = delayed.trajectory(101).numpy()
    reference = delayed.trajectory(101, tolerance=1e-14).numpy()
    assert np.abs(x - reference).max() < 1e-8 * float(delayed.scale[0])
    assert x[0, 0] == delayed.initial[0]


def test_histories_on_the_attractor_continue_its_solution():
    delayed = system("MackeyGlass")
    one, many = delayed.trajectory(50, seed=3, batch=1), delayed.trajectory(50, seed=3, batch=4, workers=2)
    assert torch.equal(one.coefficients[0], many.coefficients[0])
    assert torch.equal(many.coefficients, delayed.trajectory(50, seed=3, batch=4, workers=1).coefficients)
    assert not torch.equal(many.coefficients[0], many.coefficients[1])
    # the first states lie on the long solution, and so do the following ones
    reach = np.array([16.0, 16.0])
    pieces, _ = histories_on_attractor(delayed, np.random.SeedSequence(3).entropy, reach)
    np.testing.assert_allclose(pieces[1](np.zeros(1))[0, 0], many.numpy()[1, 0, 0], rtol=1e-12)
    orbit = delayed.reference_pieces
    first, last = orbit.knots[0, 0], orbit.knots[-1].sum()
    assert last - first > 250 * delayed.period
    times = np.linspace(first + 20.0, first + 60.0, 81)
    history = orbit.before(times[0], 16.0)
    again = delayed.trajectory(81, dt=0.5, initial=lambda t: history(np.array([t]))[0]).numpy()
    np.testing.assert_allclose(again[:, 0], orbit(times)[:, 0], atol=1e-7)


def test_embedding_is_the_past():
    delayed = system("PiecewiseCircuit")
    tau = delayed.parameters["tau"]
    x = delayed.trajectory(40, dt=tau / 9, seed=1, embedding=10).numpy()
    assert x.shape == (40, 10)
    np.testing.assert_allclose(x[9:, 0], delayed.trajectory(40, dt=tau / 9, seed=1).numpy()[9:, 0], rtol=1e-12)
    for lag in range(10):
        np.testing.assert_allclose(x[lag:, lag], x[: 40 - lag, 0], atol=1e-9)


def test_parameters_differ_from_trajectory_to_trajectory():
    delayed = system("MackeyGlass")
    taus = np.array([6.0, 13.0, 17.0])
    many = delayed.trajectory(60, dt=1.0, parameters={"tau": taus}, initial=[0.9]).numpy()
    for tau, x in zip(taus, many, strict=True):
        one = delayed.with_parameters(tau=tau).with_initial([0.9]).trajectory(60, dt=1.0).numpy()
        np.testing.assert_array_equal(one, x)
    both = delayed.trajectory(5, dt=1.0, initial=lambda t: np.array([[1.0], [0.5 + 0.01 * t]])).numpy()
    np.testing.assert_allclose(
        both[1], delayed.trajectory(5, dt=1.0, initial=lambda t: 0.5 + 0.01 * t).numpy(), rtol=1e-12
    )


def test_noise_and_standardisation():
    delayed = system("VossDelay")
    plain = delayed.trajectory(400, seed=2).numpy()
    noisy = delayed.trajectory(400, seed=2, noise=0.1).numpy()
    mean, deviation = delayed.reference_orbit[0].mean(0), delayed.reference_orbit[0].std(0)
    np.testing.assert_allclose((noisy - plain).std(), 0.1 * deviation[0], rtol=0.1)
    standard = delayed.trajectory(400, seed=2, standardise=True).numpy()
    np.testing.assert_allclose(standard * deviation + mean, plain, atol=1e-12)


def test_functions_that_branch_are_compiled():
    def relay(t, x, earlier, strength=1.0):
        if earlier[0] > 0.0:
            return [-strength]
        return [strength]

    s = system(relay, initial=[0.25], delays=(1.0,), period=4.0)
    assert isinstance(s.equations, CompiledDelayFunction)
    # a triangle of period 4: it falls until one delay after its zero
    x = s.trajectory(17, dt=0.5, tolerance=1e-6).numpy()[:, 0]
    phase = np.mod(0.5 * np.arange(17) - 1.25, 4.0)
    np.testing.assert_allclose(x[3:], np.where(phase < 2.0, phase - 1.0, 3.0 - phase)[3:], atol=1e-4)
    np.testing.assert_array_equal(s.rhs(np.array([0.0]), np.array([2.0])), [-1.0])
    with pytest.raises(InputError, match="need derivatives"):
        s.lyapunov_spectrum()


def test_a_function_that_asks_for_types_is_not_mistaken():
    def rhs(t, x, earlier):
        return -earlier if isinstance(x[0], float) else earlier

    s = system(rhs, initial=[1.0], delays=(1.0,))
    assert isinstance(s.equations, CompiledDelayFunction)


def test_exponents_of_a_linear_equation_are_its_characteristic_roots():
    a, b, tau = -0.3, -1.2, 1.5
    linear = system(lambda t, x, earlier: a * x + b * earlier, initial=[1.0], delays=(tau,))
    found = linear.lyapunov_spectrum(time=3000.0, exponents=6, batch=2)
    branches = np.arange(-6, 6)
    roots = a + lambertw(b * tau * np.exp(-a * tau), branches) / tau
    np.testing.assert_allclose(found.value, np.sort(roots.real)[::-1][:6], atol=3e-3)


def test_exponents_with_two_components_and_two_delays():
    # uncoupled: z = -1 + 0.5 exp(-z), and z = -0.4 + 0.1 exp(-2 z), both with one real root far to the right
    def rhs(t, state, one, two):
        return -state[0] + 0.5 * one[0], -0.4 * state[1] + 0.1 * two[1]

    linear = system(rhs, dimension=2, initial=[1.0, 1.0], delays=(1.0, 2.0))
    found = linear.lyapunov_spectrum(time=400.0, exponents=2, batch=2)
    first, second = -1.0 + lambertw(0.5 * np.e).real, -0.4 + lambertw(0.2 * np.exp(0.8)).real / 2.0
    np.testing.assert_allclose(found.value, sorted([first, second], reverse=True), atol=1e-3)


def test_exponents_of_mackey_glass():
    """Farmer, Physica D 4 (1982): a = 0.2, b = 0.1, c = 10 and tau = 23 have the largest exponent 0.0096."""
    blood = system("MackeyGlass").with_parameters(tau=23.0)
    spectrum = blood.lyapunov_spectrum(time=60_000.0, exponents=3, seed=1)
    assert abs(spectrum[0] - 0.0095) < 0.0009
    assert abs(spectrum[1]) < max(1e-4, 4 * spectrum.error[1])
    assert spectrum[2] < -0.009 and 2.5 < float(kaplan_yorke_dimension(spectrum.value)) < 3.1


def test_the_default_of_mackey_glass_is_a_cycle():
    """The database annotates tau = 16 with the exponent 0.073; its solution is periodic."""
    blood = system("MackeyGlass")
    spectrum = blood.lyapunov_spectrum(time=60_000.0, exponents=2, batch=4)
    assert abs(spectrum[0]) < 5e-4 and spectrum[1] < -0.006
    x = blood.trajectory(40_000, dt=0.05, transient=2000.0).numpy()[:, 0]
    inner = x[1:-1]
    peaks = np.sort(inner[(inner > x[:-2]) & (inner > x[2:])])
    assert np.count_nonzero(np.diff(peaks) > 1e-3) < 10
    with pytest.raises(InputError, match="has no Lyapunov time"):
        blood.trajectory(10, points_per_lyapunov_time=10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"delays": ()}, "at least one"),
        ({"delays": (0.0,)}, "delay 0 of .* must be positive; it is 0"),
        ({"delays": ("lag",)}, "unknown parameter 'lag'"),
        ({"delays": (1.0, 2.0)}, "and 2 earlier states before its parameters"),
        ({"delays": (1.0,), "initial": None}, "needs initial"),
        ({"delays": (1.0,), "dimension": 2}, "as many components as the system, 2"),
        ({"delays": (1.0,), "initial": [np.inf]}, "must be finite"),
        ({"delays": (1.0,), "period": -1.0}, "period"),
        ({"delays": (None,)}, "delay 0 of rhs must be a number or the name of a parameter; got None"),
        ({"delays": (1.0,), "scale": [1.0, 2.0]}, r"has 1 components; its scale has shape \(2,\)"),
        ({"delays": (1.0,), "scale": np.nan}, "scale of rhs must be positive and finite"),
    ],
)
def test_bad_systems(arguments, message):
    def rhs(t, x, earlier, rate=1.0):
        return -rate * earlier

    with pytest.raises(InputError, match=message):
        system(rhs, **{"initial": [1.0], **arguments}).trajectory(3, dt=0.1)


def test_bad_use():
    delayed = system("MackeyGlass")
    with pytest.raises(InputError, match="no flow"):
        system("MackeyGlass", kind="flow")
    with pytest.raises(InputError, match="unknown parameter 'taw'"):
        delayed.with_parameters(taw=3.0)
    with pytest.raises(InputError, match="delay 0 of MackeyGlass must be positive"):
        delayed.with_parameters(tau=-3.0)
    with pytest.raises(InputError, match="1 delays; got 2 earlier"):
        delayed.rhs(np.zeros(1), np.zeros(1), np.zeros(1))
    with pytest.raises(InputError, match=r"has states \(..., 1\); got shapes \(3,\), \(2,\)"):
        delayed.rhs(np.zeros(3), np.zeros(2))
    with pytest.raises(InputError, match="exponents must be from 1 to 40"):
        delayed.lyapunov_spectrum(exponents=41)
    with pytest.raises(InputError, match="exponents must be a whole number"):
        delayed.lyapunov_spectrum(exponents=1.5)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="seed must be a whole number"):
        delayed.trajectory(3, seed=-1)
    with pytest.raises(InputError, match="guards must be"):
        delayed.trajectory(3, guards=3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="at least two"):
        delayed.lyapunov_spectrum(batch=1)
    with pytest.raises(InputError, match="must be numbers or a function of time"):
        delayed.trajectory(3, initial=["half", "full"])
    with pytest.raises(InputError, match="is longer than the solution"):
        delayed.trajectory(3, seed=0, parameters={"tau": 1e6})
    with pytest.raises(InputError, match="numpy, not with torch"):
        system(lambda t, x, earlier: torch.sin(earlier), initial=[1.0], delays=(1.0,))
    with pytest.raises(InputError, match="needs delays="):
        system(lambda t, x, earlier=0.0: -x, initial=[1.0], kind="delay")
    with pytest.raises(InputError, match="for functions only"):
        system("MackeyGlass", delays=(3.0,))
    with pytest.raises(TypeError, match="no sequence"):
        list(delayed)


def test_shown():
    assert repr(system("VossDelay")) == "DelaySystem 'VossDelay': delay equation of dimension 1, alpha=3.24, tau=13.28"
    s = system(lambda t, x, e: -e, initial=[1.0], delays=(1.5,), name="mine")
    assert repr(s) == "DelaySystem 'mine': delay equation of dimension 1, delays 1.5"
    assert "<td>tau</td><td>13.28</td>" in system("VossDelay")._repr_html_()
    assert system("VossDelay").annotations.dysts["maximum_lyapunov_estimated"] > 0
    assert not system("VossDelay").with_parameters(tau=3.0).annotations.dysts  # that is another system
