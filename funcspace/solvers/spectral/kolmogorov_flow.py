"""Kolmogorov flow: two-dimensional turbulence driven by a shear force of one wave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from funcspace.arguments import whole_number
from funcspace.errors import InputError
from funcspace.functions import Function
from funcspace.geometry import Grid, Times
from funcspace.solvers.gaussian_fields import GaussianField
from funcspace.solvers.spectral.initial_data import initial_values
from funcspace.solvers.spectral.modes import Modes
from funcspace.solvers.spectral.numerics import Numerics
from funcspace.solvers.spectral.problem import (
    Initial,
    InitialLaw,
    SpectralProblem,
    checked_number,
    periodic_grid,
)
from funcspace.solvers.spectral.vorticity import (
    VorticityEquation,
    enstrophy,
    kinetic_energy,
    velocity,
    without_mean,
)

__all__ = ["KolmogorovFlow"]


class KolmogorovFlow(SpectralProblem):
    r"""Flow on the torus under the force (sin n y, 0), in vorticity form and without units.

    dw/dt + u . grad w = (1/Re) Lap w - mu w - n cos(n y),   u = (d psi/dy, -d psi/dx),   -Lap psi = w

    with y scaled to the period 2 pi. Laminar flow w = -(Re / n) cos(n y) is stable at small Re; with n = 4 flow is
    chaotic from Re of about 40 (Chandler and Kerswell, J. Fluid Mech. 722, 2013). The energy E, the dissipation
    D = 2 Z / Re and the input I = <u sin n y> of a solution without drag obey dE/dt = I - D.

    Parameters
    ----------
    reynolds : Re.
    resolution : points per side; 64 by default.
    wavenumber : n, the number of waves of the force.
    drag : mu, in the inverse of the unit of time.
    domain, length : a periodic Grid, or the sides; 2 pi by default.
    horizon : final time, or `Times` for trajectories.
    spin_up : time that `sample` lets pass before it takes the initial field.
    initial : law of the vorticity before the spin-up; by default Gaussian fields with a peak at long waves.
    numerics : steps, precision, device, threads.

    Examples
    --------
    >>> flow = KolmogorovFlow(10.0, resolution=32)
    >>> laminar = lambda x: -2.5 * torch.cos(4 * x[:, 1])
    >>> w = flow.solve(laminar, 1.0)
    >>> bool(torch.allclose(w.coefficients, laminar(w.space.domain.points)))
    True
    """

    def __init__(
        self,
        reynolds: float = 40.0,
        resolution: int | Sequence[int] | None = None,
        *,
        wavenumber: int = 4,
        drag: float = 0.0,
        domain: Grid | None = None,
        length: float | Sequence[float] | None = None,
        horizon: float | Times = 1.0,
        spin_up: float = 20.0,
        initial: InitialLaw | None = None,
        numerics: Numerics | None = None,
    ) -> None:
        self.reynolds = checked_number(reynolds, "reynolds", least=1e-12)
        self.drag = checked_number(drag, "drag", least=0.0)
        self.wavenumber = whole_number(wavenumber, "wavenumber")
        grid = periodic_grid(domain, resolution, length, dim=2, default=(64, 2.0 * torch.pi))
        law = GaussianField(grid, 4.0, 3.0, 5.0, zero_mean=True) if initial is None else initial
        super().__init__(grid, ("w",), name="w", horizon=horizon, spin_up=spin_up, initial=law, numerics=numerics)

    @property
    def degree(self) -> int:
        """Products of two fields."""
        return 2

    def make_equation(self, modes: Modes) -> VorticityEquation:
        """The vorticity equation on some modes."""
        if self.wavenumber > modes.cutoffs[1]:
            raise InputError(
                f"a force of {self.wavenumber} waves needs at least {3 * self.wavenumber + 1} points per side; "
                f"got {modes.points}"
            )
        phase = self._phase(modes.grid.points[:, 1])
        # The rate of change along y of a force with this phase.
        slope = 2.0 * torch.pi * self.wavenumber / modes.grid.grid_axes[1].length
        force = (-slope * torch.cos(phase)).reshape(modes.points)
        return VorticityEquation(modes, 1.0 / self.reynolds, self.drag, force)

    def _phase(self, y: Tensor) -> Tensor:
        axis = self.domain.grid_axes[1]
        return 2.0 * torch.pi * self.wavenumber * (y - axis.start) / axis.length

    def solve(self, initial: Initial, times: Times | float) -> Function:
        """The vorticity from an initial one at time 0; see `SpectralProblem.solve`. Its mean must be zero."""
        without_mean(initial_values(initial, self.space)[0][:, 0], "vorticity")
        return super().solve(initial, times)

    def velocity(self, w: Function) -> Function:
        """The velocity (u, v) of a vorticity."""
        return velocity(w)

    def energy(self, w: Function) -> Tensor:
        """Mean of |u|^2 / 2, per sample and instant."""
        return kinetic_energy(w)

    def dissipation(self, w: Function) -> Tensor:
        """Energy lost to viscosity and drag per unit of time, per sample and instant."""
        return 2.0 / self.reynolds * enstrophy(w) + 2.0 * self.drag * kinetic_energy(w)

    def input(self, w: Function) -> Tensor:
        """Work of the force per unit of time, per sample and instant."""
        u = velocity(w).values[..., 0]
        force = torch.sin(self._phase(self.domain.axes[self.domain.axis_names[1]])).to(u)
        return (u * force).mean(dim=(-2, -1))

    def describe(self) -> dict[str, Any]:
        """The equation and its parameters."""
        return {
            "problem": "dw/dt + u . grad w = Lap w / Re - mu w - n cos(n y) on the torus",
            "reynolds": self.reynolds,
            "wavenumber": self.wavenumber,
            "drag": self.drag,
        }
