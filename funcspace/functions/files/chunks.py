"""How arrays of samples are cut on disk, and how much memory is free to hold them."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

__all__ = ["chunk_shape", "free_memory"]

TARGET = 1 << 20
LARGEST = 1 << 26


def chunk_shape(shape: Sequence[int | None], itemsize: int) -> tuple[int, ...]:
    """Whole samples, about 1 MiB of them; a sample above 64 MiB is cut along its first axis.

    Training reads samples in random order, so that each chunk is mostly read for one sample of it.

    >>> chunk_shape((10_000, 64, 64), 4)
    (64, 64, 64)
    >>> chunk_shape((8, 1000, 256, 256), 4)
    (1, 250, 256, 256)
    """
    if not shape:
        return ()
    inner = tuple(1 if n is None else max(n, 1) for n in shape[1:])
    row = math.prod(inner) * itemsize
    rows = max(1, TARGET // max(row, 1))
    if shape[0] is not None:
        rows = min(rows, max(shape[0], 1))
    if row > LARGEST and inner:
        pieces = math.ceil(row / LARGEST)
        inner = (math.ceil(inner[0] / pieces), *inner[1:])
    return (rows, *inner)


def free_memory() -> int:
    """Bytes that this process can still take without swapping: what the system and its control group leave."""
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES") if hasattr(os, "sysconf") else 1 << 32
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
        group = Path("/sys/fs/cgroup")
        limit, used = (group / "memory.max").read_text().strip(), (group / "memory.current").read_text()
        free = free if limit == "max" else min(free, int(limit) - int(used))
    except (OSError, StopIteration, ValueError):
        pass
    return max(free, 0)
