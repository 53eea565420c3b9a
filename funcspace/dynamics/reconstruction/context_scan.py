"""The compiled scan of mixtures of experts over a context, with its adjoint."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from funcspace.dynamics.reconstruction.scan import arrays_of, over_ranges

__all__ = ["context_scan"]


def context_scan(
    start: Float[Tensor, "batch latent"],
    frames: Float[Tensor, "batch frame observed"],
    features: Float[Tensor, "batch frame observed"],
    targets: Float[Tensor, "batch time observed"],
    epsilon: Float[Tensor, "batch time observed"],
    interval: int,
    relu: int,
    weights: tuple[Tensor, ...],
) -> Float[Tensor, "batch time latent"]:
    """The states of `DynaMix` after a start, before forcing, in one compiled loop each way; threads share the batch.

    Parameters
    ----------
    targets : take the place of the first units at every interval-th step.
    weights : A, W, h, D, sigma, U, V and |tau| of the model. No gradient goes to frames, targets and epsilon.
    """
    columns = tuple(tensor.mT.contiguous() for tensor in (frames, features))
    return _ContextScan.apply(interval, relu, start, *columns, targets, epsilon, *weights)


def _kernels() -> Any:
    return import_module("funcspace.dynamics.reconstruction.kernels.dynamix_kernels")


class _ContextScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, interval: int, relu: int, *tensors: Tensor) -> Tensor:
        forward_all = _kernels().forward_all
        start, frames, features, targets, epsilon, A, W, h, D, sigma, U, V, tau = tensors
        batch, steps, observed = targets.shape
        experts, units = A.shape
        by_input = W.permute(2, 0, 1).reshape(units, experts * units)
        sizes = (units, frames.shape[2], observed, experts, experts, experts, experts * units, units)
        kept = [start.new_empty(batch, steps, size) for size in sizes]
        given = arrays_of(start, frames, features, targets, epsilon)
        parameters = arrays_of(A, by_input, h, D, sigma, U, V, tau)
        results = [tensor.numpy() for tensor in kept]
        over_ranges(batch, lambda first, last: forward_all(first, last, *given, interval, relu, *parameters, *results))
        ctx.save_for_backward(frames, features, epsilon, A, by_input, D, sigma, U, V, tau, *kept[:-1])
        ctx.interval, ctx.relu = interval, relu
        return kept[-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        backward_all = _kernels().backward_all
        frames, features, epsilon, A, by_input, D, sigma, U, V, tau, *kept = ctx.saved_tensors
        batch, _, units = cotangents[0].shape
        inputs, mixture = kept[0], kept[5]
        of_start = cotangents[0].new_empty(batch, units)
        deltas, of_features = torch.empty_like(inputs), torch.zeros_like(features)
        each = [p.new_zeros(batch, *p.shape) for p in (D, sigma, U, V, tau)]
        given, parameters = arrays_of(frames, features, epsilon), arrays_of(A, by_input, D, sigma, U, V, tau)
        saved = arrays_of(*kept, cotangents[0])
        results = [tensor.numpy() for tensor in (of_start, deltas, of_features, *each)]

        def work(first: int, last: int) -> None:
            backward_all(first, last, *given, ctx.interval, ctx.relu, *parameters, *saved, *results)

        over_ranges(batch, work)
        # what each expert receives, for all steps at once
        spread = (mixture[..., None] * deltas[:, :, None]).flatten(0, 1)
        x = inputs.flatten(0, 1)
        phi = torch.cat([x[:, : units - ctx.relu], x[:, units - ctx.relu :].relu()], dim=1)
        of_A, of_h = (spread * x[:, None]).sum(dim=0), spread.sum(dim=0)
        of_W = (spread.flatten(1).mT @ phi).unflatten(0, A.shape)
        of_rest = [g.sum(dim=0) for g in each]
        return None, None, of_start, None, of_features, None, None, of_A, of_W, of_h, *of_rest
