"""Axes, colours and labels that all plots share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from funcspace.errors import InputError
from funcspace.functions.plots.plot_quantity import Quantity
from funcspace.geometry.domain import Domain
from funcspace.optional import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

__all__ = [
    "Style",
    "add_colorbar",
    "axis_label",
    "closing_on_error",
    "colour_scale",
    "frame_plane",
    "frame_space",
    "make_axes",
    "panels",
    "pyplot",
    "row_size",
    "tidy_lines",
]

SEQUENTIAL, DIVERGING, CYCLIC = "viridis", "RdBu_r", "twilight"
# A field changes its sign where the weaker sign reaches this share of the stronger one: solvers undershoot.
SIGN_CHANGE = 0.02
# Lengths along two axes are drawn at one scale unless they are further apart than this.
LONGEST_ASPECT = 8.0
GREY = "0.35"


@dataclass(frozen=True)
class Style:
    """How to draw: colour map and limits, and which extras."""

    cmap: Any = None
    vmin: float | None = None
    vmax: float | None = None
    symmetric: bool | None = None
    colorbar: bool = True
    mesh: bool = False
    arrows: bool = True

    def fixed(self, low: float, high: float, cmap: Any) -> Style:
        """The same with settled colours."""
        return replace(self, vmin=low, vmax=high, cmap=cmap, symmetric=False)


def pyplot() -> ModuleType:
    """matplotlib.pyplot, or an error that says how to install it."""
    return require("matplotlib.pyplot", feature="plots", install="pip install 'funcspace[viz]'")


@contextmanager
def closing_on_error() -> Iterator[None]:
    """Close the figures made inside when an error leaves them unfinished."""
    plt = pyplot()
    before = set(plt.get_fignums())
    try:
        yield
    except Exception:
        for number in set(plt.get_fignums()) - before:
            plt.close(number)
        raise


def make_axes(ax: Any, *, solid: bool = False, size: tuple[float, float] = (5.2, 4.0)) -> Axes:
    """The axes given, checked, or those of a new figure; `solid` for axes in three dimensions.

    Raises
    ------
    InputError
        When `ax` is not matplotlib axes, or has two dimensions where three are needed, or the reverse.
    """
    plt = pyplot()
    if ax is None:
        keywords = {"projection": "3d"} if solid else {}
        return plt.subplots(figsize=size, subplot_kw=keywords, layout="compressed")[1]
    axes_type = require("matplotlib.axes", feature="plots", install="pip install 'funcspace[viz]'").Axes
    if not isinstance(ax, axes_type):
        hint = "; pass one of them, such as axes[0]" if isinstance(ax, np.ndarray | list | tuple) else ""
        raise InputError(f"ax must be matplotlib Axes, got {type(ax).__name__}{hint}")
    if solid != (getattr(ax, "name", "") == "3d"):
        needed = 'three-dimensional axes: make them with subplot_kw={"projection": "3d"}' if solid else "plane axes"
        raise InputError(f"this plot needs {needed}; ax is {type(ax).__name__}")
    return ax


def figure_size(domain: Domain, *, width: float = 5.2, bar: float = 1.1) -> tuple[float, float]:
    """A figure that a plane domain drawn at one scale fills, with room for a colour bar."""
    low, high = domain.bounds.tolist()
    ratio = (high[1] - low[1]) / (high[0] - low[0]) if _one_scale(domain) else 0.75
    inner = width - bar - 0.6
    height = inner * ratio
    shrink = min(1.0, 5.0 / height)
    return inner * shrink + bar + 0.6, max(height * shrink, 0.8) + 0.8


def row_size(
    domain: Domain, count: int, *, panel: float, beside: float = 0.3, solid: bool = False
) -> tuple[float, float]:
    """A figure for a row of pictures of one domain, `beside` inches between them."""
    low, high = domain.bounds[:, :2].tolist()
    ratio = (high[1] - low[1]) / (high[0] - low[0]) if not solid and _one_scale(domain) else 0.9
    return count * (panel + beside) + 1.3, min(panel * ratio, 6.0) + 1.0


def colour_scale(values: NDArray[np.float64], style: Style, *, cyclic: bool = False) -> tuple[Any, float, float]:
    """Colour map and limits: sequential, or diverging about zero for values of both signs.

    Raises
    ------
    InputError
        When there is no finite value, the limits are reversed, or the colour map is unknown.
    """
    finite = values[np.isfinite(values)]
    if finite.size == 0 and (style.vmin is None or style.vmax is None):
        raise InputError("there is nothing to draw: no value is finite")
    if style.vmin is not None and style.vmax is not None and style.vmin >= style.vmax:
        raise InputError(f"vmin must be below vmax, got vmin={style.vmin}, vmax={style.vmax}")
    given = [abs(limit) for limit in (style.vmin, style.vmax) if limit is not None]
    low = style.vmin if style.vmin is not None else float(finite.min())
    high = style.vmax if style.vmax is not None else float(finite.max())
    signed = style.symmetric
    if signed is None:
        signed = not given and not cyclic and min(-low, high) > SIGN_CHANGE * max(-low, high)
    cmap = style.cmap if style.cmap is not None else CYCLIC if cyclic else DIVERGING if signed else SEQUENTIAL
    if cyclic and not given:
        low, high = -np.pi, np.pi
    elif signed:
        high = max(given or [abs(low), abs(high)])
        low = -high
    if low >= high:
        pad = 0.05 * abs(low) or 1.0
        low, high = low - pad, high + pad
    return _colormap(cmap), low, high


def _colormap(cmap: Any) -> Any:
    known = require("matplotlib", feature="plots", install="pip install 'funcspace[viz]'").colormaps
    if isinstance(cmap, str):
        if cmap not in known:
            raise InputError(f"unknown colour map {cmap!r}; matplotlib.colormaps lists the known ones")
        return known[cmap]
    return cmap


def axis_label(domain: Domain, number: int) -> str:
    """Name and unit of a coordinate."""
    name = domain.axis_names[number]
    unit = domain.units.get(name, "")
    return f"{name} [{unit}]" if unit else name


def _one_scale(domain: Domain) -> bool:
    names = domain.axis_names[:2]
    low, high = domain.bounds.tolist()
    lengths = [high[0] - low[0], high[1] - low[1]]
    same_unit = len({domain.units.get(name, "") for name in names}) == 1
    return same_unit and 0.0 < max(lengths) <= LONGEST_ASPECT * min(lengths)


def frame_plane(ax: Axes, domain: Domain) -> None:
    """Limits at the domain's bounds, labels with units, both axes at one scale where that makes sense."""
    (x0, y0), (x1, y1) = domain.bounds.tolist()
    ax.set_xlim(x0, x1)
    ax.set_ylim(y0, y1)
    ax.set_aspect("equal" if _one_scale(domain) else "auto")
    ax.set_xlabel(axis_label(domain, 0))
    ax.set_ylabel(axis_label(domain, 1))
    if not fills_its_box(domain):
        pad_limits(ax)


