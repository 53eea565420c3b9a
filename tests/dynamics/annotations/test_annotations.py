"""Shipped annotations: published values, laws that spectra obey, equations they belong to, and subsets."""

from __future__ import annotations

import numpy as np
import pytest

import funcspace.dynamics as dynamics
from funcspace.dynamics.annotations import KINDS, Annotations
from funcspace.dynamics.annotations.measured import check_values, measured
from funcspace.dynamics.annotations.subsets import in_subset, of_kind
from funcspace.dynamics.estimate import Estimate
from funcspace.errors import InputError

SYSTEMS = [(kind, name) for kind in ("flow", "map", "delay") for name in dynamics.systems(kind)]
FLOWS = dynamics.systems("flow")


def annotations(name: str, kind: str = "flow") -> Annotations:
    return Annotations.from_record(measured()[kind][name])


@pytest.mark.parametrize(("kind", "name"), SYSTEMS)
def test_they_belong_to_the_equations_of_the_system(kind, name):
    system = dynamics.system(name, kind=kind)
    np.testing.assert_allclose(check_values(system), measured()[kind][name]["check"], rtol=1e-7, atol=1e-9)
    assert system.annotations.kind in KINDS and system.annotations.largest_exponent is not None


@pytest.mark.parametrize(
    ("name", "spectrum", "dimension"),
    [
        ("Lorenz", (0.9056, 0.0, -14.572), 2.05),
        ("Rossler", (0.0714, 0.0, -5.394), None),
        ("SprottB", (0.2101, 0.0, -1.2101), None),
    ],
)
def test_published_values(name, spectrum, dimension):
    known = annotations(name)
    for value, error, expected in zip(known.spectrum, known.spectrum.error, spectrum, strict=True):
        assert abs(value - expected) < max(4.0 * error, 2e-3)
    if dimension is not None:
        assert abs(known.correlation_dimension.value - dimension) < 0.05


def test_henon():
    known = annotations("Henon", "map")
    assert abs(known.largest_exponent.value - 0.4192) < 4.0 * known.largest_exponent.error
    assert abs(known.kaplan_yorke_dimension.value - 1.258) < 0.005
    assert abs(known.mean_divergence - np.log(0.3)) < 1e-5


@pytest.mark.parametrize("name", FLOWS)
def test_spectra_obey_their_laws(name):
    known, system = annotations(name), dynamics.system(name)
    if known.spectrum is None:  # the right-hand side jumps
        assert name == "SprottMore" and known.largest_exponent is not None
        return
    values, errors = np.array(known.spectrum.value), np.array(known.spectrum.error)
    assert (np.diff(values) <= 0).all() and len(values) == system.dimension
    # Exponents add up to the mean divergence.
    assert abs(values.sum() - known.mean_divergence) < 1e-3 * abs(values).max() + 1e-12
    if known.kind in ("chaotic", "hyperchaotic"):
        # A flow that does not come to rest has an exponent that vanishes.
        bound = 5.0 * errors + 10.0 / (known.periods * system.period / 16.0)
        assert (abs(values) < bound).any()
        assert known.largest_exponent.value > 3.0 * known.largest_exponent.error
        assert known.kaplan_yorke_dimension.value > 1.9
    if known.kind == "hyperchaotic":
        assert values[1] > 3.0 * errors[1]
    if system.hamiltonian:
        assert abs(known.mean_divergence) < 2e-4 * abs(values).max() + 1e-9  # volume is conserved
        assert abs(values + values[::-1]).max() < max(
            6.0 * errors.max(), 5e-3 * abs(values).max(), 20.0 / known.periods
        )
    assert (known.lifetime is not None) == (known.kind in ("transient", "escaping"))


@pytest.mark.parametrize("name", dynamics.systems("delay"))
def test_leading_exponents_of_delay_equations(name):
    known = annotations(name, "delay")
    values, errors = np.array(known.spectrum.value), np.array(known.spectrum.error)
    assert (np.diff(values) <= 0).all() and values.sum() < 0 and known.mean_divergence is None
    # the equations do not depend on time, and no solution comes to rest: one exponent vanishes
    assert (abs(values) < 5.0 * errors).any()
    positive = int((values > 3.0 * errors).sum())
    assert known.kind == ("regular", "chaotic", "hyperchaotic")[min(positive, 2)]
    dimension = known.kaplan_yorke_dimension
    assert positive + 0.9 < dimension.value < len(values) and dimension.error < 0.01 * dimension.value
    if known.correlation_dimension is None:
        assert dimension.value > 8.0  # more than so many states show
    else:
        assert known.correlation_dimension.value < dimension.value + 3.0 * known.correlation_dimension.error


