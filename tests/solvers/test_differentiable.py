"""Solves as torch operations: derivatives against differences, batches, several calls before backward, bad input."""

from __future__ import annotations

import math

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import funcspace as fs
from funcspace.solvers import Poisson, sparse_solve

F64 = torch.float64


def random(*shape, seed=0, low=0.0):
    generator = torch.Generator().manual_seed(seed)
    return (low + torch.rand(*shape, generator=generator, dtype=F64)).requires_grad_()


@pytest.fixture(scope="module")
def disc():
    return fs.Mesh.disc(0.6)


@pytest.fixture(scope="module")
def grid():
    return fs.Grid(x=(0.0, 1.0, 6), y=(0.0, 2.0, 5))


class TestSparseSolve:
    rows = torch.tensor([0, 0, 1, 1, 2, 2, 0, 2])
    columns = torch.tensor([0, 1, 1, 2, 2, 0, 2, 2])

    def entries(self, *batch):
        with torch.no_grad():
            values = random(*batch, 8)
            values[..., [0, 2, 4]] += 3.0
        return values.requires_grad_()

    @pytest.mark.parametrize(("matrices", "loads"), [((), ()), ((2,), ()), ((), (2, 2)), ((2, 1), (2,)), ((3,), (3,))])
    def test_first_and_second_derivatives_of_an_unsymmetric_system(self, matrices, loads):
        entries, right = self.entries(*matrices), random(*loads, 3, seed=1)

        def solve(entries, right):
            return sparse_solve(entries, right, self.rows, self.columns)

        assert gradcheck(solve, (entries, right))
        assert gradgradcheck(solve, (entries, right))

    def test_agrees_with_dense_solves(self):
        entries, right = self.entries(4), random(4, 3, seed=2)
        dense = torch.zeros(4, 3, 3, dtype=F64).index_put(
            (torch.arange(4)[:, None], self.rows, self.columns), entries, accumulate=True
        )
        expected = torch.linalg.solve(dense, right)
        found = sparse_solve(entries, right, self.rows, self.columns)
        torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)
        cotangent = torch.linspace(-1.0, 1.0, 12, dtype=F64).reshape(4, 3)
        got = torch.autograd.grad(found, (entries, right), cotangent)
        torch.testing.assert_close(got, torch.autograd.grad(expected, (entries, right), cotangent))

    def test_a_singular_matrix_is_named(self):
        entries = torch.ones(2, 8, dtype=F64)
        entries[0, [0, 2, 4]] = 5.0
        entries[1] = 0.0
        with pytest.raises(fs.SolverError, match="sample 1 is singular"):
            sparse_solve(entries, torch.ones(3, dtype=F64), self.rows, self.columns)

    def test_bad_input(self):
        entries, right = self.entries(), random(3)
        with pytest.raises(fs.InputError, match="one length"):
            sparse_solve(entries[:5], right, self.rows, self.columns)
        with pytest.raises(fs.InputError, match=r"columns must lie in 0 \.\. 2"):
            sparse_solve(entries, right, self.rows, self.columns + 1)
        with pytest.raises(fs.InputError, match="entries must be finite"):
            sparse_solve(entries * math.nan, right, self.rows, self.columns)


