"""Mesh files: exact round trips with named parts and data, gmsh's own formats, and every kind of damaged file."""

from __future__ import annotations

import logging
import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path

import meshio
import numpy as np
import pytest
import torch

from funcspace.errors import DomainError, FileError, FuncspaceError, InputError
from funcspace.geometry.meshes import mesh_files
from funcspace.geometry.meshes.mesh import Mesh
from funcspace.geometry.meshes.mesh_files import read_mesh, write_mesh

MESHES = {
    "interval": lambda: Mesh.interval(0.25),
    "triangle": lambda: Mesh.perforated_plate(0.3),
    "quadrilateral": lambda: Mesh.l_shape(0.5, cells="quadrilateral"),
    "tetrahedron": lambda: Mesh.box(0.5),
    "hexahedron": lambda: Mesh.box(0.5, cells="hexahedron"),
}
EXTENSIONS = (".msh", ".vtu", ".vtk", ".xdmf")


@pytest.mark.parametrize("curved", [False, True])
@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("name", list(MESHES))
def test_files_give_back_what_was_written(tmp_path: Path, name: str, extension: str, curved: bool) -> None:
    mesh = MESHES[name]().curved() if curved else MESHES[name]()
    path = tmp_path / f"mesh{extension}"
    generator = np.random.default_rng(0)
    u, flow = generator.standard_normal(len(mesh.nodes)), generator.standard_normal((len(mesh.nodes), 3))
    k = generator.standard_normal(mesh.n_cells)
    write_mesh(path, mesh, {"u": u, "flow": torch.from_numpy(flow)}, {"k": k})
    again, points, cells = read_mesh(path)
    assert again == mesh and list(again.boundary) == sorted(mesh.boundary, key=list(again.boundary).index)
    np.testing.assert_array_equal(points["u"].reshape(-1), u)
    np.testing.assert_array_equal(points["flow"], flow)
    np.testing.assert_array_equal(cells["k"].reshape(-1), k)
    assert set(points) == {"u", "flow"} and set(cells) == {"k"}
    assert os.listdir(tmp_path) == [path.name]


def test_overlapping_and_interior_parts_survive(tmp_path: Path) -> None:
    mesh = Mesh.rectangle(0.5)
    inner = torch.nonzero(mesh.facet_cells[:, 1] >= 0).ravel()
    mesh = mesh.with_boundaries(
        {"wall": mesh.boundary["boundary"], "crack": inner[:2], "two words": [0], "nothing": []}
    )
    for extension in EXTENSIONS:
        mesh.to_file(tmp_path / f"m{extension}")
        assert Mesh.from_file(tmp_path / f"m{extension}") == mesh


def test_data_on_vertices_of_a_curved_mesh_are_continued_linearly(tmp_path: Path) -> None:
    mesh = Mesh.rectangle(0.5).curved()
    write_mesh(tmp_path / "m.vtu", mesh, {"u": mesh.points[:, 0]})
    np.testing.assert_allclose(read_mesh(tmp_path / "m.vtu")[1]["u"].ravel(), mesh.nodes[:, 0], atol=1e-15)


def test_formats_that_cannot_hold_the_cells_are_refused(tmp_path: Path) -> None:
    for mesh, extension in ((Mesh.disc(0.4, curved=True), ".mesh"), (Mesh.box(0.5), ".ply")):
        with pytest.raises(FileError, match="cannot hold cells of the kind"):
            mesh.to_file(tmp_path / f"m{extension}")
    assert not list(tmp_path.iterdir())


def test_other_formats_warn_about_lost_parts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    mesh = Mesh.rectangle(0.5)
    with caplog.at_level(logging.WARNING):
        mesh.to_file(tmp_path / "m.inp")
    assert "left, right" in caplog.text
    assert Mesh.from_file(tmp_path / "m.inp") == mesh.with_boundaries({}, replace=True)


def test_cell_sets_and_references_become_parts(tmp_path: Path) -> None:
    points = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    cells = [("triangle", np.array([[0, 1, 2], [0, 2, 3]])), ("line", np.array([[0, 1], [1, 2], [2, 3]]))]
    references = {"medit:ref": [np.array([1, 1]), np.array([7, 8, 8])]}
    meshio.write(tmp_path / "m.mesh", meshio.Mesh(points[:, :2], cells, cell_data=references))
    mesh = Mesh.from_file(tmp_path / "m.mesh")
    assert {n: len(f) for n, f in mesh.boundary.items()} == {"ref_7": 1, "ref_8": 2, "boundary": 4}


