"""Matrices of many coefficients on one mesh: the linear map from values at quadrature points to matrix entries."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcspace.solvers.assembly import SparsePattern

__all__ = ["CoefficientMatrix"]

FloatArray = NDArray[np.float64]


class CoefficientMatrix:
    r"""The entries of :math:`\int k \nabla\phi_i\cdot\nabla\phi_j` or :math:`\int c\,\phi_i\phi_j`, linear in k or c.

    Where the integrand is the same at all points of a cell up to the weight (linear elements on straight simplices),
    the coefficient is integrated over each cell first.

    Parameters
    ----------
    elements : cells or facets of an `Assembly`.
    kind : "grad" or "value".
    pattern : where local matrices go.
    group : which group of the pattern's local matrices these are.
    """

    def __init__(self, elements: Any, kind: str, pattern: SparsePattern, group: int = 0) -> None:
        import scipy.sparse as sp

        table = elements.table(kind, slice(None))
        products = (
            np.einsum("iaeq,jaeq->eijq", table, table) if kind == "grad" else np.einsum("ieq,jeq->eijq", table, table)
        )
        self._weights: FloatArray | None = None
        flat = np.ptp(products, axis=3).max(initial=0.0) <= 1e-13 * np.abs(products).max(initial=1e-300)
        if flat:
            self._weights = elements.weights
            products = products[..., :1]
        else:
            products = products * elements.weights[:, None, None, :]
        slots = pattern.slots(group).reshape(products.shape[:3])
        per_cell = products.shape[3]
        columns = np.arange(len(products))[:, None, None, None] * per_cell + np.arange(per_cell)
        rows = np.broadcast_to(slots[..., None], products.shape)
        self._map = sp.csr_matrix(
            (products.ravel(), (rows.ravel(), np.broadcast_to(columns, products.shape).ravel())),
            shape=(pattern.nonzeros, len(products) * per_cell),
        )

    def entries(self, values: FloatArray) -> FloatArray:
        """Entries (nonzeros, samples) from coefficients (samples, points), the same bits for each in any batch."""
        if self._weights is not None:
            values = np.einsum("seq,eq->se", values.reshape(len(values), *self._weights.shape), self._weights)
        return self._map @ np.ascontiguousarray(values.T)
