"""Elimination order of finite-element unknowns by nested dissection of the mesh (George, 1973)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

__all__ = ["Dissection", "dissect"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Dissection:
    """The cells of a mesh, halved again and again; what both halves share is eliminated after either.

    Attributes
    ----------
    codes : the leaf of each cell, a number of `levels` bits whose leading bits tell the halves that it lies in.
    levels : number of times the cells are halved.
    """

    codes: IntArray
    levels: int

    def owners(self, dofs: IntArray, size: int) -> tuple[IntArray, IntArray]:
        """Prefix and height (size,) of the smallest set of cells, in the tree of halves, that has all cells of a dof.

        Parameters
        ----------
        dofs : (cells, local) dofs.
        size : number of dofs.
        """
        flat, codes = dofs.ravel(), np.repeat(self.codes, dofs.shape[1])
        low = np.full(size, 1 << self.levels, dtype=np.int64)
        high = np.zeros(size, dtype=np.int64)
        np.minimum.at(low, flat, codes)
        np.maximum.at(high, flat, codes)
        height = np.zeros(size, dtype=np.int64)
        differing = low ^ high
        while differing.any():
            height += differing > 0
            differing >>= 1
        return low >> height, height

    def order(self, prefix: IntArray, height: IntArray) -> IntArray:
        """Keys by which sets of cells come in postorder: every set after all sets within it."""
        return ((prefix + 1) << height) * (self.levels + 1) + height


def dissect(centres: FloatArray, dofs: IntArray, leaf: int) -> Dissection:
    """Halve the cells at the median of their centres along the direction that cuts the fewest dofs, again and again.

    Parameters
    ----------
    centres : (cells, d).
    dofs : (cells, local) dofs; those with cells on both sides are cut.
    leaf : about how many cells stay together in the end.
    """
    count = len(centres)
    levels = max(0, int(np.ceil(np.log2(max(1.0, count / leaf)))))
    heights = centres @ _directions(centres.shape[1]).T
    order = np.argsort(dofs.ravel(), kind="stable")
    owner = order // dofs.shape[1]
    starts = np.flatnonzero(np.diff(dofs.ravel()[order], prepend=-1))
    codes = np.zeros(count, dtype=np.int64)
    for _ in range(levels):
        sizes = np.bincount(codes, minlength=int(codes.max()) + 1)
        offsets = np.cumsum(sizes) - sizes
        low, high = _extremes(codes[owner], starts)
        fewest = np.full(len(sizes), count * dofs.shape[1])
        side = np.zeros(count, dtype=np.int64)
        for height in heights.T:
            rank = np.empty(count, dtype=np.int64)
            rank[np.lexsort((height, codes))] = np.arange(count) - np.repeat(offsets, sizes)
            half = (2 * rank >= sizes[codes]).astype(np.int64)
            first, last = _extremes(half[owner], starts)
            cut = np.bincount(low[(low == high) & (first != last)], minlength=len(sizes))
            better = cut < fewest
            fewest = np.where(better, cut, fewest)
            side = np.where(better[codes], half, side)
        codes = 2 * codes + side
    return Dissection(codes, levels)


def _directions(dim: int) -> FloatArray:
    """Unit vectors, one of each opposite pair: eight in the plane, thirteen in space."""
    if dim == 2:
        angles = np.pi * np.arange(8) / 8
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)
    steps = np.array([v for v in product((-1.0, 0.0, 1.0), repeat=dim) if v > (0.0,) * dim])
    return steps / np.linalg.norm(steps, axis=1, keepdims=True)


def _extremes(values: IntArray, starts: IntArray) -> tuple[IntArray, IntArray]:
    """Least and largest of each run of values."""
    return np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
