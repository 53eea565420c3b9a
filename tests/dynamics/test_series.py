"""Functions, tensors and arrays reach a metric as the same numbers; what does not fit is refused at the door."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import funcspace as fs
from funcspace.dynamics import metrics
from funcspace.dynamics.series import as_series, paired_series
from funcspace.errors import InputError


@pytest.fixture
def orbit() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, 50, 3))


def test_all_kinds_are_the_same_numbers(orbit):
    space = fs.FunctionSpace(fs.Times(0.0, 0.1, 50), components=("x", "y", "z"))
    function = fs.Function(space, torch.from_numpy(orbit))
    for data in (orbit, torch.from_numpy(orbit), function):
        series = as_series(data)
        np.testing.assert_array_equal(series.values, orbit)
        assert series.batch_shape == (2,)
    assert as_series(function).step == pytest.approx(0.1)
    assert as_series(orbit).step is None and as_series(orbit, step=0.5).step == 0.5


def test_fields_have_one_component_per_degree_of_freedom():
    space = fs.FunctionSpace(fs.Times(0.0, 0.1, 20) * fs.Grid(x=(0.0, 1.0, 5)))
    function = space.interpolate(lambda p: p[:, 0] + 10 * p[:, 1])
    series = as_series(function)
    assert series.values.shape == (1, 20, 5)
    assert series.values[0, 3, 2] == pytest.approx(0.3 + 10 * 0.5)


def test_batch_axes_broadcast(orbit):
    single, batch = metrics.mse(orbit[0], orbit[1]), metrics.mse(orbit[0], orbit)
    assert isinstance(single, float)
    np.testing.assert_allclose(batch, [0.0, single])
    assert metrics.mse(orbit[:, None], orbit[None]).shape == (2, 2)


def test_vectors_are_one_component():
    assert as_series([1.0, 2.0, 3.0]).values.shape == (1, 3, 1)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.array([[0.0], [np.nan], [1.0]]), "sample 1, component 0 is nan"),
        (np.zeros((1, 3)), "at least 2"),
        (np.zeros((3, 0)), "shape"),
        (np.array([["a", "b"]]), "real numbers"),
        (None, "got NoneType"),
        (np.zeros(5, dtype=complex), "real numbers"),
    ],
)
def test_bad_series(data, message):
    with pytest.raises(InputError, match=message):
        as_series(data)


def test_uneven_times_and_contradicting_steps():
    uneven = fs.Function(fs.FunctionSpace(fs.Times.at([0.0, 0.1, 0.4])), torch.zeros(3))
    with pytest.raises(InputError, match="equispaced"):
        as_series(uneven)
    even = fs.Function(fs.FunctionSpace(fs.Times(0.0, 0.1, 5)), torch.zeros(5))
    with pytest.raises(InputError, match="contradicts"):
        as_series(even, step=0.2)
    other = fs.Function(fs.FunctionSpace(fs.Times(0.0, 0.2, 5)), torch.zeros(5))
    with pytest.raises(InputError, match="different time steps"):
        paired_series(even, other)
    with pytest.raises(InputError, match="over Times"):
        as_series(fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, 5))).interpolate(lambda x: x[:, 0]))


def test_pairs_must_fit(orbit):
    with pytest.raises(InputError, match="equally many components"):
        metrics.mse(orbit, orbit[..., :2])
    with pytest.raises(InputError, match="equally long"):
        metrics.mse(orbit, orbit[:, :20])
    with pytest.raises(InputError, match="batch axes"):
        metrics.mse(orbit, np.zeros((3, 50, 3)))
    with pytest.raises(InputError, match="true trajectory must be finite"):
        metrics.mse(np.full((5, 2), np.inf), np.zeros((5, 2)))
