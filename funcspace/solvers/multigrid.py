"""Fast finite-element solves on rectangular grids: compiled multigrid-preconditioned conjugate gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from funcspace.errors import InputError, SolverError
from funcspace.solvers.problem_arguments import check_iteration, checked_workers
from funcspace.solvers.threads import over_threads

__all__ = ["GridSolution", "cell_means", "solve_grid", "vertex_load"]

_COARSEST = 3
_ANISOTROPY = 1.5


@dataclass(frozen=True)
class GridSolution:
    """What `solve_grid` found.

    Attributes
    ----------
    values : (samples, n_0, n_1) the solutions on all vertices.
    iterations : (samples,) conjugate-gradient steps taken.
    residuals : (samples,) relative Euclidean residuals, computed from the solution.
    """

    values: NDArray[np.float64]
    iterations: NDArray[np.int64]
    residuals: NDArray[np.float64]


def cell_means(vertex_values: ArrayLike, dimensions: int = 2) -> NDArray[np.float64]:
    """Mean of the corner values of each cell, over the last `dimensions` axes.

    >>> cell_means([[0.0, 1.0], [2.0, 5.0]])
    array([[2.]])
    """
    values = np.asarray(vertex_values, dtype=np.float64)
    for axis in range(values.ndim - dimensions, values.ndim):
        lead = (slice(None),) * axis
        values = 0.5 * (values[(*lead, slice(None, -1))] + values[(*lead, slice(1, None))])
    return np.ascontiguousarray(values)


def vertex_load(source: ArrayLike | float, axes: Sequence[ArrayLike]) -> NDArray[np.float64]:
    """Right-hand side of a source given by its vertex values: the mass matrix of multilinear elements times the values.

    b_i = sum_j f_j integral phi_i phi_j dx

    Parameters
    ----------
    source : a number, or (..., n_0, ..., n_{d-1}) vertex values.
    axes : the vertex coordinates of each axis.
    """
    widths = [np.diff(np.asarray(axis, dtype=np.float64)) for axis in axes]
    shape = tuple(len(width) + 1 for width in widths)
    values = np.asarray(source, dtype=np.float64)
    if values.ndim < len(shape):
        values = np.broadcast_to(values, shape)
    if values.shape[values.ndim - len(shape) :] != shape:
        raise InputError(f"source must end in the vertex shape {shape}; got {values.shape}")
    first = values.ndim - len(shape)
    for offset, width in enumerate(widths):
        moved = np.moveaxis(values, first + offset, -1)
        load = np.zeros(moved.shape)
        load[..., :-1] += width * (moved[..., :-1] / 3.0 + moved[..., 1:] / 6.0)
        load[..., 1:] += width * (moved[..., :-1] / 6.0 + moved[..., 1:] / 3.0)
        values = np.moveaxis(load, -1, first + offset)
    return np.ascontiguousarray(values)


def solve_grid(
    coefficient: ArrayLike,
    load: ArrayLike,
    *,
    axes: Sequence[ArrayLike],
    reaction: ArrayLike | float = 0.0,
    dirichlet: Sequence[Sequence[bool]] | None = None,
    boundary_values: ArrayLike | None = None,
    robin: Sequence[Sequence[float]] | None = None,
    tolerance: float = 1e-10,
    max_iterations: int = 200,
    workers: int | None = None,
) -> GridSolution:
    r"""Multilinear finite elements (Q1) for a batch of diffusion problems on one rectangular grid.

    -div(k grad u) + c u = f

    k and c are constant in each cell, so that the element integrals are exact: the systems are those of any Q1 code
    on the same data. One sample is solved by one thread from start to end, and its result is the same bytes whatever
    the number of threads and whichever samples stand beside it. Two dimensions by conjugate gradients with one
    black-box multigrid V(1, 1) cycle as preconditioner (Dendy, J. Comput. Phys. 48, 1982): operator-dependent
    interpolation, Galerkin coarse systems, any number of vertices per axis, coarsening of one axis only while the
    spacings differ much. One dimension by elimination.

    Parameters
    ----------
    coefficient : (m_0, m_1) or (samples, m_0, m_1) positive values of k, one per cell.
    load : (n_0, n_1) or (samples, n_0, n_1) integrals of f (and of natural boundary data) against the vertex functions.
    axes : vertex coordinates per axis, increasing, n = m + 1 of them; the spacing may vary.
    reaction : c >= 0, a number or one value per cell as for k.
    dirichlet : for each axis, whether u is given on the low and the high side, all by default; elsewhere the
        condition is natural.
    boundary_values : (n_0, n_1) or (samples, n_0, n_1), read on Dirichlet sides only; zero by default.
    robin : for each axis, alpha >= 0 on the low and the high side in k du/dn + alpha u = g.
    tolerance : bound on the Euclidean norm of the residual relative to that of the right-hand side.
    max_iterations : bound on the number of conjugate-gradient steps.
    workers : number of threads; all cores by default.

    Raises
    ------
    InputError : a shape does not fit; k is NaN or not positive (the message names the sample); data are not finite.
    SolverError : no convergence; `.state` is the GridSolution reached. Also a pure Neumann problem whose load does
        not sum to 0.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.linspace(0.0, 1.0, 33)
    >>> found = solve_grid(np.ones((32, 32)), vertex_load(1.0, (x, x)), axes=(x, x))
    >>> round(float(found.values.max()), 4)
    0.0737
    """
    check_iteration(tolerance, max_iterations)
    workers = checked_workers(workers)
    coordinates = [np.ascontiguousarray(np.asarray(axis, dtype=np.float64)) for axis in axes]
    dim = len(coordinates)
    if dim not in (1, 2):
        raise InputError(f"solve_grid takes one or two axes; got {dim}")
    for number, axis in enumerate(coordinates):
        if axis.ndim != 1 or len(axis) < 2 or not np.all(np.diff(axis) > 0):
            raise InputError(f"axis {number} must hold at least two increasing coordinates; got shape {axis.shape}")
    vertices = tuple(len(axis) for axis in coordinates)
    cells = tuple(n - 1 for n in vertices)
    k = _batched(coefficient, cells, "coefficient")
    c = _batched(np.broadcast_to(reaction, cells) if np.ndim(reaction) == 0 else reaction, cells, "reaction")
    b = _batched(load, vertices, "load")
    given = (
        np.zeros((1, *vertices)) if boundary_values is None else _batched(boundary_values, vertices, "boundary_values")
    )
    samples = _common_batch({"coefficient": k, "reaction": c, "load": b, "boundary_values": given})
    _check_positive(k)
    _check_finite(c, "reaction")
    if (c < 0).any():
        raise InputError("reaction must not be negative: the system would not be positive definite")
    _check_finite(b, "load")
    _check_finite(given, "boundary_values")
    sides = np.ones((dim, 2), dtype=bool) if dirichlet is None else np.array(dirichlet, dtype=bool)
    alpha = np.zeros((dim, 2)) if robin is None else np.array(robin, dtype=np.float64)
    for name, array in (("dirichlet", sides), ("robin", alpha)):
        if array.shape != (dim, 2):
            raise InputError(f"{name} must hold a (low, high) pair for each of {dim} axes; got shape {array.shape}")
    if (alpha < 0).any() or not np.isfinite(alpha).all():
        raise InputError(f"robin coefficients must be finite and not negative; got {alpha.tolist()}")
    alpha[sides] = 0.0
    singular = not sides.any() and not alpha.any() and not c.any()
    if singular:
        _check_compatible(b)
    given = _on_sides(given, sides)
    arguments = (k, c, alpha, [np.diff(axis) for axis in coordinates], b, given, sides, samples)
    if dim == 1:
        return _lines(*arguments, singular, workers)
    return _multigrid(*arguments, singular, tolerance, max_iterations, workers)


def _lines(
    k: NDArray[np.float64],
    c: NDArray[np.float64],
    alpha: NDArray[np.float64],
    widths: list[NDArray[np.float64]],
    b: NDArray[np.float64],
    given: NDArray[np.float64],
    sides: NDArray[np.bool_],
    samples: int,
    singular: bool,
    workers: int | None,
) -> GridSolution:
    from funcspace.solvers._lines import solve_line

    out = np.empty((samples, b.shape[1]))
    residuals = np.zeros(samples)

    def work(start: int, stop: int) -> None:
        for i in range(start, stop):
            k_i, c_i, b_i, given_i = (array[i if len(array) > 1 else 0] for array in (k, c, b, given))
            out[i], residuals[i] = solve_line(k_i, c_i, alpha[0], widths[0], b_i, given_i, sides[0], singular)

    over_threads(work, samples, workers)
    return GridSolution(out, np.zeros(samples, dtype=np.int64), residuals)


def _multigrid(
    k: NDArray[np.float64],
    c: NDArray[np.float64],
    alpha: NDArray[np.float64],
    widths: list[NDArray[np.float64]],
    b: NDArray[np.float64],
    given: NDArray[np.float64],
    sides: NDArray[np.bool_],
    samples: int,
    singular: bool,
    tolerance: float,
    max_iterations: int,
    workers: int | None,
) -> GridSolution:
    from funcspace.solvers._multigrid_solve import solve_range

    vertices = b.shape[1:]
    box = np.array(
        [bound for axis, n in enumerate(vertices) for bound in (int(sides[axis, 0]), n - int(sides[axis, 1]))],
        dtype=np.int64,
    )
    out = np.empty((samples, *vertices))
    iterations = np.zeros(samples, dtype=np.int64)
    residuals = np.zeros(samples)
    if box[1] <= box[0] or box[3] <= box[2]:
        out[:] = given
        return GridSolution(out, iterations, residuals)
    levels = _levels(
        int(box[1] - box[0]), int(box[3] - box[2]), float(widths[0].mean()), float(widths[1].mean()), sides
    )
    reaction = c if c.any() else np.zeros((1, 0, 0))

    def work(start: int, stop: int) -> None:
        solve_range(
            start, stop, k, reaction, alpha.ravel(), widths[0], widths[1], b, given, box, levels, singular,
            tolerance, max_iterations, out, iterations, residuals,
        )  # fmt: skip

    over_threads(work, samples, workers)
    found = GridSolution(out, iterations, residuals)
    bad = np.flatnonzero(~(residuals <= max(2.0 * tolerance, tolerance + 1e-15)))
    if bad.size:
        first = int(bad[0])
        raise SolverError(
            f"multigrid did not converge for {bad.size} of {samples} samples; the first is sample {first}, with "
            f"relative residual {residuals[first]:.2e} after {iterations[first]} iterations (tolerance {tolerance:g}, "
            f"max_iterations {max_iterations})",
            state=found,
        )
    return found


def _levels(n0: int, n1: int, h0: float, h1: float, sides: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Per level: unknowns per axis, step and offset to the next level per axis.

    Coarse vertices are every second vertex counted from the low side of the grid; on a Dirichlet side the first
    unknown is one vertex inside, hence the offset 1.
    """
    rows = []
    while True:
        can0, can1 = n0 > _COARSEST, n1 > _COARSEST
        s0 = 2 if can0 and (h0 < _ANISOTROPY * h1 or not can1) else 1
        s1 = 2 if can1 and (h1 < _ANISOTROPY * h0 or not can0) else 1
        o0, o1 = int(sides[0, 0] and s0 == 2), int(sides[1, 0] and s1 == 2)
        rows.append((n0, n1, s0, s1, o0, o1))
        if s0 == s1 == 1:
            return np.array(rows, dtype=np.int64)
        if s0 == 2:
            n0, h0 = (n0 - o0 + 1) // 2, 2.0 * h0
        if s1 == 2:
            n1, h1 = (n1 - o1 + 1) // 2, 2.0 * h1


