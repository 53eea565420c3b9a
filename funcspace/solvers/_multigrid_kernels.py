"""Compiled kernels: conjugate gradients preconditioned by black-box multigrid on 9-point stencils.

Storage. The unknowns are a box of n0 x n1 vertices, kept in arrays with a frame of two zeros, (n0 + 4, n1 + 4). A symmetric
stencil is five such arrays: the diagonal and the couplings of (j, i) to (j, i+1), (j+1, i), (j+1, i+1), (j+1, i-1).
Outer iteration in float64; the preconditioner, whose accuracy only sets the number of iterations, in float32.

Loops over a row are split so that each reads few arrays: the compiler tests arrays for overlap pair by pair and gives up
vectorising beyond eight pairs.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["solve_range"]

FRAME = 2

_FAST = {"contract", "nsz", "arcp"}
_OFFSETS = np.array([[a, b] for a in (-1, 0, 1) for b in (-1, 0, 1)])
_SIDES = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [1, -1]])


@njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def _dot(a, b):
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@njit(cache=True, nogil=True)
def _assemble(k, c, robin, h0, h1, stencil):
    """Q1 stiffness with k, mass with c (both constant in a cell), boundary mass with the Robin coefficient."""
    stencil[:] = 0.0
    m0, m1 = k.shape
    with_c = c.size > 0
    for j in range(m0):
        for i in range(m1):
            p = h1[i] / h0[j]
            q = h0[j] / h1[i]
            a = k[j, i]
            d = a * (p + q) / 3.0
            e = a * (p / 6.0 - q / 3.0)
            n = a * (q / 6.0 - p / 3.0)
            x = -a * (p + q) / 6.0
            if with_c:
                mass = c[j, i] * h0[j] * h1[i]
                d += mass / 9.0
                e += mass / 18.0
                n += mass / 18.0
                x += mass / 36.0
            jj = j + 2
            ii = i + 2
            stencil[0, jj, ii] += d
            stencil[0, jj, ii + 1] += d
            stencil[0, jj + 1, ii] += d
            stencil[0, jj + 1, ii + 1] += d
            stencil[1, jj, ii] += e
            stencil[1, jj + 1, ii] += e
            stencil[2, jj, ii] += n
            stencil[2, jj, ii + 1] += n
            stencil[3, jj, ii] += x
            stencil[4, jj, ii + 1] += x
    for side in range(2):
        row = 2 + side * m0
        for i in range(m1):
            mass = robin[side] * h1[i]
            stencil[0, row, i + 2] += mass / 3.0
            stencil[0, row, i + 3] += mass / 3.0
            stencil[1, row, i + 2] += mass / 6.0
        column = 2 + side * m1
        for j in range(m0):
            mass = robin[2 + side] * h0[j]
            stencil[0, j + 2, column] += mass / 3.0
            stencil[0, j + 3, column] += mass / 3.0
            stencil[2, j + 2, column] += mass / 6.0


@njit(cache=True, nogil=True, fastmath=_FAST)
def _residual_row(s, f, u, t, j, end):
    """t = (f - A u) in row j."""
    for i in range(2, end):
        t[i] = f[j, i] - s[0, j, i] * u[j, i] - s[1, j, i] * u[j, i + 1] - s[1, j, i - 1] * u[j, i - 1]
    for i in range(2, end):
        t[i] -= s[2, j, i] * u[j + 1, i] + s[3, j, i] * u[j + 1, i + 1] + s[4, j, i] * u[j + 1, i - 1]
    k = j - 1
    for i in range(2, end):
        t[i] -= s[2, k, i] * u[k, i] + s[3, k, i - 1] * u[k, i - 1] + s[4, k, i + 1] * u[k, i + 1]


@njit(cache=True, nogil=True, fastmath=_FAST)
def _apply(s, u, v):
    """v = A u."""
    end = u.shape[1] - 2
    for j in range(2, u.shape[0] - 2):
        for i in range(2, end):
            v[j, i] = s[0, j, i] * u[j, i] + s[1, j, i] * u[j, i + 1] + s[1, j, i - 1] * u[j, i - 1]
        for i in range(2, end):
            v[j, i] += s[2, j, i] * u[j + 1, i] + s[3, j, i] * u[j + 1, i + 1] + s[4, j, i] * u[j + 1, i - 1]
        k = j - 1
        for i in range(2, end):
            v[j, i] += s[2, k, i] * u[k, i] + s[3, k, i - 1] * u[k, i - 1] + s[4, k, i + 1] * u[k, i + 1]


@njit(cache=True, nogil=True, fastmath=_FAST)
def _smooth_first(s, inverse, f, u, t):
    """Gauss-Seidel from u = 0, rows in ascending order, damped Jacobi within a row."""
    end = u.shape[1] - 2
    for j in range(2, u.shape[0] - 2):
        k = j - 1
        for i in range(2, end):
            t[i] = f[j, i] - s[2, k, i] * u[k, i]
        for i in range(2, end):
            t[i] -= s[3, k, i - 1] * u[k, i - 1] + s[4, k, i + 1] * u[k, i + 1]
        for i in range(2, end):
            u[j, i] = inverse[j, i] * t[i]


@njit(cache=True, nogil=True, fastmath=_FAST)
def _smooth_back(s, inverse, f, u, t):
    """The adjoint sweep: rows in descending order."""
    end = u.shape[1] - 2
    for j in range(u.shape[0] - 3, 1, -1):
        _residual_row(s, f, u, t, j, end)
        for i in range(2, end):
            u[j, i] += inverse[j, i] * t[i]


@njit(cache=True, nogil=True, fastmath=_FAST)
def _restrict(s, f, u, p, r, t, coarse, s0, s1, o0, o1):
    """coarse = P^T (f - A u)."""
    end = u.shape[1] - 2
    for j in range(2, u.shape[0] - 2):
        _residual_row(s, f, u, t, j, end)
        for i in range(2, end):
            r[j, i] = t[i]
    last = coarse.shape[1] - 2
    for jc in range(2, coarse.shape[0] - 2):
        j = (jc - 2) * s0 + o0 + 2
        for ic in range(2, last):
            coarse[jc, ic] = 0.0
        for d in range(3):
            if s0 == 1 and d != 1:
                continue
            row = j + d - 1
            q = 3 * d
            if s1 == 1:
                for ic in range(2, last):
                    coarse[jc, ic] += p[q + 1, jc, ic] * r[row, ic]
            else:
                shift = o1 - 2
                for ic in range(2, last):
                    i = 2 * ic + shift
                    coarse[jc, ic] += (
                        p[q, jc, ic] * r[row, i - 1] + p[q + 1, jc, ic] * r[row, i] + p[q + 2, jc, ic] * r[row, i + 1]
                    )


@njit(cache=True, nogil=True, fastmath=_FAST)
def _prolong(p, e, u, s0, s1, o0, o1):
    """u += P e."""
    last = e.shape[1] - 2
    for jc in range(2, e.shape[0] - 2):
        j = (jc - 2) * s0 + o0 + 2
        for d in range(3):
            if s0 == 1 and d != 1:
                continue
            row = j + d - 1
            q = 3 * d
            if s1 == 1:
                for ic in range(2, last):
                    u[row, ic] += p[q + 1, jc, ic] * e[jc, ic]
            else:
                shift = o1 - 2
                for ic in range(2, last):
                    i = 2 * ic + shift
                    u[row, i] += p[q + 1, jc, ic] * e[jc, ic]
                    u[row, i + 1] += p[q + 2, jc, ic] * e[jc, ic] + p[q, jc, ic + 1] * e[jc, ic + 1]
                if last > 2:
                    u[row, 3 + shift] += p[q, jc, 2] * e[jc, 2]


@njit(cache=True, nogil=True)
def _ratio(a, b):
    return a / b if b > 0.0 else 0.0


@njit(cache=True, nogil=True)
def _along1(s, j, i, d):
    """Interpolation weight of vertex (j, i) from (j, i + d): the stencil summed over the rows."""
    left = i + d if d < 0 else i
    a = s[1, j, left]
    if d > 0:
        a += s[3, j, i] + s[4, j - 1, i + 1]
    else:
        a += s[4, j, i] + s[3, j - 1, i - 1]
    return _ratio(-a, s[0, j, i] + s[2, j, i] + s[2, j - 1, i])


@njit(cache=True, nogil=True)
def _along0(s, j, i, d):
    """Interpolation weight of vertex (j, i) from (j + d, i): the stencil summed over the columns."""
    low = j + d if d < 0 else j
    a = s[2, low, i]
    if d > 0:
        a += s[3, j, i] + s[4, j, i]
    else:
        a += s[3, j - 1, i - 1] + s[4, j - 1, i + 1]
    return _ratio(-a, s[0, j, i] + s[1, j, i] + s[1, j, i - 1])


@njit(cache=True, nogil=True)
def _interpolation(s, p, s0, s1, o0, o1):
    """Dendy's operator-dependent interpolation: p[q, jc, ic] is the weight of coarse vertex (jc, ic) at its q-th neighbour."""
    p[:] = 0.0
    for jc in range(2, p.shape[1] - 2):
        j = (jc - 2) * s0 + o0 + 2
        for ic in range(2, p.shape[2] - 2):
            i = (ic - 2) * s1 + o1 + 2
            p[4, jc, ic] = 1.0
            if s1 == 2:
                p[3, jc, ic] = _along1(s, j, i - 1, 1)
                p[5, jc, ic] = _along1(s, j, i + 1, -1)
            if s0 == 2:
                p[1, jc, ic] = _along0(s, j - 1, i, 1)
                p[7, jc, ic] = _along0(s, j + 1, i, -1)
            if s0 == 2 and s1 == 2:
                # The corners take their value from all eight neighbours through their own equation.
                a = s[3, j - 1, i - 1] + s[1, j - 1, i - 1] * p[1, jc, ic] + s[2, j - 1, i - 1] * p[3, jc, ic]
                p[0, jc, ic] = _ratio(-a, s[0, j - 1, i - 1])
                a = s[4, j - 1, i + 1] + s[1, j - 1, i] * p[1, jc, ic] + s[2, j - 1, i + 1] * p[5, jc, ic]
                p[2, jc, ic] = _ratio(-a, s[0, j - 1, i + 1])
                a = s[4, j, i] + s[1, j + 1, i - 1] * p[7, jc, ic] + s[2, j, i - 1] * p[3, jc, ic]
                p[6, jc, ic] = _ratio(-a, s[0, j + 1, i - 1])
                a = s[3, j, i] + s[1, j + 1, i] * p[7, jc, ic] + s[2, j, i + 1] * p[5, jc, ic]
                p[8, jc, ic] = _ratio(-a, s[0, j + 1, i + 1])


