"""Pictures: what is drawn where, in which colours and with which labels."""

import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

import funcspace as fs
from funcspace.functions.plots import plot_comparison, plot_history, plot_mesh
from funcspace.functions.plots.plot_mesh import legible_parts, scaled_jacobians

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

from matplotlib.collections import LineCollection, PathCollection, PolyCollection, QuadMesh, TriMesh  # noqa: E402
from matplotlib.quiver import Quiver  # noqa: E402
from mpl_toolkits.mplot3d.art3d import Poly3DCollection  # noqa: E402

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def only(ax, kind):
    found = [artist for artist in ax.collections if isinstance(artist, kind)]
    assert len(found) == 1
    return found[0]


def bar_labels(figure):
    """Labels of all colour bars, also of those inside other axes."""
    seen, stack = [], list(figure.axes)
    while stack:
        ax = stack.pop()
        stack += ax.child_axes
        if ax.get_label() == "<colorbar>" or hasattr(ax, "_colorbar"):
            seen.append(ax.get_ylabel())
    return seen


def plane(**options):
    return fs.Grid(x=(0.0, 2.0, 9), y=(-1.0, 1.0, 5), units={"x": "m", "y": "m"}, **options)


def field(domain, element=None, rule=lambda x: 1 + x[:, 0] + 3 * x[:, 1] ** 2, **options):
    return fs.FunctionSpace(domain, element).interpolate(rule, **options)


class TestLines:
    def test_data_labels_and_limits(self):
        grid = fs.Grid(x=(0.0, 2.0, 17), units={"x": "m"})
        ax = field(grid, rule=lambda x: x[:, 0] ** 2, name="height", units="km").plot()
        (line,) = ax.lines
        np.testing.assert_array_equal(line.get_xdata(), grid.axes["x"])
        np.testing.assert_array_equal(line.get_ydata(), grid.axes["x"] ** 2)
        assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("x [m]", "height [km]", "height")
        assert ax.get_xlim() == (0.0, 2.0)

    def test_a_periodic_axis_is_closed(self):
        grid = fs.Grid(x=(0.0, 1.0, 8), periodic="x")
        (line,) = field(grid, rule=lambda x: torch.cos(2 * math.pi * x[:, 0])).plot().lines
        assert line.get_xdata()[-1] == 1.0
        assert line.get_ydata()[-1] == line.get_ydata()[0]

    def test_a_smooth_basis_is_drawn_between_its_samples(self):
        grid = fs.Grid(x=(0.0, 2 * math.pi, 8), periodic="x")
        (line,) = field(grid, "fourier", lambda x: torch.sin(x[:, 0])).plot().lines
        assert len(line.get_xdata()) > 100
        np.testing.assert_allclose(line.get_ydata(), np.sin(line.get_xdata()), atol=1e-12)

    def test_cell_means_are_steps_over_the_cells(self):
        grid = fs.Grid(x=np.array([0.0, 1.0, 4.0]), samples="cells")
        ax = field(grid, "constant", lambda x: x[:, 0]).plot()
        steps = ax.patches[0].get_data()
        np.testing.assert_array_equal(steps.values, [0.0, 1.0, 4.0])
        np.testing.assert_allclose(steps.edges, [-0.5, 0.5, 2.5, 5.5])

    def test_components_get_a_line_and_a_name_each(self):
        space = fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, 5)), components=("p", "q"))
        f = space.interpolate(lambda x: torch.cat([x, x**2], dim=1))
        ax = f.plot()
        assert [text.get_text() for text in ax.get_legend().get_texts()] == ["p", "q"]
        np.testing.assert_array_equal(ax.lines[1].get_ydata(), f.numpy()[:, 1])
        (line,) = f.plot(component="q").lines
        np.testing.assert_array_equal(line.get_ydata(), f.numpy()[:, 1])

    def test_index_picks_from_the_batch_and_none_overlays_it(self):
        space = fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, 5)))
        batch = fs.Function(space, torch.arange(60.0).reshape(2, 6, 5))
        (line,) = batch.plot(index=(1, 2)).lines
        np.testing.assert_array_equal(line.get_ydata(), batch.numpy()[1, 2])
        assert batch.plot(index=(1, 2)).get_title() == "u, sample 1, 2"
        assert len(batch.plot(index=None).lines) == 8

    @pytest.mark.parametrize("element", ["P1", "P2"])
    def test_an_interval_mesh_is_drawn_from_left_to_right(self, element):
        points = np.array([[0.0], [2.0], [1.0], [0.5]])
        mesh = fs.Mesh(points, [[2, 1], [0, 3], [3, 2]])
        (line,) = field(mesh, element, lambda x: x[:, 0] ** 2).plot().lines
        x, y = line.get_data()
        assert (np.diff(x) >= 0).all()
        assert len(x) >= (24 if element == "P2" else 4)
        expected = x**2 if element == "P2" else np.interp(x, [0.0, 0.5, 1.0, 2.0], [0.0, 0.25, 1.0, 4.0])
        np.testing.assert_allclose(y, expected, atol=1e-12)

    def test_p0_on_an_interval_mesh_has_gaps_between_the_cells(self):
        (line,) = field(fs.Mesh.interval(0.25), "P0", lambda x: x[:, 0]).plot().lines
        y = line.get_ydata()
        np.testing.assert_allclose(y[~np.isnan(y)], np.repeat([0.125, 0.375, 0.625, 0.875], 2))
        assert np.isnan(y).sum() >= 3


