"""Ghost values, stencils and transfers: exact on simple functions, aligned, adjoint, equivariant."""

import itertools

import pytest
import torch

from funcspace.operators.grid_levels import GridLevel, parse_boundary
from funcspace.operators.grid_stencil import StencilConv, laplacian_stencil, pad_ghosts
from funcspace.operators.grid_transfer import Prolongation, Restriction, prolong, resample, restrict

F64 = {"dtype": torch.float64}


def level_of(shape, boundary, samples):
    sides = parse_boundary(boundary, len(shape))
    ends = [1 if samples == "vertices" and s[0] != "periodic" else 0 for s in sides]
    return GridLevel.finest(shape, [1.0 / (n - e) for n, e in zip(shape, ends, strict=True)], sides, samples)


def positions(level):
    axes = []
    for n, h, sides in zip(level.shape, level.spacing, level.boundary, strict=True):
        first = 0.5 * h if level.samples == "cells" else 0.0
        axes.append(first + h * torch.arange(n, **F64))
        del sides
    return torch.meshgrid(*axes, indexing="ij")


@pytest.mark.parametrize("samples", ["vertices", "cells"])
@pytest.mark.parametrize("kind", ["dirichlet", "neumann", "periodic"])
def test_ghosts_continue_functions_that_satisfy_the_condition(kind, samples):
    level = level_of((24,), kind, samples)
    function = {
        "dirichlet": lambda x: torch.sin(torch.pi * x),
        "neumann": lambda x: torch.cos(torch.pi * x),
        "periodic": lambda x: torch.sin(2 * torch.pi * x + 0.3),
    }[kind]
    (x,) = positions(level)
    padded = pad_ghosts(function(x)[None, None], level.boundary, samples)[0, 0]
    ghosts = torch.stack((x[0] - level.spacing[0], x[-1] + level.spacing[0]))
    expected = function(ghosts)
    if kind == "dirichlet" and samples == "vertices":
        expected = torch.zeros(2, **F64)  # the boundary vertex itself is no unknown
    torch.testing.assert_close(padded[[0, -1]], expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_laplacian_stencil_is_exact_on_quadratics(dimension):
    spacing = (0.5, 0.25, 1.0)[:dimension]
    stencil = laplacian_stencil(spacing)
    offsets = torch.meshgrid(*(h * torch.tensor([-1.0, 0.0, 1.0], **F64) for h in spacing), indexing="ij")
    for axis in range(dimension):
        assert float((stencil * offsets[axis] ** 2).sum()) == pytest.approx(-2.0)
        assert float((stencil * offsets[axis]).sum()) == pytest.approx(0.0, abs=1e-12)
    assert float(stencil.sum()) == pytest.approx(0.0, abs=1e-12)


CASES = list(
    itertools.product(["neumann", "periodic"], ["vertices", "cells"], [(12,), (13,), (9, 12), (5, 3), (6, 7, 4)])
)


@pytest.mark.parametrize(("kind", "samples", "shape"), CASES)
def test_classical_transfers_reproduce_constants(kind, samples, shape):
    level = level_of(shape, kind, samples)
    fine = torch.ones(1, 2, *shape, **F64)
    coarse = restrict(fine, level)
    assert coarse.shape[2:] == level.coarse_shape
    torch.testing.assert_close(coarse, torch.ones_like(coarse))
    torch.testing.assert_close(prolong(coarse, level), fine)


@pytest.mark.parametrize("samples", ["vertices", "cells"])
@pytest.mark.parametrize("n", [16, 17, 23])
def test_prolongation_reproduces_linear_functions_in_space(n, samples):
    """No shift between the grids: a linear function keeps its values where the fine samples are."""
    level = level_of((n,), "neumann", samples)
    coarse = level.coarser()
    (x,), (y,) = positions(level), positions(coarse)
    fine = prolong(y[None, None], level)[0, 0]
    inside = slice(1, -1) if samples == "cells" else slice(None)
    torch.testing.assert_close(fine[inside], x[inside])


@pytest.mark.parametrize("samples", ["vertices", "cells"])
@pytest.mark.parametrize("shape", [(17,), (16, 16), (9, 5)])
def test_full_weighting_is_the_scaled_adjoint_of_interpolation(shape, samples):
    level = level_of(shape, "dirichlet", samples)
    if level.shape != level.aligned_shape:
        level = level_of(level.aligned_shape, "dirichlet", samples)
    mask, coarse_mask = level.interior_mask(), level.coarser().interior_mask()
    u, w = torch.randn(1, 1, *level.shape, **F64), torch.randn(1, 1, *level.coarse_shape, **F64)
    if mask is not None:
        u, w = u * mask, w * coarse_mask
    halved = sum(level.halved)
    up = prolong(w, level)
    torch.testing.assert_close((restrict(u, level) * w).sum() * 2**halved, (u * up).sum())


@pytest.mark.parametrize("samples", ["vertices", "cells"])
@pytest.mark.parametrize("kind", ["dirichlet", "neumann", "periodic"])
@pytest.mark.parametrize("n", [12, 13, 15, 16])
def test_transfers_commute_with_reflection(n, kind, samples):
    level = level_of((n, n + 1), kind, samples)

    def flip(x):
        if kind == "periodic" and samples == "vertices":
            return x.flip(2).roll(1, dims=2)
        return x.flip(2)

    x = torch.randn(2, 1, *level.shape, **F64)
    torch.testing.assert_close(restrict(flip(x), level), flip(restrict(x, level)))
    y = torch.randn(2, 1, *level.coarse_shape, **F64)
    torch.testing.assert_close(prolong(flip(y), level), flip(prolong(y, level)))


@pytest.mark.parametrize("samples", ["vertices", "cells"])
def test_periodic_transfers_commute_with_shifts_of_the_coarse_grid(samples):
    level = level_of((16, 8), "periodic", samples)
    torch.manual_seed(0)
    down, up = (t(3, 3, 2, samples).double() for t in (Restriction, Prolongation))
    torch.nn.init.normal_(down.weight)
    torch.nn.init.normal_(up.weight)
    x = torch.randn(1, 3, 16, 8, **F64)
    torch.testing.assert_close(down(x.roll((2, 4), (2, 3)), level), down(x, level).roll((1, 2), (2, 3)))
    y = torch.randn(1, 3, 8, 4, **F64)
    torch.testing.assert_close(up(y.roll((1, 2), (2, 3)), level), up(y, level).roll((2, 4), (2, 3)))


def test_resampling_keeps_dirichlet_values():
    level = level_of((10,), "dirichlet", "vertices")
    x = torch.randn(1, 1, 10, **F64)
    x[..., 0] = x[..., -1] = 0
    y = resample(x, level.aligned_shape, level)
    assert y.shape[-1] == 11
    assert float(y[..., 0]) == float(y[..., -1]) == 0.0


def test_stencil_repr_and_reset():
    torch.manual_seed(0)
    conv = StencilConv(4, 4, 2, depthwise=True)
    assert repr(conv) == "StencilConv(4, 4, dimension=2, points=3, depthwise=True)"
    assert repr(Restriction(2, 3, 2, "cells")) == 'Restriction(2, 3, dimension=2, samples="cells")'
    before = conv.weight.clone()
    conv.reset_parameters()
    assert not torch.equal(before, conv.weight)
    wide = StencilConv(32, 32, 2)
    y = wide(torch.randn(4, 32, 16, 16), parse_boundary("periodic", 2), "vertices")
    assert y.square().mean().sqrt().item() == pytest.approx(3**-0.5, rel=0.1)


def test_stencil_gradients():
    level = level_of((5, 4), (("dirichlet", "neumann"), "periodic"), "cells")
    conv = StencilConv(1, 2, 2).double()
    x = torch.randn(1, 1, 5, 4, **F64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: conv(v, level.boundary, level.samples), (x,))
    assert torch.autograd.gradcheck(lambda v: prolong(restrict(v, level), level), (x,))
