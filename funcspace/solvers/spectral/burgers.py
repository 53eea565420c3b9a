"""The viscous Burgers equation on a periodic interval."""

from __future__ import annotations

import math
from typing import Any

from funcspace.geometry import Grid, Times
from funcspace.solvers.gaussian_fields import GaussianField
from funcspace.solvers.spectral.modes import Modes
from funcspace.solvers.spectral.numerics import Numerics
from funcspace.solvers.spectral.problem import InitialLaw, SpectralProblem, checked_number, periodic_grid
from funcspace.solvers.spectral.transport import QuadraticFlux

__all__ = ["Burgers"]


class Burgers(SpectralProblem):
    r"""Waves that steepen against diffusion.

    du/dt + u du/dx = nu d^2u/dx^2

    u is a velocity (length / time), nu the viscosity (length^2 / time). The defaults are those of the Fourier neural
    operator (Li et al., ICLR 2021): the unit interval, nu = 0.1, u(0) ~ N(0, 625 (-d^2/dx^2 + 25)^(-2)), and u at
    time 1. The width of a front is of the order of nu over its jump, and needs some points of the grid.

    Parameters
    ----------
    viscosity : nu, positive.
    resolution : points of the interval; 1024 by default.
    domain, length : a periodic Grid, or the length of the interval; 1 by default.
    horizon : final time, or `Times` for trajectories.
    spin_up : time that `sample` lets pass before it takes the initial field.
    initial : law of the initial fields on the domain.
    numerics : steps, precision, device, threads.

    Examples
    --------
    >>> data = Burgers(0.1, resolution=128).sample(2, seed=0)
    >>> data.inputs["u0"].values.shape, data.outputs["u"].values.shape
    (torch.Size([2, 128]), torch.Size([2, 128]))
    """

    def __init__(
        self,
        viscosity: float = 0.1,
        resolution: int | None = None,
        *,
        domain: Grid | None = None,
        length: float | None = None,
        horizon: float | Times = 1.0,
        spin_up: float = 0.0,
        initial: InitialLaw | None = None,
        numerics: Numerics | None = None,
    ) -> None:
        self.viscosity = checked_number(viscosity, "viscosity", least=0.0)
        grid = periodic_grid(domain, resolution, length, dim=1, default=(1024, 1.0))
        law = GaussianField(grid, 2.0, 5.0, math.sqrt(5.0)) if initial is None else initial
        super().__init__(grid, ("u",), name="u", horizon=horizon, spin_up=spin_up, initial=law, numerics=numerics)

    @property
    def degree(self) -> int:
        """The flux is a product of two."""
        return 2

    def make_equation(self, modes: Modes) -> QuadraticFlux:
        """The equation on some modes."""
        return QuadraticFlux(modes, -self.viscosity * modes.square, 1.0)

    def describe(self) -> dict[str, Any]:
        """The equation and its parameters."""
        return {"problem": "du/dt + u du/dx = nu d2u/dx2", "viscosity": self.viscosity}
