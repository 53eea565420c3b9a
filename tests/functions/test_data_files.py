"""Data sets through netCDF and Zarr: every bit, lazily or not, whole or not at all."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import shutil
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import funcspace as fs
from funcspace.functions.files import data_files
from funcspace.functions.files.chunks import chunk_shape, free_memory
from funcspace.functions.files.data_files import save_data
from funcspace.functions.files.data_writer import DataWriter
from funcspace.functions.files.zarr_rows import direct_rows

from .file_examples import DOMAINS, elements, random_function, same_function

xr = pytest.importorskip("xarray")
pytest.importorskip("zarr")
pytest.importorskip("h5netcdf")

FORMATS = [("nc", "netcdf4"), ("nc", "h5netcdf"), ("zarr", None)]


def open_xarray(path):
    if path.suffix == ".zarr":
        return xr.open_zarr(path, chunks=None, decode_timedelta=False)
    return xr.open_dataset(path, decode_timedelta=False)


def ragged(dtype=torch.float64, name="r", count=6):
    spaces = [
        fs.FunctionSpace(DOMAINS[k], e) for k, e in (("disc", "P1"), ("tetrahedra", "P1"), ("quadrilaterals", "Q2"))
    ]
    return fs.RaggedFunction.pack(
        [random_function(spaces[i % 3], (), dtype, i, name=name, units="Pa") for i in range(count)]
    )


def small_data(samples=6, seed=0):
    grid = fs.FunctionSpace(DOMAINS["grid"], components=("p", "q"))
    return fs.OperatorData(
        {"a": random_function(grid, (samples,), torch.float32, seed, name="a", units="m/s")},
        {"u": random_function(fs.FunctionSpace(DOMAINS["grid"]), (samples,), torch.float32, seed + 1)},
        {"nu": torch.linspace(0, 1, samples, dtype=torch.float64) / 3, "kind": torch.arange(samples)},
        {"left": {"type": "dirichlet", "value": 0.5}},
        {"seed": 3},
    )


def same_data(one, other):
    for columns, others in ((one.inputs, other.inputs), (one.outputs, other.outputs)):
        assert list(columns) == list(others)
        for name in columns:
            left, right = columns[name], others[name]
            if isinstance(right, fs.RaggedFunction):
                assert len(left) == len(right)
                for f, g in zip(left, right, strict=True):
                    same_function(f, g)
            else:
                same_function(left.load() if isinstance(left, fs.LazyFunction) else left, right)
    assert list(one.parameters) == list(other.parameters)
    for name, values in other.parameters.items():
        assert one.parameters[name].dtype == values.dtype
        assert torch.equal(one.parameters[name], values)
    assert one.boundary == other.boundary


@pytest.mark.parametrize(("suffix", "engine"), FORMATS)
def test_everything_at_once(tmp_path, suffix, engine):
    """One set with every kind of domain, element, type and value shape."""
    types = [torch.float64, torch.float32, torch.complex64, torch.float16, torch.bfloat16, torch.complex128]
    columns = {}
    for number, (name, domain) in enumerate(DOMAINS.items()):
        for element in elements(domain)[number % len(elements(domain)) :][:1]:
            space = fs.FunctionSpace(domain, element)
            if not space.basis.intrinsic_shape:
                space = fs.FunctionSpace(domain, element, value_shape=[(), (3,), (2, 2)][number % 3])
            label = f"{name} {element}"
            columns[label] = random_function(space, (6,), types[len(columns) % 6], number, name=label, units="K")
    half = len(columns) // 2
    data = fs.OperatorData(
        dict(list(columns.items())[:half]) | {"ragged": ragged(), "ragged complex": ragged(torch.complex64)},
        dict(list(columns.items())[half:]) | {"ragged half": ragged(torch.float16)},
        {
            "nu": torch.rand(6, dtype=torch.float64),
            "flag": torch.arange(6) > 2,
            "n": torch.arange(6, dtype=torch.int32),
        },
        {
            "left": {"type": "robin", "value": 0.1, "weights": np.arange(3.0)},
            "inlet": {"value": torch.tensor([1.0, 2.0])},
        },
        {"recipe": "threshold", "seed": np.int64(3), "list": (1, [2.5, None, True]), "z": 1 + 2j},
    )
    path = tmp_path / f"set.{suffix}"
    save_data(data, path, engine=engine)
    for lazy in (False, True):
        loaded = fs.OperatorData.load(path, lazy=lazy)
        same_data(fs.OperatorData(loaded.inputs, loaded.outputs, loaded.parameters, data.boundary), data)
    assert loaded.boundary["left"]["weights"].tolist() == [0.0, 1.0, 2.0]
    assert torch.equal(loaded.boundary["inlet"]["value"], torch.tensor([1.0, 2.0]))
    assert loaded.attributes == {"recipe": "threshold", "seed": 3, "list": [1, [2.5, None, True]], "z": 1 + 2j}
    assert os.listdir(tmp_path) == [path.name]
    with open_xarray(path) as dataset:
        for label in list(columns)[:3]:
            same_function(fs.Function.from_xarray(dataset, label), columns[label])


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_domains_are_stored_once(tmp_path, suffix):
    path = tmp_path / f"set.{suffix}"
    mesh = DOMAINS["disc"]
    p1, p2 = (random_function(fs.FunctionSpace(mesh, e), (3,), torch.float64) for e in ("P1", "P2"))
    movie = random_function(fs.FunctionSpace(fs.Times(0.0, 0.1, 4) * mesh), (3,), torch.float64)
    fs.OperatorData({"a": p1, "b": p2}, {"u": movie}).save(path)
    with open_xarray(path) as dataset:
        topologies = [n for n, v in dataset.variables.items() if v.attrs.get("cf_role") == "mesh_topology"]
        assert topologies == ["mesh"]
        assert dataset["u"].dims == ("sample", "time", "mesh_nNodes")
        assert dataset.attrs["Conventions"] == "CF-1.11"


def test_a_ragged_set_reads_as_cf(tmp_path):
    path = tmp_path / "set.nc"
    column = ragged()
    fs.OperatorData({"r": column}, {"s": ragged(name="s")}).save(path)
    with xr.open_dataset(path) as dataset:
        count = dataset["r_count"]
        assert count.attrs["sample_dimension"] == dataset["r"].dims[0]
        np.testing.assert_array_equal(count, column.ptr.diff())
    back = fs.OperatorData.load(path)
    assert back.inputs["r"].spaces[0] is back.inputs["r"].spaces[3]


@pytest.mark.parametrize(("suffix", "engine"), FORMATS)
def test_lazy_slices(tmp_path, suffix, engine):
    data = small_data(20)
    save_data(data, tmp_path / f"set.{suffix}", engine=engine)
    lazy = fs.OperatorData.load(tmp_path / f"set.{suffix}", lazy=True)
    assert all(isinstance(c, fs.LazyFunction) for c in (*lazy.inputs.values(), *lazy.outputs.values()))
    truth = data.inputs["a"].coefficients
    for index in ([3, 17, 4, 5, 3], slice(2, 19, 5), [0], np.array([19, 0]), []):
        if len(np.arange(20)[index]):
            rows = np.arange(20)[index]
            assert torch.equal(lazy[index].inputs["a"].coefficients, truth[rows])
    assert torch.equal(lazy[-1]["u"], data.outputs["u"].coefficients[-1])
    shuffled = lazy.split(15, seed=1)[0][[2, 3]]
    assert torch.equal(shuffled.inputs["a"].coefficients, data.split(15, seed=1)[0][[2, 3]].inputs["a"].coefficients)
    same_data(lazy.in_memory(), data)


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_a_lazy_set_is_pickled_threaded_and_copied(tmp_path, suffix):
    data = small_data(12)
    data.save(tmp_path / f"set.{suffix}")
    lazy = fs.OperatorData.load(tmp_path / f"set.{suffix}", lazy=True)
    column = pickle.loads(pickle.dumps(lazy.inputs["a"].array))
    np.testing.assert_array_equal(column[2:5].reshape(3, -1), data.inputs["a"].coefficients[2:5].reshape(3, -1))
    results = {}

    def read(i):
        results[i] = [lazy[[i, 11 - i]].inputs["a"].coefficients for _ in range(5)]

    threads = [threading.Thread(target=read, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(
        torch.equal(c, data.inputs["a"].coefficients[[i, 11 - i]]) for i, found in results.items() for c in found
    )
    other = tmp_path / ("copy.nc" if suffix == "zarr" else "copy.zarr")
    lazy.save(other)
    same_data(fs.OperatorData.load(other), data)


@pytest.mark.skipif(sys.platform != "linux", reason="fork")
@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_a_lazy_set_survives_a_fork(tmp_path, suffix):
    data = small_data(12)
    data.save(tmp_path / f"set.{suffix}")
    lazy = fs.OperatorData.load(tmp_path / f"set.{suffix}", lazy=True)
    _ = lazy[:2].inputs["a"].coefficients
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        worker = context.Process(target=lambda: sender.send(lazy[[7, 2]].inputs["a"].coefficients.numpy()))
        worker.start()
    assert receiver.poll(60), "the forked process hangs"
    np.testing.assert_array_equal(receiver.recv(), data.inputs["a"].coefficients[[7, 2]])
    worker.join(10)
    assert worker.exitcode == 0


def test_rows_read_directly_are_those_that_zarr_reads(tmp_path, monkeypatch):
    monkeypatch.setattr("funcspace.functions.files.chunks.TARGET", 4 * 12 * 3)
    import zarr

    data = small_data(17)
    data.save(tmp_path / "set.zarr")
    array = fs.OperatorData.load(tmp_path / "set.zarr", lazy=True).outputs["u"].array
    truth = zarr.open_array(tmp_path / "set.zarr" / "u")
    assert truth.chunks[0] == 3
    for rows in ([0, 1, 2, 3, 4, 5, 6, 16], [16, 2, 2, 9], list(range(17))[::-1], [8]):
        assert direct_rows(str(tmp_path / "set.zarr" / "u"), (0,), [(rows[0], rows[0] + 1)]) is not None
        np.testing.assert_array_equal(array.rows(np.array(rows)), truth[:][rows])
    zarr.create_array(tmp_path / "other.zarr", shape=(4, 2), chunks=(2, 2), dtype="f8", name="u")
    assert direct_rows(str(tmp_path / "other.zarr" / "u"), (0,), [(0, 1)]) is None
    assert direct_rows(str(tmp_path / "none"), (0,), [(0, 1)]) is None


def test_reading_keeps_no_file_open(tmp_path):
    small_data().save(tmp_path / "set.nc")
    lazy = fs.OperatorData.load(tmp_path / "set.nc", lazy=True)
    _ = lazy[[1, 3]].inputs["a"].coefficients
    folder = Path("/proc/self/fd")
    if folder.exists():
        assert not any(str(tmp_path) in os.readlink(link) for link in folder.iterdir() if link.is_symlink())


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_a_file_replaced_while_lazy_is_noticed(tmp_path, suffix):
    path = tmp_path / f"set.{suffix}"
    small_data().save(path)
    lazy = fs.OperatorData.load(path, lazy=True)
    lazy.save(path)
    with pytest.raises(fs.FileError, match="replaced or changed"):
        _ = lazy[:1].inputs["a"].coefficients
    same_data(fs.OperatorData.load(path), small_data())
    shutil.rmtree(path) if suffix == "zarr" else path.unlink()
    with pytest.raises(fs.FileError, match="cannot read"):
        _ = lazy[:1].inputs["a"].coefficients


def test_lazy_by_default_above_a_quarter_of_free_memory(tmp_path, monkeypatch):
    path = tmp_path / "set.zarr"
    data = small_data()
    data.save(path)
    size = 4 * (data.inputs["a"].coefficients.numel() + data.outputs["u"].coefficients.numel())
    assert free_memory() > 0
    monkeypatch.setattr(data_files, "free_memory", lambda: 4 * size)
    assert isinstance(fs.OperatorData.load(path).inputs["a"], fs.Function)
    monkeypatch.setattr(data_files, "free_memory", lambda: 4 * size - 4)
    assert isinstance(fs.OperatorData.load(path).inputs["a"], fs.LazyFunction)


def test_nan_on_disk_is_found_when_read(tmp_path):
    path = tmp_path / "set.zarr"
    small_data().save(path)
    import zarr

    array = zarr.open_array(path / "u")
    array[4, 0, 0] = np.nan
    with pytest.raises(fs.InputError, match="'u' holds NaN or infinity, first at sample 4"):
        fs.OperatorData.load(path, lazy=False)
    lazy = fs.OperatorData.load(path, lazy=True)
    with pytest.raises(fs.InputError, match="'u' holds NaN or infinity, first at sample 4"):
        _ = lazy[[1, 4]].outputs["u"].coefficients


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
@pytest.mark.parametrize("templated", [False, True])
def test_writing_in_pieces(tmp_path, suffix, templated):
    path = tmp_path / f"set.{suffix}"
    pieces = [small_data(n, seed=n) for n in (5, 1, 7, 2)]
    with DataWriter(path, pieces[0] if templated else None) as writer:
        for piece in pieces:
            writer.append(piece)
        assert not path.exists()
        assert len(writer) == 15
    for lazy in (False, True):
        loaded = fs.OperatorData.load(path, lazy=lazy)
        start = 0
        for piece in pieces:
            part = loaded[start : start + len(piece)]
            same_data(part.in_memory(), piece)
            start += len(piece)
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_ragged_pieces(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr("funcspace.functions.files.chunks.TARGET", 1 << 10)
    path, count = tmp_path / f"set.{suffix}", 9
    grid = random_function(fs.FunctionSpace(DOMAINS["grid"]), (count,), torch.float32, name="a")
    whole = fs.OperatorData(
        {"r": ragged(count=count), "a": grid},
        {"complex": ragged(torch.complex64, count=count)},
        {"nu": torch.rand(count)},
    )
    with DataWriter(path) as writer:
        for start, stop in ((0, 1), (1, 5), (5, 9)):
            writer.append(whole[start:stop])
    same_data(fs.OperatorData.load(path, lazy=False), whole)
    with open_xarray(path) as dataset:
        assert dataset["r"].sizes[dataset["r_count"].attrs["sample_dimension"]] == int(dataset["r_count"].sum())


def test_pieces_larger_and_smaller_than_a_chunk(tmp_path, monkeypatch):
    monkeypatch.setattr("funcspace.functions.files.chunks.TARGET", 16 * 5)
    path = tmp_path / "set.zarr"
    grid = fs.Grid(x=(0.0, 1.0, 4))
    whole = torch.arange(4 * 37, dtype=torch.float32).reshape(37, 4)
    with DataWriter(path) as writer:
        for start, stop in ((0, 2), (2, 3), (3, 20), (20, 21), (21, 37)):
            writer.append(fs.OperatorData.from_arrays({"a": whole[start:stop]}, {"u": -whole[start:stop]}, grid))
    assert len(list((path / "a" / "c").iterdir())) == 8
    assert torch.equal(fs.OperatorData.load(path).outputs["u"].coefficients, -whole)


def test_pieces_that_do_not_match(tmp_path):
    path = tmp_path / "set.zarr"
    first = small_data()
    other_grid = fs.OperatorData.from_arrays(
        {"a": torch.ones(2, 4, 2)}, {"u": torch.ones(2, 4)}, fs.Grid(x=(0.0, 1.0, 4))
    )
    other_grid = fs.OperatorData(other_grid.inputs, other_grid.outputs, {n: v[:2] for n, v in first.parameters.items()})
    bad = [
        (other_grid, fs.DomainError, "'a' must be on"),
        (fs.OperatorData(first.inputs, first.outputs), fs.InputError, "must have the inputs"),
        (
            fs.OperatorData({"a": first.inputs["a"].to(torch.float64)}, first.outputs, first.parameters),
            fs.InputError,
            "'a' must be of type float32",
        ),
        (fs.OperatorData({"r": ragged()}, first.outputs), fs.InputError, "must have the inputs"),
    ]
    for batch, kind, message in bad:
        writer = DataWriter(path)
        writer.append(first)
        with pytest.raises(kind, match=message):
            writer.append(batch)
        with pytest.raises(fs.InputError, match="closed"):
            writer.append(first)
    with pytest.raises(fs.InputError, match="nothing was appended"), DataWriter(path):
        pass
    with pytest.raises(fs.InputError, match="'r' must have coefficients of type"), DataWriter(path) as writer:
        writer.append(fs.OperatorData({"r": ragged()}, {}))
        writer.append(fs.OperatorData({"r": ragged(torch.float32)}, {}))
    with pytest.raises(fs.InputError, match="'a' was ragged in the first batch"), DataWriter(path) as writer:
        writer.append(fs.OperatorData({"a": ragged()}, {}))
        writer.append(fs.OperatorData({"a": first.inputs["a"]}, {}))
    with pytest.raises(RuntimeError), DataWriter(path) as writer:
        writer.append(first)
        raise RuntimeError
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_bad_files(tmp_path, suffix):
    path = tmp_path / f"set.{suffix}"
    with pytest.raises(fs.FileError, match="there is no file"):
        fs.OperatorData.load(path)
    path.write_bytes(b"not such a file" * 100)
    with pytest.raises(fs.FileError):
        fs.OperatorData.load(path)


def test_unknown_suffix(tmp_path):
    for name in ("set.pt", "set", "set.h5"):
        with pytest.raises(fs.FileError, match=r"\.nc .*\.zarr"):
            small_data().save(tmp_path / name)
        with pytest.raises(fs.FileError, match=r"\.nc .*\.zarr"):
            fs.OperatorData.load(tmp_path / name)
    with pytest.raises(fs.InputError, match="is for netCDF"):
        save_data(small_data(), tmp_path / "set.zarr", engine="netcdf4")
    with pytest.raises(fs.FileError, match="does not exist"):
        small_data().save(tmp_path / "none" / "set.nc")
    assert os.listdir(tmp_path) == []


def test_truncated_netcdf(tmp_path):
    path = tmp_path / "set.nc"
    small_data(200).save(path)
    whole = path.read_bytes()
    for length in (0, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(fs.FileError):
            fs.OperatorData.load(path)


def test_truncated_zarr(tmp_path):
    path = tmp_path / "set.zarr"
    small_data(20).save(path)
    chunk = path / "u" / "c" / "0" / "0" / "0"
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(fs.FileError):
        fs.OperatorData.load(path, lazy=False)
    chunk.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    with pytest.raises(fs.FileError):
        fs.OperatorData.load(path, lazy=False)
    lazy = fs.OperatorData.load(path, lazy=True)
    chunk.write_bytes(whole[:200])
    with pytest.raises(fs.FileError, match="truncated"):
        _ = lazy[[3, 19]].outputs["u"].coefficients
    chunk.unlink()
    with pytest.raises(fs.FileError):
        _ = lazy[[3, 19]].outputs["u"].coefficients
    with pytest.raises(fs.FileError, match="1 of the 1 chunks of 'u' are missing"):
        fs.OperatorData.load(path, lazy=True)
    (path / "zarr.json").write_text("{")
    with pytest.raises(fs.FileError):
        fs.OperatorData.load(path)


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_foreign_and_newer_files(tmp_path, suffix):
    path = tmp_path / f"set.{suffix}"

    def write(dataset):
        shutil.rmtree(path, ignore_errors=True) if suffix == "zarr" else path.unlink(missing_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset.to_netcdf(path) if suffix == "nc" else dataset.to_zarr(path)

    write(xr.Dataset({"u": ("x", [1.0, 2.0])}))
    with pytest.raises(fs.FileError, match="not written by funcspace"):
        fs.OperatorData.load(path)
    write(random_function(fs.FunctionSpace(DOMAINS["grid"]), (2,), torch.float64).to_xarray())
    with pytest.raises(fs.FileError, match="holds a Function"):
        fs.OperatorData.load(path)
    small_data().save(path)
    with open_xarray(path) as dataset:
        held = dataset.load()
    write(held.assign_attrs(fs_schema=99))
    with pytest.raises(fs.FileError, match=r"schema 99.*newer funcspace"):
        fs.OperatorData.load(path)
    write(held.drop_vars("u"))
    with pytest.raises(fs.FileError, match="'u' is missing"):
        fs.OperatorData.load(path)
    write(held.isel(x=slice(0, 2)))
    with pytest.raises(fs.FileError, match="'a' with dimensions"):
        fs.OperatorData.load(path)
    write(held)
    same_data(fs.OperatorData.load(path), small_data())


def test_what_a_file_cannot_hold(tmp_path):
    data = small_data()
    for attributes, where in (
        ({"f": print}, r"attributes\['f'\]"),
        ({"m": {1: 2}}, r"attributes\['m'\] is a dict"),
        ({"a": [1, {"b": object()}]}, r"\['a'\]\[1\]\['b'\]"),
    ):
        bad = fs.OperatorData(data.inputs, data.outputs, data.parameters, data.boundary, attributes)
        with pytest.raises(fs.InputError, match=where):
            bad.save(tmp_path / "set.nc")
    objects = fs.OperatorData(data.inputs, data.outputs, attributes={"o": np.array([print], dtype=object)})
    with pytest.raises(fs.InputError, match="ndarray"):
        objects.save(tmp_path / "set.nc")
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_no_store_stays(tmp_path):
    folder = tmp_path / "thesis.zarr"
    folder.mkdir()
    (folder / "chapter.tex").write_text("words")
    with pytest.raises(fs.FileError, match="other content"):
        small_data().save(folder)
    assert (folder / "chapter.tex").read_text() == "words"


def test_chunks_hold_whole_samples():
    assert chunk_shape((4000, 64, 64), 4) == (64, 64, 64)
    assert chunk_shape((3, 64, 64), 4) == (3, 64, 64)
    assert chunk_shape((None, 1 << 19), 4)[0] == 1
    rows, *rest = chunk_shape((5, 100, 1024, 1024), 4)
    assert rows == 1
    assert int(np.prod(rest)) * 4 <= 1 << 26
    assert chunk_shape((), 4) == ()


def test_metadata_is_json_that_anyone_can_read(tmp_path):
    path = tmp_path / "set.nc"
    small_data().save(path)
    with xr.open_dataset(path) as dataset:
        assert json.loads(dataset.attrs["fs_columns"])["parameter"] == {"nu": "nu", "kind": "kind"}
        assert dataset["a"].attrs["fs_role"] == "input"
        assert json.loads(dataset["grid"].attrs["fs_record"])["kind"] == "Grid"
