"""Multiple shooting: the loss and its gradient, that it learns, resumes, and bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import funcspace as fs
from tests.dynamics.reconstruction.interruption import stopped_after
from tests.dynamics.reconstruction.maps import MODELS, disturbed
from tests.dynamics.reconstruction.test_training import begun, trajectory

MS = fs.dynamics.MultipleShooting
GROWING = MS(length=20, weight=0.1, final=10.0, anneal=300)


def scattered(task, seed=0):
    """Move the starts away from the data."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        task.starts.add_(0.1 * torch.randn(task.starts.shape, generator=generator, dtype=torch.float64))


@pytest.fixture(scope="module")
def noise():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(25, 3, generator=generator, dtype=torch.float64)


@pytest.fixture(scope="module")
def rotation():
    """A slow rotation with an offset and unequal scales."""
    t = torch.arange(801, dtype=torch.float64) * 0.1
    return trajectory(torch.stack([3.0 + 2.0 * torch.cos(0.7 * t), -1.0 + 0.5 * torch.sin(0.7 * t)], dim=1))


def van_der_pol(count):
    """x'' = 2 (1 - x^2) x' - x by the classical Runge-Kutta scheme, every 0.1."""

    def velocity(z):
        return torch.stack([z[1], 2.0 * (1.0 - z[0] ** 2) * z[1] - z[0]])

    z, states = torch.tensor([2.0, 0.0], dtype=torch.float64), []
    for _ in range(count):
        for _ in range(2):
            a = velocity(z)
            b = velocity(z + 0.025 * a)
            c = velocity(z + 0.025 * b)
            z = z + 0.05 / 6.0 * (a + 2.0 * b + 2.0 * c + velocity(z + 0.05 * c))
        states.append(z)
    return trajectory(torch.stack(states))


