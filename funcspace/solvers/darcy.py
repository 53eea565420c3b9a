"""Darcy flow: steady diffusion through random media, the standard data set of operator learning."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from funcspace.arguments import number_of, whole_number
from funcspace.errors import InputError
from funcspace.functions import Function, FunctionSpace, OperatorData
from funcspace.geometry import Grid
from funcspace.geometry.domain import Domain
from funcspace.solvers.coefficients import Coefficient, GaussianRecipe, check_recipe
from funcspace.solvers.poisson import Poisson
from funcspace.solvers.problem_arguments import check_data, check_iteration, checked_workers, grid_or_mesh, sampling

__all__ = ["Darcy"]

Recipe = Literal["threshold", "smooth", "rough", "lognormal", "multiscale"]


class Darcy:
    r"""Pairs (coefficient, solution) of the Darcy problem.

    -div(a grad u) = f in the domain, u = 0 on its boundary

    ==============  ===========================================================================================
    "threshold"     a = 12 where g >= 0, else 3; g ~ N(0, (-Lap + 9)^(-2)) with Neumann condition, no constant mode
    "smooth"        another name for "threshold", that of the published files
    "rough"         a = 12 where g >= 0, else 2; g ~ N(0, (-Lap + 25)^(-2))
    "lognormal"     a = exp(g), g as for "threshold" with its constant mode, scaled to variance 1 on average
    "multiscale"    product of twelve trigonometric factors over six octaves, see `multiscale_values`
    ==============  ===========================================================================================

    f = 1 unless given. The coefficient is sampled at the vertices and solved by multilinear (Grid) or linear (Mesh)
    elements with the mean of the corner values in each cell. Published sets were made by a 5-point difference scheme
    with arithmetic means of a spline-interpolated coefficient, on samples half a cell inside the domain; the fields
    here follow the same law, the solutions differ by the discretisation error and are exactly zero on the boundary.

    The fields do not depend on the resolution: with one seed, `Darcy(resolution=128)` samples the same fields as
    `Darcy(resolution=64)`, with the finer modes added, and so does a mesh of the same box.

    Parameters
    ----------
    coefficient : a recipe by name, a `GaussianRecipe`, a Function, a callable (n, d) -> (n,) of points, or a
        callable of (points, generator) with a numpy Generator for a random coefficient of your own.
    resolution : vertices per side of the unit square, boundary included.
    domain : a vertex Grid without periodic axes or a Mesh, in place of the unit square.
    source : f: a number, a callable or a Function.
    tolerance : relative residual of the iterative solves.
    workers : number of threads; all cores by default.

    Raises
    ------
    InputError : an unknown recipe, a coefficient that is not positive, a resolution below 3.
    SolverError : no convergence.

    Examples
    --------
    >>> data = Darcy("threshold", resolution=32).sample(4, seed=0)
    >>> data.inputs["a"].values.shape, float(data.outputs["u"].values[:, 0].abs().max())
    (torch.Size([4, 32, 32]), 0.0)
    """

    def __init__(
        self,
        coefficient: Recipe | GaussianRecipe | Function | Callable[..., Any] = "threshold",
        resolution: int | None = None,
        *,
        domain: Domain | None = None,
        source: float | Function | Callable[[Tensor], Any] = 1.0,
        tolerance: float = 1e-10,
        workers: int | None = None,
    ) -> None:
        if domain is not None and resolution is not None:
            raise InputError("give resolution for the unit square or a domain of your own, not both")
        if domain is None:
            count = 64 if resolution is None else whole_number(resolution, "resolution", least=3)
            domain = Grid(x=(0.0, 1.0, count), y=(0.0, 1.0, count))
        self.domain: Any = grid_or_mesh(domain, "Darcy problems are")
        check_recipe(coefficient, "coefficient")
        check_data({"source": source})
        check_iteration(tolerance, 1)
        self.source = source
        self.tolerance = number_of(tolerance)
        self.workers = checked_workers(workers)
        self._recipe = coefficient

    @cached_property
    def space(self) -> FunctionSpace:
        """The space of coefficients and solutions."""
        return self._coefficient.space

    @cached_property
    def _coefficient(self) -> Coefficient:
        return Coefficient(self._recipe, self.domain)

    def coefficients(self, n: int, seed: int | None = 0, *, first: int = 0) -> Function:
        """The coefficients of samples first, ..., first + n - 1 alone."""
        n, entropy, first = sampling(n, seed, first)
        values = self._coefficient.values(n, entropy, first, self.workers)
        return Function(self.space, torch.from_numpy(values), name="a")

    def solve(self, a: Function | float | Callable[[Tensor], Any]) -> Function:
        """The solution for a coefficient, or for a batch of them on this problem's space."""
        problem = Poisson(
            self.domain, self.space.element, coefficient=a, source=self.source, dirichlet={"boundary": 0.0},
            tolerance=self.tolerance, workers=self.workers,
        )  # fmt: skip
        return problem.solve()

    def sample(self, n: int, seed: int | None = 0, *, first: int = 0) -> OperatorData:
        """Samples first, ..., first + n - 1 of a seed: input "a", output "u" (float64).

        Sample i depends on (seed, i) alone: the same bytes whatever n and the number of threads.

        Parameters
        ----------
        n : number of samples.
        seed : any integer >= 0; None draws a fresh one from the operating system, which `attributes["seed"]` keeps.
        first : number of the first sample, to continue a set.
        """
        n, chosen, first = sampling(n, seed, first)
        a = self.coefficients(n, chosen, first=first)
        u = self.solve(a)
        attributes = {
            "problem": "-div(a grad u) = f, u = 0 on the boundary",
            **self._coefficient.recipe,
            "source": self.source if isinstance(self.source, int | float) else getattr(self.source, "name", "callable"),
            "seed": chosen,
            "first": first,
        }
        boundary = {"boundary": {"type": "dirichlet", "value": 0.0}}
        return OperatorData({"a": a}, {"u": u.renamed("u")}, {}, boundary, attributes)

    def __repr__(self) -> str:
        name = self._recipe if isinstance(self._recipe, str) else type(self._recipe).__name__
        return f"Darcy({name!r}) on {self.domain!r}"
