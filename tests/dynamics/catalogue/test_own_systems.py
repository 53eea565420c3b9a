"""Systems of one's own: traced, compiled by numba, in torch; and families of any size."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
import torch

from funcspace.dynamics.catalogue import DelaySystem, FieldSystem, system, systems
from funcspace.dynamics.catalogue.compiled_function import CompiledFunction
from funcspace.dynamics.catalogue.field_system import FIELDS
from funcspace.dynamics.catalogue.formula import Formula
from funcspace.dynamics.catalogue.registry import DelayName, FieldName
from funcspace.dynamics.catalogue.torch_field import TorchField
from funcspace.dynamics.integrators.solve import Guards
from funcspace.errors import InputError, SolverError


def helper(x):
    return math.sin(x)


@pytest.mark.parametrize(
    "returned", [lambda a, b: (a, b), lambda a, b: [a, b], lambda a, b: np.array([a, b]), lambda a, b: np.stack([a, b])]
)
def test_lists_tuples_and_arrays_are_traced(returned):
    def rhs(t, state, k=2.0):
        x, v = state
        return returned(v, -k * helper(x))

    s = system(rhs, dimension=2, initial=(0.5, 0.0), name="pendulum", period=4.5)
    assert isinstance(s.equations, Formula) and s.parameters == {"k": 2.0}
    x, v = s.trajectory(200, dt=0.1).numpy().T
    assert np.ptp(0.5 * v**2 - 2.0 * np.cos(x)) < 1e-10
    np.testing.assert_allclose(s.with_parameters(k=3.0).jacobian([0.2, 0.0]), [[0, 1], [-3 * np.cos(0.2), 0]])


def bouncing(t, state, k=40.0):
    """A spring that only pushes: the branch cannot be traced."""
    x, v = state
    force = -k * x if x < 0.0 else 0.0
    total = 0.0
    for _ in range(3):
        total += force / 3.0
    return v, total - 1.0


def test_branches_and_loops_are_compiled_by_numba():
    s = system(bouncing, dimension=2, initial=(1.0, 0.0), name="bouncing")
    assert isinstance(s.equations, CompiledFunction)
    x, v = s.trajectory(400, dt=0.05).numpy().T
    energy = 0.5 * v**2 + x + 20.0 * np.minimum(x, 0.0) ** 2
    assert np.ptp(energy) < 1e-8 and x.min() < -0.1
    np.testing.assert_allclose(s.jacobian([-0.2, 0.3]), [[0, 1], [-40, 0]], atol=1e-7)
    np.testing.assert_allclose(s.with_parameters(k=10.0).jacobian([-0.2, 0.3]), [[0, 1], [-10, 0]], atol=1e-7)
    stiff = s.trajectory(50, dt=0.05, method="Radau", tolerance=1e-9).numpy()
    np.testing.assert_allclose(stiff[:, 0], x[:50], atol=1e-5)
    with pytest.raises(InputError, match="no torch version"):
        s.rhs(torch.zeros(2, dtype=torch.float64))


def test_lyapunov_exponents_of_a_compiled_function_are_those_of_the_traced_one():
    def traced(t, s):
        x, y, z = s
        return 10.0 * (y - x), 28.0 * x - x * z - y, x * y - 8.0 / 3.0 * z

    def branching(t, s):
        x, y, z = s
        if x > 1e9:
            x = 1e9
        return 10.0 * (y - x), 28.0 * x - x * z - y, x * y - 8.0 / 3.0 * z

    spectra = []
    for function in (traced, branching):
        s = system(function, initial=(1.0, 1.0, 20.0), period=0.75)
        spectra.append(s.lyapunov_spectrum(time=200.0, batch=8))
    np.testing.assert_allclose(sum(spectra[1]), sum(spectra[0]), rtol=1e-6)
    assert abs(spectra[0][0] - spectra[1][0]) < 0.2


def test_what_cannot_be_compiled_says_why():
    def unfit(t, state):
        if state[0] > 0:
            return [float(str(float(state[0])))]
        return state

    with pytest.raises(InputError, match="neither traced nor compiled"):
        system(unfit, dimension=1, initial=(1.0,)).trajectory(10, dt=0.1)
    with pytest.raises(InputError, match="returned 3"):
        system(lambda t, s: [1.0, 2.0, 3.0], initial=(1.0, 2.0))
    with pytest.raises(InputError, match="initial="):
        system(lambda t, s: s)
    with pytest.raises(InputError, match="as many components as the system, 3"):
        system(lambda t, s: s, dimension=3, initial=(1.0,))
    with pytest.raises(InputError, match="'k' of the right-hand side has no default"):
        system(lambda t, s, k: s, initial=(1.0,))
    with pytest.raises(InputError, match=r"period of .* is not known; give dt"):
        system(lambda t, s: -s, initial=(1.0,), name="decay").trajectory(10)


def test_torch_functions_are_integrated_in_batches():
    matrix = torch.tensor([[0.0, 1.0], [-1.0, -0.1]], dtype=torch.float64)

    def rhs(t, state):
        return state @ matrix.T

    s = system(rhs, dimension=2, initial=(1.0, 0.0), name="linear", period=2 * math.pi)
    assert isinstance(s.equations, TorchField)
    starts = np.random.default_rng(0).standard_normal((5, 2))
    found = s.trajectory(20, dt=0.3, initial=starts).coefficients
    exact = torch.stack([torch.tensor(starts) @ torch.matrix_exp(0.3 * k * matrix).T for k in range(20)], dim=1)
    torch.testing.assert_close(found, exact, atol=1e-7, rtol=1e-7)
    np.testing.assert_allclose(s.jacobian([0.3, 0.4]), matrix, atol=1e-15)


def test_torch_functions_start_on_their_attractor_in_step_with_time():
    def forced(t, x):
        return torch.cos(t * torch.ones_like(x))

    s = system(forced, initial=(0.0,), period=2 * math.pi)
    assert s.equations.explicit_time
    seeded = s.trajectory(30, dt=0.2, batch=3, seed=0, tolerance=1e-8).numpy()
    late = s.trajectory(30, dt=0.2, transient=2.3, tolerance=1e-8).numpy()[None]
    for found in (seeded, late):
        assert np.abs(np.abs(found).max() - 1.0) < 0.02  # all of them run along sin t
    assert np.ptp(seeded[:, 0]) > 0.1

    def decay(t, x, rate=1.0):
        return -rate * torch.sin(x)

    assert not system(decay, initial=(0.3,)).equations.explicit_time


def test_torch_functions_that_do_not_fit():
    with pytest.raises(InputError, match=r"weights must be float64 too: module\.double"):
        system(TimeBlind(), initial=(1.0, 1.0))
    with pytest.raises(InputError, match=r"maps \(batch, 2\) to the same shape; got \(\)"):
        system(lambda t, x: torch.sum(x), initial=(1.0, 1.0))
    s = system(lambda t, x: torch.ones_like(x) * x, initial=(1.0, 1.0), period=1.0, name="growth")
    with pytest.raises(InputError, match=r"integrated by one of auto, Tsit5, RK4; got method='DOP853'"):
        s.trajectory(3, dt=0.1, method="DOP853")
    with pytest.raises(InputError, match="method 'auto' finds its steps"):
        s.trajectory(3, dt=0.1, step=0.1)
    with pytest.raises(InputError, match="tolerance must lie"):
        s.trajectory(3, dt=0.1, tolerance=-1.0)
    with pytest.raises(SolverError, match=r"trajectory 0 of growth left the bound .* before time 3;"):
        s.trajectory(9, dt=1.0, tolerance=1e-5, guards=Guards(limit=10.0))
    for ask in (
        s.lyapunov_spectrum,
        lambda: s.poincare_section([1.0, 0.0]),
        lambda: s.trajectory(3, dt=0.1, dynamical_noise=0.1),
    ):
        with pytest.raises(InputError, match=r"growth .*need compiled equations"):
            ask()


class TimeBlind(torch.nn.Module):
    """Linear decay with weights of single precision."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 2)

    def forward(self, t, x):
        return -self.linear(x)


