"""Grids: coordinates, measures, sides, refinement, and what they refuse."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import funcspace as fs
from funcspace.errors import DomainError, InputError
from funcspace.geometry import GridAxis

f64 = torch.float64


@given(
    start=st.floats(-5, 5),
    length=st.floats(0.1, 10),
    count=st.integers(2, 12),
    samples=st.sampled_from(["vertices", "cells"]),
    periodic=st.booleans(),
)
def test_measure_adds_up_and_integrates_linear_functions(start, length, count, samples, periodic):
    grid = fs.Grid(x=(start, start + length, count), samples=samples, periodic=("x",) if periodic else ())
    assert torch.isclose(grid.measure.sum(), torch.tensor(length, dtype=f64))
    if samples == "cells" or not periodic:
        exact = length * (start + length / 2)
        assert torch.isclose((grid.measure * grid.points[:, 0]).sum(), torch.tensor(exact, dtype=f64), atol=1e-10)


@pytest.mark.parametrize("samples", ["vertices", "cells"])
def test_non_uniform_measure_adds_up(samples):
    grid = fs.Grid(x=np.array([0.0, 0.1, 0.4, 1.0]), y=(0.0, 2.0, 4), samples=samples)
    low, high = grid.bounds
    assert torch.isclose(grid.measure.sum(), (high - low).prod())


def test_points_run_with_the_first_axis_slowest():
    grid = fs.Grid(x=(0.0, 1.0, 2), y=(5.0, 7.0, 3))
    assert grid.points.tolist() == [[0, 5], [0, 6], [0, 7], [1, 5], [1, 6], [1, 7]]
    assert grid.shape == (2, 3)
    assert grid.spacing == (1.0, 1.0)
    assert list(grid.axes) == ["x", "y"]


def test_cells_and_periodic_axes_leave_out_the_ends():
    assert fs.Grid(x=(0.0, 1.0, 4), samples="cells").axes["x"].tolist() == [0.125, 0.375, 0.625, 0.875]
    assert fs.Grid(x=(0.0, 1.0, 4), periodic="x").axes["x"].tolist() == [0.0, 0.25, 0.5, 0.75]


def test_sides_in_three_dimensions():
    grid = fs.Grid(x=(0.0, 1.0, 3), y=(0.0, 1.0, 4), z=(0.0, 1.0, 5))
    names = {
        "left": (0, 0.0),
        "right": (0, 1.0),
        "bottom": (1, 0.0),
        "top": (1, 1.0),
        "front": (2, 0.0),
        "back": (2, 1.0),
    }
    assert set(grid.boundary) == {*names, "boundary"}
    for name, (axis, value) in names.items():
        assert bool((grid.points[grid.boundary[name]][:, axis] == value).all())
        assert len(grid.boundary[name]) == 60 // grid.shape[axis]
    on = ((grid.points == 0) | (grid.points == 1)).any(dim=1)
    assert torch.equal(grid.boundary["boundary"], torch.nonzero(on).reshape(-1))


def test_periodic_axes_have_no_sides():
    assert set(fs.Grid(x=(0.0, 1.0, 3), y=(0.0, 1.0, 4), periodic="x").boundary) == {"bottom", "top", "boundary"}
    assert len(fs.Grid(x=(0.0, 1.0, 3), periodic="x").boundary["boundary"]) == 0


@pytest.mark.parametrize(
    "grid",
    [
        fs.Grid(x=(0.0, 1.0, 5), y=np.array([0.0, 0.2, 1.0])),
        fs.Grid(x=(0.0, 1.0, 5), periodic="x"),
    ],
)
def test_refining_keeps_the_vertices(grid):
    fine = grid.refined()
    for name, nodes in grid.axes.items():
        assert torch.allclose(fine.axes[name][::2][: len(nodes)], nodes, rtol=0, atol=1e-15)
    assert torch.equal(fine.bounds, grid.bounds)
    assert grid.refined(2) == grid.refined().refined()


@pytest.mark.parametrize("axis", [(0.0, 1.0, 4), np.array([0.1, 0.2, 0.6, 0.9])])
def test_refining_cells_keeps_the_box(axis):
    grid = fs.Grid(x=axis, samples="cells")
    fine = grid.refined()
    assert fine.shape == (8,)
    assert torch.equal(fine.bounds, grid.bounds)
    assert torch.isclose(fine.measure.sum(), grid.measure.sum())


def test_equality_is_by_content():
    a = fs.Grid(x=(0.0, 1.0, 5), units={"x": "m"})
    assert a == fs.Grid(x=np.linspace(0, 1, 5), units={"x": "m"})
    assert hash(a) == hash(pickle.loads(pickle.dumps(a)))
    assert a != fs.Grid(x=(0.0, 1.0, 5))
    assert a != fs.Grid(x=(0.0, 1.0, 6), units={"x": "m"})
    assert a != fs.Grid(x=(0.0, 1.0, 5), units={"x": "m"}, periodic="x")
    assert a.fingerprint != "" and len(a.fingerprint) == 16


def test_single_precision_coordinates_are_equispaced():
    grid = fs.Grid(x=np.linspace(0, 1, 101, dtype=np.float32))
    assert grid.is_uniform
    assert not fs.Grid(x=np.linspace(0, 1, 101) ** 1.001).is_uniform


def test_spacing_of_a_non_uniform_axis_is_refused():
    with pytest.raises(DomainError, match="'x' has no single spacing"):
        _ = fs.Grid(x=[0.0, 0.1, 1.0]).spacing


def test_with_shape():
    grid = fs.Grid(x=(0.0, 1.0, 5), y=(0.0, 2.0, 5), periodic="y")
    assert grid.with_shape(7).shape == (7, 7)
    assert grid.with_shape(7, 9).periodic == ("y",)
    with pytest.raises(InputError, match="expected 2 counts"):
        grid.with_shape(3, 4, 5)


def test_repr_says_what_it_is():
    grid = fs.Grid(x=(0.0, 1.0, 5), y=[0.0, 0.1, 1.0], samples="cells")
    assert repr(grid) == 'Grid(x=(0.0, 1.0, 5), y=<3 coordinates>, samples="cells")'
    assert "non-uniform" in grid._repr_html_()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "at least one axis"),
        ({"x": (0.0, 1.0, 1)}, "'x' needs at least 2 vertices, got 1"),
        ({"x": (1.0, 0.0, 5)}, "from start to a larger stop"),
        ({"x": (0.0, float("nan"), 5)}, "from start to a larger stop"),
        ({"x": (0.0, 1.0, 5.0)}, "whole number as count"),
        ({"x": ("a", 1.0, 5)}, "between two numbers"),
        ({"x": [0.0, 1.0, float("inf")]}, "at least two finite coordinates"),
        ({"x": [0.0, 0.5, 0.5]}, "entries 1 and 2"),
        ({"x": [1.0]}, "at least two"),
        ({"x": "abc"}, "must be \\(start, stop, count\\)"),
        ({"x": [0.0, 0.1, 1.0], "periodic": ("x",)}, "must be equispaced"),
        ({"x": (0.0, 1.0, 5), "periodic": ("y",)}, "periodic names the axis 'y'"),
        ({"x": (0.0, 1.0, 5), "periodic": True}, r"the names of axes, such as \('x', 'y'\); got True"),
        ({"x": (0.0, 1.0, 5), "units": {"y": "m"}}, "units names the axis 'y'"),
    ],
)
def test_bad_axes_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        fs.Grid(**arguments)


def test_axes_must_differ_and_agree():
    axis = GridAxis("x", 0.0, 1.0, 5)
    with pytest.raises(InputError, match="distinct names"):
        fs.Grid.from_axes([axis, axis])
    with pytest.raises(InputError, match="same kind of samples"):
        fs.Grid.from_axes([axis, GridAxis("y", 0.0, 1.0, 5, samples="cells")])