class TestPlaneGrids:
    def test_vertex_samples_are_interpolated_and_transposed(self):
        f = field(plane(), name="height", units="km")
        ax = f.plot()
        image = only(ax, QuadMesh)
        assert image._shading == "gouraud"
        np.testing.assert_array_equal(np.asarray(image.get_array()).reshape(5, 9), f.numpy().T)
        x, y = np.moveaxis(image.get_coordinates(), -1, 0)
        np.testing.assert_array_equal(x[0], f.domain.axes["x"])
        np.testing.assert_array_equal(y[:, 0], f.domain.axes["y"])
        assert (ax.get_xlim(), ax.get_ylim()) == ((0.0, 2.0), (-1.0, 1.0))
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("x [m]", "y [m]")
        assert ax.get_aspect() == 1.0
        assert bar_labels(ax.figure) == ["height [km]"]

    def test_cells_are_flat_and_fill_the_domain(self):
        f = field(fs.Grid(x=(0.0, 2.0, 4), y=(0.0, 1.0, 3), samples="cells"), "constant")
        image = only(f.plot(), QuadMesh)
        assert image._shading != "gouraud"
        np.testing.assert_array_equal(np.asarray(image.get_array()).reshape(3, 4), f.numpy().T)
        np.testing.assert_allclose(image.get_coordinates()[0, :, 0], np.linspace(0.0, 2.0, 5))
        np.testing.assert_allclose(image.get_coordinates()[:, 0, 1], np.linspace(0.0, 1.0, 4))

    def test_periodic_axes_are_closed(self):
        grid = fs.Grid(x=(0.0, 1.0, 4), y=(0.0, 1.0, 3), periodic=("x", "y"))
        image = only(field(grid).plot(), QuadMesh)
        values = np.asarray(image.get_array()).reshape(4, 5)
        np.testing.assert_array_equal(values[-1], values[0])
        np.testing.assert_array_equal(values[:, -1], values[:, 0])
        assert image.get_coordinates()[..., 0].max() == 1.0

    def test_a_smooth_basis_is_refined(self):
        grid = fs.Grid(x=(0.0, 1.0, 9), y=(0.0, 1.0, 9))
        image = only(field(grid, "cubic").plot(), QuadMesh)
        x, y = np.moveaxis(image.get_coordinates(), -1, 0)
        assert x.shape[0] > 60
        np.testing.assert_allclose(np.asarray(image.get_array()).reshape(x.shape), 1 + x + 3 * y**2, atol=1e-12)

    def test_axes_of_different_units_or_lengths_are_not_drawn_at_one_scale(self):
        mixed = fs.Grid(x=(0.0, 1.0, 3), T=(0.0, 1.0, 3), units={"x": "m", "T": "K"})
        long = fs.Grid(x=(0.0, 100.0, 3), y=(0.0, 1.0, 3))
        assert field(mixed).plot().get_aspect() == field(long).plot().get_aspect() == "auto"

    def test_a_vector_field_shows_its_magnitude_and_arrows(self):
        grid = fs.Grid(x=(0.0, 1.0, 9), y=(0.0, 1.0, 9))
        space = fs.FunctionSpace(grid, components=("u", "v"))
        f = space.interpolate(lambda x: torch.stack([3 * x[:, 0], -4 * x[:, 0]], dim=1), name="velocity", units="m/s")
        ax = f.plot()
        magnitude = np.asarray(only(ax, QuadMesh).get_array()).reshape(9, 9)
        np.testing.assert_allclose(magnitude, np.broadcast_to(5 * grid.axes["x"].numpy(), (9, 9)))
        arrows = only(ax, Quiver)
        np.testing.assert_allclose(arrows.U, 3 * arrows.X)
        np.testing.assert_allclose(arrows.V, -4 * arrows.X)
        assert bar_labels(ax.figure) == ["|velocity| [m/s]"]
        assert not [c for c in f.plot(arrows=False).collections if isinstance(c, Quiver)]

    def test_one_component_is_drawn_as_a_scalar(self):
        space = fs.FunctionSpace(plane(), components=("u", "v"))
        f = space.interpolate(lambda x: torch.cat([x[:, :1], -x[:, 1:]], dim=1), name="velocity")
        for component in ("v", 1, -1):
            ax = f.plot(component=component)
            np.testing.assert_array_equal(np.asarray(only(ax, QuadMesh).get_array()).reshape(5, 9), f.numpy()[..., 1].T)
        assert ax.get_title() == "velocity: v"

    def test_other_numbers_of_components_get_a_panel_each(self):
        space = fs.FunctionSpace(plane(), components=("a", "b", "c"))
        f = space.interpolate(lambda x: torch.stack([x[:, 0], x[:, 1], x[:, 0] * x[:, 1]], dim=1))
        ax = f.plot()
        assert [panel.get_title() for panel in ax.child_axes] == ["a", "b", "c"]
        for number, panel in enumerate(ax.child_axes):
            values = np.asarray(only(panel, QuadMesh).get_array()).reshape(5, 9)
            np.testing.assert_array_equal(values, f.numpy()[..., number].T)

    @pytest.mark.parametrize(("part", "expected"), [("real", 0.0), ("imag", 2.0), ("abs", 2.0), ("phase", math.pi / 2)])
    def test_parts_of_complex_values(self, part, expected):
        space = fs.FunctionSpace(plane())
        f = fs.Function(space, torch.full((45,), 2.0j, dtype=torch.complex128), name="psi", units="V")
        ax = f.plot(part=part)
        image = only(ax, QuadMesh)
        np.testing.assert_allclose(np.asarray(image.get_array()), expected, atol=1e-15)
        if part == "phase":
            assert image.get_clim() == (-math.pi, math.pi)
            assert bar_labels(ax.figure) == ["arg psi [rad]"]

    def test_float32_and_gradients_are_drawn(self):
        f = field(plane()).to(torch.float32)
        f = f.with_coefficients(f.coefficients.requires_grad_())
        assert only(f.plot(), QuadMesh).get_array().size == 45


