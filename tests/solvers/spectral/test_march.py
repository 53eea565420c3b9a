import dataclasses
import math

import numpy as np
import pytest
import torch

import funcspace as fs
from funcspace.errors import InputError, SolverError
from funcspace.solvers.spectral import (
    AllenCahn,
    Burgers,
    GrayScott,
    KolmogorovFlow,
    KortewegDeVries,
    KuramotoSivashinsky,
    Numerics,
    ShallowWater,
    SpectralProblem,
    TorusNavierStokes,
    march,
)

SHORT = fs.Times(0.5, 0.25, 2)


def problems(numerics: Numerics) -> dict[str, SpectralProblem]:
    return {
        "Navier-Stokes": TorusNavierStokes(recipe="fno-1e-3", resolution=16, horizon=SHORT, numerics=numerics),
        "odd sizes": TorusNavierStokes(1e-3, resolution=(15, 21), horizon=SHORT, numerics=numerics),
        "Burgers": Burgers(0.01, resolution=100, horizon=SHORT, numerics=numerics),
        "KdV": KortewegDeVries(resolution=50, length=20.0, horizon=SHORT, numerics=numerics),
        "Gray-Scott": GrayScott(resolution=12, horizon=fs.Times(2.0, 2.0, 2), numerics=numerics),
        "3-D": AllenCahn(0.1, resolution=9, dim=3, horizon=SHORT, numerics=numerics),
        "shallow water": ShallowWater(resolution=10, horizon=SHORT, numerics=numerics),
    }


@pytest.mark.parametrize("name", list(problems(Numerics())))
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_bytes_of_a_sample_depend_on_seed_and_number_alone(
    name: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = problems(Numerics(dtype=dtype, workers=1))[name]
    whole = problem.sample(7, seed=5)
    expected = next(iter(whole.outputs.values())).coefficients
    assert expected.dtype == dtype
    for first, count in ((0, 1), (2, 3), (5, 2)):
        part = problems(Numerics(dtype=dtype, workers=1))[name].sample(count, seed=5, first=first)
        assert torch.equal(next(iter(part.outputs.values())).coefficients, expected[first : first + count])
    monkeypatch.setattr(march, "BLOCK_POINTS", 1)  # the smallest blocks
    threads = torch.get_num_threads()
    small = problems(Numerics(dtype=dtype, workers=3))[name].sample(7, seed=5)
    assert torch.equal(next(iter(small.outputs.values())).coefficients, expected)
    assert torch.get_num_threads() == threads


def test_a_march_in_two_parts_is_the_march() -> None:
    problem = Burgers(0.02, resolution=64, numerics=Numerics(step=1 / 256))
    start = problem.initial_fields(2, seed=0)
    whole = problem.solve(start, fs.Times(0.25, 0.25, 4))
    rest = problem.solve(whole.coefficients[:, 1], fs.Times(0.25, 0.25, 2))
    torch.testing.assert_close(problem.solve(start, 0.5).coefficients, whole.coefficients[:, 1], rtol=0, atol=1e-12)
    assert torch.equal(rest.coefficients, whole.coefficients[:, 2:])


def test_the_estimated_error_is_of_third_order() -> None:
    problem = Burgers(0.05, resolution=32)
    values = problem.initial_fields(2, seed=0).values[:, None]
    errors = torch.stack([problem.march._measures(values, step)[1] for step in (4e-3, 2e-3, 1e-3)])
    rates = torch.log2(errors[:-1] / errors[1:])
    assert bool(((rates > 3.5) & (rates < 4.5)).all()), rates


@pytest.mark.parametrize("tolerance", [1e-4, 1e-6, 1e-8])
def test_errors_follow_the_tolerance(tolerance: float) -> None:
    """Constants under Allen-Cahn: u = u0 / sqrt(u0^2 + (1 - u0^2) exp(-2t))."""
    problem = AllenCahn(0.1, resolution=8, dim=1, numerics=Numerics(tolerance=tolerance))
    start = torch.tensor([0.1, 0.5, -0.7], dtype=torch.float64)
    exact = start / torch.sqrt(start**2 + (1 - start**2) * math.exp(-4.0))
    found = problem.solve(start[:, None].expand(3, 8), 2.0).coefficients[:, 0]
    assert float((found - exact).abs().max()) < 5 * tolerance


def test_samples_of_a_batch_have_steps_of_their_own() -> None:
    problem = Burgers(0.01, resolution=64)
    start = problem.initial_fields(1, seed=0).coefficients[0]
    pair = problem.solve(torch.stack([start, 5.0 * start]), 0.02)
    for place, factor in enumerate((1.0, 5.0)):
        assert torch.equal(problem.solve(factor * start, 0.02).coefficients, pair.coefficients[place])


def test_the_state_at_time_zero_is_the_initial_state() -> None:
    problem = Burgers(resolution=32)
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, 32)))
    u = problem.solve(noise, fs.Times.at([0.0, 0.1, 0.15]))
    assert u.coefficients.shape == (2, 3, 3, 32)
    assert torch.equal(u.coefficients[:, :, 0], noise)
    assert torch.equal(problem.solve(noise, 0.0).coefficients, noise)
    assert u.space.element == "linear * fourier"


