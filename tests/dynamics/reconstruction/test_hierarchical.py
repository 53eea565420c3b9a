"""Subjects that share weights: linearity in the features, gradients, families of systems, new subjects, bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import funcspace as fs
from tests.dynamics.reconstruction.test_training import begun, trajectory

Hierarchical, PerReplica = fs.dynamics.HierarchicalPLRNN, fs.dynamics.PerReplica
GTF, STF = fs.dynamics.GeneralizedTeacherForcing, fs.dynamics.SparseTeacherForcing
WEIGHTS = ("A", "W1", "W2", "h1", "h2")
ANGLES = np.linspace(0.12, 0.3, 5)


def varied(**options):
    """A model whose subjects differ."""
    model = Hierarchical(2, 4, 6, subjects=3, features=2, **options).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.2 * torch.randn(weight.shape, generator=generator, dtype=torch.float64))
    return model


def rotation(angle, count=400):
    """A pure rotation by an angle per step, not centred."""
    t = torch.arange(count, dtype=torch.float64) * float(angle)
    return trajectory(torch.stack([1.0 + 2.0 * torch.cos(t), 2.0 * torch.sin(t)], dim=1))


@pytest.fixture(scope="module")
def family():
    """Rotations at five speeds, learned together."""
    model = Hierarchical(2, hidden=10, subjects=len(ANGLES), features=2)
    data = PerReplica([rotation(angle) for angle in ANGLES])
    return fs.fit(model, data, algorithm=GTF(alpha=0.2, sequence=20), epochs=40, learning_rate=5e-3, progress=False)


class TestModel:
    def test_number_of_parameters(self):
        # d (A + W1 + W2 + h1 + h2) + S d + lift
        model = Hierarchical(3, 10, 50, subjects=64, features=6)
        assert sum(p.numel() for p in model.parameters()) == 6 * (10 + 500 + 500 + 10 + 50) + 64 * 6 + 7 * 3

    @given(st.lists(st.floats(-2.0, 2.0), min_size=4, max_size=4))
    def test_weights_are_linear_in_the_features(self, numbers):
        a, b, *features = numbers
        model = varied()
        with torch.no_grad():
            model.p[0] = torch.tensor(features)
            model.p[2] = a * model.p[0] + b * model.p[1]
        for name in WEIGHTS:
            weight = getattr(model, name)
            torch.testing.assert_close(weight[2], a * weight[0] + b * weight[1])

    @pytest.mark.parametrize("clipped", [True, False])
    def test_subjects_are_shallow_models(self, clipped):
        model = varied(clipped=clipped)
        start = torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        together = model.generate(start, 8)
        for s in range(3):
            single = model.replica(s)
            assert isinstance(single, fs.dynamics.ClippedShallowPLRNN) == clipped
            torch.testing.assert_close(single.generate(start[s], 8), together[s])
        assert model.jacobian_bound().shape == (3,)

    def test_all_subjects_start_alike_at_usual_weights(self):
        model = Hierarchical(3, subjects=4, features=3)
        for name in WEIGHTS:
            weight = getattr(model, name)
            assert torch.equal(weight[0], weight[3])
        assert model.A.abs().max().item() <= 1.0 and model.A.min().item() > 0.1
        assert model.W2.abs().max().item() <= 3**-0.5 + 1e-6

    @pytest.mark.parametrize("observation", ["identity", "affine"])
    def test_gradients_through_the_compiled_scan(self, observation):
        model = varied(observation=observation)
        window = torch.randn(3, 2, 6, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        gain = torch.full((3, 5), 0.2, dtype=torch.float64)
        names = [name for name, _ in model.named_parameters()]

        def run(*weights):
            return torch.func.functional_call(model, dict(zip(names, weights, strict=True)), (window, gain))

        assert torch.autograd.gradcheck(
            run, tuple(p.detach().requires_grad_() for p in model.parameters()), fast_mode=True
        )

    def test_features_learn_ten_times_as_fast(self):
        model = Hierarchical(2, hidden=5, subjects=2, features=2)
        groups = model.parameter_groups()
        assert sum(len(parameters) for parameters, _ in groups) == len(list(model.parameters()))
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        data = PerReplica([rotation(0.1, 60), rotation(0.3, 60)])
        # the first step of Adam moves each weight by its rate
        fs.fit(
            model, data, algorithm=GTF(sequence=20), epochs=1, batch_size=800, learning_rate=1e-4, schedule="constant",
            optimizer=torch.optim.Adam, progress=False,
        )  # fmt: skip
        moved = {name: (p.detach() - before[name]).abs().max().item() for name, p in model.named_parameters()}
        assert moved.pop("p") == pytest.approx(1e-3, rel=1e-2)
        assert list(moved.values()) == pytest.approx([1e-4] * len(moved), rel=1e-2)


class TestTraining:
    def test_the_loss_is_the_mean_over_subjects_on_one_scale(self):
        model = varied()
        values = [torch.randn(20, 2, generator=torch.Generator().manual_seed(i)).double() * (i + 1) for i in range(3)]
        task = begun(model, PerReplica([trajectory(v) for v in values]), GTF(alpha=1.0, sequence=19))
        pooled = torch.cat(values)
        mean, scale = pooled.mean(dim=0), pooled.std(dim=0, correction=0)
        torch.testing.assert_close(model.mean, mean.expand(3, 2))
        torch.testing.assert_close(model.scale, scale.expand(3, 2))
        errors = []
        for s in range(3):
            x = (values[s] - mean) / scale
            single = model.replica(s)
            z = single.start(x[0])
            for t in range(1, 20):
                z = single.step(z)
                errors.append((z[:2] - x[t]).square())
                z = torch.cat([x[t], z[2:]])
        loss = task.loss(model, np.arange(1))
        assert loss.item() == pytest.approx(torch.stack(errors).mean().item(), rel=1e-10)

    def test_a_family_is_learned_and_its_parameter_read_off(self, family):
        for s, angle in enumerate(ANGLES):
            orbit = rotation(angle)
            error = fs.dynamics.metrics.prediction_error(family.replica(s), orbit, horizon=10)
            values = orbit.coefficients
            assert error < (values[10:] - values[:-10]).square().mean().item() / 100
        # the angle is a linear function of the features
        features = family.model.p.detach().double().numpy()
        table = np.column_stack([features, np.ones(len(ANGLES))])
        found = table @ np.linalg.lstsq(table, ANGLES, rcond=None)[0]
        assert np.abs(found - ANGLES).max() < 0.05 * (ANGLES[-1] - ANGLES[0])

    def test_scores_of_each_subject(self, family):
        tests = PerReplica([rotation(angle) for angle in ANGLES])
        each = family.evaluate(tests)["prediction_error_20"]
        assert each.shape == (len(ANGLES),) and each.max() < 0.05
        assert family.evaluate(rotation(ANGLES[0]))["prediction_error_20"][-1] > 10 * each[-1]
        assert family.parameters == sum(p.numel() for p in family.model.parameters())

    def test_a_new_subject_needs_few_data(self, family):
        angle = 0.2345
        shared = {name: p.detach().clone() for name, p in family.model.named_parameters() if name != "p"}
        few = rotation(angle, 40)
        adapted = family.model.adapt([few], GTF(alpha=0.2, sequence=20), epochs=8)
        values = rotation(angle).coefficients
        error = fs.dynamics.metrics.prediction_error(adapted.replica(0), rotation(angle), horizon=10)
        assert error < (values[10:] - values[:-10]).square().mean().item() / 50
        for name, p in adapted.model.named_parameters():
            if name != "p":
                assert torch.equal(p.detach(), shared[name])
        torch.testing.assert_close(adapted.mean[0], family.mean[0])
        # its features lie where the angle says, between those of its neighbours
        known, found = family.model.p.detach(), adapted.model.p.detach()[0]
        along = (known[-1] - known[0]) / (known[-1] - known[0]).square().sum()
        place = ((found - known[0]) @ along).item()
        assert place == pytest.approx((angle - ANGLES[0]) / (ANGLES[-1] - ANGLES[0]), abs=0.15)

    def test_an_adapted_model_learns_features_only_also_when_it_was_loaded(self, family, tmp_path):
        fs.dynamics.Reconstruction(family.model.for_subjects(1), 0.1, ("x", "y")).save(tmp_path / "new")
        again = fs.load(tmp_path / "new").model
        before = {name: value.clone() for name, value in again.state_dict().items()}
        fs.fit(again, rotation(0.4, 60), algorithm=GTF(sequence=20), epochs=1, batch_size=400, progress=False)
        changed = {name for name, value in again.state_dict().items() if not torch.equal(value, before[name])}
        assert changed == {"p"}

    def test_files(self, family, tmp_path):
        family.save(tmp_path / "family")
        again = fs.load(tmp_path / "family")
        start = rotation(0.2, 1)
        assert repr(again) == repr(family)
        assert torch.equal(again.rollout(start, 9).coefficients, family.rollout(start, 9).coefficients)

    def test_a_resumed_run_takes_the_same_steps(self, tmp_path):
        data = PerReplica([rotation(0.1, 60), rotation(0.3, 60)])

        def run(folder, epochs):
            model = Hierarchical(2, hidden=4, subjects=2, features=2)
            options = {"epochs": epochs, "schedule": "constant", "progress": False}
            return fs.fit(model, data, algorithm=STF(interval=5, sequence=10), folder=folder, **options)

        whole, again = run(tmp_path / "run", 2), run(tmp_path / "run", 2)
        assert torch.equal(whole.model.p, again.model.p) and len(again.history) == 2

    def test_divergence_is_an_error(self):
        model = Hierarchical(2, hidden=4, subjects=2, features=2)
        with torch.no_grad():
            model.p[1] = 1e25
        with pytest.raises(fs.SolverError, match="loss became"):
            data = PerReplica([rotation(0.1, 60), rotation(0.3, 60)])
            fs.fit(model, data, algorithm=GTF(sequence=20), epochs=1, progress=False)


class TestBadInput:
    def test_arguments(self):
        with pytest.raises(fs.InputError, match="features must be a whole number of at least 1, got 0"):
            Hierarchical(2, subjects=3, features=0)
        with pytest.raises(fs.InputError, match=r"subjects must be a whole number of at least 1, got 2\.5"):
            Hierarchical(2, subjects=2.5)
        with pytest.raises(fs.InputError, match="at least as many units as there are observations"):
            Hierarchical(3, 2, subjects=2)

    def test_data(self, family):
        with pytest.raises(fs.InputError, match="PerReplica holds 1 recordings; the model has replicas=5"):
            fs.fit(family.model, PerReplica([rotation(0.1)]), algorithm=GTF(), epochs=1)
        with pytest.raises(fs.InputError, match="each of the 5 subjects learns from a recording of its own"):
            fs.fit(family.model, rotation(0.1), algorithm=GTF(), epochs=1)
        with pytest.raises(fs.InputError, match="PerReplica holds 1 tests; the model has replicas=5"):
            family.evaluate(PerReplica([rotation(0.1)]))
        with pytest.raises(fs.InputError, match="a recording for each subject"):
            family.model.adapt([], GTF())
        with pytest.raises(fs.InputError, match="there is no subject 7; the model has 5"):
            family.replica(7)
        broken = trajectory(torch.full((60, 2), math.nan))
        with pytest.raises(fs.InputError, match="must be finite"):
            family.model.adapt([broken], GTF(sequence=20))
