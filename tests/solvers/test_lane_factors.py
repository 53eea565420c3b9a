"""Batches of matrices of one pattern: factors, assembly and solutions against one at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch

import funcspace as fs
from funcspace.solvers.assembly import Assembly, SparsePattern
from funcspace.solvers.coefficient_matrices import CoefficientMatrix
from funcspace.solvers.lane_factors import LaneFactors


def random_matrices(n: int, count: int) -> tuple[Any, np.ndarray]:
    """A symmetric positive definite pattern and the entries (nonzeros, count) of some matrices on it."""
    generator = np.random.default_rng(0)
    upper = sp.random(n, n, density=min(1.0, 4.0 / n), random_state=1)
    pattern = sp.csr_matrix(upper + upper.T + sp.eye(n))
    pattern.sort_indices()
    entries = np.empty((pattern.nnz, count))
    for j in range(count):
        weights = sp.csr_matrix((generator.uniform(-1.0, 1.0, pattern.nnz), pattern.indices, pattern.indptr))
        symmetric = (weights + weights.T).tocsr()
        dominant = symmetric + sp.diags(np.asarray(abs(symmetric).sum(axis=1)).ravel() + 0.1)
        dominant.sort_indices()
        entries[:, j] = dominant.data
    return pattern, entries


def matrix(pattern: Any, entries: np.ndarray) -> Any:
    return sp.csr_matrix((entries, pattern.indices, pattern.indptr), shape=pattern.shape)


@pytest.mark.parametrize(("n", "count"), [(1, 1), (7, 3), (60, 8)])
def test_solutions(n: int, count: int) -> None:
    pattern, entries = random_matrices(n, count)
    loads = np.random.default_rng(2).standard_normal((n, count))
    found = LaneFactors(matrix(pattern, entries[:, 0])).solve(entries, loads)
    for j in range(count):
        exact = np.linalg.solve(matrix(pattern, entries[:, j]).toarray(), loads[:, j])
        np.testing.assert_allclose(found[:, j], exact, rtol=1e-10, atol=1e-12)


def test_a_sample_has_the_same_bits_in_any_lane() -> None:
    pattern, entries = random_matrices(80, 8)
    loads = np.random.default_rng(3).standard_normal((80, 8))
    factors = LaneFactors(matrix(pattern, entries[:, 0]))
    together = factors.solve(entries, loads)
    for columns in ([5], [5, 0, 1], [7, 6, 5, 4, 3]):
        np.testing.assert_array_equal(
            factors.solve(entries[:, columns], loads[:, columns])[:, columns.index(5)], together[:, 5]
        )


def test_matrices_that_are_not_positive_are_refused() -> None:
    pattern, entries = random_matrices(20, 2)
    factors = LaneFactors(matrix(pattern, entries[:, 0]))
    with pytest.raises(fs.SolverError, match="not positive definite"):
        factors.solve(entries * [1.0, -1.0], np.ones((20, 2)))
    with pytest.raises(fs.SolverError, match="singular"):
        LaneFactors(sp.csr_matrix((3, 3)))


@pytest.mark.parametrize("element", ["P1", "P2", "Q1"])
def test_entries_are_those_of_local_matrices(element: str) -> None:
    mesh = fs.Mesh.rectangle(0.3, cells="quadrilateral" if element == "Q1" else "triangle")
    assembly = Assembly(fs.FunctionSpace(mesh, element))
    cells = assembly.cells
    pattern = SparsePattern([cells.dofs], assembly.size, np.arange(assembly.size))
    values = np.random.default_rng(4).uniform(0.5, 2.0, (3, len(cells.points)))
    for kind, local in (("grad", cells.stiffness), ("value", cells.mass)):
        found = CoefficientMatrix(cells, kind, pattern).entries(values)
        for j in range(3):
            expected = pattern.values([local(cells.shaped(values[j]))])
            np.testing.assert_allclose(found[:, j], expected, atol=1e-13 * np.abs(expected).max())


@pytest.mark.parametrize("element", ["P1", "P2"])
def test_batches_are_loops_of_problems(element: str) -> None:
    """All data by sample, conditions of all kinds; ten samples fill one group of lanes and part of another."""
    mesh = fs.Mesh.rectangle(0.2)
    space = fs.FunctionSpace(mesh, "P1")
    values = torch.rand(10, space.n_dofs, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    k, c, g = (fs.Function(space, values * scale + 0.5) for scale in (1.0, 2.0, 3.0))

    def problem(rows: Any) -> fs.solvers.Poisson:
        return fs.solvers.Poisson(
            mesh,
            element,
            coefficient=k[rows],
            reaction=c[rows],
            source=g[rows],
            dirichlet={"left": g[rows]},
            neumann={"right": 1.0},
            robin={"top": (c[rows], k[rows])},
        )

    batch = problem(slice(0, 10)).solve()
    for i in (0, 7, 9):
        single = problem(i).solve()
        assert float((batch[i] - single).norm() / single.norm()) < 1e-12
    # the bytes of a sample do not depend on the batch or the number of workers
    part = problem(slice(7, 9)).solve()
    assert torch.equal(part.coefficients, batch[7:9].coefficients)


@pytest.mark.parametrize("element", ["P1", "P2"])
def test_loads_of_own_functions(element: str) -> None:
    """A batch of sources on the problem's own space: the loads of quadrature, and the solutions of one at a time."""
    space = fs.FunctionSpace(fs.Mesh.rectangle(0.25), element)
    values = torch.rand(5, space.n_dofs, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    f = fs.Function(space, values)
    assembly = Assembly(space)
    at_points = assembly.own_values(assembly.cells, f)
    expected = assembly.cells.load(at_points, assembly.size)
    np.testing.assert_allclose(assembly.own_loads(f), expected, atol=1e-15)
    assert assembly.own_loads(f[0]) is None
    batch = fs.solvers.Poisson(space.domain, element, source=f).solve()
    single = fs.solvers.Poisson(space.domain, element, source=f[3]).solve()
    assert float((batch[3] - single).norm() / single.norm()) < 1e-12
    broken = fs.Function(space, torch.where(values > 0.99, torch.nan, values))
    with pytest.raises(fs.InputError, match="source must be finite"):
        fs.solvers.Poisson(space.domain, element, source=broken).solve()
