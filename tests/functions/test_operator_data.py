"""Pairs of input and output functions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

import funcspace as fs
from funcspace.errors import InputError

GRID = fs.Grid(x=(0.0, 1.0, 3), y=(0.0, 1.0, 4))


def data(samples: int = 10) -> fs.OperatorData:
    a = np.arange(samples * 12.0).reshape(samples, 3, 4)
    return fs.OperatorData.from_arrays(
        {"a": a},
        {"u": np.stack([a, -a], axis=-1)},
        GRID,
        parameters={"nu": np.arange(float(samples))},
        boundary={"left": 0.0, "right": {"type": "neumann", "value": 1.0}},
        units={"a": "m"},
        attributes={"recipe": "test"},
    )


def test_from_arrays():
    d = data()
    assert len(d) == 10
    assert d.inputs["a"].coefficients.shape == (10, 12) and d.inputs["a"].units == "m"
    assert d.outputs["u"].space.components == ("u0", "u1")
    assert d.outputs["u"].values.shape == (10, 3, 4, 2)
    assert d.boundary["left"] == {"type": "dirichlet", "value": 0.0} and d.boundary["right"]["type"] == "neumann"
    assert d.attributes == {"recipe": "test"}
    assert "a" in repr(d) and "nu" in repr(d) and "<table>" in d._repr_html_()


def test_layouts_and_types():
    flat = fs.OperatorData.from_arrays({"a": np.ones((2, 12), dtype=np.int32)}, {"u": np.ones((2, 3, 4, 1))}, GRID)
    assert flat.inputs["a"].dtype == torch.float64
    assert flat.outputs["u"].space.components == ("u",)
    times = fs.Times(0.0, 0.1, 5)
    movie = fs.OperatorData.from_arrays(
        {"first": torch.rand(2, 3, 4)}, {"film": torch.rand(2, 5, 3, 4)}, {"first": GRID, "film": times * GRID}
    )
    assert movie.outputs["film"].coefficients.shape == (2, 5, 12)
    backwards = fs.OperatorData.from_arrays({"a": np.ones((4, 3, 4))[::-1]}, {}, GRID, element={"a": "cubic"})
    assert backwards.inputs["a"].space.element == "cubic"


def test_samples_are_dicts_of_tensors():
    d = data()
    sample = d[3]
    assert set(sample) == {"a", "u", "nu"}
    assert torch.equal(sample["a"], d.inputs["a"].coefficients[3]) and float(sample["nu"]) == 3.0
    assert float(d[-1]["nu"]) == 9.0
    with pytest.raises(IndexError):
        d[10]
    batch = next(iter(DataLoader(d, batch_size=4)))
    assert batch["u"].shape == (4, 12, 2)


@pytest.mark.parametrize(
    "index",
    [
        slice(2, 7),
        slice(None, None, 3),
        slice(None, None, -1),
        [4, 1, 1],
        np.array([True] * 3 + [False] * 7),
        torch.tensor([2, 0]),
    ],
)
def test_selections(index):
    d = data()
    rows = np.arange(10)[index if isinstance(index, slice) else np.asarray(index)]
    part = d[index]
    assert len(part) == len(rows)
    assert part.parameters["nu"].tolist() == rows.tolist()
    assert torch.equal(part.inputs["a"].coefficients, d.inputs["a"].coefficients[rows.copy()])
    assert part.boundary == d.boundary


@pytest.mark.parametrize("index", ["a", slice("a", None), [0.5], None, np.array([[1]])])
def test_what_picks_no_samples_is_refused(index):
    with pytest.raises(InputError, match="samples are picked by a number"):
        data()[index]


def test_a_number_out_of_range_ends_an_iteration():
    with pytest.raises(IndexError, match="there is no sample -11: there are 10, numbered from 0"):
        data()[-11]
    assert len(list(data())) == 10


def test_other_orders_of_bytes_and_masks_without_effect():
    a = np.arange(48.0).reshape(4, 3, 4)
    swapped = fs.OperatorData.from_arrays({"a": a.astype(">f8")}, {}, GRID, parameters={"k": np.arange(4, dtype=">f4")})
    assert torch.equal(swapped.inputs["a"].values, torch.from_numpy(a))
    assert swapped.parameters["k"].dtype == torch.float32 and swapped.parameters["k"].tolist() == [0, 1, 2, 3]
    lazy = fs.LazyFunction.over(fs.FunctionSpace(GRID), a.reshape(4, 12).astype(">f8"))
    assert lazy.dtype == torch.float64 and torch.equal(lazy.coefficients, torch.from_numpy(a.reshape(4, 12)))
    whole = fs.OperatorData.from_arrays({"a": np.ma.masked_less(a, -1)}, {}, GRID)
    assert torch.equal(whole.inputs["a"].values, torch.from_numpy(a))


@pytest.mark.parametrize("place", ["gpu", 1.5, *([] if torch.cuda.is_available() else ["cuda"])])
def test_devices_that_are_not_there(place):
    ragged = fs.RaggedFunction.pack([fs.FunctionSpace(GRID).interpolate(1.0)])
    for thing in (data(), data().inputs["a"], ragged):
        with pytest.raises(InputError, match=f"this machine has cpu.*got {place!r}"):
            thing.to(place)


@given(st.integers(3, 30), st.data())
def test_splits_are_partitions(samples, draw):
    sizes = draw.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3).filter(lambda s: sum(s) < samples))
    seed = draw.draw(st.one_of(st.none(), st.integers(0, 5)))
    parts = data(samples).split(*sizes, seed=seed)
    assert [len(p) for p in parts] == [*sizes, samples - sum(sizes)]
    together = torch.cat([p.parameters["nu"] for p in parts]).tolist()
    assert sorted(together) == list(range(samples))
    assert seed is not None or together == sorted(together)


def test_splits_by_fraction_and_seed():
    first, second = data().split(0.7, seed=1)
    assert (len(first), len(second)) == (7, 3)
    again, _ = data().split(7, seed=1)
    assert torch.equal(first.parameters["nu"], again.parameters["nu"])
    assert [len(p) for p in data().split(0.5, 0.2)] == [5, 2, 3]


def test_moves_and_pytrees():
    low = data().to(torch.float32)
    assert low.inputs["a"].dtype == torch.float32 and low.parameters["nu"].dtype == torch.float64
    doubled = torch.utils._pytree.tree_map(lambda c: 2 * c, data())
    assert torch.equal(doubled.outputs["u"].coefficients, 2 * data().outputs["u"].coefficients)
    assert isinstance(doubled, fs.OperatorData) and doubled.boundary == data().boundary
    assert data().in_memory().inputs["a"].batch_shape == (10,)


def test_lazy_and_ragged_columns():
    space = fs.FunctionSpace(GRID)
    array = np.random.default_rng(0).random((6, 12))
    lazy = fs.LazyFunction.over(space, array)
    curves = [fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, n))).interpolate(1.0 * n) for n in range(2, 8)]
    d = fs.OperatorData({"a": lazy}, {"u": fs.RaggedFunction.pack(curves)})
    part = d[[4, 2]]
    assert isinstance(part.inputs["a"], fs.LazyFunction)
    assert np.array_equal(part.inputs["a"].coefficients.numpy(), array[[4, 2]])
    assert [f.space.n_dofs for f in part.outputs["u"]] == [6, 4]
    assert isinstance(d.in_memory().inputs["a"], fs.Function)
    assert torch.equal(d[3]["a"], torch.from_numpy(array[3]))


A = np.ones((4, 3, 4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({}, {}, GRID), "at least one function"),
        (({"a": A}, {"a": A}, GRID), "'a' is both an input and an output"),
        (({"a": A}, {"u": A[:3]}, GRID), "as many samples"),
        (({"a": A[:0]}, {"u": A[:0]}, GRID), "'a' is empty"),
        (({"a": A[:, :2]}, {}, GRID), r"'a' must have shape \(samples, 3, 4\[, components\]\).*got \(4, 2, 4\)"),
        (({"a": np.float64(3.0)}, {}, GRID), r"got \(\)"),
        (({"a": np.array([["x"] * 12])}, {}, GRID), "'a' must hold numbers"),
        (({"a": A}, {}, {"b": GRID}), "domain names 'b'"),
        (({"a": A}, {"u": A}, {"a": GRID}), "no domain was given for 'u'"),
        (({"a": A}, {}, "grid"), "lives on a domain"),
        ((A, {"u": A}, GRID), r'inputs must be a mapping by name, such as inputs=\{"a": a\}; got ndarray'),
        (({"a": A}, [A], GRID), "outputs must be a mapping by name.*got list"),
        (
            ({"a": np.ma.masked_equal(np.arange(48.0).reshape(A.shape), 20)}, {}, GRID),
            r"'a'.*first at index \(1, 2, 0\)",
        ),
    ],
)
def test_bad_arrays_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        fs.OperatorData.from_arrays(*arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"element": "P1"}, "got 'P1'"),
        ({"element": {"q": "linear"}}, "element names 'q'"),
        ({"units": {"q": "m"}}, "units names 'q'"),
        ({"parameters": {"nu": np.ones(3)}}, "as many samples"),
        ({"parameters": {"nu": np.ones((4, 2))}}, r"'nu' must have shape \(samples,\)"),
        ({"parameters": {"nu": np.array([1.0, 2.0, np.inf, 4.0])}}, "'nu' holds NaN or infinity at sample 2"),
        ({"parameters": {"a": np.ones(4)}}, "'a' is both an input and an parameter"),
        ({"boundary": {"left": "zero"}}, "'left' takes a finite number"),
        ({"boundary": {"left": float("nan")}}, "'left' takes a finite number"),
        (
            {"boundary": {"lft": 0.0}},
            r"boundary names the part 'lft', but the domain has \['bottom', 'boundary', 'left'",
        ),
        ({"parameters": {"nu": ["a"] * 4}}, "parameter 'nu' must hold numbers, got list: their type is <U1"),
        ({"parameters": {"nu": np.ma.masked_less(np.arange(4.0), 1)}}, "parameter 'nu' must hold no masked entries"),
        ({"parameters": np.ones(4)}, "parameters must be a mapping by name"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        fs.OperatorData.from_arrays({"a": A}, {}, GRID, **options)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_found_at_the_door(value):
    bad = A.copy()
    bad[2, 1, 1] = value
    with pytest.raises(InputError, match="'u' holds NaN or infinity, first at sample 2"):
        fs.OperatorData.from_arrays({"a": A}, {"u": bad}, GRID)
    curves = [fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, n))).interpolate(1.0) for n in (3, 4)]
    curves[1].coefficients[0] = value
    with pytest.raises(InputError, match="'u' holds NaN or infinity, first at sample 1"):
        fs.OperatorData({}, {"u": fs.RaggedFunction.pack(curves)})
    lazy = fs.OperatorData({"a": fs.LazyFunction.over(fs.FunctionSpace(GRID), bad.reshape(4, 12))}, {})
    with pytest.raises(InputError, match="sample 2"):
        lazy.in_memory()


@pytest.mark.parametrize("sizes", [(), (0,), (10,), (11,), (-1,), (5, 5), (1.5,), (float("nan"),), ("3",), (True,)])
def test_bad_sizes_are_refused(sizes):
    with pytest.raises(InputError, match=r"split sizes|size of a part"):
        data().split(*sizes)


@pytest.mark.parametrize("seed", ["q", -1, 1.5])
def test_bad_seeds_are_refused(seed):
    with pytest.raises(InputError, match="seed must be a whole number that is not negative"):
        data().split(5, seed=seed)


def test_bad_selections_and_batches_are_refused():
    with pytest.raises(InputError, match="'a' must be a Function over the samples, got ndarray"):
        fs.OperatorData({"a": A}, {})
    with pytest.raises(InputError, match="no samples are left"):
        data()[10:]
    f = data().inputs["a"]
    with pytest.raises(InputError, match=r"one batch axis over the samples; its batch shape is \(2, 5\)"):
        fs.OperatorData({"a": f.with_coefficients(f.coefficients.reshape(2, 5, 12))}, {})
