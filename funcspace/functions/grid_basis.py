"""Tensor-product bases on grids: everything is a Kronecker product of one-dimensional factors."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Float, Int
from torch import Tensor

from funcspace.errors import InputError
from funcspace.functions.basis import Basis, MaskedMap, Outside, Quadrature, outside_mask
from funcspace.functions.line_basis import ConstantLine, LineBasis, LinearLine
from funcspace.functions.linear_map import LinearMap, StackedMap, SumMap
from funcspace.functions.sparse_map import KroneckerMap, SparseMap
from funcspace.geometry.domain import as_points
from funcspace.geometry.grid import Grid
from funcspace.geometry.grid_axis import GridAxis

__all__ = ["GridBasis", "make_line", "row_products"]

ELEMENTS = ("linear", "cubic", "fourier", "constant")
TOLERANCE = 1e-9


def make_line(axis: GridAxis, element: str) -> LineBasis:
    """The one-dimensional basis of that name on an axis."""
    if element == "linear":
        return LinearLine(axis)
    if element == "constant":
        return ConstantLine(axis)
    if element == "cubic":
        from funcspace.functions.cubic_line import CubicLine

        return CubicLine(axis)
    if element == "fourier":
        from funcspace.functions.fourier_line import FourierLine

        return FourierLine(axis)
    raise InputError(f"a Grid has the elements {', '.join(ELEMENTS)}; got {element!r}")


class GridBasis:
    r"""Tensor-product basis :math:`\phi_{i_1}(x_1) \cdots \phi_{i_d}(x_d)` with nodal values at the grid's samples."""

    intrinsic_shape: tuple[int, ...] = ()
    nodal = True
    exact = True

    def __init__(self, domain: Grid, element: str) -> None:
        self.domain = domain
        self.name = element
        self.lines = tuple(make_line(axis, element) for axis in domain.grid_axes)
        self.layout = domain.shape
        self.dof_shape = (math.prod(domain.shape),)
        self.degree = max(line.degree for line in self.lines)

    @property
    def dof_points(self) -> Float[Tensor, "n d"]:
        """The grid's samples."""
        return self.domain.points

    def evaluation(self, points: Tensor, derivative: bool, outside: Outside) -> LinearMap:
        """Values or gradients at scattered points."""
        where = as_points(points, self.domain.dim)
        inside, mask = self._inside(where, outside)
        columns = [inside[:, i].numpy() for i in range(self.domain.dim)]
        if not derivative:
            result: LinearMap = self._rows(columns, [0] * len(columns))
        else:
            parts = [[int(i == j) for j in range(len(columns))] for i in range(len(columns))]
            result = StackedMap([self._rows(columns, orders) for orders in parts])
        return MaskedMap(result, mask) if outside == "nan" and bool(mask.any()) else result

    def _rows(self, columns: list[np.ndarray], orders: list[int]) -> LinearMap:
        return SparseMap(
            row_products([line.matrix(c, k) for line, c, k in zip(self.lines, columns, orders, strict=True)])
        )

    def _inside(self, points: Tensor, outside: Outside) -> tuple[Tensor, Tensor]:
        """Points moved onto the box, and which of them were outside; periodic axes have no outside."""
        low, high = self.domain.bounds
        clamped = torch.minimum(torch.maximum(points, low), high)
        for i, axis in enumerate(self.domain.grid_axes):
            if axis.periodic:
                clamped[:, i] = points[:, i]
        distances = (points - clamped).norm(dim=1)
        mask = outside_mask(points, distances, TOLERANCE * float((high - low).max()), outside, self.domain)
        return clamped, mask

    @cached_property
    def _mass(self) -> LinearMap:
        return KroneckerMap([line.mass for line in self.lines], self.layout)

    def mass(self) -> LinearMap:
        """Kronecker product of the one-dimensional mass matrices."""
        return self._mass

    @cached_property
    def _stiffness(self) -> LinearMap:
        terms = [
            KroneckerMap([line.stiffness if i == j else line.mass for j, line in enumerate(self.lines)], self.layout)
            for i in range(len(self.lines))
        ]
        return SumMap([(1.0, term) for term in terms])

    def stiffness(self) -> LinearMap:
        """Sum over the axes of stiffness along one and mass along the others."""
        return self._stiffness

    def quadrature(self, degree: int | None = None) -> Quadrature:
        """Tensor-product Gauss rule."""
        rules = [line.gauss(2 * line.degree if degree is None else degree) for line in self.lines]
        points = np.stack([m.reshape(-1) for m in np.meshgrid(*(r[0] for r in rules), indexing="ij")], axis=1)
        weights = rules[0][1]
        for rule in rules[1:]:
            weights = np.outer(weights, rule[1]).reshape(-1)
        values = [line.matrix(rule[0], 0) for line, rule in zip(self.lines, rules, strict=True)]
        slopes = [line.matrix(rule[0], 1) for line, rule in zip(self.lines, rules, strict=True)]
        gradients = StackedMap(
            [
                KroneckerMap([slopes[j] if i == j else values[j] for j in range(len(values))], self.layout)
                for i in range(len(values))
            ]
        )
        return Quadrature(
            torch.from_numpy(points), torch.from_numpy(weights), KroneckerMap(values, self.layout), gradients
        )

    def boundary_dofs(self, part: str) -> Int[Tensor, " k"]:
        """Indices of the samples of a named side."""
        return self.domain.boundary[part]

    def refinement(self, finer: Basis) -> LinearMap | None:
        """Evaluation at the samples of another grid with the same axes, as a Kronecker product."""
        other = finer.domain
        if not isinstance(finer, GridBasis) or not isinstance(other, Grid):
            return None
        if other.axis_names != self.domain.axis_names or not bool(
            torch.isclose(other.bounds, self.domain.bounds, rtol=1e-12).all()
        ):
            return None
        factors = [line.matrix(target.nodes) for line, target in zip(self.lines, finer.lines, strict=True)]
        return KroneckerMap(factors, self.layout)


def row_products(factors: list[sp.csr_matrix]) -> sp.csr_matrix:
    """Row by row Kronecker product of matrices with equally many rows (first factor slowest in the columns)."""
    total = factors[0]
    for factor in factors[1:]:
        total = _row_product(total, factor)
    return total


def _row_product(a: sp.csr_matrix, b: sp.csr_matrix) -> sp.csr_matrix:
    rows, width = a.shape[0], b.shape[1]
    per_a, per_b = np.diff(a.indptr), np.diff(b.indptr)
    counts = per_a * per_b
    row = np.repeat(np.arange(rows), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    left = a.indptr[row] + within // per_b[row]
    right = b.indptr[row] + within % per_b[row]
    columns = a.indices[left].astype(np.int64) * width + b.indices[right]
    pointers = np.concatenate([[0], np.cumsum(counts)])
    return sp.csr_matrix((a.data[left] * b.data[right], columns, pointers), shape=(rows, a.shape[1] * width))
