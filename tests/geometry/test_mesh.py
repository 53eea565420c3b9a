"""Meshes: measure, facets and the divergence theorem, named parts, identity, and every kind of broken input."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from funcspace.errors import DomainError, InputError
from funcspace.geometry.domain import Domain
from funcspace.geometry.meshes.mesh import Mesh
from funcspace.geometry.meshes.mesh_node_orders import to_theirs
from funcspace.geometry.meshes.reference_cells import REFERENCE_CELLS

SQUARE = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
MESHES = {
    "interval": lambda: Mesh.interval(0.25),
    "triangle": lambda: Mesh.rectangle(0.3),
    "quadrilateral": lambda: Mesh.rectangle(0.3, cells="quadrilateral"),
    "tetrahedron": lambda: Mesh.box(0.4),
    "hexahedron": lambda: Mesh.box(0.4, cells="hexahedron"),
}
KINDS = [(name, degree) for name in MESHES for degree in (1, 2)]


def mesh_of(name: str, degree: int) -> Mesh:
    """The unit box in cells of a type, distorted inside and (degree 2) curved."""
    mesh = MESHES[name]()
    nodes = (mesh.curved() if degree == 2 else mesh).nodes.numpy()
    bump = np.prod(np.sin(np.pi * nodes), axis=1, keepdims=True)
    nodes = nodes + 0.08 * bump * np.cos(3 * nodes[:, ::-1] + np.arange(mesh.dim))
    cells = (mesh.curved() if degree == 2 else mesh).cell_nodes
    return Mesh(nodes, cells, boundaries={n: f for n, f in mesh.boundary.items() if n != "boundary"})


@pytest.fixture(params=KINDS, ids=lambda k: f"{k[0]}-{k[1]}")
def mesh(request: pytest.FixtureRequest) -> Mesh:
    return mesh_of(*request.param)


def test_a_mesh_is_a_domain(mesh: Mesh) -> None:
    assert isinstance(mesh, Domain)
    assert mesh.points.dtype == torch.float64 and mesh.cells.dtype == torch.int64
    assert mesh.axis_names == ("x", "y", "z")[: mesh.dim]
    assert mesh.bounds.tolist() == [[0.0] * mesh.dim, [1.0] * mesh.dim]


def test_measure_and_volumes_add_up_to_the_box(mesh: Mesh) -> None:
    assert float(mesh.measure.sum()) == pytest.approx(1.0, abs=1e-14)
    assert float(mesh.volumes.sum()) == pytest.approx(1.0, abs=1e-14)
    assert bool((mesh.measure > 0).all()) and bool((mesh.volumes > 0).all())


def test_measure_integrates_linear_functions_on_simplices() -> None:
    for name in ("interval", "triangle", "tetrahedron"):
        mesh = mesh_of(name, 1)
        assert float(mesh.measure @ mesh.points.sum(dim=1)) == pytest.approx(mesh.dim / 2, abs=1e-14)


def test_measure_counts_curved_area() -> None:
    areas = [float(Mesh.disc(1.1 / rings, curved=True).measure.sum()) for rings in (3, 6, 12)]
    errors = [abs(area - np.pi) for area in areas]
    assert np.log2(errors[0] / errors[1]) > 3.5 and np.log2(errors[1] / errors[2]) > 3.5


@pytest.mark.parametrize("name", list(MESHES))
def test_divergence_theorem_on_facets(name: str) -> None:
    """sum over boundary facets of |f| x_f . n_f = d |domain|, the normals from the facets' own corners."""
    mesh = MESHES[name]()
    facets, points = mesh.facets.numpy()[mesh.boundary["boundary"]], mesh.points.numpy()
    corner, middle = points[facets], mesh.facet_midpoints.numpy()[mesh.boundary["boundary"]]
    if mesh.dim == 1:
        normal = np.ones((len(facets), 1))
    elif mesh.dim == 2:
        edge = corner[:, 1] - corner[:, 0]
        normal = np.stack([edge[:, 1], -edge[:, 0]], axis=1)
    else:
        normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, -1] - corner[:, 0])
        normal /= 2 if facets.shape[1] == 3 else 1
    inside = points[mesh.cells.numpy()[mesh.facet_cells.numpy()[mesh.boundary["boundary"], 0]]].mean(axis=1)
    normal *= np.sign(((middle - inside) * normal).sum(axis=1, keepdims=True))
    assert (middle * normal).sum() == pytest.approx(mesh.dim, abs=1e-12)
    np.testing.assert_allclose(normal.sum(axis=0), 0.0, atol=1e-12)


