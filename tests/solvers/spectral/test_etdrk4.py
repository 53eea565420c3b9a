import math
from decimal import Decimal, getcontext
from itertools import pairwise

import pytest
import torch

from funcspace.errors import InputError
from funcspace.solvers.spectral import Etdrk4
from funcspace.solvers.spectral.etdrk4 import phi_functions


def exact_phi(z: float, order: int) -> float:
    """The recursion in eighty digits."""
    getcontext().prec = 80
    w = Decimal(z)
    if w == 0:
        return 1.0 / math.factorial(order)
    phi = w.exp()
    for j in range(order):
        phi = (phi - Decimal(1) / math.factorial(j)) / w
    return float(phi)


@pytest.mark.parametrize("z", [-1e6, -37.0, -2.0, -1.0, -0.3, -1e-5, 0.0, 1e-9, 0.2, 1.0, 2.0, 15.0])
def test_phi_functions_are_right_to_rounding(z: float) -> None:
    point = torch.tensor([z], dtype=torch.float64)
    expected = [exact_phi(z, order) for order in (1, 2, 3)]
    assert [float(phi) for phi in phi_functions(point)] == pytest.approx(expected, rel=1e-15)
    assert [complex(phi) for phi in phi_functions(point + 0j)] == pytest.approx(expected, rel=2e-15)


def test_phi_functions_of_imaginary_numbers() -> None:
    y = torch.linspace(-9.0, 9.0, 37, dtype=torch.float64)
    first, second, third = phi_functions(1j * y)
    away = y.abs() > 0.5
    w = 1j * y[away]
    torch.testing.assert_close(first[away], (torch.exp(w) - 1) / w)
    torch.testing.assert_close(second[away], (torch.exp(w) - 1 - w) / w**2)
    torch.testing.assert_close(third[away], (torch.exp(w) - 1 - w - w**2 / 2) / w**3)


@pytest.mark.parametrize("linear", [-3.0, 2j, -2.0 + 1j, 0.0])
def test_the_order_is_four(linear: complex) -> None:
    """v' = L v - v^2 has the solution of Bernoulli."""
    rate = torch.tensor([linear], dtype=torch.complex128 if linear.imag else torch.float64)
    start = torch.tensor([0.7 + 0.2j], dtype=torch.complex128)
    grown = torch.exp(rate * 1.0) if linear else torch.ones(1)
    integral = (grown - 1) / rate if linear else torch.ones(1)
    exact = grown * start / (1 + start * integral)
    errors = []
    for steps in (8, 16, 32):
        scheme, v = Etdrk4(rate, 1.0 / steps), start
        for _ in range(steps):
            v = scheme(v, lambda x: -x * x)
        errors.append(float((v - exact).abs()))
    rates = [math.log2(a / b) for a, b in pairwise(errors)]
    assert all(3.7 < r < 4.4 for r in rates), (errors, rates)


def test_a_stiff_linear_part_is_exact() -> None:
    v = torch.ones(3, dtype=torch.complex128)
    linear = torch.tensor([-1e8, -1.0, 0.5], dtype=torch.float64)
    after = Etdrk4(linear, 0.3)(v, torch.zeros_like)
    torch.testing.assert_close(after.real, torch.exp(0.3 * linear), rtol=1e-15, atol=0)


@pytest.mark.parametrize("rate", [0.7j, -1.5 + 0j, 0.4 + 0.1j])
def test_amplification_is_what_a_step_does(rate: complex) -> None:
    linear = torch.tensor([-2.0, -0.1, 0.3], dtype=torch.float64)
    scheme = Etdrk4(linear, 0.8)
    after = scheme(torch.ones(3, dtype=torch.complex128), lambda v: rate * v)
    growth, exact = scheme.amplification(torch.full((3,), rate, dtype=torch.complex128))
    torch.testing.assert_close(growth, after.abs())
    torch.testing.assert_close(exact, torch.exp((linear + rate).real * 0.8))


def test_steps_that_cannot_be_made_are_refused() -> None:
    with pytest.raises(InputError, match="must be positive"):
        Etdrk4(torch.zeros(1, dtype=torch.float64), 0.0)
    with pytest.raises(InputError, match="too long for modes that grow"):
        Etdrk4(torch.tensor([900.0], dtype=torch.float64), 1.0)
