"""Generated meshes: exact measure, stated mesh size, angles, named parts; signed distances."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from funcspace.errors import DomainError, InputError
from funcspace.geometry import signed_distance as sd
from funcspace.geometry.meshes.mesh import Mesh
from funcspace.geometry.meshes.mesh_fill import fill_loops

SIZES = (0.25, 0.11, 0.05)
ROUND: dict[str, Callable[[float], Mesh]] = {
    "disc": lambda h: Mesh.disc(h),
    "annulus": lambda h: Mesh.annulus(h),
    "small hole": lambda h: Mesh.annulus(h, inner=0.1),
    "plate": lambda h: Mesh.perforated_plate(h),
    "three holes": lambda h: Mesh.perforated_plate(
        h, 2.0, 1.0, holes=[(0.5, 0.5, 0.2), (1.2, 0.3, 0.1), (1.5, 0.7, 0.15)]
    ),
}


def star(x: torch.Tensor) -> torch.Tensor:
    return x.norm(dim=1) - (0.7 + 0.2 * torch.cos(5 * torch.atan2(x[:, 1], x[:, 0])))


@pytest.mark.parametrize("h", SIZES)
@pytest.mark.parametrize("name", list(ROUND))
def test_edges_have_the_stated_size_and_angles_are_wide(name: str, h: float) -> None:
    quality = ROUND[name](h).quality()
    assert quality.min_angle > 25
    assert quality.h_max < 1.5 * h
    assert 0.75 * h < quality.h_mean < 1.2 * h


@pytest.mark.parametrize("h", [0.2, 0.07])
def test_a_signed_distance_becomes_a_good_mesh(h: float) -> None:
    mesh = Mesh.from_signed_distance(star, h, [(-1, -1), (1, 1)])
    quality = mesh.quality()
    assert quality.min_angle > 25 and quality.h_max < 1.5 * h and 0.9 * h < quality.h_mean < 1.1 * h
    assert float(star(mesh.points[mesh.boundary_points()]).abs().max()) < 1e-10
    area = np.pi * (0.7**2 + 0.2**2 / 2)
    assert float(mesh.measure.sum()) == pytest.approx(area, rel=2 * (h / 0.3) ** 2 * 0.3)


def test_the_area_of_a_signed_distance_converges() -> None:
    exact = np.pi * (0.7**2 + 0.2**2 / 2)
    errors = [
        abs(float(Mesh.from_signed_distance(star, h, [(-1, -1), (1, 1)]).measure.sum()) - exact)
        for h in (0.12, 0.06, 0.03)
    ]
    assert np.log2(errors[0] / errors[2]) / 2 > 1.8


def test_corners_are_found_and_fixed_points_kept() -> None:
    polygon = [(0.0, 0.0), (1.0, 0.0), (1.2, 0.5), (0.6, 0.4), (0.5, 1.0)]
    mesh = Mesh.from_signed_distance(sd.polygon(polygon), 0.1, [(-0.1, -0.1), (1.3, 1.1)])
    assert float(mesh.measure.sum()) == pytest.approx(0.54, abs=1e-9)
    wanted = [(0.5, 0.0), (0.4, 0.31)]
    fixed = Mesh.from_signed_distance(sd.polygon(polygon), 0.1, [(-0.1, -0.1), (1.3, 1.1)], fixed_points=wanted)
    corners = torch.tensor([*polygon, *wanted], dtype=torch.float64)
    gaps = (corners[:, None] - fixed.points).norm(dim=2).min(dim=1).values
    assert float(gaps.max()) < 1e-9
    assert fixed.quality().min_angle > 18


def test_generation_is_deterministic() -> None:
    assert Mesh.annulus(0.1) == Mesh.annulus(0.1)
    assert Mesh.from_signed_distance(star, 0.1, [(-1, -1), (1, 1)]) == Mesh.from_signed_distance(
        star, 0.1, [(-1, -1), (1, 1)]
    )


@pytest.mark.parametrize("cells", ["triangle", "quadrilateral"])
def test_rectangles(cells: str) -> None:
    mesh = Mesh.rectangle(0.3, 2.0, 0.5, cells=cells, origin=(-1.0, 3.0))  # pyright: ignore
    assert mesh.bounds.tolist() == [[-1.0, 3.0], [1.0, 3.5]]
    assert float(mesh.measure.sum()) == pytest.approx(1.0)
    assert mesh.n_cells == 7 * 2 * (2 if cells == "triangle" else 1)
    assert len(mesh.boundary["left"]) == 2 and len(mesh.boundary["top"]) == 7


@pytest.mark.parametrize("cells", ["tetrahedron", "hexahedron"])
def test_boxes(cells: str) -> None:
    mesh = Mesh.box(0.5, 1.0, 1.5, 2.0, cells=cells, origin=(0.0, 1.0, 2.0))  # pyright: ignore
    assert float(mesh.measure.sum()) == pytest.approx(3.0)
    assert mesh.bounds.tolist() == [[0.0, 1.0, 2.0], [1.0, 2.5, 4.0]]
    assert mesh.n_cells == 2 * 3 * 4 * (5 if cells == "tetrahedron" else 1)
    assert len(mesh.boundary["back"]) == 6 * (2 if cells == "tetrahedron" else 1)
    assert mesh.h <= 1.5 * 0.5 and mesh.quality().min_angle > 54


def test_h_that_divides_the_side_is_met_exactly() -> None:
    for count in (3, 7, 10, 49, 100):
        assert Mesh.interval(1.0 / count).n_cells == count


@pytest.mark.parametrize("cells", ["triangle", "quadrilateral"])
def test_l_shape(cells: str) -> None:
    mesh = Mesh.l_shape(0.25, cells=cells)  # pyright: ignore
    assert float(mesh.measure.sum()) == pytest.approx(3.0)
    assert bool((mesh.points == 0).all(dim=1).any())
    lengths = {n: len(f) / 4 for n, f in mesh.boundary.items()}
    assert lengths == {"left": 2, "right": 1, "bottom": 1, "top": 2, "notch": 2, "boundary": 8}


def test_disc_and_annulus() -> None:
    disc = Mesh.disc(0.1, radius=2.0, center=(1.0, -1.0))
    rim = disc.points[disc.boundary_points()] - torch.tensor([1.0, -1.0], dtype=torch.float64)
    torch.testing.assert_close(rim.norm(dim=1), torch.full_like(rim[:, 0], 2.0), rtol=1e-14, atol=0)
    annulus = Mesh.annulus(0.1, 0.3, 1.0, center=(0.0, 2.0), curved=True)
    assert float(annulus.measure.sum()) == pytest.approx(np.pi * 0.91, rel=1e-5)
    for part, radius in (("inner", 0.3), ("outer", 1.0)):
        middles = annulus.facet_midpoints[annulus.boundary[part]] - torch.tensor([0.0, 2.0], dtype=torch.float64)
        assert float((middles.norm(dim=1) - radius).abs().max()) < 1e-14
    assert len(annulus.boundary["inner"]) + len(annulus.boundary["outer"]) == len(annulus.boundary["boundary"])


@pytest.mark.parametrize("curved", [False, True])
def test_perforated_plate(curved: bool) -> None:
    holes = [(0.5, 0.5, 0.2), (1.2, 0.3, 0.1)]
    mesh = Mesh.perforated_plate(0.08, 2.0, 1.0, holes=holes, curved=curved)
    area = 2.0 - np.pi * (0.04 + 0.01)
    assert float(mesh.measure.sum()) == pytest.approx(area, rel=5e-5 if curved else 5e-3)
    assert list(mesh.boundary) == ["left", "right", "bottom", "top", "holes", "hole_0", "hole_1", "boundary"]
    assert torch.equal(
        torch.cat([mesh.boundary["hole_0"], mesh.boundary["hole_1"]]).sort().values, mesh.boundary["holes"]
    )
    for index, (x, y, radius) in enumerate(holes):
        points = mesh.points[mesh.boundary_points(f"hole_{index}")] - torch.tensor([x, y], dtype=torch.float64)
        assert float((points.norm(dim=1) - radius).abs().max()) < 1e-12
    sides = torch.cat([mesh.boundary[n] for n in ("left", "right", "bottom", "top", "holes")])
    assert torch.equal(sides.sort().values, mesh.boundary["boundary"])
    assert float(mesh.facet_midpoints[mesh.boundary["top"], 1].min()) == 1.0


def test_a_plate_without_holes_is_a_rectangle() -> None:
    mesh = Mesh.perforated_plate(0.2, holes=[])
    assert float(mesh.measure.sum()) == pytest.approx(1.0, abs=1e-12) and len(mesh.boundary["holes"]) == 0


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Mesh.rectangle(0.0), InputError, "h must be"),
        (lambda: Mesh.rectangle(float("nan")), InputError, "h must be"),
        (lambda: Mesh.rectangle(0.1, -1.0), InputError, "side length"),
        (lambda: Mesh.rectangle(0.1, cells="hexagon"), InputError, "triangle, quadrilateral"),
        (lambda: Mesh.rectangle(0.1, origin=(0.0,)), InputError, "2 coordinates"),
        (lambda: Mesh.interval(0.1, start=1.0, stop=0.0), InputError, "lower to a higher"),
        (lambda: Mesh.disc(0.1, radius=-1.0), InputError, "radius"),
        (lambda: Mesh.disc(0.1, center=(0.0, 0.0, 0.0)), InputError, "center"),
        (lambda: Mesh.annulus(0.1, 1.0, 0.5), InputError, "inner < outer"),
        (lambda: Mesh.perforated_plate(0.1, holes=[(0.1, 0.5, 0.2)]), InputError, "hole 0 .* not inside"),
        (lambda: Mesh.perforated_plate(0.1, holes=[(0.4, 0.5, 0.2), (0.6, 0.5, 0.2)]), InputError, "overlap"),
        (lambda: Mesh.perforated_plate(0.1, holes=[(0.4, 0.5, -0.2)]), InputError, "hole 0"),
        (lambda: Mesh.from_signed_distance(star, 0.1, [(-0.5, -1), (1, 1)]), DomainError, "widen"),
        (
            lambda: Mesh.from_signed_distance(lambda x: 1 + x[:, 0] ** 2, 0.1, [(-1, -1), (1, 1)]),
            DomainError,
            "zero curve",
        ),
        (lambda: Mesh.from_signed_distance(lambda x: x, 0.1, [(-1, -1), (1, 1)]), InputError, "one per point"),
        (lambda: Mesh.from_signed_distance(star, 0.1, [(1, 1), (-1, -1)]), InputError, "lower and the upper"),
        (lambda: Mesh.from_signed_distance(lambda x: x[:, 0] / 0, 0.1, [(-1, -1), (1, 1)]), InputError, "finite"),
        (
            lambda: Mesh.from_signed_distance(star, 0.1, [(-1, -1), (1, 1)], fixed_points=[(0.99, 0.99)]),
            InputError,
            "fixed point 0",
        ),
        (lambda: Mesh.from_signed_distance(star, 1e-6, [(-1, -1), (1, 1)]), InputError, "too small"),
    ],
)
def test_bad_requests(make: Callable[[], Mesh], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_a_boundary_that_cannot_be_kept_is_an_error() -> None:
    """A small hole almost touches the middle of a long boundary edge of another."""
    angle = 2 * np.pi * np.arange(8) / 8
    small = np.array([0.5, 0.765]) - 0.05 * np.stack([np.cos(-angle), np.sin(-angle)], axis=1)
    frame = np.array([[-1.0, -1.0], [2.0, -1.0], [2.0, 2.0], [-1.0, 2.0]])
    block = np.array([[0.3, 0.3], [0.3, 0.7], [0.7, 0.7], [0.7, 0.3]])
    with pytest.raises(DomainError, match="choose a smaller h"):
        fill_loops([frame, block, small], 3.0, lambda x: np.full(len(x), -1e-3))


# signed distances

SHAPES: dict[str, tuple[sd.SignedDistance, int]] = {
    "disc": (sd.ball((0.1, 0.2), 0.6), 2),
    "ball": (sd.ball((0.1, 0.2, 0.0), 0.6), 3),
    "box": (sd.box((-0.5, -0.3), (0.4, 0.6)), 2),
    "cuboid": (sd.box((-0.5, -0.3, -0.2), (0.4, 0.6, 0.7)), 3),
    "half plane": (sd.half_space((0.1, 0.0), (1.0, 2.0)), 2),
    "capsule": (sd.capsule((-0.3, 0.0), (0.4, 0.2), 0.2), 2),
    "triangle": (sd.polygon([(-0.6, -0.5), (0.7, -0.4), (0.1, 0.6)]), 2),
    "moved": (sd.translated(sd.rotated(sd.box((-0.4, -0.2), (0.4, 0.2)), 0.7), (0.2, -0.1)), 2),
    "scaled": (sd.scaled(sd.polygon([(-1, -1), (1, -1), (0, 1)]), 0.5), 2),
}


@pytest.mark.parametrize("name", list(SHAPES))
def test_exact_distances_have_slope_one_and_lead_to_the_boundary(name: str) -> None:
    """|grad phi| = 1 almost everywhere, and x - phi grad phi lies on the boundary, for points outside."""
    shape, dim = SHAPES[name]
    x = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (400, dim))).requires_grad_()
    phi = shape(x)
    (slope,) = torch.autograd.grad(phi.sum(), x)
    x, phi = x.detach(), phi.detach()
    outside = phi > 0
    torch.testing.assert_close(slope.norm(dim=1), torch.ones_like(phi), atol=1e-9, rtol=0)
    assert float(shape(x - phi[:, None] * slope)[outside].abs().max()) < 1e-9


def test_combinations_are_set_operations() -> None:
    a, b = sd.ball((0.0, 0.0), 0.7), sd.box((0.0, -0.5), (0.9, 0.5))
    x = torch.from_numpy(np.random.default_rng(1).uniform(-1, 1, (500, 2)))
    inside_a, inside_b = a(x) < 0, b(x) < 0
    assert torch.equal(sd.union(a, b)(x) < 0, inside_a | inside_b)
    assert torch.equal(sd.intersection(a, b)(x) < 0, inside_a & inside_b)
    assert torch.equal(sd.difference(a, b)(x) < 0, inside_a & ~inside_b)
    torch.testing.assert_close(sd.offset(a, 0.1)(x), sd.ball((0.0, 0.0), 0.8)(x))
    with pytest.raises(InputError, match="at least one"):
        sd.union()


@pytest.mark.parametrize(
    "make",
    [
        lambda: sd.ball((0.0, 0.0), -1.0),
        lambda: sd.ball((0.0, float("nan")), 1.0),
        lambda: sd.box((0.0, 0.0), (1.0, 0.0)),
        lambda: sd.half_space((0.0, 0.0), (0.0, 0.0)),
        lambda: sd.capsule((0.0, 0.0), (0.0, 0.0), 1.0),
        lambda: sd.polygon([(0.0, 0.0), (1.0, 1.0)]),
        lambda: sd.scaled(sd.ball((0.0, 0.0), 1.0), 0.0),
    ],
)
def test_bad_shapes(make: Callable[[], object]) -> None:
    with pytest.raises(InputError):
        make()
