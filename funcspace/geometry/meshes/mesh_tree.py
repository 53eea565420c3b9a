"""The bounding-volume tree over the cells of a mesh.

The tree is complete: node i has the children 2i + 1 and 2i + 2, and all leaves have one depth. Each level halves the
cells of every node along the axis in which their midpoints spread most.
"""

from __future__ import annotations

import numpy as np

from funcspace.geometry.meshes.reference_cells import FloatArray, IntArray

__all__ = ["Tree", "build_tree"]

# order of the cells, range of each node in it, box of each node, largest cell size and lowest cell in it
Tree = tuple[IntArray, IntArray, FloatArray, FloatArray, IntArray]


def build_tree(lower: FloatArray, upper: FloatArray, sizes: FloatArray, leaf: int = 4) -> Tree:
    """Tree over boxes (m, d) of cells with at most about `leaf` of them in a leaf.

    Returns the order of the cells (m,); for each node its range in that order (nodes, 2), its box (nodes, 2, d), and
    of its cells the largest size (nodes,) and the lowest index (nodes,).
    """
    count = len(lower)
    depth = max(0, int(np.ceil(np.log2(count / leaf))))
    centres, order = (lower + upper) / 2, np.arange(count, dtype=np.int64)
    edges = np.array([0, count], dtype=np.int64)
    ranges = [np.stack([edges[:-1], edges[1:]], axis=1)]
    for _ in range(depth):
        order = _sorted_within(order, centres, edges)
        halved = np.empty(2 * len(edges) - 1, dtype=np.int64)
        halved[::2], halved[1::2] = edges, (edges[:-1] + edges[1:]) // 2
        edges = halved
        ranges.append(np.stack([edges[:-1], edges[1:]], axis=1))
    starts = edges[:-1]
    low, high = np.minimum.reduceat(lower[order], starts), np.maximum.reduceat(upper[order], starts)
    size, first = np.maximum.reduceat(sizes[order], starts), np.minimum.reduceat(order, starts)
    levels = [(np.stack([low, high], axis=1), size, first)]
    while len(levels[-1][1]) > 1:
        box, size, first = levels[-1]
        low, high = np.minimum(box[::2, 0], box[1::2, 0]), np.maximum(box[::2, 1], box[1::2, 1])
        pairs = np.stack([low, high], axis=1), np.maximum(size[::2], size[1::2]), np.minimum(first[::2], first[1::2])
        levels.append(pairs)
    boxes, largest, lowest = (np.concatenate([level[i] for level in reversed(levels)]) for i in range(3))
    return order, np.concatenate(ranges), np.ascontiguousarray(boxes), largest, lowest


def _sorted_within(order: IntArray, centres: FloatArray, edges: IntArray) -> IntArray:
    """The cells of each segment of the order sorted along the widest axis of that segment."""
    placed = centres[order]
    low, high = np.minimum.reduceat(placed, edges[:-1]), np.maximum.reduceat(placed, edges[:-1])
    axis = (high - low).argmax(axis=1)
    segment = np.repeat(np.arange(len(edges) - 1), np.diff(edges))
    take = np.arange(len(axis))
    width = np.maximum((high - low)[take, axis], 1e-300)
    fraction = (placed[np.arange(len(placed)), axis[segment]] - low[take, axis][segment]) / width[segment]
    return order[np.argsort(segment + 0.999 * fraction, kind="stable")]
