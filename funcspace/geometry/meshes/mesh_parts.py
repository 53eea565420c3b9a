"""Named boundary parts of a mesh: facet indices, facets by their points, or predicates, normalised once at the door."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from funcspace.errors import InputError
from funcspace.geometry.meshes.reference_cells import FloatArray, IntArray

if TYPE_CHECKING:
    from funcspace.geometry.meshes.mesh_topology import Topology

__all__ = ["facets_by_points", "renumbered", "resolve_parts"]


def resolve_parts(parts: Mapping[str, Any], topology: Topology, midpoints: FloatArray) -> dict[str, IntArray]:
    """Each part as sorted, distinct facet indices; predicates see the midpoints of the boundary facets only."""
    outer = topology.boundary_facets
    resolved: dict[str, IntArray] = {}
    for name, part in parts.items():
        if not isinstance(name, str) or not name:
            raise InputError(f"a boundary part needs a name (a non-empty string); got {name!r}")
        indices = _part_indices(name, part, topology, midpoints)
        if name == "boundary":
            if not np.array_equal(indices, outer):
                raise InputError(
                    "the name 'boundary' always means every boundary facet; choose another name for the part"
                )
            continue
        resolved[name] = indices
    return resolved


def _part_indices(name: str, part: Any, topology: Topology, midpoints: FloatArray) -> IntArray:
    outer, count = topology.boundary_facets, len(topology.facets)
    if callable(part):
        answer = part(torch.from_numpy(midpoints[outer]))
        mask = answer.detach().cpu().numpy() if isinstance(answer, Tensor) else np.asarray(answer)
        if mask.shape != outer.shape or mask.dtype != bool:
            raise InputError(
                f"the predicate of boundary part {name!r} must return {len(outer)} booleans, one per boundary facet; "
                f"got shape {mask.shape}, dtype {mask.dtype}"
            )
        return outer[mask]
    array = part.detach().cpu().numpy() if isinstance(part, Tensor) else np.asarray(part)
    if array.size == 0:
        return np.empty(0, dtype=np.int64)
    if array.dtype == bool:
        if array.shape != (count,):
            raise InputError(
                f"a mask for boundary part {name!r} must have one entry per facet ({count}); got {array.shape}"
            )
        return np.flatnonzero(array)
    if array.dtype.kind not in "iu" or array.ndim > 2:
        raise InputError(
            f"boundary part {name!r} must be facet indices (k,), facets by their points (k, corners), or a "
            "predicate on "
            f"midpoints; got shape {array.shape}, dtype {array.dtype}"
        )
    array = array.astype(np.int64)
    if array.ndim == 2:
        array, missing = facets_by_points(array, topology.facets)
        if missing.size:
            raise InputError(f"boundary part {name!r}: its facet {int(missing[0])} is not a facet of the mesh")
    array = np.unique(array)
    if array[0] < 0 or array[-1] >= count:
        wrong = int(array[0] if array[0] < 0 else array[-1])
        raise InputError(
            f"boundary part {name!r} names facet {wrong}, but the mesh has {count} facets, numbered from 0"
        )
    return array


def renumbered(part: Any, given: IntArray) -> Any:
    """Facets by their points, in our numbers of the points; `given` holds the number of each vertex on input."""
    if callable(part):
        return part
    array = part.detach().cpu().numpy() if isinstance(part, Tensor) else np.asarray(part)
    if array.ndim != 2 or array.dtype.kind not in "iu" or array.size == 0:
        return part
    place = np.full(max(int(given.max()), int(array.max())) + 1, -1, dtype=np.int64)
    place[given] = np.arange(len(given))
    return np.where(array < 0, -1, place[array])


def facets_by_points(wanted: IntArray, facets: IntArray) -> tuple[IntArray, IntArray]:
    """Indices of the facets with these points (any order), and the positions of those wanted that do not exist."""
    if wanted.shape[1] != facets.shape[1]:
        return np.empty(0, dtype=np.int64), np.arange(len(wanted))
    stacked = np.vstack([np.sort(facets, axis=1), np.sort(wanted, axis=1)])
    _, inverse = np.unique(stacked, axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    index_of = np.full(len(stacked), -1, dtype=np.int64)
    index_of[inverse[: len(facets)]] = np.arange(len(facets))
    found = index_of[inverse[len(facets) :]]
    return found[found >= 0], np.flatnonzero(found < 0)
