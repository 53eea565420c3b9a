"""n-step prediction error: exact maps, closed forms, and the ways in which a model may present itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import funcspace as fs
from funcspace.dynamics import metrics as m
from funcspace.errors import InputError

ROTATION = torch.tensor([[0.8, -0.6], [0.6, 0.8]], dtype=torch.float64)


@pytest.fixture
def orbit() -> torch.Tensor:
    states = [torch.tensor([1.0, 0.0], dtype=torch.float64)]
    for _ in range(99):
        states.append(ROTATION @ states[-1])
    return torch.stack(states)


class Rotation(torch.nn.Module):
    def __init__(self, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.matrix = torch.nn.Parameter(ROTATION.to(dtype))

    def forward(self, state: torch.Tensor) -> torch.Tensor:
        return state @ self.matrix.T


class Roller:
    """A model with rollout, with or without the initial state in what it returns."""

    def __init__(self, with_initial: bool) -> None:
        self.with_initial = with_initial

    def rollout(self, initial: fs.Function, steps: int) -> fs.Function:
        states = [initial.coefficients[:, 0]]
        for _ in range(steps):
            states.append(states[-1] @ ROTATION.T.to(states[-1]))
        found = torch.stack(states if self.with_initial else states[1:], dim=1)
        step = initial.domain.step
        space = fs.FunctionSpace(fs.Times(0.0, step, found.shape[1]), components=initial.space.components)
        return fs.Function(space, found)


def test_the_true_map_has_no_error(orbit):
    space = fs.FunctionSpace(fs.Times(0.0, 0.1, 100), components=("x", "y"))
    function = fs.Function(space, orbit)
    for model in (Rotation(), Roller(True), Roller(False), lambda x: x @ ROTATION.T):
        for data in (orbit, orbit.numpy(), function):
            assert m.prediction_error(model, data, 20) == pytest.approx(0.0, abs=1e-24)


def test_persistence_and_mean_have_closed_forms(orbit):
    # |x_{t+n} - x_t|^2 / 2 = 1 - cos(n theta), and |x|^2 / 2 = 1/2
    angle = np.arccos(0.8)
    errors = m.prediction_error(lambda x: x, orbit, 5, all_horizons=True)
    np.testing.assert_allclose(errors, 1 - np.cos(angle * np.arange(1, 6)), rtol=1e-12)
    assert m.prediction_error(torch.zeros_like, orbit, 5) == pytest.approx(0.5)


def test_batches_chunks_and_strides(orbit):
    batch = torch.stack([orbit, 2 * orbit])
    errors = m.prediction_error(lambda x: x, batch, 3)
    np.testing.assert_allclose(errors[1], 4 * errors[0])
    assert m.prediction_error(lambda x: x, orbit, 3, batch_size=7) == pytest.approx(errors[0])
    assert m.prediction_error(lambda x: x, orbit, 3, stride=10) == pytest.approx(errors[0])


def test_every_horizon_has_all_its_starts():
    noise = np.random.default_rng(0).normal(size=(12, 1))
    for stride in (1, 4):
        errors = m.prediction_error(lambda x: 0.5 * x, noise, 5, all_horizons=True, stride=stride)
        single = [m.prediction_error(lambda x: 0.5 * x, noise, n, stride=stride) for n in range(1, 6)]
        np.testing.assert_allclose(errors, single)
    assert errors[0] == pytest.approx(np.mean((noise[1::4] - 0.5 * noise[:-1:4]) ** 2))


def test_float32_models_get_float32_states(orbit):
    assert m.prediction_error(Rotation(torch.float32), orbit.numpy(), 20) < 1e-10


def test_forecast_door_and_divergence(orbit):
    class Forecaster:
        def forecast(self, context, horizon):
            return np.repeat(context, horizon, axis=1)

    assert m.prediction_error(Forecaster(), orbit, 4) == pytest.approx(m.prediction_error(lambda x: x, orbit, 4))
    assert m.prediction_error(lambda x: x * 1e200, orbit, 4) == np.inf


def test_bad_input(orbit):
    with pytest.raises(InputError, match="at least 101"):
        m.prediction_error(lambda x: x, orbit, 100)
    with pytest.raises(InputError, match="horizon"):
        m.prediction_error(lambda x: x, orbit, 0)
    with pytest.raises(InputError, match="same shape"):
        m.prediction_error(lambda x: x[:, :1], orbit, 3)
    with pytest.raises(InputError, match="rollout"):
        m.prediction_error("model", orbit, 3)


class FromSeveral:
    """Twice the last state less the one before, from three of them; all that it was given comes first."""

    context = 3

    def rollout(self, initial: fs.Function, steps: int) -> torch.Tensor:
        states = list(initial.coefficients.unbind(1))
        for _ in range(steps):
            states.append(2.0 * states[-1] - states[-2])
        return torch.stack(states, dim=1)


def test_rollouts_may_begin_with_all_that_they_were_given():
    line = torch.arange(60, dtype=torch.float64)[:, None] * torch.tensor([1.0, -0.5], dtype=torch.float64)
    assert m.prediction_error(FromSeveral(), line, 5) == pytest.approx(0.0, abs=1e-20)


def test_a_model_in_place_of_what_fit_returned(orbit):
    with pytest.raises(InputError, match="give what fit returned"):
        m.prediction_error(fs.dynamics.ALRNN(2, 4, 1).double(), orbit, 5)
