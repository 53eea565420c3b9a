"""Hausdorff, sliced Wasserstein, mean discrepancy and spatial correlation: metric laws and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from funcspace.dynamics import metrics as m
from funcspace.errors import InputError
from tests.dynamics.orbits import gaussian_like, lorenz


def random_rotation(d: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(1).normal(size=(d, d)))[0]


def test_hausdorff_by_hand():
    square = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    far = np.vstack([square, [4.0, 5.0]])
    assert m.hausdorff_distance(square, far, standardise=False) == 5.0
    assert m.hausdorff_distance(far, square, standardise=False) == 5.0
    assert m.hausdorff_distance(square, far, standardise=False, kind="average") == 1.0


@pytest.mark.parametrize(
    "distance",
    [
        lambda x, y: m.hausdorff_distance(x, y, standardise=False),
        lambda x, y: m.sliced_wasserstein(x, y, standardise=False),
    ],
    ids=["hausdorff", "wasserstein"],
)
def test_metric_laws(distance):
    a, b, c = np.random.default_rng(0).normal(size=(3, 300, 3)) * [[[1.0]], [[2.0]], [[0.5]]]
    assert distance(a, a[::-1]) == 0.0
    assert distance(a, b) > 0
    assert distance(a, b) == pytest.approx(distance(b, a))
    assert distance(a, c) <= distance(a, b) + distance(b, c)
    assert distance(3 * a, 3 * b) == pytest.approx(3 * distance(a, b))
    assert distance(a + 5, b + 5) == pytest.approx(distance(a, b))


def test_hausdorff_is_free_of_rotations():
    a, b = np.random.default_rng(0).normal(size=(2, 300, 3))
    q = random_rotation(3)
    assert m.hausdorff_distance(a @ q, b @ q, standardise=False) == pytest.approx(
        m.hausdorff_distance(a, b, standardise=False)
    )


def test_wasserstein_of_shift_and_of_unequal_lengths():
    x = np.random.default_rng(0).normal(size=(500, 1))
    assert m.sliced_wasserstein(x, x + 0.7, standardise=False) == pytest.approx(0.7)
    # a shift s in d dimensions moves the shadow on a line by s cos: on average 2 s / pi in the plane
    y = np.random.default_rng(0).normal(size=(500, 2))
    assert m.sliced_wasserstein(y, y + np.array([1.0, 0.0]), 5000, standardise=False) == pytest.approx(
        2 / np.pi, rel=0.02
    )
    assert m.sliced_wasserstein(np.repeat(x, 3, axis=0), x, standardise=False) == pytest.approx(0.0, abs=1e-12)
    assert m.sliced_wasserstein([0.0, 1.0], [0.0, 0.0, 1.0], standardise=False) == pytest.approx(1 / 6)


def test_standardised_distances_are_free_of_units():
    a, b = lorenz()[:2, :1000]
    scale = np.array([1e-3, 1.0, 50.0])
    for distance in (m.hausdorff_distance, m.sliced_wasserstein, m.maximum_mean_discrepancy):
        assert distance(a * scale, b * scale) == pytest.approx(distance(a, b), rel=1e-6, abs=1e-12)


def test_mean_discrepancy_is_unbiased_and_grows():
    generator = np.random.default_rng(0)
    same = [m.maximum_mean_discrepancy(*generator.normal(size=(2, 200, 2))) for _ in range(40)]
    assert abs(np.mean(same)) < 3 * np.std(same) / np.sqrt(40)
    x, y = generator.normal(size=(2, 500, 2))
    scores = [m.maximum_mean_discrepancy(x, y + shift) for shift in (0.0, 0.5, 1.0, 3.0, 100.0)]
    assert scores == sorted(scores)
    assert m.maximum_mean_discrepancy(x, np.full_like(y, np.nan)) > scores[-1]


def test_anchors():
    a, b = lorenz()[:2, :2000]
    point = np.tile(a.mean(axis=0), (2000, 1))
    for distance in (m.hausdorff_distance, m.maximum_mean_discrepancy):
        assert distance(a, b) < distance(a, gaussian_like(a)) < distance(a, point)
    assert m.sliced_wasserstein(a, b) < 0.2 < 0.6 < m.sliced_wasserstein(a, point)
    for distance in (m.hausdorff_distance, m.sliced_wasserstein):
        assert distance(a, np.full_like(b, np.inf)) == np.inf


def test_spatial_correlation():
    pattern = np.random.default_rng(0).normal(size=(50, 30))
    np.testing.assert_allclose(m.spatial_correlation(pattern, 3 * pattern + 2), 1.0)
    np.testing.assert_allclose(m.spatial_correlation(pattern, -pattern), -1.0)
    independent = m.spatial_correlation(pattern, np.random.default_rng(1).normal(size=(50, 30)))
    assert abs(independent.mean()) < 3 / np.sqrt(50 * 30)
    np.testing.assert_allclose(
        m.spatial_correlation(pattern + 7, pattern + 7, climatology=np.full(30, 7.0)), np.ones(50)
    )
    broken = pattern.copy()
    broken[10:] = np.nan
    np.testing.assert_allclose(m.spatial_correlation(pattern, broken), np.r_[np.ones(10), np.zeros(40)])
    # the correlation over space equals that of numpy at each instant
    other = pattern + np.random.default_rng(2).normal(size=(50, 30))
    assert m.spatial_correlation(pattern, other)[4] == pytest.approx(np.corrcoef(pattern[4], other[4])[0, 1])


def test_bad_input():
    a = np.random.default_rng(0).normal(size=(20, 2))
    with pytest.raises(InputError, match="kind"):
        m.hausdorff_distance(a, a, kind="mean")
    with pytest.raises(InputError, match="projections"):
        m.sliced_wasserstein(a, a, 0)
    with pytest.raises(InputError, match="scales"):
        m.maximum_mean_discrepancy(a, a, scales=(-1.0,))
    with pytest.raises(InputError, match="at least 2 components"):
        m.spatial_correlation(a[:, :1], a[:, :1])
    with pytest.raises(InputError, match="climatology"):
        m.spatial_correlation(a, a, climatology=[0.0])
