"""Elastic solves as torch operations: derivatives against differences, and a known one."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import funcspace as fs
from funcspace.solvers import LinearElasticity

F64 = torch.float64


def random(*shape, seed=0, low=0.0):
    generator = torch.Generator().manual_seed(seed)
    return (low + torch.rand(shape, generator=generator, dtype=F64)).requires_grad_()


@pytest.fixture(scope="module")
def plate():
    return fs.Mesh.rectangle(0.5, 2.0, 1.0)


@pytest.mark.parametrize(("element", "plane"), [("P1", "strain"), ("P2", "stress")])
def test_moduli_loads_and_supports(plate, element, plane):
    scalar = fs.FunctionSpace(plate, element)
    vector = fs.FunctionSpace(plate, element, components=("ux", "uy"))
    young, force = random(2, scalar.n_dofs, low=0.5), random(2, vector.n_dofs, 2, seed=1)
    ratio, traction, held = random(seed=2) * 0.3, random(2, seed=3), random(seed=4)

    def solve(young, ratio, force, traction, held):
        problem = LinearElasticity(
            plate, element, young=fs.Function(scalar, young), poisson=ratio, plane=plane,
            body_force=fs.Function(vector, force), traction={"right": traction},
            displacement={"left": {"ux": held, "uy": 0.0}, "bottom": {"uy": 0.0}},
        )  # fmt: skip
        return problem.solve().coefficients

    data = (young, ratio.detach().requires_grad_(), force, traction, held)
    assert gradcheck(solve, data, fast_mode=True)
    assert gradgradcheck(solve, data, fast_mode=True)
    plain = solve(*(d.detach() for d in data))
    torch.testing.assert_close(solve(*data).detach(), plain, rtol=1e-10, atol=1e-12)


def test_lame_parameters_pressure_and_three_dimensions():
    box = fs.Mesh.box(0.5)
    scalar = fs.FunctionSpace(box, "P1")
    lame_lambda, lame_mu, pressure = random(scalar.n_dofs, low=0.5), random(low=1.0, seed=1), random(seed=2)

    def solve(lame_lambda, lame_mu, pressure):
        names = sorted(name for name in box.boundary if name != "boundary")
        problem = LinearElasticity(
            box, "P1", lame_lambda=fs.Function(scalar, lame_lambda), lame_mu=lame_mu,
            displacement={names[0]: 0.0}, pressure={names[1]: pressure},
        )  # fmt: skip
        return problem.solve().coefficients

    assert gradcheck(solve, (lame_lambda, lame_mu, pressure), fast_mode=True)


def test_stiffness_of_a_bar_is_known(plate):
    # u_x(L) = t L / E under tension: du/dE = -t L / E^2 and du/dt = L / E
    young = torch.tensor(4.0, dtype=F64, requires_grad=True)
    traction = torch.tensor([3.0, 0.0], dtype=F64, requires_grad=True)
    bar = LinearElasticity(
        plate, "P1", young=young, poisson=0.3, plane="stress", traction={"right": traction},
        displacement={"left": {"ux": 0.0}, "bottom": {"uy": 0.0}},
    )  # fmt: skip
    tip = bar.solve()(torch.tensor([[2.0, 0.5]], dtype=F64))[0, 0]
    of_young, of_traction = torch.autograd.grad(tip, (young, traction))
    assert of_young.item() == pytest.approx(-3.0 * 2.0 / 16.0, rel=1e-10)
    assert of_traction[0].item() == pytest.approx(2.0 / 4.0, rel=1e-10)


def test_bad_moduli_are_refused_as_ever(plate):
    young = torch.tensor(-1.0, dtype=F64, requires_grad=True)
    with pytest.raises(fs.InputError, match="young must be positive"):
        LinearElasticity(plate, "P1", young=young, poisson=0.3, displacement={"left": 0.0}).solve()
