"""Function spaces on meshes: interpolation, projection, transfer between meshes, traces, norms, and their rates."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch

from funcspace.errors import DomainError, InputError, OutsideError
from funcspace.functions.bases.make_basis import make_basis
from funcspace.functions.elements.elements import element_names
from funcspace.functions.function import Function
from funcspace.functions.space import FunctionSpace
from funcspace.geometry.grid import Grid
from funcspace.geometry.meshes.mesh import Mesh

CELLS = ("interval", "triangle", "quadrilateral", "tetrahedron", "hexahedron")
CASES = [(cell, element) for cell in CELLS for element in element_names(cell)]
SCALAR = [case for case in CASES if case[1] not in ("RT", "N1curl")]
VECTOR = [case for case in CASES if case[1] in ("RT", "N1curl")]


def unit_mesh(cell: str, h: float) -> Mesh:
    if cell == "interval":
        return Mesh.interval(h)
    return Mesh.rectangle(h, cells=cell) if cell in ("triangle", "quadrilateral") else Mesh.box(h, cells=cell)


def disc(rings: int, *, curved: bool) -> Mesh:
    """The unit disc; curved sides lie on the circle."""
    import skfem

    mesh = Mesh.from_skfem(skfem.MeshTri.init_circle(rings))
    return mesh.curved(lambda x: x / x.norm(dim=1, keepdim=True)) if curved else mesh


def wave(x: torch.Tensor) -> torch.Tensor:
    return torch.sin(x.sum(dim=1)) + torch.cos(1.5 * x[:, 0])


def field(x: torch.Tensor) -> torch.Tensor:
    return torch.stack([torch.sin(x.sum(dim=1) + i) for i in range(x.shape[1])], dim=1)


def error(f: Function, exact, degree: int = 6) -> float:
    rule = f.space.quadrature(degree)
    difference = (rule.values(f.coefficients) - exact(rule.points)).reshape(len(rule.weights), -1)
    return math.sqrt(float(rule.weights @ (difference**2).sum(dim=1)))


def coefficients(space: FunctionSpace, *batch: int, seed: int = 0) -> torch.Tensor:
    shape = (*batch, *space.coefficient_shape)
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


@pytest.mark.parametrize(("cell", "element"), CASES)
def test_projection_converges_at_the_order_of_the_element(cell, element):
    """|u - P u| = O(h^(k+1)) for degree k, O(h) for the lowest-order vector elements."""
    order = {"P0": 1, "RT": 1, "N1curl": 1}.get(element) or int(element[1]) + 1
    sizes = (0.125, 0.0625) if cell not in ("tetrahedron", "hexahedron") else (0.25, 1 / 7)
    exact = field if element in ("RT", "N1curl") else wave
    errors = []
    for h in sizes:
        space = FunctionSpace(unit_mesh(cell, h), element)
        rule = space.quadrature(6)
        errors.append(error(Function(space, space._project_values(exact(rule.points), rule)), exact))
    assert math.log(errors[0] / errors[1]) > (order - 0.3) * math.log(sizes[0] / sizes[1])


@pytest.mark.parametrize(("cell", "element"), SCALAR)
def test_interpolation_has_the_values_of_its_source(cell, element):
    space = FunctionSpace(unit_mesh(cell, 0.5), element)
    f = space.interpolate(wave, name="w", units="m")
    assert (f.name, f.units) == ("w", "m")
    assert torch.equal(f.coefficients, wave(space.dof_points))
    assert torch.allclose(f(space.dof_points.flip(0)), f.coefficients.flip(0), atol=1e-12) or element == "P0"
    assert space.interpolate(f).coefficients is f.coefficients
    assert torch.equal(space.interpolate(2.5).coefficients, torch.full((space.n_dofs,), 2.5, dtype=torch.float64))


def test_curved_disc_area_and_interpolation_converge_at_rate_three_and_more():
    areas, errors, straight = [], [], []
    for rings in (2, 3, 4):
        space = FunctionSpace(disc(rings, curved=True), "P2")
        areas.append(abs(float(space.interpolate(1.0).integral()) - math.pi))
        errors.append(error(space.interpolate(wave), wave))
        flat = FunctionSpace(disc(rings, curved=False), "P2")
        straight.append(abs(float(flat.interpolate(1.0).integral()) - math.pi))
    rates = np.log2(np.divide([areas[:-1], errors[:-1], straight[:-1]], [areas[1:], errors[1:], straight[1:]]))
    assert (rates[0] > 3.5).all()  # quadratic sides: fourth order in the area
    assert (rates[1] > 2.8).all()
    assert (rates[2] < 2.2).all()


@pytest.mark.parametrize("curved", [False, True])
def test_disc_evaluates_at_its_own_dof_points(curved):
    """Scikit-fem's finder refuses some of them."""
    space = FunctionSpace(disc(3, curved=curved), "P2")
    shuffled = torch.from_numpy(np.random.default_rng(0).permutation(space.n_dofs))
    u = coefficients(space)
    assert torch.allclose(space.evaluation(space.dof_points[shuffled]) @ u, u[shuffled], atol=1e-10)
    assert space.dof_points[space.dofs("boundary")].norm(dim=1).max() < 1 + 1e-12
    if curved:
        assert torch.allclose(space.dof_points[space.dofs("boundary")].norm(dim=1), torch.ones(1, dtype=torch.float64))


