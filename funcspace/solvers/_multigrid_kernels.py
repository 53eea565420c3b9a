"""Compiled kernels of a black-box multigrid cycle on 9-point stencils.

Storage. The unknowns are a box of n0 x n1 vertices, kept in arrays with a frame of two zeros, (n0 + 4, n1 + 4). A
symmetric stencil is five such arrays: the diagonal and the couplings of (j, i) to (j, i+1), (j+1, i), (j+1, i+1),
(j+1, i-1). The hierarchy is made in float64; the cycle, a preconditioner whose accuracy only sets the number of
iterations, runs in float32.

Loops over a row are split so that each reads few arrays: the compiler tests arrays for overlap pair by pair and
gives up vectorising beyond eight pairs. Loops start at 0 so that it sees that no index is negative.
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import numpy as np
from numba import njit

__all__ = ["apply", "cycle", "setup"]

# Functions that only compiled code calls need no entry from Python, which saves much of the compile time.
_inner: Any = partial(cast(Any, njit), cache=True, nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
_FAST = {"contract", "nsz", "arcp"}
_OFFSETS = np.array([[a, b] for a in (-1, 0, 1) for b in (-1, 0, 1)])
_SIDES = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [1, -1]])


@_inner(fastmath=_FAST)
def _residual_row(s, f, u, t, j):
    """The residual t = f - A u in row j."""
    width = u.shape[1] - 4
    for i in range(width):
        t[i + 2] = (
            f[j, i + 2] - s[0, j, i + 2] * u[j, i + 2] - s[1, j, i + 2] * u[j, i + 3] - s[1, j, i + 1] * u[j, i + 1]
        )
    k = j + 1
    for i in range(width):
        t[i + 2] -= s[2, j, i + 2] * u[k, i + 2] + s[3, j, i + 2] * u[k, i + 3] + s[4, j, i + 2] * u[k, i + 1]
    k = j - 1
    for i in range(width):
        t[i + 2] -= s[2, k, i + 2] * u[k, i + 2] + s[3, k, i + 1] * u[k, i + 1] + s[4, k, i + 3] * u[k, i + 3]


@_inner(fastmath=_FAST)
def _residual(s, f, u, r, t):
    """The residual r = f - A u."""
    width = u.shape[1] - 4
    for j in range(2, u.shape[0] - 2):
        _residual_row(s, f, u, t, j)
        for i in range(width):
            r[j, i + 2] = t[i + 2]


@_inner(fastmath=_FAST)
def apply(s, u, v):
    """The product v = A u."""
    width = u.shape[1] - 4
    for j in range(2, u.shape[0] - 2):
        for i in range(width):
            v[j, i + 2] = s[0, j, i + 2] * u[j, i + 2] + s[1, j, i + 2] * u[j, i + 3] + s[1, j, i + 1] * u[j, i + 1]
        k = j + 1
        for i in range(width):
            v[j, i + 2] += s[2, j, i + 2] * u[k, i + 2] + s[3, j, i + 2] * u[k, i + 3] + s[4, j, i + 2] * u[k, i + 1]
        k = j - 1
        for i in range(width):
            v[j, i + 2] += s[2, k, i + 2] * u[k, i + 2] + s[3, k, i + 1] * u[k, i + 1] + s[4, k, i + 3] * u[k, i + 3]


@_inner(fastmath=_FAST)
def _smooth_first(s, inverse, f, u, t):
    """Gauss-Seidel from u = 0, rows in ascending order, damped Jacobi within a row."""
    width = u.shape[1] - 4
    for j in range(2, u.shape[0] - 2):
        k = j - 1
        for i in range(width):
            t[i + 2] = f[j, i + 2] - s[2, k, i + 2] * u[k, i + 2]
        for i in range(width):
            t[i + 2] -= s[3, k, i + 1] * u[k, i + 1] + s[4, k, i + 3] * u[k, i + 3]
        for i in range(width):
            u[j, i + 2] = inverse[j, i + 2] * t[i + 2]


@_inner(fastmath=_FAST)
def _smooth_back(s, inverse, f, u, t):
    """The adjoint sweep: rows in descending order."""
    width = u.shape[1] - 4
    for j in range(u.shape[0] - 3, 1, -1):
        _residual_row(s, f, u, t, j)
        for i in range(width):
            u[j, i + 2] += inverse[j, i + 2] * t[i + 2]


@_inner(fastmath=_FAST)
def _restrict_row(coarse, p, q, r, jc, base, wide):
    """Add three weighted neighbours in one fine row to a coarse row; base is the column of the first left one."""
    source = r[base:]
    width = coarse.shape[1] - 4
    if wide:
        for i in range(width):
            coarse[jc, i + 2] += (
                p[q, jc, i + 2] * source[2 * i]
                + p[q + 1, jc, i + 2] * source[2 * i + 1]
                + p[q + 2, jc, i + 2] * source[2 * i + 2]
            )
    else:
        for i in range(width):
            coarse[jc, i + 2] += p[q + 1, jc, i + 2] * source[i + 1]


@_inner(fastmath=_FAST)
def _restrict(r, p, coarse, s0, s1, o0, o1):
    """The restricted residual, coarse = P^T r."""
    for jc in range(2, coarse.shape[0] - 2):
        j = (jc - 2) * s0 + o0 + 2
        for i in range(coarse.shape[1]):
            coarse[jc, i] = 0.0
        for d in range(3):
            if s0 == 2 or d == 1:
                _restrict_row(coarse, p, 3 * d, r[j + d - 1], jc, o1 + 1, s1 == 2)


@_inner(fastmath=_FAST)
def _prolong_row(target, p, q, e, jc, base, wide):
    """Add a coarse row, weighted, to one fine row."""
    fine = target[base:]
    width = e.shape[1] - 4
    if wide:
        for i in range(width):
            fine[2 * i + 1] += p[q + 1, jc, i + 2] * e[jc, i + 2]
        for i in range(width + 1):
            fine[2 * i] += p[q + 2, jc, i + 1] * e[jc, i + 1] + p[q, jc, i + 2] * e[jc, i + 2]
    else:
        for i in range(width):
            fine[i + 1] += p[q + 1, jc, i + 2] * e[jc, i + 2]


@_inner(fastmath=_FAST)
def _prolong(p, e, u, s0, s1, o0, o1):
    """The coarse correction, u += P e."""
    for jc in range(2, e.shape[0] - 2):
        j = (jc - 2) * s0 + o0 + 2
        for d in range(3):
            if s0 == 2 or d == 1:
                _prolong_row(u[j + d - 1], p, 3 * d, e, jc, o1 + 1, s1 == 2)


@_inner()
def _along1(s, j, i, d):
    """Interpolation weight of vertex (j, i) from (j, i + d), d = -1 or 1: the stencil summed over the rows."""
    toward = s[1, j, min(i, i + d)]
    if d > 0:
        toward += s[3, j, i] + s[4, j - 1, i + 1]
    else:
        toward += s[4, j, i] + s[3, j - 1, i - 1]
    centre = s[0, j, i] + s[2, j, i] + s[2, j - 1, i]
    return -toward / centre if centre > 0.0 else 0.0


@_inner()
def _along0(s, j, i, d):
    """Interpolation weight of vertex (j, i) from (j + d, i), d = -1 or 1: the stencil summed over the columns."""
    low = min(j, j + d)
    toward = s[2, low, i]
    if d > 0:
        toward += s[3, j, i] + s[4, j, i]
    else:
        toward += s[3, low, i - 1] + s[4, low, i + 1]
    centre = s[0, j, i] + s[1, j, i] + s[1, j, i - 1]
    return -toward / centre if centre > 0.0 else 0.0


@_inner()
def _interpolation(s, p, s0, s1, o0, o1):
    """Dendy's operator-dependent interpolation.

    p[q, jc, ic] is the weight of coarse vertex (jc, ic) at the q-th of the 3 x 3 fine vertices around it.
    """
    for q in range(9):
        for jc in range(p.shape[1]):
            for ic in range(p.shape[2]):
                p[q, jc, ic] = 0.0
    for jc in range(2, p.shape[1] - 2):
        j = (jc - 2) * s0 + o0 + 2
        for ic in range(2, p.shape[2] - 2):
            i = (ic - 2) * s1 + o1 + 2
            p[4, jc, ic] = 1.0
            for side in range(2):
                d = 2 * side - 1
                if s1 == 2:
                    p[3 + 2 * side, jc, ic] = _along1(s, j, i + d, -d)
                if s0 == 2:
                    p[1 + 6 * side, jc, ic] = _along0(s, j + d, i, -d)
            if s0 == 1 or s1 == 1:
                continue
            # The corners take their value from all eight neighbours through their own equation.
            for side0 in range(2):
                for side1 in range(2):
                    jj = j + 2 * side0 - 1
                    ii = i + 2 * side1 - 1
                    low = min(j, jj)
                    diagonal = s[3, low, min(i, ii)] if side0 == side1 else s[4, low, max(i, ii)]
                    a = diagonal + s[1, jj, min(i, ii)] * p[1 + 6 * side0, jc, ic]
                    a += s[2, low, ii] * p[3 + 2 * side1, jc, ic]
                    centre = s[0, jj, ii]
                    if centre > 0.0:
                        p[6 * side0 + 2 * side1, jc, ic] = -a / centre


@_inner(fastmath=_FAST)
def _multiply_row(out, entries, weights, stride):
    """Add stencil entries times weights along a coarse row."""
    if stride == 1:
        for i in range(weights.size - 4):
            out[i + 2] += entries[i] * weights[i + 2]
    else:
        for i in range(weights.size - 4):
            out[i + 2] += entries[2 * i] * weights[i + 2]


@_inner(fastmath=_FAST)
def _contract_row(coarse, weights, image):
    """Add the weights of the neighbouring coarse vertex times the image of this one."""
    for i in range(coarse.size - 4):
        coarse[i + 2] += weights[i] * image[i + 2]


@_inner()
def _galerkin(s, p, coarse, w, s0, s1, o0, o1):
    """The coarse stencil P^T A P, a row at a time.

    w holds A P e for each coarse vertex e of the row, on the 5 x 5 fine vertices around it.
    """
    rows = s.shape[1]
    width = coarse.shape[2]
    for jc in range(2, coarse.shape[1] - 2):
        j = (jc - 2) * s0 + o0 + 2
        for m in range(25):
            for i in range(width):
                w[m, i] = 0.0
        for k in range(5):
            for i in range(width):
                coarse[k, jc, i] = 0.0
        for q in range(9):
            q0 = _OFFSETS[q, 0]
            q1 = _OFFSETS[q, 1]
            if (s0 == 1 and q0 != 0) or (s1 == 1 and q1 != 0):
                continue
            for z in range(9):
                d0 = _OFFSETS[z, 0]
                d1 = _OFFSETS[z, 1]
                t0 = q0 - d0
                t1 = q1 - d1
                if t0 < -1 or j + t0 >= rows:
                    continue
                # The entry that couples target t to source q = t + d, stored at the lower of the two.
                k = 0
                a0 = t0
                a1 = t1
                if d0 == 0 and d1 != 0:
                    k = 1
                    a1 = min(t1, q1)
                elif d0 != 0:
                    a0 = min(t0, q0)
                    low1 = t1 if d0 > 0 else q1
                    a1 = low1
                    rise = d1 * d0
                    k = 2 if rise == 0 else (3 if rise > 0 else 4)
                m = (t0 + 2) * 5 + t1 + 2
                _multiply_row(w[m], s[k, j + a0, o1 + 2 + a1 :], p[q, jc], s1)
        for k in range(5):
            e0 = _SIDES[k, 0]
            e1 = _SIDES[k, 1]
            for q in range(9):
                q0 = _OFFSETS[q, 0]
                q1 = _OFFSETS[q, 1]
                if (s0 == 1 and q0 != 0) or (s1 == 1 and q1 != 0):
                    continue
                t0 = s0 * e0 + q0
                t1 = s1 * e1 + q1
                if t0 < -1 or t0 > 2 or t1 < -2 or t1 > 2:
                    continue
                _contract_row(coarse[k, jc], p[q, jc + e0, 2 + e1 :], w[(t0 + 2) * 5 + t1 + 2])


@_inner()
def _factor(s, n0, n1, singular, lower):
    """Dense Cholesky factor of the coarsest level; a singular system is made regular on the constants."""
    n = n0 * n1
    lower[:] = 0.0
    for j in range(n0):
        for i in range(n1):
            a = j * n1 + i
            lower[a, a] = s[0, j + 2, i + 2]
            if i + 1 < n1:
                lower[a + 1, a] = s[1, j + 2, i + 2]
            if j + 1 < n0:
                lower[a + n1, a] += s[2, j + 2, i + 2]
                if i + 1 < n1:
                    lower[a + n1 + 1, a] += s[3, j + 2, i + 2]
                if i > 0:
                    lower[a + n1 - 1, a] += s[4, j + 2, i + 2]
    if singular:
        top = 0.0
        for a in range(n):
            top = max(top, lower[a, a])
        for a in range(n):
            for b in range(a + 1):
                lower[a, b] += top / n
    for a in range(n):
        for b in range(a + 1):
            value = lower[a, b]
            for c in range(b):
                value -= lower[a, c] * lower[b, c]
            if a == b:
                lower[a, a] = np.sqrt(value) if value > 0.0 else 1e150
            else:
                lower[a, b] = value / lower[b, b]


@_inner()
def _solve_coarsest(lower, f, u, n0, n1, x):
    n = n0 * n1
    for a in range(n):
        value = float(f[a // n1 + 2, a % n1 + 2])
        for b in range(a):
            value -= lower[a, b] * x[b]
        x[a] = value / lower[a, a]
    for a in range(n - 1, -1, -1):
        value = x[a]
        for b in range(a + 1, n):
            value -= lower[b, a] * x[b]
        x[a] = value / lower[a, a]
        u[a // n1 + 2, a % n1 + 2] = x[a]


@_inner()
def _narrow(s, t, inverse):
    """The float32 copy of a stencil and the smoother's inverse diagonal."""
    width = s.shape[2]
    for k in range(5):
        for j in range(s.shape[1]):
            for i in range(width):
                t[k, j, i] = np.float32(s[k, j, i])
    for j in range(2, s.shape[1] - 2):
        for i in range(width - 4):
            # Half of the couplings within the row on top of the diagonal: the damping that keeps a sweep positive.
            value = s[0, j, i + 2] + 0.5 * (abs(s[1, j, i + 2]) + abs(s[1, j, i + 1]))
            inverse[j, i + 2] = np.float32(1.0 / value)


