"""Measuring annotations: known systems with little effort, and chaos that ends, on curves that are made up."""

from __future__ import annotations

import numpy as np
import pytest

import funcspace.dynamics as dynamics
from funcspace.dynamics.annotations.annotate import annotate
from funcspace.dynamics.annotations.annotate_delayed import _angles
from funcspace.dynamics.annotations.settled import lifetime, settling
from funcspace.errors import InputError


def growths(lifetimes, blocks=200, loud=3.0, quiet=-0.3, noise=0.5, seed=0):
    generator = np.random.default_rng(seed)
    level = np.where(np.arange(blocks)[:, None] < np.asarray(lifetimes), loud, quiet)
    return level + noise * generator.standard_normal(level.shape)


def test_settling_finds_when_orbits_change():
    ends = np.array([20, 50, 80, 120, 150, 500])
    found = settling(growths(ends))
    assert found is not None and found.ended.tolist() == [True] * 5 + [False]
    assert (abs(found.before.sum(axis=0)[:5] + 1 - ends[:5]) <= 1).all()
    assert not (found.before & found.after).any()


def test_what_does_not_settle():
    assert settling(growths([500] * 8)) is None
    assert settling(growths([500] * 8, loud=0.1)) is None
    # Loud and quiet stretches that alternate are one motion.
    generator = np.random.default_rng(1)
    assert settling(np.where(generator.random((200, 8)) < 0.5, 3.0, -0.3)) is None


def test_short_stretches_are_judged_together():
    ends = np.array([60, 90, 120, 150, 90, 60])
    noisy = growths(ends, loud=1.0, quiet=0.0, noise=0.5, seed=2)
    assert settling(noisy) is None
    found = settling(noisy * 15, 15)
    assert found is not None and (abs(found.before.sum(axis=0) - ends) < 15).all()


def test_lifetimes_of_orbits_that_are_still_alive():
    true, count = 40.0, 4000
    generator = np.random.default_rng(0)
    drawn = generator.exponential(true, count)
    found = lifetime(np.minimum(drawn, 50.0), drawn < 50.0)
    assert abs(found.value - true) < 4.0 * found.error and found.error < 1.0


def test_kinds_of_known_systems():
    lorenz = annotate(dynamics.system("Lorenz"), effort=0.06)
    assert lorenz.kind == "chaotic" and abs(lorenz.largest_exponent.value - 0.906) < 5.0 * lorenz.largest_exponent.error
    assert abs(lorenz.correlation_dimension.value - 2.05) < 0.2 and 0.1 < lorenz.decorrelation_time < 1.0
    assert abs(sum(lorenz.spectrum) - lorenz.mean_divergence) < 1e-3
    henon = annotate(dynamics.system("Henon"), effort=0.06)
    assert henon.kind == "chaotic" and abs(henon.largest_exponent.value - 0.419) < 5.0 * henon.largest_exponent.error
    cycle = annotate(dynamics.system("Rossler").with_parameters(a=0.1, b=0.1, c=4.0), effort=0.06)
    assert cycle.kind == "regular" and abs(cycle.correlation_dimension.value - 1.0) < 0.1


def test_chaos_that_ends_is_told_with_its_lifetime():
    found = annotate(dynamics.system("PanXuZhou"), effort=0.5)
    assert found.kind == "transient" and 150.0 < found.lifetime.value < 700.0
    assert 0.5 < found.largest_exponent.value < 0.75  # while it lasts; later it is -0.05


def test_jumps_of_the_right_hand_side_are_seen():
    found = annotate(dynamics.system("SprottMore"), effort=0.05)
    assert found.kind == "chaotic" and found.spectrum is None
    assert 0.2 < found.largest_exponent.value < 0.4  # tangent vectors, which do not see the jump, give 0


def test_a_linear_system_is_regular_and_two_circles_are_a_torus():
    rest = dynamics.system(lambda t, x: [-x[0] + 5.0 * x[1], -2.0 * x[1]], initial=(1.0, 1.0), period=1.0)
    assert annotate(rest, effort=0.03).kind == "regular"

    def circles(t, state):
        a, b, c, d = state
        r, s = 1.0 - a * a - b * b, 1.0 - c * c - d * d
        return a * r - b, b * r + a, c * s - 1.618 * d, d * s + 1.618 * c

    torus = annotate(dynamics.system(circles, initial=(1.0, 0.0, 0.5, 0.5), period=6.28), effort=0.05)
    assert torus.kind == "quasi-periodic"
    assert abs(torus.correlation_dimension.value - 2.0) < 0.3


def test_delay_equations():
    blood = annotate(dynamics.system("MackeyGlass").with_parameters(tau=17.0), effort=0.2)
    assert blood.kind == "chaotic" and 0.003 < blood.largest_exponent.value < 0.008  # published: 0.0055 to 0.007
    assert abs(blood.kaplan_yorke_dimension.value - 2.1) < 0.1  # Farmer 1982, 2.10
    assert 1.5 < blood.correlation_dimension.value < 2.4 and blood.mean_divergence is None

    def decay(t, x, before):
        return -x + 0.5 * before

    rest = annotate(dynamics.system(decay, initial=[1.0], delays=(1.0,)), effort=0.02)
    assert rest.kind == "regular" and abs(rest.largest_exponent.value + 0.315) < 0.01
    assert rest.kaplan_yorke_dimension.value == 0.0 and rest.correlation_dimension is None


def test_a_component_that_wanders_is_an_angle():
    def turn(t, x, before):
        return [np.sin(before[0]), -x[1] + before[0]]

    assert _angles(dynamics.system(turn, initial=[1.0, 0.0], delays=(2.0,))).tolist() == [False, False]
    assert _angles(dynamics.system("SprottDelay")).tolist() == [True]
    wanders = annotate(dynamics.system("SprottDelay"), effort=0.1)
    assert wanders.decorrelation_time < 10.0 and wanders.correlation_dimension.value > 1.7


def test_bad_input():
    with pytest.raises(InputError, match="flows, maps and delay equations; got 'Lorenz'"):
        annotate("Lorenz")
    with pytest.raises(InputError, match="effort must be a positive number"):
        annotate(dynamics.system("Lorenz"), effort=0.0)