@pytest.mark.parametrize(("cell", "element"), SCALAR)
@pytest.mark.parametrize("curved", [False, True])
def test_a_refined_space_reproduces_the_function(cell, element, curved):
    mesh = unit_mesh(cell, 0.5).curved() if curved else unit_mesh(cell, 0.5)
    if curved:
        mesh = Mesh(mesh.nodes + 0.05 * torch.sin(3.0 * mesh.nodes.flip(1)), mesh.cell_nodes, orientation="keep")
    coarse, fine = FunctionSpace(mesh, element), FunctionSpace(mesh.refined(), element)
    u = coefficients(coarse, 2)
    P = coarse.prolongation(fine)
    assert coarse.basis.refinement(fine.basis) is not None
    cells, at = torch.arange(mesh.n_cells), torch.full((mesh.n_cells, mesh.dim), 0.2, dtype=torch.float64)
    points = mesh.map_to_points(cells, at)
    before, after = coarse.evaluation(points) @ u, fine.evaluation(points) @ (P @ u)
    assert torch.allclose(before, after, rtol=1e-10, atol=1e-10)
    assert torch.allclose(coarse.mass(u).mul(u).sum(), fine.mass(P @ u).mul(P @ u).sum(), rtol=1e-10)
    back = fine.restriction(coarse)
    assert torch.allclose(fine.restriction(coarse, "adjoint") @ (P @ u), P.T @ (P @ u))
    if not curved:
        assert torch.allclose(back @ (P @ u), u, rtol=1e-9, atol=1e-9)
    if element != "P0":
        assert torch.allclose(fine.restriction(coarse, "injection") @ (P @ u), u, rtol=1e-9, atol=1e-9)


def test_prolongation_over_two_refinements_keeps_the_curve():
    mesh = disc(1, curved=True)
    coarse, fine = FunctionSpace(mesh, "P2"), FunctionSpace(mesh.refined(2), "P2")
    u = coefficients(coarse)
    v = coarse.prolongation(fine) @ u
    assert float(u @ coarse.mass(u)) == pytest.approx(float(v @ fine.mass(v)), rel=1e-12)
    assert float(u @ coarse.stiffness(u)) == pytest.approx(float(v @ fine.stiffness(v)), rel=1e-6)


