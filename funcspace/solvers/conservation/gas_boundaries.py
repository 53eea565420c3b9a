"""What a gas meets at the sides of a box."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from funcspace.arguments import entries_of, number_of
from funcspace.errors import InputError
from funcspace.geometry import Grid

__all__ = ["GasBoundary", "Inflow", "side_conditions"]

FloatArray = NDArray[np.float64]
SIDES = ("left", "right", "bottom", "top")
KINDS = {"periodic": 0, "outflow": 1, "reflecting": 2}


@dataclass(frozen=True)
class Inflow:
    """A prescribed state outside of a side: density, velocity (one number per axis) and pressure."""

    density: float
    velocity: tuple[float, ...]
    pressure: float


GasBoundary = Literal["outflow", "reflecting", "periodic"] | Inflow


def side_conditions(
    boundary: GasBoundary | Mapping[str, GasBoundary], grid: Grid
) -> tuple[NDArray[np.int64], FloatArray]:
    """The kind of each side (4,) as the kernels number them, and the states of inflows (4, 5).

    Raises
    ------
    InputError
        When a side or a condition is unknown, or a condition contradicts a periodic axis.
    """
    sides = SIDES[: 2 * grid.dim]
    given = dict(boundary) if isinstance(boundary, Mapping) else dict.fromkeys(sides, boundary)
    unknown = [side for side in given if side not in sides]
    if unknown:
        raise InputError(f"the sides are {', '.join(sides)}; boundary names {unknown[0]!r}")
    kinds = np.ones(4, dtype=np.int64)
    states = np.ones((4, 5))
    for number, side in enumerate(sides):
        axis = grid.grid_axes[number // 2]
        condition: Any = given.get(side, "outflow")
        if axis.periodic:
            if isinstance(boundary, Mapping) and side in given and condition != "periodic":
                raise InputError(f"the axis {axis.name!r} of the grid is periodic, so {side!r} cannot be {condition!r}")
            kinds[number] = KINDS["periodic"]
        elif isinstance(condition, Inflow):
            kinds[number] = 3
            states[number, :4] = _inflow_state(condition, grid.dim, side)
        elif condition == "periodic":
            raise InputError(f"for periodic sides give the grid a periodic axis: Grid(..., periodic=({axis.name!r},))")
        elif not (isinstance(condition, str) and condition in KINDS):
            raise InputError(f'{side!r} must be "outflow", "reflecting" or an Inflow(...); got {condition!r}')
        else:
            kinds[number] = KINDS[condition]
    return kinds, states


def _inflow_state(inflow: Inflow, dim: int, side: str) -> list[float]:
    values = [number_of(value) for value in (inflow.density, *entries_of(inflow.velocity), inflow.pressure)]
    density, *velocity, pressure = values
    if len(velocity) != dim or not np.isfinite(values).all() or density <= 0 or pressure <= 0:
        raise InputError(
            f"the inflow at {side!r} needs positive density and pressure and {dim} components of velocity; got {inflow}"
        )
    return [density, *velocity, *[0.0] * (2 - dim), pressure]
