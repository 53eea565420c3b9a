"""The HTML form of a mesh in a notebook: a table, and in the plane a drawing of its edges with the parts in colour."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from funcspace.geometry.meshes.mesh import Mesh

__all__ = ["mesh_html"]

COLOURS = ("#d62728", "#1f77b4", "#2ca02c", "#ff7f0e", "#9467bd", "#8c564b", "#17becf", "#e377c2")
MAX_DRAWN = 4_000


def mesh_html(mesh: Mesh) -> str:
    """A table of what the mesh is and, for meshes in the plane, its picture."""
    units = ", ".join(f"{n} [{mesh.units[n]}]" if n in mesh.units else n for n in mesh.axis_names)
    low, high = mesh.bounds.tolist()
    box = " x ".join(f"[{a:.4g}, {b:.4g}]" for a, b in zip(low, high, strict=True))
    rows = [
        ("cells", f"{mesh.n_cells:,} {'curved ' if mesh.is_curved else ''}{mesh.reference.plural}"),
        ("points", f"{mesh.points.shape[0]:,}"),
        ("axes", units),
        ("bounds", box),
        ("measure", f"{float(mesh.measure.sum()):.6g}"),
        ("longest edge", f"{mesh.h:.4g}"),
        ("fingerprint", mesh.fingerprint),
    ]
    named = [n for n in mesh.boundary if n != "boundary"]
    colours: dict[str, str] = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(named)}
    for name, facets in mesh.boundary.items():
        mark = f'<span style="color:{colours[name]}">&#9632;</span> ' if name in colours else ""
        rows.append((mark + escape(name), f"{len(facets):,} facets"))
    table = "".join(
        f"<tr><th style='text-align:left'>{k}</th><td style='text-align:left'>{escape(v)}</td></tr>" for k, v in rows
    )
    return (
        f"<div><b>Mesh</b> ({mesh.cell_type})<div style='display:flex;gap:1em'><table>{table}</table>"
        f"{_drawing(mesh, colours)}</div></div>"
    )


def _drawing(mesh: Mesh, colours: dict[str, str]) -> str:
    if mesh.dim != 2:
        return ""
    points, facets = mesh.points.numpy(), mesh.facets.numpy()
    low, high = points.min(axis=0), points.max(axis=0)
    scale = 260.0 / float((high - low).max())
    size = (high - low) * scale + 10

    def path(indices: np.ndarray, colour: str, width: float) -> str:
        ends = (points[facets[indices]] - low) * scale + 5
        ends[..., 1] = size[1] - ends[..., 1]
        lines = "".join(f"M{a[0]:.1f} {a[1]:.1f}L{b[0]:.1f} {b[1]:.1f}" for a, b in ends)
        return f'<path d="{lines}" stroke="{colour}" stroke-width="{width}" fill="none"/>'

    outer = mesh.boundary["boundary"].numpy()
    parts = [path(np.arange(len(facets)), "#bbbbbb", 0.5)] if len(facets) <= MAX_DRAWN else []
    parts.append(path(outer[:MAX_DRAWN], "#444444", 1.0))
    parts += [path(mesh.boundary[name].numpy()[:MAX_DRAWN], colour, 2.0) for name, colour in colours.items()]
    return f'<svg width="{size[0]:.0f}" height="{size[1]:.0f}">{"".join(parts)}</svg>'
