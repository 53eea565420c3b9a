"""The Allen-Cahn equation on a periodic box."""

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

__all__ = ["AllenCahn"]


class AllenCahn(SpectralProblem):
    r"""Phase separation without conservation: fronts of the width epsilon that move by their curvature.

    du/dt = epsilon^2 Lap u + u - u^3

    epsilon is a length; time is in units of the reaction. The energy int ((1 - u^2)^2 / 4 + epsilon^2 |grad u|^2 / 2)
    never grows. A front at rest is tanh(x / (sqrt(2) epsilon)); products of three are free of aliasing at the cost of
    half of the modes, so that epsilon should be at least about the spacing of the grid.

    Parameters
    ----------
    width : epsilon.
    resolution : points per side; 128 by default.
    dim : number of axes, 1 to 3, where no domain is given.
    domain, length : a periodic Grid, or the sides of the box; 1 by default.
    horizon : final time, or `Times` for trajectories.
    spin_up : time that `sample` lets pass before it takes the initial field.
    initial : law of the initial fields on the domain; by default Gaussian fields of deviation 0.5.
    numerics : steps, precision, device, threads.

    Examples
    --------
    >>> problem = AllenCahn(0.02, resolution=32, horizon=Times(0.0, 1.0, 5))
    >>> energy = problem.energy(problem.sample(1, seed=0).outputs["u"])[0]
    >>> bool((energy.diff() < 0).all())
    True
    """

    def __init__(
        self,
        width: float = 0.01,
        resolution: int | Sequence[int] | None = None,
        *,
        dim: int = 2,
        domain: Grid | None = None,
        length: float | Sequence[float] | None = None,
        horizon: float | Times = 10.0,
        spin_up: float = 0.0,
        initial: InitialLaw | None = None,
        numerics: Numerics | None = None,
    ) -> None:
        self.width = checked_number(width, "width", least=1e-12)
        grid = periodic_grid(
            domain, resolution, length, dim=domain.dim if isinstance(domain, Grid) else dim, default=(128, 1.0)
        )
        scale = min(axis.length for axis in grid.grid_axes)
        law = GaussianField(grid, 4.0, 30.0 / scale, 0.5 * unit_sigma(4.0, grid.dim)) if initial is None else initial
        super().__init__(grid, ("u",), name="u", horizon=horizon, spin_up=spin_up, initial=law, numerics=numerics)

    @property
    def degree(self) -> int:
        """The reaction is a product of three."""
        return 3

    def make_equation(self, modes: Modes) -> DoubleWellEquation:
        """The equation on some modes."""
        return DoubleWellEquation(modes, self.width, conserved=False)

    def energy(self, u: Function) -> Tensor:
        """The double-well energy, per sample and instant."""
        return double_well_energy(u, self.width)

    def describe(self) -> dict[str, Any]:
        """The equation and its parameters."""
        return {"problem": "du/dt = epsilon^2 Lap u + u - u^3", "width": self.width}
