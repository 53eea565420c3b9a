import math
from itertools import pairwise

import pytest
import torch

import funcspace as fs
from funcspace.errors import InputError
from funcspace.solvers.spectral import HeightField, Numerics, ShallowWater

TWO_PI = 2 * math.pi

pytestmark = pytest.mark.usefixtures("unchecked")


def test_small_waves_have_the_dispersion_of_poincare() -> None:
    """omega^2 = f^2 + g H k^2 for waves of small amplitude."""
    gravity, depth, coriolis, k = 2.0, 0.5, 3.0, TWO_PI
    omega = math.sqrt(coriolis**2 + gravity * depth * k**2)
    problem = ShallowWater(0.0, resolution=16, gravity=gravity, coriolis=coriolis)

    def wave(x: torch.Tensor, t: float) -> torch.Tensor:
        phase = k * x[:, 0] - omega * t
        h = depth * (1 + 1e-7 * torch.cos(phase))
        u = 1e-7 * omega / k * torch.cos(phase)
        v = 1e-7 * coriolis / k * torch.sin(phase)
        return torch.stack([u, v, h], dim=1)

    state = problem.solve(lambda x: wave(x, 0.0), 1.0)
    exact = wave(problem.domain.points, 1.0)
    torch.testing.assert_close(state.coefficients, exact, rtol=0, atol=5e-12)


def test_geostrophic_flow_is_steady() -> None:
    """A zonal jet u(y) with g dh/dy = -f u has no acceleration."""
    gravity, coriolis = 1.0, 5.0
    problem = ShallowWater(0.0, resolution=32, gravity=gravity, coriolis=coriolis)

    def jet(x: torch.Tensor) -> torch.Tensor:
        y = TWO_PI * x[:, 1]
        h = 1.0 + 0.1 * torch.cos(y)
        return torch.stack([gravity / coriolis * 0.1 * TWO_PI * torch.sin(y), 0 * y, h], dim=1)

    state = problem.solve(jet, 1.0)
    torch.testing.assert_close(state.coefficients, jet(problem.domain.points), rtol=0, atol=1e-9)


def test_invariants_without_viscosity() -> None:
    problem = ShallowWater(0.0, resolution=48, coriolis=1.0, numerics=Numerics(step=1 / 512))

    def start(x: torch.Tensor) -> torch.Tensor:
        a, b = TWO_PI * x.T
        return torch.stack([0.05 * torch.sin(b), 0.05 * torch.cos(a), 1.0 + 0.02 * torch.cos(a + b)], dim=1)

    state = problem.solve(start, fs.Times(0.0, 0.25, 3))
    for quantity, tolerance in (
        (problem.mass(state), 1e-14),
        (problem.energy(state), 1e-9),
        (problem.potential_enstrophy(state), 1e-8),
    ):
        torch.testing.assert_close(quantity, quantity[:1].expand(3), rtol=tolerance, atol=0)


def test_the_two_axes_are_alike() -> None:
    """A reflection in the diagonal maps solutions to solutions, without rotation."""
    problem = ShallowWater(1e-3, resolution=16, numerics=Numerics(step=1 / 64))
    start = problem.initial_fields(1, seed=0).values[0]
    mirrored = start.transpose(0, 1)[..., [1, 0, 2]]
    after, other = problem.solve(start, 0.5).values, problem.solve(mirrored, 0.5).values
    torch.testing.assert_close(other, after.transpose(0, 1)[..., [1, 0, 2]], rtol=0, atol=1e-13)


def test_the_order_in_time_is_four() -> None:
    def solved(n: int) -> torch.Tensor:
        problem = ShallowWater(1e-3, resolution=16, numerics=Numerics(step=0.5 / n))
        return problem.solve(problem.initial.sample(1, seed=0), 0.5).values

    best = solved(800)
    errors = [float((solved(n) - best).norm()) for n in (25, 50, 100)]
    rates = [math.log2(a / b) for a, b in pairwise(errors)]
    assert all(3.6 < r < 4.5 for r in rates), (errors, rates)


def test_initial_states_are_still_and_wet() -> None:
    problem = ShallowWater(resolution=32, depth=2.0)
    state = problem.initial.sample(50, seed=0)
    assert float(state.values[..., :2].abs().max()) == 0.0
    heights = state.values[..., 2] / 2.0
    assert float(heights.mean()) == pytest.approx(1.0, abs=1e-12)
    assert 0.08 < float(heights.std()) < 0.11
    shallow = HeightField(problem.domain, amplitude=5.0).sample(2, seed=0)
    assert float(shallow.values[..., 2].min()) == pytest.approx(0.1)


def test_dry_ground_is_refused() -> None:
    problem = ShallowWater(resolution=8)
    start = torch.ones(2, 8, 8, 3)
    start[1, 2, 3, 2] = 0.0
    with pytest.raises(InputError, match="depth h must be positive; sample 1 has 0"):
        problem.solve(start, 1.0)
