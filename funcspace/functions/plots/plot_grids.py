"""Functions on grids in two and three dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from funcspace.functions.plots.plot_axes import Style, colour_scale, frame_plane, frame_space
from funcspace.functions.plots.plot_quantity import Quantity
from funcspace.functions.space import FunctionSpace
from funcspace.geometry.grid_axis import GridAxis

if TYPE_CHECKING:
    from matplotlib.cm import ScalarMappable

__all__ = ["axis_edges", "closed", "draw_arrows", "draw_grid_plane", "draw_grid_slices", "thinned"]

FLOATS = NDArray[np.float64]
# A cubic or Fourier function with fewer samples along an axis is drawn from this many.
SMOOTH_SAMPLES = 96
MOST_ARROWS = 16
MOST_SLICE_CELLS = 48
MANY_SAMPLES = 20_000


def axis_edges(axis: GridAxis) -> FLOATS:
    """Edges of the cells of an axis, start and stop included."""
    return np.concatenate([[axis.start], axis.start + np.cumsum(axis.weights.numpy())])


def closed(axis: GridAxis, values: FLOATS, number: int) -> tuple[FLOATS, FLOATS]:
    """Coordinates and values along an array axis, a periodic vertex axis closed by its first sample."""
    nodes = axis.coordinates.numpy()
    if axis.periodic and axis.samples == "vertices":
        return np.append(nodes, axis.stop), np.concatenate([values, values.take([0], axis=number)], axis=number)
    return nodes, values


def smooth(quantity: Quantity) -> Quantity:
    """The same on a finer grid, where the basis is smooth and its samples are few."""
    function = quantity.function
    grid, element = function.domain, function.space.element
    if element not in ("cubic", "fourier") or grid.samples == "cells":
        return quantity
    times = max(0, int(np.ceil(np.log2(SMOOTH_SAMPLES / max(grid.shape)))))
    if times == 0:
        return quantity
    space = FunctionSpace(grid.refined(times), element, components=function.space.components,
                          value_shape=function.space.value_shape)  # fmt: skip
    return quantity.of(function.to(space))


def draw_grid_plane(ax: Any, quantity: Quantity, style: Style) -> ScalarMappable:
    """Colours over the plane: interpolated between vertices, constant in cells; arrows for vectors."""
    fine = smooth(quantity)
    grid = fine.function.domain
    values = fine.nodal().reshape(grid.shape)
    cmap, low, high = colour_scale(values, style, cyclic=quantity.is_angle)
    x_axis, y_axis = grid.grid_axes
    look = {"cmap": cmap, "vmin": low, "vmax": high, "rasterized": values.size > MANY_SAMPLES}
    if grid.samples == "cells":
        image = ax.pcolormesh(axis_edges(x_axis), axis_edges(y_axis), values.T, shading="flat", **look)
    else:
        x, values = closed(x_axis, values, 0)
        y, values = closed(y_axis, values, 1)
        image = ax.pcolormesh(x, y, values.T, shading="gouraud", **look)
    frame_plane(ax, grid)
    if style.mesh:
        _grid_lines(ax, quantity)
    if quantity.is_vector and style.arrows:
        ends = [np.linspace(axis.start, axis.stop, min(axis.count, MOST_ARROWS) + 1) for axis in (x_axis, y_axis)]
        centres = [0.5 * (edges[1:] + edges[:-1]) for edges in ends]
        where = np.stack([part.reshape(-1) for part in np.meshgrid(*centres, indexing="ij")], axis=1)
        spacing = min(float(edges[1] - edges[0]) for edges in ends)
        draw_arrows(ax, where, quantity.vectors(torch.from_numpy(where)), spacing)
    return image


def draw_arrows(ax: Any, where: FLOATS, vectors: FLOATS, spacing: float, colour: str = "white") -> None:
    """Arrows centred at points (n, 2), the longest as long as `spacing`."""
    longest = float(np.sqrt((vectors**2).sum(axis=1)).max(initial=0.0))
    if longest == 0.0 or not np.isfinite(longest):
        return
    ax.quiver(
        *where.T, *vectors.T, angles="xy", scale_units="xy", scale=longest / (1.15 * spacing), pivot="mid",
        color=colour, edgecolor="black", linewidth=0.25, width=0.0045,
        headwidth=3.6, headlength=4.2, headaxislength=3.8,
    )  # fmt: skip


def thinned(where: FLOATS, low: FLOATS, spacing: float) -> NDArray[np.int64]:
    """Numbers of points (n, 2) of which each box of a lattice has at most one, that nearest to its middle."""
    box = np.floor((where - low) / spacing)
    off_centre = ((where - low - (box + 0.5) * spacing) ** 2).sum(axis=1)
    order = np.lexsort((off_centre, box[:, 1], box[:, 0]))
    new = np.append(True, (np.diff(box[order], axis=0) != 0).any(axis=1))
    return np.sort(order[new])


def _grid_lines(ax: Any, quantity: Quantity) -> None:
    from matplotlib.collections import LineCollection

    axes = quantity.function.domain.grid_axes
    lines = [axis_edges(axis) if axis.samples == "cells" else axis.coordinates.numpy() for axis in axes]
    (x0, x1), (y0, y1) = ((axis.start, axis.stop) for axis in axes)
    segments = [[(x, y0), (x, y1)] for x in lines[0]] + [[(x0, y), (x1, y)] for y in lines[1]]
    ax.add_collection(LineCollection(segments, colors="black", linewidths=0.3, alpha=0.5), autolim=False)


def draw_grid_slices(ax: Any, quantity: Quantity, style: Style) -> ScalarMappable:
    """The three planes through the middle of a box, each tile coloured by the value at its centre."""
    from mpl_toolkits.mplot3d.art3d import Line3DCollection, Poly3DCollection

    grid = quantity.function.domain
    edges = [
        np.linspace(axis.start, axis.stop, 2 * -(-min(axis.count, MOST_SLICE_CELLS) // 2) + 1)
        for axis in grid.grid_axes
    ]
    tiles, centres = [], []
    for normal in range(3):
        first, second = (i for i in range(3) if i != normal)
        a, b = np.meshgrid(edges[first], edges[second], indexing="ij")
        plane = np.empty((*a.shape, 3))
        plane[..., first], plane[..., second] = a, b
        plane[..., normal] = 0.5 * (edges[normal][0] + edges[normal][-1])
        corners = np.stack([plane[:-1, :-1], plane[1:, :-1], plane[1:, 1:], plane[:-1, 1:]], axis=2).reshape(-1, 4, 3)
        tiles.append(corners)
        centres.append(corners.mean(axis=1))
    values = quantity.at(torch.from_numpy(np.concatenate(centres)))
    cmap, low, high = colour_scale(values, style, cyclic=quantity.is_angle)
    colours = cmap((values - low) / (high - low))
    # one collection, so that the tiles of all planes are sorted by depth together; edges close the hairlines
    surface = Poly3DCollection(
        np.concatenate(tiles),
        cmap=cmap,
        facecolors=colours,
        edgecolors="0.3" if style.mesh else colours,
        linewidths=0.3,
    )
    surface.set_array(values)
    surface.set_clim(low, high)
    ax.add_collection3d(surface)
    ax.add_collection3d(Line3DCollection(_slice_frames(edges), colors="0.2", linewidths=0.8))
    frame_space(ax, grid)
    return surface


def _slice_frames(edges: list[FLOATS]) -> FLOATS:
    """Outlines of the three planes: closed polylines (3, 5, 3)."""
    frames = np.empty((3, 5, 3))
    for normal in range(3):
        first, second = (i for i in range(3) if i != normal)
        frames[normal, :, normal] = 0.5 * (edges[normal][0] + edges[normal][-1])
        frames[normal, :, first] = edges[first][[0, -1, -1, 0, 0]]
        frames[normal, :, second] = edges[second][[0, 0, -1, -1, 0]]
    return frames
