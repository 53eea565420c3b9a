"""The vorticity equation of plane incompressible flow on a periodic rectangle."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from funcspace.errors import InputError
from funcspace.functions import Function, FunctionSpace
from funcspace.solvers.spectral.modes import Modes

__all__ = ["VorticityEquation", "enstrophy", "kinetic_energy", "velocity", "without_mean"]


class VorticityEquation:
    r"""The equation for the spectra of vorticity.

    dw/dt + u . grad w = nu Lap w - mu w + f,   u = (d psi/dy, -d psi/dx),   -Lap psi = w

    The transport term is made of two products alone (Basdevant, J. Comput. Phys. 50, 1983):

    u . grad w = (d_x^2 - d_y^2)(u v) + d_x d_y (v^2 - u^2)
    """

    def __init__(
        self, modes: Modes, viscosity: float, drag: float = 0.0, forcing: Float[Tensor, " *grid"] | None = None
    ) -> None:
        self.modes = modes
        kx, ky = torch.broadcast_tensors(*modes.wavenumbers)
        self.linear = -(viscosity * modes.square + drag)[None]
        inverse = torch.where(modes.square > 0, 1.0 / modes.square.clamp_min(1e-300), 0.0)
        self._curl = modes.symbol(1j * torch.stack([ky * inverse, -kx * inverse]))
        weights = torch.stack([kx**2 - ky**2, kx * ky])
        # Real numbers seen as pairs, as in the time stepping.
        self._fluxes = modes.symbol(weights)[..., None].expand(*weights.shape, 2).contiguous()
        self._forcing = None
        if forcing is not None:
            spectrum = modes.project(forcing.to(dtype=modes.dtype, device=modes.device))
            self._forcing = torch.view_as_real(spectrum)
        self._turn = modes.symbol((kx + 1j * ky) * inverse)
        self._square = modes.symbol(-0.25j * (kx - 1j * ky) ** 2)
        reach = [k.abs() / most for k, most in zip(modes.wavenumbers, modes.reach, strict=True)]
        self.profile = (modes.kept * torch.maximum(*torch.broadcast_tensors(*reach)), 1j)

    def velocity(self, spectra: Complex[Tensor, "*batch 1 modes_y modes_x"]) -> Float[Tensor, "*batch 2 x y"]:
        """The velocity on the grid."""
        return self.modes.evaluate(spectra * self._curl)

    def nonlinear(self, spectra: Complex[Tensor, "*batch 1 modes_y modes_x"]) -> Complex[Tensor, " ..."]:
        """Transport and forcing."""
        u, v = self.velocity(spectra).unbind(-3)
        products = torch.stack([u * v, torch.addcmul(v * v, u, u, value=-1.0)], dim=-3)
        first, second = torch.view_as_real(self.modes.transform(products)).split(1, dim=-4)
        if self._forcing is None:
            along = first * self._fluxes[:1]
        else:
            along = torch.addcmul(self._forcing, first, self._fluxes[:1])
        return torch.view_as_complex(torch.addcmul(along, second, self._fluxes[1:]))

    def compiled(self) -> Callable[[Tensor], Tensor] | None:
        """The same by compiled kernels and one complex transform each way, on the CPU and without gradients."""
        if self.modes.device.type != "cpu":
            return None
        from funcspace.solvers.spectral import _vorticity_kernels as kernels

        turn, square = self._turn.numpy(), self._square.numpy()
        zero = torch.zeros_like(self._square)
        forcing = (zero if self._forcing is None else torch.view_as_complex(self._forcing)).numpy()
        ny, nx = self.modes.points[1], self.modes.points[0]

        def nonlinear(spectra: Tensor) -> Tensor:
            z = torch.empty((len(spectra), ny, nx), dtype=spectra.dtype)
            kernels.velocity(spectra.squeeze(1).numpy(), turn, z.numpy())
            z = torch.fft.ifft2(z)
            q = torch.fft.fft2(z * z)
            result = torch.empty_like(spectra)
            kernels.transport(q.numpy(), square, forcing, result.squeeze(1).numpy())
            return result

        return nonlinear

    def rates(self, spectra: Complex[Tensor, "batch 1 modes_y modes_x"]) -> Float[Tensor, " batch"]:
        """|u| kx + |v| ky at the highest modes, the velocities being the largest."""
        most = self.velocity(spectra).abs().flatten(-2).amax(dim=-1)
        return most[..., 0] * self.modes.reach[0] + most[..., 1] * self.modes.reach[1]


def without_mean(w: Tensor, name: str) -> None:
    """Refuse vorticity, or forcing, with a mean: on a torus there is no velocity that it belongs to."""
    means = w.detach().mean(dim=(-2, -1)).abs()
    bad = torch.nonzero(means > 1e-4 * w.detach().abs().amax(dim=(-2, -1))).flatten()
    if len(bad):
        place = int(bad[0])
        raise InputError(
            f"{name} on a torus has mean zero, for it is a curl; sample {place} has mean "
            f"{float(means.flatten()[place]):.4g}. Subtract the mean"
        )


def velocity(w: Function) -> Function:
    r"""The velocity u = (d psi/dy, -d psi/dx), -Lap psi = w, of vorticity on a periodic grid, at each instant.

    Parameters
    ----------
    w : vorticity on a grid, or over times and a grid.
    """
    old = w.space
    grid = old.domain.space if hasattr(old.domain, "times") else old.domain
    kx, ky = _whole_waves(grid)
    square = kx**2 + ky**2
    inverse = torch.where(square > 0, 1.0 / square.clamp_min(1e-300), 0.0)
    spectrum = torch.fft.rfft2(w.values)
    symbol = (1j * torch.stack([ky * inverse, -kx * inverse])).to(spectrum)
    fields = torch.fft.irfft2(spectrum[..., None, :, :] * symbol, s=grid.shape)
    space = FunctionSpace(old.domain, old.element, components=("u", "v"))
    values = fields.movedim(-3, -1).reshape(*w.batch_shape, *space.coefficient_shape)
    return Function(space, values, name="velocity")


def kinetic_energy(w: Function) -> Tensor:
    """The mean of |u|^2 / 2 over the torus, per sample and instant."""
    return 0.5 * (velocity(w).values ** 2).sum(dim=-1).mean(dim=(-2, -1))


def enstrophy(w: Function) -> Tensor:
    """The mean of w^2 / 2 over the torus, per sample and instant."""
    return 0.5 * (w.values**2).mean(dim=(-2, -1))


def _whole_waves(grid: object) -> tuple[Tensor, Tensor]:
    """Wavenumbers of all modes of a grid, none cut off but the highest of an even number, which has no derivative."""
    waves = []
    for number, axis in enumerate(grid.grid_axes):  # type: ignore[attr-defined]
        n = axis.count
        transform = torch.fft.fftfreq if number == 0 else torch.fft.rfftfreq
        k = transform(n, 1.0 / n, dtype=torch.float64)
        k = torch.where(2 * k.abs() == n, torch.zeros_like(k), k) * (2.0 * torch.pi / axis.length)
        waves.append(k[:, None] if number == 0 else k[None])
    return waves[0], waves[1]
