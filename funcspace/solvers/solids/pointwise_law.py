"""A strain energy density at the quadrature points: stress and tangent moduli by automatic differentiation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.overrides import TorchFunctionMode

from funcspace.errors import InputError
from funcspace.solvers.solids.strain_energies import StrainEnergy, determinant

__all__ = ["EnergyFunction", "HyperelasticPlane", "PointwiseLaw"]

FloatArray = NDArray[np.float64]
EnergyFunction = StrainEnergy | Callable[[Tensor], Tensor]
HyperelasticPlane = Literal["strain", "incompressible"]

CHUNK_POINTS = 1 << 15
DETERMINANTS = (torch.linalg.det, torch.det, Tensor.det)


class Cofactors(TorchFunctionMode):
    """Determinants of 3 x 3 matrices by cofactors: torch's own have no second derivative at F = I."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Replace a determinant, pass everything else on."""
        if func in DETERMINANTS and len(args) == 1 and tuple(args[0].shape[-2:]) == (3, 3):
            return determinant(args[0])
        return func(*args, **(kwargs or {}))


class PointwiseLaw:
    r"""psi as a function of the displacement gradient H, with its derivatives.

    P_iJ = dpsi/dH_iJ,  A_iJkL = d2psi/dH_iJ dH_kL,  F = I + H

    In the plane F_33 = 1 (plane strain), or F_33 = 1/det F for incompressible sheets in plane stress.

    Parameters
    ----------
    energy : a `StrainEnergy`, or a function of F (3, 3) that returns a number, in float64. Calls of torch.linalg.det
        in it are done by cofactors.
    dim : 2 or 3.
    plane : without meaning in 3 dimensions.

    Raises
    ------
    InputError
        When the energy cannot be evaluated at F = I, or is no finite float64 number with finite derivatives there.
    """

    def __init__(self, energy: EnergyFunction, dim: int, plane: HyperelasticPlane) -> None:
        self.energy: Any = energy
        self.dim, self.plane = dim, plane
        self.names = tuple(getattr(energy, "parameters", ())) if isinstance(energy, StrainEnergy) else ()

    def data(self) -> dict[str, Any]:
        """The parameters of the law by name."""
        return {name: self.energy.parameters[name] for name in self.names}

    def check(self, values: dict[str, FloatArray], points: FloatArray) -> None:
        """Refuse parameters out of range and energies that do not fit; values (samples or 1, n)."""
        if self.names:
            self.energy.check(values, points)
        rest = torch.zeros(self.dim, self.dim, dtype=torch.float64)
        numbers = [torch.tensor(float(values[name][0, 0]), dtype=torch.float64) for name in self.names]
        try:
            with torch.no_grad():
                found = self._density(rest, *numbers)
        except RuntimeError as error:
            raise InputError(
                "the strain energy failed on F = I, a float64 tensor (3, 3); a torch module needs .double() and an "
                f"input of this shape: {error}"
            ) from error
        if not isinstance(found, Tensor) or found.shape != () or found.dtype != torch.float64:
            shown = (
                f"a tensor of shape {tuple(found.shape)} and {found.dtype}"
                if isinstance(found, Tensor)
                else type(found).__name__
            )
            raise InputError(f"the strain energy of F (3, 3) must be one float64 number; got {shown}")
        if not bool(torch.isfinite(found)):
            raise InputError(f"the strain energy is {float(found)} at F = I")
        *_, moduli = self.tangents(np.zeros((1, self.dim, self.dim)), [np.full(1, float(v)) for v in numbers])
        if not np.isfinite(moduli).all():
            raise InputError(
                "the strain energy has no finite second derivative at F = I; decompositions such as torch.linalg.eigh "
                "and svd have none where eigenvalues are equal: write the energy in the invariants of F^T F"
            )

    def energies(self, gradient: FloatArray, values: list[FloatArray]) -> FloatArray:
        """Densities psi (n,) at displacement gradients (n, d, d), with the parameters (n,) there."""
        (found,) = self._over_chunks(torch.func.vmap(lambda *point: (self._density(*point),)), gradient, values)
        return found

    def stresses(self, gradient: FloatArray, values: list[FloatArray]) -> tuple[FloatArray, FloatArray]:
        """Densities psi (n,) and the first Piola-Kirchhoff stress P (n, d, d)."""
        stress, energy = self._over_chunks(torch.func.vmap(torch.func.grad_and_value(self._density)), gradient, values)
        return energy, stress

    def tangents(self, gradient: FloatArray, values: list[FloatArray]) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Densities psi (n,), stresses P (n, d, d) and the moduli A (n, d, d, d, d)."""
        both = torch.func.grad_and_value(self._density)

        def slope(*point: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
            stress, energy = both(*point)
            return stress, (stress, energy)

        def flat(*point: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            # reverse over reverse: as fast as forward over reverse here, and safe in threads
            moduli, (stress, energy) = torch.func.jacrev(slope, has_aux=True)(*point)
            return energy, stress, moduli

        energy, stress, moduli = self._over_chunks(torch.func.vmap(flat), gradient, values)
        return energy, stress, moduli

    def across(self, gradient: FloatArray, values: list[FloatArray]) -> FloatArray:
        """The Cauchy stress across the plane (n,): zero for incompressible sheets."""
        if self.plane == "incompressible":
            return np.zeros(len(gradient))

        def stretched(stretch: Tensor, h: Tensor, *rest: Tensor) -> Tensor:
            return self._law(self._padded(h, stretch), *rest)

        def slope(h: Tensor, *rest: Tensor) -> tuple[Tensor]:
            return (torch.func.grad(stretched)(h.new_ones(()), h, *rest),)

        (found,) = self._over_chunks(torch.func.vmap(slope), gradient, values)
        return found / volume_ratio(gradient)

    def _over_chunks(self, function: Callable[..., Any], gradient: FloatArray, values: list[FloatArray]) -> list[Any]:
        parts = []
        for start in range(0, len(gradient), CHUNK_POINTS):
            rows = slice(start, start + CHUNK_POINTS)
            arguments = [torch.from_numpy(np.ascontiguousarray(a[rows])) for a in (gradient, *values)]
            with torch.no_grad():
                parts.append([found.detach().numpy() for found in function(*arguments)])
        return [np.concatenate(columns) for columns in zip(*parts, strict=True)]

    def _law(self, deformation: Tensor, *values: Tensor) -> Tensor:
        with Cofactors():
            return self.energy(deformation, **dict(zip(self.names, values, strict=True)))

    def _density(self, h: Tensor, *values: Tensor) -> Tensor:
        if self.dim == 3:
            return self._law(h + torch.eye(3, dtype=h.dtype), *values)
        stretch = h.new_ones(())
        if self.plane == "incompressible":
            stretch = 1.0 / ((1.0 + h[0, 0]) * (1.0 + h[1, 1]) - h[0, 1] * h[1, 0])
        return self._law(self._padded(h, stretch), *values)

    @staticmethod
    def _padded(h: Tensor, stretch: Tensor) -> Tensor:
        deformation = torch.nn.functional.pad(h + torch.eye(2, dtype=h.dtype), (0, 1, 0, 1))
        third = torch.diag(torch.tensor([0.0, 0.0, 1.0], dtype=h.dtype))
        return deformation + stretch * third


def volume_ratio(gradient: FloatArray) -> FloatArray:
    """det(I + H) of displacement gradients (..., d, d): the change of volume, or of area in the plane."""
    return np.linalg.det(gradient + np.eye(gradient.shape[-1]))
