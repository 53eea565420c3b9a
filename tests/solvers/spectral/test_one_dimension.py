import math
from itertools import pairwise

import pytest
import torch

import funcspace as fs
from funcspace.errors import InputError
from funcspace.solvers.spectral import Burgers, KortewegDeVries, KuramotoSivashinsky, Numerics

pytestmark = pytest.mark.usefixtures("unchecked")


def test_burgers_against_cole_and_hopf() -> None:
    """u = -2 nu theta_x / theta, where theta = 1 + a exp(-nu k^2 t) cos k x solves the heat equation."""
    nu, k = 0.02, 2 * math.pi

    def exact(x: torch.Tensor, t: float) -> torch.Tensor:
        a = 0.9 * math.exp(-nu * k**2 * t)
        return 2 * nu * k * a * torch.sin(k * x) / (1 + a * torch.cos(k * x))

    problem = Burgers(nu, resolution=192, numerics=Numerics(tolerance=1e-9))
    x = problem.domain.points[:, 0]
    u = problem.solve(lambda points: exact(points[:, 0], 0.0), fs.Times(0.5, 0.5, 3))
    for row, t in zip(u.coefficients, (0.5, 1.0, 1.5), strict=True):
        torch.testing.assert_close(row, exact(x, t), rtol=0, atol=1e-8)


def test_burgers_energy_budget_and_mean() -> None:
    """The mean is kept, and d<u^2/2>/dt = -nu <u_x^2>."""
    problem = Burgers(0.05, resolution=128, numerics=Numerics(step=1e-3))
    u = problem.solve(problem.initial_fields(2, seed=0), fs.Times(0.1, 0.01, 5)).values
    torch.testing.assert_close(u.mean(dim=-1), u[:, :1].mean(dim=-1).expand(2, 5), rtol=0, atol=1e-14)
    energy = 0.5 * u.square().mean(dim=-1)
    change = (energy[:, 0] - 8 * energy[:, 1] + 8 * energy[:, 3] - energy[:, 4]) / 0.12
    k = 2 * math.pi * torch.arange(65, dtype=torch.float64)
    slope = torch.fft.irfft(1j * k * torch.fft.rfft(u[:, 2]), n=128)
    torch.testing.assert_close(change, -0.05 * slope.square().mean(dim=-1), rtol=2e-4, atol=1e-7)


def test_solitons_travel_unchanged() -> None:
    sea = KortewegDeVries(resolution=256, length=40.0, numerics=Numerics(step=1e-3))
    x = sea.domain.points[:, 0]
    u = sea.solve(lambda points: sea.soliton(points[:, 0] - 10.0, speed=4.0), 3.0)
    torch.testing.assert_close(u.coefficients, sea.soliton(x - 22.0, speed=4.0), rtol=0, atol=1e-7)


def test_solitons_pass_through_each_other() -> None:
    """The fast soliton ends ahead by 2/k1 ln((k1 + k2)/(k1 - k2)), the slow one behind by 2/k2 of it, k = sqrt(s)/2."""
    sea = KortewegDeVries(resolution=256, length=60.0)
    u = sea.solve(lambda points: sea.soliton(points[:, 0] - 10.0, 4.0) + sea.soliton(points[:, 0] - 22.0, 1.0), 10.0)
    x = sea.domain.points[:, 0]
    shift = math.log((1.0 + 0.5) / (1.0 - 0.5))
    fast, slow = 10.0 + 40.0 + shift / 1.0, 22.0 + 10.0 - shift / 0.5
    expected = sea.soliton(x - fast, 4.0) + sea.soliton(x - slow, 1.0)
    torch.testing.assert_close(u.coefficients, expected, rtol=0, atol=2e-3)


def test_invariants_of_korteweg_and_de_vries() -> None:
    sea = KortewegDeVries(resolution=128, length=30.0, numerics=Numerics(step=5e-4))
    # From a state of the cut-off equation, for which the three integrals are exact invariants.
    start = sea.solve(sea.initial_fields(2, seed=0), 1e-3)
    u = sea.solve(start, fs.Times(0.0, 0.5, 3))
    invariants = sea.invariants(u)
    scale = invariants[:, :1, 1:2]
    assert float(((invariants - invariants[:, :1]) / scale).abs().max()) < 1e-7


def test_the_scheme_is_of_fourth_order_for_dispersive_waves() -> None:
    def solved(step: float) -> torch.Tensor:
        sea = KortewegDeVries(resolution=96, length=30.0, numerics=Numerics(step=step))
        return sea.solve(lambda points: sea.soliton(points[:, 0] - 10.0, speed=1.0), 1.0).coefficients

    best = solved(1 / 3200)
    errors = [float((solved(1 / n) - best).norm()) for n in (100, 200, 400)]
    rates = [math.log2(a / b) for a, b in pairwise(errors)]
    assert all(3.6 < r < 4.5 for r in rates), (errors, rates)


def test_kuramoto_sivashinsky_energy_budget() -> None:
    """d<u^2/2>/dt = <u_x^2> - <u_xx^2>; the mean stays zero."""
    chaos = KuramotoSivashinsky(spin_up=50.0, numerics=Numerics(step=0.02))
    step = 0.05
    u = chaos.solve(chaos.initial_fields(3, seed=0), fs.Times(step, step, 5)).values
    energy = 0.5 * u.square().mean(dim=-1)
    change = (energy[:, 0] - 8 * energy[:, 1] + 8 * energy[:, 3] - energy[:, 4]) / (12 * step)
    k = 2 * math.pi / 22.0 * torch.arange(33, dtype=torch.float64)
    power = (
        torch.fft.rfft(u[:, 2]).abs().square() / 64**2 * torch.cat([torch.ones(1), 2 * torch.ones(31), torch.ones(1)])
    )
    torch.testing.assert_close(change, ((k**2 - k**4) * power).sum(dim=-1), rtol=1e-4, atol=1e-6)
    assert float(u.mean(dim=-1).abs().max()) < 1e-12


def test_the_growth_of_small_waves_is_the_dispersion_relation() -> None:
    chaos = KuramotoSivashinsky(length=22.0, resolution=64)
    k = 2 * math.pi * 2 / 22.0
    u = chaos.solve(lambda x: 1e-9 * torch.cos(k * x[:, 0]), 3.0)
    grown = float(u.values.max()) / 1e-9
    assert grown == pytest.approx(math.exp(3.0 * (k**2 - k**4)), rel=1e-7)


def test_bad_input() -> None:
    with pytest.raises(InputError, match="resolution must be one whole number"):
        Burgers(resolution=2)
    with pytest.raises(InputError, match="length must be one positive number"):
        KuramotoSivashinsky(length=-1.0)
    with pytest.raises(InputError, match="moves towards the sign"):
        KortewegDeVries().soliton(torch.zeros(1), speed=-1.0)
    with pytest.raises(InputError, match="the initial fields live on"):
        Burgers(resolution=64, initial=Burgers(resolution=32).initial)
