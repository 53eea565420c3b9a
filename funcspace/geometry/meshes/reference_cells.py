"""The five reference cells: corners, edges, facets, shape functions and quadrature, numbered as in scikit-fem."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from funcspace.errors import InputError

__all__ = ["REFERENCE_CELLS", "ReferenceCell", "gauss_quadrature", "reference_cell"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ReferenceCell:
    """A reference cell; `nodes` are those of the quadratic geometry: corners, edges, facets, interior, in this order.

    The unit simplex in one to three dimensions, the unit square and the unit cube. The numbering is scikit-fem's:
    square (0,0), (1,0), (1,1), (0,1); cube (1,1,1), (1,1,0), (1,0,1), (0,1,1), (1,0,0), (0,1,0), (0,0,1), (0,0,0).
    """

    name: str
    plural: str
    corners: FloatArray
    edges: tuple[tuple[int, ...], ...]
    facets: tuple[tuple[int, ...], ...]
    facet_name: str
    meshio_names: tuple[str, str]

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        return self.corners.shape[1]

    @property
    def n_corners(self) -> int:
        """Number of corners."""
        return self.corners.shape[0]

    @property
    def is_simplex(self) -> bool:
        """Whether this is an interval, a triangle or a tetrahedron."""
        return self.n_corners == self.dim + 1

    @cached_property
    def volume(self) -> float:
        """Length, area or volume."""
        return 1.0 / float(np.prod(np.arange(1, self.dim + 1))) if self.is_simplex else 1.0

    @cached_property
    def node_entities(self) -> tuple[tuple[int, ...], ...]:
        """The corners whose mean is each node of the quadratic cell: (i,), an edge, a facet, or all corners."""
        entities: list[tuple[int, ...]] = [(i,) for i in range(self.n_corners)]
        if self.dim > 1:
            entities += list(self.edges)
        if not self.is_simplex or self.dim == 1:
            if self.dim == 3:
                entities += list(self.facets)
            entities.append(tuple(range(self.n_corners)))
        return tuple(entities)

    @cached_property
    def nodes(self) -> FloatArray:
        """Reference coordinates of the quadratic cell's nodes, (n_nodes, dim)."""
        return np.array([self.corners[list(entity)].mean(axis=0) for entity in self.node_entities])

    def n_nodes(self, degree: int) -> int:
        """Nodes of the geometry of degree 1 or 2."""
        return self.n_corners if degree == 1 else len(self.node_entities)

    @lru_cache(maxsize=4)  # noqa: B019  the five reference cells live as long as the module
    def exponents(self, degree: int) -> IntArray:
        """Monomials of the geometry, (n_nodes, dim): total degree on simplices, degree per variable otherwise."""
        powers = [p[::-1] for p in product(range(degree + 1), repeat=self.dim)]
        if self.is_simplex:
            powers = [p for p in powers if sum(p) <= degree]
        return np.array(powers, dtype=np.int64)

    @lru_cache(maxsize=4)  # noqa: B019
    def monomial_coefficients(self, degree: int) -> FloatArray:
        """C with N_j(X) = sum_k C[k, j] X^e_k, the nodal shape functions in monomials."""
        nodes = self.nodes[: self.n_nodes(degree)]
        coefficients = np.linalg.inv(_monomials(nodes, self.exponents(degree)))
        return np.round(coefficients).astype(np.float64)  # the coefficients are whole numbers

    def shape(self, reference: FloatArray, degree: int = 1) -> FloatArray:
        """Shape functions N_j at reference points (n, dim): (n, n_nodes)."""
        return _monomials(reference, self.exponents(degree)) @ self.monomial_coefficients(degree)

    def shape_gradients(self, reference: FloatArray, degree: int = 1) -> FloatArray:
        """dN_j / dX_a at reference points (n, dim): (n, n_nodes, dim)."""
        exponents = self.exponents(degree)
        columns = []
        for axis in range(self.dim):
            lowered = exponents.copy()
            lowered[:, axis] = np.maximum(lowered[:, axis] - 1, 0)
            columns.append((_monomials(reference, lowered) * exponents[:, axis]) @ self.monomial_coefficients(degree))
        return np.stack(columns, axis=-1)

    def inside(self, reference: FloatArray) -> FloatArray:
        """Signed slack of reference points: >= 0 inside the cell, negative by how far a coordinate leaves it."""
        slack = reference.min(axis=1)
        if self.is_simplex:
            return np.minimum(slack, 1.0 - reference.sum(axis=1))
        return np.minimum(slack, (1.0 - reference).min(axis=1))

    def quadrature(self, degree: int) -> tuple[FloatArray, FloatArray]:
        """Points (q, dim) and positive weights (q,), exact for polynomials of the degree (each variable's on boxes)."""
        return gauss_quadrature(self.name, degree)


