"""What a data set on a grid tells about the model it needs: channels, shape, boundary conditions, sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from funcspace.errors import DomainError, InputError
from funcspace.functions import OperatorData
from funcspace.functions.normalisers import Normaliser
from funcspace.functions.operator_data import check_real, same_space
from funcspace.geometry import Grid
from funcspace.operators.grid_levels import Boundary
from funcspace.operators.uniform_grid import uniform_grid

__all__ = ["GridFacts"]

PROBED = 32
SIDES = (("left", "right"), ("bottom", "top"), ("front", "back"))


@dataclass(frozen=True)
class GridFacts:
    """The common grid of a data set and its channels."""

    data: OperatorData
    grid: Grid
    in_channels: int
    out_channels: int

    @classmethod
    def of(cls, data: OperatorData, *, model: str) -> GridFacts:
        """Look at the spaces of the data.

        Raises
        ------
        DomainError
            When the functions live on anything but one uniform grid.
        InputError
            When there are no outputs, or nothing to predict them from, or numbers are complex.
        """
        if not isinstance(data, OperatorData):
            raise InputError(f"{model}.for_data takes OperatorData, got {type(data).__name__}")
        if not data.outputs or not (data.inputs or data.parameters):
            raise InputError(f"{model} needs data with inputs and outputs, got {data!r}")
        check_real(data)
        columns = {**data.inputs, **data.outputs}
        spaces = {name: same_space(column, name) for name, column in columns.items()}
        grids = {name: uniform_grid(space, model) for name, space in spaces.items()}
        first, grid = next(iter(grids.items()))
        for name, other in grids.items():
            if other != grid:
                raise DomainError(
                    f"{model} needs one grid for all functions; {name!r} and {first!r} live on different ones"
                )
        inside = sum(math.prod(spaces[name].component_shape) for name in data.inputs) + len(data.parameters)
        outside = sum(math.prod(spaces[name].component_shape) for name in data.outputs)
        return cls(data, grid, inside, outside)

    @property
    def lengths(self) -> tuple[float, ...]:
        """Length of each axis."""
        return tuple(stop - start for start, stop in self.grid.extent.values())

    @property
    def boundary(self) -> Boundary:
        """Per axis and side: periodic on periodic axes, Dirichlet where all outputs vanish, else Neumann.

        Cells have no samples on the boundary, so there a side is Dirichlet where the data declare the value 0.
        """
        sides: list[tuple[str, str]] = []
        for axis, name in enumerate(self.grid.axis_names):
            if name in self.grid.periodic:
                sides.append(("periodic", "periodic"))
                continue
            if self.grid.samples == "cells":
                zero = [self._declared_zero(part) for part in SIDES[axis]]
            else:
                zero = [all(self._vanishes(output, axis, end) for output in self.data.outputs) for end in (0, -1)]
            sides.append(("dirichlet" if zero[0] else "neumann", "dirichlet" if zero[1] else "neumann"))
        return tuple(sides)

    def _declared_zero(self, part: str) -> bool:
        known = self.data.boundary.get(part, self.data.boundary.get("boundary", {}))
        return known.get("type") == "dirichlet" and known.get("value") == 0

    def _values(self, name: str, rows: slice) -> Tensor:
        """Values `(samples, *shape, components)` of a few samples."""
        column = {**self.data.inputs, **self.data.outputs}[name]
        values = column[rows].coefficients
        return values.reshape(len(values), *self.grid.shape, -1)

    def _vanishes(self, name: str, axis: int, end: int) -> bool:
        for start in range(0, len(self.data), PROBED):
            values = self._values(name, slice(start, start + PROBED))
            if bool((values.select(axis + 1, end) != 0).any()):
                return False
        return True

    def coefficient(self) -> tuple[float, float]:
        """(offset, scale) that undo the standardisation of the first input, relative to its mean.

        Raises
        ------
        InputError
            When the first input is not positive everywhere.
        """
        if not self.data.inputs:
            raise InputError('conditioning="coefficient" needs an input function that is the coefficient')
        name, column = next(iter(self.data.inputs.items()))
        least = min(
            float(self._values(name, slice(start, start + PROBED))[..., 0].min())
            for start in range(0, len(self.data), PROBED)
        )
        if least <= 0:
            raise InputError(
                f'conditioning="coefficient" needs a positive first input; the least value of {name!r} is {least:g}'
            )
        normaliser = Normaliser.fit("standard", column)
        shape = same_space(column, name).component_shape
        zero, one = (normaliser.decode(torch.full((1, *shape), value, dtype=torch.float64)) for value in (0.0, 1.0))
        offset, scale = float(zero.flatten()[0]), float((one - zero).flatten()[0])
        return (1.0, scale / offset)

    def best_factor(self, model: nn.Module) -> float:
        """The factor of a model's predictions that fits them best to the first outputs, normalised as `fit` does it."""
        parts = [self._normalised(column, "standard") for column in self.data.inputs.values()]
        wanted = [self._normalised(column, "scale") for column in self.data.outputs.values()]
        for values in self.data.parameters.values():
            numbers = values.double()
            centred = (numbers[:PROBED] - numbers.mean()) / (float(numbers.std(correction=0)) or 1.0)
            parts.append(centred.reshape(-1, *([1] * (self.grid.dim + 1))).expand(-1, *self.grid.shape, 1))
        weight = next(model.parameters())
        with torch.no_grad():
            y = model(torch.cat(parts, dim=-1).to(weight))
        target = torch.cat(wanted, dim=-1).to(y)
        size = float(y.square().sum())
        return float((y * target).sum()) / size if size > 0 else 1.0

    def _normalised(self, column: Any, kind: str) -> Tensor:
        rows = column[slice(0, PROBED)].coefficients
        return Normaliser.fit(kind, column).encode(rows).reshape(len(rows), *self.grid.shape, -1)
