"""Make a version of the frozen data: two independent orbits of every flow, a state per period, and content hashes.

A version that is published is never made again; a new one gets a new number. Without --write the stored version is
only compared with what this machine integrates.

Run: OMP_NUM_THREADS=1 python benchmarks/freeze.py
"""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import funcspace.dynamics as dynamics
import funcspace.dynamics.frozen_data as package
from funcspace.dynamics.catalogue.trajectory import starts
from funcspace.dynamics.frozen_data.frozen_record import FrozenRecord, content_hash, frozen_names, frozen_record
from funcspace.dynamics.frozen_data.frozen_trajectory import integrated

PROTOCOL: dict[str, Any] = {"segments": 50, "points": 100, "seed": 0, "method": "auto", "tolerance": 1e-13}


def records(name: str, version: int) -> list[FrozenRecord]:
    found = dynamics.system(name)
    assert found.period is not None
    first, before = starts(found, np.random.SeedSequence(PROTOCOL["seed"]).entropy, 2)
    spacing, made = found.period / 100.0, []
    scale = np.broadcast_to(np.asarray(found.scale, dtype=np.float64), found.dimension).copy()
    for i, split in enumerate(("train", "test")):
        start = float(before[i]) if found.equations.explicit_time else 0.0
        checkpoints = [first[i]]
        for k in range(PROTOCOL["segments"]):
            record = FrozenRecord(
                name, split, version, np.stack([checkpoints[-1]] * 2), PROTOCOL["points"], spacing,
                start + k * PROTOCOL["points"] * spacing, found.packed, scale, PROTOCOL["seed"], PROTOCOL["method"],
                PROTOCOL["tolerance"], "",
            )  # fmt: skip
            checkpoints.append(_end(found, record))
        record = replace(record, checkpoints=np.stack(checkpoints), start=start)
        made.append(replace(record, sha256=content_hash(integrated(found, record), scale)))
    return made


def _end(found: dynamics.System, record: FrozenRecord) -> np.ndarray:
    from funcspace.dynamics.integrators.solve import solve

    times = record.start + record.spacing * np.arange(record.points + 1)
    outcome = solve(
        found.equations, record.checkpoints[:1], record.parameters[None], times, tolerance=record.tolerance,
        scale=record.scale, method="auto", name=found.name,
    )  # fmt: skip
    return outcome.values[0, -1]


def write(version: int) -> None:
    folder = Path(package.__path__[0])
    target = folder / f"version{version}.json"
    if target.exists():
        raise SystemExit(f"version {version} is there already; a version is never made again")
    described: dict[str, Any] = {"version": version, "protocol": PROTOCOL, "systems": {}}
    values: list[np.ndarray] = []
    offset = 0
    for name in dynamics.systems("flow"):
        made = records(name, version)
        entry: dict[str, Any] = {
            "spacing": made[0].spacing,
            "scale": made[0].scale.tolist(),
            "parameters": made[0].parameters.tolist(),
        }
        for record in made:
            entry[record.split] = {"offset": offset, "start": record.start, "sha256": record.sha256}
            values.append(record.checkpoints.ravel())
            offset += record.checkpoints.size
        described["systems"][name] = entry
        logging.info("%s", name)
    rows = ",\n".join(f"  {json.dumps(n)}: {json.dumps(e)}" for n, e in described["systems"].items())
    head = f' "version": {version},\n "protocol": {json.dumps(PROTOCOL)}'
    target.write_text(f'{{\n{head},\n "systems": {{\n{rows}\n }}\n}}\n', encoding="utf-8")
    np.save(folder / f"version{version}.npy", np.concatenate(values))


def compare(version: int) -> None:
    differing = 0
    for name in frozen_names(version):
        found = dynamics.system(name, kind="flow")
        for split in ("train", "test"):
            record = frozen_record(name, split, version=version)
            if content_hash(integrated(found, record), record.scale) != record.sha256:
                differing += 1
                logging.info("%s, %s: another hash, though every segment ends where it did", name, split)
    logging.info("version %d: %d of %d hashes differ", version, differing, 2 * len(frozen_names(version)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", type=int, default=1)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if arguments.write:
        write(arguments.version)
    compare(arguments.version)


if __name__ == "__main__":
    main()
