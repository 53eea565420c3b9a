"""Incompressible Navier-Stokes flow on the torus, in vorticity form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

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

__all__ = ["TorusNavierStokes"]

Recipe = Literal["fno-1e-3", "fno-1e-4", "fno-1e-5"]
Forcing = Function | Tensor | np.ndarray | Callable[[Tensor], Any]


@dataclass(frozen=True)
class _Published:
    viscosity: float
    instants: int


PUBLISHED = {
    "fno-1e-3": _Published(1e-3, 50),
    "fno-1e-4": _Published(1e-4, 30),
    "fno-1e-5": _Published(1e-5, 20),
}


class TorusNavierStokes(SpectralProblem):
    r"""Vorticity w of plane incompressible flow on a periodic rectangle.

    dw/dt + u . grad w = nu Lap w - mu w + f,   u = (d psi/dy, -d psi/dx),   -Lap psi = w

    nu is the viscosity (length^2 / time), mu a linear drag (1 / time), f the curl of a body force (1 / time^2).
    Vorticity and forcing have mean zero.

    The recipes are those of the Fourier neural operator (Li et al., ICLR 2021): the unit square, f = 0.1
    (sin 2 pi (x + y) + cos 2 pi (x + y)), w(0) ~ N(0, 7^(3/2) (-Lap + 49)^(-5/2)) without its mean, and vorticity at
    t = 1, 2, ..., 50 for nu = 1e-3, ..., 30 for 1e-4, ..., 20 for 1e-5. The published files were made on 256 x 256
    points by first-order steps and cut down to every fourth point: `resolution=64` with
    `numerics=Numerics(refinement=4)` solves on the same grid, here to fourth order.

    Parameters
    ----------
    viscosity : nu; 1e-3 by default.
    resolution : points per side, one number or two; 64 by default.
    recipe : "fno-1e-3", "fno-1e-4" or "fno-1e-5" sets viscosity, domain, forcing and horizon where these are not given.
    forcing : f: a callable of the points (n, 2), an array, or a Function.
    drag : mu.
    domain, length : a periodic Grid, or the sides of the rectangle; 1 by default.
    horizon : final time, or `Times` for trajectories; 1 by default.
    spin_up : time that `sample` lets pass before it takes the initial field.
    initial : law of the initial vorticity on the domain; by default that of the recipes.
    numerics : steps, precision, device, threads.

    Raises
    ------
    InputError : a parameter out of range, a forcing that does not fit or has a mean.

    Examples
    --------
    >>> flow = TorusNavierStokes(0.01, resolution=16, length=2 * torch.pi)
    >>> w = flow.solve(lambda x: 2 * torch.cos(x[:, 0]) * torch.cos(x[:, 1]), 1.0)
    >>> round(float(w.values.max()), 6)  # 2 exp(-0.02)
    1.960397
    """

    def __init__(
        self,
        viscosity: float | None = None,
        resolution: int | Sequence[int] | None = None,
        *,
        recipe: Recipe | None = None,
        forcing: Forcing | None = None,
        drag: float = 0.0,
        domain: Grid | None = None,
        length: float | Sequence[float] | None = None,
        horizon: float | Times | None = None,
        spin_up: float = 0.0,
        initial: InitialLaw | None = None,
        numerics: Numerics | None = None,
    ) -> None:
        if recipe is not None and not (isinstance(recipe, str) and recipe in PUBLISHED):
            raise InputError(f"no recipe {recipe!r}; there are {', '.join(PUBLISHED)}")
        published = PUBLISHED[recipe] if recipe else _Published(1e-3, 0)
        self.recipe = recipe
        self.viscosity = checked_number(published.viscosity if viscosity is None else viscosity, "viscosity", least=0.0)
        self.drag = checked_number(drag, "drag", least=0.0)
        self.forcing = published_forcing if forcing is None and recipe else forcing
        grid = periodic_grid(domain, resolution, length, dim=2, default=(64, 1.0))
        if horizon is None:
            horizon = Times(1.0, 1.0, published.instants) if recipe else 1.0
        law = GaussianField(grid, 2.5, 7.0, zero_mean=True) if initial is None else initial
        super().__init__(grid, ("w",), name="w", horizon=horizon, spin_up=spin_up, initial=law, numerics=numerics)
        if self.forcing is not None:
            values, batch = initial_values(self.forcing, self.space)
            if batch:
                raise InputError(f"one forcing drives all samples; got a batch of shape {batch}")
            without_mean(values[:, 0], "a forcing")

    @property
    def degree(self) -> int:
        """Products of two fields."""
        return 2

    def make_equation(self, modes: Modes) -> VorticityEquation:
        """The vorticity equation on some modes."""
        force = None
        if self.forcing is not None:
            pointwise = callable(self.forcing) and not isinstance(self.forcing, Function)
            values = initial_values(self.forcing, self.solver_space if pointwise else self.space)[0]
            force = (values if pointwise else self.refined(values))[0, 0]
        return VorticityEquation(modes, self.viscosity, self.drag, force)

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

    def enstrophy(self, w: Function) -> Tensor:
        """Mean of w^2 / 2, per sample and instant."""
        return enstrophy(w)

    def describe(self) -> dict[str, Any]:
        """The equation and its parameters."""
        found: dict[str, Any] = {
            "problem": "dw/dt + u . grad w = nu Lap w - mu w + f on the torus",
            "viscosity": self.viscosity,
            "drag": self.drag,
        }
        if self.recipe:
            found["recipe"] = self.recipe
        if self.forcing is not None:
            found["forcing"] = getattr(self.forcing, "name", None) or getattr(self.forcing, "__name__", "array")
        return found


def published_forcing(points: Tensor) -> Tensor:
    """0.1 (sin 2 pi (x + y) + cos 2 pi (x + y))."""
    phase = 2.0 * torch.pi * (points[:, 0] + points[:, 1])
    return 0.1 * (torch.sin(phase) + torch.cos(phase))
