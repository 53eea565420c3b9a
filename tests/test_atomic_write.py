"""Files and folders that appear whole or not at all, also on a full disk."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

import funcspace as fs
from funcspace import atomic_write
from funcspace.atomic_write import atomic_file, atomic_folder


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def fill(folder: Path, text: str) -> None:
    (folder / "inner").mkdir()
    (folder / "inner" / "note").write_text(text)


def test_a_file_appears_at_the_end(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with atomic_file(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
        assert temporary.parent == tmp_path
    assert target.read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("exchange", [True, False])
def test_a_folder_appears_at_the_end(tmp_path, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr(atomic_write, "_exchange", lambda one, other: False)
    target = tmp_path / "store"
    with atomic_folder(target) as temporary:
        fill(temporary, "old")
        assert not target.exists()
    with atomic_folder(target, may_replace=lambda folder: True) as temporary:
        fill(temporary, "new")
        assert (target / "inner" / "note").read_text() == "old"
    assert (target / "inner" / "note").read_text() == "new"
    assert names(tmp_path) == ["store"]


@pytest.mark.parametrize("writer", [atomic_file, atomic_folder])
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "full"), fs.FileError),
        (ValueError("x"), ValueError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_a_failure_leaves_nothing_and_loses_nothing(tmp_path, writer, error, expected):
    old = tmp_path / "old"
    if writer is atomic_file:
        old.write_text("kept")
    else:
        old.mkdir()
        (old / "note").write_text("kept")
    for target in (old, tmp_path / "fresh"):
        with (
            pytest.raises(expected),
            writer(target, **({} if writer is atomic_file else {"may_replace": bool})) as temporary,
        ):
            if writer is atomic_file:
                temporary.write_text("half")
            else:
                fill(temporary, "half")
            raise error
    assert names(tmp_path) == ["old"]
    assert (old if writer is atomic_file else old / "note").read_text() == "kept"


def test_the_reason_is_told(tmp_path):
    with pytest.raises(fs.FileError, match=r"cannot write .*a\.txt: No space left"), atomic_file(tmp_path / "a.txt"):
        raise OSError(errno.ENOSPC, "full")


def test_a_failing_rename_puts_the_old_folder_back(tmp_path, monkeypatch):
    target = tmp_path / "store"
    with atomic_folder(target) as temporary:
        fill(temporary, "old")
    rename = os.rename
    calls = []

    def failing(one, other):
        calls.append(one)
        if len(calls) == 2:
            raise OSError(errno.EIO, "broken")
        rename(one, other)

    monkeypatch.setattr(atomic_write, "_exchange", lambda one, other: False)
    monkeypatch.setattr(atomic_write.os, "rename", failing)
    with pytest.raises(fs.FileError), atomic_folder(target, may_replace=lambda folder: True) as temporary:
        fill(temporary, "new")
    assert (target / "inner" / "note").read_text() == "old"
    assert names(tmp_path) == ["store"]


def test_what_is_in_the_way(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").write_text("")
    (tmp_path / "file").write_text("")
    with pytest.raises(fs.FileError, match="there is a folder"), atomic_file(tmp_path / "folder"):
        pass
    with pytest.raises(fs.FileError, match="there is a file"), atomic_folder(tmp_path / "file"):
        pass
    with pytest.raises(fs.FileError, match="other content"), atomic_folder(tmp_path / "folder"):
        pass
    with pytest.raises(fs.FileError, match="does not exist"), atomic_file(tmp_path / "none" / "a"):
        pass
    assert names(tmp_path) == ["file", "folder"]


FULL_DISK = """
import resource, signal, sys
import torch
import funcspace as fs

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
grid = fs.Grid(x=(0.0, 1.0, 512))
data = fs.OperatorData.from_arrays({"a": torch.rand(2000, 512)}, {"u": torch.rand(2000, 512)}, grid)
resource.setrlimit(resource.RLIMIT_FSIZE, (@@, @@))
try:
    data.save(sys.argv[1])
except fs.FileError as error:
    print("FileError", error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="file size limits as on Linux")
@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_a_disk_that_fills_up_while_writing(tmp_path, suffix):
    """The system refuses to write beyond a size, as it does on a full disk, inside the C libraries as well."""
    pytest.importorskip("zarr" if suffix == "zarr" else "netCDF4")
    target = tmp_path / f"set.{suffix}"
    grid = fs.Grid(x=(0.0, 1.0, 4))
    old = fs.OperatorData.from_arrays({"a": torch.ones(2, 4)}, {"u": torch.ones(2, 4)}, grid)
    old.save(target)
    limit = 1 << (20 if suffix == "nc" else 19)
    script = FULL_DISK.replace("@@", str(limit))
    done = subprocess.run([sys.executable, "-c", script, str(target)], capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith("FileError"), done.stdout + done.stderr
    assert done.returncode == 0
    assert names(tmp_path) == [target.name]
    assert len(fs.OperatorData.load(target)) == 2


def test_a_folder_goes_although_a_thread_still_writes_to_it(tmp_path):
    late = []

    def write(folder):
        for number in range(20):
            folder.mkdir(exist_ok=True)
            (folder / f"chunk{number}").write_text("late")
            time.sleep(0.004)

    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "set") as temporary:
        late.append(threading.Thread(target=write, args=(temporary,)))
        late[0].start()
        raise ZeroDivisionError
    late[0].join()
    assert names(tmp_path) == []
