"""Functions of time."""

from __future__ import annotations

import math

import pytest
import torch

import funcspace as fs
from funcspace.errors import InputError, OutsideError

f64 = torch.float64
TIMES = [fs.Times(0.5, 0.25, 9), fs.Times.at([0.0, 0.1, 0.15, 0.6, 1.0, 1.1])]


@pytest.mark.parametrize("times", TIMES)
def test_cubic_curves_reproduce_cubic_polynomials(times):
    f = fs.FunctionSpace(times, "cubic").interpolate(lambda t: 1 - t[:, 0] + 2 * t[:, 0] ** 3)
    t = torch.linspace(times.start, times.stop, 37, dtype=f64)
    assert torch.allclose(f(t), 1 - t + 2 * t**3, atol=1e-12)
    assert torch.allclose(f.gradient(t)[:, 0], -1 + 6 * t**2, atol=1e-11)
    assert float(f.integral()) == pytest.approx(
        (times.stop - times.stop**2 / 2 + times.stop**4 / 2) - (times.start - times.start**2 / 2 + times.start**4 / 2)
    )


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("element", ["linear", "cubic"])
def test_refined_times_reproduce_the_curve(times, element):
    space = fs.FunctionSpace(times, element, components=("x", "y", "z"))
    c = torch.randn(2, *space.coefficient_shape, dtype=f64, generator=torch.Generator().manual_seed(0))
    f = fs.Function(space, c)
    fine = fs.FunctionSpace(times.refined(), element, components=("x", "y", "z"))
    t = torch.linspace(times.start, times.stop, 50, dtype=f64)
    assert torch.allclose(f.to(fine)(t), f(t), atol=1e-12)
    assert torch.equal(f(times.points), c) or torch.allclose(f(times.points), c, atol=1e-14)


def test_order_of_convergence():
    errors = {"linear": [], "cubic": []}
    for n in (21, 41):
        times = fs.Times(0.0, 2.0 / (n - 1), n)
        t = torch.linspace(0, 2, 333, dtype=f64)
        for element, found in errors.items():
            f = fs.FunctionSpace(times, element).interpolate(lambda x: torch.sin(4 * x[:, 0]))
            found.append(float((f(t) - torch.sin(4 * t)).abs().max()))
    assert math.log2(errors["linear"][0] / errors["linear"][1]) == pytest.approx(2, abs=0.2)
    assert math.log2(errors["cubic"][0] / errors["cubic"][1]) > 3.6


@pytest.mark.parametrize("element", ["linear", "cubic"])
def test_slices_of_a_trajectory_are_functions(element):
    space = fs.FunctionSpace(fs.Times(0.0, 0.1, 20), element, components=("x", "y", "z"))
    f = space.interpolate(lambda t: torch.cat([t, t**2, t**3], dim=1))
    piece = f[5:10]
    assert piece.domain == fs.Times(0.5, 0.1, 5)
    assert torch.equal(piece.coefficients, f.coefficients[5:10])
    assert piece.space.components == ("x", "y", "z") and len(f) == 20
    first = f[:1]
    assert first.coefficients.shape == (1, 3) and first.domain.step == 0.1
    assert torch.equal(first([[0.0]]), first.coefficients)
    assert first.gradient([[0.0]]).abs().max() == 0
    assert torch.allclose(first.norm("L2"), first.coefficients.norm())
    assert torch.equal(first.to(first.space).coefficients, first.coefficients)
    assert f[-1:].coefficients.tolist() == f.coefficients[-1:].tolist()
    with pytest.raises(InputError, match="indexed by a slice of its instants"):
        f[3]


def test_a_single_instant_has_regular_maps():
    space = fs.FunctionSpace(fs.Times(2.0, 0.1, 1), "cubic")
    f = space.interpolate(3.0)
    assert float(f.integral()) == float(f.mean()) == 3.0
    assert float(f.norm("H1_semi")) == 0.0
    assert torch.equal(space.projection(space)(f.coefficients), f.coefficients)
    with pytest.raises(OutsideError):
        f([[2.1]])
    assert float(f([[2.1]], outside="nearest")) == 3.0


def test_batches_are_indexed_before_time():
    space = fs.FunctionSpace(fs.Times(0.0, 0.1, 20))
    f = fs.Function(space, torch.randn(4, 20, dtype=f64, generator=torch.Generator().manual_seed(0)))
    assert f[1:3].batch_shape == (2,) and f[1:3].domain == f.domain
    assert len(f) == 4


def test_long_trajectories_stay_cheap():
    times = fs.Times(0.0, 0.01, 20_000)
    f = fs.FunctionSpace(times, "cubic").interpolate(lambda t: torch.sin(t[:, 0]))
    t = torch.linspace(0.0, times.stop, 5000, dtype=f64)
    assert (f(t) - torch.sin(t)).abs().max() < 1e-9
    fine = f.to(fs.FunctionSpace(times.refined(), "cubic"))
    assert (fine(t) - f(t)).abs().max() < 1e-12
    assert float(f.norm("L2") ** 2) == pytest.approx(times.stop / 2 - math.sin(2 * times.stop) / 4)


def test_wrong_elements_are_refused():
    with pytest.raises(InputError, match="Times have the elements linear, cubic; got 'fourier'"):
        fs.FunctionSpace(TIMES[0], "fourier")
    with pytest.raises(OutsideError):
        fs.FunctionSpace(TIMES[0]).evaluation([[0.0]])
