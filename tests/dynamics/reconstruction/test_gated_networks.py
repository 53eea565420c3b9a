"""LSTM and GRU: held to torch's cells, forcing, forecasts, training, files, bad input."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import funcspace as fs
from tests.dynamics.reconstruction.test_training import trajectory

KINDS = {"LSTM": fs.dynamics.LSTM, "GRU": fs.dynamics.GRU}
STF, GTF = fs.dynamics.SparseTeacherForcing, fs.dynamics.GeneralizedTeacherForcing


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def circle():
    t = torch.arange(600, dtype=torch.float64) * 0.15
    return trajectory(torch.stack([3.0 + 2.0 * torch.cos(t), 0.5 * torch.sin(t)], dim=1))


@pytest.fixture(scope="module")
def trained(circle):
    return {
        name: fs.fit(
            kind(2, 12, context=4), circle, algorithm=STF(interval=6, sequence=12, noise=0.0), epochs=8,
            learning_rate=2e-2, seed=0, progress=False,
        )
        for name, kind in KINDS.items()
    }  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
class TestModel:
    @given(observed=st.integers(1, 5), hidden=st.integers(1, 20))
    def test_number_of_parameters(self, name, observed, hidden):
        gates = {"LSTM": 4, "GRU": 3}[name]
        expected = gates * hidden * (observed + hidden + 1) + observed * (hidden + 1)
        assert sum(p.numel() for p in KINDS[name](observed, hidden).parameters()) == expected

    def test_the_cell_is_that_of_torch(self, name):
        model = KINDS[name](3, 7).double()
        cell = {"LSTM": torch.nn.LSTMCell, "GRU": torch.nn.GRUCell}[name](3, 7, dtype=torch.float64)
        with torch.no_grad():
            cell.weight_ih.copy_(model.W)
            cell.weight_hh.copy_(model.U)
            cell.bias_ih.copy_(model.b)
            cell.bias_hh.zero_()
        x, state = random(4, 3), random(4, 7 * model.memories, seed=1)
        found = model.cell(state, x)
        if name == "LSTM":
            torch.testing.assert_close(found, torch.cat(cell(x, state.split(7, dim=1)), dim=1))
        else:
            torch.testing.assert_close(found, cell(x, state))

    def test_gradients(self, name):
        model = KINDS[name](2, 3, context=2).double()
        window, gain = random(2, 6, 2), torch.tensor([0.0, 0.0, 0.3, 1.0, 0.0], dtype=torch.float64)
        names = [n for n, _ in model.named_parameters()]

        def run(*weights):
            return torch.func.functional_call(model, dict(zip(names, weights, strict=True)), (window, gain))

        assert torch.autograd.gradcheck(run, tuple(p.detach().requires_grad_() for p in model.parameters()))

    def test_forcing(self, name):
        model = KINDS[name](2, 5, context=3).double()
        window = random(2, 9, 4)
        # full forcing: the predictions after each instant
        history = window.movedim(-1, 0).mT
        forced = model(window, torch.ones(8, dtype=torch.float64))
        followed = model.follow(history[:, :-1])
        torch.testing.assert_close(forced[:, 2:], followed.movedim(0, -1).movedim(0, 1))
        # no forcing: a free run after the context
        free = model(window, torch.zeros(8, dtype=torch.float64))
        torch.testing.assert_close(free[:, 2:].movedim(-1, 0).mT, model.generate(history[:, :3], 6))

    def test_missing_values_force_nothing(self, name):
        model = KINDS[name](2, 5, context=1).double()
        window, gain = random(2, 6, 1), torch.full((5,), 0.5, dtype=torch.float64)
        window[1, 3] = torch.nan
        found = model(window, gain)
        replaced = window.clone()
        replaced[1, 3, 0] = found[1, 2, 0]
        torch.testing.assert_close(model(replaced, gain), found)

    def test_it_forecasts(self, name, circle, trained):
        error = fs.dynamics.metrics.prediction_error(trained[name], circle, horizon=10, stride=5)
        values = circle.coefficients
        assert error < (values[10:] - values[:-10]).square().mean().item() / 30

    def test_a_run_goes_on_from_its_context(self, name, circle, trained):
        fitted = trained[name]
        run = fitted.rollout(circle[:20], 3)
        following = fitted(circle[:20])
        torch.testing.assert_close(run.coefficients[1], following.coefficients[-1], rtol=0.0, atol=1e-5)
        with pytest.raises(fs.InputError, match=f"{name} starts from at least 4 instants; got 1"):
            fitted.rollout(circle[:1], 3)

    def test_files(self, name, circle, trained, tmp_path):
        trained[name].save(tmp_path / "net")
        again = fs.load(tmp_path / "net")
        assert repr(again) == repr(trained[name])
        expected = trained[name].rollout(circle[:10], 9).coefficients
        assert torch.equal(again.rollout(circle[:10], 9).coefficients, expected)

    def test_seeds(self, name):
        state = torch.get_rng_state()
        first, second, other = (KINDS[name](2, 4, seed=s) for s in (0, 0, 1))
        assert torch.equal(first.U, second.U) and not torch.equal(first.U, other.U)
        assert torch.equal(torch.get_rng_state(), state)

    def test_bad_input(self, name, circle):
        kind = KINDS[name]
        with pytest.raises(fs.InputError, match="hidden must be a whole number of at least 1, got 0"):
            kind(2, 0)
        with pytest.raises(fs.InputError, match="observes 3 components; the data have 2"):
            fs.fit(kind(3, 4), circle, algorithm=STF(), epochs=1)
        with pytest.raises(fs.InputError, match=f"{name} has nothing that latent_weight weighs"):
            fs.fit(kind(2, 4), circle, algorithm=GTF(sequence=10, latent_weight=1.0), epochs=1, progress=False)
        with pytest.raises(fs.InputError, match="an adaptive alpha needs the Jacobians of a PLRNN"):
            fs.fit(kind(2, 4), circle, algorithm=GTF(sequence=10, alpha="adaptive"), epochs=1, progress=False)
        with pytest.raises(fs.InputError, match="starts from at least 10 instants of 2 components; got 3 of 2"):
            kind(2, 4).generate(torch.zeros(1, 3, 2), 5)


@pytest.mark.parametrize("name", KINDS)
def test_exponents_are_those_of_the_free_run_with_its_memory(name, circle):
    model = KINDS[name](2, 6, context=3, seed=1).double()
    found = fs.dynamics.Reconstruction(model, 0.1, ("x", "y")).lyapunov_spectrum(
        300, transient=0, count=2, initial=circle[:3]
    )
    # by hand: tangent vectors along the states (memory, x) that `advance` passes through
    history = circle[:3].coefficients.reshape(3, 2)
    memory = model.begin(history[:1])
    for x in history[:-1]:
        memory = model.cell(memory, x[None])
    state = torch.cat([memory[0], history[-1]]).detach()

    def following(z):
        memory, x = model.advance(z[None, :-2], z[None, -2:])
        return torch.cat([memory[0], x[0]])

    rows, total = torch.linalg.qr(random(len(state), len(state)))[0], 0.0
    for _ in range(300):
        rows, triangle = torch.linalg.qr(torch.func.jacrev(following)(state) @ rows)
        total = total + triangle.diagonal().abs().log()
        state = following(state).detach()
    by_hand = (total / (300 * 0.1)).sort(descending=True).values[:2]
    torch.testing.assert_close(torch.tensor(found.value), by_hand.detach(), rtol=0.0, atol=0.1)
    assert float(found.value[0]) > -1.5


def test_windows_reach_beyond_what_is_given(circle):
    with pytest.raises(fs.InputError, match="given the first 20 instants"):
        fs.fit(fs.dynamics.LSTM(2, 6, context=20), circle, algorithm=STF(interval=5, sequence=12), progress=False)
