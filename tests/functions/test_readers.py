"""Files that users have: The Well, PDEBench, GAOT, NumPy, MATLAB, xarray, and meshes with data."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pytest
import torch

import funcspace as fs
from funcspace.functions.files.readers import file_kind, read_xarray
from funcspace.functions.files.readers_arrays import from_matlab, from_npz
from funcspace.functions.files.readers_gaot import from_gaot
from funcspace.functions.files.readers_pdebench import from_pdebench
from funcspace.functions.files.readers_well import from_well

from .file_examples import DOMAINS, random_function, same_domain, same_function

h5py = pytest.importorskip("h5py")
xr = pytest.importorskip("xarray")
pytest.importorskip("zarr")

RNG = np.random.default_rng(0)


def both(reader, path, **options):
    """The data set read at once, after checking that the lazy one is the same."""
    data = reader(path, lazy=False, **options)
    lazy = reader(path, lazy=True, **options)
    assert len(lazy) == len(data)
    rows = RNG.permutation(len(data))[: max(1, len(data) // 2)]
    for columns, others in ((lazy.inputs, data.inputs), (lazy.outputs, data.outputs)):
        assert list(columns) == list(others)
        for name, column in columns.items():
            assert isinstance(column, fs.LazyFunction)
            same_function(column.load(), others[name])
            assert torch.equal(column[rows].coefficients, others[name].coefficients[torch.from_numpy(rows)])
    return data


# the_well


@pytest.fixture
def well(tmp_path):
    path = tmp_path / "well.hdf5"
    n, t, w, h = 3, 5, 6, 4
    arrays = {
        "density": RNG.random((n, t, w, h), dtype=np.float32),
        "velocity": RNG.random((n, t, w, h, 2), dtype=np.float32),
        "stress": RNG.random((n, t, w, h, 2, 2), dtype=np.float32),
        "mask": RNG.random((w, h), dtype=np.float32),
        "inflow": RNG.random((n, t, h), dtype=np.float32),
        "speed": RNG.random((n, w, h), dtype=np.float32),
    }
    with h5py.File(path, "w") as file:
        file.attrs.update(dataset_name="example", grid_type="cartesian", n_spatial_dims=2, n_trajectories=n)
        dims = file.create_group("dimensions")
        dims.attrs["spatial_dims"] = ["x", "y"]
        dims["time"] = np.linspace(0, 2, t, dtype=np.float32)
        dims["x"] = np.linspace(0, 1, w, endpoint=False, dtype=np.float32)
        dims["y"] = np.linspace(-1, 1, h, dtype=np.float32)
        conditions = file.create_group("boundary_conditions")
        for name, dim, kind, mask in (
            ("x_periodic", "x", "PERIODIC", np.ones(w, dtype=bool)),
            ("y_wall", "y", "WALL", np.array([True, False, False, False])),
            ("y_open", "y", "OPEN", np.array([False, False, False, True])),
        ):
            group = conditions.create_group(name)
            group.attrs.update(associated_dims=[dim], bc_type=kind)
            group["mask"] = mask
        scalars = file.create_group("scalars")
        for name, values, by_sample, by_time in (
            ("viscosity", [0.1, 0.2, 0.3], True, False),
            ("gravity", [9.81], False, False),
            ("forcing", np.arange(5.0), False, True),
        ):
            scalars[name] = np.array(values, dtype=np.float32)
            scalars[name].attrs.update(sample_varying=by_sample, time_varying=by_time)
        for group, name, varying, flags in (
            ("t0_fields", "density", [True, True], (True, True)),
            ("t0_fields", "mask", [True, True], (False, False)),
            ("t0_fields", "inflow", [False, True], (True, True)),
            ("t0_fields", "speed", [True, True], (True, False)),
            ("t1_fields", "velocity", [True, True], (True, True)),
            ("t2_fields", "stress", [True, True], (True, True)),
        ):
            dataset = file.require_group(group).create_dataset(name, data=arrays[name])
            dataset.attrs.update(dim_varying=varying, sample_varying=flags[0], time_varying=flags[1])
    return path, arrays


def test_the_well_with_an_axis_that_runs_backwards(well):
    path, _ = well
    with h5py.File(path, "r+") as file:
        file["dimensions/y"][...] = file["dimensions/y"][...][::-1]
    assert from_well(path).boundary["bottom"]["type"] == "open"
    assert from_well(path).boundary["top"]["type"] == "wall"


def test_the_well_step_by_step(well):
    path, arrays = well
    data = both(from_well, path)
    grid = fs.Grid(x=(0.0, 1.0, 6), y=(-1.0, 1.0, 4), periodic="x")
    assert len(data) == 3 * 4
    assert data.inputs["density"].domain == grid
    for sample in (0, 5, 11):
        i, k = divmod(sample, 4)
        for name in ("density", "velocity", "stress"):
            np.testing.assert_array_equal(data.inputs[name].values[sample], arrays[name][i, k])
            np.testing.assert_array_equal(data.outputs[f"{name}_next"].values[sample], arrays[name][i, k + 1])
        np.testing.assert_array_equal(data.inputs["mask"].values[sample], arrays["mask"])
        np.testing.assert_array_equal(data.inputs["speed"].values[sample], arrays["speed"][i])
        np.testing.assert_array_equal(
            data.inputs["inflow"].values[sample], np.broadcast_to(arrays["inflow"][i, k], (6, 4))
        )
        assert data.parameters["viscosity"][sample] == pytest.approx([0.1, 0.2, 0.3][i])
        assert data.parameters["gravity"][sample] == pytest.approx(9.81)
        assert float(data.parameters["forcing"][sample]) == k
    assert data.inputs["velocity"].space.value_shape == (2,)
    assert data.inputs["stress"].space.value_shape == (2, 2)
    assert data.boundary == {"bottom": {"type": "wall"}, "top": {"type": "open"}}
    assert data.attributes["dataset_name"] == "example"


def test_long_runs_are_read_in_pieces(well, monkeypatch):
    path, arrays = well
    monkeypatch.setattr("funcspace.functions.files.field_rows.BLOCK", 2 * 6 * 4 * 4)
    data = both(from_well, path, inputs=["density", "speed", "mask"], outputs=["density"])
    np.testing.assert_array_equal(data.outputs["density_next"].values.reshape(3, 4, 6, 4), arrays["density"][:, 1:])


def test_the_well_trajectories_and_strides(well):
    path, arrays = well
    data = both(from_well, path, task="trajectory", inputs=["density", "speed"], outputs=["velocity"])
    assert list(data.inputs) == ["density_start", "speed"]
    assert data.outputs["velocity"].domain.factors[0] == fs.Times(0.0, 0.5, 5)
    np.testing.assert_array_equal(data.outputs["velocity"].values, arrays["velocity"])
    np.testing.assert_array_equal(data.inputs["density_start"].values, arrays["density"][:, 0])
    assert set(data.parameters) == {"viscosity", "gravity"}
    far = both(from_well, path, stride=3, inputs=["density"], outputs=["density"])
    assert len(far) == 3 * 2
    np.testing.assert_array_equal(far.outputs["density_next"].values[3], arrays["density"][1, 4])


def test_the_well_refusals(well, tmp_path):
    path, _ = well
    for options, message in (
        ({"inputs": ["pressure"]}, "no field 'pressure'; it has"),
        ({"periodic": ["X"]}, "periodic names the axis 'X', but the axes are"),
        ({"stride": 5}, "stride"),
        ({"task": "rollout"}, "task must be"),
    ):
        with pytest.raises(fs.InputError, match=message):
            fs.OperatorData.read(path, **options)
    with h5py.File(path, "a") as file:
        del file["dimensions/time"]
    with pytest.raises(fs.FileError, match="not laid out"):
        from_well(path)
    with pytest.raises(fs.FileError):
        from_well(tmp_path / "none.hdf5")
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(fs.FileError):
        from_well(path)


# PDEBench


def test_pdebench_advection(tmp_path):
    path = tmp_path / "advection.hdf5"
    u = RNG.random((3, 5, 8), dtype=np.float32)
    with h5py.File(path, "w") as file:
        file["tensor"], file.attrs["beta"] = u, 0.4
        file["x-coordinate"] = (np.arange(8, dtype=np.float32) + 0.5) / 8
        file["t-coordinate"] = np.arange(6, dtype=np.float32) / 10
    data = both(from_pdebench, path, periodic=["x"])
    assert data.inputs["u"].domain == fs.Grid(x=(0.0, 1.0, 8), periodic="x", samples="cells")
    np.testing.assert_array_equal(data.inputs["u"].values.reshape(3, 4, 8), u[:, :-1])
    np.testing.assert_array_equal(data.outputs["u_next"].values.reshape(3, 4, 8), u[:, 1:])
    assert data.attributes["beta"] == pytest.approx(0.4)
    whole = both(from_pdebench, path, task="trajectory")
    assert whole.outputs["u"].domain.factors[0] == fs.Times(0.0, 0.1, 5)
    np.testing.assert_array_equal(whole.outputs["u"].values, u)
    assert file_kind(path) == "PDEBench"
    with pytest.raises(fs.InputError, match="periodic names the axis 'y'"):
        from_pdebench(path, periodic=["y"])


def test_pdebench_darcy(tmp_path):
    path = tmp_path / "darcy.hdf5"
    nu, u = RNG.random((4, 6, 5), dtype=np.float32), RNG.random((4, 1, 6, 5), dtype=np.float32)
    with h5py.File(path, "w") as file:
        file["tensor"], file["nu"] = u, nu
        file["x-coordinate"] = (np.arange(6) + 0.5) / 6
        file["y-coordinate"] = (np.arange(5) + 0.5) / 5
    data = both(lambda p, lazy: fs.OperatorData.read(p, lazy=lazy), path)
    assert list(data.inputs) == ["nu"]
    assert list(data.outputs) == ["u"]
    np.testing.assert_array_equal(data.inputs["nu"].values, nu)
    np.testing.assert_array_equal(data.outputs["u"].values, u[:, 0])


def test_pdebench_fields_and_groups(tmp_path):
    fields = {name: RNG.random((2, 3, 4, 5), dtype=np.float32) for name in ("density", "pressure", "Vx", "Vy")}
    path = tmp_path / "cfd.hdf5"
    with h5py.File(path, "w") as file:
        for name, values in fields.items():
            file[name] = values
        for name, count in (("x", 4), ("y", 5), ("t", 4)):
            file[f"{name}-coordinate"] = (np.arange(count) + 0.5) / count
    data = both(from_pdebench, path)
    assert set(data.inputs) == set(fields)
    np.testing.assert_array_equal(data.outputs["Vy_next"].values.reshape(2, 2, 4, 5), fields["Vy"][:, 1:])
    grouped = tmp_path / "reaction.h5"
    values = RNG.random((3, 4, 5, 6, 2), dtype=np.float32)
    with h5py.File(grouped, "w") as file:
        for i in range(3):
            file[f"{i:04d}/data"] = values[i]
            for name, count in (("x", 5), ("y", 6), ("t", 4)):
                file[f"{i:04d}/grid/{name}"] = np.linspace(0, 1, count)
    data = both(lambda p, lazy: fs.OperatorData.read(p, lazy=lazy), grouped)
    np.testing.assert_array_equal(data.inputs["u"].values.reshape(3, 3, 5, 6, 2), values[:, :-1])


def test_pdebench_refusals(tmp_path):
    path = tmp_path / "x.hdf5"
    with h5py.File(path, "w") as file:
        file["x-coordinate"] = np.arange(3.0)
        file["tensor"] = np.zeros(3)
    with pytest.raises(fs.FileError, match="no array"):
        from_pdebench(path)
    with h5py.File(path, "w") as file:
        file["tensor"] = np.zeros((2, 3, 4))
    with pytest.raises(fs.FileError, match="no x-coordinate"):
        from_pdebench(path)


# GAOT


def write_gaot(path, **arrays):
    dims = ("sample", "time", "node", "channel")
    variables = {k: (tuple(f"{d}_{k}" for d in dims), v) for k, v in arrays.items()}
    xr.Dataset(variables).to_netcdf(path)
    with h5py.File(path, "a") as file:  # as written with h5py: no named dimensions
        for name in variables:
            values = file[name][...]
            del file[name]
            file[name] = values
        for name in list(file):
            if name not in variables:
                del file[name]


def test_gaot_static(tmp_path):
    path = tmp_path / "poisson.nc"
    u, c = RNG.random((4, 1, 9, 1), dtype=np.float32), RNG.random((4, 1, 9, 2), dtype=np.float32)
    x = RNG.random((1, 1, 9, 2), dtype=np.float32)
    write_gaot(path, u=u, c=c, x=x)
    assert file_kind(path) == "GAOT"
    data = both(from_gaot, path)
    assert data.inputs["c"].domain == fs.PointCloud(x[0, 0].astype(np.float64))
    np.testing.assert_array_equal(data.inputs["c"].values, c[:, 0])
    np.testing.assert_array_equal(data.outputs["u"].values, u[:, 0, :, 0])
    with pytest.raises(fs.InputError, match="has 9 nodes, but"):
        from_gaot(path, domain=fs.Grid(x=(0.0, 1.0, 4)))


def test_gaot_with_named_dimensions(tmp_path):
    path = tmp_path / "named.nc"
    dims = ("sample", "time", "node", "channel")
    u, c = (RNG.random((2, 1, 6, 1), dtype=np.float32) for _ in "uc")
    xr.Dataset({"u": (dims, u), "c": (dims, c), "x": (("one", *dims[1:3], "axis"), u[:1].repeat(2, 3))}).to_netcdf(path)
    data = fs.OperatorData.read(path)
    np.testing.assert_array_equal(data.outputs["u"].values, u[:, 0, :, 0])


def test_gaot_in_time_and_on_a_grid(tmp_path):
    path = tmp_path / "wave.nc"
    u, c = RNG.random((3, 5, 12, 1), dtype=np.float32), RNG.random((3, 1, 12, 1), dtype=np.float32)
    write_gaot(path, u=u, c=c)
    grid = fs.Grid(x=(0.0, 1.0, 4), y=(0.0, 1.0, 3))
    data = both(from_gaot, path, domain=grid, task="trajectory", instants=np.arange(5) / 10)
    assert data.outputs["u"].domain == fs.Times(0.0, 0.1, 5) * grid
    np.testing.assert_array_equal(data.outputs["u"].coefficients, u[..., 0])
    np.testing.assert_array_equal(data.inputs["c"].coefficients, c[:, 0, :, 0])
    np.testing.assert_array_equal(data.inputs["u_start"].coefficients, u[:, 0, :, 0])
    with pytest.raises(fs.InputError, match="does not hold the nodes"):
        from_gaot(path)
    with pytest.raises(fs.InputError, match="instants must have 5"):
        from_gaot(path, domain=grid, instants=[0.0, 1.0])


def test_gaot_with_nodes_of_each_sample(tmp_path):
    path = tmp_path / "elasticity.nc"
    u, c = RNG.random((3, 1, 7, 1), dtype=np.float32), RNG.random((3, 1, 7, 1), dtype=np.float32)
    x = RNG.random((3, 1, 7, 2), dtype=np.float32)
    write_gaot(path, u=u, c=c, x=x)
    data = fs.OperatorData.read(path)
    assert isinstance(data.outputs["u"], fs.RaggedFunction)
    for i in range(3):
        np.testing.assert_array_equal(data.outputs["u"][i].coefficients, u[i, 0, :, 0])
        np.testing.assert_array_equal(data.inputs["c"][i].domain.points, x[i, 0].astype(np.float64))
    with pytest.raises(fs.FileError, match="no variable u"):
        write_gaot(path, v=u)
        from_gaot(path)


# NumPy and MATLAB


def test_npz(tmp_path):
    path = tmp_path / "set.npz"
    a, u, x = RNG.random((3, 5, 4)), RNG.random((3, 5, 4, 2)), np.linspace(0, 1, 5)
    np.savez(path, a=a, u=u, x=x, y=np.linspace(0, 2, 4), k=np.arange(3.0))
    data = fs.OperatorData.read(path, inputs=["a"], outputs=["u"], parameters=["k"])
    assert data.inputs["a"].domain == fs.Grid(x=(0.0, 1.0, 5), y=(0.0, 2.0, 4))
    np.testing.assert_array_equal(data.outputs["u"].values, u)
    assert data.parameters["k"].tolist() == [0.0, 1.0, 2.0]
    with pytest.raises(fs.InputError, match="no array 'b'"):
        from_npz(path, inputs=["b"], outputs=["u"])
    with pytest.raises(fs.InputError, match=r"inputs=\[...\]"):
        fs.OperatorData.read(path)
    with pytest.raises(fs.InputError, match="'task' means nothing"):
        fs.OperatorData.read(path, inputs=["a"], outputs=["u"], task="step")
    ring = from_npz(path, inputs=["a"], outputs=["u"], periodic="x")
    assert ring.inputs["a"].domain.periodic == ("x",)
    with pytest.raises(fs.InputError, match="periodic names the axis 'X', but the axes are"):
        from_npz(path, inputs=["a"], outputs=["u"], periodic=["X"])
    with pytest.raises(fs.InputError, match="make the domain itself periodic"):
        from_npz(path, inputs=["a"], outputs=["u"], periodic=["x"], domain=fs.Grid(x=(0.0, 1.0, 5), y=(0.0, 2.0, 4)))
    np.savez(path, a=a, u=u)
    with pytest.raises(fs.InputError, match="no coordinates"):
        from_npz(path, inputs=["a"], outputs=["u"])


def test_hdf5_without_names_of_dimensions(tmp_path):
    path = tmp_path / "set.h5"
    a, u = RNG.random((3, 5)), RNG.random((3, 5, 2))
    with h5py.File(path, "w") as file:
        file["a"], file["u"], file["test/a"], file["test/k"] = a, u.astype(">f8"), a[:2], np.arange(2.0)
    assert file_kind(path) == "HDF5"
    grid = fs.Grid(x=(0.0, 1.0, 5))
    data = fs.OperatorData.read(path, inputs=["a"], outputs=["u"], domain=grid)
    np.testing.assert_array_equal(data.inputs["a"].values, a)
    np.testing.assert_array_equal(data.outputs["u"].values, u)
    held_out = fs.OperatorData.read(path, inputs=["test/a"], outputs=[], parameters=["test/k"], domain=grid)
    np.testing.assert_array_equal(held_out.inputs["test/a"].values, a[:2])
    assert held_out.parameters["test/k"].tolist() == [0.0, 1.0]
    for options, message in (
        ({}, r"inputs=\[...\]"),
        ({"inputs": ["b"], "outputs": ["u"]}, r"no array 'b'; it has \['a', 'test/a', 'test/k', 'u'\]"),
        ({"inputs": ["a"], "outputs": ["u"]}, "no coordinates"),
        ({"inputs": ["a"], "outputs": ["u"], "task": "step"}, "read as HDF5, for which 'task' means nothing"),
    ):
        with pytest.raises(fs.InputError, match=message):
            fs.OperatorData.read(path, **options)
    with h5py.File(path, "a") as file:
        file["x"] = np.linspace(0, 2, 5)
    assert fs.OperatorData.read(path, inputs=["a"], outputs=["u"]).inputs["a"].domain == fs.Grid(x=(0.0, 2.0, 5))


def test_a_pickle_is_never_loaded(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "exploded"),))

    path = tmp_path / "bomb.npz"
    np.savez(path, a=np.array([Bomb()], dtype=object), u=np.zeros((1, 3)), x=np.arange(3.0))
    with pytest.raises(fs.FileError, match="pickled objects are never loaded"):
        fs.OperatorData.read(path, inputs=["a"], outputs=["u"])
    np.save(tmp_path / "bomb.npy", np.array([Bomb()], dtype=object))
    for suffix in ("npy", "pt", "pkl"):
        other = tmp_path / f"bomb.{suffix}"
        if suffix != "npy":
            torch.save({"a": torch.ones(2)}, other)
        with pytest.raises(fs.FileError):
            fs.OperatorData.read(other, inputs=["a"], outputs=["u"])
    assert not (tmp_path / "exploded").exists()


def test_matlab(tmp_path):
    io = pytest.importorskip("scipy.io")
    path = tmp_path / "darcy.mat"
    a, u = RNG.random((3, 5, 5)), RNG.random((3, 5, 5))
    io.savemat(path, {"coeff": a, "sol": u, "Kcoeff": a})
    data = fs.OperatorData.read(path)
    assert data.inputs["coeff"].domain == fs.Grid(x=(0.0, 1.0, 5), y=(0.0, 1.0, 5))
    np.testing.assert_array_equal(data.inputs["coeff"].values, a)
    np.testing.assert_array_equal(data.outputs["sol"].values, u)
    burgers = tmp_path / "burgers.mat"
    io.savemat(burgers, {"a": a[:, 0], "u": u[:, 0], "a_x": a[:, 1]})
    assert fs.OperatorData.read(burgers).inputs["a"].domain == fs.Grid(x=(0.0, 1.0, 5), periodic="x")
    flow = RNG.random((3, 5, 5, 4))
    io.savemat(path, {"a": a, "u": flow, "t": np.arange(1.0, 5.0)})
    data = fs.OperatorData.read(path)
    torus = fs.Grid(x=(0.0, 1.0, 5), y=(0.0, 1.0, 5), periodic=("x", "y"))
    assert data.outputs["u"].domain == fs.Times(1.0, 1.0, 4) * torus
    np.testing.assert_array_equal(data.outputs["u"].values, flow.transpose(0, 3, 1, 2))
    with pytest.raises(fs.InputError, match="no known layout"):
        io.savemat(path, {"q": a})
        from_matlab(path)
    path.write_bytes(path.read_bytes()[:160])
    with pytest.raises(fs.FileError):
        from_matlab(path)


def test_matlab_7_3(tmp_path):
    path = tmp_path / "v73.mat"
    a, u = RNG.random((3, 5, 4)), RNG.random((3, 5, 4))
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in (("coeff", a), ("sol", u)):
            file[name] = values.T  # MATLAB counts the axes from the other end
            file[name].attrs["MATLAB_class"] = np.bytes_("double")
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file")
    data = fs.OperatorData.read(path)
    np.testing.assert_array_equal(data.inputs["coeff"].values, a)
    np.testing.assert_array_equal(data.outputs["sol"].values, u)


# xarray


def labelled():
    coords = {"x": np.linspace(0, 1, 5), "y": [2.0, 1.0, 0.0], "time": [0.0, 1.0]}
    return xr.Dataset(
        {
            "a": (("run", "x", "y"), RNG.random((4, 5, 3)), {"units": "m2"}),
            "u": (("time", "run", "x", "y"), RNG.random((2, 4, 5, 3), dtype=np.float32)),
            "terrain": (("x", "y"), RNG.random((5, 3))),
            "k": ("run", np.arange(4.0)),
            "g": ((), 9.81),
        },
        coords,
        {"title": "weather"},
    )


@pytest.mark.parametrize("lazy", [False, True])
def test_xarray(lazy):
    dataset = labelled()
    data = fs.OperatorData.from_xarray(dataset, ["a", "terrain"], ["u"], parameters=["k", "g"], lazy=lazy)
    grid = fs.Grid(x=(0.0, 1.0, 5), y=(0.0, 2.0, 3))
    assert data.inputs["a"].space.domain == grid
    assert data.outputs["u"].space.domain == fs.Times(0.0, 1.0, 2) * grid
    assert isinstance(data.inputs["a"], fs.LazyFunction) == lazy
    held = data.in_memory()
    np.testing.assert_array_equal(held.inputs["a"].values, dataset["a"].values[..., ::-1])
    np.testing.assert_array_equal(held.inputs["terrain"].values[3], dataset["terrain"].values[:, ::-1])
    np.testing.assert_array_equal(held.outputs["u"].values, dataset["u"].values.transpose(1, 0, 2, 3)[..., ::-1])
    rows = data[[3, 1]]
    np.testing.assert_array_equal(rows.in_memory().inputs["a"].values, dataset["a"].values[[3, 1], :, ::-1])
    assert data.parameters["k"].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert data.parameters["g"].tolist() == [9.81] * 4
    assert data.inputs["a"].units == "m2"
    assert data.attributes["title"] == "weather"
    periodic = fs.OperatorData.from_xarray(dataset, ["a"], ["u"], periodic=["x"], samples="cells")
    assert periodic.inputs["a"].space.domain.periodic == ("x",)


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
@pytest.mark.parametrize("lazy", [None, True])
def test_labelled_files(tmp_path, suffix, lazy):
    path = tmp_path / f"set.{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        labelled().to_netcdf(path) if suffix == "nc" else labelled().to_zarr(path, consolidated=False)
    assert file_kind(path) == "xarray"
    data = fs.OperatorData.read(path, inputs=["a"], outputs=["u"], lazy=lazy)
    assert data.outputs["u"].space.domain.factors[0] == fs.Times(0.0, 1.0, 2)
    assert len(data.in_memory()) == 4


def test_functions_of_our_own_become_columns():
    f = random_function(fs.FunctionSpace(DOMAINS["disc"], "P2"), (4,), torch.float64, name="a")
    g = random_function(fs.FunctionSpace(DOMAINS["disc"], "P2"), (4,), torch.float64, 1, name="u")
    data = read_xarray(xr.merge([f.to_xarray(), g.to_xarray()], compat="override"), ["a"], ["u"])
    same_function(data.inputs["a"], f)
    same_function(data.outputs["u"], g)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"periodic": ["X"]}, "periodic names 'X', which no chosen variable has; they have"),
        ({"periodic": ["time"]}, "periodic names 'time', but the axes are"),
        ({"periodic": True}, "periodic holds the names of axes"),
        ({"samples": "cell"}, 'samples must be "vertices" or "cells", got \'cell\''),
        ({"sample_dim": "rum"}, "sample_dim names 'rum', which no chosen variable has; they have"),
    ],
)
def test_misspelt_options_of_labelled_data(options, message, tmp_path):
    with pytest.raises(fs.InputError, match=message):
        read_xarray(labelled(), ["a"], ["u"], **options)
    if "sample_dim" not in options:
        labelled().to_netcdf(tmp_path / "set.nc")
        with pytest.raises(fs.InputError, match=message):
            fs.OperatorData.read(tmp_path / "set.nc", inputs=["a"], outputs=["u"], **options)


def test_points_are_not_periodic():
    points = {"lon": ("site", RNG.random(6)), "lat": ("site", RNG.random(6))}
    dataset = xr.Dataset({"a": (("run", "site"), RNG.random((2, 6)))}, points)
    with pytest.raises(fs.InputError, match="periodic names 'lon', but variable 'a' does not live on a grid"):
        read_xarray(dataset, ["a"], ["a"], periodic=["lon"])


def test_xarray_refusals():
    dataset = labelled()
    with pytest.raises(fs.InputError, match=r"no variable 'b'; it has \['a', 'g', 'k', 'terrain', 'u'\]"):
        read_xarray(dataset, ["b"], ["u"])
    with pytest.raises(fs.InputError, match="batch dimensions"):
        read_xarray(dataset.expand_dims(member=2), ["a"], ["u"])
    dataset["a"][2, 0, 0] = np.nan
    with pytest.raises(fs.InputError, match="'a' holds NaN or infinity, first at sample 2"):
        read_xarray(dataset, ["a"], ["u"])


def test_our_own_files_and_unknown_ones(tmp_path):
    path = tmp_path / "set.zarr"
    f = random_function(fs.FunctionSpace(DOMAINS["grid"]), (4,), torch.float64, name="a")
    fs.OperatorData({"a": f}, {"u": f.renamed("u")}).save(path)
    same_function(fs.OperatorData.read(path).inputs["a"], f)
    with pytest.raises(fs.InputError, match="'domain' means nothing"):
        fs.OperatorData.read(path, domain=DOMAINS["grid"])
    (tmp_path / "words.txt").write_text("words")
    (tmp_path / "folder").mkdir()
    for name, message in (("none.nc", "no file"), ("words.txt", "no known kind"), ("folder", "no Zarr store")):
        with pytest.raises(fs.FileError, match=message):
            fs.OperatorData.read(tmp_path / name)


# single functions


@pytest.mark.parametrize("name", ["grid", "curved", "times * tetrahedra", "cloud", "instants"])
@pytest.mark.parametrize("suffix", ["nc", "zarr"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.complex128])
def test_a_function_in_a_file(tmp_path, name, suffix, dtype):
    f = random_function(fs.FunctionSpace(DOMAINS[name], components=("a", "b")), (2, 3), dtype, units="K")
    f.to_file(tmp_path / f"u.{suffix}")
    same_function(fs.Function.from_file(tmp_path / f"u.{suffix}"), f)
    with pytest.raises(fs.InputError, match=r"no function 'q'; it has \['u'\]"):
        fs.Function.from_file(tmp_path / f"u.{suffix}", "q")


@pytest.mark.parametrize("suffix", ["vtu", "xdmf"])
@pytest.mark.parametrize(
    ("name", "element"),
    [
        ("disc", "P1"),
        ("disc", "P0"),
        ("curved", "P2"),
        ("tetrahedra", "P1"),
        ("quadrilaterals", "Q1"),
        ("tetrahedra", "P0"),
    ],
)
def test_a_function_in_a_mesh_file(tmp_path, suffix, name, element):
    pytest.importorskip("meshio")
    f = random_function(fs.FunctionSpace(DOMAINS[name], element, components=("a", "b")), (), torch.float64)
    f.to_file(tmp_path / f"u.{suffix}")
    back = fs.Function.from_file(tmp_path / f"u.{suffix}")
    assert back.space.element == element
    assert torch.equal(back.domain.points, f.domain.points)
    np.testing.assert_allclose(back.coefficients, f.coefficients, rtol=1e-12)


def test_batches_and_other_elements_in_a_mesh_file(tmp_path):
    pytest.importorskip("meshio")
    f = random_function(fs.FunctionSpace(DOMAINS["disc"], "P2"), (3,), torch.float64)
    f.to_file(tmp_path / "u.vtu")
    last = fs.Function.from_file(tmp_path / "u.vtu", "u_2")
    assert last.space.element == "P2"
    points = f.domain.points
    np.testing.assert_allclose(last(points), f[2](points), rtol=1e-9, atol=1e-12)
    with pytest.raises(fs.InputError, match=r"\['u_0', 'u_1', 'u_2'\]; say which"):
        fs.Function.from_file(tmp_path / "u.vtu")
    flow = random_function(fs.FunctionSpace(DOMAINS["disc"], "RT"), (), torch.float64)
    flow.to_file(tmp_path / "q.vtu")
    back = fs.Function.from_file(tmp_path / "q.vtu")
    mesh = DOMAINS["disc"]
    middles = mesh.points[mesh.cells].mean(dim=1)
    np.testing.assert_allclose(back.coefficients, flow(middles), rtol=1e-9, atol=1e-12)


def test_mesh_file_refusals(tmp_path):
    pytest.importorskip("meshio")
    grid = random_function(fs.FunctionSpace(DOMAINS["grid"]), (), torch.float64)
    with pytest.raises(fs.InputError, match="functions on a Mesh"):
        grid.to_file(tmp_path / "u.vtu")
    waves = random_function(fs.FunctionSpace(DOMAINS["disc"]), (), torch.complex128)
    with pytest.raises(fs.InputError, match="complex"):
        waves.to_file(tmp_path / "u.vtu")
    with pytest.raises(fs.FileError):
        random_function(fs.FunctionSpace(DOMAINS["disc"]), (), torch.float64).to_file(tmp_path / "u.docx")
    with pytest.raises(fs.FileError, match="no file"):
        fs.Function.from_file(tmp_path / "u.vtu")
    DOMAINS["disc"].to_file(tmp_path / "mesh.vtu")
    with pytest.raises(fs.FileError, match="without data"):
        fs.Function.from_file(tmp_path / "mesh.vtu")
    (tmp_path / "bad.vtu").write_text("<VTKFile")
    with pytest.raises(fs.FileError):
        fs.Function.from_file(tmp_path / "bad.vtu")


def test_a_foreign_netcdf_as_a_function(tmp_path):
    path = tmp_path / "t.nc"
    labelled()[["terrain"]].to_netcdf(path)
    f = fs.Function.from_file(path)
    same_domain(f.domain, fs.Grid(x=(0.0, 1.0, 5), y=(0.0, 2.0, 3)))
