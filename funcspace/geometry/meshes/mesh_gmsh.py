"""Files of gmsh, formats 2.2 and 4.1, text and binary: read with physical groups and data, written as 4.1 text."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from funcspace.errors import FileError
from funcspace.geometry.meshes.mesh_node_orders import from_theirs, to_theirs
from funcspace.geometry.meshes.reference_cells import REFERENCE_CELLS, FloatArray, IntArray
from funcspace.optional import require

__all__ = ["GmshBlock", "read_gmsh", "write_gmsh"]

# gmsh's number: meshio's name, nodes
ELEMENTS = {
    1: ("line", 2),
    2: ("triangle", 3),
    3: ("quad", 4),
    4: ("tetra", 4),
    5: ("hexahedron", 8),
    6: ("wedge", 6),
    7: ("pyramid", 5),
    8: ("line3", 3),
    9: ("triangle6", 6),
    10: ("quad9", 9),
    11: ("tetra10", 10),
    12: ("hexahedron27", 27),
    13: ("wedge18", 18),
    14: ("pyramid14", 14),
    15: ("vertex", 1),
    16: ("quad8", 8),
    17: ("hexahedron20", 20),
    18: ("wedge15", 15),
    19: ("pyramid13", 13),
}
ELEMENT_DIMS = {number: 3 for number in ELEMENTS} | {15: 0, 1: 1, 8: 1} | dict.fromkeys((2, 3, 9, 10, 16), 2)
NUMBERS = {name: (number, nodes) for number, (name, nodes) in ELEMENTS.items()}


@dataclass(frozen=True)
class GmshBlock:
    """Elements of one entity: meshio's name of their type, their nodes in gmsh's order, and the entity's groups."""

    kind: str
    dim: int
    nodes: IntArray
    groups: tuple[int, ...]


class _Stream:
    """The numbers of one section after another, from text or binary."""

    def __init__(self, path: Path) -> None:
        self.data, self.at, self.binary, self.order = path.read_bytes(), 0, False, "<"
        self.tokens: FloatArray = np.empty(0)
        self.next = 0

    def line(self) -> str:
        end = self.data.find(b"\n", self.at)
        if end < 0:
            raise FileError("it ends in the middle of a section")
        text = self.data[self.at : end].decode("utf-8", "replace").strip()
        self.at = end + 1
        return text

    def section(self) -> str | None:
        """Name of the next section, None at the end of the file."""
        while self.at < len(self.data):
            if self.data[self.at : self.at + 1].isspace():
                self.at += 1
                continue
            name = self.line()
            if not name.startswith("$"):
                raise FileError(f"expected a section, found {name[:40]!r}")
            return name[1:]
        return None

    def begin(self, name: str) -> None:
        """Prepare the numbers of a section in a text file."""
        if self.binary:
            return
        end = self.data.find(b"$End" + name.encode(), self.at)
        if end < 0:
            raise FileError(f"the section {name} has no end")
        self.tokens, self.next, self.at = np.array(self.data[self.at : end].split(), dtype=np.float64), 0, end

    def finish(self, name: str) -> None:
        """Go past the end of a section."""
        end = self.data.find(b"$End" + name.encode(), self.at)
        if end < 0:
            raise FileError(f"the section {name} has no end")
        self.at = end
        self.line() if self.data.find(b"\n", end) >= 0 else setattr(self, "at", len(self.data))

    def numbers(self, count: int, kind: str) -> np.ndarray:
        """The next numbers: kind i (int), u (size) or f (double)."""
        if self.binary:
            dtype = np.dtype(self.order + {"i": "i4", "u": "u8", "f": "f8"}[kind])
            if self.at + count * dtype.itemsize > len(self.data):
                raise FileError("it ends in the middle of a section")
            found = np.frombuffer(self.data, dtype, count, self.at)
            self.at += count * dtype.itemsize
        else:
            found = self.tokens[self.next : self.next + count]
            if len(found) < count:
                raise FileError("it ends in the middle of a section")
            self.next += count
        return found.astype(np.float64 if kind == "f" else np.int64)

    def rows(self, count: int, columns: Sequence[tuple[str, int]]) -> list[np.ndarray]:
        """Rows of mixed kinds, one array per column group."""
        if not self.binary:
            flat = self.numbers(count * sum(n for _, n in columns), "f").reshape(count, -1)
            parts = np.split(flat, np.cumsum([n for _, n in columns])[:-1], axis=1)
            return [p if k == "f" else p.astype(np.int64) for p, (k, _) in zip(parts, columns, strict=True)]
        code = {"i": "i4", "u": "u8", "f": "f8"}
        dtype = np.dtype([(f"c{i}", self.order + code[k], (n,)) for i, (k, n) in enumerate(columns)])
        if self.at + count * dtype.itemsize > len(self.data):
            raise FileError("it ends in the middle of a section")
        table = np.frombuffer(self.data, dtype, count, self.at)
        self.at += count * dtype.itemsize
        return [table[f"c{i}"].astype(np.float64 if k == "f" else np.int64) for i, (k, _) in enumerate(columns)]


