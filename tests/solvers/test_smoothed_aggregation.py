"""Smoothed aggregation: a symmetric positive cycle that does not slow down on finer meshes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

import funcspace as fs
from funcspace.solvers.assembly import Assembly, SparsePattern
from funcspace.solvers.smoothed_aggregation import COARSEST, SmoothedAggregation

pytest.importorskip("pyamg")


def stiffness(h: float, contrast: float = 1.0) -> Any:
    """P1 stiffness on the unit square, u = 0 on its boundary; the coefficient jumps across x = y."""
    assembly = Assembly(fs.FunctionSpace(fs.Mesh.rectangle(h), "P1"))
    free = np.setdiff1d(np.arange(assembly.size), assembly.facet_dofs(assembly.parts["boundary"]))
    pattern = SparsePattern([assembly.cells.dofs], assembly.size, free)
    points = assembly.cells.points
    k = np.where(points[:, 0] > points[:, 1], contrast, 1.0)
    matrix = pattern.inner(pattern.values([assembly.cells.stiffness(assembly.cells.shaped(k))]))
    matrix.sort_indices()
    return matrix


def iterations(matrix: Any, load: np.ndarray) -> int:
    """Steps of conjugate gradients to a relative residual of 1e-8."""
    solver = SmoothedAggregation(matrix, 0.0)
    for count in range(1, 60):
        found = solver.solve(load, 1e-8, count)
        if np.linalg.norm(load - matrix @ found) <= 1.01e-8 * np.linalg.norm(load):
            return count
    raise AssertionError("no convergence")


def test_the_cycle_is_symmetric_and_positive() -> None:
    matrix = stiffness(0.04, contrast=100.0)
    solver = SmoothedAggregation(matrix, 0.02)
    assert len(solver.levels) >= 1
    x, y = np.random.default_rng(0).standard_normal((2, matrix.shape[0]))
    left, right = float(x @ solver.cycle(y)), float(y @ solver.cycle(x))
    assert left == pytest.approx(right, rel=1e-11)
    assert float(x @ solver.cycle(x)) > 0.0


def test_one_level_is_a_direct_solve() -> None:
    matrix = stiffness(0.2)
    assert matrix.shape[0] <= COARSEST
    x = np.random.default_rng(1).standard_normal(matrix.shape[0])
    np.testing.assert_allclose(SmoothedAggregation(matrix, 0.0).cycle(matrix @ x), x, rtol=1e-10)


def test_iterations_grow_slowly() -> None:
    """A mesh of a quarter of the width takes hardly more steps, also across a jump of 1000."""
    for contrast in (1.0, 1000.0):
        coarse, fine = (stiffness(h, contrast) for h in (0.04, 0.01))
        counts = [iterations(m, np.ones(m.shape[0])) for m in (coarse, fine)]
        assert counts[1] <= counts[0] + 6
        assert counts[1] <= 20


def test_solution() -> None:
    matrix = stiffness(0.03)
    load = np.random.default_rng(2).standard_normal(matrix.shape[0])
    found = SmoothedAggregation(matrix, 0.0).solve(load, 1e-11, 100)
    exact = sp.linalg.spsolve(matrix.tocsc(), load)
    assert np.linalg.norm(found - exact) < 1e-8 * np.linalg.norm(exact)


def test_what_cannot_be_solved_is_refused() -> None:
    many = 2 * COARSEST
    with pytest.raises(fs.SolverError, match="singular"):
        SmoothedAggregation(sp.csr_matrix((many, many)), 0.0)
    with pytest.raises(fs.SolverError, match="singular"):
        SmoothedAggregation(sp.csr_matrix(np.ones((3, 3))), 0.0)


def test_unknowns_without_neighbours() -> None:
    """Nothing aggregates in a diagonal matrix."""
    diagonal = np.arange(1.0, 2 * COARSEST + 1)
    found = SmoothedAggregation(sp.diags(diagonal).tocsr(), 0.0).solve(diagonal, 1e-12, 50)
    np.testing.assert_allclose(found, 1.0, rtol=1e-10)
