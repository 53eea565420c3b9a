"""Lyapunov spectra of maps: closed forms, published values, agreement of the ways to the derivative, errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from funcspace.dynamics import Estimate
from funcspace.dynamics import metrics as m
from funcspace.errors import InputError, SolverError


def henon_of_one(state: torch.Tensor) -> torch.Tensor:
    x, y = state
    return torch.stack([1.0 - 1.4 * x**2 + y, 0.3 * x])


def henon(states: torch.Tensor) -> torch.Tensor:
    x, y = states.unbind(-1)
    return torch.stack([1.0 - 1.4 * x**2 + y, 0.3 * x], dim=-1)


def henon_jacobian(states: torch.Tensor) -> torch.Tensor:
    x = states[..., 0]
    ones = torch.ones_like(x)
    return torch.stack([torch.stack([-2.8 * x, ones], -1), torch.stack([0.3 * ones, 0.0 * ones], -1)], -2)


def lorenz_step(states: torch.Tensor, dt: float = 0.02) -> torch.Tensor:
    def flow(s: torch.Tensor) -> torch.Tensor:
        x, y, z = s.unbind(-1)
        return torch.stack([10.0 * (y - x), x * (28.0 - z) - y, x * y - 8.0 / 3.0 * z], dim=-1)

    a = flow(states)
    b = flow(states + 0.5 * dt * a)
    c = flow(states + 0.5 * dt * b)
    d = flow(states + dt * c)
    return states + dt / 6.0 * (a + 2.0 * b + 2.0 * c + d)


def test_linear_map_has_the_logarithms_of_its_multipliers():
    basis = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))[0]
    multipliers = torch.tensor([0.9, 0.5, 0.2, 0.05], dtype=torch.float64)
    matrix = basis @ torch.diag(multipliers) @ basis.T
    spectrum = m.lyapunov_spectrum(lambda x: x @ matrix.T, torch.ones(4), 400, transient=200, dt=0.1)
    np.testing.assert_allclose(spectrum, np.log(multipliers.numpy()) / 0.1, rtol=1e-6)
    some = m.lyapunov_spectrum(lambda x: x @ matrix.T, torch.ones(4), 400, transient=200, dt=0.1, count=2)
    np.testing.assert_allclose(some, spectrum[:2], rtol=1e-6)
    rare = m.lyapunov_spectrum(lambda x: x @ matrix.T, torch.ones(4), 400, transient=200, dt=0.1, every=5)
    np.testing.assert_allclose(rare, spectrum, rtol=1e-6)


def test_henon_map_and_the_ways_to_its_derivative():
    spectrum = m.lyapunov_spectrum(henon, [0.1, 0.1], 8000, transient=100)
    np.testing.assert_allclose(spectrum, [0.419, -1.623], atol=3 * spectrum.error.max() + 0.001)
    assert spectrum.error.max() < 0.01
    assert sum(spectrum) == pytest.approx(np.log(0.3), rel=1e-10)
    # one orbit, differentiated in four ways
    few = {"steps": 300, "transient": 50}
    reference = m.lyapunov_spectrum(henon, [0.1, 0.1], **few)
    for model, jacobian in (
        (henon_of_one, None),
        (henon, henon_jacobian),
        (
            henon,
            lambda s: torch.stack([torch.stack([-2.8 * s[0], s[0] ** 0]), torch.stack([0.3 * s[0] ** 0, 0 * s[0]])]),
        ),
    ):
        np.testing.assert_allclose(
            m.lyapunov_spectrum(model, [0.1, 0.1], jacobian=jacobian, **few), reference, rtol=1e-6
        )


def test_flow_through_its_step_pooled_over_orbits():
    starts = torch.tensor([1.0, 1.0, 25.0]) + torch.rand(32, 3, generator=torch.Generator().manual_seed(0))
    spectrum = m.lyapunov_spectrum(lorenz_step, starts.double(), 1500, dt=0.02, transient=500, pool=True)
    np.testing.assert_array_less(np.abs(spectrum.value - [0.9056, 0.0, -14.572]), 4 * spectrum.error + 0.005)
    assert sum(spectrum) == pytest.approx(-41 / 3, rel=3e-4)
    dimension = m.kaplan_yorke_dimension(spectrum)
    assert float(dimension) == pytest.approx(2.062, abs=4 * dimension.error + 0.001)
    # the exponents add up to a constant, so that the dimension is known better than the exponents
    assert dimension.error < spectrum.error[0] / 14.0


def test_batches_agree_with_single_orbits():
    starts = torch.tensor([[0.1, 0.1], [0.2, -0.1]], dtype=torch.float64)
    batch = m.lyapunov_spectrum(henon, starts, 200)
    assert batch.shape == (2, 2) and batch.details["covariance"].shape == (2, 2, 2)
    for start, exponents in zip(starts, batch, strict=True):
        np.testing.assert_allclose(m.lyapunov_spectrum(henon, start, 200), exponents, rtol=1e-10)


def test_modules_keep_their_weights_and_their_precision():
    module = torch.nn.Sequential(torch.nn.Linear(3, 3, bias=False))
    with torch.no_grad():
        module[0].weight.copy_(torch.diag(torch.tensor([0.5, 0.25, 0.125])))
    spectrum = m.lyapunov_spectrum(module, np.ones(3), 400, transient=100)
    np.testing.assert_allclose(spectrum, np.log([0.5, 0.25, 0.125]), rtol=1e-5)
    assert module[0].weight.requires_grad and module[0].weight.grad is None
    assert spectrum.details["final"].shape == (3,)


def test_modules_with_a_step_and_a_jacobian_are_asked_for_them():
    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.derivatives = 0

        def step(self, states):
            return henon(states)

        def jacobian(self, states):
            self.derivatives += len(states)
            return henon_jacobian(states)

        def forward(self, windows):
            raise AssertionError("not the map")

    model = Model()
    spectrum = m.lyapunov_spectrum(model, [0.1, 0.1], 300)
    np.testing.assert_allclose(spectrum, m.lyapunov_spectrum(henon, [0.1, 0.1], 300), rtol=1e-8)
    assert model.derivatives >= 300


def test_products_of_given_matrices():
    states = torch.zeros(500, 2, dtype=torch.float64)
    states[0] = 0.1
    for n in range(499):
        states[n + 1] = henon(states[n])
    products = m.lyapunov_spectrum_of_products(henon_jacobian(states))
    np.testing.assert_allclose(products, m.lyapunov_spectrum(henon, states[0], 500), rtol=1e-8)


def test_objects_that_know_their_spectrum_are_asked():
    class Known:
        def lyapunov_spectrum(self, *, time=1.0, exponents=3):
            return Estimate(np.arange(exponents)[::-1] * time, 0.1)

    assert list(m.lyapunov_spectrum(Known(), count=2, time=5.0)) == [5.0, 0.0]
    with pytest.raises(InputError, match="takes no steps; it takes exponents, time"):
        m.lyapunov_spectrum(Known(), None, 100)


def test_kaplan_yorke_dimension():
    assert float(m.kaplan_yorke_dimension([0.5, -1.0])) == 1.5
    assert float(m.kaplan_yorke_dimension([-1.0, 0.5])) == 1.5
    assert float(m.kaplan_yorke_dimension([-0.1, -1.0])) == 0.0
    assert float(m.kaplan_yorke_dimension([0.3, 0.0, -0.3])) == 3.0
    np.testing.assert_allclose(m.kaplan_yorke_dimension([[0.5, -1.0], [0.25, -1.0]]), [1.5, 1.25])
    # D = 1 + a/b: errors a' / b and a b' / b^2
    found = m.kaplan_yorke_dimension(Estimate([0.5, -2.0], [0.03, 0.04]))
    assert found.error == pytest.approx(np.hypot(0.03 / 2, 0.5 * 0.04 / 4))
    # fully correlated errors that keep a - b fixed
    tied = Estimate([0.5, -2.0], [0.03, 0.03], {"covariance": 0.03**2 * np.array([[1.0, -1.0], [-1.0, 1.0]])})
    assert m.kaplan_yorke_dimension(tied).error == pytest.approx(0.03 * abs(1 / 2 - 0.5 / 4))
    with pytest.raises(InputError, match="more of them"):
        m.kaplan_yorke_dimension([0.9, 0.0], complete=False)
    with pytest.raises(InputError, match="finite"):
        m.kaplan_yorke_dimension([0.9, np.nan])


def test_bad_input_and_divergence():
    with pytest.raises(InputError, match="initial state and a number of steps"):
        m.lyapunov_spectrum(henon)
    with pytest.raises(InputError, match="too few for 20 blocks"):
        m.lyapunov_spectrum(henon, [0.1, 0.1], 10)
    with pytest.raises(InputError, match="count"):
        m.lyapunov_spectrum(henon, [0.1, 0.1], 100, count=3)
    with pytest.raises(InputError, match="of that shape"):
        m.lyapunov_spectrum(lambda x: x[..., :1], [0.1, 0.1], 100)
    with pytest.raises(InputError, match="unknown arguments for a map: stesp"):
        m.lyapunov_spectrum(henon, [0.1, 0.1], 100, stesp=3)
    with pytest.raises(InputError, match="could not be applied to a state"):
        m.lyapunov_spectrum(torch.nn.Linear(3, 3).double(), [0.1, 0.1], 100)
    with pytest.raises(InputError, match="must be a map"):
        m.lyapunov_spectrum("henon", [0.1, 0.1], 100)
    with pytest.raises(SolverError, match="not finite at step"):
        m.lyapunov_spectrum(henon, [5.0, 5.0], 100)
    with pytest.raises(SolverError, match="vanished"):
        m.lyapunov_spectrum(lambda x: x * torch.tensor([0.5, 0.0], dtype=x.dtype), [1.0, 1.0], 100, every=5)


@pytest.mark.parametrize("rows", [[[1.0, 0.0], [1.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]]])
def test_what_a_singular_derivative_annihilates_has_minus_infinity(rows):
    found = m.lyapunov_spectrum_of_products(np.tile(rows, (200, 1, 1)))
    assert found[0] == pytest.approx(np.log(np.abs(np.linalg.eigvals(rows)).max()), abs=0.02) and found[1] == -np.inf
    assert np.isfinite(found.error[0]) and np.isnan(found.error[1])
    assert float(m.kaplan_yorke_dimension(found)) == pytest.approx(1.0 if found[0] >= 0 else 0.0)


def test_random_products_of_rank_two():
    generator = np.random.default_rng(0)
    parts = [generator.normal(size=(3000, *shape)) for shape in ((3, 2), (2, 3))]
    found = m.lyapunov_spectrum_of_products(parts[0] @ parts[1], blocks=10)
    # the products of the inner parts, 2 by 2, have the other two exponents
    inner = m.lyapunov_spectrum_of_products(parts[1][1:] @ parts[0][:-1], blocks=10)
    np.testing.assert_allclose(found.value[:2], inner.value, atol=0.01)
    assert found[2] == -np.inf


def test_arguments_that_equal_defaults_count_for_objects_that_have_others():
    class Asked:
        def lyapunov_spectrum(self, steps=100, *, transient=50):
            return np.array([steps, transient], dtype=float)

    assert list(m.lyapunov_spectrum(Asked(), steps=400, transient=0)) == [400.0, 0.0]
    assert list(m.lyapunov_spectrum(Asked())) == [100.0, 50.0]