def read_gmsh(path: Path) -> Any:
    """A meshio mesh; the members of each physical group are a cell set (physical_3 where it has no name)."""
    meshio = require("meshio", feature="mesh files", install="pip install meshio")
    stream = _Stream(path)
    if stream.section() != "MeshFormat":
        raise FileError("it does not begin with $MeshFormat")
    version, binary, size = stream.line().split()[:3]
    if version not in ("2", "2.1", "2.2", "4.1"):
        raise FileError(f"gmsh's format {version} is not known; save as 4.1 or 2.2 (gmsh -save -format msh41)")
    stream.binary = binary == "1"
    if stream.binary:
        stream.order = "<" if stream.data[stream.at : stream.at + 4] == b"\x01\x00\x00\x00" else ">"
        stream.at += 4
    if size != "8":
        raise FileError(f"numbers of {size} bytes are not known, only 8")
    stream.finish("MeshFormat")
    names: dict[tuple[int, int], str] = {}
    groups: dict[tuple[int, int], list[int]] = {}
    tags, points = np.empty(0, dtype=np.int64), np.empty((0, 3))
    blocks: list[tuple[int, list[int], IntArray, IntArray]] = []
    data: dict[str, dict[str, tuple[IntArray, FloatArray]]] = {"NodeData": {}, "ElementData": {}}
    while (name := stream.section()) is not None:
        if name == "PhysicalNames":
            for _ in range(int(stream.line())):
                dim, tag, label = shlex.split(stream.line())[:3]
                names[int(dim), int(tag)] = label
        elif name == "Entities":
            stream.begin(name)
            groups = _entities(stream)
        elif name == "Nodes":
            stream.begin(name)
            tags, points = _nodes(stream, version)
        elif name == "Elements":
            stream.begin(name)
            blocks = _elements_4(stream, groups) if version == "4.1" else _elements_2(stream)
        elif name in data:
            label, values = _data(stream, name)
            data[name][label] = values
        stream.finish(name)
    if not len(points) or not blocks:
        raise FileError(f"it has {len(points)} points and {sum(len(b[2]) for b in blocks)} elements")
    return _assemble(meshio, names, tags, points, blocks, data)


def _entities(stream: _Stream) -> dict[tuple[int, int], list[int]]:
    groups: dict[tuple[int, int], list[int]] = {}
    for dim, count in enumerate(stream.numbers(4, "u")):
        for _ in range(count):
            tag = int(stream.numbers(1, "i")[0])
            stream.numbers(3 if dim == 0 else 6, "f")
            groups[dim, tag] = stream.numbers(int(stream.numbers(1, "u")[0]), "i").tolist()
            if dim:
                stream.numbers(int(stream.numbers(1, "u")[0]), "i")
    return groups


def _nodes(stream: _Stream, version: str) -> tuple[IntArray, FloatArray]:
    if version != "4.1":
        # the count is text also in binary files
        count = int(stream.line()) if stream.binary else int(stream.numbers(1, "u")[0])
        index, points = stream.rows(count, [("i", 1), ("f", 3)])
        return index[:, 0], points
    blocks = int(stream.numbers(4, "u")[0])
    tags, points = [], []
    for _ in range(blocks):
        dim, _, parametric = stream.numbers(3, "i")
        count = int(stream.numbers(1, "u")[0])
        tags.append(stream.numbers(count, "u"))
        width = 3 + int(dim) * int(parametric)
        points.append(stream.numbers(count * width, "f").reshape(count, width)[:, :3])
    return np.concatenate([np.empty(0, np.int64), *tags]), np.vstack([np.empty((0, 3)), *points])


