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
from funcspace.solvers.front_pattern import FrontPattern, nested_dissection
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


def lane_factors(pattern: Any) -> LaneFactors:
    return LaneFactors(pattern, np.random.default_rng(5).permutation(pattern.shape[0]))


def laplacian(nx: int, ny: int) -> tuple[Any, np.ndarray]:
    """The five-point matrix of a grid and its points."""
    line = [sp.diags([-np.ones(n - 1), np.full(n, 2.1), -np.ones(n - 1)], [-1, 0, 1]) for n in (nx, ny)]
    whole = sp.csr_matrix(sp.kron(line[0], sp.eye(ny)) + sp.kron(sp.eye(nx), line[1]))
    whole.sort_indices()
    points = np.stack(np.meshgrid(np.arange(nx), np.arange(ny), indexing="ij"), axis=-1).reshape(-1, 2)
    return whole, points.astype(float)


@pytest.mark.parametrize(("n", "count"), [(1, 1), (7, 3), (60, 8), (150, 5)])
def test_solutions(n: int, count: int) -> None:
    pattern, entries = random_matrices(n, count)
    loads = np.random.default_rng(2).standard_normal((n, count))
    found = lane_factors(matrix(pattern, entries[:, 0])).solve(entries, loads)
    for j in range(count):
        exact = np.linalg.solve(matrix(pattern, entries[:, j]).toarray(), loads[:, j])
        np.testing.assert_allclose(found[:, j], exact, rtol=1e-10, atol=1e-12)


def test_a_sample_has_the_same_bits_in_any_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    pattern, entries = random_matrices(80, 8)
    loads = np.random.default_rng(3).standard_normal((80, 8))
    factors = lane_factors(matrix(pattern, entries[:, 0]))
    together = factors.solve(entries, loads)
    for columns in ([5], [5, 0, 1], [7, 6, 5, 4, 3]):
        np.testing.assert_array_equal(
            factors.solve(entries[:, columns], loads[:, columns])[:, columns.index(5)], together[:, 5]
        )
    # systems too large for eight at a time
    monkeypatch.setattr("funcspace.solvers.lane_factors.LARGEST_TOGETHER", 10)
    np.testing.assert_array_equal(factors.solve(entries, loads), together)


def test_matrices_that_are_not_positive_are_refused() -> None:
    pattern, entries = random_matrices(20, 2)
    factors = lane_factors(matrix(pattern, entries[:, 0]))
    with pytest.raises(fs.SolverError, match="not positive definite"):
        factors.solve(entries * [1.0, -1.0], np.ones((20, 2)))
    with pytest.raises(fs.SolverError, match="not positive definite"):
        factors.one(-entries[:, 0])
    empty = LaneFactors(sp.csr_matrix((3, 3)), np.arange(3))
    with pytest.raises(fs.SolverError, match="not positive definite"):
        empty.solve(np.zeros((0, 2)), np.ones((3, 2)))


def test_a_pivot_that_is_rounding_is_refused() -> None:
    """A piece that nothing holds: the graph Laplacian's last pivot is zero, computed as some 1e-16."""
    whole, points = laplacian(7, 6)
    off = whole - sp.diags(whole.diagonal())
    free = sp.csr_matrix(off - sp.diags(np.asarray(off.sum(axis=1)).ravel()))
    free.sort_indices()
    factors = LaneFactors(free, nested_dissection(free, points))
    for weight in (1.0, 1.1, 0.3):
        entries = weight * free.data
        with pytest.raises(fs.SolverError, match="not positive definite to rounding"):
            factors.one(entries)
        with pytest.raises(fs.SolverError, match="not positive definite to rounding"):
            factors.solve(np.stack([entries, entries], axis=1), np.ones((42, 2)))


def test_one_matrix_with_many_loads() -> None:
    """One column alone, several together and the matrix in a lane: the same bits."""
    pattern, points = laplacian(23, 19)
    factors = LaneFactors(pattern, nested_dissection(pattern, points))
    loads = np.random.default_rng(6).standard_normal((pattern.shape[0], 41))
    solve = factors.one(pattern.data)
    found = solve(loads)
    np.testing.assert_allclose(pattern @ found, loads, atol=1e-12)
    np.testing.assert_array_equal(found[:, 40], solve(loads[:, 40]))
    np.testing.assert_array_equal(found[:, 3:5], solve(loads[:, 3:5]))
    entries = np.stack([pattern.data, 3.0 * pattern.data], axis=1)
    np.testing.assert_array_equal(found[:, 7], factors.solve(entries, loads[:, 7:9])[:, 0])


