"""Several models in one: each keeps the weights of its own best validation."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import funcspace as fs


class Counter(nn.Module):
    """Two weights that grow by one with each step."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(2, 1))


class Scripted:
    """An algorithm whose validations give scores that are written down."""

    def __init__(self, scores: list[list[float]]) -> None:
        self.scores = iter(scores)

    def begin(self, model, data, validation, *, device, dtype):
        def surrogate(trained):
            return SimpleNamespace(weights=trained.w.detach().flatten().tolist())

        return SimpleNamespace(
            samples=1, description={}, loss=lambda module, rows: -module.w.sum(), surrogate=surrogate,
            validate=lambda module: {"score": torch.tensor(next(self.scores)).numpy()},
        )  # fmt: skip


def run(scores, **options):
    return fs.fit(
        Counter(), None, algorithm=Scripted(scores), epochs=len(scores), batch_size=1, learning_rate=1.0, clip=None,
        schedule="constant", optimizer=torch.optim.SGD, weight_decay=0.0, monitor="score", validate_every=1,
        progress=False, **options,
    )  # fmt: skip


def test_each_keeps_its_own_best():
    trained = run([[3.0, 1.0], [2.0, 2.0], [4.0, 0.5], [math.nan, 0.7]])
    assert trained.weights == [2.0, 3.0]
    assert [record["score"] for record in trained.history][:3] == [2.0, 2.0, 2.25]


def test_patience_waits_for_all():
    assert run([[3.0, 1.0], [2.0, 2.0], [4.0, 2.0], [4.0, 0.1]], patience=1).weights == [2.0, 1.0]


def test_a_resumed_run_remembers_them(tmp_path):
    scores = [[3.0, 1.0], [2.0, 2.0], [4.0, 2.0], [1.0, 2.0]]

    def interrupted():
        yield from scores[:2]
        raise KeyboardInterrupt

    broken = Scripted([])
    broken.scores = interrupted()
    options = {
        "epochs": 4, "batch_size": 1, "learning_rate": 1.0, "clip": None, "schedule": "constant", "weight_decay": 0.0,
        "optimizer": torch.optim.SGD, "monitor": "score", "validate_every": 1, "progress": False, "folder": tmp_path,
        "checkpoint_seconds": 1e-9,
    }  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        fs.fit(Counter(), None, algorithm=broken, **options)
    assert fs.fit(Counter(), None, algorithm=Scripted(scores[2:]), **options).weights == [4.0, 1.0]