def _elements_4(stream: _Stream, groups: Mapping[tuple[int, int], list[int]]) -> list[Any]:
    result = []
    for _ in range(int(stream.numbers(4, "u")[0])):
        dim, entity, kind = (int(n) for n in stream.numbers(3, "i"))
        count = int(stream.numbers(1, "u")[0])
        nodes = _known(kind)[1]
        rows = stream.numbers(count * (1 + nodes), "u").reshape(count, -1)
        result.append((kind, groups.get((dim, entity), []), rows[:, 1:], rows[:, 0]))
    return result


def _elements_2(stream: _Stream) -> list[Any]:
    found: dict[tuple[int, int], list[np.ndarray]] = {}
    count, done = int(stream.line()) if stream.binary else int(stream.numbers(1, "u")[0]), 0
    while done < count:
        if stream.binary:
            kind, many, n_tags = (int(n) for n in stream.numbers(3, "i"))
            nodes = _known(kind)[1]
            rows = stream.numbers(many * (1 + n_tags + nodes), "i").reshape(many, -1)
        else:
            index, kind, n_tags = (int(n) for n in stream.numbers(3, "i"))
            many, nodes = 1, _known(kind)[1]
            rows = np.concatenate([[index], stream.numbers(n_tags + nodes, "i")])[None]
        group = rows[:, 1] if n_tags else np.zeros(many, dtype=np.int64)
        for tag in np.unique(group) if many > 1 else group:
            keep = rows[group == tag]
            found.setdefault((kind, int(tag)), []).append(np.hstack([keep[:, :1], keep[:, 1 + n_tags :]]))
        done += many
    stacked = {key: np.vstack(rows) for key, rows in found.items()}
    return [(kind, [tag] if tag else [], rows[:, 1:], rows[:, 0]) for (kind, tag), rows in stacked.items()]


def _known(kind: int) -> tuple[str, int]:
    if kind not in ELEMENTS:
        raise FileError(f"gmsh's element type {kind} is not known")
    return ELEMENTS[kind]


def _data(stream: _Stream, name: str) -> tuple[str, tuple[IntArray, FloatArray]]:
    labels = [stream.line().strip('"') for _ in range(int(stream.line()))]
    for _ in range(int(stream.line())):
        stream.line()
    integers = [int(stream.line()) for _ in range(int(stream.line()))]
    stream.begin(name)
    index, values = stream.rows(integers[2], [("i", 1), ("f", integers[1])])
    return labels[0], (index[:, 0], values[:, 0] if integers[1] == 1 else values)


def _assemble(meshio: Any, names: Any, tags: IntArray, points: FloatArray, blocks: list[Any], data: Any) -> Any:
    place = np.full(int(tags.max()) + 1, -1, dtype=np.int64)
    place[tags] = np.arange(len(tags))
    cells, sets, elements = [], {}, []
    for number, (kind, groups, rows, index) in enumerate(blocks):
        if rows.min(initial=1) < 0 or rows.max(initial=0) >= len(place) or (place[rows] < 0).any():
            raise FileError("an element names a node that is not there")
        name = ELEMENTS[kind][0]
        known = next((c for c in REFERENCE_CELLS.values() if name in c.meshio_names), None)
        nodes = place[rows]
        if known is not None:  # gmsh's order to ours, ours to VTK's
            degree = known.meshio_names.index(name) + 1
            nodes = nodes[:, from_theirs(known.name, degree, "gmsh")][:, to_theirs(known.name, degree, "vtk")]
        cells.append((name, nodes))
        elements.append(index)
        for group in groups:
            label = names.get((ELEMENT_DIMS[kind], abs(group)), f"physical_{abs(group)}")
            sets.setdefault(label, [[] for _ in blocks])[number] = np.arange(len(rows))
    top = max(ELEMENT_DIMS[kind] for kind, *_ in blocks)
    for (dim, _), label in names.items():
        if dim == top - 1:  # groups without members
            sets.setdefault(label, [[] for _ in blocks])
    point_data, cell_data = {}, {}
    for label, (index, values) in data["NodeData"].items():
        full = np.full((len(points), *values.shape[1:]), np.nan)
        full[place[index]] = values
        point_data[label] = full
    for label, (index, values) in data["ElementData"].items():
        where = np.full(max(int(e.max(initial=0)) for e in elements) + 1, -1, dtype=np.int64)
        where[index[index < len(where)]] = np.flatnonzero(index < len(where))
        extended = np.concatenate([values, np.full((1, *values.shape[1:]), np.nan)])
        cell_data[label] = [extended[where[e]] for e in elements]
    return meshio.Mesh(points, cells, point_data=point_data, cell_data=cell_data, cell_sets=sets)


