"""Neural ODEs: order and estimates of the solver, gradients, forcing, the heuristics, training, files, bad input."""

from __future__ import annotations

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import funcspace as fs
from funcspace.dynamics.reconstruction.models.ode_flow import tsit5_flow, tsit5_step
from tests.dynamics.reconstruction.test_training import begun, trajectory

NeuralODE, GTF = fs.dynamics.NeuralODE, fs.dynamics.GeneralizedTeacherForcing


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def turning(x):
    """The harmonic oscillator."""
    return torch.stack([x[..., 1], -x[..., 0]], dim=-1)


@pytest.fixture(scope="module")
def circle():
    t = torch.arange(600, dtype=torch.float64) * 0.15
    return trajectory(torch.stack([3.0 + 2.0 * torch.cos(t), 0.5 * torch.sin(t)], dim=1))


@pytest.fixture(scope="module")
def trained(circle):
    model = NeuralODE(2, (16,))
    algorithm = GTF(alpha=0.2, sequence=6)
    return fs.fit(model, circle, algorithm=algorithm, epochs=6, learning_rate=2e-2, seed=0, progress=False)


class TestSolver:
    def test_order_five_and_an_error_estimate_of_order_four(self):
        x = torch.tensor([1.0, 0.0], dtype=torch.float64)
        exact = torch.tensor([np.cos(2.0), -np.sin(2.0)], dtype=torch.float64)
        errors = [(tsit5_flow(turning, x, 2.0, n) - exact).norm().item() for n in (16, 32, 64)]
        rates = np.log2(np.array(errors[:-1]) / errors[1:])
        assert rates == pytest.approx([5.0, 5.0], abs=0.3)
        estimates = [tsit5_step(turning, x, h, turning(x))[1].norm().item() for h in (0.4, 0.2, 0.1)]
        assert np.log2(np.array(estimates[:-1]) / estimates[1:]) == pytest.approx([5.0, 5.0], abs=0.4)

    @given(st.floats(0.5, 50.0))
    def test_stiffness_is_the_eigenvalue_of_a_linear_field(self, rate):
        x = torch.ones(1, 1, dtype=torch.float64)
        _, _, stiffness, _ = tsit5_step(lambda u: -rate * u, x, 0.01, -rate * x)
        assert stiffness.item() == pytest.approx(rate, rel=1e-6)

    def test_steps_and_the_flow_agree(self):
        x, k = random(3, 2), turning(random(3, 2))
        for _ in range(3):
            x, _, _, k = tsit5_step(turning, x, 0.1, k)
        torch.testing.assert_close(x, tsit5_flow(turning, random(3, 2), 0.3, 3))
        torch.testing.assert_close(k, turning(x))


class TestModel:
    @given(st.integers(1, 4), st.lists(st.integers(1, 9), max_size=3))
    def test_number_of_parameters(self, observed, hidden):
        widths = [observed, *hidden, observed]
        expected = sum(n * (m + 1) for m, n in pairwise(widths))
        assert sum(p.numel() for p in NeuralODE(observed, hidden).parameters()) == expected

    @pytest.mark.parametrize("substeps", [1, 2])
    def test_gradients(self, substeps):
        model = NeuralODE(2, (3,), substeps=substeps).double()
        window, gain = random(2, 4, 2), torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)
        names = [n for n, _ in model.named_parameters()]

        def run(*weights):
            return torch.func.functional_call(model, dict(zip(names, weights, strict=True)), (window, gain))

        weights = tuple(p.detach().requires_grad_() for p in model.parameters())
        assert torch.autograd.gradcheck(run, weights, fast_mode=True)

    def test_forcing(self):
        model = NeuralODE(2, (5,), substeps=2).double()
        window = random(2, 7, 3)
        states = window.movedim(0, -1)
        forced = model(window, torch.ones(6, dtype=torch.float64))
        torch.testing.assert_close(forced.movedim(0, -1), model.step(states[:-1]))
        free = model(window, torch.zeros(6, dtype=torch.float64))
        torch.testing.assert_close(free.movedim(0, -1).movedim(1, 0), model.generate(states[:1].movedim(1, 0), 6))

    def test_substeps_converge(self):
        fields = [NeuralODE(2, (8,), substeps=n, seed=3).double() for n in (1, 2, 4)]
        with torch.no_grad():
            for model in fields:
                for weight in model.weights:
                    weight.mul_(3.0)
        ends = [model.step(random(5, 2)) for model in fields]
        assert (ends[1] - ends[2]).norm() < (ends[0] - ends[1]).norm() / 10

    def test_heuristics(self):
        window, gain = random(2, 4, 3), torch.ones(3, dtype=torch.float64)
        for heuristic in ("error", "stiffness"):
            model = NeuralODE(2, (4,), substeps=2, heuristic=heuristic).double()
            with pytest.raises(fs.InputError, match="call the model on a window first"):
                model.latent_penalty()
            model(window, gain)
            x, total = window[:, :-1].movedim(0, -1), 0.0
            k = model.velocity(x)
            for _ in range(2):
                x, error, stiffness, k = tsit5_step(model.velocity, x, 0.5, k)
                total = total + (0.5 * error.norm(dim=-1) if heuristic == "error" else stiffness)
            torch.testing.assert_close(model.latent_penalty(), total.mean())
            twin = copy.deepcopy(model)
            torch.testing.assert_close(twin(window, gain), model(window, gain))


