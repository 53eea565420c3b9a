"""Spaces on grids: what each basis reproduces, how fast it converges, and how spaces map into each other."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import funcspace as fs
from funcspace.errors import DomainError, InputError, OutsideError

f64 = torch.float64
UNIFORM = fs.Grid(x=(-1.0, 1.0, 6), y=(0.0, 2.0, 5))
UNEVEN = fs.Grid(x=np.array([0.0, 0.1, 0.3, 0.4, 0.8, 1.0]), y=(0.0, 2.0, 5))
CELLS = fs.Grid(x=(0.0, 1.0, 6), y=(0.0, 2.0, 5), samples="cells")
TORUS = fs.Grid(x=(0.0, 1.0, 6), y=(1.0, 3.0, 7), periodic=("x", "y"))
TUBE = fs.Grid(x=(0.0, 1.0, 6), y=(0.0, 2.0, 5), periodic=("x",))


def inside(domain, count: int = 60, seed: int = 0) -> torch.Tensor:
    low, high = domain.bounds
    return low + (high - low) * torch.rand(count, domain.dim, dtype=f64, generator=torch.Generator().manual_seed(seed))


def rough(space: fs.FunctionSpace, batch: int = 3, seed: int = 0) -> fs.Function:
    generator = torch.Generator().manual_seed(seed)
    return fs.Function(space, torch.randn(batch, *space.coefficient_shape, dtype=f64, generator=generator))


@pytest.mark.parametrize("grid", [UNIFORM, UNEVEN, CELLS, fs.Grid(x=(0.0, 1.0, 2), y=(0.0, 1.0, 3), z=(0.0, 1.0, 4))])
@pytest.mark.parametrize("element", ["linear", "cubic"])
def test_linear_functions_are_reproduced(grid, element):
    slopes = torch.tensor([2.0, -3.0, 0.5], dtype=f64)[: grid.dim]
    f = fs.FunctionSpace(grid, element).interpolate(lambda x: 1 + x @ slopes)
    points = inside(grid)
    assert torch.allclose(f(points), 1 + points @ slopes, atol=1e-12)
    assert torch.allclose(f.gradient(points), slopes.expand(60, -1), atol=1e-11)


@pytest.mark.parametrize("grid", [UNIFORM, UNEVEN, CELLS])
def test_cubic_splines_reproduce_cubic_polynomials(grid):
    f = fs.FunctionSpace(grid, "cubic").interpolate(lambda x: x[:, 0] ** 3 - 2 * x[:, 1] ** 3 * x[:, 0] ** 2)
    x, y = inside(grid).T
    assert torch.allclose(f(inside(grid)), x**3 - 2 * y**3 * x**2, atol=1e-12)
    gradient = torch.stack([3 * x**2 - 4 * y**3 * x, -6 * y**2 * x**2], dim=1)
    assert torch.allclose(f.gradient(inside(grid)), gradient, atol=1e-11)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_few_samples_are_joined_by_one_polynomial(count):
    grid = fs.Grid(x=(0.0, 1.0, count), samples="cells")
    power = min(count - 1, 3)
    f = fs.FunctionSpace(grid, "cubic").interpolate(lambda x: x[:, 0] ** power)
    points = inside(grid, 9)
    assert torch.allclose(f(points), points[:, 0] ** power, atol=1e-13)


@pytest.mark.parametrize(
    ("grid", "element"),
    [
        (UNIFORM, "linear"),
        (UNEVEN, "linear"),
        (TUBE, "linear"),
        (CELLS, "constant"),
        (UNIFORM, "cubic"),
        (UNEVEN, "cubic"),
        (TUBE, "cubic"),
        (fs.Grid(x=(0.0, 1.0, 2), y=(0.0, 1.0, 3)), "cubic"),
        (TORUS, "cubic"),
        (TORUS, "fourier"),
        (fs.Grid(x=(0.0, 1.0, 4), y=(0.0, 1.0, 5), periodic=("x", "y"), samples="cells"), "fourier"),
    ],
)
def test_a_refined_grid_reproduces_the_function(grid, element):
    space = fs.FunctionSpace(grid, element)
    f, points = rough(space), inside(grid)
    for finer in (grid.refined(), grid.refined(2)):
        fine = fs.FunctionSpace(finer, element)
        g = f.to(fine)
        assert torch.allclose(g(points), f(points), atol=1e-12)
        assert torch.allclose(g.norm("H1"), f.norm("H1"), rtol=1e-12)
        assert torch.allclose(fine.restriction(space)(g.coefficients), f.coefficients, atol=1e-11)
        if element != "constant" and grid.samples == "vertices":
            assert torch.allclose(fine.restriction(space, "injection")(g.coefficients), f.coefficients, atol=1e-12)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 8, 9])
@pytest.mark.parametrize("samples", ["vertices", "cells"])
def test_fourier_spaces_hold_all_waves_they_resolve(count, samples):
    grid = fs.Grid(x=(1.0, 3.0, count), periodic="x", samples=samples)
    points = inside(grid)
    for k in range((count + 1) // 2):
        for wave in (torch.cos, torch.sin):
            f = fs.FunctionSpace(grid, "fourier").interpolate(lambda x, k=k, wave=wave: wave(math.pi * k * x[:, 0]))
            assert torch.allclose(f(points), wave(math.pi * k * points[:, 0]), atol=1e-12)
            assert float(f.norm("L2")) == pytest.approx(
                math.sqrt(2.0 if k == 0 else 1.0) * (wave is torch.cos or k > 0)
            )
            assert float(f.norm("H1_semi")) == pytest.approx(math.pi * k, abs=1e-7)


def test_fourier_interpolation_converges_spectrally_and_splines_with_order_four():
    def exact(x):
        return torch.exp(torch.sin(2 * math.pi * x[:, 0]))

    points = inside(fs.Grid(x=(0.0, 1.0, 4), periodic="x"), 200)
    errors = {}
    for element, counts in (("fourier", (8, 16, 32)), ("cubic", (16, 32, 64)), ("linear", (16, 32, 64))):
        spaces = [fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, n), periodic="x"), element) for n in counts]
        errors[element] = [float((s.interpolate(exact)(points) - exact(points)).abs().max()) for s in spaces]
    assert errors["fourier"][1] < 1e-3 * errors["fourier"][0] and errors["fourier"][2] < 1e-13
    assert math.log2(errors["cubic"][1] / errors["cubic"][2]) == pytest.approx(4.0, abs=0.3)
    assert math.log2(errors["linear"][1] / errors["linear"][2]) == pytest.approx(2.0, abs=0.2)


def test_splines_on_an_open_interval_converge_with_order_four():
    errors = []
    for n in (17, 33):
        grid = fs.Grid(x=(0.0, 1.0, n))
        f = fs.FunctionSpace(grid, "cubic").interpolate(lambda x: torch.sin(5 * x[:, 0]))
        points = inside(grid, 300)
        errors.append(float((f(points) - torch.sin(5 * points[:, 0])).abs().max()))
    assert math.log2(errors[0] / errors[1]) > 3.7


@pytest.mark.parametrize("element", ["linear", "cubic", "fourier"])
def test_periodic_functions_continue_over_the_seam(element):
    f = rough(fs.FunctionSpace(TORUS, element))
    points = inside(TORUS)
    shift = torch.tensor([2.0, -4.0], dtype=f64)
    assert torch.allclose(f(points + shift), f(points), atol=1e-10)
    left, right = torch.tensor([[1.0, 2.0]], dtype=f64), torch.tensor([[0.0, 2.0]], dtype=f64)
    assert torch.allclose(f(left), f(right), atol=1e-12)


def test_spline_derivatives_are_continuous():
    f = rough(fs.FunctionSpace(fs.Grid(x=np.array([0.0, 0.1, 0.4, 0.5, 0.9, 1.0])), "cubic"))
    nodes = f.domain.points[1:-1]
    for g in (lambda x: f(x), lambda x: f.gradient(x)[..., 0]):
        jump = (g(nodes + 1e-7) - g(nodes)) - (g(nodes) - g(nodes - 1e-7))
        assert jump.abs().max() < 1e-4


@pytest.mark.parametrize(
    ("grid", "element"),
    [(UNEVEN, "linear"), (UNEVEN, "cubic"), (CELLS, "constant"), (TORUS, "fourier"), (TUBE, "cubic")],
)
def test_kronecker_maps_equal_explicit_integrals(grid, element):
    space = fs.FunctionSpace(grid, element)
    rule = space.quadrature()
    values, gradients = rule.values.dense(), rule.gradients.dense().reshape(len(rule.weights), 2, -1)
    assert torch.allclose(space.mass.dense(), values.T @ (rule.weights[:, None] * values), atol=1e-13)
    stiffness = torch.einsum("qdi,q,qdj->ij", gradients, rule.weights, gradients)
    assert torch.allclose(space.stiffness.dense(), stiffness, atol=1e-10)
    assert torch.allclose(space.mass.dense(), space.mass.dense().T)
    scattered = space.evaluation(rule.points).dense()
    assert torch.allclose(scattered, values, atol=1e-12)


@settings(max_examples=12)
@given(st.integers(2, 9), st.integers(1, 9), st.booleans())
def test_scattered_rows_sum_to_one(n, m, periodic):
    grid = fs.Grid(x=(0.0, 1.0, n), y=(0.0, 1.0, m), samples="cells", periodic=("x", "y") if periodic else ())
    for element in ("linear", "cubic", "constant", *(["fourier"] if periodic else [])):
        space = fs.FunctionSpace(grid, element)
        ones = torch.ones(space.n_dofs, dtype=f64)
        assert torch.allclose(space.evaluation(inside(grid, 7))(ones), torch.ones(7, dtype=f64), atol=1e-11)
        assert torch.allclose(space.integrals.sum(), torch.ones((), dtype=f64))
        assert float((space.stiffness(ones)).abs().max()) < 1e-9


@pytest.mark.parametrize("kind", ["linear", "cubic", "fourier"])
def test_projection_is_orthogonal_and_idempotent(kind):
    fine = fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, 9), y=(1.0, 3.0, 11), periodic=("x", "y")), "fourier")
    coarse = fs.FunctionSpace(TORUS, kind)
    f = rough(fine)
    g = fs.Function(coarse, coarse.projection(fine)(f.coefficients))
    # the error is orthogonal to every function of the coarse space; integrals by a fine rule
    rule = fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, 49), y=(1.0, 3.0, 57)), "linear").quadrature(9)
    error = f(rule.points) - g(rule.points)
    test = coarse.evaluation(rule.points).T(error * rule.weights)
    assert test.abs().max() < (1e-12 if kind == "fourier" else 1e-9)
    again = coarse.projection(coarse)(g.coefficients)
    assert torch.allclose(again, g.coefficients, atol=1e-11)


def test_projection_onto_cells_takes_means():
    cells = fs.FunctionSpace(CELLS, "constant")
    f = fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, 25), y=(0.0, 2.0, 21))).interpolate(lambda x: x[:, 0] + x[:, 1])
    means = cells.projection(f.space)(f.coefficients)
    assert torch.allclose(means, CELLS.points.sum(dim=1), atol=1e-12)
    assert torch.isclose((means * cells.integrals).sum(), f.integral())


def test_grid_to_part_of_a_grid_uses_factors():
    space = fs.FunctionSpace(UNIFORM)
    part = fs.FunctionSpace(fs.Grid(x=(-0.5, 0.5, 7), y=(1.0, 2.0, 4)))
    map_ = space.prolongation(part)
    assert type(map_).__name__ == "KroneckerMap"
    f = rough(space)
    assert torch.allclose(map_(f.coefficients), f(part.dof_points), atol=1e-13)
    beyond = fs.FunctionSpace(fs.Grid(x=(-1.5, 0.5, 7), y=(1.0, 2.0, 4)))
    with pytest.raises(OutsideError, match="lie outside"):
        space.prolongation(beyond)
    assert torch.isnan(f.to(beyond, outside="nan").coefficients).any()


def test_fourier_grids_map_by_transform_and_by_rows_alike():
    space = fs.FunctionSpace(TORUS, "fourier")
    f = rough(space)
    for target in (TORUS.with_shape(6, 8), TORUS.with_shape(7, 15), TORUS.with_shape(3, 4), TORUS.refined()):
        fine = fs.FunctionSpace(target, "fourier")
        map_ = space.prolongation(fine)
        assert torch.allclose(map_(f.coefficients), f(fine.dof_points), atol=1e-12)
        y = torch.randn(3, fine.n_dofs, dtype=f64, generator=torch.Generator().manual_seed(1))
        assert torch.allclose((map_(f.coefficients) * y).sum(), (f.coefficients * map_.T(y)).sum())


def test_scattered_fourier_evaluation_is_lean():
    grid = fs.Grid(x=(0.0, 1.0, 64), y=(0.0, 1.0, 64), z=(0.0, 1.0, 16), periodic=("x", "y", "z"))
    f = rough(fs.FunctionSpace(grid, "fourier"), batch=1)
    points = inside(grid, 2000)
    tracemalloc.start()
    evaluation = f.space.evaluation(points)
    values = evaluation(f.coefficients)
    assert tracemalloc.get_traced_memory()[1] < 3e7  # the full matrix would take 1 GB
    tracemalloc.stop()
    matrix = f.space.evaluation(points[:3]).dense()
    assert torch.allclose(values[0, :3], matrix @ f.coefficients[0])


def test_scattered_splines_stay_sparse():
    grid = fs.Grid(x=(0.0, 1.0, 40), y=(0.0, 1.0, 40))
    evaluation = fs.FunctionSpace(grid, "cubic").evaluation(inside(grid, 50))
    assert evaluation.outer.matrix.nnz <= 50 * 16


def test_outside():
    f = rough(fs.FunctionSpace(UNIFORM))
    points = torch.tensor([[0.0, 1.0], [2.0, 1.0], [-1.0 - 1e-12, 0.0]], dtype=f64)
    with pytest.raises(OutsideError, match=r"1 of 3 points lie outside.*1 at \[2.0, 1.0\] \(distance 1\)") as caught:
        f(points)
    assert caught.value.indices.tolist() == [1] and caught.value.distances.tolist() == [1.0]
    assert torch.isnan(f(points, outside="nan"))[0].tolist() == [False, True, False]
    assert torch.isnan(f.gradient(points, outside="nan"))[0, :, 0].tolist() == [False, True, False]
    assert torch.allclose(f(points, outside="nearest")[:, 1], f([[1.0, 1.0]])[:, 0])
    with pytest.raises(InputError, match='outside must be "raise"'):
        f(points, outside="ignore")


def test_wrong_elements_are_refused():
    with pytest.raises(InputError, match="linear, cubic, fourier, constant; got 'P1'"):
        fs.FunctionSpace(UNIFORM, "P1")
    with pytest.raises(InputError, match=r"an element is a name such as 'linear'.*got 3"):
        fs.FunctionSpace(UNIFORM, 3)
    with pytest.raises(InputError, match="needs periodic axes, but axis 'y' is not"):
        fs.FunctionSpace(TUBE, "fourier")
    with pytest.raises(InputError, match='samples="cells"'):
        fs.FunctionSpace(UNIFORM, "constant")
    with pytest.raises(InputError, match="lives on a domain"):
        fs.FunctionSpace("grid")
    with pytest.raises(InputError, match="distinct names"):
        fs.FunctionSpace(UNIFORM, components=("u", "u"))
    with pytest.raises(InputError, match="4 components, but 3 names"):
        fs.FunctionSpace(UNIFORM, components=("a", "b", "c"), value_shape=(2, 2))
    with pytest.raises(InputError, match="one name per factor"):
        fs.FunctionSpace(UNIFORM, [3])


def test_wrong_points_and_sources_are_refused():
    space = fs.FunctionSpace(UNIFORM)
    with pytest.raises(InputError, match=r"shape \(n, 2\)"):
        space.evaluation(torch.zeros(3, 3))
    with pytest.raises(InputError, match="point 1 is"):
        space.evaluation([[0.0, 0.0], [float("nan"), 0.0]])
    with pytest.raises(InputError, match='derivative must be None or "gradient"'):
        space.evaluation([[0.0, 0.0]], derivative=2)
    with pytest.raises(InputError, match=r"must have shape \(30,\)"):
        space.interpolate(lambda x: x)
    with pytest.raises(InputError, match=r"at point 0, \[-1.0, 0.0\], got nan"):
        space.interpolate(lambda x: x[:, 0] * float("nan"))
    with pytest.raises(InputError, match="by a number, a value or a callable"):
        space.interpolate("sin")
    with pytest.raises(InputError, match="no boundary part 'inlet'; this domain has"):
        space.dofs("inlet")
    with pytest.raises(InputError, match='kind must be "l2"'):
        space.restriction(space, "mean")
    vector = fs.FunctionSpace(UNIFORM, components=("a", "b"))
    with pytest.raises(DomainError, match="cannot project values of shape"):
        space.projection(vector)
    with pytest.raises(DomainError, match="cannot interpolate values of shape"):
        space.interpolate(vector.interpolate(0.0))
