"""The Poisson equation on one- and two-dimensional vertex grids, by the compiled multigrid solver."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from funcspace.functions import Function
from funcspace.geometry import Grid
from funcspace.solvers.multigrid import cell_means, solve_grid, vertex_load
from funcspace.solvers.problem_data import check_coefficient, values_at

if TYPE_CHECKING:
    from funcspace.solvers.poisson import Poisson

__all__ = ["dirichlet_parts", "fits_grid_solver", "sides_of", "solve_on_grid"]

FloatArray = NDArray[np.float64]

GAUSS = 0.5 + np.array([-0.5, 0.5]) / np.sqrt(3.0)


def fits_grid_solver(problem: Poisson) -> bool:
    """Whether `solve_grid` takes this problem."""
    grid = problem.space.domain
    return (
        isinstance(grid, Grid)
        and grid.dim <= 2
        and not grid.periodic
        and grid.samples == "vertices"
        and problem.space.element == "linear"
        and problem.method != "direct"
        and all(isinstance(alpha, int | float) for alpha, _ in problem.robin.values())
    )


def solve_on_grid(problem: Poisson) -> FloatArray:
    """Solutions (samples, *grid shape)."""
    from funcspace.solvers.poisson import balanced

    grid: Any = problem.space.domain
    axes = [axis.coordinates.numpy() for axis in grid.grid_axes]
    rule = _CellRule(axes)
    k = _cell_values(problem, problem.coefficient, "coefficient", rule, matrices=True)
    if k is None:
        return problem._solve_assembled()
    c = _cell_values(problem, problem.reaction, "reaction", rule)
    load = _source_load(problem, rule)
    natural: dict[str, Any] = dict(problem.neumann) | {part: g for part, (_, g) in problem.robin.items()}
    size = np.abs(load).reshape(len(load), -1).sum(axis=1)
    for part, g in natural.items():
        for side in sides_of(grid, part):
            added = _side_load(axes, side, g, f"natural data on {part!r}")
            load = load + added
            size = size + np.abs(added).reshape(len(added), -1).sum(axis=1)
    dirichlet = dirichlet_parts(problem, grid)
    fixed = np.zeros((grid.dim, 2), dtype=bool)
    given = np.zeros((1, *grid.shape))
    points = grid.points.numpy().reshape(*grid.shape, grid.dim)
    for part, data in dirichlet.items():
        for axis, high in sides_of(grid, part):
            fixed[axis, high] = True
            face = (slice(None),) * axis + (-1 if high else 0,)
            where = points[face].reshape(-1, grid.dim)
            values = values_at(data, where, f"dirichlet[{part!r}]")
            if len(values) > len(given):
                given = np.repeat(given, len(values), axis=0)
            given[(slice(None), *face)] = values.reshape(len(values), *points[face].shape[:-1])
    alpha = np.zeros((grid.dim, 2))
    for part, (value, _) in problem.robin.items():
        for axis, high in sides_of(grid, part):
            alpha[axis, high] = float(value)  # type: ignore[arg-type]
    weights = vertex_load(1.0, axes)
    free_of_constants = fixed.any() or alpha[~fixed].any() or (c is not None and c.any())
    if not free_of_constants:
        flat = balanced(load.reshape(len(load), -1), weights.ravel(), size)
        load = flat.reshape(load.shape)
    found = solve_grid(
        k, load, axes=axes, reaction=0.0 if c is None else c, dirichlet=fixed.tolist(), boundary_values=given,
        robin=alpha.tolist(), tolerance=problem.tolerance, max_iterations=problem.max_iterations,
        workers=problem.workers,
    ).values  # fmt: skip
    if not free_of_constants:
        means = (found * weights).reshape(len(found), -1).sum(axis=1) / weights.sum()
        found = found - means.reshape(-1, *([1] * grid.dim))
    return found


class _CellRule:
    """Two Gauss points per axis in each cell."""

    def __init__(self, axes: list[FloatArray]) -> None:
        self.axes = axes
        self.widths = [np.diff(axis) for axis in axes]
        self.cells = tuple(len(width) for width in self.widths)
        lines = [
            (axis[:-1, None] + width[:, None] * GAUSS).ravel() for axis, width in zip(axes, self.widths, strict=True)
        ]
        mesh = np.meshgrid(*lines, indexing="ij")
        self.points = np.stack([part.ravel() for part in mesh], axis=1)

    def split(self, values: FloatArray) -> FloatArray:
        """Values (samples, points) as (samples, m_0, 2, m_1, 2)."""
        return values.reshape(len(values), *(n for m in self.cells for n in (m, 2)))

    def means(self, values: FloatArray) -> FloatArray:
        """Means over cells."""
        return self.split(values).mean(axis=tuple(range(2, 2 * len(self.cells) + 1, 2)))

    def load(self, values: FloatArray) -> FloatArray:
        """Integrals against the vertex functions."""
        split = self.split(values)
        for axis, width in enumerate(self.widths):
            # One axis after another: (m, 2) Gauss points become m + 1 vertices.
            moved = np.moveaxis(split, (1 + axis, 2 + axis), (-2, -1)) * (0.5 * width[:, None])
            load = np.zeros((*moved.shape[:-2], len(width) + 1))
            load[..., :-1] += moved @ (1.0 - GAUSS)
            load[..., 1:] += moved @ GAUSS
            split = np.moveaxis(load, -1, 1 + axis)
        return np.ascontiguousarray(split)


def _is_own(problem: Poisson, data: Any) -> bool:
    return isinstance(data, Function) and data.space.fingerprint == problem.space.fingerprint


def _vertex_values(data: Function) -> FloatArray:
    values = data.values.detach().cpu().numpy().astype(np.float64)
    return values.reshape(-1, *data.space.layout)


def _cell_values(
    problem: Poisson, data: Any, name: str, rule: _CellRule, *, matrices: bool = False
) -> FloatArray | None:
    """One value per cell, (samples, m_0, m_1); None for zero, and for matrix values, which are not for this solver."""
    d = len(rule.cells)
    if _is_own(problem, data):
        vertices = _vertex_values(data)
        flat = values_at(data, problem.space.domain.points.numpy(), name, same_space=lambda _: vertices)
        if matrices:
            check_coefficient(flat, problem.space.domain.points.numpy(), name)
        return cell_means(vertices, d)
    if not matrices and isinstance(data, int | float) and data == 0:
        return None
    values = values_at(data, rule.points, name, shapes=((), (d, d)) if matrices else ((),))
    if values.ndim > 2:
        return None
    if matrices:
        check_coefficient(values, rule.points, name)
    return rule.means(values)


def _source_load(problem: Poisson, rule: _CellRule) -> FloatArray:
    if _is_own(problem, problem.source):
        vertices = _vertex_values(problem.source)  # type: ignore[arg-type]
        return vertex_load(vertices, rule.axes)
    return rule.load(values_at(problem.source, rule.points, "source"))


def _side_load(axes: list[FloatArray], side: tuple[int, int], g: Any, name: str) -> FloatArray:
    """Integrals of boundary data over one side against the vertex functions."""
    axis, high = side
    shape = tuple(len(line) for line in axes)
    end = axes[axis][-1 if high else 0]
    if len(axes) == 1:
        values = values_at(g, np.array([[end]]), name)
        load = np.zeros((len(values), *shape))
        load[:, -1 if high else 0] = values[:, 0]
        return load
    rule = _CellRule([axes[1 - axis]])
    points = np.empty((len(rule.points), 2))
    points[:, axis], points[:, 1 - axis] = end, rule.points[:, 0]
    line = rule.load(values_at(g, points, name))
    load = np.zeros((len(line), *shape))
    load[(slice(None), *((slice(None),) * axis), -1 if high else 0)] = line
    return load


def sides_of(grid: Any, part: str) -> list[tuple[int, int]]:
    """The (axis, high) pairs of a boundary part."""
    names = [name for name in grid.boundary if name != "boundary"]
    sides: list[tuple[int, int]] = [(axis, high) for axis in range(grid.dim) for high in (0, 1)]
    return sides if part == "boundary" else [sides[names.index(part)]]


def dirichlet_parts(problem: Poisson, grid: Any) -> dict[str, Any]:
    """Dirichlet data by part, zero on the sides that no condition names where none were given."""
    if problem.dirichlet is not None:
        return problem.dirichlet
    named = {side for part in (*problem.neumann, *problem.robin) for side in sides_of(grid, part)}
    names = [name for name in grid.boundary if name != "boundary"]
    sides = list(product(range(grid.dim), (0, 1)))
    return {name: 0.0 for name, side in zip(names, sides, strict=True) if side not in named}
