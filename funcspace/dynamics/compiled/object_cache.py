"""Compiled code on disk, so that a second process does not compile again."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

from funcspace.atomic_write import atomic_file

__all__ = ["cache_folder", "cached_bytes", "object_file"]

logger = logging.getLogger(__name__)


def cache_folder() -> Path | None:
    """Where compiled code is kept: `FUNCSPACE_CACHE_DIR`, else below `NUMBA_CACHE_DIR`, else the user's cache.

    `FUNCSPACE_CACHE_DIR=off` keeps nothing; then None.
    """
    own = os.environ.get("FUNCSPACE_CACHE_DIR")
    if own:
        return None if own == "off" else Path(own).expanduser()
    numba = os.environ.get("NUMBA_CACHE_DIR")
    if numba:
        return Path(numba) / "funcspace"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "funcspace"


def cached_bytes(name: str, make: Callable[[], bytes]) -> bytes:
    """The content of a file of the cache, made and stored where there is none.

    A cache that cannot be read or written costs time, never a result.
    """
    folder = cache_folder()
    if folder is None:
        return make()
    path = folder / name[:2] / name
    try:
        return path.read_bytes()
    except OSError:
        content = make()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as partial:
            partial.write_bytes(content)
    except OSError as error:
        logger.info("compiled code is not kept: %s", error)
    return content


def object_file(name: str, build: Callable[[], bytes]) -> bytes:
    """The object file of a name."""
    return cached_bytes(f"{name}.o", build)