def test_an_unstable_step_is_refused_with_a_stable_one() -> None:
    problem = TorusNavierStokes(1e-5, resolution=32, numerics=Numerics(step=0.5))
    start = 40.0 * problem.initial.sample(2, seed=0)
    with pytest.raises(SolverError, match=r"CFL condition: a step of 0\.5 is unstable.*step=None") as caught:
        problem.solve(start, 1.0)
    state = caught.value.state
    sample = int(str(caught.value).split("sample ")[1].split(",")[0])
    assert torch.equal(state.values[0], start.values[sample])
    assert state.domain.times.start == 0.0
    suggested = float(str(caught.value).split("a step of ")[2].split(" ")[0])
    assert 1e-3 < suggested < 0.05
    calmer = dataclasses.replace(problem.numerics, step=suggested)
    assert bool(torch.isfinite(TorusNavierStokes(1e-5, resolution=32, numerics=calmer).solve(start, 1.0).values).all())


def test_the_cfl_condition_holds_sharply_for_transport() -> None:
    """On the imaginary axis the scheme without diffusion is stable up to 2.83, as the classical Runge-Kutta scheme."""
    problem = Burgers(0.0, resolution=32, numerics=Numerics(step=1.0))
    assert not problem.march._unstable(1.0, 2.8)
    assert problem.march._unstable(1.0, 3.0)


def test_strong_diffusion_allows_longer_steps_than_transport_does() -> None:
    problem = Burgers(10.0, resolution=256)
    start = problem.initial_fields(1, seed=0)
    coarse = problem.solve(start, 0.01)
    fine = Burgers(10.0, resolution=256, numerics=Numerics(step=2e-5)).solve(start, 0.01)
    torch.testing.assert_close(coarse.values, fine.values, rtol=0, atol=1e-6)
    fastest = float(start.norm("max")) * problem.equation.modes.reach[0]
    assert max(problem.march._steppers) > 3.0 / fastest


