"""Initial states: Functions, arrays and callables as values on a periodic grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from funcspace.errors import InputError
from funcspace.functions import Function, FunctionSpace

__all__ = ["initial_values"]


def initial_values(initial: Any, space: FunctionSpace) -> tuple[Tensor, tuple[int, ...]]:
    """Values (batch, components, *grid) of initial states in double precision, and their batch shape.

    Raises
    ------
    InputError
        When the shape does not fit the space, or a value is not finite.
    """
    shape, count = space.layout, len(space.components)
    if isinstance(initial, Function):
        if initial.space.value_shape != space.value_shape:
            raise InputError(
                f"the initial state must have components {space.components}; {initial!r} has {initial.space.components}"
            )
        placed = initial if initial.space.domain == space.domain else initial.to(space)
        values, batch = placed.coefficients, placed.batch_shape
    else:
        raw = initial(space.domain.points) if callable(initial) else initial
        try:
            values = raw if isinstance(raw, Tensor) else torch.as_tensor(np.asarray(raw, dtype=np.float64))
        except (TypeError, ValueError) as error:
            raise InputError(
                f"the initial state must be a Function, an array or a callable; got {type(initial).__name__}"
            ) from error
        layouts = [(*shape, count), (space.n_dofs, count)] if space.value_shape else []
        if not space.value_shape:
            layouts = [shape, (space.n_dofs,), (space.n_dofs, 1)] if callable(initial) else [shape, (*shape, 1)]
        fitting = [s for s in layouts if values.ndim >= len(s) and tuple(values.shape[values.ndim - len(s) :]) == s]
        if not fitting:
            raise InputError(
                f"the initial state must have shape (*batch, {', '.join(map(str, layouts[0]))}) on {space.domain!r}; "
                f"got {tuple(values.shape)}"
            )
        batch = tuple(values.shape[: values.ndim - len(fitting[0])])
    if values.is_complex():
        raise InputError("the initial state must be real")
    if values.numel() == 0:
        raise InputError("the initial state is empty: there are no samples")
    flat = values.to(torch.float64).reshape(-1, space.n_dofs, count)
    bad = torch.nonzero(~torch.isfinite(flat))
    if len(bad):
        sample, dof, component = bad[0].tolist()
        raise InputError(
            f"the initial state must be finite; sample {sample} has {float(flat[sample, dof, component])} for "
            f"{space.components[component]!r} at {space.domain.points[dof].tolist()}"
        )
    return flat.movedim(-1, 1).reshape(len(flat), count, *shape), batch
