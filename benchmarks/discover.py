"""Discovery of new chaotic systems: time, yield, and whether what was accepted is chaotic.

`discover(n)` with its default settings, timed. Then the largest exponent of a sample of the accepted is measured
once more, by another method: tangent vectors along 8 orbits from other starts, over four times as long, instead of the
distance of two neighbouring orbits. A share counts whose exponent is positive beyond three standard errors.

Run: OMP_NUM_THREADS=1 python benchmarks/discover.py --output docs/benchmarks/discover.md
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import tempfile
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import numpy as np

import funcspace.dynamics as dynamics
from funcspace.dynamics.catalogue.lyapunov import local_exponents
from funcspace.dynamics.discovery import Discovered, Trial
from funcspace.errors import SolverError
from funcspace.solvers.threads import available_cores

ORBITS, BLOCKS, LONGER, NEAR = 8, 12, 4.0, 1e-3


def checked(found: Discovered, place: int, workers: int) -> tuple[float, float]:
    """Exponent and standard error of a system, from orbits near its own, after a while."""
    system = found.system(place)
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(place, spawn_key=(99,))))
    first = system.initial + NEAR * system.scale * generator.standard_normal((ORBITS, system.dimension))
    period = system.period
    on = system.trajectory(2, dt=80.0 * period, initial=first, tolerance=1e-9, workers=workers).numpy()[:, 1]
    length = LONGER * Trial().measured * period
    rates = local_exponents(
        system, time=length, exponents=1, batch=ORBITS, blocks=BLOCKS, initial=on, workers=workers
    ).rates[..., 0]
    kept = rates[np.isfinite(rates)]
    if len(kept) < rates.size // 2:
        return float("nan"), float("nan")
    orbits = np.nanmean(rates, axis=0)
    error = max(kept.std(ddof=1) / np.sqrt(len(kept)), orbits.std(ddof=1) / np.sqrt(ORBITS))
    return float(kept.mean()), float(error)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--sample", type=int, default=100, help="how many of the accepted are measured once more")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=available_cores())
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory() as folder:
        wall, cpu = time.perf_counter(), time.process_time()
        found = dynamics.discover(
            arguments.n, seed=arguments.seed, path=f"{folder}/new.zarr", workers=arguments.workers
        )
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
        places = np.linspace(0, len(found) - 1, min(arguments.sample, len(found))).astype(int)
        results = []
        for place in places:
            try:
                results.append(checked(found, int(place), arguments.workers))
            except SolverError as error:
                logging.info("%s: %s", found.names[place], error)
                results.append((float("nan"), float("nan")))
            logging.info("%s: %s, again %s", found.names[place], found.exponents.value[place], results[-1])
    values, errors = np.array(results).T
    positive = (values > 3.0 * errors).mean()
    own, deviation = found.exponents.value[places], found.exponents.error[places]
    agree = np.abs(own - values) < 3.0 * np.hypot(errors, deviation)
    skew = [candidate.response is not None for candidate in found.candidates]
    sizes = Counter(len(candidate.initial) for candidate in found.candidates)
    pairs = {(candidate.driver, candidate.response) for candidate in found.candidates}
    tried = sum(found.rejected.values()) + len(found)
    load = os.getloadavg()[0]
    lines = [
        "# Discovery of new chaotic systems",
        "",
        *(__doc__ or "").split("\n\nRun:")[0].splitlines(),
        "",
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores (load {load:.1f}), Python "
        f"{platform.python_version()}, numpy {np.__version__}, numba {version('numba')}, dysts {version('dysts')}, "
        f"seed {arguments.seed}.",
        "",
        f"- {len(found)} systems in **{wall:.0f} s** ({cpu:.0f} CPU s, {1e3 * cpu / tried:.0f} ms per candidate) by "
        f"{arguments.workers} threads, on a machine with a load of {load:.1f}; {size / 1e6:.0f} MB of Zarr.",
        f"- {tried} candidates, {100 * len(found) / tried:.0f} % accepted. Of the accepted {sum(skew)} are skew "
        f"products and {len(skew) - sum(skew)} founders with other parameters; {len(pairs)} different pairs.",
        f"- **{100 * positive:.0f} %** of {len(places)} measured once more have an exponent that is positive beyond "
        f"three standard errors; {100 * agree.mean():.0f} % agree with the first measurement within three.",
        "",
        "| candidates rejected because | share (%) |",
        "|---|---|",
        *(f"| {reason} | {100 * n / tried:.1f} |" for reason, n in Counter(found.rejected).most_common()),
        "",
        "| dimension | systems |",
        "|---|---|",
        *(f"| {dimension} | {n} |" for dimension, n in sorted(sizes.items())),
        "",
    ]
    text = "\n".join(lines)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")
    logging.info("%s", text)


if __name__ == "__main__":
    main()
