import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import funcspace as fs
from funcspace.errors import InputError
from funcspace.solvers.spectral import Modes


def torus(*counts: int) -> fs.Grid:
    axes = {name: (0.5, 0.5 + 2.0 * (place + 1), n) for place, (name, n) in enumerate(zip("xyz", counts, strict=False))}
    return fs.Grid(periodic=tuple(axes), **axes)


def smooth(grid: fs.Grid, waves: tuple[int, ...]) -> torch.Tensor:
    phase = sum(
        2 * math.pi * w * (x - 0.5) / axis.length
        for w, x, axis in zip(waves, grid.points.T, grid.grid_axes, strict=True)
    )
    return torch.cos(phase + 0.3).reshape(grid.shape)


@given(st.lists(st.integers(7, 20), min_size=1, max_size=3), st.integers(0, 100))
def test_evaluation_inverts_projection(counts: list[int], seed: int) -> None:
    modes = Modes(torus(*counts))
    u = torch.randn(2, *counts, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    cut = modes.evaluate(modes.project(u))
    torch.testing.assert_close(modes.evaluate(modes.project(cut)), cut, rtol=0, atol=1e-13)
    # The cutoff is an orthogonal projection.
    assert float((cut * (u - cut)).sum().abs()) < 1e-11


@pytest.mark.parametrize("counts", [(12,), (12, 9), (8, 9, 10)])
def test_symbols_differentiate(counts: tuple[int, ...]) -> None:
    grid = torus(*counts)
    modes = Modes(grid)
    waves = tuple(min(2, cut) for cut in modes.cutoffs)
    u = smooth(grid, waves)
    for place, k in enumerate(modes.wavenumbers):
        slope = modes.evaluate(modes.project(u) * modes.symbol(1j * k.expand(modes.shape)))
        rate = 2 * math.pi * waves[place] / grid.grid_axes[place].length
        phase = torch.acos(u.clamp(-1, 1))
        torch.testing.assert_close(slope.abs(), (rate * torch.sin(phase)).abs(), rtol=0, atol=1e-6)
    laplacian = modes.evaluate(modes.project(u) * modes.symbol(-modes.square))
    rates = [2 * math.pi * w / axis.length for w, axis in zip(waves, grid.grid_axes, strict=True)]
    torch.testing.assert_close(laplacian, -sum(r**2 for r in rates) * u, rtol=0, atol=1e-11)


@pytest.mark.parametrize("degree", [2, 3])
@pytest.mark.parametrize("counts", [(24,), (16, 18), (16, 12, 15)])
def test_products_of_the_degree_are_free_of_aliasing(counts: tuple[int, ...], degree: int) -> None:
    """The cut-off product on the grid is that on a grid twice as fine, where nothing can alias."""
    coarse = Modes(torus(*counts), degree)
    noise = torch.randn(counts, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    u = coarse.evaluate(coarse.project(noise))
    fine_grid = coarse.grid.with_shape(*(2 * n for n in counts))
    space = fs.FunctionSpace(coarse.grid, "fourier")
    fine = space.prolongation(fs.FunctionSpace(fine_grid, "fourier"))(u.flatten()).reshape(fine_grid.shape)
    product = coarse.project(u**degree)
    exact = torch.fft.fftn(fine**degree)
    for place, cut in enumerate(coarse.cutoffs):
        kept = [*range(cut + 1), *range(-cut, 0)]
        exact = exact.index_select(place, torch.tensor([k % exact.shape[place] for k in kept]))
    whole = torch.fft.fftn(coarse.evaluate(product))
    for place, cut in enumerate(coarse.cutoffs):
        kept = [*range(cut + 1), *range(-cut, 0)]
        whole = whole.index_select(place, torch.tensor([k % whole.shape[place] for k in kept]))
    torch.testing.assert_close(whole * 2 ** len(counts), exact, rtol=0, atol=1e-9)


def test_grids_that_do_not_close_or_are_too_small_are_refused() -> None:
    with pytest.raises(InputError, match="axis 'y' is not periodic"):
        Modes(fs.Grid(x=(0.0, 1.0, 8), y=(0.0, 1.0, 8), periodic=("x",)))
    with pytest.raises(InputError, match="at least 4 points"):
        Modes(torus(3))
