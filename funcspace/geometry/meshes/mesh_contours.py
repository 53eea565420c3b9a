"""Boundary curves of a plane domain from its signed distance: closed loops, corners found, points equally spaced."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from funcspace.errors import DomainError, InputError
from funcspace.geometry.meshes.reference_cells import FloatArray, IntArray

__all__ = ["as_array_function", "boundary_loops", "equally_spaced", "onto_boundary"]

ArrayFunction = Callable[[FloatArray], FloatArray]
CORNER_ANGLE = np.deg2rad(35.0)


def as_array_function(distance: Callable[[Tensor], Any]) -> ArrayFunction:
    """A signed distance on torch points (n, 2) as a checked function on arrays."""

    def function(points: FloatArray) -> FloatArray:
        answer = distance(torch.from_numpy(np.ascontiguousarray(points)))
        values = answer.detach().cpu().numpy() if isinstance(answer, Tensor) else np.asarray(answer)
        if values.shape != (len(points),):
            raise InputError(
                f"the signed distance must return ({len(points)},) values, one per point; got {values.shape}"
            )
        if not np.isfinite(values).all():
            first = int(np.flatnonzero(~np.isfinite(values))[0])
            raise InputError(f"the signed distance is not finite at {points[first].tolist()}")
        return values.astype(np.float64)

    return function


def gradient(distance: ArrayFunction, points: FloatArray, step: float) -> FloatArray:
    """Central differences of the signed distance, (n, 2)."""
    columns = [(distance(points + move) - distance(points - move)) / (2 * step) for move in step * np.eye(2)]
    return np.stack(columns, axis=1)


def onto_boundary(distance: ArrayFunction, points: FloatArray, h: float) -> FloatArray:
    """Newton's method along the gradient: x <- x - phi grad phi / |grad phi|^2, at most a mesh size in all."""
    start = points
    for _ in range(12):
        values = distance(points)
        if np.abs(values).max(initial=0.0) < 1e-14 * max(1.0, h):
            break
        slope = gradient(distance, points, 1e-6 * h)
        points = points - values[:, None] * slope / np.maximum((slope**2).sum(axis=1, keepdims=True), 1e-2)
    move = points - start
    length = np.linalg.norm(move, axis=1, keepdims=True)
    return start + move * np.minimum(1.0, h / np.maximum(length, 1e-300))


def boundary_loops(
    distance: ArrayFunction, h: float, bounds: FloatArray, fixed: FloatArray
) -> tuple[list[FloatArray], FloatArray]:
    """Points about h apart on each closed boundary curve (the domain to the left), and the fixed points left over."""
    loops, used = [], np.zeros(len(fixed), dtype=bool)
    for curve in _zero_curves(distance, h / 4, bounds):
        dense = onto_boundary(distance, curve, h / 2)
        dense = dense[np.linalg.norm(dense - np.roll(dense, 1, axis=0), axis=1) > 1e-9 * h]
        if len(dense) < 3:
            continue
        dense, corners = _with_corners(distance, dense, h)
        dense, corners, taken = _with_fixed(dense, corners, fixed, h)
        used |= taken
        loops.append(onto_arcs(distance, dense, corners, h))
    if not loops:
        raise DomainError(
            "the signed distance has no zero curve inside the bounds: it must be negative inside the domain, "
            "positive outside, and "
            f"the bounds {bounds.tolist()} must hold the domain; or h = {h:g} is too coarse for it"
        )
    return loops, fixed[~used]


def _zero_curves(distance: ArrayFunction, spacing: float, bounds: FloatArray) -> list[FloatArray]:
    """Marching squares: the closed polylines on which the sampled distance changes sign, the negative side left."""
    counts = np.ceil((bounds[1] - bounds[0]) / spacing).astype(int) + 9
    if np.prod(counts.astype(float)) > 5e7:
        raise InputError(f"h is too small for the bounds: {counts.tolist()} samples of the distance would be needed")
    # irrational-looking offset, so that samples seldom fall on straight sides
    axes = [bounds[0, a] + spacing * (np.arange(counts[a]) - 4 + 0.3819660113) for a in range(2)]
    x, y = np.meshgrid(*axes, indexing="ij")
    values = distance(np.stack([x.ravel(), y.ravel()], axis=1)).reshape(x.shape)
    values = np.where(values == 0.0, 1e-300, values)
    inside = values < 0
    if inside[[0, -1]].any() or inside[:, [0, -1]].any():
        raise DomainError(f"the domain reaches beyond the bounds {bounds.tolist()}: widen them")
    crossings, following = _crossings(distance, axes, values, inside)
    loops, left = [], set(following)
    while left:
        start = min(left)
        chain, key = [], start
        while key in left:
            left.remove(key)
            chain.append(key)
            key = following[key]
        loops.append(np.array([crossings[k] for k in chain]))
    return loops


