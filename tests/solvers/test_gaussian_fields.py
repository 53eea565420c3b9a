"""Gaussian fields: transforms against plain sums, statistics against the series, invariance under refinement."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from funcspace import Grid, InputError, Mesh
from funcspace.solvers.box_modes import AxisModes, shell_order
from funcspace.solvers.gaussian_fields import GaussianField, unit_sigma

KINDS = ("neumann", "dirichlet", "periodic")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("placement", ["vertices", "cells"])
@pytest.mark.parametrize("n", [7, 8])
def test_fast_transform_is_the_sum_of_the_modes(kind, placement, n):
    line = AxisModes.on_axis(kind, 0.3, 1.7, n, placement)
    grid = Grid(x=(0.3, 2.0, n), periodic=("x",) if kind == "periodic" else (), samples=placement)
    c = np.random.default_rng(0).standard_normal((3, line.count))
    np.testing.assert_allclose(line.synthesise(c, 1), c @ line.at(grid.axes["x"].numpy()).T, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_modes_are_orthonormal_eigenfunctions(kind):
    line = AxisModes(kind, -1.0, 2.5, 6, 0, "points")
    nodes, weights = np.polynomial.legendre.leggauss(60)
    x = -1.0 + 1.25 * (nodes + 1.0)
    values = line.at(x)
    np.testing.assert_allclose(values.T @ (1.25 * weights[:, None] * values), np.eye(6), atol=1e-12)
    h = 1e-4
    second = (line.at(x + h) - 2 * values + line.at(x - h)) / h**2
    np.testing.assert_allclose(-second, values * line.wavenumbers**2, atol=1e-4)


def test_shell_order_does_not_depend_on_the_resolution():
    small, large = shell_order((5, 4, 6)).reshape(5, 4, 6), shell_order((9, 9, 9)).reshape(9, 9, 9)
    np.testing.assert_array_equal(small, large[:5, :4, :6])
    assert sorted(large.ravel()) == list(range(729))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_refinement_keeps_the_field(kind, dim):
    names = ("x", "y", "z")[:dim]
    closed = names if kind == "periodic" else ()
    counts = (16, 32) if kind == "periodic" else (17, 33)
    fields = []
    for n in counts:
        grid = Grid(periodic=closed, **{name: (0.0, 1.0, n) for name in names})
        fields.append(GaussianField(grid, alpha=5.0, tau=4.0, boundary=kind).sample(2, seed=5).values)
    coarse, fine = fields[0], fields[1][(slice(None), *(slice(None, None, 2),) * dim)]
    assert float((coarse - fine).abs().max()) <= 2e-3 * float(fine.abs().max())


def test_grids_of_other_shapes_and_meshes_share_the_field():
    square = GaussianField(Grid(x=(0.0, 1.0, 49), y=(0.0, 1.0, 49)), alpha=5.0).sample(1, seed=1)
    uneven = GaussianField(Grid(x=(0.0, 1.0, 25), y=(0.0, 1.0, 33)), alpha=5.0).sample(1, seed=1)
    stretched = Grid(x=np.linspace(0, 1, 20) ** 1.3, y=(0.0, 1.0, 33))
    graded = GaussianField(stretched, alpha=5.0).sample(1, seed=1)
    on_mesh = GaussianField(Mesh.rectangle(0.06), alpha=5.0, method="spectral").sample(1, seed=1)
    scale = float(square.coefficients.abs().max())
    for other in (uneven, graded, on_mesh):
        points = other.space.dof_points
        assert float((square(points) - other(points)).abs().max()) <= 1e-2 * scale


def test_samples_depend_on_seed_and_number_alone():
    field = GaussianField(Grid(x=(0.0, 1.0, 20), y=(0.0, 1.0, 17)))
    eight = field.sample(8, seed=3, workers=2).coefficients
    assert torch.equal(field.sample(3, seed=3, workers=1).coefficients, eight[:3])
    assert torch.equal(field.sample(2, seed=3, first=5).coefficients, eight[5:7])
    assert not torch.equal(field.sample(1, seed=4).coefficients, eight[:1])
    fresh = [field.sample(1, seed=None).coefficients for _ in range(2)]
    assert not torch.equal(*fresh)


@pytest.mark.parametrize("kind", KINDS)
def test_covariance_is_that_of_the_series(kind):
    """Sample covariances between all points of a small grid against sum_k lambda_k phi_k(x) phi_k(y)."""
    grid = Grid(x=(0.0, 1.0, 6), y=(0.0, 2.0, 5), periodic=("x", "y") if kind == "periodic" else ())
    field = GaussianField(grid, alpha=2.5, tau=2.0, sigma=1.5, boundary=kind)
    tables = [modes.at(axis.numpy()) for modes, axis in zip(field.axis_modes, grid.axes.values(), strict=True)]
    basis = np.einsum("ik,jl->ijkl", *tables).reshape(30, -1)
    k2 = np.add.outer(*(modes.wavenumbers**2 for modes in field.axis_modes)).ravel()
    expected = basis @ np.diag(1.5**2 * 2.0**3 * (k2 + 4.0) ** -2.5) @ basis.T
    n = 6_000
    values = field.sample(n, seed=0).coefficients.numpy()
    found = values.T @ values / n
    spread = np.sqrt((expected**2 + np.outer(np.diag(expected), np.diag(expected))) / n)
    assert (np.abs(found - expected) <= 5.0 * spread + 1e-14).all()
    assert np.abs(values.mean(axis=0)).max() <= 5.0 * np.sqrt(np.diag(expected).max() / n)


def test_unit_variance_far_from_the_boundary_and_on_average():
    grid = Grid(x=(0.0, 1.0, 65), y=(0.0, 1.0, 65))
    values = GaussianField(grid, tau=30.0, sigma=unit_sigma(2.0, 2)).sample(200, seed=0).values
    assert float(values[:, 16:49, 16:49].var()) == pytest.approx(1.0, abs=0.05)
    sigma = unit_sigma(2.0, 2, tau=3.0, lengths=(1.0, 1.0))
    square = GaussianField(grid, tau=3.0, sigma=sigma).sample(2000, seed=0)
    mean = (square.coefficients**2).mean(dim=0) @ grid.measure
    assert float(mean) == pytest.approx(1.0, abs=0.06)


def test_zero_mean_and_mean():
    grid = Grid(x=(0.0, 1.0, 33), y=(0.0, 1.0, 33))
    assert float(GaussianField(grid, zero_mean=True).sample(3).integral().abs().max()) < 1e-13
    plain = GaussianField(grid).sample(2)
    assert torch.allclose(GaussianField(grid, mean=7.0).sample(2).coefficients, plain.coefficients + 7.0)


def test_dirichlet_fields_vanish_on_the_boundary():
    grid = Grid(x=(0.0, 1.0, 12), y=(0.0, 1.0, 9))
    values = GaussianField(grid, boundary=("dirichlet", "neumann")).sample(3).values
    assert float(values[:, [0, -1]].abs().max()) == 0.0
    assert float(values[:, :, 0].abs().max()) > 0.0


@pytest.mark.parametrize("alpha", [2.0, 4.0])
def test_mesh_field_has_the_covariance_of_the_series(alpha):
    """On the unit square the sparse solve approximates the spectral law."""
    mesh = Mesh.rectangle(0.05)
    mesh_field = GaussianField(mesh, alpha, 8.0, sigma=unit_sigma(alpha, 2))
    assert mesh_field.method == "spde"
    values = mesh_field.sample(2000, seed=0).coefficients
    grid_field = GaussianField(Grid(x=(0.0, 1.0, 65), y=(0.0, 1.0, 65)), alpha, 8.0, sigma=unit_sigma(alpha, 2))
    at = torch.tensor([[0.5, 0.5], [0.4, 0.5], [0.2, 0.7], [0.7, 0.35]], dtype=torch.float64)
    index = [int((mesh.points - point).norm(dim=1).argmin()) for point in at]
    basis = np.ones((4, 1))
    for axis, modes in enumerate(grid_field.axis_modes):
        basis = (basis[:, :, None] * modes.at(at[:, axis].numpy())[:, None, :]).reshape(4, -1)
    expected = (basis * grid_field.amplitudes.ravel() ** 2) @ basis.T
    found = np.cov(values[:, index].numpy().T)
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    assert (np.abs(found - expected) / scale).max() <= 0.1


def test_mesh_field_with_dirichlet_boundary_on_a_disc():
    mesh = Mesh.disc(0.15)
    field = GaussianField(mesh, 2.0, 6.0, boundary="dirichlet").sample(3)
    assert float(field.coefficients[:, field.space.dofs("boundary")].abs().max()) == 0.0
    assert float(field.norm("L2").min()) > 0.0


def test_bad_parameters():
    grid, mesh = Grid(x=(0.0, 1.0, 9), y=(0.0, 1.0, 9)), Mesh.rectangle(0.5)
    with pytest.raises(InputError, match="alpha must exceed"):
        GaussianField(grid, alpha=1.0)
    with pytest.raises(InputError, match="tau must be positive"):
        GaussianField(grid, tau=0.0)
    with pytest.raises(InputError, match="tau must be positive"):
        GaussianField(grid, sigma=float("nan"))
    with pytest.raises(InputError, match="boundary must be"):
        GaussianField(grid, boundary="robin")
    with pytest.raises(InputError, match="periodic="):
        GaussianField(grid, boundary="periodic")
    with pytest.raises(InputError, match="alpha must be even"):
        GaussianField(mesh, alpha=3.0)
    with pytest.raises(InputError, match="needs a Mesh"):
        GaussianField(grid, method="spde")
    with pytest.raises(InputError, match="n must be a whole number of at least 1"):
        GaussianField(grid).sample(0)
