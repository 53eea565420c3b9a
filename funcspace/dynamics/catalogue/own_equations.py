"""Equations that are ours: corrections of the database, and families of any size.

A function takes the state and its parameters by name; it is traced like every other right-hand side.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["CORRECTED", "CORRECTED_MAPS", "double_pendulum", "lorenz96", "stick_slip", "two_scale_lorenz96", "windmi"]


def double_pendulum(t: Any, state: Any, *, g: Any, l1: Any, l2: Any, m1: Any, m2: Any) -> tuple[Any, ...]:
    r"""Two point masses on massless rods; angles from the vertical and their momenta.

    .. math:: H = \frac{m_2 l_2^2 p_1^2 + (m_1 + m_2) l_1^2 p_2^2 - 2 m_2 l_1 l_2 p_1 p_2 \cos(\theta_1 - \theta_2)}
       {2 m_2 l_1^2 l_2^2 (m_1 + m_2 \sin^2(\theta_1 - \theta_2))}
       - (m_1 + m_2) g l_1 \cos\theta_1 - m_2 g l_2 \cos\theta_2

    These are Hamilton's equations of H, so energy is conserved and the divergence is zero. dysts 0.96 takes half of the
    cross term of :math:`\dot p`, which makes the flow dissipative.
    """
    th1, th2, p1, p2 = state
    cos, sin = np.cos(th1 - th2), np.sin(th1 - th2)
    mass = m1 + m2 * sin**2
    first = p1 * p2 * sin / (l1 * l2 * mass)
    kinetic = m2 * l2**2 * p1**2 + (m1 + m2) * l1**2 * p2**2 - 2 * m2 * l1 * l2 * p1 * p2 * cos
    second = kinetic * sin * cos / (l1**2 * l2**2 * mass**2)
    return (
        (l2 * p1 - l1 * p2 * cos) / (l1**2 * l2 * mass),
        ((m1 + m2) * l1 * p2 - m2 * l2 * p1 * cos) / (m2 * l1 * l2**2 * mass),
        -(m1 + m2) * g * l1 * np.sin(th1) - first + second,
        -m2 * g * l2 * np.sin(th2) + first - second,
    )


def windmi(t: Any, state: Any, *, a1: Any, b1: Any, b2: Any, b3: Any, d1: Any, vsw: Any) -> tuple[Any, ...]:
    r"""The reduced WINDMI model of substorms driven by the solar wind.

    .. math:: \dot I = a_1 (V_{sw} - V), \quad \dot V = b_1 I - b_2 P^{1/2} - b_3 V, \quad
       \dot P = V_{sw}^2 - P^{5/4} V_{sw}^{1/2} (1 + \tanh(d_1 (I - 1))) / 2

    W. Horton, R. S. Weigel and J. C. Sprott, Physics of Plasmas 8 (2001) 2946. dysts 0.96 takes P/2
    for :math:`P^{1/2}`.
    """
    i, v, p = state
    return (
        a1 * (vsw - v),
        b1 * i - b2 * np.sqrt(p) - b3 * v,
        vsw**2 - p**1.25 * np.sqrt(vsw) * (1 + np.tanh(d1 * (i - 1))) / 2,
    )


def stick_slip(
    t: Any,
    state: Any,
    *,
    a: Any,
    alpha: Any,
    b: Any,
    beta: Any,
    eps: Any,
    gamma: Any,
    t0: Any,
    vs: Any,
    w: Any,
) -> tuple[Any, ...]:
    r"""A driven mass on a moving belt with dry friction.

    .. math:: \dot x = v, \quad \dot v = \epsilon (\gamma \cos\theta - t_0 \tanh((v - v_s) / \delta) + \alpha v
       - \beta (v - v_s)^3) + a x - b x^3, \quad \dot\theta = \omega

    With a jump, as in the database, the mass sticks to the belt (:math:`v = v_s`) where no solution in the usual sense
    exists and no step is short enough. Here friction rises over a velocity of :math:`\delta = 10^{-4}`.
    """
    x, v, angle = state
    friction = t0 * np.tanh((v - vs) / FRICTION_WIDTH) - alpha * v + beta * (v - vs) ** 3
    return v, eps * (gamma * np.cos(angle) - friction) + a * x - b * x**3, w


FRICTION_WIDTH = 1e-4


def blinking_vortex_map(state: Any, *, a: Any, b: Any, gamma: Any, t: Any) -> tuple[Any, ...]:
    r"""Half a period of Aref's blinking vortex in a disc of radius a: a vortex at b turns particles for a time t.

    A particle moves on a circle about a shifted centre; its angle q there solves
    :math:`q - e \sin q = m + 2 \pi t / T`, Kepler's equation, here by a fixed number of Newton steps.
    H. Aref, J. Fluid Mech. 143 (1984).
    """
    r, angle = state
    image = a**2 / b
    ratio = (b**2 + r**2 - 2 * b * r * np.cos(angle)) / (image**2 + r**2 - 2 * image * r * np.cos(angle))
    root = np.sqrt(ratio)
    centre = (b - ratio * image) / (1 - ratio)
    radius = np.abs(root / (1 - ratio) * (image - b))
    start = np.arctan2(r * np.sin(angle), r * np.cos(angle) - centre)
    eccentricity = 2 * root / (1 + ratio)
    turn = (2 * np.pi) ** 2 * radius**2 / gamma * (1 + ratio) / (1 - ratio)
    mean = start - eccentricity * np.sin(start) + 2 * np.pi * t / turn
    mean = mean - 2 * np.pi * np.floor(mean / (2 * np.pi) + 0.5)
    q = mean + 0.85 * eccentricity * np.sign(np.sin(mean))
    for _ in range(8):
        q = q - (q - eccentricity * np.sin(q) - mean) / (1 - eccentricity * np.cos(q))
    x, y = centre + radius * np.cos(q), radius * np.sin(q)
    return np.sqrt(x**2 + y**2), np.arctan2(y, x)


def lorenz96(t: Any, state: Any, *, f: Any) -> Any:
    r"""A ring of N sites: :math:`\dot x_i = (x_{i+1} - x_{i-2}) x_{i-1} - x_i + F` (E. N. Lorenz, ECMWF, 1996)."""
    return (np.roll(state, -1) - np.roll(state, 2)) * np.roll(state, 1) - state + f


def two_scale_lorenz96(sites: int, per_site: int) -> Callable[..., Any]:
    r"""K slow sites, each with J fast ones on a ring of KJ (E. N. Lorenz, ECMWF, 1996).

    .. math:: \dot X_k = (X_{k+1} - X_{k-2}) X_{k-1} - X_k + F - \tfrac{hc}{b} \sum_j Y_{jk}, \quad
       \dot Y_{jk} = c b (Y_{j-1,k} - Y_{j+2,k}) Y_{j+1,k} - c Y_{jk} + \tfrac{hc}{b} X_k
    """

    def rhs(t: Any, state: Any, *, f: Any, h: Any, c: Any, b: Any) -> Any:
        slow, fast = state[:sites], state[sites:]
        down = np.array([fast[k * per_site : (k + 1) * per_site].sum() for k in range(sites)], dtype=object)
        dslow = lorenz96(t, slow, f=f) - h * c / b * down
        drift = c * b * (np.roll(fast, 1) - np.roll(fast, -2)) * np.roll(fast, -1)
        dfast = drift - c * fast + h * c / b * np.repeat(slow, per_site)
        return np.concatenate([dslow, dfast])

    return rhs


CORRECTED = {"DoublePendulum": double_pendulum, "StickSlipOscillator": stick_slip, "WindmiReduced": windmi}
CORRECTED_MAPS = {"BlinkingVortexMap": blinking_vortex_map}