def test_facets_join_cells(mesh: Mesh) -> None:
    cells, facets = mesh.cell_facets.numpy(), mesh.facets.numpy()
    for local, corners in enumerate(mesh.reference.facets):
        ours = np.sort(facets[cells[:, local]], axis=1)
        np.testing.assert_array_equal(ours, np.sort(mesh.cells.numpy()[:, list(corners)], axis=1))
    first, second = mesh.facet_cells.numpy().T
    assert all(f in cells[c] for f, c in enumerate(first))
    assert all(c == -1 or f in cells[c] for f, c in enumerate(second))
    np.testing.assert_array_equal(np.flatnonzero(second < 0), mesh.boundary["boundary"].numpy())
    # Euler: in a box of any dimension the alternating sum of vertices, edges, facets, cells is one
    if mesh.dim == 2:
        assert len(mesh.points) - len(facets) + mesh.n_cells == 1


def test_sides_are_where_their_names_say(mesh: Mesh) -> None:
    sides = [("left", "right"), ("bottom", "top"), ("front", "back")][: mesh.dim]
    for axis, pair in enumerate(sides):
        for name, value in zip(pair, (0.0, 1.0), strict=True):
            assert bool((mesh.points[mesh.boundary_points(name), axis] == value).all())
            assert bool((mesh.facet_midpoints[mesh.boundary[name]][:, axis] == value).all())
    named = torch.cat([mesh.boundary[name] for pair in sides for name in pair])
    assert torch.equal(named.sort().values, mesh.boundary["boundary"])


def test_shape_functions_are_nodal_and_sum_to_one() -> None:
    generator = np.random.default_rng(0)
    for reference in REFERENCE_CELLS.values():
        x = generator.random((20, reference.dim))
        for degree in (1, 2):
            nodes = reference.nodes[: reference.n_nodes(degree)]
            np.testing.assert_allclose(reference.shape(nodes, degree), np.eye(len(nodes)), atol=1e-14)
            np.testing.assert_allclose(reference.shape(x, degree).sum(axis=1), 1.0, atol=1e-13)
            np.testing.assert_allclose(reference.shape(x, degree) @ nodes, x, atol=1e-13)
            slopes = np.einsum("nkj,ki->nij", reference.shape_gradients(x, degree), nodes)
            np.testing.assert_allclose(slopes, np.broadcast_to(np.eye(reference.dim), slopes.shape), atol=1e-12)


def test_quadrature_is_exact_to_its_degree() -> None:
    for reference in REFERENCE_CELLS.values():
        for degree in range(7):
            points, weights = reference.quadrature(degree)
            assert bool((weights > 0).all()) and bool((reference.inside(points) > 0).all())
            assert weights.sum() == pytest.approx(reference.volume)
            value = weights @ points[:, 0] ** degree
            exact = 1 / (degree + 1)
            if reference.is_simplex:  # int x^k over the simplex: k! / (k + d)!
                exact = np.prod([1 / (degree + i) for i in range(1, reference.dim + 1)])
            assert value == pytest.approx(exact)


def test_identity_is_content() -> None:
    mesh, same = Mesh(SQUARE, [[0, 1, 2], [0, 2, 3]]), Mesh(np.array(SQUARE), np.array([[0, 1, 2], [0, 2, 3]]))
    assert mesh == same and hash(mesh) == hash(same) and mesh.fingerprint == same.fingerprint
    others = [
        Mesh(SQUARE, [[0, 1, 2], [2, 3, 0]]),
        Mesh(2 * np.array(SQUARE), [[0, 1, 2], [0, 2, 3]]),
        mesh.with_boundaries({"left": lambda x: x[:, 0] == 0}),
        Mesh(SQUARE, [[0, 1, 2], [0, 2, 3]], units={"x": "m"}),
        Mesh(SQUARE, [[0, 1, 2], [0, 2, 3]], axis_names=("r", "z")),
        mesh.curved(),
    ]
    assert len({mesh, *others}) == 7
    assert mesh != "mesh"
    with pytest.raises(AttributeError, match="immutable"):
        mesh.dim = 3  # pyright: ignore


