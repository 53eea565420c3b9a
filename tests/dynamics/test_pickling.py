"""Systems, annotations and estimates in other processes: their fields arrive, nothing computed does."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from funcspace.dynamics import Estimate, system


def decay(t, x, rate=2.0):
    return -rate * x if x[0] > 0 else rate * x


def late(t, x, earlier, rate=2.0):
    return -rate * earlier if t < 0.75 else rate * earlier


SYSTEMS = {
    "flow": system("Rossler"),
    "map": system("Henon"),
    "delay": system("MackeyGlass"),
    "compiled": system(decay, initial=[1.0]),
    "compiled delay": system(late, initial=[1.0], delays=(1.0,)),
}


@pytest.mark.parametrize("kind", SYSTEMS)
def test_a_pickled_system_moves_as_before(kind):
    first = SYSTEMS[kind].with_initial(SYSTEMS[kind].initial)
    expected = first.trajectory(20, dt=1.0 if kind == "map" else 0.1).numpy()
    again = pickle.loads(pickle.dumps(first))
    assert not any(key.endswith("address") for key in vars(again.equations))
    assert repr(again) == repr(first) and again.parameters == first.parameters
    with pytest.raises(TypeError):
        again.parameters["rate"] = 3.0
    np.testing.assert_array_equal(again.trajectory(20, dt=1.0 if kind == "map" else 0.1).numpy(), expected)


def test_annotations_and_estimates():
    known = system("Lorenz").annotations
    again = pickle.loads(pickle.dumps(known))
    assert dict(again.dysts) == dict(known.dysts) and repr(again) == repr(known)
    one = Estimate([1.0, 2.0], 0.1, {"time": 3.0})
    other = pickle.loads(pickle.dumps(one))
    assert other.details == {"time": 3.0} and repr(other) == repr(one)
    np.testing.assert_array_equal(other.error, [0.1, 0.1])
