r"""The scan of a family on NVIDIA GPUs: one program for each replica and tile of sixteen columns, in Triton.

The loop over time runs inside a program, with the state and the weights in its registers; the plain loop in PyTorch
launches some twenty kernels for each step instead. The adjoint is a second program of the same shape, which leaves one
part of the weights' gradients for each tile; the parts are added in a fixed order, so that the same input gives the
same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = [
    "TritonFamily",
    "complete_forcing",
    "launch_settings",
    "misfit",
    "triton_installed",
    "triton_lacks",
    "triton_scan",
]

TritonFamily = Literal["al_rnn", "shallow"]
FAMILIES: tuple[TritonFamily, ...] = ("al_rnn", "shallow")
COLUMNS = 16  # of a tile, the least that Triton's products take
OLDEST_CAPABILITY = (8, 0)  # with the 96 KiB of shared memory for a program that the largest maps take
# What the registers of a program hold without much spilling, counted in units padded to powers of two.
MOST_UNITS = {"al_rnn": 128, "shallow": 32}
MOST_WEIGHTS = 32 * 128  # of a matrix of a shallow map
MOST_WEIGHTS_WIDE = 32 * 256  # the same where there is shared memory for it
WIDE_SHARED_MEMORY = 144 * 1024


def triton_lacks(
    family: str, parameters: Sequence[Float[Tensor, "replica ..."]], start: Float[Tensor, "replica unit column"]
) -> str | None:
    """Why a scan can't take the programs in Triton, or None if it can; the plain loop takes it then."""
    if not start.is_cuda:
        return f"tensors are on {start.device}, and the programs run on NVIDIA GPUs"
    if not triton_installed():
        return "the package triton is not installed; install it with: pip install triton (Linux)"
    if torch.version.hip is not None or torch.cuda.get_device_capability(start.device) < OLDEST_CAPABILITY:
        return f"{torch.cuda.get_device_name(start.device)} is not among the GPUs that the programs are made for"
    shared = getattr(torch.cuda.get_device_properties(start.device), "shared_memory_per_block_optin", 0)
    return misfit(family, parameters, start, wide=shared >= WIDE_SHARED_MEMORY)


def misfit(
    family: str,
    parameters: Sequence[Float[Tensor, "replica ..."]],
    start: Float[Tensor, "replica unit column"],
    *,
    wide: bool,
) -> str | None:
    """What about the map or its numbers the programs are not made for; `wide` where shared memory is plenty."""
    if family not in FAMILIES:
        return f"there is no program for maps of the family {family!r}, only for {', '.join(FAMILIES)}"
    dtypes = {tensor.dtype for tensor in (start, *parameters)}
    if dtypes != {torch.float32}:
        return f"the programs take float32, got {', '.join(sorted(str(dtype) for dtype in dtypes))}"
    if 0 in start.shape:
        return f"there is nothing to do for states of shape {tuple(start.shape)}"
    sizes = _sizes(family, parameters)
    padded = [_padded(size) for size in sizes]
    if padded[0] > MOST_UNITS[family]:
        return f"{sizes[0]} units are more than the {MOST_UNITS[family]} that a program holds in its registers"
    most = (MOST_WEIGHTS_WIDE if wide else MOST_WEIGHTS) // padded[0]
    if family == "shallow" and padded[1] > most:
        return f"{sizes[1]} hidden units are more than the {most} that a program holds beside {sizes[0]} units"
    return None


def triton_scan(
    family: TritonFamily,
    parameters: Sequence[Float[Tensor, "replica ..."]],
    options: tuple[Any, ...],
    start: Float[Tensor, "replica unit column"],
    steps: int,
    *,
    targets: Float[Tensor, "replica forced time column"] | None = None,
    gain: Float[Tensor, "replica time"] | None = None,
    drive: Float[Tensor, "replica unit time column"] | None = None,
) -> Float[Tensor, "replica unit time column"]:
    """As `compiled_scan`, for what `triton_lacks` nothing for."""
    forcing = complete_forcing(start, steps, targets, gain, drive)
    return _TritonScan.apply(family, options, steps, start, *forcing, *parameters)


