import math
from itertools import pairwise

import pytest
import torch

import funcspace as fs
from funcspace.errors import InputError
from funcspace.solvers.spectral import KolmogorovFlow, Numerics, TorusNavierStokes

TWO_PI = 2 * math.pi

pytestmark = pytest.mark.usefixtures("unchecked")


def taylor_green(x: torch.Tensor) -> torch.Tensor:
    return 2 * torch.cos(2 * x[:, 0]) * torch.cos(x[:, 1])


def eddies(x: torch.Tensor) -> torch.Tensor:
    """Smooth vorticity with an infinite spectrum, mean zero on the torus of side 2 pi."""
    a, b = x.T
    return torch.sin(a) * torch.exp(torch.cos(b)) + torch.sin(2 * b) * torch.exp(torch.sin(a + b)) * torch.cos(a + b)


def zero_mean(values: torch.Tensor) -> torch.Tensor:
    return values - values.mean()


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).norm() / b.norm())


def test_taylor_green_vortices_decay_exactly() -> None:
    flow = TorusNavierStokes(0.05, resolution=(16, 12), length=TWO_PI, drag=0.1)
    times = fs.Times(0.0, 0.5, 5)
    w = flow.solve(taylor_green, times)
    decay = torch.exp(-(5 * 0.05 + 0.1) * times.instants)
    exact = decay[:, None] * taylor_green(flow.domain.points)
    torch.testing.assert_close(w.coefficients, exact, rtol=0, atol=1e-13)


def test_a_moving_vortex_pattern_is_advected_exactly() -> None:
    """w = f(x - U t) + 2 a sin(a y) like: in a frame moving with a mean flow the equation is the same; here the mean
    flow is zero, and a sum of waves of equal |k| is a steady solution of the Euler equations."""
    flow = TorusNavierStokes(0.0, resolution=24, length=TWO_PI)

    def steady(x: torch.Tensor) -> torch.Tensor:
        a, b = x.T
        return torch.cos(3 * a + 4 * b) + 0.5 * torch.sin(4 * a - 3 * b) + torch.cos(5 * a)

    w = flow.solve(steady, 1.0)
    torch.testing.assert_close(w.coefficients, steady(flow.domain.points), rtol=0, atol=1e-11)


