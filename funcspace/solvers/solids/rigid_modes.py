"""Rigid-body motions: the displacements without strain, and which of them supports leave free."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["free_motions", "rigid_modes"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

ROTATIONS = {2: ((0, 1),), 3: ((1, 2), (2, 0), (0, 1))}
TOLERANCE = 1e-8


def rigid_modes(points: FloatArray) -> FloatArray:
    """Translations and rotations about the middle of the points (n, d), as columns (n d, 3 or 6) of size about one.

    >>> import numpy as np
    >>> rigid_modes(np.array([[-1.0, 1.0], [1.0, -1.0]]))[:, 2].tolist()
    [-1.0, -1.0, 1.0, 1.0]
    """
    n, d = points.shape
    centred = points - points.mean(axis=0)
    centred = centred / max(float(np.abs(centred).max(initial=0.0)), 1e-300)
    modes = []
    for axis in range(d):
        mode = np.zeros((n, d))
        mode[:, axis] = 1.0
        modes.append(mode)
    for first, second in ROTATIONS[d]:
        mode = np.zeros((n, d))
        mode[:, first], mode[:, second] = -centred[:, second], centred[:, first]
        modes.append(mode)
    return np.stack([mode.ravel() for mode in modes], axis=1)


def free_motions(points: FloatArray, dofs: IntArray, fixed: IntArray, axes: tuple[str, ...]) -> list[str]:
    """Names of the rigid motions that fixing some unknowns leaves free, over all connected pieces of the body.

    Parameters
    ----------
    points : nodes (n, d).
    dofs : nodes of each element.
    fixed : numbers d n + i of the unknowns that are given.
    axes : names of the coordinates.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    n, d = points.shape
    first, others = np.repeat(dofs[:, :1], dofs.shape[1], axis=1).ravel(), dofs.ravel()
    graph = coo_matrix((np.ones(len(first)), (first, others)), shape=(n, n))
    count, label = connected_components(graph, directed=False)
    held = np.zeros(n * d, dtype=bool)
    held[fixed] = True
    found = []
    for piece in range(count):
        inside = np.flatnonzero(label == piece)
        own = points[inside]
        modes = rigid_modes(own)
        rows = held.reshape(n, d)[inside].ravel()
        where = "" if count == 1 else f" of the piece around {own.mean(axis=0).round(4).tolist()}"
        found += [name + where for name in _names(modes, rows, own, axes)]
    return found


def _names(modes: FloatArray, held: NDArray[np.bool_], points: FloatArray, axes: tuple[str, ...]) -> list[str]:
    """Names of a basis of the motions that vanish at the held unknowns."""
    total = modes.shape[1]
    _, sizes, directions = (
        np.linalg.svd(modes[held], full_matrices=True) if held.any() else (0, np.zeros(0), np.eye(total))
    )
    rank = int((sizes > TOLERANCE * max(float(sizes.max(initial=0.0)), 1.0)).sum())
    free = directions[rank:]
    if len(free) == 0:
        return []
    d = len(axes)
    labels = [f"translation along {axis}" for axis in axes]
    labels += ["rotation"] if d == 2 else [f"rotation about an axis along {axis}" for axis in axes]
    projector = free.T @ free
    names = [labels[i] for i in range(total) if projector[i, i] > 1.0 - 1e-6]
    if len(names) == len(free):
        return names
    mixed = [row for row in _reduced(free) if np.abs(row).sum() > 1.0 + 1e-6]
    return names + [_combination(row, points, axes) for row in mixed]


def _reduced(free: FloatArray) -> FloatArray:
    """Row echelon form, the rotations eliminated first, each row of largest entry one."""
    matrix = free[:, ::-1].copy()
    row = 0
    for column in range(matrix.shape[1]):
        if row == len(matrix):
            break
        pivot = row + int(np.abs(matrix[row:, column]).argmax())
        if abs(matrix[pivot, column]) < 1e-6:
            continue
        matrix[[row, pivot]] = matrix[[pivot, row]]
        matrix[row] /= matrix[row, column]
        for other in range(len(matrix)):
            if other != row:
                matrix[other] -= matrix[other, column] * matrix[row]
        row += 1
    matrix = matrix[:, ::-1]
    return matrix / np.abs(matrix).max(axis=1, keepdims=True)


def _combination(row: FloatArray, points: FloatArray, axes: tuple[str, ...]) -> str:
    d = len(axes)
    if np.abs(row[d:]).max() < 1e-6:
        return f"translation along {row[:d].round(4).tolist()}"
    if d == 2:
        middle = points.mean(axis=0)
        radius = float(np.abs(points - middle).max())
        # (a - w y / radius, b + w x / radius) about the middle vanishes at (-b, a) radius / w
        centre = middle + np.array([-row[1], row[0]]) * radius / row[2]
        return f"rotation about {(centre.round(4) + 0.0).tolist()}"
    turn = (row[d:] / np.linalg.norm(row[d:])).round(4) + 0.0
    return f"rotation about an axis along {turn.tolist()}"
