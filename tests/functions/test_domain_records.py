"""Domains and spaces through records: every bit, every name."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import funcspace as fs
from funcspace.functions.files.domain_records import (
    domain_from_record,
    domain_to_record,
    space_from_record,
    space_to_record,
)

from .file_examples import DOMAINS, elements, same_domain


def through_json(record: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(record))


@pytest.mark.parametrize("name", DOMAINS)
def test_domain(name):
    record, arrays = domain_to_record(DOMAINS[name])
    same_domain(domain_from_record(through_json(record), arrays), DOMAINS[name])


@pytest.mark.parametrize("name", ["grid", "triangles", "curved", "tetrahedra", "cloud", "times", "times * disc"])
def test_space(name):
    for element in elements(DOMAINS[name]):
        space = fs.FunctionSpace(DOMAINS[name], element, components=("a", "b"))
        record, arrays = space_to_record(space)
        again = space_from_record(through_json(record), arrays)
        assert again == space
        assert again.components == space.components


def test_space_of_tensors():
    space = fs.FunctionSpace(DOMAINS["grid"], value_shape=(2, 3))
    assert space_from_record(*space_to_record(space)).value_shape == (2, 3)
    single = fs.FunctionSpace(DOMAINS["grid"], value_shape=(1,))
    assert space_from_record(*space_to_record(single)).value_shape == (1,)


number = st.floats(-1e6, 1e6, allow_nan=False, width=64)


@given(start=number, length=st.floats(1e-3, 1e6), count=st.integers(2, 9), periodic=st.booleans(), cells=st.booleans())
def test_any_uniform_grid(start, length, count, periodic, cells):
    grid = fs.Grid(
        s=(start, start + length, count), periodic=("s",) if periodic else (), samples="cells" if cells else "vertices"
    )
    record, arrays = domain_to_record(grid)
    same_domain(domain_from_record(through_json(record), arrays), grid)


@given(st.lists(number, min_size=2, max_size=8, unique=True))
def test_any_instants(values):
    instants = np.unique(np.array(values))
    times = fs.Times.at(instants)
    record, arrays = domain_to_record(times)
    again = domain_from_record(through_json(record), arrays)
    same_domain(again, times)
    assert again.step == times.step


def test_damaged_content_is_found():
    record, arrays = domain_to_record(DOMAINS["triangles"])
    moved = arrays["nodes"].copy()
    moved[0, 0] += 1e-9
    with pytest.raises(fs.FileError, match="damaged"):
        domain_from_record(record, {**arrays, "nodes": moved})
    with pytest.raises(fs.FileError, match="incomplete or damaged"):
        domain_from_record(record, {})
    with pytest.raises(fs.FileError, match="'Torus'"):
        domain_from_record({"kind": "Torus"}, {})
    with pytest.raises(fs.FileError, match="names no domain"):
        space_from_record({}, {})
    record, arrays = space_to_record(fs.FunctionSpace(DOMAINS["grid"]))
    with pytest.raises(fs.FileError, match="incomplete or damaged"):
        space_from_record({**record, "element": "P7"}, arrays)


def test_a_foreign_domain_has_no_record():
    class Torus:
        fingerprint = "0" * 16

    with pytest.raises(fs.InputError, match="Torus cannot be stored"):
        domain_to_record(Torus())  # pyright: ignore[reportArgumentType]


def test_records_are_plain_and_arrays_are_exact():
    record, arrays = domain_to_record(DOMAINS["curved"])
    json.dumps(record)
    assert all(isinstance(array, np.ndarray) for array in arrays.values())
    assert torch.equal(torch.from_numpy(arrays["nodes"]), DOMAINS["curved"].nodes)
