"""Random star-shaped holes in the unit square: their radii, and meshes of what is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from funcspace.arguments import is_whole
from funcspace.errors import DomainError, InputError
from funcspace.geometry import Mesh
from funcspace.geometry.meshes.mesh_fill import fill_loops

__all__ = ["RandomHole", "hole_radius"]

FloatArray = NDArray[np.float64]
CENTRE = np.array([0.5, 0.5])
SQUARE = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
SIDES: dict[str, Callable[[Any], Any]] = {
    "left": lambda x: x[:, 0] < 1e-9,
    "right": lambda x: x[:, 0] > 1 - 1e-9,
    "bottom": lambda x: x[:, 1] < 1e-9,
    "top": lambda x: x[:, 1] > 1 - 1e-9,
    "hole": lambda x: ((x > 1e-9) & (x < 1 - 1e-9)).all(dim=1),
}


def hole_radius(angles: FloatArray, numbers: FloatArray) -> FloatArray:
    r"""Radius of the hole at angles, from standard normal numbers (2 modes + 1).

    r = 0.2 + 0.2/(1 + exp(g)),  g ~ N(0, 4^2 (-d^2/dtheta^2 + 3^2)^(-1)) on the circle

    g = sum_k 4 (k^2 + 9)^(-1/2) xi_k e_k(theta) with the orthonormal sines and cosines e_k, so that 0.2 < r < 0.4.

    >>> import numpy as np
    >>> hole_radius(np.zeros(1), np.zeros(3)).round(6).tolist()
    [0.3]
    """
    modes = (len(numbers) - 1) // 2
    orders = np.arange(1, modes + 1)
    scale = 4.0 / np.sqrt(orders**2 + 9.0) / np.sqrt(np.pi)
    phase = np.outer(angles, orders)
    field = 4.0 / 3.0 / np.sqrt(2 * np.pi) * numbers[0]
    field = field + np.cos(phase) @ (scale * numbers[1 : modes + 1]) + np.sin(phase) @ (scale * numbers[modes + 1 :])
    return 0.2 + 0.2 / (1.0 + np.exp(field))


@dataclass(frozen=True)
class RandomHole:
    """The hole of one sample, a polygon about the middle of the unit square.

    Attributes
    ----------
    numbers : the random numbers of the radius, (2 modes + 1,).
    around : number of vertices of the hole, a multiple of 8 so that the corners of the square are met.
    """

    numbers: FloatArray
    around: int

    @cached_property
    def angles(self) -> FloatArray:
        """Angles of the vertices."""
        return 2 * np.pi * np.arange(self.around) / self.around

    @cached_property
    def radii(self) -> FloatArray:
        """Distances of the vertices from the middle."""
        return hole_radius(self.angles, self.numbers)

    @cached_property
    def directions(self) -> FloatArray:
        """Unit vectors towards the vertices."""
        return np.stack([np.cos(self.angles), np.sin(self.angles)], axis=1)

    @cached_property
    def vertices(self) -> FloatArray:
        """The hole's polygon, anticlockwise."""
        return CENTRE + self.radii[:, None] * self.directions

    def distance(self, points: FloatArray) -> FloatArray:
        """Distances of points outside the hole to its edge."""
        start, end = self.vertices, np.roll(self.vertices, -1, axis=0)
        along = end - start
        offset = points[:, None] - start
        share = np.clip((offset * along).sum(axis=2) / (along**2).sum(axis=1), 0.0, 1.0)
        return np.linalg.norm(offset - share[..., None] * along, axis=2).min(axis=1)

    def mapped_mesh(self, layers: int) -> Mesh:
        """Quadrilaterals along rays from the hole to the sides: one connectivity for all holes."""
        count = self.around
        outer = CENTRE + self.directions * (0.5 / np.abs(self.directions).max(axis=1))[:, None]
        outer = np.where(np.abs(outer) < 1e-12, 0.0, np.where(np.abs(outer - 1.0) < 1e-12, 1.0, outer))
        share = (np.arange(layers + 1) / layers)[:, None, None]
        points = ((1.0 - share) * self.vertices + share * outer).reshape(-1, 2)
        level, place = np.meshgrid(np.arange(layers), np.arange(count), indexing="ij")
        first, second = level * count + place, level * count + (place + 1) % count
        cells = np.stack([first, first + count, second + count, second], axis=2).reshape(-1, 4)
        return Mesh(points, cells).with_boundaries(SIDES)

    def free_mesh(self, h: float) -> Mesh:
        """Triangles of size h, as many as it takes, with every vertex of the hole among their corners.

        Where the hole's edge folds so closely that size h cannot keep it, all triangles are smaller.
        """

        def inside(points: FloatArray) -> FloatArray:
            offset = points - CENTRE
            hole = np.interp(np.arctan2(offset[:, 1], offset[:, 0]), self.angles, self.radii, period=2 * np.pi)
            return np.maximum((np.abs(offset) - 0.5).max(axis=1), hole - np.linalg.norm(offset, axis=1))

        size = h
        while True:
            loops = [subdivided(SQUARE, size), subdivided(self.vertices[::-1], size)]
            try:
                return fill_loops(loops, size, inside).with_boundaries(SIDES)
            except DomainError:
                size *= 0.75
                if size < h / 4:
                    raise


def subdivided(polygon: FloatArray, h: float) -> FloatArray:
    """The vertices of a closed polygon with equally spaced points on its edges, at most h apart.

    >>> import numpy as np
    >>> len(subdivided(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), 0.5))
    7
    """
    parts = []
    for start, end in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        count = max(1, int(np.ceil(np.linalg.norm(end - start) / h - 1e-9)))
        parts.append(start + (np.arange(count) / count)[:, None] * (end - start))
    return np.concatenate(parts)


def check_around(around: int) -> None:
    """Raise an InputError unless the number of vertices is a multiple of 8."""
    if not (is_whole(around) and around >= 16 and around % 8 == 0):
        raise InputError(f"around must be a multiple of 8 and at least 16, so that rays meet corners; got {around!r}")


def radius_tensor(count: int, numbers: FloatArray) -> torch.Tensor:
    """Radii at equispaced angles, (count,)."""
    return torch.from_numpy(hole_radius(2 * np.pi * np.arange(count) / count, numbers))
