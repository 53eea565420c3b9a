"""Meshes with their named boundary parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from funcspace.errors import InputError
from funcspace.functions.plots.plot_axes import (
    add_colorbar,
    axis_label,
    figure_size,
    frame_plane,
    frame_space,
    make_axes,
    tidy_lines,
)
from funcspace.functions.plots.plot_cells import CURVED_PIECES, cell_outlines
from funcspace.functions.plots.plot_meshes import Surface, draw_edges, facet_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["legible_parts", "plot_mesh"]

INTS = NDArray[np.int64]
PLAIN = "0.8"


def plot_mesh(
    mesh: Any, ax: Any = None, quality: bool = False, boundaries: bool = True, *, title: str | None = None
) -> Axes:
    """Draw a mesh: its cells, and its named boundary parts in colours with a legend.

    In three dimensions the surface is drawn. A part that lies wholly in larger ones ("hole_0" in "holes") is left
    out, and so is "boundary" where other parts cover it.

    Parameters
    ----------
    mesh : the mesh.
    ax : matplotlib axes to draw in (three-dimensional for a mesh in space); a new figure when None.
    quality : colour each cell by its scaled Jacobian, 1 for a regular cell and 0 for a flat one.
    boundaries : show the named parts.
    title : title of the axes; the number and type of the cells when None, nothing when "".

    Returns
    -------
    The matplotlib axes.

    Raises
    ------
    InputError
        When `mesh` is no Mesh, or the axes are of the wrong kind.
    """
    if type(mesh).__name__ != "Mesh":
        raise InputError(f"plot_mesh draws a Mesh, got {type(mesh).__name__}; a Function is drawn by its plot()")
    parts = legible_parts(mesh) if boundaries else {}
    if mesh.dim == 1:
        ax = make_axes(ax, size=(5.6, 1.6))
        _draw_interval(ax, mesh, parts)
    elif mesh.dim == 2:
        ax = make_axes(ax, size=figure_size(mesh, bar=1.1 if quality else 0.9))
        _draw_plane(ax, mesh, parts, quality)
    else:
        ax = make_axes(ax, solid=True, size=(5.6, 4.6))
        _draw_surface(ax, mesh, parts, quality)
    if title is None:
        title = f"{mesh.n_cells:,} {'curved ' if mesh.is_curved else ''}{mesh.reference.plural}"
    if title:
        ax.set_title(title)
    return ax


def legible_parts(mesh: Any) -> dict[str, INTS]:
    """The parts to show, none of them inside the others; what they leave of the boundary comes last."""
    named = {name: part.numpy() for name, part in mesh.boundary.items() if name != "boundary" and len(part)}
    whole, covered = mesh.boundary["boundary"].numpy(), np.empty(0, dtype=np.int64)
    chosen: dict[str, INTS] = {}
    for name, facets in sorted(named.items(), key=lambda item: -len(item[1])):
        if not np.isin(facets, covered).all():
            chosen[name] = facets
            covered = np.union1d(covered, facets)
    order = [name for name in mesh.boundary if name in chosen]
    rest = np.setdiff1d(whole, covered)
    return {name: chosen[name] for name in order} | ({"boundary": rest} if len(rest) else {})


def _colour(number: int, name: str) -> Any:
    return "0.15" if name == "boundary" else f"C{number % 10}"


def _legend(ax: Any, handles: list[Any], beside: bool) -> None:
    """Beside the picture, or above it where a colour bar stands there."""
    if not handles:
        return
    if beside:
        ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, borderaxespad=0.0)
    else:
        ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.16), frameon=False, ncols=4)


def _draw_interval(ax: Any, mesh: Any, parts: dict[str, INTS]) -> None:
    x = np.sort(mesh.points[:, 0].numpy())
    ax.plot(x, np.zeros_like(x), color="0.4", marker="|", markersize=10, linewidth=1.0)
    for number, (name, facets) in enumerate(parts.items()):
        where = mesh.facet_midpoints.numpy()[facets, 0]
        ax.plot(where, np.zeros_like(where), "o", color=_colour(number, name), label=name, clip_on=False)
    ax.set_yticks([])
    ax.set_xlabel(axis_label(mesh, 0))
    tidy_lines(ax)
    ax.spines["left"].set_visible(False)
    if parts:
        ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1.0))


def _draw_plane(ax: Any, mesh: Any, parts: dict[str, INTS], quality: bool) -> None:
    from matplotlib.collections import LineCollection, PolyCollection

    outlines = list(cell_outlines(mesh))
    frame_plane(ax, mesh)
    if quality:
        cells = PolyCollection(outlines, cmap="viridis", edgecolors="white", linewidths=0.3)
        cells.set_array(scaled_jacobians(mesh))
        cells.set_clim(0.0, 1.0)
        ax.add_collection(cells, autolim=False)
        add_colorbar(cells, ax, "scaled Jacobian")
    else:
        ax.add_collection(PolyCollection(outlines, facecolors="0.97", edgecolors="none"), autolim=False)
        draw_edges(ax, mesh, colour="0.45", alpha=1.0, width=0.5)
    handles = []
    for number, (name, facets) in enumerate(parts.items()):
        lines = LineCollection(
            list(facet_lines(mesh, facets)),
            colors=_colour(number, name),
            linewidths=2.2,
            label=name,
            capstyle="round",
        )
        ax.add_collection(lines, autolim=False)
        handles.append(lines)
    _legend(ax, handles, beside=not quality)


def _draw_surface(ax: Any, mesh: Any, parts: dict[str, INTS], quality: bool) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize, to_rgba
    from matplotlib.patches import Patch

    facets = mesh.boundary["boundary"].numpy()
    surface = Surface.of(mesh, facets, CURVED_PIECES if mesh.is_curved else 1, framed=True)
    scale = ScalarMappable(Normalize(0.0, 1.0), "viridis")
    if quality:
        colours = np.asarray(scale.to_rgba(scaled_jacobians(mesh)[surface.cells]))
    else:
        colours = np.tile(to_rgba(PLAIN), (len(surface.facets), 1))
        for number, (name, part) in enumerate(parts.items()):
            colours[np.isin(surface.facets, part)] = to_rgba(_face_colour(number, name))
        colours[:, :3] *= _light(mesh, surface)[:, None]
    surface.draw(ax, colours)
    frame_space(ax, mesh)
    if quality:
        add_colorbar(scale, ax, "scaled Jacobian")
    elif any(name != "boundary" for name in parts):
        faces = [Patch(color=_face_colour(i, n), label=n) for i, n in enumerate(parts)]
        ax.legend(handles=faces, loc="upper left", bbox_to_anchor=(1.1, 0.9), frameon=False)


def _face_colour(number: int, name: str) -> Any:
    return PLAIN if name == "boundary" else _colour(number, name)


def _light(mesh: Any, surface: Surface) -> NDArray[np.float64]:
    """Brightness of each triangle under a light from above and the front."""
    from matplotlib.colors import LightSource

    triangles = surface.triangles
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    outward = triangles.mean(axis=1) - _centres(mesh)[surface.cells]
    normals *= np.where((normals * outward).sum(axis=1) < 0, -1.0, 1.0)[:, None]
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)
    return np.clip(0.75 + 0.25 * (normals @ LightSource(azdeg=200, altdeg=50).direction), 0.5, 1.0)


def _centres(mesh: Any) -> NDArray[np.float64]:
    return mesh.nodes.numpy()[mesh.cells.numpy()].mean(axis=1)


def scaled_jacobians(mesh: Any) -> NDArray[np.float64]:
    r"""How regular each cell is (m,): :math:`\min |\det(e_1, \ldots, e_d)| / (|e_1| \cdots |e_d|)` over its corners.

    The e are the edges that meet at a corner; divided by the value of the regular cell, so that this scores 1.
    """
    reference, corners = mesh.reference, mesh.points.numpy()[mesh.cells.numpy()]
    scores = []
    for corner in range(reference.n_corners):
        ends = [b if a == corner else a for a, b in reference.edges if corner in (a, b)]
        edges = corners[:, ends] - corners[:, corner : corner + 1]
        scores.append(np.abs(np.linalg.det(edges / np.linalg.norm(edges, axis=2, keepdims=True))))
    regular = {"triangle": 3**0.5 / 2, "tetrahedron": 0.5**0.5}.get(reference.name, 1.0)
    return np.stack(scores, axis=1).min(axis=1) / regular
