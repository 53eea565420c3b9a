"""Functions of DOLFINx against ours: the same values everywhere, the same coefficients back; run where it is there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from funcspace.errors import DomainError, InputError
from funcspace.functions import Function, FunctionSpace
from funcspace.functions.elements.tabulation import CellMap
from funcspace.geometry import Grid, Mesh

pytestmark = [
    pytest.mark.dolfinx,
    # FFCx leaves files that it compiles open
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]
pytest.importorskip("dolfinx")

import dolfinx  # noqa: E402
import ufl  # noqa: E402
from dolfinx import fem  # noqa: E402
from dolfinx.mesh import CellType  # noqa: E402
from mpi4py import MPI  # noqa: E402

FAMILIES = {
    "interval": (("DG", 0), ("CG", 1), ("CG", 2)),
    "triangle": (("DG", 0), ("CG", 1), ("CG", 2), ("RT", 1), ("N1curl", 1)),
    "quadrilateral": (("DG", 0), ("CG", 1), ("CG", 2), ("RTCF", 1), ("RTCE", 1)),
    "tetrahedron": (("DG", 0), ("CG", 1), ("CG", 2), ("RT", 1), ("N1curl", 1)),
    "hexahedron": (("DG", 0), ("CG", 1), ("CG", 2), ("NCF", 1), ("NCE", 1)),
}
CASES = [
    pytest.param(cell, family, id=f"{cell}-{family[0]}{family[1]}") for cell in FAMILIES for family in FAMILIES[cell]
]


def unit_mesh(cell: str, n: int = 3) -> Any:
    """A bent unit box; cells are numbered and oriented as DOLFINx pleases."""
    kind = CellType.interval if cell == "interval" else getattr(CellType, cell)
    if cell == "interval":
        mesh = dolfinx.mesh.create_unit_interval(MPI.COMM_SELF, 3 * n)
    elif cell in ("triangle", "quadrilateral"):
        mesh = dolfinx.mesh.create_unit_square(MPI.COMM_SELF, n + 1, n, kind)
    else:
        mesh = dolfinx.mesh.create_unit_cube(MPI.COMM_SELF, n, n - 1, n - 1, kind)
    x, dim = mesh.geometry.x, mesh.geometry.dim
    x[:, :dim] += 0.05 * np.sin(5.0 * x[:, [1, 2, 0]][:, :dim])
    return mesh


def shuffled(cell: str) -> Any:
    """The same cells with the corners of each in an order of its own (simplices): all orientations of edges occur."""
    mesh, generator = unit_mesh(cell), np.random.default_rng(3)
    rows = mesh.geometry.dofmap
    rows = np.asarray(rows.array).reshape(-1, mesh.geometry.dim + 1) if hasattr(rows, "offsets") else np.asarray(rows)
    new = generator.permutation(len(mesh.geometry.x))
    points = np.empty((len(new), mesh.geometry.dim))
    points[new] = mesh.geometry.x[:, : mesh.geometry.dim]
    cells = generator.permuted(new[rows], axis=1).astype(np.int64)
    domain = ufl.Mesh(ufl.VectorElement("Lagrange", ufl.Cell(cell), 1))
    return dolfinx.mesh.create_mesh(MPI.COMM_SELF, cells, points, domain)


def random_function(space: Any, seed: int = 0) -> Any:
    u = fem.Function(space)
    u.x.array[:] = np.random.default_rng(seed).standard_normal(len(u.x.array))
    return u


def compare(u: Any, ours: Function) -> float:
    """Largest difference at a random point of each cell, relative to the largest value."""
    mesh = ours.domain
    cells = np.arange(mesh.n_cells)
    corners = mesh.reference.corners
    at = np.random.default_rng(1).dirichlet(np.ones(len(corners)), size=len(cells)) @ corners
    points = CellMap(mesh).points(cells, at)
    padded = np.zeros((len(points), 3))
    padded[:, : points.shape[1]] = points
    theirs = u.eval(padded, cells.astype(np.int32)).reshape(len(points), -1)
    found = ours(torch.from_numpy(points)).numpy().reshape(len(points), -1)
    return float(np.abs(found - theirs).max() / np.abs(theirs).max())


@pytest.mark.parametrize(("cell", "family"), CASES)
def test_values_agree_and_coefficients_return(cell: str, family: tuple[str, int]) -> None:
    space = fem.FunctionSpace(unit_mesh(cell), family)
    u = random_function(space)
    ours = Function.from_dolfinx(u)
    assert compare(u, ours) < 1e-12
    back = ours.to_dolfinx(space)
    if family[0] == "RT" and cell == "tetrahedron":  # their functions are ours times the square root of 2
        np.testing.assert_allclose(back.x.array, u.x.array, rtol=1e-15)
    else:
        np.testing.assert_array_equal(back.x.array, u.x.array)


@pytest.mark.parametrize("cell", ["triangle", "quadrilateral", "tetrahedron", "hexahedron"])
@pytest.mark.parametrize("degree", [1, 2])
def test_vectors_and_tensors(cell: str, degree: int) -> None:
    mesh = unit_mesh(cell, 2)
    for make in (fem.VectorFunctionSpace, fem.TensorFunctionSpace):
        space = make(mesh, ("CG", degree))
        u = random_function(space)
        ours = Function.from_dolfinx(u)
        dim = mesh.geometry.dim
        assert ours.space.value_shape == ((dim,) if make is fem.VectorFunctionSpace else (dim, dim))
        assert compare(u, ours) < 1e-12
        np.testing.assert_array_equal(ours.to_dolfinx(space).x.array, u.x.array)


@pytest.mark.parametrize("cell", ["triangle", "tetrahedron"])
@pytest.mark.parametrize("family", ["RT", "N1curl", "CG"])
def test_cells_of_all_orientations(cell: str, family: str) -> None:
    space = fem.FunctionSpace(shuffled(cell), (family, 2 if family == "CG" else 1))
    u = random_function(space)
    assert compare(u, Function.from_dolfinx(u)) < 1e-12


@pytest.mark.parametrize("family", [("CG", 1), ("CG", 2), ("RT", 1), ("N1curl", 1)])
def test_curved_triangles(family: tuple[str, int]) -> None:
    points = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0.5, 0.5], [1.1, 0.5], [0.5, 0.0], [0.5, 1.1], [0, 0.5]], float)
    cells = np.array([[0, 1, 2, 5, 4, 6], [0, 2, 3, 7, 8, 4]], dtype=np.int64)
    domain = ufl.Mesh(ufl.VectorElement("Lagrange", ufl.triangle, 2))
    u = random_function(fem.FunctionSpace(dolfinx.mesh.create_mesh(MPI.COMM_SELF, cells, points, domain), family))
    ours = Function.from_dolfinx(u)
    assert ours.domain.is_curved and compare(u, ours) < 1e-12


def test_a_polynomial_is_the_same_on_both_sides() -> None:
    mesh = unit_mesh("triangle")
    space = fem.FunctionSpace(mesh, ("CG", 2))
    ours = FunctionSpace.from_dolfinx(space).interpolate(lambda x: x[..., 0] ** 2 - 3.0 * x[..., 0] * x[..., 1])
    theirs = fem.Function(space)
    theirs.interpolate(lambda x: x[0] ** 2 - 3.0 * x[0] * x[1])
    np.testing.assert_allclose(ours.to_dolfinx(space).x.array, theirs.x.array, atol=1e-14)
    energy = fem.assemble_scalar(fem.form(ufl.inner(ufl.grad(theirs), ufl.grad(theirs)) * ufl.dx))
    assert float(ours.norm("H1_semi")) ** 2 == pytest.approx(energy, rel=1e-12)


def test_memory_is_shared_where_the_numbering_is_one() -> None:
    mesh = dolfinx.mesh.create_unit_square(MPI.COMM_SELF, 8, 8)
    u = random_function(fem.VectorFunctionSpace(mesh, ("CG", 1)))
    ours, apart = Function.from_dolfinx(u), Function.from_dolfinx(u, copy=True)
    before = float(u.x.array[0])
    u.x.array[0] = 7.0
    assert float(ours.coefficients[0, 0]) == 7.0 and float(apart.coefficients[0, 0]) == before


def test_boundary_tags_travel() -> None:
    mesh = unit_mesh("triangle")
    facets = np.sort(dolfinx.mesh.locate_entities_boundary(mesh, 1, lambda x: x[0] < 0.06)).astype(np.int32)
    tags = dolfinx.mesh.meshtags(mesh, 1, facets, np.full(len(facets), 4, dtype=np.int32))
    space = fem.FunctionSpace(mesh, ("CG", 2))
    ours = FunctionSpace.from_dolfinx(space, facet_tags=tags, names={"inlet": 4})
    theirs = fem.locate_dofs_topological(space, 1, facets)
    assert len(ours.dofs("inlet")) == len(theirs)
    marked = fem.Function(space)
    marked.x.array[theirs] = 1.0
    domain = Mesh.from_dolfinx(mesh, tags, {"inlet": 4})
    same = Function.from_dolfinx(marked, mesh=domain)
    assert same.space == ours
    assert torch.nonzero(same.coefficients).ravel().tolist() == ours.dofs("inlet").tolist()
    assert torch.equal(Function.from_dolfinx(same.to_dolfinx(space)).coefficients, same.coefficients)


def test_batches_and_functions_from_elsewhere() -> None:
    space = fem.FunctionSpace(dolfinx.mesh.create_unit_square(MPI.COMM_SELF, 5, 4), ("CG", 2))
    members = [random_function(space, seed) for seed in range(3)]
    batch = Function.from_dolfinx(members, name="state")
    assert batch.batch_shape == (3,) and batch.name == "state"
    for ours, theirs in zip(batch, members, strict=True):
        np.testing.assert_array_equal(ours.to_dolfinx(space).x.array, theirs.x.array)
    plane = FunctionSpace(Grid(x=(0.0, 1.0, 5), y=(0.0, 1.0, 5))).interpolate(lambda x: x[..., 0] + 2.0 * x[..., 1])
    filled = fem.Function(space)
    assert plane.to_dolfinx(filled) is filled
    at = space.tabulate_dof_coordinates()
    np.testing.assert_allclose(filled.x.array, at[:, 0] + 2.0 * at[:, 1], atol=1e-14)


def test_moved_meshes_are_seen() -> None:
    mesh = dolfinx.mesh.create_unit_square(MPI.COMM_SELF, 3, 3)
    space = fem.FunctionSpace(mesh, ("CG", 1))
    assert float(FunctionSpace.from_dolfinx(space).domain.measure.sum()) == pytest.approx(1.0)
    mesh.geometry.x[:] *= 2.0
    assert float(FunctionSpace.from_dolfinx(space).domain.measure.sum()) == pytest.approx(4.0)


def test_what_does_not_fit_is_refused() -> None:
    mesh = dolfinx.mesh.create_unit_square(MPI.COMM_SELF, 3, 3)
    taylor_hood = ufl.VectorElement("CG", mesh.ufl_cell(), 2) * ufl.FiniteElement("CG", mesh.ufl_cell(), 1)
    cases = [
        (fem.FunctionSpace(mesh, taylor_hood), DomainError, "is mixed"),
        (fem.FunctionSpace(mesh, ("CG", 3)), DomainError, "degree 3"),
        (fem.FunctionSpace(mesh, ("RT", 2)), DomainError, "degree 2"),
        (fem.FunctionSpace(mesh, ("DG", 1)), DomainError, "do not fit together"),
        (mesh, InputError, "got Mesh"),
    ]
    for space, kind, message in cases:
        with pytest.raises(kind, match=message):
            FunctionSpace.from_dolfinx(space)
    scalar = fem.FunctionSpace(mesh, ("CG", 1))
    with pytest.raises(DomainError, match="is not the mesh of"):
        FunctionSpace.from_dolfinx(scalar, mesh=Mesh.rectangle(0.5))
    with pytest.raises(InputError, match="item 1 is a int"):
        Function.from_dolfinx([fem.Function(scalar), 3])
    ours = Function.from_dolfinx(fem.Function(scalar))
    with pytest.raises(InputError, match="one by one"):
        Function(ours.space, torch.zeros(2, ours.space.n_dofs)).to_dolfinx(scalar)
    with pytest.raises(InputError, match="complex128 coefficients"):
        Function(ours.space, ours.coefficients + 1j).to_dolfinx(scalar)
    with pytest.raises(InputError, match=r"the target has values of shape \(2,\)"):
        ours.to_dolfinx(fem.VectorFunctionSpace(mesh, ("CG", 1)))
