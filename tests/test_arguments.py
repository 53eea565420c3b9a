"""Numbers that callers give: what is none is refused by name."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from funcspace.arguments import (
    as_numbers,
    check_amounts,
    check_counts,
    entries_of,
    entropy_of,
    is_number,
    is_whole,
    number_of,
    positive_number,
    true_or_false,
    whole_number,
)
from funcspace.errors import InputError


def test_numbers_and_whole_numbers():
    for value in (0, -3, np.int64(2)):
        assert is_whole(value) and is_number(value)
    for value in (0.5, np.float32(2.0)):
        assert is_number(value) and not is_whole(value)
    for value in (True, "1", None, [1.0], float("nan"), np.inf, 1j, np.complex128(1.0)):
        assert not is_number(value) and not is_whole(value)


def test_counts_amounts_seeds_and_arrays_name_what_is_wrong():
    check_counts(n=3, missing=None)
    check_amounts(time=0.0, level=2)
    with pytest.raises(InputError, match=r"n must be a whole number of at least 1, got 2\.5"):
        check_counts(m=1, n=2.5)
    assert whole_number(np.int64(3), "n") == 3 and whole_number(0, "n", least=0) == 0
    with pytest.raises(InputError, match="n must be a whole number of at least 1, got True"):
        whole_number(True, "n")
    with pytest.raises(InputError, match="level must be a number that is not negative; got 'high'"):
        check_amounts(time=1.0, level="high")
    with pytest.raises(InputError, match="seed must be a whole number"):
        entropy_of(-1)
    assert entropy_of(5) == 5 and entropy_of(None) != entropy_of(None)
    with pytest.raises(InputError, match="the weights must be numbers"):
        as_numbers(["a"], "the weights")
    with pytest.raises(InputError, match="the weights must carry no gradient"):
        as_numbers(torch.ones(2, requires_grad=True), "the weights")


def test_one_number_in_any_dress_and_nan_for_all_else():
    tracked = torch.tensor(2.0, requires_grad=True)
    for value in (2, 2.0, np.int64(2), np.float32(2.0), np.array(2), tracked, torch.tensor(2), Fraction(2)):
        assert number_of(value) == 2.0 and type(number_of(value)) is float
        assert positive_number(value, "step") == 2.0
    bad = (
        True,
        np.True_,
        "2",
        None,
        [2.0],
        np.array([2.0]),
        torch.ones(1),
        np.inf,
        -np.inf,
        np.nan,
        2j,
        np.array(True),
    )
    for value in (*bad, torch.tensor(True), object()):
        assert np.isnan(number_of(value))
        with pytest.raises(InputError, match="step must be a positive number, got "):
            positive_number(value, "step")
    for value in (0, -1, np.float64(-0.5)):
        with pytest.raises(InputError, match="step must be a positive number, got "):
            positive_number(value, "step")


def test_switches_and_entries():
    assert true_or_false(np.True_, "on") is True and true_or_false(0, "on") is False
    for value in (2, -1, "yes", None, [], 1.0, float("nan")):
        with pytest.raises(InputError, match="on must be True or False, got "):
            true_or_false(value, "on")
    assert entries_of((1, 2)) == entries_of([1, 2]) == entries_of(np.array([1, 2])) == (1, 2)
    assert entries_of(number for number in range(2)) == (0, 1) and len(entries_of(torch.ones(3))) == 3
    for value in ("ab", b"ab", 3, None, np.array(1.0), torch.tensor(1.0), []):
        assert entries_of(value) == ()


def test_seeds_that_are_none():
    for seed in (True, "5", 1.5, -1, object()):
        with pytest.raises(InputError, match="seed must be a whole number that is not negative, or None; got"):
            entropy_of(seed)
