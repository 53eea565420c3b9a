"""Rigid motions: which of them supports leave free, and under which names."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from funcspace import Mesh, SolverError
from funcspace.solvers.solids import LinearElasticity
from funcspace.solvers.solids.rigid_modes import free_motions, rigid_modes

TRIANGLES, TETRAHEDRA = Mesh.rectangle(0.25), Mesh.box(0.5)


@pytest.mark.parametrize("mesh", [TRIANGLES, TETRAHEDRA])
def test_modes_have_no_strain_and_span_all_rigid_motions(mesh):
    x = mesh.points.numpy()
    modes = rigid_modes(x)
    d = mesh.dim
    assert np.linalg.matrix_rank(modes) == modes.shape[1] == d * (d + 1) // 2
    skew = np.random.default_rng(0).standard_normal((d, d))
    motion = (x @ (skew - skew.T) + 1.5).ravel()
    assert np.abs(modes @ np.linalg.lstsq(modes, motion, rcond=None)[0] - motion).max() <= 1e-12


def test_free_motions_are_named():
    def refused(mesh, displacement, *names):
        problem = LinearElasticity(mesh, young=1.0, poisson=0.3, displacement=displacement)
        with pytest.raises(SolverError) as caught:
            problem.solve()
        assert all(name in str(caught.value) for name in names), str(caught.value)

    refused(TRIANGLES, {}, "translation along x", "translation along y", "rotation")
    refused(TRIANGLES, {"left": {"ux": 0.0}}, "free the translation along y.")
    empty = TRIANGLES.with_boundaries({"low": np.array([], dtype=np.int64)})
    refused(empty, {"low": 0.0}, "translation along x, translation along y, rotation")
    refused(TETRAHEDRA, {"left": {"ux": 0.0}}, "along y", "along z", "rotation about an axis along x")
    refused(TETRAHEDRA, {"left": {"ux": 0.0}, "bottom": {"uy": 0.0}}, "free the translation along z.")
    far = Mesh.rectangle(0.5)
    two = Mesh(
        torch.cat([far.points, far.points + 5.0]), torch.cat([far.cells, far.cells + len(far.points)])
    ).with_boundaries({"held": lambda x: x[:, 0] < 1e-9})
    refused(two, {"held": 0.0}, "piece around [5.5, 5.5]")


def test_rotation_about_a_point():
    """Both ends of a slanted roller track leave the rotation about the meeting point of the normals."""
    mesh = Mesh.rectangle(1.0)
    problem = LinearElasticity(mesh, "P1", young=1.0, poisson=0.3)
    points = problem.elements.dof_points
    low = int(np.flatnonzero((points == [0.0, 0.0]).all(axis=1))[0])
    high = int(np.flatnonzero((points == [1.0, 1.0]).all(axis=1))[0])
    fixed = np.array(sorted([2 * low, 2 * high + 1]))
    assert free_motions(points, problem.elements.dofs, fixed, ("x", "y")) == ["rotation about [1.0, 0.0]"]
