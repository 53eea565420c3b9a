"""Meshes from DOLFINx, 0.5 to 0.11: every difference between its versions that matters here is in this file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from funcspace.errors import DomainError, InputError
from funcspace.geometry.meshes.mesh_node_orders import from_theirs
from funcspace.geometry.meshes.reference_cells import REFERENCE_CELLS, IntArray

if TYPE_CHECKING:
    from funcspace.geometry.meshes.mesh import Mesh

__all__ = ["from_dolfinx"]


def from_dolfinx(source: Any, facet_tags: Any = None, names: Mapping[str, int] | None = None) -> Mesh:
    """Our mesh of a DOLFINx mesh; the vertices of a straight mesh keep the order of `mesh.geometry.x`.

    Parameters
    ----------
    source : dolfinx.mesh.Mesh on one process, straight or quadratic.
    facet_tags : dolfinx.mesh.MeshTags of facets.
    names : name of each tag; tags without one are called tag_1, tag_2, ...
    """
    from funcspace.geometry.meshes.mesh import Mesh

    if not (hasattr(source, "topology") and hasattr(source, "geometry")):
        raise InputError(f"expected a dolfinx.mesh.Mesh; got {type(source).__name__}")
    if source.comm.size > 1:
        raise InputError(f"the mesh is spread over {source.comm.size} processes; make it on MPI.COMM_SELF")
    name = _cell_name(source)
    if name not in REFERENCE_CELLS:
        raise DomainError(f"DOLFINx cells of type {name} are not known; expected {', '.join(REFERENCE_CELLS)}")
    reference = REFERENCE_CELLS[name]
    if source.geometry.dim != reference.dim:
        raise DomainError(f"{name} cells in {source.geometry.dim} dimensions: only flat meshes are known")
    cell_nodes = _rows(source.geometry.dofmap)
    degree = next((d for d in (1, 2) if reference.n_nodes(d) == cell_nodes.shape[1]), None)
    if degree is None:
        raise DomainError(f"the geometry has {cell_nodes.shape[1]} nodes per {name}: only degrees 1 and 2 are known")
    order = list(from_theirs(name, degree, "basix"))
    points = np.asarray(source.geometry.x)[:, : reference.dim]
    mesh = Mesh(points, cell_nodes[:, order], orientation="keep", drop_unused=True)
    if facet_tags is None:
        if names:
            raise InputError("names need facet_tags, whose values they name")
        return mesh
    kept = np.unique(cell_nodes[:, order[: reference.n_corners]])
    facets = np.searchsorted(kept, _facet_nodes(source, facet_tags, cell_nodes))
    return mesh.with_boundaries(_named(np.asarray(facet_tags.values).astype(np.int64), facets, names or {}))


def _cell_name(source: Any) -> str:
    kind = source.topology.cell_type
    return str(getattr(kind, "name", kind)).rsplit(".", 1)[-1]


def _rows(connectivity: Any) -> IntArray:
    """A rectangular table from a 2-D array (0.7 and later) or an adjacency list (before)."""
    if hasattr(connectivity, "offsets"):
        count = len(connectivity.offsets) - 1
        return np.asarray(connectivity.array).reshape(count, -1).astype(np.int64)
    return np.asarray(connectivity).astype(np.int64)


def _facet_nodes(source: Any, facet_tags: Any, cell_nodes: IntArray) -> IntArray:
    """Geometry nodes at the corners of the tagged facets (topology counts vertices apart from geometry nodes)."""
    topology = source.topology
    dim = topology.dim
    if facet_tags.dim != dim - 1:
        raise InputError(
            f"facet_tags must mark facets (dimension {dim - 1}); they mark entities of dimension {facet_tags.dim}"
        )
    topology.create_connectivity(dim - 1, 0)
    vertices = _rows(topology.connectivity(dim, 0))
    node_of = np.empty(int(vertices.max()) + 1, dtype=np.int64)
    node_of[vertices] = cell_nodes[:, : vertices.shape[1]]
    if dim == 1:
        return node_of[np.asarray(facet_tags.indices)][:, None]
    return node_of[_rows(topology.connectivity(dim - 1, 0))[np.asarray(facet_tags.indices)]]


def _named(values: IntArray, facets: IntArray, names: Mapping[str, int]) -> dict[str, IntArray]:
    present = {int(v) for v in np.unique(values)}
    missing = [f"{name!r} (tag {tag})" for name, tag in names.items() if int(tag) not in present]
    if missing:
        raise InputError(f"no facet has the tag of {missing[0]}; the tags are {sorted(present)}")
    label = {int(tag): name for name, tag in names.items()}
    return {label.get(tag, f"tag_{tag}"): facets[values == tag] for tag in sorted(present)}
