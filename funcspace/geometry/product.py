"""Products of times with a domain in space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from funcspace.errors import DomainError, InputError
from funcspace.geometry.cached_property import cached_property
from funcspace.geometry.domain import content_fingerprint
from funcspace.geometry.times import Times

__all__ = ["ProductDomain"]


class ProductDomain:
    """Space-time: each point of a domain at each of some instants, time first and slowest.

    Parameters
    ----------
    factors : a `Times` and a domain in space.

    Raises
    ------
    DomainError
        When the factors are not these two.

    Examples
    --------
    >>> import funcspace as fs
    >>> domain = fs.Times(0.0, 0.5, 3) * fs.Grid(x=(0.0, 2.0, 5))
    >>> tuple(domain.points.shape), float(domain.measure.sum()), sorted(domain.boundary)
    ((15, 2), 2.0, ['boundary', 'end', 'left', 'right', 'start'])
    """

    def __init__(self, factors: Sequence[Any]) -> None:
        pair = tuple(factors)
        if len(pair) != 2 or not isinstance(pair[0], Times):
            kinds = [type(factor).__name__ for factor in pair]
            raise DomainError(f"a product needs two factors, Times first and then a domain in space; got {kinds}")
        if isinstance(pair[1], Times | ProductDomain) or not hasattr(type(pair[1]), "fingerprint"):
            raise DomainError(f"Times multiply a Grid, a Mesh or a PointCloud, not a {type(pair[1]).__name__}")
        if "time" in pair[1].axis_names:
            raise DomainError(f"the domain in space has an axis called time already: {pair[1].axis_names}")
        self._factors: tuple[Times, Any] = (pair[0], pair[1])

    @property
    def factors(self) -> tuple[Any, ...]:
        """The times and the domain in space."""
        return self._factors

    @property
    def times(self) -> Times:
        """The first factor."""
        return self._factors[0]

    @property
    def space(self) -> Any:
        """The second factor."""
        return self._factors[1]

    @property
    def dim(self) -> int:
        """One more than that of space."""
        return 1 + self.space.dim

    @property
    def axis_names(self) -> tuple[str, ...]:
        """Time, then the axes of space."""
        return (*self.times.axis_names, *self.space.axis_names)

    @property
    def units(self) -> Mapping[str, str]:
        """Units of both factors."""
        return {**self.times.units, **self.space.units}

    @property
    def bounds(self) -> Float[Tensor, "2 d"]:
        """Lower and upper corner."""
        return torch.cat([self.times.bounds, self.space.bounds], dim=1)

    @cached_property
    def points(self) -> Float[Tensor, "n d"]:
        """All points of space at the first instant, then at the second, and so on."""
        return product_points(self.times.points, self.space.points)

    @cached_property
    def measure(self) -> Float[Tensor, " n"]:
        """Products of the measures."""
        return torch.outer(self.times.measure, self.space.measure).reshape(-1)

    @cached_property
    def boundary(self) -> Mapping[str, Int[Tensor, " k"]]:
        """The parts "start" and "end" of time (all points of space), and the parts of space at all times.

        "boundary" is thus the boundary of space at all times. Indices number points; on meshes the parts of space
        number facets, those of the first instant first.
        """
        count = len(self.space.points)
        facets = getattr(self.space, "facets", None)
        per_instant = count if facets is None else len(facets)
        steps = torch.arange(self.times.count)[:, None]
        parts = {name: (steps * per_instant + part).reshape(-1) for name, part in self.space.boundary.items()}
        clash = {"start", "end"} & set(parts)
        if clash:
            raise DomainError(f"the boundary part {sorted(clash)[0]!r} of space is called as an end of time")
        whole = torch.arange(count)
        return {**parts, "start": whole, "end": whole + (self.times.count - 1) * count}

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the content."""
        return content_fingerprint(["product", *(factor.fingerprint for factor in self._factors)])

    def refined(self, times: int = 1) -> ProductDomain:
        """Both factors refined."""
        if not hasattr(self.space, "refined"):
            raise DomainError(f"{self.space!r} cannot be refined")
        return ProductDomain((self.times.refined(times), self.space.refined(times)))

    def __getitem__(self, index: Any) -> ProductDomain:
        """The same space over a slice of the times."""
        if not isinstance(index, slice):
            raise InputError(f"a product of times is indexed by a slice of the times, got {index!r}")
        return ProductDomain((self.times[index], self.space))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProductDomain) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        return f"ProductDomain({self.times!r} * {self.space!r})"

    def _repr_html_(self) -> str:
        inner = getattr(self.space, "_repr_html_", lambda: repr(self.space))()
        return f"<div><b>ProductDomain</b>{self.times._repr_html_()}{inner}</div>"


def product_points(first: Tensor, second: Tensor) -> Float[Tensor, "n d"]:
    """All pairs of points, the first factor slowest."""
    return torch.cat([first.repeat_interleave(len(second), dim=0), second.repeat(len(first), 1)], dim=1)
