"""The chaos database, system by system: our compiled trajectories beside dysts, and what else a user waits for.

Each row makes 1,000 points at 100 per period. "ours" is `System.trajectory` with its default tolerance (3e-14), "LSODA"
and "default" are `make_trajectory` of dysts with method="LSODA" and without a method (Radau), both at the tolerance
1e-12 that dysts sets. All times are CPU seconds of this process on one core, best of several for ours. The default
method takes about a quarter of an hour for all systems; --default all runs it, otherwise a sample is run.

The error is the largest deviation from a solution at tolerance 1e-14 after one period, in standard deviations of the
component.

--heyoka PYTHON names an interpreter with heyoka; it takes turns with ours on Lorenz and Rossler.

Run: OMP_NUM_THREADS=1 python benchmarks/chaos_database.py
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numba
import numpy as np
import scipy

import funcspace.dynamics as dynamics
from funcspace.solvers.threads import available_cores

SAMPLE = ("Lorenz", "Rossler", "Thomas", "Chua", "Halvorsen", "SprottB", "HyperRossler", "DoubleGyre")
POINTS = 1000

START = """
import time, os
import funcspace.dynamics as dynamics
dynamics.system("Lorenz").trajectory(1000)
print(time.process_time())
"""
EVERYTHING = """
import time
import funcspace.dynamics as dynamics
for name in dynamics.systems("flow"):
    equations = dynamics.system(name).equations
    equations.field_address, equations.jacobian_address, equations.extended_address
dynamics.system("Lorenz").trajectory(100, seed=0)
dynamics.system("HyperRossler").trajectory(100, seed=0)
dynamics.system("Lorenz").trajectory(100, method="Radau", tolerance=1e-10)
dynamics.system("Lorenz").trajectory(100, method="Tsit5", tolerance=1e-8)
dynamics.system("Lorenz").lyapunov_spectrum(time=100)
print(time.process_time())
"""
HEYOKA = """
import sys, time, numpy, heyoka
x, y, z = heyoka.make_vars("x", "y", "z")
if sys.argv[1] == "Lorenz":
    right, period = [10 * (y - x), x * (28 - z) - y, x * y - 2.667 * z], 1.5008
    start = [-9.7869288, -15.03852, 20.533978]
else:
    right, period = [-y - z, x + 0.2 * y, 0.2 + z * (x - 5.7)], 5.9086
    start = [6.5134412, 0.4772013, 0.34164294]
integrator = heyoka.taylor_adaptive(list(zip([x, y, z], right)), start)
grid = numpy.arange(1000) * period / 100
best = 1e9
for _ in range(200):
    integrator.time, integrator.state[:] = 0.0, start
    begin = time.perf_counter()
    integrator.propagate_grid(grid)
    best = min(best, time.perf_counter() - begin)
print(best)
"""


def cpu(action: Callable[[], Any], repeats: int = 1) -> float:
    """The least CPU time of several calls."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        action()
        times.append(time.process_time() - start)
    return min(times)


