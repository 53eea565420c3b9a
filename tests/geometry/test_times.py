"""Times: instants, slices, measure, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import funcspace as fs
from funcspace.errors import DomainError, InputError
from funcspace.geometry import ProductDomain


def test_members():
    times = fs.Times(1.0, 0.5, 5, unit="s")
    assert times.instants.tolist() == [1.0, 1.5, 2.0, 2.5, 3.0]
    assert (times.start, times.stop, times.step, times.count, times.duration) == (1.0, 3.0, 0.5, 5, 2.0)
    assert times.points.shape == (5, 1)
    assert times.bounds.tolist() == [[1.0], [3.0]]
    assert (times.dim, times.axis_names, times.units) == (1, ("time",), {"time": "s"})
    assert {name: part.tolist() for name, part in times.boundary.items()} == {
        "boundary": [0, 4],
        "start": [0],
        "end": [4],
    }


@given(st.lists(st.floats(0.01, 3.0), min_size=1, max_size=10), st.floats(-3, 3))
def test_measure_is_the_trapezoidal_rule(steps, start):
    instants = start + np.cumsum([0.0, *steps])
    times = fs.Times.at(instants)
    assert np.isclose(float(times.measure.sum()), times.duration)
    assert np.isclose(float((times.measure * times.instants).sum()), np.trapezoid(instants, instants))


def test_a_single_instant_is_a_point_of_measure_one():
    times = fs.Times(2.0, 0.1, 1)
    assert times.measure.tolist() == [1.0]
    assert times.duration == 0.0
    assert times.step == 0.1
    assert times.boundary["boundary"].tolist() == [0]


@given(st.integers(0, 40), st.integers(1, 40), st.integers(1, 5))
def test_slices_keep_the_bits(begin, length, stride):
    times = fs.Times(0.3, 0.1, 50)
    piece = times[begin : begin + length : stride]
    assert torch.equal(piece.instants, times.instants[begin : begin + length : stride])
    assert piece.step == pytest.approx(0.1 * stride)


def test_it_does_not_matter_how_equispaced_instants_were_reached():
    assert fs.Times(0.0, 0.1, 100)[7:17] == fs.Times(0.7, 0.1, 10)
    assert hash(fs.Times.at(np.linspace(0, 1, 11))) == hash(fs.Times(0.0, 0.1, 11))
    assert fs.Times(0.0, 0.1, 10) != fs.Times(0.0, 0.1000001, 10)
    assert fs.Times(0.0, 0.1, 10) != fs.Times(0.0, 0.1, 10, unit="s")
    assert fs.Times(1e9, 1e-3, 10) != fs.Times(1e9 + 1e-3, 1e-3, 10)


def test_explicit_instants():
    times = fs.Times.at([0.0, 0.1, 0.4])
    assert times.step is None and not times.is_uniform
    assert times[1:].step is None
    assert times[1] == pytest.approx(0.1)
    assert fs.Times.at(torch.tensor([0.0, 0.1, 0.2, 0.3])).is_uniform  # to single precision


def test_refined_times_hold_the_old_ones():
    times = fs.Times.at([0.0, 0.1, 0.4])
    assert times.refined().instants[::2].tolist() == times.instants.tolist()
    assert fs.Times(0.0, 1.0, 3).refined(2) == fs.Times(0.0, 0.25, 9)


def test_repr():
    assert repr(fs.Times(0, 0.1, 100)[3:7]) == "Times(0.3, 0.1, 4)"
    assert repr(fs.Times.at([0.0, 0.1, 0.4], unit="s")) == "Times.at([0.0, 0.1, 0.4], unit='s')"
    assert "100 instants" in fs.Times(0, 0.1, 100)._repr_html_()


def test_products():
    grid = fs.Grid(x=(0.0, 1.0, 3))
    assert isinstance(fs.Times(0, 1, 3) * grid, ProductDomain)
    with pytest.raises(DomainError, match="time comes first"):
        grid * fs.Times(0, 1, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 0.0, 5), "positive step"),
        ((0.0, -1.0, 5), "positive step"),
        ((0.0, 1.0, 0), "at least one"),
        ((float("inf"), 1.0, 3), "finite start"),
        (("a", 1, 3), "numbers as start and step; got start='a'"),
    ],
)
def test_bad_steps_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        fs.Times(*arguments)


@pytest.mark.parametrize(
    ("instants", "message"),
    [
        ([], "at least one"),
        ([[0.0, 1.0]], "vector"),
        ([0.0, float("nan")], "instant 1 is nan"),
        ([0.0, 2.0, 1.0], "instants 1 and 2"),
        (["a"], "vector of at least one number"),
    ],
)
def test_bad_instants_are_refused(instants, message):
    with pytest.raises(InputError, match=message):
        fs.Times.at(instants)


@pytest.mark.parametrize(
    ("index", "message"), [(slice(5, 5), "is empty"), (slice(None, None, -1), "backwards"), ([0, 1], "by a slice")]
)
def test_bad_slices_are_refused(index, message):
    with pytest.raises(InputError, match=message):
        fs.Times(0, 1, 10)[index]
