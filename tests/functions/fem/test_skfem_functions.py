"""Functions of scikit-fem against ours: the same values everywhere, the same vectors back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import skfem
import torch

from funcspace.errors import DomainError, InputError
from funcspace.functions import Function, FunctionSpace
from funcspace.geometry import Grid, Mesh

BOXES = {
    "triangle": lambda: skfem.MeshTri().refined(2),
    "quadrilateral": lambda: skfem.MeshQuad().refined(2),
    "tetrahedron": lambda: skfem.MeshTet().refined(1),
    "hexahedron": lambda: skfem.MeshHex().refined(1),
}
ELEMENTS = {
    "triangle": (
        skfem.ElementTriP0(),
        skfem.ElementTriP1(),
        skfem.ElementTriP2(),
        skfem.ElementTriRT1(),
        skfem.ElementTriN1(),
    ),
    "quadrilateral": (skfem.ElementQuad0(), skfem.ElementQuad1(), skfem.ElementQuad2(), skfem.ElementQuadRT1()),
    "tetrahedron": (
        skfem.ElementTetP0(),
        skfem.ElementTetP1(),
        skfem.ElementTetP2(),
        skfem.ElementTetRT1(),
        skfem.ElementTetN1(),
    ),
    "hexahedron": (skfem.ElementHex0(), skfem.ElementHex1(), skfem.ElementHex2(), skfem.ElementHexRT1()),
}
CASES = [
    pytest.param(cell, element, id=f"{cell}-{type(element).__name__}")
    for cell, elements in ELEMENTS.items()
    for element in (*elements, *(skfem.ElementVector(e) for e in elements[1:3]))
]


def bent(mesh: Any) -> Any:
    """Cells that are no longer parallel to the axes; boxes stay flat-faced in the plane only."""
    moved = mesh.p.copy()
    moved[0] += 0.11 * mesh.p[1] ** 2
    moved[1] -= 0.07 * mesh.p[0] * mesh.p[-1]
    return type(mesh)(moved, mesh.t)


def values_by_skfem(basis: Any, vector: np.ndarray) -> np.ndarray:
    """Values (points, *value) at the quadrature points."""
    field = np.asarray(basis.interpolate(vector))
    return np.moveaxis(field.reshape(*field.shape[:-2], -1), -1, 0)


@pytest.mark.parametrize(("cell", "element"), CASES)
def test_values_agree_and_vectors_return(cell: str, element: Any) -> None:
    basis = skfem.CellBasis(bent(BOXES[cell]()), element, intorder=3)
    vector = np.random.default_rng(0).standard_normal(basis.N)
    function = Function.from_skfem(basis, vector)
    coordinates = np.asarray(basis.global_coordinates())
    points = torch.from_numpy(np.ascontiguousarray(coordinates.reshape(len(coordinates), -1).T))
    scale = max(1.0, float(np.abs(values_by_skfem(basis, vector)).max()))
    np.testing.assert_allclose(function(points).numpy(), values_by_skfem(basis, vector), atol=2e-12 * scale)
    np.testing.assert_array_equal(function.to_skfem(basis), vector)
    assert function.coefficients.data_ptr() == vector.__array_interface__["data"][0]


def test_batches_and_names() -> None:
    basis = skfem.CellBasis(skfem.MeshTri().refined(2).with_boundaries({"left": lambda x: x[0] == 0.0}),
                            skfem.ElementVector(skfem.ElementTriP1()))  # fmt: skip
    vectors = np.random.default_rng(1).standard_normal((3, basis.N))
    batch = Function.from_skfem(basis, vectors, components=("ux", "uy"), name="displacement", units="m")
    assert batch.batch_shape == (3,) and batch.space.components == ("ux", "uy") and "left" in batch.domain.boundary
    np.testing.assert_array_equal(batch.to_skfem(basis), vectors)
    x_part = vectors[:, basis.split_indices()[0]]
    np.testing.assert_array_equal(batch.component("ux").coefficients.numpy(), x_part)


def test_nedelec_functions_that_run_the_other_way() -> None:
    """On one structured row of cells scikit-fem's edge functions fit together; some are ours with another sign."""
    basis = skfem.CellBasis(skfem.MeshQuad.init_tensor(np.linspace(0, 1, 4), np.array([0.0, 1.0])),
                            skfem.ElementQuadN1(), intorder=2)  # fmt: skip
    vector = np.random.default_rng(2).standard_normal(basis.N)
    function = Function.from_skfem(basis, vector)
    points = torch.from_numpy(np.asarray(basis.global_coordinates()).reshape(2, -1).T.copy())
    np.testing.assert_allclose(function(points).numpy(), values_by_skfem(basis, vector), atol=1e-13)
    np.testing.assert_array_equal(function.to_skfem(basis), vector)


def test_functions_from_elsewhere_are_interpolated() -> None:
    basis = skfem.CellBasis(skfem.MeshTri().refined(3), skfem.ElementTriP2())
    grid = FunctionSpace(Grid(x=(0.0, 1.0, 9), y=(0.0, 1.0, 9)))
    plane = grid.interpolate(lambda x: 2.0 * x[..., 0] - x[..., 1])
    np.testing.assert_allclose(plane.to_skfem(basis), 2.0 * basis.doflocs[0] - basis.doflocs[1], atol=1e-14)
    own = FunctionSpace(Mesh.from_skfem(basis.mesh), "P1").interpolate(lambda x: x[..., 0])
    np.testing.assert_allclose(own.to_skfem(basis), basis.doflocs[0], atol=1e-14)


def test_what_does_not_fit_is_refused() -> None:
    mesh = skfem.MeshTri().refined(1)
    basis = skfem.CellBasis(mesh, skfem.ElementTriP1())
    with pytest.raises(InputError, match=r"\(\*batch, 9\); got \(8,\)"):
        Function.from_skfem(basis, np.zeros(8))
    with pytest.raises(InputError, match="floating point; got int64"):
        Function.from_skfem(basis, np.zeros(9, dtype=np.int64))
    with pytest.raises(InputError, match="scikit-fem basis; got MeshTri1"):
        FunctionSpace.from_skfem(mesh)
    for element in (skfem.ElementTriMini(), skfem.ElementTriMorley(), skfem.ElementTriP1() * skfem.ElementTriP0()):
        with pytest.raises(InputError, match="no counterpart"):
            FunctionSpace.from_skfem(skfem.CellBasis(mesh, element))
    with pytest.raises(InputError, match="no counterpart"):
        FunctionSpace.from_skfem(skfem.CellBasis(mesh, skfem.ElementDG(skfem.ElementTriP1())))
    with pytest.raises(DomainError, match="is not the mesh"):
        FunctionSpace.from_skfem(basis, mesh=Mesh.rectangle(0.3))
    vector_space = FunctionSpace(Mesh.from_skfem(mesh), components=("a", "b"))
    with pytest.raises(InputError, match=r"values of shape \(2,\), the target has values of shape \(\)"):
        vector_space.interpolate(lambda x: x).to_skfem(basis)
