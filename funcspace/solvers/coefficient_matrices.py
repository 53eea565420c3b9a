"""Matrices of many coefficients on one mesh: the linear map from values at quadrature points to matrix entries."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcspace.solvers.assembly import SparsePattern
from funcspace.solvers.lane_factors import LANES

__all__ = ["CoefficientMatrix"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class CoefficientMatrix:
    r"""The entries of a matrix that is linear in a coefficient: :math:`A_j = \sum_{e, q} T_{jeq} w_{eq} k_{eq}`.

    Where T is the same at all points of a cell (products of gradients of linear elements on straight simplices), the
    coefficient is integrated over each cell first.

    Parameters
    ----------
    table : T by cell, entry of the local matrix and quadrature point, (elements, local entries, q).
    weights : w, (elements, q).
    places : which entry of the matrix each entry of a local matrix adds to, (elements, local entries); negative where
        it is not wanted.
    size : number of entries of the matrix.
    """

    def __init__(self, table: FloatArray, weights: FloatArray, places: IntArray, size: int) -> None:
        import scipy.sparse as sp

        self._weights: FloatArray | None = None
        if np.ptp(table, axis=2).max(initial=0.0) <= 1e-13 * np.abs(table).max(initial=1e-300):
            self._weights = np.ascontiguousarray(weights)
            table = table[..., :1]
        else:
            table = table * weights[:, None, :]
        points = table.shape[2]
        wanted = (places >= 0)[..., None] & (table != 0.0)
        element, _, point = np.nonzero(wanted)
        rows = np.broadcast_to(places[..., None], table.shape)[wanted]
        self._map = sp.csr_matrix((table[wanted], (rows, element * points + point)), shape=(size, len(table) * points))

    @classmethod
    def scalar(cls, elements: Any, kind: str, pattern: SparsePattern, group: int = 0) -> CoefficientMatrix:
        r"""The entries of :math:`\int k \nabla\phi_i\cdot\nabla\phi_j` or :math:`\int c\,\phi_i\phi_j`.

        Parameters
        ----------
        elements : cells or facets of an `Assembly`.
        kind : "grad" or "value".
        pattern : where local matrices go.
        group : which group of the pattern's local matrices these are.
        """
        values = elements.table(kind, slice(None))
        table = np.einsum("iaeq,jaeq->eijq" if kind == "grad" else "ieq,jeq->eijq", values, values)
        places = pattern.slots(group).reshape(len(table), -1)
        return cls(table.reshape(*places.shape, -1), elements.weights, places, pattern.nonzeros)

    def of_nodal_values(self, evaluation: Any) -> CoefficientMatrix:
        """The entries from nodal values, given the map (CSR) from these to values at the quadrature points."""
        import scipy.sparse as sp

        found = object.__new__(CoefficientMatrix)
        if self._weights is not None:
            cells, points = self._weights.shape
            starts = np.arange(0, cells * points + 1, points)
            sums = sp.csr_matrix((self._weights.ravel(), np.arange(cells * points), starts))
            evaluation = sums @ evaluation
        found._weights, found._map = None, (self._map @ evaluation).tocsr()
        found._map.sort_indices()
        return found

    def add_entries(self, values: FloatArray, lanes: IntArray, out: FloatArray) -> None:
        """Add the entries for eight rows of coefficients (samples, points), in C order, to `out` (size, 8)."""
        from funcspace.solvers import _lane_products

        kernels: Any = _lane_products
        x = np.empty(self._map.shape[1] * LANES)
        if self._weights is not None:
            kernels.integrals(values, lanes, self._weights, x)
        else:
            kernels.side_by_side(values, lanes, x)
        kernels.add_product(self._map.indptr, self._map.indices, self._map.data, x, out.reshape(-1))
