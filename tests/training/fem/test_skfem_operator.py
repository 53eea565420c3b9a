"""Surrogates on coefficient vectors of scikit-fem."""

from __future__ import annotations

import numpy as np
import pytest
import skfem
import torch

import funcspace as fs
from funcspace.training.fem import SkfemOperator
from tests.training.small_problem import Affine, make_data


@pytest.fixture(scope="module")
def basis() -> skfem.CellBasis:
    return skfem.CellBasis(skfem.MeshTri().refined(3), skfem.ElementTriP2())


@pytest.fixture(scope="module")
def on_mesh(basis: skfem.CellBasis) -> fs.Surrogate:
    space = fs.FunctionSpace.from_skfem(basis)
    a = 1.0 + torch.rand(12, space.n_dofs, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    data = fs.OperatorData({"a": fs.Function(space, a, name="a")}, {"u": fs.Function(space, 2 * a + 0.3 * a**2)})
    return fs.fit(Affine(), data, epochs=3, progress=False, accelerator="cpu")


def test_vectors_in_vectors_out(basis: skfem.CellBasis, on_mesh: fs.Surrogate) -> None:
    operator = SkfemOperator(on_mesh, basis)
    vectors = 1.0 + np.random.default_rng(1).random((3, basis.N))
    batch = operator(vectors)
    assert batch.shape == (3, basis.N) and batch.dtype == np.float64
    expected = on_mesh(fs.Function(on_mesh.input_space, torch.from_numpy(vectors), name="a"))
    np.testing.assert_array_equal(batch, expected.coefficients.numpy())
    np.testing.assert_allclose(operator(vectors[1]), batch[1], atol=1e-6)


def test_another_basis_for_the_output(basis: skfem.CellBasis, on_mesh: fs.Surrogate) -> None:
    linear = basis.with_element(skfem.ElementTriP1())
    vector = 1.0 + basis.doflocs[0]
    u = SkfemOperator(on_mesh, basis, linear)(vector)
    np.testing.assert_allclose(u, SkfemOperator(on_mesh, basis)(vector)[: linear.N], atol=1e-12)


def test_a_surrogate_of_a_grid_serves_a_mesh(basis: skfem.CellBasis) -> None:
    """Trained on the grid, asked on the mesh: inputs go to the grid, predictions come back by interpolation."""
    surrogate = fs.fit(Affine(), make_data(), epochs=2, progress=False, accelerator="cpu")
    vector = 1.0 + basis.doflocs[0]
    with pytest.raises(fs.DomainError, match="resample=True"):
        SkfemOperator(surrogate, basis)(vector)
    u = SkfemOperator(surrogate, basis, resample=True)(vector)
    grid = surrogate.input_space.interpolate(lambda x: 1.0 + x[..., 0])
    expected = surrogate(grid)(torch.from_numpy(basis.doflocs.T.copy()))
    np.testing.assert_allclose(u, expected.numpy(), atol=1e-6)


def test_bad_input(basis: skfem.CellBasis, on_mesh: fs.Surrogate) -> None:
    with pytest.raises(fs.InputError, match="expected a Surrogate"):
        SkfemOperator(on_mesh.model, basis)
    with pytest.raises(fs.InputError, match="1 inputs; got 2 bases"):
        SkfemOperator(on_mesh, [basis, basis])
    with pytest.raises(fs.InputError, match=r"takes 1 functions, \['a'\]"):
        SkfemOperator(on_mesh, basis)(np.zeros(basis.N), np.zeros(basis.N))
    with pytest.raises(fs.InputError, match="NaN or infinity"):
        SkfemOperator(on_mesh, basis)(np.full(basis.N, np.nan))
