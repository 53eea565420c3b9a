"""Data of boundary-value problems at quadrature points and dofs, as tensors that remember what they came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from funcspace.functions import Function
from funcspace.solvers.assembly import Assembly
from funcspace.solvers.problem_data import tensors_at

__all__ = ["given_at_dofs", "load_of", "tracked_at"]

IntArray = NDArray[np.int64]


def tracked_at(
    assembly: Assembly,
    elements: Any,
    data: Any,
    name: str,
    *,
    shapes: tuple[tuple[int, ...], ...] = ((),),
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """Values (samples or 1, points, *value) at the quadrature points of cells or facets."""

    def own(function: Function) -> Tensor | None:
        if not assembly.owns(function):
            return None
        flat = function.coefficients.cpu().reshape(-1, assembly.size, *function.space.coefficient_shape[1:])
        kind = torch.complex128 if flat.is_complex() else torch.float64
        return _by_parts(elements.evaluation, flat.to(kind).movedim(1, -1)).movedim(-1, 1)

    return tensors_at(data, elements.points, name, shapes=shapes, same_space=own, dtype=dtype)


def load_of(elements: Any, values: Tensor) -> Tensor:
    """Integrals (samples, dofs, *value) of values (samples, points, *value) against the basis functions."""
    weights = torch.from_numpy(elements.weights.ravel())
    return _by_parts(elements.evaluation.T, values.movedim(1, -1) * weights).movedim(-1, 1)


def given_at_dofs(
    assembly: Assembly,
    parts: Mapping[str, IntArray],
    data: Mapping[str, Any] | None,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """Dirichlet values (samples or 1, dofs) by the dofs of each part, zero at all other dofs and where data is None."""
    found = torch.zeros(1, assembly.size, dtype=dtype)
    for part, dofs in parts.items():
        g = 0.0 if data is None else data[part]
        values = tensors_at(g, assembly.dof_points[dofs], f"dirichlet[{part!r}]", dtype=dtype)
        found = found.expand(max(len(found), len(values)), -1)
        found = found.index_copy(1, torch.from_numpy(dofs), values.expand(len(found), -1))
    return found


def _by_parts(real_map: Any, values: Tensor) -> Tensor:
    if values.is_complex():
        return torch.complex(real_map(values.real), real_map(values.imag))
    return real_map(values)
