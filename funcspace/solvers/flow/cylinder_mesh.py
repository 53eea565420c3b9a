"""Meshes of a channel with a round cylinder across it: rays around the cylinder, a regular wake behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from funcspace.arguments import entries_of, number_of, positive_number, true_or_false
from funcspace.errors import InputError
from funcspace.geometry import Mesh

__all__ = ["channel_with_cylinder"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

WALL_GROWTH = 1.25
WAKE_GROWTH = 1.03
LARGEST_STRETCH = 2.0


def channel_with_cylinder(
    h: float,
    *,
    length: float = 2.2,
    height: float = 0.41,
    center: Sequence[float] = (0.2, 0.2),
    radius: float = 0.05,
    cells: Literal["triangle", "quadrilateral"] = "triangle",
    curved: bool = True,
) -> Mesh:
    """The rectangle [0, length] x [0, height] without a disc; parts inlet, outlet, walls, cylinder.

    The default is the channel of the DFG benchmark (Schäfer and Turek, 1996). In the square of side `height` around
    the cylinder the cells lie along rays and grow from the cylinder outwards; in front of it and behind it they lie
    in rows, and behind it they grow slowly with the distance. Positions of the cylinder that need the same number
    of cells give meshes that differ in the coordinates alone.

    Parameters
    ----------
    h : size of the cells behind the cylinder; around it they are about height / (3 pi radius) times smaller.
    center, radius : the cylinder.
    cells : quadrilaterals, or these cut into two triangles each.
    curved : quadratic geometry, whose nodes lie on the circle.

    Raises
    ------
    InputError
        When the cylinder does not lie in the channel, h is not positive, or there are no such cells.

    Examples
    --------
    >>> channel_with_cylinder(0.05)
    Mesh(curved triangle, 1,220 cells, 679 points, h=0.0906, boundary: inlet, outlet, walls, cylinder)
    """
    _check(h, length, height, center, radius)
    if cells not in ("triangle", "quadrilateral"):
        raise InputError(f'cells must be "triangle" or "quadrilateral"; got {cells!r}')
    x, y = (float(value) for value in center)
    across = max(4, 2 * math.ceil(height / (2.0 * h) - 1e-9))
    step = height / across
    left, right = x - 0.5 * height, x + 0.5 * height
    left = left if left > 0.5 * step else 0.0
    right = right if right < length - 0.5 * step else length
    lines = np.linspace(0.0, height, across + 1)
    blocks = [_rays(left, right, lines, (x, y), radius)]
    if left > 0.0:
        blocks.append(_rows(np.linspace(0.0, left, max(1, round(left / step)) + 1), lines))
    if right < length:
        blocks.append(_rows(right + _growing(length - right, step), lines))
    points, quads = _merged(blocks, 1e-6 * step)
    mesh = Mesh(points, quads if cells == "quadrilateral" else _cut(points, quads))
    near = 1e-9 * length
    mesh = mesh.with_boundaries(
        {
            "inlet": lambda p: p[:, 0] < near,
            "outlet": lambda p: p[:, 0] > length - near,
            "walls": lambda p: (p[:, 1] < near) | (p[:, 1] > height - near),
            "cylinder": lambda p: torch.hypot(p[:, 0] - x, p[:, 1] - y) < 1.001 * radius,
        }
    )
    if not true_or_false(curved, "curved"):
        return mesh
    middle = torch.tensor([x, y], dtype=torch.float64)
    return mesh.curved(
        lambda p: middle + radius * (p - middle) / torch.linalg.vector_norm(p - middle, dim=1, keepdim=True), "cylinder"
    )


def _check(h: float, length: float, height: float, center: Sequence[float], radius: float) -> None:
    for name, value in {"h": h, "length": length, "height": height, "radius": radius}.items():
        positive_number(value, name)
    place = [number_of(value) for value in entries_of(center)]
    if len(place) != 2 or not np.isfinite(place).all():
        raise InputError(f"center must be two finite coordinates; got {center!r}")
    gap = min(center[0], length - center[0], center[1], height - center[1]) - radius
    if gap < 0.2 * radius:
        raise InputError(
            f"the cylinder at {tuple(center)} with radius {radius:g} must lie inside the channel "
            f"[0, {length:g}] x [0, {height:g}], a fifth of its radius or more away from its sides"
        )


def _rays(left: float, right: float, lines: FloatArray, center: tuple[float, float], radius: float) -> tuple:
    """Points (rays, layers) between the circle and the sides of a box around it, and the cells between them."""
    across, height = len(lines) - 1, lines[-1]
    corners = np.array([[right, 0.0], [right, height], [left, height], [left, 0.0]])
    fractions = np.arange(across)[:, None] / across
    ends = np.roll(corners, -1, axis=0)
    frame = np.vstack([a + fractions * (b - a) for a, b in zip(corners, ends, strict=True)])
    angles = np.arctan2(corners[:, 1] - center[1], corners[:, 0] - center[0])
    turns = (np.roll(angles, -1) - angles) % (2.0 * np.pi)
    around = np.concatenate([a + fractions[:, 0] * turn for a, turn in zip(angles, turns, strict=True)])
    circle = np.asarray(center) + radius * np.stack([np.cos(around), np.sin(around)], axis=1)
    arc = 2.0 * np.pi * radius / len(around)
    depth = 0.5 * height - radius
    layers = max(3, math.ceil(_layer_count(depth, arc, height / across)))
    growth = _growth(depth / arc, layers)
    widths = growth ** np.arange(layers)
    share = np.concatenate([[0.0], np.cumsum(widths) / widths.sum()])[None, :, None]
    points = (1.0 - share) * circle[:, None] + share * frame[:, None]
    index = np.arange(len(around) * (layers + 1)).reshape(len(around), layers + 1)
    following = np.roll(index, -1, axis=0)
    quads = np.stack([index[:, :-1], index[:, 1:], following[:, 1:], following[:, :-1]], axis=-1)
    return points.reshape(-1, 2), quads.reshape(-1, 4)


def _layer_count(depth: float, first: float, last: float) -> float:
    """Layers of widths that grow by a constant factor from `first` to `last`, but by WALL_GROWTH at most."""
    growth = min(WALL_GROWTH, (depth - first) / max(depth - last, 1e-3 * depth))
    return math.log1p(depth / first * (growth - 1.0)) / math.log(growth) if growth > 1.0 + 1e-9 else depth / first


def _growth(total: float, count: int) -> float:
    """The factor g with 1 + g + ... + g^(count - 1) = total."""
    low, high = 0.2, 5.0
    while high - low > 1e-12:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if (middle ** np.arange(count)).sum() < total else (low, middle)
    return low


def _growing(length: float, first: float) -> FloatArray:
    """Coordinates from 0 to length at growing distances, the first one about `first`."""
    widths, total = [], 0.0
    while total < length:
        widths.append(first * min(LARGEST_STRETCH, WAKE_GROWTH ** len(widths)))
        total += widths[-1]
    return np.concatenate([[0.0], np.cumsum(widths) * (length / total)])


def _rows(columns: FloatArray, lines: FloatArray) -> tuple:
    x, y = np.meshgrid(columns, lines, indexing="ij")
    index = np.arange(x.size).reshape(x.shape)
    quads = np.stack([index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]], axis=-1)
    return np.stack([x.ravel(), y.ravel()], axis=1), quads.reshape(-1, 4)


def _merged(blocks: list[tuple[FloatArray, IntArray]], tolerance: float) -> tuple[FloatArray, IntArray]:
    """All blocks with the points that they share counted once."""
    from scipy.spatial import cKDTree

    points = np.vstack([block[0] for block in blocks])
    offsets = np.cumsum([0, *(len(block[0]) for block in blocks)])
    quads = np.vstack([block[1] + offset for block, offset in zip(blocks, offsets, strict=False)])
    same = cKDTree(points).query_pairs(tolerance, output_type="ndarray")
    first = np.arange(len(points))
    np.minimum.at(first, same.max(axis=1), same.min(axis=1))
    kept, numbers = np.unique(first, return_inverse=True)
    return points[kept], numbers[quads].astype(np.int64)


def _cut(points: FloatArray, quads: IntArray) -> IntArray:
    """Two triangles per quadrilateral, along its shorter diagonal."""
    corner = points[quads]
    first = np.linalg.norm(corner[:, 0] - corner[:, 2], axis=1)
    second = np.linalg.norm(corner[:, 1] - corner[:, 3], axis=1)
    straight = (first <= second * (1.0 + 1e-9))[:, None, None]
    halves = np.where(straight, quads[:, [[0, 1, 2], [0, 2, 3]]], quads[:, [[0, 1, 3], [1, 2, 3]]])
    return halves.reshape(-1, 3)
