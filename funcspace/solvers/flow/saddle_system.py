"""The linear systems of incompressible flow: where the blocks go in one sparse matrix, in a good elimination order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcspace.solvers.flow.nested_dissection import dissect
from funcspace.solvers.flow.taylor_hood import TaylorHood

__all__ = ["SaddleSystem"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

LEAF_CELLS = 4


class SaddleSystem:
    r"""Pattern of :math:`\begin{pmatrix} K & B^T \\ B & 0 \end{pmatrix}` with some unknowns fixed.

    Unknowns are numbered component after component, the pressure last: dof k of component i is i N + k. The entries of
    a matrix are kept as `momentum` (d, d, entries) or (entries,) when all diagonal blocks are alike and the others
    vanish, on one scalar pattern.

    Parameters
    ----------
    elements : the pair of elements.
    fixed : unknowns that are known, ascending.
    coupled : whether components of the velocity are coupled in K.
    """

    def __init__(self, elements: TaylorHood, fixed: IntArray, *, coupled: bool) -> None:
        import scipy.sparse as sp

        d, n, m = elements.dim, elements.n_velocity, elements.n_pressure
        self.size, self.coupled, self.dim = d * n + m, coupled, d
        rows, columns, self.slots = scalar_pattern(elements.dofs, elements.dofs, n, n)
        self.entries = len(rows)
        self._scalar = sp.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(n, n))
        pressure_rows, pressure_columns, slots = scalar_pattern(elements.pressure_dofs, elements.dofs, m, n)
        local = elements.divergence()
        self._divergence = np.stack(
            [np.bincount(slots.ravel(), weights=block.ravel(), minlength=len(pressure_rows)) for block in local]
        )
        pairs = [(i, j) for i in range(d) for j in range(d) if coupled or i == j]
        all_rows = [i * n + rows for i, _ in pairs]
        all_columns = [j * n + columns for _, j in pairs]
        for i in range(d):
            all_rows += [d * n + pressure_rows, i * n + pressure_columns]
            all_columns += [i * n + pressure_columns, d * n + pressure_rows]
        row, column = np.concatenate(all_rows), np.concatenate(all_columns)
        places = np.arange(1, len(row) + 1, dtype=np.float64)
        whole = sp.csr_matrix((places, (row, column)), shape=(self.size, self.size))
        self.divergence: Any = sp.csr_matrix(
            (
                self._divergence.ravel(),
                (np.tile(pressure_rows, d), np.concatenate([i * n + pressure_columns for i in range(d)])),
            ),
            shape=(m, d * n),
        )
        free = np.ones(self.size, dtype=bool)
        free[fixed] = False
        self.fixed = fixed
        # Constants are pressures that no free velocity feels where the velocity through the whole boundary is given.
        felt = np.abs(self.divergence.T @ np.ones(m))[free[: d * n]]
        largest = np.abs(self._divergence).max()
        self.undetermined = bool(felt.max(initial=0.0) < 1e-10 * largest)
        # Pressures in corners all of whose velocities are given: their equations hold or not whatever the flow does.
        touching = abs(self.divergence)[:, np.flatnonzero(free[: d * n])]
        sums = np.asarray(touching.sum(axis=1)).ravel()
        self.unfelt = np.flatnonzero(sums < 1e-12 * sums.max(initial=0.0))
        self._beside = [self._neighbours(elements, int(dof)) for dof in self.unfelt]
        free[d * n + self.unfelt] = False
        order = self._elimination_order(elements, free)
        if self.undetermined:
            pressures = np.flatnonzero(order >= d * n)
            self.pinned = int(order[pressures[-1]])
            order = np.delete(order, pressures[-1])
        self.free = order
        ordered = whole[order]
        self._inner = ordered[:, order].tocsc()
        self._coupling = ordered[:, fixed].tocsr()
        self._reaction = whole[fixed].tocsr()
        self._places = [block.data.astype(np.int64) - 1 for block in (self._inner, self._coupling, self._reaction)]

    def _neighbours(self, elements: TaylorHood, dof: int) -> IntArray:
        """Pressures of the cells around one that no velocity feels, itself and its like left out."""
        cells = (elements.pressure_dofs == dof).any(axis=1)
        return np.setdiff1d(elements.pressure_dofs[cells], self.unfelt)

    def fill_unfelt(self, states: FloatArray) -> None:
        """In states (samples, unknowns) give pressures that no velocity feels the mean of those beside them."""
        offset = self.size - self.divergence.shape[0]
        for dof, beside in zip(self.unfelt, self._beside, strict=True):
            if len(beside):
                states[:, offset + dof] = states[:, offset + beside].mean(axis=1)

    def _elimination_order(self, elements: TaylorHood, free: NDArray[np.bool_]) -> IntArray:
        """Free unknowns by nested dissection; within a set of cells velocities come before pressures."""
        corners = elements.mesh.cells.numpy()
        centres = elements.mesh.points.numpy()[corners].mean(axis=1)
        tree = dissect(centres, elements.dofs, LEAF_CELLS)
        velocity = tree.order(*tree.owners(elements.dofs, elements.n_velocity))
        pressure = tree.order(*tree.owners(elements.pressure_dofs, elements.n_pressure))
        keys = np.concatenate([np.tile(2 * velocity, self.dim), 2 * pressure + 1])
        place = np.concatenate([np.tile(np.arange(elements.n_velocity), self.dim), np.arange(elements.n_pressure)])
        order = np.lexsort((place, keys))
        return order[free[order]]

    def values(self, momentum: FloatArray) -> FloatArray:
        """All entries of the matrix, from those of K."""
        if momentum.ndim == 1:
            blocks = np.zeros((self.dim, self.dim, self.entries))
            blocks[range(self.dim), range(self.dim)] = momentum
        else:
            blocks = momentum
        pairs = [blocks[i, j] for i in range(self.dim) for j in range(self.dim) if self.coupled or i == j]
        return np.concatenate([*pairs, *np.repeat(self._divergence, 2, axis=0)])

    def inner(self, values: FloatArray) -> Any:
        """The matrix among the free unknowns in their order, CSC."""
        import scipy.sparse as sp

        data = values[self._places[0]]
        return sp.csc_matrix((data, self._inner.indices, self._inner.indptr), shape=self._inner.shape)

    def coupling(self, values: FloatArray) -> Any:
        """The block from fixed to free unknowns, CSR."""
        return self._csr(self._coupling, values[self._places[1]])

    def reaction(self, values: FloatArray) -> Any:
        """The rows of the fixed unknowns, CSR over all unknowns."""
        return self._csr(self._reaction, values[self._places[2]])

    def scalar_matrix(self, entries: FloatArray) -> Any:
        """The matrix (N, N) of entries on the scalar pattern, CSR."""
        return self._csr(self._scalar, entries)

    @staticmethod
    def _csr(pattern: Any, data: FloatArray) -> Any:
        import scipy.sparse as sp

        return sp.csr_matrix((data, pattern.indices, pattern.indptr), shape=pattern.shape)

    def scatter(self, local: FloatArray) -> FloatArray:
        """Entries on the scalar pattern from local matrices (cells, k, k)."""
        found = np.bincount(self.slots.ravel(), weights=local.ravel(), minlength=self.entries)
        return np.asarray(found, dtype=np.float64)


def scalar_pattern(row_dofs: IntArray, column_dofs: IntArray, n_rows: int, n_columns: int) -> tuple[IntArray, ...]:
    """Rows and columns of the entries of a matrix, and the entry (cells, k, l) of each local one."""
    keys = row_dofs[:, :, None] * n_columns + column_dofs[:, None, :]
    unique, slots = np.unique(keys, return_inverse=True)
    return unique // n_columns, unique % n_columns, slots.reshape(keys.shape).astype(np.int64)
