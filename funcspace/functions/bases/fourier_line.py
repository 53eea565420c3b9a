"""Trigonometric interpolation on a periodic axis."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from funcspace.functions.bases.line_basis import LineBasis, gauss_pieces
from funcspace.functions.maps.linear_map import ComposedMap, IdentityMap, LinearMap
from funcspace.functions.maps.sparse_map import FunctionMap, RowProductMap

__all__ = ["FourierLine", "SpectralMap"]

# Gauss points per sample for products with piecewise polynomials; a product then errs by less than 1e-13.
MIXED_DEGREE = 15


class FourierLine(LineBasis):
    r"""The trigonometric polynomial of lowest order through equispaced samples of one period.

    .. math:: u(x) = a_0 + \sum_{k < n/2} (a_k \cos k\theta + b_k \sin k\theta) \;[\, + a_{n/2} \cos(n\theta/2) \,],
       \quad \theta = 2\pi (x - x_0)/L

    The last term stands for even n only. The local functions are the cosines and sines, the transform is a Fourier
    transform, and mass and stiffness are circulant; all integrals are exact.
    """

    degree = 3
    is_dense = True

    @property
    def _even(self) -> bool:
        return self.count % 2 == 0

    @property
    def _waves(self) -> np.ndarray:
        """Wave numbers 0, ..., floor(n / 2)."""
        return np.arange(self.count // 2 + 1)

    def rows(self, points: np.ndarray, derivative: int = 0) -> np.ndarray:
        """Values or first derivatives of 1, cosines, sines at points: a dense array (m, n)."""
        scale = 2 * np.pi / self.length
        k = self._waves[1:]
        angle = np.mod(scale * (points - self.nodes[0]), 2 * np.pi)[:, None] * k
        cosine, sine = np.cos(angle), np.sin(angle)
        inner = k.size - 1 if self._even else k.size
        if derivative == 0:
            return np.concatenate([np.ones((points.size, 1)), cosine, sine[:, :inner]], axis=1)
        zero = np.zeros((points.size, 1))
        return np.concatenate([zero, -scale * k * sine, (scale * k * cosine)[:, :inner]], axis=1)

    def local(self, points: np.ndarray, derivative: int = 0) -> sp.csr_matrix:
        """The rows as a (full) sparse matrix; prefer `matrix`, which never holds it."""
        return sp.csr_matrix(self.rows(points, derivative))

    def matrix(self, points: np.ndarray, derivative: int = 0) -> LinearMap:
        """Values or first derivatives at points, (n,) to (m,)."""
        rows = RowProductMap([lambda part: self.rows(points[part], derivative)], (self.count,), points.size)
        assert self.transform is not None
        return ComposedMap(rows, self.transform)

    @cached_property
    def transform(self) -> LinearMap | None:
        """Nodal values to the coefficients of 1, cosines, sines, by a Fourier transform."""
        n = self.count
        waves, inner = self._waves.size, self._waves.size - (2 if self._even else 1)

        def weights(like: Tensor) -> Tensor:
            w = torch.full((waves,), 2.0 / n, dtype=like.dtype, device=like.device)
            w[0] = 1.0 / n
            if self._even:
                w[-1] = 1.0 / n
            return w

        def forward(x: Tensor) -> Tensor:
            spectrum = torch.fft.rfft(x, dim=-1) * weights(x)
            return torch.cat([spectrum.real, -spectrum.imag[..., 1 : 1 + inner]], dim=-1)

        def transposed(y: Tensor) -> Tensor:
            # sum over the waves of y_k times the k-th row of the transform: an inverse transform without its 1/n
            cosine = y[..., :waves] * weights(y)
            sine = torch.nn.functional.pad(y[..., waves:], (1, waves - 1 - inner)) * weights(y)
            half = torch.full((waves,), 0.5 * n, dtype=y.dtype, device=y.device)
            half[0] = n
            if self._even:
                half[-1] = n
            return torch.fft.irfft(torch.complex(cosine * half, -sine * half), n=n, dim=-1)

        return FunctionMap((n,), (n,), forward, transposed)

    def gauss(self, degree: int) -> tuple[np.ndarray, np.ndarray]:
        """Equispaced points, exact for products of two basis functions and for waves up to `degree`."""
        count = max(2 * (self.count // 2), degree) + 1
        step = self.length / count
        return self.start + step * np.arange(count), np.full(count, step)

    @cached_property
    def mass(self) -> LinearMap:
        """Integrals of products of basis functions: L/n for each wave, half of that for the highest of an even n."""
        return SpectralMap(self._multiplier(0), self.count)

    @cached_property
    def stiffness(self) -> LinearMap:
        """Integrals of products of first derivatives."""
        return SpectralMap(self._multiplier(1), self.count)

    def _multiplier(self, derivative: int) -> np.ndarray:
        values = self.length / self.count * (2 * np.pi / self.length * self._waves) ** (2 * derivative)
        if self._even:
            values[-1] /= 2
        return values

    def refinement(self, finer: LineBasis) -> LinearMap:
        """Values at the nodes of another basis: by a longer Fourier transform where they too fill the period evenly."""
        n, m = self.count, finer.count
        same_period = finer.periodic and np.isclose(finer.length, self.length, rtol=1e-12, atol=0.0)
        shift = 2 * np.pi * (finer.nodes[0] - self.nodes[0]) / self.length
        if not same_period or m < n or (m == n and abs(shift) > 1e-13):
            return self.matrix(finer.nodes)
        if m == n:
            return IdentityMap((n,))
        return self._padding(m, shift)

    def _padding(self, m: int, shift: float) -> LinearMap:
        n, waves = self.count, self._waves.size
        factors = np.exp(1j * shift * self._waves)
        if self._even:
            factors[-1] /= 2

        def phases(like: Tensor) -> Tensor:
            return torch.from_numpy(factors).to(torch.complex(like[:0], like[:0]))

        def forward(x: Tensor) -> Tensor:
            spectrum = torch.fft.rfft(x, dim=-1) * phases(x) * (m / n)
            padded = torch.nn.functional.pad(spectrum, (0, m // 2 + 1 - waves))
            return torch.fft.irfft(padded, n=m, dim=-1)

        def transposed(y: Tensor) -> Tensor:
            spectrum = torch.fft.rfft(y, dim=-1)[..., :waves] * phases(y).conj()
            if self._even:  # the highest wave came back from both signs of its frequency
                last = 2 * spectrum[..., -1:].real
                spectrum = torch.cat([spectrum[..., :-1], torch.complex(last, torch.zeros_like(last))], dim=-1)
            return torch.fft.irfft(spectrum, n=n, dim=-1)

        return FunctionMap((n,), (m,), forward, transposed)

    def common_rule(self, other: LineBasis) -> tuple[np.ndarray, np.ndarray]:
        """Equispaced points between Fourier bases; Gauss points between all samples otherwise, to rounding."""
        if isinstance(other, FourierLine):
            return self.gauss(self.count + other.count)
        edges = np.union1d(self.breakpoints, self.wrapped(other.breakpoints, self.start))
        edges = np.union1d(edges, [self.stop])
        keep = np.concatenate([[True], np.diff(edges) > 1e-13 * self.length])
        return gauss_pieces(edges[keep], MIXED_DEGREE + other.degree)


class SpectralMap(FunctionMap):
    """A symmetric circulant map: each wave of n samples is multiplied by a real number.

    Parameters
    ----------
    multiplier : one number per wave 0, ..., floor(n / 2).
    """

    def __init__(self, multiplier: np.ndarray, count: int) -> None:
        self.multiplier = multiplier

        def apply(x: Tensor) -> Tensor:
            factor = torch.from_numpy(multiplier).to(x)
            return torch.fft.irfft(torch.fft.rfft(x, dim=-1) * factor, n=count, dim=-1)

        super().__init__((count,), (count,), apply, apply)

    def inverse(self) -> LinearMap:
        """The map that divides; as everywhere, only for regular maps."""
        if bool((self.multiplier == 0).any()):
            return super().inverse()
        return SpectralMap(1.0 / self.multiplier, self.shape[0])
