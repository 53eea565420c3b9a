"""Trajectories to learn from, standardised, and random windows of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from funcspace.errors import InputError
from funcspace.functions import Function
from funcspace.geometry import Times

__all__ = ["PerReplica", "Recording", "Windows", "as_recording", "standardised_by", "standardised_rows"]


@dataclass(frozen=True)
class PerReplica:
    """Data for a model with replicas: one Function (or sequence of Functions) for each of them."""

    data: Sequence[Any]


@dataclass(frozen=True, eq=False)
class Recording:
    """One or several trajectories of one system, on equispaced instants; missing values are NaN.

    Attributes
    ----------
    values : per trajectory (instants, components), float64.
    inputs : per trajectory (instants, inputs), or None.
    step : time between instants.
    components, name, units, time_unit : of the Function that was given.
    centre, spread : mean and scale to standardise by where they are not the recording's own.
    """

    values: tuple[Tensor, ...]
    inputs: tuple[Tensor, ...] | None
    step: float
    components: tuple[str, ...]
    name: str
    units: str
    time_unit: str
    centre: Tensor | None = None
    spread: Tensor | None = None

    @property
    def mean(self) -> Float[Tensor, " component"]:
        """Mean of each component over all that was observed."""
        return torch.cat(self.values).nanmean(dim=0) if self.centre is None else self.centre

    @property
    def scale(self) -> Float[Tensor, " component"]:
        """Standard deviation of each component."""
        if self.spread is not None:
            return self.spread
        return (torch.cat(self.values) - self.mean).square().nanmean(dim=0).sqrt()


def as_recording(data: Any, inputs: Any = None, *, missing: bool = False, name: str = "data") -> Recording:
    """Trajectories from a Function over Times (a batch is several trajectories), or a sequence of such Functions.

    Parameters
    ----------
    data : Function or sequence of Functions with the same components and step; they may differ in length.
    inputs : external inputs on the same instants, given in the same way.
    missing : whether NaN stands for a missing value; an error otherwise.

    Raises
    ------
    InputError : no trajectory over Times, unequal steps or components, values that are not finite, a component that
        is constant.
    """
    functions = [data] if isinstance(data, Function) else list(data) if isinstance(data, Sequence) else [data]
    if not functions:
        raise InputError(f"{name} holds no trajectory")
    values: list[Tensor] = []
    for function in functions:
        values += _trajectories(function, name)
    first = functions[0]
    step, components = first.space.domain.step, first.space.components
    for number, function in enumerate(functions[1:], start=1):
        other = function.space.domain.step
        if function.space.components != components or not np.isclose(other, step, rtol=1e-9, atol=0.0):
            raise InputError(
                f"all trajectories of {name} must have the same components and step; trajectory {number} has "
                f"{function.space.components} and {other:g}, the first {components} and {step:g}"
            )
    stacked = torch.cat(values)
    wrong = ~stacked.isfinite() & ~(stacked.isnan() if missing else torch.zeros((), dtype=torch.bool))
    if bool(wrong.any()):
        row, component = (int(i) for i in wrong.nonzero()[0])
        raise InputError(
            f"{name} must be finite; component {components[component]!r} is {float(stacked[row, component])} at sample "
            f"{row}"
            + (
                ""
                if missing or name != "data"
                else "; for training by forcing or shooting, missing=True takes NaN as a missing value"
            )
        )
    driving = None
    if inputs is not None:
        given = as_recording(inputs, name="inputs")
        driving = tuple(given.values)
        if not np.isclose(given.step, step, rtol=1e-6, atol=0.0):
            raise InputError(f"inputs must have the step of {name}, {step:g}; got {given.step:g}")
        lengths = [[len(v) for v in group] for group in (values, driving)]
        if lengths[0] != lengths[1]:
            raise InputError(f"inputs must have the lengths of the trajectories, {lengths[0]}; got {lengths[1]}")
    unit = first.space.domain.unit
    recording = Recording(tuple(values), driving, step, components, first.name, first.units, unit)
    if name != "inputs":
        unseen = stacked.isnan().all(dim=0).nonzero()
        if len(unseen):
            raise InputError(
                f"component {components[int(unseen[0])]!r} of {name} has no values, only NaN; leave it out"
            )
        if len(stacked) < 2:
            raise InputError(f"{name} holds a single instant; dynamics take at least two")
        flat = (~(recording.scale > 1e-12 * recording.mean.abs())).nonzero()
        if len(flat):
            raise InputError(
                f"component {components[int(flat[0])]!r} of {name} is constant: there is nothing to learn in it; leave "
                "it out"
            )
    return recording


def _trajectories(function: Any, name: str) -> list[Tensor]:
    if not isinstance(function, Function) or not isinstance(function.space.domain, Times):
        raise InputError(
            f"{name} must be a trajectory, a Function over Times, or a sequence of them; got {function!r}"
            if isinstance(function, Function)
            else f"{name} must be a trajectory, a Function over "
            f"Times, or a sequence of them; got {type(function).__name__}"
        )
    if function.space.domain.count > 1 and function.space.domain.step is None:
        raise InputError(f"{name} must be sampled at equal steps; interpolate it onto Times(start, step, count) first")
    values = function.coefficients.detach().to("cpu", torch.float64)
    return list(values.reshape(-1, function.space.domain.count, len(function.space.components)))


def standardised_by(model: Any, recordings: Sequence[Recording]) -> list[Recording]:
    """Recordings that are standardised by the mean and scale that a model takes over from them.

    It holds them in its own precision. What is far from zero, compared with how it varies, would otherwise be learned
    about one mean and run about another.
    """
    for part in ("mean", "scale"):
        values, held = torch.stack([getattr(recording, part) for recording in recordings]), getattr(model, part)
        held.copy_(values if held.ndim == 2 else values[0])
    centres, spreads = (
        held.detach().to("cpu", torch.float64).reshape(-1, held.shape[-1]) for held in (model.mean, model.scale)
    )
    return [
        replace(recording, centre=centre, spread=spread)
        for recording, centre, spread in zip(recordings, centres, spreads, strict=False)
    ]


def standardised_rows(
    recordings: Sequence[Recording], length: int
) -> tuple[Float[Tensor, "row component"], list[Int[Tensor, " _"]]]:
    """All trajectories one after the other, standardised, and per recording the rows that start a window."""
    rows, starts, offset = [], [], 0
    for recording in recordings:
        admissible = []
        for values in recording.values:
            rows.append((values - recording.mean) / recording.scale)
            admissible.append(torch.arange(offset, offset + max(0, len(values) - length + 1)))
            offset += len(values)
        starts.append(torch.cat(admissible))
    return torch.cat(rows), starts


class Windows:
    """Random windows of standardised trajectories, of one recording or of one per replica.

    Parameters
    ----------
    recordings : one recording for all replicas, or one for each.
    length : instants per window.
    device, dtype : where the windows are wanted.

    Raises
    ------
    InputError : a recording without a trajectory as long as a window.
    """

    def __init__(self, recordings: Sequence[Recording], length: int, *, device: Any, dtype: torch.dtype) -> None:
        self.length, self.recordings = length, tuple(recordings)
        rows, starts = standardised_rows(recordings, length)
        for number, (recording, admissible) in enumerate(zip(recordings, starts, strict=True)):
            if not len(admissible):
                longest = max(len(v) for v in recording.values)
                which = f"recording {number}" if len(recordings) > 1 else "the data"
                raise InputError(
                    f"no trajectory of {which} is as long as a window of {length} instants; the longest has {longest}. "
                    "Give longer ones, or the algorithm shorter windows (its sequence or horizon)"
                )
        self._values = rows.mT.contiguous().to(device, dtype)
        self.missing = bool(self._values.isnan().any())
        self._starts = torch.cat(starts).to(device)
        counts = torch.tensor([len(s) for s in starts], device=device)
        self._counts, self._first = counts[:, None], (counts.cumsum(0) - counts)[:, None]
        self._inputs = None
        if recordings[0].inputs is not None:
            driving = [torch.cat(r.inputs) for r in recordings if r.inputs is not None]
            self._inputs = torch.cat(driving).mT.contiguous().to(device, dtype)

    def draw(self, columns: int, replicas: int | None) -> tuple[Tensor, Tensor | None]:
        """Windows (*replicas, component, instant, column) and the inputs on their steps, from torch's generator."""
        count = 1 if replicas is None else replicas
        chance = torch.rand(count, columns, dtype=torch.float64, device=self._starts.device)
        starts = self._starts[self._first + (chance * self._counts).long()]
        windows = self._cut(self._values, starts, self.length)
        inputs = None if self._inputs is None else self._cut(self._inputs, starts + 1, self.length - 1)
        if replicas is None:
            return windows[0], None if inputs is None else inputs[0]
        return windows, inputs

    def _cut(self, values: Tensor, starts: Tensor, length: int) -> Tensor:
        """Stretches of values (component, instant) from the starts (replica, column) on."""
        count, columns = starts.shape
        stretches = values.unfold(1, length, 1)[:, starts.flatten()]  # index_select would copy all windows first
        return stretches.reshape(-1, count, columns, length).permute(1, 0, 3, 2).contiguous()