class TestColours:
    def test_positive_values_are_sequential(self):
        image = only(field(plane()).plot(), QuadMesh)
        assert image.get_cmap().name == "viridis"
        assert image.get_clim() == (1.0, 6.0)

    def test_values_of_both_signs_diverge_about_zero(self):
        image = only(field(plane(), rule=lambda x: x[:, 0] - 0.5).plot(), QuadMesh)
        assert image.get_cmap().name == "RdBu_r"
        assert image.get_clim() == (-1.5, 1.5)

    def test_a_small_undershoot_is_no_change_of_sign(self):
        image = only(field(plane(), rule=lambda x: x[:, 0] - 0.001).plot(), QuadMesh)
        assert image.get_cmap().name == "viridis"

    def test_symmetric_is_forced_or_forbidden(self):
        assert only(field(plane()).plot(symmetric=True), QuadMesh).get_clim() == (-6.0, 6.0)
        f = field(plane(), rule=lambda x: x[:, 0] - 0.5)
        assert only(f.plot(symmetric=False), QuadMesh).get_clim() == (-0.5, 1.5)

    def test_given_limits_and_map(self):
        image = only(field(plane()).plot(vmin=0.0, vmax=9.0, cmap="magma"), QuadMesh)
        assert (image.get_clim(), image.get_cmap().name) == ((0.0, 9.0), "magma")

    def test_a_constant_field_has_limits_around_it(self):
        low, high = only(field(plane(), rule=3.0).plot(), QuadMesh).get_clim()
        assert low < 3.0 < high

    def test_no_bar_when_there_shall_be_none(self):
        assert bar_labels(field(plane()).plot(colorbar=False).figure) == []


