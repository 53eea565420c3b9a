"""Baselines with a linear read-out: what their regressors are, exact recovery, forecasts, files, bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import funcspace as fs
from tests.dynamics.reconstruction.test_training import trajectory

NVAR, Reservoir, Ridge = fs.dynamics.NVAR, fs.dynamics.ReservoirComputer, fs.dynamics.RidgeRegression


def henon(count, a=1.4, b=0.3):
    x, y, orbit = 0.1, 0.1, []
    for _ in range(count):
        orbit.append((x, y))
        x, y = 1.0 - a * x * x + y, b * x
    return torch.tensor(orbit, dtype=torch.float64)


@pytest.fixture(scope="module")
def lorenz():
    return fs.dynamics.system("Lorenz").trajectory(3000, dt=0.02, seed=0)


class TestNVAR:
    @given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
    def test_regressors_are_the_monomials_of_the_delays(self, observed, delays, stride, degree):
        model = NVAR(observed, delays, stride=stride, degree=degree).double()
        generator = torch.Generator().manual_seed(0)
        history = torch.randn(1, model.context + 2, observed, generator=generator, dtype=torch.float64)
        phi = model.phi(model.begin(history))[0]
        delayed = torch.cat([history[0, -1 - i * stride] for i in range(delays)]).tolist()
        monomials = [1.0]
        for _ in range(degree):  # of all products of `degree` factors of [1, delayed], each counted once
            monomials = [m * f for m in monomials for f in [1.0, *delayed]]
        assert phi.shape[0] == math.comb(delays * observed + degree, degree) == model.regressors
        assert np.unique(np.round(phi.tolist(), 9)).tolist() == np.unique(np.round(monomials, 9)).tolist()

    def test_numbers_of_weights_of_the_paper(self):
        # Lorenz-63 with two delays: 1 constant, 6 linear and 21 quadratic terms, 28 in all, for three components
        assert sum(p.numel() for p in NVAR(3, 2, degree=2).parameters()) == 3 * 28

    def test_a_quadratic_map_is_found_exactly(self):
        orbit = henon(400)
        fitted = fs.fit(NVAR(2, 1), trajectory(orbit), algorithm=Ridge(ridge=0.0), precision="64")
        run = fitted.rollout(trajectory(orbit[100:101], start=10.0), 12)
        torch.testing.assert_close(run.coefficients, orbit[100:113], rtol=0.0, atol=1e-6)
        assert fitted.history[-1]["loss"] < 1e-24

    def test_it_forecasts_lorenz(self, lorenz):
        fitted = fs.fit(NVAR(3), lorenz[:2000], algorithm=Ridge())
        truth = lorenz[2000:]
        run = fitted.rollout(truth[:2], 300)
        time = fs.dynamics.metrics.valid_prediction_time(truth[1:302], run, threshold=0.4, lyapunov=0.906)
        assert time > 3.0
        scores = fitted.evaluate(truth)
        # persistence scores more than one here
        assert scores["prediction_error_20"] < 1e-4 and scores["spectral_distance"] < 0.2

    def test_bad_arguments(self):
        with pytest.raises(fs.InputError, match="degree must be 1, 2 or 3, got 4"):
            NVAR(3, degree=4)
        with pytest.raises(fs.InputError, match="delays must be a whole number of at least 1, got 0"):
            NVAR(3, 0)
        with pytest.raises(fs.InputError, match=r"40 delays of 3 components have 302,621 monomials"):
            NVAR(3, 40, degree=3)


class TestReservoir:
    def test_spectral_radius_density_and_scales(self):
        model = Reservoir(2, 200, spectral_radius=0.7, density=0.05, input_scaling=0.3, bias_scaling=0.2).double()
        assert torch.linalg.eigvals(model.R).abs().max().item() == pytest.approx(0.7, rel=1e-5)
        assert (model.R != 0).double().mean().item() == pytest.approx(0.05, abs=0.01)
        assert 0.29 < model.V.abs().max().item() <= 0.3 and 0.19 < model.b.abs().max().item() <= 0.2

    @pytest.mark.parametrize("leak", [1.0, 0.4])
    def test_its_state_forgets_where_it_started(self, leak):
        """The echo state property of a contracting reservoir, |R| < 1."""
        model = Reservoir(2, 60, spectral_radius=0.3, leak=leak).double()
        assert torch.linalg.matrix_norm(model.R, 2) < 1.0
        history = torch.randn(1, 120, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        late, early = model.begin(history[:, 60:]), model.begin(history)
        torch.testing.assert_close(late, early, rtol=0.0, atol=1e-8)

    def test_the_state_follows_its_equation(self):
        model = Reservoir(2, 7, leak=0.3, quadratic=True, context=1, density=0.9).double()
        x = torch.randn(1, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        r = torch.zeros(7, dtype=torch.float64)
        for value in x[0]:
            r = 0.7 * r + 0.3 * torch.tanh(model.R @ r + model.V @ value + model.b)
        read = r.clone()
        read[1::2] = r[1::2] ** 2
        expected = torch.cat([torch.ones(1, dtype=torch.float64), x[0, 1], read])
        torch.testing.assert_close(model.phi(model.begin(x))[0], expected)

    def test_it_forecasts_lorenz(self, lorenz):
        fitted = fs.fit(Reservoir(3, 300), lorenz[:2000], algorithm=Ridge(ridge=1e-7))
        truth = lorenz[2000:]
        assert fitted.evaluate(truth)["prediction_error_20"] < 1e-3  # an unrelated state scores 2

    def test_bad_arguments(self):
        for options, message in [
            ({"leak": 0.0}, r"leak must lie in \(0, 1\], got 0"),
            ({"density": 2.0}, "density must lie in"),
            ({"input_scaling": -1.0}, "input_scaling must not be negative"),
            ({"units": 1, "density": 1e-9}, "no cycle"),
        ]:
            with pytest.raises(fs.InputError, match=message):
                Reservoir(3, **({"units": 20} | options))


MODELS = {
    "linear": lambda **o: NVAR(3, 2, degree=1),
    "cubic": lambda **o: NVAR(3, 2, stride=3, degree=3),
    "reservoir": lambda **o: Reservoir(3, 30, context=5, **o),
    "quadratic reservoir": lambda **o: Reservoir(3, 30, context=5, quadratic=True, leak=0.5, **o),
}


@pytest.mark.parametrize("name", MODELS)
class TestReadouts:
    def test_regressors_do_not_depend_on_blocks(self, name):
        model = MODELS[name]().double()
        history = torch.randn(2, 40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        whole = torch.cat(list(model.blocks(history)), dim=1)
        torch.testing.assert_close(torch.cat(list(model.blocks(history, 7)), dim=1), whole)
        assert whole.shape == (2, 40 - model.context + 1, model.regressors)
        torch.testing.assert_close(model.phi(model.begin(history)), whole[:, -1])

    def test_the_solution_is_that_of_the_normal_equations(self, name, lorenz):
        model = MODELS[name]()
        fs.fit(model, lorenz[:300], algorithm=Ridge(ridge=0.1, washout=20), precision="64")
        x = lorenz[:300].coefficients.double()
        x = ((x - x.mean(dim=0)) / x.std(dim=0, correction=0))[None]
        phi = torch.cat(list(model.blocks(x[:, :-1])), dim=1)[0, 20 - model.context :]
        y = x[0, 20:] - x[0, 19:-1] if model.increments else x[0, 20:]
        gram = phi.mT @ phi + 0.1 * torch.eye(model.regressors, dtype=torch.float64)
        torch.testing.assert_close(model.W.detach(), torch.linalg.solve(gram, phi.mT @ y).mT, rtol=1e-6, atol=1e-9)

    def test_the_gradient_vanishes_at_the_solution(self, name, lorenz):
        """autograd through `follow` agrees with the closed form that W minimises the penalised squared error."""
        model = MODELS[name]()
        fs.fit(model, lorenz[:300], algorithm=Ridge(ridge=0.5), precision="64")
        x = lorenz[:300].coefficients.double()
        x = ((x - x.mean(dim=0)) / x.std(dim=0, correction=0))[None]

        def objective():
            error = model.follow(x[:, :-1]) - x[:, model.context :]
            return error.square().sum() + 0.5 * model.W.square().sum()

        at_solution = torch.autograd.grad(objective(), model.W)[0].abs().max()
        with torch.no_grad():
            model.W.mul_(1.01)
        assert at_solution < 1e-6 * torch.autograd.grad(objective(), model.W)[0].abs().max()

    def test_one_step_is_the_start_of_a_run(self, name, lorenz):
        fitted = fs.fit(MODELS[name](), lorenz[:300], algorithm=Ridge(ridge=1e-3), precision="64")
        history = lorenz[300:330]
        following = fitted(history)
        assert following.space.domain.count == 30 - fitted.context + 1
        assert following.space.domain.stop == pytest.approx(lorenz.space.domain.step * 330)
        run = fitted.rollout(history, 3)
        torch.testing.assert_close(run.coefficients[1], following.coefficients[-1])
        assert run.space.domain.start == pytest.approx(history.space.domain.stop)
        torch.testing.assert_close(run.coefficients[0], history.coefficients[-1])

    def test_files(self, name, lorenz, tmp_path):
        fitted = fs.fit(MODELS[name](), lorenz[:300], validation=lorenz[300:700], algorithm=Ridge(ridge=1e-3))
        fitted.save(tmp_path / "map")
        again = fs.load(tmp_path / "map")
        assert repr(again) == repr(fitted) and again.history == fitted.history
        assert again.history[-1]["prediction_error_20"] == pytest.approx(
            fitted.evaluate(lorenz[300:700])["prediction_error_20"]
        )
        assert again.provenance["training"]["algorithm"] == "RidgeRegression"
        assert torch.equal(again.rollout(lorenz[:20], 5).coefficients, fitted.rollout(lorenz[:20], 5).coefficients)


class TestRidge:
    def test_the_largest_ridge_that_runs_well_is_taken(self, lorenz):
        fitted = fs.fit(NVAR(3), lorenz[:2000], algorithm=Ridge())
        tried = [r for r in fitted.history if "free_run_error" in r]
        chosen = next(r for r in tried if r["ridge"] == fitted.history[-1]["ridge"])
        bounded = [r for r in tried if r["bounded"]]
        assert chosen in bounded and len(bounded) < len(tried)  # too small a ridge lets the run escape
        least = min(r["free_run_error"] for r in bounded)
        assert chosen["free_run_error"] <= 1.1 * least
        assert all(r["free_run_error"] > 1.1 * least for r in bounded if r["ridge"] > chosen["ridge"])
        assert all(0.0 <= r["free_run_error"] <= 2.0 for r in tried) and len(tried) == 14

    def test_strong_ridges_are_tried_and_taken_where_noise_calls_for_them(self, lorenz):
        clean = lorenz[:2000]
        noise = torch.randn(clean.coefficients.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        loud = clean.with_coefficients(clean.coefficients + 3.0 * noise)
        chosen = {}
        for name, data in {"clean": clean, "loud": loud}.items():
            history = fs.fit(NVAR(3, 2, degree=3), data, algorithm=Ridge(), precision="64").history
            assert [r["ridge"] for r in history[:-1]] == [10.0**k for k in range(-10, 4)]
            chosen[name] = history[-1]["ridge"]
        assert chosen["loud"] > 1.0 > chosen["clean"]

    def test_same_seed_same_bytes_and_noise_shrinks(self, lorenz):
        def weights(noise, seed):
            model = NVAR(3, 2, degree=1)
            fs.fit(model, lorenz[:500], algorithm=Ridge(ridge=1e-9, noise=noise), seed=seed)
            return model.W.detach()

        state = torch.get_rng_state()
        assert torch.equal(weights(0.1, 3), weights(0.1, 3))
        assert torch.equal(torch.get_rng_state(), state)
        assert not torch.equal(weights(0.1, 3), weights(0.1, 4))
        assert weights(0.1, 3).norm() < weights(0.0, 3).norm()

    def test_many_trajectories_count_alike(self, lorenz):
        """Regression on two halves, of unequal length, misses only the steps across the cut."""
        halves = [lorenz[:1000], lorenz[1000:2500]]
        both, whole = NVAR(3, 1), NVAR(3, 1)
        fs.fit(both, halves, algorithm=Ridge(ridge=1e-6), precision="64")
        fs.fit(whole, lorenz[:2500], algorithm=Ridge(ridge=1e-6), precision="64")
        torch.testing.assert_close(both.W, whole.W, rtol=0.0, atol=1e-3 * whole.W.abs().max().item())
        swapped = NVAR(3, 1)
        fs.fit(swapped, halves[::-1], algorithm=Ridge(ridge=1e-6), precision="64")
        torch.testing.assert_close(both.W, swapped.W, rtol=1e-9, atol=1e-11)

    def test_bad_input(self, lorenz):
        with pytest.raises(fs.InputError, match=r"trains models with a linear read-out.*got ALRNN"):
            fs.fit(fs.dynamics.ALRNN(3, 4, 1), lorenz, algorithm=Ridge())
        with pytest.raises(fs.InputError, match=r"trains recurrent maps.*got NVAR"):
            fs.fit(NVAR(3), lorenz, algorithm=fs.dynamics.SparseTeacherForcing())
        with pytest.raises(fs.InputError, match=r"RidgeRegression solves at once.*takes no epochs; got 3"):
            fs.fit(NVAR(3), lorenz, algorithm=Ridge(), epochs=3)
        with pytest.raises(fs.InputError, match="the model observes 2 components; the data have 3"):
            fs.fit(NVAR(2), lorenz, algorithm=Ridge())
        with pytest.raises(
            fs.InputError, match="trajectory 1 of the data has 20 instants; the model needs at least 51"
        ):
            fs.fit(Reservoir(3, 20), [lorenz[:100], lorenz[:20]], algorithm=Ridge())
        with pytest.raises(fs.InputError, match="too short to choose the ridge"):
            fs.fit(NVAR(3), lorenz[:12], algorithm=Ridge())
        for options, message in [({"ridge": -1.0}, "ridge must not"), ({"noise": -1.0}, "noise"), ({"holdout": 1.0},
                                 "holdout"), ({"washout": 0}, "washout")]:  # fmt: skip
            with pytest.raises(fs.InputError, match=message):
                Ridge(**options)

    def test_a_short_start_names_what_is_needed(self, lorenz):
        fitted = fs.fit(NVAR(3, 3, stride=4), lorenz[:300], algorithm=Ridge(ridge=1e-3))
        assert fitted.context == 9
        with pytest.raises(fs.InputError, match="NVAR starts from at least 9 instants; got 1"):
            fitted.rollout(lorenz[:1], 5)
        error = fs.dynamics.metrics.prediction_error(fitted, lorenz[300:400], horizon=5)
        start = fitted.rollout(lorenz[300:309], 5).coefficients[-1]
        assert error < 1.0 and bool(start.isfinite().all())
