"""Spectra, correlations, information, entropies, the 0-1 test, return maps and embeddings of series."""

from __future__ import annotations

import math

import numpy as np
import pytest

from funcspace.dynamics import metrics as m
from funcspace.errors import InputError
from tests.dynamics.orbits import henon, logistic, lorenz

NOISE = np.random.default_rng(0).normal(size=(2, 4000))


@pytest.mark.parametrize("length", [1000, 1001])
@pytest.mark.parametrize("window", ["none", "hann"])
def test_power_integrates_to_the_variance(length, window):
    series = NOISE[0, :length]
    spectrum = m.power_spectrum(series, window=window, step=0.1)
    total = spectrum.density[:, 0].sum() * spectrum.frequencies[1]
    assert total == pytest.approx(series.var(), rel=1e-10 if window == "none" else 0.05)
    assert spectrum.frequencies[-1] == pytest.approx(5.0, rel=2e-3)


def test_smoothing_keeps_power_and_finds_the_peak():
    t = np.arange(5000)
    tone = np.sin(2 * np.pi * 0.07 * t) + 0.1 * NOISE[0, :1].repeat(5000)
    rough, smooth = m.power_spectrum(tone), m.power_spectrum(tone, 10.0)
    assert smooth.density.sum() == pytest.approx(rough.density.sum(), rel=1e-6)
    assert smooth.peak() == pytest.approx(0.07, abs=1e-3)
    line = m.power_spectrum(3.0 * t + 5.0, detrend="linear")
    assert line.density.max() < 1e-12


def test_autocorrelation_of_an_autoregression():
    x = np.zeros(200_000)
    noise = np.random.default_rng(0).normal(size=len(x))
    for n in range(1, len(x)):
        x[n] = 0.8 * x[n - 1] + noise[n]
    np.testing.assert_allclose(m.autocorrelation(x, 6)[:, 0], 0.8 ** np.arange(7), atol=0.02)
    assert m.decorrelation_time(x, step=0.5) == pytest.approx(-0.5 / np.log(0.8), rel=0.05)