class TestMeshes:
    def test_p1_triangles_are_the_cells(self):
        mesh = fs.Mesh.rectangle(0.5)
        f = field(mesh, "P1")
        image = only(f.plot(), TriMesh)
        assert len(image._triangulation.triangles) == mesh.n_cells
        drawn = np.stack([image._triangulation.x, image._triangulation.y, np.asarray(image.get_array())], axis=1)
        vertices = torch.cat([mesh.points, f.coefficients[:, None]], dim=1).numpy()
        for triangle, cell in zip(drawn.reshape(-1, 3, 3), mesh.cells.numpy(), strict=True):
            assert {tuple(row) for row in triangle} == {tuple(row) for row in vertices[cell]}

    def test_p0_colours_each_cell(self):
        mesh = fs.Mesh.rectangle(0.5)
        f = field(mesh, "P0")
        cells = only(f.plot(), PolyCollection)
        np.testing.assert_array_equal(np.asarray(cells.get_array()), f.numpy())
        outline = cells.get_paths()[3].vertices[:3]
        np.testing.assert_allclose(outline, mesh.points[mesh.cells[3]])

    @pytest.mark.parametrize(("element", "cells"), [("P2", "triangle"), ("Q2", "quadrilateral")])
    def test_quadratic_elements_are_subdivided(self, element, cells):
        mesh = fs.Mesh.rectangle(0.5, cells=cells)
        image = only(field(mesh, element).plot(), TriMesh)
        pieces = 6
        assert len(image._triangulation.triangles) == mesh.n_cells * pieces**2 * (1 if element == "P2" else 2)
        x, y = image._triangulation.x, image._triangulation.y
        np.testing.assert_allclose(np.asarray(image.get_array()), 1 + x + 3 * y**2, atol=1e-12)
        areas = _areas(image._triangulation)
        assert areas.min() > 0
        assert math.isclose(areas.sum(), 1.0)

    def test_curved_cells_are_drawn_curved(self):
        disc = fs.Mesh.disc(0.6, curved=True)
        area = float(disc.volumes.sum())
        image = only(field(disc, "P2").plot(), TriMesh)
        straight = float(fs.Mesh.disc(0.6).volumes.sum())
        assert abs(_areas(image._triangulation).sum() - area) < 0.05 * (area - straight)
        polygons = only(field(disc, "P0").plot(), PolyCollection).get_paths()
        assert len(polygons[0].vertices) > 15

    def test_mesh_draws_every_facet_once(self):
        mesh = fs.Mesh.rectangle(0.5)
        lines = only(field(mesh).plot(mesh=True), LineCollection)
        assert len(lines.get_segments()) == len(mesh.facets)

    def test_arrows_of_rt_stand_at_cell_centres(self):
        mesh = fs.Mesh.rectangle(0.25)
        f = fs.FunctionSpace(mesh, "RT").interpolate(lambda x: torch.stack([1 + x[:, 0], x[:, 1]], dim=1), name="flux")
        arrows = only(f.plot(), Quiver)
        centres = mesh.points[mesh.cells].mean(dim=1).numpy()
        where = np.stack([arrows.X, arrows.Y], axis=1)
        distance = np.abs(where[:, None] - centres).max(axis=2).min(axis=1)
        assert distance.max() < 1e-12
        np.testing.assert_allclose(np.stack([arrows.U, arrows.V], axis=1), f(where).numpy(), atol=1e-12)
        assert f.plot(component="flux_x").get_title() == "flux_x"

    def test_jumps_between_cells_stay_jumps(self):
        mesh = fs.Mesh.rectangle(0.5)
        f = fs.FunctionSpace(mesh, "N1curl").interpolate(lambda x: torch.stack([x[:, 1] ** 2, x[:, 0]], dim=1))
        image = only(f.plot(component=0, arrows=False), TriMesh)
        tri = image._triangulation
        inside = np.stack([tri.x, tri.y], axis=1)[tri.triangles].mean(axis=1)
        drawn = np.asarray(image.get_array())[tri.triangles].mean(axis=1)
        np.testing.assert_allclose(drawn, f(inside).numpy()[:, 0], atol=1e-12)

    def test_many_cells_are_not_subdivided_beyond_bounds(self):
        mesh = fs.Mesh.rectangle(1 / 150)
        image = only(field(mesh, "P2").plot(), TriMesh)
        assert mesh.n_cells <= len(image._triangulation.triangles) <= 400_000


class TestSpace:
    def test_a_grid_shows_its_middle_planes(self):
        grid = fs.Grid(x=(0.0, 1.0, 9), y=(0.0, 2.0, 9), z=(0.0, 3.0, 9), units={"z": "m"})
        ax = field(grid, rule=lambda x: x @ torch.tensor([1.0, 10.0, 100.0], dtype=torch.float64)).plot()
        assert ax.name == "3d"
        tiles = only(ax, Poly3DCollection)
        corners = np.asarray(tiles._faces)[:, :4]
        flat = np.ptp(corners, axis=1) < 1e-12
        for axis, middle in enumerate((0.5, 1.0, 1.5)):
            on_plane = flat[:, axis]
            assert on_plane.sum() == 100
            np.testing.assert_allclose(corners[on_plane][..., axis], middle)
        np.testing.assert_allclose(np.asarray(tiles.get_array()), corners.mean(axis=1) @ [1.0, 10.0, 100.0])
        assert ax.get_zlabel() == "z [m]"

    @pytest.mark.parametrize(("cells", "element"), [("tetrahedron", "P2"), ("hexahedron", "Q2"), ("tetrahedron", "P0")])
    def test_a_mesh_shows_its_surface(self, cells, element):
        mesh = fs.Mesh.box(0.5, cells=cells)
        f = field(mesh, element, lambda x: x[:, 0] + 2 * x[:, 1] + 3 * x[:, 2])
        surface = only(f.plot(), Poly3DCollection)
        corners = np.asarray(surface._faces)[:, :3]
        area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() / 2
        assert math.isclose(area, 6.0, rel_tol=1e-9)
        if element == "P0":
            assert set(np.asarray(surface.get_array())) <= set(f.numpy())
        else:
            np.testing.assert_allclose(np.asarray(surface.get_array()), corners.mean(axis=1) @ [1.0, 2.0, 3.0])

    @pytest.mark.parametrize("cells", ["tetrahedron", "hexahedron"])
    def test_frames_keep_the_surface_whole(self, cells):
        f = field(fs.Mesh.box(0.5, cells=cells))
        corners = np.asarray(only(f.plot(mesh=True), Poly3DCollection)._faces)[:, :3]
        area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() / 2
        assert math.isclose(area, 6.0, rel_tol=1e-9)

    @pytest.mark.parametrize("dim", [2, 3])
    def test_a_cloud_shows_its_points(self, dim):
        points = np.random.default_rng(0).random((40, dim))
        f = field(fs.PointCloud(points), rule=lambda x: x.sum(dim=1), name="u", units="K")
        ax = f.plot()
        dots = only(ax, PathCollection)
        np.testing.assert_allclose(np.asarray(dots.get_array()), points.sum(axis=1))
        drawn = np.stack([np.asarray(c) for c in (dots._offsets3d if dim == 3 else dots.get_offsets().T)], axis=1)
        np.testing.assert_allclose(drawn, points)
        assert bar_labels(ax.figure) == ["u [K]"]


