"""Numbers at the door of domains: masked ones, and what is no number."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import funcspace as fs
from funcspace.errors import InputError
from funcspace.geometry.number_tensor import number_tensor

MASKED = np.ma.masked_less([0.0, 1.0, 2.0], 0.5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: fs.FunctionSpace(fs.Grid(x=(0.0, 2.0, 3))).interpolate(1.0)(MASKED),
        lambda: fs.FunctionSpace(fs.Grid(x=(0.0, 2.0, 3))).interpolate(MASKED),
        lambda: fs.Grid(x=MASKED),
        lambda: fs.Times.at(MASKED),
        lambda: fs.PointCloud(MASKED),
        lambda: fs.PointCloud([0.0, 1.0, 2.0], MASKED),
        lambda: fs.Mesh(MASKED, [[0, 1], [1, 2]]),
        lambda: fs.Mesh([0.0, 1.0, 2.0], np.ma.masked_equal([[0, 1], [1, 2]], 0)),
    ],
)
def test_masked_entries_are_no_data(make):
    with pytest.raises(InputError, match=r"must hold no masked entries; there are 1, the first at index"):
        make()


def test_numbers_keep_their_type_and_lose_their_order_of_bytes():
    assert torch.equal(number_tensor(np.arange(3, dtype=">i2"), "n"), torch.arange(3, dtype=torch.int16))
    assert number_tensor(np.ones(3)[::-1], "n").is_contiguous()
    same = torch.ones(3)
    assert number_tensor(same, "n") is same


@pytest.mark.parametrize("values", ["a", ["a", "b"], [[1.0], [1.0, 2.0]], None, np.array([object()])])
def test_what_is_no_number(values):
    with pytest.raises(InputError, match="the points must hold numbers"):
        number_tensor(values, "the points")


@pytest.mark.parametrize("points", ["a", [1j]])
def test_points_are_real_numbers(points):
    f = fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, 3))).interpolate(1.0)
    with pytest.raises(InputError, match="points must"):
        f(points)
