"""Make a version of the frozen data: two independent orbits of every system, states now and then, and content hashes.

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
from funcspace.dynamics.catalogue.delay_trajectory import histories_on_attractor
from funcspace.dynamics.catalogue.trajectory import starts
from funcspace.dynamics.frozen_data.frozen_record import (
    GROUPS,
    SPLITS,
    FrozenRecord,
    Kind,
    content_hash,
    frozen_names,
    frozen_record,
)
from funcspace.dynamics.frozen_data.frozen_trajectory import integrated
from funcspace.dynamics.frozen_data.segments import delay_state, pieces_of_state, segments_of

PROTOCOL: dict[str, Any] = {"segments": 50, "points": 100, "seed": 0, "method": "auto", "tolerance": 1e-13}
POINTS, MAP_POINTS, SHORT_POINTS, DELAY_TOLERANCE = 5_000, 10, 10, 1e-14
# A segment is so long that the largest exponent amplifies by at most exp of this, on average; the state of a delay
# equation is followed by pieces to this many scales.
EFOLDS, FITTED, MOST_PIECES = 5.0, 1e-8, 256


def made(name: str, kind: Kind, version: int) -> list[FrozenRecord]:
    """Both records of a system."""
    found: Any = dynamics.system(name, kind=kind)
    entropy = np.random.SeedSequence(PROTOCOL["seed"]).entropy
    options, first, before = {"flow": _flow, "map": _map, "delay": _delay}[kind](found, entropy)
    records = []
    for i, split in enumerate(SPLITS):
        start = float(before[i]) if found.equations.explicit_time else 0.0
        whole = FrozenRecord(
            name, split, version, kind, first[i : i + 1], options["points"], options["spacing"], start, found.packed,
            options["scale"], PROTOCOL["seed"], PROTOCOL["method"], options["tolerance"], "",
        )  # fmt: skip
        checkpoints = [first[i]]
        for k in range(options["segments"]):
            begin = start + k * whole.points * whole.spacing
            one = replace(whole, checkpoints=np.stack([checkpoints[-1]] * 2), start=begin)
            checkpoints.append(segments_of(found, one)[1][0])
        record = replace(whole, checkpoints=np.stack(checkpoints))
        records.append(replace(record, sha256=content_hash(integrated(found, record), record.scale)))
    return records


def _flow(found: Any, entropy: Any) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    scale = np.broadcast_to(np.asarray(found.scale, dtype=np.float64), found.dimension).copy()
    growth = float(found.annotations.largest_exponent) * found.period
    points = PROTOCOL["points"] if growth <= EFOLDS else SHORT_POINTS
    chosen = {"segments": POINTS // points, "points": points, "tolerance": PROTOCOL["tolerance"]}
    return {**chosen, "spacing": found.period / 100.0, "scale": scale}, *starts(found, entropy, 2)


def _map(found: Any, entropy: Any) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    # Some wander without bound; how far they come in an iteration is their scale.
    scale = np.diff(found.reference_orbit[0], axis=0).std(axis=0)
    options = {"segments": POINTS // MAP_POINTS, "points": MAP_POINTS, "tolerance": PROTOCOL["tolerance"]}
    return {**options, "spacing": 1.0, "scale": np.where(scale > 0, scale, 1.0)}, *starts(found, entropy, 2)


def _delay(found: Any, entropy: Any) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    reach, scale = float(found.delay_rows(found.packed[None]).max()), np.array(found.scale, dtype=np.float64)
    growth = max(0.0, float(found.annotations.largest_exponent)) * found.period
    periods = max(each for each in (1, 2, 5, 10, 25, 50) if each == 1 or each * growth <= EFOLDS)
    histories, before = histories_on_attractor(found, entropy, np.full(2, reach))
    count, fine = 8, np.linspace(-reach, 0.0, 5001)
    while count < MOST_PIECES:
        fitted = [pieces_of_state(delay_state(each, 0.0, reach, count), reach, found.dimension) for each in histories]
        gaps = [np.abs(f(fine) - h(fine)) / scale for f, h in zip(fitted, histories, strict=True)]
        if max(gap.max() for gap in gaps) < FITTED:
            break
        count *= 2
    options = {"segments": 50 // periods, "points": 100 * periods, "tolerance": DELAY_TOLERANCE}
    options |= {"spacing": found.period / 100.0, "scale": scale}
    return options, np.stack([delay_state(each, 0.0, reach, count) for each in histories]), before


def entry_of(records: list[FrozenRecord], offset: int) -> tuple[dict[str, Any], int]:
    """What the file says of a system, and the offset of the next one."""
    one = records[0]
    entry: dict[str, Any] = {
        "spacing": one.spacing,
        "scale": one.scale.tolist(),
        "parameters": one.parameters.tolist(),
    }
    segments, entries = len(one.checkpoints) - 1, one.checkpoints.shape[1]
    own = {"segments": segments, "points": one.points, "tolerance": one.tolerance}
    entry |= {key: value for key, value in own.items() if value != PROTOCOL[key]}
    if entries != len(one.scale):
        entry["entries"] = entries
    for record in records:
        entry[record.split] = {"offset": offset, "start": record.start, "sha256": record.sha256}
        offset += record.checkpoints.size
    return entry, offset


def write(version: int) -> None:
    """Make the groups that a version lacks; what it has stays as it is."""
    folder = Path(package.__path__[0])
    target, numbers = folder / f"version{version}.json", folder / f"version{version}.npy"
    described: dict[str, Any] = {"version": version, "protocol": PROTOCOL}
    values: list[np.ndarray] = []
    if target.exists():
        described, values = json.loads(target.read_text(encoding="utf-8")), [np.load(numbers)]
    missing = [kind for kind, group in GROUPS.items() if group not in described]
    if not missing:
        raise SystemExit(f"version {version} is complete; a version is never made again")
    offset = sum(each.size for each in values)
    for kind in missing:
        described[GROUPS[kind]] = {}
        for name in dynamics.systems(kind):
            records = made(name, kind, version)
            described[GROUPS[kind]][name], offset = entry_of(records, offset)
            values += [record.checkpoints.ravel() for record in records]
            logging.info("%s %s: %d states of %d entries", kind, name, *records[0].checkpoints.shape)
    parts = [f' "version": {version}', f' "protocol": {json.dumps(described["protocol"])}']
    for group in GROUPS.values():
        rows = ",\n".join(f"  {json.dumps(n)}: {json.dumps(e)}" for n, e in described[group].items())
        parts.append(f' "{group}": {{\n{rows}\n }}')
    target.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")
    np.save(numbers, np.concatenate(values))


def compare(version: int) -> None:
    differing, count = 0, 0
    for kind in GROUPS:
        for name in frozen_names(version, kind=kind):
            found = dynamics.system(name, kind=kind)
            for split in SPLITS:
                record = frozen_record(name, split, kind=kind, version=version)
                count += 1
                if content_hash(integrated(found, record), record.scale) != record.sha256:
                    differing += 1
                    logging.info("%s, %s: another hash, though every segment ends where it did", name, split)
    logging.info("version %d: %d of %d hashes differ", version, differing, count)


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