def test_the_last_factor_is_kept_for_its_very_coefficient() -> None:
    """Other loads take the factor that is there; a coefficient changed in place makes another."""
    space = fs.FunctionSpace(fs.Mesh.rectangle(0.3), "P1")
    k = fs.Function(space, torch.ones(space.n_dofs, dtype=torch.float64))
    problem = fs.solvers.Poisson(space.domain, "P2", coefficient=k, source=1.0)
    first = problem.solve()
    (*_, (factor, _)) = problem._discrete.lanes.last._kept
    assert torch.allclose(problem.with_data(source=2.0).solve().coefficients, 2.0 * first.coefficients, rtol=1e-13)
    assert problem._discrete.lanes.last._kept[1][0] is factor
    k.coefficients.mul_(4.0)
    assert torch.allclose(problem.solve().coefficients, 0.25 * first.coefficients, rtol=1e-13)


def test_dissection_keeps_the_fill_low() -> None:
    """Halves first, then the line between them; on n x n points L has O(n^2 log n) numbers, by lines O(n^3)."""
    pattern, points = laplacian(9, 5)
    order = nested_dissection(pattern, points)
    assert sorted(order) == list(range(45))
    assert set(points[order[-5:], 0]) == {4.0}
    assert set(points[order[:20], 0]) in ({0.0, 1.0, 2.0, 3.0}, {5.0, 6.0, 7.0, 8.0})
    sizes = []
    for n in (32, 64):
        pattern, points = laplacian(n, n)
        sizes.append(FrontPattern(pattern, nested_dissection(pattern, points)).nonzeros)
    by_lines = FrontPattern(pattern, np.arange(64 * 64)).nonzeros
    assert sizes[1] < 5.5 * sizes[0]
    assert sizes[1] < 0.5 * by_lines


def test_nodes_at_one_point_are_not_cut() -> None:
    pattern = sp.csr_matrix(np.ones((30, 30)))
    assert sorted(nested_dissection(pattern, np.zeros((30, 2)))) == list(range(30))


@pytest.mark.parametrize("element", ["P1", "P2", "Q1"])
def test_entries_are_those_of_local_matrices(element: str) -> None:
    mesh = fs.Mesh.rectangle(0.3, cells="quadrilateral" if element == "Q1" else "triangle")
    assembly = Assembly(fs.FunctionSpace(mesh, element))
    cells = assembly.cells
    pattern = SparsePattern([cells.dofs], assembly.size, np.arange(assembly.size))
    values = np.random.default_rng(4).uniform(0.5, 2.0, (3, len(cells.points)))
    for kind, local in (("grad", cells.stiffness), ("value", cells.mass)):
        found = np.zeros((pattern.nonzeros, 8))
        lanes = np.array([0, 1, 2, 0, 1, 2, 0, 1])
        CoefficientMatrix.scalar(cells, kind, pattern).add_entries(values, lanes, found)
        np.testing.assert_array_equal(found[:, 3:6], found[:, :3])
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


def test_loads_of_linear_functions() -> None:
    """P1 vectors tested against P2: exact, as the rule is; and P1 sources of a batch as one at a time."""
    mesh = fs.Mesh.disc(0.4)
    space, linear = fs.FunctionSpace(mesh, "P2"), fs.FunctionSpace(mesh, "P1", components=("x", "y"))
    values = torch.rand(3, linear.n_dofs, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    assembly = Assembly(space)
    found = assembly.own_loads(fs.Function(linear, values))
    assert found is not None
    nodes = assembly.linear_evaluation
    for i in range(2):
        expected = assembly.cells.load(np.stack([nodes @ sample for sample in values[..., i].numpy()]), assembly.size)
        np.testing.assert_allclose(found[..., i], expected, atol=1e-15)
    vector = fs.Function(linear, values)
    at_points = torch.from_numpy(assembly.cells.points)
    np.testing.assert_allclose(assembly.own_values(assembly.cells, vector), vector(at_points).numpy(), atol=1e-13)
    facets = assembly.facets(assembly.parts["boundary"])
    assert assembly.own_values(facets, vector) is None
    f = fs.Function(fs.FunctionSpace(mesh, "P1"), values[..., 0])
    batch = fs.solvers.Poisson(mesh, "P2", source=f).solve()
    single = fs.solvers.Poisson(mesh, "P2", source=f[1]).solve()
    assert float((batch[1] - single).norm() / single.norm()) < 1e-12


def test_coefficients_from_nodal_values() -> None:
    """P1 coefficients on the mesh go by their nodal values, others by values at points: the same problem."""
    mesh = fs.Mesh.disc(0.3)
    space = fs.FunctionSpace(mesh, "P1")
    values = torch.rand(3, space.n_dofs, generator=torch.Generator().manual_seed(3), dtype=torch.float64) + 0.5
    k = fs.Function(space, values)
    batch = fs.solvers.Poisson(mesh, "P2", coefficient=k, source=1.0).solve()
    by_points = fs.solvers.Poisson(mesh, "P2", coefficient=k.to(fs.FunctionSpace(mesh, "P2")), source=1.0).solve()
    assert float(((batch - by_points).norm() / batch.norm()).max()) < 1e-12
    values[2, 7] = -50.0
    with pytest.raises(fs.InputError, match="coefficient must be positive; sample 2"):
        fs.solvers.Poisson(mesh, "P2", coefficient=fs.Function(space, values), source=1.0).solve()
