"""Triangulation of a plane domain inside given boundary loops, with triangles as equilateral as the boundary allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from funcspace.errors import DomainError
from funcspace.geometry.meshes.reference_cells import FloatArray, IntArray

if TYPE_CHECKING:
    from funcspace.geometry.meshes.mesh import Mesh

__all__ = ["fill_loops"]

SWEEPS = 60


def fill_loops(
    loops: Sequence[FloatArray],
    h: float,
    distance: Callable[[FloatArray], FloatArray],
    fixed: FloatArray | None = None,
) -> Mesh:
    """Delaunay triangulation of the boundary points and of interior points moved towards equal spacing.

    Interior points start on a triangular lattice of spacing h, more than 0.6 h from the boundary. Each sweep moves
    every one to the mean of the circumcentres of its triangles, weighted by area, which lowers the interpolation
    error of |x|^2 (the optimal Delaunay energy), and triangulates anew. Then points are added on long edges and
    removed from crowds.

    Parameters
    ----------
    loops : boundary points (k, 2) of each closed curve in order, the domain to the left.
    distance : signed distance on points (n, 2), negative inside.
    fixed : interior points that must be vertices.
    """
    from funcspace.geometry.meshes.mesh import Mesh

    rim = np.vstack(loops)
    inner = np.zeros((0, 2)) if fixed is None else fixed
    held = len(rim) + len(inner)
    segments = _segments(loops)
    lattice = _lattice(rim, h)
    lattice = lattice[distance(lattice) < -0.6 * h] if len(lattice) else lattice
    if len(inner) and len(lattice):
        gap = np.linalg.norm(lattice[:, None] - inner[None], axis=2).min(axis=1)
        lattice = lattice[gap > 0.6 * h]
    points = np.vstack([rim, inner, lattice])
    for _ in range(4):
        points = _smooth(points, held, h, segments, distance)
        changed = _adapt(points, held, h, segments)
        if changed is None:
            break
        points = changed
    points = _smooth(points, held, h, segments, distance)
    triangles, missing = _triangulate(points, segments)
    if missing:
        raise DomainError(
            f"the boundary cannot be kept at h = {h:g}: {missing} of {len(segments)} boundary edges are "
            "missing, because parts "
            "of the boundary come closer to each other than h; choose a smaller h"
        )
    return Mesh(points, triangles, drop_unused=True)


def _segments(loops: Sequence[FloatArray]) -> IntArray:
    start, rows = 0, []
    for loop in loops:
        index = np.arange(start, start + len(loop), dtype=np.int64)
        rows.append(np.stack([index, np.roll(index, -1)], axis=1))
        start += len(loop)
    return np.vstack(rows)


def _lattice(rim: FloatArray, h: float) -> FloatArray:
    """Triangular lattice of spacing h over the box around the boundary, centred in it."""
    low, high = rim.min(axis=0), rim.max(axis=0)
    middle = (low + high) / 2
    columns = int(np.ceil((high[0] - low[0]) / h / 2)) + 1
    rows = int(np.ceil((high[1] - low[1]) / (h * np.sqrt(3)))) + 1
    j, i = np.meshgrid(np.arange(-rows, rows + 1), np.arange(-columns, columns + 1), indexing="ij")
    x = middle[0] + h * (i + 0.5 * (j % 2))
    y = middle[1] + h * np.sqrt(3) / 2 * j
    return np.stack([x.ravel(), y.ravel()], axis=1)


def _triangulate(points: FloatArray, segments: IntArray) -> tuple[IntArray, int]:
    """Delaunay triangles inside the boundary, and how many boundary edges are missing from the triangulation.

    Triangles connected without crossing the boundary are all inside or all outside; those with a boundary edge tell
    which.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import Delaunay

    delaunay = Delaunay(points)
    triangles, neighbours = delaunay.simplices.astype(np.int64), delaunay.neighbors
    count = len(points)
    following = np.full(count, -1, dtype=np.int64)
    following[segments[:, 0]] = segments[:, 1]
    # edge e of a triangle is opposite its corner e and runs from corner e + 1 to corner e + 2 (anticlockwise)
    first, second = np.roll(triangles, -1, axis=1), np.roll(triangles, -2, axis=1)
    with_domain = following[first] == second  # the domain lies to the left of a segment: on this triangle's side
    against = following[second] == first
    missing = len(segments) - int(with_domain.sum())
    open_edge = ~(with_domain | against) & (neighbours >= 0)
    rows, edges = np.nonzero(open_edge)
    graph = coo_matrix((np.ones(len(rows)), (rows, neighbours[rows, edges])), shape=(len(triangles),) * 2)
    _, label = connected_components(graph, directed=False)
    votes = np.bincount(label, weights=with_domain.sum(axis=1) - against.sum(axis=1).astype(float))
    kept = triangles[votes[label] > 0]
    return kept, missing


