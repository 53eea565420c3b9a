"""Compiled finite volumes for the Euler equations on one sample; `euler_arrays` is the plain twin.

Storage. The state is (4, n, m): density, momenta along x and y, energy; in one dimension n = 1 and the momentum along y
stays 0. Primitive variables have a frame of two ghost cells and, as a fifth variable, the factor of the slopes: 0 in
cells where the reconstruction is piecewise constant.

The compiler makes vector instructions of a loop that has no branches and, of arrays that may overlap, few that are
written. So fluxes are computed for blocks of faces in one small buffer, whose rows are a fixed distance apart, and all
other loops write one row each.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, cast

import numpy as np
from numba import njit

__all__ = ["advance"]

BLOCK = 256
_inner: Any = partial(
    cast(Any, njit), cache=True, nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True
)


@_inner
def _half_slopes(before, here, after, factor, limiter, half):
    """Half the limited slope of each cell of a row."""
    if limiter == 0:
        for j in range(half.size):
            a, b = here[j] - before[j], after[j] - here[j]
            least = a if abs(a) < abs(b) else b
            half[j] = 0.5 * factor[j] * (least if a * b > 0.0 else 0.0)
    elif limiter == 1:
        for j in range(half.size):
            a, b = here[j] - before[j], after[j] - here[j]
            mean = 2.0 * a * b / (a + b)
            half[j] = 0.5 * factor[j] * (mean if a * b > 0.0 else 0.0)
    else:
        for j in range(half.size):
            a, b = here[j] - before[j], after[j] - here[j]
            middle, least = 0.5 * (a + b), 2.0 * min(abs(a), abs(b))
            middle = min(max(middle, -least), least)
            half[j] = 0.5 * factor[j] * (middle if a * b > 0.0 else 0.0)


@_inner
def _copy(target, values):
    for j in range(target.size):
        target[j] = values[j]


@_inner
def _add_scaled(target, values, factor, others):
    """The row values + factor * others."""
    for j in range(target.size):
        target[j] = values[j] + factor * others[j]


@_inner
def _hllc_block(block, size, gamma):
    """Flux of mass, normal momentum, tangential momentum and energy through each face of a block.

    Rows 0 to 3 of the block are density, normal and tangential velocity, pressure on the left; 4 to 7 those on the
    right; 8 to 11 the fluxes.
    """
    heat = 1.0 / (gamma - 1.0)
    for j in range(size):
        rl, ul, vl, pl = block[j], block[j + BLOCK], block[j + 2 * BLOCK], block[j + 3 * BLOCK]
        rr, ur, vr, pr = block[j + 4 * BLOCK], block[j + 5 * BLOCK], block[j + 6 * BLOCK], block[j + 7 * BLOCK]
        el = pl * heat + 0.5 * rl * (ul * ul + vl * vl)
        er = pr * heat + 0.5 * rr * (ur * ur + vr * vr)
        root_l, root_r = math.sqrt(rl), math.sqrt(rr)
        il, ir = 1.0 / root_l, 1.0 / root_r
        share = 1.0 / (root_l + root_r)
        u, v = (root_l * ul + root_r * ur) * share, (root_l * vl + root_r * vr) * share
        enthalpy = ((el + pl) * il + (er + pr) * ir) * share
        c = math.sqrt((gamma - 1.0) * (enthalpy - 0.5 * (u * u + v * v)))
        sl = min(ul - math.sqrt(gamma * pl) * il, u - c)
        sr = max(ur + math.sqrt(gamma * pr) * ir, u + c)
        ml, mr = rl * (sl - ul), rr * (sr - ur)
        s = (pr - pl + ml * ul - mr * ur) / (ml - mr)
        left = s >= 0.0
        r = rl if left else rr
        u = ul if left else ur
        v = vl if left else vr
        p = pl if left else pr
        e = el if left else er
        i = il if left else ir
        mass = ml if left else mr
        outer = sl if left else sr
        star = mass / (outer - s)
        energy = star * (e * i * i + (s - u) * (s + p / mass))
        supersonic = (sl >= 0.0) | (sr <= 0.0)
        g0, g1, g2, g3 = r * u, r * u * u + p, r * u * v, u * (e + p)
        block[j + 8 * BLOCK] = g0 if supersonic else g0 + outer * (star - r)
        block[j + 9 * BLOCK] = g1 if supersonic else g1 + outer * (star * s - r * u)
        block[j + 10 * BLOCK] = g2 if supersonic else g2 + outer * (star * v - r * v)
        block[j + 11 * BLOCK] = g3 if supersonic else g3 + outer * (energy - e)


@_inner
def _quotient(target, values, divisor):
    for j in range(target.size):
        target[j] = values[j] / divisor[j]


@_inner
def _pressure_row(pressure, energy, u, along, v, across, gamma):
    for j in range(pressure.size):
        pressure[j] = (gamma - 1.0) * (energy[j] - 0.5 * (u[j] * along[j] + v[j] * across[j]))


@_inner
def _count_bad(density, pressure):
    bad = 0
    for j in range(density.size):
        bad += not ((density[j] > 0.0) & (pressure[j] > 0.0))
    return bad


@_inner
def _to_primitive(state, w, gamma):
    """Primitive variables inside the frame; counts cells whose density or pressure is not positive."""
    bad = 0
    for i in range(state.shape[1]):
        k = i + 2
        r, u, v, p = w[0, k, 2:-2], w[1, k, 2:-2], w[2, k, 2:-2], w[3, k, 2:-2]
        _copy(r, state[0, i])
        _quotient(u, state[1, i], state[0, i])
        _quotient(v, state[2, i], state[0, i])
        _pressure_row(p, state[3, i], u, state[1, i], v, state[2, i], gamma)
        bad += _count_bad(r, p)
    return bad


@_inner
def _flatten(w):
    """The slope factor 0 in cells that are not positive and in their neighbours."""
    n, m = w.shape[1], w.shape[2]
    for i in range(2, n - 2):
        for j in range(2, m - 2):
            if not (w[0, i, j] > 0.0 and w[3, i, j] > 0.0):
                for k in range(max(2, i - 1), min(n - 2, i + 2)):
                    w[4, k, j] = 0.0
                for k in range(max(2, j - 1), min(m - 2, j + 2)):
                    w[4, i, k] = 0.0


@_inner
def _source(kind, side, g, n):
    """Index of the cell that ghost cell g of a side copies."""
    if kind == 0:
        return n + 1 - g if side == 0 else 2 + g
    if kind == 1:
        return 2 if side == 0 else n + 1
    return 2 + g if side == 0 else n + 1 - g


@_inner
def _fill_ghosts(w, dim, kinds, inflow):
    """Ghost cells: 0 periodic, 1 outflow, 2 reflecting, 3 inflow; kinds are those of left, right, bottom, top."""
    n, m = w.shape[1] - 4, w.shape[2] - 4
    for side in range(2):
        for g in range(2):
            if dim == 2:
                kind, target = kinds[side], 1 - g if side == 0 else n + 2 + g
                source = _source(kind, side, g, n)
                for q in range(5):
                    for j in range(2, m + 2):
                        w[q, target, j] = inflow[side, q] if kind == 3 else w[q, source, j]
                if kind == 2:
                    for j in range(2, m + 2):
                        w[1, target, j] = -w[1, target, j]
            place = 2 * dim - 2 + side
            kind, target = kinds[place], 1 - g if side == 0 else m + 2 + g
            source = _source(kind, side, g, m)
            for i in range(2, n + 2):
                for q in range(5):
                    w[q, i, target] = inflow[place, q] if kind == 3 else w[q, i, source]
                if kind == 2:
                    w[dim, i, target] = -w[dim, i, target]


@_inner
def _variable(q, normal):
    """Place of the density, the normal velocity, the tangential velocity, the pressure."""
    return 3 - q if normal == 2 and q in (1, 2) else q


@_inner
def _flux_rows(w, normal, one, first_one, half_one, other, first_other, half_other, block, gamma, flux, count):
    """Fluxes between cells of the rows `one` and `other`, each given by its number, its first column and its slopes."""
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        for q in range(4):
            p = _variable(q, normal)
            a, b = first_one + start, first_other + start
            left, right = block[q * BLOCK : q * BLOCK + size], block[(q + 4) * BLOCK : (q + 4) * BLOCK + size]
            _add_scaled(left, w[p, one, a : a + size], 1.0, half_one[q, a : a + size])
            _add_scaled(right, w[p, other, b : b + size], -1.0, half_other[q, b : b + size])
        _hllc_block(block, size, gamma)
        for q in range(4):
            _copy(flux[q, start : start + size], block[(q + 8) * BLOCK : (q + 8) * BLOCK + size])


@_inner
def _residual(w, residual, widths, gamma, limiter, half, flux, block):
    """Minus the divergence of the flux."""
    dim, n, m = widths.size, residual.shape[1], residual.shape[2]
    residual[:] = 0.0
    if dim == 2:
        factor = 1.0 / widths[0]
        for i in range(1, n + 3):
            new, old = half[i % 2], half[1 - i % 2]
            for q in range(4):
                _half_slopes(
                    w[q, i - 1, 2:-2], w[q, i, 2:-2], w[q, i + 1, 2:-2], w[4, i, 2:-2], limiter, new[q, 2 : m + 2]
                )
            if i == 1:
                continue
            _flux_rows(w, 1, i - 1, 2, old, i, 2, new, block, gamma, flux, m)
            for q in range(4):
                if i > 2:
                    _add_scaled(residual[q, i - 3], residual[q, i - 3], -factor, flux[q, :m])
                if i < n + 2:
                    _add_scaled(residual[q, i - 2], residual[q, i - 2], factor, flux[q, :m])
    factor = 1.0 / widths[dim - 1]
    for i in range(n):
        k = i + 2
        for q in range(4):
            p = _variable(q, dim)
            _half_slopes(w[p, k, :-2], w[p, k, 1:-1], w[p, k, 2:], w[4, k, 1:-1], limiter, half[0, q, 1 : m + 3])
        _flux_rows(w, dim, k, 1, half[0], k, 2, half[0], block, gamma, flux, m + 1)
        for q in range(4):
            target = residual[_variable(q, dim), i]
            _add_scaled(target, target, factor, flux[q, :m])
            _add_scaled(target, target, -factor, flux[q, 1 : m + 1])


# without NaN, which was ruled out, a maximum is a vector instruction
@_inner(fastmath={"nnan", "nsz"})
def _largest_rate(w, widths, gamma):
    """Largest sum over the axes of (|v| + c)/dx."""
    rate = 0.0
    for i in range(2, w.shape[1] - 2):
        r, u, v, p = w[0, i, 2:-2], w[1, i, 2:-2], w[2, i, 2:-2], w[3, i, 2:-2]
        if widths.size == 1:
            for j in range(r.size):
                rate = max(rate, (abs(u[j]) + math.sqrt(gamma * p[j] / r[j])) / widths[0])
        else:
            for j in range(r.size):
                c = math.sqrt(gamma * p[j] / r[j])
                rate = max(rate, (abs(u[j]) + c) / widths[0] + (abs(v[j]) + c) / widths[1])
    return rate


@_inner
def _combine(target, a, start, b, last, dt, change):
    """One stage: a start + b (last + dt change)."""
    for i in range(target.size):
        target[i] = a * start[i] + b * (last[i] + dt * change[i])


@njit(cache=True, nogil=True, error_model="numpy")
def advance(state, times, widths, gamma, limiter, weights, courant, step, kinds, inflow):
    """Advance a state (4, n, m) in place from times[0] to times[1].

    Parameters
    ----------
    weights : (stages, 2): each stage is weights[:, 0] * start + weights[:, 1] * (last stage + dt L(last stage)).
    courant : Courant number of the steps where `step` is 0, else the largest that it may reach.

    Returns
    -------
    tuple
        status (0 done, 1 not positive, 2 Courant number too large), time reached, steps taken, steps with constant
        reconstruction somewhere, largest Courant number. The state is the last good one.
    """
    n, m = state.shape[1], state.shape[2]
    w = np.ones((5, n + 4, m + 4))
    residual, stage = np.empty((4, n, m)), np.empty((4, n, m))
    half, flux, block = np.empty((2, 4, m + 4)), np.empty((4, m + 1)), np.ones(12 * BLOCK)
    t, end = times
    taken, repaired, highest = 0, 0, 0.0
    while t < end:
        w[4] = 1.0
        if _to_primitive(state, w, gamma) > 0:
            return 1, t, taken, repaired, highest
        rate = _largest_rate(w, widths, gamma)
        dt = step if step > 0.0 else courant / rate
        if step > 0.0 and step * rate > courant:
            return 2, t, taken, repaired, step * rate
        count = math.ceil((end - t) / dt * (1.0 - 1e-12))
        dt = (end - t) / count
        highest = max(highest, dt * rate)
        bad = 0
        for attempt in range(5):
            if attempt > 0:
                _to_primitive(state, w, gamma)
            if attempt == 4:
                w[4] = 0.0
            for k in range(len(weights)):
                _fill_ghosts(w, widths.size, kinds, inflow)
                _residual(w, residual, widths, gamma, limiter, half, flux, block)
                a, b = weights[k]
                last = state if k == 0 else stage
                _combine(stage.ravel(), a, state.ravel(), b, last.ravel(), dt, residual.ravel())
                bad = _to_primitive(stage, w, gamma)
                if bad > 0:
                    _flatten(w)
                    break
            if bad == 0:
                repaired += attempt > 0
                break
        if bad > 0:
            return 1, t, taken, repaired, highest
        _copy(state.ravel(), stage.ravel())
        t = end if count == 1 else t + dt
        taken += 1
    return 0, t, taken, repaired, highest
