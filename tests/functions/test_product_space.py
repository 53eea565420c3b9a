"""Functions of time and space."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

import funcspace as fs
from funcspace.errors import InputError, OutsideError

f64 = torch.float64
TIMES = fs.Times(0.0, 0.5, 5)
GRID = fs.Grid(x=(0.0, 1.0, 6), y=(0.0, 2.0, 5))
TORUS = fs.Grid(x=(0.0, 1.0, 6), y=(0.0, 2.0, 5), periodic=("x", "y"))
MESH = fs.Mesh.rectangle(0.5)
CLOUD = fs.PointCloud(np.random.default_rng(0).random((40, 2)))
SPACES = {
    "grid": fs.FunctionSpace(TIMES * GRID, "linear * linear"),
    "cubic grid": fs.FunctionSpace(TIMES * GRID, ("cubic", "cubic")),
    "torus": fs.FunctionSpace(TIMES * TORUS, "cubic * fourier"),
    "mesh": fs.FunctionSpace(TIMES * MESH, "cubic * P2"),
    "vector mesh": fs.FunctionSpace(TIMES * MESH, "linear * RT"),
    "cloud": fs.FunctionSpace(TIMES * CLOUD, "linear * least_squares"),
}
NODAL = [name for name in SPACES if name != "vector mesh"]


def random(space: fs.FunctionSpace, batch: int = 2) -> fs.Function:
    generator = torch.Generator().manual_seed(0)
    return fs.Function(space, torch.randn(batch, *space.coefficient_shape, dtype=f64, generator=generator))


def inside(space: fs.FunctionSpace, count: int = 40) -> torch.Tensor:
    low, high = space.domain.bounds
    return low + (high - low) * torch.rand(count, 3, dtype=f64, generator=torch.Generator().manual_seed(1))


def factors(space: fs.FunctionSpace) -> tuple[fs.FunctionSpace, fs.FunctionSpace]:
    names = space.element.split(" * ")
    return tuple(fs.FunctionSpace(d, e) for d, e in zip(space.domain.factors, names, strict=True))


@pytest.mark.parametrize("name", SPACES)
def test_layout(name):
    space = SPACES[name]
    place = factors(space)[1]
    assert space.dof_shape == (5, place.n_dofs)
    assert space.layout == (5, *place.layout)
    assert space.value_shape == place.value_shape
    assert space.is_exact == place.is_exact
    assert random(space).values.shape == (2, 5, *place.layout)


@pytest.mark.parametrize("name", NODAL)
def test_values_at_the_dofs_are_the_coefficients(name):
    f = random(SPACES[name])
    assert torch.allclose(f(f.space.dof_points).reshape(f.coefficients.shape), f.coefficients, atol=1e-12)


@pytest.mark.parametrize("name", SPACES)
def test_forms_are_kronecker_products(name):
    space = SPACES[name]
    time, place = factors(space)
    mass = sp.kron(time.mass.matrix, place.mass.matrix)
    stiffness = sp.kron(time.stiffness.matrix, place.mass.matrix) + sp.kron(time.mass.matrix, place.stiffness.matrix)
    assert abs(space.mass.matrix - mass).max() < 1e-13
    assert abs(space.stiffness.matrix - stiffness).max() < 1e-10
    f = random(space)
    rule = space.quadrature()
    values, gradients = rule.values(f.coefficients), rule.gradients(f.coefficients)
    weights = rule.weights.reshape(-1, *([1] * len(space.value_shape)))
    assert torch.allclose((values**2 * weights).flatten(1).sum(1), f.norm("L2") ** 2)
    assert torch.allclose((gradients**2 * weights[..., None]).flatten(1).sum(1), f.norm("H1_semi") ** 2)
    assert torch.allclose((values * weights).sum(dim=1), f.integral(), atol=1e-12)


@pytest.mark.parametrize("name", SPACES)
def test_evaluation_is_a_product_of_rows(name):
    space = SPACES[name]
    time, place = factors(space)
    points = inside(space, 15)
    outside = "nearest"
    f = random(space)
    in_time = time.evaluation(points[:, :1]).dense()
    in_space = place.evaluation(points[:, 1:], outside=outside).dense().reshape(15, -1, place.n_dofs)
    expected = torch.einsum("mt,mvj,btj->bmv", in_time, in_space, f.coefficients)
    assert torch.allclose(f(points, outside=outside).reshape(2, 15, -1), expected, atol=1e-11)
    slopes = place.evaluation(points[:, 1:], "gradient", outside).dense().reshape(15, -1, 2, place.n_dofs)
    gradient = f.gradient(points, outside=outside).reshape(2, 15, -1, 3)
    rates = time.evaluation(points[:, :1], "gradient").dense()
    assert torch.allclose(
        gradient[..., 0], torch.einsum("mt,mvj,btj->bmv", rates, in_space, f.coefficients), atol=1e-10
    )
    expected = torch.einsum("mt,mvdj,btj->bmvd", in_time, slopes, f.coefficients)
    assert torch.allclose(gradient[..., 1:], expected, atol=1e-10)


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("derivative", [None, "gradient"])
def test_adjoint_identity(name, derivative):
    space = SPACES[name]
    f = random(space)
    map_ = space.evaluation(inside(space), derivative, outside="nearest")
    w = torch.randn(2, *map_.codomain_shape, dtype=f64, generator=torch.Generator().manual_seed(3))
    assert torch.allclose((map_(f.coefficients) * w).sum(), (f.coefficients * map_.T(w)).sum())
    assert torch.allclose(map_.dense() @ f.coefficients[0].reshape(-1), map_(f.coefficients)[0].reshape(-1), atol=1e-11)


@pytest.mark.parametrize("name", ["grid", "cubic grid", "torus", "mesh"])
def test_refined_products_reproduce_the_function(name):
    space = SPACES[name]
    f = random(space)
    fine = fs.FunctionSpace(space.domain.refined(), space.element)
    map_ = space.prolongation(fine)
    assert type(map_).__name__ == "KroneckerMap"
    g = f.to(fine)
    assert torch.allclose(g(inside(space)), f(inside(space)), atol=1e-11)
    assert torch.allclose(space.projection(fine)(g.coefficients), f.coefficients, atol=1e-10)


def test_polynomials_of_time_and_space():
    space = fs.FunctionSpace(TIMES * MESH, "cubic * P2", components=("u", "v"))
    f = space.interpolate(lambda p: torch.stack([p[:, 0] ** 3 * p[:, 1] ** 2, p[:, 0] * p[:, 2]], dim=1))
    t, x, y = inside(space).T
    assert torch.allclose(f(inside(space)), torch.stack([t**3 * x**2, t * y], dim=1), atol=1e-12)
    gradient = torch.stack([torch.stack([3 * t**2 * x**2, 2 * t**3 * x, 0 * t], 1), torch.stack([y, 0 * t, t], 1)], 1)
    assert torch.allclose(f.gradient(inside(space)), gradient, atol=1e-11)
    assert f.integral().tolist() == pytest.approx([2**4 / 4 / 3, 2 * 0.5])
    assert f.component("v").norm("max") == pytest.approx(2.0)


@pytest.mark.parametrize("name", ["grid", "mesh"])
def test_parts(name):
    space = SPACES[name]
    assert bool((space.dof_points[space.dofs("start")][:, 0] == 0).all())
    assert bool((space.dof_points[space.dofs("end")][:, 0] == 2).all())
    left = space.dof_points[space.dofs("left")]
    place = factors(space)[1]
    assert len(left) == 5 * len(place.dofs("left")) and bool((left[:, 1] == 0).all())
    f = random(space)
    assert torch.equal(space.trace("start")(f.coefficients), f.coefficients[:, 0])
    assert torch.equal(space.trace("end")(f.coefficients), f.coefficients[:, -1])


def test_slices_in_time():
    f = random(SPACES["mesh"])[0]
    piece = f[1:3]
    assert piece.domain == TIMES[1:3] * MESH and len(f) == 5
    assert torch.equal(piece.coefficients, f.coefficients[1:3])
    first = f[:1]
    assert first.coefficients.shape == (1, f.space.dof_shape[1])
    place = fs.Function(fs.FunctionSpace(MESH, "P2"), f.coefficients[0])
    assert torch.allclose(first.norm("H1"), place.norm("H1"))


@pytest.mark.parametrize("name", ["grid", "torus", "mesh", "cloud"])
def test_outside(name):
    space = SPACES[name]
    f = random(space)
    centre = space.domain.points.mean(dim=0)
    late, far = centre.clone(), centre.clone()
    late[0], far[1] = 2.5, 30.0
    points = torch.stack([centre, late, far])
    with pytest.raises(OutsideError):
        f(points[:2])
    known = name == "torus"
    assert torch.isnan(f(points, outside="nan"))[0].tolist() == [False, True, not known]
    assert torch.isnan(f.gradient(points, outside="nan"))[0, :, 0].tolist() == [False, True, not known]
    end = centre.clone()
    end[0] = 2.0
    assert torch.allclose(f(points, outside="nearest")[:, 1], f(end[None])[:, 0])


def test_vector_elements_project():
    space = SPACES["vector mesh"]
    f = space.interpolate(lambda p: torch.stack([p[:, 0] + p[:, 1], p[:, 2]], dim=1))
    t, x, _ = inside(space).T
    assert torch.allclose(f(inside(space))[:, 0], t + x, atol=0.5)
    assert f.integral().tolist() == pytest.approx([2.0 + 1.0, 1.0])


def test_names():
    assert fs.FunctionSpace(TIMES * GRID).element == "linear * linear"
    assert fs.FunctionSpace(TIMES * CLOUD).element == "linear * least_squares"
    assert fs.FunctionSpace(TIMES * GRID, "cubic*linear") == fs.FunctionSpace(TIMES * GRID, ("cubic", "linear"))
    for bad in ("linear", "linear * linear * linear", "linear *"):
        with pytest.raises(InputError, match="one basis per factor, time first"):
            fs.FunctionSpace(TIMES * GRID, bad)
    with pytest.raises(InputError, match="got 'P1'"):
        fs.FunctionSpace(TIMES * GRID, "linear * P1")


def test_points_outside_in_space():
    times = fs.Times(0.0, 0.5, 3)
    f = fs.FunctionSpace(times * fs.Mesh.rectangle(0.3)).interpolate(lambda x: x[..., 1] + x[..., 0])
    wider = fs.FunctionSpace(times * fs.Grid(x=(0.0, 1.3, 4), y=(0.0, 1.0, 3)))
    assert int(f.to(wider, outside="nan").coefficients.isnan().sum()) == 3 * 3
    assert bool(f.to(wider, outside="nearest").coefficients.isfinite().all())
    with pytest.raises(OutsideError):
        f.to(wider)
