"""Correlation sums against brute force, and dimensions that are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from funcspace.dynamics import metrics as m
from funcspace.errors import InputError
from tests.dynamics.orbits import henon, lorenz, shared_series


@pytest.mark.parametrize("window", [0, 3, 40])
def test_sum_counts_all_pairs(window):
    points = np.random.default_rng(0).normal(size=(300, 3)) * [1.0, 5.0, 0.1]
    radii, share = m.correlation_sum(points, theiler=window, largest=3.0)
    distances = squareform(pdist(points / points.std(axis=0)))[np.triu_indices(300, 1 + window)]
    np.testing.assert_allclose(share, [(distances < r).mean() for r in radii], rtol=1e-12)


def test_sum_does_not_depend_on_what_keeps_distances():
    points = np.random.default_rng(0).normal(size=(500, 3))
    q = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    options = {"theiler": 0, "largest": 1.0, "standardise": False}
    radii, share = m.correlation_sum(points, **options)
    for image in (points[::-1], points @ q, points + 10.0):
        again = m.correlation_sum(image, **options)
        np.testing.assert_allclose(np.interp(radii, *again), share, rtol=1e-2)


def test_circle():
    angle = 2 * np.pi * np.random.default_rng(0).random(20_000)
    dimension = m.correlation_dimension(np.stack([np.cos(angle), np.sin(angle)], axis=-1))
    assert float(dimension) == pytest.approx(1.0, abs=0.03)
    assert dimension.error < 0.03


def test_henon_map():
    assert float(m.correlation_dimension(henon(30_000))) == pytest.approx(1.22, abs=0.03)


def test_lorenz_attractor():
    orbits = lorenz()
    dimension = m.correlation_dimension(orbits.reshape(-1, 3), theiler=10)
    assert float(dimension) == pytest.approx(2.05, abs=0.03)
    each = m.correlation_dimension(orbits[:4])
    assert each.shape == (4,)
    np.testing.assert_array_less(np.abs(each.value - 2.05), 3 * each.error + 0.03)


def test_lorenz_attractor_from_one_component():
    series = shared_series("lorenz63_test.npz")[::2, 0]
    states = m.delay_embedding(series, 5, lag=8)
    assert float(m.correlation_dimension(states)) == pytest.approx(2.05, abs=0.05)


def test_cantor_set_and_cube():
    generator = np.random.default_rng(0)
    cantor = (generator.integers(0, 2, (10_000, 30)) * 2 * 3.0 ** -np.arange(1, 31)).sum(axis=1)
    assert float(m.correlation_dimension(cantor)) == pytest.approx(np.log(2) / np.log(3), abs=0.03)
    cube = m.correlation_dimension(generator.random((10_000, 3)))
    assert abs(float(cube) - 3.0) < 2 * cube.error + 0.05


def test_units_and_copies_do_not_matter():
    points = henon(5000)
    dimension = float(m.correlation_dimension(points))
    assert float(m.correlation_dimension(points * [1e-3, 40.0] + 7.0)) == pytest.approx(dimension, abs=1e-3)
    rounded = float(m.correlation_dimension(points.round(6)))
    assert rounded == pytest.approx(dimension, abs=0.05)
    constant = np.column_stack([points, np.ones(5000)])
    assert float(m.correlation_dimension(constant)) == pytest.approx(dimension, abs=1e-6)


def test_window_removes_the_orbit_itself():
    # a finely sampled orbit is a curve: without a window small distances see dimension 1
    angle = 0.002 * np.arange(4000)
    torus = np.stack([np.cos(angle), np.sin(angle), np.cos(2**0.5 * angle), np.sin(2**0.5 * angle)], axis=-1)
    curve = m.correlation_dimension(torus, theiler=0, region=(0.02, 0.2))
    assert float(curve) == pytest.approx(1.0, abs=0.05)
    assert m.correlation_dimension(henon(3000)).details["theiler"] < 10


def test_bad_input():
    with pytest.raises(InputError, match="at least 100"):
        m.correlation_dimension(np.zeros((50, 2)))
    with pytest.raises(InputError, match="does not vary"):
        m.correlation_dimension(np.ones((500, 2)))
    with pytest.raises(InputError, match="does not vary"):
        m.correlation_dimension(1e-170 * np.random.default_rng(0).normal(size=(500, 2)))
    with pytest.raises(InputError, match="region"):
        m.correlation_dimension(henon(500), region=(1.0, 0.1))
    with pytest.raises(InputError, match="theiler"):
        m.correlation_dimension(henon(500), theiler=480)
    with pytest.raises(InputError, match="one trajectory"):
        m.correlation_sum(np.zeros((2, 500, 2)))
