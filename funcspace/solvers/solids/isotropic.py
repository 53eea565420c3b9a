"""Moduli of isotropic linear elasticity, given as Young's modulus and Poisson's ratio or as Lame's parameters."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from funcspace.arguments import number_of
from funcspace.errors import InputError
from funcspace.solvers.problem_arguments import check_data
from funcspace.solvers.problem_data import Data

__all__ = ["IsotropicModuli", "Plane", "check_poisson", "lame_parameters"]

FloatArray = NDArray[np.float64]
Plane = Literal["strain", "stress"]

NEARLY_INCOMPRESSIBLE = "nearly incompressible bodies take P2 or Q2 elements and, say, 0.4999"


def check_poisson(poisson: Data | None, plane: Plane) -> None:
    """Raise an InputError for a number that is no Poisson's ratio; data that vary are seen by the solver."""
    number = number_of(poisson)
    inside = -1.0 < number <= 0.5 if plane == "stress" else -1.0 < number < 0.5
    if not (inside or math.isnan(number)):
        limit = "at most 0.5 in plane stress" if plane == "stress" else "below 0.5"
        hint = f"; {NEARLY_INCOMPRESSIBLE}" if number >= 0.5 else ""
        raise InputError(f"poisson must be above -1 and {limit}; got {poisson!r}{hint}")


def lame_parameters(young: float, poisson: float) -> tuple[float, float]:
    """Lame's lambda and mu of Young's modulus and Poisson's ratio.

    lambda = E nu / ((1 + nu)(1 - 2 nu)),  mu = E / (2 (1 + nu))

    >>> lame_parameters(2.5, 0.25)
    (1.0, 1.0)
    """
    return young * poisson / ((1 + poisson) * (1 - 2 * poisson)), young / (2 * (1 + poisson))


@dataclass(frozen=True)
class IsotropicModuli:
    """A pair of moduli, each a number, a callable of points, or a Function.

    Attributes
    ----------
    young, poisson : E > 0 and -1 < nu < 1/2 (nu = 1/2 too in plane stress).
    lame_lambda, lame_mu : mu > 0 and 3 lambda + 2 mu > 0.

    Raises
    ------
    InputError
        Unless exactly one of the two pairs is given, of numbers that some body has.
    """

    young: Data | None = None
    poisson: Data | None = None
    lame_lambda: Data | None = None
    lame_mu: Data | None = None

    def __post_init__(self) -> None:
        given = {name for name, value in vars(self).items() if value is not None}
        if given not in ({"young", "poisson"}, {"lame_lambda", "lame_mu"}):
            raise InputError(
                f"give young and poisson, or lame_lambda and lame_mu; got {sorted(given) if given else 'none of them'}"
            )
        check_data(self.data(), ("young", "lame_mu"))

    def data(self) -> dict[str, Any]:
        """The two that were given, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def lame(self, at: Callable[[Any, str], FloatArray], points: FloatArray, plane: Plane) -> tuple[FloatArray, ...]:
        """Lame's parameters at points: (lambda of the plane problem, mu, lambda), each (samples or 1, n).

        In plane stress the first is 2 lambda mu / (lambda + 2 mu) and the last is zero: it gives the stress across
        the plane.

        Parameters
        ----------
        at : values (samples or 1, n) of a datum, given its name for messages.
        points : (n, d), for messages.
        """
        if self.young is not None:
            young, poisson = at(self.young, "young"), at(self.poisson, "poisson")
            _check(young > 0, young, points, "young must be positive")
            limit = "at most 0.5 in plane stress" if plane == "stress" else "below 0.5"
            high = poisson <= 0.5 if plane == "stress" else poisson < 0.5
            _check((poisson > -1) & high, poisson, points, f"poisson must be above -1 and {limit}")
            mu = young / (2 * (1 + poisson))
            if plane == "stress":
                inplane = young * poisson / ((1 + poisson) * (1 - poisson))
                return inplane, np.broadcast_to(mu, inplane.shape), np.zeros_like(inplane)
            both = young * poisson / ((1 + poisson) * (1 - 2 * poisson))
        else:
            both, mu = at(self.lame_lambda, "lame_lambda"), at(self.lame_mu, "lame_mu")
            _check(mu > 0, mu, points, "lame_mu must be positive")
            bulk = 3 * both + 2 * mu
            _check(bulk > 0, bulk, points, "3 lame_lambda + 2 lame_mu must be positive")
            if plane == "stress":
                inplane = 2 * both * mu / (both + 2 * mu)
                return inplane, np.broadcast_to(mu, inplane.shape), np.zeros_like(inplane)
        both, mu = np.broadcast_arrays(both, mu)
        return both, mu, both


def _check(good: NDArray[np.bool_], values: FloatArray, points: FloatArray, message: str) -> None:
    if not good.all():
        sample, point = (int(i) for i in np.argwhere(~good)[0])
        hint = ""
        if "poisson" in message and values[sample, point] >= 0.5:
            hint = f"; {NEARLY_INCOMPRESSIBLE}"
        raise InputError(f"{message}; sample {sample} is {values[sample, point]:g} at {points[point].tolist()}{hint}")
