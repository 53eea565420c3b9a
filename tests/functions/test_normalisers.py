"""Normalisers: exact statistics, streaming, round trips."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import funcspace as fs
from funcspace.errors import DomainError, InputError
from funcspace.functions.normalisers import Normaliser

f64 = torch.float64
GRID = fs.Grid(x=np.array([0.0, 0.1, 0.2, 1.0]), y=(0.0, 2.0, 3))
SPACE = fs.FunctionSpace(GRID, components=("u", "v"))
KINDS = ("identity", "standard", "scale", "pointwise")


def functions(samples: int = 9, space: fs.FunctionSpace = SPACE, dtype: torch.dtype = f64) -> fs.Function:
    generator = torch.Generator().manual_seed(0)
    c = torch.randn(samples, *space.coefficient_shape, dtype=f64, generator=generator)
    shape = space.component_shape
    factors = torch.arange(1.0, 1 + math.prod(shape), dtype=f64).reshape(shape)
    return fs.Function(space, (5 + c * 3 * factors).to(dtype))


class Counting:
    """An array on disk that notes how many samples are read at a time."""

    def __init__(self, values: torch.Tensor) -> None:
        self.values, self.shape, self.dtype, self.largest = values.numpy(), values.shape, values.numpy().dtype, 0

    def __getitem__(self, index):
        self.largest = max(self.largest, len(self.values[index]))
        return self.values[index]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15)
@given(st.integers(1, 8), st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_round_trip(kind, samples, shift, scale):
    f = functions(samples) * scale
    c = f.coefficients + shift
    normaliser = Normaliser.fit(kind, f.with_coefficients(c))
    back = normaliser.decode(normaliser.encode(c))
    assert torch.allclose(back, c, rtol=1e-12, atol=1e-12 * float(c.abs().max()))


def test_standard_statistics_are_those_of_the_functions():
    f = functions()
    normaliser = Normaliser.fit("standard", f)
    rule = SPACE.quadrature()
    values, size = rule.values(f.coefficients), float(GRID.measure.sum())
    mean = torch.einsum("sqc,q->c", values, rule.weights) / (9 * size)
    variance = torch.einsum("sqc,q->c", (values - mean) ** 2, rule.weights) / (9 * size)
    assert torch.allclose(normaliser.shift, mean, rtol=1e-13)
    assert torch.allclose(normaliser.scale, variance.sqrt(), rtol=1e-12)
    encoded = Normaliser.fit("standard", f.with_coefficients(normaliser.encode(f.coefficients)))
    assert torch.allclose(encoded.shift, torch.zeros(2, dtype=f64), atol=1e-13)
    assert torch.allclose(encoded.scale, torch.ones(2, dtype=f64))


def test_statistics_do_not_depend_on_the_resolution():
    f = functions()
    fine = fs.FunctionSpace(GRID.refined(), components=("u", "v"))
    for kind in ("standard", "scale"):
        one, two = Normaliser.fit(kind, f), Normaliser.fit(kind, f.to(fine))
        assert torch.allclose(one.shift, two.shift, rtol=1e-12) and torch.allclose(one.scale, two.scale, rtol=1e-12)


def test_scale_keeps_zero_and_makes_the_mean_square_one():
    f = functions()
    normaliser = Normaliser.fit("scale", f)
    assert normaliser.encode(torch.zeros(12, 2, dtype=f64)).abs().max() == 0
    g = f.with_coefficients(normaliser.encode(f.coefficients))
    assert float((g.component("v").norm() ** 2).mean()) == pytest.approx(float(GRID.measure.sum()))


def test_pointwise_statistics():
    f = functions()
    normaliser = Normaliser.fit("pointwise", f)
    assert torch.allclose(normaliser.shift, f.coefficients.mean(dim=0))
    assert torch.allclose(normaliser.scale, f.coefficients.std(dim=0, correction=0))


@pytest.mark.parametrize("kind", ["standard", "scale", "pointwise"])
@pytest.mark.parametrize("chunk", [1, 2, 4, 100, None])
def test_streaming_equals_in_memory(kind, chunk):
    f = functions(11)
    array = Counting(f.coefficients)
    whole, streamed = Normaliser.fit(kind, f), Normaliser.fit(kind, fs.LazyFunction.over(SPACE, array), chunk=chunk)
    assert torch.allclose(whole.shift, streamed.shift, rtol=1e-13, atol=1e-13)
    assert torch.allclose(whole.scale, streamed.scale, rtol=1e-12)
    assert array.largest == min(11, chunk or 11)


def test_large_offsets_lose_no_digits():
    f = functions(50) * 1e-3
    shifted = f.with_coefficients(f.coefficients + 1e6)
    one, two = Normaliser.fit("standard", f), Normaliser.fit("standard", shifted, chunk=3)
    assert torch.allclose(one.scale, two.scale, rtol=1e-6)


def test_batches_of_batches_count_as_samples():
    f = functions(6)
    folded = f.with_coefficients(f.coefficients.reshape(2, 3, 12, 2))
    assert torch.allclose(Normaliser.fit("standard", f).scale, Normaliser.fit("standard", folded).scale)
    single = Normaliser.fit("standard", f[0])
    assert torch.isfinite(single.scale).all()


def test_constant_data():
    constant = SPACE.interpolate(0.1)
    for kind in KINDS:
        normaliser = Normaliser.fit(kind, constant)
        c = constant.coefficients
        assert torch.allclose(normaliser.decode(normaliser.encode(c)), c) and torch.isfinite(normaliser.encode(c)).all()
    assert Normaliser.fit("standard", constant).scale.tolist() == [1.0, 1.0]
    assert Normaliser.fit("scale", SPACE.interpolate(0.0)).scale.tolist() == [1.0, 1.0]
    f = functions()
    f.coefficients[:, 3] = 7.0
    scale = Normaliser.fit("pointwise", f).scale
    assert float(scale[3, 0]) == pytest.approx(float(scale.square().sum() / scale.numel()) ** 0.5, rel=0.1)
    float32 = functions(dtype=torch.float32)
    assert (
        Normaliser.fit("standard", float32.with_coefficients(torch.full_like(float32.coefficients, 0.1))).scale[0] == 1
    )


def test_ragged_batches():
    f = functions(4)
    packed = fs.RaggedFunction.pack([f[i] for i in range(4)])
    for kind in ("standard", "scale"):
        assert torch.allclose(Normaliser.fit(kind, packed).scale, Normaliser.fit(kind, f).scale, rtol=1e-12)
    with pytest.raises(DomainError, match="common domain"):
        Normaliser.fit("pointwise", packed)


@pytest.mark.parametrize(
    "space",
    [
        fs.FunctionSpace(fs.Mesh.rectangle(0.5), "P2"),
        fs.FunctionSpace(fs.Times(0.0, 0.1, 8) * fs.Grid(x=(0.0, 1.0, 4))),
        fs.FunctionSpace(fs.Times(0.0, 0.1, 8), "cubic", components=("x", "y", "z")),
        fs.FunctionSpace(GRID, value_shape=(2, 2)),
    ],
)
def test_other_spaces(space):
    f = functions(5, space)
    normaliser = Normaliser.fit("standard", f)
    assert normaliser.shift.shape == space.component_shape
    assert torch.allclose(normaliser.shift, f.mean().mean(dim=0), rtol=1e-12)
    centred = f.with_coefficients(normaliser.encode(f.coefficients))
    count = math.prod(space.component_shape)
    assert float((centred.norm() ** 2).mean()) == pytest.approx(count * float(space.integrals.sum()))


def test_vector_elements_are_only_scaled():
    f = functions(5, fs.FunctionSpace(fs.Mesh.rectangle(0.5), "RT"))
    normaliser = Normaliser.fit("standard", f)
    assert float(normaliser.shift) == 0.0
    assert float((f.with_coefficients(normaliser.encode(f.coefficients)).norm() ** 2).mean()) == pytest.approx(1.0)


def test_types_follow_the_data():
    f = functions()
    normaliser = Normaliser.fit("standard", f)
    assert normaliser.encode(f.coefficients.float()).dtype == torch.float32
    z = fs.Function(SPACE, torch.complex(f.coefficients, -f.coefficients))
    complex_ = Normaliser.fit("standard", z)
    assert complex_.shift.is_complex() and complex_.scale.dtype == f64
    assert torch.allclose(complex_.decode(complex_.encode(z.coefficients)), z.coefficients)
    x = f.coefficients.clone().requires_grad_()
    normaliser.decode(normaliser.encode(x)).sum().backward()
    assert torch.allclose(x.grad, torch.ones_like(x))


@pytest.mark.parametrize("kind", KINDS)
def test_json_holds_every_bit(kind):
    space = fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, 100)), components=("u", "v"))
    normaliser = Normaliser.fit(kind, functions(3, space))
    again = Normaliser.from_dict(json.loads(json.dumps(normaliser.to_dict())))
    assert (again.kind, repr(again)) == (kind, repr(normaliser))
    assert torch.equal(again.shift, normaliser.shift) and torch.equal(again.scale, normaliser.scale)
    tensors = Normaliser.from_dict({"kind": kind, "shift": normaliser.shift, "scale": normaliser.scale})
    assert torch.equal(tensors.scale, normaliser.scale)


def test_bad_input_is_refused():
    f = functions()
    with pytest.raises(InputError, match="one of identity, standard, scale, pointwise; got 'minmax'"):
        Normaliser.fit("minmax", f)
    with pytest.raises(InputError, match="no samples"):
        Normaliser.fit("standard", f[:0])
    bad = f.with_coefficients(f.coefficients.clone())
    bad.coefficients[5, 0, 0] = torch.nan
    with pytest.raises(InputError, match="sample 5 holds NaN"):
        Normaliser.fit("scale", bad, chunk=2)
    with pytest.raises(InputError, match="not ndarray"):
        Normaliser.fit("standard", np.ones(3))
    with pytest.raises(InputError, match=r"end in \(2,\), got \(9, 12\)"):
        Normaliser.fit("standard", f).encode(torch.ones(9, 12))
    with pytest.raises(InputError, match="scale positive"):
        Normaliser("scale", torch.zeros(1), torch.zeros(1))
    with pytest.raises(InputError, match="differ in shape"):
        Normaliser("scale", torch.zeros(1), torch.ones(2))
    with pytest.raises(InputError, match="described by kind, shift and scale"):
        Normaliser.from_dict({"kind": "scale"})
    with pytest.raises(InputError, match="damaged"):
        Normaliser.from_dict(
            {"kind": "scale", "shift": [0.0], "scale": {"dtype": "float64", "shape": [3], "base64": "AA=="}}
        )
