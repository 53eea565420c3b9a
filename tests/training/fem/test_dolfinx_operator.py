"""Surrogates on functions of DOLFINx."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import funcspace as fs
from funcspace.training.fem import DolfinxOperator
from tests.training.small_problem import Affine, make_data

pytestmark = [
    pytest.mark.dolfinx,
    # FFCx leaves files that it compiles open
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]
pytest.importorskip("dolfinx")

import dolfinx  # noqa: E402
from dolfinx import fem  # noqa: E402
from mpi4py import MPI  # noqa: E402


def test_functions_in_functions_out() -> None:
    """Trained on DOLFINx's own space: the same prediction as through our functions, in either of two spaces."""
    mesh = dolfinx.mesh.create_unit_square(MPI.COMM_SELF, 6, 6)
    space, linear = fem.FunctionSpace(mesh, ("CG", 2)), fem.FunctionSpace(mesh, ("CG", 1))
    generator = np.random.default_rng(0)
    members = []
    for _ in range(8):
        a = fem.Function(space, name="a")
        a.x.array[:] = 1.0 + generator.random(len(a.x.array))
        members.append(a)
    batch = fs.Function.from_dolfinx(members)
    data = fs.OperatorData({"a": batch}, {"u": fs.Function(batch.space, 2 * batch.coefficients)})
    surrogate = fs.fit(Affine(), data, epochs=3, progress=False, accelerator="cpu")
    u = DolfinxOperator(surrogate)(members[2])
    assert u.function_space == space and u.name == "u"
    expected = surrogate(batch[2])
    np.testing.assert_array_equal(u.x.array, expected.to_dolfinx(space).x.array)
    coarse = DolfinxOperator(surrogate, linear)(members[2])
    there = torch.from_numpy(linear.tabulate_dof_coordinates()[:, :2].copy())
    np.testing.assert_allclose(coarse.x.array, expected(there).numpy(), atol=1e-12)
    with pytest.raises(fs.InputError, match="takes 1 functions"):
        DolfinxOperator(surrogate)(members[0], members[1])
    with pytest.raises(fs.InputError, match=r"expected a dolfinx\.fem\.Function"):
        DolfinxOperator(surrogate)(batch)


def test_a_surrogate_of_a_grid_serves_a_mesh() -> None:
    surrogate = fs.fit(Affine(), make_data(), epochs=2, progress=False, accelerator="cpu")
    space = fem.FunctionSpace(dolfinx.mesh.create_unit_square(MPI.COMM_SELF, 5, 5), ("CG", 2))
    a = fem.Function(space)
    a.interpolate(lambda x: 1.0 + x[0])
    with pytest.raises(fs.DomainError, match="resample=True"):
        DolfinxOperator(surrogate)(a)
    u = DolfinxOperator(surrogate, resample=True)(a)
    grid = surrogate.input_space.interpolate(lambda x: 1.0 + x[..., 0])
    there = torch.from_numpy(space.tabulate_dof_coordinates()[:, :2].copy())
    np.testing.assert_allclose(u.x.array, surrogate(grid)(there).numpy(), atol=1e-6)
