"""State-space divergence: exact sums, invariances, closed forms, and the published implementations' numbers."""

from __future__ import annotations

import numpy as np
import pytest

from funcspace.dynamics import metrics as m
from funcspace.dynamics.metrics.state_space_divergence import BOXES, Occupation
from funcspace.errors import InputError
from tests.dynamics.orbits import gaussian_like, lorenz, shared_series


def plain_divergence(true: np.ndarray, generated: np.ndarray, bins: int, alpha: float, margin: float) -> float:
    """The definition, over all boxes."""
    sigma = true.std(axis=0)
    edges = [
        np.linspace(low, high, bins + 1)
        for low, high in zip(true.min(axis=0) - margin * sigma, true.max(axis=0) + margin * sigma, strict=True)
    ]
    counts = [np.histogramdd(x, edges)[0] for x in (true, generated)]
    p, q = ((c + alpha) / (n + alpha * c.size) for c, n in zip(counts, (len(true), len(generated)), strict=True))
    return float((p * np.log(p / q)).sum())


@pytest.mark.parametrize("components", [1, 2, 3])
def test_equals_the_definition(components):
    truth, model = np.random.default_rng(0).normal(size=(2, 3000, components))
    expected = plain_divergence(truth, 1.5 * model, 12, 1e-5, 0.1)
    assert m.state_space_divergence(truth, 1.5 * model, bins=12) == pytest.approx(expected, rel=1e-10)


def test_few_occupied_boxes_of_many_give_the_same_sum():
    truth, model = np.random.default_rng(0).normal(size=(2, 500, 4))
    expected = plain_divergence(truth, model, 33, 1e-5, 0.1)
    assert m.state_space_divergence(truth, model, bins=33) == pytest.approx(expected, rel=1e-10)  # 33^4 > 2^20


def test_the_upper_corner_of_the_box_lies_outside():
    # (max - min) * (bins / (max - min)) rounds to less than the bins in some of these
    for seed in range(30):
        truth = np.random.default_rng(seed).normal(size=(400, 1))
        counted = Occupation(truth, 7, rule=BOXES["reference_minmax"])
        places = (truth[:, 0] - truth.min()) / np.ptp(truth) * 7
        assert counted.inside == ((places >= 1) & (truth[:, 0] < truth.max())).sum()


def test_identity_order_units_and_permutations():
    truth, model = lorenz()[:2]
    score = m.state_space_divergence(truth, model)
    assert m.state_space_divergence(truth, truth[::-1]) == pytest.approx(0.0, abs=1e-12)
    assert score > 0
    scale, shift = np.array([1e-3, 5.0, 40.0]), np.array([1.0, -20.0, 300.0])
    assert m.state_space_divergence(truth * scale + shift, model * scale + shift) == pytest.approx(score, rel=1e-2)
    assert m.state_space_divergence(truth[:, [2, 0, 1]], model[:, [2, 0, 1]]) == pytest.approx(score, rel=1e-10)


def test_escape_is_paid_for_and_bounded():
    truth, model = np.random.default_rng(0).uniform(size=(2, 20_000, 2))
    inside = m.state_space_divergence(truth, model, bins=8)
    half = model.copy()
    half[::2] = np.nan
    assert m.state_space_divergence(truth, half, bins=8) == pytest.approx(inside + np.log(2), abs=0.01)
    half[::2] = 1e30
    assert m.state_space_divergence(truth, half, bins=8) == pytest.approx(inside + np.log(2), abs=0.01)
    gone = m.state_space_divergence(truth, np.full_like(model, np.nan), bins=8)
    assert 15 < gone < 30
    assert np.isnan(m.state_space_divergence(truth, np.full_like(model, np.nan), mode="reference"))


def test_more_samples_lower_the_floor():
    truth, other = lorenz()[:2]
    floors = [m.state_space_divergence(truth[:n], other[:n]) for n in (500, 1000, 2000, 4000)]
    assert floors == sorted(floors, reverse=True)
    assert floors[-1] < 1.5 < 2.5 < m.state_space_divergence(truth, gaussian_like(truth))


