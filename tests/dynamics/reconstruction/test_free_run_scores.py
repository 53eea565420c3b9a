"""Scores of free runs: under external inputs, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import funcspace as fs

STF = fs.dynamics.SparseTeacherForcing


def series(values, names, step=0.1):
    space = fs.FunctionSpace(fs.Times(0.0, step, values.shape[-2]), components=names)
    values = torch.as_tensor(values, dtype=torch.float64)
    return fs.Function(space, values.reshape(*values.shape[:-2], *space.coefficient_shape))


def driven_walk(length, seed):
    """x_t = x_{t-1} / 2 + s_t, whose states only the inputs tell."""
    s = torch.randn(length, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = torch.zeros(length, dtype=torch.float64)
    for t in range(1, length):
        x[t] = 0.5 * x[t - 1] + s[t]
    return series(x[:, None], ("x",)), series(s[:, None], ("s",))


def exact(orbit, replicas=None):
    """The map of the walk itself, as if it had been trained on an orbit."""
    model = fs.dynamics.ALRNN(1, 1, 0, inputs=1, replicas=replicas).double()
    mean, scale = orbit.coefficients.mean(), orbit.coefficients.std(correction=0)
    with torch.no_grad():  # z = (x - mean) / scale
        model.A.fill_(0.5)
        model.W.zero_()
        model.h.fill_(float(-0.5 * mean / scale))
        model.C.fill_(float(1.0 / scale))
        model.mean.fill_(float(mean))
        model.scale.fill_(float(scale))
    return fs.dynamics.Reconstruction(model, 0.1, ("x",))


def test_the_true_map_under_the_inputs_of_the_test_scores_nothing_but_rounding():
    orbit, drive = driven_walk(800, 0)
    scores = exact(orbit).evaluate(orbit, inputs=drive)
    assert scores["prediction_error_20"] < 1e-20
    assert scores["state_space_divergence"] < 1e-12
    assert scores["spectral_distance"] < 1e-6
    wrong = driven_walk(800, 1)[1]
    other = exact(orbit).evaluate(orbit, inputs=wrong)
    assert other["prediction_error_20"] > 1.0


def test_each_replica_is_scored_under_its_own_inputs():
    first, second = driven_walk(500, 0), driven_walk(500, 1)
    model = exact(first[0], replicas=2)
    test = fs.dynamics.PerReplica([first[0], first[0]])
    scores = model.evaluate(test, inputs=fs.dynamics.PerReplica([first[1], second[1]]))
    assert scores["prediction_error_20"][0] < 1e-20
    assert scores["prediction_error_20"][1] > 1.0
    with pytest.raises(fs.InputError, match="PerReplica of 1, and there are 2"):
        model.evaluate(test, inputs=fs.dynamics.PerReplica([first[1]]))


def test_one_step_from_every_state_under_inputs():
    orbit, drive = driven_walk(300, 0)
    following = exact(orbit)(orbit[:299], inputs=drive[1:])
    np.testing.assert_allclose(following.numpy(), orbit.numpy()[1:], atol=1e-12)


def test_inputs_must_be_there_and_fit():
    orbit, drive = driven_walk(300, 0)
    model = exact(orbit)
    with pytest.raises(fs.InputError, match="takes 1 external inputs; the test comes with 0"):
        model.evaluate(orbit)
    with pytest.raises(fs.InputError, match=r"takes 1 external inputs.*one for each step; got NoneType"):
        model.rollout(orbit[:1], 5)
    with pytest.raises(fs.InputError, match="got ndarray"):
        model.rollout(orbit[:1], 5, inputs=drive.numpy())
    with pytest.raises(fs.InputError, match="inputs must have the lengths of the trajectories"):
        model.evaluate(orbit, inputs=drive[:200])
    with pytest.raises(fs.InputError, match="horizon must lie between 1 and 299"):
        model.evaluate(orbit, inputs=drive, horizon=300)
    still = fs.dynamics.Reconstruction(fs.dynamics.ALRNN(1, 2, 1), 0.1, ("x",))
    with pytest.raises(fs.InputError, match="takes no external inputs"):
        still.rollout(orbit[:1], 5, inputs=drive[:5])
    with pytest.raises(fs.InputError, match="takes 0 external inputs; the test comes with 1"):
        still.evaluate(orbit, inputs=drive)


@pytest.mark.parametrize("kind", ["forcing", "shooting"])
def test_validation_under_inputs_chooses_the_best_epoch(kind):
    orbit, drive = driven_walk(600, 0)
    held_out, held_out_drive = driven_walk(400, 1)

    def algorithm(**inputs):
        options = {"inputs": drive, **inputs}
        if kind == "forcing":
            return STF(interval=5, sequence=10, noise=0.0, **options)
        return fs.dynamics.MultipleShooting(length=10, **options)

    def fitted(**inputs):
        return fs.fit(
            fs.dynamics.ALRNN(1, 2, 1, inputs=1), orbit, validation=held_out, algorithm=algorithm(**inputs), epochs=6,
            validate_every=2, seed=0, progress=False,
        )  # fmt: skip

    found = fitted(validation_inputs=held_out_drive)
    best = min(r["state_space_divergence"] for r in found.history if "state_space_divergence" in r)
    scores = found.evaluate(held_out, inputs=held_out_drive)
    assert scores["state_space_divergence"] == pytest.approx(best, rel=1e-5)
    with pytest.raises(fs.InputError, match="gives 0, by its setting validation_inputs"):
        fitted()


def test_a_test_with_another_step_or_gaps_is_refused():
    model = fs.dynamics.Reconstruction(fs.dynamics.ALRNN(1, 2, 1), 0.1, ("x",))
    orbit, _ = driven_walk(200, 0)
    with pytest.raises(fs.InputError, match=r"makes steps of 0\.1; the test has steps of 0\.2"):
        model.evaluate(series(orbit.numpy()[:, None], ("x",), step=0.2))
    gaps = orbit.numpy()[:, None].copy()
    gaps[50] = np.nan
    with pytest.raises(fs.InputError, match=r"test must be finite; component 'x' is nan at sample 50$"):
        model.evaluate(series(gaps, ("x",)))
    with pytest.raises(fs.InputError, match="validation must be finite"):
        fs.fit(
            fs.dynamics.ALRNN(1, 2, 1), series(gaps, ("x",)), validation=series(gaps, ("x",)),
            algorithm=STF(interval=5, sequence=10, missing=True), epochs=1, progress=False,
        )  # fmt: skip
