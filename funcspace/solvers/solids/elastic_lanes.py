"""A batch of elastic bodies on one mesh, each with moduli of its own, assembled and solved eight at a time."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcspace.solvers.coefficient_matrices import CoefficientMatrix
from funcspace.solvers.lane_systems import solve_in_lanes
from funcspace.solvers.last_result import LastResult
from funcspace.solvers.solids.block_pattern import BlockPattern
from funcspace.solvers.solids.vector_elements import VectorElements

__all__ = ["ElasticLanes"]

FloatArray = NDArray[np.float64]

# Numbers in the tables of all cells: above it (gigabytes) matrices are assembled one at a time.
LARGEST_TABLE = 20_000_000


class ElasticLanes:
    r"""Systems with moduli by sample.

    .. math:: a(u, v) = \int \lambda\,\mathrm{div}\,u\,\mathrm{div}\,v + 2\mu\,\varepsilon(u):\varepsilon(v)

    Attributes
    ----------
    last : keeps the factor of the last single matrix.
    """

    def __init__(self, elements: VectorElements, pattern: BlockPattern) -> None:
        self.elements, self.pattern = elements, pattern
        self._proportional: tuple[tuple[float, float], CoefficientMatrix] | None = None
        self.last: LastResult[Any] = LastResult()

    @property
    def fits(self) -> bool:
        """Whether the tables of this mesh and element fit the memory."""
        elements = self.elements
        return elements.weights.size * (elements.dofs.shape[1] * elements.dim) ** 2 <= LARGEST_TABLE

    @cached_property
    def _tables(self) -> tuple[FloatArray, FloatArray]:
        """Integrands of lambda and of mu, (elements, local entries, q); one q where they are constant in each cell."""
        gradients = self.elements.all_gradients
        if (gradients == gradients[:, :1]).all():
            gradients = gradients[:, :1]
        volumetric = np.einsum("eqai,eqbj->eaibjq", gradients, gradients)
        shear = np.einsum("eaibjq->eajbiq", volumetric).copy()
        products = np.einsum("eaibiq->eabq", volumetric)
        for i in range(self.elements.dim):
            shear[:, :, i, :, i] += products
        shape = (len(gradients), -1, gradients.shape[1])
        return volumetric.reshape(shape), shear.reshape(shape)

    @cached_property
    def _places(self) -> NDArray[np.int64]:
        """Places of local entries in the matrix; those that nothing reads are -1."""
        places = self.pattern.places(len(self.elements.dofs))
        return np.where(self.pattern.needed[places], places, -1).reshape(len(places), -1)

    def _matrix(self, table: FloatArray) -> CoefficientMatrix:
        return CoefficientMatrix(table, self.elements.weights, self._places, self.pattern.nonzeros)

    @cached_property
    def _of_moduli(self) -> tuple[CoefficientMatrix, CoefficientMatrix]:
        volumetric, shear = self._tables
        return self._matrix(volumetric), self._matrix(shear)

    def _of_nodal_values(self, per_lambda: float, per_mu: float) -> CoefficientMatrix:
        """The matrix of lambda = per_lambda E and mu = per_mu E, from nodal values of E."""
        kept = self._proportional
        if kept is None or kept[0] != (per_lambda, per_mu):
            volumetric, shear = self._tables
            whole = self._matrix(per_lambda * volumetric + per_mu * shear)
            evaluation = self.elements.assembly.linear_evaluation
            kept = self._proportional = ((per_lambda, per_mu), whole.of_nodal_values(evaluation))
        return kept[1]

    def solve(
        self, lame_lambda: FloatArray, lame_mu: FloatArray, load: FloatArray, given: FloatArray, workers: int | None
    ) -> FloatArray:
        """Displacements (samples, unknowns); each array has a row for every sample or one for all.

        Parameters
        ----------
        lame_lambda, lame_mu : values (samples or 1, points) at the quadrature points.
        load : nodal forces (samples or 1, unknowns).
        given : displacements (samples or 1, fixed unknowns).
        """
        maps = [
            (matrix, np.ascontiguousarray(values))
            for matrix, values in zip(self._of_moduli, (lame_lambda, lame_mu), strict=True)
        ]
        return self._solve(maps, load, given, workers)

    def solve_proportional(
        self,
        young: FloatArray,
        per_young: tuple[float, float],
        load: FloatArray,
        given: FloatArray,
        workers: int | None,
    ) -> FloatArray:
        """As `solve`, for moduli lambda and mu that are multiples of one with nodal values (samples, nodes)."""
        return self._solve([(self._of_nodal_values(*per_young), young)], load, given, workers)

    def _solve(
        self,
        maps: list[tuple[CoefficientMatrix, FloatArray]],
        load: FloatArray,
        given: FloatArray,
        workers: int | None,
    ) -> FloatArray:
        samples = max(*(len(values) for _, values in maps), len(load), len(given))
        factors = self.pattern.factors
        return solve_in_lanes(factors, self.pattern, maps, load, given=given, samples=samples, workers=workers)
