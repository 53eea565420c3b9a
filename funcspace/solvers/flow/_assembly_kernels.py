"""Compiled assembly of the viscous term, of the convection term and of its derivative.

The loops add up in a fixed order: sums of arrays whose order follows the placement of the arrays in memory would change
the last bits from run to run.
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import numpy as np
from numba import njit

__all__ = ["convection", "reaction", "viscous"]

_compiled: Any = partial(cast(Any, njit), cache=True, nogil=True, fastmath={"contract", "nsz", "arcp", "reassoc"})


@_compiled
def convection(wind, dofs, phi, slopes, inverse, weights, slots, out):
    """Add the integrals of (w . grad phi_l) phi_k to out[slots]; wind (N, d), slots (cells, k, k)."""
    cells, count = dofs.shape
    points, dim = slopes.shape[0], slopes.shape[2]
    varying = inverse.shape[1] > 1
    local = np.empty((count, count))
    along = np.empty(count)
    nodal = np.empty((count, dim))
    velocity = np.empty(dim)
    reference = np.empty(dim)
    for c in range(cells):
        for k in range(count):
            for i in range(dim):
                nodal[k, i] = wind[dofs[c, k], i]
        local[:] = 0.0
        for q in range(points):
            at = q if varying else 0
            for i in range(dim):
                total = 0.0
                for k in range(count):
                    total += phi[q, k] * nodal[k, i]
                velocity[i] = total
            for a in range(dim):
                total = 0.0
                for i in range(dim):
                    total += inverse[c, at, a, i] * velocity[i]
                reference[a] = total * weights[c, q]
            for k in range(count):
                total = 0.0
                for a in range(dim):
                    total += slopes[q, k, a] * reference[a]
                along[k] = total
            for k in range(count):
                value = phi[q, k]
                for m in range(count):
                    local[k, m] += value * along[m]
        for k in range(count):
            for m in range(count):
                out[slots[c, k, m]] += local[k, m]


@_compiled
def reaction(velocity, dofs, phi, slopes, inverse, weights, slots, out):
    """Add the integrals of (d_j u_i) phi_l phi_k to out[i, j, slots]; velocity (N, d)."""
    cells, count = dofs.shape
    points, dim = slopes.shape[0], slopes.shape[2]
    varying = inverse.shape[1] > 1
    local = np.empty((dim, dim, count, count))
    nodal = np.empty((count, dim))
    gradient = np.empty((dim, dim))
    reference = np.empty((dim, dim))
    for c in range(cells):
        for k in range(count):
            for i in range(dim):
                nodal[k, i] = velocity[dofs[c, k], i]
        local[:] = 0.0
        for q in range(points):
            at = q if varying else 0
            for i in range(dim):
                for a in range(dim):
                    total = 0.0
                    for k in range(count):
                        total += nodal[k, i] * slopes[q, k, a]
                    reference[i, a] = total * weights[c, q]
            for i in range(dim):
                for j in range(dim):
                    total = 0.0
                    for a in range(dim):
                        total += reference[i, a] * inverse[c, at, a, j]
                    gradient[i, j] = total
            for k in range(count):
                for m in range(count):
                    product = phi[q, k] * phi[q, m]
                    for i in range(dim):
                        for j in range(dim):
                            local[i, j, k, m] += gradient[i, j] * product
        for i in range(dim):
            for j in range(dim):
                for k in range(count):
                    for m in range(count):
                        out[i, j, slots[c, k, m]] += local[i, j, k, m]


@_compiled
def viscous(viscosity, slopes, inverse, weights, symmetric, out):
    """Local blocks out[i, j, cell, k, l] of the integrals of nu (delta_ij grad k . grad l + s d_j k d_i l)."""
    cells, points = weights.shape
    count, dim = slopes.shape[1], slopes.shape[2]
    varying = inverse.shape[1] > 1
    gradient = np.empty((count, dim))
    products = np.empty((dim, dim, count, count))
    for c in range(cells):
        products[:] = 0.0
        for q in range(points):
            at = q if varying else 0
            for k in range(count):
                for i in range(dim):
                    total = 0.0
                    for a in range(dim):
                        total += slopes[q, k, a] * inverse[c, at, a, i]
                    gradient[k, i] = total
            factor = viscosity[c, q] * weights[c, q]
            for i in range(dim):
                for j in range(dim):
                    if i == j or symmetric:
                        for k in range(count):
                            scaled = factor * gradient[k, i]
                            for m in range(count):
                                products[i, j, k, m] += scaled * gradient[m, j]
        for k in range(count):
            for m in range(count):
                whole = 0.0
                for i in range(dim):
                    whole += products[i, i, k, m]
                if symmetric:
                    for i in range(dim):
                        for j in range(dim):
                            out[i, j, c, k, m] = products[j, i, k, m] + (whole if i == j else 0.0)
                else:
                    out[0, 0, c, k, m] = whole