def _crossings(
    distance: ArrayFunction, axes: list[FloatArray], values: FloatArray, inside: np.ndarray
) -> tuple[dict[int, FloatArray], dict[int, int]]:
    """Where the sampled distance changes sign along grid edges, and for each crossing the next along its curve."""
    ny = values.shape[1]
    mixed = inside[:-1, :-1].astype(int) + inside[1:, :-1] + inside[1:, 1:] + inside[:-1, 1:]
    crossings: dict[int, FloatArray] = {}
    following: dict[int, int] = {}

    def crossing(i: int, j: int, side: int) -> int:
        # sides: bottom, right, top, left; horizontal edges are even keys, vertical ones odd
        i0, j0, axis = ((i, j, 0), (i + 1, j, 1), (i, j + 1, 0), (i, j, 1))[side]
        key = 2 * (i0 * ny + j0) + axis
        if key not in crossings:
            i1, j1 = (i0 + 1, j0) if axis == 0 else (i0, j0 + 1)
            t = values[i0, j0] / (values[i0, j0] - values[i1, j1])
            a, b = np.array([axes[0][i0], axes[1][j0]]), np.array([axes[0][i1], axes[1][j1]])
            crossings[key] = a + t * (b - a)
        return key

    for i, j in np.argwhere((mixed > 0) & (mixed < 4)).tolist():
        ring = [inside[i, j], inside[i + 1, j], inside[i + 1, j + 1], inside[i, j + 1]]
        # walking round the square: side s goes from ring[s] to ring[s + 1]
        leave = [s for s in range(4) if ring[s] and not ring[(s + 1) % 4]]
        enter = [s for s in range(4) if not ring[s] and ring[(s + 1) % 4]]
        if len(leave) == 1:
            pairs = [(leave[0], enter[0])]
        else:
            centre = np.array([[(axes[0][i] + axes[0][i + 1]) / 2, (axes[1][j] + axes[1][j + 1]) / 2]])
            joined = distance(centre)[0] < 0
            pairs = [(s, (s + 1) % 4 if joined else (s - 1) % 4) for s in leave]
        for start, stop in pairs:
            following[crossing(i, j, start)] = crossing(i, j, stop)
    return crossings, following


def _with_corners(distance: ArrayFunction, dense: FloatArray, h: float) -> tuple[FloatArray, IntArray]:
    """Insert the corners of a curve: where the normals of neighbouring points differ, their tangents meet in one."""
    slope = gradient(distance, dense, 1e-6 * h)
    normal = slope / np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-300)
    following = np.roll(normal, -1, axis=0)
    turn = np.arccos(np.clip((normal * following).sum(axis=1), -1, 1))
    points, corners = [], []
    for k in range(len(dense)):
        points.append(dense[k])
        if turn[k] <= CORNER_ANGLE:
            continue
        a, b = dense[k], dense[(k + 1) % len(dense)]
        matrix = np.stack([normal[k], following[k]])
        if abs(np.linalg.det(matrix)) < 1e-3:
            continue
        corner = np.linalg.solve(matrix, [normal[k] @ a, following[k] @ b])
        near = max(np.linalg.norm(corner - a), np.linalg.norm(corner - b)) < h
        if near and abs(distance(corner[None])[0]) < 1e-3 * h:
            corners.append(len(points))
            points.append(corner)
    return np.array(points), np.array(corners, dtype=np.int64)


def _with_fixed(
    dense: FloatArray, corners: IntArray, fixed: FloatArray, h: float
) -> tuple[FloatArray, IntArray, np.ndarray]:
    """Put the fixed points that lie on this curve in as corners; a found corner close to one gives way to it."""
    taken = np.zeros(len(fixed), dtype=bool)
    for index, point in enumerate(fixed):
        ends = np.roll(dense, -1, axis=0)
        along = ends - dense
        fraction = np.clip(((point - dense) * along).sum(axis=1) / (along**2).sum(axis=1), 0, 1)
        gap = np.linalg.norm(dense + fraction[:, None] * along - point, axis=1)
        place = int(gap.argmin())
        if gap[place] > 0.25 * h:
            continue
        taken[index] = True
        is_corner = np.zeros(len(dense), dtype=bool)
        is_corner[corners] = True
        dense = np.insert(dense, place + 1, point, axis=0)
        is_corner = np.insert(is_corner, place + 1, True)
        stay = np.linalg.norm(dense - point, axis=1) > 0.25 * h
        stay[place + 1] = True
        dense, corners = dense[stay], np.flatnonzero(is_corner[stay])
    return dense, corners, taken


def onto_arcs(distance: ArrayFunction, dense: FloatArray, corners: IntArray, h: float) -> FloatArray:
    """Equally spaced points on a closed curve, arc by arc between its corners."""
    if len(corners) == 0:
        return onto_boundary(distance, equally_spaced(np.vstack([dense, dense[:1]]), h, least=6), h / 2)
    dense = np.roll(dense, -corners[0], axis=0)
    starts = [*(corners - corners[0]).tolist(), len(dense)]
    closed = np.vstack([dense, dense[:1]])
    pieces = []
    for start, stop in pairwise(starts):
        arc = equally_spaced(closed[start : stop + 1], h, least=1 if len(corners) > 2 else 3)
        pieces += [arc[:1], onto_boundary(distance, arc[1:], h / 2)]
    return np.vstack(pieces)


def equally_spaced(line: FloatArray, h: float, *, least: int) -> FloatArray:
    """Points at equal arc lengths of about h on a polyline, its first point among them and its last not."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    count = max(least, int(np.rint(length[-1] / h)))
    at = np.arange(count) * (length[-1] / count)
    return np.stack([np.interp(at, length, line[:, axis]) for axis in range(2)], axis=1)
