"""Coefficients that are P1 functions on a solver's own mesh: matrices are linear in their nodal values."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from funcspace.functions import Function
from funcspace.solvers.assembly import Assembly

__all__ = ["nodal_values"]

FloatArray = NDArray[np.float64]


def nodal_values(assembly: Assembly, function: Any) -> FloatArray | None:
    """Nodal values (samples, nodes) of a batch of real scalar P1 functions on the very mesh; None for all else.

    What a P1 function has at a point is a mean of what it has at nodes, so that bounds at the nodes hold everywhere.
    """
    if not (isinstance(function, Function) and function.batch_shape and assembly.is_linear(function.space)):
        return None
    space = function.space
    if space.value_shape or function.coefficients.is_complex():
        return None
    values = function.coefficients.detach().to("cpu", torch.float64).reshape(-1, space.n_dofs).numpy()
    return np.ascontiguousarray(values) if np.isfinite(values).all() else None
