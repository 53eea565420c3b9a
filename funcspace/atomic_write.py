"""Files and folders that appear whole or not at all: write under a temporary name, fsync, rename."""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from funcspace.errors import FileError

__all__ = ["atomic_file", "atomic_folder", "check_folder", "replace_folder"]

AT_FDCWD = -100
RENAME_EXCHANGE = 2


@contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path in the folder of `path`; renamed to `path` when the block ends well, removed when it does not.

    Raises
    ------
    FileError
        When the folder does not exist, `path` is a folder, or writing fails (disk full, no permission).

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomic_file(folder / "note.txt") as temporary:
    ...     _ = temporary.write_text("whole")
    >>> [entry.name for entry in folder.iterdir()]
    ['note.txt']
    """
    target = _checked(path)
    if target.is_dir():
        raise FileError(f"cannot write the file {target}: there is a folder of that name")
    temporary = _temporary_name(target)
    try:
        with _reported(target):
            yield temporary
            _sync(temporary)
            os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync(target.parent)


@contextmanager
def atomic_folder(path: str | os.PathLike[str], *, may_replace: Callable[[Path], bool] | None = None) -> Iterator[Path]:
    """A new temporary folder beside `path`; renamed to `path` when the block ends well, removed when it does not.

    An existing folder is exchanged for the new one in one step at the end and then removed.

    Parameters
    ----------
    may_replace : whether an existing, non-empty folder may go; by default none may.

    Raises
    ------
    FileError
        When the folder above does not exist, `path` is a file or a folder that may not be replaced, or writing fails.
    """
    target = _checked_folder(path, may_replace)
    temporary = _temporary_name(target)
    try:
        with _reported(target):
            temporary.mkdir()
            yield temporary
            _sync_tree(temporary)
            replace_folder(temporary, target)
    except BaseException:
        _remove_for_good(temporary)
        raise
    _sync(target.parent)


def check_folder(path: str | os.PathLike[str], *, may_replace: Callable[[Path], bool] | None = None) -> None:
    """Raise the FileError that `atomic_folder` would, before the work that fills the folder.

    Folders above it that do not exist yet are taken to be made by then.
    """
    target = Path(path).absolute()
    while not target.parent.exists():
        target = target.parent
    temporary = _temporary_name(_checked_folder(target, may_replace))
    with _reported(target):
        temporary.mkdir()
        temporary.rmdir()


def _remove_for_good(folder: Path, quiet: float = 0.1, most: float = 3.0) -> None:
    """Remove a folder until it stays away: threads of a writer that failed (Zarr's) may still put files there."""
    started = gone = time.monotonic()
    while time.monotonic() < min(gone + quiet, started + most):
        if folder.exists():
            shutil.rmtree(folder, ignore_errors=True)
            gone = time.monotonic()
        time.sleep(0.005)


@contextmanager
def _reported(target: Path) -> Iterator[None]:
    try:
        yield
    except FileError:
        raise
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise FileError(f"cannot write {target}: {reason}; nothing was left behind") from error


def _checked(path: str | os.PathLike[str]) -> Path:
    target = Path(os.path.abspath(path))
    if not target.parent.is_dir():
        raise FileError(f"cannot write {target}: the folder {target.parent} does not exist")
    return target


def _checked_folder(path: str | os.PathLike[str], may_replace: Callable[[Path], bool] | None) -> Path:
    target = _checked(path)
    if target.exists() and not target.is_dir():
        raise FileError(f"cannot write the folder {target}: there is a file of that name")
    if target.is_dir() and any(target.iterdir()) and not (may_replace and may_replace(target)):
        raise FileError(f"{target} is a folder with other content and is not overwritten; choose another name")
    return target


def _temporary_name(target: Path) -> Path:
    return target.with_name(f".{secrets.token_hex(4)}-{target.name}")  # keeps the extension, which some writers read


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_tree(folder: Path) -> None:
    for parent, _, files in os.walk(folder):
        for name in files:
            _sync(Path(parent, name))
        _sync(Path(parent))


def replace_folder(new: Path, target: Path) -> None:
    """Rename the folder `new` to `target`; what was there is removed once `new` has its name."""
    if not target.exists():
        os.rename(new, target)
    elif _exchange(new, target):
        shutil.rmtree(new)
    else:
        old = _temporary_name(target)
        os.rename(target, old)
        try:
            os.rename(new, target)
        except BaseException:
            os.rename(old, target)
            raise
        shutil.rmtree(old)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step where the system can (Linux renameat2); False where it cannot."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    paths = os.fsencode(one), os.fsencode(other)
    return renameat2(AT_FDCWD, paths[0], AT_FDCWD, paths[1], RENAME_EXCHANGE) == 0
