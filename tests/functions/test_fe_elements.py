"""Names of elements, quadrature on reference cells, the maps of cells, and the Nedelec element on hexahedra."""

from __future__ import annotations

import numpy as np
import pytest

from funcspace.errors import InputError
from funcspace.functions.elements.elements import element_names, finite_element
from funcspace.functions.elements.quadrature import cell_rule
from funcspace.functions.elements.tabulation import CellMap, inverse_and_determinant
from funcspace.geometry.meshes.mesh import Mesh
from funcspace.geometry.meshes.reference_cells import REFERENCE_CELLS


@pytest.mark.parametrize(
    ("alias", "cell", "name"),
    [
        (None, "interval", "P1"),
        (None, "hexahedron", "Q1"),
        ("p2", "triangle", "P2"),
        ("CG1", "tetrahedron", "P1"),
        ("CG1", "quadrilateral", "Q1"),
        ("Lagrange 2", "hexahedron", "Q2"),
        ("DG0", "quadrilateral", "P0"),
        ("q0", "hexahedron", "P0"),
        ("RT0", "triangle", "RT"),
        ("Raviart-Thomas", "hexahedron", "RT"),
        ("n1CURL", "tetrahedron", "N1curl"),
        ("Nedelec", "triangle", "N1curl"),
    ],
)
def test_names(alias, cell, name):
    assert finite_element(alias, cell).name == name


@pytest.mark.parametrize(
    ("name", "cell", "message"),
    [
        ("P1", "quadrilateral", 'use "Q1"; they have P0, Q1, Q2, RT and N1curl'),
        ("P2", "hexahedron", 'use "Q2"'),
        ("Q1", "triangle", 'use "P1"'),
        ("P3", "triangle", "no element 'P3' on triangle cells; they have P0, P1, P2, RT and N1curl"),
        ("RT1", "triangle", "no element 'RT1'"),
        ("RT", "interval", "in one dimension"),
        ("", "tetrahedron", "no element ''"),
        (2, "triangle", "named by a string"),
    ],
)
def test_unknown_names_say_what_there_is(name, cell, message):
    with pytest.raises(InputError, match=message):
        finite_element(name, cell)


@pytest.mark.parametrize("cell", sorted(REFERENCE_CELLS))
def test_every_listed_element_is_there(cell):
    for name in element_names(cell):
        element = finite_element(name, cell)
        assert element.name == name
        assert element.skfem.refdom.dim() == REFERENCE_CELLS[cell].dim


@pytest.mark.parametrize("cell", sorted(REFERENCE_CELLS))
@pytest.mark.parametrize("degree", range(0, 12))
def test_rules_integrate_monomials_with_positive_weights_inside(cell, degree):
    points, weights = cell_rule(cell, degree)
    reference = REFERENCE_CELLS[cell]
    assert (weights > 0).all() and (reference.inside(points) > 0).all()
    exact_points, exact_weights = reference.quadrature(degree + 3)
    grid = np.stack(np.meshgrid(*[np.arange(degree + 1)] * reference.dim, indexing="ij"), -1)
    powers = grid.reshape(-1, reference.dim)
    powers = powers[powers.sum(axis=1) <= degree] if reference.is_simplex else powers
    ours = weights @ np.prod(points[:, None, :] ** powers, axis=2)
    exact = exact_weights @ np.prod(exact_points[:, None, :] ** powers, axis=2)
    assert np.abs(ours - exact).max() < 2e-14


@pytest.mark.parametrize("cell", ["triangle", "quadrilateral", "tetrahedron", "hexahedron"])
def test_nedelec_functions_are_dual_to_the_edges(cell):
    """The tangential integral of function i along edge j is +-1 where i = j, else 0, in one direction for all edges."""
    element, reference = finite_element("N1curl", cell).skfem, REFERENCE_CELLS[cell]
    nodes, weights = np.polynomial.legendre.leggauss(3)
    moments = np.empty((len(reference.edges),) * 2)
    for j, (a, b) in enumerate(reference.edges):
        start, tangent = reference.corners[a], reference.corners[b] - reference.corners[a]
        along = start[:, None] + tangent[:, None] * (nodes + 1) / 2
        for i in range(len(reference.edges)):
            moments[i, j] = (weights / 2) @ (tangent @ element.lbasis(along, i)[0])
    assert np.abs(moments - np.sign(moments[0, 0]) * np.eye(len(moments))).max() < 1e-14


@pytest.mark.parametrize("cell", ["quadrilateral", "hexahedron"])
def test_curls_of_our_nedelec_elements(cell):
    element, dim = finite_element("N1curl", cell).skfem, REFERENCE_CELLS[cell].dim
    x, step = np.random.default_rng(0).random((dim, 6)), 1e-6
    for i in range(len(REFERENCE_CELLS[cell].edges)):
        jacobian = np.empty((dim, dim, 6))
        for axis in range(dim):
            shift = step * np.eye(dim)[:, axis, None]
            jacobian[:, axis] = (element.lbasis(x + shift, i)[0] - element.lbasis(x - shift, i)[0]) / (2 * step)
        pairs = ((1, 0),) if dim == 2 else ((2, 1), (0, 2), (1, 0))
        curl = np.stack([jacobian[a, b] - jacobian[b, a] for a, b in pairs])
        assert np.abs(curl - element.lbasis(x, i)[1]).max() < 1e-9
    with pytest.raises(ValueError, match="Index"):
        element.lbasis(x, 12)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_small_inverses_and_determinants(dim):
    matrices = np.random.default_rng(0).standard_normal((4, 5, dim, dim))
    inverses, determinants = inverse_and_determinant(matrices)
    assert np.allclose(inverses @ matrices, np.eye(dim), atol=1e-11)
    assert np.allclose(determinants, np.linalg.det(matrices))


@pytest.mark.parametrize("cell", sorted(REFERENCE_CELLS))
def test_the_cell_map_its_derivatives_and_its_inverse(cell):
    mesh = Mesh.interval(0.5) if cell == "interval" else (
        Mesh.rectangle(0.5, cells=cell) if cell in ("triangle", "quadrilateral") else Mesh.box(0.5, cells=cell)
    )  # fmt: skip
    mesh = mesh.curved()
    mesh = Mesh(mesh.nodes + 0.05 * (3.0 * mesh.nodes.flip(1)).sin(), mesh.cell_nodes, orientation="keep")
    maps, generator = CellMap(mesh), np.random.default_rng(0)
    cells = generator.integers(0, mesh.n_cells, 10)
    at = generator.dirichlet(np.ones(mesh.reference.n_corners), 10) @ mesh.reference.corners
    step = 1e-5
    for axis in range(mesh.dim):
        shift = step * np.eye(mesh.dim)[axis]
        slope = (maps.points(cells, at + shift) - maps.points(cells, at - shift)) / (2 * step)
        assert np.abs(maps.jacobians(cells, at)[..., axis] - slope).max() < 1e-8
        bend = (maps.jacobians(cells, at + shift) - maps.jacobians(cells, at - shift)) / (2 * step)
        assert np.abs(maps.hessians(cells, at)[..., axis] - bend).max() < 1e-7
    found, residual = maps.inverse(cells, maps.points(cells, at))
    assert residual.max() < 1e-14 and np.abs(found - at).max() < 1e-12