class TestTime:
    times = fs.Times(0.0, 0.1, 30, unit="s")

    def trajectory(self, *components):
        space = fs.FunctionSpace(self.times, components=components)
        rows = torch.arange(30 * len(components), dtype=torch.float64).reshape(30, -1).sin()
        return fs.Function(space, rows if len(components) > 1 else rows[:, 0], name="state", units="m")

    def test_one_component_is_a_time_series(self):
        f = self.trajectory("x")
        ax = f.plot()
        np.testing.assert_array_equal(ax.lines[0].get_ydata(), f.numpy())
        assert ax.get_xlabel() == "time [s]"

    def test_two_components_are_a_curve_in_the_plane(self):
        f = self.trajectory("x", "y")
        ax = f.plot()
        np.testing.assert_array_equal(np.stack(ax.lines[0].get_data(), axis=1), f.numpy())
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("x [m]", "y [m]")

    def test_three_components_are_a_curve_in_space(self):
        f = self.trajectory("x", "y", "z")
        ax = f.plot()
        assert ax.name == "3d"
        np.testing.assert_array_equal(np.stack(ax.lines[0].get_data_3d(), axis=1), f.numpy())
        np.testing.assert_array_equal(np.concatenate(ax.lines[1].get_data_3d()), f.numpy()[0])
        assert ax.get_zlabel() == "z [m]"

    def test_more_components_or_kind_time_are_lines(self):
        assert len(self.trajectory("a", "b", "c", "d").plot().lines) == 4
        ax = self.trajectory("x", "y", "z").plot(kind="time")
        assert ax.name != "3d"
        assert len(ax.lines) == 3

    def test_overlaid_trajectories(self):
        f = self.trajectory("x", "y", "z")
        batch = fs.Function(f.space, torch.stack([f.coefficients * k for k in (1, 2, 3)]))
        ax = batch.plot(index=None)
        curves = [line for line in ax.lines if len(line.get_data_3d()[0]) == 30]
        np.testing.assert_array_equal(np.stack(curves[2].get_data_3d(), axis=1), 3 * f.numpy())

    def test_one_space_dimension_is_an_image_over_time(self):
        grid = fs.Grid(x=(0.0, 1.0, 8), periodic="x", units={"x": "m"})
        f = field(self.times * grid, rule=lambda p: p[:, 0] + 10 * p[:, 1], name="u", units="K")
        ax = f.plot()
        image = only(ax, QuadMesh)
        t, x = np.moveaxis(image.get_coordinates(), -1, 0)
        values = np.asarray(image.get_array()).reshape(t.shape)
        np.testing.assert_allclose(values[:-1], (t + 10 * x)[:-1])
        np.testing.assert_array_equal(values[-1], values[0])
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("time [s]", "x [m]")
        assert (ax.get_xlim(), ax.get_ylim()) == (pytest.approx((0.0, 2.9)), (0.0, 1.0))

    @pytest.mark.parametrize("element", ["P1", "P2"])
    def test_an_image_over_an_interval_mesh(self, element):
        domain = self.times * fs.Mesh.interval(0.25)
        f = field(domain, f"linear * {element}", lambda p: p[:, 0] + 10 * p[:, 1])
        image = only(f.plot(), QuadMesh)
        t, x = np.moveaxis(image.get_coordinates(), -1, 0)
        np.testing.assert_allclose(np.asarray(image.get_array()).reshape(t.shape), t + 10 * x, atol=1e-12)

    def test_an_image_over_cells_fills_the_domain(self):
        grid = fs.Grid(x=(0.0, 1.0, 8), samples="cells")
        f = field(self.times * grid, "linear * constant", lambda p: p[:, 1])
        image = only(f.plot(), QuadMesh)
        assert np.asarray(image.get_array()).size == 30 * 8
        assert image.get_coordinates()[..., 1].max() == 1.0

    def test_the_plane_gets_snapshots_at_one_scale(self):
        f = field(self.times * plane(), rule=lambda p: p[:, 0] + p[:, 1], name="u")
        ax = f.plot()
        panels = ax.child_axes
        assert [panel.get_title() for panel in panels] == ["u, t = 0 s", "t = 1 s", "t = 1.9 s", "t = 2.9 s"]
        for panel, instant in zip(panels, (0, 10, 19, 29), strict=True):
            image = only(panel, QuadMesh)
            np.testing.assert_allclose(np.asarray(image.get_array()).reshape(5, 9), f.numpy()[instant].T)
            assert image.get_clim() == pytest.approx((0.0, 4.9))
        assert len(bar_labels(ax.figure)) == 1

    def test_time_picks_the_nearest_snapshot(self):
        f = field(self.times * fs.Mesh.rectangle(0.5), rule=lambda p: p[:, 0] + p[:, 1], name="u")
        ax = f.plot(time=1.04)
        assert ax.get_title() == "u, t = 1 s"
        image = only(ax, TriMesh)
        np.testing.assert_allclose(np.asarray(image.get_array()), 1.0 + image._triangulation.x)