@pytest.mark.parametrize(("cell", "low", "high"), [("triangle", "P1", "P2"), ("hexahedron", "Q1", "Q2")])
def test_from_degree_one_to_two_on_the_same_mesh(cell, low, high):
    mesh = unit_mesh(cell, 0.5)
    coarse, fine = FunctionSpace(mesh, low), FunctionSpace(mesh.with_boundaries({"some": [0]}), high)
    P, u = coarse.prolongation(fine), coefficients(coarse)
    assert "locator" not in mesh.__dict__  # no point was located
    vertices = len(mesh.points)
    assert torch.equal((P @ u)[:vertices], u)
    cells, at = torch.arange(mesh.n_cells), torch.full((mesh.n_cells, mesh.dim), 0.3, dtype=torch.float64)
    points = mesh.map_to_points(cells, at)
    assert torch.allclose(fine.evaluation(points) @ (P @ u), coarse.evaluation(points) @ u, atol=1e-12)
    assert torch.allclose(fine.projection(coarse) @ u, P @ u, atol=1e-11)


def test_meshes_that_are_not_nested_fall_back_to_point_location():
    coarse, other = FunctionSpace(Mesh.rectangle(0.5), "P1"), FunctionSpace(Mesh.rectangle(0.3), "P1")
    assert coarse.basis.refinement(other.basis) is None
    assert coarse.basis.refinement(make_basis(Mesh.rectangle(0.5).curved(), "P2")) is None
    moved = Mesh.rectangle(0.5).refined()
    moved = Mesh(moved.points * torch.tensor([1.0, 0.5]), moved.cells)
    assert coarse.basis.refinement(make_basis(moved, "P1")) is None
    f = coarse.interpolate(lambda x: x[:, 0] - 3 * x[:, 1])
    assert torch.allclose(f.to(other).coefficients, other.dof_points @ torch.tensor([1.0, -3.0], dtype=torch.float64))
    smaller = FunctionSpace(Mesh.rectangle(0.5, origin=(0.9, 0.0)), "P1")
    with pytest.raises(OutsideError):
        f.to(smaller)
    assert f.to(smaller, outside="nearest").coefficients.isfinite().all()


def test_between_grids_and_meshes():
    grid = FunctionSpace(Grid(x=(0.0, 1.0, 5), y=(0.0, 1.0, 5)), "linear")
    mesh = FunctionSpace(Mesh.rectangle(0.25, cells="quadrilateral"), "Q1")
    f = grid.interpolate(wave)
    g = f.to(mesh)
    assert torch.allclose(g.to(grid).coefficients, f.coefficients, atol=1e-12)
    assert float(g.norm("L2")) == pytest.approx(float(f.norm("L2")), rel=1e-12)
    assert float(g.norm("H1")) == pytest.approx(float(f.norm("H1")), rel=1e-12)


@pytest.mark.parametrize(("cell", "element"), SCALAR)
def test_norms_integrals_and_gradients_of_a_linear_function(cell, element):
    space = FunctionSpace(unit_mesh(cell, 0.5), element)
    f = space.interpolate(lambda x: x[:, 0])
    assert float(f.integral()) == pytest.approx(0.5, rel=1e-13)
    if element != "P0":
        assert float(f.norm("L2")) == pytest.approx(math.sqrt(1 / 3), rel=1e-12)
        assert float(f.norm("H1")) == pytest.approx(math.sqrt(4 / 3), rel=1e-12)
        expected = torch.eye(space.domain.dim, dtype=torch.float64)[:1]
        assert torch.allclose(f.gradient(space.domain.points.mean(dim=0, keepdim=True)), expected, atol=1e-12)
    else:
        assert float(f.norm("H1_semi")) == 0


