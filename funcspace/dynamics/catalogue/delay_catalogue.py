"""The delay equations of the database, and those of one's own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from funcspace.dynamics.annotations.measured import measured_annotations
from funcspace.dynamics.catalogue import dysts_equations as dysts
from funcspace.dynamics.catalogue.delay_equations import CompiledDelayFunction, DelayFormula
from funcspace.dynamics.catalogue.delay_system import DelaySystem
from funcspace.dynamics.catalogue.formula import parameter_arguments
from funcspace.dynamics.compiled.expression import TracingError
from funcspace.errors import InputError

__all__ = ["named_delay_system", "own_delay_system"]

STATES_TRIED = 3


def named_delay_system(name: str) -> DelaySystem:
    """A delay equation of the database; its history is constant, its delay the parameter tau."""
    record = dysts.database()[name]
    return DelaySystem(
        name=name,
        equations=dysts.delay_formula_of(name),
        delays=("tau",),
        parameters=record["parameters"],
        initial=record["initial_conditions"][:1],
        period=float(record["period"]),
        scale=np.array(record["std"][:1]),
        description=record["description"] or "",
        citation=record["citation"] or "",
        annotations=measured_annotations("delay", name, dysts.published(record)),
    )


def own_delay_system(
    function: Callable[..., Any],
    delays: Sequence[float | str],
    dimension: int | None,
    initial: Any,
    name: str | None,
    period: float | None,
    scale: Any,
) -> DelaySystem:
    """A delay equation of a Python function `(t, state, *earlier, **parameters)`."""
    from funcspace.dynamics.catalogue.torch_field import in_torch

    if isinstance(delays, str) or not isinstance(delays, Iterable):
        raise InputError(f"delays is a sequence, one entry for each earlier state: write delays=({delays!r},)")
    delays = tuple(delays)
    if not delays:
        raise InputError("a delay equation needs delays=..., at least one; without it is a flow")
    if initial is None:
        raise InputError("a delay equation of one's own needs initial=..., a state or a function of time up to 0")
    if in_torch(function):
        raise InputError("the right-hand side of a delay equation is written with numpy, not with torch")
    start = np.atleast_1d(np.asarray(initial(0.0) if callable(initial) else initial, dtype=np.float64))
    size = len(start) if dimension is None else dimension
    if start.shape != (size,):
        raise InputError(f"the history must have as many components as the system, {size}; got shape {start.shape}")
    leading = list(inspect.signature(function).parameters.values())[: 2 + len(delays)]
    if len(leading) < 2 + len(delays) or any(argument.default is not argument.empty for argument in leading):
        raise InputError(
            f"with {len(delays)} delays the right-hand side takes time, the state and {len(delays)} earlier states "
            f"before its parameters; it is {getattr(function, '__name__', 'the function')}{inspect.signature(function)}"
        )
    parameters = parameter_arguments(function, 2 + len(delays))
    return DelaySystem(
        name=name or getattr(function, "__name__", "system"),
        equations=_equations(function, start, len(delays), parameters),
        delays=delays,
        parameters=parameters,
        initial=initial,
        period=period,
        scale=1.0 if scale is None else np.asarray(scale, dtype=np.float64),
    )


def _equations(
    function: Callable[..., Any], start: np.ndarray, delays: int, parameters: Mapping[str, Any]
) -> DelayFormula | CompiledDelayFunction:
    """The traced formula, where it gives what the function gives at a few states; else the function compiled."""
    shapes = {key: np.shape(value) for key, value in parameters.items()}
    try:
        formula = DelayFormula.traced(function, len(start), delays, shapes)
    except TracingError:
        return CompiledDelayFunction(function, len(start), delays, shapes)
    for k in range(STATES_TRIED):
        states = np.stack([start * (1.0 + 0.1 * (k + j)) + 0.01 * k for j in range(1 + delays)])
        t = 0.7 * k
        with np.errstate(all="ignore"):
            plain = np.asarray(function(t, *states, **parameters), dtype=np.float64).ravel()
            traced = formula.evaluate(states[0], states[1:], t, formula.pack(parameters))
        if not np.allclose(plain, traced, rtol=1e-9, equal_nan=True):
            return CompiledDelayFunction(function, len(start), delays, shapes)
    return formula