def _batched(values: ArrayLike, shape: tuple[int, ...], name: str) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.shape == shape:
        array = array[None]
    if array.ndim != len(shape) + 1 or array.shape[1:] != shape:
        raise InputError(
            f"{name} must have shape {shape} or (samples, {', '.join(map(str, shape))}); got {array.shape}"
        )
    if array.shape[0] == 0:
        raise InputError(f"{name} holds no samples")
    return np.ascontiguousarray(array)


def _common_batch(arrays: dict[str, NDArray[np.float64]]) -> int:
    counts = {name: len(array) for name, array in arrays.items()}
    samples = max(counts.values())
    odd = {name: count for name, count in counts.items() if count not in (1, samples)}
    if odd:
        raise InputError(f"the numbers of samples must agree or be 1; got {counts}")
    return samples


def _check_positive(k: NDArray[np.float64]) -> None:
    good = np.isfinite(k) & (k > 0)
    if not good.all():
        place = tuple(int(i) for i in np.argwhere(~good)[0])
        raise InputError(
            f"the coefficient must be finite and positive; sample {place[0]} is {k[place]} in cell {place[1:]}"
        )


def _check_finite(array: NDArray[np.float64], name: str) -> None:
    good = np.isfinite(array)
    if not good.all():
        place = tuple(int(i) for i in np.argwhere(~good)[0])
        raise InputError(f"{name} must be finite; sample {place[0]} is {array[place]} at {place[1:]}")


def _check_compatible(b: NDArray[np.float64]) -> None:
    flat = b.reshape(len(b), -1)
    total = np.abs(flat.sum(axis=1))
    bad = np.flatnonzero(total > 1e-10 * np.abs(flat).sum(axis=1) + 1e-300)
    if bad.size:
        first = int(bad[0])
        raise SolverError(
            "a pure Neumann problem has a solution only where source and boundary flux balance: the load must "
            f"sum to 0; it sums to {flat[first].sum():.6g} for sample {first}. Give a Dirichlet or Robin "
            "side, or subtract the mean"
        )


def _on_sides(given: NDArray[np.float64], sides: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The given values on Dirichlet sides, zero elsewhere."""
    keep = np.zeros(given.shape[1:], dtype=bool)
    for axis in range(keep.ndim):
        for high in (0, 1):
            if sides[axis, high]:
                keep[(slice(None),) * axis + (-1 if high else 0,)] = True
    return np.where(keep, given, 0.0)
