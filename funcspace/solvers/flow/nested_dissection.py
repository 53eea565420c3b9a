"""Elimination order of finite-element unknowns by nested dissection of the mesh (George, 1973)."""

from __future__ import annotations

from dataclasses import dataclass

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


def dissect(centres: FloatArray, leaf: int) -> Dissection:
    """Halve cells at the median of their centres along the longer side until at most about `leaf` are together."""
    count = len(centres)
    levels = max(0, int(np.ceil(np.log2(max(1.0, count / leaf)))))
    codes = np.zeros(count, dtype=np.int64)
    for _ in range(levels):
        groups = int(codes.max()) + 1
        starts = np.argsort(codes, kind="stable")
        sizes = np.bincount(codes, minlength=groups)
        offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        grouped = centres[starts]
        extent = np.maximum.reduceat(grouped, offsets) - np.minimum.reduceat(grouped, offsets)
        along = centres[np.arange(count), extent.argmax(axis=1)[codes]]
        ranked = np.lexsort((along, codes))
        rank = np.empty(count, dtype=np.int64)
        rank[ranked] = np.arange(count) - np.repeat(offsets, sizes)
        codes = 2 * codes + (2 * rank >= sizes[codes])
    return Dissection(codes, levels)
