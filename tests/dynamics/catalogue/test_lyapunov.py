"""Lyapunov spectra: published values, sums equal to divergences, symmetry of Hamiltonian systems, linear systems."""

from __future__ import annotations

import numpy as np
import pytest

from funcspace.dynamics.catalogue import system, systems
from funcspace.errors import InputError, SolverError


@pytest.mark.parametrize(
    ("name", "published", "bound"),
    [
        ("Lorenz", (0.9056, 0.0, -14.572), 0.02),
        ("Rossler", (0.0714, 0.0, -5.394), 0.02),
        ("Henon", (0.419, -1.623), 0.006),
        ("Logistic", (0.4945,), 0.006),  # r = 3.9
    ],
)
def test_published_spectra(name, published, bound):
    s = system(name)
    if name == "Lorenz":
        s = s.with_parameters(beta=8.0 / 3.0)
    found = s.lyapunov_spectrum(seed=0)
    for value, error, expected in zip(found, found.error, published, strict=True):
        assert abs(value - expected) < max(bound, 4.0 * error)
    assert found.error.max() < 0.02


def test_lorenz96_of_forty_sites():
    found = system("Lorenz96", dimension=40).lyapunov_spectrum(exponents=2, time=1500.0, seed=0)
    assert 1.6 < found[0] < 1.76 and found.error[0] < 0.05


@pytest.mark.parametrize("name", systems("flow"))
def test_exponents_add_up_to_the_mean_divergence(name):
    s = system(name)
    found = s.lyapunov_spectrum(time=60 * s.period, batch=3, seed=1)
    assert abs(sum(found) - found.details["mean_divergence"]) < 1e-3 * abs(found.value).max() + 1e-12
    assert (np.diff(found.value) <= 0).all()


def test_exponents_of_a_hamiltonian_system_come_in_pairs():
    found = system("DoublePendulum").lyapunov_spectrum(time=1000 * system("DoublePendulum").period, seed=0)
    np.testing.assert_allclose(found.value, -found.value[::-1], atol=5e-3)
    assert found[0] > 0.3


def test_a_linear_system_has_its_eigenvalues():
    s = system(lambda t, x: [-x[0] + 5.0 * x[1], -2.0 * x[1]], initial=(1.0, 1.0), period=1.0)
    found = s.lyapunov_spectrum(time=100.0, batch=2)
    np.testing.assert_allclose(found.value, [-1.0, -2.0], atol=0.02)


def test_spectra_are_the_same_for_any_number_of_workers():
    s = system("Rossler")
    one = s.lyapunov_spectrum(time=600.0, seed=2, workers=1)
    two = s.lyapunov_spectrum(time=600.0, seed=2, workers=2)
    assert (one.value == two.value).all() and (one.error == two.error).all()
    assert not (s.lyapunov_spectrum(time=600.0, seed=3).value == one.value).any()


def test_bad_requests():
    s = system("Lorenz")
    with pytest.raises(InputError, match="has 3 Lyapunov exponents; got exponents=4"):
        s.lyapunov_spectrum(exponents=4)
    with pytest.raises(InputError, match="at least two orbits"):
        s.lyapunov_spectrum(batch=1)
    with pytest.raises(InputError, match="time must be positive"):
        s.lyapunov_spectrum(time=-1.0)
    with pytest.raises(InputError, match="time must be positive; got long"):
        s.lyapunov_spectrum(time="long")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="exponents must be a whole number"):
        s.lyapunov_spectrum(exponents=1.5)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="batch must be a whole number"):
        s.lyapunov_spectrum(batch="many")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="tolerance must lie"):
        s.lyapunov_spectrum(tolerance=-1.0)
    with pytest.raises(InputError, match="seed must be a whole number"):
        s.lyapunov_spectrum(seed=-1)
    with pytest.raises(SolverError):
        system(lambda t, x: x**3, initial=(1.0,), period=1.0).lyapunov_spectrum()
