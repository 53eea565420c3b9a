"""The ideal gas: conserved and primitive variables."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from funcspace.arguments import number_of
from funcspace.errors import InputError

__all__ = ["check_gamma", "check_primitive", "conserved_from_primitive", "primitive_from_conserved"]

FloatArray = NDArray[np.float64]


def check_gamma(gamma: float) -> float:
    """The ratio of specific heats as a float; an InputError unless it exceeds 1."""
    number = number_of(gamma)
    if not number > 1.0:
        raise InputError(f"gamma, the ratio of specific heats, must be a number above 1; got {gamma!r}")
    return number


def conserved_from_primitive(primitive: FloatArray, gamma: float) -> FloatArray:
    r"""(density, velocity..., pressure) to (density, momentum..., energy), along the last axis.

    E = p / (gamma - 1) + rho |v|^2 / 2

    >>> conserved_from_primitive(np.array([2.0, 3.0, 0.4]), 1.4)
    array([ 2.,  6., 10.])
    """
    density, velocity, pressure = primitive[..., :1], primitive[..., 1:-1], primitive[..., -1:]
    kinetic = 0.5 * density * (velocity**2).sum(axis=-1, keepdims=True)
    return np.concatenate([density, density * velocity, pressure / (gamma - 1.0) + kinetic], axis=-1)


def primitive_from_conserved(conserved: FloatArray, gamma: float) -> FloatArray:
    r"""(density, momentum..., energy) to (density, velocity..., pressure), along the last axis.

    p = (gamma - 1) (E - |m|^2 / (2 rho))

    >>> primitive_from_conserved(np.array([2.0, 6.0, 10.0]), 1.4)
    array([2. , 3. , 0.4])
    """
    density, momentum, energy = conserved[..., :1], conserved[..., 1:-1], conserved[..., -1:]
    kinetic = 0.5 * (momentum**2).sum(axis=-1, keepdims=True) / density
    return np.concatenate([density, momentum / density, (gamma - 1.0) * (energy - kinetic)], axis=-1)


def check_primitive(primitive: FloatArray, points: FloatArray, name: str) -> None:
    """Raise an InputError that names the first point with a value not finite, or density or pressure not positive."""
    good = np.isfinite(primitive).all(axis=-1) & (primitive[..., 0] > 0.0) & (primitive[..., -1] > 0.0)
    if good.all():
        return
    place = tuple(np.argwhere(~good)[0].tolist())
    sample = f"sample {place[0]}, " if len(place) > 1 else ""
    raise InputError(
        f"{name} must have finite values, positive density and positive pressure; {sample}at "
        f"{points[list(place)[-1]].tolist()} density, velocity and pressure are {primitive[place].tolist()}"
    )