def test_autocorrelation_equals_its_definition():
    x = NOISE[0, :60] + 3.0
    c = x - x.mean()
    expected = [(c[: 60 - k] * c[k:]).mean() / (c * c).mean() for k in range(20)]
    np.testing.assert_allclose(m.autocorrelation(x, 19)[:, 0], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("method", ["neighbours", "histogram"])
def test_information_of_gaussians(correlation, method):
    x = NOISE[0]
    y = correlation * x + math.sqrt(1 - correlation**2) * NOISE[1]
    found = m.mutual_information(x, y, method)
    expected = -0.5 * math.log(1 - correlation**2)
    assert found == pytest.approx(expected, abs=0.04 if method == "neighbours" else 0.12)
    assert m.mutual_information(y, x, method) == pytest.approx(found, abs=1e-9)
    assert m.mutual_information(5 * x - 2, y, method) == pytest.approx(found, abs=1e-6)


@pytest.mark.parametrize("rounded", [lambda x: np.round(x, 1), lambda x: np.digitize(x, [-0.5, 0.5]).astype(float)])
def test_information_of_series_with_ties(rounded):
    x, y = (rounded(series[:5000]) for series in NOISE[:2])
    assert m.mutual_information(x, y) == pytest.approx(0.0, abs=0.02)
    _, counts = np.unique(x, return_counts=True)
    p = counts / len(x)
    assert m.mutual_information(x, x) == pytest.approx(-(p * np.log(p)).sum(), rel=0.05)  # all of its entropy


def test_delayed_information_of_a_map_decays():
    information = m.delayed_mutual_information(logistic(4000), 12)
    assert information[0] > information[1] > information[4] > 0
    assert information[12] < 0.1
    assert information[3] == pytest.approx(
        m.mutual_information(logistic(4000)[:-3], logistic(4000)[3:], "histogram", bins=16), abs=0.02
    )


def test_permutation_entropy():
    assert m.permutation_entropy(np.arange(50.0)) == 0.0
    assert m.permutation_entropy(NOISE[0]) == pytest.approx(1.0, abs=0.01)
    # the logistic map never falls twice, and takes its five other patterns with shares 1/3, 1/15, 4/15, 2/15, 1/5
    shares = np.array([1 / 3, 1 / 15, 4 / 15, 2 / 15, 1 / 5])
    expected = -(shares @ np.log(shares)) / np.log(6)
    assert m.permutation_entropy(logistic(50_000), order=3) == pytest.approx(expected, abs=0.01)
    x = logistic(1000)
    assert m.permutation_entropy(np.exp(3 * x)) == m.permutation_entropy(x)
    assert m.permutation_entropy(x, lag=2) == pytest.approx(
        np.mean([m.permutation_entropy(x[::2]), m.permutation_entropy(x[1::2])]), abs=0.03
    )


def plain_sample_entropy(x: np.ndarray, length: int, tolerance: float) -> float:
    n = len(x) - length
    matches = [0, 0]
    for i in range(n):
        for j in range(i + 1, n):
            if np.abs(x[i : i + length] - x[j : j + length]).max() <= tolerance:
                matches[0] += 1
                matches[1] += abs(x[i + length] - x[j + length]) <= tolerance
    return -math.log(matches[1] / matches[0])


def test_sample_entropy():
    x = NOISE[0, :200]
    assert m.sample_entropy(x) == pytest.approx(plain_sample_entropy(x, 2, 0.2 * x.std()), rel=1e-12)
    assert m.sample_entropy(NOISE[0]) == pytest.approx(-math.log(math.erf(0.1)), abs=0.05)
    assert m.sample_entropy(np.tile([0.0, 1.0, 3.0, -2.0], 100)) == pytest.approx(0.0, abs=0.02)
    assert m.sample_entropy(5 * x + 2) == pytest.approx(m.sample_entropy(x))
    assert m.sample_entropy([0.0, 0.0, 0.1, 5.0, 0.0, 0.0, 9.0], tolerance=0.001) == np.inf


def test_multiscale_entropy_of_noise_falls():
    # averages over s samples have deviation 1/sqrt(s), so that two match with probability erf(r sqrt(s) / 2)
    expected = [-math.log(math.erf(0.15 * math.sqrt(s) / 2)) for s in (1, 2, 4)]
    np.testing.assert_allclose(m.multiscale_entropy(NOISE[0], (1, 2, 4)), expected, atol=0.15)


@pytest.mark.parametrize(
    ("series", "chaotic"),
    [
        (logistic(2000), True),
        (logistic(2000, 3.97), True),
        (henon(2000)[:, 0], True),
        (lorenz()[0, :, 0], True),
        (logistic(2000, 3.5), False),
        (np.sin(np.arange(2000.0)) + np.sin(2**0.5 * np.arange(2000)), False),
    ],
    ids=["logistic", "logistic 3.97", "henon", "lorenz", "period 4", "quasi-periodic"],
)
def test_zero_one_test_tells_chaos(series, chaotic):
    found = m.zero_one_test(series)
    assert float(found) > 0.9 if chaotic else abs(float(found)) < 0.15
    assert float(m.zero_one_test(series)) == float(found)


def test_return_map_of_lorenz_is_a_cusp_above_the_diagonal_slope():
    t = 0.01 * np.arange(20_000)
    value, following, times = m.return_map(np.cos(t) * np.exp(-0.01 * t), step=0.01)
    np.testing.assert_allclose(following / value, np.exp(-0.02 * np.pi), rtol=1e-5)
    np.testing.assert_allclose(np.diff(times), 2 * np.pi, rtol=1e-4)
    low = m.return_map(-np.cos(t) * np.exp(-0.01 * t), step=0.01, minima=True)
    np.testing.assert_allclose(low.value, -value)


def test_embeddings():
    x = np.arange(20.0)
    states = m.delay_embedding(np.stack([x, 100 + x], axis=-1), 3, lag=4)
    np.testing.assert_array_equal(states[0], [8, 108, 4, 104, 0, 100])
    assert states.shape == (12, 6)
    assert m.delay_embedding(np.zeros((2, 30, 1)), 2).shape == (2, 29, 2)
    wave = np.sin(2 * np.pi * np.arange(20_000) / 200)
    assert m.embedding_lag(wave, "autocorrelation") == pytest.approx(np.arccos(1 / np.e) / (2 * np.pi) * 200, abs=1)
    assert 1 <= m.embedding_lag(lorenz()[0], component=0) <= 4  # samples 0.1 apart; 0.16 in the literature


def test_bad_input():
    pair = np.zeros((100, 2))
    with pytest.raises(InputError, match=r"component=0 \.\.\. 1"):
        m.permutation_entropy(pair)
    with pytest.raises(InputError, match="component 5 does not exist"):
        m.zero_one_test(np.random.default_rng(0).normal(size=(200, 2)), 5)
    with pytest.raises(InputError, match="does not vary"):
        m.sample_entropy(np.ones(100))
    with pytest.raises(InputError, match="does not vary"):
        m.mutual_information(np.ones(100), NOISE[0, :100])
    with pytest.raises(InputError, match="equally long"):
        m.mutual_information(NOISE[0], NOISE[1, :50])
    with pytest.raises(InputError, match="order"):
        m.permutation_entropy(NOISE[0], order=20)
    with pytest.raises(InputError, match="longer one is needed"):
        m.decorrelation_time(np.r_[np.zeros(6), np.ones(4)], level=-0.9)
    with pytest.raises(InputError, match="at least two maxima"):
        m.return_map(np.arange(50.0))
    with pytest.raises(InputError, match="lag"):
        m.autocorrelation(NOISE[0], 5000)
    with pytest.raises(InputError, match="window"):
        m.power_spectrum(NOISE[0], window="hamming")
    with pytest.raises(InputError, match="scales"):
        m.multiscale_entropy(NOISE[0], scales=(0, 2))
