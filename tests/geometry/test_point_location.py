"""Point location: exact coordinates in every cell type, shared facets, tolerance, points outside, the plain twin."""

from __future__ import annotations

import numpy as np
import pytest
import skfem
import torch
from hypothesis import given
from hypothesis import strategies as st

from funcspace.errors import InputError, OutsideError
from funcspace.geometry.meshes.mesh import Mesh

BOXES = {
    "interval": lambda: Mesh.interval(0.2),
    "triangle": lambda: Mesh.rectangle(0.25),
    "quadrilateral": lambda: Mesh.rectangle(0.25, cells="quadrilateral"),
    "tetrahedron": lambda: Mesh.box(0.34),
    "hexahedron": lambda: Mesh.box(0.34, cells="hexahedron"),
}
KINDS = [(name, degree) for name in BOXES for degree in (1, 2)]


def distorted(name: str, degree: int) -> Mesh:
    mesh = BOXES[name]().curved() if degree == 2 else BOXES[name]()
    nodes = mesh.nodes.numpy()
    return Mesh(nodes + 0.03 * np.sin(4 * nodes[:, ::-1] + np.arange(1, mesh.dim + 1)), mesh.cell_nodes)


MESHES = {kind: distorted(*kind) for kind in KINDS}


def inner_points(mesh: Mesh, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random cells and reference coordinates, uniform in the reference cell."""
    generator = np.random.default_rng(seed)
    cells = generator.integers(0, mesh.n_cells, count)
    reference = generator.random((count, mesh.dim))
    if mesh.reference.is_simplex:
        parts = generator.standard_exponential((count, mesh.dim + 1))
        reference = (parts / parts.sum(axis=1, keepdims=True))[:, 1:]
    return cells, reference


def error_of(mesh: Mesh, location: object, points: object) -> float:
    return float(
        (mesh.map_to_points(location.cells, location.reference) - torch.as_tensor(points, dtype=torch.float64))
        .abs()
        .max()
    )  # pyright: ignore


def plain_location(mesh: Mesh, points: np.ndarray) -> np.ndarray:
    """The plain twin for simplices: barycentric coordinates in all cells, the lowest cell that holds the point."""
    corners = mesh.points.numpy()[mesh.cells.numpy()]
    inverse = np.linalg.inv(np.swapaxes(corners[:, 1:] - corners[:, :1], 1, 2))
    x = np.einsum("mij,mnj->mni", inverse, points[None] - corners[:, :1])
    slack = np.minimum(x.min(axis=2), 1 - x.sum(axis=2))
    return np.where((slack >= -1e-12).any(axis=0), (slack >= -1e-12).argmax(axis=0), -1)


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: f"{k[0]}-{k[1]}")
@given(seed=st.integers(0, 2**31))
def test_locate_inverts_the_map_of_the_cells(kind: tuple[str, int], seed: int) -> None:
    mesh = MESHES[kind]
    cells, reference = inner_points(mesh, 50, seed)
    points = mesh.map_to_points(cells, reference)
    location = mesh.locate(points)
    assert error_of(mesh, location, points) < 1e-12
    same = location.cells.numpy() == cells
    np.testing.assert_allclose(location.reference.numpy()[same], reference[same], atol=1e-10)
    near_facet = mesh.reference.inside(reference) < 1e-9
    assert bool((same | near_facet).all())


@pytest.mark.parametrize("name", ["interval", "triangle", "tetrahedron"])
def test_the_tree_agrees_with_its_plain_twin(name: str) -> None:
    mesh = MESHES[name, 1]
    points = np.random.default_rng(0).uniform(-0.1, 1.1, (3000, mesh.dim))
    assert mesh.locate(points, outside="nan").cells.tolist() == plain_location(mesh, points).tolist()


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: f"{k[0]}-{k[1]}")
def test_nodes_and_midpoints_are_found(kind: tuple[str, int]) -> None:
    mesh = MESHES[kind]
    for points in (mesh.nodes, mesh.facet_midpoints, mesh.refined().nodes):
        location = mesh.locate(points)
        assert error_of(mesh, location, points) < 1e-12
        assert float(mesh.reference.inside(location.reference.numpy()).min()) > -1e-10


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: f"{k[0]}-{k[1]}")
def test_a_point_shared_by_cells_belongs_to_the_lowest(kind: tuple[str, int]) -> None:
    mesh = MESHES[kind]
    lowest = np.full(len(mesh.nodes), mesh.n_cells)
    np.minimum.at(lowest, mesh.cell_nodes.numpy(), np.arange(mesh.n_cells)[:, None])
    assert mesh.locate(mesh.nodes).cells.tolist() == lowest.tolist()
    shuffled = np.random.default_rng(0).permutation(len(mesh.nodes))
    assert mesh.locate(mesh.nodes[shuffled]).cells.tolist() == lowest[shuffled].tolist()


@pytest.mark.parametrize("name", ["init_circle", "init_lshaped", "init_sqsymmetric"])
def test_dof_points_that_scikit_fem_rejects(name: str) -> None:
    theirs = getattr(skfem.MeshTri, name)().refined(3)
    mesh = Mesh.from_skfem(theirs)
    points = skfem.Basis(theirs, skfem.ElementTriP2()).doflocs.T
    assert error_of(mesh, mesh.locate(points), points) < 1e-14
    # midpoints of the sides of polygonal approximations, moved by rounding
    jitter = 1 + 1e-13 * np.random.default_rng(0).standard_normal(points.shape)
    mesh.locate(points * jitter)


def test_far_from_the_origin_and_in_small_units() -> None:
    for scale, shift in ((1e-9, 0.0), (1e6, 0.0), (1.0, 1e6), (1e-3, 1e3)):
        mesh = Mesh(MESHES["triangle", 1].points.numpy() * scale + shift, MESHES["triangle", 1].cells)
        cells, reference = inner_points(mesh, 500, 0)
        points = mesh.map_to_points(cells, reference)
        assert error_of(mesh, mesh.locate(points), points) <= 1e-12 * max(scale, shift)
        mesh.locate(mesh.facet_midpoints)


def test_very_flat_cells() -> None:
    """Boundary layers: cells a million times as long as high."""
    x = np.linspace(0, 1, 11)
    y = np.concatenate([[0], np.geomspace(1e-7, 1, 30)])
    for theirs in (skfem.MeshQuad.init_tensor(x, y), skfem.MeshTri.init_tensor(x, y)):
        mesh = Mesh.from_skfem(theirs)
        cells, reference = inner_points(mesh, 2000, 0)
        points = mesh.map_to_points(cells, reference)
        location = mesh.locate(points)
        assert error_of(mesh, location, points) < 1e-12
        mesh.locate(mesh.facet_midpoints)


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: f"{k[0]}-{k[1]}")
def test_nearest_is_the_nearest_point_of_the_mesh(kind: tuple[str, int]) -> None:
    mesh = MESHES[kind]
    points = np.random.default_rng(3).uniform(-0.6, 1.6, (60, mesh.dim))
    location = mesh.locate(points, outside="nearest")
    found = mesh.map_to_points(location.cells, location.reference)
    assert float(mesh.reference.inside(location.reference.numpy()).min()) > -1e-10
    distance = (found - torch.from_numpy(points)).norm(dim=1)
    inside = mesh.locate(points, outside="nan").found
    assert float(distance[inside].max()) < 1e-12
    # no sample of any cell is nearer
    per_axis = np.linspace(0, 1, 7)
    samples = np.stack(np.meshgrid(*[per_axis] * mesh.dim), axis=-1).reshape(-1, mesh.dim)
    samples = samples[mesh.reference.inside(samples) >= 0]
    outer = np.unique(mesh.facet_cells.numpy()[mesh.boundary["boundary"], 0])
    cloud = mesh.map_to_points(np.repeat(outer, len(samples)), np.tile(samples, (len(outer), 1)))
    gaps = (torch.from_numpy(points)[:, None] - cloud).norm(dim=2).min(dim=1).values
    assert bool((distance[~inside] <= gaps[~inside] + 1e-12).all())
    # the residual is orthogonal to the facet, or the point is on its rim: moving along the mesh does not help
    assert float((gaps - distance)[~inside].abs().max()) < 0.05


def test_nearest_on_a_square_is_known() -> None:
    points = [[0.5, -1.0], [2.0, 3.0], [-0.25, 0.5], [0.5, 0.5]]
    expected = torch.tensor([[0.5, 0.0], [1.0, 1.0], [0.0, 0.5], [0.5, 0.5]], dtype=torch.float64)
    for cells in ("triangle", "quadrilateral"):
        for mesh in (Mesh.rectangle(0.3, cells=cells), Mesh.rectangle(0.3, cells=cells).curved()):  # pyright: ignore
            location = mesh.locate(points, outside="nearest")
            torch.testing.assert_close(
                mesh.map_to_points(location.cells, location.reference), expected, atol=1e-9, rtol=0
            )


def test_nearest_on_a_curved_disc_lies_on_the_circle() -> None:
    disc = Mesh.disc(0.2, curved=True)
    angle = torch.linspace(0, 6, 40, dtype=torch.float64)
    ring = torch.stack([angle.cos(), angle.sin()], dim=1)
    location = disc.locate(3 * ring, outside="nearest")
    torch.testing.assert_close(disc.map_to_points(location.cells, location.reference), ring, atol=1e-4, rtol=0)


def test_points_outside_raise_with_what_a_caller_needs() -> None:
    mesh = Mesh.rectangle(0.25)
    points = [[0.5, 0.5], [1.5, 0.5], [0.2, 0.1], [0.5, -0.25]]
    with pytest.raises(OutsideError, match=r"2 of 4 points .* point 1 at \[1.5, 0.5\] \(0.5 away\)") as caught:
        mesh.locate(points)
    assert caught.value.indices.tolist() == [1, 3] and caught.value.distances.tolist() == [0.5, 0.25]
    location = mesh.locate(points, outside="nan")
    assert location.found.tolist() == [True, False, True, False] and location.cells.tolist()[1] == -1
    assert bool(location.reference[1].isnan().all()) and repr(location) == "Location(4 points, 2 outside)"


def test_holes_are_outside() -> None:
    mesh = Mesh.perforated_plate(0.1)
    with pytest.raises(OutsideError) as caught:
        mesh.locate([[0.5, 0.5]])
    assert float(caught.value.distances[0]) == pytest.approx(0.2, rel=0.05)


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: f"{k[0]}-{k[1]}")
def test_the_tolerance_is_relative_to_the_cell(kind: tuple[str, int]) -> None:
    mesh = MESHES[kind]
    facets = mesh.boundary["boundary"]
    middles = mesh.facet_midpoints[facets].numpy()
    centre = mesh.map_to_points(
        mesh.facet_cells[facets, 0], np.tile(mesh.reference.corners.mean(axis=0), (len(facets), 1))
    )
    outward = middles - centre.numpy()
    points = middles + 0.02 * outward
    with pytest.raises(OutsideError):
        mesh.locate(points)
    location = mesh.locate(points, tolerance=0.05)
    assert error_of(mesh, location, points) < 1e-11
    assert bool((location.cells == mesh.locate(middles).cells).all())
    with pytest.raises(OutsideError):
        mesh.locate(points, tolerance=1e-3)


def test_the_tolerance_holds_for_flat_cells_too() -> None:
    """A distance of a thousandth of a cell's length is accepted even where the cell is flatter than that."""
    mesh = Mesh([[0.0, 0.0], [1.0, 0.0], [1.0, 1e-4], [0.0, 1e-4]], [[0, 1, 2], [0, 2, 3]])
    points = [[0.5, 5e-4]]
    location = mesh.locate(points, tolerance=1e-3, outside="nan")
    assert location.cells.tolist() != [-1] and error_of(mesh, location, points) < 1e-12


def test_results_do_not_depend_on_threads_or_order() -> None:
    mesh = Mesh.disc(0.05)
    points = 0.69 * np.random.default_rng(0).uniform(-1, 1, (60_000, 2))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = mesh.locate(points)
        torch.set_num_threads(2)
        two = mesh.locate(points)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(one.cells, two.cells) and torch.equal(one.reference, two.reference)
    few = mesh.locate(points[:100])
    assert torch.equal(few.cells, one.cells[:100]) and torch.equal(few.reference, one.reference[:100])


def test_no_points_and_one_cell() -> None:
    mesh = Mesh([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [[0, 1, 2]])
    assert len(mesh.locate(np.zeros((0, 2)))) == 0
    assert mesh.locate([0.25, 0.25]).cells.tolist() == [0]
    assert Mesh.interval(1.0).locate([0.0, 0.3, 1.0]).reference.ravel().tolist() == pytest.approx([0.0, 0.3, 1.0])


def test_bad_requests() -> None:
    mesh = Mesh.rectangle(0.5)
    with pytest.raises(InputError, match="shape"):
        mesh.locate([[0.1, 0.2, 0.3]])
    with pytest.raises(InputError, match="finite"):
        mesh.locate([[0.1, float("nan")]])
    with pytest.raises(InputError, match="'raise', 'nan' or 'nearest'"):
        mesh.locate([[0.1, 0.2]], outside="skip")  # pyright: ignore
    with pytest.raises(InputError, match="tolerance"):
        mesh.locate([[0.1, 0.2]], tolerance=-1.0)
