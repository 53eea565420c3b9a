"""Functions: what every space promises, norms, arithmetic, copies, and what is refused."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
import torch

import funcspace as fs
from funcspace.errors import DomainError, InputError, OutsideError

f64 = torch.float64
GRID = fs.Grid(x=(0.0, 1.0, 6), y=(0.0, 2.0, 5))
TIMES = fs.Times(0.0, 0.5, 5)
SPACES = {
    "linear": fs.FunctionSpace(GRID),
    "vector": fs.FunctionSpace(GRID, components=("u", "v")),
    "tensor": fs.FunctionSpace(GRID, value_shape=(2, 2)),
    "cubic": fs.FunctionSpace(GRID, "cubic"),
    "constant": fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, 6), samples="cells"), "constant"),
    "fourier": fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, 6), y=(0.0, 1.0, 5), periodic=("x", "y")), "fourier"),
    "cells": fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, 6), y=(0.0, 1.0, 5), samples="cells", periodic="y"), "cubic"),
    "curve": fs.FunctionSpace(TIMES, "cubic", components=("x", "y", "z")),
    "mesh": fs.FunctionSpace(fs.Mesh.rectangle(0.5), "P2"),
    "vector element": fs.FunctionSpace(fs.Mesh.rectangle(0.5), "N1curl"),
    "cloud": fs.FunctionSpace(fs.PointCloud(np.random.default_rng(0).random((40, 2)))),
    "product": fs.FunctionSpace(TIMES * GRID, "linear * cubic", components=("u", "v")),
}
NODAL = [name for name in SPACES if name != "vector element"]
SMOOTH = [name for name in SPACES if name not in ("constant", "cloud", "vector element")]


def random(space: fs.FunctionSpace, *batch: int, dtype: torch.dtype = f64) -> fs.Function:
    generator = torch.Generator().manual_seed(0)
    return fs.Function(space, torch.randn(*batch, *space.coefficient_shape, dtype=dtype, generator=generator))


def inside(space: fs.FunctionSpace, count: int = 30) -> torch.Tensor:
    low, high = space.domain.bounds
    share = 0.02 + 0.96 * torch.rand(count, space.domain.dim, dtype=f64, generator=torch.Generator().manual_seed(1))
    return low + (high - low) * share


@pytest.mark.parametrize("name", SPACES)
def test_shapes(name):
    space = SPACES[name]
    f = random(space, 3, 2)
    points = inside(space, 7)
    assert f(points).shape == (3, 2, 7, *space.value_shape)
    assert f.gradient(points).shape == (3, 2, 7, *space.value_shape, space.domain.dim)
    assert f.integral().shape == f.mean().shape == (3, 2, *space.value_shape)
    for kind in ("L2", "H1", "H1_semi", "max"):
        assert f.norm(kind).shape == (3, 2)
    assert f.values.shape == (3, 2, *space.layout, *space.component_shape)
    assert torch.allclose(f[1, 0](points), f(points)[1, 0])


@pytest.mark.parametrize("name", NODAL)
def test_values_at_the_dofs_are_the_coefficients(name):
    f = random(SPACES[name], 2)
    assert torch.allclose(f(f.space.dof_points).reshape(f.coefficients.shape), f.coefficients, atol=1e-12)
    g = f.space.interpolate(lambda x: f[0](x))
    assert torch.allclose(g.coefficients, f.coefficients[0], atol=1e-12)


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("derivative", [None, "gradient"])
def test_evaluation_and_its_adjoint(name, derivative):
    space = SPACES[name]
    c = random(space, 2).coefficients
    map_ = space.evaluation(inside(space), derivative)
    w = torch.randn(2, *map_.codomain_shape, dtype=f64, generator=torch.Generator().manual_seed(2))
    assert torch.allclose((map_(c) * w).sum(), (c * map_.T(w)).sum())
    leaf = c[0].clone().requires_grad_()
    (gradient,) = torch.autograd.grad((map_(leaf) * w[0]).sum(), leaf)
    assert torch.allclose(gradient, map_.T(w[0]))


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_are_differences(name):
    f, step = random(SPACES[name]), 1e-6
    points = inside(f.space)
    gradient = f.gradient(points)
    for axis in range(f.domain.dim):
        shift = torch.zeros(f.domain.dim, dtype=f64)
        shift[axis] = step
        difference = (f(points + shift) - f(points - shift)) / (2 * step)
        assert (difference - gradient[..., axis]).abs().median() < 1e-7


@pytest.mark.parametrize("name", SPACES)
def test_norms_are_integrals(name):
    f = random(SPACES[name], 2)
    rule = f.space.quadrature()
    weights = rule.weights.reshape(-1, *([1] * len(f.space.value_shape)))
    values = rule.values(f.coefficients)
    assert torch.allclose((values**2 * weights).flatten(1).sum(1), f.norm() ** 2)
    assert torch.allclose((values * weights).sum(dim=1), f.integral(), atol=1e-12)
    gradients = rule.gradients(f.coefficients)
    assert torch.allclose((gradients**2 * weights[..., None]).flatten(1).sum(1), f.norm("H1_semi") ** 2)
    assert torch.allclose(f.norm("H1") ** 2, f.norm("L2") ** 2 + f.norm("H1_semi") ** 2)
    assert torch.allclose(f.inner(f), f.norm() ** 2)
    assert torch.allclose(f.mean() * f.domain.measure.sum(), f.integral())


@pytest.mark.parametrize("name", SPACES)
def test_projection_onto_itself_is_the_identity(name):
    f = random(SPACES[name], 2)
    assert torch.allclose(f.space.projection(f.space)(f.coefficients), f.coefficients, atol=1e-9)


@pytest.mark.parametrize("name", NODAL)
def test_constants(name):
    f = SPACES[name].interpolate(2.0)
    volume = float(f.domain.measure.sum())
    count = math.prod(f.space.value_shape)
    assert float(f.norm()) == pytest.approx(2 * math.sqrt(volume * count))
    assert float(f.norm("H1_semi")) == pytest.approx(0.0, abs=1e-6)
    assert f.integral().flatten().tolist() == pytest.approx([2 * volume] * count)
    assert f.mean().flatten().tolist() == pytest.approx([2.0] * count)


@pytest.mark.parametrize("name", SPACES)
def test_copies_and_processes(name):
    f = random(SPACES[name], 2)
    f.norm()  # fills the caches
    for g in (pickle.loads(pickle.dumps(f)), copy.deepcopy(f)):
        assert g.space == f.space and torch.equal(g.coefficients, f.coefficients)
        assert torch.equal(g.norm(), f.norm())


def test_pytrees():
    f = random(SPACES["vector"], 2)
    g = torch.utils._pytree.tree_map(lambda c: 3 * c, {"a": f, "b": [f]})
    assert torch.equal(g["a"].coefficients, 3 * f.coefficients) and g["b"][0].space == f.space
    leaves, structure = torch.utils._pytree.tree_flatten(f)
    assert torch.utils._pytree.tree_unflatten(leaves, structure).name == "u"
    assert torch.allclose(torch.func.vmap(lambda h: h.norm())(f), f.norm())
    grown = torch.func.grad(lambda h: h.norm().sum() ** 2 / 2)(f[0])
    assert torch.allclose(grown.coefficients, f.space.mass(f.coefficients[0]), atol=1e-12)


def test_arithmetic():
    f, g = random(SPACES["linear"], 3), random(SPACES["linear"], 3)
    assert torch.equal((2 * f - g / 2 + (-f)).coefficients, 2 * f.coefficients - g.coefficients / 2 - f.coefficients)
    factors = torch.tensor([1.0, 2.0, 3.0], dtype=f64)
    assert torch.allclose((f * factors).norm(), f.norm() * factors)
    assert torch.allclose((f / factors).norm(), f.norm() / factors)
    assert torch.equal((f * np.float64(2.0)).coefficients, 2 * f.coefficients)
    with pytest.raises(InputError, match=r"one number per function, shape \(3,\); got \(30,\)"):
        f * torch.ones(30)
    with pytest.raises(InputError, match="product of two functions"):
        f * g
    with pytest.raises(InputError, match="not to float"):
        f + 1.0
    with pytest.raises(DomainError, match="different spaces"):
        f + random(SPACES["cubic"], 3)


def test_components_and_names():
    f = SPACES["vector"].interpolate(lambda x: x, name="w", units="m")
    assert torch.equal(f.component("v").coefficients, GRID.points[:, 1])
    assert f.component("v").name == "w.v" and f.component("v").units == "m"
    assert f.renamed("q").name == "q" and f.renamed("q").units == "m"
    tensor = random(SPACES["tensor"], 2)
    assert torch.equal(tensor.component("u2").coefficients, tensor.coefficients[..., 1, 0])
    with pytest.raises(InputError, match="no component 'q'; this function has"):
        f.component("q")


def test_types_and_devices():
    f = random(SPACES["cubic"], 2)
    low = f.to(torch.float32)
    assert low.dtype == torch.float32 and low.norm().dtype == torch.float32
    assert torch.allclose(low.norm().double(), f.norm(), rtol=1e-5)
    assert f.to("cpu").device.type == "cpu"
    z = fs.Function(f.space, torch.complex(f.coefficients, 2 * f.coefficients))
    assert torch.allclose(z.norm(), math.sqrt(5) * f.norm())
    assert torch.allclose(z.inner(z).real, z.norm() ** 2) and z.norm().dtype == f64
    assert torch.allclose(z.integral(), f.integral() * (1 + 2j))
    assert f.numpy().shape == (2, 6, 5)


def test_moves_between_spaces():
    f = SPACES["cubic"].interpolate(lambda x: x[:, 0] * x[:, 1] ** 2)
    mesh = fs.FunctionSpace(fs.Mesh.rectangle(0.1), "P2")
    square = f.to(mesh)
    points = torch.rand(20, 2, dtype=f64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(square(points), points[:, 0] * points[:, 1] ** 2, atol=1e-3)
    edge = fs.FunctionSpace(fs.Mesh.rectangle(0.25), "N1curl").interpolate(SPACES["vector"].interpolate(1.5))
    assert torch.allclose(edge(points), torch.full((20, 2), 1.5, dtype=f64))
    assert torch.allclose(edge.to(fs.FunctionSpace(GRID, components=("a", "b")), outside="nearest").coefficients[:2],
                          torch.full((2, 2), 1.5, dtype=f64))  # fmt: skip
    assert f.to(f.space).coefficients is f.coefficients


@pytest.mark.parametrize("cells", ["interval", "triangle", "quadrilateral", "hexahedron"])
@pytest.mark.parametrize("simple", ["P0", "P1"])
def test_projections_between_a_mesh_and_its_refinement_are_exact(cells, simple):
    if cells == "interval":
        coarse = fs.Mesh.interval(0.2)
    else:
        coarse = fs.Mesh.box(0.5, cells=cells) if cells == "hexahedron" else fs.Mesh.rectangle(0.3, cells=cells)
    product = "Q" if cells in ("quadrilateral", "hexahedron") else "P"
    source = fs.FunctionSpace(coarse.refined(), simple.replace("P1", f"{product}1"))
    target = fs.FunctionSpace(coarse, f"{product}2")
    f = random(source)
    g = fs.Function(target, source.restriction(target)(f.coefficients))
    torch.testing.assert_close(g.integral(), f.integral())  # constants lie in the target
    rule = source.quadrature(4)
    values = g(rule.points, outside="nearest") - rule.values(f.coefficients)
    basis = target.evaluation(rule.points, outside="nearest")
    torch.testing.assert_close(basis.T(values * rule.weights), torch.zeros(target.n_dofs, dtype=f64), atol=1e-8, rtol=0)


@pytest.mark.parametrize("element", ["RT", "N1curl"])
def test_vector_elements_take_the_projection(element):
    mesh = fs.Mesh.rectangle(0.3)
    fine, coarse = fs.FunctionSpace(mesh.refined(), element), fs.FunctionSpace(mesh, element)
    f = random(fine)
    torch.testing.assert_close(f.to(coarse).coefficients, coarse.projection(fine)(f.coefficients))
    with pytest.raises(OutsideError):
        f.to(fs.FunctionSpace(fs.Mesh.rectangle(0.3, 2.0, 1.0), element))


def test_names_tell_components_and_axes():
    one, two = fs.FunctionSpace(GRID, components=("p", "q")), fs.FunctionSpace(GRID, components=("q", "p"))
    f, h = one.interpolate(torch.tensor([1.0, 2.0])), two.interpolate(torch.tensor([2.0, 1.0]))
    assert torch.equal(f.to(two).coefficients, h.coefficients) and f.to(two).space.components == ("q", "p")
    for refused in (lambda: f + h, lambda: f.inner(h), lambda: one.projection(two), lambda: one.prolongation(two)):
        with pytest.raises(DomainError, match="order"):
            refused()
    turned = fs.FunctionSpace(fs.Grid(y=(0.0, 2.0, 5), x=(0.0, 1.0, 6)))
    with pytest.raises(DomainError, match="axes of the two spaces have the same names in another order"):
        SPACES["linear"].interpolate(1.0).to(turned)


def test_units_and_indices_that_do_not_fit():
    f = random(fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, 5))), 5)
    with pytest.raises(InputError, match="in 'm' and one in 'km' cannot be added"):
        f.renamed("a", "m") + f.renamed("b", "km")
    for index in ((slice(None), 0), (..., 0, 0)):
        with pytest.raises(InputError, match="indices for its own axes only"):
            f[index]
    assert torch.equal(f[..., 1].coefficients, f[1].coefficients)
    mask = torch.tensor([True, False, True, False, False])
    assert torch.equal(f[mask].coefficients, f[[0, 2]].coefficients)


def test_boundary_traces():
    space = SPACES["vector"]
    f = random(space, 2)
    trace = space.trace("left")
    assert torch.equal(trace(f.coefficients), f.values[:, 0])
    zeros = trace.T(torch.ones(2, 5, 2, dtype=f64))
    assert float(zeros.sum()) == 20 and bool((trace(zeros) == 1).all())


def test_evaluations_are_kept():
    space = fs.FunctionSpace(GRID)
    points = inside(space)
    assert space.evaluation(points) is space.evaluation(points.clone())
    assert space.evaluation(points) is not space.evaluation(points, "gradient")
    assert space.basis is fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, 6), y=(0.0, 2.0, 5))).basis


def test_making_a_space_touches_no_points():
    grid = fs.Grid(x=(0.0, 1.0, 100_000), y=(0.0, 1.0, 100_000))
    assert fs.FunctionSpace(grid).n_dofs == 10**10
    assert "points" not in vars(grid)


def test_reprs():
    f = random(SPACES["vector"], 2).renamed("w", "m/s")
    assert repr(f) == (
        "Function 'w' [m/s]: linear on Grid(x=(0.0, 1.0, 6), y=(0.0, 2.0, 5)), batch (2,), values (2,), float64"
    )
    assert repr(f.space) == "FunctionSpace('linear' on Grid(x=(0.0, 1.0, 6), y=(0.0, 2.0, 5)), 30 dofs, values (2,))"
    for space in SPACES.values():
        assert "<div>" in random(space)._repr_html_()


def test_bad_input_is_refused():
    space = SPACES["vector"]
    with pytest.raises(InputError, match=r"must have shape \(\*batch, 30, 2\).*got \(30, 3\)"):
        fs.Function(space, torch.zeros(30, 3))
    with pytest.raises(InputError, match=r"must be floating point, got torch\.int64"):
        fs.Function(space, torch.zeros(30, 2, dtype=torch.int64))
    with pytest.raises(InputError, match="must be a torch tensor, got list"):
        fs.Function(space, [1.0])
    f = random(space)
    with pytest.raises(InputError, match='norm must be "L2"'):
        f.norm("L1")
    with pytest.raises(InputError, match="no batch axis"):
        f[0]
    with pytest.raises(TypeError, match="no length"):
        len(f)
    with pytest.raises(TypeError, match="cannot be iterated"):
        iter(f)