def _circumcentres(corners: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Circumcentres (m, 2), drawn to the centroid where they leave the triangle far, and twice the areas (m,)."""
    a = corners[:, 0]
    u, v = corners[:, 1] - a, corners[:, 2] - a
    twice = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    uu, vv = (u**2).sum(axis=1), (v**2).sum(axis=1)
    safe = np.where(np.abs(twice) > 1e-300, twice, 1e-300)
    centre = np.stack([v[:, 1] * uu - u[:, 1] * vv, u[:, 0] * vv - v[:, 0] * uu], axis=1) / (2 * safe[:, None])
    centroid = (u + v) / 3
    move = centre - centroid
    length = np.linalg.norm(move, axis=1, keepdims=True)
    limit = 0.5 * np.sqrt(np.maximum(uu, vv))[:, None]
    return a + centroid + move * np.minimum(1.0, limit / np.maximum(length, 1e-300)), np.abs(twice)


def _smooth(
    points: FloatArray, held: int, h: float, segments: IntArray, distance: Callable[[FloatArray], FloatArray]
) -> FloatArray:
    if len(points) == held:
        return points
    for _ in range(SWEEPS):
        triangles, _ = _triangulate(points, segments)
        centres, areas = _circumcentres(points[triangles])
        weight = np.bincount(triangles.ravel(), weights=np.repeat(areas, 3), minlength=len(points))
        target = np.stack(
            [
                np.bincount(triangles.ravel(), weights=np.repeat(areas * centres[:, a], 3), minlength=len(points))
                for a in range(2)
            ],
            axis=1,
        )
        free = np.flatnonzero(weight > 0)
        free = free[free >= held]
        moved = points.copy()
        moved[free] = target[free] / weight[free, None]
        # too near the boundary a step is taken by half, or not at all
        for _ in range(2):
            close = free[distance(moved[free]) > -0.35 * h] if len(free) else free
            moved[close] = (moved[close] + points[close]) / 2
        still = float(np.linalg.norm(moved - points, axis=1).max(initial=0.0))
        points = moved
        if still < 0.01 * h:
            break
    return points


def _adapt(points: FloatArray, held: int, h: float, segments: IntArray) -> FloatArray | None:
    """Add the midpoints of edges longer than 1.4 h, drop free points of crowds; None when nothing is to do."""
    triangles, _ = _triangulate(points, segments)
    edges = np.unique(
        np.sort(np.vstack([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [0, 2]]]), axis=1), axis=0
    )
    length = np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1)
    rim = set(map(tuple, np.sort(segments, axis=1).tolist()))
    busy = np.zeros(len(points), dtype=bool)
    drop, add = [], []
    for edge in np.argsort(length, kind="stable"):
        if length[edge] > 0.6 * h:
            break
        free = [v for v in edges[edge] if v >= held]
        if free and not busy[edges[edge]].any():
            drop.append(free[-1])
            busy[edges[edge]] = True
    for edge in np.argsort(-length, kind="stable"):
        if length[edge] < 1.4 * h:
            break
        if not busy[edges[edge]].any() and tuple(edges[edge].tolist()) not in rim:
            add.append(points[edges[edge]].mean(axis=0))
            busy[edges[edge]] = True
    if not drop and not add:
        return None
    kept = np.ones(len(points), dtype=bool)
    kept[drop] = False
    return np.vstack([points[kept], *[a[None] for a in add]])
