import math
from itertools import pairwise

import pytest
import torch

import funcspace as fs
from funcspace.errors import InputError
from funcspace.solvers.spectral import AllenCahn, CahnHilliard, Numerics

pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_allen_cahn_of_constants(dim: int) -> None:
    """u' = u - u^3 has u = u0 / sqrt(u0^2 + (1 - u0^2) exp(-2t))."""
    problem = AllenCahn(0.1, resolution=8, dim=dim, numerics=Numerics(step=0.02))
    u = problem.solve(torch.full((8,) * dim, 0.2), 2.0)
    exact = 0.2 / math.sqrt(0.04 + 0.96 * math.exp(-4.0))
    torch.testing.assert_close(u.values, torch.full((8,) * dim, exact, dtype=torch.float64), rtol=0, atol=5e-8)


def test_a_front_at_rest_stays() -> None:
    """Two fronts tanh(x / (sqrt(2) epsilon)) far apart attract each other by an exponentially small force."""
    epsilon = 0.02
    problem = AllenCahn(epsilon, resolution=512, dim=1)

    def fronts(x: torch.Tensor) -> torch.Tensor:
        s = math.sqrt(2.0) * epsilon
        return torch.tanh((x[:, 0] - 0.25) / s) - torch.tanh((x[:, 0] - 0.75) / s) - 1.0

    u = problem.solve(fronts, 5.0)
    torch.testing.assert_close(u.coefficients, fronts(problem.domain.points), rtol=0, atol=2e-6)


def test_a_disc_shrinks_by_its_curvature() -> None:
    """d(R^2)/dt = -2 epsilon^2 for a thin front."""
    epsilon, radius = 0.02, 0.3
    problem = AllenCahn(epsilon, resolution=96)

    def disc(x: torch.Tensor) -> torch.Tensor:
        away = (x - 0.5).norm(dim=1)
        return torch.tanh((radius - away) / (math.sqrt(2.0) * epsilon))

    u = problem.solve(disc, fs.Times(10.0, 40.0, 2))
    area = (u.values > 0).double().mean(dim=(-2, -1))
    measured = float(area[0] - area[1]) / math.pi / 40.0
    assert measured == pytest.approx(2 * epsilon**2, rel=0.05)


@pytest.mark.parametrize("kind", [AllenCahn, CahnHilliard])
def test_energy_never_grows(kind: type) -> None:
    problem = kind(0.06, resolution=24)
    duration = 5.0 if kind is AllenCahn else 0.06
    u = problem.solve(problem.initial_fields(2, seed=0), fs.Times(duration / 20, duration / 20, 20))
    energy = problem.energy(u)
    assert bool((energy.diff(dim=1) <= 0).all())
    assert bool((energy[:, -1] < 0.95 * energy[:, 0]).all())


def test_cahn_hilliard_keeps_the_mean() -> None:
    problem = CahnHilliard(0.05, resolution=32, mean=0.2)
    u = problem.solve(problem.initial_fields(2, seed=0), fs.Times(0.0, 0.02, 4))
    means = u.values.mean(dim=(-2, -1))
    torch.testing.assert_close(means, torch.full_like(means, 0.2), rtol=0, atol=1e-13)


def test_cahn_hilliard_separates_at_the_linear_rate() -> None:
    """Small waves grow by k^2 (1 - epsilon^2 k^2)."""
    epsilon = 0.04
    problem = CahnHilliard(epsilon, resolution=32, dim=1)
    k = 2 * math.pi * 3
    u = problem.solve(lambda x: 1e-7 * torch.cos(k * x[:, 0]), 0.005)
    rate = math.log(float(u.values.max()) / 1e-7) / 0.005
    assert rate == pytest.approx(k**2 * (1 - (epsilon * k) ** 2), rel=1e-5)


def test_the_order_in_time_is_four() -> None:
    def solved(steps: int) -> torch.Tensor:
        problem = CahnHilliard(0.1, resolution=24, dim=1, numerics=Numerics(step=0.005 / steps))
        return problem.solve(lambda x: 0.3 + 0.5 * torch.cos(2 * math.pi * x[:, 0]), 0.005).values

    best = solved(800)
    errors = [float((solved(n) - best).norm()) for n in (100, 200)]
    rates = [math.log2(a / b) for a, b in pairwise(errors)]
    assert all(3.5 < r < 4.6 for r in rates), (errors, rates)


def test_energy_of_known_fields() -> None:
    problem = AllenCahn(0.3, resolution=(16, 8), length=(2.0, 1.0))
    u = problem.space.interpolate(lambda x: torch.cos(math.pi * x[:, 0]))
    # int (1 - c^2)^2 / 4 = 2 * 3/32, int |grad|^2 = 2 * pi^2 / 2
    assert float(problem.energy(u)) == pytest.approx(2 * 3 / 32 + 0.045 * math.pi**2, rel=1e-12)


def test_bad_width() -> None:
    with pytest.raises(InputError, match="width must be a finite number"):
        AllenCahn(0.0)
