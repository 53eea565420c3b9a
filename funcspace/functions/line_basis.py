"""Bases on an interval: what grids, times and their products are built from, one factor per axis."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Protocol

import numpy as np
import scipy.sparse as sp

from funcspace.errors import InputError
from funcspace.geometry.grid_axis import GridAxis

__all__ = ["ConstantLine", "LineBasis", "LineBasisBase", "LinearLine"]


class LineBasis(Protocol):
    """A basis of functions on [start, stop] whose coefficients are values at `nodes`."""

    start: float
    stop: float
    periodic: bool
    degree: int

    @property
    def nodes(self) -> np.ndarray:
        """Coordinates of the nodal values, shape (n,)."""
        ...

    def matrix(self, points: np.ndarray, derivative: int = 0) -> sp.csr_matrix:
        """Values (or first derivatives) of the basis at points of the interval, shape (m, n)."""
        ...

    def gauss(self, degree: int) -> tuple[np.ndarray, np.ndarray]:
        """Points and weights, exact for products of basis functions up to `degree`."""
        ...

    @property
    def mass(self) -> sp.csr_matrix:
        """Integrals of products of basis functions."""
        ...

    @property
    def stiffness(self) -> sp.csr_matrix:
        """Integrals of products of first derivatives."""
        ...


class LineBasisBase(ABC):
    """Mass, stiffness and quadrature of a piecewise polynomial basis, by Gauss points between its breakpoints."""

    degree: int = 1

    def __init__(self, axis: GridAxis) -> None:
        self.axis = axis
        self.start, self.stop, self.periodic = axis.start, axis.stop, axis.periodic

    @cached_property
    def nodes(self) -> np.ndarray:
        """Coordinates of the nodal values."""
        return self.axis.coordinates.numpy()

    @cached_property
    def breakpoints(self) -> np.ndarray:
        """Where the basis changes its polynomial, both ends of the interval included."""
        inner = self.nodes[(self.nodes > self.start) & (self.nodes < self.stop)]
        return np.concatenate([[self.start], inner, [self.stop]])

    @abstractmethod
    def matrix(self, points: np.ndarray, derivative: int = 0) -> sp.csr_matrix:
        """Values or first derivatives at points, shape (m, n)."""

    def gauss(self, degree: int) -> tuple[np.ndarray, np.ndarray]:
        """Gauss points and weights on each piece, exact to `degree`."""
        count = max(1, (degree + 2) // 2)
        x, w = np.polynomial.legendre.leggauss(count)
        left, width = self.breakpoints[:-1, None], np.diff(self.breakpoints)[:, None]
        return (left + width * (x + 1) / 2).reshape(-1), (width * w / 2).reshape(-1)

    @cached_property
    def mass(self) -> sp.csr_matrix:
        """Mass matrix."""
        return self._product(0)

    @cached_property
    def stiffness(self) -> sp.csr_matrix:
        """Stiffness matrix."""
        return self._product(1)

    def _product(self, derivative: int) -> sp.csr_matrix:
        points, weights = self.gauss(2 * self.degree)
        values = self.matrix(points, derivative)
        product = sp.csr_matrix(values.T @ sp.diags(weights) @ values)
        product.eliminate_zeros()
        return product


class LinearLine(LineBasisBase):
    """Piecewise linear between the samples, continued linearly to the ends of a cell-centred axis."""

    def matrix(self, points: np.ndarray, derivative: int = 0) -> sp.csr_matrix:
        """Values or first derivatives at points, shape (m, n)."""
        nodes, count = self.nodes, self.nodes.size
        if count == 1:
            ones = np.ones(points.size) if derivative == 0 else np.zeros(points.size)
            return sp.csr_matrix(ones[:, None])
        if self.periodic:
            length = self.stop - self.start
            points = self.start + np.mod(points - self.start, length)
            points = np.where(points < nodes[0], points + length, points)
            ends = np.append(nodes, nodes[0] + length)
            left = np.clip(np.searchsorted(ends, points, side="right") - 1, 0, count - 1)
            right, width = (left + 1) % count, ends[left + 1] - ends[left]
        else:
            left = np.clip(np.searchsorted(nodes, points, side="right") - 1, 0, count - 2)
            right, width = left + 1, nodes[left + 1] - nodes[left]
        share = (points - nodes[left]) / width
        data = np.stack([1 - share, share]) if derivative == 0 else np.stack([-1 / width, 1 / width])
        rows = np.tile(np.arange(points.size), 2)
        columns = np.concatenate([left, right])
        return sp.csr_matrix((data.reshape(-1), (rows, columns)), shape=(points.size, count))


class ConstantLine(LineBasisBase):
    """Constant in each cell of a cell-centred axis: the coefficients are cell means."""

    degree = 0

    def __init__(self, axis: GridAxis) -> None:
        if axis.samples != "cells":
            raise InputError('the element "constant" needs a Grid with samples="cells"')
        super().__init__(axis)

    @cached_property
    def breakpoints(self) -> np.ndarray:
        """Edges of the cells."""
        return np.concatenate([[self.start], self.start + np.cumsum(self.axis.weights.numpy())])

    def matrix(self, points: np.ndarray, derivative: int = 0) -> sp.csr_matrix:
        """Values or (zero) derivatives at points, shape (m, n)."""
        count = self.nodes.size
        if self.periodic:
            points = self.start + np.mod(points - self.start, self.stop - self.start)
        cell = np.clip(np.searchsorted(self.breakpoints, points, side="right") - 1, 0, count - 1)
        data = np.ones(points.size) if derivative == 0 else np.zeros(points.size)
        return sp.csr_matrix((data, (np.arange(points.size), cell)), shape=(points.size, count))
