"""Errors sample by sample: values by hand, scalings, ranges, and what diverged forecasts score."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funcspace.dynamics import metrics as m
from funcspace.errors import InputError

TRUE = np.array([[1.0, -1.0], [2.0, 1.0], [3.0, 0.0]])
MODEL = np.array([[1.0, 1.0], [4.0, 1.0], [3.0, 0.0]])


def test_values_by_hand():
    assert m.mse(TRUE, MODEL) == pytest.approx(8 / 6)
    assert m.rmse(TRUE, MODEL) == pytest.approx(np.sqrt(8 / 6))
    assert m.mae(TRUE, MODEL) == pytest.approx(4 / 6)
    assert m.smape(TRUE, MODEL) == pytest.approx(200 / 6 * (2 / 2 + 2 / 6))
    assert m.nrmse(TRUE, MODEL, scale=2.0) == pytest.approx(np.sqrt(8 / 6) / 2)
    assert m.mase(TRUE, MODEL, training=np.array([[0.0, 0.0], [1.0, 2.0], [2.0, 0.0]])) == pytest.approx(
        0.5 * (2 / 3 / 1 + 2 / 3 / 2)
    )


def test_smape_ranges():
    assert m.smape200(TRUE, MODEL) == m.smape(TRUE, MODEL) == 2 * m.smape100(TRUE, MODEL)
    assert m.smape(TRUE, -TRUE[::-1] * 1e6) <= 200
    assert m.smape(np.zeros(4), np.ones(4)) == 200
    assert m.smape(np.zeros(4), np.zeros(4)) == 0


def test_nrmse_of_independent_gaussian_and_of_the_mean():
    truth, other = np.random.default_rng(0).normal(3.0, 5.0, size=(2, 20_000, 2))
    assert m.nrmse(truth, other) == pytest.approx(np.sqrt(2), rel=0.02)
    assert m.nrmse(truth, np.full_like(truth, 3.0)) == pytest.approx(1.0, rel=0.02)


@given(st.floats(0.01, 100.0), st.floats(-10.0, 10.0))
def test_nrmse_is_free_of_units(factor, shift):
    assert m.nrmse(factor * TRUE + shift, factor * MODEL + shift) == pytest.approx(m.nrmse(TRUE, MODEL))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_diverged_forecasts(bad):
    diverged = MODEL.copy()
    diverged[1, 0] = bad
    both = np.stack([MODEL, diverged])
    for metric in (m.mse, m.rmse, m.mae, m.nrmse, lambda x, y: m.mase(x, y, training=TRUE)):
        score = metric(TRUE, both)
        assert np.isfinite(score[0]) and score[1] == np.inf
    assert m.smape(TRUE, diverged) == pytest.approx(200 / 6 * (1 + 1))


def test_bad_input():
    with pytest.raises(InputError, match="200 or 100"):
        m.smape(TRUE, MODEL, 1.0)
    with pytest.raises(InputError, match="component 1 of the true trajectory does not vary"):
        m.nrmse(np.array([[1.0, 2.0], [3.0, 2.0]]), MODEL[:2])
    with pytest.raises(InputError, match="one per component"):
        m.nrmse(TRUE, MODEL, scale=[1.0, 2.0, 3.0])
    with pytest.raises(InputError, match="does not change over a lag of 1"):
        m.mase(TRUE, MODEL, training=np.ones((5, 2)))
    with pytest.raises(InputError, match="at least 1"):
        m.mase(TRUE, MODEL, training=TRUE, lag=0)
