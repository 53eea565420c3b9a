"""What is drawn of a function: one of its batch, one component or the magnitude, a real part of complex values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from funcspace.errors import InputError
from funcspace.functions.function import Function

__all__ = ["PARTS", "Quantity", "component_names", "quantities"]

PARTS = {"real": "Re {}", "imag": "Im {}", "abs": "|{}|", "phase": "arg {}"}
MOST_OVERLAID = 8


@dataclass(frozen=True)
class Quantity:
    """A real scalar made from the values of a single function.

    Attributes
    ----------
    function : a function without batch axes.
    component : number of the component; None for the only component, or the magnitude where there are several.
    part : which real number stands for a complex one: "real", "imag", "abs" or "phase".
    member : label of the function within its batch; "" where there is none.
    """

    function: Function
    component: int | None = None
    part: str = "real"
    member: str = ""

    @property
    def components(self) -> tuple[str, ...]:
        """Names of the components of a value."""
        return component_names(self.function)

    @property
    def is_vector(self) -> bool:
        """Whether the values are vectors of the domain's dimension of which no component was picked."""
        return self.component is None and len(self.components) == self.function.domain.dim > 1

    @property
    def is_several(self) -> bool:
        """Whether the values have several components of which none was picked."""
        return self.component is None and len(self.components) > 1

    @property
    def is_angle(self) -> bool:
        """Whether the quantity is the phase of complex values."""
        return self.part == "phase" and self.function.coefficients.is_complex()

    @property
    def symbol(self) -> str:
        """What the quantity is called on an axis, without its unit."""
        names, name = self.components, self.function.name
        if self.component is not None and len(names) > 1:
            picked = names[self.component]
            name = picked if picked.startswith(name) else f"{name}: {picked}"
        elif len(names) > 1:
            return f"|{name}|"
        return PARTS[self.part].format(name) if self.function.coefficients.is_complex() else name

    @property
    def units(self) -> str:
        """Unit of the drawn number."""
        return "rad" if self.is_angle else self.function.units

    @property
    def label(self) -> str:
        """Symbol and unit."""
        return f"{self.symbol} [{self.units}]" if self.units else self.symbol

    def picked(self, component: int) -> Quantity:
        """The same for one component."""
        return replace(self, component=component)

    def of(self, function: Function) -> Quantity:
        """The same quantity of another function."""
        return replace(self, function=function)

    def reduce(self, values: Tensor) -> NDArray[np.float64]:
        """The scalar (n,) made of values (n, *value)."""
        flat = self.parts(values)
        if flat.shape[1] == 1:
            return flat[:, 0]
        if self.component is not None:
            return flat[:, self.component]
        return np.sqrt((flat**2).sum(axis=1))

    def parts(self, values: Tensor) -> NDArray[np.float64]:
        """The real components (n, k) of values (n, *value)."""
        flat = values.detach().cpu().reshape(len(values), -1)
        if flat.is_complex():
            if self.component is None and flat.shape[1] > 1:
                flat = flat.real if self.part == "real" else flat.imag if self.part == "imag" else flat.abs()
            else:
                flat = {"real": torch.real, "imag": torch.imag, "abs": torch.abs, "phase": torch.angle}[self.part](flat)
        return flat.to(torch.float64).numpy()

    def nodal(self) -> NDArray[np.float64]:
        """The scalar at the nodal dofs (n,)."""
        shape = self.function.space.component_shape
        return self.reduce(self.function.coefficients.reshape(-1, *shape))

    def samples(self) -> NDArray[np.float64]:
        """Values that span the range: nodal ones, or those at quadrature points of RT and N1curl."""
        if self.function.space.basis.nodal:
            return self.nodal()
        return self.reduce(self.function.space.quadrature().values(self.function.coefficients))

    def at(self, points: Any) -> NDArray[np.float64]:
        """The scalar at points (m, d); those a rounding error outside count as on the boundary."""
        return self.reduce(self.function(points, outside="nearest"))

    def vectors(self, points: Any) -> NDArray[np.float64]:
        """All components at points (m, d): (m, k)."""
        return self.parts(self.function(points, outside="nearest"))


def component_names(function: Function) -> tuple[str, ...]:
    """Names of the numbers in a value: components, axes for RT and N1curl, or both joined by a dot."""
    space = function.space
    if not space.basis.intrinsic_shape:
        return tuple(space.components)
    axes = space.domain.axis_names[: math.prod(space.basis.intrinsic_shape)]
    if len(space.components) == 1:
        return tuple(f"{function.name}_{axis}" for axis in axes)
    return tuple(f"{name}.{axis}" for name, axis in product(space.components, axes))


def quantities(
    function: Function, index: int | Sequence[int] | None, component: str | int | None, part: str
) -> list[Quantity]:
    """The quantity of one function of the batch, or, for `index=None`, of the first eight.

    Raises
    ------
    InputError
        For an unknown component or part, an index outside the batch, or an empty batch.
    """
    if part not in PARTS:
        raise InputError(f"part must be one of {', '.join(PARTS)}; got {part!r}")
    names = component_names(function)
    number = _component_number(names, component)
    if part == "phase" and number is None and len(names) > 1:
        raise InputError(f'part="phase" needs a component; the components are {", ".join(names)}')
    batch = function.batch_shape
    if 0 in batch:
        raise InputError(f"there is nothing to draw: {function.name!r} is an empty batch of shape {batch}")
    if not batch:
        if index not in (0, None):
            raise InputError(f"{function.name!r} is a single function, so index must be 0; got {index!r}")
        return [Quantity(function, number, part)]
    flat = function.coefficients.reshape(-1, *function.space.coefficient_shape)
    first = range(min(len(flat), MOST_OVERLAID))
    chosen = first if index is None else [_flat_index(batch, index, function.name)]
    places = [tuple(int(i) for i in np.unravel_index(i, batch)) for i in chosen]
    members = ["" if math.prod(batch) == 1 else ", ".join(map(str, place)) for place in places]
    return [
        Quantity(function.with_coefficients(flat[i]), number, part, member)
        for i, member in zip(chosen, members, strict=True)
    ]


def _component_number(names: tuple[str, ...], component: str | int | None) -> int | None:
    if component is None:
        return None
    if isinstance(component, str):
        if component not in names:
            raise InputError(f"no component {component!r}; the components are {', '.join(names)}")
        return names.index(component)
    if not -len(names) <= component < len(names):
        raise InputError(f"no component {component}; there are {len(names)}: {', '.join(names)}")
    return range(len(names))[component]


def _flat_index(batch: tuple[int, ...], index: int | Sequence[int], name: str) -> int:
    entries = (index,) if isinstance(index, int | np.integer) else tuple(index)
    entries = (*entries, *([0] * (len(batch) - len(entries))))
    fits = len(entries) == len(batch) and all(-n <= i < n for i, n in zip(entries, batch, strict=True))
    if not fits:
        raise InputError(f"index {index!r} is not in the batch of {name!r}, whose shape is {batch}")
    return int(np.ravel_multi_index([range(n)[i] for i, n in zip(entries, batch, strict=True)], batch))
