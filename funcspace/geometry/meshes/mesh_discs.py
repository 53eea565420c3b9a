"""Triangle meshes of domains bounded by circles: disc, annulus, perforated plate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from funcspace.errors import InputError
from funcspace.geometry.meshes.mesh_fill import fill_loops
from funcspace.geometry.meshes.reference_cells import FloatArray

if TYPE_CHECKING:
    from funcspace.geometry.meshes.mesh import Mesh

__all__ = ["annulus", "disc", "perforated_plate"]


def disc(h: float, radius: float, center: Sequence[float], curved: bool) -> Mesh:
    """Rings k = 1, 2, ... of 6 k points each; six sectors of triangles between neighbouring rings."""
    from funcspace.geometry.meshes.mesh import Mesh

    middle = _centre(center)
    rings = max(1, int(np.rint(1.1 * radius / h)))  # the mean edge is 1.1 times the distance of the rings
    points = [np.zeros((1, 2)), *(k / rings * radius * _unit_circle(6 * k) for k in range(1, rings + 1))]
    triangles = []
    start = [0, *(1 + 3 * k * (k - 1) for k in range(1, rings + 2))]
    for ring in range(rings):
        inner, outer = max(6 * ring, 1), 6 * (ring + 1)
        for sector in range(6):
            a = start[ring] + (sector * ring + np.arange(ring + 1)) % inner
            b = start[ring + 1] + (sector * (ring + 1) + np.arange(ring + 2)) % outer
            triangles.append(np.stack([a, b[:-1], b[1:]], axis=1))
            triangles.append(np.stack([a[:-1], b[1:-1], a[1:]], axis=1))
    mesh = Mesh(np.vstack(points) + middle, np.vstack(triangles))
    return mesh.curved(_onto_circle(middle, radius)) if curved else mesh


def annulus(h: float, inner: float, outer: float, center: Sequence[float], curved: bool) -> Mesh:
    """Between two circles about one centre."""
    middle = _centre(center)
    if not inner < outer:
        raise InputError(f"an annulus needs inner < outer; got inner={inner}, outer={outer}")
    circles = [_circle(middle, outer, h), _circle(middle, inner, h)[::-1]]

    def distance(x: FloatArray) -> FloatArray:
        return np.abs(np.linalg.norm(x - middle, axis=1) - (inner + outer) / 2) - (outer - inner) / 2

    mesh = fill_loops(circles, h, distance, _graded_rings([(middle, inner)], h, distance))
    mesh = mesh.with_boundaries(_loop_parts(circles, ["outer", "inner"]))
    if not curved:
        return mesh
    return mesh.curved(_onto_circle(middle, outer), "outer").curved(_onto_circle(middle, inner), "inner")


def perforated_plate(h: float, width: float, height: float, holes: Sequence[Sequence[float]], curved: bool) -> Mesh:
    """A rectangle without discs."""
    discs = np.array(holes, dtype=np.float64).reshape(-1, 3) if len(holes) else np.zeros((0, 3))
    _check_holes(discs, width, height)
    sides = [(width, 0), (height, 1), (width, 0), (height, 1)]
    corner, rim, names = np.zeros(2), [], []
    for (length, axis), sign, name in zip(sides, (1, 1, -1, -1), ("bottom", "right", "top", "left"), strict=True):
        count = max(1, int(np.rint(length / h)))
        side = np.tile(corner, (count, 1))
        side[:, axis] += sign * length * np.arange(count) / count
        rim.append(side)
        names += [name] * count
        corner = corner.copy()
        corner[axis] = length if sign > 0 else 0.0
    loops = [np.vstack(rim)] + [_circle(d[:2], d[2], h)[::-1] for d in discs]
    half = np.array([width, height]) / 2

    def distance(x: FloatArray) -> FloatArray:
        result = (np.abs(x - half) - half).max(axis=1)
        for d in discs:
            result = np.maximum(result, d[2] - np.linalg.norm(x - d[:2], axis=1))
        return result

    mesh = fill_loops(loops, h, distance, _graded_rings([(d[:2], d[2]) for d in discs], h, distance))
    segments = _loop_parts(loops, ["frame", *(f"hole_{i}" for i in range(len(discs)))])
    frame = segments.pop("frame")
    parts = {side: frame[np.array(names) == side] for side in ("left", "right", "bottom", "top")}
    parts["holes"] = np.vstack([np.zeros((0, 2), dtype=np.int64), *segments.values()])
    mesh = mesh.with_boundaries({**parts, **segments})
    if curved:
        mesh = mesh.curved()
        for index, d in enumerate(discs):
            mesh = mesh.curved(_onto_circle(d[:2], d[2]), f"hole_{index}")
    return mesh


def _centre(center: Sequence[float]) -> FloatArray:
    middle = np.array(center, dtype=np.float64)
    if middle.shape != (2,) or not np.isfinite(middle).all():
        raise InputError(f"center must be two finite coordinates; got {center!r}")
    return middle


def _check_holes(discs: FloatArray, width: float, height: float) -> None:
    for index, (x, y, radius) in enumerate(discs):
        if not (np.isfinite([x, y, radius]).all() and radius > 0):
            raise InputError(f"hole {index} must be (x, y, radius) with radius above 0; got {[x, y, radius]}")
        if min(x, width - x, y, height - y) <= radius:
            raise InputError(f"hole {index} at ({x:g}, {y:g}) with radius {radius:g} is not inside the plate")
        for other in range(index):
            if np.hypot(x - discs[other, 0], y - discs[other, 1]) <= radius + discs[other, 2]:
                raise InputError(f"holes {other} and {index} overlap")


def _unit_circle(count: int) -> FloatArray:
    angle = 2 * np.pi * np.arange(count) / count
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _circle(middle: FloatArray, radius: float, h: float) -> FloatArray:
    return middle + radius * _unit_circle(max(8, int(np.rint(2 * np.pi * radius / h))))


def _graded_rings(
    holes: Sequence[tuple[FloatArray, float]], h: float, distance: Callable[[FloatArray], FloatArray]
) -> FloatArray:
    """Points around holes that are small for the mesh size: rings of growing spacing, each turned by half a step."""
    found = [np.zeros((0, 2))]
    for index, (middle, radius) in enumerate(holes):
        count = len(_circle(middle, radius, h))
        spacing, ring = 2 * np.pi * radius / count, 0
        while spacing < 0.6 * h:
            radius, ring = radius + 0.9 * spacing, ring + 1
            spacing = 2 * np.pi * radius / count
            turn = np.pi * (ring % 2) / count
            matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
            points = middle + radius * _unit_circle(count) @ matrix
            others = [np.linalg.norm(points - m, axis=1) - r for i, (m, r) in enumerate(holes) if i != index]
            clear = (distance(points) < -0.5 * spacing) & np.all([o > 0.8 * spacing for o in others], axis=0)
            found.append(points[clear])
    return np.vstack(found)


def _loop_parts(loops: Sequence[FloatArray], names: Sequence[str]) -> dict[str, np.ndarray]:
    """The boundary edges of each loop by their points; the loops' points come first in the mesh, loop after loop."""
    parts, start = {}, 0
    for loop, name in zip(loops, names, strict=True):
        index = np.arange(start, start + len(loop), dtype=np.int64)
        parts[name] = np.stack([index, np.roll(index, -1)], axis=1)
        start += len(loop)
    return parts


def _onto_circle(middle: FloatArray, radius: float) -> Callable[[Tensor], Tensor]:
    centre = torch.from_numpy(np.array(middle))
    return lambda x: centre + radius * (x - centre) / torch.linalg.vector_norm(x - centre, dim=1, keepdim=True)