@njit(cache=True, nogil=True, fastmath=_FAST)
def _multiply_row(out, s, p, k, row, shift, stride, q, jc, m, last):
    """out[m] += stencil entry times weight, along a coarse row."""
    if stride == 1:
        for ic in range(2, last):
            out[m, ic] += s[k, row, ic + shift] * p[q, jc, ic]
    else:
        for ic in range(2, last):
            out[m, ic] += s[k, row, 2 * ic + shift] * p[q, jc, ic]


@njit(cache=True, nogil=True, fastmath=_FAST)
def _contract_row(coarse, p, w, k, jc, q, jn, shift, m, last):
    """coarse stencil += weight of the neighbouring coarse vertex times the image of this one."""
    for ic in range(2, last):
        coarse[k, jc, ic] += p[q, jn, ic + shift] * w[m, ic]


@njit(cache=True, nogil=True)
def _galerkin(s, p, coarse, w, s0, s1, o0, o1):
    """coarse = P^T A P, a coarse row at a time: w holds A P e for each coarse vertex e of the row, on 5 x 5 fine vertices."""
    coarse[:] = 0.0
    last = coarse.shape[2] - 2
    rows = s.shape[1]
    for jc in range(2, coarse.shape[1] - 2):
        j = (jc - 2) * s0 + o0 + 2
        w[:] = 0.0
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
                _multiply_row(w, s, p, k, j + a0, o1 + 2 - 2 * s1 + a1, s1, q, jc, m, last)
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
                _contract_row(coarse, p, w, k, jc, q, jc + e0, e1, (t0 + 2) * 5 + t1 + 2, last)


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def _view(flat, level, levels):
    n0 = levels[level, 0] + 4
    n1 = levels[level, 1] + 4
    start = levels[level, 6]
    return flat[start : start + n0 * n1].reshape(n0, n1)