def complete_forcing(
    start: Float[Tensor, "replica unit column"],
    steps: int,
    targets: Float[Tensor, "replica forced time column"] | None,
    gain: Float[Tensor, "replica time"] | None,
    drive: Float[Tensor, "replica unit time column"] | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Targets, gain and drive, empty ones for those that are absent: no unit is forced, or none is driven."""
    count, _, columns = start.shape
    if targets is None or gain is None:
        targets, gain = start.new_zeros(count, 0, steps, columns), start.new_zeros(count, steps)
    return targets, gain, start.new_zeros(count, 0, steps, columns) if drive is None else drive


@cache
def triton_installed() -> bool:
    """Whether Triton can be imported; torch's CUDA builds for Linux bring it."""
    return find_spec("triton") is not None


def _sizes(family: str, parameters: Sequence[Tensor]) -> tuple[int, ...]:
    """Units; of a shallow map hidden units too."""
    units = parameters[0].shape[-1]
    return (units, parameters[1].shape[-1]) if family == "shallow" else (units,)


def _padded(size: int) -> int:
    """The power of two, sixteen or more, that holds so many."""
    return max(16, 1 << (size - 1).bit_length())


def _launch(
    name: str, family: str, options: tuple[Any, ...], tensors: Sequence[Tensor], *, sizes: tuple[int, ...],
    columns: int, steps: int, forced: int, **flags: bool,
) -> None:  # fmt: skip
    """Start the program `name` of a family for all replicas and tiles of columns."""
    padded = [_padded(size) for size in sizes]
    if family == "al_rnn":
        relu, centred = options
        numbers: tuple[int, ...] = (sizes[0] - relu, sizes[0])
        constants: dict[str, Any] = {"CENTRED": bool(centred), "UNITS": padded[0]}
    else:
        numbers = sizes
        constants = {"CLIPPED": bool(options[0]), "UNITS": padded[0], "HIDDEN": padded[1]}
    program: Any = getattr(_module(family), name)
    grid = (len(tensors[0]), -(-columns // COLUMNS))
    program[grid](
        *tensors, *numbers, steps, columns, forced,
        **constants, **flags, COLUMNS=COLUMNS, **launch_settings(padded),
    )  # fmt: skip


def launch_settings(padded: Sequence[int]) -> dict[str, Any]:
    """How many warps share the rows of products, and whether loads run ahead, which takes shared memory.

    Chosen by what ptxas makes for sm_80 to sm_90: up to 64 units, or 4096 weights of a shallow map's matrix, it keeps
    nearly all in registers; beyond, up to 2 KiB of a thread's values go through the first cache.
    """
    if max(padded) > 64 and padded[0] * padded[-1] > MOST_WEIGHTS:
        return {"num_warps": 16, "num_stages": 1, "enable_fp_fusion": True}
    rows = padded[0] if len(padded) == 1 else padded[1] // 2
    return {"num_warps": max(2, min(8, rows // 8)), "num_stages": 3, "enable_fp_fusion": True}


@cache
def _module(family: str) -> Any:
    return import_module(f"funcspace.dynamics.reconstruction.kernels.{family}_triton")


class _TritonScan(torch.autograd.Function):
    """The program of a scan and that of its adjoint."""

    @staticmethod
    def forward(
        ctx: Any,
        family: str,
        options: tuple[Any, ...],
        steps: int,
        start: Tensor,
        targets: Tensor,
        gain: Tensor,
        drive: Tensor,
        *parameters: Tensor,
    ) -> Tensor:
        count, units, columns = start.shape
        states = start.new_empty(count, units, steps, columns)
        start, targets, gain, drive = (t.contiguous() for t in (start, targets, gain, drive))
        parameters = tuple(p.contiguous() for p in parameters)
        shape: dict[str, Any] = {
            "sizes": _sizes(family, parameters),
            "columns": columns,
            "steps": steps,
            "forced": targets.shape[1],
            "FORCED": targets.shape[1] > 0,
        }
        if steps:
            tensors = (*parameters, start, targets, gain, drive, states)
            _on(start, lambda: _launch("forward", family, options, tensors, **shape, DRIVEN=drive.shape[1] > 0))
        ctx.save_for_backward(start, targets, gain, states, *parameters)
        ctx.family, ctx.options, ctx.shape, ctx.driven = family, options, shape, drive.shape[1] > 0
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        start, targets, gain, states, *parameters = ctx.saved_tensors
        needed = ctx.needs_input_grad
        wanted, driven = needed[4] and targets.shape[1] > 0, ctx.driven and needed[6]
        tiles = -(-start.shape[-1] // COLUMNS)
        of_start = torch.zeros_like(start)
        of_targets = torch.empty_like(targets if wanted else start)
        of_drive = torch.empty_like(states if driven else start)
        # a matrix has one part for each tile of columns, a vector one for each column
        parts = [p.new_zeros(p.shape[0], tiles, *p.shape[1:], *([COLUMNS] * (p.ndim == 2))) for p in parameters]
        if ctx.shape["steps"]:
            tensors = (*parameters, start, targets, gain, states, cotangents[0].contiguous())
            results = (of_start, of_targets, of_drive, *parts)
            _on(
                start,
                lambda: _launch(
                    "backward", ctx.family, ctx.options, (*tensors, *results), **ctx.shape, DRIVEN=driven, WANTED=wanted
                ),
            )
        of_parameters = [part.sum(dim=1 if p.ndim == 3 else (1, 3)) for part, p in zip(parts, parameters, strict=True)]
        return (
            None, None, None, of_start, of_targets if wanted else None, None, of_drive if driven else None,
            *of_parameters,
        )  # fmt: skip


def _on(tensor: Tensor, work: Callable[[], None]) -> None:
    """Do the work on the device that holds the tensor, as Triton launches on the current one."""
    if tensor.is_cuda:
        with torch.cuda.device(tensor.device):
            work()
    else:
        work()