def test_pickle_keeps_the_content_and_leaves_the_caches() -> None:
    mesh = Mesh.rectangle(0.2, cells="quadrilateral")
    bare = len(pickle.dumps(mesh))
    mesh.locate([[0.5, 0.5]])
    mesh.to_skfem()
    assert len(pickle.dumps(mesh)) == bare
    assert pickle.loads(pickle.dumps(mesh)) == mesh


def test_the_input_is_copied_and_its_numbering_kept() -> None:
    points = np.random.default_rng(1).permutation(np.array(SQUARE))
    order = [int(np.flatnonzero((points == corner).all(axis=1))[0]) for corner in SQUARE]
    cells = np.array([[order[0], order[1], order[2]], [order[0], order[2], order[3]]])
    mesh = Mesh(points, cells)
    kept = points.copy()
    points += 1
    np.testing.assert_array_equal(mesh.points.numpy(), kept)
    np.testing.assert_array_equal(mesh.cells.numpy(), cells)


def test_quadratic_cells_in_any_numbering() -> None:
    curved = Mesh.disc(0.5, curved=True)
    shuffle = np.random.default_rng(0).permutation(len(curved.nodes))
    place = np.argsort(shuffle)
    again = Mesh(curved.nodes[shuffle], place[curved.cell_nodes.numpy()])
    assert again.is_curved and len(again.points) == len(curved.points)
    assert float(again.measure.sum()) == pytest.approx(float(curved.measure.sum()), rel=1e-14)
    x = np.full((again.n_cells, 2), 0.3)
    cells = torch.arange(again.n_cells)
    assert torch.equal(again.map_to_points(cells, x), curved.map_to_points(cells, x))


def test_boundary_parts_in_all_forms() -> None:
    mesh = Mesh.rectangle(0.5)
    by_test = mesh.with_boundaries({"inflow": lambda x: x[:, 0] < 1e-12})
    indices = by_test.boundary["inflow"]
    forms = [
        indices,
        indices.tolist(),
        mesh.facets[indices],
        mesh.facets[indices].flip(1),
        mesh.facet_midpoints[:, 0] < 1e-12,
    ]
    for form in forms:
        assert mesh.with_boundaries({"inflow": form}) == by_test
    numpy_answer = mesh.with_boundaries({"inflow": lambda x: x.numpy()[:, 0] < 1e-12})
    assert numpy_answer == by_test
    assert list(by_test.boundary) == ["left", "right", "bottom", "top", "inflow", "boundary"]
    assert list(mesh.with_boundaries({"a": []}, replace=True).boundary) == ["a", "boundary"]
    assert list(mesh.boundary) == ["left", "right", "bottom", "top", "boundary"]