@njit(cache=True, nogil=True)
def _view5(flat, level, levels):
    n0 = levels[level, 0] + 4
    n1 = levels[level, 1] + 4
    start = 5 * levels[level, 6]
    return flat[start : start + 5 * n0 * n1].reshape(5, n0, n1)


@njit(cache=True, nogil=True)
def _view9(flat, level, levels):
    n0 = levels[level, 0] + 4
    n1 = levels[level, 1] + 4
    start = 9 * levels[level, 6]
    return flat[start : start + 9 * n0 * n1].reshape(9, n0, n1)


@njit(cache=True, nogil=True)
def _setup(levels, wide, narrow, inverse, weights, w, lower, singular):
    """All levels from the finest stencil, which `wide` holds already; float32 copies; the smoother's diagonal."""
    count = levels.shape[0]
    for level in range(count):
        s = _view5(wide, level, levels)
        t = _view5(narrow, level, levels)
        d = _view(inverse, level, levels)
        d[:] = 0.0
        t[:] = s.astype(np.float32)
        for j in range(2, s.shape[1] - 2):
            for i in range(2, s.shape[2] - 2):
                # Half of the couplings within the row on top of the diagonal: the damping that keeps a sweep positive.
                value = s[0, j, i] + 0.5 * (abs(s[1, j, i]) + abs(s[1, j, i - 1]))
                d[j, i] = 1.0 / value
        if level + 1 < count:
            s0, s1, o0, o1 = levels[level, 2], levels[level, 3], levels[level, 4], levels[level, 5]
            p = _view9(weights, level + 1, levels)
            _interpolation(s, p, s0, s1, o0, o1)
            _galerkin(s, p, _view5(wide, level + 1, levels), w, s0, s1, o0, o1)
    last = count - 1
    _factor(_view5(wide, last, levels), levels[last, 0], levels[last, 1], singular, lower)


