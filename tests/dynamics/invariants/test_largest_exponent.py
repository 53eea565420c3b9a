"""Largest exponents from data: maps and flows whose exponents are known, and motion that has none."""

from __future__ import annotations

import numpy as np
import pytest

import funcspace as fs
from funcspace.dynamics import metrics as m
from funcspace.errors import InputError
from tests.dynamics.orbits import henon, logistic, shared_series


@pytest.mark.parametrize(
    ("series", "known"), [(henon(8000), 0.419), (logistic(6000), np.log(2))], ids=["henon", "logistic"]
)
def test_maps(series, known):
    rosenstein = m.rosenstein_exponent(series)
    assert float(rosenstein) == pytest.approx(known, rel=0.04)
    assert rosenstein.error < 0.05 * known
    assert float(m.wolf_exponent(series, evolve=1)) == pytest.approx(known, rel=0.04)


def test_lorenz_recording():
    series = shared_series("lorenz63_test.npz")[:20_000]
    exponent = m.rosenstein_exponent(series, step=0.01)
    assert exponent.details["transverse"]
    assert float(exponent) == pytest.approx(0.906, abs=0.08)
    assert float(m.wolf_exponent(series, evolve=10, step=0.01)) == pytest.approx(0.906, rel=0.25)


@pytest.mark.parametrize("dt, length", [(0.01, 5000), (0.02, 2000)])
def test_short_series_of_a_flow(dt, length):
    lorenz = fs.dynamics.system("Lorenz")
    found = [float(m.rosenstein_exponent(lorenz.trajectory(length, dt=dt, seed=seed))) for seed in range(16)]
    assert np.median(found) == pytest.approx(0.906, rel=0.15)
    np.testing.assert_allclose(found, 0.906, rtol=0.45)  # none of them takes the plateau for the rise


def test_unit_of_time_and_batches():
    pair = np.stack([henon(2000), henon(2000) * 3.0 + 1.0])
    fine = m.rosenstein_exponent(pair, step=0.1)
    single = m.rosenstein_exponent(pair[0])
    np.testing.assert_allclose(fine.value, 10 * float(single), rtol=1e-6)
    assert fine.shape == (2,) and len(fine.details["each"]) == 2
    np.testing.assert_allclose(
        m.wolf_exponent(pair, 1, step=0.1).value, 10 * float(m.wolf_exponent(pair[0], 1)), rtol=1e-6
    )


def test_periodic_orbit_has_none():
    angle = 0.1 * np.arange(4000)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    assert abs(float(m.rosenstein_exponent(circle, step=0.1))) < 0.005
    assert abs(float(m.wolf_exponent(circle, 10, step=0.1))) < 0.01


def test_fit_over_a_given_region():
    exponent = m.rosenstein_exponent(henon(5000), region=(2.0, 8.0))
    assert exponent.details["region"] == (2.0, 8.0)
    times, curve = exponent.details["times"], exponent.details["curve"]
    assert float(exponent) == pytest.approx(np.polyfit(times[2:9], curve[2:9], 1)[0], rel=1e-10)


def test_bad_input():
    with pytest.raises(InputError, match="at least 200"):
        m.rosenstein_exponent(henon(100))
    with pytest.raises(InputError, match="does not vary"):
        m.rosenstein_exponent(np.ones((500, 2)))
    with pytest.raises(InputError, match="horizon"):
        m.rosenstein_exponent(henon(500), horizon=400)
    with pytest.raises(InputError, match="evolve"):
        m.wolf_exponent(henon(500), 0)
    with pytest.raises(InputError, match="stretches have a neighbour"):
        m.wolf_exponent(np.random.default_rng(0).normal(size=(300, 8)), 1, largest=1e-3, smallest=0.0)
    with pytest.raises(InputError, match="smallest"):
        m.wolf_exponent(henon(500), 1, smallest=1.0, largest=0.1)
