"""What scripts do with the page they make: print it line by line, and write it where a file is named."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def publish(page: Iterable[str], output: Path | None) -> None:
    """Print each line as soon as it is there; write all of them in the end."""
    lines = []
    for line in page:
        print(line, flush=True)
        lines.append(line)
    if output:
        output.write_text("\n".join(lines) + "\n", encoding="utf-8")
