"""Mesh files: gmsh, VTK, VTU, XDMF and what else meshio knows, with named parts and data on points and cells."""

from __future__ import annotations

import contextlib
import io
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import numpy as np

from funcspace.atomic_write import atomic_file
from funcspace.errors import DomainError, FileError, FuncspaceError, InputError
from funcspace.geometry.meshes.mesh_checks import split_nodes
from funcspace.geometry.meshes.mesh_gmsh import GmshBlock, read_gmsh, write_gmsh
from funcspace.geometry.meshes.mesh_node_orders import from_theirs, to_theirs
from funcspace.geometry.meshes.reference_cells import REFERENCE_CELLS, FloatArray, IntArray, ReferenceCell
from funcspace.optional import require

if TYPE_CHECKING:
    from funcspace.geometry.meshes.mesh import Mesh

__all__ = ["read_mesh", "write_mesh"]

logger = logging.getLogger(__name__)

# named parts in formats without sets: per cell an integer whose bit i tells whether local facet i belongs to the part
PART = "facets:"
FOREIGN_PARTS = ("skfem:b:",)
SEVERAL_FILES = {".node", ".ele", ".h5m", ".stl", ".svg", ".wkt"}
TAGS = {"medit:ref": "ref"}


def read_mesh(path: str | os.PathLike[str]) -> tuple[Mesh, dict[str, FloatArray], dict[str, FloatArray]]:
    """Read a mesh with its data: (mesh, data on points, data on cells).

    Physical groups and cell sets of facets become named parts; groups without a name are called physical_3 and the
    like. Meshes stored with constant z become meshes of the plane. Points that no cell uses (construction points)
    are left out. Data on points follow `mesh.nodes`, data on cells `mesh.cells`.

    Raises
    ------
    FileError
        Missing, truncated or foreign file; no cells, cells of several types, or a surface in space.
    DomainError
        The file holds a broken mesh.
    """
    from funcspace.geometry.meshes.mesh import Mesh

    source, path = _parse(Path(path)), Path(path)
    reference, degree, blocks = _main_cells(source, path)
    cells = np.concatenate([np.asarray(source.cells[b].data, dtype=np.int64) for b in blocks])
    cells = cells[:, from_theirs(reference.name, degree, "vtk")]
    points = np.asarray(source.points, dtype=np.float64)
    if cells.min() < 0 or cells.max() >= len(points):
        raise FileError(
            f"{path}: a cell names point {int(cells.max())}, but the file has {len(points)} points: truncated?"
        )
    points = _flat(points, np.unique(cells), reference.dim, path)
    try:
        mesh = Mesh(points, cells, orientation="keep", drop_unused=True)
        kept = np.unique(cells)
        order = kept
        if degree == 2:
            order = kept[split_nodes(points[kept], np.searchsorted(kept, cells), reference)[3]]
        vertex_of = np.full(len(points), -1, dtype=np.int64)
        vertex_of[order[: mesh.points.shape[0]]] = np.arange(mesh.points.shape[0])
        mesh = mesh.with_boundaries(_parts(source, mesh, blocks, reference, vertex_of))
    except DomainError as error:
        raise DomainError(f"{path}: {error}") from error
    except InputError as error:
        raise FileError(f"{path}: {error}") from error
    point_data = {key: np.asarray(values)[order] for key, values in source.point_data.items() if key != "gmsh:dim_tags"}
    cell_data = {
        key: np.concatenate([np.asarray(values[b]) for b in blocks])
        for key, values in source.cell_data.items()
        if not key.startswith((PART, *FOREIGN_PARTS))
    }
    return mesh, point_data, cell_data


def write_mesh(
    path: str | os.PathLike[str],
    mesh: Mesh,
    point_data: Mapping[str, Any] | None = None,
    cell_data: Mapping[str, Any] | None = None,
) -> None:
    """Write a mesh with its named parts and data, in the format of the file's extension; whole or not at all.

    Parameters
    ----------
    point_data : arrays (nodes, ...), or (vertices, ...), which on a curved mesh are continued linearly.
    cell_data : arrays (m, ...).

    Raises
    ------
    InputError
        Data of the wrong length or not numbers.
    FileError
        An unknown extension, or the file cannot be written. What was at `path` before stays as it was.
    """
    meshio = _meshio()
    path = Path(path)
    kind = path.suffix.lower()
    if kind in SEVERAL_FILES or kind not in meshio.extension_to_filetypes:
        raise FileError(
            f"{path}: meshes cannot be written as {kind or 'a file without extension'!r}; choose .vtu, .xdmf or .msh"
        )
    data = {key: _node_data(key, values, mesh) for key, values in (point_data or {}).items()}
    per_cell = {key: _checked(key, values, mesh.n_cells, "cells") for key, values in (cell_data or {}).items()}
    parts = {n: f.numpy() for n, f in mesh.boundary.items() if n != "boundary"}
    points = np.hstack([mesh.nodes.numpy(), np.zeros((mesh.nodes.shape[0], 3 - mesh.dim))])
    if kind == ".msh":
        cells, names = _gmsh_groups(mesh, parts)
        _write_whole(path, lambda temporary: write_gmsh(temporary, points, cells, names, data, per_cell))
        return
    if kind in (".vtu", ".vtk", ".xdmf", ".xmf"):
        per_cell.update({PART + quote(part): _facet_bits(mesh, facets) for part, facets in parts.items()})
    elif parts:
        logger.warning("%s: files of this format cannot keep the named parts %s", path, ", ".join(parts))
    cell_type = mesh.reference.meshio_names[mesh.degree - 1]
    rows = mesh.cell_nodes.numpy()[:, to_theirs(mesh.cell_type, mesh.degree, "vtk")]
    content = meshio.Mesh(points, [(cell_type, rows)], point_data=data, cell_data={k: [v] for k, v in per_cell.items()})
    options = {"data_format": "XML"} if kind in (".xdmf", ".xmf") else {}  # all in one file

    def write(temporary: Path) -> None:
        _quietly(lambda: meshio.write(temporary, content, **options))
        kept = {block.type: len(block.data) for block in _quietly(lambda: meshio.read(temporary)).cells}
        if kept.get(cell_type) != len(rows):
            raise FileError(
                f"{path}: files of this format cannot hold cells of the kind {cell_type}; choose .vtu or .msh"
            )

    _write_whole(path, write)