@_inner(inline="always")
def setup(levels, wide, narrow, inverse, weights, w, lower, singular):
    """All levels from the finest stencil, which `wide` holds already."""
    last = levels.shape[0] - 1
    for level in range(last):
        s0, s1, o0, o1 = levels[level, 2], levels[level, 3], levels[level, 4], levels[level, 5]
        s = wide[level]
        p = weights[level]
        _narrow(s, narrow[level], inverse[level])
        _interpolation(s, p, s0, s1, o0, o1)
        _galerkin(s, p, wide[level + 1], w, s0, s1, o0, o1)
    _factor(wide[last], levels[last, 0], levels[last, 1], singular, lower)


@_inner(inline="always")
def cycle(levels, narrow, inverse, weights, lower, f, u, r, t, x):
    """One V(1, 1) cycle from zero; f and u hold all levels, the right-hand side is f on the finest."""
    last = levels.shape[0] - 1
    for level in range(last):
        s0, s1, o0, o1 = levels[level, 2], levels[level, 3], levels[level, 4], levels[level, 5]
        _smooth_first(narrow[level], inverse[level], f[level], u[level], t)
        _residual(narrow[level], f[level], u[level], r[level], t)
        _restrict(r[level], weights[level], f[level + 1], s0, s1, o0, o1)
    _solve_coarsest(lower, f[last], u[last], levels[last, 0], levels[last, 1], x)
    for level in range(last - 1, -1, -1):
        s0, s1, o0, o1 = levels[level, 2], levels[level, 3], levels[level, 4], levels[level, 5]
        _prolong(weights[level], u[level + 1], u[level], s0, s1, o0, o1)
        _smooth_back(narrow[level], inverse[level], f[level], u[level], t)
