"""Flexible conjugate gradients, starts from a surrogate, and surrogates in a preconditioner."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.sparse.linalg import cg, splu

import funcspace as fs
from funcspace.training.fem import SurrogatePreconditioner, flexible_cg

RNG = np.random.default_rng(0)


def laplacian(n: int = 17) -> tuple[fs.FunctionSpace, Any, np.ndarray]:
    """The stiffness matrix of the unit square on its free dofs."""
    space = fs.FunctionSpace(fs.Mesh.rectangle(1.0 / (n - 1)), "P1")
    free = np.setdiff1d(np.arange(space.n_dofs), space.dofs("boundary").numpy())
    return space, space.stiffness.matrix.tocsr()[free][:, free], free


def test_without_preconditioner_it_is_the_conjugate_gradient_method() -> None:
    _, A, _ = laplacian()
    b = RNG.standard_normal(A.shape[0])
    steps: list[np.ndarray] = []
    cg(A, b, atol=0.0, maxiter=12, callback=lambda x: steps.append(x.copy()))
    for count in (3, 12):
        with pytest.raises(fs.SolverError, match=f"after {count} iterations") as caught:
            flexible_cg(A, b, max_iterations=count, tolerance=1e-14)
        np.testing.assert_allclose(caught.value.state, steps[count - 1], rtol=1e-8, atol=1e-10)


def test_error_falls_in_the_energy_norm_whatever_the_preconditioner() -> None:
    _, A, _ = laplacian()
    b, exact = A @ np.ones(A.shape[0]), np.ones(A.shape[0])
    noisy = np.random.default_rng(1)

    def erratic(r: np.ndarray) -> np.ndarray:
        return np.tanh(r) * noisy.uniform(0.1, 2.0, len(r)) + 0.1 * np.abs(r)

    energies = []
    for count in range(1, 30, 4):
        noisy = np.random.default_rng(1)
        with pytest.raises(fs.SolverError) as caught:
            flexible_cg(A, b, erratic, max_iterations=count, tolerance=1e-13)
        error = caught.value.state - exact
        energies.append(float(error @ (A @ error)))
    assert all(later <= before * (1 + 1e-12) for before, later in itertools.pairwise(energies))
    np.testing.assert_allclose(flexible_cg(A, b, erratic, max_iterations=2000).solution, exact, atol=1e-5)


def test_starts_and_perfect_preconditioners_save_iterations() -> None:
    _, A, _ = laplacian()
    b = RNG.standard_normal(A.shape[0])
    plain = flexible_cg(A, b)
    inverse = splu(A.tocsc())
    assert flexible_cg(A, b, inverse.solve).iterations == 1
    start = plain.solution * (1.0 + 1e-4 * RNG.standard_normal(len(b)))
    near = flexible_cg(A, b, start=start)
    assert near.iterations < plain.iterations and near.residuals[-1] <= 1e-8 * np.linalg.norm(b)
    assert flexible_cg(A, b, start=inverse.solve(b)).iterations == 0


def test_a_coarse_solver_in_place_of_a_surrogate() -> None:
    """The exact solution of a coarser mesh between Jacobi sweeps: iterations that do not grow with the mesh."""
    counts = []
    for n in (9, 17, 33):
        space, A, free = laplacian(n)
        coarse, K, inside = laplacian((n - 1) // 2 + 1)
        solve = splu(K.tocsc()).solve

        def surrogate(f: fs.Function, coarse: Any = coarse, solve: Any = solve, inside: Any = inside) -> fs.Function:
            load = coarse.mass(coarse.interpolate(f, outside="nearest").coefficients).numpy()
            values = np.zeros(coarse.n_dofs)
            values[inside] = solve(load[inside])
            return fs.Function(coarse, torch.from_numpy(values))

        preconditioner = SurrogatePreconditioner(surrogate, A, space, free)
        b = RNG.standard_normal(A.shape[0])
        counts.append(flexible_cg(A, b, preconditioner, tolerance=1e-8).iterations)
        # linear surrogates make B linear: scaling by s cancels
        np.testing.assert_allclose(preconditioner(7.0 * b), 7.0 * preconditioner(b), rtol=1e-9, atol=1e-14)
    assert counts[2] <= counts[0] + 12 and flexible_cg(A, b).iterations > 2 * counts[2]


def test_residuals_become_sources() -> None:
    """Without sweeps B(r) is S(M^-1 r): the load of a constant source gives that constant back inside."""
    space, A, free = laplacian()
    b = space.integrals.numpy()[free]
    seen: list[fs.Function] = []
    SurrogatePreconditioner(lambda f: seen.append(f) or f, A, space, free, sweeps=0)(b)  # type: ignore[func-returns-value]
    values = seen[0].coefficients.numpy()
    np.testing.assert_allclose(values[free], values[free][0])
    assert float(np.sqrt(np.mean(values**2))) == pytest.approx(1.0)


def test_bad_input() -> None:
    space, A, free = laplacian(5)
    with pytest.raises(fs.InputError, match=r"does not fit a load of shape \(3,\)"):
        flexible_cg(A, np.zeros(3))
    with pytest.raises(fs.InputError, match="start must be finite"):
        flexible_cg(A, np.ones(A.shape[0]), start=np.full(A.shape[0], np.nan))
    with pytest.raises(fs.SolverError, match="not positive definite"):
        flexible_cg(-sp.eye(3, format="csr"), np.ones(3))
    with pytest.raises(fs.InputError, match="dofs are free"):
        SurrogatePreconditioner(lambda f: f, A, space, free[:-1])
    with pytest.raises(fs.InputError, match="scalar and nodal"):
        SurrogatePreconditioner(lambda f: f, A, fs.FunctionSpace(space.domain, "RT"), free)