def test_delay_equations_by_their_motion():
    assert dynamics.systems("delay", kind_of="hyperchaotic") == ("IkedaDelay", "VossDelay")
    assert dynamics.systems(kind_of="regular", dimension=1) == ("MackeyGlass",)
    assert {"PiecewiseCircuit", "ScrollDelay", "SprottDelay"} < set(dynamics.systems(kind_of="chaotic"))
    cycle = dynamics.system("MackeyGlass")  # at its delay, 16; the database says 0.073
    assert cycle.annotations.dysts["maximum_lyapunov_estimated"] > 0.07
    assert abs(cycle.annotations.largest_exponent.value) < 5.0 * cycle.annotations.largest_exponent.error
    with pytest.raises(InputError, match="MackeyGlass has no Lyapunov time"):
        cycle.trajectory(10, points_per_lyapunov_time=20)
    assert cycle.with_parameters(tau=17.0).annotations.kind is None
    scroll = dynamics.system("ScrollDelay")
    assert scroll.trajectory(10, points_per_lyapunov_time=20).domain.step == pytest.approx(
        1.0 / (20 * scroll.annotations.largest_exponent.value), rel=1e-12
    )


def test_systems_that_are_not_chaotic_though_the_database_says_so():
    expected = {"PanXuZhou": "transient", "LiuChen": "transient", "HyperLu": "escaping", "Torus": "quasi-periodic"}
    assert {name: annotations(name).kind for name in expected} == expected
    for name in ("ForcedVanDerPol", "ForcedFitzHughNagumo", "KawczynskiStrizhak", "DequanLi", "Tsucs2", "HenonHeiles"):
        assert annotations(name).kind in ("regular", "quasi-periodic", "transient")
    assert annotations("PanXuZhou").lifetime.value == pytest.approx(310, abs=150)


def test_a_system_gives_ours_first_and_those_of_dysts_beside():
    rossler = dynamics.system("Rossler")
    assert rossler.annotations["largest_exponent"].value == pytest.approx(0.0714, abs=0.003)
    assert rossler.annotations.dysts["maximum_lyapunov_estimated"] == pytest.approx(0.1506, abs=1e-3)
    assert set(rossler.annotations) == set(rossler.annotations.known()) and "kind" in rossler.annotations
    # Other parameters are another system; wrong equations too; of a Hamiltonian system so is another energy.
    assert rossler.with_parameters(a=0.1).annotations.kind is None
    assert rossler.with_parameters(a=rossler.parameters["a"]).annotations.kind == "chaotic"
    assert dynamics.system("DoublePendulum", corrected=False).annotations.kind is None
    assert rossler.with_initial([1.0, 1.0, 1.0]).annotations.kind == "chaotic"
    assert dynamics.system("HenonHeiles").with_initial([0.1, 0.1, 0.1, 0.1]).annotations.kind is None


def test_lyapunov_times_come_from_the_annotations():
    lorenz = dynamics.system("Lorenz")
    found = lorenz.trajectory(10, points_per_lyapunov_time=20)
    assert found.domain.step == pytest.approx(1.0 / (20 * lorenz.annotations.largest_exponent.value), rel=1e-12)
    with pytest.raises(InputError, match="Torus has no Lyapunov time"):
        dynamics.system("Torus").trajectory(10, points_per_lyapunov_time=20)


def test_subsets():
    core, published = dynamics.systems(subset="core"), dynamics.systems(subset="gilpin131")
    assert len(published) == 131 and {"MackeyGlass", "Torus"} <= set(published)
    assert 80 < len(core) < 110 and {"Lorenz", "Rossler", "HyperRossler"} <= set(core)
    assert not {"PanXuZhou", "Torus", "DoublePendulum", "TurchinHanski", "HyperLu"} & set(core)
    chaotic = dynamics.systems("flow", kind_of="chaotic")
    assert set(core) < set(chaotic) and set(dynamics.systems("flow", kind_of="hyperchaotic")) < set(chaotic)
    parts = [dynamics.systems("flow", kind_of=kind) for kind in KINDS[1:]]
    assert sum(map(len, parts)) + len(chaotic) - len(parts[0]) == len(FLOWS)
    assert dynamics.systems("flow", subset="all") == FLOWS
    with pytest.raises(InputError, match="one of all, core, gilpin131; got 'best'"):
        in_subset(FLOWS, "best", "flow")
    with pytest.raises(InputError, match="one of chaotic, hyperchaotic"):
        of_kind(FLOWS, "wild", "flow")


def test_records_keep_what_they_hold():
    known = Annotations("transient", Estimate(0.123456789, 0.01), Estimate([0.1, -2.0], [0.01, 0.02]), dysts={"a": 1})
    again = Annotations.from_record(known.to_record(), {"a": 1})
    assert again.kind == "transient" and again.largest_exponent.value == 0.123457 and again.dysts["a"] == 1
    np.testing.assert_array_equal(again.spectrum.value, [0.1, -2.0])
    assert "lifetime" not in again and "kind=transient" in repr(again)
    with pytest.raises(InputError, match="kind of motion must be one of"):
        Annotations("wild")
