"""A progress bar over samples for the terminal, or nothing at all."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["SampleBar", "sample_bar"]


class SampleBar:
    """Counts samples on a rich progress bar, or silently without one."""

    def __init__(self, bar: Any = None, task: Any = None) -> None:
        self._bar, self._task, self._failed = bar, task, 0

    def advance(self, count: int, failed: int) -> None:
        """So many samples are done, of which some failed."""
        self._failed += failed
        if self._bar is not None:
            note = f"{self._failed} failed" if self._failed else ""
            self._bar.update(self._task, advance=count, note=note)


@contextmanager
def sample_bar(show: bool | None, total: int, done: int) -> Iterator[SampleBar]:
    """A bar over the samples; `show=None` shows it when standard error is a terminal."""
    if not (sys.stderr.isatty() if show is None else show):
        yield SampleBar()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("samples"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[note]}"), console=Console(stderr=True)) as bar:
        yield SampleBar(bar, bar.add_task("samples", total=total, completed=done, note=""))