def test_parts_by_points_follow_the_numbering_of_the_input() -> None:
    points = [[9.0, 9.0], *SQUARE]
    mesh = Mesh(points, [[1, 2, 3], [1, 3, 4]], boundaries={"low": [[1, 2]]}, drop_unused=True)
    assert mesh.facet_midpoints[mesh.boundary["low"]].tolist() == [[0.5, 0.0]]
    curved = Mesh.rectangle(0.5).curved()
    shuffle = np.random.default_rng(0).permutation(len(curved.nodes))
    place = np.argsort(shuffle)
    low = place[curved.facets.numpy()[curved.boundary["bottom"]]]
    again = Mesh(curved.nodes[shuffle], place[curved.cell_nodes.numpy()], boundaries={"low": low})
    assert bool((again.facet_midpoints[again.boundary["low"], 1] == 0).all()) and len(again.boundary["low"]) == 2
    with pytest.raises(InputError, match="not a facet"):
        Mesh(points, [[1, 2, 3], [1, 3, 4]], boundaries={"low": [[0, 2]]}, drop_unused=True)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (lambda x: x[:, 0], "booleans"),
        (lambda x: torch.tensor([True]), "booleans"),
        ([999], "facet 999"),
        ([-1], "facet -1"),
        ([0.5], "dtype float"),
        ([[0, 1], [0, 8]], "its facet 1 is not a facet"),
        (np.array([True]), "one entry per facet"),
    ],
)
def test_bad_boundary_parts(part: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Mesh.rectangle(0.5).with_boundaries({"part": part})


def test_the_name_boundary_is_taken() -> None:
    mesh = Mesh.rectangle(0.5)
    assert mesh.with_boundaries({"boundary": mesh.boundary["boundary"]}) == mesh
    with pytest.raises(InputError, match="always means"):
        mesh.with_boundaries({"boundary": [0]})
    with pytest.raises(InputError, match="needs a name"):
        mesh.with_boundaries({"": [0]})
    with pytest.raises(InputError, match="the parts are left, right"):
        mesh.boundary_points("inlet")


BROKEN = {
    "NaN": ([[0.0, 0.0], [1.0, np.nan], [0.0, 1.0]], [[0, 1, 2]], InputError, "point 1"),
    "flat list": ([0.0, 1.0, 2.0], [0, 1], InputError, "cells must have shape"),
    "four dimensions": (np.zeros((3, 4)), [[0, 1, 2]], InputError, "d = 1, 2 or 3"),
    "text": ([["a", "b"]], [[0]], InputError, "real numbers"),
    "no cells": (SQUARE, np.zeros((0, 3), dtype=int), InputError, "at least one cell"),
    "fractions": (SQUARE, [[0.0, 1.0, 2.0]], InputError, "whole numbers"),
    "five corners": (np.random.default_rng(0).random((5, 2)), [[0, 1, 2, 3, 4]], InputError, "5 nodes in 2"),
    "missing point": (SQUARE, [[0, 1, 2], [0, 2, 4]], DomainError, "cell 1 names point 4"),
    "negative index": (SQUARE, [[0, 1, 2], [0, 2, -1]], DomainError, "cell 1 names point -1"),
    "point twice": (SQUARE, [[0, 1, 2], [0, 2, 2]], DomainError, "cell 1 is degenerate"),
    "no area": ([[0.0, 0.0], [0.1, 0.1], [0.3, 0.3]], [[0, 1, 2]], DomainError, "cell 0 is degenerate"),
    "no area far away": (
        [[1e6, 1e6], [1e6 + 0.1, 1e6 + 0.1], [1e6 + 0.3, 1e6 + 0.3]],
        [[0, 1, 2]],
        DomainError,
        "cell 0 is degenerate",
    ),
    "dangling point": ([*SQUARE, [5.0, 5.0]], [[0, 1, 2], [0, 2, 3]], DomainError, "dangling point 4"),
    "dangling cell": (
        [*SQUARE, [5.0, 5.0], [6.0, 5.0], [5.0, 6.0]],
        [[0, 1, 2], [0, 2, 3], [4, 5, 6]],
        DomainError,
        "dangling cell 2",
    ),
    "touching at a point only": (
        [*SQUARE, [2.0, 1.0], [2.0, 2.0]],
        [[0, 1, 2], [0, 2, 3], [2, 4, 5]],
        DomainError,
        "dangling cell 2",
    ),
    "inverted": (SQUARE, [[0, 1, 2], [0, 3, 2]], DomainError, "inverted cell 1"),
    "folded": ([*SQUARE[:3], [0.9, 0.2]], [[0, 1, 2], [0, 2, 3]], DomainError, "inverted cell 1"),
    "cell twice": (SQUARE, [[0, 1, 2], [0, 2, 3], [0, 1, 2]], DomainError, r"inverted cell|3 cells"),
    "three cells at a facet": (
        [*SQUARE, [-1.0, 2.0]],
        [[0, 1, 2], [0, 2, 3], [0, 2, 4]],
        DomainError,
        "belongs to 3 cells",
    ),
    "bow tie": (SQUARE, [[0, 1, 3, 2]], DomainError, "inverted cell 0"),
    "clockwise quadrilateral": (SQUARE, [[0, 3, 2, 1]], DomainError, "inverted cell 0"),
    "dent": ([[0.0, 0.0], [1.0, 0.0], [0.2, 0.2], [0.0, 1.0]], [[0, 1, 2, 3]], DomainError, "inverted cell 0"),
    "tetrahedron without volume": (
        [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.3, 0.3, 0.0]],
        [[0, 1, 2, 3]],
        DomainError,
        "no volume",
    ),
    "interval folded": ([0.0, 1.0, 0.5], [[0, 1], [1, 2]], DomainError, "inverted cell"),
}