def test_a_map_of_ones_own():
    s = system(lambda s, a=1.4, b=0.3: (1 - a * s[0] ** 2 + s[1], b * s[0]), kind="map", initial=(0.1, 0.1))
    ours, theirs = s.trajectory(30).numpy(), system("Henon").with_initial([0.1, 0.1]).trajectory(30).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_time_in_the_equations_is_kept_for_starts_and_transients():
    s = system(lambda t, x: [np.cos(t)], initial=(0.0,), period=2 * math.pi, name="forced")
    np.testing.assert_allclose(s.trajectory(50, dt=0.2).numpy()[:, 0], np.sin(0.2 * np.arange(50)), atol=1e-10)
    for found in (
        s.trajectory(50, dt=0.2, batch=3, seed=0).numpy(),
        s.trajectory(50, dt=0.2, transient=2.3).numpy()[None],
    ):
        assert abs(np.abs(found).max() - 1.0) < 0.02  # all of them run along sin t


def test_lorenz96_of_any_size_keeps_energy_without_force_and_friction():
    s = system("Lorenz96", dimension=30)
    x = np.random.default_rng(0).standard_normal(30)
    advection = s.rhs(x) + x - 8.0
    assert abs(x @ advection) < 1e-12
    np.testing.assert_allclose(s.rhs(np.roll(x, 4)), np.roll(s.rhs(x), 4), rtol=1e-13)
    np.testing.assert_allclose(s.rhs(np.full(30, 8.0)), 0.0, atol=1e-12)
    four = system("Lorenz96", dimension=4).with_parameters(f=20.0)
    np.testing.assert_allclose(four.rhs([1.0, 2.0, 3.0, 4.0]), system("Lorenz96").rhs([1.0, 2.0, 3.0, 4.0]))
    with pytest.raises(InputError, match="at least 4 sites"):
        system("Lorenz96", dimension=3)


