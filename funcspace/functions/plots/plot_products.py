"""Functions of time and space: images over time and one coordinate, and rows of snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from funcspace.errors import InputError
from funcspace.functions.function import Function
from funcspace.functions.plots.plot_axes import (
    Style,
    add_colorbar,
    axis_label,
    colour_scale,
    make_axes,
    panels,
    row_size,
    set_title,
)
from funcspace.functions.plots.plot_grids import MANY_SAMPLES, axis_edges, closed
from funcspace.functions.plots.plot_quantity import Quantity
from funcspace.functions.space import FunctionSpace

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_product", "history_of"]

FLOATS = NDArray[np.float64]
MOST_SNAPSHOTS = 4
SMOOTH_SAMPLES = 257


def history_of(quantity: Quantity) -> Quantity:
    """The quantity with its function on space alone, the instants a batch axis."""
    function = quantity.function
    space = FunctionSpace(
        function.domain.space,
        function.space.element.partition("*")[2].strip(),
        components=function.space.components,
        value_shape=function.space.value_shape,
    )
    return quantity.of(Function(space, function.coefficients, name=function.name, units=function.units))


def draw_product(ax: Any, quantity: Quantity, style: Style, *, time: float | None, title: str | None) -> Axes:
    """One snapshot where `time` is given; otherwise an image for one space dimension, a row of snapshots for more."""
    from funcspace.functions.plots.plot_function import draw_field
    from funcspace.functions.plots.plot_lines import draw_curves

    times, space = quantity.function.domain.factors
    history = history_of(quantity)
    if time is not None or times.count == 1:
        instant = 0 if time is None else nearest_instant(times, time)
        snapshot = history.of(history.function[instant])
        if title is None:
            title = f"{snapshot.symbol}, {_clock(times, instant)}"
        if space.dim > 1:
            return draw_field(ax, snapshot, style, title)
        ax = draw_curves(ax, [snapshot], style)
        set_title(ax, title, snapshot)
        return ax
    if space.dim == 1:
        return _draw_images(ax, history, times, style, title)
    return _draw_snapshots(ax, history, times, style, title)


def nearest_instant(times: Any, time: float) -> int:
    """Number of the stored instant closest to a time within the span."""
    slack = 1e-9 * max(times.duration, abs(times.stop), abs(times.start))
    if not times.start - slack <= time <= times.stop + slack:
        raise InputError(f"time must lie in [{times.start:g}, {times.stop:g}], got {time:g}")
    return int((times.instants - time).abs().argmin())


def _clock(times: Any, instant: int) -> str:
    unit = f" {times.unit}" if times.unit else ""
    return f"t = {times[instant]:.4g}{unit}"


def _draw_images(ax: Any, history: Quantity, times: Any, style: Style, title: str | None) -> Axes:
    """An image over time (to the right) and space (upwards), one for each component."""
    count = len(history.components)
    if not history.is_several:
        ax = make_axes(ax, size=(6.0, 3.2))
        _draw_image(ax, history, times, style)
    else:
        ax = make_axes(ax, size=(4.6 * count, 3.2))
        for number, panel in enumerate(panels(ax, count, gap=0.4 / count)):
            _draw_image(panel, history.picked(number), times, style)
            panel.set_title(history.components[number])
        title = title or (history.function.name if title is None else "")
    set_title(ax, title, history)
    return ax


def _draw_image(ax: Any, history: Quantity, times: Any, style: Style) -> None:
    x, values = _space_samples(history)
    t = times.instants.numpy()
    cmap, low, high = colour_scale(values, style, cyclic=history.is_angle)
    look = {"cmap": cmap, "vmin": low, "vmax": high, "rasterized": values.size > MANY_SAMPLES}
    if len(x) > values.shape[1]:
        middles = 0.5 * (t[1:] + t[:-1])
        edges = np.concatenate([[t[0]], middles, [t[-1]]])
        image = ax.pcolormesh(edges, x, values.T, shading="flat", **look)
    else:
        image = ax.pcolormesh(t, x, values.T, shading="gouraud", **look)
    domain = history.function.domain
    low_end, high_end = domain.bounds[:, 0].tolist()
    ax.set_xlim(t[0], t[-1])
    ax.set_ylim(low_end, high_end)
    ax.set_xlabel(axis_label(times, 0))
    ax.set_ylabel(axis_label(domain, 0))
    if style.colorbar:
        add_colorbar(image, ax, history.label)


def _space_samples(history: Quantity) -> tuple[FLOATS, FLOATS]:
    """Coordinates (n,) and values (time, n); for samples in cells the n + 1 edges of the cells."""
    function = history.function
    domain, steps = function.domain, len(function.coefficients)
    kind = type(domain).__name__
    if kind == "Grid":
        values = history.of(function).nodal().reshape(steps, -1)
        axis = domain.grid_axes[0]
        return (axis_edges(axis), values) if axis.samples == "cells" else closed(axis, values, 1)
    if kind == "PointCloud":
        values = history.nodal().reshape(steps, -1)
        order = np.argsort(domain.points[:, 0].numpy())
        return domain.points[order, 0].numpy(), values[:, order]
    low, high = domain.bounds[:, 0].tolist()
    smooth = function.space.basis.degree != 1
    x = np.linspace(low, high, SMOOTH_SAMPLES) if smooth else np.sort(domain.points[:, 0].numpy())
    values = function(torch.from_numpy(x)[:, None], outside="nearest")
    return x, history.reduce(values.reshape(-1, *values.shape[2:])).reshape(steps, -1)


def _draw_snapshots(ax: Any, history: Quantity, times: Any, style: Style, title: str | None) -> Axes:
    """Instants from the first to the last at one colour scale."""
    from funcspace.functions.plots.plot_function import draw_quantity

    names = history.components
    if history.is_several and not history.is_vector:
        raise InputError(f"snapshots show one number: choose component=..., one of {', '.join(names)}")
    chosen = np.unique(np.linspace(0, times.count - 1, min(MOST_SNAPSHOTS, times.count)).round().astype(int))
    snapshots = [history.of(history.function[int(i)]) for i in chosen]
    cmap, low, high = colour_scale(
        np.concatenate([snapshot.samples() for snapshot in snapshots]), style, cyclic=history.is_angle
    )
    settled = style.fixed(low, high, cmap)
    solid = history.function.domain.dim == 3
    ax = make_axes(ax, size=row_size(history.function.domain, len(chosen), panel=2.3, beside=0.14, solid=solid))
    row = panels(ax, len(chosen), solid=solid, gap=0.06)
    for number, (panel, snapshot, instant) in enumerate(zip(row, snapshots, chosen, strict=True)):
        last = number == len(chosen) - 1
        mappable = draw_quantity(panel, snapshot, settled, bar=False)
        name = "" if number or title is not None else f"{history.symbol}, "
        panel.set_title(name + _clock(times, int(instant)), fontsize="medium")
        if solid:
            panel.tick_params(labelsize="x-small", pad=-1)
        elif number:
            panel.set_ylabel("")
            panel.tick_params(labelleft=False)
        if last and style.colorbar:
            add_colorbar(mappable, panel, history.label)
    if title:
        ax.set_title(title, pad=24)
    return ax
