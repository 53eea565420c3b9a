"""The Korteweg-de Vries equation on a periodic interval."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from funcspace.errors import InputError
from funcspace.functions import Function
from funcspace.geometry import Grid, Times
from funcspace.solvers.gaussian_fields import GaussianField, unit_sigma
from funcspace.solvers.spectral.modes import Modes
from funcspace.solvers.spectral.numerics import Numerics
from funcspace.solvers.spectral.problem import InitialLaw, SpectralProblem, checked_number, periodic_grid
from funcspace.solvers.spectral.transport import QuadraticFlux

__all__ = ["KortewegDeVries"]


class KortewegDeVries(SpectralProblem):
    r"""Long waves in shallow water, whose solitons pass through each other.

    du/dt + c u du/dx + delta d^3u/dx^3 = 0

    c = 6 and delta = 1 by default. The equation keeps the mass, the momentum and the energy
    int u, int u^2, int (c u^3 / 6 - delta (du/dx)^2 / 2); so does its cutoff to finitely many modes. A soliton of
    speed s is (3 s / c) sech^2(sqrt(s / delta) (x - s t) / 2).

    Parameters
    ----------
    nonlinearity : c.
    resolution : points of the interval; 256 by default.
    dispersion : delta.
    domain, length : a periodic Grid, or the length of the interval; 40 by default.
    horizon : final time, or `Times` for trajectories.
    spin_up : time that `sample` lets pass before it takes the initial field.
    initial : law of the initial fields on the domain; by default Gaussian fields of variance 1 and correlation
        length about 4.
    numerics : steps, precision, device, threads.

    Examples
    --------
    >>> sea = KortewegDeVries(length=40.0, resolution=128)
    >>> wave = sea.solve(lambda x: sea.soliton(x[:, 0] - 10.0, speed=1.0), 5.0)
    >>> float(wave.values.argmax()) * 40.0 / 128
    15.0
    """

    def __init__(
        self,
        nonlinearity: float = 6.0,
        resolution: int | None = None,
        *,
        dispersion: float = 1.0,
        domain: Grid | None = None,
        length: float | None = None,
        horizon: float | Times = 1.0,
        spin_up: float = 0.0,
        initial: InitialLaw | None = None,
        numerics: Numerics | None = None,
    ) -> None:
        self.nonlinearity = checked_number(nonlinearity, "nonlinearity")
        self.dispersion = checked_number(dispersion, "dispersion")
        grid = periodic_grid(domain, resolution, length, dim=1, default=(256, 40.0))
        if initial is None:
            initial = GaussianField(grid, 4.0, 20.0 / _length(grid) * 2.0, unit_sigma(4.0, 1), zero_mean=True)
        super().__init__(grid, ("u",), name="u", horizon=horizon, spin_up=spin_up, initial=initial, numerics=numerics)

    @property
    def degree(self) -> int:
        """The flux is a product of two."""
        return 2

    def make_equation(self, modes: Modes) -> QuadraticFlux:
        """The equation on some modes."""
        return QuadraticFlux(modes, 1j * self.dispersion * modes.wavenumbers[0] ** 3, self.nonlinearity)

    def soliton(self, x: Tensor, speed: float) -> Tensor:
        """The soliton of a speed, its crest at x = 0."""
        if speed / self.dispersion <= 0:
            raise InputError(f"a soliton moves towards the sign of the dispersion {self.dispersion}; got speed={speed}")
        return 3.0 * speed / self.nonlinearity / torch.cosh(0.5 * (speed / self.dispersion) ** 0.5 * x) ** 2

    def invariants(self, u: Function) -> Tensor:
        """Mass, momentum and energy, shape `(*batch, [time,] 3)`."""
        values = u.values
        n = values.shape[-1]
        spectrum = torch.fft.rfft(values)
        k = 2.0 * torch.pi / _length(self.domain) * torch.arange(spectrum.shape[-1]).to(values)
        slope = torch.fft.irfft(1j * k * spectrum, n=n)
        energy = self.nonlinearity / 6.0 * values**3 - 0.5 * self.dispersion * slope**2
        return torch.stack([part.mean(dim=-1) for part in (values, values**2, energy)], dim=-1) * _length(self.domain)

    def describe(self) -> dict[str, Any]:
        """The equation and its parameters."""
        return {
            "problem": "du/dt + c u du/dx + delta d3u/dx3 = 0",
            "nonlinearity": self.nonlinearity,
            "dispersion": self.dispersion,
        }


def _length(grid: Grid) -> float:
    return grid.grid_axes[0].length
