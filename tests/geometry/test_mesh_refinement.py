"""Refinement: half the size, the same measure, kept points and parts, nested cells, curved boundaries."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from funcspace.errors import DomainError, InputError
from funcspace.geometry.meshes.mesh import Mesh

MESHES = {
    "interval": lambda: Mesh.interval(0.25),
    "triangle": lambda: Mesh.disc(0.4),
    "quadrilateral": lambda: Mesh.l_shape(0.5, cells="quadrilateral"),
    "tetrahedron": lambda: Mesh.box(0.5),
    "hexahedron": lambda: Mesh.box(0.5, cells="hexahedron"),
}


@pytest.mark.parametrize("curved", [False, True])
@pytest.mark.parametrize("name", list(MESHES))
def test_refinement_keeps_what_it_should(name: str, curved: bool) -> None:
    mesh = MESHES[name]().curved() if curved else MESHES[name]()
    fine = mesh.refined()
    children = 2**mesh.dim
    assert fine.n_cells == children * mesh.n_cells and fine.degree == mesh.degree
    assert torch.equal(fine.points[: len(mesh.points)], mesh.points)
    torch.testing.assert_close(fine.volumes.reshape(-1, children).sum(dim=1), mesh.volumes, rtol=1e-13, atol=0)
    # the octahedron inside a regular tetrahedron has a diagonal longer than half an edge, once
    again = fine.refined()
    assert again.h == pytest.approx(fine.h / 2, rel=0.05)
    assert fine.h == pytest.approx(mesh.h / (2**0.5 if name == "tetrahedron" else 2), rel=0.05)
    assert Mesh(fine.nodes, fine.cell_nodes) == fine.with_boundaries({}, replace=True)
    for part in mesh.boundary:
        assert len(fine.boundary[part]) == len(mesh.boundary[part]) * children // 2
        coarse = mesh.points[mesh.boundary_points(part)]
        among = fine.boundary_points(part)[: len(coarse)]
        assert torch.equal(fine.points[among], coarse)


@pytest.mark.parametrize("curved", [False, True])
@pytest.mark.parametrize("name", list(MESHES))
def test_children_lie_in_their_parent(name: str, curved: bool) -> None:
    mesh = MESHES[name]()
    if curved:
        mesh = mesh.curved(lambda x: x * (1 + 0.01 * torch.sin(5 * x.sum(dim=1, keepdim=True))))
    fine = mesh.refined()
    middle = mesh.reference.corners.mean(axis=0)
    x = fine.map_to_points(np.arange(fine.n_cells), np.tile(middle, (fine.n_cells, 1)))
    parents = np.arange(fine.n_cells) // 2**mesh.dim
    assert mesh.locate(x).cells.tolist() == parents.tolist()


def test_refined_twice_is_refined_again() -> None:
    mesh = Mesh.rectangle(0.5)
    assert mesh.refined(2) == mesh.refined().refined() and mesh.refined(0) == mesh
    with pytest.raises(InputError, match="times"):
        mesh.refined(-1)


def test_repeated_refinement_of_tetrahedra_keeps_their_shape() -> None:
    mesh = Mesh.box(1.0)
    angles = [mesh.refined(k).quality().min_angle for k in range(4)]
    assert min(angles) > 35 and angles[3] == pytest.approx(angles[1])


def test_a_curved_disc_stays_round() -> None:
    """The quadratic boundary is refined as it is: its new nodes keep the distance of a parabola to its circle."""
    disc = Mesh.disc(0.3, curved=True)
    fine = disc.refined(2)
    rim = fine.points[fine.boundary_points()].norm(dim=1)
    assert float((rim - 1).abs().max()) < 1e-4
    assert float(fine.measure.sum()) == pytest.approx(float(disc.measure.sum()), rel=1e-13)
    straight = Mesh.disc(0.3)
    assert float(straight.refined(2).measure.sum()) == pytest.approx(float(straight.measure.sum()), rel=1e-13)


@pytest.mark.parametrize("name", ["triangle", "quadrilateral", "tetrahedron", "hexahedron"])
def test_curving_moves_the_nodes_of_one_part_only(name: str) -> None:
    mesh = MESHES[name]()
    part = "boundary" if name == "triangle" else "left"
    moved = mesh.curved(lambda x: x + 0.01, part)
    straight = mesh.curved()
    change = (moved.nodes - straight.nodes).abs().max(dim=1).values
    assert torch.equal(moved.points, mesh.points) and moved.is_curved
    counts = {"triangle": 1, "quadrilateral": 1, "tetrahedron": None, "hexahedron": None}
    if counts[name]:
        assert int((change > 0).sum()) == len(mesh.boundary[part])
    assert float(change.max()) == pytest.approx(0.01)
    assert {n: f.tolist() for n, f in moved.boundary.items()} == {n: f.tolist() for n, f in mesh.boundary.items()}


def test_curving_too_far_is_refused() -> None:
    with pytest.raises(DomainError, match="inverted cell"):
        Mesh.disc(0.3).curved(lambda x: 0.3 * x)
    with pytest.raises(InputError, match="one point per point"):
        Mesh.disc(0.3).curved(lambda x: x[:-1])
