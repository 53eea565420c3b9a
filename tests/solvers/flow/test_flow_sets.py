"""Data sets of flow: what depends on the seed, shapes, files, meshes around a cylinder, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from funcspace import Function, FunctionSpace, InputError, Mesh, OperatorData, Times
from funcspace.functions.ragged import RaggedFunction
from funcspace.solvers.flow import CylinderFlow, LidDrivenCavity, channel_with_cylinder, vorticity
from funcspace.solvers.flow.nested_dissection import dissect


@pytest.mark.parametrize("cells", ["triangle", "quadrilateral"])
@pytest.mark.parametrize("center", [(0.2, 0.2), (0.6, 0.15), (2.0, 0.25), (0.12, 0.3)])
def test_the_channel_has_its_area_and_its_parts(cells, center):
    mesh = channel_with_cylinder(0.08, center=center, cells=cells)
    assert float(mesh.volumes.sum()) == pytest.approx(2.2 * 0.41 - math.pi * 0.05**2, rel=2e-6)
    parts = [mesh.boundary[name].numpy() for name in ("inlet", "outlet", "walls", "cylinder")]
    assert np.array_equal(np.sort(np.concatenate(parts)), mesh.boundary["boundary"].numpy())
    away = (mesh.facet_midpoints[mesh.boundary["cylinder"]] - torch.tensor(center, dtype=torch.float64)).norm(dim=1)
    assert torch.allclose(away, torch.full_like(away, 0.05), atol=1e-12)


def test_small_moves_of_the_cylinder_keep_the_cells():
    first, second = (channel_with_cylinder(0.08, center=(0.3, y)) for y in (0.2, 0.21))
    assert torch.equal(first.cells, second.cells) and not torch.equal(first.points, second.points)


@pytest.mark.parametrize("mesh", [Mesh.rectangle(0.1), Mesh.box(0.25), channel_with_cylinder(0.1)])
def test_dissection_separates(mesh):
    """Cells that share a dof lie in the smallest set of cells that owns the dof; halves are equally large."""
    dofs = mesh.cells.numpy()
    tree = dissect(mesh.points.numpy()[dofs].mean(axis=1), dofs, 4)
    prefix, height = tree.owners(dofs, len(mesh.points))
    assert np.array_equal(tree.codes[:, None] >> height[dofs], prefix[dofs])
    sizes = np.bincount(tree.codes)
    assert sizes.max() <= 4 and sizes.max() - sizes.min() <= 1
    order = tree.order(prefix, height)
    inside = (prefix[:, None] >> (height[None] - height[:, None]).clip(0)) == prefix[None]
    inside &= height[:, None] < height[None]
    assert (order[:, None] < order[None])[inside].all()


def test_samples_depend_on_seed_and_number_alone():
    flow = CylinderFlow(0.13, reynolds=(5.0, 30.0), roughness=0.3)
    data = flow.sample(3, seed=4)
    for workers in (1, 2):
        last = CylinderFlow(0.13, reynolds=(5.0, 30.0), roughness=0.3, workers=workers).sample(2, seed=4, first=1)
        assert torch.equal(data.inputs["inflow"].coefficients[1:], last.inputs["inflow"].coefficients)
        assert torch.equal(data.parameters["reynolds"][1:], last.parameters["reynolds"])
        assert torch.equal(data.outputs["velocity"].coefficients[1:], last.outputs["velocity"].coefficients)
        assert torch.equal(data.outputs["pressure"].coefficients[1:], last.outputs["pressure"].coefficients)
    other = flow.sample(1, seed=5)
    assert not torch.equal(other.parameters["reynolds"], data.parameters["reynolds"][:1])


def test_what_flows_in_is_the_input_and_flows_out_again():
    data = CylinderFlow(0.1, roughness=0.4, mean_velocity=2.0).sample(2, seed=0)
    velocity, inflow = data.outputs["velocity"], data.inputs["inflow"]
    y = torch.linspace(0, 0.41, 65, dtype=torch.float64)
    found = velocity(torch.stack([torch.zeros_like(y), y], dim=1))[..., 0]
    assert torch.allclose(found, inflow.coefficients, atol=0.05)
    assert inflow.mean().flatten().tolist() == pytest.approx([2.0, 2.0], rel=2e-3)
    ends = torch.stack([torch.full_like(y, 2.2), y], dim=1)
    out = torch.trapezoid(velocity(ends)[..., 0], y)
    assert out.tolist() == pytest.approx([2.0 * 0.41] * 2, rel=2e-2)


def test_a_moving_cylinder_makes_a_ragged_set(tmp_path):
    data = CylinderFlow(0.12, reynolds=10.0, center=((0.2, 0.4), (0.15, 0.25))).sample(2, seed=1)
    velocity = data.outputs["velocity"]
    assert isinstance(velocity, RaggedFunction)
    for i, space in enumerate(velocity.spaces):
        middle = torch.tensor([data.parameters["x"][i], data.parameters["y"][i]])
        around = space.domain.points[space.domain.boundary_points("cylinder")]
        assert torch.allclose((around - middle).norm(dim=1), torch.tensor(0.05, dtype=torch.float64))
    data.save(tmp_path / "flow.nc")
    again = OperatorData.load(tmp_path / "flow.nc")
    assert torch.equal(again.outputs["velocity"].coefficients, velocity.coefficients)


def test_flow_in_time_starts_from_the_input(tmp_path):
    flow = CylinderFlow(0.12, reynolds=100.0, times=Times(0.0, 0.05, 3), step=0.25, spin_up=2.0)
    data = flow.sample(2, seed=0)
    velocity = data.outputs["velocity"]
    assert tuple(velocity.coefficients.shape[:2]) == (2, 3)
    assert torch.equal(velocity.coefficients[:, 0], data.inputs["initial"].coefficients)
    assert torch.equal(flow.sample(1, seed=0, first=1).outputs["velocity"].coefficients, velocity.coefficients[1:])
    data.save(tmp_path / "flow.nc")
    assert torch.equal(OperatorData.load(tmp_path / "flow.nc").outputs["velocity"].coefficients, velocity.coefficients)


def test_cavity_with_any_lid():
    data = LidDrivenCavity(1 / 8, reynolds=(20.0, 50.0), lid="smooth", roughness=0.3).sample(2, seed=3)
    x = torch.linspace(0, 1, 65, dtype=torch.float64)
    on_lid = data.outputs["velocity"](torch.stack([x, torch.ones_like(x)], dim=1))
    assert torch.allclose(on_lid[..., 0], data.inputs["lid"].coefficients, atol=0.02)
    assert float(on_lid[..., 1].abs().max()) == 0.0
    assert float(data.outputs["pressure"].mean().abs().max()) < 1e-12
    again = LidDrivenCavity(1 / 8, reynolds=(20.0, 50.0), lid="smooth", roughness=0.3).sample(1, seed=3, first=1)
    assert torch.equal(again.outputs["velocity"].coefficients, data.outputs["velocity"].coefficients[1:])


def test_vorticity_of_a_rigid_rotation_is_twice_its_rate():
    mesh = Mesh.disc(0.4, curved=True)
    space = FunctionSpace(mesh, "P2", components=("u", "v"))
    turning = space.interpolate(lambda x: 1.5 * torch.stack([-x[:, 1], x[:, 0]], dim=1))
    found = vorticity(turning).coefficients
    assert torch.allclose(found, torch.full_like(found, 3.0), atol=1e-10)
    movie = FunctionSpace(Times(0.0, 1.0, 2) * mesh, "linear * P2", components=("u", "v"))
    twice = vorticity(Function(movie, torch.stack([turning.coefficients, 2 * turning.coefficients])))
    assert torch.allclose(twice.coefficients[1], 2 * found, atol=1e-10)


def test_bad_input():
    with pytest.raises(InputError, match="inside the channel"):
        channel_with_cylinder(0.1, center=(0.2, 0.04))
    with pytest.raises(InputError, match="h must be"):
        channel_with_cylinder(-0.1)
    with pytest.raises(InputError, match="reynolds must be a number or a range"):
        CylinderFlow(reynolds=(30.0, 10.0))
    with pytest.raises(InputError, match="reynolds must be above 0"):
        CylinderFlow(reynolds=0.0)
    with pytest.raises(InputError, match="inside the channel"):
        CylinderFlow(center=((0.2, 0.4), (0.01, 0.2)))
    with pytest.raises(InputError, match="roughness"):
        CylinderFlow(roughness=2.0)
    with pytest.raises(InputError, match="does not vary"):
        CylinderFlow(center=((0.2, 0.4), 0.2), times=Times(0.0, 0.1, 3))
    with pytest.raises(InputError, match="n must be a whole number of at least 1"):
        CylinderFlow().sample(0)
    with pytest.raises(InputError, match="lid must be"):
        LidDrivenCavity(lid="moving")
    with pytest.raises(InputError, match="vorticity"):
        vorticity(FunctionSpace(Mesh.rectangle(0.5), "P2").interpolate(1.0))