def test_construction_points_are_left_out_and_data_follow(tmp_path: Path) -> None:
    points = np.array([[9.0, 9, 0], [0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    cells = [("triangle", np.array([[1, 2, 3], [1, 3, 4]]))]
    meshio.write(tmp_path / "m.vtu", meshio.Mesh(points, cells, point_data={"u": np.arange(5.0)}))
    mesh, data, _ = read_mesh(tmp_path / "m.vtu")
    assert len(mesh.points) == 4 and data["u"].ravel().tolist() == [1.0, 2.0, 3.0, 4.0]


GMSH_41 = """$MeshFormat
4.1 0 8
$EndMeshFormat
$PhysicalNames
1
1 5 "inlet wall"
$EndPhysicalNames
$Entities
1 2 1 0
1 0 0 0 0
1 0 0 0 0 1 0 2 5 9 2 1 -1
2 0 1 0 1 1 0 1 9 0
1 0 0 0 1 1 0 1 7 2 1 2
$EndEntities
$Nodes
2 5 1 12
0 1 0 1
12
7 7 0
2 1 0 4
1
2
3
4
0 0 0
1 0 0
1 1 0
0 1 0
$EndNodes
$Elements
3 4 1 4
1 1 1 1
1 1 4
1 2 1 1
2 3 4
2 1 2 2
3 1 2 3
4 1 3 4
$EndElements
$NodeData
1
"u"
1
0.0
3
0
1
4
1 0.5
2 1.5
3 2.5
4 3.5
$EndNodeData
$ElementData
1
"k"
1
0.0
3
0
1
2
3 30
4 40
$EndElementData
"""


def test_gmsh_4_text_with_groups_and_data(tmp_path: Path) -> None:
    (tmp_path / "m.msh").write_text(GMSH_41)
    mesh, points, cells = read_mesh(tmp_path / "m.msh")
    assert mesh.points.tolist() == [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
    found = {n: mesh.facet_midpoints[f].tolist() for n, f in mesh.boundary.items() if n != "boundary"}
    assert found == {"inlet wall": [[0.0, 0.5]], "physical_9": [[0.0, 0.5], [0.5, 1.0]]}
    assert points["u"].tolist() == [0.5, 1.5, 2.5, 3.5] and cells["k"].tolist() == [30.0, 40.0]


def test_gmsh_4_binary(tmp_path: Path) -> None:
    xyz = [(0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (1.0, 1.0, 0.0), (0.0, 1.0, 0.0)]
    parts = [
        b"$MeshFormat\n4.1 1 8\n" + struct.pack("<i", 1) + b"\n$EndMeshFormat\n",
        b"$Entities\n" + struct.pack("<4Q", 0, 1, 1, 0),
        struct.pack("<i6dQiQ", 1, *[0.0] * 6, 1, 3, 0),
        struct.pack("<i6dQQ", 1, *[0.0] * 6, 0, 0) + b"\n$EndEntities\n",
        b"$Nodes\n" + struct.pack("<4Q", 1, 4, 1, 4) + struct.pack("<3iQ", 2, 1, 0, 4),
        struct.pack("<4Q", 1, 2, 3, 4) + b"".join(struct.pack("<3d", *x) for x in xyz) + b"\n$EndNodes\n",
        b"$Elements\n" + struct.pack("<4Q", 2, 2, 1, 2),
        struct.pack("<3iQ", 1, 1, 1, 1) + struct.pack("<3Q", 1, 1, 2),
        struct.pack("<3iQ", 2, 1, 3, 1) + struct.pack("<5Q", 2, 1, 2, 3, 4) + b"\n$EndElements\n",
    ]
    (tmp_path / "m.msh").write_bytes(b"".join(parts))
    mesh = Mesh.from_file(tmp_path / "m.msh")
    assert mesh.cell_type == "quadrilateral" and list(mesh.boundary) == ["physical_3", "boundary"]


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("name", ["triangle", "tetrahedron", "hexahedron"])
def test_gmsh_2_of_another_writer(tmp_path: Path, name: str, binary: bool) -> None:
    """meshio's own writer of the format 2.2 numbers quadratic nodes as gmsh does."""
    mesh = MESHES[name]().curved().with_boundaries({}, replace=True)
    mesh.to_file(tmp_path / "ours.vtu")
    meshio.write(tmp_path / "m.msh", meshio.read(tmp_path / "ours.vtu"), file_format="gmsh22", binary=binary)
    assert Mesh.from_file(tmp_path / "m.msh") == mesh


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_truncated_files_are_refused_wherever_they_break(tmp_path: Path, extension: str) -> None:
    whole = tmp_path / f"whole{extension}"
    mesh = Mesh.perforated_plate(0.4)
    mesh.to_file(whole)
    content, cut = whole.read_bytes(), tmp_path / f"cut{extension}"
    for length in np.linspace(0, len(content) - 12, 40).astype(int):
        cut.write_bytes(content[:length])
        with pytest.raises(FileError, match="cut"):
            Mesh.from_file(cut)


@pytest.mark.parametrize("extension", [*EXTENSIONS, ".mesh", ".inp", ".ply", ".off"])
def test_foreign_files_are_refused_and_pickles_not_run(tmp_path: Path, extension: str) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "exploded"),)

    for content in (b"", b"hello, world\n" * 30, pickle.dumps(Bomb()), bytes(range(256)) * 8):
        path = tmp_path / f"file{extension}"
        path.write_bytes(content)
        with pytest.raises(FileError, match=r"file\."):
            Mesh.from_file(path)
    assert not (tmp_path / "exploded").exists()


def test_missing_files_and_unknown_formats(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file"):
        Mesh.from_file(tmp_path / "none.vtu")
    with pytest.raises(FileError, match="is a folder"):
        Mesh.from_file(tmp_path)
    (tmp_path / "a.abc").write_text("x")
    with pytest.raises(FileError, match="no mesh format"):
        Mesh.from_file(tmp_path / "a.abc")
    for name in ("mesh.abc", "mesh", "mesh.node"):
        with pytest.raises(FileError, match=r"choose \.vtu"):
            Mesh.rectangle(0.5).to_file(tmp_path / name)
    with pytest.raises(FileError, match="does not exist"):
        Mesh.rectangle(0.5).to_file(tmp_path / "no" / "mesh.vtu")
    assert [p.name for p in tmp_path.iterdir()] == ["a.abc"]


def write_raw(path: Path, points: object, cells: list[tuple[str, object]]) -> Path:
    meshio.write(path, meshio.Mesh(np.asarray(points, dtype=float), [(k, np.asarray(c)) for k, c in cells]))
    return path


def test_files_with_other_content_say_what_was_found(tmp_path: Path) -> None:
    points = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [2, 0.5, 0]]
    mixed = write_raw(tmp_path / "mixed.vtu", points, [("quad", [[0, 1, 2, 3]]), ("triangle", [[1, 4, 2]])])
    with pytest.raises(FileError, match="found 1 quad, 1 triangle"):
        Mesh.from_file(mixed)
    with pytest.raises(FileError, match="found 5 vertex"):
        Mesh.from_file(write_raw(tmp_path / "none.vtu", points, [("vertex", [[i] for i in range(5)])]))
    bent = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 1]]
    with pytest.raises(FileError, match="surface in space"):
        Mesh.from_file(write_raw(tmp_path / "bent.vtu", bent, [("triangle", [[0, 1, 2], [0, 2, 3]])]))
    with pytest.raises(FileError, match="names point 7"):
        Mesh.from_file(write_raw(tmp_path / "short.vtu", bent, [("tetra", [[0, 1, 2, 7]])]))
    with pytest.raises(FileError, match="finite"):
        Mesh.from_file(
            write_raw(tmp_path / "nan.vtu", [[0, 0, 0], [1, np.nan, 0], [0, 1, 0]], [("triangle", [[0, 1, 2]])])
        )
    folded = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0.9, 0.2, 0]]
    with pytest.raises(DomainError, match=r"folded.vtu: inverted cell"):
        Mesh.from_file(write_raw(tmp_path / "folded.vtu", folded, [("triangle", [[0, 1, 2], [0, 2, 3]])]))


