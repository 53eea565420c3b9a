"""Batches of functions on differing domains."""

from __future__ import annotations

import pytest
import torch

import funcspace as fs
from funcspace.errors import InputError

f64 = torch.float64


def functions(components=("u",)) -> list[fs.Function]:
    spaces = [fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, n)), components=components) for n in (3, 5, 4)]
    generator = torch.Generator().manual_seed(0)
    return [fs.Function(s, torch.randn(s.coefficient_shape, dtype=f64, generator=generator), name="k") for s in spaces]


@pytest.mark.parametrize("components", [("u",), ("u", "v")])
def test_packing_and_taking_apart(components):
    parts = functions(components)
    packed = fs.RaggedFunction.pack(parts)
    assert packed.ptr.tolist() == [0, 3, 8, 12] and packed.batch_shape == (3,) and len(packed) == 3
    for one, two in zip(packed, parts, strict=True):
        assert torch.equal(one.coefficients, two.coefficients) and one.space == two.space
    assert torch.equal(packed[-1].coefficients, parts[-1].coefficients)
    assert torch.allclose(packed.norm(), torch.stack([f.norm() for f in parts]))


def test_selections():
    packed = fs.RaggedFunction.pack(functions())
    assert [f.space.n_dofs for f in packed[1:]] == [5, 4]
    assert [f.space.n_dofs for f in packed[[2, 0]]] == [4, 3]
    assert [f.space.n_dofs for f in packed[torch.tensor([True, False, True])]] == [3, 4]
    with pytest.raises(IndexError):
        packed[3]


def test_moves_and_pytrees():
    packed = fs.RaggedFunction.pack(functions())
    assert packed.to(torch.float32).coefficients.dtype == torch.float32
    doubled = torch.utils._pytree.tree_map(lambda c: 2 * c, packed)
    assert torch.equal(doubled.coefficients, 2 * packed.coefficients) and doubled.name == "k"
    assert repr(packed) == "RaggedFunction 'k': 3 functions, linear with 3 to 5 dofs"


def test_trajectories_of_different_length():
    curves = [fs.FunctionSpace(fs.Times(0.0, 0.1, n), components=("x", "y")).interpolate(1.0) for n in (4, 9)]
    assert fs.RaggedFunction.pack(curves).coefficients.shape == (13, 2)


def test_bad_input_is_refused():
    parts = functions()
    packed = fs.RaggedFunction.pack(parts)
    with pytest.raises(InputError, match="at least one"):
        fs.RaggedFunction.pack([])
    with pytest.raises(InputError, match="packed from Functions; number 1 is int"):
        fs.RaggedFunction.pack([parts[0], 3])
    with pytest.raises(InputError, match="at least one"):
        packed[0:0]
    with pytest.raises(InputError, match="function 3 has"):
        fs.RaggedFunction.pack([*parts, functions(("u", "v"))[0]])
    with pytest.raises(InputError, match="function 0 of a ragged batch must be single"):
        fs.RaggedFunction.pack([fs.Function(parts[0].space, torch.zeros(2, 3))])
    with pytest.raises(InputError, match="do not fit"):
        fs.RaggedFunction(packed.spaces, packed.coefficients[1:], packed.ptr)
    with pytest.raises(InputError, match="do not fit"):
        fs.RaggedFunction(packed.spaces, packed.coefficients, packed.ptr.flip(0))


def test_units_and_orders_of_components_are_one():
    grid = fs.Grid(x=(0.0, 1.0, 5))
    f = fs.FunctionSpace(grid, components=("p", "q")).interpolate(torch.tensor([1.0, 2.0]))
    g = fs.FunctionSpace(grid, components=("q", "p")).interpolate(torch.tensor([2.0, 1.0]))
    with pytest.raises(InputError, match="components of a ragged batch must be in one order"):
        fs.RaggedFunction.pack([f, g])
    with pytest.raises(InputError, match="function 1 is in 'km'"):
        fs.RaggedFunction.pack([f.renamed("f", "m"), f.renamed("f", "km")])
