"""Meshes from DOLFINx: every cell type, straight and quadratic, with facet tags; run where dolfinx is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from funcspace.errors import DomainError, InputError
from funcspace.geometry.meshes.mesh import Mesh

pytestmark = pytest.mark.dolfinx
pytest.importorskip("dolfinx")

import dolfinx  # noqa: E402
from dolfinx.mesh import CellType  # noqa: E402
from mpi4py import MPI  # noqa: E402

MAKERS = {
    "interval": lambda: dolfinx.mesh.create_unit_interval(MPI.COMM_SELF, 5),
    "triangle": lambda: dolfinx.mesh.create_unit_square(MPI.COMM_SELF, 4, 3),
    "quadrilateral": lambda: dolfinx.mesh.create_unit_square(MPI.COMM_SELF, 4, 3, CellType.quadrilateral),
    "tetrahedron": lambda: dolfinx.mesh.create_unit_cube(MPI.COMM_SELF, 3, 2, 2),
    "hexahedron": lambda: dolfinx.mesh.create_unit_cube(MPI.COMM_SELF, 3, 2, 2, CellType.hexahedron),
}


def tagged(source: Any) -> Any:
    """Tag 3 on x = 0, tag 5 on x = 1."""
    dim = source.topology.dim - 1
    left = dolfinx.mesh.locate_entities_boundary(source, dim, lambda x: np.isclose(x[0], 0.0))
    right = dolfinx.mesh.locate_entities_boundary(source, dim, lambda x: np.isclose(x[0], 1.0))
    facets, values = np.concatenate([left, right]), np.repeat([3, 5], [len(left), len(right)])
    order = np.argsort(facets)
    return dolfinx.mesh.meshtags(source, dim, facets[order].astype(np.int32), values[order].astype(np.int32))


@pytest.mark.parametrize("name", list(MAKERS))
def test_points_cells_and_tags(name: str) -> None:
    source = MAKERS[name]()
    mesh = Mesh.from_dolfinx(source, tagged(source), {"inflow": 3})
    assert mesh.cell_type == name and mesh.n_cells == source.topology.index_map(mesh.dim).size_local
    np.testing.assert_array_equal(mesh.points, source.geometry.x[:, : mesh.dim])
    assert float(mesh.measure.sum()) == pytest.approx(1.0)
    assert list(mesh.boundary) == ["inflow", "tag_5", "boundary"]
    for part, value in (("inflow", 0.0), ("tag_5", 1.0)):
        assert bool((mesh.facet_midpoints[mesh.boundary[part], 0] == value).all())
    area = {"interval": 1, "triangle": 3, "quadrilateral": 3, "tetrahedron": 8, "hexahedron": 4}[name]
    assert len(mesh.boundary["inflow"]) == area


def quadratic(cell: str, points: np.ndarray, nodes: list[int]) -> Any:
    """A single quadratic cell in DOLFINx, its nodes in Basix order."""
    import basix
    import ufl

    cells = np.array([nodes], dtype=np.int64)
    if hasattr(basix, "ufl"):
        import basix.ufl

        domain = ufl.Mesh(basix.ufl.element("Lagrange", cell, 2, shape=(points.shape[1],)))
        return dolfinx.mesh.create_mesh(MPI.COMM_SELF, cells, domain, points)
    domain = ufl.Mesh(ufl.VectorElement("Lagrange", ufl.Cell(cell, points.shape[1]), 2))
    return dolfinx.mesh.create_mesh(MPI.COMM_SELF, cells, points, domain)


@pytest.mark.parametrize("name", ["triangle", "quadrilateral", "tetrahedron", "hexahedron"])
def test_quadratic_cells(name: str) -> None:
    from funcspace.geometry.meshes.mesh_node_orders import _basix_nodes

    points = _basix_nodes(name)
    bent = points + 0.05 * np.sin(3 * points[:, ::-1])
    mesh = Mesh.from_dolfinx(quadratic(name, bent, list(range(len(bent)))))
    assert mesh.is_curved and mesh.cell_type == name
    # its map takes the reference nodes, wherever the numbering put them, to the bent ones
    reference = mesh.reference.nodes
    place = np.abs(reference[:, None] - points[None]).sum(axis=2).argmin(axis=1)
    ours = mesh.map_to_points(np.zeros(len(reference), dtype=int), reference).numpy()
    sorted_ours = ours[np.lexsort(ours.T)]
    np.testing.assert_allclose(sorted_ours, bent[place][np.lexsort(bent[place].T)], atol=1e-12)
    assert mesh.quality().min_jacobian_ratio > 0.2


def test_bad_requests() -> None:
    source = MAKERS["triangle"]()
    tags = tagged(source)
    with pytest.raises(InputError, match="expected a dolfinx"):
        Mesh.from_dolfinx("mesh")
    with pytest.raises(InputError, match="no facet has the tag"):
        Mesh.from_dolfinx(source, tags, {"outflow": 9})
    with pytest.raises(InputError, match="need facet_tags"):
        Mesh.from_dolfinx(source, names={"inflow": 3})
    cells = dolfinx.mesh.meshtags(source, 2, np.array([0], dtype=np.int32), np.array([1], dtype=np.int32))
    with pytest.raises(InputError, match="must mark facets"):
        Mesh.from_dolfinx(source, cells)


def test_surfaces_are_refused() -> None:
    import ufl

    if not hasattr(ufl, "VectorElement"):
        pytest.skip("written for the mesh constructor of DOLFINx 0.5")
    domain = ufl.Mesh(ufl.VectorElement("Lagrange", ufl.Cell("triangle", 3), 1))
    points = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 1]])
    source = dolfinx.mesh.create_mesh(MPI.COMM_SELF, np.array([[0, 1, 2]], dtype=np.int64), points, domain)
    with pytest.raises(DomainError, match="flat"):
        Mesh.from_dolfinx(source)