def test_bad_data_are_refused(tmp_path: Path) -> None:
    mesh, path = Mesh.rectangle(0.5), tmp_path / "m.vtu"
    for points, cells in (({"u": [1.0]}, None), ({"u": ["a"] * 9}, None), (None, {"k": np.zeros(9)})):
        with pytest.raises(InputError, match="one row for each"):
            write_mesh(path, mesh, points, cells)
    with pytest.raises(InputError, match="quotation mark"):
        mesh.with_boundaries({'a"b': [0]}).to_file(tmp_path / "m.msh")
    with pytest.raises(FileError, match="at most 9 components"):
        write_mesh(tmp_path / "m.msh", mesh, {"u": np.zeros((9, 10))})
    assert not list(tmp_path.iterdir())


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from funcspace.errors import FileError
from funcspace.geometry.meshes.mesh import Mesh
mesh = Mesh.rectangle(0.02)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
import meshio, numba
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
for extension in (".msh", ".vtu", ".vtk", ".xdmf"):
    try:
        mesh.to_file(Path(sys.argv[1]) / f"mesh{extension}")
    except FileError as error:
        print("refused", error)
"""


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    """A limit on the size of files stands in for the full disk: writing fails in the middle, in a process apart."""
    for extension in EXTENSIONS:
        (tmp_path / f"mesh{extension}").write_text("old")
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.stdout.count("refused") == 4, done.stdout + done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(f"mesh{e}" for e in EXTENSIONS)
    assert all(p.read_text() == "old" for p in tmp_path.iterdir())


def test_an_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(mesh_files.os, "replace", fail)
    with pytest.raises(KeyboardInterrupt):
        Mesh.rectangle(0.5).to_file(tmp_path / "m.vtu")
    assert not list(tmp_path.iterdir())


def test_errors_are_of_one_family() -> None:
    assert issubclass(FileError, FuncspaceError) and issubclass(FileError, OSError)
