"""Frozen data: recorded hashes, independence of the last bits, and what a change does to them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import funcspace.dynamics as dynamics
from funcspace.dynamics.frozen_data.frozen_record import content_hash, frozen_names, frozen_record
from funcspace.dynamics.frozen_data.frozen_trajectory import frozen, integrated
from funcspace.dynamics.frozen_data.segments import pieces_of_state
from funcspace.errors import InputError, SolverError

NAMES = ("Lorenz", "Rossler", "HyperRossler", "Duffing", "ThomasLabyrinth", "DoublePendulum", "Torus")


@pytest.mark.parametrize("name", NAMES)
def test_content_is_what_was_recorded(name):
    for split in ("train", "test"):
        record = frozen_record(name, split)
        values = frozen(name, split).numpy()
        assert values.shape == (5000, len(record.scale)) and content_hash(values, record.scale) == record.sha256
        np.testing.assert_array_equal(values[:: record.points], record.checkpoints[:-1])


def test_the_record_of_lorenz():
    # Written here once more, so that the file cannot change unnoticed.
    assert frozen_record("Lorenz", "train").sha256[:16] == "b7569177843d9428"
    assert frozen_record("Lorenz", "test").sha256[:16] == "12c9936cb0ac5d10"
    assert len(frozen_names(kind="flow")) == 129 and len(frozen_names()) == 157  # Duffing is a flow and a map


@pytest.mark.parametrize("kind", ["map", "delay"])
def test_maps_and_delay_equations_are_what_was_recorded(kind):
    assert frozen_names(kind=kind) == dynamics.systems(kind)
    for name in frozen_names(kind=kind):
        for split in ("train", "test"):
            record = frozen_record(name, split, kind=kind)
            found = frozen(name, split, kind=kind)
            values = found.numpy()
            assert values.shape == (5000, len(record.scale)) and content_hash(values, record.scale) == record.sha256
            assert found.domain.step == record.spacing and record.kind == kind
            # the last entries of a state are those of the instant itself
            first = record.checkpoints[:-1, -len(record.scale) :]
            np.testing.assert_allclose(values[:: record.points], first, rtol=1e-12, atol=1e-12)


def test_records_of_a_map_and_of_a_delay_equation():
    assert frozen_record("Henon").sha256[:16] == "c6454f0f2ee5a53c"
    assert frozen_record("MackeyGlass", "test").sha256[:16] == "68d1e24270f20572"
    iterates = frozen("Henon").numpy()
    henon = dynamics.system("Henon")
    np.testing.assert_allclose(henon.rhs(iterates[:-1]), iterates[1:], atol=1e-8)
    assert frozen("Duffing").numpy().shape[1] == 3 and frozen("Duffing", kind="map").numpy().shape[1] == 2


def test_segments_of_a_delay_equation_make_one_solution():
    record, delayed = frozen_record("ScrollDelay"), dynamics.system("ScrollDelay")
    assert len(record.checkpoints) == 51
    exact = integrated(delayed, record)
    coarser = integrated(delayed, replace(record, tolerance=1e-11))
    assert (coarser != exact).any() and abs(coarser - exact).max() < 1e-5
    history = pieces_of_state(record.checkpoints[0], 10.0, 1)
    whole = delayed.trajectory(301, dt=record.spacing, initial=lambda t: history(np.array([t]))[0]).numpy()
    np.testing.assert_allclose(exact[:301], whole, atol=1e-5)


def test_hashes_do_not_depend_on_the_last_bits_and_see_small_changes():
    record, lorenz = frozen_record("Lorenz"), dynamics.system("Lorenz")
    coarser = integrated(lorenz, replace(record, tolerance=1e-12))
    exact = integrated(lorenz, record)
    assert (coarser != exact).any() and abs(coarser - exact).max() < 1e-8
    assert content_hash(coarser, record.scale) == record.sha256
    assert content_hash(exact * (1.0 + 1e-7), record.scale) != record.sha256


def test_segments_make_one_orbit():
    record = frozen_record("Rossler", "test")
    whole = dynamics.system("Rossler").trajectory(1001, dt=record.spacing, initial=record.checkpoints[0]).numpy()
    np.testing.assert_allclose(frozen("Rossler", "test").numpy()[:1001], whole, rtol=1e-7, atol=1e-7)


def test_both_splits_are_other_orbits_of_one_attractor():
    train, test = frozen("Lorenz").numpy(), frozen("Lorenz", "test").numpy()
    assert abs(train - test).max() > 1.0
    np.testing.assert_allclose(train.std(axis=0), test.std(axis=0), rtol=0.1)
    scaled = frozen("Lorenz", standardise=True).numpy()
    np.testing.assert_allclose(scaled.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(scaled.std(axis=0), 1.0, rtol=1e-12)
    held = frozen("Lorenz", "test", standardise=True).numpy()
    np.testing.assert_allclose(held * train.std(axis=0) + train.mean(axis=0), test, rtol=1e-12, atol=1e-12)


def test_wrapped_components_are_bounded():
    phase, shown = frozen("Duffing").numpy()[:, 2], frozen("Duffing", wrapped=True).numpy()
    assert np.ptp(phase) > 100.0 and abs(shown[:, 2]).max() <= 1.0


def test_changed_equations_are_found():
    record = frozen_record("Lorenz")
    with pytest.raises(SolverError, match="no longer what version 1 of the frozen data recorded: segment"):
        integrated(dynamics.system("Lorenz"), replace(record, parameters=record.parameters * 1.0001))
    with pytest.raises(SolverError, match="its parameters are others"):
        integrated(dynamics.system("Lorenz"), replace(record, parameters=record.parameters[:2]))


def test_bad_input():
    with pytest.raises(InputError, match="did you mean Lorenz"):
        frozen("Lorentz")
    with pytest.raises(InputError, match="one of train, test; got 'valid'"):
        frozen("Lorenz", "valid")
    with pytest.raises(InputError, match="unknown frozen map 'Lorenz'; there are Baker"):
        frozen("Lorenz", kind="map")
    with pytest.raises(InputError, match="unknown kind 'field'; there are flow, map, delay"):
        frozen_names(kind="field")
    with pytest.raises(InputError, match="wrapped=True is for flows and maps"):
        frozen("MackeyGlass", wrapped=True)
    with pytest.raises(InputError, match="versions 1 of the frozen data; got 2"):
        frozen("Lorenz", version=2)
