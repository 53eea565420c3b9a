"""The chaos database: equations held to dysts, exact Jacobians, corrections, and none of the traps of dysts."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from funcspace.dynamics.catalogue import system, systems
from funcspace.dynamics.catalogue.dysts_equations import database, names
from funcspace.errors import InputError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    flows = pytest.importorskip("dysts.flows")
    maps = pytest.importorskip("dysts.maps")

FLOWS, MAPS = systems("flow"), systems("map")


def states(s, count=4):
    """The initial state and others near it, on the side of the domain where the equations make sense."""
    noise = 0.02 * np.random.default_rng(1).standard_normal((count, s.dimension))
    noise[0] = 0.0
    return s.initial * (1.0 + noise) + 0.001 * noise


def test_counts_and_filters():
    assert len(FLOWS) == 129 and len(MAPS) == 23 and len(names("delay")) == 6
    assert systems("flow", dimension=10) == ("MacArthur",)
    assert len(systems("flow", nonautonomous=True)) == 15
    assert "HenonHeiles" in systems(hamiltonian=True)


@pytest.mark.parametrize("name", FLOWS)
def test_right_hand_side_is_that_of_dysts(name):
    ours, theirs = system(name, corrected=False), getattr(flows, name)()
    with np.errstate(all="ignore"):
        expected = np.array([np.asarray(theirs.rhs(x, 0.3), dtype=float) for x in states(ours)])
    found = ours.rhs(states(ours), 0.3)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12 * abs(expected).max())
    in_torch = ours.rhs(torch.tensor(states(ours)), 0.3)
    np.testing.assert_allclose(in_torch, found, rtol=1e-11, atol=1e-12 * abs(expected).max())


@pytest.mark.parametrize("name", [name for name in MAPS if name != "BlinkingVortexMap"])
def test_maps_are_those_of_dysts(name):
    ours, theirs = system(name, kind="map"), getattr(maps, name)()
    expected = theirs.rhs(np.array([x for x in states(ours) * 0.99]))
    np.testing.assert_allclose(ours.rhs(states(ours) * 0.99), np.reshape(expected, (4, -1)), rtol=1e-12, atol=1e-13)


def test_the_blinking_vortex_map_solves_keplers_equation():
    ours, theirs = system("BlinkingVortexMap"), maps.BlinkingVortexMap()
    for r, angle in [(0.17, 0.33), (0.4, 1.0), (0.2, -0.7)]:
        expected = np.ravel(theirs._rhs(r, angle, *theirs.param_list))
        np.testing.assert_allclose(ours.rhs([r, angle]), expected, rtol=1e-7)


@pytest.mark.parametrize("name", FLOWS)
def test_jacobian_is_that_of_central_differences(name):
    s = system(name)
    x = states(s)[1]
    exact, size = s.jacobian(x, 0.3), np.clip(abs(x), np.asarray(s.scale) * 1e-3, np.asarray(s.scale))
    assert s.divergence(x, 0.3) == pytest.approx(np.trace(exact), rel=1e-12, abs=1e-300)
    columns = []
    for j in range(s.dimension):
        slopes = []
        for h in (1e-4, 5e-5):
            step = np.zeros(s.dimension)
            step[j] = h * size[j]
            slopes.append((s.rhs(x + step, 0.3) - s.rhs(x - step, 0.3)) / (2 * step[j]))
        columns.append((4.0 * slopes[1] - slopes[0]) / 3.0)  # Richardson: the error is of fourth order
    numeric = np.stack(columns, axis=1)
    np.testing.assert_allclose(exact * size, numeric * size, rtol=2e-5, atol=3e-7 * abs(exact * size).max())


def test_parameters_change_the_dynamics_and_are_taken_by_name():
    s = system("Lorenz")
    changed = s.with_parameters(sigma=5.0)
    assert changed.rhs([1.0, 3.0, 0.0])[0] == 10.0 and s.rhs([1.0, 3.0, 0.0])[0] == 20.0
    # One name of several, in any order; alphabetical order would confuse sigma with rho.
    assert dict(changed.parameters) == {"beta": 2.667, "rho": 28.0, "sigma": 5.0}
    both = s.with_parameters(sigma=5.0, beta=1.0)
    assert both.rhs([1.0, 3.0, 2.0]).tolist() == [10.0, 23.0, 1.0]
    with pytest.raises(TypeError):
        s.parameters["sigma"] = 3.0  # type: ignore[index]
    with pytest.raises(InputError, match="unknown parameter 'gamma' of Lorenz; there are beta, rho, sigma"):
        s.with_parameters(gamma=1.0)
    with pytest.raises(InputError, match=r"'w' of BeerRNN must have shape \(3, 3\); got \(3,\)"):
        system("BeerRNN").with_parameters(w=[1.0, 2.0, 3.0])
    with pytest.raises(InputError, match="must be finite"):
        s.with_parameters(rho=np.nan)


def test_the_global_generator_is_left_alone():
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    system("Lorenz").trajectory(50, seed=3, noise=0.1)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_samples_are_spaced_exactly_and_are_the_state_not_postprocessed():
    s = system("Duffing")
    found = s.trajectory(301, points_per_period=100)
    assert found.domain.step == pytest.approx(s.period / 100, rel=1e-15)
    phase = found.coefficients[:, 2].numpy()
    np.testing.assert_allclose(phase, s.initial[2] + s.parameters["omega"] * found.domain.instants.numpy(), rtol=1e-9)
    shown = s.trajectory(301, points_per_period=100, wrapped=True).coefficients
    np.testing.assert_allclose(shown[:, 2], np.cos(phase), atol=1e-12)
    assert (shown[:, :2] == found.coefficients[:, :2]).all()


def test_the_double_pendulum_conserves_volume_and_energy():
    s, wrong = system("DoublePendulum"), system("DoublePendulum", corrected=False)
    x = np.random.default_rng(0).uniform(-2.0, 2.0, (200, 4))
    assert s.corrected and s.hamiltonian and abs(s.divergence(x)).max() < 1e-10 < 0.1 < abs(wrong.divergence(x)).max()

    def energy(y):
        g, l1, l2, m1, m2 = (s.parameters[k] for k in ("g", "l1", "l2", "m1", "m2"))
        a, b, p, q = np.moveaxis(y, -1, 0)
        kinetic = m2 * l2**2 * p**2 + (m1 + m2) * l1**2 * q**2 - 2 * m2 * l1 * l2 * p * q * np.cos(a - b)
        kinetic /= 2 * m2 * l1**2 * l2**2 * (m1 + m2 * np.sin(a - b) ** 2)
        return kinetic - (m1 + m2) * g * l1 * np.cos(a) - m2 * g * l2 * np.cos(b)

    along = energy(s.trajectory(1000, points_per_period=20).numpy())
    assert np.ptp(along) < 1e-8 * abs(along).max()
    assert np.ptp(energy(wrong.trajectory(1000, points_per_period=20).numpy())) > 0.1


def test_windmi_takes_a_root_and_stays_real():
    s, wrong = system("WindmiReduced"), system("WindmiReduced", corrected=False)
    i, v, p = 0.7, 3.0, 4.0
    b1, b2, b3 = (s.parameters[k] for k in ("b1", "b2", "b3"))
    assert s.rhs([i, v, p])[1] == pytest.approx(b1 * i - b2 * 2.0 - b3 * v, rel=1e-14)
    assert s.rhs([i, v, 9.0])[1] != pytest.approx(wrong.rhs([i, v, 9.0])[1])
    assert np.isfinite(s.trajectory(20_000, points_per_period=10).numpy()).all()


def test_dry_friction_is_continuous_and_else_the_same():
    s, wrong = system("StickSlipOscillator"), system("StickSlipOscillator", corrected=False)
    x = np.array([[0.3, -0.2, 1.0], [0.1, 0.7, 2.0]])
    np.testing.assert_allclose(s.rhs(x), wrong.rhs(x), rtol=1e-14)
    assert s.rhs([0.3, s.parameters["vs"], 1.0])[1] == pytest.approx(wrong.rhs([0.3, s.parameters["vs"], 1.0])[1])
    assert np.isfinite(s.trajectory(5000, seed=1).numpy()).all()


def test_flags():
    assert system("HenonHeiles").hamiltonian
    for name in ("NuclearQuadrupole", "SwingingAtwood", "ArnoldWeb", "HenonHeiles"):
        s = system(name)
        assert abs(s.divergence(states(s))).max() < 1e-12
    assert system("Duffing").nonautonomous and not system("Lorenz").nonautonomous
    assert system("Lorenz96").dimension == 4 and system("Lorenz96", dimension=40).parameters["f"] == 8.0


def test_a_dysts_object_gives_its_own_parameters():
    model = flows.Lorenz(parameters={"beta": 2.0, "rho": 20.0, "sigma": 9.0})
    ours = system(model)
    np.testing.assert_allclose(ours.rhs([1.0, 2.0, 3.0]), model.rhs(np.array([1.0, 2.0, 3.0]), 0.0))


def test_unknown_names_are_met_with_the_nearest():
    with pytest.raises(InputError, match="unknown system 'Lorentz'; did you mean Lorenz"):
        system("Lorentz")
    with pytest.raises(InputError, match=r"did you mean .*Rossler"):
        system("rossler")
    with pytest.raises(InputError, match="delay equation"):
        system("MackeyGlass", kind="map")
    with pytest.raises(InputError, match="Lorenz is a flow, no map"):
        system("Lorenz", kind="map")
    with pytest.raises(InputError, match="dimension must be a whole number"):
        system("Lorenz96", dimension=4.5)
    with pytest.raises(InputError, match="has dimension 3; got dimension=4"):
        system("Lorenz", dimension=4)
    with pytest.raises(InputError, match="unknown kind 'chaos'"):
        system("Lorenz", kind="chaos")
    with pytest.raises(InputError, match="by its name or a function, not by int"):
        system(3)


def test_descriptions_for_people():
    s = system("Lorenz")
    assert repr(s) == "System 'Lorenz': flow of dimension 3, beta=2.667, rho=28, sigma=10"
    assert "Lorenz, Edward" in s._repr_html_() and "sigma" in s._repr_html_()
    assert s.variables == ("x", "y", "z") and database()["Lorenz"]["period"] == s.period