def test_components_and_batches():
    space = FunctionSpace(unit_mesh("triangle", 0.25), "P2", components=("ux", "uy"))
    f = space.interpolate(field)
    assert space.coefficient_shape == (space.n_dofs, 2)
    points = torch.rand(7, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert f(points).shape == (7, 2) and f.gradient(points).shape == (7, 2, 2)
    assert torch.allclose(f.component("uy")(points), f(points)[:, 1])
    batch = Function(space, torch.stack([f.coefficients, 2 * f.coefficients]))
    assert torch.allclose(batch(points)[1], 2 * f(points))
    assert torch.allclose(batch.norm("H1"), f.norm("H1") * torch.tensor([1.0, 2.0], dtype=torch.float64))
    assert batch.integral().shape == (2, 2)
    trace = space.trace("left")
    assert (trace @ batch.coefficients).shape == (2, len(space.dofs("left")), 2)


@pytest.mark.parametrize(("cell", "element"), VECTOR)
def test_vector_elements_as_function_spaces(cell, element):
    space = FunctionSpace(unit_mesh(cell, 0.5), element)
    dim = space.domain.dim
    assert (space.value_shape, space.coefficient_shape, space.dof_points) == ((dim,), (space.n_dofs,), None)
    f = space.interpolate(lambda x: torch.arange(1.0, dim + 1, dtype=torch.float64).expand(len(x), dim))
    points = torch.rand(5, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    constant = torch.arange(1.0, dim + 1, dtype=torch.float64)
    assert torch.allclose(f(points), constant.expand(5, dim), atol=1e-11)
    assert torch.allclose(f.gradient(points), torch.zeros(5, dim, dim, dtype=torch.float64), atol=1e-10)
    assert torch.allclose(f.integral(), constant, rtol=1e-11)
    assert float(f.norm("L2")) == pytest.approx(float(constant.norm()), rel=1e-11)
    assert float(f.norm("H1_semi")) < 1e-6
    assert torch.allclose(space.projection(space) @ f.coefficients, f.coefficients, atol=1e-10)
    finer = FunctionSpace(space.domain.refined(), element)
    assert torch.allclose(f.to(finer)(points), f(points), atol=1e-10)
    lagrange = FunctionSpace(space.domain, components=[f"u{i}" for i in range(dim)])
    assert torch.allclose(f.to(lagrange).coefficients, constant.expand(lagrange.n_dofs, dim), atol=1e-10)
    assert torch.allclose(lagrange.interpolate(lambda x: constant.expand(len(x), dim)).to(space)(points), f(points))
    with pytest.raises(DomainError, match="projection"):
        space.prolongation(finer)


def test_traces_and_unknown_parts():
    space = FunctionSpace(unit_mesh("tetrahedron", 0.5), "P2")
    f = space.interpolate(lambda x: x[:, 2])
    assert torch.equal(space.trace("back") @ f.coefficients, torch.ones(25, dtype=torch.float64))
    assert torch.equal(space.trace("front") @ f.coefficients, torch.zeros(25, dtype=torch.float64))
    padded = space.trace("back").adjoint() @ torch.ones(25, dtype=torch.float64)
    assert torch.equal(torch.nonzero(padded).reshape(-1), space.dofs("back"))
    with pytest.raises(InputError, match=r"inlet.*back.*bottom.*boundary"):
        space.dofs("inlet")


def test_bases_are_shared_between_spaces():
    first = FunctionSpace(Mesh.rectangle(0.5), "P2")
    second = FunctionSpace(Mesh.rectangle(0.5), "P2", components=("a", "b"))
    assert first.basis is second.basis
    assert first.quadrature().points is second.quadrature().points
    assert first.fingerprint != second.fingerprint
    assert FunctionSpace(Mesh.rectangle(0.5)).fingerprint == FunctionSpace(Mesh.rectangle(0.5), "cg1").fingerprint


def test_no_warnings_reach_the_user():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        space = FunctionSpace(Mesh.rectangle(0.4), "P2")
        f = space.interpolate(wave)
        f.norm("H1"), f.gradient(torch.full((1, 2), 0.3, dtype=torch.float64))


@pytest.mark.parametrize("degree", [-1, -5])
def test_a_negative_quadrature_degree_is_refused(degree):
    with pytest.raises(InputError, match="0 or more"):
        FunctionSpace(Mesh.rectangle(0.5), "P1").quadrature(degree)
