"""Sums of products with one rounding per product."""

# Plain functions without annotations, as in the module under test.
# pyright: basic
from fractions import Fraction

import numpy as np
import pytest
from numba import njit
from numba.core.errors import TypingError

import funcspace as fs
from funcspace.dynamics.integrators.dop853 import dop853
from funcspace.dynamics.integrators.fused import combination_of, fused

TABLE = np.random.default_rng(0).normal(size=(3, 6)) * np.array([1, 0, 1, 1, 0, 1])
combination = combination_of(TABLE, 2)


@njit
def one(a, b, c):
    return fused(a, b, c)


@njit
def rows(w, i):
    return combination(0, w, i), combination(1, w, i), combination(2, w, i)


@njit
def row_of_a_variable(w, s):
    return combination(s, w, 0)


def rounded_once(a, b, c):
    return float(Fraction(a) * Fraction(b) + Fraction(c))


def test_one_rounding():
    numbers = np.random.default_rng(1).normal(size=(200, 3))
    expected = [rounded_once(*row) for row in numbers]
    assert [one(*row) for row in numbers] == expected
    assert any(a * b + c != value for (a, b, c), value in zip(numbers, expected, strict=True))


def test_a_combination_from_left_to_right():
    w = np.random.default_rng(2).normal(size=(8, 4))
    for i in range(4):
        for row, found in zip(TABLE, rows(w, i), strict=True):
            total = None
            for weight, value in zip(row, w[2:, i], strict=True):
                if weight:
                    total = weight * value if total is None else rounded_once(weight, value, total)
            assert found == total


def test_the_row_is_a_number_in_the_source():
    with pytest.raises(TypingError, match="a number in the source"):
        row_of_a_variable(np.zeros((8, 4)), 1)


def test_drivers_compiled_apart_give_the_same_bits():
    """One unrolls its loops, the other turns them into vector instructions; chaos would show a bit of difference."""
    system = fs.dynamics.system("Lorenz")
    initial, n = np.array([[1.0, 2.0, 20.0]]), 2000
    found = []
    for driver in (dop853(3), dop853(0)):
        out, report = np.empty((1, n, 3)), np.zeros((1, 11))
        driver(
            system.equations.field_address, 0, 0, 0, 1, initial, system.packed[None].copy(), 0.01 * np.arange(n), out,
            1e-12, np.full(3, 1e-12), 1e6, np.zeros(1), np.inf, 10**6, False, np.empty((1, 0)), np.empty((1, 0, 3)),
            report,
        )  # fmt: skip
        assert report[0, 1] == n
        found.append(out)
    assert np.ptp(found[0][0, :, 0]) > 20.0
    np.testing.assert_array_equal(found[0], found[1])
