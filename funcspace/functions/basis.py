"""What a function space asks of its basis, and which basis serves which domain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol
from weakref import WeakValueDictionary

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from funcspace.errors import InputError, OutsideError
from funcspace.functions.linear_map import LinearMap
from funcspace.geometry.domain import Domain

__all__ = ["Basis", "MaskedMap", "Outside", "Quadrature", "make_basis", "outside_mask"]

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
    """A map whose rows at masked points are NaN (points outside the domain); the adjoint ignores them."""

    def __init__(self, inner: LinearMap, mask: Bool[Tensor, " m"]) -> None:
        super().__init__(inner.domain_shape, inner.codomain_shape)
        self.inner, self.mask = inner, mask

    def _expanded(self, like: Tensor) -> Tensor:
        return self.mask.to(like.device).reshape(1, -1, *([1] * (like.ndim - 2)))

    def forward(self, x: Tensor) -> Tensor:
        y = self.inner.forward(x)
        return torch.where(self._expanded(y), torch.full_like(y, torch.nan), y)

    def transposed(self, y: Tensor) -> Tensor:
        return self.inner.transposed(torch.where(self._expanded(y), torch.zeros_like(y), y))

    def _matrix(self) -> Any:
        return self.inner.matrix


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


_cache: WeakValueDictionary[tuple[str, str], Any] = WeakValueDictionary()


def make_basis(domain: Domain, element: str | Sequence[str] | None) -> Basis:
    """The basis named `element` on a domain; shared by all spaces that ask for the same, with all that it has cached.

    Raises
    ------
    InputError
        When the domain has no element of that name.
    """
    name = element if isinstance(element, str) or element is None else " * ".join(element)
    key = (domain.fingerprint, str(name))
    basis = _cache.get(key)
    if basis is None:
        basis = _build(domain, name)
        _cache[key] = basis
    return basis


def _build(domain: Domain, element: str | None) -> Basis:
    from funcspace.geometry.grid import Grid

    if isinstance(domain, Grid):
        from funcspace.functions.grid_basis import GridBasis

        return GridBasis(domain, element or "linear")
    kind = type(domain).__name__
    if kind == "Mesh":
        from funcspace.functions.finite_elements import FiniteElementBasis

        return FiniteElementBasis(domain, element)  # pyright: ignore[reportArgumentType]
    if kind == "Times":
        from funcspace.functions.times_basis import TimesBasis

        return TimesBasis(domain, element or "linear")  # pyright: ignore[reportArgumentType]
    if kind == "PointCloud":
        from funcspace.functions.cloud_basis import CloudBasis

        return CloudBasis(domain, element or "least_squares")  # pyright: ignore[reportArgumentType]
    if kind == "ProductDomain":
        from funcspace.functions.product_basis import ProductBasis

        return ProductBasis(domain, element)  # pyright: ignore[reportArgumentType]
    raise InputError(f"no function space is known on a {kind}; use a Grid, Mesh, Times, PointCloud or a product of them")