def write_gmsh(
    path: Path,
    points: FloatArray,
    cells: Sequence[GmshBlock],
    names: Mapping[str, tuple[int, int]],
    point_data: Mapping[str, np.ndarray],
    cell_data: Mapping[str, np.ndarray],
) -> None:
    """Write format 4.1 as text: one entity for each block of cells; data on cells belong to the first block."""
    with open(path, "w", encoding="utf-8") as file:
        file.write("$MeshFormat\n4.1 0 8\n$EndMeshFormat\n")
        file.write(f"$PhysicalNames\n{len(names)}\n")
        file.writelines(f'{dim} {tag} "{name}"\n' for name, (dim, tag) in names.items())
        file.write("$EndPhysicalNames\n$Entities\n")
        file.write(" ".join(str(sum(block.dim == dim for block in cells)) for dim in range(4)) + "\n")
        for tag, block in sorted(enumerate(cells, start=1), key=lambda item: item[1].dim):
            corners = points[block.nodes].reshape(-1, 3)
            box = corners[:1] if block.dim == 0 else np.stack([corners.min(axis=0), corners.max(axis=0)])
            groups = [len(block.groups), *block.groups, *([] if block.dim == 0 else [0])]
            file.write(" ".join(map(str, [tag, *box.ravel().tolist(), *groups])) + "\n")
        count = len(points)
        file.write(f"$EndEntities\n$Nodes\n1 {count} 1 {count}\n{cells[0].dim} 1 0 {count}\n")
        file.writelines(f"{i}\n" for i in range(1, count + 1))
        file.writelines(f"{x!r} {y!r} {z!r}\n" for x, y, z in points.tolist())
        total, number = sum(len(block.nodes) for block in cells), 0
        file.write(f"$EndNodes\n$Elements\n{len(cells)} {total} 1 {total}\n")
        for tag, block in enumerate(cells, start=1):
            file.write(f"{block.dim} {tag} {NUMBERS[block.kind][0]} {len(block.nodes)}\n")
            for row in (block.nodes + 1).tolist():
                number += 1
                file.write(f"{number} {' '.join(map(str, row))}\n")
        file.write("$EndElements\n")
        for section, content in (("NodeData", point_data), ("ElementData", cell_data)):
            for label, values in content.items():
                _write_data(file, section, label, values)


def _write_data(file: TextIO, section: str, label: str, values: np.ndarray) -> None:
    """Scalars, vectors of 3 and tensors of 9 numbers; what is shorter gets zeros behind."""
    flat = values.reshape(len(values), -1).astype(np.float64)
    width = flat.shape[1]
    if width > 9:
        raise FileError(f"gmsh files hold at most 9 components; {label!r} has {width}")
    columns = 1 if width == 1 else (3 if width <= 3 else 9)
    flat = np.hstack([flat, np.zeros((len(flat), columns - width))])
    file.write(f'${section}\n1\n"{label}"\n1\n0.0\n3\n0\n{columns}\n{len(flat)}\n')
    file.writelines(f"{i} {' '.join(map(repr, row))}\n" for i, row in enumerate(flat.tolist(), start=1))
    file.write(f"$End{section}\n")
