"""Measure annotations of all flows, maps and delay equations, write them into the package, list where dysts disagrees.

Exponents are those of 16 orbits of 1,250 periods each (of maps: 64 of 7,800 iterations) by tangent vectors; standard
errors from the scatter of orbits and of stretches of them. The correlation dimension is the slope of the
correlation sum of 30,000 states. `System.annotations` gives these numbers, and those of dysts as `annotations.dysts`.
Two systems whose right-hand sides have kinks or are slow to evaluate get a tenth and a fifth of that. Where the
right-hand side jumps (SprottMore), the largest exponent is that of neighbouring orbits.

Of delay equations, which have infinitely many exponents, the largest are measured until their sum is negative, up to
40, along 16 solutions of 625 periods or delays each. Their correlation dimension is that of states at equidistant
instants of the last delay; 30,000 states show dimensions up to 9, so that it is left out where the Kaplan-Yorke
dimension is larger. SprottDelay, which wanders without bound, is looked at as an angle.

Run: OMP_NUM_THREADS=1 python benchmarks/annotate.py --write --output docs/benchmarks/annotations.md
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

import funcspace.dynamics as dynamics
from funcspace.dynamics.annotations import CHAOTIC_KINDS, KINDS, Annotations
from funcspace.dynamics.annotations.annotate import annotate
from funcspace.dynamics.annotations.measured import FILE_NAME, check_values, measured
from funcspace.solvers.threads import available_cores

VERSION = 1
SHORTER = {"InteriorSquirmer": 0.2, "MacArthur": 0.1}
LARGEST_GAP = 0.1
SYSTEMS = ("flow", "map", "delay")
PAIRS = (
    ("largest exponent", "maximum_lyapunov_estimated", lambda a: a.largest_exponent),
    ("largest exponent (spectrum)", "lyapunov_spectrum_estimated", lambda a: a.largest_exponent),
    ("Kaplan-Yorke dimension", "kaplan_yorke_dimension", lambda a: a.kaplan_yorke_dimension),
    ("correlation dimension", "correlation_dimension", lambda a: a.correlation_dimension),
)


def one(task: tuple[str, str, float, int]) -> tuple[str, str, dict[str, Any], float]:
    kind, name, effort, seed = task
    start, found = time.perf_counter(), dynamics.system(name, kind=kind)
    record = annotate(found, effort=effort * SHORTER.get(name, 1.0), seed=seed, workers=1).to_record()
    record["check"] = check_values(found)
    return kind, name, record, time.perf_counter() - start


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    chosen = [(k, n) for k in SYSTEMS for n in dynamics.systems(k) if not arguments.names or n in arguments.names]
    tasks = [(kind, name, arguments.effort, arguments.seed) for kind, name in chosen]
    tasks.sort(key=lambda task: task[1] not in SHORTER)  # the slow ones first
    records: dict[str, Any] = {kind: {} for kind in SYSTEMS}
    with ProcessPoolExecutor(arguments.workers, mp_context=get_context("spawn")) as pool:
        for job in as_completed([pool.submit(one, task) for task in tasks]):
            kind, name, record, seconds = job.result()
            records[kind][name] = record
            logging.info("%s %s: %s in %.1f s", kind, name, record["kind"], seconds)
    ordered = {kind: dict(sorted(found.items())) for kind, found in records.items()}
    protocol = {"effort": arguments.effort, "seed": arguments.seed, "dysts": version("dysts"), "shorter": SHORTER}
    return {"version": VERSION, "protocol": protocol, **ordered}


def merged(content: dict[str, Any]) -> dict[str, Any]:
    """The shipped records, with those that were measured now in the place of the old ones; their times add up."""
    both = {kind: {**measured().get(kind, {}), **content[kind]} for kind in SYSTEMS}
    ordered = {kind: dict(sorted(found.items())) for kind, found in both.items()}
    protocol = dict(measured()["protocol"])
    protocol["seconds"] += content["protocol"]["seconds"]
    return {**content, "protocol": protocol, **ordered}


def gaps(content: dict[str, Any]) -> list[str]:
    """Rows of the table of disagreements."""
    rows = []
    for kind, name in [("flow", n) for n in content["flow"]] + [("delay", n) for n in content["delay"]]:
        ours = Annotations.from_record(content[kind][name])
        theirs = dynamics.system(name, kind=kind).annotations.dysts
        for label, key, value_of in PAIRS:
            value, other = value_of(ours), theirs.get(key)
            other = other[0] if isinstance(other, list) else other
            if value is None or other is None:
                continue
            gap = abs(other - value.value)
            error = value.error if np.isfinite(value.error) else 0.0
            if gap > LARGEST_GAP * max(abs(value.value), abs(other)) and gap > 3.0 * error:
                ratio = f"{other / value.value:.2f}" if abs(value.value) > 3.0 * error else "to zero"
                rows.append(f"| {name} | {ours.kind} | {label} | {value} | {other:.5g} | {ratio} |")
    return rows


def kinds(content: dict[str, Any]) -> list[str]:
    lines = ["| kind | flows | maps | delay equations |", "|---|---|---|---|"]
    for kind in KINDS:
        names = [[n for n, r in content[k].items() if r["kind"] == kind] for k in SYSTEMS]
        cells = [
            f"{len(found)}"
            if kind == "chaotic" and len(found) > 10
            else f"{len(found)}{': ' if found else ''}{', '.join(found)}"
            for found in names
        ]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return lines


def lifetimes(content: dict[str, Any]) -> list[str]:
    lines = ["| system | ends as | lifetime (periods) | largest exponent until then |", "|---|---|---|---|"]
    for name, record in content["flow"].items():
        if "lifetime" in record:
            ours = Annotations.from_record(record)
            end = "escape" if ours.kind == "escaping" else "regular motion"
            lines.append(f"| {name} | {end} | {ours.lifetime} | {ours.largest_exponent} |")
    return lines


def numbers(content: dict[str, Any]) -> list[str]:
    lines = [
        "| system | kind | largest exponent | Kaplan-Yorke | correlation dimension | mean divergence | decorrelation |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind in SYSTEMS:
        for name, record in content[kind].items():
            a = Annotations.from_record(record)
            cells = [a.largest_exponent, a.kaplan_yorke_dimension, a.correlation_dimension]
            rest = [f"{x:.4g}" if x is not None else "" for x in (a.mean_divergence, a.decorrelation_time)]
            shown = [str(c) if c is not None else "" for c in cells]
            lines.append(
                f"| {name}{'' if kind == 'flow' else f' ({kind})'} | {a.kind} | {' | '.join([*shown, *rest])} |"
            )
    return lines


def page(content: dict[str, Any]) -> str:
    flows = content["flow"]
    chaotic = [n for n in flows if flows[n]["kind"] in CHAOTIC_KINDS]
    within = []
    for name in chaotic:
        other = dynamics.system(name).annotations.dysts.get("maximum_lyapunov_estimated")
        value = flows[name]["largest_exponent"][0]
        within.append(abs(other - value) <= LARGEST_GAP * value if other is not None else False)
    rows = gaps(content)
    return "\n".join(
        [
            "# Annotations",
            "",
            *(__doc__ or "").split("\n\nRun:")[0].splitlines(),
            "",
            f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores (load {os.getloadavg()[0]:.1f}), "
            f"Python {platform.python_version()}, numpy {np.__version__}, dysts {version('dysts')}, seed "
            f"{content['protocol']['seed']}. {len(flows)} flows, {len(content['map'])} maps and "
            f"{len(content['delay'])} delay equations in {content['protocol']['seconds']} s by "
            f"{content['protocol']['workers']} processes on a loaded machine.",
            "",
            "## Kinds of motion",
            "",
            *kinds(content),
            "",
            "## Chaos that ends",
            "",
            *lifetimes(content),
            "",
            "## Where dysts disagrees",
            "",
            f"Of {len(chaotic)} flows that stay chaotic, {sum(within)} have a `maximum_lyapunov_estimated` within 10 % "
            "of the measured one. Every disagreement by more than 10 % and three standard errors, "
            f"{len(rows)} in all:",
            "",
            "| system | kind | number | measured | dysts | ratio |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            "## All numbers",
            "",
            "Exponents, divergences and times are in the units of the equations; one standard error is given.",
            "",
            *numbers(content),
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="systems, all by default")
    parser.add_argument("--effort", type=float, default=1.0, help="factor to the length of all orbits")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=available_cores())
    parser.add_argument("--stored", action="store_true", help="measure nothing, write the page of the shipped file")
    parser.add_argument("--write", action="store_true", help="into the package; otherwise only the page")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if arguments.stored:
        content = dict(measured())
    else:
        start = time.perf_counter()
        content = measure(arguments)
        content["protocol"] |= {"workers": arguments.workers, "seconds": round(time.perf_counter() - start)}
        content = merged(content) if arguments.names else content
    text = page(content)
    if arguments.write:
        import funcspace.dynamics.annotations as package

        lines = []
        for kind in SYSTEMS:
            rows = ",\n".join(f"  {json.dumps(n)}: {json.dumps(r)}" for n, r in content[kind].items())
            lines.append(f' "{kind}": {{\n{rows}\n }}')
        head = f' "version": {VERSION},\n "protocol": {json.dumps(content["protocol"])}'
        body = "{\n" + ",\n".join([head, *lines]) + "\n}\n"
        Path(package.__path__[0], FILE_NAME).write_text(body, encoding="utf-8")
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")
    logging.info("%s", text)


if __name__ == "__main__":
    main()