class TestLoss:
    @pytest.mark.parametrize("name", list(MODELS))
    def test_against_a_loop(self, noise, name):
        model = disturbed(name)
        # two trajectories: segments 0-1-2 meet, then 3-4; the rest of each is left out
        pieces = [trajectory(noise[:15]), trajectory(noise[15:])]
        task = begun(model, pieces, MS(length=4, weight=0.3))
        assert task.samples == 5 and task.starts.shape == (model.latent, 5)
        scattered(task)
        x = (noise - noise.mean(dim=0)) / noise.std(dim=0, correction=0)
        expected = []
        for k, (first, follower) in enumerate([(0, 1), (4, 2), (8, None), (15, 4), (19, None)]):
            z, error = task.starts[:, k], []
            for t in range(5):
                error.append((model.observe(z) - x[first + t]).square().mean())
                z = model.step(z) if t < 4 else z
            gap = 0.0 if follower is None else (z - task.starts[:, follower]).square().mean()
            expected.append(torch.stack(error).mean() + 0.3 * gap)
        rows = np.array([3, 0, 4, 1])
        loss = task.loss(model, rows)
        assert loss.item() == pytest.approx(torch.stack([expected[i] for i in rows]).mean().item(), rel=1e-10)

    def test_a_true_orbit_leaves_no_loss(self):
        model = disturbed("ALRNN")
        orbit = model.generate_latent(0.1 * torch.ones(1, 9, dtype=torch.float64), 21)[0]
        task = begun(model, trajectory(orbit[:, :3]), MS(length=5, weight=10.0))
        # on unstandardised components the orbit is the model's own
        task.segments._values = [orbit[:, :3].unfold(0, 6, 5).mT]
        with torch.no_grad():
            task.starts.copy_(orbit[:-1:5].mT)
        assert task.loss(model, np.arange(4)).item() < 1e-20

    def test_gradient_of_starts_and_weights_by_finite_differences(self, noise):
        model = disturbed("clipped shallow")
        rows = np.arange(4)

        def gaps(weight):
            task = begun(model, trajectory(noise), MS(length=6, weight=weight))
            scattered(task)
            return task

        task, without = gaps(2.0), gaps(0.0)
        generator = torch.Generator().manual_seed(1)
        unknowns = [task.starts, model.A, model.W1, model.W2, model.h1, model.h2]
        found = torch.autograd.grad(task.loss(model, rows), unknowns)
        of_error = torch.autograd.grad(without.loss(model, rows), [without.starts, *unknowns[1:]])
        for unknown, whole, error in zip(unknowns, found, of_error, strict=True):
            direction = torch.randn(unknown.shape, generator=generator, dtype=torch.float64)
            slope = []
            for sign in (1.0, -1.0):
                with torch.no_grad():
                    unknown.add_(sign * 1e-6 * direction)
                    if unknown is task.starts:
                        without.starts.copy_(unknown)
                    slope.append((task.loss(model, rows) - without.loss(model, rows)).item())
                    unknown.sub_(sign * 1e-6 * direction)
            expected = (slope[0] - slope[1]) / 2e-6
            assert ((whole - error) * direction).sum().item() == pytest.approx(expected, rel=1e-5, abs=1e-9)

    def test_weight_grows_geometrically(self, noise):
        task = begun(disturbed("ALRNN"), trajectory(noise), MS(length=6, weight=0.01, final=1.0, anneal=2))
        weights = []
        for _ in range(4):
            weights.append(task.weight)
            task.loss(task.model, np.arange(2))
        assert weights == pytest.approx([0.01, 0.1, 1.0, 1.0])

    def test_missing_values_and_inputs(self, noise):
        values = noise.clone()
        values[6:8, 1] = torch.nan
        model = disturbed("ALRNN", inputs=1)
        drive = trajectory(noise[:, :1])
        task = begun(model, trajectory(values), MS(length=8, weight=0.0, missing=True, inputs=drive))
        x = (values - values.nanmean(dim=0)) / task._whole.recordings[0].scale
        z, errors = task.starts[:, 0], []
        for t in range(9):
            known = x[t].isfinite()
            errors.append((z[:3] - x[t])[known].square())
            if t < 8:
                z = model.step(z) + model.C[:, 0] * noise[t + 1, 0]
        assert task.loss(model, np.arange(1)).item() == pytest.approx(torch.cat(errors).mean().item(), rel=1e-10)

    def test_replicas_are_as_if_alone(self, noise):
        model = disturbed("dendritic", replicas=2)
        data = fs.dynamics.PerReplica([trajectory(noise), trajectory(2.0 * noise[:13] + 1.0)])
        task = begun(model, data, MS(length=4, weight=0.7))
        assert task.samples == 6
        scattered(task)
        rows = np.array([0, 1, 4, 5])
        total = 0.0
        for i, each in enumerate((rows, rows % 3)):
            single = begun(model.replica(i), data.data[i], MS(length=4, weight=0.7))
            with torch.no_grad():
                single.starts.copy_(task.starts[i, :, : single.samples])
            total += single.loss(single.model, each).item()
        assert task.loss(model, rows).item() == pytest.approx(total, rel=1e-10)


