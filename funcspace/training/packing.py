"""The edge of a model: named functions fused into channels in a recorded order, normalised, and taken apart again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from funcspace.errors import DomainError, InputError
from funcspace.functions import Function, FunctionSpace, OperatorData
from funcspace.functions.normalisers import Normaliser
from funcspace.functions.operator_data import same_space

__all__ = ["Field", "Packing"]


@dataclass(frozen=True)
class Field:
    """One function at the model's edge: its name, the space it was trained on, its unit and its normaliser."""

    name: str
    space: FunctionSpace
    units: str
    normaliser: Normaliser

    @property
    def channels(self) -> int:
        """Channels that the function takes up: one per component."""
        return math.prod(self.space.component_shape)


@dataclass(frozen=True)
class Packing:
    """Which functions and parameters go into the channels of a model, and which come out, in order.

    Input channels are the components of the input fields in order, then one constant channel per scalar parameter.
    """

    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    parameters: tuple[tuple[str, float, float], ...] = ()

    @classmethod
    def for_data(cls, data: OperatorData, *, inputs: str = "standard", outputs: str = "scale") -> Packing:
        """Fit the normalisers to data and record the order of its functions.

        Parameters
        ----------
        inputs, outputs : kinds of normaliser; "scale" keeps zero at zero, so that exact boundary values survive.
        """
        if not data.inputs and not data.parameters:
            raise InputError("there is nothing to predict from: the data have no inputs and no parameters")
        if not data.outputs:
            raise InputError("there is nothing to predict: the data have no outputs")

        def fields(columns: Mapping[str, Any], kind: str) -> tuple[Field, ...]:
            return tuple(
                Field(name, same_space(column, name), column.units, Normaliser.fit(kind, column))
                for name, column in columns.items()
            )

        scalars = tuple(
            (name, float(values.double().mean()), float(values.double().std(correction=0)) or 1.0)
            for name, values in data.parameters.items()
        )
        packing = cls(fields(data.inputs, inputs), fields(data.outputs, outputs), scalars)
        for group in (packing.inputs, packing.outputs):
            for field in group[1:]:
                if field.space.layout != group[0].space.layout:
                    raise DomainError(
                        f"{field.name!r} and {group[0].name!r} have different layouts, {field.space.layout} and "
                        f"{group[0].space.layout}: bring them to one space with .to(space) first"
                    )
        return packing

    @property
    def channels(self) -> tuple[int, int]:
        """Number of input and output channels."""
        return sum(f.channels for f in self.inputs) + len(self.parameters), sum(f.channels for f in self.outputs)

    @property
    def input_space(self) -> FunctionSpace:
        """The space that models prepare for: the one of the first input, else of the first output."""
        return (self.inputs or self.outputs)[0].space

    def encode_inputs(
        self,
        columns: Mapping[str, Tensor],
        parameters: Mapping[str, Tensor],
        layout: tuple[int, ...],
        dtype: torch.dtype,
    ) -> Float[Tensor, "batch *layout channel"]:
        """Normalised channels from the coefficients `(batch, *coefficient shape)` of each input field."""
        parts = [
            _to_channels(field.normaliser.encode(columns[field.name]).to(dtype), layout, field.channels)
            for field in self.inputs
        ]
        for name, mean, std in self.parameters:
            values = ((parameters[name].double() - mean) / std).to(dtype)
            constant = values.reshape(-1, *([1] * (len(layout) + 1)))
            if parts:
                constant = constant.to(parts[0].device)
            parts.append(constant.expand(-1, *layout, 1))
        return torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]

    def decode_outputs(
        self,
        channels: Float[Tensor, "batch *layout channel"],
        shapes: Mapping[str, tuple[int, ...]] | None = None,
    ) -> dict[str, Tensor]:
        """Coefficients of each output field in physical units, `(batch, *coefficient shape)`.

        Parameters
        ----------
        shapes : coefficient shape per field where it differs from the one trained on (another resolution).
        """
        result, start = {}, 0
        for field in self.outputs:
            part = channels[..., start : start + field.channels]
            shape = field.space.coefficient_shape if shapes is None else shapes[field.name]
            result[field.name] = field.normaliser.decode(part.reshape(len(part), *shape))
            start += field.channels
        return result

    def check(self, functions: Mapping[str, Function], parameters: Mapping[str, Tensor]) -> None:
        """Refuse inputs that are not the ones trained on.

        Raises
        ------
        InputError
            When a name is missing or unknown, or values have another shape.
        """
        expected = [f.name for f in self.inputs] + [name for name, _, _ in self.parameters]
        given = [*functions, *parameters]
        missing = [name for name in expected if name not in given]
        unknown = [name for name in given if name not in expected]
        if missing or unknown:
            raise InputError(f"this surrogate takes {expected}; missing {missing}, unknown {unknown}")
        for field in self.inputs:
            space = functions[field.name].space
            if space.component_shape != field.space.component_shape:
                raise InputError(
                    f"{field.name!r} must have values of shape {field.space.value_shape}, got {space.value_shape}"
                )


def _to_channels(values: Tensor, layout: tuple[int, ...], channels: int) -> Tensor:
    return values.reshape(len(values), *layout, channels)
