"""Pictures of functions on any domain, of meshes, of predictions beside the truth, and of learning curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from funcspace.errors import InputError
from funcspace.functions.function import Function
from funcspace.functions.plots.plot_axes import (
    Style,
    add_colorbar,
    closing_on_error,
    figure_size,
    make_axes,
    panels,
    row_size,
    set_title,
)
from funcspace.functions.plots.plot_quantity import Quantity, quantities

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot"]

MOST_PANELS = 6


@closing_on_error()
def plot(
    function: Function,
    *,
    ax: Any = None,
    component: str | int | None = None,
    index: int | Sequence[int] | None = 0,
    part: str = "real",
    kind: str | None = None,
    time: float | None = None,
    cmap: Any = None,
    vmin: float | None = None,
    vmax: float | None = None,
    symmetric: bool | None = None,
    title: str | None = None,
    colorbar: bool = True,
    mesh: bool = False,
    arrows: bool = True,
    backend: str = "matplotlib",
) -> Axes:
    """Draw a function on its domain.

    ===================  ================================================================================
    domain               picture
    ===================  ================================================================================
    1-D grid, mesh       a line for each component; steps for cell means
    2-D grid             colours, interpolated between vertices, constant in cells
    2-D mesh             colours; P2 and Q2 fields and curved cells are subdivided so that their shape shows
    3-D grid             the three planes through the middle
    3-D mesh             the boundary surface
    PointCloud           coloured points
    Times                2 or 3 components: the curve in phase space; otherwise a line for each component
    Times * 1-D domain   an image over time and space
    Times * 2-D or 3-D   a row of snapshots at one colour scale, or one with `time`
    ===================  ================================================================================

    Values with as many components as the domain has dimensions show their magnitude, in the plane with arrows
    (at cell centres on a mesh); other numbers of components make a row of panels. Colours are sequential, or
    diverging about zero for values of both signs.

    Parameters
    ----------
    ax : matplotlib axes to draw in; a new figure when None. Rows of panels are laid out inside it.
    component : draw one component only, by name or number.
    index : which function of a batch; `None` overlays the first eight where the picture is made of lines.
    part : for complex values "real", "imag", "abs" or "phase".
    kind : for functions of time "time" or "phase"; chosen by the number of components when None.
    time : for products with Times, the instant to draw (the nearest stored one).
    cmap : a matplotlib colour map or its name.
    vmin, vmax : colour limits; limits of the value axis for lines.
    symmetric : limits symmetric about zero, always or never; by the signs of the values when None.
    title : title of the axes; name and sample when None, nothing when "".
    colorbar : whether to add a labelled colour bar.
    mesh : draw the cells too (on lines, the nodes).
    arrows : draw arrows for vector fields in the plane.
    backend : "matplotlib", or "pyvista" for an interactive view of a function on a 3-D domain.

    Returns
    -------
    The matplotlib axes (for "pyvista" a `pyvista.Plotter` that is not yet shown).

    Raises
    ------
    InputError
        For an unknown component, an index outside the batch, axes of the wrong kind, options that do not fit.
    MissingDependencyError
        When matplotlib (or pyvista) is not installed.
    """
    if not isinstance(function, Function):
        raise InputError(f"plot draws a Function, got {type(function).__name__}")
    if backend not in ("matplotlib", "pyvista"):
        raise InputError(f'backend must be "matplotlib" or "pyvista", got {backend!r}')
    chosen = quantities(function, index, component, part)
    style = Style(cmap, vmin, vmax, symmetric, colorbar, mesh, arrows)
    domain = function.domain
    if backend == "pyvista":
        from funcspace.functions.plots.plot_pyvista import draw_pyvista

        return draw_pyvista(_only(chosen), style)
    is_product, is_times = (type(domain).__name__ == name for name in ("ProductDomain", "Times"))
    if kind is not None and not is_times:
        raise InputError(f"kind is for functions of time; this one lives on {domain!r}")
    if time is not None and not is_product:
        raise InputError(f"time picks a snapshot of a function on Times * domain; this one lives on {domain!r}")
    if is_product:
        from funcspace.functions.plots.plot_products import draw_product

        return draw_product(ax, _only(chosen), style, time=time, title=title)
    if is_times or domain.dim == 1:
        from funcspace.functions.plots.plot_lines import draw_curves, draw_trajectory, trajectory_kind

        in_phase_space = is_times and trajectory_kind(chosen[0], kind) == "phase"
        ax = (draw_trajectory if in_phase_space else draw_curves)(ax, chosen, style)
        shown = chosen[0] if len(chosen) == 1 else replace(chosen[0], member="")
        set_title(ax, title, shown, name=function.name if shown.is_several else None)
        return ax
    return draw_field(ax, _only(chosen), style, title)


def _only(chosen: list[Quantity]) -> Quantity:
    if len(chosen) > 1:
        raise InputError("index=None overlays lines; for this domain choose one function of the batch, such as index=0")
    return chosen[0]


def draw_field(ax: Any, quantity: Quantity, style: Style, title: str | None) -> Axes:
    """Draw a function on a domain of two or three dimensions: one picture, or a panel for each component."""
    domain, count = quantity.function.domain, len(quantity.components)
    solid = domain.dim == 3
    if domain.dim > 3:
        raise InputError(f"plot draws domains of dimension 1 to 3, or Times with one of these; got {domain!r}")
    if not quantity.is_several or quantity.is_vector:
        wide = (5.6, 4.6) if solid else figure_size(domain)
        ax = make_axes(ax, solid=solid, size=wide)
        draw_quantity(ax, quantity, style)
        set_title(ax, title, quantity)
        return ax
    if count > MOST_PANELS:
        raise InputError(f"choose a component: there are {count}, {', '.join(quantity.components)}")
    ax = make_axes(ax, size=row_size(domain, count, panel=2.8, beside=1.1, solid=solid))
    for number, panel in enumerate(panels(ax, count, solid=solid, gap=0.4 / count)):
        draw_quantity(panel, quantity.picked(number), style)
        panel.set_title(quantity.components[number])
    if title or (title is None and quantity.member):
        set_title(ax, title, quantity)
    return ax


def draw_quantity(ax: Axes, quantity: Quantity, style: Style, *, bar: bool = True) -> Any:
    """Draw a scalar or vector on a domain of two or three dimensions, with its colour bar."""
    domain = quantity.function.domain
    match type(domain).__name__, domain.dim:
        case "Grid", 2:
            from funcspace.functions.plots.plot_grids import draw_grid_plane as draw
        case "Grid", 3:
            from funcspace.functions.plots.plot_grids import draw_grid_slices as draw
        case "Mesh", 2:
            from funcspace.functions.plots.plot_meshes import draw_mesh_plane as draw
        case "Mesh", 3:
            from funcspace.functions.plots.plot_meshes import draw_mesh_surface as draw
        case "PointCloud", 2 | 3:
            from funcspace.functions.plots.plot_clouds import draw_cloud as draw
        case kind, dim:
            raise InputError(f"no picture is known for a function on a {kind} of dimension {dim}")
    mappable = draw(ax, quantity, style)
    if bar and style.colorbar:
        add_colorbar(mappable, ax, quantity.label)
    return mappable
