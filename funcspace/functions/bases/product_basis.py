"""Functions of time and space: products of a basis in time with one in space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, cast

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Float, Int
from torch import Tensor

from funcspace.errors import InputError, OutsideError
from funcspace.functions.bases.grid_basis import TensorBasis, row_products, tensor_rows
from funcspace.functions.bases.times_basis import TimesBasis
from funcspace.functions.basis import Basis, MaskedMap, Outside, Quadrature, projection_between
from funcspace.functions.maps.linear_map import ComposedMap, LinearMap, ReshapedMap
from funcspace.functions.maps.sparse_map import KroneckerMap, SparseMap
from funcspace.geometry.domain import as_points
from funcspace.geometry.product import ProductDomain, product_points

__all__ = ["ProductBasis", "factor_names"]


def factor_names(element: str | None) -> tuple[str | None, str | None]:
    """Names of the bases in time and space from "linear * P1" and the like; None for the factors' defaults.

    Raises
    ------
    InputError
        When the element does not name one basis per factor.
    """
    if element is None:
        return None, None
    names = [part.strip() for part in element.split("*")]
    if len(names) != 2 or "" in names:
        raise InputError(
            f"the element of a product names one basis per factor, time first, such as 'linear * P1'; got {element!r}"
        )
    return names[0], names[1]


class ProductBasis:
    r"""Products :math:`\tau_i(t)\, \phi_j(x)`: coefficients (time, dofs), gradients :math:`(\partial_t, \nabla)`.

    Mass is :math:`M_t \otimes M_x`, stiffness :math:`K_t \otimes M_x + M_t \otimes K_x`.

    Parameters
    ----------
    time, space : the bases of the two factors.
    """

    nodal: bool

    def __init__(self, domain: ProductDomain, time: Any, space: Basis) -> None:
        self.domain = domain
        self.time = cast(TimesBasis, time)
        self.space = space
        self.name = f"{self.time.name} * {self.space.name}"
        self.dof_shape = (*self.time.dof_shape, math.prod(self.space.dof_shape))
        self.layout = (*self.time.dof_shape, *self.space.layout)
        self.intrinsic_shape = self.space.intrinsic_shape
        self.nodal, self.exact = self.space.nodal, self.space.exact
        self.degree = max(self.time.degree, self.space.degree)

    @cached_property
    def dof_points(self) -> Float[Tensor, "n d"] | None:
        """Dof points of space at each instant; None where space has none."""
        points = self.space.dof_points
        return None if points is None else product_points(self.time.dof_points, points)

    def evaluation(self, points: Tensor, derivative: bool, outside: Outside) -> LinearMap:
        """Values (m, *intrinsic) or gradients (m, *intrinsic, 1 + d) at space-time points (t, x)."""
        where = as_points(points, self.domain.dim)
        instants, late = self.time.onto_domain(where[:, :1], outside)
        if isinstance(self.space, TensorBasis):
            places, far = self.space.onto_domain(where[:, 1:], outside)
            result = self._tensor(torch.cat([instants, places], dim=1), derivative)
        else:
            result, far = self._pairs(instants[:, 0].numpy(), where[:, 1:], derivative, outside)
        mask = late | far
        return MaskedMap(result, mask) if outside == "nan" and bool(mask.any()) else result

    def _tensor(self, points: Tensor, derivative: bool) -> LinearMap:
        """On grids: the tensor product over time and all axes."""
        lines = (*self.time.lines, *cast(TensorBasis, self.space).lines)
        columns = [points[:, i].numpy() for i in range(len(lines))]
        if not derivative:
            return self._unfolded(tensor_rows(lines, columns, [0] * len(lines)))
        orders = [[int(i == j) for j in range(len(lines))] for i in range(len(lines))]
        return JoinedMap([self._unfolded(tensor_rows(lines, columns, order), (len(points), 1)) for order in orders])

    def _unfolded(self, rows: LinearMap, codomain: Sequence[int] | None = None) -> LinearMap:
        return ReshapedMap(rows, self.dof_shape, rows.codomain_shape if codomain is None else codomain)

    def _pairs(
        self, instants: np.ndarray, places: Tensor, derivative: bool, outside: Outside
    ) -> tuple[LinearMap, Tensor]:
        """On meshes and clouds: products of sparse rows in time with sparse rows in space."""
        values, far = _unmasked(self.space.evaluation(places, False, outside))
        if not derivative:
            return self._rows(self.time.lines[0].local(instants), values), far
        slopes, _ = _unmasked(self.space.evaluation(places, True, outside))
        in_time = self._rows(self.time.lines[0].local(instants, 1), values, (*values.codomain_shape, 1))
        in_space = self._rows(self.time.lines[0].local(instants), slopes)
        return JoinedMap([in_time, in_space]), far

    def _rows(self, time: sp.csr_matrix, space: LinearMap, codomain: Sequence[int] | None = None) -> LinearMap:
        repeats = math.prod(space.codomain_shape[1:])
        spread = time if repeats == 1 else sp.csr_matrix(time[np.repeat(np.arange(time.shape[0]), repeats)])
        rows = SparseMap(
            row_products([spread, space.matrix]), self.dof_shape, space.codomain_shape if codomain is None else codomain
        )
        transform = self.time.lines[0].transform
        if transform is None:
            return rows
        return ComposedMap(rows, KroneckerMap([transform, None], self.dof_shape, self.dof_shape, self.dof_shape))

    def _product(self, time: LinearMap, space: LinearMap, codomain: Sequence[int] | None = None) -> LinearMap:
        return KroneckerMap([time, space], self.dof_shape, self.dof_shape, codomain or self.dof_shape)

    @cached_property
    def _mass(self) -> LinearMap:
        return self._product(self.time.lines[0].mass, self.space.mass())

    def mass(self) -> LinearMap:
        """Kronecker product of the masses."""
        return self._mass

    @cached_property
    def _stiffness(self) -> LinearMap:
        line = self.time.lines[0]
        in_time = self._product(line.stiffness, self.space.mass())
        return in_time + self._product(line.mass, self.space.stiffness())

    def stiffness(self) -> LinearMap:
        """The form of the space-time gradient."""
        return self._stiffness

    def quadrature(self, degree: int | None = None) -> Quadrature:
        """Product of the rules of both factors."""
        line, rule = self.time.lines[0], self.space.quadrature(degree)
        instants, weights = line.gauss(2 * line.degree if degree is None else degree)
        points = product_points(torch.from_numpy(instants)[:, None], rule.points)
        count, intrinsic = len(points), self.intrinsic_shape
        values = self._product(line.matrix(instants), rule.values, (count, *intrinsic))
        gradients = None
        if rule.gradients is not None:
            in_time = self._product(line.matrix(instants, 1), rule.values, (count, *intrinsic, 1))
            shape = (count, *rule.gradients.codomain_shape[1:])
            gradients = JoinedMap([in_time, self._product(line.matrix(instants), rule.gradients, shape)])
        return Quadrature(points, torch.outer(torch.from_numpy(weights), rule.weights).reshape(-1), values, gradients)

    def boundary_dofs(self, part: str) -> Int[Tensor, " k"]:
        """Dofs at the first ("start") or last ("end") instant, or on a part of space at all times."""
        steps, count = self.dof_shape
        whole = torch.arange(count)
        if part == "start":
            return whole
        if part == "end":
            return whole + (steps - 1) * count
        return (torch.arange(steps)[:, None] * count + self.space.boundary_dofs(part)).reshape(-1)

    def refinement(self, finer: Basis) -> LinearMap | None:
        """Kronecker product of the maps into the finer bases of time and space, where those exist."""
        if not isinstance(finer, ProductBasis):
            return None
        time = self.time.refinement(finer.time)
        space = self.space.refinement(finer.space)
        if space is None and finer.space.dof_points is not None and not self.intrinsic_shape:
            with suppress(OutsideError):  # which points may lie outside is asked where values are taken
                space = self.space.evaluation(finer.space.dof_points, False, "raise")
        if time is None or space is None:
            return None
        return self._product(time, space, finer.dof_shape)

    def projection(self, other: Basis) -> LinearMap | None:
        """Kronecker product of the L2 projections in time and space."""
        if not isinstance(other, ProductBasis):
            return None
        parts = [projection_between(self.time, other.time), projection_between(self.space, other.space)]
        return KroneckerMap(parts, other.dof_shape, other.dof_shape, self.dof_shape)


class JoinedMap(LinearMap):
    """Maps side by side along the last axis of the codomain: a gradient from that in time and that in space."""

    def __init__(self, parts: Sequence[LinearMap]) -> None:
        self.parts = tuple(parts)
        self._widths = [part.codomain_shape[-1] for part in self.parts]
        first = self.parts[0]
        super().__init__(first.domain_shape, (*first.codomain_shape[:-1], sum(self._widths)))

    def forward(self, x: Tensor) -> Tensor:
        """Values of all parts."""
        return torch.cat([part.forward(x) for part in self.parts], dim=-1)

    def transposed(self, y: Tensor) -> Tensor:
        """Sum of the adjoints of the parts."""
        pieces = y.split(self._widths, dim=-1)
        total = self.parts[0].transposed(pieces[0])
        for part, piece in zip(self.parts[1:], pieces[1:], strict=True):
            total = total + part.transposed(piece)
        return total

    def _parts(self) -> Sequence[LinearMap]:
        return self.parts

    def _matrix(self) -> sp.csr_matrix:
        lead = math.prod(self.codomain_shape[:-1])
        numbers, start = [], 0
        for width in self._widths:
            numbers.append(start + np.arange(lead * width).reshape(lead, width))
            start += lead * width
        stacked: Any = sp.vstack([part.matrix for part in self.parts], format="csr")
        return sp.csr_matrix(stacked[np.concatenate(numbers, axis=1).reshape(-1)])


def _unmasked(values: LinearMap) -> tuple[LinearMap, Tensor]:
    """A map without its mask of points outside, and the mask."""
    if isinstance(values, MaskedMap):
        return values.inner, values.mask
    return values, torch.zeros(values.codomain_shape[0], dtype=torch.bool)
