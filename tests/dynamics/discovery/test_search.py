"""New systems: equations of skew products, exponents of two orbits against tangent vectors, tests, determinism."""

from __future__ import annotations

import numpy as np
import pytest

import funcspace.dynamics as dynamics
from funcspace.dynamics.discovery.candidate import Mutation, candidate, default_founders, founder
from funcspace.dynamics.discovery.search import discover
from funcspace.dynamics.discovery.selection import Trial, try_candidate
from funcspace.dynamics.discovery.skew_products import rms_flow, skew_product
from funcspace.errors import FileError, InputError, SolverError

FOUNDERS = ("Lorenz", "Rossler", "Duffing")
SHORT = Trial(points=400, periods=10.0, transient=10.0, measured=240.0)


@pytest.fixture(scope="module")
def found():
    return discover(5, seed=3, founders=FOUNDERS, trial=SHORT, workers=1)


def test_a_skew_product_is_what_its_formula_says():
    driver, response = dynamics.system("Lorenz"), dynamics.system("Rossler")
    both = skew_product(driver, response, sources=(2, -1, 0), gains=(0.3, 0.2, 0.1), pace=2.0)
    state = np.random.default_rng(0).standard_normal((5, 6))
    a, b = driver.rhs(state[:, :3]), response.rhs(state[:, 3:])
    expected = np.concatenate([a, 2.0 * (b + np.array([0.3, 0.0, 0.1]) * a[:, [2, 0, 0]])], axis=1)
    np.testing.assert_allclose(both.rhs(state), expected, rtol=1e-13)
    # The driver does not feel the response, and its exponents are exponents of the whole.
    assert (both.jacobian(state)[:, :3, 3:] == 0.0).all()
    changed = both.with_parameters(driver_rho=20.0, pace=1.0)
    assert changed.rhs(state)[0, 1] == pytest.approx(driver.with_parameters(rho=20.0).rhs(state[:, :3])[0, 1])


def test_default_gains_drive_as_hard_as_the_response_moves():
    driver, response = dynamics.system("Lorenz"), dynamics.system("Rossler")
    both = skew_product(driver, response)
    felt = both.parameters["gains"] * rms_flow(driver)
    np.testing.assert_allclose(felt, rms_flow(response), rtol=1e-12)
    assert both.parameters["pace"] == pytest.approx(response.period / driver.period)


def test_the_compiled_pair_is_the_formula():
    for index in range(8):
        made = candidate(index, 7, FOUNDERS, Mutation())
        system = made.system()
        from funcspace.dynamics.integrators.advance import advance

        state, time = made.initial[None].copy(), 0.02 * made.period
        from funcspace.dynamics.discovery._coupled_kernels import coupled

        codes = np.zeros(1)
        advance(
            coupled.address, 0, 1, state, made.packed()[None], np.zeros(1), np.array([time]), 1e-12,
            1e-14 * made.scale, 1e9, 10_000, codes,
        )  # fmt: skip
        expected = system.trajectory(2, dt=time, initial=made.initial).numpy()[1]
        np.testing.assert_allclose(state[0], expected, rtol=1e-8, atol=1e-8 * abs(expected).max())


def test_exponents_of_two_orbits_are_those_of_tangent_vectors(found):
    for i in range(3):
        system = found.system(i)
        assert system.largest_exponent == found.exponents[i]
        exact = system.lyapunov_spectrum(exponents=1, time=400.0 * system.period, seed=1)
        error = float(np.hypot(exact.error[0], found.exponents.error[i]))
        assert abs(found.exponents[i] - exact[0]) < 5.0 * error
        assert exact[0] > 3.0 * exact.error[0]


def test_what_is_not_chaotic_is_rejected():
    quiet = Mutation(jitter=0.0, skew=0.0)
    reasons = {}
    for name in ("Lorenz", "ForcedVanDerPol", "CircadianRhythm", "KawczynskiStrizhak"):
        reasons[name] = try_candidate(candidate(0, 0, (name,), quiet), SHORT).reason
    assert reasons.pop("Lorenz") == "accepted"
    assert set(reasons.values()) <= {"no positive exponent", "regular by the 0-1 test"}
    # Lorenz at rho = 10 settles on a fixed point; far from its attractor the Henon-Heiles flow leaves for infinity.
    base = founder("Lorenz").system
    made = candidate(0, 0, ("Lorenz",), quiet)
    still = type(made)(**{**vars(made), "parameters": (base.with_parameters(rho=10.0).packed, made.parameters[1])})
    assert try_candidate(still, SHORT).reason in ("fixed point", "does not vary")
    free = candidate(0, 0, ("HenonHeiles",), quiet)
    flung = type(free)(**{**vars(free), "initial": np.array([3.0, 3.0, 1.0, 1.0])})
    assert try_candidate(flung, SHORT).reason in ("blown up", "not integrable")


