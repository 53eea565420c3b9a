"""The check that a function space lives on a uniform grid, for models made of stencils or Fourier modes."""

from __future__ import annotations

from funcspace.errors import DomainError
from funcspace.functions import FunctionSpace
from funcspace.geometry import Grid

__all__ = ["uniform_grid"]


def uniform_grid(
    space: FunctionSpace,
    model: str,
    *,
    dimension: int | None = None,
    samples: str | None = None,
    periodic: tuple[bool, ...] | None = None,
) -> Grid:
    """The grid under a space.

    Parameters
    ----------
    model : name of the model, for messages.
    dimension, samples, periodic : what the model was built for; None where it does not matter.

    Raises
    ------
    DomainError
        When the domain is no grid, is not uniform, or is of another kind than the model was built for.
    """
    domain = space.domain
    if not isinstance(domain, Grid):
        raise DomainError(
            f"{model} needs functions on a uniform Grid, got {domain!r}; interpolate them to one first, for example "
            "f.to(FunctionSpace(Grid(...)), outside='nearest')"
        )
    if not domain.is_uniform:
        raise DomainError(
            f"{model} needs a uniform grid, but an axis of {domain!r} is not equispaced; interpolate to one first with "
            "f.to(FunctionSpace(Grid(x=(start, stop, count), ...)))"
        )
    if tuple(space.layout) != tuple(domain.shape):
        raise DomainError(
            f"{model} needs one coefficient per sample of the grid, shape {domain.shape}, but the element "
            f"{space.element!r} has {space.layout}; interpolate to the element 'linear' first"
        )
    if dimension is not None and domain.dim != dimension:
        raise DomainError(f"this {model} was built for {dimension} dimensions, the grid has {domain.dim}: {domain!r}")
    if samples is not None and domain.samples != samples:
        raise DomainError(f"this {model} was built for samples on {samples}, the grid has them on {domain.samples}")
    if periodic is not None:
        closed = tuple(name in domain.periodic for name in domain.axis_names)
        if closed != periodic:
            expected = tuple(name for name, p in zip(domain.axis_names, periodic, strict=True) if p)
            raise DomainError(
                f"this {model} was built for the periodic axes {expected}, the grid has {domain.periodic}"
            )
    return domain
