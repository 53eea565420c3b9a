"""Spectral distance: bounds, invariances, closed forms, degenerate orbits, and the reference's numbers."""

from __future__ import annotations

import numpy as np
import pytest

from funcspace.dynamics import metrics as m
from funcspace.errors import InputError
from tests.dynamics.orbits import gaussian_like, lorenz, shared_series

T = np.arange(4000)


def test_two_tones_overlap_by_their_shares():
    # powers (1, 1) and (1, 0) at two frequencies: the sum of sqrt(F G) is sqrt(1/2)
    both = np.sin(2 * np.pi * 0.05 * T) + np.sin(2 * np.pi * 0.2 * T)
    one = np.sin(2 * np.pi * 0.05 * T)
    assert m.spectral_distance(both, one, smoothing=0.0) == pytest.approx(np.sqrt(1 - np.sqrt(0.5)), rel=1e-3)
    assert m.spectral_distance(one, np.sin(2 * np.pi * 0.2 * T), smoothing=0.0) == pytest.approx(1.0, abs=1e-6)
    assert m.spectral_distance(both, one, smoothing=0.0, lowest=500) == pytest.approx(0.0, abs=1e-2)


def test_metric_and_invariances():
    a, b, c = lorenz()[:3]
    ab, ba, bc, ac = (m.spectral_distance(x, y) for x, y in ((a, b), (b, a), (b, c), (a, c)))
    assert m.spectral_distance(a, a) == 0.0
    assert ab == pytest.approx(ba)
    assert 0 < ab < 1 and ac <= ab + bc
    assert m.spectral_distance(a, 7.0 * b - 3.0) == pytest.approx(ab)
    assert m.spectral_distance(a, b[::-1]) == pytest.approx(ab, abs=1e-3)  # time reversal keeps the power
    each = m.spectral_distance(a, b, per_component=True)
    assert each.shape == (3,) and each.mean() == pytest.approx(ab)


def test_anchors():
    a, b = lorenz()[:2]
    assert m.spectral_distance(a, b) < 0.15 < 0.4 < m.spectral_distance(a, gaussian_like(a))
    assert m.spectral_distance(a, np.zeros_like(b)) == 1.0
    assert m.spectral_distance(a, np.tile(a.mean(axis=0), (4000, 1))) == 1.0
    diverged = b.copy()
    diverged[3000:] = np.inf
    assert m.spectral_distance(a, diverged) == 1.0
    assert np.isnan(m.spectral_distance(a, np.zeros_like(b), mode="reference"))


def test_unequal_lengths_are_cut_to_the_shorter():
    a, b = lorenz()[:2]
    assert m.spectral_distance(a, b[:2500]) == m.spectral_distance(a[:2500], b[:2500])


def test_reference_anchors_on_shared_data():
    clean = shared_series("lorenz63_test.npz")
    assert m.spectral_distance(clean, gaussian_like(clean), mode="reference") == pytest.approx(0.88, abs=0.006)
    assert m.spectral_distance(clean[:50_000], clean[50_000:], mode="reference") == pytest.approx(0.0525, abs=0.005)


def test_bad_input():
    with pytest.raises(InputError, match="smoothing"):
        m.spectral_distance(np.sin(T), np.cos(T), smoothing=-1.0)
    with pytest.raises(InputError, match="lowest"):
        m.spectral_distance(np.sin(T), np.cos(T), lowest=5000)
    with pytest.raises(InputError, match="does not vary"):
        m.spectral_distance(np.ones(50), np.sin(T[:50]))
    with pytest.raises(InputError, match="mode"):
        m.spectral_distance(np.sin(T), np.cos(T), mode="julia")
    with pytest.raises(InputError, match="at least 4"):
        m.spectral_distance([1.0, 2.0], [1.0, 2.0])