def _write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a temporary file that then takes the name `path`; on any failure a FileError tells why."""
    try:
        with atomic_file(path) as temporary:
            write(temporary)
    except FuncspaceError:
        raise
    except Exception as error:
        raise FileError(f"cannot write {path}: {error}") from error


def _meshio() -> Any:
    return require("meshio", feature="mesh files", install="pip install meshio")


def _quietly(action: Callable[[], Any]) -> Any:
    """Run what meshio does: it prints its troubles and may end the process; here they become exceptions."""
    noise = io.StringIO()
    try:
        with contextlib.redirect_stdout(noise), contextlib.redirect_stderr(noise):
            return action()
    except SystemExit as error:
        raise FileError(noise.getvalue().strip() or "the file is not of the format that its extension names") from error


def _parse(path: Path) -> Any:
    meshio = _meshio()
    if not path.is_file():
        raise FileError(f"{path}: {'is a folder, not a file' if path.is_dir() else 'no such file'}")
    if path.suffix.lower() not in meshio.extension_to_filetypes:
        raise FileError(
            f"{path}: no mesh format has the extension {path.suffix!r}; known: .msh, .vtu, .vtk, .xdmf, .mesh, "
            ".inp, ..."
        )
    try:
        gmsh = path.suffix.lower() == ".msh"
        source = _quietly(lambda: read_gmsh(path) if gmsh else meshio.read(path))
    except Exception as error:
        raise FileError(
            f"{path}: cannot be read as a {path.suffix} mesh file ({type(error).__name__}: "
            f"{str(error).strip() or 'no details'}); "
            "it is truncated, damaged or of another format"
        ) from error
    return source


def _main_cells(source: Any, path: Path) -> tuple[ReferenceCell, int, list[int]]:
    """The cells of highest dimension: their type, degree, and the blocks that hold them."""
    counts: dict[str, int] = {}
    for block in source.cells:
        counts[block.type] = counts.get(block.type, 0) + len(block.data)
    counts = {name: count for name, count in counts.items() if count}
    found = ", ".join(f"{count} {name}" for name, count in counts.items()) or "nothing"
    known = {
        name: (cell, degree)
        for cell in REFERENCE_CELLS.values()
        for degree, name in enumerate(cell.meshio_names, start=1)
    }
    dims = {b.type: b.dim for b in source.cells}
    top = max((dims[name] for name in counts), default=0)
    main = [name for name in counts if dims[name] == top]
    if top == 0:
        raise FileError(f"{path}: the file holds no cells (found {found})")
    if len(main) > 1 or main[0] not in known:
        names = ", ".join(n for cell in REFERENCE_CELLS.values() for n in cell.meshio_names)
        raise FileError(f"{path}: all cells must be of one type of {names}; found {found}")
    reference, degree = known[main[0]]
    return reference, degree, [i for i, b in enumerate(source.cells) if b.type == main[0] and len(b.data)]


def _flat(points: FloatArray, used: IntArray, dim: int, path: Path) -> FloatArray:
    """Only the first `dim` coordinates, if the others are constant over the points in use."""
    if points.shape[1] < dim:
        raise FileError(f"{path}: cells of dimension {dim}, but points with {points.shape[1]} coordinates")
    rest = points[used, dim:]
    if rest.size and np.ptp(rest, axis=0).max() > 1e-12 * np.abs(points[used]).max():
        raise FileError(
            f"{path}: the cells of dimension {dim} form a curve or surface in space; only flat meshes are known"
        )
    return points[:, :dim]


def _parts(
    source: Any, mesh: Mesh, blocks: list[int], reference: ReferenceCell, vertex_of: IntArray
) -> dict[str, IntArray]:
    parts: dict[str, list[IntArray]] = {}
    corners = len(reference.facets[0])
    facets = [
        i
        for i, b in enumerate(source.cells)
        if b.dim == reference.dim - 1 and b.data.shape[1] >= corners and i not in blocks
    ]

    def add(name: str, block: int, rows: Any) -> None:
        rows = np.asarray(rows, dtype=np.int64)
        if block in facets and rows.size and name:
            parts.setdefault(name, []).append(vertex_of[np.asarray(source.cells[block].data)[rows][:, :corners]])

    for key, prefix in TAGS.items():
        for block, tags in enumerate(source.cell_data.get(key, [])):
            for tag in np.unique(tags) if block in facets else []:
                add(f"{prefix}_{int(tag)}" if tag else "", block, np.flatnonzero(np.asarray(tags) == tag))
    for name, sets in (source.cell_sets or {}).items():
        if all(rows is None or not len(rows) for rows in sets):
            parts.setdefault(name, [])
        for block, rows in enumerate(sets):
            if rows is not None:
                add(name, block, rows)
    result = {}
    for name, rows in parts.items():
        wanted = np.vstack([np.empty((0, corners), dtype=np.int64), *rows])
        if (wanted < 0).any():
            logger.warning("the part %r has facets that are not of the mesh; they are left out", name)
            wanted = wanted[(wanted >= 0).all(axis=1)]
        result[name] = np.unique(wanted, axis=0)
    for key, values in source.cell_data.items():
        prefix = next((p for p in (PART, *FOREIGN_PARTS) if key.startswith(p)), None)
        if prefix is not None:
            bits = np.concatenate([np.asarray(values[b]) for b in blocks]).astype(np.int64).reshape(-1)
            on = (bits[:, None] >> np.arange(len(reference.facets))) & 1
            name = unquote(key[len(PART) :]) if prefix == PART else key.removeprefix(prefix)
            result[name] = np.unique(mesh.cell_facets.numpy()[on.astype(bool)])
    result.pop("boundary", None)
    return result


def _facet_bits(mesh: Mesh, facets: IntArray) -> IntArray:
    member = np.zeros(len(mesh.facets), dtype=np.int64)
    member[facets] = 1
    on = member[mesh.cell_facets.numpy()] * (
        mesh.facet_cells.numpy()[mesh.cell_facets.numpy(), 0] == np.arange(mesh.n_cells)[:, None]
    )
    return (on << np.arange(on.shape[1])).sum(axis=1)


def _gmsh_groups(mesh: Mesh, parts: Mapping[str, IntArray]) -> tuple[list[GmshBlock], dict[str, tuple[int, int]]]:
    """The cells, then an entity for each set of facets that belong to the same parts; each part is a physical group."""
    bad = next((name for name in parts if '"' in name or "\n" in name), None)
    if bad is not None:
        raise InputError(f"a gmsh file cannot hold a part whose name has a quotation mark or a line break: {bad!r}")
    reference, dim = mesh.reference, mesh.dim
    rows = mesh.cell_nodes.numpy()[:, to_theirs(reference.name, mesh.degree, "gmsh")]
    blocks = [GmshBlock(reference.meshio_names[mesh.degree - 1], dim, rows, (1,))]
    names = {
        **({} if "domain" in parts else {"domain": (dim, 1)}),
        **{n: (dim - 1, i + 2) for i, n in enumerate(parts)},
    }
    kind = {1: "vertex", 2: "line", 3: "triangle" if reference.is_simplex else "quad"}[dim]
    member = np.zeros((len(mesh.facets), len(parts)), dtype=bool)
    for column, facets in enumerate(parts.values()):
        member[facets, column] = True
    marked = np.flatnonzero(member.any(axis=1))
    kinds, which = np.unique(member[marked], axis=0, return_inverse=True)
    for index, pattern in enumerate(kinds):
        facets = marked[which.reshape(-1) == index]
        groups = tuple(int(i) + 2 for i in np.flatnonzero(pattern))
        blocks.append(GmshBlock(kind, dim - 1, mesh.facets.numpy()[facets], groups))
    return blocks, names


def _checked(key: str, values: Any, count: int, what: str) -> np.ndarray:
    array = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
    if array.ndim == 0 or len(array) != count or array.dtype.kind not in "fiu":
        raise InputError(
            f"data {key!r} must be numbers, one row for each of the {count} {what}; got {array.shape}, {array.dtype}"
        )
    return array


def _node_data(key: str, values: Any, mesh: Mesh) -> np.ndarray:
    vertices, nodes = mesh.points.shape[0], mesh.nodes.shape[0]
    length = len(values)
    if length != vertices or not mesh.is_curved:
        return _checked(key, values, nodes, "points")
    array = _checked(key, values, vertices, "vertices").astype(np.float64)
    result = np.empty((nodes, *array.shape[1:]))
    for local, entity in enumerate(mesh.reference.node_entities):
        result[mesh.cell_nodes.numpy()[:, local]] = array[mesh.cells.numpy()[:, list(entity)]].mean(axis=1)
    return result
