"""The Poisson solve as a torch operation: derivatives with respect to all of its data by the adjoint system."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from funcspace.errors import InputError
from funcspace.geometry import Grid
from funcspace.solvers.element_solve import ElementForm, action, element_solve, matrix_products, solver_among
from funcspace.solvers.grid_poisson import dirichlet_parts, fits_grid_solver, sides_of
from funcspace.solvers.problem_data import check_coefficient, is_tracked
from funcspace.solvers.sparse_systems import choose_method, factorise
from funcspace.solvers.tracked_values import given_at_dofs, load_of, tracked_at

if TYPE_CHECKING:
    from funcspace.solvers.poisson import Poisson

__all__ = ["has_tracked_data", "solve_tracked"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def has_tracked_data(problem: Poisson) -> bool:
    """Whether a datum of the problem is part of an autograd graph."""
    point = np.asarray(problem.space.domain.points[:1], dtype=np.float64)
    return any(is_tracked(data, point) for data in problem._all_data().values())


def solve_tracked(problem: Poisson) -> Float[Tensor, "samples dofs"]:
    r"""Solutions, part of the graph of the data.

    u = g + w with K(k, c, alpha) w = b - K(k, c, alpha) g on the unknowns, and w = 0 elsewhere

    K and b are linear in the data; only the solve itself has a derivative of its own, see `element_solve`.
    """
    return _TrackedSolve(problem).solution()


class _TrackedSolve:
    """One solve: its data as tensors at quadrature points, its system as forms that are linear in them."""

    def __init__(self, problem: Poisson) -> None:
        self.problem, self.assembly, self.discrete = problem, problem.assembly, problem._discrete
        cells, d = self.assembly.cells, problem.space.domain.dim
        self.k = self._at(cells, problem.coefficient, "coefficient", ((), (d, d)))
        check_coefficient(self.k.detach().numpy(), cells.points)
        self.c = self._at(cells, problem.reaction, "reaction")
        self.alphas = {
            part: self._at(facets, problem.robin[part][0], f"robin[{part!r}] alpha")
            for part, facets in self.discrete.robin.items()
        }
        for name, values in ({"reaction": self.c} | {f"robin[{p!r}] alpha": a for p, a in self.alphas.items()}).items():
            if bool((values < 0).any()):
                raise InputError(f"{name} must not be negative: the system would not be positive definite")
        self.singular = not (
            len(self.discrete.pattern.fixed)
            or bool(self.c.any())
            or any(bool(alpha.any()) for alpha in self.alphas.values())
        )
        # One unknown of a pure Neumann problem is pinned; the mean is set afterwards.
        self.free = self.discrete.pattern.free[1:] if self.singular else self.discrete.pattern.free

    def solution(self) -> Tensor:
        from funcspace.solvers.poisson import balanced

        parts = self._loads()
        load = sum(parts[1:], parts[0])
        forms, coefficients = self._system()
        if self.singular:
            sizes = sum((part.detach().abs().sum(dim=1) for part in parts), torch.zeros(1)).numpy()
            balanced(load.detach().numpy(), self.discrete.ones_mass, sizes)
            ones = torch.from_numpy(self.discrete.ones_mass)
            load = load - load.sum(dim=1, keepdim=True) / ones.sum() * ones
        given = given_at_dofs(self.assembly, self.discrete.dirichlet, self.problem.dirichlet)
        if given.requires_grad or bool(given.any()):
            load = load - action(forms, coefficients, given)
        unknown = torch.zeros(self.assembly.size, dtype=torch.float64)
        unknown[self.free] = 1.0
        found = given + element_solve(self._solver(), forms, coefficients, load * unknown)
        if self.singular:
            weights = torch.from_numpy(self.discrete.ones_mass)
            found = found - ((found @ weights) / weights.sum())[:, None]
        return found

    def _at(self, elements: Any, data: Any, name: str, shapes: tuple[tuple[int, ...], ...] = ((),)) -> Tensor:
        return tracked_at(self.assembly, elements, data, name, shapes=shapes)

    def _loads(self) -> list[Tensor]:
        problem, discrete, cells = self.problem, self.discrete, self.assembly.cells
        loads = [load_of(cells, self._at(cells, problem.source, "source"))]
        for part, facets in discrete.robin.items():
            loads.append(load_of(facets, self._at(facets, problem.robin[part][1], f"robin[{part!r}] g")))
        for part, facets in discrete.neumann.items():
            loads.append(load_of(facets, self._at(facets, problem.neumann[part], f"neumann[{part!r}]")))
        return loads

    def _system(self) -> tuple[list[ElementForm], list[Tensor]]:
        """The forms of the equation and their coefficients."""
        cells = self.assembly.cells
        terms = []
        if self.k.ndim > 2:
            tables, dofs = torch.from_numpy(matrix_products(cells)), torch.from_numpy(cells.dofs)
            terms.append((tables, dofs, self.k.reshape(len(self.k), -1)))
        else:
            terms.append(self._cell_term(cells.gradient_products, self.k))
        if self.c.requires_grad or bool(self.c.any()):
            terms.append(self._cell_term(cells.products, self.c))
        for part, facets in self.discrete.robin.items():
            tables = torch.from_numpy(facets.products)
            terms.append((tables, torch.from_numpy(facets.dofs), self.alphas[part]))
        return [ElementForm(tables, dofs) for tables, dofs, _ in terms], [values for *_, values in terms]

    def _cell_term(self, tables: FloatArray, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A form over cells; on a Grid its coefficient is replaced by the mean over each cell."""
        table, dofs = torch.from_numpy(tables), torch.from_numpy(self.assembly.cells.dofs)
        if isinstance(self.problem.space.domain, Grid):
            return table.sum(dim=1, keepdim=True), dofs, values.reshape(len(values), *table.shape[:2]).mean(dim=2)
        return table, dofs, values

    def _solver(self) -> Callable[[FloatArray], FloatArray]:
        if not self.singular and self.k.ndim == 2 and fits_grid_solver(self.problem):
            return self._grid_solver()
        problem, pattern, cells = self.problem, self.discrete.pattern, self.assembly.cells
        method = choose_method(problem.method, len(pattern.free), problem.space.domain.dim)
        keep = slice(1, None) if self.singular else slice(None)
        k, c, *alphas = (values.detach().numpy() for values in (self.k, self.c, *self.alphas.values()))
        if isinstance(problem.space.domain, Grid):
            k, c = (cells.averaged(values) if values.ndim == 2 else values for values in (k, c))
        matrices = max(len(values) for values in (k, c, *alphas))

        def factor(sample: int) -> Callable[[FloatArray], FloatArray]:
            mine = [values[sample if len(values) > 1 else 0] for values in (k, c, *alphas)]
            blocks = [cells.stiffness(cells.shaped(mine[0]))]
            if mine[1].any():
                blocks[0] = blocks[0] + cells.mass(cells.shaped(mine[1]))
            for facets, alpha in zip(self.discrete.robin.values(), mine[2:], strict=True):
                blocks.append(facets.mass(facets.shaped(alpha)))
            inner = pattern.inner(pattern.values(blocks))[keep][:, keep]
            if method == "direct":
                return self.discrete.lanes.one(inner, pinned=self.singular)
            return factorise(inner, method, problem.tolerance, problem.max_iterations)

        return solver_among(self.free, factor, matrices, problem.workers)

    def _grid_solver(self) -> Callable[[FloatArray], FloatArray]:
        """The compiled multigrid solver, which solves these very systems."""
        from funcspace.solvers.multigrid import solve_grid

        problem, assembly = self.problem, self.assembly
        grid: Any = problem.space.domain
        axes = [axis.coordinates.numpy() for axis in grid.grid_axes]
        cells = tuple(n - 1 for n in grid.shape)
        # The assembly numbers the cells its own way: their centres tell where they stand in the grid.
        centres = assembly.cells.points.reshape(*assembly.cells.weights.shape, grid.dim).mean(axis=1)
        index = tuple(np.searchsorted(axis, x) - 1 for axis, x in zip(axes, centres.T, strict=True))
        order = np.argsort(np.ravel_multi_index(index, cells))
        k, c = (
            values.detach().numpy().reshape(len(values), *assembly.cells.weights.shape).mean(axis=2)[:, order]
            for values in (self.k, self.c)
        )
        sides, alpha = np.zeros((grid.dim, 2), dtype=bool), np.zeros((grid.dim, 2))
        for part in dirichlet_parts(problem, grid):
            for axis, high in sides_of(grid, part):
                sides[axis, high] = True
        for part, (value, _) in problem.robin.items():
            for axis, high in sides_of(grid, part):
                alpha[axis, high] = float(value)  # type: ignore[arg-type]

        def solve(right: FloatArray) -> FloatArray:
            found = solve_grid(
                k.reshape(len(k), *cells), right.reshape(len(right), *grid.shape), dirichlet=sides.tolist(),
                axes=axes, reaction=c.reshape(len(c), *cells), robin=alpha.tolist(),
                tolerance=problem.tolerance, max_iterations=problem.max_iterations, workers=problem.workers,
            )  # fmt: skip
            return found.values.reshape(len(right), -1)

        return solve
