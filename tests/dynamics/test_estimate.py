"""An estimate behaves like its values and keeps its errors."""

from __future__ import annotations

import numpy as np
import pytest

from funcspace.dynamics import Estimate
from funcspace.errors import InputError


def test_single_number():
    estimate = Estimate(2.05, 0.01, {"region": (0.1, 1.0)})
    assert float(estimate) == estimate.value == 2.05
    assert np.asarray(estimate) + 1 == 3.05
    assert estimate.shape == ()
    assert estimate.details["region"] == (0.1, 1.0)
    assert str(estimate) == "2.050 +- 0.010"
    with pytest.raises(TypeError, match="float"):
        list(estimate)


def test_several_numbers():
    estimate = Estimate([0.9, 0.0, -14.5], [0.01, 0.002, 0.03])
    assert list(estimate) == [0.9, 0.0, -14.5]
    assert estimate[0] == 0.9 and len(estimate) == 3
    np.testing.assert_array_equal(estimate[1:], [0.0, -14.5])
    np.testing.assert_array_equal(np.asarray(estimate, dtype=np.float32), np.float32([0.9, 0.0, -14.5]))
    assert repr(estimate) == "Estimate([0.900 +- 0.010, 0.0000 +- 0.0020, -14.500 +- 0.030])"
    with pytest.raises(TypeError, match="single"):
        float(estimate)


def test_frozen():
    estimate = Estimate([1.0, 2.0], 0.1)
    np.testing.assert_array_equal(estimate.error, [0.1, 0.1])
    with pytest.raises(ValueError, match="read-only"):
        estimate.value[0] = 5.0
    with pytest.raises(TypeError):
        estimate.details["new"] = 1


def test_unknown_error_is_nan_and_left_out_of_print():
    assert np.isnan(Estimate(1.5).error)
    assert repr(Estimate(1.5)) == "Estimate(1.5)"


def test_shapes_must_agree():
    with pytest.raises(InputError, match="one error per value"):
        Estimate([1.0, 2.0], [0.1, 0.1, 0.1])
