"""Deformed meshes: volumes, parts, and values that travel with the cells."""

from __future__ import annotations

import math

import pytest
import torch

from funcspace import Function, FunctionSpace, Grid, InputError, Mesh
from funcspace.errors import DomainError
from funcspace.solvers.solids.deformation import carried, deformed

MESHES = [
    (Mesh.rectangle(0.3), "P1"), (Mesh.rectangle(0.3), "P2"), (Mesh.rectangle(0.3, cells="quadrilateral"), "Q2"),
    (Mesh.box(0.5), "P2"), (Mesh.box(0.5, cells="hexahedron"), "Q1"), (Mesh.disc(0.4, curved=True), "P2"),
]  # fmt: skip


@pytest.mark.parametrize(("mesh", "element"), MESHES)
def test_linear_maps_of_space(mesh, element):
    """x + A x has the volume det(I + A); values, dofs and named parts go with the points."""
    d = mesh.dim
    a = torch.tensor([[0.2, 0.3, 0.1], [-0.1, 0.4, 0.2], [0.0, 0.1, -0.2]], dtype=torch.float64)[:d, :d]
    map_of = torch.eye(d, dtype=torch.float64) + a
    space = FunctionSpace(mesh, element, components=("ux", "uy", "uz")[:d])
    u = space.interpolate(lambda x: x @ a.T)
    moved = deformed(u)
    volume = float(mesh.measure.sum()) * float(torch.linalg.det(map_of))
    assert float(moved.measure.sum()) == pytest.approx(volume, rel=1e-12)
    assert sorted(moved.boundary) == sorted(mesh.boundary)
    for name, facets in mesh.boundary.items():
        assert torch.allclose(moved.facet_midpoints[moved.boundary[name]], mesh.facet_midpoints[facets] @ map_of.T)
    f = FunctionSpace(mesh, element).interpolate(lambda x: x[:, 0] ** 2 + x[:, 1])
    points = mesh.points[: mesh.n_cells] * 0.9 + 0.1 * mesh.points.mean(dim=0)
    there = carried(f, u)
    assert torch.allclose(there(points @ map_of.T, outside="nearest"), f(points, outside="nearest"), atol=1e-10)
    assert torch.allclose(there.space.dof_points, f.space.dof_points @ map_of.T, atol=1e-12)


def test_quadratic_displacements_bend_the_cells():
    """x -> (x, y + x^2/2) keeps areas and is quadratic: the curved mesh has the exact arc as its boundary."""
    space = FunctionSpace(Mesh.rectangle(0.5), "P2", components=("ux", "uy"))
    u = space.interpolate(lambda x: torch.stack([torch.zeros(len(x), dtype=torch.float64), x[:, 0] ** 2 / 2], dim=1))
    moved = deformed(u)
    assert moved.is_curved and float(moved.measure.sum()) == pytest.approx(1.0, rel=1e-13)
    low = FunctionSpace(moved, "P2").dof_points[FunctionSpace(moved, "P2").dofs("bottom")]
    assert torch.allclose(low[:, 1], low[:, 0] ** 2 / 2, atol=1e-13)
    straight = deformed(u, scale=0.0)
    assert math.isclose(float(straight.measure.sum()), 1.0, rel_tol=1e-13)


def test_bad_input():
    space = FunctionSpace(Mesh.rectangle(0.5), "P1", components=("ux", "uy"))
    batch = Function(space, torch.zeros(2, *space.coefficient_shape, dtype=torch.float64))
    with pytest.raises(InputError, match="no batch"):
        deformed(batch)
    with pytest.raises(InputError, match=r"values of shape \(2,\)"):
        deformed(FunctionSpace(Mesh.rectangle(0.5)).interpolate(0.0))
    with pytest.raises(DomainError, match="on a Mesh"):
        deformed(FunctionSpace(Grid(x=(0.0, 1.0, 3), y=(0.0, 1.0, 3)), components=("a", "b")).interpolate(0.0))
    with pytest.raises(DomainError):
        deformed(space.interpolate(lambda x: -2.0 * x * torch.tensor([1.0, 0.0]) * (x[:, :1] > 0.6)))
    with pytest.raises(DomainError, match="displacement on"):
        carried(FunctionSpace(Mesh.rectangle(0.25)).interpolate(1.0), space.interpolate(0.0))