@pytest.mark.parametrize("case", list(BROKEN))
def test_broken_meshes_are_refused_and_the_culprit_named(case: str) -> None:
    points, cells, error, message = BROKEN[case]
    with pytest.raises(error, match=message):
        Mesh(points, cells)


@pytest.mark.parametrize(("name", "degree"), [k for k in KINDS if k[0] != "interval"])
def test_an_interior_point_pulled_out_of_its_cells_is_found(name: str, degree: int) -> None:
    mesh = mesh_of(name, degree)
    rim = set(mesh.boundary_points().tolist())
    inner = next(i for i in range(len(mesh.points)) if i not in rim)
    nodes = mesh.nodes.numpy().copy()
    nodes[inner] = 3.0
    with pytest.raises(DomainError, match="inverted cell"):
        Mesh(nodes, mesh.cell_nodes)


@pytest.mark.parametrize("name", ["triangle", "tetrahedron"])
def test_one_swapped_cell_is_found(name: str) -> None:
    mesh = MESHES[name]()
    cells = mesh.cells.numpy().copy()
    cells[7, [0, 1]] = cells[7, [1, 0]]
    with pytest.raises(DomainError, match="inverted cell 7"):
        Mesh(mesh.points, cells)
    assert float(Mesh(mesh.points, cells, orientation="keep").measure.sum()) == pytest.approx(1.0)
    fixed = Mesh(mesh.points, cells, orientation="fix")
    assert set(map(frozenset, fixed.cells.tolist())) == set(map(frozenset, cells.tolist()))
    Mesh(fixed.points, fixed.cells)


@pytest.mark.parametrize(("name", "degree"), KINDS)
def test_orientation_fix_turns_every_cell_type(name: str, degree: int) -> None:
    mesh = mesh_of(name, degree)
    mirrored = mesh.nodes.numpy() * np.array([-1.0, 1.0, 1.0])[: mesh.dim]
    fixed = Mesh(mirrored, mesh.cell_nodes, orientation="fix")
    np.testing.assert_allclose(fixed.volumes, mesh.volumes, rtol=1e-12)
    assert Mesh(fixed.nodes, fixed.cell_nodes) == fixed


def test_orientation_conventions_that_are_accepted() -> None:
    clockwise = [[0, 2, 1], [0, 3, 2]]
    np.testing.assert_array_equal(Mesh(SQUARE, clockwise).cells, clockwise)
    ascending = Mesh(SQUARE, [[0, 1, 2], [0, 2, 3]]).points
    Mesh(ascending[[0, 1, 3, 2]], [[0, 1, 2], [1, 2, 3]])
    with pytest.raises(InputError, match="orientation"):
        Mesh(SQUARE, clockwise, orientation="turn")  # pyright: ignore


@pytest.mark.parametrize("degree", [1, 2])
def test_hexahedra_in_the_order_of_vtk(degree: int) -> None:
    ours = mesh_of("hexahedron", degree)
    theirs = ours.cell_nodes[:, list(to_theirs("hexahedron", degree, "vtk"))]
    assert not torch.equal(theirs, ours.cell_nodes)
    again = Mesh(ours.nodes, theirs)
    assert again == ours.with_boundaries({}, replace=True)
    cube = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]]
    assert float(Mesh(cube, [list(range(8))]).measure.sum()) == pytest.approx(1.0)


def test_opting_out_of_checks() -> None:
    points = [*SQUARE, [5.0, 5.0], [6.0, 5.0], [5.0, 6.0], [9.0, 9.0]]
    cells = [[0, 1, 2], [0, 2, 3], [4, 5, 6]]
    mesh = Mesh(points, cells, allow_dangling=True, drop_unused=True)
    assert len(mesh.points) == 7 and float(mesh.measure.sum()) == pytest.approx(1.5)


