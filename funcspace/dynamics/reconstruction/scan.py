r"""A map applied again and again, forced towards data as it goes: the loop that all training of recurrent maps is.

z_t = F(x_{t-1}) + s_t,  x_0 = start,  x_t = z_t + g_t (d_t - z_t) on the forced units,  t = 1 .. T

g_t = 1 at every interval-th step is sparse teacher forcing, g_t = alpha at all steps generalised teacher forcing, and
g_t = 0 a free run. A target d_t that is NaN (a missing value) forces nothing.

On the CPU the loop is compiled for all families. On NVIDIA GPUs (compute capability 8.0 or newer, Linux) it is for
AL-RNNs of up to 128 units and shallow maps of up to 32 units and 128 hidden ones (256 where units are at most 16 or
a program may have 144 KiB of shared memory) in single precision, where Triton is installed, as it is with PyTorch's
CUDA builds; what does not fit takes the plain loop, and `triton_lacks` tells why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import import_module
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from funcspace.dynamics.reconstruction.triton_scan import complete_forcing, triton_lacks, triton_scan
from funcspace.errors import InputError
from funcspace.solvers.threads import available_cores

__all__ = ["Family", "arrays_of", "compiled_scan", "has_compiled_scan", "over_ranges", "plain_scan"]

Family = Literal["al_rnn", "shallow", "dendritic"]
COLUMNS = 16  # float32 that fill a register of `register_vectors`
MOST_NUMBERS = 2**24  # that a scan makes at once where columns fill up those that are asked for
FEW_UNITS = 4  # of which the registers hold the state, its cotangent and what goes between


def plain_scan(
    step: Callable[[Tensor], Tensor],
    start: Float[Tensor, "replica unit column"],
    steps: int,
    *,
    targets: Float[Tensor, "replica forced time column"] | None = None,
    gain: Float[Tensor, "replica time"] | None = None,
    drive: Float[Tensor, "replica unit time column"] | None = None,
) -> Float[Tensor, "replica unit time column"]:
    """The states z_1 .. z_T, by a loop over `step`, which maps (replica, column, unit) to the same shape.

    On any device, differentiable as often as `step` is; what the compiled scans are held to.
    """
    x, states = start, []
    for t in range(steps):
        z = step(x.mT).mT
        if drive is not None:
            z = z + drive[:, :, t]
        states.append(z)
        x = z
        if targets is not None and gain is not None:
            forced = targets.shape[1]
            wanted = targets[:, :, t]
            held = torch.where(wanted.isnan(), z[:, :forced], wanted)
            pulled = z[:, :forced] + gain[:, t, None, None] * (held - z[:, :forced])
            x = torch.cat([pulled, z[:, forced:]], dim=1)
    return torch.stack(states, dim=2)


def compiled_scan(
    family: Family,
    parameters: Sequence[Float[Tensor, "replica ..."]],
    options: tuple[Any, ...],
    start: Float[Tensor, "replica unit column"],
    steps: int,
    *,
    targets: Float[Tensor, "replica forced time column"] | None = None,
    gain: Float[Tensor, "replica time"] | None = None,
    drive: Float[Tensor, "replica unit time column"] | None = None,
) -> Float[Tensor, "replica unit time column"]:
    """As `plain_scan` for the maps of a family, in one compiled loop each way, differentiable once.

    On the CPU with one thread per replica, on GPUs with one program for each replica and sixteen columns. In single
    precision on the CPU the columns are filled up to a multiple of sixteen, too: one alone would take longer.

    Parameters
    ----------
    family : "al_rnn" (A, W, h; number of ReLU units, whether they see the deviation from the mean), "shallow"
        (A, W1, W2, h1, h2; clipped) or "dendritic" (A, W, h, slopes, thresholds; clipped).
    parameters, options : those named for the family, parameters with a leading axis of replicas.

    Raises
    ------
    InputError
        When there is no compiled loop for the map on the device of `start`.
    """
    if start.device.type != "cpu":
        lacks = triton_lacks(family, parameters, start)
        if lacks is not None or family == "dendritic":
            raise InputError(f"no compiled scan: {lacks}; take the plain loop with compiled=False")
        return triton_scan(family, parameters, options, start, steps, targets=targets, gain=gain, drive=drive)
    forcing = complete_forcing(start, steps, targets, gain, drive)
    missing = -start.shape[2] % COLUMNS
    if start.dtype == torch.float32 and missing and start.numel() and steps:
        free = targets is None and not torch.is_grad_enabled()
        longest = max(1, MOST_NUMBERS // (start[:, :, 0].numel() * (start.shape[2] + missing)))
        if free or steps <= longest:  # what is forced goes on from other states than those that are kept
            return _filled_scan(family, parameters, options, start, steps, forcing, missing, longest)
    return _Scan.apply(family, options, steps, start, *forcing, *parameters)


def _filled_scan(
    family: Family,
    parameters: Sequence[Tensor],
    options: tuple[Any, ...],
    start: Tensor,
    steps: int,
    forcing: tuple[Tensor, Tensor, Tensor],
    missing: int,
    longest: int,
) -> Tensor:
    """The scan with so many more columns, in stretches of at most so many steps."""
    x, stretches = start, []
    for first in range(0, steps, longest):
        length = min(longest, steps - first)
        targets, gain, drive = (
            piece.narrow(axis, first, length) for piece, axis in zip(forcing, (2, 1, 2), strict=True)
        )
        states = _Scan.apply(
            family, options, length, _filled(x, missing), _filled(targets, missing), gain, _filled(drive, missing),
            *parameters,
        )  # fmt: skip
        stretches.append(states[..., :-missing].contiguous())
        x = stretches[-1][:, :, -1]
    return stretches[0] if len(stretches) == 1 else torch.cat(stretches, dim=2)


def _filled(tensor: Float[Tensor, "*axes column"], missing: int) -> Float[Tensor, "*axes filled"]:
    """The columns with so many copies of the last one, so that none is lost where that one is not."""
    return torch.cat([tensor, tensor[..., -1:].expand(*tensor.shape[:-1], missing)], dim=-1)


def has_compiled_scan(
    family: Family, parameters: Sequence[Float[Tensor, "replica ..."]], start: Float[Tensor, "replica unit column"]
) -> bool:
    """Whether `compiled_scan` can take the map where its tensors are."""
    return start.device.type == "cpu" or triton_lacks(family, parameters, start) is None


def _kernels(family: Family, start: Tensor) -> Any:
    """The kernels of a family; those for columns in registers where the columns fill them."""
    _, units, columns = start.shape
    if start.dtype == torch.float32 and columns % COLUMNS == 0 and columns > 0:
        if family == "shallow" and units <= FEW_UNITS:
            return _module("shallow_few_units").kernels(units)
        return _module(f"{family}_sixteen")
    return _module(f"{family}_kernels")


@cache
def _module(name: str) -> Any:
    return import_module(f"funcspace.dynamics.reconstruction.kernels.{name}")


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(available_cores(), thread_name_prefix="scan")


def over_ranges(count: int, work: Callable[[int, int], None]) -> None:
    """Call work(first, last) on ranges that cover 0 .. count - 1, one for each thread."""
    threads = min(count, torch.get_num_threads(), available_cores())
    if threads == 1:
        work(0, count)
        return
    bounds = [count * i // threads for i in range(threads + 1)]
    list(_pool().map(work, bounds[:-1], bounds[1:]))


def arrays_of(*tensors: Tensor) -> list[np.ndarray]:
    """What compiled loops take of tensors on the CPU."""
    return [tensor.detach().contiguous().numpy() for tensor in tensors]


class _Scan(torch.autograd.Function):
    """The compiled loop and its adjoint."""

    @staticmethod
    def forward(
        ctx: Any,
        family: Family,
        options: tuple[Any, ...],
        steps: int,
        start: Tensor,
        targets: Tensor,
        gain: Tensor,
        drive: Tensor,
        *parameters: Tensor,
    ) -> Tensor:
        forward = _kernels(family, start).forward_all
        count, units, columns = start.shape
        states = start.new_empty(count, units, steps, columns)
        arrays = arrays_of(start, targets, gain, drive, states)
        weights = arrays_of(*parameters)

        over_ranges(count, lambda first, last: forward(first, last, *weights, *options, *arrays))
        ctx.save_for_backward(start, targets, gain, states, *parameters)
        ctx.family, ctx.options, ctx.driven = family, options, drive.shape[1] > 0
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        start, targets, gain, states, *parameters = ctx.saved_tensors
        backward = _kernels(ctx.family, start).backward_all
        needed = ctx.needs_input_grad
        of_start = torch.empty_like(start, memory_format=torch.contiguous_format)
        of_targets = targets.new_zeros(targets.shape if needed[4] else (len(start), 0, 1, 1))
        driven = ctx.driven and needed[6]
        of_drive = torch.empty_like(states) if driven else states.new_zeros(len(start), 0, 1, 1)
        of_parameters = [torch.zeros_like(p, memory_format=torch.contiguous_format) for p in parameters]
        weights = arrays_of(*parameters)
        arrays = arrays_of(start, targets, gain, states, cotangents[0])
        results = [t.numpy() for t in (of_start, of_targets, of_drive, *of_parameters)]

        over_ranges(len(start), lambda first, last: backward(first, last, *weights, *ctx.options, *arrays, *results))
        return (
            None, None, None, of_start, of_targets if needed[4] else None, None, of_drive if driven else None,
            *of_parameters,
        )  # fmt: skip