def wall(action: Callable[[], Any], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def child(code: str, environment: dict[str, str] | None = None, python: str = sys.executable, *arguments: str) -> float:
    """The number that a program prints in a process of its own."""
    done = subprocess.run(
        [python, "-c", code, *arguments],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.split()[-1])


def row(name: str, with_default: bool) -> dict[str, float]:
    import dysts.flows

    ours, theirs = dynamics.system(name), getattr(dysts.flows, name)()
    ours.trajectory(POINTS)
    found = {"ours": cpu(lambda: ours.trajectory(POINTS, workers=1), 7)}
    found["LSODA"] = cpu(lambda: theirs.make_trajectory(POINTS, method="LSODA"))
    if with_default:
        found["default"] = cpu(lambda: theirs.make_trajectory(POINTS))
    tight = ours.trajectory(101, tolerance=1e-14, method="DOP853").numpy()
    found["error"] = float(abs((ours.trajectory(101).numpy() - tight)[-1] / ours.scale).max())
    return found


def table(rows: dict[str, dict[str, float]]) -> list[str]:
    lines = [
        "| system | ours (ms) | dysts, LSODA (ms) | ratio | dysts, default (ms) | ratio | error after a period |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, r in rows.items():
        default = f"{1e3 * r['default']:.0f} | {r['default'] / r['ours']:,.0f}" if "default" in r else " | "
        lines.append(
            f"| {name} | {1e3 * r['ours']:.2f} | {1e3 * r['LSODA']:.1f} | {r['LSODA'] / r['ours']:,.0f} | {default} | "
            f"{r['error']:.0e} |"
        )
    return lines


def totals(rows: dict[str, dict[str, float]]) -> list[str]:
    ours, lsoda = sum(r["ours"] for r in rows.values()), sum(r["LSODA"] for r in rows.values())
    both = [r for r in rows.values() if "default" in r]
    ratios = [r["default"] / r["ours"] for r in both]
    slow = sum(r["default"] for r in both) / sum(r["ours"] for r in both) if both else float("nan")
    within = sum(r["error"] < 1e-8 for r in rows.values())
    lines = [
        f"- All {len(rows)} flows: **{ours:.3f} CPU s**; dysts with LSODA {lsoda:.1f} s, **{lsoda / ours:,.0f} times** "
        "as long.",
        f"- {within} of {len(rows)} are within 1e-8 of the reference after one period; see below for the others.",
    ]
    if both:
        lines.insert(
            1,
            f"- The {len(both)} run with dysts' default: **{slow:,.0f} times** as long in all, "
            f"{statistics.median(ratios):,.0f} in the median, {min(ratios):,.0f} at least.",
        )
    return lines


def deviations(names: tuple[str, ...]) -> list[str]:
    """Of the default after a period, from two references; and what rounding one state on the way does to its end."""
    from funcspace.dynamics.integrators.solve import solve

    worst: dict[str, tuple[float, float, float]] = {}
    for name in names:
        s = dynamics.system(name)
        times, packed = np.linspace(0.0, s.period, 101), s.packed[None]
        run = partial(solve, s.equations, parameters=packed, scale=s.scale, name=name)
        ours = s.trajectory(101).numpy()
        tight = run(initial=s.initial[None], times=times, tolerance=1e-14, method="DOP853").values[0]
        implicit = run(initial=s.initial[None], times=times, tolerance=1e-13, method="Radau").values[0]
        explicit, other = (float(abs((ours - each)[-1] / s.scale).max()) for each in (tight, implicit))
        rounded = 0.0
        for k in range(0, 100, 10) if max(explicit, other) > 1e-9 else ():
            for i in range(s.dimension):
                size = 1e-8 * max(abs(tight[k, i]), 1e-3 * s.scale[i])
                moved = tight[k] + size * np.eye(s.dimension)[i]
                ends = run(
                    initial=np.stack([tight[k], moved]),
                    times=times[k:],
                    tolerance=1e-14,
                    parameters=np.tile(packed, (2, 1)),
                ).values[:, -1]
                rounded = max(
                    rounded, float(abs((ends[1] - ends[0]) / s.scale).max()) / size * abs(tight[k, i]) * 2.0**-53
                )
        worst[name] = (explicit, other, rounded)
    within = [sum(found[j] < 1e-8 for found in worst.values()) for j in (0, 1)]
    lines = [
        "",
        "## After one period",
        "",
        f"Of {len(worst)} flows at the default tolerance, 3e-14, {within[0]} end within 1e-8 of DOP853 at 1e-14 and "
        f"{within[1]} within 1e-8 of Radau at 1e-13, an independent method. Those beyond 1e-9, in standard deviations:",
        "",
        "| system | from DOP853 | from Radau | one rounding of a state on the way |",
        "|---|---|---|---|",
    ]
    return (
        lines
        + [f"| {n} | {a:.0e} | {b:.0e} | {c:.0e} |" for n, (a, b, c) in worst.items() if max(a, b) > 1e-9]
        + [
            "",
            "The last column is how far the end moves when one component of a state on the way is changed by half a "
            "unit of its last digit; there are thousands of steps, each with such roundings. InteriorSquirmer stays "
            "beyond 1e-9 at any tolerance.",
        ]
    )


def against_heyoka(python: str) -> list[str]:
    lines = [
        "",
        "## Beside heyoka",
        "",
        "| system | ours, driver only (ms) | heyoka (ms) | ratio |",
        "|---|---|---|---|",
    ]
    from funcspace.dynamics.integrators import solve

    for name in ("Lorenz", "Rossler"):
        s = dynamics.system(name)
        times, initial, packed = np.arange(POINTS) * s.period / 100, s.initial[None], s.packed[None]
        integrate = partial(solve, s.equations, initial, packed, times, scale=s.scale)
        ours, theirs = 1e9, 1e9
        for _ in range(5):
            ours = min(ours, wall(integrate, 200))
            theirs = min(theirs, child(HEYOKA, None, python, name))
        lines.append(f"| {name} | {1e3 * ours:.3f} | {1e3 * theirs:.3f} | {ours / theirs:.2f} |")
    lines += [
        "",
        "Ours is DOP853 at tolerance 1e-12, heyoka a Taylor method at machine precision, whose cost hardly grows with "
        "the precision: where every digit counts it wins. It compiles each system for some hundredths of a second.",
    ]
    return lines


def waiting() -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        empty = {"FUNCSPACE_CACHE_DIR": f"{folder}/code", "NUMBA_CACHE_DIR": f"{folder}/numba"}
        everything = child(EVERYTHING, empty)
        start = min(child(START, empty) for _ in range(3))
    bare = min(child("import time, torch; print(time.process_time())") for _ in range(3))
    return [
        "",
        "## Compilation",
        "",
        f"- Everything from nothing, the code, Jacobians and tangent equations of 129 flows and all drivers: "
        f"{everything:.0f} CPU s.",
        f"- A new process, with that on disk, to a trajectory of Lorenz: {start:.2f} CPU s, of which importing torch "
        f"takes {bare:.2f} s.",
    ]


def spectra(names: tuple[str, ...]) -> list[str]:
    start, worst, count = time.process_time(), 0.0, 0
    for name in names:
        found = dynamics.system(name).lyapunov_spectrum()
        gap = abs(sum(found) - found.details["mean_divergence"])
        worst, count = max(worst, gap / max(abs(found.value).max(), 1e-12)), count + 1
    elapsed = time.process_time() - start
    return [
        "",
        "## Lyapunov spectra",
        "",
        f"- {count} spectra over 2,000 periods each: {elapsed:.0f} CPU s on {available_cores()} cores. The sum of the "
        f"exponents misses the mean divergence by {worst:.0e} of the largest magnitude at worst.",
    ]


def ensemble(batch: int) -> list[str]:
    lorenz = dynamics.system("Lorenz")
    lorenz.trajectory(10, batch=4, seed=0)
    both = wall(lambda: lorenz.trajectory(100, batch=batch, seed=0), 2)
    starts = lorenz.trajectory(1, batch=2000, seed=0).numpy()[:, 0]
    one = wall(lambda: lorenz.trajectory(200, initial=starts, workers=1), 3)
    two = wall(lambda: lorenz.trajectory(200, initial=starts, workers=2), 3)
    return [
        "",
        "## Ensembles",
        "",
        f"- {batch:,} trajectories of Lorenz, 100 points each, in one call: {both:.1f} s.",
        f"- Two threads instead of one: {one / two:.2f} times as fast (load of the machine: {os.getloadavg()[0]:.1f}).",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", type=int, default=None, help="how many systems, all by default")
    parser.add_argument("--default", choices=("none", "sample", "all"), default="sample")
    parser.add_argument("--batch", type=int, default=100_000)
    parser.add_argument("--heyoka", default=None, metavar="PYTHON")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    warnings.simplefilter("ignore")
    import dysts.flows

    names = dynamics.systems("flow")[: arguments.systems]
    for name in names:  # dysts compiles with numba at the first call
        model = getattr(dysts.flows, name)()
        model.rhs(model.ic, 0.0)
    rows = {}
    for name in names:
        wanted = arguments.default == "all" or (arguments.default == "sample" and name in SAMPLE)
        rows[name] = row(name, wanted)
        logging.info("%s %s", name, rows[name])
    from importlib.metadata import version

    lines = [
        "# The chaos database",
        "",
        *(__doc__ or "").split("\n\nRun:")[0].splitlines(),
        "",
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores (load {os.getloadavg()[0]:.1f}), Python "
        f"{platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}, numba {numba.__version__}, "
        f"dysts {version('dysts')}.",
        "",
        *totals(rows),
    ]
    if arguments.heyoka:
        lines += against_heyoka(arguments.heyoka)
    lines += deviations(names) + waiting() + spectra(names) + ensemble(arguments.batch)
    lines += ["", "## System by system", "", *table(rows), ""]
    text = "\n".join(lines)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")
    logging.info("%s", text)


if __name__ == "__main__":
    main()
