"""Compiled search for the nearest point of a mesh to a point outside.

Numba's cache on disk follows changes of this file only: after a change in `mesh_kernels`, save this file anew too.
"""

from __future__ import annotations

import numpy as np

from funcspace.geometry.meshes.mesh_kernels import MAX_DEPTH, compiled, evaluate, invert

__all__ = ["nearest_many"]


@compiled
def _on_segment(point, a, b):
    """Parameter in [0, 1] of the point of the segment ab nearest to `point`."""
    along, length = 0.0, 0.0
    for i in range(point.shape[0]):
        along += (point[i] - a[i]) * (b[i] - a[i])
        length += (b[i] - a[i]) ** 2
    return min(max(along / length, 0.0), 1.0)


@compiled
def _on_triangle(point, a, b, c, out):
    """Barycentric coordinates of the point of the triangle abc in space nearest to `point`."""
    g00 = g01 = g11 = r0 = r1 = 0.0
    for i in range(3):
        u, v, w = b[i] - a[i], c[i] - a[i], point[i] - a[i]
        g00 += u * u
        g01 += u * v
        g11 += v * v
        r0 += u * w
        r1 += v * w
    det = g00 * g11 - g01 * g01
    s, t = (g11 * r0 - g01 * r1) / det, (g00 * r1 - g01 * r0) / det
    if s >= 0.0 and t >= 0.0 and s + t <= 1.0:
        out[0], out[1], out[2] = 1.0 - s - t, s, t
        return
    least = np.inf
    for edge in range(3):
        p, q = (a, b) if edge == 0 else ((b, c) if edge == 1 else (a, c))
        first, second = (0, 1) if edge == 0 else ((1, 2) if edge == 1 else (0, 2))
        fraction = _on_segment(point, p, q)
        distance = 0.0
        for i in range(3):
            distance += (p[i] + fraction * (q[i] - p[i]) - point[i]) ** 2
        if distance < least:
            least = distance
            out[0] = out[1] = out[2] = 0.0
            out[first], out[second] = 1.0 - fraction, fraction
    return


@compiled
def _nearest_affine(cell, point, corners, facets, out):
    """Nearest point of a simplex to a point outside: its reference coordinates and squared distance."""
    dim = point.shape[0]
    least, weights = np.inf, np.zeros(3)
    for f in range(facets.shape[0]):
        if dim == 1:
            weights[0] = 1.0
        elif dim == 2:
            weights[1] = _on_segment(point, corners[cell, facets[f, 0]], corners[cell, facets[f, 1]])
            weights[0] = 1.0 - weights[1]
        else:
            a, b, c = corners[cell, facets[f, 0]], corners[cell, facets[f, 1]], corners[cell, facets[f, 2]]
            _on_triangle(point, a, b, c, weights)
        distance = 0.0
        for i in range(dim):
            value = -point[i]
            for k in range(dim):
                value += weights[k] * corners[cell, facets[f, k], i]
            distance += value * value
        if distance < least:
            least = distance
            for i in range(dim):
                out[i] = 0.0
            for k in range(dim):
                if facets[f, k] > 0:
                    out[facets[f, k] - 1] = weights[k]
    return least


@compiled
def _facet_place(frame, parameters, out):
    """A point of a facet of the reference cell; triangles are parametrised by the collapsed square. frame (4, d)."""
    for i in range(out.shape[0]):
        out[i] = frame[0, i] + parameters[0] * frame[1, i]
        out[i] += parameters[1] * (1.0 - frame[3, 0] * parameters[0]) * frame[2, i]


