"""Linear solves as torch operations: derivatives against differences, batches, several calls before backward."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import funcspace as fs
from funcspace.solvers.linear import Heat, Helmholtz, Wave

F64 = torch.float64


def random(*shape, seed=0, low=0.0):
    generator = torch.Generator().manual_seed(seed)
    return (low + torch.rand(*shape, generator=generator, dtype=F64)).requires_grad_()


@pytest.fixture(scope="module")
def disc():
    return fs.Mesh.disc(0.8)


@pytest.fixture(scope="module")
def square():
    return fs.Mesh.rectangle(0.5)


class TestHeat:
    times = fs.Times(0.0, 0.1, 4)

    @pytest.mark.parametrize(("element", "theta"), [("P1", 0.5), ("P2", 0.75)])
    def test_all_data_of_a_batch(self, disc, element, theta):
        V = fs.FunctionSpace(disc, element)
        data = [random(2, V.n_dofs, seed=i, low=0.5) for i in range(6)]

        def solve(*values):
            k, c, r, f, u0, g = (fs.Function(V, value) for value in values)
            heat = Heat(
                disc, self.times, element, coefficient=k, capacity=c, reaction=r, source=f, initial=u0,
                dirichlet={"boundary": g}, theta=theta,
            )  # fmt: skip
            return heat.solve().coefficients

        plain = solve(*(values.detach() for values in data))
        torch.testing.assert_close(solve(*data), plain, rtol=1e-12, atol=1e-12)
        assert gradcheck(solve, data, fast_mode=True)
        assert gradgradcheck(solve, data, fast_mode=True)

    @pytest.mark.parametrize("lumped", [False, True])
    def test_numbers_in_natural_conditions_and_in_time(self, square, lumped):
        scalars = [torch.tensor(value, dtype=F64, requires_grad=True) for value in (0.7, 0.4, 0.9, 1.3)]

        def solve(k, alpha, flux, rate):
            heat = Heat(
                square, self.times, coefficient=k, source=lambda x, t: rate * t * x[:, 0], neumann={"top": flux},
                robin={"right": (alpha, flux)}, dirichlet={"left": lambda x, t: rate * t * x[:, 1]}, step=0.06,
                lumped=lumped,
            )  # fmt: skip
            return heat.solve().coefficients

        plain = solve(*(value.detach() for value in scalars))
        torch.testing.assert_close(solve(*scalars), plain, rtol=1e-12, atol=1e-12)
        assert gradcheck(solve, scalars)

    def test_matrix_coefficient(self, square):
        V = fs.FunctionSpace(square, value_shape=(2, 2))
        part = random(V.n_dofs, 2, 2)

        def solve(part):
            k = torch.eye(2, dtype=F64) + 0.1 * (part + part.mT)
            return Heat(square, self.times, coefficient=fs.Function(V, k), source=1.0).solve().coefficients

        torch.testing.assert_close(solve(part), solve(part.detach()), rtol=1e-12, atol=1e-12)
        assert gradcheck(solve, (part,), fast_mode=True)

    def test_a_source_over_time_and_space(self, square):
        V = fs.FunctionSpace(self.times * square)
        f = random(3, *V.coefficient_shape)

        def solve(f):
            return Heat(square, self.times, source=fs.Function(V, f), workers=2).solve().coefficients

        torch.testing.assert_close(solve(f), solve(f.detach()), rtol=1e-12, atol=1e-12)
        assert gradcheck(solve, (f,), fast_mode=True)

    def test_heat_brought_by_a_source_is_its_integral(self, square):
        """Insulated, the total heat at the end is that at the start plus duration times the integral of f."""
        V = fs.FunctionSpace(square)
        f, u0 = random(V.n_dofs), random(V.n_dofs, seed=1)
        heat = Heat(
            square, self.times, source=fs.Function(V, f), initial=fs.Function(V, u0), coefficient=2.0, dirichlet={}
        )  # fmt: skip
        total = fs.Function(V, heat.solve().coefficients[-1]).integral()
        of_f, of_u0 = torch.autograd.grad(total, (f, u0))
        torch.testing.assert_close(of_f, self.times.duration * V.integrals, rtol=1e-11, atol=1e-14)
        torch.testing.assert_close(of_u0, V.integrals, rtol=1e-11, atol=1e-14)

    def test_several_calls_before_backward(self, square):
        """Gradients of a sum of solves are sums of gradients, in whatever order the solves and backwards come."""
        V = fs.FunctionSpace(square)
        k, f = random(V.n_dofs, low=0.5), random(V.n_dofs, seed=1)

        def loss(scale):
            heat = Heat(square, self.times, coefficient=fs.Function(V, scale * k), source=fs.Function(V, f))
            return heat.solve().coefficients.square().sum()

        apart = [torch.autograd.grad(loss(scale), (k, f)) for scale in (1.0, 3.0)]
        first, second = loss(1.0), loss(3.0)
        together = torch.autograd.grad(first + second, (k, f))
        for found, *terms in zip(together, *apart, strict=True):
            torch.testing.assert_close(found, terms[0] + terms[1], rtol=1e-12, atol=1e-14)

    def test_factors_are_made_once(self, square, monkeypatch):
        heat = Heat(square, fs.Times(0.0, 0.1, 9), source=torch.tensor(1.0, requires_grad=True), damped=0)
        calls = []
        plain = heat.parts.factorise
        monkeypatch.setattr(heat.parts, "factorise", lambda *a: calls.append(1) or plain(*a))
        heat.solve().coefficients.sum().backward()
        assert calls == [1]


class TestHelmholtz:
    def solve(self, domain, element, values, **options):
        V = fs.FunctionSpace(domain, element)
        a, c, f, g = (fs.Function(V, value) for value in values)
        return Helmholtz(
            domain, element, frequency=2.5, coefficient=a, speed=c, source=f, dirichlet={"left": g}, **options
        ).solve().coefficients  # fmt: skip

    @pytest.mark.parametrize("element", ["P1", "P2"])
    def test_standing_waves(self, square, element):
        n = fs.FunctionSpace(square, element).n_dofs
        data = [random(2, n, seed=i, low=0.8) for i in range(4)]
        found = self.solve(square, element, data, neumann={"top": 0.3})
        plain = self.solve(square, element, [values.detach() for values in data], neumann={"top": 0.3})
        assert found.dtype == F64
        torch.testing.assert_close(found, plain, rtol=1e-11, atol=1e-12)
        assert gradcheck(lambda *d: self.solve(square, element, d, neumann={"top": 0.3}), data, fast_mode=True)
        assert gradgradcheck(lambda *d: self.solve(square, element, d), data, fast_mode=True)

    def test_waves_that_leave(self, square):
        """Complex solutions: the loss, an impedance part, and complex data."""
        V = fs.FunctionSpace(square)
        data = [random(2, V.n_dofs, seed=i, low=0.8) for i in range(4)]
        loss, edge = random(V.n_dofs, seed=5), random(V.n_dofs, seed=6)

        def solve(a, c, f, g, loss, edge):
            return self.solve(
                square, "P1", (a, c, f, g * (1 + 0.5j)), loss=fs.Function(V, loss),
                impedance={"right": fs.Function(V, edge * (2.0 - 1j)), "top": 0.0},
            )  # fmt: skip

        every = (*data, loss, edge)
        plain = solve(*(values.detach() for values in every))
        found = solve(*every)
        assert found.dtype == torch.complex128
        torch.testing.assert_close(found, plain, rtol=1e-11, atol=1e-12)
        assert gradcheck(solve, every, fast_mode=True)
        assert gradgradcheck(solve, every, fast_mode=True)

    def test_complex_source(self, square):
        V = fs.FunctionSpace(square)
        f = torch.complex(*(random(3, V.n_dofs, seed=i).detach() for i in (0, 1))).requires_grad_()

        def solve(f):
            return Helmholtz(square, frequency=2.0, source=fs.Function(V, f)).solve().coefficients

        torch.testing.assert_close(solve(f), solve(f.detach()), rtol=1e-12, atol=1e-12)
        assert gradcheck(solve, (f,), fast_mode=True)

    def test_reciprocity(self, square):
        """The response at x to a load at y is that at y to one at x: the Jacobian M S^-1 M of loads is symmetric."""
        V = fs.FunctionSpace(square)
        mass = torch.from_numpy(V.mass.matrix.toarray())

        def response(f):
            u = Helmholtz(square, frequency=3.0, source=fs.Function(V, f), impedance={"top": 0.0}).solve()
            return u.coefficients @ mass.to(torch.complex128)

        f = random(V.n_dofs).detach().to(torch.complex128)
        jacobian = torch.autograd.functional.jacobian(lambda x: response(x).real, f.real)
        torch.testing.assert_close(jacobian, jacobian.T, rtol=1e-11, atol=1e-15)
        assert jacobian.abs().max() > 1e-4

    def test_several_calls_before_backward(self, square):
        V = fs.FunctionSpace(square)
        c = random(V.n_dofs, low=0.8)

        def loss(frequency):
            u = Helmholtz(square, frequency=frequency, speed=fs.Function(V, c), source=1.0, impedance={"top": 0.0})
            return u.solve().coefficients.abs().square().sum()

        (apart,) = torch.autograd.grad(loss(1.0), c)
        (other,) = torch.autograd.grad(loss(2.0), c)
        first, second = loss(1.0), loss(2.0)
        (together,) = torch.autograd.grad(first + second, c)
        torch.testing.assert_close(together, apart + other, rtol=1e-11, atol=1e-14)

    def test_bad_data_are_refused_as_without_gradients(self, square):
        speed = torch.tensor(-1.0, dtype=F64, requires_grad=True)
        with pytest.raises(fs.InputError, match="speed must be positive"):
            Helmholtz(square, frequency=1.0, speed=speed).solve()
        loss = torch.tensor(-1.0, dtype=F64, requires_grad=True)
        with pytest.raises(fs.InputError, match="loss must not be negative"):
            Helmholtz(square, frequency=1.0, loss=loss).solve()


class TestWave:
    times = fs.Times(0.0, 0.1, 4)

    @staticmethod
    def parts(wave):
        states = wave.states()
        return states.displacement.coefficients, states.velocity.coefficients, states.energy

    @pytest.mark.parametrize(("element", "beta"), [("P1", 0.25), ("P2", 0.4)])
    def test_all_data_of_a_batch(self, square, element, beta):
        V = fs.FunctionSpace(square, element)
        data = [random(2, V.n_dofs, seed=i, low=0.5) for i in range(7)]

        def solve(*values):
            c, k, d, f, u0, v0, g = (fs.Function(V, value) for value in values)
            wave = Wave(
                square, self.times, element, speed=c, coefficient=k, damping=d, source=f, initial=u0,
                initial_velocity=v0, dirichlet={"left": g}, absorbing=["top"], beta=beta,
            )  # fmt: skip
            return self.parts(wave)

        plain = solve(*(values.detach() for values in data))
        torch.testing.assert_close(solve(*data), plain, rtol=1e-11, atol=1e-11)
        assert gradcheck(solve, data, fast_mode=True)
        assert gradgradcheck(lambda *d: solve(*d)[0], data, fast_mode=True)

    @pytest.mark.parametrize(("beta", "lumped"), [(0.25, True), (0.0, True), (0.1, False)])
    def test_numbers_and_data_in_time(self, square, beta, lumped):
        """Also steps of two lengths, and boundary values that move."""
        scalars = [torch.tensor(value, dtype=F64, requires_grad=True) for value in (0.7, 0.4, 0.9, 1.3)]

        def solve(c, flux, rate, edge):
            wave = Wave(
                square, fs.Times.at([0.0, 0.05, 0.1, 0.2]), speed=c, source=lambda x, t: rate * t * x[:, 0], beta=beta,
                neumann={"top": flux}, dirichlet={"left": lambda x, t: edge * t**2 * x[:, 1]}, step=0.07, lumped=lumped,
            )  # fmt: skip
            return self.parts(wave)

        plain = solve(*(value.detach() for value in scalars))
        torch.testing.assert_close(solve(*scalars), plain, rtol=1e-11, atol=1e-11)
        assert gradcheck(solve, scalars)

    def test_displacements_alone_are_those_of_the_states(self, square):
        V = fs.FunctionSpace(square)
        u0 = random(3, V.n_dofs)
        wave = Wave(square, self.times, initial=fs.Function(V, u0), workers=2)
        found = wave.solve().coefficients
        assert found.requires_grad and torch.equal(found, wave.states().displacement.coefficients)

    def test_waves_run_backwards(self, square):
        """The scheme is its own adjoint: from u_n to u_m in M the map is symmetric, with no velocity at the start."""
        V = fs.FunctionSpace(square)
        mass = torch.from_numpy(V.mass.matrix.toarray())

        def at_the_end(u0):
            wave = Wave(square, self.times, initial=fs.Function(V, u0), speed=1.5, dirichlet={})
            return wave.solve().coefficients[-1]

        jacobian = torch.autograd.functional.jacobian(at_the_end, random(V.n_dofs).detach())
        weighted = mass @ jacobian
        torch.testing.assert_close(weighted, weighted.T, rtol=1e-11, atol=1e-14)

    def test_energy_does_not_depend_on_the_instant(self, square):
        """The energy is kept, and so are its derivatives."""
        V = fs.FunctionSpace(square)
        u0, c = random(V.n_dofs), random(V.n_dofs, seed=1, low=0.8)
        wave = Wave(square, self.times, initial=fs.Function(V, u0), speed=fs.Function(V, c), dirichlet={})
        energy = wave.states().energy
        assert float((energy / energy[0] - 1.0).detach().abs().max()) <= 1e-10
        for value in energy[1:]:
            for found in torch.autograd.grad(value - energy[0], (u0, c), retain_graph=True):
                assert found.abs().max() <= 1e-11

    def test_several_calls_before_backward(self, square):
        V = fs.FunctionSpace(square)
        c = random(V.n_dofs, low=0.8)

        def loss(source):
            return Wave(square, self.times, speed=fs.Function(V, c), source=source).solve().coefficients.square().sum()

        apart = [torch.autograd.grad(loss(source), c)[0] for source in (1.0, 2.0)]
        first, second = loss(1.0), loss(2.0)
        (together,) = torch.autograd.grad(first + second, c)
        torch.testing.assert_close(together, apart[0] + apart[1], rtol=1e-11, atol=1e-16)

    def test_a_step_too_long_is_refused_as_without_gradients(self, square):
        speed = torch.tensor(1.0, dtype=F64, requires_grad=True)
        with pytest.raises(fs.InputError, match=r"steps up to .* are stable"):
            Wave(square, fs.Times(0.0, 0.5, 3), speed=speed, beta=0.0, lumped=True).solve()
