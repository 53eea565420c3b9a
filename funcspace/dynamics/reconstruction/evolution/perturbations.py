"""Random changes of weights that move the predictions of a model by about as much in all directions."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from funcspace.dynamics.reconstruction.evolution.copies import Copies
from funcspace.dynamics.reconstruction.models.piecewise_linear_rnn import PiecewiseLinearRNN
from funcspace.dynamics.reconstruction.windows import Windows

__all__ = ["Perturbations"]

COPIES = 64  # whose gradients are taken at once
SAMPLES = 4  # gradients per weight
NULL = 1e-12  # relative to the largest eigenvalue


class Perturbations:
    r"""Gaussian changes of a row of weights, of the covariance (F + damping max eig F)^-1 but for a factor.

    F = E[g g^T],  g = d/dw sum_{t,k} s_tk o_k(z_t) / sqrt(T N),  s_tk = +-1 at random,

    over free runs of T steps from random states of the data: v^T F v is the mean square change of the predictions as
    the weights move along v. They change ten thousand times as much along some directions as along others; steps of one
    size in all weights would either ruin the model or leave it as it is. Directions along which they do not change at
    all, those of a change of latent coordinates, are left out. The factor makes the predictions change by one in root
    mean square, where changes are small.

    Parameters
    ----------
    model, row : its kind, and the weights.
    windows : of the data.
    replica : whose windows are drawn.
    replicas : how many there are.
    damping : relative to the largest eigenvalue.
    """

    def __init__(
        self,
        model: PiecewiseLinearRNN,
        row: Float[Tensor, " weight"],
        windows: Windows,
        replica: int,
        replicas: int,
        damping: float,
    ) -> None:
        weights = len(row)
        copies = Copies(model).of(row.expand(COPIES, -1))  # in double precision, which tells small from zero
        gain = torch.zeros(COPIES, windows.length - 1, dtype=torch.float64)
        total = torch.zeros(weights, weights, dtype=torch.float64)
        rounds = -(-SAMPLES * weights // COPIES)
        for _ in range(rounds):
            drawn = windows.draw(COPIES, replicas)[0][replica].to("cpu", torch.float64)
            predicted = copies(drawn.movedim(-1, 0)[..., None].contiguous(), gain)
            signs = torch.randint(0, 2, predicted.shape, dtype=torch.int8) * 2 - 1
            scalar = (predicted * signs).sum() / predicted[0].numel() ** 0.5
            gradients = torch.autograd.grad(
                scalar, list(copies.parameters()), allow_unused=True, materialize_grads=True
            )
            g = torch.cat([each.reshape(COPIES, -1) for each in gradients], dim=1)
            total += g.mT @ g
        values, vectors = torch.linalg.eigh(total / (rounds * COPIES))
        kept = values > NULL * values[-1]
        values, vectors = values[kept], vectors[:, kept]
        damped = values + damping * values[-1]
        effective = (values / damped).sum()  # the mean square change of predictions by a change of that covariance
        self._root = vectors * (damped * effective).rsqrt()

    def draw(self, count: int) -> Float[Tensor, "count weight"]:
        """So many changes, from torch's generator."""
        return torch.randn(count, self._root.shape[1], dtype=torch.float64) @ self._root.mT
