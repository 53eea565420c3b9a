"""Data of linear problems as tensors that remember what they were computed from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from funcspace.errors import InputError
from funcspace.functions import Function
from funcspace.solvers.assembly import Assembly
from funcspace.solvers.linear.boundary_parts import BoundaryParts
from funcspace.solvers.linear.time_data import at_time, varies_in_time
from funcspace.solvers.problem_data import is_tracked, tensors_at
from funcspace.solvers.tracked_values import given_at_dofs, load_of, tracked_at

__all__ = ["TrackedData", "has_tracked_data", "in_time", "nonnegative"]


def has_tracked_data(data: Any, assembly: Assembly, t: float = 0.0) -> bool:
    """Whether a datum is part of an autograd graph; containers are looked into, callables asked at one point."""
    if not torch.is_grad_enabled():
        return False
    if isinstance(data, Mapping):
        return any(has_tracked_data(value, assembly, t) for value in data.values())
    if isinstance(data, tuple | list):
        return any(has_tracked_data(value, assembly, t) for value in data)
    if isinstance(data, Function):
        return data.coefficients.requires_grad
    if isinstance(data, Tensor) or callable(data):
        return is_tracked(at_time(data, t), assembly.cells.points[:1])
    return False


def in_time(data: Any, make: Callable[[Any], Tensor]) -> Callable[[float], Tensor]:
    """What is made of the data at a time; made once where they are steady."""
    if varies_in_time(data):
        return lambda t: make(at_time(data, t))
    steady = make(data)
    return lambda t: steady


def nonnegative(values: Tensor, name: str) -> Tensor:
    """The values, unless one is negative."""
    if bool((values.detach() < 0).any()):
        raise InputError(f"{name} must not be negative")
    return values


class TrackedData:
    """Values, loads and given components of a problem's data.

    Parameters
    ----------
    assembly, parts : the discrete space and where its boundary conditions act.
    dtype : torch.float64 or torch.complex128.
    """

    def __init__(self, assembly: Assembly, parts: BoundaryParts, dtype: torch.dtype = torch.float64) -> None:
        self.assembly, self.parts, self.dtype = assembly, parts, dtype

    def at(self, elements: Any, data: Any, name: str, *, matrices: bool = False, real: bool = True) -> Tensor:
        """Values (samples or 1, points[, d, d]) at the quadrature points of cells or facets."""
        d = self.assembly.space.domain.dim
        shapes = ((), (d, d)) if matrices else ((),)
        dtype = torch.float64 if real else self.dtype
        return tracked_at(self.assembly, elements, data, name, shapes=shapes, dtype=dtype)

    def nodal(self, data: Any, name: str) -> Tensor:
        """Values (samples or 1, size) at the nodes."""

        def own(function: Function) -> Tensor | None:
            return function.coefficients.reshape(-1, self.assembly.size) if self.assembly.owns(function) else None

        return tensors_at(data, self.assembly.dof_points, name, same_space=own)

    def source(self, data: Any, weight: Tensor | None = None) -> Tensor:
        """The load (samples or 1, size) of a source, times a weight at the quadrature points."""
        if isinstance(data, int | float) and data == 0:
            return torch.zeros(1, self.assembly.size, dtype=self.dtype)
        cells = self.assembly.cells
        values = self.at(cells, data, "source", real=False)
        return load_of(cells, values if weight is None else values * weight)

    def edges(self, natural: Mapping[str, Mapping[str, Any]]) -> Tensor:
        """The load (samples or 1, size) of natural conditions, {kind: {part: g}}."""
        total = torch.zeros(1, self.assembly.size, dtype=self.dtype)
        for kind, of_kind in natural.items():
            for part, g in of_kind.items():
                if part in self.parts.natural:
                    facets = self.parts.natural[part]
                    total = total + load_of(facets, self.at(facets, g, f"{kind}[{part!r}]", real=False))
        return total

    def given(self, data: Mapping[str, Any] | None) -> Tensor:
        """Dirichlet values (samples or 1, size), zero at all other dofs."""
        return given_at_dofs(self.assembly, self.parts.dirichlet, data, self.dtype)