def test_two_scale_lorenz96_conserves_energy_in_the_exchange():
    s = system("TwoScaleLorenz96", dimension=66)
    x = np.random.default_rng(0).standard_normal(66)
    slow, fast = x[:6], x[6:]
    f, c = s.parameters["f"], s.parameters["c"]
    # All that is neither force nor friction conserves the sum of squares.
    drift = s.rhs(x) + np.concatenate([slow - f, c * fast])
    assert abs(x @ drift) < 1e-10
    assert s.trajectory(20, dt=0.05, seed=0).coefficients.shape == (20, 66)
    with pytest.raises(InputError, match="TwoScaleLorenz96 has K"):
        system("TwoScaleLorenz96", dimension=50)


def test_a_torch_function_takes_a_parameter_for_each_trajectory():
    def decay(t, x, rate=1.0):
        return -(rate * x[:, 0])[:, None] * torch.ones_like(x)

    runs_of = system(decay, dimension=1, initial=(1.0,), name="decay")
    rates = np.array([1.0, 2.0])
    runs = runs_of.trajectory(5, dt=0.5, parameters={"rate": rates}, initial=np.ones((2, 1)), tolerance=1e-10)
    exact = np.exp(-rates[:, None] * 0.5 * np.arange(5))
    np.testing.assert_allclose(runs.coefficients[..., 0].numpy(), exact, rtol=1e-8)


def test_overloads_name_the_systems_they_speak_of():
    for names, known, kind in ((FieldName, FIELDS, FieldSystem), (DelayName, systems("delay"), DelaySystem)):
        assert get_args(names) == known
        assert all(isinstance(system(name), kind) for name in known)


