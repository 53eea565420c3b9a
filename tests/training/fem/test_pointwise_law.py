"""Pointwise laws: values and derivatives against closed forms, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import funcspace as fs
from funcspace.training.fem import PointwiseLaw
from tests.training.small_problem import Affine, make_data

RNG = np.random.default_rng(0)


def seeded(*layers: nn.Module) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for layer in layers:
            if hasattr(layer, "reset_parameters"):
                layer.reset_parameters()
    return nn.Sequential(*layers)


def test_derivatives_of_a_tensor_valued_law() -> None:
    """sigma = |eps|^2 eps + k w I: d sigma_ij / d eps_kl = |eps|^2 d_ik d_jl + 2 eps_ij eps_kl."""
    eps, w = RNG.standard_normal((7, 2, 2)), RNG.standard_normal(7)
    law = PointwiseLaw(
        lambda e, w: (e**2).sum(dim=(1, 2))[:, None, None] * e + 3.0 * w[:, None, None] * torch.eye(2).double()
    )
    value, (by_eps, by_w) = law.linearised(eps, w)
    size = (eps**2).sum(axis=(1, 2))
    expected = np.einsum("p,ik,jl->pijkl", size, np.eye(2), np.eye(2)) + 2 * np.einsum("pij,pkl->pijkl", eps, eps)
    np.testing.assert_allclose(by_eps, expected, atol=1e-14)
    np.testing.assert_allclose(by_w, np.broadcast_to(3.0 * np.eye(2), (7, 2, 2)), atol=0)
    np.testing.assert_allclose(value, law(eps, w), atol=0)


def test_network_derivatives_against_differences() -> None:
    network = seeded(nn.Linear(4, 12), nn.GELU(), nn.Linear(12, 2))
    law = PointwiseLaw.of_features(network, (2,))
    u, x = RNG.standard_normal(50), RNG.standard_normal((50, 3))
    _, (by_u, by_x) = law.linearised(u, x)
    h = 1e-6
    np.testing.assert_allclose(by_u, (law(u + h, x) - law(u - h, x)) / (2 * h), atol=1e-8)
    for axis in range(3):
        step = h * np.eye(3)[axis]
        np.testing.assert_allclose(by_x[:, :, axis], (law(u, x + step) - law(u, x - step)) / (2 * h), atol=1e-8)
    assert all(p.dtype == torch.float32 and p.grad is None for p in network.parameters())


def test_weights_are_widened_and_seen_at_each_call() -> None:
    network = seeded(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
    law, u = PointwiseLaw.of_features(network), RNG.standard_normal(20)
    double = seeded(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    with torch.no_grad():
        expected = double(torch.from_numpy(u)[:, None])[:, 0].numpy()
    np.testing.assert_allclose(law(u), expected, rtol=1e-14)
    with torch.no_grad():
        network[2].bias += 1.0
    np.testing.assert_allclose(law(u), expected + 1.0, atol=1e-7)  # the bias itself is float32


def test_points_in_pieces_are_the_points_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    law = PointwiseLaw.of_features(seeded(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 4)), (2, 2))
    a = RNG.standard_normal((37, 2))
    whole = law.linearised(a)
    monkeypatch.setattr("funcspace.training.fem.pointwise_law.CHUNK_NUMBERS", 100)
    pieces = law.linearised(a)
    np.testing.assert_allclose(pieces[0], whole[0], rtol=1e-13)
    np.testing.assert_allclose(pieces[1][0], whole[1][0], rtol=1e-12, atol=1e-14)


def test_a_surrogate_is_a_law() -> None:
    """u = 2 a + 0.3 a^2 at each point, learned with normalisers: the law is the surrogate at each point."""
    surrogate = fs.fit(Affine(width=24), make_data(), epochs=60, progress=False, accelerator="cpu")
    law = PointwiseLaw.of_surrogate(surrogate)
    a = np.linspace(1.1, 1.9, 9)
    value, (slope,) = law.linearised(a)
    grid = surrogate.input_space
    constant = torch.full((9, *grid.coefficient_shape), 0.0, dtype=torch.float64)
    constant += torch.from_numpy(a).reshape(9, *([1] * len(grid.coefficient_shape)))
    predicted = surrogate(fs.Function(grid, constant)).coefficients.reshape(9, -1)[:, 0]
    np.testing.assert_allclose(value, predicted.numpy(), rtol=1e-5, atol=1e-6)  # both are sums in float32
    np.testing.assert_allclose(slope, (law(a + 1e-6) - law(a - 1e-6)) / 2e-6, atol=1e-8)
    with pytest.raises(fs.InputError, match=r"takes \['a'\]; got 2 operands"):
        law(a, a)
    with pytest.raises(fs.InputError, match=r"takes the parameters \[\]"):
        PointwiseLaw.of_surrogate(surrogate, {"Re": 1.0})


def test_what_is_no_law_is_refused() -> None:
    u = np.linspace(0.0, 1.0, 5)
    with pytest.raises(fs.InputError, match="mixes points"):
        PointwiseLaw(lambda u: u - u.mean())(u)
    with pytest.raises(fs.InputError, match=r"\(5, \*value\) for 5 points; got \(\)"):
        PointwiseLaw(lambda u: u.sum())(u)
    with pytest.raises(fs.SolverError, match=r"gave -?inf at point 0, where its operands are 0.0"):
        PointwiseLaw(torch.log)(u)
    with pytest.raises(fs.InputError, match="one value per point"):
        PointwiseLaw(lambda u, v: u + v)(u, u[:3])
    with pytest.raises(fs.InputError, match="must give"):
        PointwiseLaw.of_features(nn.Linear(1, 2))(u)
    with pytest.raises(fs.InputError, match="callable of torch tensors; got float"):
        PointwiseLaw(1.0)
