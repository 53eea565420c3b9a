"""One step of Tsit5 through a differentiable right-hand side, with what the step tells about its own difficulty."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from funcspace.dynamics.integrators.tsit5_table import ERROR, MATRIX

__all__ = ["tsit5_flow", "tsit5_step"]

ROWS = [[float(a) for a in row[:i]] for i, row in enumerate(MATRIX)]
WEIGHTS = [float(e) for e in ERROR]

Velocity = Callable[[Tensor], Tensor]


def tsit5_step(
    velocity: Velocity, x: Float[Tensor, "*batch state"], h: float, first: Float[Tensor, "*batch state"]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    r"""A step of length h from x, where the velocity is `first`.

    Returns
    -------
    state : the new state, of fifth order.
    error : its difference to the embedded solution of fourth order, h sum_i e_i k_i.
    stiffness : |k_7 - k_6| / |g_7 - g_6|, about the size of the dominant eigenvalue (Hairer and Wanner, IV.2).
    last : the velocity at the new state, first of the next step.
    """
    stages = [first]
    at = before = x
    for row in ROWS[1:]:
        before, at = at, _moved(x, h, row, stages)
        stages.append(velocity(at))
    error = _moved(torch.zeros_like(x), h, WEIGHTS, stages)
    apart = torch.linalg.vector_norm(at - before, dim=-1).clamp_min(1e-12)
    stiffness = torch.linalg.vector_norm(stages[-1] - stages[-2], dim=-1) / apart
    return at, error, stiffness, stages[-1]


def tsit5_flow(
    velocity: Velocity, x: Float[Tensor, "*batch state"], duration: float, substeps: int
) -> Float[Tensor, "*batch state"]:
    """The state after a duration, in equal steps."""
    h = duration / substeps
    for _ in range(substeps):
        stages = [velocity(x)]
        for row in ROWS[1:-1]:
            stages.append(velocity(_moved(x, h, row, stages)))
        x = _moved(x, h, ROWS[-1], stages)
    return x


def _moved(x: Tensor, h: float, weights: list[float], stages: list[Tensor]) -> Tensor:
    for weight, stage in zip(weights, stages, strict=True):
        x = x.add(stage, alpha=h * weight)
    return x
