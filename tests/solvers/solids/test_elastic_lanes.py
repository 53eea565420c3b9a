"""Batches of elastic bodies with moduli of their own: held to one body at a time."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch

import funcspace as fs
from funcspace.solvers.solids import LinearElasticity


def moduli(mesh: fs.Mesh, element: str, samples: int, seed: int = 0) -> fs.Function:
    space = fs.FunctionSpace(mesh, element)
    generator = torch.Generator().manual_seed(seed)
    return fs.Function(space, torch.rand(samples, space.n_dofs, generator=generator, dtype=torch.float64) + 0.5)


def bar(mesh: fs.Mesh, element: str, **data: Any) -> LinearElasticity:
    fixed = {"left": {"ux": 0.0}, "bottom": 0.01}
    return LinearElasticity(mesh, element, displacement=fixed, traction={"right": (1.0, 0.2)}, **data)


@pytest.mark.parametrize("element", ["P1", "P2"])
@pytest.mark.parametrize("plane", ["strain", "stress"])
def test_moduli_by_sample(element: str, plane: Any) -> None:
    """Ten samples fill one group of lanes and part of another; E of P1 goes by nodal values, that of P2 does not."""
    mesh = fs.Mesh.rectangle(0.3)
    for of in ("P1", "P2"):
        young = moduli(mesh, of, 10)
        batch = bar(mesh, element, young=young, poisson=0.3, plane=plane).solve()
        for i in (0, 7, 9):
            single = bar(mesh, element, young=young[i], poisson=0.3, plane=plane).solve()
            assert float((batch[i] - single).norm() / single.norm()) < 1e-12
        part = bar(mesh, element, young=young[7:9], poisson=0.3, plane=plane, workers=2).solve()
        assert torch.equal(part.coefficients, batch[7:9].coefficients)


def test_two_moduli_and_displacements_by_sample() -> None:
    mesh = fs.Mesh.rectangle(0.3)
    first, second, moved = (moduli(mesh, "P1", 3, seed) for seed in range(3))
    data = {"lame_lambda": first, "lame_mu": second}
    sides = {"left": {"ux": moved, "uy": 0.0}}
    batch = LinearElasticity(mesh, "P2", displacement=sides, **data).solve()
    alone = {"left": {"ux": moved[2], "uy": 0.0}}
    single = LinearElasticity(mesh, "P2", displacement=alone, lame_lambda=first[2], lame_mu=second[2]).solve()
    assert float((batch[2] - single).norm() / single.norm()) < 1e-12


def test_quadrilaterals_and_space() -> None:
    """Gradients that vary in a cell, and blocks of three."""
    mesh = fs.Mesh.rectangle(0.3, cells="quadrilateral")
    young = moduli(mesh, "Q1", 2)
    batch = bar(mesh, "Q1", young=young, poisson=0.2).solve()
    single = bar(mesh, "Q1", young=young[1], poisson=0.2).solve()
    assert float((batch[1] - single).norm() / single.norm()) < 1e-12
    box = fs.Mesh.box(0.5)
    young = moduli(box, "P1", 2)
    held = {"displacement": {next(name for name in box.boundary if name != "boundary"): 0.0}, "poisson": 0.3}
    force = {"body_force": (0.0, 0.0, -1.0)}
    batch = LinearElasticity(box, "P1", young=young, **held, **force).solve()
    single = LinearElasticity(box, "P1", young=young[1], **held, **force).solve()
    assert float((batch[1] - single).norm() / single.norm()) < 1e-12


def test_what_one_problem_made_serves_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = fs.Mesh.rectangle(0.4)
    young = moduli(mesh, "P1", 3)
    problem = bar(mesh, "P1", young=1.0, poisson=0.3)
    first = problem.with_data(young=young).solve()
    assert problem.with_data(young=young)._lanes is problem._lanes
    # tables that would not fit: one at a time
    monkeypatch.setattr("funcspace.solvers.solids.elastic_lanes.LARGEST_TABLE", 10)
    assert not problem._lanes.fits
    slow = problem.with_data(young=young).solve()
    assert float(((first - slow).norm() / slow.norm()).max()) < 1e-12
    again = pickle.loads(pickle.dumps(problem)).with_data(young=young).solve()
    assert torch.equal(again.coefficients, slow.coefficients)


def test_moduli_that_are_not_positive_are_refused() -> None:
    mesh = fs.Mesh.rectangle(0.3)
    young = moduli(mesh, "P1", 3)
    young.coefficients[1, 4] = -30.0
    with pytest.raises(fs.InputError, match="young must be positive; sample 1"):
        bar(mesh, "P1", young=young, poisson=0.3).solve()


def test_loads_by_sample_on_one_body() -> None:
    """A batch of body forces takes the factor of one matrix; a sample has the same bits in any batch."""
    mesh = fs.Mesh.rectangle(0.3)
    space = fs.FunctionSpace(mesh, "P1", components=("x", "y"))
    generator = torch.Generator().manual_seed(4)
    force = fs.Function(space, torch.rand(40, space.n_dofs, 2, generator=generator, dtype=torch.float64))
    problem = bar(mesh, "P2", young=1.0, poisson=0.3, body_force=force)
    batch = problem.solve()
    part = problem.with_data(body_force=force[33:36]).solve()
    assert torch.equal(part.coefficients, batch[33:36].coefficients)
    single = problem.with_data(body_force=force[35]).solve()
    assert float((batch[35] - single).norm() / single.norm()) < 1e-12
