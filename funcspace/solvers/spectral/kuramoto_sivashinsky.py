"""The Kuramoto-Sivashinsky equation on a periodic interval."""

from __future__ import annotations

from typing import Any

from funcspace.geometry import Grid, Times
from funcspace.solvers.gaussian_fields import GaussianField, unit_sigma
from funcspace.solvers.spectral.modes import Modes
from funcspace.solvers.spectral.numerics import Numerics
from funcspace.solvers.spectral.problem import InitialLaw, SpectralProblem, checked_number, periodic_grid
from funcspace.solvers.spectral.transport import QuadraticFlux

__all__ = ["KuramotoSivashinsky"]


class KuramotoSivashinsky(SpectralProblem):
    r"""Spatio-temporal chaos of flame fronts.

    du/dt + u du/dx + d^2u/dx^2 + nu d^4u/dx^4 = 0

    without units; nu = 1 by default. Waves of wavenumber below 1 grow, shorter ones decay. At length 22 the leading
    Lyapunov exponents are 0.048, 0, 0, -0.003, -0.189 (Cvitanovic, Davidchack and Siminos, SIAM J. Appl. Dyn. Syst. 9,
    2010); the number of positive ones grows with the length. Fields have mean zero.

    Parameters
    ----------
    hyperviscosity : nu, positive.
    resolution : points of the interval; 64 by default, enough for length 22.
    domain, length : a periodic Grid, or the length of the interval; 22 by default.
    horizon : final time, or `Times` for trajectories.
    spin_up : time that `sample` lets pass before it takes the initial field, 200 by default: samples start on the
        attractor.
    initial : law of the fields before the spin-up; by default Gaussian fields of variance 1 and mean zero.
    numerics : steps, precision, device, threads.

    Examples
    --------
    >>> chaos = KuramotoSivashinsky(length=22.0, resolution=64, horizon=Times(1.0, 1.0, 10))
    >>> chaos.sample(2, seed=0).outputs["u"].values.shape
    torch.Size([2, 10, 64])
    """

    def __init__(
        self,
        hyperviscosity: float = 1.0,
        resolution: int | None = None,
        *,
        domain: Grid | None = None,
        length: float | None = None,
        horizon: float | Times = 1.0,
        spin_up: float = 200.0,
        initial: InitialLaw | None = None,
        numerics: Numerics | None = None,
    ) -> None:
        self.hyperviscosity = checked_number(hyperviscosity, "hyperviscosity", least=0.0)
        grid = periodic_grid(domain, resolution, length, dim=1, default=(64, 22.0))
        law = GaussianField(grid, 4.0, 1.0, unit_sigma(4.0, 1), zero_mean=True) if initial is None else initial
        super().__init__(grid, ("u",), name="u", horizon=horizon, spin_up=spin_up, initial=law, numerics=numerics)

    @property
    def degree(self) -> int:
        """The flux is a product of two."""
        return 2

    def make_equation(self, modes: Modes) -> QuadraticFlux:
        """The equation on some modes."""
        return QuadraticFlux(modes, modes.square - self.hyperviscosity * modes.square**2, 1.0)

    def describe(self) -> dict[str, Any]:
        """The equation and its parameters."""
        return {
            "problem": "du/dt + u du/dx + d2u/dx2 + nu d4u/dx4 = 0",
            "hyperviscosity": self.hyperviscosity,
        }
