"""Random sums of sines and of Gaussians: sources and initial states of public data sets."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["cosine_modes", "gaussian_sum", "sine_sum", "sine_tables"]

FloatArray = NDArray[np.float64]


def sine_tables(points: FloatArray, modes: int) -> tuple[FloatArray, FloatArray]:
    """sin(pi i x) and sin(pi j y) for i, j = 1, ..., modes at points (n, 2): two arrays (n, modes)."""
    waves = np.pi * np.arange(1, modes + 1)
    return np.sin(np.outer(points[:, 0], waves)), np.sin(np.outer(points[:, 1], waves))


def sine_sum(amplitudes: FloatArray, tables: tuple[FloatArray, FloatArray]) -> FloatArray:
    """sum_ij a_ij sin(pi i x) sin(pi j y) at the points of the tables."""
    along, across = tables
    return ((along @ amplitudes) * across).sum(axis=1)


def gaussian_sum(
    points: FloatArray, centres: FloatArray, widths: Sequence[float] | FloatArray, amplitudes: FloatArray
) -> FloatArray:
    """sum_m a_m exp(-|x - mu_m|^2 / (2 sigma_m^2)) at points (n, d), with centres (m, d)."""
    total = np.zeros(len(points))
    for centre, width, amplitude in zip(centres, widths, amplitudes, strict=True):
        total += amplitude * np.exp(-((points - centre) ** 2).sum(axis=1) / (2.0 * width**2))
    return total


def cosine_modes(count: int) -> NDArray[np.int64]:
    """The wave numbers (count, 2) of the first modes cos(pi k_1 x) cos(pi k_2 y) but the constant, by |k|^2.

    >>> cosine_modes(4).tolist()
    [[0, 1], [1, 0], [1, 1], [0, 2]]
    """
    reach = math.isqrt(2 * count) + 2
    first, second = np.divmod(np.arange(reach**2), reach)
    order = np.argsort(first**2 + second**2, kind="stable")[1 : count + 1]
    return np.stack([first[order], second[order]], axis=1)