class TestTraining:
    def test_it_forecasts(self, circle, trained):
        error = fs.dynamics.metrics.prediction_error(trained, circle, horizon=10, stride=5)
        values = circle.coefficients
        assert error < (values[10:] - values[:-10]).square().mean().item() / 100

    def test_the_field_is_that_of_the_data(self, circle, trained):
        # (x, y) = (3 + 2 cos 0.15 t, sin(0.15 t) / 2), standardised: a rotation at 0.15 per step
        x = (circle.coefficients[:40] - trained.mean) / trained.scale
        field = trained.model.velocity(x.float()).double()
        expected = 0.15 * torch.stack([-x[:, 1], x[:, 0]], dim=1)
        assert (field - expected).norm() < 0.1 * expected.norm()

    def test_the_weight_on_the_heuristic(self, circle):
        model = NeuralODE(2, (6,)).double()
        torch.manual_seed(0)
        plain = begun(model, circle, GTF(sequence=8)).loss(model, np.arange(4)).item()
        torch.manual_seed(0)
        weighted = begun(model, circle, GTF(sequence=8, latent_weight=100.0)).loss(model, np.arange(4)).item()
        assert weighted == pytest.approx(plain + 100.0 * model.latent_penalty().item(), rel=1e-12)
        assert weighted > plain

    def test_a_penalised_field_is_easier_to_integrate(self, circle):
        difficulty = []
        for weight in (0.0, 30.0):
            model = NeuralODE(2, (16,), heuristic="stiffness")
            with torch.no_grad():
                model.weights[0].mul_(4.0)
                model.weights[1].mul_(4.0)
            algorithm = GTF(alpha=0.2, sequence=4, latent_weight=weight)
            options = {"epochs": 5, "learning_rate": 1e-2, "schedule": "constant", "progress": False}
            fs.fit(model, circle, algorithm=algorithm, **options)
            difficulty.append(model.latent_penalty().item())
        assert difficulty[1] < 0.3 * difficulty[0], difficulty

    def test_rollout_and_files(self, circle, trained, tmp_path):
        run = trained.rollout(circle[:1], 9)
        torch.testing.assert_close(run.coefficients[1], trained(circle[:1]).coefficients[0])
        trained.save(tmp_path / "ode")
        again = fs.load(tmp_path / "ode")
        assert repr(again) == repr(trained)
        assert torch.equal(again.rollout(circle[:1], 9).coefficients, run.coefficients)


class TestBadInput:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"hidden": 50}, r"widths of the hidden layers, such as \(50, 50\); got 50"),
            ({"hidden": (5, 0)}, "hidden must be a whole number of at least 1, got 0"),
            ({"substeps": 0}, "substeps must be a whole number of at least 1, got 0"),
            ({"heuristic": "cost"}, 'heuristic must be "error" or "stiffness"'),
        ],
    )
    def test_arguments(self, options, message):
        with pytest.raises(fs.InputError, match=message):
            NeuralODE(2, **options)

    def test_histories(self):
        with pytest.raises(
            fs.InputError, match="NeuralODE starts from at least 1 instants of 2 components; got 4 of 3"
        ):
            NeuralODE(2).generate(torch.zeros(1, 4, 3), 5)

    def test_training(self, circle):
        with pytest.raises(fs.InputError, match="observes 3 components; the data have 2"):
            fs.fit(NeuralODE(3), circle, algorithm=GTF(), epochs=1)
        with pytest.raises(fs.InputError, match="NeuralODE has nothing that attractor_weight weighs"):
            fs.fit(NeuralODE(2), circle, algorithm=GTF(sequence=8, attractor_weight=1.0), epochs=1, progress=False)
