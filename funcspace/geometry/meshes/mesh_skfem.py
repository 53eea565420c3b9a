"""Meshes to and from scikit-fem, with one numbering on both sides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from funcspace.errors import DomainError, InputError
from funcspace.geometry.meshes.reference_cells import REFERENCE_CELLS
from funcspace.optional import require

if TYPE_CHECKING:
    from funcspace.geometry.meshes.mesh import Mesh

__all__ = ["from_skfem", "to_skfem"]

_CLASSES = {
    ("interval", 1): "MeshLine1",
    ("triangle", 1): "MeshTri1",
    ("triangle", 2): "MeshTri2",
    ("quadrilateral", 1): "MeshQuad1",
    ("quadrilateral", 2): "MeshQuad2",
    ("tetrahedron", 1): "MeshTet1",
    ("tetrahedron", 2): "MeshTet2",
    ("hexahedron", 1): "MeshHex1",
    ("hexahedron", 2): "MeshHex2",
}


def to_skfem(mesh: Mesh) -> Any:
    """A scikit-fem mesh of the same points, cells, facets and named boundaries (with "boundary" among them)."""
    kind = (mesh.cell_type, mesh.degree)
    module = require("skfem.mesh", feature="scikit-fem meshes", install="pip install scikit-fem")
    mesh_class = _curved_line() if kind == ("interval", 2) else getattr(module, _CLASSES[kind])
    return mesh_class(
        np.ascontiguousarray(mesh.nodes.numpy().T),
        np.ascontiguousarray(mesh.cells.numpy().T.astype(np.int32)),
        _boundaries={name: facets.numpy() for name, facets in mesh.boundary.items()},
        sort_t=False,
    )


@lru_cache(maxsize=1)
def _curved_line() -> Any:
    """scikit-fem has no quadratic line mesh; its line mesh serves with the quadratic element and mapping."""
    skfem = require("skfem", feature="scikit-fem meshes", install="pip install scikit-fem")

    @dataclass(repr=False)
    class MeshLine2(skfem.MeshLine1):  # pyright: ignore
        elem: Any = skfem.ElementLineP2
        affine: bool = False

    return MeshLine2


def from_skfem(source: Any, *, units: Mapping[str, str] | None = None, allow_dangling: bool = False) -> Mesh:
    """Our mesh from scikit-fem's: same points, cells (in their own corner order), facets and named boundaries."""
    from funcspace.geometry.meshes.mesh import Mesh

    if not hasattr(source, "doflocs") or not hasattr(source, "t"):
        raise InputError(f"expected a scikit-fem mesh; got {type(source).__name__}")
    nodes, corners = np.asarray(source.doflocs).T, np.asarray(source.t).T.astype(np.int64)
    dim, used = nodes.shape[1], int(corners.max()) + 1
    reference = next((r for r in REFERENCE_CELLS.values() if (r.dim, r.n_corners) == (dim, corners.shape[1])), None)
    if reference is None or dim != source.dim():
        raise DomainError(
            f"scikit-fem's {type(source).__name__} has no counterpart: {corners.shape[1]} corners in {dim} dimensions"
        )
    if source.elem.__name__ in (
        "ElementTriP2",
        "ElementQuad2",
        "ElementTetP2",
        "ElementHex2",
        "ElementLineP2",
    ):
        cells = np.asarray(source.dofs.element_dofs).T.astype(np.int64)
    elif nodes.shape[0] == used:
        cells = corners
    else:
        raise DomainError(
            f"scikit-fem's {type(source).__name__} has {nodes.shape[0]} points, of which the cells use {used}; "
            "call its remove_unused_nodes() first, or its geometry is of a kind not known here"
        )
    mesh = Mesh(nodes, cells, orientation="keep", allow_dangling=allow_dangling, units=units)
    parts = {name: np.asarray(facets, dtype=np.int64) for name, facets in (source.boundaries or {}).items()}
    return mesh.with_boundaries(parts) if parts else mesh
