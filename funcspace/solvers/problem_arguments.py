"""Arguments that problems and solvers share, checked at the door: samples, threads, times, domains and data."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sized
from typing import Any

import numpy as np
from torch import Tensor

from funcspace.arguments import entries_of, entropy_of, is_whole, number_of, whole_number
from funcspace.errors import InputError
from funcspace.geometry import Grid, Mesh, Times

__all__ = [
    "by_part",
    "check_data",
    "check_iteration",
    "checked_domain",
    "checked_outputs",
    "checked_times",
    "checked_workers",
    "grid_or_mesh",
    "named",
    "names_of",
    "sampling",
    "vector_of_numbers",
]

CONDITIONS = ("dirichlet", "neumann", "robin", "alpha", "impedance")


def sampling(n: Any, seed: Any, first: Any) -> tuple[int, Any, int]:
    """The number of samples, what all their random numbers come from, and the number of the first one.

    Without a seed the entropy is fresh; it is itself the seed that gives the same samples again.

    Raises
    ------
    InputError
        When n is no whole number of at least 1, or seed or first is negative or no whole number.

    Examples
    --------
    >>> sampling(np.int64(4), 7, 2)
    (4, 7, 2)
    """
    entropy = entropy_of(seed)
    return whole_number(n, "n"), int(entropy) if is_whole(entropy) else entropy, whole_number(first, "first", least=0)


def checked_workers(workers: Any) -> int | None:
    """The number of threads; None for all cores."""
    if workers is None:
        return None
    if not (is_whole(workers) and workers >= 1):
        raise InputError(f"workers must be a whole number of at least 1, or None for all cores; got {workers!r}")
    return int(workers)


def checked_times(times: Any) -> Times:
    """The times, or an InputError that shows how to make some."""
    if not isinstance(times, Times):
        raise InputError(f"times must be a Times, such as fs.Times(0.0, 0.1, 11); got {_shown(times)}")
    return times


def checked_domain(domain: Any) -> Any:
    """The domain, of any kind, or an InputError that names some kinds."""
    # the members are looked up on the type: some of them are costly to compute
    if not all(hasattr(type(domain), name) for name in ("dim", "points", "bounds", "boundary")):
        raise InputError(f"domain must be a Grid, a Mesh or another domain; got {_shown(domain)}")
    return domain


def grid_or_mesh(domain: Any, solved: str, *, dim: int | None = None) -> Any:
    """The domain, or an InputError that says what is solved on a Grid or a Mesh.

    Parameters
    ----------
    solved : what is solved, such as "plates are".
    dim : the number of axes that it takes; any by default.
    """
    if not isinstance(domain, Grid | Mesh):
        raise InputError(f"{solved} solved on a Grid or a Mesh; got {_shown(domain)}")
    if dim not in (None, domain.dim):
        raise InputError(f"{solved} solved in {dim} dimensions; this domain has {domain.dim}")
    return domain


def names_of(value: Any, what: str) -> tuple[str, ...]:
    """One name or several as a tuple."""
    names = (value,) if isinstance(value, str) else entries_of(value)
    if not all(isinstance(name, str) for name in names) or not (names or isinstance(value, Sized)):
        raise InputError(f"{what} must be a name or several; got {value!r}")
    return names


def checked_outputs(outputs: Any, known: tuple[str, ...]) -> tuple[Any, ...]:
    """The names of outputs, one at least, all of them known."""
    names = (outputs,) if isinstance(outputs, str) else entries_of(outputs)
    if not names or not all(isinstance(name, str) and name in known for name in names):
        shown = " and ".join(f'"{name}"' for name in known)
        raise InputError(f"outputs are some of {shown}; got {outputs!r}")
    return names


def vector_of_numbers(values: Any, name: str, length: int) -> tuple[Any, ...]:
    """The entries of a constant vector; an InputError unless they are so many finite numbers."""
    entries = entries_of(values)
    if len(entries) != length or not np.isfinite([number_of(entry) for entry in entries]).all():
        raise InputError(f"{name} must be {length} finite numbers; got {values!r}")
    return entries


def by_part(conditions: Any, name: str) -> dict[str, Any]:
    """Conditions by the part of the boundary, of None none; an InputError where they do not name parts."""
    if conditions is None:
        return {}
    pairs = tuple(conditions.items()) if isinstance(conditions, Mapping) else conditions
    if not (
        isinstance(pairs, tuple | list) and all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs)
    ):
        raise InputError(f'{name} must be given by part, such as {{"left": ...}}; got {conditions!r}')
    return dict(pairs)


def check_iteration(tolerance: Any, max_iterations: Any) -> None:
    """Raise an InputError unless the bounds of an iterative method make sense."""
    if not 0.0 < number_of(tolerance) < 1.0:
        raise InputError(f"tolerance must lie between 0 and 1; got {tolerance!r}")
    whole_number(max_iterations, "max_iterations")


def check_data(data: Mapping[str, Any], positive: Collection[str] = (), *, not_negative: Collection[str] = ()) -> None:
    """Raise an InputError, by name, for data that no solver could take at any point.

    What callables and Functions give is seen by the solver; numbers and constant arrays are judged here.

    Parameters
    ----------
    data : numbers, constant arrays, callables of points or Functions, by name.
    positive, not_negative : names of those that must be above 0, and of those that must not be below it.
    """
    for name, value in data.items():
        if callable(value) or (isinstance(value, Tensor) and value.ndim):
            continue
        constant = _constant(value)
        if constant is None or not constant.size:
            raise InputError(f"{name} must be a number, a callable of points or a Function; got {value!r}")
        if not np.isfinite(constant).all():
            raise InputError(f"{name} must be finite; got {value!r}")
        if name in positive and not constant.ndim and not number_of(value) > 0:
            raise InputError(f"{name} must be positive; got {value!r}")
        if name in not_negative and number_of(value) < 0:
            raise InputError(f"{name} must not be negative; got {value!r}")


def named(data: Mapping[str, Any]) -> dict[str, Any]:
    """The data with those of conditions by part under names of their own, such as neumann['left']."""
    found = {}
    for name, value in data.items():
        if name in CONDITIONS:
            found |= {f"{name}[{part!r}]": datum for part, datum in (value or {}).items()}
        else:
            found[name] = value
    return found


def _constant(value: Any) -> Any:
    """The numbers of a constant; None where there are none."""
    if value is None or isinstance(value, str | bytes):
        return None
    found = value.item() if isinstance(value, Tensor) else value
    try:
        return np.asarray(found, dtype=np.complex128 if np.iscomplexobj(found) else np.float64)
    except (TypeError, ValueError, RuntimeError):
        return None


def _shown(value: Any) -> str:
    """A plain value as it is, of larger objects the type."""
    return repr(value) if value is None or isinstance(value, str | int | float) else type(value).__name__
