"""The Cahn-Hilliard equation on a periodic box."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from funcspace.functions import Function
from funcspace.geometry import Grid, Times
from funcspace.solvers.gaussian_fields import GaussianField, unit_sigma
from funcspace.solvers.spectral.double_well import DoubleWellEquation, double_well_energy
from funcspace.solvers.spectral.modes import Modes
from funcspace.solvers.spectral.numerics import Numerics
from funcspace.solvers.spectral.problem import InitialLaw, SpectralProblem, checked_number, periodic_grid

__all__ = ["CahnHilliard"]


class CahnHilliard(SpectralProblem):
    r"""Phase separation of a mixture whose components are conserved.

    du/dt = Lap (u^3 - u - epsilon^2 Lap u)

    u is the difference of the two concentrations, epsilon the width of the interfaces (a length); time is in units of
    length^2 over the mobility. The mean of u never changes, the energy int ((1 - u^2)^2 / 4 + epsilon^2 |grad u|^2 / 2)
    never grows. The mixed state separates on the time scale 4 epsilon^2, in waves of length 2 sqrt(2) pi epsilon, which
    then coarsen. epsilon should be at least about the spacing of the grid.

    Parameters
    ----------
    width : epsilon.
    resolution : points per side; 128 by default.
    dim : number of axes, 1 to 3, where no domain is given.
    mean : mean of the initial fields, between -1 and 1.
    domain, length : a periodic Grid, or the sides of the box; 1 by default.
    horizon : final time, or `Times` for trajectories.
    spin_up : time that `sample` lets pass before it takes the initial field.
    initial : law of the initial fields on the domain; by default the mean and Gaussian fields of deviation 0.1.
    numerics : steps, precision, device, threads.

    Examples
    --------
    >>> problem = CahnHilliard(0.05, resolution=32, mean=0.25, horizon=0.05)
    >>> data = problem.sample(1, seed=0)
    >>> round(float(data.inputs["u0"].mean()), 12), round(float(data.outputs["u"].mean()), 12)
    (0.25, 0.25)
    """

    def __init__(
        self,
        width: float = 0.02,
        resolution: int | Sequence[int] | None = None,
        *,
        dim: int = 2,
        mean: float = 0.0,
        domain: Grid | None = None,
        length: float | Sequence[float] | None = None,
        horizon: float | Times = 0.1,
        spin_up: float = 0.0,
        initial: InitialLaw | None = None,
        numerics: Numerics | None = None,
    ) -> None:
        self.width = checked_number(width, "width", least=1e-12)
        self.mean = checked_number(mean, "mean")
        grid = periodic_grid(
            domain, resolution, length, dim=domain.dim if isinstance(domain, Grid) else dim, default=(128, 1.0)
        )
        scale = min(axis.length for axis in grid.grid_axes)
        sigma = 0.1 * unit_sigma(4.0, grid.dim)
        if initial is None:
            initial = GaussianField(grid, 4.0, 30.0 / scale, sigma, mean=self.mean, zero_mean=True)
        super().__init__(grid, ("u",), name="u", horizon=horizon, spin_up=spin_up, initial=initial, numerics=numerics)

    @property
    def degree(self) -> int:
        """The reaction is a product of three."""
        return 3

    def make_equation(self, modes: Modes) -> DoubleWellEquation:
        """The equation on some modes."""
        return DoubleWellEquation(modes, self.width, conserved=True)

    def energy(self, u: Function) -> Tensor:
        """The double-well energy, per sample and instant."""
        return double_well_energy(u, self.width)

    def describe(self) -> dict[str, Any]:
        """The equation and its parameters."""
        return {
            "problem": "du/dt = Lap (u^3 - u - epsilon^2 Lap u)",
            "width": self.width,
            "mean": self.mean,
        }
