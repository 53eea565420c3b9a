"""Functions of one variable: curves over an interval or over time, and trajectories in phase space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from funcspace.errors import InputError
from funcspace.functions.plots.plot_axes import Style, axis_label, light_panes, make_axes, tidy_lines
from funcspace.functions.plots.plot_quantity import Quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_curves", "draw_trajectory", "trajectory_kind"]

FINE_SAMPLES = 400
FLOATS = NDArray[np.float64]


def trajectory_kind(quantity: Quantity, kind: str | None) -> str:
    """Whether a function of time is drawn over "time" or as a curve in a "phase" space of 2 or 3 components."""
    count = len(quantity.components)
    if kind is None:
        return "phase" if count in (2, 3) and quantity.component is None else "time"
    if kind not in ("time", "phase"):
        raise InputError(f'kind must be "time" or "phase", got {kind!r}')
    if kind == "phase" and (count not in (2, 3) or quantity.component is not None):
        raise InputError(f'kind="phase" needs 2 or 3 components and no component picked; there are {count}')
    return kind


def draw_curves(ax: Any, chosen: Sequence[Quantity], style: Style) -> Axes:
    """Values over the one coordinate: a line for each component and each member of the batch."""
    ax = make_axes(ax, size=(5.6, 3.4))
    first = chosen[0]
    names = first.components
    separate = first.is_several
    curves = [q.picked(i) for q in chosen for i in range(len(names))] if separate else list(chosen)
    overlaid = len(chosen) > 1
    drawn = _colours_drawn(ax)
    for number, curve in enumerate(curves):
        colour = f"C{(drawn + (number % len(names) if separate else number)) % 10}"
        label = names[number % len(names)] if separate and number < len(names) else "" if separate else curve.member
        _draw_curve(ax, curve, style, color=colour, label=label or None, alpha=0.75 if overlaid else 1.0)
    domain = first.function.domain
    low, high = domain.bounds.reshape(2, -1)[:, 0].tolist()
    if high > low:
        ax.set_xlim(low, high)
    if style.vmin is not None or style.vmax is not None:
        ax.set_ylim(style.vmin, style.vmax)
    elif style.symmetric:
        bound = max(abs(limit) for limit in ax.get_ylim())
        ax.set_ylim(-bound, bound)
    ax.set_xlabel(axis_label(domain, 0))
    unit = f" [{first.units}]" if first.units else ""
    ax.set_ylabel(f"{first.function.name}{unit}" if separate else first.label)
    if (separate or overlaid) and len(curves) <= 10:
        ax.legend(frameon=False, title="sample" if overlaid and not separate else None, fontsize="small")
    tidy_lines(ax)
    return ax


def _colours_drawn(ax: Axes) -> int:
    """How many colours of the cycle the lines on these axes have used, so that the next line gets another."""
    return len({str(line.get_color()) for line in ax.lines})


def _draw_curve(ax: Axes, curve: Quantity, style: Style, **look: Any) -> None:
    domain = curve.function.domain
    kind = type(domain).__name__
    if kind == "Grid" and curve.function.space.element == "constant":
        axis = domain.grid_axes[0]
        edges = np.concatenate([[axis.start], axis.start + np.cumsum(axis.weights.numpy())])
        ax.stairs(curve.nodal(), edges, baseline=None, linewidth=1.5, **look)
        return
    if kind == "PointCloud":
        ax.scatter(domain.points[:, 0].numpy(), curve.nodal(), s=12, linewidths=0, **look)
        return
    x, y = _mesh_samples(curve) if kind == "Mesh" else _line_samples(curve)
    ax.plot(x, y, linewidth=1.5 if len(x) < 4000 else 0.8, **look)
    if style.mesh:
        nodes = curve.function.space.dof_points
        nodes = domain.points if nodes is None else nodes
        at = nodes.reshape(-1).numpy()
        ax.plot(at, curve.at(nodes), linestyle="none", marker="o", markersize=3.5, color=look["color"])


def _line_samples(curve: Quantity) -> tuple[FLOATS, FLOATS]:
    """Coordinates and values on a grid or over times, refined where the basis is not piecewise linear."""
    domain, element = curve.function.domain, curve.function.space.element
    nodes = domain.points.reshape(-1).numpy()
    if element == "linear":
        axis = domain.grid_axes[0] if hasattr(domain, "grid_axes") else None
        values = curve.nodal()
        if axis is not None and axis.periodic and axis.samples == "vertices":
            return np.append(nodes, axis.stop), np.append(values, values[0])
        return nodes, values
    low, high = domain.bounds.reshape(2, -1)[:, 0].tolist()
    pieces = max(1, -(-FINE_SAMPLES // max(len(nodes), 1)))
    ends = np.unique(np.concatenate([[low], nodes, [high]]))
    share = np.arange(pieces) / pieces
    fine = np.append((ends[:-1, None] + np.diff(ends)[:, None] * share).reshape(-1), high)
    return fine, curve.at(torch.from_numpy(fine).reshape(-1, 1))


def _mesh_samples(curve: Quantity) -> tuple[FLOATS, FLOATS]:
    """Coordinates and values cell by cell from left to right; a jump between cells is drawn as a gap."""
    from funcspace.functions.plots.plot_cells import cell_values, is_continuous

    mesh, space = curve.function.domain, curve.function.space
    pieces = 1 if space.basis.degree <= 1 and not mesh.is_curved else 8
    x, y = cell_values(curve, np.linspace(0.0, 1.0, pieces + 1)[:, None])
    x = x[..., 0]
    backwards = x[:, 0] > x[:, -1]
    x[backwards], y[backwards] = x[backwards, ::-1], y[backwards, ::-1]
    order = np.argsort(x[:, 0])
    x, y = x[order], y[order]
    joined = np.isclose(x[1:, 0], x[:-1, -1]) & is_continuous(space)
    gap = np.full((len(x), 1), np.nan)
    y = np.hstack([y, gap])
    x = np.hstack([x, x[:, -1:]])
    keep = np.ones(x.shape, dtype=bool)
    keep[:, -1] = ~np.append(joined, True)
    return x[keep], y[keep]


def draw_trajectory(ax: Any, chosen: Sequence[Quantity], style: Style) -> Axes:
    """Curves in the plane or in space of two or three components, a dot where each one starts."""
    first = chosen[0]
    count = len(first.components)
    solid = count == 3
    ax = make_axes(ax, solid=solid, size=(5.2, 4.6) if solid else (4.8, 4.0))
    drawn = _colours_drawn(ax)
    for number, member in enumerate(chosen, start=drawn):
        samples = [_line_samples(member.picked(i))[1] for i in range(count)]
        thin = 1.4 if len(samples[0]) < 1500 else 0.7 if len(samples[0]) < 20_000 else 0.35
        look = {"color": f"C{number}", "linewidth": thin, "alpha": 0.75 if len(chosen) > 1 else 1.0}
        ax.plot(*samples, **look, label=member.member or None)
        start = [[values[0]] for values in samples]
        ax.plot(*start, marker="o", markersize=4, color=f"C{number}", linestyle="none")
    unit = f" [{first.units}]" if first.units else ""
    for letter, name in zip("xyz", first.components, strict=False):
        getattr(ax, f"set_{letter}label")(name + unit)
    if solid:
        light_panes(ax)
    else:
        tidy_lines(ax)
    if len(chosen) > 1:
        ax.legend(frameon=False, title="sample", fontsize="small")
    if style.symmetric:
        _centre(ax, "xyz" if solid else "xy")
    return ax


def _centre(ax: Any, letters: str) -> None:
    for letter in letters:
        bound = max(abs(limit) for limit in getattr(ax, f"get_{letter}lim")())
        getattr(ax, f"set_{letter}lim")(-bound, bound)
