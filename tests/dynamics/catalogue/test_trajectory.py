"""Trajectories: against tight references, determinism, batches, starts, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from funcspace.dynamics import Guards
from funcspace.dynamics.catalogue import system, systems
from funcspace.errors import InputError, SolverError


@pytest.mark.parametrize("name", systems("flow"))
def test_one_period_equals_a_tight_reference(name):
    """To 1e-8 of the scale; in InteriorSquirmer roundings alone grow to that in a period."""
    s = system(name)
    found = s.trajectory(101).numpy()
    reference = s.trajectory(101, tolerance=1e-14, method="DOP853").numpy()
    assert abs((found - reference) / s.scale).max() < (1e-6 if name == "InteriorSquirmer" else 1e-8)


@pytest.mark.parametrize("name", ["LiuChen", "ThomasLabyrinth", "InteriorSquirmer"])
def test_an_independent_method_agrees_where_errors_grow_most(name):
    s = system(name)
    implicit = s.trajectory(101, tolerance=1e-13, method="Radau").numpy()
    assert abs((s.trajectory(101).numpy() - implicit) / s.scale).max() < (1e-6 if name == "InteriorSquirmer" else 1e-8)


def test_small_components_count():
    """An orbit that starts beside an invariant line leaves it along what is small there."""
    s = system("LiuChen")
    assert abs(s.initial[1:] / s.scale[1:]).max() < 1e-9
    coarse = s.trajectory(101, tolerance=1e-12).numpy()  # with tolerances in scales alone, it is off by 1e-6
    implicit = s.trajectory(101, tolerance=1e-13, method="Radau").numpy()
    assert abs((coarse - implicit) / s.scale).max() < 2e-8


@pytest.mark.parametrize("name", ["Lorenz", "Halvorsen", "HyperRossler", "MacArthur", "CircadianRhythm"])
def test_an_independent_method_agrees(name):
    s = system(name)
    explicit = s.trajectory(101, tolerance=1e-12).numpy()
    implicit = s.trajectory(101, tolerance=1e-12, method="Radau").numpy()
    assert abs((explicit - implicit) / s.scale).max() < 1e-8


def test_sample_i_depends_on_the_seed_and_i_alone():
    s = system("Rossler")
    many = s.trajectory(50, batch=7, seed=3, noise=0.1, workers=2)
    few = s.trajectory(50, batch=4, seed=3, noise=0.1, workers=1)
    assert many.coefficients.shape == (7, 50, 3)
    assert (many.coefficients[:4] == few.coefficients).all()
    assert (s.trajectory(50, seed=3, noise=0.1).coefficients == few.coefficients[0]).all()
    other = s.trajectory(50, batch=4, seed=4, noise=0.1)
    assert not (other.coefficients == few.coefficients).any()
    assert len({tuple(row) for row in many.coefficients[:, 0].tolist()}) == 7


def test_starts_lie_on_the_attractor():
    """The Lorenz attractor has a surface-like cross-section: z is nearly a function of x and y."""
    s = system("Lorenz")
    starts = s.trajectory(1, batch=300, seed=0).numpy()[:, 0]
    orbit = s.reference_orbit[0]
    nearest = np.array([np.linalg.norm(orbit - x, axis=1).min() for x in starts])
    assert np.quantile(nearest, 0.99) < 2.0  # neighbours along the orbit are up to that far apart
    assert np.linalg.norm(starts.mean(axis=0) - orbit.mean(axis=0)) < 3.0


def test_transients_continue_the_same_orbit():
    s = system("Lorenz")
    whole = s.trajectory(201, points_per_period=100)
    part = s.trajectory(101, points_per_period=100, transient=1.0)
    np.testing.assert_allclose(part.coefficients, whole.coefficients[100:], atol=1e-8)
    assert part.domain.start == 0.0
    henon = system("Henon")
    assert (henon.trajectory(10, transient=5).coefficients == henon.trajectory(15).coefficients[5:]).all()


def test_maps_iterate_exactly():
    s = system("Logistic")
    x = s.trajectory(100).numpy()[:, 0]
    y = [0.51]
    for _ in range(99):
        y.append(3.9 * y[-1] * (1 - y[-1]))
    np.testing.assert_allclose(x[:20], y[:20], rtol=1e-10)
    assert s.trajectory(10).domain.step == 1.0
    assert (s.trajectory(10, dt=3).numpy()[:, 0] == x[:30:3]).all()


def test_parameters_by_trajectory():
    s = system("Lorenz")
    rho = np.array([0.5, 10.0, 28.0])
    found = s.trajectory(4001, dt=0.01, parameters={"rho": rho}, initial=[1.0, 1.0, 1.0]).numpy()
    assert found.shape == (3, 4001, 3)
    assert abs(found[0, -1]).max() < 1e-6  # below rho = 1 everything falls to the origin
    c = np.sqrt(2.667 * 9.0)
    np.testing.assert_allclose(abs(found[1, -1]), [c, c, 9.0], rtol=1e-5)  # the fixed points
    one = s.with_parameters(rho=10.0).trajectory(4001, dt=0.01, initial=[1.0, 1.0, 1.0]).numpy()
    assert (one == found[1]).all()


def test_standardised_and_noisy_samples():
    s = system("Rossler")
    plain = s.trajectory(20_000, seed=1).numpy()
    standard = s.trajectory(20_000, seed=1, standardise=True).numpy()
    assert abs(standard.mean(axis=0)).max() < 0.1 and abs(standard.std(axis=0) - 1.0).max() < 0.15
    noisy = s.trajectory(20_000, seed=1, noise=0.05).numpy()
    np.testing.assert_allclose((noisy - plain).std(axis=0), 0.05 * s.reference_orbit[0].std(axis=0), rtol=0.03)


def test_lyapunov_times_are_measured_not_read():
    s = system("Rossler")  # annotated 0.15, in truth 0.07
    step = s.trajectory(10, points_per_lyapunov_time=30).domain.step
    assert 30 * step == pytest.approx(1.0 / 0.0714, rel=0.1)
    with pytest.raises(InputError, match="has no Lyapunov time"):
        system("Torus").trajectory(10, points_per_lyapunov_time=30)


def test_poincare_section_of_the_harmonic_oscillator_and_of_lorenz():
    oscillator = system(lambda t, s: [s[1], -s[0]], initial=(0.0, 1.0), period=2 * np.pi)
    times, states = oscillator.poincare_section([1.0, 0.0], count=5, direction=-1)
    np.testing.assert_allclose(times, np.pi + 2 * np.pi * np.arange(5), atol=1e-9)
    np.testing.assert_allclose(states, np.tile([0.0, -1.0], (5, 1)), atol=1e-9)
    times, states = system("Lorenz").poincare_section([0.0, 0.0, 1.0], 27.0, count=50, seed=0)
    assert abs(states[:, 2] - 27.0).max() < 1e-9 and (np.diff(times) > 0.3).all()
    assert (system("Lorenz").rhs(states)[:, 2] > 0).all()
    with pytest.raises(SolverError, match="crossed the plane 0 times"):
        system("Lorenz").poincare_section([0.0, 0.0, 1.0], 1000.0, count=1)


def test_conserved_energy_by_the_symplectic_method():
    s = system("HenonHeiles")
    x, y, p, q = s.trajectory(2000, dt=1.0, method="Yoshida", step=0.05).numpy().T
    energy = 0.5 * (p**2 + q**2 + x**2 + y**2) + x**2 * y - y**3 / 3
    assert np.ptp(energy) < 1e-5 * abs(energy[0])
    with pytest.raises(InputError, match="halves"):
        system("Lorenz").trajectory(10, method="Yoshida", step=0.01)


def test_divergence_is_reported_never_returned():
    s = system(lambda t, x: x**2 - 1.0, initial=(0.0,), name="escape", period=1.0)
    with pytest.raises(SolverError, match=r"trajectory 2 of escape \(and 1 more of 4\).*ended at time") as caught:
        s.trajectory(1000, initial=[[0.0], [0.5], [2.0], [3.0]])
    assert np.isfinite(caught.value.state).all()
    with pytest.raises(SolverError, match=r"\|x\| <= 1 scale"):
        system("Lorenz").trajectory(1000, guards=Guards(limit=1.0))
    with pytest.raises(SolverError, match=r"Henon.*iterations"):
        system("Henon").trajectory(100, initial=[10.0, 10.0])


def test_orbits_that_escape_in_the_end_still_give_starts():
    s = system("HyperLu")
    orbit, _ = s.reference_orbit
    assert np.isfinite(orbit).all() and abs(orbit / s.scale).max() < 1e3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dt": 0.1, "points_per_period": 10}, "give one of"),
        ({"dt": -1.0}, "dt must be a positive number"),
        ({"initial": [1.0, 2.0]}, "initial must be a state"),
        ({"initial": [[1.0, 2.0, 3.0]] * 3, "batch": 2}, "number of trajectories is not clear"),
        ({"batch": 0}, "batch must be"),
        ({"tolerance": 0.1}, "tolerance must lie"),
        ({"method": "Euler"}, "method must be one of"),
        ({"tolerance": "low"}, "tolerance must lie"),
        ({"noise": -0.1}, "noise must be a number that is not negative"),
        ({"noise": [0.1, 0.1, 0.1]}, "noise must be a number"),
        ({"transient": "long"}, "transient must be a number"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"seed": "one"}, "seed must be a whole number"),
        ({"workers": 0}, "workers must be a whole number"),
        ({"guards": 3}, "guards must be fs.dynamics.Guards"),
        ({"step": -1.0}, "method 'auto' finds its steps"),
        ({"method": "RK4", "step": "short"}, "give a positive step"),
        ({"points_per_period": True}, "must be a positive number"),
        ({"parameters": 3}, "given by name"),
        ({"initial": torch.ones(3, requires_grad=True)}, "must carry no gradient"),
        ({"parameters": {"rhoo": 1.0}}, "unknown parameter 'rhoo'"),
        ({"parameters": {"rho": [1.0, 2.0], "sigma": [1.0, 2.0, 3.0]}}, "agree in its length"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(InputError, match=message):
        system("Lorenz").trajectory(10, **options)


def test_bad_counts_and_states():
    s = system("Lorenz")
    with pytest.raises(InputError, match="whole number of instants"):
        s.trajectory(0)
    with pytest.raises(InputError, match=r"states \(..., 3\); got shape \(2,\)"):
        s.rhs([1.0, 2.0])
    with pytest.raises(InputError, match="iterations apart"):
        system("Henon").trajectory(10, points_per_period=3)
    with pytest.raises(InputError, match="whole number of iterations"):
        system("Henon").trajectory(10, dt=1.5)
    with pytest.raises(InputError, match="transient must be a whole number of iterations"):
        system("Henon").trajectory(10, transient=1.5)
    with pytest.raises(InputError, match="Henon is a map, which is iterated"):
        system("Henon").trajectory(10, method="RK4", step=0.1)
    with pytest.raises(InputError, match="limit must be a positive number"):
        Guards(limit=0.0)
    with pytest.raises(InputError, match="max_steps must be a whole number"):
        Guards(max_steps=1.5)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="longest must be a positive time"):
        s.poincare_section([0.0, 0.0, 1.0], 27.0, longest=-1.0)
    with pytest.raises(InputError, match="the normal of the plane must be numbers"):
        s.poincare_section("z", 27.0)


def test_functions_carry_names_and_gradients_flow_in_torch():
    s = system("Lorenz")
    found = s.trajectory(10)
    assert found.name == "Lorenz" and found.space.components == ("x", "y", "z")
    x = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64, requires_grad=True)
    rows = torch.stack([torch.autograd.grad(s.rhs(x)[i], x)[0] for i in range(3)])
    torch.testing.assert_close(rows, torch.tensor(s.jacobian([1.0, 2.0, 3.0])))
