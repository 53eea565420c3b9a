"""Compiled scans of recurrent maps against the plain PyTorch loop: one update's forward and backward pass.

    python benchmarks/recurrent_scans.py --output docs/benchmarks/recurrent_scans.md

One thread. The two take turns; the best of some rounds counts. The gradients of the two are compared as well.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import funcspace as fs

CASES: dict[str, Callable[[int], Any]] = {
    "AL-RNN, M = 20, P = 2": lambda replicas: fs.dynamics.ALRNN(3, 20, 2, replicas=replicas),
    "clipped shPLRNN, M = 3, H = 50": lambda replicas: fs.dynamics.ClippedShallowPLRNN(3, hidden=50, replicas=replicas),
    "clipped shPLRNN, M = 20, H = 200": lambda replicas: fs.dynamics.ClippedShallowPLRNN(
        20, hidden=200, replicas=replicas
    ),
    "clipped dendPLRNN, M = 22, B = 20": lambda replicas: fs.dynamics.DendriticPLRNN(3, 22, 20, replicas=replicas),
}


def update(model: Any, window: torch.Tensor, gain: torch.Tensor, compiled: bool) -> float:
    """Seconds of one forward and backward pass through the loss."""
    start_time = time.process_time()
    model.zero_grad()
    start = model.start(window[:, :, 0].mT).mT
    states = model.scan(start, window.shape[2] - 1, targets=window[:, :, 1:], gain=gain, compiled=compiled)
    (states[:, : window.shape[1]] - window[:, :, 1:]).square().mean(dim=(1, 2, 3)).sum().backward()
    return time.process_time() - start_time


def gradients(model: Any) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def main() -> None:
    """Measure and print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--replicas", type=int, nargs="*", default=[1, 8, 32])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        "# Scans of recurrent maps",
        "",
        f"Forward and backward pass of one update: {options.batch} windows of {options.steps} steps with sparse",
        "teacher forcing every 16 steps, float32, one thread. Milliseconds of processor time per model, best of some",
        "rounds in which the two take turns; the plain loop is the same map and forcing in PyTorch, with one model.",
        "The last column is the largest difference of the gradients, relative to the largest gradient.",
        "",
        "| model | models at once | plain loop, one model, ms | compiled, ms per model | times faster | difference |",
        "|---|---|---|---|---|---|",
    ]
    for name, make in CASES.items():
        generator = torch.Generator().manual_seed(0)
        for replicas in options.replicas:
            model, single = make(replicas), make(1)
            window = torch.randn(replicas, model.observed, options.steps + 1, options.batch, generator=generator)
            gain = torch.zeros(replicas, options.steps)
            gain[:, 15::16] = 1.0
            plain = fast = float("inf")
            for number in range(options.rounds):
                fast = min(fast, update(model, window, gain, True) / replicas)
                if number % 4 == 0:
                    plain = min(plain, update(single, window[:1], gain[:1], False))
            update(model, window, gain, True)
            ours = gradients(model)
            update(model, window, gain, False)
            theirs = gradients(model)
            difference = float((ours - theirs).abs().max() / theirs.abs().max())
            times = f"{1e3 * plain:.1f} | {1e3 * fast:.2f} | {plain / fast:.0f}"
            lines.append(f"| {name} | {replicas} | {times} | {difference:.0e} |")
            print(lines[-1], flush=True)
    lines += [
        "",
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end; Python {platform.python_version()}, "
        f"torch {torch.__version__}, funcspace {fs.__version__}; seed 0.",
        "",
        "    python benchmarks/recurrent_scans.py",
        "",
    ]
    if options.output:
        options.output.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
