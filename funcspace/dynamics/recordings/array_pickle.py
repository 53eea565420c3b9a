"""Pickle files of plain values and NumPy arrays, read without running anything that is in them."""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from funcspace.errors import FileError

__all__ = ["read_array_pickle"]


class _StoredType:
    """A number type as NumPy pickles it; NumPy's own reader of such states trusts them, so it never sees one."""

    def __init__(self, code: str, align: object = False, copy: object = True) -> None:
        self.found = np.dtype(str(code))
        if self.found.kind not in "biufcSU":
            raise pickle.UnpicklingError(f"it holds an array of type {code!r}; only numbers and text are read")

    def __setstate__(self, state: Any) -> None:
        if state[1] in ("<", ">"):
            self.found = self.found.newbyteorder(state[1])


class _StoredArray:
    """What NumPy's pickles build an array of, kept until the end of the file."""

    values: np.ndarray

    @classmethod
    def blank(cls, *_: object) -> _StoredArray:
        return cls()

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, raw = state
        self.values = _array(raw, kind, shape, "F" if fortran else "C")


def _array(raw: Any, kind: Any, shape: Any, order: Any = "C") -> np.ndarray:
    if not isinstance(kind, _StoredType):
        raise pickle.UnpicklingError("it holds an array of objects; only numbers and text are read")
    held = raw.encode("latin1") if isinstance(raw, str) else bytes(raw)
    if len(held) != math.prod(shape) * kind.found.itemsize:
        raise pickle.UnpicklingError(f"the bytes of an array of shape {shape} are not all there")
    return np.frombuffer(held, kind.found).reshape(shape, order="F" if order == "F" else "C")


def _scalar(kind: Any, raw: Any) -> Any:
    return _array(raw, kind, ())[()]


def _as_bytes(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"it asks for the encoding {encoding!r}")
    return text.encode("latin1")


ADMITTED = {
    ("numpy", "ndarray"): _StoredArray,
    ("numpy", "dtype"): _StoredType,
    ("_codecs", "encode"): _as_bytes,
    **{
        (f"numpy.{core}.{module}", name): stand_in
        for core in ("core", "_core")
        for module, name, stand_in in (
            ("multiarray", "_reconstruct", _StoredArray.blank),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _array),
        )
    },
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        found = ADMITTED.get((module_name, global_name))
        if found is None:
            raise pickle.UnpicklingError(
                f"it asks for {module_name}.{global_name}, and only NumPy arrays are read: pickles can run code"
            )
        return found


def read_array_pickle(path: Path) -> Any:
    """Numbers, text, lists, dicts and NumPy arrays of numbers from a pickle file, of Python 2 or 3.

    Whatever else a pickle can do is refused; no function or class that it names is ever looked up.

    Raises
    ------
    FileError
        When the file is missing or damaged, or holds something else.
    """
    try:
        with path.open("rb") as file:
            return _settled(_ArrayUnpickler(file, encoding="latin1").load())
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # damaged pickles raise nearly anything
        raise FileError(f"cannot read {path}: {error or type(error).__name__}") from error


def _settled(content: Any) -> Any:
    """The same with arrays in the place of what stood for them."""
    if isinstance(content, _StoredArray):
        return content.values
    if isinstance(content, dict):
        return {key: _settled(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return type(content)(_settled(value) for value in content)
    return content
