"""Generated sets: the bytes of `sample` however they are made, kills survived, failures recorded."""

from __future__ import annotations

import hashlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

import funcspace as fs
from funcspace.solvers.generation import generate
from funcspace.solvers.generation.parts import PartsFolder, pending_ranges
from funcspace.solvers.generation.workers import in_this_process
from tests.solvers.generation.problems import Interrupted, Miscounted, Patches, Scaled, Waves

ROOT = Path(__file__).parents[3]


def content(path: Path) -> dict[str, str]:
    """Digest of every file of a store."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return {str(f.relative_to(path)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def same(one: fs.OperatorData, other: fs.OperatorData) -> bool:
    left, right = ({**d.inputs, **d.outputs} for d in (one, other))
    return list(left) == list(right) and all(torch.equal(left[k].coefficients, right[k].coefficients) for k in left)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """One sweep in this process."""
    path = tmp_path_factory.mktemp("reference") / "set.zarr"
    generate(Waves(), 23, path, seed=5, workers=1, chunk=23)
    return path


def test_the_set_is_what_sample_makes(reference):
    made = fs.OperatorData.load(reference)
    direct = Waves().sample(23, 5)
    assert same(made, direct) and torch.equal(made.parameters["nu"], direct.parameters["nu"])
    assert made.attributes["seed"] == 5 and made.attributes["first"] == 0
    assert made.attributes["generated"] == {"first": 0, "count": 23, "seed": 5, "failed": []}
    assert os.listdir(reference.parent) == [reference.name]


@pytest.mark.parametrize(("workers", "chunk"), [(1, 1), (1, 5), pytest.param(2, 3, marks=pytest.mark.slow)])
def test_bytes_do_not_depend_on_workers_and_chunks(reference, tmp_path, workers, chunk):
    path = tmp_path / "set.zarr"
    made = generate(Waves(), 23, path, seed=5, workers=workers, chunk=chunk, progress=False)
    assert content(path) == content(reference)
    assert len(made) == 23 and made.indices == tuple(range(23)) and made.failed == ()


def test_processes_start_where_they_pay(reference, tmp_path, monkeypatch):
    path = tmp_path / "set.zarr"
    monkeypatch.setattr("funcspace.solvers.generation.streaming.available_cores", lambda: 2)
    monkeypatch.setattr("funcspace.solvers.generation.workers.in_processes", in_other_processes := Recorder())
    generate(Waves(), 23, path, seed=5, chunk=4)
    assert in_other_processes.ranges == [] and content(path) == content(reference)
    monkeypatch.setattr("funcspace.solvers.generation.workers.SECONDS_THAT_PAY", 0.0)
    generate(Waves(), 23, path, seed=5, chunk=4, resume=False)
    assert in_other_processes.ranges == [(4, 4), (8, 4), (12, 4), (16, 4), (20, 3)]
    assert content(path) == content(reference)


class Recorder:
    """Stands in for the worker processes: notes what they are to make, and makes it here."""

    def __init__(self):
        self.ranges = []

    def __call__(self, problem, ranges, seed, parts, *, workers):
        self.ranges += ranges
        yield from in_this_process(problem, ranges, seed, parts)


def test_functions_of_the_caller_travel_and_caches_do_not(tmp_path):
    problem = Scaled(lambda a: 3.0 * a)
    problem.sample(1)
    made = generate(problem, 3, tmp_path / "set.nc", workers=2, chunk=1)
    assert same(made.data.in_memory(), problem.sample(3))
    problem.law = threading.Lock()
    with pytest.raises(fs.InputError, match="cannot be sent to worker processes"):
        generate(problem, 3, tmp_path / "other.nc", workers=2, chunk=1)


def test_a_worker_that_is_killed(reference, tmp_path):
    path, switch = tmp_path / "set.zarr", tmp_path / "switch"
    switch.touch()
    with pytest.raises(fs.SolverError, match=r"exit code -9.*samples 12 to 15.*goes on from there"):
        generate(Interrupted(switch, 13), 23, path, seed=5, workers=2, chunk=4)
    kept = PartsFolder(path).parts()
    assert kept and not any(part.first <= 13 < part.first + part.count for part in kept)
    assert not path.exists()
    switch.unlink()
    generate(Interrupted(switch, 13), 23, path, seed=5, workers=1, chunk=7)
    assert content(path) == content(reference)


SCRIPT = """
from tests.solvers.generation.problems import Slow
from funcspace.solvers.generation import generate
generate(Slow(), 23, {path!r}, seed=5, workers={workers}, chunk=2)
"""


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_caller_that_is_killed(reference, tmp_path, workers):
    path = tmp_path / "set.zarr"
    script = SCRIPT.format(path=str(path), workers=workers)
    parts = PartsFolder(path)
    for wanted in (2, 6)[:workers]:
        run = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
        while run.poll() is None and not (parts.folder.exists() and len(parts.parts()) >= wanted):
            time.sleep(0.005)
        run.send_signal(signal.SIGKILL)
        run.wait()
        assert not path.exists() and len(parts.parts()) >= wanted
    deadline = time.monotonic() + 10
    count = -1
    while count != len(parts.parts()) and time.monotonic() < deadline:  # its workers end when they notice
        count = len(parts.parts())
        time.sleep(0.2)
    generate(Waves(), 23, path, seed=5, workers=1)
    assert content(path) == content(reference)
    assert os.listdir(tmp_path) == [path.name]


def test_a_kill_while_the_parts_are_joined(reference, tmp_path, monkeypatch):
    path = tmp_path / "set.zarr"
    calls = []

    def broken(*args, **options):
        calls.append(args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("funcspace.solvers.generation.assembling.replace_folder", broken)
        with pytest.raises(KeyboardInterrupt):
            generate(Waves(), 23, path, seed=5, workers=1, chunk=6)
    assert len(PartsFolder(path).parts()) == 4 and not path.exists() and len(calls) == 1
    generate(Waves(), 23, path, seed=5, workers=1)
    assert content(path) == content(reference)


def test_half_written_parts_do_not_count(reference, tmp_path):
    path = tmp_path / "set.zarr"
    parts = PartsFolder(path)
    with parts.locked():
        parts.start({"seed": 5}, resume=True)
        parts.commit(0, 4, [Waves().sample(4, 5)], [])
        parts.commit(8, 4, [Waves().sample(4, 5, first=8)], [])
        (parts.folder / "samples-000000008-4.nc").unlink()
        (parts.folder / "samples-000000012-4.nc").write_bytes(b"cut off")
        (parts.folder / ".00112233-samples-000000016-4.nc").write_bytes(b"cut off")
    assert [part.first for part in parts.parts()] == [0]
    generate(Waves(), 23, path, seed=5, workers=1)
    assert content(path) == content(reference)


def test_failed_samples_are_left_out_and_recorded(tmp_path, caplog):
    path = tmp_path / "set.zarr"
    problem = Waves(failing=(0, 7, 8, 19))
    with caplog.at_level(logging.WARNING):
        made = generate(problem, 20, path, seed=5, workers=2, chunk=6)
    assert [(f.index, f.message, f.seed) for f in made.failed] == [
        (i, f"no convergence of wave {i}", 5) for i in (0, 7, 8, 19)
    ]
    assert "4 of 20 samples" in caplog.text and "and 1 more" in caplog.text
    whole = Waves().sample(20, 5)
    kept = [i for i in range(20) if i not in problem.failing]
    assert list(made.indices) == kept and same(made.data.in_memory(), whole[kept])
    recorded = fs.OperatorData.load(path).attributes["generated"]["failed"]
    assert recorded[1] == {"index": 7, "message": "no convergence of wave 7", "seed": 5}
    again = generate(problem, 20, path, seed=5, workers=1)
    assert again.failed == made.failed
    mended = generate(Waves(failing=(8,)), 20, path, seed=5, workers=1, retry_failed=True)
    assert [f.index for f in mended.failed] == [8]
    assert same(mended.data.in_memory(), whole[[i for i in range(20) if i != 8]])


def test_sets_of_failures_only(tmp_path):
    with pytest.raises(fs.SolverError, match="none of the 3 samples could be made; sample 0: no convergence"):
        generate(Waves(failing=(0, 1, 2)), 3, tmp_path / "set.zarr", workers=1)
    made = generate(Waves(failing=(0,)), 3, tmp_path / "set.zarr", workers=1, retry_failed=True)
    assert len(made) == 2


def test_meshes_that_vary_per_sample(tmp_path):
    made = generate(Patches(), 7, tmp_path / "set.zarr", seed=2, workers=1, chunk=2)
    direct, stored = Patches().sample(7, 2), made.data
    for name in ("f", "g"):
        left, right = {**stored.inputs, **stored.outputs}[name], {**direct.inputs, **direct.outputs}[name]
        assert left.spaces == right.spaces and torch.equal(left.coefficients, right.coefficients)
    other = tmp_path / "other.zarr"
    generate(Patches(), 7, other, seed=2, workers=1, chunk=5)
    assert content(other) == content(made.path)


def test_a_finished_set_grows(reference, tmp_path):
    path = tmp_path / "set.zarr"
    generate(Waves(), 9, path, seed=5, workers=1, first=4)
    made = generate(Waves(), 23, path, seed=5, workers=1)
    assert content(path) == content(reference) and len(made) == 23
    stamp = (path / "zarr.json").stat().st_mtime_ns
    generate(Waves(), 23, path, seed=None, workers=1)
    assert (path / "zarr.json").stat().st_mtime_ns == stamp
    with pytest.raises(fs.FileError, match="holds samples 0 to 22 already, and 0 to 9"):
        generate(Waves(), 10, path, seed=5)
    generate(Waves(), 10, path, seed=5, workers=1, resume=False)
    assert len(fs.OperatorData.load(path)) == 10


def test_a_fresh_seed_is_recorded(tmp_path):
    made = generate(Waves(), 2, tmp_path / "set.nc", seed=None, workers=1)
    assert made.seed > 2**32 and same(made.data.in_memory(), Waves().sample(2, made.seed))


def test_what_is_there_is_not_mixed_with_something_else(tmp_path):
    path = tmp_path / "set.zarr"
    generate(Waves(), 4, path, seed=5, workers=1)
    with pytest.raises(fs.InputError, match=r"another problem than Waves\(2.0\): sample 0 differs"):
        generate(Waves(amplitude=2.0), 8, path, seed=5, workers=1)
    with pytest.raises(fs.FileError, match="holds samples of seed 5, not 6; choose another path"):
        generate(Waves(), 8, path, seed=6, workers=1)
    with pytest.raises(fs.FileError, match=r"0 to 3 already, and 0 to 1 were.* than Waves\(2.0\); choose another path"):
        generate(Waves(amplitude=2.0), 2, path, seed=5, workers=1)
    with pytest.raises(fs.FileError, match=r"of seed 5, not 6, and it holds samples 0 to 3.* made by another problem"):
        generate(Waves(amplitude=2.0), 2, path, seed=6, workers=1)
    plain = tmp_path / "plain.zarr"
    Waves().sample(2, 0).save(plain)
    with pytest.raises(fs.FileError, match="not a set made by generate"):
        generate(Waves(), 4, plain, workers=1)
    with PartsFolder(path).locked(), pytest.raises(fs.FileError, match="another process is making"):
        generate(Waves(), 8, path, seed=5, workers=1)
    assert sorted(os.listdir(tmp_path)) == ["plain.zarr", "set.zarr"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n must be a whole number of at least 1"),
        ({"first": -1}, "first must be"),
        ({"chunk": 0}, "chunk must be"),
        ({"workers": 0}, "workers must be"),
        ({"seed": -1}, "seed must be a whole number that is not negative, got -1"),
        ({"seed": 0.5}, "seed must be"),
        ({"n": 2.0}, "n must be"),
        ({"path": "set.npz"}, "must end in .zarr or .nc"),
        ({"path": "nowhere/set.zarr"}, "does not exist"),
        ({"problem": 3}, "a problem must have sample"),
    ],
)
def test_bad_input(tmp_path, options, message, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(fs.FuncspaceError, match=message):
        generate(**{"problem": Waves(), "n": 3, "path": "set.zarr", **options})
    assert os.listdir(tmp_path) == []


def test_errors_of_a_worker_reach_the_caller(tmp_path):
    with pytest.raises(fs.InputError, match="made 2 samples where 3 were asked for"):
        generate(Miscounted(), 6, tmp_path / "set.nc", workers=2, chunk=3)


def test_pending_ranges():
    assert pending_ranges(2, 10, {4, 5, 9}, 2) == [(2, 2), (6, 2), (8, 1), (10, 2)]
    assert pending_ranges(0, 3, {0, 1, 2}, 5) == []
