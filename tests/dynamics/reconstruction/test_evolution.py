"""The evolution strategy: what its changes do to predictions, its step, what it keeps, that it learns and resumes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import funcspace as fs
from funcspace.dynamics.reconstruction.evolution.copies import Copies, weight_rows
from funcspace.dynamics.reconstruction.evolution.kept_topology import CHANGED, MISPLACED, SHARE, KeptTopology
from funcspace.dynamics.reconstruction.evolution.perturbations import Perturbations
from funcspace.dynamics.reconstruction.evolution.task import EvolutionTask
from funcspace.dynamics.reconstruction.windows import Windows, as_recording
from tests.dynamics.reconstruction.interruption import stopped_after
from tests.dynamics.reconstruction.maps import MODELS, disturbed
from tests.dynamics.reconstruction.test_training import begun, trajectory

ES = fs.dynamics.EvolutionStrategy
SHORT = {"orbits": 4, "steps": 300, "transient": 50}


@pytest.fixture(scope="module")
def lorenz():
    """A standardised orbit of Lorenz-63."""
    return fs.dynamics.system("Lorenz").trajectory(20_000, dt=0.01, seed=0, standardise=True)


@pytest.fixture(scope="module")
def trained(lorenz):
    """Weights of an almost-linear RNN that forcing has brought close to it."""
    model = fs.dynamics.ALRNN(3, 12, 2, seed=0)
    forcing = fs.dynamics.SparseTeacherForcing(interval=16, noise=0.02)
    found = fs.fit(model, lorenz, algorithm=forcing, epochs=20, seed=0, progress=False)
    return {name: value.clone() for name, value in found.model.state_dict().items()}


@pytest.fixture
def close(trained):
    model = fs.dynamics.ALRNN(3, 12, 2, seed=0)
    model.load_state_dict(trained)
    return model


@pytest.fixture(scope="module")
def noise():
    generator = torch.Generator().manual_seed(0)
    return trajectory(torch.randn(200, 3, generator=generator, dtype=torch.float64))


class TestCopies:
    @pytest.mark.parametrize("name", list(MODELS))
    def test_rows_of_weights_are_models(self, name):
        several = disturbed(name, replicas=3)
        rows = weight_rows(several)
        copies = Copies(several)
        assert torch.equal(weight_rows(copies.of(rows)), rows)
        start = torch.randn(4, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        swapped = copies.of(rows[[2, 0]]).generate(start.expand(2, 4, 3), 20)
        for copy, replica in zip(swapped, (2, 0), strict=True):
            torch.testing.assert_close(copy, several.replica(replica).generate(start, 20))

    def test_of_a_single_model_with_an_affine_observation(self):
        model = fs.dynamics.ClippedShallowPLRNN(3, 4, hidden=11, observation="affine").double()
        rows = weight_rows(model)
        assert rows.shape == (1, sum(p.numel() for p in model.parameters()))
        start = torch.randn(5, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        found = Copies(model).of(rows.expand(2, -1)).generate(start.expand(2, 5, 3), 10)
        torch.testing.assert_close(found, model.generate(start, 10).expand(2, 5, 10, 3))


class TestPerturbations:
    def changes(self, model, data, damping=1e-4, horizon=20):
        """Changes of the weights, and of predictions over many windows, both divided by the spread."""
        recording = as_recording(data)
        windows = Windows([recording], horizon + 1, device="cpu", dtype=torch.float64)
        copies, row = Copies(model), weight_rows(model)[0]
        torch.manual_seed(0)
        perturbations = Perturbations(model, row, windows, 0, 1, damping)
        drawn = windows.draw(1000, 1)[0]
        spread = 1e-5
        changes = perturbations.draw(64)
        gain = torch.zeros(64, horizon, dtype=torch.float64)
        several = drawn.expand(64, -1, -1, -1).contiguous()
        with torch.no_grad():
            before = copies.of(row.expand(64, -1))(several, gain)
            after = copies.of(row + spread * changes)(several, gain)
        return changes, (after - before) / spread

    def test_predictions_change_by_one(self, close, lorenz):
        _, moved = self.changes(close.double(), lorenz)
        assert moved.square().mean().sqrt().item() == pytest.approx(1.0, rel=0.1)

    def test_all_directions_of_prediction_space_are_reached_alike(self, close, lorenz):
        """Changes of equal size in all weights move predictions along a few directions only."""
        close = close.double()

        def effective(moved):
            values = torch.linalg.svdvals(moved.flatten(1)).square()
            return (values.sum().square() / values.square().sum()).item()

        _, moved = self.changes(close, lorenz)
        _, plain = self.changes(close, lorenz, damping=1e9)
        assert effective(moved) > 4 * effective(plain)

    def test_weights_without_influence_stay(self, close, lorenz):
        """Those of a unit that no other listens to."""
        close = close.double()
        with torch.no_grad():
            close.W[:, 5] = 0.0
        changes, _ = self.changes(close, lorenz)
        rows = changes[:, 12:156].reshape(64, 12, 12)
        sizes = rows.square().mean(dim=0).sqrt()
        assert sizes[5].max() < 1e-6 * sizes[0, 0]


class TestStep:
    def test_the_gradient_is_the_weighted_mean_of_the_better_half(self, noise, monkeypatch):
        model = disturbed("ALRNN", replicas=2)
        task = begun(model, noise, ES(**SHORT, horizon=5, spread=1e-2))
        seen = []

        def scores(self, rows, windows, replica, start):
            seen.append(rows)
            return np.array([3.0, 0.5, 2.0, 1.0, 4.0, 2.5])  # best first: 1, 3, 2

        monkeypatch.setattr(EvolutionTask, "_scores", scores)
        before = weight_rows(model)
        loss = task.loss(model, np.arange(6))
        loss.backward()
        assert loss.item() == 2.25
        weights = np.log(3.5) - np.log([1.0, 2.0, 3.0])
        weights /= weights.sum()
        gradient = torch.cat([p.grad.reshape(2, -1) for p in model.parameters()], dim=1)
        for replica, rows in enumerate(seen):
            changes = rows - before[replica]
            torch.testing.assert_close(changes[:3], -changes[3:])
            expected = -sum(w * changes[i] for w, i in zip(weights, (1, 3, 2), strict=True))
            torch.testing.assert_close(gradient[replica], expected)

    def test_changes_that_ruin_a_replica_have_no_part_in_it(self, noise, monkeypatch):
        model = disturbed("ALRNN", replicas=2)
        task = begun(model, noise, ES(**SHORT, horizon=5, spread=1e-2))
        seen = []

        def scores(self, rows, windows, replica, start):
            seen.append(rows)
            return np.array([np.inf, 2.0, np.inf, np.inf] if replica == 0 else [np.inf] * 4)

        monkeypatch.setattr(EvolutionTask, "_scores", scores)
        before = weight_rows(model)
        loss = task.loss(model, np.arange(4))
        loss.backward()
        assert loss.item() == 2.0
        gradient = torch.cat([p.grad.reshape(2, -1) for p in model.parameters()], dim=1)
        torch.testing.assert_close(gradient[0], before[0] - seen[0][1])
        assert gradient[1].abs().max() == 0.0

    def test_scores_add_divergence_error_and_topology(self, close, lorenz):
        """Against the public metrics on free runs of single models."""
        close = close.double()
        strategy = ES(**SHORT, error_weight=2.0, keep_topology=True)
        task = begun(close, lorenz, strategy)
        start = task._starts()[0]
        torch.manual_seed(3)
        windows = task._windows.draw(256, 1)[0][0]
        torch.manual_seed(4)
        rows = weight_rows(close) + 3e-3 * start.perturbations.draw(3)
        found = task._scores(rows, windows, 0, start)
        data = lorenz.coefficients.double().reshape(-1, 3)
        data = (data - data.mean(dim=0)) / data.std(dim=0, correction=0)
        for score, row in zip(found, rows, strict=True):
            single = Copies(close).of(row[None]).replica(0)
            runs = single.generate(windows[:, 0, :4].T, 350)[:, 50:]
            divergence = fs.dynamics.metrics.state_space_divergence(data.numpy(), runs.reshape(-1, 3).numpy())
            forecasts = single.generate(windows[:, 0].T, 40)
            error = (forecasts - windows[:, 1:].permute(2, 1, 0)).square().mean().item()
            states = single.generate_latent(single.start(windows[:, 0, :4].T), 350)[:, 50:].permute(2, 1, 0)
            kept = start.topology.penalty(Copies(close).of(row[None]), states[None])
            assert score == pytest.approx(divergence + 2.0 * error / start.error + kept.item(), rel=1e-6)

    def test_the_spread_falls_geometrically(self):
        strategy = ES(spread=1e-2, final=1e-4, anneal=10)
        found = [strategy.spread_at(i) for i in (0, 5, 10, 50)]
        assert found == pytest.approx([1e-2, 1e-3, 1e-4, 1e-4])

    def test_replicas_learn_from_their_own_data(self, close, lorenz):
        other = fs.dynamics.system("Lorenz").trajectory(5000, dt=0.01, seed=1, standardise=True)
        several = Copies(close).of(weight_rows(close).expand(2, -1))
        task = begun(several, fs.dynamics.PerReplica([lorenz, other]), ES(**SHORT))
        assert [truth.inside for truth in task._truth] == [20_000, 5000]
        task.loss(several, np.arange(4)).backward()
        assert all(bool((p.grad.reshape(2, -1).abs().sum(dim=1) > 0).all()) for p in several.parameters())


class TestKeptTopology:
    def kept(self, model, states):
        model = Copies(model).of(weight_rows(model))
        return model, KeptTopology.of(model, states[None])

    def states(self, model, count=2000):
        start = model.start(torch.zeros(2, 3, dtype=torch.float64) + 0.1)
        return model.generate_latent(start, count).permute(2, 1, 0)

    def test_it_agrees_with_the_analysis_of_single_models(self, close):
        close = close.double()
        states = self.states(close)
        _, kept = self.kept(close, states)
        codes = [close.symbolic_code(states[:, :, c].T.contiguous()) for c in range(2)]
        pairs = set()
        for code in codes:
            bits = [2 * int(a) + int(b) for a, b in code.regions]
            pairs |= {(bits[i], bits[j]) for i, j in np.argwhere(code.graph)}
        assert {(int(p) // 4, int(p) % 4) for p in kept.transitions.nonzero()} == pairs
        points = [p for p in close.fixed_points() if p.admissible]
        assert int((kept.points > 0).sum()) == len(points) > 0
        kinds = sorted(
            1 + 13 * p.unstable + sum(abs(m) > 1 and abs(m.imag) > 1e-9 for m in p.multipliers) for p in points
        )
        assert sorted(kept.points[kept.points > 0].tolist()) == kinds

    def test_what_has_not_changed_costs_nothing(self, close):
        close = close.double()
        states = self.states(close)
        model, kept = self.kept(close, states)
        assert kept.penalty(model, states[None]).item() == 0.0

    def test_what_has_changed_costs(self, close):
        close = close.double()
        states = self.states(close)
        model, kept = self.kept(close, states)
        foreign = states.clone()
        foreign[-2:] = -states[-2:]  # all transitions between the regions of opposite signs
        seen = kept.transitions
        mirrored = seen.reshape(4, 4).flip(0, 1).flatten()
        pairs = _pairs(foreign)
        expected = SHARE * float((~seen)[pairs].double().mean()) + CHANGED * float(not torch.equal(seen, mirrored))
        assert kept.penalty(model, foreign[None]).item() == pytest.approx(expected, rel=1e-12)
        assert not torch.equal(seen, mirrored)
        with torch.no_grad():
            model.h.neg_()  # the fixed points move to the other side
        assert kept.penalty(model, states[None]).item() == MISPLACED


def _pairs(states):
    bits = states[-2:] > 0
    region = 2 * bits[0].long() + bits[1].long()
    return (region[:-1] * 4 + region[1:]).flatten()


def lozi(count, seed):
    """Orbits of x -> 1 - 1.7 |x| + y, y -> 0.5 x, as (y, x)."""
    x, y = np.random.default_rng(seed).uniform(0.0, 0.1, 2)
    states = np.empty((count + 100, 2))
    for i in range(len(states)):
        x, y = 1.0 - 1.7 * abs(x) + y, 0.5 * x
        states[i] = y, x
    return trajectory(states[100:], step=1.0)


def lozi_map(data):
    """The almost-linear RNN that is the map of `lozi` on standardised states: |x| = 2 relu(x) - x."""
    model = fs.dynamics.ALRNN(2, 3, 1)
    model.standardise([as_recording(data)])
    (my, mx), (sy, sx) = model.mean.tolist(), model.scale.tolist()
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        model.observation.lift[0, 1] = sx
        model.W[0, 1], model.h[0] = 0.5 * sx / sy, (0.5 * mx - my) / sy
        model.A[1], model.W[1, 0], model.W[1, 2] = 1.7, sy / sx, -3.4 / sx
        model.h[1] = (1.0 + my + 1.7 * mx - mx) / sx
        model.W[2, :], model.h[2] = torch.tensor([sy, 1.7 * sx, -3.4]), 1.0 + my + 1.7 * mx
    return model


class TestTraining:
    @pytest.mark.parametrize("seed", [0, 1, 2])
    def test_a_disturbed_map_finds_back_to_its_measure(self, seed):
        """Against the map itself and an orbit that is not seen."""
        data, test = lozi(20_000, 0), lozi(20_000, 1)
        model = lozi_map(data)

        def divergence():
            return fs.dynamics.Reconstruction.of(model, [as_recording(data)]).evaluate(test)["state_space_divergence"]

        assert divergence() < 0.02
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weight in (model.A, model.W, model.h):
                weight.mul_(1.0 + 0.01 * torch.randn(weight.shape, generator=generator))
        before = divergence()
        strategy = ES(steps=1000, transient=100, horizon=5, anneal=60)
        found = fs.fit(model, data, algorithm=strategy, epochs=6, seed=0, progress=False)
        assert before > 0.15 and divergence() < min(0.1, before / 3)
        assert found.history[-1]["loss"] < found.history[0]["loss"]

    def test_a_resumed_run_takes_the_same_steps(self, close, trained, lorenz, tmp_path):
        def run(folder):
            close.load_state_dict(trained)
            return fs.fit(
                close, lorenz, algorithm=ES(**SHORT), epochs=3, batch_size=80, seed=0, folder=folder,
                checkpoint_seconds=0.0, progress=False,
            )  # fmt: skip

        whole = run(tmp_path / "whole")
        weights = {name: value.clone() for name, value in whole.model.state_dict().items()}
        with stopped_after(7, torch.optim.SGD):
            run(tmp_path / "part")
        resumed = run(tmp_path / "part")
        for name, value in weights.items():
            assert torch.equal(value, resumed.model.state_dict()[name]), name
        assert whole.history[-1]["loss"] == resumed.history[-1]["loss"]

    def test_a_replica_without_finite_runs_stays_as_it_is(self, close, lorenz):
        several = Copies(close).of(weight_rows(close).expand(2, -1))
        with torch.no_grad():
            several.A[1] = 1e10
        before = weight_rows(several)
        fs.fit(several, lorenz, algorithm=ES(**SHORT), epochs=1, seed=0, progress=False)
        after = weight_rows(several)
        assert torch.equal(before[1], after[1]) and not torch.equal(before[0], after[0])

    def test_the_reconstruction_saves_and_validates(self, close, lorenz, tmp_path):
        found = fs.fit(
            close, lorenz, validation=lorenz, algorithm=ES(**SHORT), epochs=1,
            validate_every=1, progress=False,
        )  # fmt: skip
        assert found.history[0]["state_space_divergence"] > 0.0
        found.save(tmp_path / "saved")
        again = fs.load(tmp_path / "saved")
        for name, value in found.model.state_dict().items():
            assert torch.equal(value, again.model.state_dict()[name])

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")
    def test_on_a_gpu(self, close, lorenz):
        found = fs.fit(close, lorenz, algorithm=ES(), epochs=2, accelerator="cuda", seed=0, progress=False)
        assert found.model.A.device.type == "cuda"
        assert found.history[-1]["loss"] < found.history[0]["loss"]


class TestBadInput:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"spread": 0.0}, "spread must be a positive number"),
            ({"final": float("nan")}, "final must be a positive number"),
            ({"damping": -1.0}, "damping must be a positive number"),
            ({"error_weight": -1.0}, "error_weight must not be negative"),
            ({"anneal": 0}, "anneal"),
            ({"orbits": 2.5}, "orbits"),
            ({"steps": 1}, "steps must be at least 2"),
            ({"bins": 1}, "at least 2"),
            ({"transient": -1}, "transient must be a whole number"),
        ],
    )
    def test_settings(self, options, message):
        with pytest.raises(fs.InputError, match=message):
            ES(**options)

    def test_models_that_it_is_not_for(self, noise):
        cases = [
            (fs.dynamics.LSTM(3, 8), ES(), "PLRNNs that share no weights, such as ALRNN; got LSTM"),
            (fs.dynamics.ALRNN(3, 9, 2, inputs=1), ES(), "the model takes 1"),
            (fs.dynamics.ALRNN(3, 90, 2), ES(), "up to 6,000 weights; ALRNN has"),
            (fs.dynamics.ClippedShallowPLRNN(3, 3, 13), ES(keep_topology=True), "they are for ALRNN"),
            (fs.dynamics.ALRNN(3, 9, 0), ES(keep_topology=True), "need 1 to 6 ReLU units"),
        ]
        for model, strategy, message in cases:
            with pytest.raises(fs.InputError, match=message):
                begun(model.double(), noise, strategy)

    def test_data_that_it_is_not_for(self, noise):
        six = torch.randn(200, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        space = fs.FunctionSpace(fs.Times(0.0, 0.1, 200), components=tuple("abcdef"))
        with pytest.raises(fs.InputError, match="up to 5 components; the data have 6"):
            begun(fs.dynamics.ALRNN(6, 9, 2).double(), fs.Function(space, six), ES())
        with pytest.raises(fs.InputError, match="no trajectory of the data is as long as a window"):
            begun(fs.dynamics.ALRNN(3, 9, 2).double(), noise, ES(horizon=300))

    def test_a_model_that_has_learned_nothing_finite(self, noise):
        model = fs.dynamics.ALRNN(3, 9, 2).double()
        with torch.no_grad():
            model.A.fill_(1e20)
        with pytest.raises(fs.InputError, match="takes a trained model; the free runs of this one are not finite"):
            begun(model, noise, ES()).loss(model, np.arange(4))
