"""What the flow data sets share: parameters that are drawn, profiles along a side, and packing of solutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from funcspace.arguments import entries_of, number_of
from funcspace.errors import InputError
from funcspace.functions import Function
from funcspace.solvers.flow.taylor_hood import TaylorHood

__all__ = ["Spread", "checked_roughness", "constant_fields", "side_profile", "spread"]

FloatArray = NDArray[np.float64]
Spread = float | Sequence[float]

MODES = 4
WAVE_POINTS = 257


def spread(value: Spread, name: str, *, positive: bool = True) -> tuple[float, float]:
    """A number, or a range (low, high) from which a number is drawn, as a range.

    Raises
    ------
    InputError
        When it is neither.
    """
    pair = [number_of(entry) for entry in entries_of(value) or (value, value)]
    if len(pair) != 2 or not pair[0] <= pair[1]:
        raise InputError(f"{name} must be a number or a range (low, high); got {value!r}")
    if positive and pair[0] <= 0:
        raise InputError(f"{name} must be above 0; got {value!r}")
    return pair[0], pair[1]


def checked_roughness(roughness: float) -> float:
    """The deviation of a profile, small enough for it not to change its sign."""
    number = number_of(roughness)
    if not 0.0 <= number <= 0.5:
        raise InputError(f"roughness must lie in [0, 1/2], so that the profile keeps its sign; got {roughness!r}")
    return number


def side_profile(generator: np.random.Generator, roughness: float, base: Any) -> Any:
    r"""A random profile :math:`g(s) = c \, b(s) \, (1 + \sum_{k=1}^{4} a_k \cos(k \pi s))` on [0, 1].

    :math:`a_k \sim N(0, (roughness / k)^2)`, cut at twice the deviation; c gives g the mean of b.

    Parameters
    ----------
    base : b, a function of arrays.
    """
    orders = np.arange(1, MODES + 1)
    weights = roughness / orders * np.clip(generator.standard_normal(MODES), -2.0, 2.0)

    def shape(s: FloatArray) -> FloatArray:
        return base(s) * (1.0 + np.cos(np.pi * s[..., None] * orders) @ weights)

    nodes, rule = np.polynomial.legendre.leggauss(WAVE_POINTS // 4)
    nodes, rule = 0.5 * (nodes + 1.0), 0.5 * rule
    scale = float(rule @ base(nodes)) / float(rule @ shape(nodes)) if roughness else 1.0
    return lambda s: scale * shape(np.asarray(s, dtype=np.float64))


def constant_fields(elements: TaylorHood, values: FloatArray, name: str) -> Function:
    """A batch of constants as Functions on the pressure's space."""
    rows = torch.from_numpy(np.repeat(values[:, None], elements.n_pressure, axis=1))
    return Function(elements.pressure.with_components(name), rows, name=name)
