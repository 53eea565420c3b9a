"""A batch of diffusion problems on one mesh, each with a matrix of its own, assembled and solved eight at a time."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcspace.solvers.assembly import Assembly, FacetAssembly, SparsePattern
from funcspace.solvers.coefficient_matrices import CoefficientMatrix
from funcspace.solvers.front_factor import FrontFactor
from funcspace.solvers.front_pattern import nested_dissection
from funcspace.solvers.lane_factors import LANES, LaneFactors
from funcspace.solvers.last_result import LastResult
from funcspace.solvers.nodal_coefficients import nodal_values
from funcspace.solvers.threads import over_columns

__all__ = ["LaneSystems", "factors_among_free", "solve_in_lanes"]

FloatArray = NDArray[np.float64]


class LaneSystems:
    r"""Systems :math:`\int k\nabla u\cdot\nabla v + c\,u v + \oint \alpha\,u v` with scalar k, c, alpha by sample.

    What does not depend on the coefficients, the maps from them to matrix entries and the pattern of the factors, is
    made once.

    Attributes
    ----------
    last : keeps the factor of the last single matrix.
    """

    def __init__(self, assembly: Assembly, pattern: SparsePattern, robin: dict[str, FacetAssembly]) -> None:
        self.assembly, self.pattern, self.robin = assembly, pattern, robin
        self.last: LastResult[Any] = LastResult()

    @cached_property
    def _stiffness(self) -> CoefficientMatrix:
        return CoefficientMatrix.scalar(self.assembly.cells, "grad", self.pattern)

    @cached_property
    def _nodal_stiffness(self) -> CoefficientMatrix:
        return self._stiffness.of_nodal_values(self.assembly.linear_evaluation)

    def nodal(self, coefficient: Any) -> FloatArray | None:
        """Nodal values (samples, nodes) of a positive batch of P1 functions on the very mesh; None for all else."""
        values = nodal_values(self.assembly, coefficient)
        return values if values is not None and values.min(initial=np.inf) > 0.0 else None

    @cached_property
    def _mass(self) -> CoefficientMatrix:
        return CoefficientMatrix.scalar(self.assembly.cells, "value", self.pattern)

    @cached_property
    def _facets(self) -> list[CoefficientMatrix]:
        return [
            CoefficientMatrix.scalar(facets, "value", self.pattern, group)
            for group, facets in enumerate(self.robin.values(), 1)
        ]

    @cached_property
    def factors(self) -> LaneFactors:
        """The pattern of the factors of the matrix among the free dofs."""
        return factors_among_free(self.assembly, self.pattern)

    @cached_property
    def pinned_factors(self) -> LaneFactors:
        """That of the matrix without the first free dof, where the value of a pure Neumann problem is given."""
        return factors_among_free(self.assembly, self.pattern, first=1)

    def one(self, inner: Any, *, pinned: bool = False) -> FrontFactor:
        """What solves for the free dofs, with the matrix among them, loads (n,) or (n, samples)."""
        return (self.pinned_factors if pinned else self.factors).one(inner.data)

    def solve(
        self,
        k: FloatArray,
        c: FloatArray,
        alphas: list[FloatArray],
        load: FloatArray,
        *,
        given: FloatArray,
        nodal: bool = False,
        workers: int | None = None,
    ) -> FloatArray:
        """Solutions (samples, dofs); each array has a row for every sample or one for all.

        Parameters
        ----------
        k, c : values (samples or 1, points) at the quadrature points of cells.
        alphas : values at the quadrature points of the facets of each Robin part.
        load : (samples or 1, dofs).
        given : Dirichlet values (samples or 1, fixed dofs).
        nodal : whether k holds values at the nodes, see `nodal`.
        workers : number of threads; all cores when None.
        """
        samples = max(len(k), len(c), *(len(a) for a in alphas), len(load), len(given), 1)
        pattern = self.pattern
        k, c, *alphas = (np.ascontiguousarray(values) for values in (k, c, *alphas))
        maps = [(self._nodal_stiffness if nodal else self._stiffness, k)] + ([(self._mass, c)] if c.any() else [])
        maps += [(m, a) for m, a in zip(self._facets, alphas, strict=True) if a.any()]
        return solve_in_lanes(self.factors, pattern, maps, load, given=given, samples=samples, workers=workers)


def factors_among_free(assembly: Assembly, pattern: SparsePattern, *, first: int = 0) -> LaneFactors:
    """The pattern of the Cholesky factors of matrices among the free dofs, from the first, second, ... of these on."""
    inner = pattern.inner(np.zeros(pattern.nonzeros))[first:, first:]
    return LaneFactors(inner, nested_dissection(inner, assembly.dof_points[pattern.free[first:]]))


def solve_in_lanes(
    factors: LaneFactors,
    pattern: Any,
    maps: list[tuple[CoefficientMatrix, FloatArray]],
    load: FloatArray,
    *,
    given: FloatArray,
    samples: int,
    workers: int | None,
) -> FloatArray:
    """Solutions (samples, unknowns) of systems whose matrices are sums of maps of coefficients.

    Parameters
    ----------
    factors : of the matrix among the free unknowns.
    pattern : the free and fixed unknowns, and the entries among and between them (`SparsePattern`, `BlockPattern`).
    maps : with the coefficients, in C order, of all samples or one for all.
    load, given : of all samples or one for all.
    """
    coupled = bool(given.any())
    out = np.empty((samples, pattern.size))

    def work(part: slice) -> None:
        for first in range(part.start, part.stop, LANES):
            rows = np.arange(first, min(first + LANES, part.stop))
            # empty lanes repeat the last sample
            lanes = np.minimum(first + np.arange(LANES), part.stop - 1)
            entries = np.zeros((pattern.nonzeros, LANES))
            for matrix, values in maps:
                matrix.add_entries(values, lanes if len(values) > 1 else 0 * lanes, entries)
            right = _rows(load, lanes)[:, pattern.free].T
            if coupled:
                parts = [pattern.coupling(e) @ g for e, g in zip(entries.T, _rows(given, lanes), strict=True)]
                right = right - np.stack(parts, axis=1)
            found = factors.solve(pattern.inner_entries(entries), right)
            out[np.ix_(rows, pattern.free)] = found.T[: len(rows)]
            out[np.ix_(rows, pattern.fixed)] = _rows(given, rows)

    over_columns(work, samples, workers, together=LANES)
    return out


def _rows(values: FloatArray, rows: NDArray[np.int64]) -> FloatArray:
    return values[rows] if len(values) > 1 else np.broadcast_to(values, (len(rows), values.shape[1]))
