"""Random diffusion coefficients: the recipes of the Darcy benchmarks."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from funcspace.arguments import entries_of, number_of, positive_number
from funcspace.errors import InputError
from funcspace.functions import Function, FunctionSpace
from funcspace.functions.space import sample as values_at
from funcspace.geometry.domain import Domain
from funcspace.solvers.gaussian_fields import GaussianField, sample_generator, unit_sigma
from funcspace.solvers.threads import over_threads

__all__ = ["RECIPES", "Coefficient", "GaussianRecipe", "check_recipe", "multiscale_values"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class GaussianRecipe:
    """A coefficient made of a Gaussian field g.

    Attributes
    ----------
    alpha, tau : parameters of the field, see `GaussianField`.
    values : (low, high): the coefficient is high where g >= 0 and low elsewhere; None for exp(g).
    sigma : amplitude of the field; by default 1 for thresholds, where it does not matter, and mean variance 1 for
        exp(g).

    Raises
    ------
    InputError
        When a parameter is out of range.
    """

    alpha: float
    tau: float
    values: tuple[float, float] | None = None
    sigma: float | None = None

    def __post_init__(self) -> None:
        positive_number(self.alpha, "alpha")
        positive_number(self.tau, "tau")
        if self.sigma is not None and not number_of(self.sigma) >= 0:
            raise InputError(f"sigma must be a number that is not negative, or None; got {self.sigma!r}")
        pair = entries_of(self.values)
        if self.values is not None and not (len(pair) == 2 and all(np.isfinite(number_of(value)) for value in pair)):
            raise InputError(f"values must be a pair (low, high) of numbers, or None; got {self.values!r}")

    def field(self, domain: Domain) -> GaussianField:
        """The field on a domain; for a threshold without its constant mode, as in the published data."""
        sigma = self.sigma
        if sigma is None:
            low, high = domain.bounds.tolist()
            lengths = [b - a for a, b in zip(low, high, strict=True)]
            sigma = 1.0 if self.values else unit_sigma(self.alpha, domain.dim, tau=self.tau, lengths=lengths)
        return GaussianField(domain, self.alpha, self.tau, sigma, method="spectral", zero_mean=self.values is not None)

    def coefficient(self, field: FloatArray) -> FloatArray:
        """The coefficient from the values of the field."""
        if self.values is None:
            return np.exp(field)
        low, high = self.values
        return np.where(field >= 0.0, high, low)


RECIPES = {
    "threshold": GaussianRecipe(2.0, 3.0, (3.0, 12.0)),
    "smooth": GaussianRecipe(2.0, 3.0, (3.0, 12.0)),
    "rough": GaussianRecipe(2.0, 5.0, (2.0, 12.0)),
    "lognormal": GaussianRecipe(2.0, 3.0),
}


def check_recipe(recipe: Any, name: str) -> None:
    """Raise an InputError unless a recipe is a known name, a GaussianRecipe, a Function or a callable.

    Parameters
    ----------
    name : what the recipe is of.
    """
    if isinstance(recipe, str):
        if recipe != "multiscale" and recipe not in RECIPES:
            known = sorted([*RECIPES, "multiscale"])
            raise InputError(f"no coefficient {recipe!r}; there are {known}, or give a callable")
    elif not (isinstance(recipe, GaussianRecipe) or callable(recipe)):
        raise InputError(f"{name} must be a name, a GaussianRecipe, a callable or a Function; got {recipe!r}")


class Coefficient:
    """A source of coefficients on one domain: values at the nodes of its default basis."""

    def __init__(self, recipe: Any, domain: Domain) -> None:
        check_recipe(recipe, "coefficient")
        self.space = FunctionSpace(domain)
        self.recipe: dict[str, Any]
        self._draw: Callable[[np.random.Generator], FloatArray]
        points = self.space.dof_points
        assert points is not None
        if isinstance(recipe, str) and recipe == "multiscale":
            if domain.dim != 2:
                raise InputError(
                    f"the multiscale coefficient is defined in two dimensions; the domain has {domain.dim}"
                )
            where = points.numpy()
            self._draw = lambda generator: multiscale_values(where, generator)
            self.recipe = {"coefficient": "multiscale"}
        elif isinstance(recipe, str | GaussianRecipe):
            gaussian = RECIPES[recipe] if isinstance(recipe, str) else recipe
            field = gaussian.field(domain)
            draw = field._sampler
            self._draw = lambda generator: gaussian.coefficient(draw(generator).ravel())
            self.recipe = {
                "coefficient": recipe if isinstance(recipe, str) else "gaussian",
                "alpha": gaussian.alpha,
                "tau": gaussian.tau,
                "values": list(gaussian.values) if gaussian.values else "exp",
            }
        elif isinstance(recipe, Function):
            if recipe.batch_shape:
                raise InputError("give one Function to draw samples from, or a batch of them to solve(...)")
            fixed = self.space.interpolate(recipe).coefficients.to(torch.float64).numpy()
            self._draw = lambda generator: fixed
            self.recipe = {"coefficient": recipe.name}
        else:
            self._draw = _from_callable(recipe, points)
            self.recipe = {"coefficient": getattr(recipe, "__name__", type(recipe).__name__)}

    def values(self, n: int, entropy: Any, first: int, workers: int | None) -> FloatArray:
        """Coefficients of samples first, ..., first + n - 1."""
        found = np.empty((n, self.space.n_dofs))

        def work(start: int, stop: int) -> None:
            for i in range(start, stop):
                found[i] = self._draw(sample_generator(entropy, first + i))

        over_threads(work, n, workers)
        return found


def multiscale_values(points: FloatArray, generator: np.random.Generator) -> FloatArray:
    r"""The multiscale trigonometric coefficient at points (n, 2).

    a(x) = prod_{k=1..6} (1 + cos(a_k pi (x_1 + x_2))/2) (1 + sin(a_k pi (x_2 - 3 x_1))/2),  a_k ~ U[2^(k-1), 1.5
    2^(k-1)]

    Its contrast reaches 1e5 and its finest scale has a period of 1/76 along the gradient: grids below 256 x 256
    sample it coarsely.
    """
    a = np.zeros(6)
    for k in range(6):
        a[k] = generator.uniform(2.0**k, 1.5 * 2.0**k)
    along = np.pi * (points[:, 0] + points[:, 1])
    across = np.pi * (points[:, 1] - 3.0 * points[:, 0])
    value = np.ones(len(points))
    for frequency in a:
        value *= (1.0 + 0.5 * np.cos(frequency * along)) * (1.0 + 0.5 * np.sin(frequency * across))
    return value


def _from_callable(recipe: Callable[..., Any], points: torch.Tensor) -> Callable[[np.random.Generator], FloatArray]:
    """A callable of the points alone gives one coefficient; one of (points, generator) a random one."""
    try:
        needed = [
            p for p in inspect.signature(recipe).parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty
        ]  # fmt: skip
        random = len(needed) >= 2
    except (TypeError, ValueError):
        random = False
    if random:
        return lambda generator: values_at(recipe(points, generator), points, ()).numpy()
    fixed = values_at(recipe, points, ()).numpy()
    return lambda generator: fixed
