"""Mixtures of experts that a context chooses from: the map, its gradients, forecasts, training, files, bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import funcspace as fs
from funcspace.dynamics.reconstruction.context_forecaster import filled_up
from tests.dynamics.reconstruction.test_training import begun, trajectory

ContextForcing, DynaMix = fs.dynamics.ContextForcing, fs.dynamics.DynaMix


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def disturbed(*arguments, **options):
    """A model in double precision, all of whose parts count."""
    model = DynaMix(*arguments, **options).double()
    with torch.no_grad():
        for number, weight in enumerate(model.parameters()):
            weight.add_(0.1 * random(*weight.shape, seed=number))
        model.tau.fill_(0.7)
    return model


def turning(angle, count=200, phase=0.0):
    """A circle that is run through by an angle per step."""
    t = torch.arange(count, dtype=torch.float64) * angle + phase
    return trajectory(torch.stack([3.0 + torch.cos(t), 5.0 * torch.sin(t)], dim=1))


@pytest.fixture(scope="module")
def forecaster():
    """Trained on circles that are run through in both directions, which no single map can follow."""
    return fs.fit(
        DynaMix(2, latent=10, experts=6), [turning(a) for a in (0.2, -0.2, 0.3, -0.3)],
        validation=[turning(a) for a in (0.25, -0.25)],
        algorithm=ContextForcing(context=40, sequence=12, interval=6, noise=0.01),
        epochs=12, validate_every=6, learning_rate=2e-2, schedule="cosine", precision="64", seed=0,
        progress=False,
    )  # fmt: skip


class TestModel:
    @given(st.integers(1, 4), st.integers(0, 5), st.integers(1, 4))
    def test_number_of_parameters(self, observed, more, experts):
        latent = observed + more
        expected = experts * (latent * latent + 2 * latent) + more * observed  # experts and lift
        expected += 2 * observed**2 + observed + observed * latent + observed + 2  # convolution, query, noise, tau
        expected += experts * (observed + latent) + experts**2
        found = DynaMix(observed, latent, experts=experts, relu=0)
        assert sum(p.numel() for p in found.parameters()) == expected

    def test_number_of_parameters_of_the_paper(self):
        assert sum(p.numel() for p in DynaMix().parameters()) == 10_227

    def test_a_step_follows_its_equations(self):
        model = disturbed(2, 5, experts=3, relu=2)
        context, z, epsilon = random(1, 6, 2), random(1, 5, seed=1), random(1, 2, seed=2)
        found = model.step(z, model.encode(context), epsilon)[0]
        c, state = context[0], z[0]
        features = torch.nn.functional.conv1d(c.mT[None], model.K, model.K_bias)[0].mT
        query = model.D @ state + model.sigma * epsilon[0]
        distances = torch.stack([(query - c[i]).abs().sum() for i in range(5)])
        attention = torch.softmax(-distances / model.tau[0], dim=0)
        seen = sum(a * f for a, f in zip(attention, features, strict=True))
        logits = model.V @ (model.U @ torch.cat([seen, state])).relu()
        weights = torch.softmax(-logits / model.tau[1], dim=0)
        phi = torch.cat([state[:3], state[3:].relu()])
        each = [model.A[j] * state + model.W[j] @ phi + model.h[j] for j in range(3)]
        torch.testing.assert_close(found, sum(w * f for w, f in zip(weights, each, strict=True)))

    def test_one_expert_is_an_almost_linear_network(self):
        model, single = disturbed(2, 6, experts=1, relu=2), fs.dynamics.ALRNN(2, 6, 2).double()
        with torch.no_grad():
            for name in ("A", "W", "h"):
                getattr(single, name).copy_(getattr(model, name)[0])
            single.observation.lift.copy_(model.lift)
        context = random(3, 9, 2)
        torch.testing.assert_close(model.generate(context, 20), single.generate(context[:, -1], 20))

    @given(st.permutations(range(4)))
    def test_experts_have_no_order(self, order):
        model, other = disturbed(2, 5, experts=4), disturbed(2, 5, experts=4)
        with torch.no_grad():
            for name in ("A", "W", "h"):
                getattr(other, name).copy_(getattr(model, name)[list(order)])
            other.V.copy_(model.V[list(order)])
        context = random(2, 7, 2)
        torch.testing.assert_close(other.generate(context, 5), model.generate(context, 5))

    def test_gradients(self):
        model = disturbed(2, 4, experts=3, relu=1)
        context, z, epsilon = random(2, 5, 2), random(2, 4, seed=1), random(2, 2, seed=2)
        names = [name for name, _ in model.named_parameters() if name != "lift"]

        class Step(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = model

            def forward(self):
                return self.inner.step(z, self.inner.encode(context), epsilon)

        def run(*weights):
            given = {f"inner.{name}": weight for name, weight in zip(names, weights, strict=True)}
            return torch.func.functional_call(Step(), given, ())

        weights = tuple(getattr(model, name).detach().requires_grad_() for name in names)
        assert torch.autograd.gradcheck(run, weights)

    @pytest.mark.parametrize("interval", [2, 3, 99])
    @pytest.mark.parametrize(("relu", "experts"), [(2, 3), (0, 1), (5, 2)])
    def test_the_compiled_scan_is_the_plain_one(self, interval, relu, experts):
        model = disturbed(2, 5, experts=experts, relu=relu)
        with torch.no_grad():
            model.tau[1] *= -1.0
        context, targets = random(3, 8, 2), random(3, 7, 2, seed=1)
        found = []
        for compiled in (True, False):
            torch.manual_seed(0)
            model.zero_grad()
            predicted = model(context, targets, interval, compiled=compiled)
            (predicted * random(3, 7, 2, seed=2)).sum().backward()
            found.append([predicted.detach(), *(p.grad for p in model.parameters())])
        for one, other in zip(*found, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)

    def test_the_query_passes_no_gradient_to_the_state(self):
        model = disturbed(2, 4, experts=3)
        with torch.no_grad():
            model.U[:, 2:] = 0.0  # leaves the attention as the only way from z to the weights
        z = random(2, 4).requires_grad_()
        weights = model.weights(z, model.encode(random(2, 6, 2)))
        assert weights.std() > 0 and weights.requires_grad
        gradient = torch.autograd.grad(weights[:, 0].sum(), z)[0]
        assert gradient.abs().max() == 0.0

    def test_forcing(self):
        model = disturbed(2, 5, experts=3)
        with torch.no_grad():
            model.sigma.zero_()
        context, targets = random(2, 6, 2), random(2, 7, 2, seed=1)
        torch.testing.assert_close(model(context, targets, 7), model.generate(context, 7))
        long = model.generate(context, 450)  # in stretches
        torch.testing.assert_close(model(context, random(2, 450, 2), 999), long)
        encoded, z, found = model.encode(context), model.start(context[:, -1]), []
        for t in range(7):
            z = model.step(z, encoded)
            found.append(z[:, :2])
            if t in (2, 5):
                z = torch.cat([targets[:, t], z[:, 2:]], dim=1)
        torch.testing.assert_close(model(context, targets, 3), torch.stack(found, dim=1))


class TestForecast:
    def test_it_tells_directions_apart(self, forecaster):
        for angle in (0.25, -0.25):  # neither was trained on
            orbit = turning(angle, phase=0.5)
            truth = orbit[40:60].coefficients
            run = forecaster.forecast(orbit[:40], 20)
            scale = truth.std(dim=0)
            error = ((run.coefficients - truth) / scale).square().mean()
            persistence = ((orbit.coefficients[39] - truth) / scale).square().mean()
            assert error < persistence / 8
            assert run.space.domain.start == pytest.approx(4.0) and run.space.components == ("x", "y")
            assert run.units == "V" and run.dtype == orbit.dtype

    @given(st.floats(0.01, 100.0), st.floats(-10.0, 10.0))
    def test_units_do_not_matter(self, scale, shift):
        forecaster = fs.dynamics.ContextForecaster(disturbed(2, 4, experts=2))
        context = random(30, 2)
        moved = forecaster.forecast(scale * context + shift, 8)
        torch.testing.assert_close(moved, scale * forecaster.forecast(context, 8) + shift, rtol=1e-6, atol=1e-6 * scale)

    def test_batches_are_forecast_one_by_one(self):
        forecaster = fs.dynamics.ContextForecaster(disturbed(3, 5, experts=2))
        for components in (3, 1):
            contexts = random(2, 3, 60, components).cumsum(dim=2)
            whole = forecaster.forecast(contexts, 4)
            assert whole.shape == (2, 3, 4, components)
            torch.testing.assert_close(whole[1, 2], forecaster.forecast(contexts[1, 2], 4))

    def test_noise_only_with_a_seed(self):
        forecaster = fs.dynamics.ContextForecaster(disturbed(2, 4, experts=3))
        context, state = random(20, 2), torch.get_rng_state()
        assert torch.equal(forecaster.forecast(context, 9), forecaster.forecast(context, 9))
        noisy = forecaster.forecast(context, 9, seed=1)
        assert torch.equal(noisy, forecaster.forecast(context, 9, seed=1))
        assert not torch.equal(noisy, forecaster.forecast(context, 9))
        assert torch.equal(torch.get_rng_state(), state)

    def test_missing_components_are_delays(self):
        t = torch.arange(400, dtype=torch.float64)
        wave = torch.cos(0.1 * t)[:, None]
        # cos(0.1 k) falls below 1/e after k = 11.9
        filled = filled_up(wave, 3)
        assert filled.shape == (376, 3)
        torch.testing.assert_close(filled, torch.stack([wave[24:, 0], wave[12:-12, 0], wave[:-24, 0]], dim=1))
        two = filled_up(torch.cat([wave, wave.roll(7)], dim=1), 3)
        torch.testing.assert_close(two[:, :2], torch.cat([wave, wave.roll(7)], dim=1)[12:])

    def test_metrics_take_it(self, forecaster):
        error = fs.dynamics.metrics.prediction_error(forecaster, turning(0.25), horizon=5, stride=10)
        assert forecaster.context == 40 and math.isfinite(error)
        scores = forecaster.evaluate(turning(0.25))
        assert set(scores) == {"state_space_divergence", "spectral_distance", "mase_10"}
        assert scores["mase_10"] < 3.0  # persistence over ten steps scores about 5

    def test_files(self, forecaster, tmp_path):
        forecaster.save(tmp_path / "mix")
        again = fs.load(tmp_path / "mix")
        context = turning(0.25)[:40]
        assert repr(again) == repr(forecaster) and again.history == forecaster.history
        assert torch.equal(again.forecast(context, 9).coefficients, forecaster.forecast(context, 9).coefficients)
        (tmp_path / "mix" / "model.safetensors").write_bytes(b"junk")
        with pytest.raises(fs.CheckpointError, match="damaged"):
            fs.load(tmp_path / "mix")


class TestTraining:
    def test_the_loss(self):
        model = disturbed(2, 4, experts=2)
        with torch.no_grad():
            model.sigma.zero_()
        values = random(15, 2) * 3.0 + 7.0
        algorithm = ContextForcing(context=10, sequence=5, interval=2, noise=0.0, noise_weight=0.3)
        task = begun(model, trajectory(values), algorithm)
        x = (values - values[:10].mean(dim=0)) / values[:10].std(dim=0, correction=0)
        error = (model(x[None, :10], x[None, 10:], 2)[0] - x[10:]).square().mean()
        assert task.loss(model, np.arange(4)).item() == pytest.approx(error.item() + 0.3, rel=1e-9)

    def test_it_learned(self, forecaster):
        assert forecaster.history[-1]["loss"] < forecaster.history[0]["loss"] / 3
        assert forecaster.history[-1]["forecast_error"] < 0.5  # as always scores 1, a forgotten start 2
        assert forecaster.provenance["training"]["algorithm"] == "ContextForcing"

    def test_systems_count_alike_whatever_their_length(self):
        long, short = trajectory(1.0 + random(900, 2)), trajectory(50.0 + random(30, 2))
        task = begun(disturbed(2, 4, experts=2), [long, short], ContextForcing(context=10, sequence=5))
        first = as_fractions(task.windows, long, short)
        assert 0.35 < first < 0.65

    def test_same_seed_same_bytes(self):
        def weights(seed):
            model = DynaMix(2, latent=4, experts=2)
            algorithm = ContextForcing(context=10, sequence=5)
            fs.fit(model, turning(0.2), algorithm=algorithm, epochs=1, batch_size=200, precision="64", seed=seed,
                   progress=False)  # fmt: skip
            return model.W.detach()

        state = torch.get_rng_state()
        assert torch.equal(weights(0), weights(0)) and not torch.equal(weights(0), weights(1))
        assert torch.equal(torch.get_rng_state(), state)


def as_fractions(windows, long, short):
    """The share of windows that are of the long one."""
    torch.manual_seed(0)
    drawn = windows.draw(200)
    x = long.coefficients
    x = (x - x.mean(dim=0)) / x.std(dim=0, correction=0)
    return np.mean([bool((window[0] - x).abs().sum(dim=1).min() < 1e-9) for window in drawn])


class TestBadInput:
    def test_model(self):
        for arguments, options, message in [
            ((3, 2), {}, "at least as many units as there are observations"),
            ((3,), {"relu": 31}, "relu must be an integer between 0 and latent=30, got 31"),
            ((3,), {"experts": 0}, "experts must be a whole number of at least 1, got 0"),
        ]:
            with pytest.raises(fs.InputError, match=message):
                DynaMix(*arguments, **options)
        with pytest.raises(fs.InputError, match=r"at least 2 instants, 3 components\); got \(1, 1, 3\)"):
            DynaMix().encode(torch.zeros(1, 1, 3))

    def test_training(self):
        model = DynaMix(2, latent=4)
        with pytest.raises(fs.InputError, match="context must be an integer of at least 2, got 1"):
            ContextForcing(context=1)
        with pytest.raises(fs.InputError, match="noise must not be negative"):
            ContextForcing(noise=-1.0)
        with pytest.raises(fs.InputError, match="ContextForcing trains DynaMix; got ALRNN"):
            fs.fit(fs.dynamics.ALRNN(2, 4, 1), turning(0.2), algorithm=ContextForcing())
        with pytest.raises(fs.InputError, match=r"data\[1\] is as long as context and sequence together, 150 instants"):
            data = [turning(0.2), turning(0.2, 100)]
            fs.fit(model, data, algorithm=ContextForcing(context=100, sequence=50))
        with pytest.raises(fs.InputError, match=r"observes 3 components; data\[0\] has 2"):
            fs.fit(DynaMix(3, latent=4), turning(0.2), algorithm=ContextForcing())
        with pytest.raises(fs.InputError, match="data holds no trajectory"):
            fs.fit(model, [], algorithm=ContextForcing())

    def test_forecasts(self, forecaster):
        with pytest.raises(fs.InputError, match="at most 2 components; the context has 3"):
            forecaster.forecast(random(20, 3), 5)
        with pytest.raises(fs.InputError, match="horizon must be at least 1, got 0"):
            forecaster.forecast(random(20, 2), 0)
        with pytest.raises(fs.InputError, match="must be finite"):
            forecaster.forecast(torch.full((20, 2), math.nan), 5)
        with pytest.raises(fs.InputError, match="is too short: to fill up 1 components to 3"):
            fs.dynamics.ContextForecaster(DynaMix()).forecast(torch.arange(5.0)[:, None], 5)
        with pytest.raises(fs.InputError, match="must leave at least 20 of the 200 instants"):
            forecaster.evaluate(turning(0.2), context=190)
        with pytest.raises(fs.InputError, match="component 1 of test is constant after the context"):
            forecaster.evaluate(torch.cat([random(200, 1), torch.ones(200, 1)], dim=1))
