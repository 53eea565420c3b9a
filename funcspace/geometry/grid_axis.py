"""One axis of a grid: where its samples sit and how much of the axis each of them stands for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from funcspace.errors import DomainError, InputError
from funcspace.geometry.number_tensor import refuse_masked

__all__ = ["GridAxis", "is_equispaced"]

Samples = Literal["vertices", "cells"]
SAMPLES: tuple[Samples, ...] = ("vertices", "cells")


@dataclass(frozen=True)
class GridAxis:
    """An interval [start, stop] with `count` samples, equispaced or at explicit coordinates.

    ==========  ========  =============================================
    samples     periodic  coordinates of an equispaced axis, h = spacing
    ==========  ========  =============================================
    vertices    no        start + i h,        h = (stop - start)/(count - 1)
    vertices    yes       start + i h,        h = (stop - start)/count
    cells       either    start + (i + 1/2) h, h = (stop - start)/count
    ==========  ========  =============================================
    """

    name: str
    start: float
    stop: float
    count: int
    periodic: bool = False
    samples: Samples = "vertices"
    explicit: tuple[float, ...] | None = None

    @classmethod
    def parse(cls, name: str, axis: Any, *, periodic: bool, samples: Samples) -> GridAxis:
        """Read `(start, stop, count)` or a one-dimensional array of strictly increasing coordinates.

        Raises
        ------
        InputError
            When the axis is neither, is empty, is reversed, or is not finite, or there are no such samples.
        """
        if samples not in SAMPLES:
            raise InputError(f'samples must be "vertices" or "cells", got {samples!r}')
        refuse_masked(axis, f"axis {name!r}")
        if isinstance(axis, tuple):
            if len(axis) != 3 or isinstance(axis[2], bool) or not isinstance(axis[2], int | np.integer):
                raise InputError(
                    f"axis {name!r} as a tuple must be (start, stop, count) with a whole number as count, "
                    f"got {axis!r}; give coordinates as a list or an array"
                )
            try:
                start, stop, count = float(axis[0]), float(axis[1]), int(axis[2])
            except (TypeError, ValueError) as error:
                raise InputError(f"axis {name!r} must run between two numbers, got {axis!r}") from error
            if not (np.isfinite(start) and np.isfinite(stop) and start < stop):
                raise InputError(f"axis {name!r} must run from start to a larger stop, got ({start}, {stop})")
            least = 1 if samples == "cells" or periodic else 2
            if count < least:
                raise InputError(f"axis {name!r} needs at least {least} {samples}, got {count}")
            return cls(name, start, stop, count, periodic, samples)
        try:
            given = np.asarray(axis)
            values = given.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"axis {name!r} must be (start, stop, count) or a vector of coordinates, got {axis!r}"
            ) from error
        if values.ndim != 1 or values.size < 2 or not np.isfinite(values).all():
            raise InputError(
                f"axis {name!r} must be (start, stop, count) with an integer count, or at least two finite "
                f"coordinates; got an array of shape {values.shape}"
            )
        if not (np.diff(values) > 0).all():
            bad = int(np.argmin(np.diff(values) > 0))
            raise InputError(
                f"coordinates of axis {name!r} must increase strictly; entries {bad} and {bad + 1} are "
                f"{values[bad]} and {values[bad + 1]}"
            )
        steps = np.diff(values)
        equispaced = is_equispaced(values, float(np.finfo(given.dtype).eps) if given.dtype.kind == "f" else 0.0)
        if periodic and not equispaced:
            raise InputError(f"the periodic axis {name!r} must be equispaced; give it as (start, stop, count)")
        count, step = values.size, float(steps.mean())
        if samples == "cells":
            start, stop = values[0] - steps[0] / 2, values[-1] + steps[-1] / 2
        else:
            start, stop = values[0], values[-1] + (step if periodic else 0.0)
        explicit = None if equispaced else tuple(values.tolist())
        return cls(name, float(start), float(stop), count, periodic, samples, explicit)

    def refined(self) -> GridAxis:
        """Twice as many intervals or cells on the same interval; the samples of a vertex axis stay samples."""
        keeps_end = self.samples == "vertices" and not self.periodic
        count = 2 * self.count - 1 if keeps_end else 2 * self.count
        if self.is_uniform:
            return replace(self, count=count)
        nodes = self.coordinates.numpy()
        middles = 0.5 * (nodes[1:] + nodes[:-1])
        if self.samples == "vertices":
            fine = np.sort(np.concatenate([nodes, middles]))
        else:
            edges = np.concatenate([[self.start], middles, [self.stop]])
            fine = 0.5 * np.stack([edges[:-1] + nodes, nodes + edges[1:]], axis=1).reshape(-1)
        return replace(self, count=count, explicit=tuple(fine.tolist()))

    @property
    def length(self) -> float:
        """Length of the interval; for a periodic axis its period."""
        return self.stop - self.start

    @property
    def is_uniform(self) -> bool:
        """Whether the samples are equispaced."""
        return self.explicit is None

    @property
    def spacing(self) -> float:
        """Distance between neighbouring samples; a DomainError on a non-uniform axis."""
        if not self.is_uniform:
            raise DomainError(
                f"axis {self.name!r} has no single spacing: its coordinates are not equispaced; "
                "resample onto a uniform Grid with Function.to(space)"
            )
        intervals = self.count if self.periodic or self.samples == "cells" else self.count - 1
        return self.length / intervals

    @property
    def coordinates(self) -> Float[Tensor, " n"]:
        """Coordinates of the samples (float64)."""
        if self.explicit is not None:
            return torch.tensor(self.explicit, dtype=torch.float64)
        if self.samples == "cells":
            return self.start + (torch.arange(self.count, dtype=torch.float64) + 0.5) * self.spacing
        if self.periodic:
            return self.start + torch.arange(self.count, dtype=torch.float64) * self.spacing
        return torch.linspace(self.start, self.stop, self.count, dtype=torch.float64)

    @property
    def weights(self) -> Float[Tensor, " n"]:
        """Quadrature weights of the samples: trapezoidal on vertices, cell widths on cells."""
        nodes = self.coordinates
        if self.is_uniform:
            weights = torch.full((self.count,), self.spacing, dtype=torch.float64)
            if self.samples == "vertices" and not self.periodic:
                weights[0] *= 0.5
                weights[-1] *= 0.5
            return weights
        middles = 0.5 * (nodes[1:] + nodes[:-1])
        edges = torch.cat([torch.tensor([self.start]), middles, torch.tensor([self.stop])]).to(torch.float64)
        return edges.diff()


def is_equispaced(values: np.ndarray, resolution: float) -> bool:
    """Whether increasing coordinates lie on a straight line, to 1e-9 of their step or to what their type resolves."""
    straight = np.linspace(values[0], values[-1], values.size)
    step = (values[-1] - values[0]) / (values.size - 1)
    slack = max(1e-9 * step, 4 * float(resolution) * float(np.abs(values).max()))
    return slack < 0.25 * step and bool(np.abs(values - straight).max() <= slack)
