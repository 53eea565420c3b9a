"""Fourier modes of a periodic grid below the cutoff that keeps products free of aliasing."""

from __future__ import annotations

import math
from functools import cached_property

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from funcspace.errors import InputError
from funcspace.geometry import Grid

__all__ = ["Modes"]


class Modes:
    r"""The trigonometric polynomials of a periodic grid whose products are exact on that grid.

    u(x) = sum_{|k_j| <= K_j} u_k exp(i k . x),   K_j = floor((n_j - 1) / (degree + 1))

    A product of `degree` such polynomials, sampled at the n_j points of the grid and cut off at K_j again, has no
    aliasing error: this is the 2/3 rule for degree 2 and the 1/2 rule for degree 3 (Orszag, J. Atmos. Sci. 28, 1971).

    Spectra are stored as `(*batch, K_d + 1, n_1, ..., n_{d-1})`: of the waves along the last axis of the grid, which
    come first, only those that real functions need and the rule keeps; the others are whole, and zero above the
    cutoff. In this order all transforms but the first run along the rows of memory. Coefficients are those of an
    unnormalised transform, n_1 ... n_d u_k.

    Parameters
    ----------
    grid : an equispaced grid of one to three axes, all of them periodic.
    degree : degree of the products that must be exact.
    dtype : torch.float64 or torch.float32, the type of the values.
    device : where the transforms run.

    Raises
    ------
    InputError : an axis that is not periodic or not equispaced, or too few points to keep one wave.
    """

    def __init__(
        self, grid: Grid, degree: int = 2, *, dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu"
    ) -> None:
        open_axes = [name for name in grid.axis_names if name not in grid.periodic]
        if open_axes or not grid.is_uniform or grid.dim > 3:
            raise InputError(
                f"a spectral solver needs an equispaced Grid of one to three periodic axes; got {grid!r}"
                + (f", where axis {open_axes[0]!r} is not periodic" if open_axes else "")
            )
        self.grid, self.degree = grid, degree
        self.dtype, self.device = dtype, torch.device(device)
        self.points = grid.shape
        self.cutoffs = tuple((n - 1) // (degree + 1) for n in grid.shape)
        if min(self.cutoffs) < 1:
            raise InputError(f"each axis needs at least {degree + 2} points to keep one wave; got {grid.shape}")
        self.shape = (self.cutoffs[-1] + 1, *grid.shape[:-1])
        self._dims = tuple(range(1 - grid.dim, 0))

    @property
    def dim(self) -> int:
        """Number of axes."""
        return len(self.points)

    @cached_property
    def wavenumbers(self) -> tuple[Float[Tensor, " ..."], ...]:
        """Angular wavenumber along each axis, float64, shaped to broadcast over the modes."""
        found = []
        for number, axis in enumerate(self.grid.grid_axes):
            n = axis.count
            whole = torch.fft.fftfreq(n, 1.0 / n, dtype=torch.float64)
            if number == self.dim - 1:
                whole = torch.arange(self.shape[0], dtype=torch.float64)
            shape = [1] * self.dim
            shape[(number + 1) % self.dim] = whole.numel()
            found.append((2.0 * math.pi / axis.length) * whole.reshape(shape))
        return tuple(found)

    @cached_property
    def square(self) -> Float[Tensor, " ..."]:
        """|k|^2 of each mode, float64: minus the symbol of the Laplacian."""
        total = torch.zeros(self.shape, dtype=torch.float64)
        for k in self.wavenumbers:
            total = total + k**2
        return total

    @cached_property
    def kept(self) -> Float[Tensor, " ..."]:
        """1 for the modes at or below the cutoff, 0 above, float64."""
        mask = torch.ones(self.shape, dtype=torch.float64)
        for axis, k, cutoff in zip(self.grid.grid_axes, self.wavenumbers, self.cutoffs, strict=True):
            mask = mask * (k.abs() <= 2.0 * math.pi / axis.length * (cutoff + 0.5))
        return mask

    @cached_property
    def reach(self) -> tuple[float, ...]:
        """Largest wavenumber kept along each axis."""
        pairs = zip(self.grid.grid_axes, self.cutoffs, strict=True)
        return tuple(2.0 * math.pi / axis.length * cutoff for axis, cutoff in pairs)

    def symbol(self, values: Tensor) -> Tensor:
        """An operator's symbol, zero above the cutoff, in the type and on the device of the transforms."""
        kind = self.dtype if not values.is_complex() else torch.complex(*[torch.zeros((), dtype=self.dtype)] * 2).dtype
        return (values * self.kept).to(dtype=kind, device=self.device).contiguous()

    @cached_property
    def _mask(self) -> Tensor:
        return self.symbol(torch.ones(self.shape, dtype=torch.float64))

    def transform(self, values: Float[Tensor, " ..."]) -> Complex[Tensor, " ..."]:
        """Spectra of values on the grid; modes above the cutoff of all axes but the last are left in."""
        spectrum = torch.fft.rfft(values, dim=-1)[..., : self.shape[0]].movedim(-1, -self.dim)
        return torch.fft.fftn(spectrum, dim=self._dims) if self._dims else spectrum

    def project(self, values: Float[Tensor, " ..."]) -> Complex[Tensor, " ..."]:
        """Spectra of values on the grid, cut off."""
        return self.transform(values) * self._mask

    def evaluate(self, spectrum: Complex[Tensor, " ..."]) -> Float[Tensor, " ..."]:
        """Values on the grid of functions given by their spectra."""
        lines = torch.fft.ifftn(spectrum, dim=self._dims) if self._dims else spectrum
        # Padded here, for irfft pads at three times the cost.
        padded = torch.nn.functional.pad(lines.movedim(-self.dim, -1), (0, self.points[-1] // 2 - self.cutoffs[-1]))
        return torch.fft.irfft(padded, n=self.points[-1], dim=-1)

    def __repr__(self) -> str:
        return f"Modes(|k| <= {self.cutoffs} of {self.grid!r})"
