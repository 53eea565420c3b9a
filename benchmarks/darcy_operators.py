"""MgNO, with and without conditioning on the coefficient, against neuraloperator's FNO on Darcy flow.

Each model trains for the same time on the same samples; the errors are the means over the test samples of relative L2
and H1 errors with mass and stiffness matrices. Then each model is applied, as it is, to the same coefficient fields at
finer resolutions, against the truth at that resolution.

    python benchmarks/darcy_operators.py --seconds 240 --output docs/benchmarks/darcy_operators.md

Seconds are wall time with `--clock wall`. With `--clock idle` the script first times steps of all models in turn, takes
the fastest of each, and gives each model the number of epochs that fits into the seconds on an idle machine: for a
machine that does other work too.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import funcspace as fs
from funcspace.operators.fno import FNO
from funcspace.operators.mgno import MgNO

Maker = Callable[[fs.OperatorData, int], torch.nn.Module]

MODELS: dict[str, tuple[str, Maker, dict[str, Any]]] = {
    "fno": ("FNO (neuraloperator)", lambda data, seed: FNO.for_data(data, seed=seed), {"batch_size": 4}),
    "mgno": ("MgNO", lambda data, seed: MgNO.for_data(data, seed=seed), {"batch_size": 4}),
    "conditioned": (
        "MgNO, A from the coefficient",
        lambda data, seed: MgNO.for_data(data, conditioning="coefficient", seed=seed),
        {"batch_size": 4},
    ),
    "reference": (
        "MgNO, reference form",
        lambda data, seed: MgNO.reference(shape=data.inputs["a"].space.layout, levels=5, seed=seed),
        {"batch_size": 8},
    ),
}


def make(name: str, data: fs.OperatorData, seed: int) -> torch.nn.Module:
    """A model of the table, from a seed."""
    return MODELS[name][1](data, seed)


def step_times(names: list[str], data: fs.OperatorData, rounds: int = 5) -> dict[str, float]:
    """Seconds of one training step of each model, the least over rounds in which the models take turns."""
    tasks = {}
    for name in names:
        model = make(name, data, 0).float()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-12)
        task = fs.Supervised().begin(model, data, None, device=torch.device("cpu"), dtype=torch.float32)
        rows = torch.arange(MODELS[name][2]["batch_size"]).numpy()
        tasks[name] = (model, optimizer, task, rows)
    best = dict.fromkeys(names, math.inf)
    for _ in range(rounds):
        for name, (model, optimizer, task, rows) in tasks.items():
            for _ in range(4):
                start = time.perf_counter()
                optimizer.zero_grad()
                task.loss(model, rows).backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def processor() -> str:
    """Name of the processor, where the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def train(
    name: str, data: fs.OperatorData, seed: int, seconds: float, step: float | None
) -> tuple[fs.Surrogate, int, float]:
    """A trained surrogate, its updates and its wall time."""
    model = make(name, data, seed)
    recipe = MODELS[name][2]
    batches = math.ceil(len(data) / recipe["batch_size"])
    epochs = 100_000 if step is None else max(1, int(seconds / (step * batches)))
    start = time.perf_counter()
    surrogate = fs.fit(
        model, data, epochs=epochs, seconds=seconds if step is None else None, seed=seed, progress=False, **recipe
    )
    return surrogate, surrogate.history[-1]["step"], time.perf_counter() - start


def mean_and_spread(values: list[float]) -> str:
    """Percentages, with the spread over seeds where there are several."""
    mean = 100 * statistics.fmean(values)
    spread = f" ± {100 * statistics.stdev(values):.1g}" if len(values) > 1 else ""
    return f"{mean:.3g}{spread}"


