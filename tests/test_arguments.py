"""Numbers that callers give: what is none is refused by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from funcspace.arguments import as_numbers, check_amounts, check_counts, entropy_of, is_number, is_whole, whole_number
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