@compiled
def _nearest_curved(cell, point, polynomials, exponents, frames, out, work):
    """Nearest point of a quadrilateral, hexahedron or curved cell to a point outside, by its facets.

    On each facet: the best of a lattice of samples, then projected Levenberg-Marquardt steps on the parameter square.
    """
    dim = point.shape[0]
    value, jacobian = work[0], work[1:4]
    place, residual = np.empty(dim), np.empty(dim)
    now, trial, gradient, tangent = np.zeros(2), np.zeros(2), np.zeros(2), np.zeros((3, 2))
    least, free_dims = np.inf, dim - 1
    for f in range(frames.shape[0]):
        frame = frames[f]
        current = np.inf
        for sample in range(7**free_dims):
            trial[0], trial[1] = (sample % 7) / 6.0, (sample // 7) / 6.0
            _facet_place(frame, trial, place)
            evaluate(polynomials[cell], exponents, place, value, jacobian)
            distance = 0.0
            for i in range(dim):
                distance += (polynomials[cell, 0, i] + value[i] - point[i]) ** 2
            if distance < current:
                current, now[0], now[1] = distance, trial[0], trial[1]
        damping = 1e-8
        for _ in range(60 if free_dims > 0 else 0):
            _facet_place(frame, now, place)
            evaluate(polynomials[cell], exponents, place, value, jacobian)
            for i in range(dim):
                residual[i] = polynomials[cell, 0, i] + value[i] - point[i]
            collapse = frame[3, 0]
            g00 = g01 = g11 = 0.0
            gradient[0] = gradient[1] = 0.0
            for i in range(dim):
                tangent[i, 0] = tangent[i, 1] = 0.0
                for j in range(dim):
                    tangent[i, 0] += jacobian[i, j] * (frame[1, j] - collapse * now[1] * frame[2, j])
                    tangent[i, 1] += jacobian[i, j] * (1.0 - collapse * now[0]) * frame[2, j]
                gradient[0] += tangent[i, 0] * residual[i]
                gradient[1] += tangent[i, 1] * residual[i]
                g00 += tangent[i, 0] ** 2
                g01 += tangent[i, 0] * tangent[i, 1]
                g11 += tangent[i, 1] ** 2
            hold0 = (now[0] <= 0.0 and gradient[0] > 0.0) or (now[0] >= 1.0 and gradient[0] < 0.0)
            hold1 = free_dims < 2 or (now[1] <= 0.0 and gradient[1] > 0.0) or (now[1] >= 1.0 and gradient[1] < 0.0)
            improved = False
            for _attempt in range(12):
                scale = damping * (g00 + g11)
                d0 = d1 = 0.0
                if not hold0 and not hold1:
                    det = (g00 + scale) * (g11 + scale) - g01 * g01
                    if det > 0.0:
                        d0 = -((g11 + scale) * gradient[0] - g01 * gradient[1]) / det
                        d1 = -((g00 + scale) * gradient[1] - g01 * gradient[0]) / det
                elif not hold0 and g00 + scale > 0.0:
                    d0 = -gradient[0] / (g00 + scale)
                elif not hold1 and g11 + scale > 0.0:
                    d1 = -gradient[1] / (g11 + scale)
                trial[0] = min(max(now[0] + d0, 0.0), 1.0)
                trial[1] = min(max(now[1] + d1, 0.0), 1.0)
                _facet_place(frame, trial, place)
                evaluate(polynomials[cell], exponents, place, value, jacobian)
                distance = 0.0
                for i in range(dim):
                    distance += (polynomials[cell, 0, i] + value[i] - point[i]) ** 2
                if distance < current:
                    moved = max(abs(trial[0] - now[0]), abs(trial[1] - now[1]))
                    current, now[0], now[1] = distance, trial[0], trial[1]
                    damping = max(damping * 0.1, 1e-12)
                    improved = moved > 1e-14
                    break
                damping *= 10.0
            if not improved:
                break
        if current < least:
            least = current
            _facet_place(frame, now, out)
    return least


@compiled
def _box_distance(point, low, high):
    total = 0.0
    for a in range(point.shape[0]):
        gap = max(low[a] - point[a], point[a] - high[a])
        if gap > 0.0:
            total += gap * gap
    return total


@compiled
def nearest_many(
    points,
    limit,
    tree,
    cells_data,
    origins,
    inverses,
    polynomials,
    exponents,
    simplex,
    corners,
    facets,
    frames,
    found,
    reference,
    distance,
):
    """Nearest cell of each point (-1 beyond the limit), reference coordinates of the nearest point in it, distance."""
    ordering, ranges, boxes, _sizes, _lowest = tree
    lower, upper, _cell_sizes, _rounding = cells_data
    dim = points.shape[1]
    inner = (ranges.shape[0] - 1) // 2
    stack = np.empty(MAX_DEPTH, dtype=np.int64)
    trial, work = np.empty(dim), np.zeros((6, 3))
    for index in range(points.shape[0]):
        point = points[index]
        best, least = -1, limit * limit
        stack[0], top = 0, 1
        while top > 0:
            top -= 1
            node = stack[top]
            if _box_distance(point, boxes[node, 0], boxes[node, 1]) > least:
                continue
            if node < inner:
                left, right = 2 * node + 1, 2 * node + 2
                if _box_distance(point, boxes[left, 0], boxes[left, 1]) <= _box_distance(
                    point, boxes[right, 0], boxes[right, 1]
                ):
                    stack[top], stack[top + 1] = right, left
                else:
                    stack[top], stack[top + 1] = left, right
                top += 2
                continue
            for k in range(ranges[node, 0], ranges[node, 1]):
                cell = ordering[k]
                if _box_distance(point, lower[cell], upper[cell]) > least:
                    continue
                if invert(cell, point, origins, inverses, polynomials, exponents, simplex, trial, work) >= 0.0:
                    gap = 0.0
                elif polynomials is None:
                    gap = _nearest_affine(cell, point, corners, facets, trial)
                else:
                    gap = _nearest_curved(cell, point, polynomials, exponents, frames, trial, work)
                if gap < least or (gap == least and (best < 0 or cell < best)):
                    best, least = cell, gap
                    for a in range(dim):
                        reference[index, a] = trial[a]
        found[index] = best
        distance[index] = np.sqrt(least) if best >= 0 else np.inf
