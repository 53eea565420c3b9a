"""Systems of one's own: a right-hand side as a function, traced, compiled by numba, or in torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from funcspace.arguments import as_numbers
from funcspace.dynamics.catalogue.abstract_system import unknown
from funcspace.dynamics.catalogue.formula import Formula, parameter_arguments
from funcspace.dynamics.catalogue.system import System
from funcspace.dynamics.compiled.expression import TracingError
from funcspace.errors import InputError

__all__ = ["own_system"]

STATES_TRIED = 3


def own_system(
    function: Callable[..., Any],
    dimension: int | None,
    initial: Any,
    name: str | None,
    kind: str,
    period: float | None,
    scale: Any,
) -> System:
    """A system of a Python or torch function, with the parameters that its arguments with a default are."""
    if kind == "delay":
        raise InputError("a delay equation needs delays=..., one number or name of a parameter for each earlier state")
    if kind not in ("flow", "map"):
        raise InputError(unknown("kind", kind, ("flow", "map")))
    if initial is None:
        raise InputError("a system of one's own needs initial=..., a state to start from")
    start = np.atleast_1d(as_numbers(initial, "the initial state"))
    size = len(start) if dimension is None else dimension
    if start.shape != (size,):
        raise InputError(f"initial must have as many components as the system, {size}; got shape {start.shape}")
    parameters = parameter_arguments(function, 1 if kind == "map" else 2)
    shapes = {key: np.shape(value) for key, value in parameters.items()}
    return System(
        name=name or getattr(function, "__name__", "system"),
        equations=_equations(function, start, parameters, shapes, kind == "map"),
        kind=kind,
        parameters=parameters,
        initial=start,
        period=1.0 if kind == "map" and period is None else period,
        scale=1.0 if scale is None else as_numbers(scale, "the scale"),
    )


def _equations(
    function: Callable[..., Any],
    start: np.ndarray,
    parameters: Mapping[str, Any],
    shapes: Mapping[str, tuple[int, ...]],
    discrete: bool,
) -> Any:
    from funcspace.dynamics.catalogue.compiled_function import CompiledFunction
    from funcspace.dynamics.catalogue.torch_field import TorchField, in_torch

    if in_torch(function):
        field = TorchField(function, len(start), shapes, discrete=discrete)
        field.try_out(start, field.pack(parameters))
        return field
    try:
        formula = Formula.traced(function, len(start), shapes, discrete=discrete)
    except TracingError:
        _check_plain(function, start, parameters, discrete)
        return CompiledFunction(function, len(start), shapes, discrete=discrete)
    packed = formula.pack(parameters)
    for k in range(STATES_TRIED):
        state, t = start * (1.0 + 0.1 * k) + 0.01 * k, 0.7 * k
        with np.errstate(all="ignore"):
            plain = function(*(() if discrete else (t,)), state, **parameters)
        if not np.allclose(
            np.asarray(plain, dtype=np.float64).ravel(), formula.evaluate(state, t, packed), rtol=1e-9, equal_nan=True
        ):
            return CompiledFunction(function, len(start), shapes, discrete=discrete)
    return formula


def _check_plain(
    function: Callable[..., Any], start: np.ndarray, parameters: Mapping[str, Any], discrete: bool
) -> None:
    """Raise an InputError where the function, run once in plain Python, does not give as many numbers as the state."""
    form = "f(state)" if discrete else "rhs(t, state)"
    name = getattr(function, "__name__", "the function")
    try:
        with np.errstate(all="ignore"):
            result = np.asarray(function(*(() if discrete else (0.0,)), start.copy(), **parameters), dtype=np.float64)
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(
            f"{name} must take the arguments of {form} and return {len(start)} numbers; at the initial state it fails: "
            f"{error}"
        ) from error
    if result.size != len(start):
        raise InputError(f"{name} must return {len(start)} numbers, as {form} does; it returned {result.size}")
