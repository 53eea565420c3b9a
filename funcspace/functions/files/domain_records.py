"""Domains and function spaces as plain descriptions with named arrays, and back, bit for bit.

A record is a dictionary that JSON can hold; what is large or must stay exact lies beside it in NumPy arrays. Files of
every kind (xarray data sets, saved surrogates) store these two and nothing else about a domain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from funcspace.errors import FileError, InputError
from funcspace.functions.space import FunctionSpace
from funcspace.geometry.domain import Domain

__all__ = ["domain_from_record", "domain_to_record", "space_from_record", "space_to_record"]

Record = dict[str, Any]
Arrays = dict[str, np.ndarray]


def domain_to_record(domain: Domain) -> tuple[Record, Arrays]:
    """A domain as a description for JSON and named arrays.

    Raises
    ------
    InputError
        When the domain is of a kind that has no record.

    Examples
    --------
    >>> import funcspace as fs
    >>> record, arrays = domain_to_record(fs.Grid(x=(0.0, 1.0, 5)))
    >>> record["kind"], arrays
    ('Grid', {})
    """
    kind = type(domain).__name__
    if kind not in WRITERS:
        raise InputError(f"a {kind} cannot be stored; the domains with a record are {', '.join(WRITERS)}")
    record, arrays = WRITERS[kind](domain)
    return {"kind": kind, "fingerprint": domain.fingerprint, **record}, arrays


def domain_from_record(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Any:
    """The domain of a record.

    Raises
    ------
    FileError
        When the record is incomplete, of an unknown kind, or does not lead to the domain that was written.
    """
    kind = record.get("kind")
    if kind not in READERS:
        raise FileError(f"the stored domain is of kind {kind!r}; known are {', '.join(READERS)}")
    try:
        domain = READERS[kind](record, arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise FileError(f"the stored {kind} is incomplete or damaged: {error}") from error
    expected = record.get("fingerprint")
    if expected is not None and domain.fingerprint != expected:
        raise FileError(
            f"the stored {kind} is damaged: its content has the fingerprint {domain.fingerprint}, "
            f"but {expected} was written"
        )
    return domain


def space_to_record(space: FunctionSpace) -> tuple[Record, Arrays]:
    """A function space as a description for JSON and named arrays; the arrays are those of its domain.

    >>> import funcspace as fs
    >>> space = fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, 5)), components=("u", "v"))
    >>> space_from_record(*space_to_record(space)) == space
    True
    """
    domain, arrays = domain_to_record(space.domain)
    return {"domain": domain, **element_record(space)}, arrays


def space_from_record(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> FunctionSpace:
    """The function space of a record.

    Raises
    ------
    FileError
        When the record is incomplete or damaged.
    """
    if "domain" not in record:
        raise FileError("the stored space names no domain")
    return space_on(domain_from_record(record["domain"], arrays), record)


def element_record(space: FunctionSpace) -> Record:
    """What a space adds to its domain: the element, the component names and the shape of a value."""
    return {
        "element": space.element,
        "components": list(space.components),
        "value_shape": list(space.value_shape),
    }


def space_on(domain: Any, record: Mapping[str, Any]) -> FunctionSpace:
    """The space that `element_record` described, on its domain."""
    try:
        return FunctionSpace(
            domain, record["element"], components=tuple(record["components"]), value_shape=record["value_shape"]
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FileError(f"the stored function space is incomplete or damaged: {error}") from error


def _grid_to_record(grid: Any) -> tuple[Record, Arrays]:
    axes, arrays = [], {}
    for axis in grid.grid_axes:
        axes.append(
            {
                "name": axis.name,
                "start": float(axis.start),
                "stop": float(axis.stop),
                "count": int(axis.count),
                "periodic": bool(axis.periodic),
                "uniform": axis.explicit is None,
            }
        )
        if axis.explicit is not None:
            arrays[f"axis_{axis.name}"] = np.array(axis.explicit, dtype=np.float64)
    return {"axes": axes, "samples": grid.samples, "units": dict(grid.units)}, arrays


def _grid_from_record(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Any:
    from funcspace.geometry.grid import Grid
    from funcspace.geometry.grid_axis import GridAxis

    axes = []
    for axis in record["axes"]:
        explicit = None if axis["uniform"] else tuple(np.asarray(arrays[f"axis_{axis['name']}"]).tolist())
        if explicit is not None and len(explicit) != axis["count"]:
            raise ValueError(f"axis {axis['name']!r} has {len(explicit)} of {axis['count']} coordinates")
        axes.append(
            GridAxis(
                axis["name"], axis["start"], axis["stop"], axis["count"], axis["periodic"], record["samples"], explicit
            )
        )
    return Grid.from_axes(axes, record["units"])


def _mesh_to_record(mesh: Any) -> tuple[Record, Arrays]:
    """Nodes and cells as they are; named parts as facet indices, which the numbering of the cells fixes."""
    parts = [name for name in mesh.boundary if name != "boundary"]
    arrays = {"nodes": mesh.nodes.numpy(), "cells": mesh.cell_nodes.numpy()}
    arrays |= {f"part_{i}": mesh.boundary[name].numpy() for i, name in enumerate(parts)}
    record = {
        "cell_type": mesh.cell_type,
        "degree": int(mesh.degree),
        "vertices": len(mesh.points),
        "axis_names": list(mesh.axis_names),
        "units": dict(mesh.units),
        "parts": parts,
    }
    return record, arrays


def _mesh_from_record(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Any:
    from funcspace.geometry.meshes.mesh import Mesh
    from funcspace.geometry.meshes.reference_cells import reference_cell

    nodes = np.ascontiguousarray(arrays["nodes"], dtype=np.float64)
    cells = np.ascontiguousarray(arrays["cells"], dtype=np.int64)
    reference, degree = reference_cell(nodes.shape[1], cells.shape[1], record["cell_type"])
    if degree != record["degree"]:
        raise ValueError(f"{cells.shape[1]} nodes per cell do not make cells of degree {record['degree']}")
    parts = {name: np.ascontiguousarray(arrays[f"part_{i}"], dtype=np.int64) for i, name in enumerate(record["parts"])}
    if cells.size == 0 or cells.min() < 0 or cells.max() >= len(nodes) or not 0 < record["vertices"] <= len(nodes):
        raise ValueError(f"the cells name points that are not among the {len(nodes)}")
    # what was written had passed the checks of Mesh; that it is the same is checked by its fingerprint
    return Mesh._unchecked(
        nodes,
        cells,
        reference,
        degree,
        record["vertices"],
        parts=parts,
        units=record["units"],
        axis_names=record["axis_names"],
    )


def _times_to_record(times: Any) -> tuple[Record, Arrays]:
    return {"step": times.step, "unit": times.unit}, {"instants": times.instants.numpy()}


def _times_from_record(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Any:
    from funcspace.geometry.times import Times

    instants = np.array(arrays["instants"], dtype=np.float64)
    if not np.isfinite(instants).all() or not (np.diff(instants) > 0).all() or instants.size == 0:
        raise ValueError("the instants do not increase")
    return Times._of(instants, record["step"], record["unit"])


def _cloud_to_record(cloud: Any) -> tuple[Record, Arrays]:
    parts = list(cloud.boundary)
    arrays = {"points": cloud.points.numpy()}
    if cloud.has_measure:
        arrays["measure"] = cloud.measure.numpy()
    arrays |= {f"part_{i}": cloud.boundary[name].numpy() for i, name in enumerate(parts)}
    return {"axis_names": list(cloud.axis_names), "units": dict(cloud.units), "parts": parts}, arrays


def _cloud_from_record(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Any:
    from funcspace.geometry.cloud import PointCloud

    return PointCloud(
        arrays["points"],
        arrays.get("measure"),
        units=record["units"],
        axis_names=record["axis_names"],
        boundary={name: arrays[f"part_{i}"] for i, name in enumerate(record["parts"])},
    )


def _product_to_record(product: Any) -> tuple[Record, Arrays]:
    factors, arrays = [], {}
    for i, factor in enumerate(product.factors):
        record, own = domain_to_record(factor)
        factors.append(record)
        arrays |= {f"factor_{i}_{name}": array for name, array in own.items()}
    return {"factors": factors}, arrays


def _product_from_record(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Any:
    from funcspace.geometry.product import ProductDomain

    factors = []
    for i, factor in enumerate(record["factors"]):
        prefix = f"factor_{i}_"
        own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        factors.append(domain_from_record(factor, own))
    return ProductDomain(factors)


WRITERS: dict[str, Callable[[Any], tuple[Record, Arrays]]] = {
    "Grid": _grid_to_record,
    "Mesh": _mesh_to_record,
    "Times": _times_to_record,
    "PointCloud": _cloud_to_record,
    "ProductDomain": _product_to_record,
}
READERS: dict[str, Callable[[Mapping[str, Any], Mapping[str, np.ndarray]], Any]] = {
    "Grid": _grid_from_record,
    "Mesh": _mesh_from_record,
    "Times": _times_from_record,
    "PointCloud": _cloud_from_record,
    "ProductDomain": _product_from_record,
}
