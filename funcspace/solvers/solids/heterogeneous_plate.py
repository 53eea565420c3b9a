"""Plates of random stiffness under tension: elasticity on one fixed mesh or grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from funcspace.arguments import positive_number, whole_number
from funcspace.errors import InputError
from funcspace.functions import Function, FunctionSpace, OperatorData
from funcspace.geometry import Mesh
from funcspace.geometry.domain import Domain
from funcspace.solvers.coefficients import Coefficient, GaussianRecipe, check_recipe
from funcspace.solvers.problem_arguments import (
    check_data,
    checked_outputs,
    checked_workers,
    grid_or_mesh,
    sampling,
    vector_of_numbers,
)
from funcspace.solvers.solids.isotropic import Plane, check_poisson
from funcspace.solvers.solids.linear_elasticity import LinearElasticity

__all__ = ["HeterogeneousPlate"]

Recipe = Literal["threshold", "smooth", "rough", "lognormal", "multiscale"]


class HeterogeneousPlate:
    r"""Pairs (Young's modulus, displacement) of a plate whose stiffness is a random field.

    -div sigma = 0,  sigma = lambda tr(eps) I + 2 mu eps with E = E(x);  u = 0 on the left, sigma n = t on the right

    E follows the recipes of `Darcy` ("lognormal" by default: exp(g), g ~ N(0, (-Lap + 9)^(-2)) scaled to variance 1),
    in units of the traction: with t in Pa, E is the recipe times `scale` in Pa. One seed gives the same fields on
    every resolution, with the finer modes added.

    Parameters
    ----------
    young : a recipe by name, a `GaussianRecipe`, a Function, a callable (n, d) -> (n,), or a callable of (points,
        generator) with a numpy Generator.
    resolution : vertices per side of the unit square of triangles, boundary included; 33 by default.
    domain : a Mesh or vertex Grid with the parts left and right, in place of it.
    poisson : nu.
    plane : "stress" or "strain".
    traction : t on the right, (d,); a unit pull along x by default.
    scale : factor of E.
    outputs : "u", the displacement, and on request "von_mises".
    workers : number of threads; all cores by default.

    Raises
    ------
    InputError : an unknown recipe, a modulus that is not positive, a domain without the parts left and right.

    Examples
    --------
    >>> data = HeterogeneousPlate(resolution=9).sample(4, seed=0)
    >>> data.inputs["E"].coefficients.shape, data.outputs["u"].coefficients.shape
    (torch.Size([4, 81]), torch.Size([4, 81, 2]))
    """

    def __init__(
        self,
        young: Recipe | GaussianRecipe | Function | Callable[..., Any] = "lognormal",
        resolution: int | None = None,
        *,
        domain: Domain | None = None,
        poisson: float = 0.3,
        plane: Plane = "stress",
        traction: Sequence[float] | None = None,
        scale: float = 1.0,
        outputs: Sequence[Literal["u", "von_mises"]] = ("u",),
        workers: int | None = None,
    ) -> None:
        if domain is not None and resolution is not None:
            raise InputError("give resolution for the unit square or a domain of your own, not both")
        count = 33 if resolution is None else whole_number(resolution, "resolution", least=3)
        self.domain: Any = Mesh.rectangle(1.0 / (count - 1)) if domain is None else grid_or_mesh(domain, "plates are")
        missing = [part for part in ("left", "right") if part not in self.domain.boundary]
        if missing:
            raise InputError(f"the domain needs a part {missing[0]!r}; it has {sorted(self.domain.boundary)}")
        check_recipe(young, "young")
        if plane not in ("stress", "strain"):
            raise InputError(f'plane must be "stress" or "strain"; got {plane!r}')
        check_data({"poisson": poisson})
        check_poisson(poisson, plane)
        pull = (1.0,) + (0.0,) * (self.domain.dim - 1) if traction is None else traction
        self.plane: Plane = plane
        self.poisson, self.traction = poisson, vector_of_numbers(pull, "traction", self.domain.dim)
        self.scale = positive_number(scale, "scale")
        self.outputs, self.workers = checked_outputs(outputs, ("u", "von_mises")), checked_workers(workers)
        self._recipe = young

    @cached_property
    def _coefficient(self) -> Coefficient:
        return Coefficient(self._recipe, self.domain)

    @property
    def space(self) -> FunctionSpace:
        """The space of Young's modulus: the default basis of the domain."""
        return self._coefficient.space

    def problem(self, young: Function | float | Callable[[Tensor], Any]) -> LinearElasticity:
        """The boundary-value problem for a modulus, or for a batch of them."""
        return LinearElasticity(
            self.domain,
            self.space.element,
            young=young,
            poisson=self.poisson,
            plane=self.plane,
            displacement={"left": 0.0},
            traction={"right": self.traction},
            workers=self.workers,
        )

    def moduli(self, n: int, seed: int | None = 0, *, first: int = 0) -> Function:
        """Young's moduli of samples first, ..., first + n - 1 alone."""
        n, entropy, first = sampling(n, seed, first)
        values = self.scale * self._coefficient.values(n, entropy, first, self.workers)
        return Function(self.space, torch.from_numpy(values), name="E")

    def sample(self, n: int, seed: int | None = 0, *, first: int = 0) -> OperatorData:
        """Samples first, ..., first + n - 1 of a seed: input "E", output "u" (float64).

        Sample i depends on (seed, i) alone: the same bytes whatever n and the number of threads.
        """
        n, chosen, first = sampling(n, seed, first)
        young = self.moduli(n, chosen, first=first)
        problem = self.problem(young)
        u = problem.solve()
        found = {"u": u}
        if "von_mises" in self.outputs:
            found["von_mises"] = problem.von_mises(u)
        attributes = {
            "problem": "-div sigma = 0, u = 0 on the left, sigma n = t on the right",
            **{("young" if key == "coefficient" else key): value for key, value in self._coefficient.recipe.items()},
            "scale": self.scale,
            "poisson": self.poisson,
            "plane": self.plane,
            "traction": list(self.traction),
            "seed": chosen,
            "first": first,
        }
        boundary = {"left": {"type": "dirichlet", "value": 0.0}}
        return OperatorData({"E": young}, {name: found[name] for name in self.outputs}, {}, boundary, attributes)

    def __repr__(self) -> str:
        name = self._recipe if isinstance(self._recipe, str) else type(self._recipe).__name__
        return f"HeterogeneousPlate({name!r}) on {self.domain!r}"
