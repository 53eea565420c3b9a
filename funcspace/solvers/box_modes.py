"""Eigenfunctions of the Laplacian on a box: their frequencies, and their sums on grids and at points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from funcspace.errors import InputError

__all__ = ["AxisModes", "BoundaryKind", "at_points", "shell_order", "synthesise"]

BoundaryKind = Literal["neumann", "dirichlet", "periodic"]
Placement = Literal["vertices", "cells", "points"]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class AxisModes:
    r"""The first `count` orthonormal eigenfunctions of -d^2/dx^2 on an interval, and where they are sampled.

    =========  ==========================================================================  =======================
    boundary   functions, with s = (x - start)/length                                      wavenumber
    =========  ==========================================================================  =======================
    neumann    1, sqrt(2) cos(pi k s), k = 1, 2, ...                                       pi k / length
    dirichlet  sqrt(2) sin(pi k s), k = 1, 2, ...                                          pi k / length
    periodic   1, sqrt(2) cos(2 pi k s), sqrt(2) sin(2 pi k s), k = 1, 2, ... alternating  2 pi k / length
    =========  ==========================================================================  =======================

    each divided by sqrt(length). Mode m is the m-th of the list, whatever the number of samples.
    """

    boundary: BoundaryKind
    start: float
    length: float
    count: int
    samples: int
    placement: Placement

    @classmethod
    def on_axis(
        cls, boundary: BoundaryKind, start: float, length: float, samples: int, placement: Placement
    ) -> AxisModes:
        """As many modes as the samples of an equispaced axis tell apart."""
        count = samples
        if boundary == "dirichlet" and placement == "vertices":
            count = samples - 2
        if boundary == "periodic" and samples % 2 == 0:
            count = samples - 1
        if count < 1:
            raise InputError(f"an axis with {samples} {placement} is too short for {boundary} modes")
        return cls(boundary, start, length, count, samples, placement)

    @property
    def wavenumbers(self) -> FloatArray:
        """Square roots of the eigenvalues, one per mode."""
        m = np.arange(self.count)
        if self.boundary == "periodic":
            return np.asarray(2.0 * np.pi * ((m + 1) // 2) / self.length, dtype=np.float64)
        return np.asarray(np.pi * (m + (self.boundary == "dirichlet")) / self.length, dtype=np.float64)

    def at(self, coordinates: FloatArray) -> FloatArray:
        """Values of the modes at coordinates (n,): shape (n, count)."""
        phase = (np.asarray(coordinates) - self.start)[:, None] * self.wavenumbers
        m = np.arange(self.count)
        if self.boundary == "dirichlet":
            values = np.sqrt(2.0) * np.sin(phase)
        elif self.boundary == "neumann":
            values = np.where(m == 0, 1.0, np.sqrt(2.0) * np.cos(phase))
        else:
            values = np.where(m == 0, 1.0, np.sqrt(2.0) * np.where(m % 2 == 1, np.cos(phase), np.sin(phase)))
        return values / np.sqrt(self.length)

    def synthesise(self, coefficients: FloatArray, axis: int) -> FloatArray:
        """Sum of the modes at the samples by a fast transform; `axis` of the array runs over modes, then samples."""
        from scipy import fft

        c = np.moveaxis(coefficients, axis, -1) / np.sqrt(self.length)
        n = self.samples
        if self.boundary == "periodic":
            spectrum = np.zeros((*c.shape[:-1], n // 2 + 1), dtype=np.complex128)
            spectrum[..., 0] = c[..., 0] * n
            half = n / np.sqrt(2.0)
            cosines, sines = c[..., 1::2], c[..., 2::2]
            spectrum[..., 1 : 1 + cosines.shape[-1]] = half * cosines
            spectrum[..., 1 : 1 + sines.shape[-1]] -= 1j * half * sines
            if self.placement == "cells":
                spectrum = spectrum * np.exp(1j * np.pi * np.arange(n // 2 + 1) / n)
            values = fft.irfft(spectrum, n, axis=-1)
        elif self.boundary == "neumann":
            scaled = c / np.sqrt(2.0)
            scaled[..., 0] = c[..., 0]
            if self.placement == "vertices":
                if self.count == n:
                    scaled[..., -1] = np.sqrt(2.0) * c[..., -1]
                values = fft.dct(scaled, type=1, n=n, axis=-1)
            else:
                values = fft.dct(scaled, type=3, n=n, axis=-1)
        elif self.placement == "vertices":
            inner = fft.dst(c / np.sqrt(2.0), type=1, n=n - 2, axis=-1)
            values = np.zeros((*c.shape[:-1], n))
            values[..., 1:-1] = inner
        else:
            scaled = c / np.sqrt(2.0)
            if self.count == n:
                scaled[..., -1] = np.sqrt(2.0) * c[..., -1]
            values = fft.dst(scaled, type=3, n=n, axis=-1)
        return np.moveaxis(values, -1, axis)


def synthesise(modes: Sequence[AxisModes], coefficients: FloatArray) -> FloatArray:
    """Sum of products of modes on the grid of the axes' samples."""
    values = coefficients
    for axis, line in enumerate(modes):
        values = line.synthesise(values, axis)
    return np.ascontiguousarray(values)


def at_points(modes: Sequence[AxisModes], coefficients: FloatArray, points: FloatArray) -> FloatArray:
    """Sum of products of modes at scattered points (n, d)."""
    total = np.tensordot(modes[0].at(points[:, 0]), coefficients, axes=1)
    for axis, line in enumerate(modes[1:], start=1):
        total = np.einsum("nk,nk...->n...", line.at(points[:, axis]), total)
    return np.ascontiguousarray(total)


@lru_cache(maxsize=16)
def shell_order(counts: tuple[int, ...]) -> NDArray[np.int64]:
    """For each mode (flattened), its place in an order by shells max(m_1, ..., m_d) = 0, 1, 2, ...

    The place of a mode does not depend on `counts`: random numbers handed out in this order give the same low modes
    whatever the resolution.

    >>> shell_order((2, 2)).reshape(2, 2)
    array([[0, 1],
           [2, 3]])
    >>> shell_order((3, 3)).reshape(3, 3)
    array([[0, 1, 4],
           [2, 3, 5],
           [6, 7, 8]])
    """
    largest = max(counts)
    dim = len(counts)
    index = np.indices((largest,) * dim).reshape(dim, -1)
    shell = index.max(axis=0)
    keys = (*index[::-1], shell)
    order = np.lexsort(keys)
    place = np.empty(order.size, dtype=np.int64)
    place[order] = np.arange(order.size)
    place = place.reshape((largest,) * dim)[tuple(slice(count) for count in counts)].ravel()
    place.setflags(write=False)
    return place
