"""Compiled kernels of point location: the bounding-volume tree, its traversal, and the inverse of a cell's map.

Imported only when points are located. A cell's map is kept as a polynomial, F(X) = x_0 + sum_k X^e_k p_k, and for affine
cells as the inverse matrix. The tree is complete: node i has the children 2i + 1 and 2i + 2, all leaves have one depth.
"""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["build_tree", "invert_many", "locate_many", "nearest_many"]

compiled = numba.njit(cache=True, nogil=True, error_model="numpy")

MAX_DEPTH = 64
FAILED = -1e300


@compiled
def _select(order, keys, start, stop, middle):
    """Reorder order[start:stop] so that the entry at `middle` is in its sorted place (Hoare's selection)."""
    low, high = start, stop - 1
    while low < high:
        pivot = keys[order[(low + high) // 2]]
        i, j = low, high
        while i <= j:
            while keys[order[i]] < pivot:
                i += 1
            while keys[order[j]] > pivot:
                j -= 1
            if i <= j:
                order[i], order[j] = order[j], order[i]
                i += 1
                j -= 1
        if middle <= j:
            high = j
        elif middle >= i:
            low = i
        else:
            return


@compiled
def build_tree(lower, upper, sizes, depth):
    """Order of the cells, node ranges (nodes, 2), boxes (nodes, 2, d), largest cell size and lowest cell of each node."""
    count, dim = lower.shape
    nodes = 2 ** (depth + 1) - 1
    order = np.arange(count)
    ranges = np.zeros((nodes, 2), dtype=np.int64)
    boxes = np.empty((nodes, 2, dim))
    size = np.zeros(nodes)
    lowest = np.full(nodes, count, dtype=np.int64)
    centres = 0.5 * (lower + upper)
    ranges[0, 1] = count
    inner = 2**depth - 1
    for node in range(inner):
        start, stop = ranges[node, 0], ranges[node, 1]
        middle = (start + stop) // 2
        axis, widest = 0, -1.0
        for a in range(dim):
            least, most = np.inf, -np.inf
            for k in range(start, stop):
                value = centres[order[k], a]
                least, most = min(least, value), max(most, value)
            if most - least > widest:
                axis, widest = a, most - least
        if stop - start > 1:
            _select(order, centres[:, axis], start, stop, middle)
        ranges[2 * node + 1, 0], ranges[2 * node + 1, 1] = start, middle
        ranges[2 * node + 2, 0], ranges[2 * node + 2, 1] = middle, stop
    for node in range(nodes - 1, -1, -1):
        for a in range(dim):
            boxes[node, 0, a], boxes[node, 1, a] = np.inf, -np.inf
        if node >= inner:
            for k in range(ranges[node, 0], ranges[node, 1]):
                cell = order[k]
                size[node] = max(size[node], sizes[cell])
                lowest[node] = min(lowest[node], cell)
                for a in range(dim):
                    boxes[node, 0, a] = min(boxes[node, 0, a], lower[cell, a])
                    boxes[node, 1, a] = max(boxes[node, 1, a], upper[cell, a])
        else:
            for child in (2 * node + 1, 2 * node + 2):
                size[node] = max(size[node], size[child])
                lowest[node] = min(lowest[node], lowest[child])
                for a in range(dim):
                    boxes[node, 0, a] = min(boxes[node, 0, a], boxes[child, 0, a])
                    boxes[node, 1, a] = max(boxes[node, 1, a], boxes[child, 1, a])
    return order, ranges, boxes, size, lowest


@compiled
def _evaluate(polynomial, exponents, at, value, jacobian):
    """F(X) - x_0 and its Jacobian; the first monomial is the constant and is left out."""
    dim = at.shape[0]
    for i in range(dim):
        value[i] = 0.0
        for j in range(dim):
            jacobian[i, j] = 0.0
    for k in range(1, exponents.shape[0]):
        term = 1.0
        for a in range(dim):
            for _ in range(exponents[k, a]):
                term *= at[a]
        for i in range(dim):
            value[i] += term * polynomial[k, i]
        for j in range(dim):
            power = exponents[k, j]
            if power > 0:
                slope = float(power)
                for a in range(dim):
                    for _ in range(exponents[k, a] - (1 if a == j else 0)):
                        slope *= at[a]
                for i in range(dim):
                    jacobian[i, j] += slope * polynomial[k, i]


@compiled
def _solve(matrix, right, out):
    """out = matrix^-1 right by Cramer's rule; False when the matrix is singular."""
    dim = right.shape[0]
    if dim == 1:
        if matrix[0, 0] == 0.0:
            return False
        out[0] = right[0] / matrix[0, 0]
        return True
    if dim == 2:
        det = matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]
        if det == 0.0:
            return False
        out[0] = (right[0] * matrix[1, 1] - matrix[0, 1] * right[1]) / det
        out[1] = (matrix[0, 0] * right[1] - right[0] * matrix[1, 0]) / det
        return True
    c00 = matrix[1, 1] * matrix[2, 2] - matrix[1, 2] * matrix[2, 1]
    c01 = matrix[1, 2] * matrix[2, 0] - matrix[1, 0] * matrix[2, 2]
    c02 = matrix[1, 0] * matrix[2, 1] - matrix[1, 1] * matrix[2, 0]
    det = matrix[0, 0] * c00 + matrix[0, 1] * c01 + matrix[0, 2] * c02
    if det == 0.0:
        return False
    c10 = matrix[0, 2] * matrix[2, 1] - matrix[0, 1] * matrix[2, 2]
    c11 = matrix[0, 0] * matrix[2, 2] - matrix[0, 2] * matrix[2, 0]
    c12 = matrix[0, 1] * matrix[2, 0] - matrix[0, 0] * matrix[2, 1]
    c20 = matrix[0, 1] * matrix[1, 2] - matrix[0, 2] * matrix[1, 1]
    c21 = matrix[0, 2] * matrix[1, 0] - matrix[0, 0] * matrix[1, 2]
    c22 = matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]
    out[0] = (c00 * right[0] + c10 * right[1] + c20 * right[2]) / det
    out[1] = (c01 * right[0] + c11 * right[1] + c21 * right[2]) / det
    out[2] = (c02 * right[0] + c12 * right[1] + c22 * right[2]) / det
    return True