def test_mixture_of_shifted_gaussians_has_a_closed_form():
    # N(0, 1) seen through Gaussians of variance v is N(0, 1 + v), so that a shift s gives s^2 / (2 (1 + v))
    truth, model = np.random.default_rng(0).normal(size=(2, 20_000, 2))
    shift = np.array([0.8, 0.0])
    for variance in (0.25, 1.0):
        score = m.state_space_divergence(
            truth, model + shift, method="mixture", variance=variance, samples=2000, most_points=20_000
        )
        assert score == pytest.approx(0.8**2 / (2 * (1 + variance)), abs=0.05)


def test_mixture_does_not_underflow_and_is_seeded():
    truth, model = np.random.default_rng(0).normal(size=(2, 300, 64))
    far = m.state_space_divergence(truth, np.full((300, 64), 100.0))
    assert far == pytest.approx(64 * 100**2 / 2, rel=0.02)
    assert np.isnan(m.state_space_divergence(truth, np.full((300, 64), 100.0), mode="reference"))
    assert m.state_space_divergence(truth, model, seed=3) == m.state_space_divergence(truth, model, seed=3)
    assert m.state_space_divergence(truth, truth) == 0.0
    assert m.state_space_divergence(truth, np.full_like(model, np.nan)) == np.inf


def test_mixture_is_standardised_and_the_reference_is_not():
    truth, model = lorenz()[:2, :500]
    standard = [m.state_space_divergence(k * truth, k * model, method="mixture") for k in (0.1, 10.0)]
    raw = [m.state_space_divergence(k * truth, k * model, method="mixture", mode="reference") for k in (0.1, 10.0)]
    assert standard[0] == pytest.approx(standard[1])
    assert raw[1] > 2 * raw[0]


# Values of the published implementation on the recordings of its authors, measured with that implementation.
@pytest.mark.parametrize(
    ("first", "expected"), [(1_000, 11.6), (5_000, 1.28), (10_000, 0.44), (25_000, 0.09), (None, 0.12)]
)
def test_reference_numbers_on_shared_data(first, expected):
    clean, noisy = shared_series("lorenz63_test.npz"), shared_series("lorenz63_on0.05_train.npz")
    generated = noisy if first is None else clean[:first]
    assert m.state_space_divergence(clean, generated, mode="reference") == pytest.approx(expected, rel=0.04)


def test_reference_anchors_on_shared_data():
    clean = shared_series("lorenz63_test.npz")
    gaussian, point = gaussian_like(clean), np.tile(clean.mean(axis=0), (len(clean), 1))
    assert m.state_space_divergence(clean, gaussian, mode="reference") == pytest.approx(2.27, abs=0.03)
    assert m.state_space_divergence(clean, point, mode="reference") == pytest.approx(16.44, abs=0.005)
    noisy = shared_series("lorenz63_on0.05_train.npz")
    assert m.state_space_divergence(noisy, clean, mode="reference") == pytest.approx(0.69, abs=0.005)


def test_bad_input():
    truth, model = np.random.default_rng(0).normal(size=(2, 100, 2))
    with pytest.raises(InputError, match="bins"):
        m.state_space_divergence(truth, model, bins=1)
    with pytest.raises(InputError, match="component 1 of the true trajectory does not vary"):
        m.state_space_divergence(truth * [1.0, 0.0], model)
    with pytest.raises(InputError, match="mode"):
        m.state_space_divergence(truth, model, mode="julia")
    with pytest.raises(InputError, match="mixture"):
        m.state_space_divergence(truth, model, method="mixture", mode="reference_minmax")
    with pytest.raises(InputError, match="too many boxes"):
        m.state_space_divergence(np.tile(truth, 10), np.tile(model, 10), method="histogram")
    with pytest.raises(InputError, match="pseudocount"):
        m.state_space_divergence(truth, model, pseudocount=0.0)


def test_what_is_lost_for_good_is_infinitely_far():
    x = np.random.default_rng(0).normal(size=(300, 7))
    for factor in (1e155, 1e160, 1e300):
        assert m.state_space_divergence(x, factor * x) == np.inf
    assert 0.0 < m.state_space_divergence(x, 100.0 * x) < np.inf
