"""Point clouds: estimated measures, named parts, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import funcspace as fs
from funcspace.errors import InputError
from funcspace.geometry.cloud import estimated_measure


def hull_cloud(dim: int, count: int = 200) -> np.ndarray:
    corners = np.stack(np.meshgrid(*([[0.0, 1.0]] * dim), indexing="ij"), axis=-1).reshape(-1, dim)
    return np.concatenate([corners, np.random.default_rng(dim).random((count, dim))])


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_estimated_measure_integrates_linear_functions_over_the_hull(dim):
    points = hull_cloud(dim)
    measure = estimated_measure(points)
    assert measure.min() >= 0
    assert measure.sum() == pytest.approx(1.0, abs=1e-12)
    assert points.T @ measure == pytest.approx([0.5] * dim, abs=1e-12)


def test_estimated_measure_converges_to_integrals():
    points = hull_cloud(2, 4000)
    assert np.exp(points.sum(axis=1)) @ estimated_measure(points) == pytest.approx((np.e - 1) ** 2, rel=1e-3)


def test_coincident_points_share():
    points = hull_cloud(2, 40)
    doubled = np.concatenate([points, points[:7]])
    measure, single = estimated_measure(doubled), estimated_measure(points)
    assert measure.sum() == pytest.approx(1.0)
    assert measure[:7] == pytest.approx(single[:7] / 2)
    assert measure[-7:] == pytest.approx(single[:7] / 2)


def test_degenerate_clouds_have_a_measure():
    line = np.stack([np.linspace(0, 2, 21), np.zeros(21)], axis=1)
    assert estimated_measure(line).sum() == pytest.approx(2.0)
    assert estimated_measure(np.zeros((4, 2))) == pytest.approx([0.25] * 4)
    assert estimated_measure(np.ones((1, 3))) == pytest.approx([1.0])
    many = np.random.default_rng(0).random((300, 5))
    assert estimated_measure(many).sum() == pytest.approx(np.prod(np.ptp(many, axis=0)))


def test_one_dimension_is_the_trapezoidal_rule():
    cloud = fs.PointCloud([0.0, 2.0, 1.0])
    assert cloud.measure.tolist() == [0.5, 0.5, 1.0]


def test_members():
    points = torch.tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 0.0]])
    cloud = fs.PointCloud(
        points, [1.0, 2.0, 3.0], units={"x": "m"}, boundary={"inlet": [2, 0], "wall": [False, True, False]}
    )
    assert (cloud.dim, len(cloud), cloud.axis_names, cloud.units) == (2, 3, ("x", "y"), {"x": "m"})
    assert cloud.bounds.tolist() == [[0.0, 0.0], [4.0, 3.0]]
    assert {name: part.tolist() for name, part in cloud.boundary.items()} == {
        "boundary": [0, 1, 2],
        "inlet": [0, 2],
        "wall": [1],
    }
    assert cloud.measure.tolist() == [1.0, 2.0, 3.0]
    assert len(fs.PointCloud(points).boundary["boundary"]) == 0
    assert "inlet" in repr(cloud) and "<table>" in cloud._repr_html_()


def test_equality_is_by_content():
    points = np.random.default_rng(0).random((9, 2))
    assert fs.PointCloud(points) == fs.PointCloud(torch.from_numpy(points))
    assert fs.PointCloud(points) != fs.PointCloud(points, np.ones(9))
    assert fs.PointCloud(points) != fs.PointCloud(points[::-1])
    assert fs.PointCloud(points) != fs.PointCloud(points, boundary={"wall": [1]})
    assert len({fs.PointCloud(points), fs.PointCloud(points)}) == 1


def test_it_keeps_its_own_points():
    points = torch.rand(5, 2, dtype=torch.float64)
    cloud = fs.PointCloud(points)
    before = cloud.points.clone()
    points[0] = 7.0
    assert torch.equal(cloud.points, before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"points": np.empty((0, 2))}, "at least one"),
        ({"points": np.zeros((2, 2, 2))}, "shape \\(n, d\\)"),
        ({"points": [[0.0, np.nan], [1.0, 1.0]]}, "point 0"),
        ({"points": np.zeros((3, 2)), "measure": [1.0, 1.0]}, "must have shape \\(3,\\)"),
        ({"points": np.zeros((3, 2)), "measure": [1.0, -1.0, 1.0]}, "that of point 1 is -1.0"),
        ({"points": np.zeros((3, 2)), "measure": [0.0, 0.0, 0.0]}, "zero everywhere"),
        ({"points": np.zeros((3, 2)), "axis_names": ("x",)}, "2 distinct names"),
        ({"points": np.zeros((3, 2)), "units": {"q": "m"}}, "units names the axis 'q'"),
        ({"points": np.zeros((3, 2)), "boundary": {"wall": [0, 3]}}, "'wall' names point 3"),
        ({"points": np.zeros((3, 2)), "boundary": {"wall": [0.5]}}, "'wall' must be a vector of point indices"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        fs.PointCloud(**arguments)
