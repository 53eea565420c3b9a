"""Reconstruction on point clouds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import funcspace as fs
from funcspace.errors import InputError, OutsideError

f64 = torch.float64


def cloud(dim: int = 2, count: int = 150) -> fs.PointCloud:
    corners = np.stack(np.meshgrid(*([[0.0, 1.0]] * dim), indexing="ij"), axis=-1).reshape(-1, dim)
    return fs.PointCloud(np.concatenate([corners, np.random.default_rng(dim).random((count, dim))]))


def places(dim: int, count: int = 80) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(99).random((count, dim)))


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_linear_functions_are_reproduced(dim):
    slopes = torch.arange(1.0, dim + 1, dtype=f64)
    f = fs.FunctionSpace(cloud(dim)).interpolate(lambda x: 2 - x @ slopes)
    points = places(dim)
    assert torch.allclose(f(points), 2 - points @ slopes, atol=1e-10)
    assert torch.allclose(f.gradient(points), -slopes.expand(80, dim), atol=1e-8)
    assert torch.allclose(f.gradient(f.domain.points), -slopes.expand(len(f.domain), dim), atol=1e-8)
    assert float(f.integral()) == pytest.approx(2 - float(slopes.sum()) / 2)
    assert float(f.norm("H1_semi")) == pytest.approx(float(slopes.norm()))


@pytest.mark.parametrize("element", ["least_squares", "nearest"])
def test_values_at_the_points_are_the_coefficients(element):
    space = fs.FunctionSpace(cloud(), element)
    c = torch.randn(3, space.n_dofs, dtype=f64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(space.evaluation(space.dof_points)(c), c)
    some = torch.randperm(space.n_dofs, generator=torch.Generator().manual_seed(1))[:20]
    assert torch.allclose(space.evaluation(space.dof_points[some])(c), c[:, some], atol=1e-12)
    assert not space.is_exact


def test_values_approach_those_of_a_point():
    space = fs.FunctionSpace(cloud())
    c = torch.randn(space.n_dofs, dtype=f64, generator=torch.Generator().manual_seed(0))
    for distance in (1e-4, 1e-6, 1e-9, 1e-12):
        near = space.dof_points[10:11] + distance
        assert torch.allclose(space.evaluation(near)(c), c[10:11], atol=200 * distance + 1e-12)
        change = space.evaluation(near, "gradient")(c) - space.evaluation(space.dof_points[10:11], "gradient")(c)
        assert change.abs().max() < 1e5 * distance + 1e-5


def test_smooth_functions_converge():
    def exact(x):
        return torch.sin(3 * x[:, 0]) * torch.exp(x[:, 1])

    errors = []
    for count in (400, 6400):
        f = fs.FunctionSpace(cloud(2, count)).interpolate(exact)
        errors.append(float((f(places(2)) - exact(places(2))).square().mean().sqrt()))
    assert math.log(errors[0] / errors[1], 4) > 1.5


def test_nearest_takes_the_value_of_the_nearest_point():
    domain = cloud()
    f = fs.FunctionSpace(domain, "nearest").interpolate(lambda x: x[:, 0] * x[:, 1])
    index = torch.cdist(places(2), domain.points).argmin(dim=1)
    assert torch.equal(f(places(2)), f.coefficients[index])


def test_rows_are_sparse_and_sum_to_one():
    space = fs.FunctionSpace(cloud(3))
    matrix = space.evaluation(places(3)).matrix
    assert np.diff(matrix.indptr).max() <= 9
    assert matrix.sum(axis=1) == pytest.approx(1.0)
    gradients = space.evaluation(places(3), "gradient")
    assert gradients(torch.ones(space.n_dofs, dtype=f64)).abs().max() < 1e-9


def test_mass_and_stiffness():
    space = fs.FunctionSpace(cloud())
    assert torch.equal(space.mass.dense(), torch.diag(space.domain.measure))
    rule = space.quadrature()
    c = torch.randn(space.n_dofs, dtype=f64, generator=torch.Generator().manual_seed(0))
    form = (rule.gradients(c).square().sum(dim=-1) * rule.weights).sum()
    assert torch.isclose(c @ space.stiffness(c), form)
    assert torch.allclose(space.stiffness.dense(), space.stiffness.dense().T)


def test_layers_of_points_do_not_break_the_fit():
    x, y = np.meshgrid(np.linspace(0, 1, 40), np.linspace(0, 1, 4), indexing="ij")
    domain = fs.PointCloud(np.stack([x.reshape(-1), y.reshape(-1)], axis=1))
    f = fs.FunctionSpace(domain).interpolate(lambda p: p[:, 0] - p[:, 1])
    points = places(2)
    assert torch.allclose(f(points), points[:, 0] - points[:, 1], atol=1e-9)


@pytest.mark.parametrize("count", [1, 2, 12])
def test_points_on_a_line_fall_back_to_the_nearest(count):
    domain = fs.PointCloud(np.stack([np.linspace(0, 1, count), np.zeros(count)], axis=1))
    f = fs.FunctionSpace(domain).interpolate(lambda p: p[:, 0])
    points = (
        torch.tensor([[0.0, 0.0]], dtype=f64) if count == 1 else torch.tensor([[0.01, 0.0], [0.98, 0.0]], dtype=f64)
    )
    index = torch.cdist(points, domain.points).argmin(dim=1)
    assert torch.equal(f(points), f.coefficients[index])
    assert f.gradient(points).abs().max() == 0


def test_coincident_points_answer_with_their_mean():
    base = cloud().points
    domain = fs.PointCloud(torch.cat([base, base[20:21]]))
    c = torch.zeros(len(domain), dtype=f64)
    c[20], c[-1] = 1.0, 3.0
    assert float(fs.FunctionSpace(domain).evaluation(base[20:21])(c)) == pytest.approx(2.0)


def test_outside():
    f = fs.FunctionSpace(cloud()).interpolate(lambda x: x[:, 0])
    points = torch.tensor([[0.5, 0.5], [1.0 + 1e-3, 0.5], [3.0, 0.5]], dtype=f64)
    with pytest.raises(OutsideError, match=r"1 of 3 points lie outside PointCloud.*2 at \[3.0, 0.5\]"):
        f(points)
    assert torch.isnan(f(points, outside="nan")).tolist() == [False, False, True]
    index = torch.cdist(points[2:], f.domain.points).argmin(dim=1)
    assert torch.equal(f(points, outside="nearest")[2:], f.coefficients[index])
    assert f.gradient(points, outside="nearest")[2].abs().max() == 0


def test_named_parts():
    domain = fs.PointCloud(cloud().points, boundary={"corner": [0, 1, 2, 3]})
    space = fs.FunctionSpace(domain, components=("u", "v"))
    f = space.interpolate(lambda x: x)
    assert space.trace("corner")(f.coefficients).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    with pytest.raises(InputError, match="no boundary part 'wall'"):
        space.trace("wall")


def test_grid_to_cloud_and_back():
    grid = fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, 9), y=(0.0, 1.0, 9)))
    f = grid.interpolate(lambda x: 1 + x[:, 0] - 2 * x[:, 1])
    g = f.to(fs.FunctionSpace(cloud()))
    assert torch.allclose(g.to(grid).coefficients, f.coefficients, atol=1e-10)
    projected = grid.projection(g.space)
    assert projected.codomain_shape == (81,)


def test_wrong_elements_are_refused():
    with pytest.raises(InputError, match="least_squares, nearest; got 'linear'"):
        fs.FunctionSpace(cloud(), "linear")
