"""A progress bar for the terminal, or nothing at all."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

__all__ = ["Bar", "progress_bar"]


class Bar(Protocol):
    """What the training loop reports."""

    def step(self, share: float, loss: float) -> None:
        """Part of the epoch done, and its mean loss so far."""
        ...

    def epoch(self, record: Mapping[str, Any]) -> None:
        """The record of a finished epoch."""
        ...


class _Silent:
    def step(self, share: float, loss: float) -> None:
        return

    def epoch(self, record: Mapping[str, Any]) -> None:
        return


class _Rich:
    def __init__(self, bar: Any, task: Any, done: int) -> None:
        self.bar, self.task, self.done, self.metric = bar, task, done, ""

    def step(self, share: float, loss: float) -> None:
        self.bar.update(self.task, completed=self.done + share, note=f"loss {loss:.2e}{self.metric}")

    def epoch(self, record: Mapping[str, Any]) -> None:
        self.done += 1
        self.metric = f", rel_l2 {record['rel_l2']:.2e}" if "rel_l2" in record else ""
        self.bar.update(self.task, completed=self.done, note=f"loss {record['loss']:.2e}{self.metric}")


@contextmanager
def progress_bar(show: bool | None, epochs: int, done: int) -> Iterator[Bar]:
    """A bar over the epochs; `show=None` shows it when standard error is a terminal."""
    if not (sys.stderr.isatty() if show is None else show):
        yield _Silent()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        "[progress.description]{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, TextColumn("{task.fields[note]}"), console=Console(stderr=True)) as bar:
        task = bar.add_task("training", total=epochs, completed=done, note="")
        yield _Rich(bar, task, done)
