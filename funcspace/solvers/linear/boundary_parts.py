"""Where the boundary conditions of a linear problem act on a discrete space."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from funcspace.errors import InputError
from funcspace.geometry.domain import Domain
from funcspace.solvers.assembly import Assembly, FacetAssembly, SparsePattern
from funcspace.solvers.front_factor import NotPositiveError
from funcspace.solvers.lane_factors import LaneFactors
from funcspace.solvers.lane_systems import factors_among_free
from funcspace.solvers.problem_data import values_at
from funcspace.solvers.sparse_systems import factorise

__all__ = ["BoundaryParts", "check_parts", "check_robin"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class BoundaryParts:
    """Facets of the natural parts, dofs of the Dirichlet parts, and the sparsity they leave.

    Parameters
    ----------
    assembly : the discrete space.
    dirichlet : names of the parts whose values are given, later ones hold where they meet; None for all of the boundary
        that `natural` and `coupled` do not name.
    natural : names of parts with a load.
    coupled : names of parts with a load and an integral of u v.
    """

    def __init__(
        self,
        assembly: Assembly,
        dirichlet: Iterable[str] | None,
        *,
        natural: Iterable[str] = (),
        coupled: Iterable[str] = (),
    ) -> None:
        parts = assembly.parts
        natural, coupled = tuple(natural), tuple(coupled)
        if dirichlet is None:
            named = [parts[part] for part in (*natural, *coupled)]
            taken = np.concatenate(named) if named else np.empty(0, dtype=np.int64)
            self.dirichlet = {"": assembly.facet_dofs(np.setdiff1d(parts["boundary"], taken))}
        else:
            self.dirichlet = {part: assembly.facet_dofs(parts[part]) for part in dirichlet}
        dofs = list(self.dirichlet.values())
        self.fixed: IntArray = np.unique(np.concatenate(dofs)) if dofs else np.empty(0, dtype=np.int64)
        self.free: IntArray = np.setdiff1d(np.arange(assembly.size), self.fixed)
        self.coupled = {part: assembly.facets(parts[part]) for part in coupled}
        self.natural: dict[str, FacetAssembly] = {
            part: self.coupled.get(part) or assembly.facets(parts[part])
            for part in dict.fromkeys((*natural, *coupled))
            if len(parts[part])
        }
        self.cells_dofs: IntArray = assembly.cells.dofs
        groups = [self.cells_dofs, *(facets.dofs for facets in self.coupled.values())]
        self.pattern = SparsePattern(groups, assembly.size, self.free)
        self._assembly = assembly

    @cached_property
    def factors(self) -> LaneFactors:
        """The pattern of the Cholesky factors of matrices among the free dofs."""
        return factors_among_free(self._assembly, self.pattern)

    def factorise(
        self, values: FloatArray, method: Literal["direct", "multigrid"], tolerance: float, max_iterations: int
    ) -> Callable[[FloatArray], FloatArray]:
        """A function that solves among the free dofs, for right-hand sides (n,) or (n, k), by entries of the matrix.

        Directly, by the Cholesky factor where there is one and by LU factors where the matrix is indefinite; each
        column has the same bits whatever stands beside it.

        Raises
        ------
        SolverError
            When the matrix is singular.
        """
        if method == "direct" and len(self.free):
            try:
                return self.factors.one(self.pattern.inner_entries(values))
            except NotPositiveError:
                pass
        return factorise(self.pattern.inner(values), method, tolerance, max_iterations, many=True)

    def at(self, part: str, data: Any, name: str, dtype: torch.dtype = torch.float64) -> Any:
        """Values (samples or 1, points) at the quadrature points of a natural part."""
        facets = self.natural[part]
        return values_at(
            data, facets.points, name, same_space=lambda f: self._assembly.own_values(facets, f), dtype=dtype
        )

    def load(self, data: Mapping[str, Any], kind: str, dtype: torch.dtype = torch.float64) -> Any:
        """The sum of the loads of some parts, by part name: (samples or 1, size); 0.0 for none."""
        total: Any = 0.0
        for part, g in data.items():
            if part in self.natural and not _is_zero(g):
                values = self.at(part, g, f"{kind}[{part!r}]", dtype)
                total = total + self.natural[part].load(values, self._assembly.size)
        return total

    def given(self, data: Mapping[str, Any] | None, dtype: torch.dtype = torch.float64) -> Any:
        """Dirichlet values (samples or 1, fixed dofs); zero where data is None."""
        points = self._assembly.dof_points
        columns = []
        for part, dofs in self.dirichlet.items():
            g = 0.0 if data is None else data[part]
            columns.append((dofs, values_at(g, points[dofs], f"dirichlet[{part!r}]", dtype=dtype)))
        samples = max((len(values) for _, values in columns), default=1)
        found = np.zeros((samples, self._assembly.size), np.complex128 if dtype.is_complex else np.float64)
        for dofs, values in columns:
            found[:, dofs] = values
        return found[:, self.fixed]


def check_parts(domain: Domain, **kinds: Iterable[str] | None) -> None:
    """Raise an InputError that lists the known parts unless all names are among them, and natural ones unique."""
    known = set(domain.boundary)
    seen: dict[str, str] = {}
    for kind, parts in kinds.items():
        for part in parts or ():
            if part not in known:
                raise InputError(f"{kind} names the part {part!r}; this domain has {sorted(known)}")
            if kind != "dirichlet" and part in seen:
                raise InputError(f"the part {part!r} has a condition in {seen[part]} and in {kind}; give it one")
            if kind != "dirichlet":
                seen[part] = kind


def check_robin(robin: Mapping[str, Any]) -> None:
    """Raise an InputError unless each condition is a pair (alpha, g)."""
    for part, pair in robin.items():
        if not (isinstance(pair, tuple | list) and len(pair) == 2):
            raise InputError(f"robin[{part!r}] must be a pair (alpha, g); got {pair!r}")


def _is_zero(data: Any) -> bool:
    return isinstance(data, int | float | complex) and data == 0
