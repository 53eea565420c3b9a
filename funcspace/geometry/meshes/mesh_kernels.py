"""Compiled kernels of point location: the inverse of a cell's map, and the search for the cell that holds a point.

Imported only when points are located. A cell's map is kept as a polynomial, F(X) = x_0 + sum_k X^e_k p_k; of affine
cells the inverse matrix is enough, and `polynomials` is None. The tree is that of `mesh_tree`.
"""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["FAILED", "MAX_DEPTH", "compiled", "evaluate", "invert", "invert_many", "locate_many"]

compiled = numba.njit(cache=True, nogil=True, error_model="numpy")

MAX_DEPTH = 64
FAILED = -1e300


@compiled
def evaluate(polynomial, exponents, at, value, jacobian):
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
    """Solve matrix out = right by Cramer's rule; False when the matrix is singular."""
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
def invert(cell, point, origins, inverses, polynomials, exponents, simplex, out, work):
    """Reference coordinates of a point in a cell; returns the slack (negative outside), or FAILED."""
    dim = point.shape[0]
    if polynomials is None:  # numba compiles only the branch that applies
        for i in range(dim):
            total = 0.0
            for j in range(dim):
                total += inverses[cell, i, j] * (point[j] - origins[cell, j])
            out[i] = total
    elif not _newton(cell, point, origins, inverses, polynomials, exponents, simplex, out, work):
        return FAILED
    slack, total = np.inf, 0.0
    for i in range(dim):
        slack = min(slack, out[i])
        total += out[i]
        if not simplex:
            slack = min(slack, 1.0 - out[i])
    return min(slack, 1.0 - total) if simplex else slack


@compiled
def _newton(cell, point, origins, inverses, polynomials, exponents, simplex, out, work):
    """Solve F(X) = x from the affine guess, then from the corners' side of the cell if that fails."""
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
                out[i] = (
                    0.9 / dim * float((start - 1) >> i & 1) + 0.05 if simplex else 0.1 + 0.8 * ((start - 1) >> i & 1)
                )
        last = np.inf
        for _ in range(25):
            evaluate(polynomials[cell], exponents, out, value, jacobian)
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
def locate_many(
    points,
    order,
    tolerance,
    tree,
    cells_data,
    origins,
    inverses,
    polynomials,
    exponents,
    simplex,
    found,
    reference,
):
    """For each point (in the given order) the cell and the reference coordinates; cell -1 where there is none.

    Of the cells that hold the point up to rounding the lowest is taken; if there is none, the one that misses it
    least. A cell that holds the point by more than rounding is the only one, so the search ends there; the last such
    cell is tried first.
    """
    ordering, ranges, boxes, sizes, lowest = tree
    lower, upper, cell_sizes, rounding = cells_data
    dim = points.shape[1]
    inner = (ranges.shape[0] - 1) // 2
    reach = 2.0 * (dim + 1) * tolerance + 1e-12
    stack = np.empty(MAX_DEPTH, dtype=np.int64)
    trial, work = np.empty(dim), np.zeros((6, 3))
    last = -1
    for item in range(order.shape[0]):
        index = order[item]
        point = points[index]
        if last >= 0:
            inside = True
            for a in range(dim):
                if point[a] < lower[last, a] or point[a] > upper[last, a]:
                    inside = False
                    break
            if (
                inside
                and invert(last, point, origins, inverses, polynomials, exponents, simplex, trial, work)
                > rounding[last]
            ):
                found[index] = last
                for a in range(dim):
                    reference[index, a] = trial[a]
                continue
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
                slack = invert(cell, point, origins, inverses, polynomials, exponents, simplex, trial, work)
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
                    if slack > rounding[cell]:
                        top, last = 0, cell
                        break
        found[index] = best


@compiled
def invert_many(points, cells, origins, inverses, polynomials, exponents, simplex, reference, slack):
    """Reference coordinates of each point in a given cell, and its slack there."""
    trial, work = np.empty(points.shape[1]), np.zeros((6, 3))
    for index in range(points.shape[0]):
        slack[index] = invert(
            cells[index], points[index], origins, inverses, polynomials, exponents, simplex, trial, work
        )
        reference[index] = trial
