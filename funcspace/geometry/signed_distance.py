"""Signed distances of shapes, negative inside, and their combinations: functions of points (n, d) that return (n,).

All are written in torch and differentiable. Distances of balls, boxes, half-spaces and polygons are exact; a union,
intersection or difference of exact distances is exact near the boundary away from new corners, and a bound elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from funcspace.errors import InputError

__all__ = [
    "SignedDistance",
    "ball",
    "box",
    "capsule",
    "complement",
    "difference",
    "half_space",
    "intersection",
    "offset",
    "polygon",
    "rotated",
    "scaled",
    "translated",
    "union",
]

SignedDistance = Callable[[Tensor], Tensor]


def _vector(values: Any, name: str) -> Float[Tensor, " d"]:
    vector = torch.as_tensor(values, dtype=torch.float64).reshape(-1)
    if vector.numel() == 0 or not bool(torch.isfinite(vector).all()):
        raise InputError(f"{name} must be finite coordinates; got {values!r}")
    return vector


def _positive(value: float, name: str) -> float:
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"{name} must be a finite number above 0; got {value!r}")
    return float(value)


def ball(center: Sequence[float], radius: float) -> SignedDistance:
    """A disc or ball: phi(x) = |x - c| - r.

    >>> ball((0.0, 0.0), 1.0)(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
    tensor([-1.,  4.])
    """
    middle, size = _vector(center, "center"), _positive(radius, "radius")
    return lambda x: torch.linalg.vector_norm(x - middle.to(x), dim=-1) - size


def box(lower: Sequence[float], upper: Sequence[float]) -> SignedDistance:
    """An axis-aligned box: phi(x) = |max(q, 0)| + min(max_i q_i, 0) with q = |x - c| - s / 2.

    >>> box((0.0, 0.0), (2.0, 1.0))(torch.tensor([[1.0, 0.5], [3.0, 0.5]]))
    tensor([-0.5000,  1.0000])
    """
    low, high = _vector(lower, "lower"), _vector(upper, "upper")
    if low.shape != high.shape or not bool((low < high).all()):
        raise InputError(f"a box needs lower < upper in each coordinate; got {lower!r}, {upper!r}")

    def distance(x: Tensor) -> Tensor:
        q = (x - ((low + high) / 2).to(x)).abs() - ((high - low) / 2).to(x)
        return torch.linalg.vector_norm(q.clamp(min=0), dim=-1) + q.amax(dim=-1).clamp(max=0)

    return distance


def half_space(point: Sequence[float], normal: Sequence[float]) -> SignedDistance:
    """The half-space below a plane: phi(x) = (x - p) . n / |n|; n points outward."""
    origin, direction = _vector(point, "point"), _vector(normal, "normal")
    length = float(direction.norm())
    if length == 0 or origin.shape != direction.shape:
        raise InputError(f"a half-space needs a normal other than 0, of the point's dimension; got {normal!r}")
    return lambda x: (x - origin.to(x)) @ (direction / length).to(x)


def capsule(start: Sequence[float], end: Sequence[float], radius: float) -> SignedDistance:
    """All points within a radius of a segment: phi(x) = dist(x, [a, b]) - r."""
    a, b, size = _vector(start, "start"), _vector(end, "end"), _positive(radius, "radius")
    if a.shape != b.shape or bool((a == b).all()):
        raise InputError(f"a capsule needs two distinct points; got {start!r}, {end!r}")

    def distance(x: Tensor) -> Tensor:
        first, along = a.to(x), (b - a).to(x)
        fraction = ((x - first) @ along / along.dot(along)).clamp(0, 1)
        return torch.linalg.vector_norm(x - first - fraction[..., None] * along, dim=-1) - size

    return distance


def polygon(vertices: Any) -> SignedDistance:
    """A simple polygon in the plane, its vertices in either order: distance to the sides, negative inside.

    >>> polygon([(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)])(torch.tensor([[0.25, 0.25], [0.0, -2.0]]))
    tensor([-0.2500,  2.0000])
    """
    corner = torch.as_tensor(vertices, dtype=torch.float64)
    if corner.ndim != 2 or corner.shape[0] < 3 or corner.shape[1] != 2 or not bool(torch.isfinite(corner).all()):
        raise InputError(f"a polygon needs at least 3 vertices (k, 2), finite; got shape {tuple(corner.shape)}")

    def distance(x: Tensor) -> Tensor:
        start = corner.to(x)
        along = start.roll(-1, 0) - start
        offset = x[..., None, :] - start
        fraction = ((offset * along).sum(-1) / (along * along).sum(-1)).clamp(0, 1)
        away = (offset - fraction[..., None] * along).square().sum(-1).amin(-1)
        # a ray to the right crosses the sides an odd number of times from inside
        above = offset[..., 1] >= 0
        crosses = (above != above.roll(-1, -1)) & (
            (along[:, 0] * offset[..., 1] - along[:, 1] * offset[..., 0] > 0) == (along[:, 1] < 0)
        )
        inside = crosses.sum(-1) % 2 == 1
        root = torch.where(away > 0, away, torch.ones_like(away)).sqrt() * (away > 0)
        return torch.where(inside, -root, root)

    return distance


def union(*shapes: SignedDistance) -> SignedDistance:
    """All points in at least one shape: phi = min_i phi_i."""
    return _combined(shapes, lambda values: values.amin(dim=0))


def intersection(*shapes: SignedDistance) -> SignedDistance:
    """All points in every shape: phi = max_i phi_i."""
    return _combined(shapes, lambda values: values.amax(dim=0))


def difference(shape: SignedDistance, *holes: SignedDistance) -> SignedDistance:
    """A shape without the others: phi = max(phi_0, -phi_1, ...).

    >>> annulus = difference(ball((0.0, 0.0), 1.0), ball((0.0, 0.0), 0.5))
    >>> annulus(torch.tensor([[0.75, 0.0], [0.25, 0.0]]))
    tensor([-0.2500,  0.2500])
    """
    return intersection(shape, *(complement(hole) for hole in holes))


def complement(shape: SignedDistance) -> SignedDistance:
    """All points outside a shape: -phi."""
    return lambda x: -shape(x)


def offset(shape: SignedDistance, distance: float) -> SignedDistance:
    """A shape grown by a distance, its outer corners rounded (shrunk when negative): phi - r."""
    return lambda x: shape(x) - distance


def translated(shape: SignedDistance, by: Sequence[float]) -> SignedDistance:
    """A shape moved by a vector: phi(x - b)."""
    vector = _vector(by, "the translation")
    return lambda x: shape(x - vector.to(x))


def scaled(shape: SignedDistance, factor: float) -> SignedDistance:
    """A shape scaled about the origin: s phi(x / s)."""
    scale = _positive(factor, "factor")
    return lambda x: scale * shape(x / scale)


def rotated(shape: SignedDistance, angle: float, center: Sequence[float] = (0.0, 0.0)) -> SignedDistance:
    """A plane shape turned anticlockwise by an angle in radians about a centre: phi(R^-1 (x - c) + c)."""
    middle = _vector(center, "center")
    matrix = torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=torch.float64
    )
    return lambda x: shape((x - middle.to(x)) @ matrix.to(x) + middle.to(x))


def _combined(shapes: Sequence[SignedDistance], rule: Callable[[Tensor], Tensor]) -> SignedDistance:
    if not shapes:
        raise InputError("a combination needs at least one shape")
    return lambda x: rule(torch.stack([shape(x) for shape in shapes]))
