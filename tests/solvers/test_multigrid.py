"""The compiled grid solver against assembled matrices, over sizes, spacings, coefficients and boundary conditions."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import spsolve

from funcspace.errors import InputError, SolverError
from funcspace.solvers.coefficients import multiscale_values
from funcspace.solvers.multigrid import cell_means, solve_grid, vertex_load


def line_matrices(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Stiffness and mass of each cell of a line, (m, 2, 2)."""
    h = np.diff(x)[:, None, None]
    return np.array([[1.0, -1.0], [-1.0, 1.0]]) / h, np.array([[2.0, 1.0], [1.0, 2.0]]) * h / 6.0


def q1_matrix(k: np.ndarray, c: np.ndarray, x: np.ndarray, y: np.ndarray) -> sp.csr_matrix:
    """The Q1 matrix of -div(k grad u) + c u, assembled the plain way from tensor products of line matrices."""
    (kx, mx), (ky, my) = line_matrices(x), line_matrices(y)
    n = len(y)
    rows, columns, values = [], [], []
    for j in range(len(x) - 1):
        for i in range(n - 1):
            local = k[j, i] * (np.kron(kx[j], my[i]) + np.kron(mx[j], ky[i])) + c[j, i] * np.kron(mx[j], my[i])
            dofs = [j * n + i, j * n + i + 1, (j + 1) * n + i, (j + 1) * n + i + 1]
            rows += np.repeat(dofs, 4).tolist()
            columns += np.tile(dofs, 4).tolist()
            values += local.ravel().tolist()
    return sp.csr_matrix((values, (rows, columns)), shape=(len(x) * n, len(x) * n))


