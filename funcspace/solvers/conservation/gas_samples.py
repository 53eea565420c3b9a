"""Random initial data of gas dynamics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcspace.errors import InputError
from funcspace.solvers.conservation.four_states import FourStates, lax_liu
from funcspace.solvers.conservation.riemann import RiemannProblem

__all__ = ["RECIPES", "initial_states"]

FloatArray = NDArray[np.float64]
Draw = Callable[[FloatArray, np.random.Generator], FloatArray]


def random_state(generator: np.random.Generator, dim: int) -> FloatArray:
    """Density and pressure log-uniform in [0.1, 3], components of the velocity uniform in [-0.75, 0.75].

    Slow enough for no two such states to part with a vacuum between them.
    """
    density, pressure = np.exp(generator.uniform(np.log(0.1), np.log(3.0), 2))
    return np.array([density, *generator.uniform(-0.75, 0.75, dim), pressure])


def _riemann(points: FloatArray, generator: np.random.Generator) -> FloatArray:
    states = [tuple(random_state(generator, 1).tolist()) for _ in range(2)]
    low, high = points.min(), points.max()
    position = low + (high - low) * generator.uniform(0.3, 0.7)
    return RiemannProblem(states[0], states[1], float(position))(points)


def _centre(points: FloatArray, generator: np.random.Generator) -> tuple[float, float]:
    low, high = points.min(axis=0), points.max(axis=0)
    x, y = low + (high - low) * generator.uniform(0.3, 0.7, 2)
    return float(x), float(y)


def _quadrants(points: FloatArray, generator: np.random.Generator) -> FloatArray:
    states = [tuple(random_state(generator, 2).tolist()) for _ in range(4)]
    return FourStates(*states, centre=_centre(points, generator))(points)


def _lax_liu(points: FloatArray, generator: np.random.Generator) -> FloatArray:
    configuration = lax_liu(int(generator.integers(1, 20)))
    return replace(configuration, centre=_centre(points, generator))(points)


def _pieces(points: FloatArray, generator: np.random.Generator) -> FloatArray:
    dim = points.shape[1]
    count = int(generator.integers(3, 9))
    low, high = points.min(axis=0), points.max(axis=0)
    centres = low + (high - low) * generator.uniform(size=(count, dim))
    states = np.stack([random_state(generator, dim) for _ in range(count)])
    nearest = np.argmin(((points[:, None] - centres) ** 2).sum(axis=-1), axis=1)
    return states[nearest]


# name: dimension of the domain (None: any) and the recipe
RECIPES: dict[str, tuple[int | None, Draw]] = {
    "riemann": (1, _riemann),
    "quadrants": (2, _quadrants),
    "lax_liu": (2, _lax_liu),
    "pieces": (None, _pieces),
}


def initial_states(name: str, dim: int) -> Draw:
    """A recipe by name, a callable of points (n, d) and a generator.

    Raises
    ------
    InputError
        When there is no such recipe, or not in this dimension.
    """
    if name not in RECIPES:
        raise InputError(f"no initial data {name!r}; there are {', '.join(RECIPES)}, or give a callable")
    needed, draw = RECIPES[name]
    if needed not in (None, dim):
        raise InputError(f"initial data {name!r} are for {needed} dimensions; the domain has {dim}")
    return draw


def callable_values(source: Any, points: Any, dim: int) -> FloatArray:
    """Values (n, d + 2) of a callable of points, checked for shape."""
    values = np.asarray(source(points), dtype=np.float64)
    if values.shape != (len(points), dim + 2):
        raise InputError(
            f"initial(points) must give density, {dim} velocities and pressure, shape {(len(points), dim + 2)}; "
            f"got {values.shape}"
        )
    return values
