"""Interactive views of functions on three-dimensional domains through pyvista."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from funcspace.errors import InputError
from funcspace.functions.plots.plot_axes import Style, colour_scale
from funcspace.functions.plots.plot_quantity import Quantity
from funcspace.optional import require

__all__ = ["draw_pyvista"]

# Corners of the VTK cells of these numbers, as coordinates of the reference cell.
VTK_CELLS: dict[str, tuple[int, list[tuple[int, ...]]]] = {
    "tetrahedron": (10, [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]),
    "hexahedron": (
        12,
        [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)],
    ),
}


def draw_pyvista(quantity: Quantity, style: Style) -> Any:
    """Make a plotter with the domain and the quantity on it; `show()` opens it.

    Cell data for P0 and samples in cells; otherwise values at the vertices.
    """
    pyvista = require("pyvista", feature='backend="pyvista"', install="pip install pyvista")
    domain = quantity.function.domain
    kind = type(domain).__name__
    if kind not in ("Grid", "Mesh", "PointCloud") or domain.dim != 3:
        raise InputError(f'backend="pyvista" draws functions on a 3-D Grid, Mesh or PointCloud; got {domain!r}')
    if quantity.component is None and len(quantity.components) not in (1, 3):
        raise InputError(f"choose a component: {', '.join(quantity.components)}")
    data, values, in_cells = {"Grid": _grid, "Mesh": _mesh, "PointCloud": _cloud}[kind](pyvista, quantity)
    (data.cell_data if in_cells else data.point_data)[quantity.label] = values
    cmap, low, high = colour_scale(values, style, cyclic=quantity.is_angle)
    plotter = pyvista.Plotter()
    plotter.add_mesh(
        data, scalars=quantity.label, cmap=cmap, clim=(low, high), show_edges=style.mesh,
        show_scalar_bar=style.colorbar, render_points_as_spheres=kind == "PointCloud",
    )  # fmt: skip
    plotter.show_bounds(**{f"{letter}title": name for letter, name in zip("xyz", domain.axis_names, strict=True)})
    return plotter


def _grid(pyvista: Any, quantity: Quantity) -> tuple[Any, np.ndarray, bool]:
    from funcspace.functions.plots.plot_grids import axis_edges, closed

    grid = quantity.function.domain
    values = quantity.nodal().reshape(grid.shape)
    in_cells = grid.samples == "cells"
    lines = []
    for number, axis in enumerate(grid.grid_axes):
        if in_cells:
            lines.append(axis_edges(axis))
        else:
            nodes, values = closed(axis, values, number)
            lines.append(nodes)
    # VTK counts the first axis fastest
    return pyvista.RectilinearGrid(*lines), values.ravel(order="F"), in_cells


def _mesh(pyvista: Any, quantity: Quantity) -> tuple[Any, np.ndarray, bool]:
    mesh = quantity.function.domain
    number, corners = VTK_CELLS[mesh.cell_type]
    order = [int(np.abs(mesh.reference.corners - corner).sum(axis=1).argmin()) for corner in corners]
    cells = mesh.cells.numpy()[:, order]
    data = pyvista.UnstructuredGrid({number: cells}, mesh.points.numpy())
    if quantity.function.space.basis.degree == 0:
        return data, quantity.nodal(), True
    return data, quantity.at(mesh.points), False


def _cloud(pyvista: Any, quantity: Quantity) -> tuple[Any, np.ndarray, bool]:
    return pyvista.PolyData(np.asarray(torch.as_tensor(quantity.function.domain.points))), quantity.nodal(), False
