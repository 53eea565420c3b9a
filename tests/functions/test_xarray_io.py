"""Functions through xarray: exactly there and back, CF and UGRID for others, and what others wrote."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import funcspace as fs

from .file_examples import DOMAINS, elements, random_function, same_function

xr = pytest.importorskip("xarray")

TYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64, torch.complex128)


@pytest.mark.parametrize("name", DOMAINS)
def test_round_trip_of_each_domain_and_element(name):
    for number, element in enumerate(elements(DOMAINS[name])):
        space = fs.FunctionSpace(DOMAINS[name], element, components=("a", "b"))
        f = random_function(space, (2, 3)[: number % 3], TYPES[number % 2], name="velocity", units="m/s")
        same_function(fs.Function.from_xarray(f.to_xarray()), f)


@settings(max_examples=40)
@given(
    dtype=st.sampled_from(TYPES),
    values=st.sampled_from([(), (1,), (3,), (2, 2), (1, 2, 3)]),
    batch=st.sampled_from([(), (1,), (3,), (2, 3), (2, 1, 2)]),
    name=st.sampled_from(["grid", "disc", "curved", "cloud", "times", "times * grid", "times * disc"]),
    label=st.sampled_from(["u", "x", "grid", "mesh", "time", "sample", "heat flux/area", "1st", "u_node"]),
)
def test_round_trip_of_each_type_and_shape(dtype, values, batch, name, label):
    space = fs.FunctionSpace(DOMAINS[name], elements(DOMAINS[name])[-1] if "disc" in name else None)
    if not space.basis.intrinsic_shape:
        space = fs.FunctionSpace(DOMAINS[name], space.element, value_shape=values)
    f = random_function(space, batch, dtype, name=label, units="kg")
    same_function(fs.Function.from_xarray(f.to_xarray()), f)
    same_function(fs.Function.from_xarray(f.to_xarray(), label), f)


@pytest.mark.parametrize("name", ["grid", "disc", "times * triangles", "cloud", "tetrahedra"])
@pytest.mark.parametrize("engine", ["netcdf4", "h5netcdf", "zarr"])
def test_through_files_that_xarray_writes(name, engine, tmp_path):
    pytest.importorskip({"netcdf4": "netCDF4"}.get(engine, engine))
    f = random_function(fs.FunctionSpace(DOMAINS[name], elements(DOMAINS[name])[-1]), (3,), torch.float32, units="K")
    path = tmp_path / "file"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Zarr's own remarks on consolidated metadata
        if engine == "zarr":
            f.to_xarray().to_zarr(path)
            opened = xr.open_zarr(path, decode_timedelta=False)
        else:
            f.to_xarray().to_netcdf(path, engine=engine)
            opened = xr.open_dataset(path, engine=engine, decode_timedelta=False)
        with opened as dataset:
            same_function(fs.Function.from_xarray(dataset), f)


def test_nan_and_signed_zero_survive(tmp_path):
    values = torch.tensor([float("nan"), -0.0, float("inf"), 5e-324, 1.0], dtype=torch.float64)
    f = fs.Function(fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, 5))), values)
    path = tmp_path / "u.nc"
    f.to_xarray().to_netcdf(path)
    with xr.open_dataset(path) as dataset:
        same_function(fs.Function.from_xarray(dataset), f)


def test_a_grid_reads_as_plain_cf():
    f = random_function(
        fs.FunctionSpace(DOMAINS["times * grid"], components=("ux", "uy")), (2,), torch.float64, name="velocity"
    )
    dataset = f.renamed("velocity", "m/s").to_xarray()
    assert dataset.attrs["Conventions"] == "CF-1.11"
    u = dataset["velocity"]
    assert u.dims == ("sample", "time", "x", "y", "component")
    assert u.attrs["units"] == "m/s"
    assert dataset["x"].attrs["units"] == "m"
    assert dataset["x"].attrs["axis"] == "X"
    assert dataset["time"].attrs["axis"] == "T"
    assert list(dataset["component"].values) == ["ux", "uy"]
    np.testing.assert_array_equal(u.values, f.numpy())
    same_function(fs.Function.from_xarray(u), f.renamed("velocity", "m/s"))


def test_a_mesh_reads_as_ugrid():
    mesh = DOMAINS["triangles"]
    f = random_function(fs.FunctionSpace(mesh, "P2"), (), torch.float64)
    dataset = f.to_xarray()
    topology = dataset["mesh"].attrs
    assert topology["cf_role"] == "mesh_topology"
    assert topology["topology_dimension"] == 2
    x, y = (dataset[name] for name in topology["node_coordinates"].split())
    np.testing.assert_array_equal(np.stack([x, y], axis=1), mesh.points)
    np.testing.assert_array_equal(dataset[topology["face_node_connectivity"]], mesh.cells)
    u = dataset["u"]
    assert u.attrs["location"] == "dof"
    assert u.attrs["fs_element"] == "P2"
    np.testing.assert_array_equal(dataset[u.attrs["fs_cell_dofs"]], f.space.basis.cell_dofs)
    copy = dataset["u_node"]
    assert copy.attrs["location"] == "node"
    np.testing.assert_allclose(copy, f(mesh.points), rtol=1e-12)
    p1 = random_function(fs.FunctionSpace(mesh, "P1"), (), torch.float64).to_xarray()
    assert p1["u"].attrs["location"] == "node"
    assert "u_node" not in p1
    assert random_function(fs.FunctionSpace(mesh, "P0"), (), torch.float64).to_xarray()["u"].attrs["location"] == "face"


def test_hexahedra_are_in_the_corner_order_of_vtk():
    mesh = fs.Mesh.box(1.0, cells="hexahedron")
    dataset = random_function(fs.FunctionSpace(mesh, "Q1"), (), torch.float64).to_xarray()
    points = np.stack([dataset[n] for n in dataset["mesh"].attrs["node_coordinates"].split()], axis=1)
    corners = points[dataset["mesh_volume_nodes"].values]
    first = corners - corners[:, :1]
    edges = [first[:, 1], first[:, 3], first[:, 4]]
    np.testing.assert_allclose(first[:, 2], edges[0] + edges[1])
    np.testing.assert_allclose(first[:, 6], edges[0] + edges[1] + edges[2])
    assert (np.linalg.det(np.stack(edges, axis=1)) > 0).all()
    assert dataset["mesh_volume_nodes"].attrs["vtk_cell_type"] == 12


@pytest.mark.parametrize("element", ["P0", "P1", "P2", "RT"])
def test_xugrid_opens_a_mesh(element):
    xugrid = pytest.importorskip("xugrid")
    f = random_function(fs.FunctionSpace(DOMAINS["disc"], element), (2,), torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opened = xugrid.UgridDataset(f.to_xarray())
    grid = opened.ugrid.grid
    assert isinstance(grid, xugrid.Ugrid2d)
    assert grid.n_face == DOMAINS["disc"].n_cells
    np.testing.assert_allclose(grid.area.sum(), float(DOMAINS["disc"].measure.sum()))


def test_part_of_a_grid_is_read_from_its_coordinates():
    f = random_function(fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, 5), y=(0.0, 3.0, 4))), (3,), torch.float64)
    dataset = f.to_xarray()
    cut = fs.Function.from_xarray(dataset.isel(x=slice(1, 4), sample=slice(0, 2)))
    assert cut.domain == fs.Grid(x=(0.25, 0.75, 3), y=(0.0, 3.0, 4))
    assert torch.equal(cut.values, f.values[:2, 1:4])
    row = fs.Function.from_xarray(dataset.isel(x=2))
    assert row.domain == fs.Grid(y=(0.0, 3.0, 4))
    single = fs.Function.from_xarray(dataset.isel(sample=1))
    assert single.space == f.space
    assert torch.equal(single.coefficients, f.coefficients[1])
    turned = fs.Function.from_xarray(dataset.transpose("y", "x", "sample"))
    assert turned.space == f.space
    assert torch.equal(turned.coefficients, f.coefficients)


def test_changed_coordinates_count():
    f = random_function(fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, 5), y=(0.0, 3.0, 4))), (), torch.float64)
    dataset = f.to_xarray()
    stretched = fs.Function.from_xarray(dataset.assign_coords(x=1000 * dataset["x"]))
    assert stretched.domain == fs.Grid(x=(0.0, 1000.0, 5), y=(0.0, 3.0, 4))
    same_function(fs.Function.from_xarray(dataset.drop_vars("x")), f)


def test_part_of_a_non_uniform_grid():
    grid = DOMAINS["times * grid"]
    f = random_function(fs.FunctionSpace(grid), (), torch.float64)
    cut = fs.Function.from_xarray(f.to_xarray().isel(time=0, y=slice(1, 3)))
    assert cut.domain == fs.Grid(x=(0.0, 1.0, 4), y=np.array([0.3, 1.0]), units={"x": "m"})
    assert torch.equal(cut.values, f.values[0, :, 1:])


def test_part_of_a_cloud_is_refused():
    dataset = random_function(fs.FunctionSpace(DOMAINS["cloud"]), (3,), torch.float64).to_xarray()
    with pytest.raises(fs.DomainError, match="whole Dataset"):
        fs.Function.from_xarray(dataset.isel(cloud_point=slice(2, 6)))


def test_part_of_a_mesh_is_refused():
    dataset = random_function(fs.FunctionSpace(DOMAINS["disc"]), (3,), torch.float64).to_xarray()
    with pytest.raises(fs.DomainError, match="whole Dataset"):
        fs.Function.from_xarray(dataset.isel(mesh_nNodes=slice(0, 4)))
    with pytest.raises(fs.DomainError, match="whole Dataset"):
        fs.Function.from_xarray(dataset["u"])


def plain(dims=("sample", "time", "y", "x"), **attrs):
    sizes = {"sample": 2, "time": 3, "y": 4, "x": 5}
    coords = {
        "time": [0.0, 0.5, 1.5],
        "y": ("y", [3.0, 2.0, 1.0, 0.0], {"units": "m"}),
        "x": np.linspace(0, 1, 5, dtype=np.float32),
    }
    values = np.random.default_rng(0).random([sizes[d] for d in dims])
    return xr.DataArray(values, dims=dims, coords={d: coords[d] for d in dims if d in coords}, name="T", attrs=attrs)


def test_plain_data():
    array = plain(units="K")
    f = fs.Function.from_xarray(array)
    assert f.domain == fs.Times.at([0.0, 0.5, 1.5]) * fs.Grid(y=(0.0, 3.0, 4), x=(0.0, 1.0, 5), units={"y": "m"})
    assert (f.name, f.units, f.batch_shape) == ("T", "K", (2,))
    np.testing.assert_array_equal(f.numpy(), array.values[:, :, ::-1])
    again = fs.Function.from_xarray(array.transpose("x", "time", "y", "sample").to_dataset())
    np.testing.assert_array_equal(again.numpy(), array.values[:, :, ::-1].transpose(0, 1, 3, 2))


def test_plain_batches_and_components():
    rows = plain(("sample", "y", "x")).rename(sample="row")
    assert fs.Function.from_xarray(rows).batch_shape == (2,)
    vectors = plain(("y", "x", "sample")).rename(sample="c")
    assert fs.Function.from_xarray(vectors).space.value_shape == (2,)
    labelled = vectors.rename(c="direction").assign_coords(direction=["east", "north"]).transpose("direction", ...)
    assert fs.Function.from_xarray(labelled).space.components == ("east", "north")
    member = plain(("sample", "y", "x")).rename(sample="member").assign_coords(member=[7, 9])
    assert fs.Function.from_xarray(member).batch_shape == (2,)


def test_plain_dates_become_seconds():
    dates = np.array(["2001-01-01T00", "2001-01-01T06", "2001-01-01T12"], dtype="datetime64[ns]")
    f = fs.Function.from_xarray(plain(("time", "x")).assign_coords(time=dates))
    assert f.domain.factors[0] == fs.Times(0.0, 21600.0, 3, "seconds since 2001-01-01T00:00:00")
    lags = plain(("time",)).assign_coords(time=np.array([0, 60, 120], dtype="timedelta64[s]"))
    assert fs.Function.from_xarray(lags).domain == fs.Times(0.0, 60.0, 3, "s")
    trajectory = fs.Function.from_xarray(plain(("sample", "time")))
    assert trajectory.domain == fs.Times.at([0.0, 0.5, 1.5])


def test_plain_points_and_whole_numbers():
    xy = np.random.default_rng(1).random((6, 2))
    array = xr.DataArray(
        np.arange(6), dims="station", coords={"lon": ("station", xy[:, 0]), "lat": ("station", xy[:, 1])}, name="n"
    )
    f = fs.Function.from_xarray(array)
    assert f.domain == fs.PointCloud(xy, axis_names=("lon", "lat"))
    assert f.dtype == torch.float64


def test_plain_ugrid():
    xugrid = pytest.importorskip("xugrid")
    mesh = DOMAINS["disc"]
    grid = xugrid.Ugrid2d(*mesh.points.numpy().T, -1, mesh.cells.numpy())
    for dim, count, element in ((grid.node_dimension, 19, "P1"), (grid.face_dimension, mesh.n_cells, "P0")):
        values = xr.DataArray(np.arange(float(len(mesh.points) if element == "P1" else count)), dims=dim, name="h")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = xugrid.UgridDataArray(values, grid).ugrid.to_dataset()
        f = fs.Function.from_xarray(dataset, "h")
        assert f.space.element == element
        assert torch.equal(f.domain.points, mesh.points)
        np.testing.assert_array_equal(f.coefficients, values)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: np.zeros(3), "ndarray"),
        (lambda: plain().to_dataset().assign(S=plain()), r"\['T', 'S'\]"),
        (lambda: xr.DataArray(np.zeros((3, 4)), dims=("i", "j")), r"\['j'\] have no coordinates"),
        (lambda: plain(("x", "y")).drop_vars(["x", "y"]), r"\['y'\] have no coordinates"),
        (lambda: plain(("x",)).assign_coords(x=[0.0, 2.0, 1.0, 3.0, 4.0]), "'x' must run in one direction"),
        (lambda: plain(("x",)).assign_coords(x=[0.0, 1.0, np.nan, 3.0, 4.0]), "'x' must be finite"),
        (lambda: plain(("y", "x")).isel(y=[0]), "'y' has 1 coordinate"),
        (lambda: plain(("x",)).astype("timedelta64[s]"), "decode_timedelta=False"),
        (lambda: xr.DataArray(["a", "b"], dims="x", coords={"x": [0, 1]}), "not numbers"),
        (lambda: plain(("sample",)), r"no dimension with coordinates|have no coordinates"),
    ],
)
def test_plain_data_that_say_too_little(make, message):
    with pytest.raises(fs.InputError, match=message):
        fs.Function.from_xarray(make())


def test_names_are_listed():
    dataset = random_function(fs.FunctionSpace(DOMAINS["grid"]), (), torch.float64, name="pressure").to_xarray()
    with pytest.raises(fs.InputError, match=r"'q'.*pressure"):
        fs.Function.from_xarray(dataset, "q")


def test_a_newer_schema_is_refused():
    dataset = random_function(fs.FunctionSpace(DOMAINS["grid"]), (), torch.float64).to_xarray()
    dataset["grid"].attrs["fs_schema"] = 999
    with pytest.raises(fs.FileError, match="newer"):
        fs.Function.from_xarray(dataset)
    dataset = random_function(fs.FunctionSpace(DOMAINS["grid"]), (), torch.float64).to_xarray()
    dataset["u"].attrs["fs_space"] = "{"
    with pytest.raises(fs.FileError, match="fs_space"):
        fs.Function.from_xarray(dataset)
