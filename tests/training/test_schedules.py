import itertools

import pytest

import funcspace as fs
from funcspace.training.schedules import SCHEDULES, learning_rate_factor


@pytest.mark.parametrize("name", SCHEDULES)
def test_factors_stay_between_zero_and_one_and_never_jump(name: str) -> None:
    factors = [learning_rate_factor(name, i / 1000) for i in range(1001)]
    assert min(factors) >= 0 and max(factors) == pytest.approx(1.0, abs=1e-3)
    assert max(abs(a - b) for a, b in itertools.pairwise(factors)) < 0.06


def test_one_cycle_rises_and_falls() -> None:
    assert learning_rate_factor("one-cycle", 0.0) == pytest.approx(0.04)
    assert learning_rate_factor("one-cycle", 0.2) == 1.0
    assert learning_rate_factor("one-cycle", 1.0) == pytest.approx(1e-3)


def test_a_function_is_a_schedule() -> None:
    assert learning_rate_factor(lambda p: 1 - p, 0.25) == 0.75


def test_unknown_schedule() -> None:
    with pytest.raises(fs.InputError, match="one-cycle"):
        learning_rate_factor("two-cycle", 0.5)