def test_cells_that_do_not_match_along_a_curved_edge() -> None:
    curved = Mesh(SQUARE, [[0, 1, 2], [0, 2, 3]]).curved()
    cells = curved.cell_nodes.numpy().copy()
    shared = int(cells[0, 5])
    nodes = np.vstack([curved.nodes.numpy(), curved.nodes.numpy()[shared] + 0.1])
    cells[1][cells[1] == shared] = len(nodes) - 1
    with pytest.raises(DomainError, match="does not match its neighbour"):
        Mesh(nodes, cells)


def test_names_and_units_are_checked() -> None:
    mesh = Mesh(SQUARE, [[0, 1, 2, 3]], units={"x": "m"}, cell_type="quadrilateral")
    assert dict(mesh.units) == {"x": "m"}
    with pytest.raises(InputError, match="'z'"):
        Mesh(SQUARE, [[0, 1, 2, 3]], units={"z": "m"})
    with pytest.raises(InputError, match="2 distinct names"):
        Mesh(SQUARE, [[0, 1, 2, 3]], axis_names=("x", "x"))
    with pytest.raises(InputError, match="not triangle"):
        Mesh(SQUARE, [[0, 1, 2, 3]], cell_type="triangle")
    with pytest.raises(InputError, match="unknown cell_type"):
        Mesh(SQUARE, [[0, 1, 2, 3]], cell_type="square")


def test_repr_tells_what_it_is() -> None:
    assert repr(Mesh.rectangle(0.1)) == (
        "Mesh(triangle, 200 cells, 121 points, h=0.141, boundary: left, right, bottom, top)"
    )
    assert repr(Mesh(SQUARE, [[0, 1, 2, 3]])) == "Mesh(quadrilateral, 1 cell, 4 points, h=1, boundary: 4 facets)"
    html = Mesh.rectangle(0.5, cells="quadrilateral").with_boundaries({"<b>": [0]})._repr_html_()
    assert "quadrilaterals" in html and "&lt;b&gt;" in html and "<b>:" not in html and "<svg" in html
    assert "<svg" not in Mesh.box(0.5)._repr_html_()


def test_quality_of_regular_cells() -> None:
    triangle = Mesh([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]], [[0, 1, 2]]).quality()
    assert triangle.min_angle == pytest.approx(60) and triangle.min_scaled_jacobian == pytest.approx(1)
    tetrahedron = Mesh([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], [[0, 1, 2, 3]]).quality()
    assert tetrahedron.min_angle == pytest.approx(np.degrees(np.arccos(1 / 3)))
    assert tetrahedron.min_scaled_jacobian == pytest.approx(1) and tetrahedron.max_aspect_ratio == pytest.approx(1)
    for name in ("quadrilateral", "hexahedron"):
        box = MESHES[name]().quality()
        assert box.min_angle == pytest.approx(90) and box.mean_scaled_jacobian == pytest.approx(1)
    assert "aspect ratio" in repr(box) and "min 90.0" in repr(box)
    assert "angle" not in repr(Mesh.interval(0.5).quality())
    assert Mesh.disc(0.5, curved=True).quality().min_jacobian_ratio < 1


def test_quality_finds_duplicate_points() -> None:
    points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    mesh = Mesh(points, [[0, 1, 2], [3, 5, 4]], allow_dangling=True)
    assert mesh.quality().duplicate_points == 2
    with pytest.raises(DomainError, match="merge duplicate points"):
        Mesh(points, [[0, 1, 2], [3, 5, 4]])


@given(st.integers(3, 40), st.integers(0, 2**31))
def test_delaunay_meshes_fill_their_hull(count: int, seed: int) -> None:
    """Any Delaunay triangulation is a valid mesh, its measure is that of the convex hull, its facets obey Euler."""
    from scipy.spatial import ConvexHull, Delaunay

    for dim in (2, 3):
        points = np.random.default_rng(seed).random((count + dim, dim))
        simplices = Delaunay(points).simplices
        mesh = Mesh(points, simplices, allow_dangling=len(simplices) < 3, orientation="check" if dim == 2 else "keep")
        assert float(mesh.measure.sum()) == pytest.approx(ConvexHull(points).volume, rel=1e-9)
        if dim == 2:
            assert len(mesh.points) - len(mesh.facets) + mesh.n_cells == 1
