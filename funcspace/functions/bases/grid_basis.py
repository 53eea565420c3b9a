"""Tensor-product bases on boxes: everything is a Kronecker product of one-dimensional factors."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from funcspace.errors import InputError
from funcspace.functions.bases.cubic_line import CubicLine
from funcspace.functions.bases.fourier_line import FourierLine
from funcspace.functions.bases.line_basis import ConstantLine, LinearLine, LineBasis
from funcspace.functions.basis import Basis, MaskedMap, Outside, Quadrature, outside_mask
from funcspace.functions.maps.linear_map import ComposedMap, LinearMap, StackedMap, SumMap
from funcspace.functions.maps.sparse_map import KroneckerMap, RowProductMap, SparseMap
from funcspace.geometry.domain import as_points
from funcspace.geometry.grid import Grid
from funcspace.geometry.grid_axis import GridAxis

__all__ = ["GridBasis", "TensorBasis", "row_products", "tensor_rows"]

ELEMENTS = ("linear", "cubic", "fourier", "constant")
TOLERANCE = 1e-9


class TensorBasis(ABC):
    r"""Tensor-product basis :math:`\phi_{i_1}(x_1) \cdots \phi_{i_d}(x_d)` of one-dimensional bases with nodal values.

    Points are outside where they are further from the box than 1e-9 of its longest side; periodic axes have no outside.

    Parameters
    ----------
    domain : the domain whose points are the products of the nodes, first axis slowest.
    element : name of the element.
    """

    intrinsic_shape: tuple[int, ...] = ()
    nodal = True
    exact = True

    def __init__(self, domain: Any, element: str) -> None:
        self.domain, self.name = domain, element
        self.lines = tuple(self.make_lines(domain, element))
        self.layout = tuple(line.count for line in self.lines)
        self.dof_shape = (math.prod(self.layout),)
        self.degree = max(line.degree for line in self.lines)

    @staticmethod
    @abstractmethod
    def make_lines(domain: Any, element: str) -> Sequence[LineBasis]:
        """One basis per axis."""

    @property
    def dof_points(self) -> Float[Tensor, "n d"]:
        """The domain's points."""
        return self.domain.points

    def evaluation(self, points: Tensor, derivative: bool, outside: Outside) -> LinearMap:
        """Values or gradients at scattered points."""
        where = as_points(points, self.domain.dim)
        inside, mask = self.onto_domain(where, outside)
        result = self.rows(inside, derivative)
        return MaskedMap(result, mask) if outside == "nan" and bool(mask.any()) else result

    def rows(self, points: Tensor, derivative: bool) -> LinearMap:
        """Values or gradients at points of the box."""
        columns = [points[:, i].numpy() for i in range(len(self.lines))]
        if not derivative:
            return tensor_rows(self.lines, columns, [0] * len(columns))
        orders = [[int(i == j) for j in range(len(columns))] for i in range(len(columns))]
        return StackedMap([tensor_rows(self.lines, columns, order) for order in orders])

    def onto_domain(self, points: Tensor, outside: Outside) -> tuple[Tensor, Bool[Tensor, " m"]]:
        """Points moved onto the box, and which of them were outside."""
        low = torch.tensor([line.start for line in self.lines], dtype=torch.float64)
        high = torch.tensor([line.stop for line in self.lines], dtype=torch.float64)
        clamped = torch.minimum(torch.maximum(points, low), high)
        for i, line in enumerate(self.lines):
            if line.periodic:
                clamped[:, i] = points[:, i]
        distances = (points - clamped).norm(dim=1)
        # a single instant has no length to compare with
        size = float((high - low).max()) or max(1.0, float(high.abs().max()))
        return clamped, outside_mask(points, distances, TOLERANCE * size, outside, self.domain)

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
        """Tensor product of the rules of the axes: Gauss rules, equispaced ones for trigonometric polynomials."""
        rules = [line.gauss(2 * line.degree if degree is None else degree) for line in self.lines]
        grid = np.meshgrid(*(r[0] for r in rules), indexing="ij")
        points = np.stack([m.reshape(-1) for m in grid], axis=1)
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
        """Values at the nodes of another tensor-product basis in this box, as a Kronecker product."""
        if not isinstance(finer, TensorBasis) or len(finer.lines) != len(self.lines):
            return None
        for line, target in zip(self.lines, finer.lines, strict=True):
            slack = TOLERANCE * line.length
            low, high = target.nodes[0], target.nodes[-1]
            if not line.periodic and (low < line.start - slack or high > line.stop + slack):
                return None
        factors = [line.refinement(target) for line, target in zip(self.lines, finer.lines, strict=True)]
        return KroneckerMap(factors, self.layout)

    def projection(self, other: Basis) -> LinearMap | None:
        """The L2 projection from another tensor-product basis on the same box, axis by axis."""
        if not isinstance(other, TensorBasis) or len(other.lines) != len(self.lines):
            return None
        pairs = list(zip(self.lines, other.lines, strict=True))
        if any(max(abs(a.start - b.start), abs(a.stop - b.stop)) > TOLERANCE * a.length for a, b in pairs):
            return None
        return KroneckerMap([ComposedMap(a.mass.inverse(), a.load(b)) for a, b in pairs], other.layout)


