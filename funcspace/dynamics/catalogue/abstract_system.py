"""What flows, maps and delay equations have in common: checked parameters and annotations, and how they are shown."""

from __future__ import annotations

import difflib
import html
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from funcspace.arguments import as_numbers
from funcspace.dynamics.annotations.annotations import Annotations
from funcspace.dynamics.estimate import Estimate
from funcspace.errors import InputError
from funcspace.geometry.cached_property import cached_property

__all__ = ["AbstractSystem", "checked_parameters", "numbered", "short", "unknown"]


class AbstractSystem(ABC):
    """Equations with parameters; a frozen dataclass whose fields are these and further ones."""

    name: str
    equations: Any
    kind: Any
    parameters: Mapping[str, Any]
    period: float | None
    scale: Any
    description: str
    citation: str
    annotations: Annotations

    def __post_init__(self) -> None:
        period = 1.0 if self.period is None else as_numbers(self.period, f"the period of {self.name}")
        if np.ndim(period) or not (np.isfinite(period) and period > 0):
            raise InputError(f"the period of {self.name} must be a positive number; got {self.period}")
        sizes = as_numbers(self.scale, f"the scale of {self.name}")
        if sizes.shape not in ((), (1,), (self.equations.dimension,)):
            raise InputError(
                f"{self.name} has {self.equations.dimension} components; its scale has shape {sizes.shape}"
            )
        if not (np.isfinite(sizes) & (sizes >= 0)).all():
            raise InputError(f"the scale of {self.name} must be positive and finite; got {self.scale}")
        object.__setattr__(self, "parameters", MappingProxyType(checked_parameters(self, self.parameters)))
        known = self.annotations
        object.__setattr__(self, "annotations", known if isinstance(known, Annotations) else Annotations(dysts=known))

    def _set_start(self, start: np.ndarray, what: str) -> None:
        """Make a state the field `initial`, once its shape and values are found right."""
        size = self.equations.dimension
        if start.shape != (size,):
            raise InputError(f"{self.name} has {size} components; the {what} has shape {start.shape}")
        if not np.isfinite(start).all():
            i = int(np.flatnonzero(~np.isfinite(start))[0])
            raise InputError(f"the {what} of {self.name} must be finite; component {i} is {start[i]}")
        start.setflags(write=False)
        object.__setattr__(self, "initial", start)

    @cached_property
    def packed(self) -> np.ndarray:
        """The parameters as the vector that the compiled code takes."""
        return self.equations.pack(self.parameters)

    def known(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values, once all names are found to be parameters."""
        if not isinstance(values, Mapping):
            raise InputError(f"parameters of {self.name} are given by name, as a dictionary; got {values!r}")
        for name in values:
            if name not in self.parameters:
                raise InputError(unknown("parameter", name, self.parameters, f" of {self.name}"))
        return dict(values)

    def _changed(self, values: Mapping[str, Any]) -> Any:
        """The system with other parameters, and without annotations where they differ."""
        made: Any = self
        changed = {**self.parameters, **self.known(values)}
        same = all(np.array_equal(changed[name], self.parameters[name]) for name in values)
        return replace(made, parameters=changed, annotations=self.annotations if same else Annotations())

    def _positive(self, exponent: Estimate) -> float:
        """The largest exponent, once it is found to be positive."""
        regular = self.annotations.kind in ("regular", "quasi-periodic")
        if regular or not float(exponent) > 3.0 * exponent.error:
            raise InputError(
                f"{self.name} has no Lyapunov time: its largest exponent is {exponent}; give points_per_period or dt"
            )
        return float(exponent)

    @abstractmethod
    def _what(self) -> str:
        """What it is, in a few words."""

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(f"{self.name} is a system and no sequence; system.trajectory(n) gives states")

    def __repr__(self) -> str:
        values = "".join(f", {k}={short(v)}" for k, v in self.parameters.items())
        return f"{type(self).__name__} {self.name!r}: {self._what()}{values}"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{html.escape(short(value))}</td></tr>"
            for name, value in self.parameters.items()
        )
        period = "" if self.period is None or self.kind == "map" else f", period {self.period:.6g}"
        return (
            f"<div><b>{html.escape(self.name)}</b> {self._what()}{period}"
            f"<br>{html.escape(self.description)}<table>{rows}</table><small>{html.escape(self.citation)}</small></div>"
        )


def numbered(dimension: int) -> tuple[str, ...]:
    """Names of components that nobody named: x, y, z where they suffice."""
    return tuple("xyz"[:dimension]) if dimension <= 3 else tuple(f"x{i + 1}" for i in range(dimension))


def short(value: Any) -> str:
    """A number in few digits, an array by its shape."""
    return f"{value:g}" if np.ndim(value) == 0 else f"array{np.shape(value)}"


def checked_parameters(system: Any, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as numbers and read-only arrays, once their names, shapes and values are found right."""
    shapes, found = system.equations.shapes, {}
    for name in parameters:
        if name not in shapes:
            raise InputError(unknown("parameter", name, shapes, f" of {system.name}"))
    for name, shape in shapes.items():
        if name not in parameters:
            raise InputError(f"{system.name} needs a value for the parameter {name!r}")
        try:
            value = np.array(parameters[name], dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"parameter {name!r} of {system.name} must be a number: {error}") from error
        if value.shape != tuple(shape):
            raise InputError(
                f"parameter {name!r} of {system.name} must have shape {tuple(shape)}; got {value.shape}. One value per "
                "trajectory goes to trajectory(parameters=...)"
            )
        if not np.isfinite(value).all():
            raise InputError(f"parameter {name!r} of {system.name} must be finite; got {value}")
        value.setflags(write=False)
        found[name] = float(value) if value.ndim == 0 else value
    return found


def unknown(what: str, name: Any, known: Any, where: str = "") -> str:
    """A message that says which names there are, the nearest first."""
    names = list(known)
    near = difflib.get_close_matches(str(name), names, 4, 0.5)
    near += [n for n in names if str(name).lower() in n.lower() and n not in near][:4]
    if len(names) <= 30:
        return (
            f"unknown {what} {name!r}{where}; there {'are' if len(names) != 1 else 'is'} {', '.join(names) or 'none'}"
        )
    hint = f"did you mean {', '.join(near)}?" if near else f"there are {len(names)}, from {names[0]} to {names[-1]}"
    return f"unknown {what} {name!r}{where}; {hint}"
