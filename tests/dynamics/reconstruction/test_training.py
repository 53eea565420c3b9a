"""Training: what the algorithms compute, that it learns, resumes, survives a replica that runs away, and bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import funcspace as fs
from funcspace.arguments import require_counts
from funcspace.dynamics.reconstruction.forcing_interval import forcing_interval
from funcspace.dynamics.reconstruction.forcing_strength import forcing_strength
from funcspace.dynamics.reconstruction.windows import Windows, as_recording
from tests.dynamics.reconstruction.maps import disturbed

GTF, STF = fs.dynamics.GeneralizedTeacherForcing, fs.dynamics.SparseTeacherForcing


def trajectory(values, step=0.1, start=0.0):
    values = torch.as_tensor(values, dtype=torch.float64)
    names = ("x", "y", "z")[: values.shape[-1]]
    space = fs.FunctionSpace(fs.Times(start, step, values.shape[-2]), components=names)
    return fs.Function(space, values.reshape(*values.shape[:-2], *space.coefficient_shape), name="orbit", units="V")


@pytest.fixture(scope="module")
def circle():
    """A slow rotation with an offset and unequal scales."""
    t = torch.arange(1500, dtype=torch.float64) * 0.1
    return trajectory(torch.stack([3.0 + 2.0 * torch.cos(0.7 * t), -1.0 + 0.5 * torch.sin(0.7 * t)], dim=1))


@pytest.fixture(scope="module")
def trained(circle):
    return fs.fit(
        fs.dynamics.ALRNN(observed=2, latent=4, relu=1), circle, algorithm=STF(interval=10, sequence=30, noise=0.0),
        epochs=40, seed=0, progress=False,
    )  # fmt: skip


def begun(model, data, algorithm):
    return algorithm.begin(model, data, None, device=torch.device("cpu"), dtype=torch.float64)


class TestLoss:
    def test_full_forcing_is_the_one_step_error(self, circle):
        model = disturbed("clipped shallow")
        values = torch.randn(200, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        data = trajectory(values)
        task = begun(model, data, GTF(alpha=1.0, sequence=199))
        loss = task.loss(model, np.arange(1))
        x = (values - values.mean(dim=0)) / values.std(dim=0, correction=0)
        expected = (model.step(x[:-1]) - x[1:]).square().mean()
        assert loss.item() == pytest.approx(expected.item(), rel=1e-12)

    def test_no_forcing_is_the_free_run(self, circle):
        model = disturbed("ALRNN")
        values = torch.randn(40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        for algorithm in (GTF(alpha=0.0, sequence=39), STF(interval=39, sequence=39, noise=0.0)):
            task = begun(model, trajectory(values), algorithm)
            x = (values - values.mean(dim=0)) / values.std(dim=0, correction=0)
            free = model.generate(x[:1], 39)[0]
            loss = task.loss(model, np.arange(1))
            assert loss.item() == pytest.approx((free - x[1:]).square().mean().item(), rel=1e-10)

    def test_missing_values_count_nowhere(self):
        model = disturbed("clipped shallow")
        values = torch.randn(30, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        values[10:12, 1] = torch.nan
        with pytest.raises(fs.InputError, match=r"'y' is nan at sample 10.*missing=True"):
            begun(model, trajectory(values), GTF(sequence=29))
        task = begun(model, trajectory(values), GTF(alpha=1.0, sequence=29, missing=True))
        loss = task.loss(model, np.arange(1))
        loss.backward()
        assert all(bool(torch.isfinite(p.grad).all()) for p in model.parameters() if p.grad is not None)
        # where nothing forces, the state goes on from the prediction
        recording = as_recording(trajectory(values), missing=True)
        x = (values - recording.mean) / recording.scale
        z, errors = x[0], []
        for t in range(1, 30):
            z = model.step(z)
            known = x[t].isfinite()
            errors.append((z - x[t])[known].square())
            z = torch.where(known, x[t], z)
        assert loss.item() == pytest.approx(torch.cat(errors).mean().item(), rel=1e-12)

    def test_noise_and_penalties(self, circle):
        model = fs.dynamics.ALRNN(2, 4, 1).double()
        torch.manual_seed(0)
        plain = begun(model, circle, GTF(sequence=20)).loss(model, np.arange(4)).item()
        torch.manual_seed(0)
        penalised = begun(
            model, circle, GTF(sequence=20, latent_weight=2.0, observation_weight=3.0, attractor_weight=0.5)
        )
        expected = plain + 2.0 * model.latent_penalty().item() + 3.0 * model.observation.penalty().item()
        expected += 0.5 * model.attractor_penalty(0.5).item()
        assert penalised.loss(model, np.arange(4)).item() == pytest.approx(expected, rel=1e-9)
        noisy = begun(model, circle, GTF(sequence=20, noise=10.0)).loss(model, np.arange(64)).item()
        assert noisy > 50.0  # the noise is on the targets too
        quiet = begun(model, circle, GTF(alpha=0.0, sequence=20, noise=10.0, noisy_targets=False))
        assert quiet.loss(model, np.arange(64)).item() != noisy

    @pytest.mark.parametrize("observation", ["identity", "affine"])
    def test_partial_forcing_pulls_on_the_first_units_only(self, observation):
        model = fs.dynamics.ALRNN(3, 5, 2, observation=observation).double()
        values = torch.randn(12, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        x = (values - values.mean(dim=0)) / values.std(dim=0, correction=0)
        for algorithm, gain in ((GTF(alpha=0.3, sequence=11, forced=2), 0.3), (STF(interval=1, sequence=11, noise=0.0,
                                                                                   forced=2), 1.0)):  # fmt: skip
            z, errors = model.start(x[0]), []
            for t in range(1, 12):
                z = model.step(z)
                errors.append((model.observe(z) - x[t]).square())
                pull = gain * (model.observation.targets(x[t])[:2] - z[:2])
                z = torch.cat([z[:2] + pull, z[2:]])
            loss = begun(model, trajectory(values), algorithm).loss(model, np.arange(1))
            assert loss.item() == pytest.approx(torch.stack(errors).mean().item(), rel=1e-10)

    def test_partial_forcing_of_a_neural_ode(self):
        model = fs.dynamics.NeuralODE(2, hidden=(4,)).double()
        values = torch.randn(9, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        x = (values - values.mean(dim=0)) / values.std(dim=0, correction=0)
        z, errors = x[0], []
        for t in range(1, 9):
            z = model.step(z)
            errors.append((z - x[t]).square())
            z = torch.stack([x[t, 0], z[1]])
        task = begun(model, trajectory(values), GTF(alpha=1.0, sequence=8, forced=1))
        assert task.loss(model, np.arange(1)).item() == pytest.approx(torch.stack(errors).mean().item(), rel=1e-8)
        with pytest.raises(fs.InputError, match="can force 2 units of the model; got forced=3"):
            begun(model, trajectory(values), GTF(sequence=8, forced=3))
        with pytest.raises(fs.InputError, match="forced must be a whole number of at least 1, got 0"):
            STF(forced=0)


class TestForcing:
    def test_strength_of_a_scaled_rotation(self):
        # J = 2 R: every estimate of the stretch is 2, so alpha = 1/2
        model = fs.dynamics.ALRNN(2, 2, 0).double()
        with torch.no_grad():
            model.A.zero_()
            model.W.copy_(2.0 * torch.tensor([[0.6, -0.8], [0.8, 0.6]]))
        states = torch.randn(3, 7, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        for estimator in ("batch_maximum", "product_bound", "mean_logarithm", "arithmetic_mean"):
            assert forcing_strength(model, states, estimator).item() == pytest.approx(0.5)
        with pytest.raises(fs.InputError, match="shallow PLRNNs only"):
            forcing_strength(model, states, "jacobian_bound")

    def test_estimates_are_ordered(self):
        model = disturbed("clipped shallow")
        states = torch.randn(4, 9, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        value = {
            name: forcing_strength(model, states, name).item()
            for name in ("jacobian_bound", "batch_maximum", "product_bound", "mean_logarithm", "arithmetic_mean")
        }
        assert value["jacobian_bound"] >= value["batch_maximum"] >= value["product_bound"] >= value["mean_logarithm"]
        assert value["batch_maximum"] >= value["arithmetic_mean"] >= 0.0

    def test_adaptive_strength_starts_at_one_and_is_kept(self, circle):
        model = fs.dynamics.ClippedShallowPLRNN(2, hidden=5).double()
        task = begun(model, circle, GTF(alpha="adaptive", sequence=20, every=1, keep=0.5))
        task.loss(model, np.arange(4))
        first = task.state()["gain/alpha"].item()
        assert 0.0 < first < 1.0
        task.loss(model, np.arange(4))
        other = begun(model, circle, GTF(alpha="adaptive", sequence=20, every=1, keep=0.5))
        other.restore(task.state())
        torch.manual_seed(1)
        a = task.loss(model, np.arange(4)).item()
        torch.manual_seed(1)
        assert other.loss(model, np.arange(4)).item() == a

    def test_strengths_of_replicas_may_be_a_list(self, circle):
        model = fs.dynamics.ClippedShallowPLRNN(2, 2, 5, replicas=2)
        task = begun(model.double(), circle, GTF(alpha=[0.1, 0.3], sequence=20))
        window, _ = task.windows.draw(3, 2)
        np.testing.assert_allclose(task.gain.at(model, window, 0.0)[:, 0].numpy(), [0.1, 0.3])

    def test_annealed_strength(self, circle):
        model = fs.dynamics.ALRNN(2, 4, 1).double()
        task = begun(model, circle, GTF(alpha=0.4, final=0.1, anneal=2, sequence=20))
        window = torch.zeros(2, 21, 3, dtype=torch.float64)
        gains = [task.gain.at(model, window, progress)[0].item() for progress in (0.0, 0.5, 1.0)]
        assert gains == pytest.approx([0.4, 0.2, 0.1])

    def test_interval_of_a_sine(self):
        t = torch.arange(4000, dtype=torch.float64)
        recording = as_recording(trajectory(torch.sin(2 * torch.pi * t / 40)[:, None]))
        # the autocorrelation cos(2 pi k / 40) falls below 1/e at k = 7.6; the mutual information has its dip near 10
        assert 7 <= forcing_interval(recording) <= 10

    def test_windows_stay_within_trajectories(self):
        pieces = [
            trajectory(torch.stack([torch.arange(n) + 1000.0 * n, -(torch.arange(n) ** 2)], 1)) for n in (12, 30, 5)
        ]
        recording = as_recording(pieces)
        windows = Windows([recording], 10, device="cpu", dtype=torch.float64)
        torch.manual_seed(0)
        drawn, _ = windows.draw(500, None)
        original = drawn[0] * recording.scale[0] + recording.mean[0]
        assert original.shape == (10, 500)
        torch.testing.assert_close(original.diff(dim=0), torch.ones(9, 500, dtype=torch.float64))
        with pytest.raises(fs.InputError, match="as long as a window of 31 instants; the longest has 30"):
            Windows([recording], 31, device="cpu", dtype=torch.float64)


class TestFit:
    def test_it_beats_persistence_by_far(self, circle, trained):
        error = fs.dynamics.metrics.prediction_error(trained, circle, horizon=20)
        values = circle.coefficients
        persistence = (values[20:] - values[:-20]).square().mean().item()
        assert error < persistence / 100

    def test_loss_falls_and_history_is_kept(self, trained):
        losses = [record["loss"] for record in trained.history]
        assert len(losses) == 40 and losses[-1] < losses[0] / 30
        assert trained.provenance["training"]["algorithm"] == "SparseTeacherForcing"

    def test_rollout(self, circle, trained):
        run = trained.rollout(circle[:1], 50)
        assert run.space.domain.count == 51 and run.space.domain.step == pytest.approx(0.1)
        assert run.space.components == ("x", "y") and run.units == "V" and run.dtype == circle.dtype
        assert torch.equal(run.coefficients[0], circle.coefficients[0])
        torch.testing.assert_close(run.coefficients, circle.coefficients[:51], rtol=0.0, atol=0.3)
        batch = trajectory(circle.coefficients[:6].reshape(2, 3, 2))
        both = trained.rollout(batch, 4)
        assert both.batch_shape == (2,)
        alone = trained.rollout(circle[2:3], 4)
        torch.testing.assert_close(both.coefficients[0], alone.coefficients, rtol=0.0, atol=1e-5)

    def test_one_step_from_every_state(self, circle, trained):
        following = trained(circle)
        assert following.space.domain.start == pytest.approx(0.1)
        torch.testing.assert_close(following.coefficients[:-1], circle.coefficients[1:], rtol=0.0, atol=0.1)

    def test_save_and_load(self, circle, trained, tmp_path):
        trained.save(tmp_path / "map")
        again = fs.load(tmp_path / "map")
        assert repr(again) == repr(trained) and again.history == trained.history
        assert torch.equal(again.rollout(circle[:1], 30).coefficients, trained.rollout(circle[:1], 30).coefficients)
        (tmp_path / "map" / "model.safetensors").write_bytes(b"junk")
        with pytest.raises(fs.CheckpointError, match="damaged"):
            fs.load(tmp_path / "map")

    def test_same_seed_same_bytes(self, circle):
        def run(seed):
            model = fs.dynamics.ALRNN(2, 4, 1)
            return fs.fit(model, circle, algorithm=STF(interval=5, sequence=10), epochs=1, seed=seed, progress=False)

        first, second, other = run(0), run(0), run(1)
        assert torch.equal(first.model.W, second.model.W)
        assert not torch.equal(first.model.W, other.model.W)

    def test_a_resumed_run_takes_the_same_steps(self, circle, tmp_path):
        algorithm = GTF(alpha="adaptive", sequence=10)

        def run(folder, seconds=None):
            model = fs.dynamics.ClippedShallowPLRNN(2, hidden=4)
            return fs.fit(model, circle, algorithm=algorithm, epochs=3, seed=0, folder=folder, progress=False)

        whole = run(tmp_path / "whole")

        class StoppedError(Exception):
            pass

        original = fs.dynamics.GeneralizedTeacherForcing.begin

        def stopping(self, *args, **kwargs):
            task = original(self, *args, **kwargs)
            loss, calls = task.loss, []

            def limited(model, rows):
                calls.append(1)
                if len(calls) > 110:
                    raise StoppedError
                return loss(model, rows)

            task.loss = limited
            return task

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fs.dynamics.GeneralizedTeacherForcing, "begin", stopping)
            with pytest.raises(StoppedError):
                model = fs.dynamics.ClippedShallowPLRNN(2, hidden=4)
                fs.fit(
                    model, circle, algorithm=algorithm, epochs=3, seed=0, folder=tmp_path / "part",
                    checkpoint_seconds=0.0, progress=False,
                )  # fmt: skip
        resumed = run(tmp_path / "part")
        assert torch.equal(whole.model.W1, resumed.model.W1)

    def test_replicas_learn_as_if_alone_and_each_its_own_data(self, circle):
        slow = trajectory(
            torch.stack([torch.cos(0.02 * torch.arange(900.0)), torch.sin(0.02 * torch.arange(900.0))], 1)
        )
        model = fs.dynamics.ALRNN(2, 4, 1, replicas=2)
        data = fs.dynamics.PerReplica([circle, slow])
        fitted = fs.fit(
            model, data, algorithm=STF(interval=10, sequence=30, noise=0.0), epochs=36, seed=0, progress=False
        )
        assert fitted.mean[0].tolist() == pytest.approx(circle.coefficients.mean(dim=0).tolist(), rel=1e-6)
        for i, orbit in enumerate((circle, slow)):
            error = fs.dynamics.metrics.prediction_error(fitted.replica(i), orbit, horizon=5)
            persistence = (orbit.coefficients[5:] - orbit.coefficients[:-5]).square().mean().item()
            assert error < persistence / 5
        run = fitted.rollout(circle[:1], 7)
        assert run.batch_shape == (2,)
        torch.testing.assert_close(run.coefficients[1], fitted.replica(1).rollout(circle[:1], 7).coefficients)
        scores = fitted.evaluate(circle)
        assert scores["spectral_distance"].shape == (2,) and scores["prediction_error_20"][0] < 0.05

    def test_a_replica_that_runs_away_does_not_stop_the_others(self, circle):
        model = fs.dynamics.ALRNN(2, 4, 1, replicas=2)
        with torch.no_grad():
            model.A[1] = 1e30
        before = model.W.detach().clone()
        fs.fit(model, circle, algorithm=STF(interval=10, sequence=30), epochs=1, seed=0, progress=False)
        assert bool(torch.isfinite(model.W).all())
        assert not torch.equal(model.W[0], before[0]) and torch.equal(model.W[1], before[1])

    def test_divergence_is_an_error_with_the_last_finite_state(self, circle):
        model = fs.dynamics.ALRNN(2, 4, 1)
        with torch.no_grad():
            model.A.fill_(1e30)
        with pytest.raises(fs.SolverError, match="loss became") as caught:
            fs.fit(model, circle, algorithm=STF(interval=10, sequence=30), epochs=1, seed=0, progress=False)
        assert set(caught.value.state) == set(model.state_dict())

    def test_validation_scores_choose_the_best_epoch(self, circle):
        fitted = fs.fit(
            fs.dynamics.ALRNN(2, 4, 1), circle, validation=circle[:400], algorithm=STF(interval=10, sequence=30),
            epochs=4, validate_every=2, seed=0, progress=False,
        )  # fmt: skip
        scored = [r for r in fitted.history if "state_space_divergence" in r]
        assert len(scored) == 2
        best = min(r["state_space_divergence"] for r in scored)
        assert fitted.evaluate(circle[:400])["state_space_divergence"] == pytest.approx(best, rel=1e-6)

    def test_inputs_drive_the_map(self):
        # x_t = x_{t-1} / 2 + s_t: only with the input can it be predicted
        generator = torch.Generator().manual_seed(0)
        s = torch.randn(1200, generator=generator, dtype=torch.float64)
        x = torch.zeros(1200, dtype=torch.float64)
        for t in range(1, 1200):
            x[t] = 0.5 * x[t - 1] + s[t]
        orbit, drive = trajectory(x[:, None]), trajectory(s[:, None])
        fitted = fs.fit(
            fs.dynamics.ALRNN(1, 2, 1, inputs=1), orbit,
            algorithm=STF(interval=5, sequence=10, noise=0.0, inputs=drive), epochs=36, seed=0, progress=False,
        )  # fmt: skip
        run = fitted.rollout(orbit[:1], 100, inputs=trajectory(s[1:101, None]))
        assert (run.coefficients - orbit.coefficients[:101]).abs().max() < 0.1
        with pytest.raises(fs.InputError, match=r"inputs must hold 1 components at 5 instants"):
            fitted.rollout(orbit[:1], 5, inputs=trajectory(s[1:4, None]))


class TestBadInput:
    def test_data(self, circle):
        model = fs.dynamics.ALRNN(2, 4, 1)
        flat = trajectory(torch.stack([torch.arange(100.0), torch.ones(100)], dim=1))
        with pytest.raises(fs.InputError, match="component 'y' of data is constant"):
            begun(model, flat, STF())
        empty = trajectory(torch.stack([torch.arange(100.0), torch.full((100,), math.nan)], dim=1))
        with pytest.raises(fs.InputError, match="component 'y' of data has no values, only NaN"):
            begun(model, empty, STF(missing=True))
        with pytest.raises(fs.InputError, match="a single instant"):
            begun(model, circle[:1], STF())
        with pytest.raises(fs.InputError, match=r"learn from trajectories.*algorithm=fs\.dynamics"):
            fs.fit(model, circle, epochs=1)
        with pytest.raises(fs.InputError, match="the model observes 3 components; the data have 2"):
            begun(fs.dynamics.ALRNN(3, 4, 1), circle, STF())
        with pytest.raises(fs.InputError, match="takes 1 external inputs; the algorithm gives 0"):
            begun(fs.dynamics.ALRNN(2, 4, 1, inputs=1), circle, STF())
        with pytest.raises(fs.InputError, match="no trajectory of the data is as long as a window of 2001"):
            begun(model, circle, STF(sequence=2000))
        with pytest.raises(fs.InputError, match="must be a trajectory"):
            begun(model, torch.zeros(100, 2), STF())
        with pytest.raises(fs.InputError, match="trains recurrent maps"):
            begun(torch.nn.Linear(2, 2), circle, STF())
        with pytest.raises(fs.InputError, match="PerReplica holds 2 recordings; the model has replicas=None"):
            begun(model, fs.dynamics.PerReplica([circle, circle]), STF())
        with pytest.raises(fs.InputError, match="same components and step; trajectory 1"):
            begun(model, [circle, trajectory(circle.coefficients, step=0.2)], STF())
        with pytest.raises(fs.InputError, match="the model observes 2 components; validation has 1"):
            fs.fit(model, circle, validation=trajectory(circle.coefficients[:, :1]), algorithm=STF(), epochs=1)

    def test_scores_and_replicas(self, circle, trained):
        line = trajectory(circle.coefficients[:, :1])
        with pytest.raises(fs.InputError, match=r"the model observes 2 components; test has 1, \('x',\)"):
            trained.evaluate(line)
        with pytest.raises(fs.InputError, match="the model observes 2 components; the orbit has"):
            trained.model.symbolic_code(line)
        with pytest.raises(fs.InputError, match="no replicas to choose from"):
            trained.replica(0)
        with pytest.raises(fs.InputError, match="there is no replica 2; the model has 2"):
            disturbed("ALRNN", replicas=2).replica(2)

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: GTF(alpha=1.5), "alpha must lie between 0 and 1"),
            (lambda: GTF(alpha="slow"), '"adaptive"'),
            (lambda: GTF(estimator="largest"), "estimator must be one of"),
            (lambda: GTF(alpha=None), "alpha must lie between 0 and 1"),
            (lambda: STF(interval=0), "interval must be a whole number of at least 1, got 0"),
            (lambda: STF(interval="auto"), "interval must be a whole number of at least 1, got 'auto'"),
            (lambda: STF(forced=1.5), "forced must be a whole number of at least 1"),
            (lambda: STF(noise=-1.0), "noise must not be negative"),
            (lambda: STF(sequence=0), "sequence must be a whole number of at least 1"),
            (lambda: STF(sequence=50.5), "sequence must be a whole number of at least 1"),
        ],
    )
    def test_settings(self, make, message):
        with pytest.raises(fs.InputError, match=message):
            make()

    def test_rollouts(self, circle, trained):
        for steps in (0, 1.5):
            with pytest.raises(fs.InputError, match="steps must be a whole number of at least 1"):
                trained.rollout(circle[:1], steps)
        with pytest.raises(fs.InputError, match=r"makes steps of 0\.1"):
            trained.rollout(trajectory(circle.coefficients, step=0.3), 3)
        broken = trajectory(torch.full((1, 2), math.nan))
        with pytest.raises(fs.InputError, match="NaN or infinity"):
            trained.rollout(broken, 3)


@pytest.mark.parametrize("observation", ["identity", "affine", "affine-detached", "network"])
def test_a_missing_value_does_not_reach_the_gradients(observation):
    values = torch.randn(30, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values[10, 1] = torch.nan
    model = fs.dynamics.ALRNN(3, 5, 1, observation=observation, seed=1).double()
    task = begun(model, trajectory(values), STF(interval=3, sequence=29, noise=0.0, missing=True))
    task.loss(model, np.arange(1)).backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in model.parameters() if p.grad is not None)


def test_the_estimated_interval_bears_gaps():
    orbit = fs.dynamics.system("Lorenz").trajectory(5000, dt=0.01, seed=0)
    whole, generator = forcing_interval(as_recording(orbit)), np.random.default_rng(0)
    for share in (0.3, 0.6):
        for shape in (orbit.coefficients.shape, (5000, 1)):
            lost = torch.from_numpy(generator.random(shape) < share).expand(orbit.coefficients.shape)
            gaps = fs.Function(orbit.space, orbit.coefficients.masked_fill(lost, torch.nan))
            assert abs(forcing_interval(as_recording(gaps, missing=True)) - whole) <= 0.3 * whole
    still = torch.ones_like(orbit.coefficients)
    assert forcing_interval(as_recording([orbit, fs.Function(orbit.space, still)])) == whole


def test_other_data_or_inputs_are_another_run(circle, tmp_path):
    space = fs.FunctionSpace(circle.space.domain, components=("s", "r"))
    inputs = [fs.Function(space, torch.randn(1500, 2, generator=torch.Generator().manual_seed(k))) for k in (0, 1)]

    def run(data, driving):
        algorithm = STF(interval=10, sequence=30, inputs=driving)
        fs.fit(
            fs.dynamics.ALRNN(2, 4, 1, inputs=2), data, algorithm=algorithm, epochs=1, batch_size=200,
            folder=tmp_path, progress=False,
        )  # fmt: skip

    run(circle, inputs[0])
    run(circle, inputs[0])
    backwards = fs.Function(circle.space, circle.coefficients.flip(0))
    for data, driving in ((circle, inputs[1]), (backwards, inputs[0])):
        with pytest.raises(fs.CheckpointError):
            run(data, driving)


def test_inputs_fit_the_states_they_drive(circle):
    space = fs.FunctionSpace(circle.space.domain, components=("s", "r"))
    driving = fs.Function(space, torch.randn(1500, 2, generator=torch.Generator().manual_seed(0)))
    algorithm = STF(interval=10, sequence=30, inputs=driving)
    found = fs.fit(fs.dynamics.ALRNN(2, 4, 1, inputs=2), circle, algorithm=algorithm, epochs=1, progress=False)
    four = fs.Function(circle[:1].space, torch.stack([circle[k : k + 1].coefficients for k in range(4)]))

    def given(*batch, step=0.1):
        values = torch.randn(*batch, 10, 2, generator=torch.Generator().manual_seed(1))
        return fs.Function(fs.FunctionSpace(fs.Times(0.0, step, 10), components=("s", "r")), values)

    together = found.rollout(four, 10, inputs=given(4))
    alone = found.rollout(circle[2:3], 10, inputs=fs.Function(given().space, given(4).coefficients[2]))
    torch.testing.assert_close(together.coefficients[2], alone.coefficients, rtol=1e-6, atol=1e-6)
    assert found.rollout(four, 10, inputs=given()).batch_shape == (4,)
    for wrong in (given(2), given(3), given(step=7.0), given() * math.nan):
        with pytest.raises(fs.InputError, match="input"):
            found.rollout(four, 10, inputs=wrong)
    with pytest.raises(fs.InputError, match="step"):
        other = fs.Function(fs.FunctionSpace(fs.Times(0.0, 0.7, 1500), components=("s", "r")), driving.coefficients)
        fs.fit(fs.dynamics.ALRNN(2, 4, 1, inputs=2), circle, algorithm=STF(interval=3, inputs=other), progress=False)


@pytest.mark.parametrize("name", ["ALRNN", "centred", "shallow", "clipped dendritic"])
def test_the_attractor_penalty_is_of_the_map_of_the_last_units(name):
    model = disturbed(name)
    weights = model.named_weights()
    matrix, bias = (weights["W1"], weights["h1"]) if "W1" in weights else (weights["W"], weights["h"])
    kept = model.latent // 2
    expected = (1.0 - weights["A"][-kept:]).square().sum() + matrix[-kept:].square().sum() + bias[-kept:].square().sum()
    torch.testing.assert_close(model.attractor_penalty(0.5), expected)


@pytest.mark.parametrize("observation", ["identity", "affine", "network"])
def test_replicas_take_one_state_each(observation):
    model = fs.dynamics.ClippedShallowPLRNN(3, 5, 7, replicas=4, observation=observation, seed=2)
    z = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    for apply, x in ((model.step, z), (model.observe, z), (model.start, z[:, :3])):
        torch.testing.assert_close(apply(x), apply(x[:, None])[:, 0])


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_data_far_from_zero_are_learned_as_well(offset):
    orbit = fs.dynamics.system("Lorenz").trajectory(500, dt=0.02, seed=0)
    data = fs.Function(orbit.space, 0.01 * orbit.coefficients + offset)
    found = fs.fit(fs.dynamics.NVAR(3, degree=2), data, algorithm=fs.dynamics.RidgeRegression(ridge=1e-6))
    error = found(data[:-1]).coefficients - data.coefficients[found.context :]
    assert float(error.abs().max() / data.coefficients.std(dim=0).min()) < 1e-3


def test_what_cannot_be_validated_is_refused_before_the_training(circle):
    model, algorithm = fs.dynamics.ALRNN(2, 4, 1), STF(interval=10, sequence=30)
    with pytest.raises(fs.InputError, match="at least 21 instants"):
        fs.fit(model, circle, validation=circle[:15], algorithm=algorithm, epochs=10**9, validate_every=10**9)
    with pytest.raises(fs.InputError, match="monitor must be one of"):
        fs.fit(model, circle, validation=circle, monitor="typo", algorithm=algorithm, epochs=10**9)


def test_numbers_of_numpy_and_wrong_ones():
    require_counts(steps=np.int64(3))
    for wrong in (
        lambda: GTF(alpha=0.0, final=0.1),
        lambda: GTF(alpha=(0.0, 0.2), final=0.1),
        lambda: fs.dynamics.DendriticPLRNN(3, 5, 0),
        lambda: fs.dynamics.DendriticPLRNN(3, 5, 2.0),
        lambda: fs.dynamics.ALRNN(3, 5, 1.0),
        lambda: fs.dynamics.ALRNN(3, 5, 1, inputs=1.5),
        lambda: fs.dynamics.choose_relu(None, candidates=(1.0,)),
    ):
        with pytest.raises(fs.InputError):
            wrong()


def test_steps_however_short_are_compared():
    t = torch.arange(400, dtype=torch.float64)
    a, b = (torch.stack([torch.cos(w * t), torch.sin(w * t)], dim=1) for w in (0.1, 0.5))
    with pytest.raises(fs.InputError, match="same components and step"):
        as_recording([trajectory(a, step=1e-9), trajectory(b, step=5e-9)])
