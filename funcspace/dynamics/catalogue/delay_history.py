"""Histories of delay equations: the solution before time 0, as polynomial pieces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from funcspace.dynamics.integrators.delay_march import COEFFICIENTS
from funcspace.errors import InputError

__all__ = ["Pieces", "fitted_pieces", "pieces_of"]

DEEPEST, MOST = 40, 4000
ACCURACY = 1e-13


def _basis(y: np.ndarray) -> np.ndarray:
    """The functions that a piece is a sum of (see `integrators.delay_march`) at y: (points, 8)."""
    columns, product = [np.ones_like(y)], np.ones_like(y)
    for c in range(1, COEFFICIENTS):
        product = product * (y if c % 2 else 1.0 - y)
        columns.append(product)
    return np.stack(columns, axis=-1)


NODES = 0.5 - 0.5 * np.cos(np.pi * np.arange(COEFFICIENTS) / (COEFFICIENTS - 1))
BETWEEN = 0.5 * (NODES[1:] + NODES[:-1])
FIT = np.linalg.inv(_basis(NODES))
CHECK = _basis(BETWEEN) @ FIT


@dataclass(frozen=True, eq=False)
class Pieces:
    """Polynomials of degree 7 that follow one another in time.

    Attributes
    ----------
    knots : start and length of each, (pieces, 2).
    coefficients : (pieces, 8, dimension).
    """

    knots: np.ndarray
    coefficients: np.ndarray

    def __call__(self, times: np.ndarray) -> np.ndarray:
        """The states at times (instants,): (instants, dimension)."""
        place = np.clip(np.searchsorted(self.knots[:, 0], times, side="right") - 1, 0, len(self.knots) - 1)
        y = (times - self.knots[place, 0]) / self.knots[place, 1]
        return np.einsum("tc,tcd->td", _basis(y), self.coefficients[place])

    def before(self, end: float, length: float) -> Pieces:
        """The pieces of the last `length` before `end`, which becomes time 0."""
        first = max(0, int(np.searchsorted(self.knots[:, 0], end - length, side="right")) - 1)
        last = int(np.searchsorted(self.knots[:, 0], end, side="left"))
        knots = self.knots[first:last].copy()
        knots[:, 0] -= end
        return Pieces(knots, self.coefficients[first:last])


def pieces_of(history: Any, rows: int, dimension: int, reach: np.ndarray, scale: np.ndarray, name: str) -> list[Pieces]:
    """The history of each of `rows` solutions, over the last reach (rows,) before time 0.

    A state (dimension,) or (rows, dimension) is constant; a function of time gives one or the other and is
    interpolated to 13 digits of the scale.

    Raises
    ------
    InputError
        For another shape, values that are not finite, or a function that no few pieces follow.
    """
    if callable(history):
        longest = float(reach.max())
        common = fitted_pieces(lambda t: _values(history, t, rows, dimension, name), longest, scale, name)
        if common.coefficients.shape[2] == dimension:
            return [common] * rows
        split = common.coefficients.reshape(len(common.knots), COEFFICIENTS, rows, dimension)
        return [Pieces(common.knots, np.ascontiguousarray(split[:, :, i])) for i in range(rows)]
    try:
        states = np.asarray(history, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"the history of {name} must be numbers or a function of time: {error}") from error
    states = states.reshape(1) if states.ndim == 0 and dimension == 1 else states
    if states.shape not in ((dimension,), (rows, dimension)):
        raise InputError(
            f"history must be a state ({dimension},) of {name}, one per trajectory ({rows}, {dimension}), or a "
            f"function of time that gives either; got shape {states.shape}"
        )
    if not np.isfinite(states).all():
        raise InputError(f"the history of {name} must be finite; got {states[~np.isfinite(states)][0]}")
    states = np.broadcast_to(states, (rows, dimension))
    found = []
    for i in range(rows):
        coefficients = np.zeros((1, COEFFICIENTS, dimension))
        coefficients[0, 0] = states[i]
        found.append(Pieces(np.array([[-reach[i], reach[i]]]), coefficients))
    return found


def _values(history: Callable[[float], Any], times: np.ndarray, rows: int, dimension: int, name: str) -> np.ndarray:
    found = []
    for t in times:
        value = np.asarray(history(float(t)), dtype=np.float64)
        if value.shape == () and dimension == 1:
            value = value.reshape(1)
        if value.shape not in ((dimension,), (rows, dimension)):
            raise InputError(
                f"the history of {name} must give ({dimension},) or ({rows}, {dimension}) values at each time up to 0; "
                f"at {t:g} it gave shape {value.shape}"
            )
        if not np.isfinite(value).all():
            raise InputError(f"the history of {name} must be finite; at time {t:g} it is {value}")
        found.append(value.ravel())
    return np.stack(found)


def fitted_pieces(function: Callable[[np.ndarray], np.ndarray], length: float, scale: np.ndarray, name: str) -> Pieces:
    """Pieces that interpolate a function of times (instants,) on [-length, 0], halved until they are accurate.

    At a kink or a jump they are halved down to 1e-12 of the length.
    """
    todo, knots, coefficients = [(-length, length, 0)], [], []
    while todo:
        start, width, depth = todo.pop()
        values = function(start + width * NODES)
        if not np.isfinite(values).all():
            raise InputError(f"the history of {name} must be finite on [{-length:g}, 0]")
        between = function(start + width * BETWEEN)
        sizes = np.broadcast_to(np.resize(scale, values.shape[1]), values.shape[1]) + np.abs(values).max(axis=0)
        if depth == DEEPEST or (np.abs(CHECK @ values - between) <= ACCURACY * sizes).all():
            knots.append((start, width))
            coefficients.append(FIT @ values)
            if len(knots) > MOST:
                raise InputError(
                    f"the history of {name} is too rough: {MOST} polynomials of degree 7 do not follow it on "
                    f"[{-length:g}, 0]; smooth it"
                )
        else:
            half = 0.5 * width
            todo += [(start + half, half, depth + 1), (start, half, depth + 1)]
    return Pieces(np.array(knots), np.stack(coefficients))
