"""The rotating shallow-water equations on a periodic rectangle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from funcspace.arguments import number_of
from funcspace.errors import InputError
from funcspace.functions import Function, FunctionSpace
from funcspace.geometry import Grid, Times
from funcspace.solvers.gaussian_fields import GaussianField, unit_sigma
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

__all__ = ["HeightField", "ShallowWater"]


class ShallowWater(SpectralProblem):
    r"""Velocity (u, v) and depth h of a thin layer of fluid over flat ground.

    du/dt - (zeta + f) v + d(g h + |u|^2 / 2)/dx = nu Lap u
    dv/dt + (zeta + f) u + d(g h + |u|^2 / 2)/dy = nu Lap v,   zeta = dv/dx - du/dy
    dh/dt + div (h u) = 0

    g is gravity (length / time^2), f the Coriolis parameter (1 / time), nu a viscosity (length^2 / time). The mass
    int h is kept exactly; without viscosity the energy int (h |u|^2 + g h^2) / 2 and the potential enstrophy
    int (zeta + f)^2 / (2 h) are kept as long as the grid resolves the flow. Waves that steepen into bores are not for
    a spectral method: viscosity must keep them a few points wide.

    Parameters
    ----------
    viscosity : nu.
    resolution : points per side; 64 by default.
    gravity, coriolis : g and f.
    depth : mean depth of the initial states.
    domain, length : a periodic Grid, or the sides of the rectangle; 1 by default.
    horizon : final time, or `Times` for trajectories.
    spin_up : time that `sample` lets pass before it takes the initial field.
    initial : law of the initial states on the domain; a `HeightField` of that depth by default.
    numerics : steps, precision, device, threads.

    Raises
    ------
    InputError : a parameter out of range, an initial depth that is not positive.

    Examples
    --------
    >>> data = ShallowWater(1e-3, resolution=32, horizon=0.5).sample(1, seed=0)
    >>> [round(float(f.integral()[0, 2]), 12) for f in (data.inputs["uvh0"], data.outputs["uvh"])]
    [1.0, 1.0]
    """

    def __init__(
        self,
        viscosity: float = 1e-3,
        resolution: int | Sequence[int] | None = None,
        *,
        gravity: float = 1.0,
        coriolis: float = 0.0,
        depth: float = 1.0,
        domain: Grid | None = None,
        length: float | Sequence[float] | None = None,
        horizon: float | Times = 1.0,
        spin_up: float = 0.0,
        initial: InitialLaw | None = None,
        numerics: Numerics | None = None,
    ) -> None:
        self.viscosity = checked_number(viscosity, "viscosity", least=0.0)
        self.gravity = checked_number(gravity, "gravity", least=0.0)
        self.coriolis = checked_number(coriolis, "coriolis")
        grid = periodic_grid(domain, resolution, length, dim=2, default=(64, 1.0))
        super().__init__(
            grid, ("u", "v", "h"), name="uvh", horizon=horizon, spin_up=spin_up,
            initial=HeightField(grid, depth) if initial is None else initial, numerics=numerics,
        )  # fmt: skip

    @property
    def degree(self) -> int:
        """In this form all terms are products of two."""
        return 2

    def make_equation(self, modes: Modes) -> ShallowWaterEquation:
        """The equation on some modes."""
        return ShallowWaterEquation(modes, self.viscosity, self.gravity, self.coriolis)

    def solve(self, initial: Initial, times: Times | float) -> Function:
        """The states from an initial one at time 0; see `SpectralProblem.solve`. Its depth must be positive."""
        h = initial_values(initial, self.space)[0][:, 2].detach().flatten(1)
        bad = torch.nonzero(h <= 0)
        if len(bad):
            sample, dof = bad[0].tolist()
            raise InputError(
                f"the depth h must be positive; sample {sample} has {float(h[sample, dof]):.4g} at "
                f"{self.domain.points[dof].tolist()}"
            )
        return super().solve(initial, times)

    def mass(self, state: Function) -> Tensor:
        """The integral of h, per sample and instant."""
        return self._integral(state.values[..., 2])

    def energy(self, state: Function) -> Tensor:
        """The integral of (h |u|^2 + g h^2) / 2, per sample and instant."""
        u, v, h = state.values.unbind(-1)
        return self._integral(0.5 * (h * (u**2 + v**2) + self.gravity * h**2))

    def potential_enstrophy(self, state: Function) -> Tensor:
        """The integral of (zeta + f)^2 / (2 h), per sample and instant."""
        u, v, h = state.values.unbind(-1)
        return self._integral(0.5 * (self._slope(v, 0) - self._slope(u, 1) + self.coriolis) ** 2 / h)

    def _slope(self, values: Tensor, axis: int) -> Tensor:
        line = self.domain.grid_axes[axis]
        n = line.count
        k = torch.fft.rfftfreq(n, 1.0 / n, dtype=torch.float64) * (2.0 * math.pi / line.length)
        spectrum = torch.fft.rfft(values.movedim(axis - 2, -1))
        return torch.fft.irfft(1j * k.to(values) * spectrum, n=n).movedim(-1, axis - 2)

    def _integral(self, values: Tensor) -> Tensor:
        return values.mean(dim=(-2, -1)) * float(self.domain.measure.sum())

    def describe(self) -> dict[str, Any]:
        """The equation and its parameters."""
        return {
            "problem": "rotating shallow water, vector-invariant form",
            "viscosity": self.viscosity,
            "gravity": self.gravity,
            "coriolis": self.coriolis,
        }


class ShallowWaterEquation:
    """The equations for the spectra of u, v and h; all but viscosity is explicit, gravity waves too."""

    def __init__(self, modes: Modes, viscosity: float, gravity: float, coriolis: float) -> None:
        self.modes, self.gravity, self.coriolis = modes, gravity, coriolis
        decay = -viscosity * modes.square
        self.linear = torch.stack([decay, decay, torch.zeros_like(decay)])
        kx, ky = torch.broadcast_tensors(*modes.wavenumbers)
        self._ikx, self._iky = modes.symbol(1j * kx), modes.symbol(1j * ky)
        self._kept = modes.symbol(torch.ones_like(decay))
        reach = [k.abs() / most for k, most in zip((kx, ky), modes.reach, strict=True)]
        self.profile = (modes.kept * torch.maximum(*reach), 1j)

    def nonlinear(self, spectra: Complex[Tensor, "*batch 3 modes_y modes_x"]) -> Complex[Tensor, " ..."]:
        """Transport, rotation, pressure and the flux of mass."""
        u_hat, v_hat, _ = spectra.unbind(-3)
        curl = (self._ikx * v_hat - self._iky * u_hat).unsqueeze(-3)
        u, v, h, zeta = self.modes.evaluate(torch.cat([spectra, curl], dim=-3)).unbind(-3)
        spin = zeta + self.coriolis
        head = torch.addcmul(self.gravity * h, u * u + v * v, torch.full((), 0.5).to(h))
        products = torch.stack([spin * v, spin * u, head, h * u, h * v], dim=-3)
        turn_u, turn_v, head_hat, flux_x, flux_y = self.modes.transform(products).unbind(-3)
        along_x = turn_u * self._kept - self._ikx * head_hat
        along_y = -turn_v * self._kept - self._iky * head_hat
        return torch.stack([along_x, along_y, -(self._ikx * flux_x + self._iky * flux_y)], dim=-3)

    def compiled(self) -> None:
        """There is no faster way."""

    def rates(self, spectra: Complex[Tensor, "batch 3 modes_y modes_x"]) -> Float[Tensor, " batch"]:
        """|u| kx + |v| ky + sqrt(g h) |k| + |f| at the highest modes, each factor at its largest."""
        most = self.modes.evaluate(spectra).abs().flatten(-2).amax(dim=-1)
        kx, ky = self.modes.reach
        waves = (self.gravity * most[..., 2]).sqrt() * math.hypot(kx, ky)
        return most[..., 0] * kx + most[..., 1] * ky + waves + abs(self.coriolis)


class HeightField:
    r"""Random initial states of still water: u = v = 0, h = H (1 + a g), g a Gaussian field of variance 1.

    Parameters
    ----------
    domain : a periodic grid of two axes.
    depth : H.
    amplitude : a; depths below a tenth of H are raised to it, which needs a deviation of 0.9 / a.
    alpha, tau : smoothness and inverse length of the field; tau is 12 over the shorter side by default.
    """

    def __init__(
        self, domain: Grid, depth: float = 1.0, amplitude: float = 0.1, *, alpha: float = 4.0, tau: float | None = None
    ) -> None:
        if not isinstance(domain, Grid):
            raise InputError(f"the domain must be a Grid with two periodic axes; got {domain!r}")
        self.domain = domain
        self.depth = checked_number(depth, "depth", least=1e-12)
        self.amplitude = checked_number(amplitude, "amplitude", least=0.0)
        scale = 12.0 / min(axis.length for axis in domain.grid_axes) if tau is None else tau
        if not number_of(alpha) > 1.0:
            raise InputError(f"alpha must exceed d/2 = 1.0 for the field to have values at points; got {alpha!r}")
        self._field = GaussianField(domain, alpha, scale, unit_sigma(number_of(alpha), 2), zero_mean=True)

    def sample(self, n: int, seed: int | None = 0, *, first: int = 0) -> Function:
        """States first, ..., first + n - 1 of a seed."""
        g = self._field.sample(n, seed, first=first).coefficients
        h = (self.depth * (1.0 + self.amplitude * g)).clamp_min(0.1 * self.depth)
        space = FunctionSpace(self.domain, "fourier", components=("u", "v", "h"))
        return Function(space, torch.stack([torch.zeros_like(h), torch.zeros_like(h), h], dim=-1), name="uvh0")
