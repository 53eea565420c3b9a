"""Sparse matrices with one small block per pair of nodes: the pattern of vector-valued elements, built once."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcspace.solvers.assembly import SparsePattern
from funcspace.solvers.front_pattern import nested_dissection
from funcspace.solvers.lane_factors import LaneFactors

__all__ = ["BlockPattern"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class BlockPattern:
    """Where the blocks (d, d) of local matrices go, in the whole matrix and in its part among the free unknowns.

    Unknown i of node n has the number d n + i: coefficients (nodes, d) flattened.

    Parameters
    ----------
    dofs : nodes of each element, (elements, local nodes).
    points : of the nodes, (nodes, d).
    fixed : unknowns whose values are given, ascending.

    Attributes
    ----------
    diagonal : places of the blocks on the diagonal, by node.
    """

    def __init__(self, dofs: IntArray, points: FloatArray, fixed: IntArray) -> None:
        import scipy.sparse as sp

        nodes, dim = points.shape
        self.points, self.dim, self.size, self.fixed = points, dim, nodes * dim, fixed
        self.free = np.setdiff1d(np.arange(self.size), fixed)
        self._scalar = SparsePattern([dofs], nodes, np.arange(nodes))
        count = self._scalar.nonzeros
        places = self._scalar.inner(np.arange(1.0, count + 1.0))
        self._order = places.data.astype(np.int64) - 1
        self.nonzeros = count * dim * dim
        self._structure = (places.indices, places.indptr)
        self._rows = np.repeat(np.arange(nodes), np.diff(places.indptr))
        self.diagonal = np.flatnonzero(self._rows == places.indices)
        numbers = np.arange(1.0, count * dim * dim + 1.0).reshape(count, dim, dim)
        whole = sp.bsr_matrix((numbers, *self._structure), shape=(self.size,) * 2).tocsr()
        rows = whole[self.free]
        self._inner, self._coupling = rows[:, self.free].tocsr(), rows[:, fixed].tocsr()
        self._inner_places = self._inner.data.astype(np.int64) - 1
        self._coupling_places = self._coupling.data.astype(np.int64) - 1

    def places(self, elements: int) -> IntArray:
        """Which entry of the whole matrix each entry of the local matrices adds to, (elements, nodes, d, nodes, d)."""
        block = np.empty_like(self._order)
        block[self._order] = np.arange(len(block))
        slots = block[self._scalar.slots(0)]
        nodes = math.isqrt(slots.size // elements)
        numbers = np.arange(self.dim * self.dim).reshape(self.dim, self.dim)
        return slots.reshape(elements, nodes, 1, nodes, 1) * self.dim**2 + numbers[:, None, :]

    @property
    def needed(self) -> NDArray[np.bool_]:
        """Entries of the whole matrix that a factorisation of its symmetric part among the free unknowns reads."""
        found = np.zeros(self.nonzeros, dtype=bool)
        found[self._coupling_places] = True
        found[self._inner_places[self.factors.pattern.sources]] = True
        return found

    @cached_property
    def factors(self) -> LaneFactors:
        """The pattern of the factors of the part among the free unknowns, those of a node eliminated together."""
        nodes = nested_dissection(self._graph(), self.points)
        place = np.full(self.size, -1)
        place[self.free] = np.arange(len(self.free))
        order = place[(nodes[:, None] * self.dim + np.arange(self.dim)).ravel()]
        return LaneFactors(self._inner, order[order >= 0])

    def blocks(self, local: FloatArray) -> FloatArray:
        """Blocks (n, d, d) of the whole matrix from local matrices (elements, nodes, d, nodes, d)."""
        found = np.empty((self._scalar.nonzeros, self.dim, self.dim))
        for i in range(self.dim):
            for j in range(self.dim):
                found[:, i, j] = self._scalar.values([local[:, :, i, :, j]])
        return found[self._order]

    def whole(self, blocks: FloatArray) -> Any:
        """The whole matrix, in rows of blocks."""
        import scipy.sparse as sp

        return sp.bsr_matrix((blocks, *self._structure), shape=(self.size,) * 2)

    def inner_entries(self, entries: FloatArray) -> FloatArray:
        """Entries of the part among the free unknowns, those of each matrix of a batch (nonzeros, samples)."""
        return entries[self._inner_places]

    def inner(self, blocks: FloatArray) -> Any:
        """The part among the free unknowns, CSR."""
        return self._with(self._inner, blocks.ravel()[self._inner_places])

    def coupling(self, blocks: FloatArray) -> Any:
        """The part from the given unknowns to the free ones, CSR."""
        return self._with(self._coupling, blocks.ravel()[self._coupling_places])

    def decoupled(self, blocks: FloatArray) -> Any:
        """The whole matrix with each given unknown decoupled from all others, so that nodes keep whole blocks."""
        keep = np.ones(self.size)
        keep[self.fixed] = 0.0
        keep = keep.reshape(-1, self.dim)
        found = blocks * keep[self._rows][:, :, None] * keep[self._structure[0]][:, None, :]
        own = np.einsum("nii->ni", blocks[self.diagonal])
        node, component = np.nonzero(keep == 0.0)
        found[self.diagonal[node], component, component] = np.abs(own[node, component])
        return self.whole(found)

    def _graph(self) -> Any:
        import scipy.sparse as sp

        indices, starts = self._structure
        return sp.csr_matrix((np.ones(len(indices)), indices, starts), shape=(len(starts) - 1,) * 2)

    @staticmethod
    def _with(pattern: Any, data: FloatArray) -> Any:
        import scipy.sparse as sp

        return sp.csr_matrix((data, pattern.indices, pattern.indptr), shape=pattern.shape)