class GridBasis(TensorBasis):
    """The basis of that name on a grid.

    ==========  ====================================================================================
    "linear"    multilinear between the samples
    "cubic"     twice differentiable cubic splines through the samples
    "fourier"   trigonometric polynomials; all axes periodic and equispaced
    "constant"  one value per cell, its mean; grids of cells only
    ==========  ====================================================================================

    A refined grid reproduces a function to rounding on vertices for the first three, on cells for "fourier" and
    "constant"; the centres of halved cells are no subset of the old ones, so that "linear" and "cubic" change there.

    Raises
    ------
    InputError
        When there is no such element, or the grid is not of the kind that it needs; the axis is named.
    """

    @staticmethod
    def make_lines(domain: Grid, element: str) -> Sequence[LineBasis]:
        """The basis of that name on each axis."""
        return [make_line(axis, element) for axis in domain.grid_axes]


def make_line(axis: GridAxis, element: str) -> LineBasis:
    """The one-dimensional basis of that name on an axis."""
    kinds: dict[str, Callable[..., LineBasis]] = {
        "linear": LinearLine,
        "cubic": CubicLine,
        "fourier": FourierLine,
        "constant": ConstantLine,
    }
    if element not in kinds:
        raise InputError(f"a Grid has the elements {', '.join(ELEMENTS)}; got {element!r}")
    if element == "fourier" and not axis.periodic:
        raise InputError(
            f'the element "fourier" needs periodic axes, but axis {axis.name!r} is not; '
            f'make the Grid with periodic=("{axis.name}", ...), or choose "linear" or "cubic"'
        )
    if element == "constant" and axis.samples != "cells":
        raise InputError('the element "constant" needs a Grid with samples="cells"')
    return kinds[element](axis.coordinates.numpy(), axis.start, axis.stop, axis.periodic)


def tensor_rows(lines: Sequence[LineBasis], columns: Sequence[np.ndarray], orders: Sequence[int]) -> LinearMap:
    """Products of the bases of the axes (derivatives where the order is 1) at points with coordinates `columns`."""
    counts = [line.count for line in lines]
    triples = list(zip(lines, columns, orders, strict=True))
    if any(line.is_dense for line in lines):
        blocks = [_blocks(line, c, k) for line, c, k in triples]
        rows: LinearMap = RowProductMap(blocks, counts, len(columns[0]))
    else:
        rows = SparseMap(row_products([line.local(c, k) for line, c, k in triples]))
    transforms = [line.transform for line in lines]
    return rows if all(t is None for t in transforms) else ComposedMap(rows, KroneckerMap(transforms, counts))


def _blocks(line: LineBasis, points: np.ndarray, order: int) -> Callable[[slice], np.ndarray]:
    if isinstance(line, FourierLine):
        return lambda part: line.rows(points[part], order)
    return lambda part: line.local(points[part], order).toarray()


def row_products(factors: Sequence[sp.csr_matrix]) -> sp.csr_matrix:
    """Row by row Kronecker product of matrices with equally many rows (first factor slowest in the columns)."""
    total = factors[0]
    for factor in factors[1:]:
        total = _row_product(total, factor)
    return total


def _row_product(a: sp.csr_matrix, b: sp.csr_matrix) -> sp.csr_matrix:
    rows, width = a.shape[0], b.shape[1]
    per_a, per_b = np.diff(a.indptr).astype(np.int64), np.diff(b.indptr).astype(np.int64)
    counts = per_a * per_b
    row = np.repeat(np.arange(rows), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    left = a.indptr[row] + within // per_b[row]
    right = b.indptr[row] + within % per_b[row]
    columns = a.indices[left].astype(np.int64) * width + b.indices[right]
    pointers = np.concatenate([[0], np.cumsum(counts)])
    return sp.csr_matrix((a.data[left] * b.data[right], columns, pointers), shape=(rows, a.shape[1] * width))