class TestAxes:
    def test_the_axes_given_come_back_and_no_figure_is_made(self):
        solid = plt.figure().add_subplot(projection="3d")
        flat = plt.figure().add_subplot()
        before = plt.get_fignums()
        cube = fs.Grid(x=(0.0, 1.0, 3), y=(0.0, 1.0, 3), z=(0.0, 1.0, 3))
        snapshots = fs.Times(0.0, 1.0, 3) * plane()
        for domain, ax in ((plane(), flat), (fs.Mesh.rectangle(0.5), flat), (snapshots, flat), (cube, solid)):
            assert field(domain).plot(ax=ax) is ax
            ax.figure.canvas.draw()
        assert plt.get_fignums() == before

    def test_a_colour_bar_does_not_cover_a_neighbour(self):
        figure, axes = plt.subplots(1, 2)
        field(plane()).plot(ax=axes[0])
        figure.canvas.draw()
        bar = next(ax for ax in figure.axes if ax.get_label() == "<colorbar>")
        assert bar.get_position().x1 < axes[1].get_position().x0

    def test_title(self):
        f = field(plane(), name="height")
        assert f.plot(title="mine").get_title() == "mine"
        assert f.plot(title="").get_title() == ""


class TestBadInput:
    f = field(plane(), name="height")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"component": "w"}, "no component 'w'; the components are u"),
            ({"component": 3}, "no component 3"),
            ({"index": 2}, "single function"),
            ({"part": "both"}, "part must be one of real, imag, abs, phase"),
            ({"kind": "time"}, "kind is for functions of time"),
            ({"time": 0.0}, "time picks a snapshot"),
            ({"cmap": "rainbows"}, "unknown colour map 'rainbows'"),
            ({"vmin": 2.0, "vmax": 1.0}, "vmin must be below vmax"),
            ({"backend": "gnuplot"}, "backend must be"),
            ({"ax": "left"}, "ax must be matplotlib Axes, got str"),
        ],
    )
    def test_options(self, options, message):
        with pytest.raises(fs.InputError, match=message):
            self.f.plot(**options)
        assert plt.get_fignums() == []

    def test_axes_of_the_wrong_dimension(self):
        _, axes = plt.subplots(1, 2)
        with pytest.raises(fs.InputError, match=r"pass one of them, such as axes\[0\]"):
            self.f.plot(ax=axes)
        solid = plt.figure().add_subplot(projection="3d")
        with pytest.raises(fs.InputError, match="needs plane axes"):
            self.f.plot(ax=solid)
        with pytest.raises(fs.InputError, match="needs three-dimensional axes"):
            plot_mesh(fs.Mesh.box(1.0), ax=axes[0])

    def test_index_outside_the_batch(self):
        batch = fs.Function(self.f.space, torch.zeros(2, 3, 45))
        for index in (2, (0, 3), (0, 0, 0)):
            with pytest.raises(fs.InputError, match=r"not in the batch of 'u', whose shape is \(2, 3\)"):
                batch.plot(index=index)
        with pytest.raises(fs.InputError, match="index=None overlays lines"):
            batch.plot(index=None)
        with pytest.raises(fs.InputError, match="empty batch"):
            batch[:0].plot()

    def test_nothing_finite(self):
        with pytest.raises(fs.InputError, match="no value is finite"):
            (self.f * math.nan).plot()

    def test_some_nan_is_left_blank(self):
        values = self.f.coefficients.clone()
        values[7] = math.nan
        image = only(self.f.with_coefficients(values).plot(), QuadMesh)
        assert np.isfinite(image.get_clim()).all()

    def test_trajectories(self):
        f = fs.FunctionSpace(fs.Times(0.0, 1.0, 3)).interpolate(1.0)
        with pytest.raises(fs.InputError, match='kind="phase" needs 2 or 3 components'):
            f.plot(kind="phase")
        with pytest.raises(fs.InputError, match='must be "time" or "phase"'):
            f.plot(kind="space")
        g = field(fs.Times(0.0, 1.0, 3) * plane())
        with pytest.raises(fs.InputError, match=r"time must lie in \[0, 2\], got 5"):
            g.plot(time=5.0)

    def test_pyvista_is_named_when_it_is_missing(self):
        if importlib.util.find_spec("pyvista"):
            pytest.skip("pyvista is installed")
        cube = fs.Grid(x=(0.0, 1.0, 3), y=(0.0, 1.0, 3), z=(0.0, 1.0, 3))
        with pytest.raises(fs.MissingDependencyError, match="pip install pyvista"):
            field(cube).plot(backend="pyvista")


