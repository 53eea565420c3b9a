"""Functions on meshes in the plane and in space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from funcspace.functions.plots.plot_axes import Style, colour_scale, frame_plane, frame_space
from funcspace.functions.plots.plot_cells import (
    CURVED_PIECES,
    cell_outlines,
    cell_values,
    facet_points,
    framed_lattice,
    lattice,
    pieces_per_edge,
    values_in_cells,
)
from funcspace.functions.plots.plot_grids import draw_arrows, thinned
from funcspace.functions.plots.plot_quantity import Quantity

if TYPE_CHECKING:
    from matplotlib.cm import ScalarMappable

__all__ = ["Surface", "draw_edges", "draw_mesh_plane", "draw_mesh_surface", "facet_lines"]

FLOATS = NDArray[np.float64]
MOST_TRIANGLES = 400_000
MOST_SURFACE_TRIANGLES = 16_000
MANY_TRIANGLES = 10_000
MOST_ARROWS = 18
FRAME_COLOUR = (0.1, 0.1, 0.1, 1.0)
# Width of the frame around a facet, relative to the extent of the mesh.
FRAME_WIDTH = 0.0015


def draw_mesh_plane(ax: Any, quantity: Quantity, style: Style) -> ScalarMappable:
    """Colours: one for each cell for P0, interpolated between the points of a lattice in each cell otherwise."""
    constant = quantity.function.space.basis.degree == 0
    image = (_draw_cells if constant else _draw_triangles)(ax, quantity, style)
    mesh = quantity.function.domain
    frame_plane(ax, mesh)
    if style.mesh:
        draw_edges(ax, mesh)
    if quantity.is_vector and style.arrows:
        _cell_arrows(ax, quantity)
    return image


def _draw_cells(ax: Any, quantity: Quantity, style: Style) -> ScalarMappable:
    from matplotlib.collections import PolyCollection

    mesh, values = quantity.function.domain, quantity.nodal()
    cmap, low, high = colour_scale(values, style, cyclic=quantity.is_angle)
    # edges in the colour of the cell close the hairlines between neighbours
    cells = PolyCollection(
        list(cell_outlines(mesh)),
        cmap=cmap,
        edgecolors="face",
        linewidths=0.3,
        rasterized=mesh.n_cells > MANY_TRIANGLES,
    )
    cells.set_array(values)
    cells.set_clim(low, high)
    return ax.add_collection(cells, autolim=False)


def _draw_triangles(ax: Any, quantity: Quantity, style: Style) -> ScalarMappable:
    mesh = quantity.function.domain
    at, local = lattice(mesh.cell_type, pieces_per_edge(quantity, most=MOST_TRIANGLES))
    points, values = cell_values(quantity, at)
    triangles = (local[None] + np.arange(mesh.n_cells)[:, None, None] * len(at)).reshape(-1, 3)
    cmap, low, high = colour_scale(values, style, cyclic=quantity.is_angle)
    return ax.tripcolor(
        *points.reshape(-1, 2).T, triangles, values.ravel(), shading="gouraud",
        cmap=cmap, vmin=low, vmax=high, rasterized=len(triangles) > MANY_TRIANGLES,
    )  # fmt: skip


def facet_lines(mesh: Any, facets: NDArray[np.int64]) -> FLOATS:
    """Facets of a plane mesh as polylines (k, q, 2), bent where the cells are."""
    at, _ = lattice("interval", CURVED_PIECES if mesh.is_curved else 1)
    return facet_points(mesh, facets, at)[2]


def draw_edges(ax: Any, mesh: Any, *, colour: str = "black", alpha: float = 0.45, width: float = 0.35) -> None:
    """All edges of the cells of a plane mesh."""
    from matplotlib.collections import LineCollection

    lines = LineCollection(
        list(facet_lines(mesh, np.arange(len(mesh.facets)))), colors=colour, linewidths=width, alpha=alpha
    )
    ax.add_collection(lines, autolim=False)


def _cell_arrows(ax: Any, quantity: Quantity) -> None:
    """Arrows at cell centres, at most one in each box of a coarse lattice."""
    mesh = quantity.function.domain
    centre = mesh.reference.corners.mean(axis=0)
    cells = np.arange(mesh.n_cells)
    where = mesh._map(cells, np.tile(centre, (mesh.n_cells, 1)))
    low, high = mesh.bounds.numpy()
    spacing = float(max((high - low).max() / MOST_ARROWS, np.sqrt(float(mesh.volumes.mean()))))
    chosen = thinned(where, low, spacing)
    vectors = values_in_cells(quantity, chosen, np.tile(centre, (len(chosen), 1)), vectors=True)
    draw_arrows(ax, where[chosen], vectors, spacing)


def draw_mesh_surface(ax: Any, quantity: Quantity, style: Style) -> ScalarMappable:
    """The boundary surface in small triangles, each coloured by the value at its centre."""
    mesh = quantity.function.domain
    facets = mesh.boundary["boundary"].numpy()
    constant = quantity.function.space.basis.degree == 0 and not mesh.is_curved
    pieces = 1 if constant else max(1, min(CURVED_PIECES, int(np.sqrt(MOST_SURFACE_TRIANGLES / len(facets)))))
    surface = Surface.of(mesh, facets, pieces, framed=style.mesh)
    values = values_in_cells(quantity, surface.cells, surface.reference)
    cmap, low, high = colour_scale(values[~surface.frame], style, cyclic=quantity.is_angle)
    picture = surface.draw(ax, cmap((values - low) / (high - low)))
    # frames are the values that are not there
    picture.set_array(np.where(surface.frame, np.nan, values))
    picture.set_cmap(cmap.with_extremes(bad=FRAME_COLOUR) if style.mesh else cmap)
    picture.set_clim(low, high)
    frame_space(ax, mesh)
    return picture


@dataclass(frozen=True)
class Surface:
    """Facets in space as triangles (t, 3, 3), the cell, facet and reference centre of each, which are frame."""

    triangles: FLOATS
    cells: NDArray[np.int64]
    facets: NDArray[np.int64]
    reference: FLOATS
    frame: NDArray[np.bool_]

    @classmethod
    def of(cls, mesh: Any, facets: NDArray[np.int64], pieces: int, *, framed: bool) -> Surface:
        """Each facet cut into `pieces` along its sides; with frames in place of the edges of the cells."""
        name = mesh.reference.facet_name
        if framed:
            extent = float(np.linalg.norm(mesh.bounds[1] - mesh.bounds[0]))
            width = float(np.clip(FRAME_WIDTH * extent / mesh.h, 0.008, 0.05))
            at, local, frame = framed_lattice(name, pieces, width)
        else:
            at, local = lattice(name, pieces)
            frame = np.zeros(len(local), dtype=bool)
        cells, reference, points = facet_points(mesh, facets, at)
        centres = np.ascontiguousarray(reference[:, local].mean(axis=2).reshape(-1, 3))
        return cls(
            points[:, local].reshape(-1, 3, 3), np.repeat(cells, len(local)), np.repeat(facets, len(local)), centres,
            np.tile(frame, len(facets)),
        )  # fmt: skip

    def draw(self, ax: Any, colours: FLOATS) -> Any:
        """Add the triangles in their colours (t, 4), frames in black; edges in these colours close hairlines."""
        from mpl_toolkits.mplot3d.art3d import Poly3DCollection

        painted = np.where(self.frame[:, None], FRAME_COLOUR, colours)
        widths = np.where(self.frame, 0.1, 0.2)
        picture = Poly3DCollection(self.triangles, facecolors=painted, edgecolors=painted, linewidths=widths)
        ax.add_collection3d(picture)
        return picture
