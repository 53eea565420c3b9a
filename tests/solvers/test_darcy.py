"""Darcy data: the recipes, the same fields at any resolution, the same bytes for any batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from funcspace import Function, FunctionSpace, Grid, InputError, Mesh
from funcspace.solvers.coefficients import GaussianRecipe
from funcspace.solvers.darcy import Darcy
from funcspace.solvers.poisson import Poisson

VALUES = {"threshold": (3.0, 12.0), "smooth": (3.0, 12.0), "rough": (2.0, 12.0)}


@pytest.mark.parametrize("name", ["threshold", "smooth", "rough", "lognormal", "multiscale"])
def test_recipes_and_boundary_values(name):
    data = Darcy(name, resolution=24).sample(3, seed=0)
    a, u = data.inputs["a"], data.outputs["u"]
    assert a.values.shape == u.values.shape == (3, 24, 24)
    assert a.dtype == u.dtype == torch.float64
    assert float(a.coefficients.min()) > 0
    if name in VALUES:
        assert set(a.coefficients.unique().tolist()) == set(VALUES[name])
    assert float(u.coefficients[:, u.space.dofs("boundary")].abs().max()) == 0.0
    assert float(u.values[:, 1:-1, 1:-1].min()) > 0.0
    assert data.boundary["boundary"] == {"type": "dirichlet", "value": 0.0}
    assert data.attributes["coefficient"] == name and data.attributes["seed"] == 0


def test_solution_satisfies_the_equation():
    problem = Darcy("rough", resolution=33)
    data = problem.sample(2, seed=4)
    direct = Poisson(problem.domain, coefficient=data.inputs["a"], source=1.0, method="direct").solve()
    error = (data.outputs["u"] - direct).norm("L2") / direct.norm("L2")
    assert float(error.max()) <= 1e-9


def test_sample_i_depends_on_seed_and_i_alone():
    many = Darcy("threshold", resolution=20, workers=2).sample(7, seed=11)
    few = Darcy("threshold", resolution=20, workers=1).sample(3, seed=11)
    late = Darcy("threshold", resolution=20).sample(2, seed=11, first=4)
    for kind, name in (("inputs", "a"), ("outputs", "u")):
        whole = getattr(many, kind)[name].coefficients
        assert torch.equal(getattr(few, kind)[name].coefficients, whole[:3])
        assert torch.equal(getattr(late, kind)[name].coefficients, whole[4:6])
    other = Darcy(resolution=20).coefficients(1, seed=12).coefficients
    assert not torch.equal(other, many.inputs["a"].coefficients[:1])


def test_the_same_coefficients_at_several_resolutions():
    coarse = Darcy("threshold", resolution=33).sample(8, seed=0)
    fine = Darcy("threshold", resolution=65).sample(8, seed=0)
    differing = coarse.inputs["a"].values != fine.inputs["a"].values[:, ::2, ::2]
    assert float(differing.double().mean()) < 0.01
    change = coarse.outputs["u"].values - fine.outputs["u"].values[:, ::2, ::2]
    assert float(change.norm() / coarse.outputs["u"].values.norm()) < 0.02


def test_a_mesh_of_the_square_gets_the_same_samples():
    mesh = Darcy("threshold", domain=Mesh.rectangle(0.04)).sample(2, seed=0)
    grid = Darcy("threshold", resolution=51).sample(2, seed=0)
    u = grid.outputs["u"]
    points = mesh.outputs["u"].space.dof_points
    error = (mesh.outputs["u"].coefficients - u(points)).norm() / u(points).norm()
    assert float(error) < 0.03
    assert mesh.outputs["u"].space.element == "P1"


@pytest.mark.parametrize("grid", [Grid(x=(0.0, 2.0, 30)), Grid(x=(0.0, 1.0, 8), y=(0.0, 1.0, 7), z=(0.0, 1.0, 6))])
def test_other_dimensions(grid):
    data = Darcy("lognormal", domain=grid).sample(2, seed=0)
    assert data.outputs["u"].values.shape == (2, *grid.shape)
    assert float(data.outputs["u"].coefficients.max()) > 0


def test_own_coefficients():
    grid = Grid(x=(0.0, 1.0, 17), y=(0.0, 1.0, 17))
    fixed = Darcy(lambda x: 1.0 + x[:, 0], domain=grid).sample(2)
    assert torch.equal(fixed.inputs["a"].coefficients[0], fixed.inputs["a"].coefficients[1])
    stripes = Darcy(lambda x, generator: 1.0 + generator.uniform() * (x[:, 0] > 0.5), domain=grid).sample(2, seed=0)
    assert not torch.equal(stripes.inputs["a"].coefficients[0], stripes.inputs["a"].coefficients[1])
    recipe = Darcy(GaussianRecipe(3.0, 4.0, (1.0, 100.0)), domain=grid).sample(2, seed=0)
    assert set(recipe.inputs["a"].coefficients.unique().tolist()) == {1.0, 100.0}
    function = Function(FunctionSpace(grid), torch.full((289,), 4.0, dtype=torch.float64))
    quarter = Darcy(function, domain=grid).sample(1).outputs["u"]
    unit = Darcy(lambda x: np.ones(len(x)), domain=grid).solve(1.0)
    assert torch.allclose(4.0 * quarter.coefficients[0], unit.coefficients, atol=1e-11)


def test_fresh_seed_is_recorded():
    data = Darcy(resolution=9).sample(1, seed=None)
    again = Darcy(resolution=9).sample(1, seed=data.attributes["seed"])
    assert torch.equal(data.outputs["u"].coefficients, again.outputs["u"].coefficients)


def test_bad_input():
    with pytest.raises(InputError, match="no coefficient 'sharp'"):
        Darcy("sharp", resolution=9).sample(1)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="resolution must be"):
        Darcy(resolution=2)
    with pytest.raises(InputError, match="not both"):
        Darcy(resolution=9, domain=Grid(x=(0.0, 1.0, 9), y=(0.0, 1.0, 9)))
    with pytest.raises(InputError, match="n must be a whole number of at least 1"):
        Darcy(resolution=9).sample(0)
    with pytest.raises(InputError, match="positive"):
        Darcy(lambda x: x[:, 0] - 0.5, resolution=9).sample(1)
    with pytest.raises(InputError, match="two dimensions"):
        Darcy("multiscale", domain=Grid(x=(0.0, 1.0, 9))).sample(1)
    with pytest.raises(InputError, match="a Grid or a Mesh"):
        from funcspace import Times

        Darcy(domain=Times(0.0, 0.1, 10))
