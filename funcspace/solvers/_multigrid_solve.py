"""Compiled kernels: multilinear elements on grids, and batches of preconditioned conjugate-gradient solves."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, cast
from zlib import crc32

import numpy as np
from numba import njit

from funcspace.solvers import _multigrid_kernels
from funcspace.solvers._multigrid_kernels import apply, cycle, setup

__all__ = ["solve_range"]

_inner: Any = partial(cast(Any, njit), cache=True, nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)


@_inner(fastmath={"contract", "nsz", "reassoc"})
def _dot(a, b):
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@_inner()
def _assemble(k, c, robin, h0, h1, stencil):
    """Q1 stiffness with k, mass with c (both constant in a cell), boundary mass with the Robin coefficient."""
    for z in range(5):
        for j in range(stencil.shape[1]):
            for i in range(stencil.shape[2]):
                stencil[z, j, i] = 0.0
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


@_inner()
def _extract(full, a0, a1, fine):
    """The stencil among the unknowns alone, scaled so that its largest entry is one; returns the scale.

    With entries near one float32 holds the preconditioner whatever the units.
    """
    n0, n1 = fine.shape[1] - 4, fine.shape[2] - 4
    top = 0.0
    for j in range(n0):
        for i in range(n1):
            top = max(top, full[0, j + a0 + 2, i + a1 + 2])
    scale = 1.0 / top
    for k in range(5):
        for j in range(n0):
            for i in range(n1):
                fine[k, j + 2, i + 2] = scale * full[k, j + a0 + 2, i + a1 + 2]
    # Couplings that lead out of the box go to Dirichlet vertices, whose part is in the right-hand side.
    for i in range(n1):
        for k in range(2, 5):
            fine[k, n0 + 1, i + 2] = 0.0
    for j in range(n0):
        fine[1, j + 2, n1 + 1] = 0.0
        fine[3, j + 2, n1 + 1] = 0.0
        fine[4, j + 2, 2] = 0.0
    return scale


@_inner()
def _right_hand_side(full, load, given, framed, image, scale, a0, a1, b):
    """The load minus the part of the given boundary values, b = scale (load - A given), at the unknowns."""
    n0, n1 = given.shape
    for j in range(n0):
        for i in range(n1):
            framed[j + 2, i + 2] = given[j, i]
    apply(full, framed, image)
    for j in range(b.shape[0] - 4):
        for i in range(b.shape[1] - 4):
            b[j + 2, i + 2] = scale * (load[j + a0, i + a1] - image[j + a0 + 2, i + a1 + 2])


@_inner()
def _centre(v):
    """Subtract the mean over the unknowns."""
    n0, n1 = v.shape[0] - 4, v.shape[1] - 4
    total = 0.0
    for j in range(n0):
        for i in range(n1):
            total += v[j + 2, i + 2]
    total /= n0 * n1
    for j in range(n0):
        for i in range(n1):
            v[j + 2, i + 2] -= total


@_inner()
def _copy(source, target, factor):
    for i in range(source.size):
        target[i] = source[i] * factor


@_inner(fastmath={"contract"})
def _add(target, factor, source):
    for i in range(target.size):
        target[i] += factor * source[i]


@_inner(fastmath={"contract"})
def _direction(d, z, beta):
    for i in range(d.size):
        d[i] = z[i] + beta * d[i]


@_inner(inline="always")
def _conjugate_gradients(
    levels, fine, narrow, inverse, weights, lower, b, u, work, fs, us, rs, t, x, goal, limit, singular
):
    """Solve A u = b from u = 0; returns the steps taken and the true residual norm."""
    r2, d2, q2, z2 = work[0], work[1], work[2], work[3]
    r, d, q, z, flat = r2.ravel(), d2.ravel(), q2.ravel(), z2.ravel(), u.ravel()
    f0, u0 = fs[0].ravel(), us[0].ravel()
    _copy(flat, flat, 0.0)
    _copy(b.ravel(), r, 1.0)
    norm = np.sqrt(_dot(r, r))
    steps = 0
    # The residual that the recurrence carries drifts from the true one: measure that, and restart where it has.
    for _ in range(4):
        rho = 0.0
        _copy(d, d, 0.0)
        while steps < limit and norm > goal:
            _copy(r, f0, 1.0 / norm)
            cycle(levels, narrow, inverse, weights, lower, fs, us, rs, t, x)
            _copy(u0, z, norm)
            new = _dot(r, z)
            _direction(d, z, new / rho if rho > 0.0 else 0.0)
            rho = new
            apply(fine, d2, q2)
            curvature = _dot(d, q)
            if not curvature > 0.0:
                break
            _add(flat, rho / curvature, d)
            _add(r, -rho / curvature, q)
            norm = np.sqrt(_dot(r, r))
            steps += 1
        if singular:
            _centre(u)
        apply(fine, u, q2)
        _copy(b.ravel(), r, 1.0)
        _add(r, -1.0, q)
        norm = np.sqrt(_dot(r, r))
        # Rounding alone leaves a residual of this size, for the entries of A are at most one.
        floor = 8e-16 * np.sqrt(_dot(flat, flat))
        if norm <= floor:
            return steps, min(norm, goal)
        if norm <= 1.5 * goal or steps >= limit:
            break
    return steps, norm


@_inner()
def _planes(levels):
    arrays = [np.zeros((levels[0, 0] + 4, levels[0, 1] + 4), np.float32)]
    for i in range(1, levels.shape[0]):
        arrays.append(np.zeros((levels[i, 0] + 4, levels[i, 1] + 4), np.float32))  # noqa: PERF401
    return arrays


@_inner()
def _stencils32(levels, count, first):
    low = min(first, levels.shape[0] - 1)
    arrays = [np.zeros((count, levels[low, 0] + 4, levels[low, 1] + 4), np.float32)]
    for i in range(first + 1, levels.shape[0]):
        arrays.append(np.zeros((count, levels[i, 0] + 4, levels[i, 1] + 4), np.float32))  # noqa: PERF401
    return arrays


@_inner()
def _stencils64(levels):
    arrays = [np.zeros((5, levels[0, 0] + 4, levels[0, 1] + 4))]
    for i in range(1, levels.shape[0]):
        arrays.append(np.zeros((5, levels[i, 0] + 4, levels[i, 1] + 4)))  # noqa: PERF401
    return arrays


def _compiled(stamp):
    """The batch solver; `stamp` makes numba's cache on disk see changes in the other file of kernels."""

    @njit(cache=True, nogil=True)
    def solve_range(
        start,
        stop,
        k,
        c,
        robin,
        h0,
        h1,
        load,
        given,
        box,
        levels,
        singular,
        tolerance,
        limit,
        out,
        iterations,
        residuals,
    ):
        """Solve samples start..stop-1: solutions on all vertices into `out`, true relative residuals into `residuals`.

        k, c : (1 or samples, m0, m1), c may be empty; load, given : (1 or samples, n0, n1), `given` zero but on
            Dirichlet sides;
        box : first and past-the-last unknown vertex per axis; levels : rows of n0, n1 and of step and offset per axis.
        """
        if stamp < 0:
            return
        a0, a1 = box[0], box[2]
        m0, m1 = k.shape[1], k.shape[2]
        count = levels.shape[0]
        narrow = _stencils32(levels, 5, 0)
        weights = _stencils32(levels, 9, 1)
        wide = _stencils64(levels)
        inverse, fs, us, rs = _planes(levels), _planes(levels), _planes(levels), _planes(levels)
        shape = (levels[0, 0] + 4, levels[0, 1] + 4)
        b = np.zeros(shape)
        u = np.zeros(shape)
        work = np.zeros((4, shape[0], shape[1]))
        t = np.zeros(shape[1], np.float32)
        w = np.zeros((25, shape[1]))
        small = levels[count - 1, 0] * levels[count - 1, 1]
        lower = np.zeros((small, small))
        x = np.zeros(small)
        full = np.zeros((5, m0 + 5, m1 + 5))
        framed = np.zeros((m0 + 5, m1 + 5))
        image = np.zeros((m0 + 5, m1 + 5))
        built = -1
        scale = 1.0
        for sample in range(start, stop):
            which = sample if k.shape[0] > 1 or c.shape[0] > 1 else 0
            if which != built:
                built = which
                _assemble(k[min(sample, k.shape[0] - 1)], c[min(sample, c.shape[0] - 1)], robin, h0, h1, full)
                scale = _extract(full, a0, a1, wide[0])
                setup(levels, wide, narrow, inverse, weights, w, lower, singular)
            values = given[min(sample, given.shape[0] - 1)]
            _right_hand_side(full, load[min(sample, load.shape[0] - 1)], values, framed, image, scale, a0, a1, b)
            if singular:
                _centre(b)
            norm = np.sqrt(_dot(b.ravel(), b.ravel()))
            _copy(u.ravel(), u.ravel(), 0.0)
            if norm > 0.0:
                steps, final = _conjugate_gradients(
                    levels, wide[0], narrow, inverse, weights, lower, b, u, work, fs, us, rs, t, x,
                    tolerance * norm, limit, singular,
                )  # fmt: skip
                iterations[sample] = steps
                residuals[sample] = final / norm
            for j in range(values.shape[0]):
                for i in range(values.shape[1]):
                    out[sample, j, i] = values[j, i]
            for j in range(shape[0] - 4):
                for i in range(shape[1] - 4):
                    out[sample, j + a0, i + a1] = u[j + 2, i + 2]

    return solve_range


solve_range = _compiled(crc32(Path(_multigrid_kernels.__file__).read_bytes()))
