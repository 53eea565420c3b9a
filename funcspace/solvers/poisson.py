"""The Poisson equation with variable coefficients, reaction and mixed boundary conditions, on meshes and grids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from funcspace.errors import InputError, SolverError
from funcspace.functions import Function, FunctionSpace
from funcspace.geometry import Grid
from funcspace.geometry.domain import Domain
from funcspace.solvers.assembly import Assembly, FacetAssembly, SparsePattern
from funcspace.solvers.front_factor import FrontFactor
from funcspace.solvers.lane_systems import LaneSystems
from funcspace.solvers.problem_arguments import by_part, check_data, check_iteration, checked_workers
from funcspace.solvers.problem_data import Data, batch_shape, check_coefficient, values_at
from funcspace.solvers.sparse_systems import Method, choose_method, factorise
from funcspace.solvers.threads import over_columns, over_threads

__all__ = ["Poisson"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# Source and flux of a pure Neumann problem are integrated by quadrature: up to this imbalance they count as balanced.
BALANCE = 1e-2


class Poisson:
    r"""Diffusion and reaction with boundary conditions on named parts.

    -div(k grad u) + c u = f in the domain
    u = g on Dirichlet parts;  k du/dn = g on Neumann parts;  k du/dn + alpha u = g on Robin parts

    n points outwards, so that a positive Neumann value g is flux into the domain. With u in U and lengths in L, f is in
    [k] U / L^2, a Neumann g in [k] U / L, alpha in [k] / L, c in [k] / L^2.

    Data may be numbers, callables of float64 torch points (n, d) that return torch or numpy values, or Functions on
    any space that reaches the domain. Functions with a batch make a batch of problems: the sparsity pattern is built
    once, the factorisation is reused where only sources and boundary values vary, and samples are spread over all
    cores. Where Dirichlet parts meet, the later one holds.

    On a Mesh: elements P1, P2, Q1, Q2; data are taken at quadrature points. On a vertex Grid: multilinear elements
    ("linear"), with scalar k and c replaced by their means over cells (for a Function on the grid itself, the mean
    of the corner values). In one and two dimensions without periodic axes, with scalar k and numbers for alpha,
    `solve_grid` solves these systems, unless method="direct".

    Parameters
    ----------
    domain : a Mesh, straight or curved, or a Grid.
    element : element of the solution; P1, Q1 or "linear" by default.
    coefficient : k > 0, or symmetric positive definite (d, d) values.
    source : f.
    dirichlet : g by part name. By default 0 on all of the boundary that `neumann` and `robin` do not name; {} for none.
    neumann : g by part name; parts that nothing names have g = 0.
    robin : (alpha, g) by part name, alpha >= 0.
    reaction : c >= 0.
    method : "direct", "multigrid" or "auto", by the number of unknowns.
    tolerance : relative residual of the iterative methods.
    max_iterations : bound on iterations of these.
    workers : number of threads over a batch; all cores by default.

    Raises
    ------
    InputError : an unknown part (the message lists the known ones), data that are not finite, a coefficient that is
        not positive.
    DomainError : a domain or basis this equation is not solved on.
    SolverError : no convergence, or a pure Neumann problem whose source and flux do not balance. Where they balance
        the solution of mean zero is returned; an imbalance below one percent, the size of quadrature errors, is
        spread evenly over the domain.

    Examples
    --------
    >>> import torch
    >>> import funcspace as fs
    >>> u = Poisson(fs.Mesh.rectangle(0.1), "P2", source=1.0).solve()
    >>> round(float(u(torch.tensor([[0.5, 0.5]]))), 4)
    0.0737
    """

    def __init__(
        self,
        domain: Domain,
        element: str | None = None,
        *,
        coefficient: Data = 1.0,
        source: Data = 0.0,
        dirichlet: Mapping[str, Data] | None = None,
        neumann: Mapping[str, Data] | None = None,
        robin: Mapping[str, tuple[Data, Data]] | None = None,
        reaction: Data = 0.0,
        method: Method = "auto",
        tolerance: float = 1e-10,
        max_iterations: int = 500,
        workers: int | None = None,
    ) -> None:
        self.space = FunctionSpace(domain, element)
        check_iteration(tolerance, max_iterations)
        choose_method(method, 1, 1)
        self.coefficient, self.source, self.reaction = coefficient, source, reaction
        self.neumann, self.robin = by_part(neumann, "neumann"), by_part(robin, "robin")
        self.dirichlet = None if dirichlet is None else by_part(dirichlet, "dirichlet")
        self.method: Method = method
        self.tolerance, self.max_iterations, self.workers = tolerance, max_iterations, checked_workers(workers)
        self._made: dict[str, Any] = {}
        known = set(domain.boundary)
        for kind, parts in (("dirichlet", self.dirichlet or {}), ("neumann", self.neumann), ("robin", self.robin)):
            for part in parts:
                if part not in known:
                    raise InputError(f"{kind} names the part {part!r}; this domain has {sorted(known)}")
        for part, pair in self.robin.items():
            if not (isinstance(pair, tuple | list) and len(pair) == 2):
                raise InputError(f"robin[{part!r}] must be a pair (alpha, g); got {pair!r}")
        both = set(self.neumann) & set(self.robin)
        if both:
            raise InputError(
                f"the part {sorted(both)[0]!r} has a Neumann and a Robin condition; a Robin one holds both"
            )
        check_data(self._all_data(), ("coefficient",), not_negative=("reaction",))

    def with_data(self, **data: Any) -> Poisson:
        """The same problem with some of coefficient, source, reaction, dirichlet, neumann, robin replaced.

        The matrices' sparsity pattern and quadrature are shared where the conditions stay on the same parts.
        """
        unknown = set(data) - {"coefficient", "source", "reaction", "dirichlet", "neumann", "robin"}
        if unknown:
            raise InputError(
                f"with_data takes coefficient, source, reaction, dirichlet, neumann, robin; got {sorted(unknown)[0]!r}"
            )
        current = {
            "coefficient": self.coefficient, "source": self.source, "reaction": self.reaction,
            "dirichlet": self.dirichlet, "neumann": self.neumann, "robin": self.robin,
        }  # fmt: skip
        other = Poisson(
            self.space.domain, self.space.element, **(current | data), method=self.method, tolerance=self.tolerance,
            max_iterations=self.max_iterations, workers=self.workers,
        )  # fmt: skip
        # What either of them makes first serves both.
        same = other._parts_named() == self._parts_named()
        other._made = self._made if same else {key: self._made[key] for key in self._made if key == "assembly"}
        return other

    def _parts_named(self) -> tuple[Any, ...]:
        return (None if self.dirichlet is None else tuple(self.dirichlet), tuple(self.neumann), tuple(self.robin))

    def solve(self) -> Function:
        """The solution, a Function of the problem's space, with the batch shape of the data.

        Where data are part of an autograd graph (Functions whose coefficients require gradients, tensors, callables
        such as networks), so is the solution: derivatives come from the adjoint system, see `element_solve`.
        """
        from funcspace.solvers.differentiable_poisson import has_tracked_data, solve_tracked
        from funcspace.solvers.grid_poisson import fits_grid_solver, solve_on_grid

        batch = batch_shape(self._all_data())
        if has_tracked_data(self):
            tracked = solve_tracked(self)
            return Function(self.space, tracked.reshape(*batch, *self.space.coefficient_shape), name="u")
        values = solve_on_grid(self) if fits_grid_solver(self) else self._solve_assembled()
        return Function(self.space, torch.from_numpy(values.reshape(*batch, *self.space.coefficient_shape)), name="u")

    def _matrices_vary(self) -> bool:
        """Whether the samples of a batch have matrices of their own."""
        data = (self.coefficient, self.reaction, *(alpha for alpha, _ in self.robin.values()))
        return any(isinstance(value, Function) and value.batch_shape for value in data)

    def _all_data(self) -> dict[str, Any]:
        found: dict[str, Any] = {"coefficient": self.coefficient, "source": self.source, "reaction": self.reaction}
        found |= {f"dirichlet[{part!r}]": g for part, g in (self.dirichlet or {}).items()}
        found |= {f"neumann[{part!r}]": g for part, g in self.neumann.items()}
        for part, (alpha, g) in self.robin.items():
            found |= {f"robin[{part!r}] alpha": alpha, f"robin[{part!r}] g": g}
        return found

    @property
    def assembly(self) -> Assembly:
        """Quadrature and basis functions on the domain."""
        if "assembly" not in self._made:
            self._made["assembly"] = Assembly(self.space)
        return self._made["assembly"]

    @property
    def _discrete(self) -> _Discrete:
        if "discrete" not in self._made:
            self._made["discrete"] = _Discrete.of(self)
        return self._made["discrete"]

    def _solve_assembled(self) -> FloatArray:
        assembly, discrete = self.assembly, self._discrete
        cells = assembly.cells
        d = self.space.domain.dim

        def at_cells(data: Any, name: str, shapes: tuple[tuple[int, ...], ...] = ((),)) -> FloatArray:
            return values_at(
                data, cells.points, name, shapes=shapes, same_space=lambda f: assembly.own_values(cells, f)
            )

        on_grid = isinstance(self.space.domain, Grid)
        # On a grid the rule's points have equal weights in a cell: their mean is the cell's mean.
        c = at_cells(self.reaction, "reaction")
        c = cells.averaged(c) if on_grid else c
        scalar = isinstance(self.source, Function) and not self.source.space.value_shape
        own = assembly.own_loads(self.source) if scalar else None
        alphas, loads = [], [cells.load(at_cells(self.source, "source"), assembly.size) if own is None else own]
        for part, facets in discrete.robin.items():
            alpha, g = self.robin[part]
            alphas.append(_at_facets(assembly, facets, alpha, f"robin[{part!r}] alpha"))
            loads.append(facets.load(_at_facets(assembly, facets, g, f"robin[{part!r}] g"), assembly.size))
        for part, facets in discrete.neumann.items():
            values = _at_facets(assembly, facets, self.neumann[part], f"neumann[{part!r}]")
            loads.append(facets.load(values, assembly.size))
        for name, values in (
            ("reaction", c),
            *((f"robin[{part!r}] alpha", a) for part, a in zip(self.robin, alphas, strict=True)),
        ):
            if (values < 0).any():
                raise InputError(f"{name} must not be negative: the system would not be positive definite")
        given = discrete.given(self)
        singular = not len(discrete.pattern.fixed) and not c.any() and not any(a.any() for a in alphas)
        load = sum(loads[1:], loads[0])
        if singular:
            load = balanced(load, discrete.ones_mass, sum((np.abs(part).sum(axis=1) for part in loads), np.zeros(1)))
        in_lanes = not singular and self._in_lanes()
        nodal = discrete.lanes.nodal(self.coefficient) if in_lanes else None
        if nodal is None:
            k = at_cells(self.coefficient, "coefficient", ((), (d, d)))
            check_coefficient(k, cells.points)
            k = cells.averaged(k) if on_grid and k.ndim == 2 else k
        else:
            k = nodal
        if in_lanes and k.ndim == 2:
            return discrete.lanes.solve(k, c, alphas, load, given=given, nodal=nodal is not None, workers=self.workers)
        return self._solve_systems(k, c, alphas, load, given, singular)

    def _in_lanes(self) -> bool:
        """Whether the samples of a batch have matrices of their own that are solved directly."""
        free = len(self._discrete.pattern.free)
        return (
            choose_method(self.method, free, self.space.domain.dim) == "direct" and self._matrices_vary() and free > 0
        )

    def _solve_systems(
        self,
        k: FloatArray,
        c: FloatArray,
        alphas: list[FloatArray],
        load: FloatArray,
        given: FloatArray,
        singular: bool,
    ) -> FloatArray:
        discrete, cells = self._discrete, self.assembly.cells
        matrices = max(len(k), len(c), *(len(a) for a in alphas), 1)
        samples = max(matrices, len(load), len(given))
        pattern = discrete.pattern
        # One unknown of a pure Neumann problem is pinned; the mean is set afterwards.
        keep = slice(1, None) if singular else slice(None)
        method = choose_method(self.method, len(pattern.free), self.space.domain.dim)
        out = np.empty((samples, self.assembly.size))
        by_fronts = method == "direct" and len(pattern.free) > singular

        def system(sample: int) -> tuple[Any, Any]:
            local = cells.stiffness(cells.shaped(_pick(k, sample)))
            if c.any():
                local = local + cells.mass(cells.shaped(_pick(c, sample)))
            blocks = [local]
            for facets, alpha in zip(discrete.robin.values(), alphas, strict=True):
                blocks.append(facets.mass(facets.shaped(_pick(alpha, sample))))
            values = pattern.values(blocks)
            inner = pattern.inner(values)[keep][:, keep]
            if by_fronts:
                return discrete.lanes.one(inner, pinned=singular), pattern.coupling(values)
            return factorise(inner, method, self.tolerance, self.max_iterations), pattern.coupling(values)

        def finish(rows: slice, solve: Any, coupling: Any) -> None:
            right = np.broadcast_to(load, (samples, load.shape[1]))[rows]
            values = np.broadcast_to(given, (samples, given.shape[1]))[rows]
            if values.any():
                right = right.copy()
                right[:, pattern.free] -= (coupling @ values.T).T
            unknown = pattern.free[keep]
            if singular:
                out[rows, pattern.free] = 0.0
            if isinstance(solve, FrontFactor):
                solve.rows(right, unknown, out[rows])
            elif len(unknown):
                out[rows, unknown] = solve(np.ascontiguousarray(right[:, unknown].T)).T
            out[rows, pattern.fixed] = values

        if matrices == 1:
            last = discrete.lanes.last
            solve, coupling = last([k, c, *alphas], lambda: system(0)) if by_fronts else system(0)
            over_columns(lambda rows: finish(rows, solve, coupling), samples, self.workers)
        else:

            def work(start: int, stop: int) -> None:
                for sample in range(start, stop):
                    finish(slice(sample, sample + 1), *system(sample))

            over_threads(work, samples, self.workers)
        if singular:
            weights = discrete.ones_mass
            # One sample at a time, so that its bits do not depend on the batch.
            out -= np.array([(values * weights).sum() / weights.sum() for values in out])[:, None]
        return out

    def __repr__(self) -> str:
        conditions = {"dirichlet": self.dirichlet, "neumann": self.neumann, "robin": self.robin}
        shown = ", ".join(f"{kind} on {sorted(parts)}" for kind, parts in conditions.items() if parts)
        return f"Poisson({self.space.element!r} on {self.space.domain!r}{', ' + shown if shown else ''})"


@dataclass(frozen=True)
class _Discrete:
    """What the discrete problem has that its data do not change."""

    pattern: SparsePattern
    neumann: dict[str, FacetAssembly]
    robin: dict[str, FacetAssembly]
    dirichlet: dict[str, IntArray]
    ones_mass: FloatArray
    lanes: LaneSystems

    @classmethod
    def of(cls, problem: Poisson) -> _Discrete:
        assembly = problem.assembly
        parts = assembly.parts
        natural = {part: parts[part] for part in (*problem.neumann, *problem.robin)}
        if problem.dirichlet is None:
            named = np.concatenate(list(natural.values())) if natural else np.empty(0, dtype=np.int64)
            dirichlet = {"": assembly.facet_dofs(np.setdiff1d(parts["boundary"], named))}
        else:
            dirichlet = {part: assembly.facet_dofs(parts[part]) for part in problem.dirichlet}
        fixed = np.unique(np.concatenate(list(dirichlet.values()))) if dirichlet else np.empty(0, dtype=np.int64)
        neumann = {part: assembly.facets(natural[part]) for part in problem.neumann if len(natural[part])}
        robin = {part: assembly.facets(natural[part]) for part in problem.robin}
        free = np.setdiff1d(np.arange(assembly.size), fixed)
        pattern = SparsePattern([assembly.cells.dofs, *(facets.dofs for facets in robin.values())], assembly.size, free)
        ones = assembly.cells.load(np.ones((1, len(assembly.cells.points))), assembly.size)[0]
        return cls(pattern, neumann, robin, dirichlet, ones, LaneSystems(assembly, pattern, robin))

    def given(self, problem: Poisson) -> FloatArray:
        """Dirichlet values (samples or 1, fixed dofs)."""
        points = problem.assembly.dof_points
        columns: list[tuple[IntArray, FloatArray]] = []
        for part, dofs in self.dirichlet.items():
            data = 0.0 if problem.dirichlet is None else problem.dirichlet[part]
            columns.append((dofs, values_at(data, points[dofs], f"dirichlet[{part!r}]")))
        samples = max((len(values) for _, values in columns), default=1)
        found = np.zeros((samples, len(points)))
        for dofs, values in columns:
            found[:, dofs] = values
        return found[:, self.pattern.fixed]


def balanced(load: FloatArray, ones_mass: FloatArray, size: FloatArray) -> FloatArray:
    """The load of a pure Neumann problem with its imbalance spread over the domain.

    Raises
    ------
    SolverError
        When source and flux do not balance.
    """
    total = load.sum(axis=1)
    bad = np.flatnonzero(np.abs(total) > BALANCE * size)
    if bad.size:
        first = int(bad[0])
        raise SolverError(
            "a pure Neumann problem has a solution only where source and boundary flux balance: the integral of f plus "
            f"that of g must be 0; it is {total[first]:.6g} for sample {first}. Give a Dirichlet or Robin part or a "
            "reaction, or subtract the mean from the source"
        )
    return load - np.outer(total / ones_mass.sum(), ones_mass)


def _at_facets(assembly: Assembly, facets: FacetAssembly, data: Any, name: str) -> FloatArray:
    return values_at(data, facets.points, name, same_space=lambda f: assembly.own_values(facets, f))


def _pick(values: FloatArray, sample: int) -> FloatArray:
    return values[sample if len(values) > 1 else 0]