def _monomials(points: FloatArray, exponents: IntArray) -> FloatArray:
    result = np.ones((points.shape[0], exponents.shape[0]))
    for axis in range(exponents.shape[1]):
        powers = np.stack([points[:, axis] ** p for p in range(int(exponents[:, axis].max(initial=0)) + 1)], axis=1)
        result *= powers[:, exponents[:, axis]]
    return result


@lru_cache(maxsize=64)
def gauss_quadrature(cell: str, degree: int) -> tuple[FloatArray, FloatArray]:
    """Gauss rules: tensor products on square and cube, collapsed (Gauss-Jacobi) products on simplices."""
    from scipy.special import roots_jacobi

    dim, count = REFERENCE_CELLS[cell].dim, degree // 2 + 1
    simplex = REFERENCE_CELLS[cell].is_simplex
    rules = []
    for axis in range(dim):
        exponent = dim - 1 - axis if simplex else 0
        x, w = roots_jacobi(count, exponent, 0.0)
        rules.append(((x + 1) / 2, w / 2 ** (exponent + 1)))
    unit = np.stack(np.meshgrid(*(r[0] for r in rules), indexing="ij"), axis=-1).reshape(-1, dim)
    weights = np.prod(np.stack(np.meshgrid(*(r[1] for r in rules), indexing="ij"), axis=-1).reshape(-1, dim), axis=1)
    if not simplex:
        return unit, weights
    points, left = np.empty_like(unit), np.ones(unit.shape[0])
    for axis in range(dim):
        points[:, axis] = left * unit[:, axis]
        left = left * (1 - unit[:, axis])
    return points, weights


_HEX_CORNERS = np.array(
    [[1, 1, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=np.float64
)
_HEX_EDGES = ((0, 1), (0, 2), (0, 3), (1, 4), (1, 5), (2, 4), (2, 6), (3, 5), (3, 6), (4, 7), (5, 7), (6, 7))
_HEX_FACETS = ((0, 1, 4, 2), (0, 2, 6, 3), (0, 3, 5, 1), (2, 4, 7, 6), (1, 5, 7, 4), (3, 6, 7, 5))

REFERENCE_CELLS: Mapping[str, ReferenceCell] = MappingProxyType(
    {
        cell.name: cell
        for cell in (
            ReferenceCell(
                "interval",
                "intervals",
                np.array([[0.0], [1.0]]),
                ((0, 1),),
                ((0,), (1,)),
                "vertex",
                ("line", "line3"),
            ),
            ReferenceCell(
                "triangle",
                "triangles",
                np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]),
                ((0, 1), (1, 2), (0, 2)),
                ((0, 1), (1, 2), (0, 2)),
                "interval",
                ("triangle", "triangle6"),
            ),
            ReferenceCell(
                "quadrilateral",
                "quadrilaterals",
                np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]),
                ((0, 1), (1, 2), (2, 3), (0, 3)),
                ((0, 1), (1, 2), (2, 3), (0, 3)),
                "interval",
                ("quad", "quad9"),
            ),
            ReferenceCell(
                "tetrahedron",
                "tetrahedra",
                np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
                ((0, 1), (1, 2), (0, 2), (0, 3), (1, 3), (2, 3)),
                ((0, 1, 2), (0, 1, 3), (0, 2, 3), (1, 2, 3)),
                "triangle",
                ("tetra", "tetra10"),
            ),
            ReferenceCell(
                "hexahedron",
                "hexahedra",
                _HEX_CORNERS,
                _HEX_EDGES,
                _HEX_FACETS,
                "quadrilateral",
                ("hexahedron", "hexahedron27"),
            ),
        )
    }
)

_BY_SHAPE = {
    (cell.dim, cell.n_nodes(degree)): (name, degree) for name, cell in REFERENCE_CELLS.items() for degree in (1, 2)
}


def reference_cell(dim: int, nodes: int, cell_type: str | None = None) -> tuple[ReferenceCell, int]:
    """The reference cell and the degree of its geometry, from the dimension and the nodes per cell.

    >>> reference_cell(2, 6)[0].name, reference_cell(2, 6)[1]
    ('triangle', 2)
    """
    if cell_type is not None and cell_type not in REFERENCE_CELLS:
        raise InputError(f"unknown cell_type {cell_type!r}; choose one of {', '.join(REFERENCE_CELLS)}")
    found = _BY_SHAPE.get((dim, nodes))
    if found is None:
        known = ", ".join(
            f"{n} ({c}{', curved' if g == 2 else ''})" for (d, n), (c, g) in _BY_SHAPE.items() if d == dim
        )
        raise InputError(
            f"cells with {nodes} nodes in {dim} dimensions are not known; expected {known or 'dimension 1, 2 or 3'}"
        )
    if cell_type is not None and found[0] != cell_type:
        raise InputError(f"cells with {nodes} nodes in {dim} dimensions are {found[0]} cells, not {cell_type}")
    return REFERENCE_CELLS[found[0]], found[1]
