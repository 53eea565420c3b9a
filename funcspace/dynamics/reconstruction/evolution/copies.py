"""Many models of one kind, whose weights are the rows of a matrix."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from funcspace.dynamics.reconstruction.models.piecewise_linear_rnn import PiecewiseLinearRNN

__all__ = ["Copies", "spread_out", "weight_rows"]


def weight_rows(model: PiecewiseLinearRNN) -> Float[Tensor, "replica weight"]:
    """All weights of each replica in a row, in double precision on the CPU; one row of a model without replicas."""
    count = model.replicas or 1
    return torch.cat([p.detach().reshape(count, -1).to("cpu", torch.float64) for p in model.parameters()], dim=1)


def spread_out(rows: Float[Tensor, "replica weight"], model: nn.Module) -> list[Tensor]:
    """The rows cut into tensors of the shapes, precision and device of the parameters of a model."""
    parameters = list(model.parameters())
    pieces = rows.split([p.numel() // len(rows) for p in parameters], dim=1)
    return [piece.reshape(p.shape).to(p) for piece, p in zip(pieces, parameters, strict=True)]


class Copies:
    """A model with as many replicas as there are rows of weights, made anew where their number changes.

    Parameters
    ----------
    like : whose kind and settings the copies have.
    device, dtype : theirs.
    """

    def __init__(self, like: PiecewiseLinearRNN, *, device: Any = "cpu", dtype: torch.dtype = torch.float64) -> None:
        self._like, self._device, self._dtype = like, device, dtype
        self._made: dict[int, PiecewiseLinearRNN] = {}

    def of(self, rows: Float[Tensor, "copy weight"]) -> PiecewiseLinearRNN:
        """The copies with these weights; the next call with as many rows overwrites them."""
        count = len(rows)
        if count not in self._made:
            kind: Any = type(self._like)
            made = kind(**(self._like.config | {"replicas": count}))
            self._made[count] = made.to(device=self._device, dtype=self._dtype)
        model = self._made[count]
        with torch.no_grad():
            for parameter, values in zip(model.parameters(), spread_out(rows, model), strict=True):
                parameter.copy_(values)
        return model