def test_what_is_no_number_is_refused_by_name():
    def rhs(t, state, rate=1.0):
        return -rate * state

    given = {"initial": (1.0, 0.0), "period": 1.0}
    for changed, message in (
        ({"initial": "abc"}, "the initial state must be numbers; got 'abc'"),
        ({"scale": "big"}, "the scale must be numbers; got 'big'"),
        ({"period": "long"}, "the period of rhs must be numbers; got 'long'"),
    ):
        with pytest.raises(InputError, match=message):
            system(rhs, **{**given, **changed})
    ours = system(rhs, **given)
    with pytest.raises(InputError, match="initial states of rhs must be numbers"):
        ours.trajectory(3, dt=0.1, initial="abc")
    with pytest.raises(InputError, match="the initial state of rhs must be numbers"):
        ours.with_initial("abc")
    with pytest.raises(InputError, match="states of rhs must be numbers"):
        ours.rhs("abc")
    with pytest.raises(InputError, match="parameter 'rate' of rhs must be numbers"):
        ours.trajectory(3, dt=0.1, parameters={"rate": "fast"})
    with pytest.raises(InputError, match="parameter 'mode' of the right-hand side must be a number or an array"):
        system(lambda t, state, mode="x": state, **given)


@pytest.mark.parametrize("wrong", [lambda state: state, lambda t, state: ("a", "b")])
def test_a_function_that_is_no_right_hand_side_is_refused_at_once(wrong):
    with pytest.raises(InputError, match=r"arguments of rhs\(t, state\) and return 2 numbers"):
        system(wrong, initial=(1.0, 0.0))
    with pytest.raises(InputError, match="must return 2 numbers"):
        system(lambda t, state: None, initial=(1.0, 0.0))


@pytest.mark.parametrize("method", ["DOP853", "Tsit5"])
def test_jumps_at_late_times_are_passed_and_sliding_along_one_is_reported(method):
    # the time of the jump is known to 1e-13, and no step across it has an error within the tolerance
    switched = system(lambda t, x: [1.0, np.sign(x[0]) - x[1]], dimension=2, initial=[-1000.0, -1.0], name="switched")
    end = switched.trajectory(102, dt=10.0, method=method, tolerance=1e-14).coefficients[-1].ravel()
    assert float(end[1]) == pytest.approx(1.0 - 2.0 * math.exp(-10.0), abs=1e-11)
    sliding = system(lambda t, x: [-np.sign(x[0])], dimension=1, initial=[1.0], name="sliding")
    with pytest.raises(SolverError, match="a jump of the right-hand side"):
        sliding.trajectory(100, dt=0.05, method=method)


def decaying(t, x):
    return [-0.05 * (x[0] - math.sin(t))]


def test_starts_of_driven_systems_lie_on_the_attractor():
    """|x| is at most 0.05 in the end; from 100 it takes many periods to come there."""
    driven = system(decaying, initial=[100.0], period=2 * math.pi)
    assert driven.equations.explicit_time
    found = driven.trajectory(50, dt=0.3, seed=0, batch=40, noise=0.1)
    assert abs(found.numpy()).max() < 0.25
    still = driven.trajectory(3000, initial=[0.0], transient=50, standardise=True)
    assert still.numpy().std() == pytest.approx(1.0, abs=0.15)
    # rows go on from their own times: the phase of the response tells it
    times, rows = 0.3 * np.arange(50), driven.trajectory(50, dt=0.3, seed=1, batch=3).numpy()[..., 0]
    for row in rows:
        basis = np.stack([np.sin(times), np.cos(times)], axis=1)
        weights = np.linalg.lstsq(basis, row, rcond=None)[0]
        assert np.hypot(*weights) == pytest.approx(0.05 / math.hypot(1.0, 0.05), rel=0.2)


def test_functions_that_branch_lose_their_start():
    def lorenz(t, x):
        if x[2] > 1e9:
            return [0.0, 0.0, 0.0]
        return [10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 8 / 3 * x[2]]

    orbit = system(lorenz, initial=[500.0] * 3, period=0.75).reference_orbit[0]
    np.testing.assert_allclose(orbit.std(axis=0), [7.9, 9.0, 8.7], rtol=0.05)


def test_a_pulse_comes_at_its_time():
    def pulse(t, x):
        return torch.ones_like(x) * (1.0 if t >= 2 else 0.0)

    found = system(pulse, initial=[0.0], period=1.0).trajectory(3, dt=1.0, transient=3.0)
    np.testing.assert_allclose(found.numpy()[:, 0], [1.0, 2.0, 3.0], atol=1e-6)
