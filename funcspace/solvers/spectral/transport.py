"""Scalar equations in one dimension whose nonlinear part is the flux of u^2."""

from __future__ import annotations

from jaxtyping import Complex, Float, Shaped
from torch import Tensor

from funcspace.solvers.spectral.modes import Modes

__all__ = ["QuadraticFlux"]


class QuadraticFlux:
    r"""du/dt + (c/2) d(u^2)/dx = L u, a linear operator L given by its symbol.

    Parameters
    ----------
    modes : the modes of a grid of one axis.
    symbol : L per mode, in double precision.
    factor : c.
    """

    def __init__(self, modes: Modes, symbol: Shaped[Tensor, " modes"], factor: float) -> None:
        self.modes, self.linear, self.factor = modes, symbol[None], factor
        k = modes.wavenumbers[0]
        self._flux = modes.symbol(-0.5j * factor * k)
        self.profile = (k / modes.reach[0], 1j)

    def nonlinear(self, spectra: Complex[Tensor, "*batch 1 modes"]) -> Complex[Tensor, "*batch 1 modes"]:
        """Minus the derivative of the flux."""
        u = self.modes.evaluate(spectra)
        return self.modes.transform(u * u) * self._flux

    def compiled(self) -> None:
        """There is no faster way."""

    def rates(self, spectra: Complex[Tensor, "batch 1 modes"]) -> Float[Tensor, " batch"]:
        """|c u| at its largest times the highest wavenumber."""
        return abs(self.factor) * self.modes.reach[0] * self.modes.evaluate(spectra).abs().flatten(1).amax(dim=1)