@pytest.mark.parametrize("numerics", [Numerics(), Numerics(step=0.05)], ids=["chosen", "given"])
def test_a_solution_that_blows_up_leaves_its_last_good_state(
    numerics: Numerics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without hyperviscosity all waves grow without bound."""
    monkeypatch.setattr(march, "SHORTEST_STEP", 1e-4)
    problem = KuramotoSivashinsky(0.0, resolution=16, length=6.0, spin_up=0.0, numerics=numerics)
    start = torch.stack([torch.zeros(16), 0.01 * torch.cos(2 * torch.pi * torch.arange(16) / 8)]).double()
    with pytest.raises(SolverError, match="KuramotoSivashinsky, sample 1, time") as caught:
        problem.solve(start, fs.Times(1.0, 1.0, 200))
    state = caught.value.state
    assert bool(torch.isfinite(state.coefficients).all())
    assert 0 < state.domain.times.start < 200.0
    assert float(state.norm("max")) > 0.01
    assert bool((problem.solve(start[:1], 5.0).coefficients == 0).all())


def test_gradients_go_through() -> None:
    problem = Burgers(0.05, resolution=12, numerics=Numerics(step=0.05))
    start = torch.randn(2, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda u: problem.solve(u, fs.Times(0.05, 0.05, 2)).coefficients, (start,))
    flow = TorusNavierStokes(0.05, resolution=6, numerics=Numerics(step=0.05))
    vorticity = torch.randn(1, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    vorticity = (vorticity - vorticity.mean()).requires_grad_()
    # The mean must stay zero, so that perturbations go through a projection.
    assert torch.autograd.gradcheck(lambda w: flow.solve(w - w.mean(), 0.1).coefficients, (vorticity,))


@pytest.mark.parametrize(
    "problem",
    [
        KuramotoSivashinsky(resolution=24),
        KolmogorovFlow(resolution=14, wavenumber=2),
        GrayScott(resolution=8),
        ShallowWater(resolution=8),
    ],
    ids=lambda problem: type(problem).__name__,
)
def test_flow_map_and_its_tangent(problem: SpectralProblem) -> None:
    flow = problem.flow_map(0.02, steps=2)
    state = problem.initial.sample(2, seed=0).coefficients
    # From a state below the cutoff, which the map of states above would lose.
    state = flow(state)
    given = dataclasses.replace(problem.numerics, step=0.01)
    marched = _with(problem, given).solve(state.reshape(2, *problem.space.layout, *problem.space.component_shape), 0.02)
    torch.testing.assert_close(flow(state), marched.coefficients, rtol=0, atol=1e-13)
    tangents = torch.randn(3, *state.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    image, pushed = flow.tangent(state, tangents)
    assert torch.equal(image, flow(state))
    h = 1e-6
    for vector, found in zip(tangents, pushed, strict=True):
        difference = (flow(state + h * vector) - flow(state - h * vector)) / (2 * h)
        torch.testing.assert_close(found, difference, rtol=1e-6, atol=1e-7)


def _with(problem: SpectralProblem, numerics: Numerics) -> SpectralProblem:
    other = object.__new__(type(problem))
    cached = ("march", "equation")
    other.__dict__.update({key: value for key, value in problem.__dict__.items() if key not in cached})
    other.numerics = numerics
    return other


def test_spin_up_comes_before_the_sample() -> None:
    problem = KuramotoSivashinsky(resolution=32, spin_up=3.0)
    drawn = problem.initial.sample(2, seed=1)
    expected = problem.solve(drawn, 3.0)
    data = problem.sample(2, seed=1)
    assert torch.equal(data.inputs["u0"].coefficients, expected.coefficients)
    assert torch.equal(data.outputs["u"].coefficients, problem.solve(expected, 1.0).coefficients)


def test_a_sample_is_written_and_read(tmp_path: object) -> None:
    data = ShallowWater(resolution=8, horizon=fs.Times(0.1, 0.1, 2)).sample(3, seed=0)
    data.save(f"{tmp_path}/water.nc")
    again = fs.OperatorData.load(f"{tmp_path}/water.nc")
    assert torch.equal(again.outputs["uvh"].coefficients, data.outputs["uvh"].coefficients)
    assert again.attributes["seed"] == 0


@pytest.mark.parametrize(
    ("initial", "message"),
    [
        (torch.zeros(2, 7), r"must have shape \(\*batch, 16\)"),
        (torch.full((16,), float("nan")), "must be finite; sample 0 has nan for 'u'"),
        (torch.zeros(0, 16), "is empty"),
        (torch.zeros(16, dtype=torch.complex64), "must be real"),
        ("wave", "a Function, an array or a callable"),
    ],
)
def test_bad_initial_states(initial: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Burgers(resolution=16).solve(initial, 1.0)  # type: ignore[arg-type]


def test_bad_times_and_settings() -> None:
    problem = Burgers(resolution=16)
    with pytest.raises(InputError, match="times cannot be negative"):
        problem.solve(torch.zeros(16), fs.Times(-1.0, 1.0, 3))
    with pytest.raises(InputError, match="not negative; got -1"):
        problem.solve(torch.zeros(16), -1.0)
    with pytest.raises(InputError, match="horizon must be Times or"):
        Burgers(resolution=16, horizon=float("inf"))
    for settings, message in (
        ({"step": -1.0}, "step must be a positive number"),
        ({"courant": 5.0}, "courant must be positive and at most 2"),
        ({"refinement": 0}, "refinement must be a whole number"),
        ({"dtype": torch.float16}, "dtype must be"),
        ({"workers": 0}, "workers must be a whole number of at least 1"),
        ({"device": "cuda:99"}, "is not available"),
    ):
        with pytest.raises(InputError, match=message):
            Numerics(**settings)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="duration must be positive"):
        problem.flow_map(0.0)
    with pytest.raises(InputError, match="a state must have shape"):
        problem.flow_map(0.1)(torch.zeros(3))
