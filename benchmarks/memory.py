"""Memory of a training set on disk: written in streaming, then read in random mini-batches as training does.

Each size is written and read in a process of its own, which reports how far its resident memory rose above where it
stood with the library loaded (Linux). The argument is the largest of the sizes; a straight line through them gives the
law and what it says of 10 GB.

    python benchmarks/memory.py --gigabytes 1 --output docs/benchmarks/memory.md
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

import funcspace as fs
from funcspace.functions.files.data_writer import DataWriter

RESOLUTION = 128
BATCH = 16
APPENDED = 64
TARGET = 1000.0
TEXT = """\
Darcy-like pairs on {resolution} x {resolution} in float32, written by `DataWriter` in batches of {appended}, then one
epoch of shuffled mini-batches of {batch} as `fit` takes them: `data[indices]`, then `coefficients`. Memory is the rise
of the resident set of the process above its value with the library loaded, at its peak."""


def resident(which: str) -> float:
    """`VmRSS` or `VmHWM` of this process in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith(f"{which}:"))


def measured(work: Any) -> dict[str, float]:
    """Run `work`; its seconds and the rise of resident memory."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before, started = resident("VmRSS"), time.perf_counter()
    work()
    return {"seconds": time.perf_counter() - started, "rise": resident("VmHWM") - before, "before": before}


def write(path: str, samples: int) -> None:
    grid = fs.Grid(x=(0.0, 1.0, RESOLUTION), y=(0.0, 1.0, RESOLUTION))
    generator = torch.Generator().manual_seed(0)
    with DataWriter(path) as writer:
        for start in range(0, samples, APPENDED):
            count = min(APPENDED, samples - start)
            a = torch.rand(count, RESOLUTION, RESOLUTION, generator=generator)
            writer.append(fs.OperatorData.from_arrays({"a": a}, {"u": 1 - a}, grid))


def epoch(path: str) -> None:
    data = fs.OperatorData.load(path, lazy=True)
    order = np.random.default_rng(0).permutation(len(data))
    for start in range(0, len(data), BATCH):
        batch = data[order[start : start + BATCH]]
        a, u = batch.inputs["a"].coefficients, batch.outputs["u"].coefficients
        if float((a[0] + u[0] - 1).abs().max()) > 1e-6:
            raise RuntimeError("the batch is not what was written")


def in_own_process(task: str, path: str, samples: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--task", task, "--path", path, "--samples", str(samples)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def rows(gigabytes: float, folder: str | None) -> list[dict[str, float]]:
    per_sample = 2 * 4 * RESOLUTION**2
    results = []
    for part in (1 / 8, 1 / 4, 1 / 2, 1):
        samples = max(APPENDED, int(part * gigabytes * 1e9 / per_sample))
        place = tempfile.mkdtemp(dir=folder)
        try:
            path = f"{place}/set.zarr"
            written = in_own_process("write", path, samples)
            read = in_own_process("epoch", path, samples)
        finally:
            shutil.rmtree(place)
        size = samples * per_sample / 1e6
        results.append(
            {
                "size": size,
                "samples": samples,
                "writing": written["rise"],
                "reading": read["rise"],
                "write_rate": size / written["seconds"],
                "read_rate": size / read["seconds"],
            }
        )
        print(f"{size:8.0f} MB  writing {written['rise']:6.1f} MB  reading {read['rise']:6.1f} MB", flush=True)
    return results


def report(results: list[dict[str, float]]) -> str:
    sizes = np.array([row["size"] for row in results])
    lines = [
        "# Memory of a training set on disk",
        "",
        TEXT.format(resolution=RESOLUTION, batch=BATCH, appended=APPENDED),
        "",
        "| set (MB) | samples | rise while writing (MB) | rise while reading (MB) | written (MB/s) | read (MB/s) |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {row['size']:.0f} | {row['samples']:.0f} | {row['writing']:.1f} | {row['reading']:.1f} | "
        f"{row['write_rate']:.0f} | {row['read_rate']:.0f} |"
        for row in results
    ]
    lines.append("")
    for name in ("writing", "reading"):
        slope, start = np.polyfit(sizes, [row[name] for row in results], 1)
        at_ten = max(start + slope * 1e4, start)
        lines.append(
            f"- {name.capitalize()}: {start:.1f} MB and {1e3 * slope:+.1f} MB per GB of set, so {at_ten:.0f} MB at "
            f"10 GB ({'under' if at_ten < TARGET else 'OVER'} the limit of {TARGET:.0f} MB)."
        )
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "zarr", "numpy"))
    lines += [
        "",
        f"{os.cpu_count()} cores, {platform.machine()}, load average {os.getloadavg()[0]:.1f} at the end; Python "
        f"{platform.python_version()}, {packages}. Seeds: 0 for the data, 0 for the order.",
        "",
        f"Regenerate with `python benchmarks/memory.py --gigabytes {sizes.max() / 1e3:.3g} --output "
        "docs/benchmarks/memory.md`.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=1.0, help="the largest set")
    parser.add_argument("--folder", help="where the sets are written; a temporary folder by default")
    parser.add_argument("--output", help="write the table to this file")
    parser.add_argument("--task", choices=("write", "epoch"), help=argparse.SUPPRESS)
    parser.add_argument("--path", help=argparse.SUPPRESS)
    parser.add_argument("--samples", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        torch.set_num_threads(1)
        work = {"write": lambda: write(options.path, options.samples), "epoch": lambda: epoch(options.path)}[
            options.task
        ]
        print(json.dumps(measured(work)))
        return
    text = report(rows(options.gigabytes, options.folder))
    print(text)
    if options.output:
        Path(options.output).write_text(text)


if __name__ == "__main__":
    main()