def test_the_same_bytes_for_any_number_of_workers_on_disk_and_resumed(found, tmp_path):
    again = discover(5, seed=3, founders=FOUNDERS, trial=SHORT, workers=3)
    path = tmp_path / "new.zarr"
    discover(2, seed=3, founders=FOUNDERS, trial=SHORT, path=path)
    (path / ".system_000002").mkdir()  # of a process that was killed while it wrote
    stored = discover(5, seed=3, founders=FOUNDERS, trial=SHORT, path=path)
    for other in (again, stored, dynamics.Discovered.load(path)):
        assert other.names == found.names and (other.exponents.value == found.exponents.value).all()
        for one, two in zip(found, other, strict=True):
            assert (one.coefficients == two.coefficients).all() and one.domain.step == two.domain.step
    with pytest.raises(InputError, match=r"other settings \(seed\): seed is 3 there"):
        discover(5, seed=4, founders=FOUNDERS, trial=SHORT, path=path)
    assert discover(1, seed=4, founders=FOUNDERS, trial=SHORT).names != found.names[:1]


def test_trajectories_are_bounded_functions_over_times(found):
    assert len(found[1:3]) == 2 and found[1:3].names == found.names[1:3]
    for i, function in enumerate(found):
        values = function.numpy()
        assert values.shape[0] == 400 and np.isfinite(values).all()
        system = found.system(i)
        assert function.domain.step == pytest.approx(10.0 * system.period / 400)
        # A sample and the next one lie on one orbit; of a phase only its cosine is kept.
        if not system.equations.wrapped:
            on = system.trajectory(2, dt=function.domain.step, initial=values[100]).numpy()[1]
            np.testing.assert_allclose(on, values[101], rtol=1e-6, atol=1e-6 * abs(values).max())
    assert "5 chaotic systems" in repr(found)


def test_bad_input(tmp_path):
    with pytest.raises(InputError, match="whole number of systems"):
        discover(0)
    with pytest.raises(InputError, match="at least one founder"):
        discover(1, founders=())
    with pytest.raises(InputError, match="list of at least one founder; got 'Lorenz'"):
        discover(1, founders="Lorenz")
    with pytest.raises(InputError, match="seed must be a whole number, at least 0; got -1"):
        discover(1, seed=-1)
    with pytest.raises(FileError, match="does not exist"):
        discover(1, founders=FOUNDERS, path=tmp_path / "no" / "such")
    with pytest.raises(InputError, match="Torus cannot be a founder"):
        discover(1, founders=("Torus",))
    with pytest.raises(InputError, match="share between 0 and 1"):
        Mutation(skew=1.5)
    with pytest.raises(InputError, match="at least 100 points"):
        Trial(points=10)
    with pytest.raises(InputError, match="must be a flow with a formula; Henon is not"):
        skew_product(dynamics.system("Lorenz"), dynamics.system("Henon"))
    with pytest.raises(InputError, match="each from 0 to 2 or -1"):
        skew_product(dynamics.system("Lorenz"), dynamics.system("Rossler"), sources=(0, 1, 5))
    with pytest.raises(FileError, match="no discovered systems"):
        dynamics.Discovered.load(tmp_path / "none")
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(FileError, match="other content"):
        discover(1, founders=FOUNDERS, path=tmp_path)
    with pytest.raises(SolverError, match="of 201 candidates only 0 are chaotic"):
        discover(1, founders=("KawczynskiStrizhak",), mutation=Mutation(jitter=0.0, skew=0.0), trial=SHORT)


def test_founders_are_those_that_stay_chaotic():
    names = default_founders()
    assert {"Lorenz", "Rossler", "Duffing", "HyperRossler"} <= set(names)
    assert not {"Torus", "PanXuZhou", "ForcedVanDerPol", "HyperLu", "ArnoldBeltramiChildress"} & set(names)