class TestPyvista:
    @pytest.mark.parametrize(
        ("domain", "element"),
        [
            (fs.Grid(x=(0.0, 1.0, 5), y=(0.0, 2.0, 4), z=(0.0, 1.0, 3)), "linear"),
            (fs.Grid(x=(0.0, 1.0, 5), y=(0.0, 2.0, 4), z=(0.0, 1.0, 3), samples="cells"), "constant"),
            (fs.Mesh.box(0.5), "P2"),
            (fs.Mesh.box(0.5, cells="hexahedron"), "P0"),
        ],
    )
    def test_values_stand_where_they_belong(self, domain, element):
        pyvista = pytest.importorskip("pyvista")
        pyvista.OFF_SCREEN = True
        f = field(domain, element, lambda x: x[:, 0] + 2 * x[:, 1] + 3 * x[:, 2], name="p", units="Pa")
        data = next(iter(f.plot(backend="pyvista").actors.values())).mapper.dataset
        where = data.cell_centers().points if "p [Pa]" in data.cell_data else data.points
        np.testing.assert_allclose(np.asarray(data["p [Pa]"]), where @ [1.0, 2.0, 3.0], atol=1e-6)
        assert data.volume == pytest.approx(float(domain.measure.sum()))


class TestMeshPictures:
    def test_named_parts_have_colours_and_a_legend(self):
        mesh = fs.Mesh.perforated_plate(0.15)
        ax = plot_mesh(mesh)
        assert [t.get_text() for t in ax.get_legend().get_texts()] == ["left", "right", "bottom", "top", "holes"]
        lines = {c.get_label(): c for c in ax.collections if isinstance(c, LineCollection)}
        for part in ("left", "holes"):
            drawn = np.array(lines[part].get_segments()).mean(axis=1)
            np.testing.assert_allclose(drawn, mesh.facet_midpoints[mesh.boundary[part]], atol=1e-12)

    def test_parts_inside_others_are_left_out_and_the_rest_is_shown(self):
        mesh = fs.Mesh.rectangle(0.5)
        sides = mesh.boundary
        both = {"left": sides["left"], "walls": torch.cat([sides["left"], sides["right"]])}
        parts = legible_parts(mesh.with_boundaries(both, replace=True))
        assert list(parts) == ["walls", "boundary"]
        np.testing.assert_array_equal(parts["boundary"], np.sort(torch.cat([sides["bottom"], sides["top"]])))

    def test_without_boundaries(self):
        ax = plot_mesh(fs.Mesh.rectangle(0.5), boundaries=False)
        assert ax.get_legend() is None
        assert ax.get_title() == "8 triangles"

    @pytest.mark.parametrize(
        "mesh",
        [
            fs.Mesh.disc(0.4),
            fs.Mesh.rectangle(0.5, 2.0, cells="quadrilateral"),
            fs.Mesh.box(0.5, 2.0),
            fs.Mesh.box(0.5, cells="hexahedron"),
        ],
    )
    def test_quality_is_that_of_the_report(self, mesh):
        scores = scaled_jacobians(mesh)
        assert scores.min() == pytest.approx(mesh.quality().min_scaled_jacobian)
        assert scores.mean() == pytest.approx(mesh.quality().mean_scaled_jacobian)
        ax = plot_mesh(mesh, quality=True)
        assert bar_labels(ax.figure) == ["scaled Jacobian"]
        if mesh.dim == 2:
            polygons = next(c for c in ax.collections if isinstance(c, PolyCollection))
            np.testing.assert_allclose(np.asarray(polygons.get_array()), scores)

    def test_interval_and_solid(self):
        ax = plot_mesh(fs.Mesh.interval(0.25))
        assert [t.get_text() for t in ax.get_legend().get_texts()] == ["left", "right"]
        ax = plot_mesh(fs.Mesh.box(0.5))
        colours = {tuple(c) for c in only(ax, Poly3DCollection)._facecolor3d.round(3)}
        assert len(colours) == 7

    def test_only_meshes(self):
        with pytest.raises(fs.InputError, match="draws a Mesh, got Grid"):
            plot_mesh(plane())


