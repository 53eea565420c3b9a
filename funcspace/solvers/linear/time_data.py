"""Data that depend on time, and the steps between the instants of an output."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import torch

from funcspace.arguments import number_of
from funcspace.errors import InputError, OutsideError
from funcspace.functions import Function, FunctionSpace
from funcspace.geometry import Times
from funcspace.geometry.product import ProductDomain
from funcspace.solvers.problem_arguments import checked_times

__all__ = ["Interval", "at_time", "check_steady", "checked_step", "intervals", "varies_in_time"]


@dataclass(frozen=True)
class Interval:
    """Equal steps from one instant of the output to the next."""

    start: float
    step: float
    count: int


def checked_step(step: Any) -> float | None:
    """The longest step, a positive time; None for the steps of the output."""
    if step is None:
        return None
    if not number_of(step) > 0:
        raise InputError(f"step must be a positive time, or None; got {step!r}")
    return number_of(step)


def intervals(times: Times, step: float | None) -> list[Interval]:
    """Steps of at most `step` between the instants; one each where `step` is None.

    Raises
    ------
    InputError
        When the step is not positive and finite.
    """
    step = checked_step(step)
    instants = checked_times(times).instants.tolist()
    found = []
    for start, stop in pairwise(instants):
        # Equispaced instants share one step to the bit, so that they share one factorisation.
        gap = times.step if times.step is not None else stop - start
        count = 1 if step is None else max(1, math.ceil(gap / step * (1 - 1e-9)))
        found.append(Interval(start, gap / count, count))
    return found


def varies_in_time(data: Any) -> bool:
    """Whether data are a Function over Times * domain, a callable of (points, t), or a container of such."""
    if isinstance(data, Mapping):
        return any(varies_in_time(value) for value in data.values())
    if isinstance(data, tuple | list):
        return any(varies_in_time(value) for value in data)
    if isinstance(data, Function):
        return isinstance(data.space.domain, ProductDomain)
    return callable(data) and _wants_time(data)


def check_steady(**data: Any) -> None:
    """Raise an InputError for data that enter the matrix and vary in time."""
    for name, value in data.items():
        if varies_in_time(value):
            raise InputError(f"{name} must not depend on time: it enters the matrix, which is factorised once")


def at_time(data: Any, t: float) -> Any:
    """The data at an instant, with containers looked into.

    Raises
    ------
    OutsideError
        When the times of a Function do not reach the instant.
    """
    if isinstance(data, Mapping):
        return {key: at_time(value, t) for key, value in data.items()}
    if isinstance(data, tuple):
        return tuple(at_time(value, t) for value in data)
    if not varies_in_time(data):
        return data
    if isinstance(data, Function):
        return _slice_of_time(data, t)
    return lambda points: data(points, t)


def _slice_of_time(f: Function, t: float) -> Function:
    basis: Any = f.space.basis
    times = f.space.domain.times
    # Steps accumulate rounding; an instant beyond the last by that much is the last one.
    slack = 1e-9 * max(times.duration, abs(times.stop), 1e-300)
    if not times.start - slack <= t <= times.stop + slack:
        raise OutsideError(f"{f!r} does not reach the time {t}: its times are {times!r}")
    where = torch.tensor([[min(max(t, times.start), times.stop)]], dtype=torch.float64)
    evaluate = basis.time.evaluation(where, False, "raise")
    space = _space_factor(f.space)
    axis = len(f.batch_shape)
    picked = evaluate(f.coefficients.movedim(axis, -1)).squeeze(-1)
    return Function(space, picked, name=f.name, units=f.units)


@lru_cache(maxsize=16)
def _space_factor(space: FunctionSpace) -> FunctionSpace:
    """The space of the functions at one instant; kept, because points are located in it at each step."""
    basis: Any = space.basis
    return FunctionSpace(
        space.domain.space, basis.space.name, components=space.components, value_shape=space.value_shape
    )


def _wants_time(function: Callable[..., Any]) -> bool:
    try:
        needed = [
            p for p in inspect.signature(function).parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty
        ]  # fmt: skip
    except (TypeError, ValueError):
        return False
    return len(needed) >= 2
