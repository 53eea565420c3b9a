"""Systems of one's own: a right-hand side as a function, traced, compiled by numba, or in torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

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
    start = np.atleast_1d(np.asarray(initial, dtype=np.float64))
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
        scale=1.0 if scale is None else np.asarray(scale, dtype=np.float64),
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
        return TorchField(function, len(start), shapes, discrete=discrete)
    try:
        formula = Formula.traced(function, len(start), shapes, discrete=discrete)
    except TracingError:
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
