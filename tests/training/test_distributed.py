"""Two processes under torchrun take the same steps as one, to rounding."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys
import torch
torch.set_num_threads(1)
import funcspace as fs
from tests.training.small_problem import Affine, make_data
train, validation = make_data(21).split(17)
fs.fit(Affine(), train, validation=validation, epochs=4, batch_size=4, precision="64", folder=sys.argv[1],
       accelerator="cpu", progress=False)
"""


@pytest.mark.slow
@pytest.mark.distributed
def test_two_processes_have_the_loss_of_one(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    one = [sys.executable, str(script), str(tmp_path / "one")]
    two = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        str(script),
        str(tmp_path / "two"),
    ]
    for command in (one, two):
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr[-3000:]
    histories = [
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    assert len(histories[0]) == len(histories[1]) == 4
    for a, b in zip(*histories, strict=True):
        for key in ("loss", "rel_l2", "rel_h1"):
            assert a[key] == pytest.approx(b[key], rel=1e-9)
