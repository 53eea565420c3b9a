"""Facets and edges of a mesh, numbered as in scikit-fem: in the lexicographic order of their sorted corners."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from funcspace.geometry.meshes.reference_cells import IntArray, ReferenceCell

__all__ = ["Topology", "quadratic_numbering", "unique_entities"]


@dataclass(frozen=True, eq=False)
class Topology:
    """Facets (k, corners), cell_facets (m, facets per cell), facet_cells (k, 2) with -1 where there is no second cell.

    `facet_counts` tells how many cells meet at each facet: more than two in a broken mesh.
    """

    facets: IntArray
    cell_facets: IntArray
    facet_cells: IntArray
    facet_counts: IntArray

    @classmethod
    def of(cls, cells: IntArray, reference: ReferenceCell) -> Topology:
        """Number the facets of the cells."""
        # scikit-fem keeps the cyclic order of quadrilateral facets and sorts the corners of all others
        facets, cell_facets = unique_entities(cells, reference.facets, sort=reference.name != "hexahedron")
        count = len(facets)
        flat = cell_facets.ravel()
        owner = np.repeat(np.arange(len(cells), dtype=np.int64), cell_facets.shape[1])
        first, last = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
        first[flat[::-1]] = owner[::-1]  # of repeated indices the last assignment stays: the lowest cell
        last[flat] = owner
        last[first == last] = -1
        counts = np.bincount(flat, minlength=count)
        return cls(facets, cell_facets, np.stack([first, last], axis=1), counts)

    @property
    def boundary_facets(self) -> IntArray:
        """Facets with one cell, ascending."""
        return np.flatnonzero(self.facet_counts == 1)


def unique_entities(
    cells: IntArray, local: tuple[tuple[int, ...], ...], *, sort: bool = True
) -> tuple[IntArray, IntArray]:
    """The distinct edges or facets of the cells (k, corners) and their index for each cell (m, local entities)."""
    stacked = np.concatenate([cells[:, list(entity)] for entity in local])
    ordered = np.sort(stacked, axis=1)
    bound = int(cells.max(initial=0)) + 1
    if bound ** ordered.shape[1] < 2**62:
        key = ordered[:, 0].copy()
        for column in range(1, ordered.shape[1]):
            key = key * bound + ordered[:, column]
        _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    else:
        order = np.lexsort(ordered.T[::-1])
        ranked = ordered[order]
        new = np.concatenate([[True], (ranked[1:] != ranked[:-1]).any(axis=1)])
        first = order[new]  # lexsort is stable, so this is the first occurrence
        inverse = np.empty(len(order), dtype=np.int64)
        inverse[order] = np.cumsum(new) - 1
    entities = (ordered if sort else stacked)[first]
    return np.ascontiguousarray(entities), np.ascontiguousarray(inverse.reshape(len(local), len(cells)).T)


def quadratic_numbering(cells: IntArray, n_vertices: int, reference: ReferenceCell) -> tuple[IntArray, int]:
    """Node numbers of the quadratic cells (m, n_nodes) and their total: vertices, then edges, facets, interiors."""
    blocks, total = [cells], n_vertices
    if reference.dim > 1:
        edges, cell_edges = unique_entities(cells, reference.edges)
        blocks.append(cell_edges + total)
        total += len(edges)
    if not reference.is_simplex or reference.dim == 1:
        if reference.dim == 3:
            facets, cell_facets = unique_entities(cells, reference.facets)
            blocks.append(cell_facets + total)
            total += len(facets)
        blocks.append(np.arange(len(cells), dtype=np.int64)[:, None] + total)
        total += len(cells)
    return np.ascontiguousarray(np.hstack(blocks)), total
