"""Data sets of linear problems: their laws and statistics, the solutions, determinism, bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from funcspace import Function, Grid, InputError, Mesh, OperatorData, RaggedFunction, Times
from funcspace.solvers.gaussian_fields import sample_generator
from funcspace.solvers.linear import (
    Heat,
    HeatSines,
    Helmholtz,
    HelmholtzCavity,
    PoissonGauss,
    PoissonSines,
    Wave,
    WaveLayers,
    WaveSines,
)
from funcspace.solvers.linear.heat_sets import l_shape
from funcspace.solvers.linear.random_sums import cosine_modes


def small(workers=None):
    """Each set at a size for tests."""
    return [
        PoissonSines(h=0.15, workers=workers),
        PoissonGauss(resolution=17, workers=workers),
        PoissonGauss(random_disc, workers=workers),
        HeatSines(h=0.125, times=Times(0.0, 1e-4, 3), workers=workers),
        WaveSines(h=0.2, times=Times(0.0, 0.01, 3), workers=workers),
        WaveLayers(resolution=12, times=Times(0.0, 0.02, 3), workers=workers),
        HelmholtzCavity(resolution=21, frequency=150.0, workers=workers),
        HelmholtzCavity(resolution=21, frequency=150.0, absorbing=True, workers=workers),
    ]


def random_disc(generator):
    return Mesh.disc(0.2, radius=float(generator.uniform(0.8, 1.2)))


@pytest.mark.parametrize("number", range(8))
def test_sample_i_depends_on_seed_and_i_alone(number):
    many, few = small(workers=2)[number], small(workers=1)[number]
    whole, part = many.sample(7, seed=3), few.sample(2, seed=3, first=4)
    for name, columns in (("inputs", whole.inputs), ("outputs", whole.outputs)):
        for key, column in columns.items():
            other = getattr(part, name)[key]
            assert torch.equal(column[4].coefficients, other[0].coefficients)
            assert torch.equal(column[5].coefficients, other[1].coefficients)
            assert not torch.equal(column[4].coefficients, column[5].coefficients)
    assert part.attributes["first"] == 4 and part.attributes["seed"] == 3
    fresh = few.sample(1, seed=None)
    again = few.sample(1, seed=fresh.attributes["seed"])
    key = next(iter(fresh.outputs))
    assert torch.equal(fresh.outputs[key][0].coefficients, again.outputs[key][0].coefficients)


def deviation(f: Function) -> float:
    return float(f.coefficients.std())


def test_sines_on_the_disc_have_the_published_statistics():
    """Published: standard deviation of u 6.4911e-4; of f about 0.78."""
    problem = PoissonSines(h=0.03)
    data = problem.sample(64)
    f, u = data.inputs["f"], data.outputs["u"]
    assert deviation(f) == pytest.approx(0.78, rel=0.02)
    assert deviation(u) == pytest.approx(6.4911e-4, rel=0.06)
    # a single amplitude: f is the mode, and in the square u = f / (pi^2 (i^2 + j^2))
    square = PoissonSines(Grid(x=(0.0, 1.0, 65), y=(0.0, 1.0, 65)), modes=2).sample(1)
    modes = np.pi**2 * np.add.outer(np.array([1, 4]), np.array([1, 4]))
    a = sample_generator(np.random.SeedSequence(0).entropy, 0).uniform(-1, 1, (2, 2))
    scale = np.pi / 4 * a * np.sqrt(modes) / np.pi / modes
    x, y = square.inputs["f"].domain.points.numpy().T
    exact = sum(
        scale[i, j] * np.sin(np.pi * (i + 1) * x) * np.sin(np.pi * (j + 1) * y) for i in range(2) for j in range(2)
    )
    found = square.outputs["u"].coefficients[0].numpy()
    assert np.abs(found - exact).max() <= 3e-3 * np.abs(exact).max()


def test_gaussian_sources_have_the_published_statistics():
    """Published: standard deviations of f 4.755 and of u 0.0240 (over 20,000 samples)."""
    data = PoissonGauss(resolution=96).sample(400)
    assert deviation(data.inputs["f"]) == pytest.approx(4.755, rel=0.12)
    assert deviation(data.outputs["u"]) == pytest.approx(0.0240, rel=0.12)
    assert float(data.outputs["u"].values[:, 0].abs().max()) == 0.0


def test_meshes_may_vary_by_sample(tmp_path):
    data = PoissonGauss(random_disc).sample(3, seed=1)
    u = data.outputs["u"]
    assert isinstance(u, RaggedFunction)
    radii = [float(f.domain.points.norm(dim=1).max()) for f in u]
    expected = [sample_generator(np.random.SeedSequence(1).entropy, i).uniform(0.8, 1.2) for i in range(3)]
    assert radii == pytest.approx(expected, rel=1e-12)
    assert all(float(f.coefficients[f.space.dofs("boundary")].abs().max()) == 0.0 for f in u)
    data.save(tmp_path / "ragged.nc")
    again = OperatorData.load(tmp_path / "ragged.nc", lazy=False)
    assert torch.equal(again.outputs["u"].coefficients, u.coefficients)


def test_heat_on_the_l_shape_has_the_published_statistics():
    """Published: mean -0.0094 and standard deviation 0.0201 over the mesh of 14,047 nodes."""
    data = HeatSines(h=1 / 32).sample(64)
    u = data.outputs["u"].coefficients
    assert float(u.mean()) == pytest.approx(-0.0094, rel=0.15)
    assert float(u.std()) == pytest.approx(0.0201, rel=0.1)
    start, first = data.inputs["u0"].coefficients, u[:, 0]
    inside = ~torch.isin(torch.arange(start.shape[1]), data.inputs["u0"].space.dofs("boundary"))
    assert torch.equal(start[:, inside], first[:, inside])


def test_l_shape():
    mesh = l_shape(0.125)
    assert float(mesh.measure.sum()) == pytest.approx(0.75, rel=1e-12)
    centre = mesh.points[mesh.cells].mean(dim=1)
    assert not bool(((centre > 0.5).all(dim=1)).any())
    assert mesh.bounds.tolist() == [[0.0, 0.0], [1.0, 1.0]]


def test_waves_on_the_disc_have_the_published_statistics():
    """Published: standard deviation 0.0113 (0.0109 by an independent finite-element solution)."""
    data = WaveSines(h=0.04, step=0.0025).sample(48)
    assert deviation(data.outputs["u"]) == pytest.approx(0.0111, rel=0.06)


def test_layered_media():
    """Published: speeds of mean 3498.6 and deviation 647.8; three to six values in each sample, one per layer."""
    problem = WaveLayers(resolution=33, times=Times(0.0, 0.25, 5), step=0.05)
    data = problem.sample(80, seed=1)
    c = data.inputs["c"].coefficients
    assert float(c.mean()) == pytest.approx(3498.6, rel=0.03) and float(c.std()) == pytest.approx(647.8, rel=0.07)
    assert all(1 <= len(row.unique()) <= 6 for row in c) and max(len(row.unique()) for row in c) == 6
    u = data.outputs["u"].coefficients
    assert float(u.std()) == pytest.approx(0.1044, rel=0.15)
    assert bool((u[:, -1].square().mean(dim=1) < u[:, 0].square().mean(dim=1)).all())


def test_speeds_of_the_cavity_follow_their_law():
    """The pointwise variance of g is sum_k lambda_k phi_k(x)^2."""
    problem = HelmholtzCavity(resolution=11)
    points = problem.space.dof_points.numpy()
    k = cosine_modes(100)
    assert len(k) == 100 and [0, 0] not in k.tolist() and (np.diff((k**2).sum(axis=1)) >= 0).all()
    weights = (np.pi**2 * (k**2).sum(axis=1) + 9.0) ** -2.0 * 2.0 ** (k > 0).sum(axis=1)
    modes = np.cos(np.pi * np.outer(points[:, 0], k[:, 0])) * np.cos(np.pi * np.outer(points[:, 1], k[:, 1]))
    variance = modes**2 @ weights
    tables = problem._tables(points)
    g = np.stack(
        [np.arctanh(problem._inputs(problem._draw(sample_generator(5, i)), tables)[0] - 20.0) for i in range(3000)]
    )
    assert np.allclose(g.var(axis=0), variance, rtol=0.15)
    assert np.abs(g.mean(axis=0)).max() < 4 * math.sqrt(variance.max() / 3000)


def test_the_sets_are_solved_by_the_solvers_that_they_name():
    cavity = HelmholtzCavity(resolution=41, frequency=300.0)
    data = cavity.sample(1)
    window = lambda x: ((x[:, 0] > 0.3499) & (x[:, 0] < 0.6501)).double()  # noqa: E731
    c = data.inputs["c"][0]
    u = Helmholtz(c.domain, frequency=300.0, speed=c, neumann={"top": window}, dirichlet={}).solve()
    assert torch.equal(u.coefficients, data.outputs["u"].coefficients[0])
    complex_data = HelmholtzCavity(resolution=41, frequency=300.0, absorbing=True).sample(1)
    assert complex_data.outputs["u"].space.components == ("u_re", "u_im")
    assert float(complex_data.outputs["u"].coefficients.abs().max()) < float(data.outputs["u"].coefficients.abs().max())
    heat = HeatSines(h=0.125).sample(1)
    start = heat.inputs["u0"][0]
    same = Heat(start.domain, Times(0.0, 1e-4, 21), initial=start, step=5e-5, theta=1.0).solve()
    assert torch.allclose(same.coefficients, heat.outputs["u"].coefficients[0], atol=1e-15)
    wave = WaveSines(h=0.2).sample(1)
    start = wave.inputs["u0"][0]
    same = Wave(start.domain, Times(0.0, 0.005, 21), initial=start, speed=2.0, step=1e-3).solve()
    assert torch.allclose(same.coefficients, wave.outputs["u"].coefficients[0], atol=1e-15)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PoissonSines(modes=0), "modes must be a whole number of at least 1"),
        (lambda: PoissonGauss(resolution=2), "resolution must be a whole number of at least 3"),
        (lambda: HeatSines(random_disc), "one domain for all samples"),
        (lambda: WaveLayers(side=-1.0), "side must be a positive number"),
        (lambda: HelmholtzCavity(Mesh.disc(0.3)), "the window is in the part 'top'"),
        (lambda: PoissonGauss(resolution=9).sample(0), "n must be a whole number of at least 1"),
        (lambda: PoissonGauss(random_disc).space, "a space of its own"),
    ],
)
def test_refuses(make, message):
    with pytest.raises(InputError, match=message):
        make()