def fills_its_box(domain: Domain) -> bool:
    """Whether the domain fills its bounding box."""
    return type(domain).__name__ == "Grid"


def pad_limits(ax: Axes, share: float = 0.03) -> None:
    """Leave room around a domain that does not fill its box, so that its outline is seen whole."""
    for get, put in ((ax.get_xlim, ax.set_xlim), (ax.get_ylim, ax.set_ylim)):
        low, high = get()
        pad = share * (high - low)
        put(low - pad, high + pad)


def frame_space(ax: Any, domain: Domain) -> None:
    """Limits, labels and proportions of three-dimensional axes."""
    low, high = domain.bounds.numpy()
    for number, letter in enumerate("xyz"):
        getattr(ax, f"set_{letter}lim")(low[number], high[number])
        getattr(ax, f"set_{letter}label")(axis_label(domain, number), labelpad=7)
    lengths = high - low
    if len({domain.units.get(name, "") for name in domain.axis_names}) == 1:
        ax.set_box_aspect(np.maximum(lengths, lengths.max() / LONGEST_ASPECT))
    ax.view_init(elev=24, azim=-56)
    light_panes(ax)


def light_panes(ax: Any) -> None:
    """Plain white panes with faint grid lines and few ticks."""
    from matplotlib.ticker import MaxNLocator

    # two axes meet at each lower end, where the labels of one would cover those of the other
    for axis, prune in ((ax.xaxis, None), (ax.yaxis, "lower"), (ax.zaxis, "lower")):
        axis.set_pane_color((1.0, 1.0, 1.0, 0.0))
        axis._axinfo["grid"].update(color="0.9", linewidth=0.5)
        axis.set_major_locator(MaxNLocator(4, prune=prune))


def tidy_lines(ax: Axes) -> None:
    """No frame above and to the right of a line plot."""
    ax.spines[["top", "right"]].set_visible(False)


def add_colorbar(mappable: ScalarMappable, ax: Any, label: str) -> Any:
    """A labelled colour bar as high as the picture beside it."""
    figure, solid = ax.figure, getattr(ax, "name", "") == "3d"
    is_panel = ax.get_subplotspec() is None
    if solid and is_panel:
        bar = figure.colorbar(mappable, cax=ax.inset_axes((1.2, 0.2, 0.04, 0.6), projection="rectilinear"), label=label)
    elif solid:
        bar = figure.colorbar(mappable, ax=ax, label=label, shrink=0.6, aspect=16, pad=0.1)
    elif not is_panel and figure.get_layout_engine() is None:
        bar = figure.colorbar(mappable, ax=ax, label=label)
    else:
        bar = figure.colorbar(mappable, cax=ax.inset_axes([1.03, 0.0, 0.045, 1.0]), label=label)
    bar.outline.set_linewidth(0.5)
    return bar


def set_title(ax: Axes, title: str | None, quantity: Quantity, *, name: str | None = None) -> None:
    """The title given, or the quantity (under `name`) and its place in the batch."""
    if title is None:
        title = (name or quantity.symbol) + (f", sample {quantity.member}" if quantity.member else "")
    if title:
        ax.set_title(title)


def panels(ax: Axes, count: int, *, solid: bool = False, gap: float = 0.08) -> Sequence[Axes]:
    """A row of axes inside `ax`, whose own frame goes out of sight."""
    ax.set_axis_off()
    width = (1.0 - gap * (count - 1)) / count
    keywords: dict[str, Any] = {"projection": "3d"} if solid else {}
    return [ax.inset_axes((i * (width + gap), 0.0, width, 1.0), **keywords) for i in range(count)]
