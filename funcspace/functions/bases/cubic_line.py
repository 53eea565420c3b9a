"""Cubic splines through the samples of an axis."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import scipy.sparse as sp

from funcspace.functions.bases.line_basis import LineBasis, rows_of
from funcspace.functions.maps.linear_map import LinearMap
from funcspace.functions.maps.sparse_map import SolveMap

__all__ = ["CubicLine"]


class CubicLine(LineBasis):
    r"""The twice differentiable cubic spline through the samples.

    .. math:: u = \sum_j B_j (A^{-1} c)_j, \quad A_{ij} = B_j(x_i)

    On an open interval the second and the last but one node are no knots ("not-a-knot"), so that cubic polynomials are
    reproduced; on a periodic axis the spline is periodic. Fewer than four samples of an open interval are joined by the
    one polynomial through them. C. de Boor, A Practical Guide to Splines (1978).

    Splines through the halved intervals contain this one, so refining an axis of vertices leaves a function as it is.
    """

    def __init__(self, nodes: np.ndarray, start: float, stop: float, periodic: bool = False) -> None:
        super().__init__(nodes, start, stop, periodic)
        self.degree = 3 if periodic else min(3, self.count - 1)

    @cached_property
    def _knots(self) -> np.ndarray:
        ends = self.degree + 1
        inner = self.nodes[2:-2] if self.degree == 3 else self.nodes[:0]
        return np.concatenate([np.full(ends, self.start), inner, np.full(ends, self.stop)])

    @cached_property
    def breakpoints(self) -> np.ndarray:
        """Knots of the spline, each once."""
        if not self.periodic:
            return np.unique(self._knots)
        inner = self.nodes[(self.nodes > self.start) & (self.nodes < self.stop)]
        return np.concatenate([[self.start], inner, [self.stop]])

    def local(self, points: np.ndarray, derivative: int = 0) -> sp.csr_matrix:
        """Values or first derivatives of the B-splines at points, shape (m, n)."""
        if self.count == 1:
            return sp.csr_matrix(np.full((points.size, 1), 1.0 - derivative))
        if self.periodic:
            return self._periodic(points, derivative)
        points = self.inside(points)
        if derivative == 0:
            return bspline_rows(points, self._knots, self.degree)
        lower = bspline_rows(points, self._knots[1:-1], self.degree - 1)
        width = self._knots[1 + self.degree : -1] - self._knots[1 : -1 - self.degree]
        slopes = self.degree / width
        difference = sp.diags([-slopes, slopes], [0, 1], shape=(self.count - 1, self.count))
        return sp.csr_matrix(lower @ difference)

    def _periodic(self, points: np.ndarray, derivative: int) -> sp.csr_matrix:
        h = self.length / self.count
        place = np.mod((points - self.nodes[0]) / h, self.count)
        cell = np.floor(place).astype(np.int64)
        s = place - cell
        if derivative == 0:
            parts = [(1 - s) ** 3, 3 * s**3 - 6 * s**2 + 4, -3 * s**3 + 3 * s**2 + 3 * s + 1, s**3]
            data = np.stack(parts, axis=1) / 6
        else:
            data = np.stack([-((1 - s) ** 2), 3 * s**2 - 4 * s, -3 * s**2 + 2 * s + 1, s**2], axis=1) / (2 * h)
        return rows_of(data, np.mod(cell[:, None] + np.arange(-1, 3), self.count), self.count)

    @cached_property
    def transform(self) -> LinearMap | None:
        """The solve with the values of the B-splines at the nodes."""
        return SolveMap(self.local(self.nodes))


def bspline_rows(points: np.ndarray, knots: np.ndarray, degree: int) -> sp.csr_matrix:
    """Values of the B-splines on a knot vector at points between its ends, shape (m, len(knots) - degree - 1)."""
    count = len(knots) - degree - 1
    span = np.clip(np.searchsorted(knots, points, side="right") - 1, degree, count - 1)
    values = np.ones((points.size, 1))
    for k in range(1, degree + 1):
        # Cox and de Boor: the k + 1 splines of degree k that live on a span from the k of degree k - 1
        offsets = span[:, None] + np.arange(1 - k, 1)
        left, right = knots[offsets], knots[offsets + k]
        share = values / (right - left)
        raised = np.zeros((points.size, k + 1))
        raised[:, :-1] += share * (right - points[:, None])
        raised[:, 1:] += share * (points[:, None] - left)
        values = raised
    return rows_of(values, span[:, None] + np.arange(-degree, 1), count)