class TestPoisson:
    @pytest.mark.parametrize("element", ["P1", "P2"])
    def test_all_data_on_a_mesh(self, disc, element):
        V = fs.FunctionSpace(disc, element)
        data = [random(2, V.n_dofs, seed=i, low=0.5) for i in range(4)]

        def solve(k, f, g, c):
            problem = Poisson(
                disc, element, coefficient=fs.Function(V, k), source=fs.Function(V, f), reaction=fs.Function(V, c),
                dirichlet={"boundary": fs.Function(V, g)},
            )  # fmt: skip
            return problem.solve().coefficients

        assert gradcheck(solve, data, fast_mode=True)
        assert gradgradcheck(solve, data, fast_mode=True)

    def test_natural_conditions_and_numbers(self, grid):
        scalars = [torch.tensor(value, dtype=F64, requires_grad=True) for value in (0.7, 0.4, 0.9, 1.3, 0.2)]

        def solve(k, alpha, flux, fixed, c):
            problem = Poisson(
                grid, coefficient=k, source=1.0, reaction=c, robin={"right": (alpha, flux)}, neumann={"top": flux},
                dirichlet={"left": fixed},
            )  # fmt: skip
            return problem.solve().coefficients

        assert gradcheck(solve, scalars)

    def test_compiled_grid_solver_backward(self, grid):
        V = fs.FunctionSpace(grid)
        k, f = random(3, V.n_dofs, low=0.5), random(3, V.n_dofs, seed=1)

        def solve(k, f):
            problem = Poisson(
                grid, coefficient=fs.Function(V, k), source=fs.Function(V, f), robin={"left": (0.5, 0.2)},
                neumann={"top": 0.3}, tolerance=1e-13,
            )  # fmt: skip
            return problem.solve().coefficients

        torch.testing.assert_close(solve(k, f), solve(k.detach(), f.detach()), rtol=1e-12, atol=1e-12)
        assert gradcheck(solve, (k, f), fast_mode=True)
        assert gradgradcheck(solve, (k, f), fast_mode=True)

    def test_matrix_coefficient(self, disc):
        V = fs.FunctionSpace(disc, "P1", value_shape=(2, 2))
        identity = torch.eye(2, dtype=F64)
        part = random(V.n_dofs, 2, 2)

        def solve(part):
            k = identity + 0.1 * (part + part.mT)
            return Poisson(disc, coefficient=fs.Function(V, k), source=1.0).solve().coefficients

        assert gradcheck(solve, (part,), fast_mode=True)

    def test_pure_neumann(self, disc):
        V = fs.FunctionSpace(disc, "P1")
        area = fs.Function(V, torch.ones(V.n_dofs, dtype=F64)).integral()

        def solve(f):
            mean = fs.Function(V, f).integral() / area
            return Poisson(disc, source=fs.Function(V, f - mean), dirichlet={}).solve().coefficients

        f = random(V.n_dofs)
        assert gradcheck(solve, (f,), fast_mode=True)
        (gradient,) = torch.autograd.grad(fs.Function(V, solve(f)).integral(), f)
        assert gradient.abs().max() < 1e-14  # the mean of the solution is zero whatever the source

    def test_functions_on_another_space(self, disc):
        W = fs.FunctionSpace(fs.Grid(x=(-1.5, 1.5, 5), y=(-1.5, 1.5, 5)), "cubic")
        f = random(W.n_dofs)
        assert gradcheck(lambda f: Poisson(disc, source=fs.Function(W, f)).solve().coefficients, (f,), fast_mode=True)

    def test_a_batch_equals_its_samples(self, disc):
        V = fs.FunctionSpace(disc, "P1")
        k = random(3, V.n_dofs, low=0.5)

        def objective(k):
            return Poisson(disc, coefficient=fs.Function(V, k), source=1.0).solve().norm("H1").sum()

        (together,) = torch.autograd.grad(objective(k), k)
        for i in range(3):
            (alone,) = torch.autograd.grad(objective(k[i]), k)
            torch.testing.assert_close(together[i], alone[i], rtol=1e-12, atol=1e-14)

    def test_several_calls_before_backward(self, disc):
        V = fs.FunctionSpace(disc, "P1")
        first, second = random(V.n_dofs, low=0.5), random(V.n_dofs, seed=1, low=0.5)

        def objective(k):
            return Poisson(disc, coefficient=fs.Function(V, k), source=1.0).solve().integral()

        alone = [torch.autograd.grad(objective(k), k)[0] for k in (first, second)]
        together = torch.autograd.grad(objective(first) + 2.0 * objective(second), (first, second))
        torch.testing.assert_close(together, (alone[0], 2.0 * alone[1]), rtol=1e-13, atol=0.0)

    def test_shape_derivative_of_the_compliance_is_known(self, disc):
        # For J(k) = integral of f u the derivative in direction q is minus the integral of q |grad u|^2.
        V = fs.FunctionSpace(disc, "P1")
        k = fs.Function(V, torch.ones(V.n_dofs, dtype=F64).requires_grad_())
        u = Poisson(disc, coefficient=k, source=1.0).solve()
        (gradient,) = torch.autograd.grad(u.integral(), k.coefficients)
        assert float(gradient.sum()) == pytest.approx(-float(u.norm("H1_semi").detach() ** 2), rel=1e-12)

    def test_network_as_coefficient(self, disc):
        generator = torch.Generator().manual_seed(0)
        network = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)).double()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=F64))

        def objective(*weights):
            def k(x):
                return torch.func.functional_call(network, dict(zip(names, weights, strict=True)), (x,))[:, 0].exp()

            return Poisson(disc, coefficient=k, source=1.0).solve().integral()

        names, weights = zip(*network.named_parameters(), strict=True)
        assert gradcheck(objective, weights, fast_mode=True)

    def test_nothing_is_recorded_without_need(self, disc):
        V = fs.FunctionSpace(disc, "P1")
        k = fs.Function(V, random(V.n_dofs, low=0.5))
        with torch.no_grad():
            assert not Poisson(disc, coefficient=k, source=1.0).solve().coefficients.requires_grad
        assert not Poisson(disc, source=1.0).solve().coefficients.requires_grad

    def test_bad_data_are_refused_as_ever(self, disc):
        V = fs.FunctionSpace(disc, "P1")
        with pytest.raises(fs.InputError, match="coefficient must be positive"):
            Poisson(disc, coefficient=fs.Function(V, random(V.n_dofs) - 2.0), source=1.0).solve()
        with pytest.raises(fs.InputError, match="source must be finite"):
            Poisson(disc, source=fs.Function(V, random(V.n_dofs) * math.nan)).solve()
        with pytest.raises(fs.SolverError, match="balance"):
            Poisson(disc, source=fs.Function(V, random(V.n_dofs, low=1.0)), dirichlet={}).solve()


def test_darcy_recovers_a_coefficient_from_measurements():
    """A conductivity of two unknowns, from 30 values of the pressure."""
    grid = fs.Grid(x=(0.0, 1.0, 17), y=(0.0, 1.0, 17))
    V = fs.FunctionSpace(grid)
    x = grid.points
    ramp, wave = x[:, 0], torch.sin(torch.pi * x[:, 1])
    truth = torch.tensor([1.2, -0.7], dtype=F64)
    problem = fs.solvers.Darcy(domain=grid)
    generator = torch.Generator().manual_seed(0)
    sensors = torch.rand(30, 2, generator=generator, dtype=F64)

    def measured(theta):
        return problem.solve(fs.Function(V, torch.exp(theta[0] * ramp + theta[1] * wave)))(sensors)

    data = measured(truth)
    theta = torch.zeros(2, dtype=F64, requires_grad=True)
    optimizer = torch.optim.LBFGS([theta], lr=1.0, line_search_fn="strong_wolfe", max_iter=30)

    def closure():
        optimizer.zero_grad()
        loss = 1e4 * (measured(theta) - data).square().mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    torch.testing.assert_close(theta.detach(), truth, rtol=1e-5, atol=1e-5)
