"""The exact solution of the Riemann problem of the Euler equations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcspace.arguments import as_numbers, entries_of, number_of
from funcspace.errors import InputError
from funcspace.solvers.conservation.ideal_gas import check_gamma

__all__ = ["RiemannProblem", "riemann_solution", "star_state"]

FloatArray = NDArray[np.float64]
State = Sequence[float]


def riemann_solution(left: State, right: State, speeds: Any, gamma: float = 1.4) -> FloatArray:
    r"""The self-similar solution W(x/t) of two constant states that meet at x = 0 at t = 0.

    rho_t + (rho u)_x = 0,  (rho u)_t + (rho u^2 + p)_x = 0,  E_t + (u (E + p))_x = 0

    A shock or a rarefaction on either side of a contact, between them one pressure and one velocity; where the gases
    part faster than rarefactions can fill, a vacuum (E. F. Toro, Riemann Solvers and Numerical Methods for Fluid
    Dynamics, chapter 4).

    Parameters
    ----------
    left, right : (density, velocity, pressure), positive density and pressure.
    speeds : x/t, any shape.
    gamma : ratio of specific heats.

    Returns
    -------
    FloatArray
        density, velocity and pressure along a last axis of length 3; velocity is 0 in a vacuum.

    Raises
    ------
    InputError
        When a state is not admissible.

    Examples
    --------
    Sod's problem at x = 0, inside the rarefaction's tail:

    >>> riemann_solution((1.0, 0.0, 1.0), (0.125, 0.0, 0.1), 0.0).round(5)
    array([0.42632, 0.92745, 0.30313])
    """
    sides = (_checked(left, "left"), _checked(right, "right"))
    gamma = check_gamma(gamma)
    xi = as_numbers(speeds, "speeds x/t")
    if not np.isfinite(xi).all():
        raise InputError("speeds x/t must be finite")
    pressure, velocity = _star(*sides, gamma)
    result = np.empty((*xi.shape, 3))
    if pressure == 0.0:
        # each gas expands into the vacuum up to its own front
        fronts = [
            u + sign * 2.0 * _sound(r, p, gamma) / (gamma - 1.0) for (r, u, p), sign in zip(sides, (1, -1), strict=True)
        ]
        result[...] = 0.0
        on_left, on_right = xi < fronts[0], xi > fronts[1]
        result[on_left] = _side(sides[0], 0.0, fronts[0], xi[on_left], 1.0, gamma)
        result[on_right] = _side(sides[1], 0.0, fronts[1], xi[on_right], -1.0, gamma)
        return result
    on_left = xi <= velocity
    result[on_left] = _side(sides[0], pressure, velocity, xi[on_left], 1.0, gamma)
    result[~on_left] = _side(sides[1], pressure, velocity, xi[~on_left], -1.0, gamma)
    return result


def star_state(left: State, right: State, gamma: float = 1.4) -> tuple[float, float]:
    """Pressure and velocity between the two waves; pressure 0 where there is a vacuum.

    >>> [round(value, 5) for value in star_state((1.0, 0.0, 1.0), (0.125, 0.0, 0.1))]
    [0.30313, 0.92745]
    """
    return _star(_checked(left, "left"), _checked(right, "right"), check_gamma(gamma))


@dataclass(frozen=True)
class RiemannProblem:
    """Two constant states that meet at a point; a callable of points, as `Euler` takes it.

    Attributes
    ----------
    left, right : (density, velocity, pressure).
    position : where they meet.

    Raises
    ------
    InputError
        When a state is not admissible.
    """

    left: tuple[float, float, float]
    right: tuple[float, float, float]
    position: float = 0.5

    def __post_init__(self) -> None:
        _checked(self.left, "left")
        _checked(self.right, "right")
        if math.isnan(number_of(self.position)):
            raise InputError(f"position must be a finite number, got {self.position!r}")

    def __call__(self, points: Any) -> FloatArray:
        """Density, velocity and pressure at points (n, 1): (n, 3)."""
        x = np.asarray(points, dtype=np.float64)[:, :1]
        return np.where(x < self.position, np.array(self.left), np.array(self.right))

    def solution(self, points: Any, time: float, gamma: float = 1.4) -> FloatArray:
        """The exact solution at points (n, 1) and a time > 0: (n, 3)."""
        x = np.asarray(points, dtype=np.float64).reshape(-1)
        return riemann_solution(self.left, self.right, (x - self.position) / time, gamma)


def _checked(state: State, name: str) -> tuple[float, float, float]:
    values = tuple(number_of(value) for value in entries_of(state))
    if len(values) != 3 or not np.isfinite(values).all() or values[0] <= 0.0 or values[2] <= 0.0:
        raise InputError(
            f"the {name} state must be (density, velocity, pressure) with positive density and pressure; got {state!r}"
        )
    return values  # type: ignore[return-value]


def _sound(density: float, pressure: float, gamma: float) -> float:
    return float(np.sqrt(gamma * pressure / density))


def _star(left: tuple[float, ...], right: tuple[float, ...], gamma: float) -> tuple[float, float]:
    """Root of f_l(p) + f_r(p) + u_r - u_l, which increases and is concave, by Newton's method from below."""
    (rl, ul, pl), (rr, ur, pr) = left, right
    cl, cr = _sound(rl, pl, gamma), _sound(rr, pr, gamma)
    if 2.0 * (cl + cr) / (gamma - 1.0) <= ur - ul:
        return 0.0, 0.0
    # exact for two rarefactions, and below the root otherwise
    z = (gamma - 1.0) / (2.0 * gamma)
    p = ((cl + cr - 0.5 * (gamma - 1.0) * (ur - ul)) / (cl / pl**z + cr / pr**z)) ** (1.0 / z)
    p = max(p, 1e-300)
    for _ in range(100):
        (fl, dl), (fr, dr) = _wave(p, rl, pl, cl, gamma), _wave(p, rr, pr, cr, gamma)
        change = (fl + fr + ur - ul) / (dl + dr)
        p = p - change if change < p else 0.5 * p
        if abs(change) <= 1e-15 * p:
            break
    (fl, _), (fr, _) = _wave(p, rl, pl, cl, gamma), _wave(p, rr, pr, cr, gamma)
    return float(p), float(0.5 * (ul + ur + fr - fl))


