"""Euler equations: errors and rates against exact solutions, conservation, and cells per second against plain NumPy.

The compiled kernels and their NumPy twin take the same steps on the same data in this process, taking turns. Times are
processor times, which other work on the machine enters least; the best round of each counts.

    python benchmarks/euler.py --output docs/benchmarks/euler.md
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import funcspace as fs
from funcspace.solvers.threads import available_cores

TARGET = 5.0
LIMITERS = ("minmod", "van_leer", "mc")
TUBES = {
    "Sod": (fs.solvers.RiemannProblem((1.0, 0.0, 1.0), (0.125, 0.0, 0.1)), 0.2),
    "Lax": (fs.solvers.RiemannProblem((0.445, 0.698, 3.528), (0.5, 0.0, 0.571)), 0.14),
    "123": (fs.solvers.RiemannProblem((1.0, -2.0, 0.4), (1.0, 2.0, 0.4)), 0.15),
    "blast, pressures 1000 : 0.01": (fs.solvers.RiemannProblem((1.0, 0.0, 1000.0), (1.0, 0.0, 0.01)), 0.012),
    "vacuum, velocities -20, 20": (fs.solvers.RiemannProblem((1.0, -20.0, 0.4), (1.0, 20.0, 0.4)), 0.01),
}


def line(count: int, *, periodic: bool = False) -> fs.Grid:
    return fs.Grid(x=(0.0, 1.0, count), samples="cells", periodic=("x",) if periodic else ())


def wave(points: Any, time: float = 0.0) -> np.ndarray:
    x = np.asarray(points)[:, 0]
    return np.stack([1 + 0.2 * np.sin(2 * np.pi * (x - time)), np.ones_like(x), np.ones_like(x)], axis=1)


def vortex(points: Any, time: float = 0.0) -> np.ndarray:
    d = (np.asarray(points) - time) % 10.0 - 5.0
    spin = 5.0 / (2 * np.pi) * np.exp(0.5 * (1 - (d**2).sum(axis=1)))
    t = 1 - 0.4 / 2.8 * spin**2
    return np.stack([t**2.5, 1 - spin * d[:, 1], 1 + spin * d[:, 0], t**3.5], axis=1)


def error(problem: Any, exact: Any, time: float) -> float:
    """L1 error of the density."""
    found = problem.primitive(problem.solve(problem.initial, time)).coefficients.numpy()
    return float(np.abs(found - exact(problem.domain.points.numpy(), time)).mean(axis=0)[0])


def rates_table(name: str, make: Any, exact: Any, time: float, counts: list[int]) -> list[str]:
    lines = []
    for limiter in LIMITERS:
        errors = [error(make(n, limiter), exact, time) for n in counts]
        rate = np.log2(errors[-2] / errors[-1])
        cells = [name, limiter, *(f"{e:.2e}" for e in errors), f"{rate:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def errors_page(counts: list[int]) -> list[str]:
    head = ["problem", "limiter", *(f"n = {n}" for n in counts), "last rate"]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for name, (problem, end) in TUBES.items():
        lines += rates_table(
            name, lambda n, k, p=problem: fs.solvers.Euler(p, domain=line(n), limiter=k), problem.solution, end, counts
        )
    lines += rates_table(
        "advected wave",
        lambda n, k: fs.solvers.Euler(wave, domain=line(n, periodic=True), limiter=k),
        wave,
        1.0,
        counts,
    )
    return lines


def vortex_page(counts: list[int]) -> list[str]:
    head = ["problem", "limiter", *(f"{n} x {n}" for n in counts), "last rate"]

    def make(n: int, limiter: Any) -> Any:
        grid = fs.Grid(x=(0.0, 10.0, n), y=(0.0, 10.0, n), samples="cells", periodic=("x", "y"))
        return fs.solvers.Euler(vortex, domain=grid, limiter=limiter)

    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return lines + rates_table("isentropic vortex, t = 1", make, vortex, 1.0, counts)


def conservation(resolution: int, seed: int) -> str:
    problem = fs.solvers.Euler("quadrants", resolution=resolution, boundary="periodic")
    data = problem.sample(4, seed=seed)
    start, end = data.inputs["initial"], data.outputs["state"]
    scale = start.coefficients.abs().mean(dim=1)
    return f"{float(((end.integral() - start.integral()).abs() / scale).max()):.1e}"


def seconds(problem: Any, start: Any, end: float) -> float:
    began = time.process_time()
    problem.solve(start, end)
    return time.process_time() - began


def speed(resolution: int, batch: int, rounds: int, seed: int) -> list[str]:
    """Cell updates per second of processor time: plain, compiled, and compiled for a batch on all cores."""
    end = 0.05
    options = {"resolution": resolution, "times": end, "step": 0.05 / resolution}
    updates = 2 * resolution**2 * round(end / options["step"])
    fast, one_core, plain = (
        fs.solvers.Euler("quadrants", **options, **more) for more in ({}, {"workers": 1}, {"compiled": False})
    )
    start = fast.sample(batch, seed=seed).inputs["initial"]
    first = start[:1]
    taken = [
        (seconds(plain, first, end), seconds(one_core, first, end), seconds(fast, start, end) / batch)
        for _ in range(rounds)
    ]
    best = [min(column) for column in zip(*taken, strict=True)]
    ratios = [median(row[0] / row[k] for row in taken) for k in (1, 2)]
    grid = f"{resolution} x {resolution}"
    cells = [grid, *(f"{updates / s / 1e6:.2f}" for s in best), *(f"{ratio:.1f}" for ratio in ratios)]
    print(cells, flush=True)
    return cells


def machine() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    cpu = next((row.split(":")[1].strip() for row in lines if row.startswith("model name")), platform.processor())
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "numba", "torch"))
    load = f", load average {os.getloadavg()[0]:.1f} at the end" if hasattr(os, "getloadavg") else ""
    return f"{available_cores()} cores of {cpu}{load}; Python {platform.python_version()}, {packages}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, nargs="+", default=[100, 200, 400, 800])
    parser.add_argument("--vortex", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--resolutions", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="write the page here")
    arguments = parser.parse_args()
    rows = [speed(n, arguments.batch, arguments.rounds, arguments.seed) for n in arguments.resolutions]
    head = ["grid", "NumPy", "compiled", "compiled, batch on all cores", "ratio of one sample", "ratio of the batch"]
    page = "\n".join(
        [
            "# Euler equations: errors and speed",
            "",
            "L1 error of the density at the final time against the exact solution: MUSCL, HLLC, two stages, Courant",
            "number 0.4. Shocks are of first order, contacts of lower order, smooth flow of second order.",
            "",
            *errors_page(arguments.cells),
            "",
            *vortex_page(arguments.vortex),
            "",
            "Largest change of mass, momentum and energy on a periodic grid over four random flows, relative to the",
            f"mean: {conservation(64, arguments.seed)}.",
            "",
            'Million cell updates per second of processor time (each stage updates each cell) on "quadrants" data: one',
            f"sample in NumPy, one compiled, and {arguments.batch} compiled in threads on all cores. Best of "
            f"{arguments.rounds} rounds, in which",
            "they take turns; the ratios, compiled to NumPy, are medians of the rounds.",
            "",
            f"| {' | '.join(head)} |",
            f"|{' --- |' * len(head)}",
            *(f"| {' | '.join(row)} |" for row in rows),
            "",
            f"{machine()}. Seed {arguments.seed}.",
            "",
            "Regenerate with `python benchmarks/euler.py --output docs/benchmarks/euler.md`.",
        ]
    )
    print(page)
    if arguments.output:
        arguments.output.write_text(page + "\n")
    if any(float(row[4]) < TARGET for row in rows):
        raise SystemExit(f"the compiled kernels are less than {TARGET} times as fast as NumPy")


if __name__ == "__main__":
    main()
