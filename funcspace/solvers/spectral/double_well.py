"""Gradient flows of the double-well energy: what Allen-Cahn and Cahn-Hilliard have in common."""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from funcspace.functions import Function
from funcspace.solvers.spectral.modes import Modes

__all__ = ["DoubleWellEquation", "double_well_energy"]


class DoubleWellEquation:
    r"""du/dt = -M (u^3 - u - epsilon^2 Lap u), with a mobility M >= 0 that is 1 or -Lap.

    The equation is split about the wells u = -1 and 1, where the slope of u^3 - u is 2, so that the treated part
    vanishes there:  L = -M (2 + epsilon^2 |k|^2),  N = M (3 u - u^3).

    Parameters
    ----------
    modes : the modes, of degree 3.
    width : epsilon.
    conserved : whether M is -Lap, which keeps the mean.
    """

    def __init__(self, modes: Modes, width: float, *, conserved: bool) -> None:
        self.modes = modes
        mobility = modes.square if conserved else torch.ones_like(modes.square)
        self.linear = -(mobility * (2.0 + width**2 * modes.square))[None]
        self._mobility = modes.symbol(mobility)[..., None].expand(*modes.shape, 2).contiguous()
        most = float((mobility * modes.kept).max())
        self._largest = most
        self.profile = (mobility * modes.kept / most, 1.0 + 0j)

    def nonlinear(self, spectra: Complex[Tensor, "*batch 1 *modes"]) -> Complex[Tensor, "*batch 1 *modes"]:
        """The reaction, times the mobility."""
        u = self.modes.evaluate(spectra)
        reaction = self.modes.transform(u * (3.0 - u * u))
        return torch.view_as_complex(torch.view_as_real(reaction) * self._mobility)

    def compiled(self) -> None:
        """There is no faster way."""

    def rates(self, spectra: Complex[Tensor, "batch 1 *modes"]) -> Float[Tensor, " batch"]:
        """|3 - 3 u^2| at its largest times the largest mobility."""
        u = self.modes.evaluate(spectra).flatten(1)
        return self._largest * (3.0 - 3.0 * u * u).abs().amax(dim=1)


def double_well_energy(u: Function, width: float) -> Tensor:
    r"""The integral of (1 - u^2)^2 / 4 + epsilon^2 |grad u|^2 / 2 over a periodic grid, per sample and instant."""
    grid = u.domain.space if hasattr(u.domain, "times") else u.domain
    values = u.values
    dims = tuple(range(-grid.dim, 0))
    spectrum = torch.fft.fftn(values, dim=dims)
    square = torch.zeros(grid.shape, dtype=torch.float64)
    for number, axis in enumerate(grid.grid_axes):
        k = 2.0 * torch.pi / axis.length * torch.fft.fftfreq(axis.count, 1.0 / axis.count, dtype=torch.float64)
        square = square + (k**2).reshape([-1 if place == number else 1 for place in range(grid.dim)])
    points = values[(0,) * (values.ndim - grid.dim)].numel()
    gradient = (square.to(values) * spectrum.abs() ** 2).sum(dim=dims) / points**2
    volume = float(grid.measure.sum())
    return volume * (0.25 * ((1.0 - values**2) ** 2).mean(dim=dims) + 0.5 * width**2 * gradient)