@compiled
def _invert(cell, point, geometry, out, work):
    """Reference coordinates of a point in a cell; returns the slack (negative outside), or FAILED."""
    origins, inverses, polynomials, exponents, affine, simplex = geometry
    dim = point.shape[0]
    if affine:
        for i in range(dim):
            total = 0.0
            for j in range(dim):
                total += inverses[cell, i, j] * (point[j] - origins[cell, j])
            out[i] = total
    elif not _newton(cell, point, geometry, out, work):
        return FAILED
    slack, total = np.inf, 0.0
    for i in range(dim):
        slack = min(slack, out[i])
        total += out[i]
        if not simplex:
            slack = min(slack, 1.0 - out[i])
    return min(slack, 1.0 - total) if simplex else slack


@compiled
def _newton(cell, point, geometry, out, work):
    """Solve F(X) = x from the affine guess, then from the corners' side of the cell if that fails."""
    origins, inverses, polynomials, exponents, affine, simplex = geometry
    dim = point.shape[0]
    value, jacobian, right, step = work[0], work[1:4], work[4], work[5]
    for start in range(2**dim + 1):
        for i in range(dim):
            if start == 0:  # linearised at the middle of the cell, whose image is in `origins`
                total = 1.0 / (dim + 1) if simplex else 0.5
                for j in range(dim):
                    total += inverses[cell, i, j] * (point[j] - origins[cell, j])
                out[i] = min(max(total, -0.5), 1.5)
            else:
                out[i] = 0.9 / dim * float((start - 1) >> i & 1) + 0.05 if simplex else 0.1 + 0.8 * ((start - 1) >> i & 1)
        last = np.inf
        for _ in range(25):
            _evaluate(polynomials[cell], exponents, out, value, jacobian)
            for i in range(dim):
                right[i] = point[i] - polynomials[cell, 0, i] - value[i]
            if not _solve(jacobian[:dim, :dim], right[:dim], step[:dim]):
                break
            change = 0.0
            for i in range(dim):
                change = max(change, abs(step[i]))
            if not change < np.inf:
                break
            scale = 1.0 if change < 1.0 else 1.0 / change
            far = 0.0
            for i in range(dim):
                out[i] += scale * step[i]
                far = max(far, abs(out[i] - 0.5))
            if change < 1e-15 or (change < 1e-11 and change >= 0.5 * last):
                return True
            if far > 6.0:
                break
            last = change
    return False


