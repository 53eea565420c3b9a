"""Batches of linear problems: which samples may share a matrix, and their way over the cores."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcspace.functions import Function
from funcspace.solvers.problem_data import batch_shape
from funcspace.solvers.threads import available_cores, over_threads

__all__ = ["SharedFactors", "functions_in", "put_rows", "solve_batch"]

# Samples stepped together: their states stay in the second-level cache for a few ten thousand unknowns.
TOGETHER = 64
BLOCK = 256

Data = dict[str, Any]


class SharedFactors:
    """Factorisations by key, each made once for all threads that ask for it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._found: dict[Any, Any] = {}

    def get(self, key: Any, make: Callable[[], Any]) -> Any:
        """What was made for the key before, or what `make` returns now."""
        with self._lock:
            if key not in self._found:
                self._found[key] = make()
            return self._found[key]


def solve_batch(
    data: Data,
    in_matrix: Iterable[str],
    work: Callable[[Data, SharedFactors, NDArray[Any]], None],
    *,
    shape: tuple[int, ...],
    workers: int | None,
    dtype: type = np.float64,
) -> NDArray[Any]:
    """The solutions (*batch, *shape) of a problem.

    Samples whose matrix is the same are solved together, in as many groups as there are cores; where the matrix varies
    each is a problem of its own.

    Parameters
    ----------
    data : the problem's data by name; dicts and tuples of data are looked into.
    in_matrix : names of the data that enter the matrix.
    work : solves for data whose Functions have one batch axis or none, with the factorisations that all calls with this
        matrix share, and writes to an array (samples, *shape).
    shape : that of one solution.
    """
    batch = batch_shape(dict(functions_in(data)))
    samples = math.prod(batch)
    found = np.empty((samples, *shape), dtype)
    if not batch:
        work(data, SharedFactors(), found)
        return found[0]
    flat = _mapped(data, lambda f: _flattened(f) if f.batch_shape else f)
    varies = batch_shape(dict(functions_in({name: data[name] for name in in_matrix})))
    cores = available_cores() if workers is None else max(1, int(workers))
    width = 1 if varies else min(TOGETHER, -(-samples // cores))
    groups = [(start, min(start + width, samples)) for start in range(0, samples, width)]
    shared = SharedFactors()

    def solve(begin: int, end: int) -> None:
        for start, stop in groups[begin:end]:
            work(_rows(flat, start, stop), SharedFactors() if varies else shared, found[start:stop])

    over_threads(solve, len(groups), workers)
    return found.reshape(*batch, *shape)


def put_rows(out: NDArray[Any], instant: int, dofs: Any, columns: NDArray[Any]) -> None:
    """out[:, instant, dofs] = columns.T by blocks that stay in the cache while they are transposed."""
    count = len(columns)
    for start in range(0, count, BLOCK):
        stop = min(start + BLOCK, count)
        where = slice(start, stop) if isinstance(dofs, slice) else dofs[start:stop]
        out[:, instant, where] = columns[start:stop].T


def functions_in(data: Any, name: str = "") -> Iterable[tuple[str, Function]]:
    """The Functions among the data and their names; containers are looked into."""
    if isinstance(data, Function):
        yield name, data
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from functions_in(value, f"{name}[{key!r}]" if name else str(key))
    elif isinstance(data, tuple | list):
        for number, value in enumerate(data):
            yield from functions_in(value, f"{name}[{number}]")


def _mapped(data: Any, change: Callable[[Function], Function]) -> Any:
    if isinstance(data, Function):
        return change(data)
    if isinstance(data, dict):
        return {key: _mapped(value, change) for key, value in data.items()}
    if isinstance(data, tuple):
        return tuple(_mapped(value, change) for value in data)
    return data


def _flattened(f: Function) -> Function:
    return replace(f, coefficients=f.coefficients.reshape(-1, *f.space.coefficient_shape))


def _rows(data: Data, start: int, stop: int) -> Data:
    return _mapped(data, lambda f: f[start:stop] if f.batch_shape else f)
