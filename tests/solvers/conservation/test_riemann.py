"""The exact Riemann solver: published star states, jump conditions, symmetries, the configurations of Lax and Liu."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funcspace import InputError
from funcspace.solvers.conservation import RiemannProblem, lax_liu, riemann_solution, star_state
from funcspace.solvers.conservation.four_states import LAX_LIU
from funcspace.solvers.conservation.ideal_gas import conserved_from_primitive

# E. F. Toro, Riemann Solvers and Numerical Methods for Fluid Dynamics, chapter 4: p*, u*, densities beside the contact
TORO = [
    ((1.0, 0.0, 1.0), (0.125, 0.0, 0.1), 0.30313, 0.92745, 0.42632, 0.26557),
    ((1.0, -2.0, 0.4), (1.0, 2.0, 0.4), 0.00189, 0.0, 0.02185, 0.02185),
    ((1.0, 0.0, 1000.0), (1.0, 0.0, 0.01), 460.894, 19.5975, 0.57506, 5.99924),
    ((1.0, 0.0, 0.01), (1.0, 0.0, 100.0), 46.0950, -6.19633, 5.99242, 0.57511),
    ((5.99924, 19.5975, 460.894), (5.99242, -6.19633, 46.0950), 1691.64, 8.68975, 14.2823, 31.0426),
]

positive = st.floats(0.05, 20.0)
velocity = st.floats(-3.0, 3.0)
state = st.tuples(positive, velocity, positive)


@pytest.mark.parametrize(("left", "right", "pressure", "speed", "before", "after"), TORO)
def test_published_star_states(left, right, pressure, speed, before, after):
    found = star_state(left, right)
    assert found == pytest.approx((pressure, speed), rel=1e-4, abs=1e-5)
    sides = riemann_solution(left, right, found[1] + np.array([-1e-9, 1e-9]))
    assert sides[:, 0] == pytest.approx([before, after], rel=2e-4)


@given(state, state)
def test_waves_carry_what_the_states_lose(left, right):
    """Mass, momentum and energy in a box change by the fluxes through its ends."""
    gamma, half = 1.4, 60.0
    edges = np.linspace(-half, half, 60_001)
    middle = 0.5 * (edges[1:] + edges[:-1])
    inside = conserved_from_primitive(riemann_solution(left, right, middle, gamma), gamma).mean(axis=0) * 2 * half
    ends = np.array([left, right])
    q = conserved_from_primitive(ends, gamma)
    r, u, p = ends.T
    flux = np.stack([r * u, r * u**2 + p, u * (q[:, 2] + p)], axis=1)
    expected = half * (q[0] + q[1]) + flux[0] - flux[1]
    assert inside == pytest.approx(expected, rel=1e-4, abs=1e-2 * float(np.abs(q).max()))


@given(state, state, st.floats(-5.0, 5.0), st.floats(-2.0, 2.0))
def test_mirrors_and_moving_frames(left, right, xi, frame):
    mirrored = [(r, -u, p) for r, u, p in (right, left)]
    moved = [(r, u + frame, p) for r, u, p in (left, right)]
    sign, speeds = np.array([1.0, -1.0, 1.0]), xi + np.array([-1e-4, 1e-4])
    one = riemann_solution(left, right, speeds)
    jumps = np.abs(one[0] - one[1]).max() > 1e-2  # a shock or a contact within the interval
    if not jumps and star_state(left, right)[0] > 0:
        middle = riemann_solution(left, right, xi)
        assert riemann_solution(*mirrored, -xi) * sign == pytest.approx(middle, rel=1e-3, abs=2e-3)
        assert riemann_solution(*moved, xi + frame) - [0, frame, 0] == pytest.approx(middle, rel=1e-3, abs=2e-3)


def test_gases_that_part_leave_a_vacuum():
    left, right = (1.0, -6.0, 0.4), (1.0, 6.0, 0.4)
    assert star_state(left, right) == (0.0, 0.0)
    sound = np.sqrt(1.4 * 0.4)
    front = -6.0 + 5.0 * sound
    found = riemann_solution(left, right, np.array([front - 1e-9, front + 1e-9, 0.0, -front + 1e-9, -7.0]))
    assert found[0] == pytest.approx([0.0, front, 0.0], abs=1e-6)
    assert (found[1:3] == 0.0).all()
    assert found[3] == pytest.approx([0.0, -front, 0.0], abs=1e-6)
    assert found[4] == pytest.approx(left)


def test_equal_states_stay():
    state = (0.7, 0.3, 2.0)
    assert riemann_solution(state, state, np.linspace(-9, 9, 7)) == pytest.approx(np.tile(state, (7, 1)), rel=1e-12)


def test_a_riemann_problem_is_a_callable_of_points():
    problem = RiemannProblem((1.0, 0.0, 1.0), (0.125, 0.0, 0.1), position=0.4)
    assert problem(np.array([[0.39], [0.41]])).tolist() == [[1.0, 0.0, 1.0], [0.125, 0.0, 0.1]]
    expected = riemann_solution(problem.left, problem.right, np.array([(0.6 - 0.4) / 0.2]))
    assert problem.solution(np.array([[0.6]]), 0.2) == pytest.approx(expected)


@pytest.mark.parametrize("bad", [(0.0, 0.0, 1.0), (1.0, 0.0, -1.0), (1.0, np.nan, 1.0), (1.0, 1.0)])
def test_bad_states(bad):
    with pytest.raises(InputError, match="the right state must be"):
        riemann_solution((1.0, 0.0, 1.0), bad, 0.0)
    with pytest.raises(InputError, match="gamma"):
        star_state((1.0, 0.0, 1.0), (1.0, 0.0, 1.0), gamma=1.0)


# rarefaction, shock, contact at the interfaces upper, left, lower, right, as Lax and Liu classify them
WAVES = {
    1: "RRRR", 2: "RRRR", 3: "SSSS", 4: "SSSS", 5: "JJJJ", 6: "JJJJ", 7: "RJJR", 8: "RJJR", 9: "JRJR", 10: "JRJR",
    11: "SJJS", 12: "SJJS", 13: "JSJS", 14: "JSJS", 15: "RJJS", 16: "RJJS", 17: "JSJR", 18: "JSJR", 19: "JSJR",
}  # fmt: skip


def waves(one, other, along):
    """The waves that two of four states emit where they meet along an axis."""
    left, right = ((s[0], s[1 + along], s[3]) for s in (one, other))
    pressure, speed = star_state(left, right)
    found = ""
    for _, u, p in (left, right):
        if abs(pressure / p - 1) > 5e-3 or abs(speed - u) > 5e-3:
            found += "S" if pressure > p else "R"
    sides = riemann_solution(left, right, speed + np.array([-1e-9, 1e-9]))
    contact = abs(sides[0, 0] / sides[1, 0] - 1) > 5e-3 or (not found and one[2 - along] != other[2 - along])
    return found + ("J" if contact else "")


@pytest.mark.parametrize("number", LAX_LIU)
def test_each_interface_emits_one_wave(number):
    c = lax_liu(number)
    upper, left = (c.upper_left, c.upper_right, 0), (c.lower_left, c.upper_left, 1)
    lower, right = (c.lower_left, c.lower_right, 0), (c.lower_right, c.upper_right, 1)
    assert "".join(waves(*pair) for pair in (upper, left, lower, right)) == WAVES[number]


def test_configurations_have_numbers():
    with pytest.raises(InputError, match="1 to 19; got 20"):
        lax_liu(20)
    points = np.array([[0.6, 0.6], [0.4, 0.6], [0.4, 0.4], [0.6, 0.4]])
    c = lax_liu(16)
    assert c(points).tolist() == [list(s) for s in (c.upper_right, c.upper_left, c.lower_left, c.lower_right)]
