"""Cells and facets of a mesh cut into small straight pieces, and functions there."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from funcspace.functions.maps.linear_map import valuewise
from funcspace.functions.plots.plot_quantity import Quantity
from funcspace.functions.space import FunctionSpace
from funcspace.geometry.meshes.reference_cells import REFERENCE_CELLS

__all__ = [
    "cell_outlines",
    "cell_values",
    "facet_points",
    "framed_lattice",
    "is_continuous",
    "lattice",
    "pieces_per_edge",
    "values_in_cells",
]

FLOATS = NDArray[np.float64]
INTS = NDArray[np.int64]
CURVED_PIECES = 6


def lattice(cell: str, pieces: int) -> tuple[FLOATS, INTS]:
    """Points (q, d) of a reference interval, triangle or square, and its pieces (t, 2) or triangles (t, 3).

    >>> points, triangles = lattice("triangle", 4)
    >>> len(points), len(triangles)
    (15, 16)
    """
    ticks = np.arange(pieces + 1)
    if cell == "interval":
        return ticks[:, None] / pieces, np.stack([ticks[:-1], ticks[1:]], axis=1)
    i, j = (part.ravel() for part in np.meshgrid(ticks, ticks, indexing="ij"))
    number = np.full((pieces + 2, pieces + 2), -1)
    keep = i + j <= pieces if cell == "triangle" else np.ones(len(i), dtype=bool)
    i, j = i[keep], j[keep]
    number[i, j] = np.arange(len(i))
    lower = np.stack([number[i, j], number[i + 1, j], number[i, j + 1]], axis=1)
    upper = np.stack([number[i + 1, j], number[i + 1, j + 1], number[i, j + 1]], axis=1)
    triangles = np.stack([lower, upper], axis=1).reshape(-1, 3)
    return np.stack([i, j], axis=1) / pieces, triangles[(triangles >= 0).all(axis=1)]


def framed_lattice(cell: str, pieces: int, width: float) -> tuple[FLOATS, INTS, NDArray[np.bool_]]:
    """A lattice with a frame of that relative width along the sides, and which of the triangles make the frame.

    Frames stand in for lines on surfaces: flat pieces that do not overlap are sorted by depth without doubt.
    """
    if cell == "quadrilateral":
        inner = np.linspace(0.0, 1.0, pieces + 1)[1:-1]
        ticks = np.concatenate([[0.0, width], inner, [1.0 - width, 1.0]])
        at, triangles = lattice(cell, len(ticks) - 1)
        outer = np.round(at * (len(ticks) - 1)).astype(np.int64)
        low, high = outer[triangles].min(axis=1), outer[triangles].max(axis=1)
        on_side: NDArray[np.bool_] = ((low == 0) | (high == len(ticks) - 1)).any(axis=1)
        return ticks[outer], triangles, on_side
    at, triangles = lattice(cell, pieces)
    inside = 1.0 / 3.0 + (1.0 - 3.0 * width) * (at - 1.0 / 3.0)
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    share = np.linspace(0.0, 1.0, pieces + 1)[:, None]
    points, tiles, count = [inside], [triangles], len(inside)
    for start, stop in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        side = start + (stop - start) * share
        points += [side, 1.0 / 3.0 + (1.0 - 3.0 * width) * (side - 1.0 / 3.0)]
        a = count + np.arange(pieces)
        b = a + pieces + 1
        tiles.append(np.concatenate([np.stack([a, a + 1, b + 1], axis=1), np.stack([a, b + 1, b], axis=1)]))
        count += 2 * (pieces + 1)
    frame = np.arange(sum(map(len, tiles))) >= len(triangles)
    return np.concatenate(points), np.concatenate(tiles), frame


def is_continuous(space: FunctionSpace) -> bool:
    """Whether the functions of a finite-element space are continuous in all components."""
    return space.basis.nodal and space.basis.degree > 0


def pieces_per_edge(quantity: Quantity, *, most: int) -> int:
    """Into how many pieces an edge is cut to show the shape of function and cells, with about `most` in all."""
    mesh, space = quantity.function.domain, quantity.function.space
    bent = mesh.is_curved or space.basis.degree > 1
    bilinear = not mesh.reference.is_simplex and space.basis.degree > 0
    wanted = CURVED_PIECES if bent else 4 if bilinear else 2 if space.basis.intrinsic_shape else 1
    return max(1, min(wanted, int(np.sqrt(most / max(mesh.n_cells, 1)))))


def values_in_cells(quantity: Quantity, cells: INTS, reference: FLOATS, *, vectors: bool = False) -> FLOATS:
    """The quantity at reference points (n, d) of cells (n,): limits from inside, without point location."""
    space, c = quantity.function.space, quantity.function.coefficients.detach()
    basis: Any = space.basis
    scalar = basis._matrix(cells, reference, False)
    values = valuewise(scalar, space.component_shape, trailing=len(space.basis.intrinsic_shape))(c)
    return quantity.parts(values) if vectors else quantity.reduce(values)


def cell_values(quantity: Quantity, at: FLOATS) -> tuple[FLOATS, FLOATS]:
    """Points (m, q, d) and values (m, q) at the same reference points (q, d) of every cell."""
    mesh = quantity.function.domain
    cells = np.repeat(np.arange(mesh.n_cells), len(at))
    reference = np.tile(at, (mesh.n_cells, 1))
    points = mesh.map_to_points(torch.from_numpy(cells), torch.from_numpy(reference)).numpy()
    shape = (mesh.n_cells, len(at))
    return points.reshape(*shape, mesh.dim), values_in_cells(quantity, cells, reference).reshape(shape)


def cell_outlines(mesh: Any) -> FLOATS:
    """The cells of a plane mesh as polygons (m, q, 2), their sides bent where the cells are curved."""
    at, _ = lattice("interval", CURVED_PIECES if mesh.is_curved else 1)
    corners = mesh.reference.corners
    around = (corners[:, None] + (np.roll(corners, -1, axis=0) - corners)[:, None] * at[:-1]).reshape(-1, 2)
    cells = torch.arange(mesh.n_cells).repeat_interleave(len(around))
    points = mesh.map_to_points(cells, torch.from_numpy(np.tile(around, (mesh.n_cells, 1))))
    return points.numpy().reshape(mesh.n_cells, len(around), 2)


def facet_points(mesh: Any, facets: INTS, at: FLOATS) -> tuple[INTS, FLOATS, FLOATS]:
    """A cell of each facet (k,), reference points (k, q, d) there and their places (k, q, d).

    Parameters
    ----------
    at : reference points (q, d - 1) of a facet.
    """
    cells = mesh.facet_cells.numpy()[facets, 0]
    local = (mesh.cell_facets.numpy()[cells] == facets[:, None]).argmax(axis=1)
    if mesh.dim == 1:
        reference = mesh.reference.corners[np.array(mesh.reference.facets)[local, 0]][:, None, :]
    else:
        shape = REFERENCE_CELLS[mesh.reference.facet_name].shape(at)
        corners = mesh.reference.corners[np.array(mesh.reference.facets)[local]]
        reference = np.einsum("qc,kcd->kqd", shape, corners)
    owners = np.repeat(cells, reference.shape[1])
    flat = torch.from_numpy(np.ascontiguousarray(reference.reshape(-1, mesh.dim)))
    points = mesh.map_to_points(torch.from_numpy(owners), flat).numpy()
    return cells, reference, points.reshape(reference.shape)
