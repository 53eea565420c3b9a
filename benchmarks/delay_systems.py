"""Delay equations: our method of steps beside the integrator of dysts and scipy's by hand, and Lyapunov exponents.

Each row makes 1,000 points at 100 per period from the system's own constant history. "ours" is
`DelaySystem.trajectory` with its default tolerance, 1e-12. "scipy" is `solve_ivp` with method="DOP853" at the same
tolerance, from one breaking point to the next, the delayed state taken from the dense output of the interval before.
"dysts" is `make_trajectory(1000)`, which interpolates the past linearly on the grid of samples. Times are CPU seconds
on one core, the least of several for ours.

Errors are the largest over one period, in standard deviations of the solution: of ours, against ours at tolerance
1e-14 and against scipy's; of dysts', against ours at the instants that it samples, from one delay after the start on.

Exponents are those of `lyapunov_spectrum`: tangent functions on the last delay, carried with the solution by the same
integrator and orthonormalised (8 solutions, the first tenth left out). "annotated" is `maximum_lyapunov_estimated` of
dysts.

Run: OMP_NUM_THREADS=1 python benchmarks/delay_systems.py
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numba
import numpy as np
import scipy
from scipy.integrate import solve_ivp
from scipy.special import lambertw

import funcspace.dynamics as dynamics

POINTS, PER_PERIOD = 1000, 100
TOLERANCES = (1e-4, 1e-6, 1e-8, 1e-10, 1e-12)


def cpu(action: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """The least CPU time of several calls, and what the last one gave."""
    times, result = [], None
    for _ in range(repeats):
        start = time.process_time()
        result = action()
        times.append(time.process_time() - start)
    return min(times), result


def by_scipy(system: dynamics.DelaySystem, times: np.ndarray) -> np.ndarray:
    """The solution at times, one delay after the other."""
    tau, p, start = system.parameters["tau"], system.packed, system.initial
    evaluate = system.equations.evaluate
    earlier: Callable[[float], np.ndarray] = lambda t: start  # noqa: E731
    x, found, t = start, np.empty(len(times)), 0.0
    while t < times[-1]:
        done = solve_ivp(
            lambda s, y, before=earlier: evaluate(y, before(s - tau)[None], s, p),
            (t, t + tau), x, method="DOP853", rtol=1e-12, atol=1e-14, dense_output=True,
        )  # fmt: skip
        inside = (times >= t) & (times <= t + tau)
        found[inside] = done.sol(times[inside])[0]
        earlier, x, t = done.sol, done.y[:, -1], t + tau
    return found


def system_row(name: str, repeats: int) -> dict[str, float]:
    import dysts.flows

    ours, theirs = dynamics.system(name), getattr(dysts.flows, name)()
    ours.trajectory(POINTS)
    seconds, x = cpu(lambda: ours.trajectory(POINTS, workers=1).numpy()[:, 0], repeats)
    by_hand, other = cpu(lambda: by_scipy(ours, ours.period / PER_PERIOD * np.arange(POINTS)), 1)
    # the second call: its right-hand side is compiled by numba at the first
    theirs.make_trajectory(50)
    linear, past = cpu(lambda: theirs.make_trajectory(POINTS)[:, 0], 1)
    fine = ours.trajectory(POINTS, tolerance=1e-14).numpy()[:, 0]
    deviation, first = fine.std(), slice(0, PER_PERIOD + 1)
    span = ours.period * POINTS / PER_PERIOD
    tau, spacing = ours.parameters["tau"], span / (POINTS - 1)
    instants = np.flatnonzero(tau + spacing * np.arange(POINTS) <= tau + ours.period)
    fill = ours.trajectory(len(instants), dt=spacing, transient=tau / ours.period).numpy()[:, 0]
    return {
        "ours": seconds,
        "scipy": by_hand,
        "dysts": linear,
        "error": np.abs(x - fine)[first].max() / deviation,
        "beside scipy": np.abs(x - other)[first].max() / deviation,
        "error of dysts": np.abs(past[instants] - fill).max() / deviation,
    }


def systems_table(repeats: int) -> list[str]:
    names = dynamics.systems("delay")
    rows = {name: system_row(name, repeats) for name in names}
    lines = [
        "| system | ours (ms) | dysts / ours | scipy / ours | our error | ours beside scipy's | error of dysts |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        lines.append(
            f"| {name} | {1e3 * row['ours']:.2f} | {row['dysts'] / row['ours']:.0f} | "
            f"{row['scipy'] / row['ours']:.0f} | {row['error']:.1e} | {row['beside scipy']:.1e} | "
            f"{row['error of dysts']:.1e} |"
        )
    total = {key: sum(row[key] for row in rows.values()) for key in ("ours", "scipy", "dysts")}
    beside = {key: total[key] / total["ours"] for key in ("dysts", "scipy")}
    return [
        f"All six: **{total['ours']:.3f} CPU s**; dysts {total['dysts']:.2f} s, {beside['dysts']:.0f} times as long; "
        f"scipy by hand {total['scipy']:.1f} s, {beside['scipy']:.0f} times.",
        "",
        *lines,
    ]


def tolerance_table() -> list[str]:
    lines = [
        "| system | " + " | ".join(f"{tolerance:g}" for tolerance in TOLERANCES) + " |",
        "|---" * (1 + len(TOLERANCES)) + "|",
    ]
    for name in dynamics.systems("delay"):
        system = dynamics.system(name)
        fine = system.trajectory(PER_PERIOD + 1, tolerance=1e-14).numpy()
        errors = [
            np.abs(system.trajectory(PER_PERIOD + 1, tolerance=tolerance).numpy() - fine).max() / float(system.scale[0])
            for tolerance in TOLERANCES
        ]
        lines.append(f"| {name} | " + " | ".join(f"{error:.0e}" for error in errors) + " |")
    return lines


def exponents_table(effort: float) -> list[str]:
    cases = [(dynamics.system(name), name) for name in dynamics.systems("delay")]
    mackey_glass = dynamics.system("MackeyGlass")
    cases += [(mackey_glass.with_parameters(tau=tau), f"MackeyGlass, tau = {tau:g}") for tau in (17.0, 23.0, 30.0)]
    lines = [
        "| system | time | seconds | exponents | Kaplan-Yorke dimension | annotated |",
        "|---|---|---|---|---|---|",
    ]
    for system, label in cases:
        unit = max(system.period, system.parameters["tau"])
        count = 40 if label in ("IkedaDelay", "VossDelay") else 6
        start = time.perf_counter()
        share = 0.1 if count > 6 else 1.0
        spectrum = system.lyapunov_spectrum(time=share * effort * unit, exponents=count)
        seconds = time.perf_counter() - start
        dimension = dimension_of(spectrum.value, spectrum.error)
        shown = ", ".join(
            f"{value:.5f} ± {error:.5f}" for value, error in zip(spectrum.value[:3], spectrum.error[:3], strict=True)
        )
        annotated = f"{system.annotations.dysts['maximum_lyapunov_estimated']:.4f}" if label == system.name else ""
        lines.append(
            f"| {label} | {spectrum.details['time']:.0f} | {seconds:.1f} | {shown} | {dimension} | {annotated} |"
        )
    return lines


def dimension_of(exponents: np.ndarray, errors: np.ndarray) -> str:
    if exponents[0] < 3.0 * errors[0]:
        return "1 (a cycle)"
    sums = np.cumsum(exponents)
    if sums[-1] > 0:
        return f"above {len(exponents)}"
    last = int(np.flatnonzero(sums >= 0)[-1])
    return f"{last + 1 + sums[last] / -exponents[last + 1]:.2f}"


def characteristic_roots() -> list[str]:
    a, b, tau = -0.3, -1.2, 1.5
    linear = dynamics.system(lambda t, x, earlier: a * x + b * earlier, initial=[1.0], delays=(tau,), name="linear")
    roots = np.sort((a + lambertw(b * tau * np.exp(-a * tau), np.arange(-8, 8)) / tau).real)[::-1][:8]
    found = linear.lyapunov_spectrum(time=40_000.0, exponents=8, batch=4)
    return [
        f"For x'(t) = {a} x(t) {b} x(t - {tau}) the exponents are the real parts of the roots of "
        f"z = a + b exp(-z tau). The first eight are {', '.join(f'{root:.5f}' for root in roots)}; found were "
        f"{', '.join(f'{value:.5f}' for value in found.value)}.",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--effort", type=float, default=10_000.0, help="length of exponents' orbits, in periods")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    warnings.simplefilter("ignore")
    lines = [
        "# Delay equations",
        "",
        *(__doc__ or "").split("\n\nRun:")[0].splitlines(),
        "",
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores (load {os.getloadavg()[0]:.1f}), Python "
        f"{platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}, numba {numba.__version__}, "
        f"dysts {version('dysts')}; seed 0.",
        "",
        "## Trajectories",
        "",
        *systems_table(arguments.repeats),
        "",
        "## Errors after one period by tolerance",
        "",
        *tolerance_table(),
        "",
        "## Lyapunov exponents",
        "",
        *exponents_table(arguments.effort),
        "",
        "The exponent of the motion along the solution vanishes; it stands after the positive ones, and its distance "
        "from 0 is a check of them. At its default delay, 16, MackeyGlass is periodic.",
        "",
        *characteristic_roots(),
        "",
    ]
    text = "\n".join(lines)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")
    logging.info("%s", text)


if __name__ == "__main__":
    main()
