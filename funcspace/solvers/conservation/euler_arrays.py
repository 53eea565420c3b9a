"""The kernels of `euler_kernels` in plain NumPy: the same steps in the same order, for reading and for checking."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["advance"]

FloatArray = NDArray[np.float64]


def slope(a: FloatArray, b: FloatArray, limiter: int) -> FloatArray:
    """Limited difference from the one to the left and the one to the right: minmod, van Leer, monotonised central."""
    same = a * b > 0.0
    if limiter == 0:
        found = np.where(np.abs(a) < np.abs(b), a, b)
    elif limiter == 1:
        found = 2.0 * a * b / np.where(same, a + b, 1.0)
    else:
        middle, least = 0.5 * (a + b), 2.0 * np.minimum(np.abs(a), np.abs(b))
        found = np.clip(middle, -least, least)
    return np.where(same, found, 0.0)


def to_primitive(state: FloatArray, gamma: float) -> FloatArray:
    """Density, velocities and pressure (4, n, m)."""
    density, momentum, energy = state[0], state[1:3], state[3]
    velocity = momentum / density
    pressure = (gamma - 1.0) * (energy - 0.5 * (velocity[0] * momentum[0] + velocity[1] * momentum[1]))
    return np.stack([density, *velocity, pressure])


def with_ghosts(w: FloatArray, kinds: Any, inflow: FloatArray, axis: int, normal: int) -> FloatArray:
    """Two ghost cells more at both ends of an axis of w (5, n, m), along which the velocity w[normal] points."""
    n = w.shape[axis]
    ends = []
    for side in range(2):
        kind = int(kinds[2 * normal - 2 + side])
        if kind == 3:
            shape = [2 if i == axis else size for i, size in enumerate(w.shape)]
            ends.append(np.broadcast_to(inflow[2 * normal - 2 + side][:, None, None], shape))
            continue
        places = {0: ((n - 2, n - 1), (0, 1)), 1: ((0, 0), (n - 1, n - 1)), 2: ((1, 0), (n - 1, n - 2))}[kind][side]
        ghosts = w.take(places, axis)
        if kind == 2:
            ghosts[normal] *= -1.0
        ends.append(ghosts)
    return np.concatenate([ends[0], w, ends[1]], axis)


def hllc(left: FloatArray, right: FloatArray, gamma: float) -> FloatArray:
    r"""The HLLC flux between states (density, normal velocity, tangential velocity, pressure).

    F = F_l where s_l >= 0, F_l + s_l (U*_l - U_l) where s_l < 0 <= s*, and likewise from the right; the contact moves
    with s* = (p_r - p_l + rho_l u_l (s_l - u_l) - rho_r u_r (s_r - u_r)) / (rho_l (s_l - u_l) - rho_r (s_r - u_r)).
    The outer speeds are the least and largest of those of the states and of their Roe average, with which densities
    and pressures stay positive (P. Batten et al., SIAM J. Sci. Comput. 18, 1997).
    """
    (rl, ul, vl, pl), (rr, ur, vr, pr) = left, right
    el, er = (p / (gamma - 1.0) + 0.5 * r * (u * u + v * v) for r, u, v, p in (left, right))
    root_l, root_r = np.sqrt(rl), np.sqrt(rr)
    total = root_l + root_r
    u, v = (root_l * ul + root_r * ur) / total, (root_l * vl + root_r * vr) / total
    enthalpy = ((el + pl) / root_l + (er + pr) / root_r) / total
    c = np.sqrt((gamma - 1.0) * (enthalpy - 0.5 * (u * u + v * v)))
    sl = np.minimum(ul - np.sqrt(gamma * pl / rl), u - c)
    sr = np.maximum(ur + np.sqrt(gamma * pr / rr), u + c)
    ml, mr = rl * (sl - ul), rr * (sr - ur)
    s = (pr - pl + ml * ul - mr * ur) / (ml - mr)
    from_left = s >= 0.0
    r, u, v, p, e, mass, outer = (
        np.where(from_left, a, b) for a, b in ((rl, rr), (ul, ur), (vl, vr), (pl, pr), (el, er), (ml, mr), (sl, sr))
    )
    flux = np.stack([r * u, r * u * u + p, r * u * v, u * (e + p)])
    star = mass / (outer - s)
    energy = star * (e / r + (s - u) * (s + p / mass))
    change = np.stack([star - r, star * s - r * u, star * v - r * v, energy - e])
    supersonic = (sl >= 0.0) | (sr <= 0.0)
    return np.where(supersonic, flux, flux + outer * change)


def flux_difference(w: FloatArray, axis: int, normal: int, gamma: float, limiter: int) -> FloatArray:
    """The flux into each cell minus that out of it, from w (5, ...) with ghosts along `axis`."""
    order = [0, normal, 3 - normal, 3]
    v = np.moveaxis(w, axis, -1)
    steps = np.diff(v[order], axis=-1)
    half = 0.5 * v[4, ..., 1:-1] * slope(steps[..., :-1], steps[..., 1:], limiter)
    middle = v[order][..., 1:-1]
    flux = hllc((middle + half)[..., :-1], (middle - half)[..., 1:], gamma)
    return np.moveaxis((flux[..., :-1] - flux[..., 1:])[order], -1, axis)


def residual(
    w: FloatArray, widths: FloatArray, gamma: float, limiter: int, kinds: Any, inflow: FloatArray
) -> FloatArray:
    """Minus the divergence of the flux (4, n, m)."""
    found = np.zeros((4, *w.shape[1:]))
    for normal, width in enumerate(widths, start=1):
        axis = normal + 2 - len(widths)
        padded = with_ghosts(w, kinds, inflow, axis, normal)
        found += flux_difference(padded, axis, normal, gamma, limiter) / width
    return found


def advance(
    state: FloatArray,
    times: tuple[float, float],
    widths: FloatArray,
    gamma: float,
    limiter: int,
    weights: FloatArray,
    courant: float,
    step: float,
    kinds: Any,
    inflow: FloatArray,
) -> tuple[int, float, int, int, float]:
    """Advance a state (4, n, m) in place; see the compiled twin."""
    t, end = times
    taken, repaired, highest = 0, 0, 0.0
    with np.errstate(invalid="ignore", divide="ignore"):
        while t < end:
            start = to_primitive(state, gamma)
            if not_positive(start).any():
                return 1, t, taken, repaired, highest
            sound = np.sqrt(gamma * start[3] / start[0])
            rate = float(sum((abs(start[1 + i]) + sound) / width for i, width in enumerate(widths)).max())  # type: ignore[union-attr]
            dt = step if step > 0.0 else courant / rate
            if step > 0.0 and step * rate > courant:
                return 2, t, taken, repaired, step * rate
            count = math.ceil((end - t) / dt * (1.0 - 1e-12))
            dt = (end - t) / count
            highest = max(highest, dt * rate)
            factor = np.ones(state.shape[1:])
            stage = state
            for attempt in range(5):
                if attempt == 4:
                    factor[:] = 0.0
                bad, w, stage = np.zeros(state.shape[1:], dtype=bool), start, state
                for a, b in weights:
                    change = residual(np.stack([*w, factor]), widths, gamma, limiter, kinds, inflow)
                    stage = a * state + b * (stage + dt * change)
                    w = to_primitive(stage, gamma)
                    bad = not_positive(w)
                    if bad.any():
                        factor[with_neighbours(bad)] = 0.0
                        break
                if not bad.any():
                    repaired += attempt > 0
                    break
            else:
                return 1, t, taken, repaired, highest
            state[:] = stage
            t = end if count == 1 else t + dt
            taken += 1
    return 0, t, taken, repaired, highest


def not_positive(w: FloatArray) -> NDArray[np.bool_]:
    """Where density or pressure is not positive."""
    return ~((w[0] > 0.0) & (w[3] > 0.0))


def with_neighbours(marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The marked cells and those that share a face with one."""
    found = marked.copy()
    found[1:] |= marked[:-1]
    found[:-1] |= marked[1:]
    found[:, 1:] |= marked[:, :-1]
    found[:, :-1] |= marked[:, 1:]
    return found
