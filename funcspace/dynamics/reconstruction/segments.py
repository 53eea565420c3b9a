"""Trajectories cut into segments that meet end to start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from funcspace.dynamics.reconstruction.windows import Recording
from funcspace.errors import InputError

__all__ = ["Segments"]


class Segments:
    """Segments of standardised trajectories; the last instant of one is the first of the next.

    Parameters
    ----------
    recordings : one recording for all replicas, or one for each.
    length : steps per segment; what is left at the end of a trajectory is left out.
    device, dtype : where they are wanted.

    Raises
    ------
    InputError : a recording without a trajectory of length + 1 instants.
    """

    def __init__(self, recordings: Sequence[Recording], length: int, *, device: Any, dtype: torch.dtype) -> None:
        self.length = length
        values, driving, follows = [], [], []
        for number, recording in enumerate(recordings):
            cuts, inputs, next_one = [], [], []
            for i, trajectory in enumerate(recording.values):
                count = (len(trajectory) - 1) // length
                if count < 1:
                    continue
                cuts.append(_cut((trajectory - recording.mean) / recording.scale, count, length + 1, length))
                next_one += [True] * (count - 1) + [False]
                if recording.inputs is not None:
                    inputs.append(_cut(recording.inputs[i][1:], count, length, length))
            if not cuts:
                longest = max(len(v) for v in recording.values)
                which = f"recording {number}" if len(recordings) > 1 else "the data"
                raise InputError(
                    f"no trajectory of {which} is as long as a segment of {length + 1} instants; the longest has "
                    f"{longest}. Give longer ones, or the algorithm a smaller length"
                )
            values.append(torch.cat(cuts).to(device, dtype))
            follows.append(torch.tensor(next_one, device=device))
            if inputs:
                driving.append(torch.cat(inputs).to(device, dtype))
        self._values, self._follows, self._inputs = values, follows, driving
        self.missing = any(bool(v.isnan().any()) for v in values)
        self.count = max(len(v) for v in values)

    def first(self) -> Float[Tensor, "recording observed segment"]:
        """The first instant of each segment; recordings with fewer than others begin again."""
        return torch.stack([v[torch.arange(self.count, device=v.device) % len(v), 0].mT for v in self._values])

    def take(
        self, rows: np.ndarray, replicas: int | None
    ) -> tuple[
        Float[Tensor, "*replicas observed instant column"],
        Float[Tensor, "*replicas input time column"] | None,
        Int[Tensor, "*replicas column"],
        Bool[Tensor, "*replicas column"],
    ]:
        """Segments, the inputs on their steps, their numbers, and whether the segment one further goes on from each."""
        asked = torch.from_numpy(np.ascontiguousarray(rows)).to(self._values[0].device)
        numbers = [asked % len(v) for v in self._values]
        found: list[Any] = [
            torch.stack([v[n] for v, n in zip(self._values, numbers, strict=True)]).permute(0, 3, 2, 1),
            torch.stack([v[n] for v, n in zip(self._inputs, numbers, strict=True)]).permute(0, 3, 2, 1)
            if self._inputs
            else None,
            torch.stack(numbers),
            torch.stack([f[n] for f, n in zip(self._follows, numbers, strict=True)]),
        ]
        window, inputs, number, follows = found
        lead: Any = (lambda t: t[0]) if replicas is None else (lambda t: t.expand(replicas, *t.shape[1:]))
        return lead(window), None if inputs is None else lead(inputs), lead(number), lead(follows)


def _cut(values: Tensor, count: int, instants: int, stride: int) -> Float[Tensor, "segment instant component"]:
    return values.unfold(0, instants, stride)[:count].mT
