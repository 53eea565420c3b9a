"""Expressions against plain numbers: values, exact derivatives, machine code, and what cannot be traced."""

from __future__ import annotations

import ctypes
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from funcspace.dynamics.catalogue.formula import Formula
from funcspace.dynamics.compiled.differentiation import jacobian
from funcspace.dynamics.compiled.evaluation import evaluate
from funcspace.dynamics.compiled.expression import Graph, TracingError
from funcspace.dynamics.compiled.llvm_code import extended_address, field_address

SIGNATURE = ctypes.CFUNCTYPE(None, ctypes.c_double, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


def everything(t, state, a=0.7, b=(0.2, -0.4)):
    """One of each operation, smooth or not."""
    x, y = state
    u = np.sin(a * x) + math.cos(y) * np.exp(-(x**2)) / (1.5 + y**2) - abs(x - 0.1) ** 1.5
    v = np.arctan2(x, 2.0 + y) + np.tanh(x * y) * np.sqrt(1.0 + x**2) + np.log(2.0 + x**2)
    w = np.where(x > y, np.minimum(x, 0.3), np.maximum(y, -0.2)) + np.heaviside(x, 0.5) * x**2 + max(x, y) * b[0]
    z = np.sinh(0.1 * x) - np.cosh(0.1 * y) + np.arctan(x) + np.tan(0.2 * y) + np.sign(y) * y + x**-2 * 1e-3
    return [u + v + 0.1 * t, w * z + np.dot(b, [x, y]) + np.mod(x, 0.7)]


def compiled_values(address, t, x, p, size):
    out, x, p = np.zeros(size), np.ascontiguousarray(x), np.ascontiguousarray(p, dtype=float)
    SIGNATURE(address)(t, x.ctypes.data, p.ctypes.data, out.ctypes.data)
    return out


FORMULA = Formula.traced(everything, 2, {"a": (), "b": (2,)})
PARAMETERS = np.array([0.7, 0.2, -0.4])


@given(st.floats(-2, 2), st.floats(-2, 2), st.floats(0, 3))
def test_values_in_numpy_torch_and_machine_code_are_those_of_the_function(x, y, t):
    state = np.array([x + 1e-3, y])
    plain = np.array(everything(t, state, 0.7, np.array([0.2, -0.4])), dtype=float)
    np.testing.assert_allclose(FORMULA.evaluate(state, t, PARAMETERS), plain, rtol=1e-13, atol=1e-13)
    in_torch = FORMULA.evaluate(torch.tensor(state), t, torch.tensor(PARAMETERS))
    np.testing.assert_allclose(in_torch, plain, rtol=1e-13, atol=1e-13)
    code = compiled_values(FORMULA.field_address, t, state, PARAMETERS, 2)
    np.testing.assert_allclose(code, plain, rtol=1e-13, atol=1e-13)


@given(st.floats(-2, 2), st.floats(-2, 2))
def test_jacobian_is_that_of_automatic_differentiation(x, y):
    # Away from the kinks of the function: x = 0, x = 0.1, x = y, multiples of 0.7, ...
    state = np.array([round(x, 1) + 0.0312, round(y, 1) + 0.0177])
    exact = torch.autograd.functional.jacobian(
        lambda s: FORMULA.evaluate(s, 0.3, torch.tensor(PARAMETERS)), torch.tensor(state)
    )
    np.testing.assert_allclose(FORMULA.jacobian(state, 0.3, PARAMETERS), exact, rtol=1e-10, atol=1e-10)
    code = compiled_values(FORMULA.jacobian_address, 0.3, state, PARAMETERS, 4)
    np.testing.assert_allclose(code.reshape(2, 2), exact, rtol=1e-10, atol=1e-10)


def test_extended_code_multiplies_the_jacobian_and_adds_the_divergence():
    state, tangents = np.array([0.63, -0.37]), np.random.default_rng(0).standard_normal((3, 2))
    row = np.concatenate([state, tangents.ravel(), [0.0]])
    out = compiled_values(FORMULA.extended_address, 0.3, row, np.append(PARAMETERS, 3.0), 9)
    matrix = FORMULA.jacobian(state, 0.3, PARAMETERS)
    np.testing.assert_allclose(out[:2], FORMULA.evaluate(state, 0.3, PARAMETERS), rtol=1e-13)
    np.testing.assert_allclose(out[2:8].reshape(3, 2), tangents @ matrix.T, rtol=1e-12)
    np.testing.assert_allclose(out[8], np.trace(matrix), rtol=1e-12)
    np.testing.assert_allclose(FORMULA.divergence(state, 0.3, PARAMETERS), np.trace(matrix), rtol=1e-14)


def test_equal_expressions_are_one_node_and_constants_fold():
    graph = Graph()
    x, y = graph.state(0), graph.state(1)
    assert (x * y).index == (y * x).index
    assert (x + 0.0).index == x.index and (1.0 * x).index == x.index and (x - x).index == graph.constant(0.0).index
    assert graph.number(((graph.constant(2.0) * 3.0) ** 2).index) == 36.0
    size = len(graph.nodes)
    _ = x * y + y * x - 2.0 * (x * y)
    assert len(graph.nodes) <= size + 1
    rows = jacobian(graph, [(x * x * y).index], 2)
    assert graph.nodes[rows[0][1]] == ("mul", x.index, x.index)


def test_text_round_trip_keeps_every_bit():
    again = Formula.from_json(FORMULA.to_json())
    state = np.array([0.1 + 0.2, -1.0 / 3.0])
    assert (again.evaluate(state, 0.5, PARAMETERS) == FORMULA.evaluate(state, 0.5, PARAMETERS)).all()
    assert again.shapes == {"a": (), "b": (2,)}


def test_a_branch_on_the_state_is_noticed():
    def branching(t, state):
        return state if state[0] > 0 else -state

    with pytest.raises(TracingError, match=r"branching.*value of an expression"):
        Formula.traced(branching, 2, {})
    with pytest.raises(TracingError, match=r"branching|equal|value"):
        Formula.traced(lambda t, s: [1.0] if s[0] == 0 else [s[0]], 1, {})


def test_machine_code_is_found_again_on_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("FUNCSPACE_CACHE_DIR", str(tmp_path))
    graph = Graph()
    value = (graph.state(0) * 1.2345 + 0.6789).sin()
    first = compiled_values(field_address(graph, [value.index]), 0.0, [2.0], [], 1)
    files = sorted(tmp_path.rglob("*.o"))
    assert len(files) == 1 and first[0] == pytest.approx(math.sin(2.0 * 1.2345 + 0.6789), rel=1e-15)
    monkeypatch.setenv("FUNCSPACE_CACHE_DIR", "off")
    other = (graph.state(0) * 2.2345).sin()
    compiled_values(extended_address(graph, [other.index], 1, 0), 0.0, [2.0, 1.0, 0.0], [1.0], 3)
    assert sorted(tmp_path.rglob("*.o")) == files


def test_evaluation_broadcasts_states_times_and_parameters():
    graph = Graph()
    out = (graph.state(0) * graph.parameter(0) + graph.time()).index
    states, times, parameters = np.ones((4, 1, 1)), np.arange(3.0), np.array([2.0])
    found = evaluate(graph, [out], states, times, parameters)
    assert found.shape == (4, 3, 1)
    np.testing.assert_array_equal(found[0, :, 0], 2.0 + times)


def test_arrays_of_states_are_compared():
    def rhs(t, state, level=0.2):
        spike = np.where(state > level, -1.0, state)
        return spike + np.maximum(state, 0.0) * (state <= 1.0) - 2.0 * (state == 0.5)

    formula = Formula.traced(rhs, 3, {"level": ()})
    states = np.random.default_rng(0).uniform(-1.0, 2.0, (40, 3))
    states[0] = 0.5
    expected = [rhs(0.0, state) for state in states]
    np.testing.assert_allclose(formula.evaluate(states, 0.0, np.array([0.2])), expected, rtol=1e-14)
    with pytest.raises(TracingError):
        Formula.traced(lambda t, state: state if state[0] > 0 else -state, 1, {})
    with pytest.raises(TracingError):
        Formula.traced(lambda t, state: [state[state > 0].sum()], 1, {})