def _wave(p: float, density: float, pressure: float, sound: float, gamma: float) -> tuple[float, float]:
    """Change of velocity across the wave of one side as a function of the pressure behind it, and its derivative."""
    if p > pressure:
        a, b = 2.0 / ((gamma + 1.0) * density), (gamma - 1.0) / (gamma + 1.0) * pressure
        root = np.sqrt(a / (p + b))
        return (p - pressure) * root, root * (1.0 - 0.5 * (p - pressure) / (p + b))
    ratio = p / pressure
    change = 2.0 * sound / (gamma - 1.0) * (ratio ** ((gamma - 1.0) / (2.0 * gamma)) - 1.0)
    return change, ratio ** (-(gamma + 1.0) / (2.0 * gamma)) / (density * sound)


def _side(
    state: tuple[float, ...], pressure: float, velocity: float, xi: FloatArray, sign: float, gamma: float
) -> FloatArray:
    """The solution at speeds on one side of the contact; sign is 1 on the left, -1 on the right (mirrored)."""
    r, u, p = state[0], sign * state[1], state[2]
    s, star_u = sign * xi, sign * velocity
    c, g = _sound(r, p, gamma), (gamma - 1.0) / (gamma + 1.0)
    result = np.empty((*s.shape, 3))
    result[:] = (r, u, p)
    if pressure > p:
        ratio = pressure / p
        front = u - c * np.sqrt((gamma + 1.0) / (2.0 * gamma) * ratio + (gamma - 1.0) / (2.0 * gamma))
        result[s > front] = (r * (ratio + g) / (g * ratio + 1.0), star_u, pressure)
    else:
        star_c = c * (pressure / p) ** ((gamma - 1.0) / (2.0 * gamma))
        inside = s > u - c
        fan = 2.0 / (gamma + 1.0) + g / c * (u - s[inside])
        fan = np.maximum(fan, 0.0)
        result[inside, 0] = r * fan ** (2.0 / (gamma - 1.0))
        result[inside, 1] = 2.0 / (gamma + 1.0) * (c + 0.5 * (gamma - 1.0) * u + s[inside])
        result[inside, 2] = p * fan ** (2.0 * gamma / (gamma - 1.0))
        if pressure > 0.0:
            result[s > star_u - star_c] = (r * (pressure / p) ** (1.0 / gamma), star_u, pressure)
    result[:, 1] *= sign
    return result
