"""Generation of data sets: throughput against the number of workers, memory against the size, kills survived.

Each run is a process of its own. Throughput counts samples that were committed to disk between the first and the last
commit, so that the start of the worker processes does not enter; the peer is one call of `sample` of the same problem
in one process and thread. Memory is the peak of the resident set of the calling process, for sets of growing size.
Kills: a run is killed (SIGKILL) again and again at random instants and started anew; the bytes of the finished set are
compared with those of a run that was left alone.

    python benchmarks/generation.py --output docs/benchmarks/generation.md
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import funcspace as fs
from funcspace.solvers.threads import available_cores, limit_cores


def problem(resolution: int) -> Any:
    return fs.solvers.Darcy(resolution=resolution)


def resident() -> float:
    """Peak of the resident set of this process in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM:"))


def alone(resolution: int, samples: int) -> None:
    """Task: one call of `sample` on one thread; prints its seconds, wall and processor."""
    limit_cores(1)
    made = problem(resolution)
    made.sample(2, seed=1)  # compilation
    began, cpu = time.perf_counter(), time.process_time()
    made.sample(samples, seed=0)
    print(json.dumps({"seconds": time.perf_counter() - began, "processor": time.process_time() - cpu}))


def generated(path: str, resolution: int, samples: int, workers: int, chunk: int) -> None:
    """Task: generate a set; prints its seconds and the peak of memory of this process."""
    problem(resolution).sample(2, seed=1)  # compilation
    began, cpu = time.perf_counter(), time.process_time()
    fs.solvers.generate(problem(resolution), samples, path, 0, workers=workers, chunk=chunk, progress=False)
    taken = {"seconds": time.perf_counter() - began, "processor": time.process_time() - cpu}
    print(json.dumps({**taken, "peak": resident()}))


def started(task: str, *words: Any) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--task", task, "--words", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def outcome(run: subprocess.Popen[str]) -> dict[str, float]:
    text, _ = run.communicate()
    if run.returncode:
        raise SystemExit(f"a run ended with exit code {run.returncode}")
    return json.loads(text)


def committed(path: Path) -> int:
    return len(list(path.with_name(f"{path.name}.parts").glob("samples-*.json")))


def rate(path: Path, resolution: int, samples: int, workers: int, chunk: int) -> dict[str, float]:
    """Samples per second between the first and the last commit."""
    run = started("generated", path, resolution, samples, workers, chunk)
    marks: list[tuple[float, int]] = []
    while run.poll() is None:
        count = committed(path)
        if count and (not marks or count != marks[-1][1]):
            marks.append((time.perf_counter(), count))
        time.sleep(0.005)
    total = samples // chunk
    (first, few), (last, many) = marks[0], max((m for m in marks if m[1] <= total), key=lambda m: m[1])
    shutil.rmtree(path)
    return {**outcome(run), "rate": (many - few) * chunk / (last - first)}


def digest(path: Path) -> str:
    """Of all files of a store, with their names."""
    found = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        found.update(str(file.relative_to(path)).encode() + file.read_bytes())
    return found.hexdigest()[:16]


def killed(folder: Path, resolution: int, samples: int, kills: int, seed: int) -> dict[str, Any]:
    """Digests of a set that was left alone and of one whose runs were killed."""
    undisturbed, path = folder / "undisturbed.zarr", folder / "killed.zarr"
    outcome(started("generated", undisturbed, resolution, samples, 1, 8))
    generator, done = random.Random(seed), []
    while len(done) < kills:
        run = started("generated", path, resolution, samples, 2, generator.choice([2, 4, 8]))
        before = committed(path)
        while run.poll() is None and committed(path) <= before:
            time.sleep(0.01)
        time.sleep(generator.uniform(0, 0.2))
        if run.poll() is not None:
            break
        run.send_signal(signal.SIGKILL)
        run.wait()
        done.append(committed(path))
    outcome(started("generated", path, resolution, samples, 2, 8))
    return {"kills": len(done), "same": digest(path) == digest(undisturbed), "digest": digest(path), "committed": done}


def machine() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "zarr", "netCDF4", "torch"))
    return (
        f"{available_cores()} cores, {platform.machine()}, load average {os.getloadavg()[0]:.1f} at the end; Python "
        f"{platform.python_version()}, {packages}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolution", type=int, default=128)
    parser.add_argument("--samples", type=int, default=1024)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 1024, 4096])
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0, help="of the instants of the kills; that of the data is 0")
    parser.add_argument("--output", type=Path, help="write the page here")
    parser.add_argument("--task", choices=["alone", "generated"], help=argparse.SUPPRESS)
    parser.add_argument("--words", nargs="*", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.task == "alone":
        alone(*map(int, arguments.words))
        return
    if arguments.task == "generated":
        generated(arguments.words[0], *map(int, arguments.words[1:]))
        return
    folder = Path(tempfile.mkdtemp())
    resolution, samples = arguments.resolution, arguments.samples
    try:
        by_itself = outcome(started("alone", resolution, samples))
        peer = samples / by_itself["seconds"]
        speeds = [(w, rate(folder / "set.zarr", resolution, samples, w, 8)) for w in arguments.workers]
        memory = []
        for size in arguments.sizes:
            found = outcome(started("generated", folder / "set.zarr", 64, size, 2, 16))
            memory.append((size, 2 * 8 * 64**2 * size / 1e6, found["peak"]))
            shutil.rmtree(folder / "set.zarr")
        proof = killed(folder, resolution, 512, arguments.kills, arguments.seed)
    finally:
        shutil.rmtree(folder)
    share = speeds[0][1]["processor"] / by_itself["processor"]
    verdict = "the same, byte for byte, as" if proof["same"] else "NOT the same as"
    page = "\n".join(
        [
            "# Generation of data sets",
            "",
            f"Darcy problems on {resolution} x {resolution}, {samples} samples in chunks of 8, committed to disk. The",
            f"peer is one call of `sample` on one thread, which keeps all of it in memory: {peer:.1f} samples/s.",
            "",
            "| workers | samples/s | ratio to the peer | whole run, s |",
            "| ---: | ---: | ---: | ---: |",
            *(f"| {w} | {r['rate']:.1f} | {r['rate'] / peer:.2f} | {r['seconds']:.1f} |" for w, r in speeds),
            "",
            "One worker makes the samples in the calling process, with the threads of the solver; it used",
            f"{share:.2f} times the processor time of the peer, writing and joining included.",
            "",
            "Memory of the calling process while two workers make samples on 64 x 64 in chunks of 16, and it joins",
            "them:",
            "",
            "| samples | set, MB | peak of the resident set, MB |",
            "| ---: | ---: | ---: |",
            *(f"| {size} | {megabytes:.0f} | {peak:.0f} |" for size, megabytes, peak in memory),
            "",
            f"Killed {proof['kills']} times at random instants, with {', '.join(map(str, proof['committed']))} chunks",
            f"on disk, and started anew with other chunks: the finished set is {verdict} that of a run left alone",
            f"(digest {proof['digest']}).",
            "",
            f"{machine()}. Seeds: 0 for the data, {arguments.seed} for the kills.",
            "",
            "Regenerate with `python benchmarks/generation.py --output docs/benchmarks/generation.md`.",
        ]
    )
    print(page)
    if arguments.output:
        arguments.output.write_text(page + "\n")
    if not proof["same"]:
        raise SystemExit("the set that was killed differs")


if __name__ == "__main__":
    main()
