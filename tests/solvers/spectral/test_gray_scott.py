import math
from itertools import pairwise

import pytest
import torch

from funcspace.errors import InputError
from funcspace.solvers.spectral import GrayScott, Numerics, RandomDrops

pytestmark = pytest.mark.usefixtures("unchecked")


def test_without_reaction_the_components_diffuse() -> None:
    """v = 0 stays 0, and u relaxes to 1 by exp(-(F + D k^2) t)."""
    problem = GrayScott((0.03, 0.06), resolution=16, length=0.2)
    k = 2 * math.pi / 0.2

    def start(x: torch.Tensor) -> torch.Tensor:
        return torch.stack([1.0 + 0.1 * torch.cos(k * x[:, 0]), 0.0 * x[:, 0]], dim=1)

    state = problem.solve(start, 10.0).coefficients
    wave = torch.cos(k * problem.domain.points[:, 0])
    exact = 1.0 + 0.1 * math.exp(-10.0 * (0.03 + 2e-5 * k**2)) * wave
    torch.testing.assert_close(state[:, 0], exact, rtol=0, atol=1e-12)
    assert float(state[:, 1].abs().max()) == 0.0


def test_steady_state_of_the_reaction() -> None:
    """u v = F + k and F (1 - u) = u v^2 hold at the fixed points, which the scheme keeps."""
    feed, kill = 0.04, 0.05
    root = math.sqrt(1 - 4 * (feed + kill) ** 2 / feed)
    u = 0.5 * (1 - root)
    v = feed / (feed + kill) * (1 - u)
    problem = GrayScott((feed, kill), resolution=8)
    start = torch.tensor([u, v], dtype=torch.float64).expand(8, 8, 2)
    after = problem.solve(start, 20.0)
    torch.testing.assert_close(after.values, start.contiguous(), rtol=0, atol=1e-8)


def test_total_mass_budget() -> None:
    """d<u + v>/dt = F (1 - <u>) - (F + k) <v>: the reaction moves mass, it makes none."""
    problem = GrayScott("maze", resolution=32, length=0.4, numerics=Numerics(step=0.25))
    from funcspace.geometry import Times

    step = 0.5
    states = problem.solve(problem.initial_fields(1, seed=0), Times(50.0, step, 5)).values.mean(dim=(-3, -2))[0]
    total = states.sum(dim=-1)
    change = (total[0] - 8 * total[1] + 8 * total[3] - total[4]) / (12 * step)
    u, v = states[2]
    torch.testing.assert_close(change, 0.029 * (1 - u) - (0.029 + 0.057) * v, rtol=1e-6, atol=1e-10)


def test_the_order_in_time_is_four() -> None:
    def solved(step: float) -> torch.Tensor:
        problem = GrayScott("spots", resolution=32, length=0.4, numerics=Numerics(step=step))
        return problem.solve(problem.initial.sample(1, seed=0), 20.0).values

    best = solved(0.0625)
    errors = [float((solved(step) - best).norm()) for step in (2.0, 1.0, 0.5)]
    rates = [math.log2(a / b) for a, b in pairwise(errors)]
    assert all(3.5 < r < 4.6 for r in rates), (errors, rates)


def test_drops_depend_on_seed_and_number_alone() -> None:
    problem = GrayScott(resolution=32)
    law = problem.initial
    five, two = law.sample(5, seed=3), law.sample(2, seed=3, first=2)
    assert torch.equal(five.coefficients[2:4], two.coefficients)
    assert not torch.equal(five.coefficients[0], five.coefficients[1])
    u, v = five.values.unbind(-1)
    torch.testing.assert_close(u + 2 * v, torch.ones_like(u))


def test_bad_input() -> None:
    with pytest.raises(InputError, match="no pattern 'stripes'"):
        GrayScott("stripes")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="kill rate k must be a finite number"):
        GrayScott((0.03, float("nan")))
    with pytest.raises(InputError, match="drops are the least"):
        RandomDrops(GrayScott(resolution=8).domain, drops=(3, 2))
