"""scikit-fem and we number points, cells, facets and quadratic nodes alike, in both directions."""

from __future__ import annotations

import numpy as np
import pytest
import skfem

from funcspace.errors import DomainError, InputError
from funcspace.geometry.meshes.mesh import Mesh

MESHES = {
    "interval": lambda: Mesh.interval(0.25),
    "triangle": lambda: Mesh.perforated_plate(0.25),
    "quadrilateral": lambda: Mesh.rectangle(0.3, cells="quadrilateral"),
    "tetrahedron": lambda: Mesh.box(0.5),
    "hexahedron": lambda: Mesh.box(0.5, cells="hexahedron"),
}
ELEMENTS = {
    "interval": (skfem.ElementLineP1(), skfem.ElementLineP2()),
    "triangle": (skfem.ElementTriP1(), skfem.ElementTriP2()),
    "quadrilateral": (skfem.ElementQuad1(), skfem.ElementQuad2()),
    "tetrahedron": (skfem.ElementTetP1(), skfem.ElementTetP2()),
    "hexahedron": (skfem.ElementHex1(), skfem.ElementHex2()),
}


@pytest.mark.parametrize("curved", [False, True])
@pytest.mark.parametrize("name", list(MESHES))
def test_one_numbering_on_both_sides(name: str, curved: bool) -> None:
    mesh = MESHES[name]().curved() if curved else MESHES[name]()
    theirs = mesh.to_skfem()
    assert mesh.to_skfem() is theirs
    np.testing.assert_array_equal(theirs.doflocs.T, mesh.nodes)
    np.testing.assert_array_equal(theirs.t.T, mesh.cells)
    np.testing.assert_array_equal(theirs.facets.T, mesh.facets)
    np.testing.assert_array_equal(theirs.t2f.T, mesh.cell_facets)
    np.testing.assert_array_equal(theirs.boundary_facets(), mesh.boundary["boundary"])
    np.testing.assert_array_equal(theirs.dofs.element_dofs.T, mesh.cell_nodes)
    for part, facets in mesh.boundary.items():
        np.testing.assert_array_equal(theirs.boundaries[part], facets)
    assert Mesh.from_skfem(theirs) == mesh


@pytest.mark.parametrize("curved", [False, True])
@pytest.mark.parametrize("name", list(MESHES))
def test_measures_are_scikit_fems(name: str, curved: bool) -> None:
    mesh = MESHES[name]()
    if curved:
        mesh = mesh.curved(lambda x: x + 0.02 * (3 * x).sin().prod(dim=1, keepdim=True))
    basis = skfem.Basis(mesh.to_skfem(), ELEMENTS[name][0], intorder=8)
    lumped = skfem.LinearForm(lambda v, _: v).assemble(basis)
    np.testing.assert_allclose(mesh.measure, lumped, rtol=1e-11)
    np.testing.assert_allclose(mesh.volumes, basis.dx.sum(axis=1), rtol=1e-11)


@pytest.mark.parametrize(
    "theirs",
    [
        skfem.MeshTri.init_circle(2),
        skfem.MeshTri().refined([0]),
        skfem.MeshTri2.init_circle(2),
        skfem.MeshQuad().refined(2),
        skfem.MeshQuad2(),
        skfem.MeshTet().refined(1),
        skfem.MeshTet.init_ball(1),
        skfem.MeshTet2.init_ball(1),
        skfem.MeshHex().refined(1),
        skfem.MeshHex2(),
        skfem.MeshLine(np.array([0.0, 0.3, 1.0])),
    ],
    ids=lambda m: f"{type(m).__name__}-{m.nelements}",
)
def test_their_meshes_come_in_as_they_are(theirs: skfem.Mesh) -> None:
    mesh = Mesh.from_skfem(theirs)
    np.testing.assert_array_equal(mesh.nodes, theirs.doflocs.T)
    np.testing.assert_array_equal(mesh.cells, theirs.t.T)
    np.testing.assert_array_equal(mesh.facets, theirs.facets.T)
    if theirs.sort_t or mesh.dim == 3:
        assert Mesh(theirs.p.T, np.asarray(theirs.dofs.element_dofs).T) == mesh
    fine = mesh.refined()
    assert float(fine.measure.sum()) == pytest.approx(float(mesh.measure.sum()))
    assert Mesh.from_skfem(fine.to_skfem()) == fine


def test_named_boundaries_come_along() -> None:
    theirs = skfem.MeshQuad().refined(2).with_boundaries({"inflow": lambda x: x[0] == 0})
    mesh = Mesh.from_skfem(theirs, units={"x": "m"})
    np.testing.assert_array_equal(mesh.boundary["inflow"], theirs.boundaries["inflow"])
    assert mesh.units["x"] == "m"


def test_what_has_no_counterpart_is_refused() -> None:
    with pytest.raises(InputError, match="expected a scikit-fem mesh"):
        Mesh.from_skfem([1, 2])
    with pytest.raises(DomainError, match="no counterpart"):
        Mesh.from_skfem(skfem.MeshWedge1())
    tri = skfem.MeshTri()
    loose = skfem.MeshTri(np.hstack([tri.p, [[7.0], [7.0]]]), tri.t)
    with pytest.raises(DomainError, match="remove_unused_nodes"):
        Mesh.from_skfem(loose)


def test_finite_elements_work_on_meshes_of_any_orientation() -> None:
    """RT and N1curl reproduce a constant field on clockwise and mixed triangles."""
    points = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    mesh = Mesh(points, [[0, 1, 2], [0, 3, 2]], orientation="keep").refined(2)
    for element in (skfem.ElementTriRT0(), skfem.ElementTriN1()):
        basis = skfem.Basis(mesh.to_skfem(), element)
        x = basis.project(lambda x: np.stack([1 + 0 * x[0], 2 + 0 * x[0]]))
        values = np.asarray(basis.interpolate(x))
        np.testing.assert_allclose(values[0], 1.0, atol=1e-10)
        np.testing.assert_allclose(values[1], 2.0, atol=1e-10)
