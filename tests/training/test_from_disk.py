"""Training from a file: only ever a batch in memory, and the same result as from memory."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

import funcspace as fs
from tests.training.small_problem import Affine, make_data


class Counting:
    """An array that remembers how many samples each read asked for."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.shape, self.dtype, self.reads = values, values.shape, values.dtype, []

    def __getitem__(self, rows: Any) -> np.ndarray:
        part = self.values[rows]
        self.reads.append(len(part))
        return part


def lazily(function: fs.Function) -> tuple[fs.LazyFunction, Counting]:
    array = Counting(function.coefficients.numpy())
    return fs.LazyFunction.over(function.space, array, name=function.name), array


def test_a_step_reads_no_more_than_its_batch() -> None:
    data = make_data(64)
    a, first = lazily(data.inputs["a"])
    u, second = lazily(data.outputs["u"])
    lazy = fs.OperatorData({"a": a}, {"u": u})
    algorithm = fs.Supervised(normalise_inputs="identity", normalise_outputs="identity")
    fs.fit(Affine(), lazy, epochs=2, batch_size=4, algorithm=algorithm, progress=False, accelerator="cpu")
    for array in (first, second):
        assert max(array.reads) <= 4 and sum(array.reads) == 2 * 64


def test_a_file_trains_like_memory(tmp_path: Path) -> None:
    data = make_data(32)
    data.save(tmp_path / "set.zarr")
    from_disk = fs.OperatorData.load(tmp_path / "set.zarr", lazy=True)
    assert isinstance(from_disk.inputs["a"], fs.LazyFunction)
    one, other = (
        fs.fit(Affine(), d.split(24)[0], epochs=3, progress=False, accelerator="cpu").model for d in (data, from_disk)
    )
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def test_nan_on_disk_is_found_and_named(tmp_path: Path) -> None:
    data = make_data(16)
    values = data.outputs["u"].coefficients.numpy().copy()
    values[5, 7] = np.nan
    a, _ = lazily(data.inputs["a"])
    u = fs.LazyFunction.over(data.outputs["u"].space, Counting(values), name="u")
    lazy = fs.OperatorData({"a": a}, {"u": u})
    try:
        fs.fit(Affine(), lazy, epochs=1, progress=False, accelerator="cpu")
    except fs.InputError as error:
        assert "NaN or infinity" in str(error) and "5" in str(error)
    else:
        raise AssertionError("NaN on disk went unnoticed")