class TestComparison:
    def functions(self, domain):
        truth = field(domain, rule=lambda x: 1 + x[:, 0], name="u")
        return field(domain, rule=lambda x: 5 - x[:, 0], name="a"), truth, truth * 1.1

    def test_panels_scales_and_error(self):
        a, truth, prediction = self.functions(plane())
        figure = plot_comparison(a, truth, prediction)
        images = [only(ax, QuadMesh) for ax in figure.axes if ax.get_title()]
        assert len(images) == 4
        for image, f in zip(images, (a, truth, prediction, prediction - truth), strict=True):
            np.testing.assert_allclose(np.asarray(image.get_array()).reshape(5, 9), f.numpy().T)
        assert images[1].get_clim() == images[2].get_clim() == pytest.approx((1.0, 3.3))
        assert images[3].get_clim() == pytest.approx((-0.3, 0.3))
        assert "(10 % in $L^2$)" in figure.axes[3].get_title()

    def test_a_prediction_on_another_domain_is_interpolated(self):
        a, truth, _ = self.functions(fs.Mesh.rectangle(0.25))
        elsewhere = field(fs.Grid(x=(0.0, 1.0, 5), y=(0.0, 1.0, 5)), rule=lambda x: 1 + x[:, 0])
        figure = plot_comparison(a, truth, elsewhere)
        error = only(figure.axes[3], TriMesh)
        assert np.abs(np.asarray(error.get_array())).max() < 1e-12

    @pytest.mark.parametrize("domain", [fs.Grid(x=(0.0, 1.0, 9)), fs.Mesh.box(0.5)])
    def test_other_dimensions(self, domain):
        figure = plot_comparison(*self.functions(domain))
        axes = [ax for ax in figure.axes if ax.get_title()]
        assert len(axes) == 4
        if domain.dim == 1:
            assert axes[1].get_ylim() == axes[2].get_ylim() != axes[3].get_ylim()

    def test_bad_input(self):
        a, truth, prediction = self.functions(plane())
        with pytest.raises(fs.InputError, match="prediction must be a Function, got float"):
            plot_comparison(a, truth, 1.0)
        vector = fs.FunctionSpace(plane(), components=("u", "v")).interpolate(1.0)
        with pytest.raises(fs.DomainError, match="values of one shape"):
            plot_comparison(a, truth, vector)
        with pytest.raises(fs.InputError, match="live in one dimension"):
            plot_comparison(field(fs.Grid(x=(0.0, 1.0, 3)), rule=1.0), truth, prediction)
        with pytest.raises(fs.InputError, match="four panels"):
            plot_comparison(a, truth, prediction, titles=("a", "b"))


RECORDS = [
    {"epoch": i, "step": 10 * i, "loss": 2.0**-i, "learning_rate": 1e-3, "seconds": 0.5 * i}
    | ({"rel_l2": 3.0**-i} if i % 2 else {})
    for i in range(6)
]


class TestHistory:
    def test_curves_and_learning_rate(self):
        ax = plot_history(RECORDS)
        assert ax.get_yscale() == "log"
        np.testing.assert_array_equal(ax.lines[0].get_ydata(), [2.0**-i for i in range(6)])
        np.testing.assert_array_equal(ax.lines[1].get_xdata(), [1, 3, 5])
        strip = ax.figure.axes[1]
        assert strip.get_xlabel() == "epoch"
        np.testing.assert_array_equal(strip.lines[0].get_ydata(), [1e-3] * 6)

    def test_in_axes_given(self):
        _, ax = plt.subplots()
        assert plot_history(RECORDS, ax=ax, keys=["loss"], over="seconds") is ax
        assert len(ax.lines) == 1
        np.testing.assert_array_equal(ax.lines[0].get_xdata(), 0.5 * np.arange(6))

    def test_from_a_file_cut_short(self, tmp_path):
        path = tmp_path / "metrics.jsonl"
        text = "".join(json.dumps(record) + "\n" for record in RECORDS)
        path.write_text(text + '{"epoch": 6, "lo')
        assert len(plot_history(path).lines[0].get_xdata()) == 6
        path.write_text(text[:20] + "\n" + text)
        with pytest.raises(fs.FileError, match="line 1 of"):
            plot_history(path)
        with pytest.raises(fs.FileError, match="cannot read"):
            plot_history(tmp_path / "missing.jsonl")

    def test_bad_records(self):
        with pytest.raises(fs.InputError, match="no records"):
            plot_history([])
        with pytest.raises(fs.InputError, match="no record has a number 'accuracy'"):
            plot_history(RECORDS, keys=["accuracy"])
        with pytest.raises(fs.InputError, match="no loss or metric"):
            plot_history([{"epoch": 0}])


def test_the_gallery_has_a_small_picture_for_each_block():
    spec = importlib.util.spec_from_file_location("make_gallery", DOCS / "make_gallery.py")
    gallery = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(gallery)
    texts = {page.stem: page.read_text() for page in gallery.PAGES}
    names = [name for text in texts.values() for name in gallery.examples(text)]
    assert len(names) > 15
    assert len(set(names)) == len(names)
    assert all(gallery.with_links(text) == text for text in texts.values())
    for name in names:
        assert gallery.picture_path(name).stat().st_size < gallery.LARGEST_BYTES
    text = texts["functions"]
    figure = gallery.draw(gallery.preamble(text) + gallery.examples(text)["line"])
    assert len(figure.axes[0].lines) == 5


def _areas(triangulation):
    points = np.stack([triangulation.x, triangulation.y], axis=1)[triangulation.triangles]
    a, b = points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]
    return 0.5 * np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])


def test_lines_drawn_on_the_same_axes_differ_in_colour():
    space = fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, 5)))
    axes = space.interpolate(1.0).plot()
    space.interpolate(2.0).plot(ax=axes)
    assert [line.get_color() for line in axes.lines] == ["C0", "C1"]
    plt.close(axes.figure)
