"""A run that is killed at any instant goes on to the same bytes as one that was not."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import funcspace as fs
from tests.training.small_problem import Affine, make_data

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys, time
import torch
torch.set_num_threads(1)
import funcspace as fs
from tests.training.small_problem import Affine, make_data
data = make_data()
train, validation = data.split(16)
pause = float(sys.argv[2])
class Slow(Affine):
    def forward(self, x, context=None):
        time.sleep(pause)
        return super().forward(x, context)
model = Slow(dropout=0.1)
fs.fit(model, train, validation=validation, epochs=12, batch_size=4, seed=7, folder=sys.argv[1], checkpoint_seconds=0.0,
       progress=False, accelerator="cpu")
fs.training.Surrogate(model, fs.training.packing.Packing.for_data(train)).model
torch.save(model.state_dict(), sys.argv[1] + "/final.pt")
print("finished")
"""


def start(folder: Path, pause: float) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SCRIPT, str(folder), str(pause)]
    return subprocess.Popen(
        command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def final(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "final.pt", weights_only=True)


def steady(record: dict) -> dict:
    return {key: value for key, value in record.items() if key != "seconds"}


@pytest.mark.slow
def test_kill_and_resume_ends_in_the_same_bytes(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    reference = start(whole, 0.0)
    for least in (3, 20):  # kill twice, at instants that the clock chooses
        process = start(killed, 0.02)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            metrics = killed / "metrics.jsonl"
            if metrics.exists() and sum(r["step"] for r in map(json.loads, metrics.read_text().splitlines())) >= least:
                break
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.communicate()
    out, err = start(killed, 0.0).communicate(timeout=120)
    assert "finished" in out, err
    out, err = reference.communicate(timeout=120)
    assert "finished" in out, err
    one, other = final(whole), final(killed)
    assert all(torch.equal(one[name], other[name]) for name in one)
    lines = [[steady(json.loads(x)) for x in (f / "metrics.jsonl").read_text().splitlines()] for f in (whole, killed)]
    assert lines[0] == lines[1] and len(lines[0]) == 12


def fit(folder: Path, **change) -> fs.Surrogate:
    options = {"epochs": 2, "folder": folder, "progress": False, "accelerator": "cpu"} | change
    return fs.fit(options.pop("model", Affine()), make_data(), **options)


def test_a_finished_run_is_returned_as_it_is(tmp_path: Path) -> None:
    first = fit(tmp_path)
    again = fit(tmp_path)
    assert again.history == first.history
    assert all(torch.equal(a, b) for a, b in zip(first.model.parameters(), again.model.parameters(), strict=True))


def test_resume_false_starts_again(tmp_path: Path) -> None:
    fit(tmp_path)
    other = fit(tmp_path, resume=False, epochs=1)
    assert len(other.history) == 1


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"learning_rate": 0.5}, "learning_rate"),
        ({"seed": 9}, "seed"),
        ({"model": Affine(width=8)}, "config"),
    ],
)
def test_a_folder_of_another_run_is_refused(tmp_path: Path, change: dict, word: str) -> None:
    fit(tmp_path)
    with pytest.raises(fs.CheckpointError, match=f"another {word}"):
        fit(tmp_path, **change)


def test_a_truncated_or_foreign_checkpoint_is_refused(tmp_path: Path) -> None:
    fit(tmp_path)
    path = tmp_path / "checkpoint.safetensors"
    content = path.read_bytes()
    for damage in (content[: len(content) // 2], b"", b"\x80\x04pickle"):
        path.write_bytes(damage)
        with pytest.raises(fs.CheckpointError, match="not a readable checkpoint"):
            fit(tmp_path)


def test_a_newer_schema_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("funcspace.training.checkpoint.SCHEMA", 99)
    fit(tmp_path)
    monkeypatch.undo()
    with pytest.raises(fs.CheckpointError, match="schema 99"):
        fit(tmp_path)
