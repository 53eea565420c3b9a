"""Coefficients of the Radau IIA methods, computed from their nodes."""

from __future__ import annotations

from functools import cache

import numpy as np

__all__ = ["radau_coefficients"]


@cache
def radau_coefficients(stages: int) -> tuple[np.ndarray, np.ndarray, float, np.ndarray, np.ndarray]:
    r"""Nodes c, matrix A, :math:`\gamma_0`, error weights e and Lagrange coefficients of the interpolation.

    The nodes are the zeros of :math:`d^{s-1}/dx^{s-1} (x^{s-1} (x - 1)^s)`; A integrates the Lagrange polynomials on
    them, :math:`a_{ij} = \int_0^{c_i} l_j`. The embedded method of order s has weights b^ with
    :math:`\sum_i \hat b_i c_i^{k-1} = 1/k - \gamma_0 \delta_{k1}`, where :math:`\gamma_0` is the real eigenvalue of A,
    and the error estimate is :math:`(I - h \gamma_0 J)^{-1} (h \gamma_0 f(x_0) + \sum_i e_i z_i)`,
    :math:`e = (\hat b - b)^T A^{-1}` (E. Hairer and G. Wanner, Solving Ordinary Differential Equations II (1996),
    section IV.8; the number of stages is odd). Row j of the last array holds the coefficients, highest power
    first, of the polynomial that is 1 at c_j and 0 at the other nodes and at 0.

    >>> nodes, matrix, *_ = radau_coefficients(3)
    >>> bool(np.allclose(nodes, [(4 - 6**0.5) / 10, (4 + 6**0.5) / 10, 1.0]))
    True
    >>> bool(np.allclose(matrix[-1] @ nodes**4, 1 / 5))  # exact to degree 2 s - 2
    True
    """
    polynomial = np.poly1d([1.0, 0.0]) ** (stages - 1) * np.poly1d([1.0, -1.0]) ** stages
    derivative = polynomial.deriv(stages - 1)
    nodes = np.sort(np.real(derivative.roots))
    for _ in range(3):
        nodes = nodes - derivative(nodes) / derivative.deriv()(nodes)
    nodes[-1] = 1.0
    powers = np.arange(1, stages + 1)
    vandermonde = nodes[:, None] ** (powers - 1)
    matrix = (nodes[:, None] ** powers / powers) @ np.linalg.inv(vandermonde)
    eigenvalues = np.linalg.eigvals(matrix)
    gamma = float(eigenvalues[np.argmin(abs(eigenvalues.imag))].real)
    moments = 1.0 / powers
    moments[0] -= gamma
    embedded = np.linalg.solve(vandermonde.T, moments)
    error = np.linalg.solve(matrix.T, embedded - matrix[-1])
    lagrange = np.empty((stages, stages + 1))
    for j, node in enumerate(nodes):
        others = np.concatenate([[0.0], np.delete(nodes, j)])
        lagrange[j] = np.poly(others) / np.prod(node - others)
    return nodes, matrix, gamma, error, lagrange
