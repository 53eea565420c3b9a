"""Integration in torch: all trajectories of a batch together, on any device, differentiable."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from funcspace.dynamics.integrators import tsit5_table
from funcspace.errors import InputError, SolverError

__all__ = ["integrate_batched"]

MAX_STEPS = 1_000_000


def integrate_batched(
    field: Callable[[Any, Tensor], Tensor],
    initial: Float[Tensor, "*batch dimension"],
    times: Float[Tensor, " times"],
    *,
    tolerance: float = 1e-7,
    scale: Any = 1.0,
    method: Literal["Tsit5", "RK4"] = "Tsit5",
    step: float | None = None,
    name: str = "the system",
) -> Float[Tensor, "*batch times dimension"]:
    r"""Solve :math:`\dot x = f(t, x)` for a batch of initial states and sample at the times.

    Tsit5 takes the step that the worst trajectory of the batch needs and ends a step at each sample; RK4 takes equal
    steps of at most `step` between samples (one step where None). Gradients flow to states and to whatever the field
    depends on; the choice of steps is not differentiated.

    Parameters
    ----------
    field : maps a time and states (*batch, dimension) to derivatives of the same shape.
    tolerance : local error relative to `scale + |x|`.

    Raises
    ------
    InputError
        Unknown method, times that do not increase.
    SolverError
        When a state is not finite or the step becomes too small.
    """
    instants = [float(t) for t in times]
    if method not in ("Tsit5", "RK4"):
        raise InputError(f'the batched integrator knows "Tsit5" and "RK4"; got {method!r}')
    if any(b <= a for a, b in pairwise(instants)):
        raise InputError("times must increase")
    size = torch.as_tensor(scale, dtype=initial.dtype, device=initial.device)
    x, samples = initial, [initial]
    h = step if step is not None else (instants[1] - instants[0] if len(instants) > 1 else 1.0)
    slope = field(instants[0], x)
    for start, stop in pairwise(instants):
        if method == "RK4":
            count = max(1, -int(-(stop - start) / (step or stop - start) * (1 - 1e-12) // 1))
            for k in range(count):
                x = _rk4(field, start + k * (stop - start) / count, (stop - start) / count, x)
            _finite(x, stop, name)
        else:
            x, slope, h = _adaptive(field, start, stop, x, slope, h, tolerance, size, name)
        samples.append(x)
    return torch.stack(samples, dim=-2)


def _rk4(field: Callable[[Any, Tensor], Tensor], t: float, h: float, x: Tensor) -> Tensor:
    k1 = field(t, x)
    k2 = field(t + h / 2, x + h / 2 * k1)
    k3 = field(t + h / 2, x + h / 2 * k2)
    k4 = field(t + h, x + h * k3)
    return x + h / 6 * (k1 + 2 * (k2 + k3) + k4)


def _adaptive(
    field: Callable[[Any, Tensor], Tensor],
    start: float,
    stop: float,
    x: Tensor,
    slope: Tensor,
    h: float,
    tolerance: float,
    scale: Tensor,
    name: str,
) -> tuple[Tensor, Tensor, float]:
    t, a, b = start, tsit5_table.MATRIX.tolist(), tsit5_table.ERROR.tolist()
    nodes, y, zero = tsit5_table.NODES.tolist(), x, torch.zeros_like(x)
    for _ in range(MAX_STEPS):
        last = t + h >= stop - 1e-12 * (stop - start)
        length = stop - t if last else h
        k = [slope]
        for s in range(1, 7):
            y = _moved(x, length, a[s][:s], k)
            k.append(field(t + nodes[s] * length, y))
        with torch.no_grad():
            scaled = _moved(zero, length, b, k) / (tolerance * (scale + torch.maximum(x.abs(), y.abs())))
            worst = float(scaled.square().mean(dim=-1).sqrt().max())
        if worst < 1.0:
            x, slope = y, k[6]
            t += length
            factor = min(5.0, 0.9 * max(worst, 1e-10) ** -0.2)
            h = max(h, length * factor) if last else length * factor
            if last:
                _finite(x, t, name)
                return x, slope, h
        else:
            h = length * (max(0.2, 0.9 * worst**-0.2) if worst < float("inf") else 0.1)
            if not h > 1e-14 * max(abs(t), stop - start):
                raise SolverError(f"the integration of {name} came to a halt at time {t:.6g}", state=x.detach())
    raise SolverError(
        f"the integration of {name} took more than {MAX_STEPS} steps to time {stop:.6g}", state=x.detach()
    )


def _moved(x: Tensor, length: float, weights: list[float], stages: list[Tensor]) -> Tensor:
    for weight, stage in zip(weights, stages, strict=True):
        if weight:
            x = torch.add(x, stage, alpha=length * weight)
    return x


def _finite(x: Tensor, t: float, name: str) -> None:
    if not bool(torch.isfinite(x).all()):
        rows = torch.nonzero(~torch.isfinite(x.reshape(-1, x.shape[-1])).all(dim=-1))
        raise SolverError(f"trajectory {int(rows[0])} of {name} is not finite at time {t:.6g}", state=x.detach())