def jumps(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.where(np.random.default_rng(seed).random(shape) < 0.5, 3.0, 12.0)


def reference(k, c, load, x, y, fixed, values):
    """Dense-free direct solution with the vertices `fixed` set to `values`."""
    matrix = q1_matrix(k, c, x, y)
    free = np.flatnonzero(~fixed.ravel())
    u = np.where(fixed, values, 0.0).ravel()
    u[free] = spsolve(matrix[free][:, free].tocsc(), (load.ravel() - matrix @ u)[free])
    return u.reshape(load.shape)


def sides(shape: tuple[int, int], dirichlet) -> np.ndarray:
    fixed = np.zeros(shape, dtype=bool)
    fixed[0] |= dirichlet[0][0]
    fixed[-1] |= dirichlet[0][1]
    fixed[:, 0] |= dirichlet[1][0]
    fixed[:, -1] |= dirichlet[1][1]
    return fixed


ALL = ((True, True), (True, True))
MIXED = ((True, False), (False, True))
ONE = ((False, False), (True, False))


@pytest.mark.parametrize("dirichlet", [ALL, MIXED, ONE])
@pytest.mark.parametrize("shape", [(3, 3), (4, 5), (17, 17), (16, 23), (14, 31), (40, 5), (3, 29)])
def test_equals_direct_solution_of_the_same_system(shape, dirichlet):
    rng = np.random.default_rng(1)
    x = np.cumsum(rng.uniform(0.5, 1.5, shape[0]))
    y = np.cumsum(rng.uniform(0.5, 1.5, shape[1]))
    cells = (shape[0] - 1, shape[1] - 1)
    k, c = jumps(cells), rng.uniform(0.0, 2.0, cells)
    load, values = rng.standard_normal(shape), rng.standard_normal(shape)
    found = solve_grid(
        k, load, axes=(x, y), reaction=c, dirichlet=dirichlet, boundary_values=values, tolerance=1e-12
    ).values[0]
    expected = reference(k, c, load, x, y, sides(shape, dirichlet), values)
    assert np.abs(found - expected).max() <= 1e-10 * np.abs(expected).max()


def test_robin_sides_add_the_boundary_mass():
    x, y = np.linspace(0, 1, 13), np.linspace(0, 2, 18)
    k, load = jumps((12, 17)), np.random.default_rng(0).standard_normal((13, 18))
    found = solve_grid(k, load, axes=(x, y), dirichlet=((False, False),) * 2, robin=((0.0, 2.0), (3.0, 0.0))).values[0]
    matrix = q1_matrix(k, np.zeros_like(k), x, y).tolil()
    for cell, mass in enumerate(line_matrices(y)[1]):
        dofs = 12 * 18 + cell + np.arange(2)
        matrix[np.ix_(dofs, dofs)] += 2.0 * mass
    for cell, mass in enumerate(line_matrices(x)[1]):
        dofs = (cell + np.arange(2)) * 18
        matrix[np.ix_(dofs, dofs)] += 3.0 * mass
    expected = spsolve(matrix.tocsc(), load.ravel()).reshape(load.shape)
    assert np.abs(found - expected).max() <= 1e-8 * np.abs(expected).max()


@pytest.mark.parametrize("n", [64, 65, 101, 127, 128, 150])
def test_iterations_do_not_grow_with_jumps_or_size(n):
    x = np.linspace(0, 1, n)
    blocks = np.kron(jumps((8, 8)), np.ones((n // 8 + 1, n // 8 + 1)))[: n - 1, : n - 1]
    found = solve_grid(np.stack([blocks, jumps((n - 1, n - 1))]), vertex_load(1.0, (x, x)), axes=(x, x))
    assert found.iterations.max() <= 14
    assert found.residuals.max() <= 2e-10


def test_multiscale_coefficient_converges():
    n = 128
    x = np.linspace(0, 1, n)
    points = np.stack(np.meshgrid(x, x, indexing="ij"), axis=-1).reshape(-1, 2)
    a = np.stack([multiscale_values(points, np.random.default_rng(s)).reshape(n, n) for s in range(3)])
    found = solve_grid(cell_means(a), vertex_load(1.0, (x, x)), axes=(x, x))
    assert a.max() / a.min() > 1e3
    assert found.iterations.max() <= 20


@pytest.mark.parametrize("stretch", [4.0, 30.0])
def test_unequal_spacings_are_coarsened_one_axis_at_a_time(stretch):
    x, y = np.linspace(0, stretch, 65), np.linspace(0, 1, 65)
    for axes in ((x, y), (y, x)):
        assert solve_grid(np.ones((64, 64)), vertex_load(1.0, axes), axes=axes).iterations.max() <= 14


def test_units_do_not_matter():
    x = np.linspace(0, 1, 33)
    base = solve_grid(jumps((32, 32)), vertex_load(1.0, (x, x)), axes=(x, x)).values
    small = solve_grid(1e-200 * jumps((32, 32)), vertex_load(1e-200, (x, x)), axes=(x, x)).values
    scaled = solve_grid(jumps((32, 32)), vertex_load(1.0, (1e6 * x, 1e6 * x)), axes=(1e6 * x, 1e6 * x)).values
    np.testing.assert_allclose(small, base, rtol=1e-9)
    np.testing.assert_allclose(scaled, 1e12 * base, rtol=1e-9)


def test_same_bytes_whatever_the_batch_and_the_threads():
    x = np.linspace(0, 1, 50)
    k = np.stack([jumps((49, 49), seed) for seed in range(9)])
    load = vertex_load(1.0, (x, x))
    alone = np.concatenate([solve_grid(one, load, axes=(x, x)).values for one in k])
    for workers in (1, 2, 5):
        assert solve_grid(k, load, axes=(x, x), workers=workers).values.tobytes() == alone.tobytes()


def test_one_coefficient_with_many_loads():
    x = np.linspace(0, 1, 20)
    loads = np.random.default_rng(0).standard_normal((4, 20, 20))
    together = solve_grid(jumps((19, 19)), loads, axes=(x, x)).values
    alone = [solve_grid(jumps((19, 19)), load, axes=(x, x)).values[0] for load in loads]
    np.testing.assert_array_equal(together, alone)


def test_pure_neumann_solution_up_to_a_constant():
    x, y = np.linspace(0, 1, 21), np.linspace(0, 1, 34)
    k = jumps((20, 33))
    load = np.random.default_rng(0).standard_normal((21, 34))
    load -= load.mean()
    found = solve_grid(k, load, axes=(x, y), dirichlet=((False, False),) * 2)
    image = (q1_matrix(k, np.zeros_like(k), x, y) @ found.values[0].ravel()).reshape(load.shape)
    assert np.linalg.norm(image - load) <= 1e-9 * np.linalg.norm(load)
    with pytest.raises(SolverError, match="balance"):
        solve_grid(k, load + 0.1, axes=(x, y), dirichlet=((False, False),) * 2)


def test_a_line_is_solved_exactly_at_the_vertices():
    x = np.array([0.0, 0.1, 0.35, 0.4, 0.8, 1.0])
    found = solve_grid(np.full(5, 2.0), vertex_load(1.0, (x,)), axes=(x,), dirichlet=((True, True),)).values[0]
    np.testing.assert_allclose(found, x * (1 - x) / 4.0, atol=1e-14)
    mixed = solve_grid(
        np.full(5, 2.0), vertex_load(0.0, (x,)) + np.eye(6)[5] * 3.0, axes=(x,), dirichlet=((True, False),),
        robin=((0.0, 1.0),), boundary_values=np.eye(6)[0],
    ).values[0]  # fmt: skip
    # 2 u' = 0 inside; at x = 1: 2 u' + u = 3 with u = 1 + s x, so s = 2/3
    np.testing.assert_allclose(mixed, 1.0 + 2.0 / 3.0 * x, atol=1e-13)


def test_vertex_load_integrates_products_of_multilinear_functions():
    x, y = np.array([0.0, 0.3, 1.0]), np.linspace(0, 2, 4)
    a, b = np.add.outer(x, 2 * y), np.multiply.outer(1 - x, y)
    # integral of (x + 2y)(1 - x)y over [0,1] x [0,2]
    assert (b * vertex_load(a, (x, y))).sum() == pytest.approx(1 / 6 * 2 + 0.5 * 16 / 3)
    assert vertex_load(1.0, (x, y)).sum() == pytest.approx(2.0)
    with pytest.raises(InputError, match="vertex shape"):
        vertex_load(np.ones((4, 3)), (x, y))


def test_not_converged_keeps_the_state():
    x = np.linspace(0, 1, 33)
    with pytest.raises(SolverError, match=r"sample 0.*2 iterations") as caught:
        solve_grid(jumps((32, 32)), vertex_load(1.0, (x, x)), axes=(x, x), max_iterations=2)
    assert caught.value.state.values.shape == (1, 33, 33)
    assert caught.value.state.residuals[0] < 0.1


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_bad_coefficient_names_the_sample(bad):
    x = np.linspace(0, 1, 9)
    k = np.ones((3, 8, 8))
    k[2, 4, 5] = bad
    with pytest.raises(InputError, match=r"sample 2 is .* in cell \(4, 5\)"):
        solve_grid(k, vertex_load(1.0, (x, x)), axes=(x, x))


def test_bad_shapes_and_data():
    x = np.linspace(0, 1, 9)
    load = vertex_load(1.0, (x, x))
    with pytest.raises(InputError, match=r"coefficient must have shape \(8, 8\)"):
        solve_grid(np.ones((9, 9)), load, axes=(x, x))
    with pytest.raises(InputError, match="numbers of samples"):
        solve_grid(np.ones((2, 8, 8)), np.stack([load] * 3), axes=(x, x))
    with pytest.raises(InputError, match="no samples"):
        solve_grid(np.ones((0, 8, 8)), load, axes=(x, x))
    with pytest.raises(InputError, match="increasing"):
        solve_grid(np.ones((8, 8)), load, axes=(x[::-1], x))
    with pytest.raises(InputError, match="load must be finite"):
        solve_grid(np.ones((8, 8)), np.where(load > load.mean(), np.nan, load), axes=(x, x))
    with pytest.raises(InputError, match="reaction must not be negative"):
        solve_grid(np.ones((8, 8)), load, axes=(x, x), reaction=-1.0)
    with pytest.raises(InputError, match="one or two axes"):
        solve_grid(np.ones((8, 8, 8)), np.ones((9, 9, 9)), axes=(x, x, x))
