"""Strain energy densities of hyperelastic bodies, written in torch: stresses and tangents are their derivatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from funcspace.arguments import number_of
from funcspace.errors import InputError
from funcspace.solvers.problem_arguments import check_data
from funcspace.solvers.problem_data import Data
from funcspace.solvers.solids.isotropic import IsotropicModuli, check_poisson

__all__ = ["MooneyRivlin", "NeoHookean", "StrainEnergy", "determinant"]

FloatArray = NDArray[np.float64]


@runtime_checkable
class StrainEnergy(Protocol):
    """A density with material parameters that may vary from point to point.

    A law without such parameters needs no class: any function of F (3, 3) that returns a number will do, for example
    a torch module.
    """

    @property
    def parameters(self) -> Mapping[str, Data]:
        """The parameters by name: numbers, callables of points, or Functions."""
        ...

    def check(self, values: Mapping[str, FloatArray], points: FloatArray) -> None:
        """Raise an InputError for parameters out of range: values (samples or 1, n) at points (n, d)."""
        ...

    def __call__(self, gradient: Tensor, **parameters: Any) -> Tensor:
        """The density psi(F) at one point: F (3, 3) and the parameters there, to a number."""
        ...


def determinant(matrix: Float[Tensor, "*point 3 3"]) -> Float[Tensor, " *point"]:
    """The determinant by cofactors: cheap to differentiate twice.

    >>> float(determinant(torch.diag(torch.tensor([2.0, 3.0, 4.0]))))
    24.0
    """
    a, b, c = matrix.unbind(dim=-2)
    return (a * torch.linalg.cross(b, c)).sum(dim=-1)


@dataclass(frozen=True)
class NeoHookean:
    r"""Compressible neo-Hookean law.

    psi(F) = mu/2 (tr(F^T F) - 3) - mu ln J + lambda/2 (ln J)^2,  J = det F

    Its linearisation at F = I is isotropic elasticity with the same moduli (Bonet and Wood, Nonlinear Continuum
    Mechanics for Finite Element Analysis, 2008, section 6.4.3).

    Attributes
    ----------
    young, poisson : E and nu < 1/2; or
    lame_lambda, lame_mu : Lame's parameters. Numbers, callables of points, or Functions.

    Raises
    ------
    InputError
        Unless exactly one of the pairs is given, of numbers that some body has.

    Examples
    --------
    >>> law = NeoHookean(lame_lambda=1.0, lame_mu=1.0)
    >>> round(float(law(torch.diag(torch.tensor([2.0, 1.0, 1.0])), lame_lambda=1.0, lame_mu=1.0)), 4)
    1.0471
    """

    young: Data | None = None
    poisson: Data | None = None
    lame_lambda: Data | None = None
    lame_mu: Data | None = None

    def __post_init__(self) -> None:
        IsotropicModuli(self.young, self.poisson, self.lame_lambda, self.lame_mu)
        check_poisson(self.poisson, "strain")

    @property
    def parameters(self) -> dict[str, Data]:
        """The pair that was given."""
        return IsotropicModuli(self.young, self.poisson, self.lame_lambda, self.lame_mu).data()

    def __call__(self, gradient: Tensor, **parameters: Any) -> Tensor:
        """The density psi(F) at one point or many: F (..., 3, 3), moduli (...)."""
        if "young" in parameters:
            young, poisson = parameters["young"], parameters["poisson"]
            lame_lambda, lame_mu = young * poisson / ((1 + poisson) * (1 - 2 * poisson)), young / (2 * (1 + poisson))
        else:
            lame_lambda, lame_mu = parameters["lame_lambda"], parameters["lame_mu"]
        logarithm = determinant(gradient).log()
        stretch = gradient.square().sum(dim=(-2, -1)) - 3.0
        return lame_mu * (0.5 * stretch - logarithm) + 0.5 * lame_lambda * logarithm.square()

    def check(self, values: Mapping[str, FloatArray], points: FloatArray) -> None:
        """Raise an InputError for moduli out of range: values (samples or 1, n) at points (n, d)."""
        moduli = IsotropicModuli(self.young, self.poisson, self.lame_lambda, self.lame_mu)
        moduli.lame(lambda _, name: values[name], points, "strain")


@dataclass(frozen=True)
class MooneyRivlin:
    r"""Compressible Mooney-Rivlin law, shape and volume apart.

    psi(F) = c10 (J^(-2/3) I1 - 3) + c01 (J^(-4/3) I2 - 3) + K/4 (J^2 - 1 - 2 ln J)

    with C = F^T F, I1 = tr C, I2 = ((tr C)^2 - tr C^2)/2, J = det F. At small strains the shear modulus is
    2 (c10 + c01) and the bulk modulus K. With c01 = 0 it is the neo-Hookean law with shape and volume apart (Simo and
    Miehe, Comput. Methods Appl. Mech. Engrg. 98, 1992).

    Attributes
    ----------
    c10, c01, bulk : numbers, callables of points, or Functions; c10 + c01 > 0, bulk > 0. `bulk` is without effect
        on incompressible sheets.

    Raises
    ------
    InputError
        When numbers are out of range.

    Examples
    --------
    >>> law = MooneyRivlin(c10=1.0, c01=0.5, bulk=10.0)
    >>> round(float(law(torch.diag(torch.tensor([2.0, 1.0, 0.5])), c10=1.0, c01=0.5, bulk=10.0)), 4)
    3.375
    """

    c10: Data
    c01: Data = 0.0
    bulk: Data = 1.0

    def __post_init__(self) -> None:
        check_data(self.parameters)
        if number_of(self.c10) + number_of(self.c01) <= 0 or number_of(self.bulk) <= 0:
            raise InputError(f"c10 + c01 and bulk must be positive; got {self.parameters}")

    @property
    def parameters(self) -> dict[str, Data]:
        """c10, c01 and bulk."""
        return {"c10": self.c10, "c01": self.c01, "bulk": self.bulk}

    def __call__(self, gradient: Tensor, **parameters: Any) -> Tensor:
        """The density psi(F) at one point or many: F (..., 3, 3), moduli (...)."""
        c10, c01, bulk = (parameters[name] for name in ("c10", "c01", "bulk"))
        volume = determinant(gradient)
        logarithm = volume.log()
        first, second = invariants(gradient)
        shape = c10 * ((-2.0 / 3.0 * logarithm).exp() * first - 3.0)
        shape = shape + c01 * ((-4.0 / 3.0 * logarithm).exp() * second - 3.0)
        return shape + 0.25 * bulk * (volume.square() - 1.0 - 2.0 * logarithm)

    def check(self, values: Mapping[str, FloatArray], points: FloatArray) -> None:
        """Raise an InputError for moduli out of range: values (samples or 1, n) at points (n, d)."""
        if (values["c10"] + values["c01"] <= 0).any() or (values["bulk"] <= 0).any():
            lowest = {name: float(value.min()) for name, value in values.items()}
            raise InputError(f"c10 + c01 and bulk must be positive; the lowest values are {lowest}")


def invariants(gradient: Float[Tensor, "*point 3 3"]) -> tuple[Tensor, Tensor]:
    """I1 = tr C and I2 = ((tr C)^2 - tr C^2)/2 of C = F^T F."""
    cauchy = gradient.mT @ gradient
    first = gradient.square().sum(dim=(-2, -1))
    return first, 0.5 * (first.square() - cauchy.square().sum(dim=(-2, -1)))
