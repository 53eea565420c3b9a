"""The cell with a random hole: law of the holes, statistics of the published set, meshes, determinism, files."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from funcspace import InputError, OperatorData
from funcspace.functions.ragged import RaggedFunction
from funcspace.solvers.solids import HoledCell
from funcspace.solvers.solids.random_holes import hole_radius

SMALL = {"around": 16, "layers": 2}


def test_law_of_the_radius():
    """g has the variance sum_k 16/(k^2 + 9)/(2 pi); ln(0.2/(r - 0.2) - 1) gives g back; correlation falls off."""
    radii = HoledCell(modes=20).radii(4000, seed=3, angles=8).coefficients
    assert float(radii.min()) > 0.2 and float(radii.max()) < 0.4
    g = torch.log(0.2 / (radii - 0.2) - 1.0)
    k = np.arange(-20, 21)
    spectrum = 16.0 / (k**2 + 9.0) / (2 * np.pi)
    assert abs(float(g.mean())) <= 0.1
    covariance = (g[:, :1] * g).mean(dim=0)
    expected = [(spectrum * np.cos(k * 2 * np.pi * j / 8)).sum() for j in range(8)]
    np.testing.assert_allclose(covariance.numpy(), expected, atol=0.12)


def test_holes_do_not_depend_on_the_mesh():
    coarse, fine = HoledCell(around=16).hole(5, 2), HoledCell(around=64).hole(5, 2)
    assert np.allclose(coarse.vertices, fine.vertices[::4])
    radii = HoledCell().radii(1, seed=5, first=2, angles=16).coefficients[0]
    assert np.allclose(radii.numpy(), coarse.radii)
    assert hole_radius(np.zeros(1), np.array([1.0, 0.0, 0.0]))[0] == pytest.approx(
        0.2 + 0.2 / (1 + math.exp(4 / 3 / math.sqrt(2 * math.pi)))
    )


@pytest.mark.parametrize("options", [{**SMALL}, {"mesh": "free", "around": 16, "h": 0.1}])
def test_meshes_and_distances(options):
    cell = HoledCell(**options)
    hole = cell.hole(0, 1)
    mesh = cell.domain(hole)
    assert sorted(mesh.boundary) == ["bottom", "boundary", "hole", "left", "right", "top"]
    x, y = hole.vertices.T
    area = 0.5 * float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())
    assert float(mesh.measure.sum()) == pytest.approx(1.0 - area, abs=1e-12)
    parts = [mesh.boundary[name] for name in ("left", "right", "bottom", "top", "hole")]
    assert sum(map(len, parts)) == len(mesh.boundary["boundary"])
    on_hole = torch.unique(mesh.facets[mesh.boundary["hole"]])
    assert np.abs(hole.distance(mesh.points[on_hole].numpy())).max() <= 1e-12
    corner = np.array([[0.0, 0.0]])
    assert float(hole.distance(corner)[0]) <= float(np.linalg.norm(hole.vertices, axis=1).min()) + 1e-12


def test_equilibrium_of_a_sample():
    """The clamp carries the whole load; stress is about the load over what the hole leaves of the width."""
    cell = HoledCell(**SMALL, outputs=("von_mises", "u"))
    hole = cell.hole(0, 0)
    problem = cell.problem(cell.domain(hole))
    u = problem.solve()
    assert problem.reaction(u, "bottom").tolist() == pytest.approx([0.0, -100.0], abs=1e-6)
    found = cell.solve(hole)
    assert torch.equal(found["u"].coefficients, u.coefficients)
    assert found["von_mises"].units == "Pa" and float(found["von_mises"].coefficients.min()) >= 0.0


def test_stress_has_the_statistics_of_the_published_set():
    """GAOT's metadata of the set: mean 187.477, standard deviation 127.046 over all nodes."""
    stress = HoledCell().sample(16, seed=0).outputs["von_mises"].coefficients
    assert float(stress.mean()) == pytest.approx(187.477, rel=0.08)
    assert float(stress.std()) == pytest.approx(127.046, rel=0.15)


@pytest.mark.parametrize("options", [SMALL, {"mesh": "free", "around": 16, "h": 0.15, "element": "P1"}])
def test_samples_depend_on_seed_and_number_alone(options, tmp_path):
    whole = HoledCell(**options, outputs=("u", "von_mises"), workers=2).sample(3, seed=7)
    part = HoledCell(**options, outputs=("u", "von_mises"), workers=1).sample(2, seed=7, first=1)
    for name in ("distance", "u", "von_mises"):
        columns = [{**d.inputs, **d.outputs}[name] for d in (whole, part)]
        assert all(isinstance(column, RaggedFunction) for column in columns)
        for i in range(2):
            assert torch.equal(columns[0][i + 1].coefficients, columns[1][i].coefficients)
            assert columns[0][i + 1].space == columns[1][i].space
    other = HoledCell(**options).sample(1, seed=8)
    assert other.inputs["distance"][0].space != whole.inputs["distance"][0].space
    whole.save(tmp_path / "cells.nc")
    back = OperatorData.load(tmp_path / "cells.nc").in_memory()
    assert torch.equal(back.outputs["von_mises"].coefficients, whole.outputs["von_mises"].coefficients)
    assert back.attributes["seed"] == 7


def test_a_fresh_seed_is_kept():
    data = HoledCell(**SMALL).sample(1, seed=None)
    again = HoledCell(**SMALL).sample(1, seed=data.attributes["seed"])
    assert torch.equal(data.outputs["von_mises"].coefficients, again.outputs["von_mises"].coefficients)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mesh": "polar"}, "mesh must be"),
        ({"around": 20}, "multiple of 8"),
        ({"layers": 0}, "layers must be"),
        ({"h": 0.1}, 'size of "free" meshes'),
        ({"mesh": "free", "h": 0.5}, 'size of "free" meshes'),
        ({"outputs": ("stress",)}, "outputs are"),
        ({"element": "P2"}, "element must be one of"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        HoledCell(**options)


def test_bad_counts():
    with pytest.raises(InputError, match="n must be a whole number of at least 1"):
        HoledCell(**SMALL).sample(0)
