"""Quadrature on reference cells, and linear maps that are built when first used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from torch import Tensor

from funcspace.functions.maps.linear_map import LinearMap
from funcspace.geometry.meshes.reference_cells import REFERENCE_CELLS, gauss_quadrature
from funcspace.optional import require

__all__ = ["DeferredMap", "cell_rule"]

FloatArray = NDArray[np.float64]

INSIDE = 1e-3
ROUNDING = 1e-14


@lru_cache(maxsize=64)
def cell_rule(cell_type: str, degree: int) -> tuple[FloatArray, FloatArray]:
    """Points (q, d) and positive weights (q,) on a reference cell, exact to `degree` (per variable off simplices).

    The smaller of the Gauss product rule and scikit-fem's rules for triangles and tetrahedra. Of the latter those are
    left out that have negative weights, or points on the boundary of the cell, where gradients have two values, or that
    are not exact to the degree asked for (on tetrahedra those listed from 5 on are exact to one degree less).
    """
    best = gauss_quadrature(cell_type, degree)
    if cell_type not in ("triangle", "tetrahedron"):
        return best
    module = require("skfem.quadrature", feature="finite elements", install="pip install scikit-fem")
    rule: Callable[[int], Any] = {"triangle": module.get_quadrature_tri, "tetrahedron": module.get_quadrature_tet}[
        cell_type
    ]
    for order in range(max(degree, 1), degree + 4):
        try:
            points, weights = rule(order)
        except NotImplementedError:
            break
        found = np.ascontiguousarray(points.T), np.asarray(weights)
        inside = REFERENCE_CELLS[cell_type].inside(found[0]).min() > INSIDE and found[1].min() > 0
        if inside and len(found[1]) < len(best[1]) and _agree(found, gauss_quadrature(cell_type, degree), degree):
            best = found
    return best


def _agree(first: tuple[FloatArray, FloatArray], second: tuple[FloatArray, FloatArray], degree: int) -> bool:
    """Whether two rules on a simplex integrate all polynomials of a degree alike."""
    grid = np.meshgrid(*[np.arange(degree + 1)] * first[0].shape[1], indexing="ij")
    powers = np.stack(grid, axis=-1).reshape(-1, len(grid))
    powers = powers[powers.sum(axis=1) <= degree]
    moments = [weights @ np.prod(points[:, None, :] ** powers, axis=2) for points, weights in (first, second)]
    return float(np.abs(moments[0] - moments[1]).max()) < ROUNDING


class DeferredMap(LinearMap):
    """A map of known shape that is built when it is first applied."""

    def __init__(
        self, domain_shape: Sequence[int], codomain_shape: Sequence[int], build: Callable[[], LinearMap]
    ) -> None:
        super().__init__(domain_shape, codomain_shape)
        self._build = build

    @cached_property
    def inner(self) -> LinearMap:
        """The map itself."""
        return self._build()

    def forward(self, x: Tensor) -> Tensor:
        """Apply the map."""
        return self.inner.forward(x)

    def transposed(self, y: Tensor) -> Tensor:
        """Apply the adjoint."""
        return self.inner.transposed(y)

    def _matrix(self) -> sp.csr_matrix:
        return self.inner.matrix
