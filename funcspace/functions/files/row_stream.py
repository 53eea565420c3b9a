"""Rows appended to an array of a file, written in whole chunks, so that the bytes do not depend on how they came."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["RowStream"]


class RowStream:
    """Appends rows to one array of a sink and keeps back what does not fill a chunk.

    Parameters
    ----------
    sink : a `ZarrWriter` or `NetCDFWriter` in which the array exists, its first axis of unknown length.
    variable : name of the array.
    step : rows per chunk.
    """

    def __init__(self, sink: Any, variable: str, step: int) -> None:
        self.variable = variable
        self._sink, self._step = sink, step
        self._pending: list[np.ndarray] = []
        self._written = 0

    def __len__(self) -> int:
        """Rows appended so far."""
        return self._written + sum(map(len, self._pending))

    def append(self, rows: np.ndarray) -> None:
        """Add rows."""
        self._pending.append(rows)
        self.flush(whole_chunks=True)

    def flush(self, *, whole_chunks: bool = False) -> None:
        """Write what is pending, or as much of it as fills chunks."""
        count = sum(map(len, self._pending))
        ready = count // self._step * self._step if whole_chunks else count
        if not ready:
            return
        block = self._pending[0] if len(self._pending) == 1 else np.concatenate(self._pending)
        self._sink.write(self.variable, self._written, block[:ready])
        self._written += ready
        self._pending = [block[ready:].copy()] if ready < count else []