@njit(cache=True, nogil=True)
def _cycle(levels, narrow, inverse, weights, lower, f, u, r, t, x):
    """One V(1, 1) cycle from zero; f and u hold all levels, the right-hand side is f on the finest."""
    count = levels.shape[0]
    for level in range(count - 1):
        s0, s1, o0, o1 = levels[level, 2], levels[level, 3], levels[level, 4], levels[level, 5]
        s = _view5(narrow, level, levels)
        fl = _view(f, level, levels)
        ul = _view(u, level, levels)
        _smooth_first(s, _view(inverse, level, levels), fl, ul, t)
        p = _view9(weights, level + 1, levels)
        _restrict(s, fl, ul, p, _view(r, level, levels), t, _view(f, level + 1, levels), s0, s1, o0, o1)
    last = count - 1
    _solve_coarsest(lower, _view(f, last, levels), _view(u, last, levels), levels[last, 0], levels[last, 1], x)
    for level in range(count - 2, -1, -1):
        s0, s1, o0, o1 = levels[level, 2], levels[level, 3], levels[level, 4], levels[level, 5]
        s = _view5(narrow, level, levels)
        ul = _view(u, level, levels)
        _prolong(_view9(weights, level + 1, levels), _view(u, level + 1, levels), ul, s0, s1, o0, o1)
        _smooth_back(s, _view(inverse, level, levels), _view(f, level, levels), ul, t)


@njit(cache=True, nogil=True)
def _centre(v, n0, n1):
    """Subtract the mean over the unknowns."""
    total = 0.0
    for j in range(2, n0 + 2):
        for i in range(2, n1 + 2):
            total += v[j, i]
    total /= n0 * n1
    for j in range(2, n0 + 2):
        for i in range(2, n1 + 2):
            v[j, i] -= total


@njit(cache=True, nogil=True)
def _precondition(levels, narrow, inverse, weights, lower, f, u, rest, t, x, r, z, scale):
    size = r.size
    for i in range(size):
        f[i] = np.float32(r[i] * scale)
    _cycle(levels, narrow, inverse, weights, lower, f, u, rest, t, x)
    back = 1.0 / scale
    for i in range(size):
        z[i] = u[i] * back


