"""Trainings that stop half-way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

__all__ = ["stopped_after"]


class StoppedError(Exception):
    """Raised in place of a step."""


@contextmanager
def stopped_after(steps: int, optimizer: type[torch.optim.Optimizer]) -> Iterator[None]:
    """Let an optimizer take so many steps and raise at the next; what runs within must get that far."""
    step, calls = optimizer.step, []

    def stopping(self, *args, **kwargs):
        calls.append(1)
        if len(calls) > steps:
            raise StoppedError
        return step(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(StoppedError):
        patch.setattr(optimizer, "step", stopping)
        yield
