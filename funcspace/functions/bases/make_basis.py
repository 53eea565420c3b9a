"""Which basis serves which domain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakValueDictionary

from funcspace.errors import InputError
from funcspace.functions.basis import Basis
from funcspace.geometry import Grid, Mesh, PointCloud, ProductDomain, Times

__all__ = ["make_basis"]

_cache: WeakValueDictionary[tuple[str, str], Any] = WeakValueDictionary()


def make_basis(domain: Any, element: str | Sequence[str] | None) -> Basis:
    """The basis named `element` on a domain; shared by all spaces that ask for the same, with all that it has cached.

    Raises
    ------
    InputError
        When the domain has no element of that name.
    """
    if element is None or isinstance(element, str):
        name = element
    else:
        parts = list(element) if isinstance(element, Sequence) else []
        if not parts or not all(isinstance(part, str) for part in parts):
            raise InputError(f"an element is a name such as 'linear', or one name per factor; got {element!r}")
        name = " * ".join(parts)
    key = (domain.fingerprint, str(name))
    basis = _cache.get(key)
    if basis is None:
        basis = _build(domain, name)
        _cache[key] = basis
    return basis


def _build(domain: Any, element: str | None) -> Any:
    """A new basis; its module is imported when the first domain of its kind comes."""
    if isinstance(domain, Grid):
        from funcspace.functions.bases.grid_basis import GridBasis

        return GridBasis(domain, element or "linear")
    if isinstance(domain, Mesh):
        from funcspace.functions.elements.finite_elements import FiniteElementBasis

        return FiniteElementBasis(domain, element)
    if isinstance(domain, Times):
        from funcspace.functions.bases.times_basis import TimesBasis

        return TimesBasis(domain, element or "linear")
    if isinstance(domain, PointCloud):
        from funcspace.functions.bases.cloud_basis import CloudBasis

        return CloudBasis(domain, element or "least_squares")
    if isinstance(domain, ProductDomain):
        from funcspace.functions.bases.product_basis import ProductBasis, factor_names

        in_time, in_space = factor_names(element)
        return ProductBasis(domain, make_basis(domain.times, in_time), make_basis(domain.space, in_space))
    raise InputError(
        f"no function space is known on a {type(domain).__name__}; "
        "use a Grid, Mesh, Times, PointCloud or Times times one of these"
    )