class TestFit:
    def test_it_recovers_a_rotation(self, rotation):
        fitted = fs.fit(
            fs.dynamics.ALRNN(2, 2, 0), rotation, algorithm=GROWING, epochs=250, batch_size=40, learning_rate=2e-2,
            seed=0, progress=False,
        )  # fmt: skip
        jacobian = fitted.model.jacobian(torch.zeros(1, 2))[0].double()
        turned = torch.linalg.eigvals(jacobian.detach()).numpy()
        # the multipliers of the true flow over one step, exp(+-0.07 i)
        np.testing.assert_allclose(np.sort_complex(turned), np.exp([-0.07j, 0.07j]), atol=2e-3)

    def test_it_beats_persistence_on_the_van_der_pol_oscillator_by_far(self):
        orbit = van_der_pol(2000)
        train, test = orbit[:1500], orbit[1500:]
        fitted = fs.fit(
            fs.dynamics.ClippedShallowPLRNN(2, hidden=25), train, algorithm=MS(length=15, weight=1.0), epochs=60,
            batch_size=25, learning_rate=1e-2, seed=0, progress=False,
        )  # fmt: skip
        error = fs.dynamics.metrics.prediction_error(fitted, test, horizon=20)
        values = test.coefficients
        persistence = (values[20:] - values[:-20]).square().mean().item()
        assert error < persistence / 8

    def test_neural_ode(self, rotation):
        fitted = fs.fit(
            fs.dynamics.NeuralODE(2, hidden=(8,)), rotation, algorithm=MS(segments=80), epochs=10, batch_size=80,
            learning_rate=1e-2, seed=0, progress=False,
        )  # fmt: skip
        losses = [record["loss"] for record in fitted.history]
        assert losses[-1] < losses[0] / 5

    def test_the_starts_learn_and_are_not_kept(self, rotation):
        model = fs.dynamics.ALRNN(2, 4, 1)
        names = set(model.state_dict())
        tasks, begin = [], MS.begin
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(MS, "begin", lambda *a, **o: tasks.append(begin(*a, **o)) or tasks[-1])
            fitted = fs.fit(
                model, rotation, algorithm=GROWING, epochs=2, learning_rate=1e-2, weight_decay=1.0, seed=0,
                progress=False,
            )  # fmt: skip
        before = begin(GROWING, model, rotation, None, device=torch.device("cpu"), dtype=torch.float32)
        assert 1e-3 < (tasks[0].starts - before.starts)[:2].abs().max() < 0.1
        assert set(fitted.model.state_dict()) == names

    def test_a_resumed_run_takes_the_same_steps(self, rotation, tmp_path):
        def run(folder, epochs=6):
            return fs.fit(
                fs.dynamics.ALRNN(2, 4, 1), rotation, algorithm=GROWING, epochs=epochs, batch_size=16, seed=0,
                folder=folder, checkpoint_seconds=0.0, progress=False,
            )  # fmt: skip

        whole = run(tmp_path / "whole")
        with stopped_after(10, torch.optim.Adam):
            run(tmp_path / "part")
        resumed = run(tmp_path / "part")
        for name, weight in whole.model.state_dict().items():
            assert torch.equal(weight, resumed.model.state_dict()[name]), name
        assert math.isclose(whole.history[-1]["loss"], resumed.history[-1]["loss"], rel_tol=0.0)

    def test_a_replica_that_runs_away_does_not_stop_the_others(self, rotation):
        model = fs.dynamics.ALRNN(2, 4, 1, replicas=2)
        with torch.no_grad():
            model.A[1] = 1e30
        before = model.W.detach().clone()
        fs.fit(model, rotation, algorithm=GROWING, epochs=1, seed=0, progress=False)
        assert bool(torch.isfinite(model.W).all())
        assert not torch.equal(model.W[0], before[0]) and torch.equal(model.W[1], before[1])


class TestBadInput:
    def test_settings(self):
        for arguments, message in {
            (): "one of length and segments",
            (("length", 3), ("segments", 4)): "one of length and segments; got length=3, segments=4",
            (("length", 0),): "length must be a whole number of at least 1, got 0",
            (("segments", 2.5),): "segments must be a whole number of at least 1",
            (("length", 3), ("weight", -1.0)): "weight must be finite and not negative",
            (("length", 3), ("weight", 0.0), ("final", 1.0)): "final and the weight it starts from",
            (("length", 3), ("start_rate", 0.0)): "start_rate must be finite and positive",
        }.items():
            with pytest.raises(fs.InputError, match=message):
                MS(**dict(arguments))

    def test_data_and_models(self, noise):
        data = trajectory(noise)
        with pytest.raises(fs.InputError, match="as long as a segment of 26 instants; the longest has 25"):
            begun(disturbed("ALRNN"), data, MS(length=25))
        with pytest.raises(fs.InputError, match="25 instants cannot be cut into 25 segments"):
            begun(disturbed("ALRNN"), data, MS(segments=25))
        with pytest.raises(fs.InputError, match=r"whole state can be set.*got GRU"):
            begun(fs.dynamics.GRU(3), data, MS(length=4))
        with pytest.raises(fs.InputError, match="the model observes 2 components; the data have 3"):
            begun(fs.dynamics.ALRNN(2, 4, 1), data, MS(length=4))
