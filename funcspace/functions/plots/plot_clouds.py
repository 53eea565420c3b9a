"""Functions on point clouds in two and three dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from funcspace.functions.plots.plot_axes import Style, colour_scale, frame_plane, frame_space
from funcspace.functions.plots.plot_grids import draw_arrows, thinned
from funcspace.functions.plots.plot_quantity import Quantity

if TYPE_CHECKING:
    from matplotlib.cm import ScalarMappable

__all__ = ["draw_cloud"]

INK = 12_000.0
MANY_POINTS = 10_000
MOST_ARROWS = 16


def draw_cloud(ax: Any, quantity: Quantity, style: Style) -> ScalarMappable:
    """Coloured points, smaller the more there are; arrows for vectors in the plane."""
    cloud = quantity.function.domain
    points, values = cloud.points.numpy(), quantity.nodal()
    cmap, low, high = colour_scale(values, style, cyclic=quantity.is_angle)
    size = float(np.clip(INK / len(points), 2.0, 36.0))
    picture = ax.scatter(
        *points.T,
        c=values,
        s=size,
        cmap=cmap,
        vmin=low,
        vmax=high,
        linewidths=0,
        rasterized=len(points) > MANY_POINTS,
    )
    if cloud.dim == 3:
        frame_space(ax, cloud)
        return picture
    frame_plane(ax, cloud)
    if quantity.is_vector and style.arrows:
        extent = points.max(axis=0) - points.min(axis=0)
        spacing = float(max(extent.max() / MOST_ARROWS, (extent.prod() / len(points)) ** 0.5))
        chosen = thinned(points, points.min(axis=0), spacing)
        vectors = quantity.parts(quantity.function.coefficients)
        draw_arrows(ax, points[chosen], vectors[chosen], spacing, colour="black")
    return picture
