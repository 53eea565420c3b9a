"""Lyapunov exponents of trained and of known models."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import funcspace as fs
from funcspace.dynamics import metrics as m
from funcspace.dynamics.reconstruction.reconstruction import Reconstruction
from funcspace.errors import SolverError


def rotating(model: fs.dynamics.ALRNN, growth: float) -> Reconstruction:
    """A map that multiplies by a rotation times `growth`, and shrinks the third unit by half."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        c, s = growth * np.cos(0.3), growth * np.sin(0.3)
        model.W.copy_(torch.tensor([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 0.5]]))
    return Reconstruction(model.eval(), 0.1, ("x", "y"))


def test_of_a_linear_map():
    trained = rotating(fs.dynamics.ALRNN(observed=2, latent=3, relu=0), 0.99)
    found = trained.lyapunov_spectrum(steps=400, transient=200)
    torch.testing.assert_close(
        torch.tensor(found.value), torch.tensor([np.log(0.99), np.log(0.99), np.log(0.5)]) / 0.1, rtol=1e-5, atol=0.0
    )
    asked = m.lyapunov_spectrum(trained, steps=400, transient=200, count=2)
    np.testing.assert_allclose(np.asarray(asked), found.value[:2], rtol=1e-6)


def test_a_run_without_bound_is_an_error():
    trained = rotating(fs.dynamics.ALRNN(observed=2, latent=3, relu=0), 2.0)
    with pytest.raises(SolverError, match="leaves every bound"):
        trained.lyapunov_spectrum(steps=2000)


def test_a_replica_that_escapes_does_not_take_the_others_along():
    trained = rotating(fs.dynamics.ALRNN(observed=2, latent=3, relu=0, replicas=2), 2.0)
    with pytest.raises(SolverError, match="leaves every bound"):
        trained.lyapunov_spectrum(steps=2000)
    with torch.no_grad():
        trained.model.W[0] *= 0.25
    found = trained.lyapunov_spectrum(steps=2000, count=2)
    np.testing.assert_allclose(found.value[0], np.log(0.5) / 0.1, rtol=1e-5)
    assert np.isnan(found.value[1]).all() and np.isnan(found.error[1]).all()


def test_replicas_and_the_general_estimate():
    model = fs.dynamics.ClippedShallowPLRNN(3, hidden=8, replicas=2, seed=3)
    trained = Reconstruction(model.eval(), 0.01, ("x", "y", "z"))
    both = trained.lyapunov_spectrum(steps=600, transient=100)
    assert both.shape == (2, 3)
    one = model.replica(1).double()
    start = one.start(torch.zeros(1, 3, dtype=torch.float64) + 0.1)[0]
    general = m.lyapunov_spectrum(one, start, 600, dt=0.01, transient=4000)
    np.testing.assert_allclose(np.asarray(general), both.value[1], rtol=2e-2, atol=0.5)


def test_closed_form_models_on_the_henon_map():
    """Quadratic regression finds the map itself; its exponents are 0.419 and -1.623."""
    orbit = fs.dynamics.system("Henon").with_parameters(a=1.4, b=0.3).trajectory(4000, seed=0)
    trained = fs.fit(
        fs.dynamics.NVAR(observed=2, delays=1, degree=2), orbit, algorithm=fs.dynamics.RidgeRegression(ridge=1e-12),
        precision="64",
    )  # fmt: skip
    found = trained.lyapunov_spectrum(steps=20_000, transient=100, initial=orbit[:100])
    np.testing.assert_allclose(found.value, [0.419, -1.623], atol=0.01)


def test_products_in_stretches_give_what_all_at_once_give():
    matrices = np.random.default_rng(0).standard_normal((1001, 4, 4))
    whole = m.lyapunov_spectrum_of_products(matrices, every=3)
    parts = m.lyapunov_spectrum_of_products((part for part in np.array_split(matrices, 7)), every=3)
    assert (whole.value == parts.value).all() and (whole.error == parts.error).all()


def test_replicas_with_steps_of_their_own(tmp_path):
    system = fs.dynamics.system("Lorenz")
    slow, fast = (system.trajectory(400, dt=dt, seed=0) for dt in (0.02, 0.01))
    trained = fs.fit(
        fs.dynamics.ClippedShallowPLRNN(3, hidden=8, replicas=2), fs.dynamics.PerReplica([slow, fast]), epochs=1,
        algorithm=fs.dynamics.GeneralizedTeacherForcing(sequence=20), progress=False,
    )  # fmt: skip
    trained.save(tmp_path / "two")
    trained = fs.load(tmp_path / "two")
    assert [trained.replica(i).step for i in range(2)] == [0.02, 0.01]
    both = trained.lyapunov_spectrum(steps=200, transient=50)
    for i in range(2):
        np.testing.assert_allclose(trained.replica(i).lyapunov_spectrum(steps=200, transient=50).value, both.value[i])
    with pytest.raises(fs.InputError, match=r"run one: reconstruction\.replica"):
        trained.rollout(slow[:1], 10)
    assert trained.replica(1).rollout(fast[:1], 10).space.domain.step == 0.01
