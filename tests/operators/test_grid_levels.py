"""Hierarchies of grids: counts, spacings, what stops, and what is refused."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from funcspace.errors import InputError
from funcspace.operators.grid_levels import GridLevel, coarsest_levels, parse_boundary


def chain(shape, boundary="dirichlet", samples="vertices"):
    sides = parse_boundary(boundary, len(shape))
    return [level.shape for level in coarsest_levels(GridLevel.finest(shape, [1.0] * len(shape), sides, samples))]


def test_chains_of_common_grids():
    assert chain((65,)) == [(65,), (33,), (17,), (9,), (5,), (3,)]
    assert chain((64,)) == [(64,), (33,), (17,), (9,), (5,), (3,)]
    assert chain((128,))[1] == (65,)
    assert chain((64,), "periodic") == [(64,), (32,), (16,), (8,), (4,), (2,)]
    assert chain((53,), samples="cells") == [(53,), (27,), (14,), (7,), (4,), (2,)]


def test_short_axes_stop_first():
    assert chain((65, 5)) == [(65, 5), (33, 3), (17, 3), (9, 3), (5, 3), (3, 3)]


@given(
    n=st.integers(2, 300),
    kind=st.sampled_from(["dirichlet", "neumann", "periodic"]),
    samples=st.sampled_from(["vertices", "cells"]),
)
def test_levels_keep_the_length_of_the_axis(n, kind, samples):
    closed = kind == "periodic"
    ends = 1 if samples == "vertices" and not closed else 0
    finest = GridLevel.finest((n,), (1.0 / (n - ends),), parse_boundary(kind, 1), samples)
    levels = coarsest_levels(finest)
    assert all((level.shape[0] - ends) * level.spacing[0] == pytest.approx(1.0) for level in levels)
    assert all(a.shape[0] > b.shape[0] for a, b in itertools.pairwise(levels))
    assert levels[-1].shape[0] <= 4


def test_mask_is_zero_exactly_on_dirichlet_vertices():
    sides = parse_boundary((("dirichlet", "neumann"), "periodic"), 2)
    mask = GridLevel.finest((3, 4), (1.0, 1.0), sides, "vertices").interior_mask()
    assert torch.equal(mask, torch.tensor([[0.0] * 4, [1.0] * 4, [1.0] * 4], dtype=torch.float64))
    assert GridLevel.finest((3, 4), (1.0, 1.0), sides, "cells").interior_mask() is None


@pytest.mark.parametrize("bad", ["robin", ("dirichlet",), (("periodic", "neumann"), "neumann"), 3])
def test_unknown_boundaries_are_refused(bad):
    with pytest.raises(InputError, match=r"boundary|periodic"):
        parse_boundary(bad, 2)