@compiled
def locate_many(points, order, tolerance, tree, cells_data, geometry, found, reference):
    """For each point (in the given order) the cell and the reference coordinates; cell -1 where there is none.

    Of the cells that hold the point up to rounding the lowest is taken; if there is none, the one that misses it least.
    """
    ordering, ranges, boxes, sizes, lowest = tree
    lower, upper, cell_sizes, rounding = cells_data
    dim = points.shape[1]
    inner = (ranges.shape[0] - 1) // 2
    reach = 2.0 * (dim + 1) * tolerance + 1e-12
    stack = np.empty(MAX_DEPTH, dtype=np.int64)
    trial, work = np.empty(dim), np.zeros((6, 3))
    for item in range(order.shape[0]):
        index = order[item]
        point = points[index]
        best, best_slack, exact = -1, FAILED, False
        stack[0], top = 0, 1
        while top > 0:
            top -= 1
            node = stack[top]
            if exact and lowest[node] > best:
                continue
            margin, inside = reach * sizes[node], True
            for a in range(dim):
                if point[a] < boxes[node, 0, a] - margin or point[a] > boxes[node, 1, a] + margin:
                    inside = False
                    break
            if not inside:
                continue
            if node < inner:
                stack[top], stack[top + 1] = 2 * node + 2, 2 * node + 1
                top += 2
                continue
            for k in range(ranges[node, 0], ranges[node, 1]):
                cell = ordering[k]
                if exact and cell > best:
                    continue
                margin, inside = reach * cell_sizes[cell], True
                for a in range(dim):
                    if point[a] < lower[cell, a] - margin or point[a] > upper[cell, a] + margin:
                        inside = False
                        break
                if not inside:
                    continue
                slack = _invert(cell, point, geometry, trial, work)
                if slack < -max(tolerance, rounding[cell]):
                    continue
                holds = slack >= -rounding[cell]
                if exact:
                    take = holds and cell < best
                else:
                    take = holds or slack > best_slack or (slack == best_slack and cell < best)
                if take:
                    best, best_slack, exact = cell, slack, holds
                    for a in range(dim):
                        reference[index, a] = trial[a]
        found[index] = best


@compiled
def invert_many(points, cells, geometry, reference, slack):
    """Reference coordinates of each point in a given cell, and its slack there."""
    trial, work = np.empty(points.shape[1]), np.zeros((6, 3))
    for index in range(points.shape[0]):
        slack[index] = _invert(cells[index], points[index], geometry, trial, work)
        reference[index] = trial


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
def _nearest_curved(cell, point, geometry, frames, out, work):
    """Nearest point of a quadrilateral, hexahedron or curved cell to a point outside, by its facets.

    On each facet: the best of a lattice of samples, then projected Levenberg-Marquardt steps on the parameter square.
    """
    origins, inverses, polynomials, exponents, affine, simplex = geometry
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
            _evaluate(polynomials[cell], exponents, place, value, jacobian)
            distance = 0.0
            for i in range(dim):
                distance += (polynomials[cell, 0, i] + value[i] - point[i]) ** 2
            if distance < current:
                current, now[0], now[1] = distance, trial[0], trial[1]
        damping = 1e-8
        for _ in range(60 if free_dims > 0 else 0):
            _facet_place(frame, now, place)
            _evaluate(polynomials[cell], exponents, place, value, jacobian)
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
                _evaluate(polynomials[cell], exponents, place, value, jacobian)
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
def nearest_many(points, limit, tree, cells_data, geometry, corners, facets, frames, found, reference, distance):
    """Nearest cell of each point, the reference coordinates of the nearest point in it, and the distance; -1 beyond limit."""
    ordering, ranges, boxes, sizes, lowest = tree
    lower, upper, cell_sizes, rounding = cells_data
    affine = geometry[4]
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
                if _box_distance(point, boxes[left, 0], boxes[left, 1]) <= _box_distance(point, boxes[right, 0], boxes[right, 1]):
                    stack[top], stack[top + 1] = right, left
                else:
                    stack[top], stack[top + 1] = left, right
                top += 2
                continue
            for k in range(ranges[node, 0], ranges[node, 1]):
                cell = ordering[k]
                if _box_distance(point, lower[cell], upper[cell]) > least:
                    continue
                if _invert(cell, point, geometry, trial, work) >= 0.0:
                    gap = 0.0
                elif affine:
                    gap = _nearest_affine(cell, point, corners, facets, trial)
                else:
                    gap = _nearest_curved(cell, point, geometry, frames, trial, work)
                if gap < least or (gap == least and (best < 0 or cell < best)):
                    best, least = cell, gap
                    for a in range(dim):
                        reference[index, a] = trial[a]
        found[index] = best
        distance[index] = np.sqrt(least) if best >= 0 else np.inf
