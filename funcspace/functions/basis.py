"""What a function space asks of its basis, and which basis serves which domain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from funcspace.errors import InputError, OutsideError
from funcspace.functions.maps.linear_map import LinearMap
from funcspace.functions.maps.sparse_map import SparseMap
from funcspace.geometry.domain import Domain

__all__ = ["Basis", "MaskedMap", "Outside", "Quadrature", "outside_mask", "projection_between"]

Outside = Literal["raise", "nan", "nearest"]


@dataclass(frozen=True)
class Quadrature:
    """Points and weights on a domain, and the basis evaluated there.

    Attributes
    ----------
    points : (q, d) coordinates.
    weights : (q,) so that a weighted sum is an integral.
    values : map from coefficients to values at the points.
    gradients : map from coefficients to gradients at the points, derivative axis last; None where there is none.
    """

    points: Float[Tensor, "q d"]
    weights: Float[Tensor, " q"]
    values: LinearMap
    gradients: LinearMap | None


@runtime_checkable
class Basis(Protocol):
    """A scalar (or, for RT and N1curl, intrinsically vector-valued) basis on a domain."""

    name: str
    domain: Domain
    dof_shape: tuple[int, ...]
    layout: tuple[int, ...]
    intrinsic_shape: tuple[int, ...]
    nodal: bool
    exact: bool
    degree: int

    @property
    def dof_points(self) -> Float[Tensor, "n d"] | None:
        """Where the nodal values sit, flattened over dofs; None for moments."""
        ...

    def evaluation(self, points: Tensor, derivative: bool, outside: Outside) -> LinearMap:
        """Values, shape (m, *intrinsic), or gradients, shape (m, *intrinsic, d), at points (m, d)."""
        ...

    def mass(self) -> LinearMap:
        """Integrals of products of basis functions."""
        ...

    def stiffness(self) -> LinearMap:
        """Integrals of products of gradients of basis functions."""
        ...

    def quadrature(self, degree: int | None = None) -> Quadrature:
        """A rule exact for products of two basis functions, or to `degree`."""
        ...

    def boundary_dofs(self, part: str) -> Int[Tensor, " k"]:
        """Flat indices of the dofs on a named boundary part."""
        ...

    def refinement(self, finer: Basis) -> LinearMap | None:
        """The map into a finer basis where structure gives it cheaply; None to evaluate at the finer dof points."""
        ...


class MaskedMap(LinearMap):
    """A map whose rows at masked points (outside the domain) are NaN; adjoint and matrix have zeros there."""

    def __init__(self, inner: LinearMap, mask: Bool[Tensor, " m"]) -> None:
        super().__init__(inner.domain_shape, inner.codomain_shape)
        self.inner, self.mask = inner, mask

    def _expanded(self, like: Tensor) -> Tensor:
        return self.mask.to(like.device).reshape(1, -1, *([1] * (like.ndim - 2)))

    def forward(self, x: Tensor) -> Tensor:
        """Image of `x`."""
        y = self.inner.forward(x)
        return torch.where(self._expanded(y), torch.full_like(y, torch.nan), y)

    def transposed(self, y: Tensor) -> Tensor:
        """Image of `y` under the adjoint."""
        return self.inner.transposed(torch.where(self._expanded(y), torch.zeros_like(y), y))

    def _parts(self) -> Sequence[LinearMap]:
        return (self.inner,)

    def _matrix(self) -> Any:
        keep = np.repeat(~self.mask.numpy(), self.shape[0] // len(self.mask))
        return sp.csr_matrix(sp.diags(keep.astype(np.float64)) @ self.inner.matrix)


def outside_mask(points: Tensor, distances: Tensor, tolerance: float, outside: Outside, domain: Any) -> Tensor:
    """Which points lie further than `tolerance` outside; raises where that was asked for.

    Raises
    ------
    OutsideError
        With `outside="raise"`, naming the count, the first offenders and their distances.
    """
    if outside not in ("raise", "nan", "nearest"):
        raise InputError(f'outside must be "raise", "nan" or "nearest", got {outside!r}')
    mask = distances > tolerance
    if outside == "raise" and bool(mask.any()):
        indices = torch.nonzero(mask).reshape(-1)
        shown = ", ".join(
            f"{int(i)} at {[round(c, 6) for c in points[i].tolist()]} (distance {float(distances[i]):.3g})"
            for i in indices[:3]
        )
        raise OutsideError(
            f"{len(indices)} of {len(points)} points lie outside {domain!r}: {shown}; "
            'pass outside="nearest" or outside="nan" to allow them',
            indices,
            distances[indices],
        )
    return mask


def projection_between(target: Basis, source: Basis) -> LinearMap:
    r"""The L2 projection of scalar functions, :math:`M^{-1} B` with :math:`B_{ij} = \int \phi_i \psi_j`.

    Tensor-product bases on one box are projected axis by axis, exactly. Otherwise integrals use the rule with more
    points, that of the finer of two meshes, which is exact where that mesh refines the other.
    """
    structured = getattr(target, "projection", None)
    known = None if structured is None else structured(source)
    if known is not None:
        return known
    finer, rule = finer_rule(target, source)
    to_target = rule.values if finer is target else target.evaluation(rule.points, False, "nearest")
    to_source = rule.values if finer is source else source.evaluation(rule.points, False, "nearest")
    weights = sp.diags(np.repeat(rule.weights.numpy(), math.prod(target.intrinsic_shape)))
    if to_target.is_sparse and to_source.is_sparse:
        product = to_target.matrix.T @ weights @ to_source.matrix
        load: LinearMap = SparseMap(product, source.dof_shape, target.dof_shape)
    else:
        between = SparseMap(weights, to_source.codomain_shape, to_target.codomain_shape)
        load = to_target.adjoint() @ between @ to_source
    return target.mass().inverse() @ load


def finer_rule(target: Basis, source: Basis) -> tuple[Basis, Quadrature]:
    """The one of two bases whose quadrature has more points, and its rule for products of their functions."""
    degree = target.degree + source.degree
    rules = [(basis, basis.quadrature(degree)) for basis in ((target,) if source is target else (target, source))]
    return max(rules, key=lambda pair: len(pair[1].weights))  # the first of equals
