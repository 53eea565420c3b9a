"""Models: numbers of weights, affine pieces, replicas, bounds, bad input."""

from __future__ import annotations

import pytest
import torch
from torch.func import jacrev, vmap

import funcspace as fs
from tests.dynamics.reconstruction.maps import MODELS, disturbed


@pytest.mark.parametrize(
    ("model", "count"),
    [
        # the numbers that the papers count, with the start L and observations B
        (lambda: fs.dynamics.ALRNN(observed=3, latent=20, relu=2), 491),
        (lambda: fs.dynamics.ClippedShallowPLRNN(5, hidden=250, observation="affine"), 2785),
        (lambda: fs.dynamics.ClippedShallowPLRNN(64, 16, 512, observation="affine"), 17952),
        (lambda: fs.dynamics.DendriticPLRNN(5, 35, 50), 3245),
        (lambda: fs.dynamics.DendriticPLRNN(64, 105, 40), 18099),
        (lambda: fs.dynamics.PLRNN(3, 10), 10 + 10 * 10 + 10 + 7 * 3),
    ],
)
def test_numbers_of_weights(model, count):
    assert sum(p.numel() for p in model().parameters()) == count


@pytest.mark.parametrize("name", MODELS)
def test_the_map_is_affine_on_its_regions(name):
    model = disturbed(name)
    z = torch.randn(40, model.latent, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    jacobian, offset = model.affine(model.region(z))
    torch.testing.assert_close((jacobian @ z[..., None])[..., 0] + offset, model.step(z), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(model.jacobian(z), vmap(jacrev(model.step))(z), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("observation", ["identity", "affine", "network"])
def test_replicas_are_models_of_their_own(name, observation):
    together = disturbed(name, replicas=3, observation=observation)
    x = torch.randn(3, 4, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    runs = together.generate(x, 6)
    assert runs.shape == (3, 4, 6, 3)
    for i in range(3):
        torch.testing.assert_close(together.replica(i).generate(x[i], 6), runs[i], rtol=1e-11, atol=1e-12)
    assert not torch.equal(runs[0], runs[1])


@pytest.mark.parametrize("name", MODELS)
def test_arguments_make_the_same_architecture_and_seeds_the_same_weights(name):
    model = MODELS[name](seed=5)
    again = type(model)(**model.config)
    for a, b in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    other = type(model)(**(model.config | {"seed": 6}))
    assert not torch.equal(next(iter(model.parameters())), next(iter(other.parameters())))


@pytest.mark.parametrize("name", ["clipped shallow", "clipped dendritic"])
def test_clipped_units_bound_every_orbit(name):
    model = disturbed(name, seed=7)
    with torch.no_grad():
        model.A.copy_(0.95 * torch.tanh(model.A))
        for weight in model.scan_weights()[0][1:]:
            weight.mul_(3.0)
    start = 1e3 * torch.randn(20, model.latent, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    states = model.generate_latent(start, 2000)
    assert bool(torch.isfinite(states).all())
    late = states[:, 1000:].abs().amax(dim=(0, 1))
    if name == "clipped shallow":
        assert bool((late <= model.orbit_bound() * (1 + 1e-9)).all())
    assert float(late.max()) < 1e3
    plain = disturbed("shallow", seed=7)
    with torch.no_grad():
        for weight in plain.scan_weights()[0][1:]:
            weight.mul_(3.0)
    assert not bool((plain.generate_latent(start[:, :1].expand(-1, 4), 2000).abs() < 1e6).all())


@pytest.mark.parametrize("kind", ["affine", "affine-detached"])
def test_affine_observation_starts_at_its_pseudo_inverse(kind):
    model = fs.dynamics.ALRNN(3, 8, 2, observation=kind).double()
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(model.observe(model.start(x)), x)
    target = model.observation.targets(x)
    torch.testing.assert_close(target, model.start(x))
    assert target.requires_grad == (kind == "affine")


def test_penalties_know_their_minimum():
    model = fs.dynamics.ClippedShallowPLRNN(3).double()
    with torch.no_grad():
        model.A.fill_(1.0)
        for weight in (model.W1, model.W2, model.h1, model.h2):
            weight.zero_()
    assert model.latent_penalty().item() == 0.0 == model.attractor_penalty(1.0).item()
    affine = fs.dynamics.ALRNN(2, 2, 1, observation="affine").double()
    with torch.no_grad():
        affine.observation.matrix.copy_(2.0 * torch.eye(2))
    assert affine.observation.penalty().item() < 1e-12


def test_bad_arguments():
    with pytest.raises(fs.InputError, match=r"at least as many units.*latent=2, observed=3"):
        fs.dynamics.ALRNN(observed=3, latent=2)
    with pytest.raises(fs.InputError, match="relu must be a whole number between 0 and latent=5"):
        fs.dynamics.ALRNN(observed=3, latent=5, relu=6)
    with pytest.raises(fs.InputError, match="observed must be a whole number of at least 1"):
        fs.dynamics.PLRNN(observed=0, latent=5)
    with pytest.raises(fs.InputError, match="hidden must be a whole number of at least 1, got 0"):
        fs.dynamics.ClippedShallowPLRNN(3, hidden=0)
    with pytest.raises(fs.InputError, match="observation must be"):
        fs.dynamics.ALRNN(3, 5, 1, observation="linear")
    with pytest.raises(fs.InputError, match=r"model\.replica"):
        fs.dynamics.ALRNN(3, 5, 1, replicas=2).jacobian(torch.zeros(2, 5))
