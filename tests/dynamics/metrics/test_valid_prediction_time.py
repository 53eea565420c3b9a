"""Valid prediction times: crossings known in closed form, units, thresholds, diverged forecasts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import funcspace as fs
from funcspace.dynamics import metrics as m
from funcspace.errors import InputError

TIME = 0.01 * np.arange(1000)
TRUTH = np.stack([np.cos(TIME), np.sin(TIME)], axis=-1)
LATER = TRUTH + np.exp(0.9 * TIME)[:, None] * [0.001, 0.001]


def test_exponential_error_crosses_where_it_must():
    expected = np.log(0.4 / 0.001) / 0.9
    assert m.valid_prediction_time(TRUTH, LATER, scale=1.0, step=0.01) == pytest.approx(expected, abs=0.011)
    assert m.valid_prediction_time(TRUTH, LATER, lyapunov=0.9, scale=1.0, step=0.01) == pytest.approx(
        0.9 * expected, abs=0.011
    )
    assert m.valid_prediction_time(TRUTH, LATER, scale=1.0, unit="steps") == np.ceil(expected / 0.01)


def test_norm_error_adds_the_variances():
    expected = np.log(0.4 / 0.001 * np.sqrt(4.0 + 4.0) / np.sqrt(2.0)) / 0.9
    found = m.valid_prediction_time(TRUTH, LATER, error="norm", scale=2.0, step=0.01)
    assert found == pytest.approx(expected, abs=0.011)


def test_thresholds_in_one_call_and_batches():
    both = np.stack([LATER, TRUTH])
    times = m.valid_prediction_time(TRUTH, both, threshold=[0.1, 0.4], scale=1.0, step=0.01)
    assert times.shape == (2, 2)
    assert times[0, 0] < times[0, 1] < times[1, 0] == times[1, 1] == pytest.approx(10.0)
    for k, epsilon in enumerate((0.1, 0.4)):
        assert times[0, k] == m.valid_prediction_time(TRUTH, LATER, epsilon, scale=1.0, step=0.01)


def test_functions_know_their_step():
    space = fs.FunctionSpace(fs.Times(0.0, 0.01, 1000), components=("x", "y"))
    true, model = (fs.Function(space, torch.from_numpy(values)) for values in (TRUTH, LATER))
    assert m.valid_prediction_time(true, model, lyapunov=0.9) == pytest.approx(
        m.valid_prediction_time(TRUTH, LATER, lyapunov=0.9, step=0.01)
    )


def test_cumulative_smape_of_a_constant_ratio():
    # |x - 1.5 x| / (2.5 |x|) = 0.2, that is 40 of 200, from the first sample on; then after 300 exact samples
    x = 1.0 + np.arange(1000.0)
    assert m.valid_prediction_time_smape(x, 1.5 * x, unit="steps") == 0
    late = np.where(np.arange(1000) < 300, x, 1.5 * x)
    # 40 (n - 300) / n > 30 once n, the number of samples so far, exceeds 1200: never; 20 at n = 600
    assert m.valid_prediction_time_smape(x, late, unit="steps") == 1000
    assert m.valid_prediction_time_smape(x, late, 20.0, unit="steps") == 600


def test_what_is_not_finite_ends_the_forecast():
    diverged = TRUTH.copy()
    diverged[70:] = np.nan
    assert m.valid_prediction_time(TRUTH, diverged, unit="steps") == 70
    assert (
        m.valid_prediction_time_smape(TRUTH, diverged, unit="steps") == 82
    )  # 200 (n - 70) / n > 30 from n = 83 samples on


def test_bad_input():
    with pytest.raises(InputError, match="step"):
        m.valid_prediction_time(TRUTH, LATER, lyapunov=0.9)
    with pytest.raises(InputError, match="lyapunov"):
        m.valid_prediction_time(TRUTH, LATER, unit="lyapunov", step=0.01)
    with pytest.raises(InputError, match="positive exponent"):
        m.valid_prediction_time(TRUTH, LATER, lyapunov=-0.9, step=0.01)
    with pytest.raises(InputError, match="threshold"):
        m.valid_prediction_time(TRUTH, LATER, threshold=-1.0)


def test_the_exponent_may_be_an_estimate_or_a_tensor():
    expected = m.valid_prediction_time(TRUTH, LATER, lyapunov=0.9, scale=1.0, step=0.01)
    for exponent in (fs.dynamics.Estimate(0.9, 0.1), torch.tensor(0.9, dtype=torch.float64), np.array([0.9])):
        assert m.valid_prediction_time(TRUTH, LATER, lyapunov=exponent, scale=1.0, step=0.01) == expected
    for wrong in (fs.dynamics.Estimate([0.9, 0.0], [0.1, 0.1]), -0.9, "fast"):
        with pytest.raises(InputError, match="lyapunov"):
            m.valid_prediction_time(TRUTH, LATER, lyapunov=wrong, scale=1.0, step=0.01)
