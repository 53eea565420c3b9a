"""Plates of random stiffness: mean-field checks, determinism, grids and meshes, bad input."""

from __future__ import annotations

import pytest
import torch

from funcspace import Grid, InputError, Mesh
from funcspace.solvers.solids import HeterogeneousPlate, LinearElasticity


def test_samples_solve_the_equation():
    """Each displacement is the equilibrium for its modulus, and the clamp carries the load."""
    plate = HeterogeneousPlate(resolution=9, outputs=("u", "von_mises"))
    data = plate.sample(3, seed=0)
    young, u, stress = data.inputs["E"], data.outputs["u"], data.outputs["von_mises"]
    for i in range(3):
        single = LinearElasticity(
            plate.domain, "P1", young=young[i], poisson=0.3, plane="stress", displacement={"left": 0.0},
            traction={"right": (1.0, 0.0)},
        )  # fmt: skip
        assert torch.allclose(u.coefficients[i], single.solve().coefficients, atol=1e-11)
        assert single.reaction(u[i], "left").tolist() == pytest.approx([-1.0, 0.0], abs=1e-10)
        assert torch.allclose(stress.coefficients[i], single.von_mises(u[i]).coefficients, atol=1e-10)


def test_samples_depend_on_seed_and_number_alone():
    whole = HeterogeneousPlate(resolution=9, workers=2).sample(4, seed=3)
    part = HeterogeneousPlate(resolution=9, workers=1).sample(2, seed=3, first=2)
    assert torch.equal(whole.inputs["E"].coefficients[2:], part.inputs["E"].coefficients)
    assert torch.equal(whole.outputs["u"].coefficients[2:], part.outputs["u"].coefficients)


def test_stiffness_scales_the_displacement():
    soft = HeterogeneousPlate(resolution=9).sample(1, seed=0)
    stiff = HeterogeneousPlate(resolution=9, scale=10.0).sample(1, seed=0)
    assert torch.allclose(soft.outputs["u"].coefficients, 10 * stiff.outputs["u"].coefficients, atol=1e-10)


@pytest.mark.parametrize("domain", [Grid(x=(0.0, 1.0, 9), y=(0.0, 1.0, 9)), Mesh.box(0.5), Mesh.rectangle(0.2, 2.0)])
def test_domains(domain):
    data = HeterogeneousPlate("threshold", domain=domain).sample(2, seed=0)
    u = data.outputs["u"]
    assert u.space.value_shape == (domain.dim,)
    assert float(u.coefficients[:, u.space.dofs("left")].abs().max()) == 0.0
    assert float(u.coefficients[:, u.space.dofs("right"), 0].min()) > 0.0


def test_bad_input():
    with pytest.raises(InputError, match="no coefficient"):
        HeterogeneousPlate("lumpy")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="at least 3"):
        HeterogeneousPlate(resolution=2)
    with pytest.raises(InputError, match="not both"):
        HeterogeneousPlate(resolution=9, domain=Mesh.rectangle(0.5))
    with pytest.raises(InputError, match="needs a part 'left'"):
        HeterogeneousPlate(domain=Mesh.disc(0.5))
    with pytest.raises(InputError, match="outputs are"):
        HeterogeneousPlate(outputs=())
    with pytest.raises(InputError, match="young must be positive"):
        HeterogeneousPlate(lambda x: x[:, 0] - 0.5, resolution=5).sample(1)
    with pytest.raises(InputError, match="scale must be a positive number"):
        HeterogeneousPlate(scale=0.0)
