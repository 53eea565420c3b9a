"""Products of states with weights, of which each replica of a model has its own."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

__all__ = ["product"]


def product(
    x: Float[Tensor, "*replica_and_batch unit"], matrix: Float[Tensor, "*replica row unit"]
) -> Float[Tensor, "*replica_and_batch row"]:
    """The matrix times each x; where there is one for each replica, the first axis of x numbers the replicas."""
    if matrix.ndim == 2:
        return x @ matrix.mT
    if x.ndim == 2:
        return (x[:, None] @ matrix.mT)[:, 0]
    return x @ matrix.mT.reshape(len(matrix), *([1] * (x.ndim - 3)), *matrix.mT.shape[-2:])
