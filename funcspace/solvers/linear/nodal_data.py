"""Loads of time-dependent data, and values at the nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from funcspace.solvers.assembly import Assembly
from funcspace.solvers.linear.boundary_parts import BoundaryParts
from funcspace.solvers.linear.time_data import at_time, varies_in_time
from funcspace.solvers.problem_data import values_at

__all__ = ["given_in_time", "load_in_time", "lumped", "nodal_values", "sources_in_time"]

FloatArray = NDArray[np.float64]
InTime = Callable[[float], FloatArray]


def nodal_values(assembly: Assembly, data: Any, name: str) -> FloatArray:
    """Values (samples or 1, size) at the nodes."""

    def own(f: Any) -> FloatArray | None:
        if not assembly.owns(f):
            return None
        return f.coefficients.detach().cpu().to(torch.float64).numpy().reshape(-1, assembly.size)

    return values_at(data, assembly.dof_points, name, same_space=own)


def sources_in_time(
    assembly: Assembly, source: Any, integrate: Callable[[FloatArray, int], FloatArray] | None = None
) -> InTime:
    """The load of a source at a time, (samples or 1, size); computed once where it is steady.

    Parameters
    ----------
    integrate : takes values (samples, points) and the size to loads; by default those of the plain basis functions.
    """
    cells = assembly.cells

    def load(data: Any) -> FloatArray:
        if isinstance(data, int | float) and data == 0:
            return np.zeros((1, assembly.size))
        values = values_at(data, cells.points, "source", same_space=lambda f: assembly.own_values(cells, f))
        return (integrate or cells.load)(values, assembly.size)

    if varies_in_time(source):
        return lambda t: load(at_time(source, t))
    steady = load(source)
    return lambda t: steady


def load_in_time(assembly: Assembly, parts: BoundaryParts, source: InTime, natural: Mapping[str, Any]) -> InTime:
    """The load of a source and of natural conditions, {kind: {part: g}}."""

    def edges(data: Mapping[str, Any]) -> Any:
        return sum((parts.load(of_kind, kind) for kind, of_kind in data.items()), 0.0)

    if varies_in_time(natural):
        return lambda t: source(t) + edges(at_time(natural, t))
    steady = edges(natural)
    if np.ndim(steady) == 0:
        return source
    return lambda t: source(t) + steady


def given_in_time(parts: BoundaryParts, data: Mapping[str, Any] | None) -> InTime:
    """Dirichlet values at a time, (samples or 1, fixed dofs)."""
    if not varies_in_time(data or {}):
        values = parts.given(data)
        return lambda t: values
    return lambda t: parts.given(at_time(data, t))


def lumped(blocks: FloatArray) -> FloatArray:
    """Local matrices with their row sums on the diagonal."""
    return blocks.sum(axis=2)[:, :, None] * np.eye(blocks.shape[1])