def test_errors_in_space_fall_faster_than_any_power() -> None:
    def solved(n: int) -> torch.Tensor:
        flow = TorusNavierStokes(0.02, resolution=n, length=TWO_PI, numerics=Numerics(step=1 / 32))
        w = flow.solve(zero_mean(eddies(flow.domain.points)).reshape(n, n), 0.5)
        return w.values[:: n // 16, :: n // 16]

    best = solved(96)
    errors = [relative(solved(n), best) for n in (16, 32, 48)]
    # Exponential decay: half as many points more divide the error by as much as a doubling did before.
    assert errors[1] < errors[0] / 40
    assert errors[2] < errors[1] / 40
    assert errors[2] < 1e-5


def test_the_order_in_time_is_four() -> None:
    def solved(step: float) -> torch.Tensor:
        flow = TorusNavierStokes(0.01, resolution=32, length=TWO_PI, numerics=Numerics(step=step))
        return flow.solve(zero_mean(eddies(flow.domain.points)).reshape(32, 32), 1.0).values

    best = solved(1 / 256)
    errors = [relative(solved(1 / n), best) for n in (16, 32, 64)]
    rates = [math.log2(a / b) for a, b in pairwise(errors)]
    assert all(3.7 < r < 4.4 for r in rates), (errors, rates)


def test_steps_chosen_by_the_solution_are_accurate() -> None:
    flow = TorusNavierStokes(recipe="fno-1e-4", resolution=32, horizon=3.0)
    data = flow.sample(3, seed=2)
    fine = TorusNavierStokes(recipe="fno-1e-4", resolution=32, numerics=Numerics(step=1 / 256))
    exact = fine.solve(data.inputs["w0"], 3.0)
    assert relative(data.outputs["w"].values, exact.values) < 2e-5


def test_energy_and_enstrophy_of_an_inviscid_flow_are_kept() -> None:
    flow = TorusNavierStokes(0.0, resolution=32, length=TWO_PI, numerics=Numerics(step=1 / 64))
    w = flow.solve(zero_mean(eddies(flow.domain.points)).reshape(32, 32), fs.Times(0.25, 0.25, 4))
    for quantity in (flow.energy(w), flow.enstrophy(w)):
        torch.testing.assert_close(quantity, quantity[:1].expand(4), rtol=1e-7, atol=0)


def test_budget_of_forced_flow() -> None:
    """dE/dt = input - dissipation, dE/dt by a difference of fourth order over the stored instants."""
    flow = KolmogorovFlow(40.0, resolution=32, drag=0.05, spin_up=2.0, numerics=Numerics(step=1 / 64))
    step = 1 / 32
    start = flow.initial_fields(2, seed=0)
    w = flow.solve(start, fs.Times(step, step, 5))
    energy = flow.energy(w)
    change = (energy[:, 0] - 8 * energy[:, 1] + 8 * energy[:, 3] - energy[:, 4]) / (12 * step)
    balance = flow.input(w)[:, 2] - flow.dissipation(w)[:, 2]
    torch.testing.assert_close(change, balance, rtol=1e-4, atol=1e-5)


def test_enstrophy_budget_of_forced_flow() -> None:
    """d<w^2/2>/dt = <w f> - nu <|grad w|^2>."""
    flow = TorusNavierStokes(recipe="fno-1e-3", resolution=32, numerics=Numerics(step=1 / 64))
    step = 1 / 16
    w = flow.solve(flow.initial_fields(2, seed=1), fs.Times(1.0, step, 5))
    z = flow.enstrophy(w)
    change = (z[:, 0] - 8 * z[:, 1] + 8 * z[:, 3] - z[:, 4]) / (12 * step)
    phase = TWO_PI * (flow.domain.points[:, 0] + flow.domain.points[:, 1])
    force = 0.1 * (torch.sin(phase) + torch.cos(phase))
    now = w.coefficients[:, 2]
    spectrum = torch.fft.fft2(now.reshape(2, 32, 32)) / 1024
    k = TWO_PI * torch.fft.fftfreq(32, 1 / 32, dtype=torch.float64)
    palinstrophy = ((k[:, None] ** 2 + k**2) * spectrum.abs() ** 2).sum(dim=(-2, -1))
    balance = (now * force).mean(dim=1) - 1e-3 * palinstrophy
    torch.testing.assert_close(change, balance, rtol=1e-5, atol=1e-6)


def test_velocity_is_solenoidal_and_has_the_vorticity() -> None:
    flow = TorusNavierStokes(resolution=(24, 16), length=(2.0, 1.0))
    w = flow.initial_fields(2, seed=0)
    u = flow.velocity(w).values
    kx = math.pi * torch.fft.fftfreq(24, 1 / 24, dtype=torch.float64)[:, None]
    ky = TWO_PI * torch.fft.fftfreq(16, 1 / 16, dtype=torch.float64)[None]
    u_hat, v_hat, w_hat = torch.fft.fft2(u[..., 0]), torch.fft.fft2(u[..., 1]), torch.fft.fft2(w.values)
    inner = torch.ones(24, 16, dtype=torch.bool)
    inner[12], inner[:, 8] = False, False
    assert float((kx * u_hat + ky * v_hat)[:, inner].abs().max()) < 1e-10
    torch.testing.assert_close((1j * kx * v_hat - 1j * ky * u_hat)[:, inner], w_hat[:, inner], rtol=0, atol=1e-10)


def test_laminar_kolmogorov_flow_is_steady_and_attracts_at_small_reynolds_number() -> None:
    flow = KolmogorovFlow(2.0, resolution=16, wavenumber=2)
    laminar = -(2.0 / 2.0) * torch.cos(2 * flow.domain.points[:, 1])
    w = flow.solve(flow.initial_fields(1, seed=0), 60.0)
    torch.testing.assert_close(w.coefficients[0], laminar, rtol=0, atol=1e-6)


def test_the_force_follows_the_grid() -> None:
    """On a torus of side 1 in a shifted frame, the same flow in other units: t = s/(2 pi), w = 2 pi times as fast."""
    grid = fs.Grid(x=(0.3, 0.3 + TWO_PI, 16), y=(-1.0, -1.0 + TWO_PI, 16), periodic=("x", "y"))
    shifted, plain = KolmogorovFlow(10.0, domain=grid), KolmogorovFlow(10.0, resolution=16)
    start = plain.initial_fields(1, seed=3).values
    torch.testing.assert_close(shifted.solve(start, 0.5).values, plain.solve(start, 0.5).values, rtol=0, atol=1e-12)


def test_recipe_draws_the_published_law() -> None:
    flow = TorusNavierStokes(recipe="fno-1e-5", resolution=64)
    w = flow.initial.sample(400, seed=0).values
    power = torch.fft.fft2(w).abs().square().mean(dim=0) / 64**4
    k = torch.fft.fftfreq(64, 1 / 64, dtype=torch.float64)
    square = (TWO_PI) ** 2 * (k[:, None] ** 2 + k**2)
    expected = 7.0**3 * (square + 49.0) ** -2.5
    shells = (square > 0) & (square < (TWO_PI * 10) ** 2)
    ratio = (power / expected)[shells]
    assert abs(float(ratio.mean()) - 1) < 0.02
    assert float(w.mean().abs()) < 1e-15
    assert isinstance(flow.horizon, fs.Times)
    assert (flow.viscosity, flow.horizon.count) == (1e-5, 20)


def test_refinement_keeps_the_short_waves_of_the_data() -> None:
    """On a grid refined twice no mode of the data is cut off: for linear decay (one wave) the result is exact."""
    flow = TorusNavierStokes(0.01, resolution=16, length=TWO_PI, numerics=Numerics(refinement=2))
    w = flow.solve(lambda x: torch.cos(7 * x[:, 0]), 1.0)
    exact = math.exp(-0.49) * torch.cos(7 * flow.domain.points[:, 0])
    torch.testing.assert_close(w.coefficients, exact, rtol=0, atol=1e-12)
    coarse = TorusNavierStokes(0.01, resolution=16, length=TWO_PI).solve(lambda x: torch.cos(7 * x[:, 0]), 1.0)
    assert float(coarse.norm("max")) < 1e-12


def test_forcing_as_array_function_and_callable_is_the_same() -> None:
    def force(x: torch.Tensor) -> torch.Tensor:
        return torch.sin(TWO_PI * x[:, 0])

    plain = TorusNavierStokes(1e-2, resolution=16, forcing=force)
    start = plain.initial_fields(1, seed=0)
    expected = plain.solve(start, 1.0).values
    values = force(plain.domain.points)
    for given in (values.reshape(16, 16), values.reshape(16, 16).numpy(), fs.Function(plain.space, values)):
        other = TorusNavierStokes(1e-2, resolution=16, forcing=given)
        torch.testing.assert_close(other.solve(start, 1.0).values, expected, rtol=0, atol=1e-14)


def test_bad_parameters_are_named() -> None:
    with pytest.raises(InputError, match="no recipe 'fno'"):
        TorusNavierStokes(recipe="fno")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="viscosity must be a finite number of at least 0"):
        TorusNavierStokes(-1.0)
    with pytest.raises(InputError, match="a forcing on a torus has mean zero"):
        TorusNavierStokes(resolution=16, forcing=lambda x: 1.0 + x[:, 0] * 0)
    with pytest.raises(InputError, match="vorticity on a torus has mean zero"):
        TorusNavierStokes(resolution=16).solve(torch.ones(16, 16), 1.0)
    with pytest.raises(InputError, match="a force of 4 waves needs at least 13 points"):
        _ = KolmogorovFlow(resolution=12).equation
    with pytest.raises(InputError, match="not both"):
        TorusNavierStokes(resolution=8, domain=TorusNavierStokes(resolution=8).domain)
    with pytest.raises(InputError, match="2 periodic axes"):
        TorusNavierStokes(domain=fs.Grid(x=(0.0, 1.0, 8), y=(0.0, 1.0, 8)))


@pytest.mark.parametrize("resolution", [(16, 12), (15, 21), (32, 32)])
@pytest.mark.parametrize("forced", [False, True])
def test_compiled_transport_is_the_plain_one(resolution: tuple[int, int], forced: bool) -> None:
    forcing = (lambda x: torch.sin(x[:, 0]) * torch.cos(2 * x[:, 1])) if forced else None
    flow = TorusNavierStokes(1e-2, resolution=resolution, length=TWO_PI, forcing=forcing)
    equation = flow.equation
    generator = torch.Generator().manual_seed(0)
    w = torch.randn(3, 1, *resolution, generator=generator, dtype=torch.float64)
    spectra = equation.modes.project(w - w.mean(dim=(-2, -1), keepdim=True))
    plain, fast = equation.nonlinear(spectra), equation.compiled()(spectra)
    torch.testing.assert_close(fast, plain, rtol=0, atol=1e-12 * float(plain.abs().max()))
