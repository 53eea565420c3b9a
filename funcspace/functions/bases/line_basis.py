"""Bases on an interval: what grids, times and their products are built from, one factor per axis."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from funcspace.functions.maps.linear_map import ComposedMap, IdentityMap, LinearMap
from funcspace.functions.maps.sparse_map import SparseMap

__all__ = ["ConstantLine", "LineBasis", "LinearLine"]


class LineBasis(ABC):
    r"""A basis of functions on [start, stop] whose coefficients are values at `nodes`.

    A function with the values :math:`c` at the nodes is :math:`u(x) = \sum_j b_j(x) (T c)_j`: local functions
    :math:`b_j`, so that a row of values stays sparse, after a transform :math:`T` of the coefficients (the identity for
    piecewise linear functions, the inverse of a collocation matrix for splines).

    Parameters
    ----------
    nodes : coordinates of the nodal values, strictly increasing, shape (n,).
    start, stop : ends of the interval.
    periodic : whether the interval closes on itself.

    Attributes
    ----------
    degree : polynomial degree between breakpoints; the quadrature of products is exact to twice that.
    is_dense : whether the local functions all reach everywhere.
    """

    degree: int = 1
    is_dense: bool = False

    def __init__(self, nodes: np.ndarray, start: float, stop: float, periodic: bool = False) -> None:
        self.nodes = np.asarray(nodes, dtype=np.float64)
        self.start, self.stop, self.periodic = float(start), float(stop), periodic

    @property
    def count(self) -> int:
        """Number of nodes."""
        return self.nodes.size

    @property
    def length(self) -> float:
        """Length of the interval; the period of a periodic one."""
        return self.stop - self.start

    @abstractmethod
    def local(self, points: np.ndarray, derivative: int = 0) -> sp.csr_matrix:
        """Values or first derivatives of the local functions at points of the interval, shape (m, n)."""

    @cached_property
    def transform(self) -> LinearMap | None:
        """The map from nodal values to coefficients of the local functions; None for the identity."""
        return None

    def matrix(self, points: np.ndarray, derivative: int = 0) -> LinearMap:
        """Values or first derivatives at points as a map of the nodal values, (n,) to (m,)."""
        rows = SparseMap(self.local(points, derivative))
        return rows if self.transform is None else ComposedMap(rows, self.transform)

    @cached_property
    def breakpoints(self) -> np.ndarray:
        """Where the basis changes its polynomial, both ends of the interval included."""
        inner = self.nodes[(self.nodes > self.start) & (self.nodes < self.stop)]
        return np.concatenate([[self.start], inner, [self.stop]])

    def gauss(self, degree: int) -> tuple[np.ndarray, np.ndarray]:
        """Points and weights on each piece, exact to `degree`; an interval of no length is a point of measure 1."""
        if self.length == 0.0:
            return np.array([self.start]), np.ones(1)
        return gauss_pieces(self.breakpoints, degree)

    @cached_property
    def mass(self) -> LinearMap:
        """Integrals of products of basis functions."""
        return self._products(0)

    @cached_property
    def stiffness(self) -> LinearMap:
        """Integrals of products of first derivatives."""
        return self._products(1)

    def _products(self, derivative: int) -> LinearMap:
        points, weights = self.gauss(2 * self.degree)
        values = self.local(points, derivative)
        product = sp.csr_matrix(values.T @ sp.diags(weights) @ values)
        product.eliminate_zeros()
        if self.transform is None:
            return SparseMap(product)
        return self.transform.adjoint() @ SparseMap(product) @ self.transform

    def refinement(self, finer: LineBasis) -> LinearMap:
        """Values at the nodes of another basis whose nodes lie in this interval."""
        if np.array_equal(self.nodes, finer.nodes):
            return IdentityMap((self.count,))
        return self.matrix(self.inside(finer.nodes))

    def inside(self, points: np.ndarray) -> np.ndarray:
        """The nearest points of the interval."""
        return points if self.periodic else np.clip(points, self.start, self.stop)

    def wrapped(self, points: np.ndarray, first: float) -> np.ndarray:
        """Points of a periodic interval moved by whole periods to [first, first + length)."""
        return first + np.mod(points - first, self.length)

    def load(self, other: LineBasis) -> LinearMap:
        r"""Integrals of products with another basis on the same interval, :math:`\int \phi_i \psi_j`."""
        points, weights = other.common_rule(self)
        left, right = self.matrix(points), other.matrix(points)
        return left.adjoint() @ SparseMap(sp.diags(weights)) @ right

    def common_rule(self, other: LineBasis) -> tuple[np.ndarray, np.ndarray]:
        """A rule for products with functions of another basis, exact where both are piecewise polynomials."""
        if self.length == 0.0:
            return self.gauss(0)
        if other.is_dense and not self.is_dense:
            return other.common_rule(self)
        edges = np.union1d(self.breakpoints, self.inside(other.breakpoints))
        keep = np.concatenate([[True], np.diff(edges) > 1e-13 * self.length])
        return gauss_pieces(edges[keep], self.degree + other.degree)


def gauss_pieces(edges: np.ndarray, degree: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss points and weights between neighbouring edges, exact to `degree` on each piece."""
    x, w = np.polynomial.legendre.leggauss(max(1, (degree + 2) // 2))
    left, width = edges[:-1, None], np.diff(edges)[:, None]
    return (left + width * (x + 1) / 2).reshape(-1), (width * w / 2).reshape(-1)


class LinearLine(LineBasis):
    """Piecewise linear between the samples, continued linearly to the ends of a cell-centred axis."""

    def local(self, points: np.ndarray, derivative: int = 0) -> sp.csr_matrix:
        """Values or first derivatives at points, shape (m, n)."""
        nodes, count = self.nodes, self.count
        if count == 1:
            return sp.csr_matrix(np.full((points.size, 1), 1.0 - derivative))
        if self.periodic:
            points = self.wrapped(points, nodes[0])
            ends = np.append(nodes, nodes[0] + self.length)
            left = np.clip(np.searchsorted(ends, points, side="right") - 1, 0, count - 1)
            right, width = (left + 1) % count, ends[left + 1] - ends[left]
        else:
            left = np.clip(np.searchsorted(nodes, points, side="right") - 1, 0, count - 2)
            right, width = left + 1, nodes[left + 1] - nodes[left]
        share = (points - nodes[left]) / width
        data = [1 - share, share] if derivative == 0 else [-1 / width, 1 / width]
        return rows_of(np.stack(data, axis=1), np.stack([left, right], axis=1), count)


class ConstantLine(LineBasis):
    """Constant in each cell of a cell-centred axis: the coefficients are cell means."""

    degree = 0

    @cached_property
    def breakpoints(self) -> np.ndarray:
        """Edges of the cells."""
        middles = 0.5 * (self.nodes[1:] + self.nodes[:-1])
        return np.concatenate([[self.start], middles, [self.stop]])

    def local(self, points: np.ndarray, derivative: int = 0) -> sp.csr_matrix:
        """Values or (zero) derivatives at points, shape (m, n)."""
        if derivative:
            return sp.csr_matrix((points.size, self.count))
        if self.periodic:
            points = self.wrapped(points, self.start)
        cell = np.clip(np.searchsorted(self.breakpoints, points, side="right") - 1, 0, self.count - 1)
        return rows_of(np.ones((points.size, 1)), cell[:, None], self.count)


def rows_of(data: Any, columns: Any, count: int) -> sp.csr_matrix:
    """The matrix whose row m holds `data[m]` in `columns[m]`; repeated columns add up."""
    rows, width = data.shape
    pointers = np.arange(rows + 1) * width
    matrix = sp.csr_matrix((data.reshape(-1), columns.reshape(-1), pointers), shape=(rows, count))
    matrix.sum_duplicates()
    return matrix
