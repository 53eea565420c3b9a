"""Scans of recurrent maps on a GPU: programs in Triton against the plain PyTorch loop on the same device.

    python benchmarks/gpu_scans.py --output docs/benchmarks/gpu_scans.md

The two take turns; the best of some rounds counts, each timed from an idle device to an idle device. The gradients of
the two are compared as well, both against double precision. Without a GPU the programs run under Triton's interpreter
at a small size, which shows that they are right and says nothing about speed:

    TRITON_INTERPRET=1 python benchmarks/gpu_scans.py
"""

from __future__ import annotations

import argparse
import copy
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

import funcspace as fs
from funcspace.dynamics.reconstruction.scan import plain_scan
from funcspace.dynamics.reconstruction.triton_scan import triton_scan
from funcspace.optional import require

CASES: dict[str, Callable[[int], torch.nn.Module]] = {
    "AL-RNN, M = 20, P = 2": lambda replicas: fs.dynamics.ALRNN(3, 20, 2, replicas=replicas),
    "AL-RNN, M = 100, P = 10": lambda replicas: fs.dynamics.ALRNN(3, 100, 10, replicas=replicas),
    "clipped shPLRNN, M = 3, H = 50": lambda replicas: fs.dynamics.ClippedShallowPLRNN(3, hidden=50, replicas=replicas),
    "clipped shPLRNN, M = 10, H = 200": lambda replicas: fs.dynamics.ClippedShallowPLRNN(
        3, 10, hidden=200, replicas=replicas
    ),
}


def update(model: torch.nn.Module, window: torch.Tensor, gain: torch.Tensor, fast: bool) -> float:
    """Seconds of one forward and backward pass through the loss."""
    wait(window)
    start_time = time.perf_counter()
    model.zero_grad()
    start = model.start(window[:, :, 0].mT).mT
    steps, targets = window.shape[2] - 1, window[:, :, 1:]
    if fast:
        weights, options = model.scan_weights()
        states = triton_scan(model.family, weights, options, start, steps, targets=targets, gain=gain)
    else:
        states = plain_scan(model.step, start, steps, targets=targets, gain=gain)
    (states[:, :3] - targets).square().mean(dim=(1, 2, 3)).sum().backward()
    wait(window)
    return time.perf_counter() - start_time


def wait(tensor: torch.Tensor) -> None:
    """Until the device has done all that it was told."""
    if tensor.is_cuda:
        torch.cuda.synchronize(tensor.device)


def gradients(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.grad.double().flatten() for p in model.parameters() if p.grad is not None])


def difference(model: torch.nn.Module, window: torch.Tensor, gain: torch.Tensor, fast: bool) -> float:
    """The largest difference of the gradients from those in double precision, relative to the largest gradient."""
    double = copy.deepcopy(model).double()
    update(double, window.double(), gain.double(), False)
    update(model, window, gain, fast)
    exact = gradients(double)
    return float((gradients(model) - exact).abs().max() / exact.abs().max())


def main() -> None:
    """Measure and print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, help="default 200, under the interpreter 5")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--replicas", type=int, nargs="*", help="default 1 8 32 256, under the interpreter 1 2")
    parser.add_argument("--rounds", type=int, help="default 20, under the interpreter 1")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    triton = require("triton", feature="the benchmark of scans on GPUs", install="pip install triton (Linux)")
    on_gpu = torch.cuda.is_available()
    if not on_gpu and os.environ.get("TRITON_INTERPRET") != "1":
        sys.exit("there is no GPU; to check the programs on the CPU: TRITON_INTERPRET=1 python benchmarks/gpu_scans.py")
    device = torch.device("cuda" if on_gpu else "cpu")
    steps = options.steps or (200 if on_gpu else 5)
    rounds = options.rounds or (20 if on_gpu else 1)
    where = torch.cuda.get_device_name() if on_gpu else "the CPU under Triton's interpreter, whose times mean nothing"
    lines = [
        "# Scans of recurrent maps on a GPU",
        "",
        f"Forward and backward pass of one update on {where}:",
        f"{options.batch} windows of {steps} steps with sparse teacher forcing every 16 steps, float32. Milliseconds",
        f"for all models together, best of {rounds} rounds in which the two take turns, after one to compile. The",
        "plain loop is the same map and forcing in PyTorch on the same device, with as many models. The last columns",
        "are the largest differences of the gradients from double precision, relative to the largest gradient.",
        "",
        "| model | models at once | plain loop, ms | Triton, ms | times faster | of Triton | of the plain loop |",
        "|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines))
    for name, make in CASES.items():
        generator = torch.Generator().manual_seed(0)
        for replicas in options.replicas or ([1, 8, 32, 256] if on_gpu else [1, 2]):
            model = make(replicas).to(device)
            window = torch.randn(replicas, 3, steps + 1, options.batch, generator=generator).to(device)
            gain = torch.zeros(replicas, steps, device=device)
            gain[:, 15::16] = 1.0
            ours, theirs = (difference(model, window, gain, fast) for fast in (True, False))
            plain = fast = float("inf")
            for _ in range(rounds):
                fast = min(fast, update(model, window, gain, True))
                plain = min(plain, update(model, window, gain, False))
            times = f"{1e3 * plain:.2f} | {1e3 * fast:.2f} | {plain / fast:.0f}" if on_gpu else "– | – | –"
            lines.append(f"| {name} | {replicas} | {times} | {ours:.0e} | {theirs:.0e} |")
            print(lines[-1], flush=True)
    lines += [
        "",
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end; Python {platform.python_version()}, "
        f"torch {torch.__version__}, Triton {triton.__version__}, funcspace {fs.__version__}; seed 0.",
        "",
        f"    {'' if on_gpu else 'TRITON_INTERPRET=1 '}python benchmarks/gpu_scans.py",
        "",
    ]
    if options.output:
        options.output.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
