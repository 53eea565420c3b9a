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
from funcspace.functions import Function
from funcspace.geometry import Grid
from funcspace.solvers.grid_poisson import dirichlet_parts, fits_grid_solver, sides_of
from funcspace.solvers.problem_data import check_coefficient, is_tracked, tensors_at
from funcspace.solvers.sparse_solve import Solver, solve_with
from funcspace.solvers.sparse_systems import choose_method, factorise
from funcspace.solvers.threads import over_threads

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

    The system is K(k, c, alpha)_ff u_f = b_f - K_fg g, its entries and loads linear in the data and assembled in torch;
    only the solve itself has a derivative of its own, see `sparse_solve`.
    """
    return _TrackedSolve(problem).solution()


class _TrackedSolve:
    """One solve: its data as tensors at quadrature points, its matrices as tensors of entries."""

    def __init__(self, problem: Poisson) -> None:
        self.problem, self.assembly, self.discrete = problem, problem.assembly, problem._discrete
        cells, d = self.assembly.cells, problem.space.domain.dim
        self.k = self._at(cells, problem.coefficient, "coefficient", ((), (d, d)))
        check_coefficient(self.k.detach().numpy(), cells.points)
        self.c = self._at(cells, problem.reaction, "reaction")
        if isinstance(problem.space.domain, Grid):
            self.k, self.c = (self._cell_means(values) if values.ndim == 2 else values for values in (self.k, self.c))
        self.alphas = [
            self._at(facets, problem.robin[part][0], f"robin[{part!r}] alpha")
            for part, facets in self.discrete.robin.items()
        ]
        signs = {"reaction": self.c}
        signs |= {f"robin[{p!r}] alpha": alpha for p, alpha in zip(problem.robin, self.alphas, strict=True)}
        for name, values in signs.items():
            if bool((values < 0).any()):
                raise InputError(f"{name} must not be negative: the system would not be positive definite")

    def solution(self) -> Tensor:
        from funcspace.solvers.poisson import balanced

        pattern, size = self.discrete.pattern, self.assembly.size
        parts = self._loads()
        load = sum(parts[1:], parts[0])
        given = self._given()
        entries = self._entries()
        samples = max(len(load), len(given), len(entries))
        singular = not len(pattern.fixed) and not bool(self.c.any()) and not any(bool(a.any()) for a in self.alphas)
        if singular:
            sizes = sum((part.detach().abs().sum(dim=1) for part in parts), torch.zeros(1)).numpy()
            balanced(load.detach().numpy(), self.discrete.ones_mass, sizes)
            ones = torch.from_numpy(self.discrete.ones_mass)
            load = load - load.sum(dim=1, keepdim=True) / ones.sum() * ones
        right = load[:, pattern.free]
        if len(pattern.fixed):
            places, rows, columns = (torch.from_numpy(index) for index in pattern.coupling_entries())
            lifted = entries[:, places] * given[:, columns]
            right = right - torch.zeros(len(lifted), len(pattern.free), dtype=torch.float64).index_add(1, rows, lifted)
        places, rows, columns = pattern.inner_entries()
        if singular:  # one unknown is pinned, the mean is set afterwards
            kept = (rows > 0) & (columns > 0)
            places, rows, columns = places[kept], rows[kept] - 1, columns[kept] - 1
            right = right[:, 1:]
        inner = entries[:, torch.from_numpy(places)]
        found = torch.zeros(samples, right.shape[1], dtype=torch.float64)
        if right.shape[1]:
            found = solve_with(
                self._solver(entries, singular), inner.expand(samples, -1), right.expand(samples, -1),
                torch.from_numpy(rows), torch.from_numpy(columns),
            )  # fmt: skip
        free = torch.from_numpy(pattern.free[1:] if singular else pattern.free)
        whole = torch.zeros(samples, size, dtype=torch.float64).index_copy(1, free, found)
        if len(pattern.fixed):
            whole = whole.index_copy(1, torch.from_numpy(pattern.fixed), given.expand(samples, -1))
        if singular:
            weights = torch.from_numpy(self.discrete.ones_mass)
            whole = whole - ((whole @ weights) / weights.sum())[:, None]
        return whole

    def _at(self, elements: Any, data: Any, name: str, shapes: tuple[tuple[int, ...], ...] = ((),)) -> Tensor:
        def own(function: Function) -> Tensor | None:
            if not self.assembly.owns(function):
                return None
            shape = function.space.coefficient_shape
            flat = function.coefficients.to("cpu", torch.float64).reshape(-1, self.assembly.size, *shape[1:])
            return elements.evaluation(flat.movedim(1, -1)).movedim(-1, 1)

        return tensors_at(data, elements.points, name, shapes=shapes, same_space=own)

    def _cell_means(self, values: Tensor) -> Tensor:
        shape = self.assembly.cells.weights.shape
        means = values.reshape(len(values), *shape).mean(dim=2, keepdim=True)
        return means.expand(len(values), *shape).reshape(values.shape)

    def _loads(self) -> list[Tensor]:
        problem, discrete, cells = self.problem, self.discrete, self.assembly.cells
        loads = [_tested(cells, self._at(cells, problem.source, "source"))]
        for part, facets in discrete.robin.items():
            loads.append(_tested(facets, self._at(facets, problem.robin[part][1], f"robin[{part!r}] g")))
        for part, facets in discrete.neumann.items():
            loads.append(_tested(facets, self._at(facets, problem.neumann[part], f"neumann[{part!r}]")))
        return loads

    def _given(self) -> Tensor:
        """Dirichlet values (samples or 1, fixed dofs)."""
        problem, places = self.problem, self.problem.space.dof_points
        assert places is not None
        points = places.numpy()
        found = torch.zeros(1, len(points), dtype=torch.float64)
        for part, dofs in self.discrete.dirichlet.items():
            data = 0.0 if problem.dirichlet is None else problem.dirichlet[part]
            values = tensors_at(data, points[dofs], f"dirichlet[{part!r}]")
            found = found.expand(max(len(found), len(values)), -1)
            found = found.index_copy(1, torch.from_numpy(dofs), values.expand(len(found), -1))
        return found[:, self.discrete.pattern.fixed]

    def _entries(self) -> Tensor:
        """Entries of the whole matrix (samples or 1, nonzeros)."""
        cells = self.assembly.cells
        gradients = torch.from_numpy(np.ascontiguousarray(cells.table("grad", slice(None)).transpose(2, 3, 0, 1)))
        weights = torch.from_numpy(cells.weights)
        k = self.k.reshape(len(self.k), *weights.shape, *self.k.shape[2:])
        if k.ndim == 3:
            local = torch.einsum("beq,eqia,eqja->beij", k * weights, gradients, gradients)
        else:
            flux = torch.einsum("beqac,eqjc->beqja", k * weights[..., None, None], gradients)
            local = torch.einsum("eqia,beqja->beij", gradients, flux)
        blocks = [local.flatten(1)]
        if self.c.requires_grad or bool(self.c.any()):
            reaction = _local_mass(cells, self.c).flatten(1)
            blocks[0] = blocks[0] + reaction
        blocks += [
            _local_mass(facets, alpha).flatten(1)
            for facets, alpha in zip(self.discrete.robin.values(), self.alphas, strict=True)
        ]
        samples = max(len(block) for block in blocks)
        flat = torch.cat([block.expand(samples, -1) for block in blocks], dim=1)
        pattern = self.discrete.pattern
        slots = torch.from_numpy(pattern.slots.reshape(-1))
        return torch.zeros(samples, pattern.nonzeros, dtype=torch.float64).index_add(1, slots, flat)

    def _solver(self, entries: Tensor, singular: bool) -> Solver:
        if not singular and self.k.ndim == 2 and fits_grid_solver(self.problem):
            return self._grid_solver()
        problem, pattern = self.problem, self.discrete.pattern
        method = choose_method(problem.method, len(pattern.free), problem.space.domain.dim)
        keep = slice(1, None) if singular else slice(None)
        values = entries.detach().numpy()
        solves: list[Callable[[FloatArray], FloatArray]] = [lambda load: load] * len(values)

        def factor(start: int, stop: int) -> None:
            for sample in range(start, stop):
                inner = pattern.inner(values[sample])[keep][:, keep]
                solves[sample] = factorise(inner, method, problem.tolerance, problem.max_iterations)

        over_threads(factor, len(values), problem.workers)

        def solve(right: FloatArray, transposed: bool) -> FloatArray:
            if len(solves) == 1:
                return np.ascontiguousarray(solves[0](np.ascontiguousarray(right.T)).T)
            found = np.empty_like(right)

            def work(start: int, stop: int) -> None:
                for sample in range(start, stop):
                    found[sample] = solves[sample](right[sample])

            over_threads(work, len(right), problem.workers)
            return found

        return solve

    def _grid_solver(self) -> Solver:
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
            values.detach().numpy().reshape(len(values), *assembly.cells.weights.shape)[:, order, 0]
            for values in (self.k, self.c)
        )
        sides, alpha = np.zeros((grid.dim, 2), dtype=bool), np.zeros((grid.dim, 2))
        for part in dirichlet_parts(problem, grid):
            for axis, high in sides_of(grid, part):
                sides[axis, high] = True
        for part, (value, _) in problem.robin.items():
            for axis, high in sides_of(grid, part):
                alpha[axis, high] = float(value)  # type: ignore[arg-type]
        free = self.discrete.pattern.free

        def solve(right: FloatArray, transposed: bool) -> FloatArray:
            load = np.zeros((len(right), self.assembly.size))
            load[:, free] = right
            return solve_grid(
                k.reshape(len(k), *cells), load.reshape(len(load), *grid.shape), dirichlet=sides.tolist(),
                axes=axes, reaction=c.reshape(len(c), *cells), robin=alpha.tolist(),
                tolerance=problem.tolerance, max_iterations=problem.max_iterations, workers=problem.workers,
            ).values.reshape(len(load), -1)[:, free]  # fmt: skip

        return solve


def _tested(elements: Any, values: Tensor) -> Tensor:
    """Integrals of values (samples, points) against the basis functions."""
    return elements.evaluation.T(values * torch.from_numpy(elements.weights.ravel()))


def _local_mass(elements: Any, values: Tensor) -> Tensor:
    phi = torch.from_numpy(np.ascontiguousarray(np.moveaxis(elements.table("value", slice(None)), 0, -1)))
    weighted = values.reshape(len(values), *elements.weights.shape) * torch.from_numpy(elements.weights)
    return torch.einsum("beq,eqi,eqj->beij", weighted, phi, phi)
