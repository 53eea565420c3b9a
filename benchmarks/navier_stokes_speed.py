"""Navier-Stokes on the torus: batches in torch against a plain NumPy loop over the samples, same scheme, same steps.

The peer is what one writes by hand: for each sample, ETDRK4 with real FFTs and the 2/3 rule, the transport term as
u dw/dx + v dw/dy (four inverse transforms and one forward), coefficients computed once. Its results are compared.
Peer and library take turns; the best of the rounds counts, for a machine that does other work too.

    python benchmarks/navier_stokes_speed.py --output docs/benchmarks/navier_stokes_speed.md
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from funcspace.solvers.spectral import Numerics, TorusNavierStokes
from funcspace.solvers.spectral.etdrk4 import phi_functions
from funcspace.solvers.threads import available_cores

TARGET = 5.0
VISCOSITY = 1e-3
TEXT = """\
Time per sample and step of `TorusNavierStokes(recipe="fno-1e-3")` with a given step and of a plain NumPy loop over the
samples, both ETDRK4 with real FFTs and the 2/3 rule in float64; best of {rounds} rounds of {steps} steps in which they
take turns. The ratios are of the best times on one core, of the processor times on one core (which other work on the
machine disturbs least), and of the best times on all cores. The transport terms are written
differently: five real transforms per stage in the loop, here one complex transform each way of u + i v and of its
square, with compiled kernels between them. The results are the same to rounding."""


class PlainLoop:
    """One sample at a time, in NumPy."""

    def __init__(self, n: int, step: float) -> None:
        k = 2 * np.pi * np.fft.fftfreq(n, 1 / n)
        kx, ky = np.meshgrid(k, 2 * np.pi * np.arange(n // 2 + 1), indexing="ij")
        square = kx**2 + ky**2
        cut = 2 * np.pi * ((n - 1) // 3 + 0.5)
        self.mask = (np.abs(kx) < cut) & (ky < cut)
        self.inverse = np.where(square > 0, 1 / np.where(square > 0, square, 1), 0.0)
        self.ikx, self.iky, self.n = 1j * kx, 1j * ky, n
        z = torch.from_numpy(-VISCOSITY * step * square)
        one, two, three = (phi.numpy() for phi in phi_functions(z))
        self.whole, self.half = np.exp(z.numpy()), np.exp(0.5 * z.numpy())
        self.stage = 0.5 * step * phi_functions(z / 2)[0].numpy()
        self.first, self.middle = step * (one - 3 * two + 4 * three), 2 * step * (two - 2 * three)
        self.last = step * (4 * three - two)
        x = np.arange(n) / n
        phase = 2 * np.pi * (x[:, None] + x[None])
        self.force = np.fft.rfft2(0.1 * (np.sin(phase) + np.cos(phase)))

    def nonlinear(self, w: np.ndarray) -> np.ndarray:
        psi = w * self.inverse
        shape = (self.n, self.n)
        u, v = np.fft.irfft2(self.iky * psi, shape), np.fft.irfft2(-self.ikx * psi, shape)
        wx, wy = np.fft.irfft2(self.ikx * w, shape), np.fft.irfft2(self.iky * w, shape)
        return self.mask * (self.force - np.fft.rfft2(u * wx + v * wy))

    def __call__(self, fields: np.ndarray, steps: int) -> np.ndarray:
        result = np.empty_like(fields)
        for number, field in enumerate(fields):
            w = self.mask * np.fft.rfft2(field)
            for _ in range(steps):
                at_w = self.nonlinear(w)
                a = self.half * w + self.stage * at_w
                at_a = self.nonlinear(a)
                b = self.half * w + self.stage * at_a
                at_b = self.nonlinear(b)
                c = self.half * a + self.stage * (2 * at_b - at_w)
                at_c = self.nonlinear(c)
                w = self.whole * w + self.first * at_w + self.middle * (at_a + at_b) + self.last * at_c
            result[number] = np.fft.irfft2(w, (self.n, self.n))
        return result


def row(n: int, batch: int, steps: int, rounds: int) -> dict[str, Any]:
    """Microseconds per sample and step, ratios, and the largest relative difference of the results."""
    step = 0.25 / n
    duration = steps * step

    def problem(workers: int) -> TorusNavierStokes:
        return TorusNavierStokes(
            VISCOSITY, resolution=n, recipe="fno-1e-3", numerics=Numerics(step=step, workers=workers)
        )

    one, all_cores, loop = problem(1), problem(available_cores()), PlainLoop(n, step)
    start = one.initial_fields(batch, seed=0)
    found: dict[str, np.ndarray] = {}

    def run(name: str) -> Callable[[], None]:
        if name == "loop":
            return lambda: found.update(loop=loop(start.numpy(), steps))
        chosen = one if name == "one core" else all_cores
        return lambda: found.update({name: chosen.solve(start, duration).numpy()})

    names = ("loop", "one core", "all cores")
    for name in names[1:]:
        run(name)()
    rows = [{name: seconds(run(name)) for name in names} for _ in range(rounds)]
    taken = [{name: pair[0] for name, pair in times.items()} for times in rows]
    processor = {name: min(times[name][1] for times in rows) for name in names}
    scale = 1e6 / (batch * steps)
    return {
        "grid": f"{n} x {n}", "batch": batch,
        **{name: scale * min(times[name] for times in taken) for name in names},
        "ratio on one core": min(t["loop"] for t in taken) / min(t["one core"] for t in taken),
        "processor ratio": processor["loop"] / processor["one core"],
        "ratio": min(t["loop"] for t in taken) / min(t["all cores"] for t in taken),
        "gap": float(np.abs(found["loop"] - found["all cores"]).max() / np.abs(found["loop"]).max()),
        "same": bool(np.array_equal(found["one core"], found["all cores"])),
    }  # fmt: skip


def seconds(work: Callable[[], Any]) -> tuple[float, float]:
    """Wall-clock and processor time."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def table(rows: list[dict[str, Any]]) -> str:
    heads = [
        "grid", "batch", "NumPy loop, µs", "one core, µs", "all cores, µs", "ratio on one core",
        "ratio of processor times, one core", "ratio on all cores", "largest difference",
        "same bytes on one core and all",
    ]  # fmt: skip
    lines = [heads, ["---"] * len(heads)]
    for r in rows:
        cells = [r["grid"], str(r["batch"]), f"{r['loop']:.0f}", f"{r['one core']:.0f}", f"{r['all cores']:.0f}"]
        cells += [
            f"{r['ratio on one core']:.1f}",
            f"{r['processor ratio']:.1f}",
            f"{r['ratio']:.1f}",
            f"{r['gap']:.1e}",
        ]
        lines.append([*cells, "yes" if r["same"] else "NO"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def machine() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "torch", "funcspace"))
    load = f", load average {os.getloadavg()[0]:.1f} at the end" if hasattr(os, "getloadavg") else ""
    return f"{available_cores()} cores of {cpu}{load}; Python {platform.python_version()}, {packages}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolutions", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--output", type=Path, help="write the page here")
    arguments = parser.parse_args()
    rows = [
        row(n, batch, arguments.steps, arguments.rounds) for n in arguments.resolutions for batch in arguments.batches
    ]
    page = "\n\n".join(
        [
            "# Navier-Stokes on the torus: time per step",
            TEXT.format(rounds=arguments.rounds, steps=arguments.steps),
            table(rows),
            f"Seed 0. {machine()}.",
            "Regenerate with `python benchmarks/navier_stokes_speed.py "
            "--output docs/benchmarks/navier_stokes_speed.md`.",
        ]
    )
    print(page)
    if arguments.output:
        arguments.output.write_text(page + "\n")
    if any(r["grid"] == "64 x 64" and r["batch"] == 32 and r["ratio"] < TARGET for r in rows):
        raise SystemExit(f"below the target of {TARGET} at 64 x 64, batch 32")


if __name__ == "__main__":
    main()