def main() -> None:
    """Train, measure, and print the tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=240.0, help="training time of each model")
    parser.add_argument("--clock", choices=("wall", "idle"), default="wall")
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--finer", type=int, nargs="*", default=[128, 256], help="resolutions of the zero-shot test")
    parser.add_argument("--train", type=int, default=400)
    parser.add_argument("--test", type=int, default=100)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=["fno", "mgno", "conditioned"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, help="write the Markdown to this file too")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    data = fs.solvers.Darcy("threshold", resolution=options.resolution).sample(options.train + options.test, seed=0)
    training, test = data.split(options.train)
    finer = {
        n: fs.solvers.Darcy("threshold", resolution=n).sample(options.test, seed=0, first=options.train)
        for n in options.finer
    }
    steps = step_times(options.models, training) if options.clock == "idle" else dict.fromkeys(options.models)
    results: dict[str, dict[str, Any]] = {}
    for name in options.models:
        found: dict[str, Any] = {"l2": [], "h1": [], "updates": [], "wall": [], "finer": {n: [] for n in finer}}
        for seed in options.seeds:
            surrogate, updates, wall = train(name, training, seed, options.seconds, steps[name])
            errors = surrogate.evaluate(test)
            found["l2"].append(errors["rel_l2"])
            found["h1"].append(errors["rel_h1"])
            found["updates"].append(updates)
            found["wall"].append(wall)
            found["parameters"] = sum(p.numel() for p in surrogate.model.parameters())
            for n, other in finer.items():
                found["finer"][n].append(surrogate.evaluate(other, batch_size=8)["rel_l2"])
            print(f"{name} seed {seed}: {errors}, {updates} updates, {wall:.0f} s, finer {found['finer']}", flush=True)
        results[name] = found
    report = tables(results, options, steps)
    print(report)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(report)


def tables(results: dict[str, dict[str, Any]], options: argparse.Namespace, steps: dict[str, float | None]) -> str:
    """The report in Markdown."""
    baseline = results.get("fno")
    n = options.resolution
    lines = [
        "# Operators on Darcy flow",
        "",
        f"Threshold coefficients (12 and 3) on {n} x {n} vertices, {options.train} training and {options.test} test "
        f"samples, {options.seconds:.0f} s of training each "
        + ("(wall time)." if options.clock == "wall" else "(as many epochs as fit into them on an idle machine)."),
        "Relative errors in per cent, in the norms of the mass and the mass plus stiffness matrices, means over the "
        "test samples.",
        "",
        "| model | parameters | updates | relative L2 | relative H1 | L2 over FNO's |",
        "|---|---|---|---|---|---|",
    ]
    for name, found in results.items():
        ratio = "" if baseline is None else f"{statistics.fmean(found['l2']) / statistics.fmean(baseline['l2']):.3g}"
        lines.append(
            f"| {MODELS[name][0]} | {found['parameters']:,} | {statistics.fmean(found['updates']):.0f} | "
            f"{mean_and_spread(found['l2'])} | {mean_and_spread(found['h1'])} | {ratio} |"
        )
    lines += ["", "A complex weight of FNO counts as one parameter.", ""]
    if "conditioned" in results:
        lines += [
            "The model with A from the coefficient is told the form of the equation, and its finest stencil can be the "
            "one that made the data: it is an unrolled solver with learned smoothers and transfers, and its error says "
            "how well that converges. The other models see pairs of functions and nothing else.",
            "",
        ]
    if options.finer:
        lines += [
            "## Other resolutions, without further training",
            "",
            "The same coefficient fields sampled more finely, each prediction against the truth at its own resolution "
            "(relative L2 in per cent).",
            "",
            "| model | " + " | ".join(str(m) for m in (n, *options.finer)) + " |",
            "|---" * (2 + len(options.finer)) + "|",
        ]
        for name, found in results.items():
            row = [mean_and_spread(found["l2"]), *(mean_and_spread(found["finer"][m]) for m in options.finer)]
            lines.append(f"| {MODELS[name][0]} | " + " | ".join(row) + " |")
        lines.append("")
    command = (
        f"python benchmarks/darcy_operators.py --seconds {options.seconds:g} --clock {options.clock} --seeds "
        + " ".join(map(str, options.seeds))
    )
    timing = ", ".join(f"{name} {1e3 * step:.0f} ms" for name, step in steps.items() if step is not None)
    lines += [
        "## Machine",
        "",
        f"{processor()}, {os.cpu_count()} cores, {options.threads} threads; Python {platform.python_version()}, "
        f"torch {torch.__version__}, funcspace {fs.__version__}; seeds {options.seeds}."
        + (f" Fastest step: {timing}." if timing else ""),
        "",
        f"    {command}",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