@njit(cache=True, nogil=True)
def solve_range(
    start, stop, k, c, robin, h0, h1, load, given, box, levels, singular, tolerance, limit, out, iterations, residuals
):
    """Solve samples start..stop-1; `out` receives the solution on all vertices, `residuals` the true relative residual.

    k, c : (1 or samples, m0, m1); load : (1 or samples, n0, n1) assembled right-hand side; given : same shape, Dirichlet values
    (zero elsewhere); box : first and past-the-last unknown vertex per axis; levels : rows of n0, n1, step and offset per axis, start.
    """
    m0, m1 = k.shape[1], k.shape[2]
    a0, b0, a1, b1 = box[0], box[1], box[2], box[3]
    n0, n1 = b0 - a0, b1 - a1
    count = levels.shape[0]
    size = (n0 + 4) * (n1 + 4)
    total = levels[count - 1, 6] + (levels[count - 1, 0] + 4) * (levels[count - 1, 1] + 4)
    full = np.zeros((5, m0 + 5, m1 + 5))
    lifted = np.zeros((m0 + 5, m1 + 5))
    image = np.zeros((m0 + 5, m1 + 5))
    wide = np.zeros(5 * total)
    narrow = np.zeros(5 * total, np.float32)
    inverse = np.zeros(total, np.float32)
    weights = np.zeros(9 * total, np.float32)
    fs = np.zeros(total, np.float32)
    us = np.zeros(total, np.float32)
    rs = np.zeros(total, np.float32)
    longest = 0
    for level in range(count):
        longest = max(longest, levels[level, 1] + 4)
    t = np.zeros(longest, np.float32)
    w = np.zeros((25, longest))
    small = levels[count - 1, 0] * levels[count - 1, 1]
    lower = np.zeros((small, small))
    x = np.zeros(small)
    fine = _view5(wide, 0, levels)
    b = np.zeros(size)
    b2 = b.reshape(n0 + 4, n1 + 4)
    r = np.zeros(size)
    r2 = r.reshape(n0 + 4, n1 + 4)
    z = np.zeros(size)
    d = np.zeros(size)
    d2 = d.reshape(n0 + 4, n1 + 4)
    q = np.zeros(size)
    q2 = q.reshape(n0 + 4, n1 + 4)
    u = np.zeros(size)
    u2 = u.reshape(n0 + 4, n1 + 4)
    built = -1
    scale = 1.0
    for sample in range(start, stop):
        which = sample if k.shape[0] > 1 or c.shape[0] > 1 else 0
        if which != built:
            built = which
            _assemble(
                k[sample if k.shape[0] > 1 else 0], c[sample if c.shape[0] > 1 else 0], robin, h0, h1, full
            )
            top = 0.0
            for j in range(n0):
                for i in range(n1):
                    jj, ii = j + a0 + 2, i + a1 + 2
                    top = max(top, full[0, jj, ii])
                    fine[0, j + 2, i + 2] = full[0, jj, ii]
                    fine[1, j + 2, i + 2] = full[1, jj, ii] if i + 1 < n1 else 0.0
                    fine[2, j + 2, i + 2] = full[2, jj, ii] if j + 1 < n0 else 0.0
                    fine[3, j + 2, i + 2] = full[3, jj, ii] if j + 1 < n0 and i + 1 < n1 else 0.0
                    fine[4, j + 2, i + 2] = full[4, jj, ii] if j + 1 < n0 and i > 0 else 0.0
            # The largest diagonal entry becomes one, so that float32 holds the preconditioner whatever the units.
            scale = 1.0 / top
            for i in range(wide.size):
                wide[i] *= scale
            _setup(levels, wide, narrow, inverse, weights, w, lower, singular)
        loads = load[sample if load.shape[0] > 1 else 0]
        values = given[sample if given.shape[0] > 1 else 0]
        lifted[2 : m0 + 3, 2 : m1 + 3] = values
        _apply(full, lifted, image)
        for j in range(n0):
            for i in range(n1):
                b2[j + 2, i + 2] = scale * (loads[j + a0, i + a1] - image[j + a0 + 2, i + a1 + 2])
        if singular:
            _centre(b2, n0, n1)
        norm = np.sqrt(_dot(b, b))
        u[:] = 0.0
        done = 0
        relative = 0.0
        if norm > 0.0:
            r[:] = b
            relative = 1.0
            # The residual that the recurrence carries drifts from the true one: measure, and restart if it has.
            for _ in range(4):
                goal = tolerance * norm
                rho = 0.0
                size_r = np.sqrt(_dot(r, r))
                d[:] = 0.0
                while done < limit and size_r > goal:
                    _precondition(levels, narrow, inverse, weights, lower, fs, us, rs, t, x, r, z, 1.0 / size_r)
                    new = _dot(r, z)
                    beta = new / rho if rho > 0.0 else 0.0
                    rho = new
                    for i in range(size):
                        d[i] = z[i] + beta * d[i]
                    _apply(fine, d2, q2)
                    curvature = _dot(d, q)
                    if not (curvature > 0.0):
                        break
                    alpha = rho / curvature
                    for i in range(size):
                        u[i] += alpha * d[i]
                    for i in range(size):
                        r[i] -= alpha * q[i]
                    size_r = np.sqrt(_dot(r, r))
                    done += 1
                if singular:
                    _centre(u2, n0, n1)
                _apply(fine, u2, r2)
                for i in range(size):
                    r[i] = b[i] - r[i]
                if singular:
                    _centre(r2, n0, n1)
                relative = np.sqrt(_dot(r, r)) / norm
                # Rounding alone leaves a residual of this size: |A| <= 2 in the scaled units.
                floor = 8e-16 * np.sqrt(_dot(u, u)) / norm
                if not (relative > max(1.5 * tolerance, floor)) or done >= limit:
                    if relative <= floor:
                        relative = min(relative, tolerance)
                    break
        iterations[sample] = done
        residuals[sample] = relative
        out[sample] = values
        for j in range(n0):
            for i in range(n1):
                out[sample, j + a0, i + a1] = u2[j + 2, i + 2]
