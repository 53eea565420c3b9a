"""Fixed points, cycles and symbols of maps whose answers are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import funcspace as fs
from funcspace.dynamics.reconstruction.analysis.symbols import SymbolicCode
from tests.dynamics.reconstruction.maps import MODELS, disturbed


@pytest.fixture(scope="module")
def tent():
    """The tent map x -> 1 - |1 - 2x| about its kink, z = x - 1/2."""
    model = fs.dynamics.ALRNN(1, 1, 1).double()
    with torch.no_grad():
        model.A.fill_(2.0)
        model.W.fill_(-4.0)
        model.h.fill_(0.5)
    return model.requires_grad_(False)


@pytest.fixture(scope="module")
def tent_orbit(tent):
    """A long orbit of the tent map; noise in the last bits stands for what doubles would lose."""
    generator = np.random.default_rng(0)
    z, states = 0.1234, []
    for _ in range(20_000):
        z = 0.5 - 2.0 * abs(z) + 1e-9 * generator.standard_normal()
        z = min(max(z, -0.5), 0.5)
        states.append(z)
    return torch.tensor(states, dtype=torch.float64)[:, None]


def test_cycles_of_the_tent_map(tent):
    found = tent.cycles(max_order=6)
    # 2^k points have period k; cycles that are no repetitions: 2, 1, 2, 3, 6, 9
    assert [len(found[k]) for k in range(1, 7)] == [2, 1, 2, 3, 6, 9]
    for order, cycles in found.items():
        for cycle in cycles:
            np.testing.assert_allclose(np.abs(cycle.multipliers), 2.0**order)
            z = torch.from_numpy(cycle.states[0])
            for following in (*cycle.states[1:], cycle.states[0]):
                z = tent.step(z)
                np.testing.assert_allclose(z.numpy(), following, atol=1e-12)


def test_search_finds_what_exhaustion_finds(tent, monkeypatch):
    monkeypatch.setattr("funcspace.dynamics.reconstruction.analysis.find_cycles.MOST_WORDS", 0)
    assert [len(tent.cycles(max_order=4, restarts=60)[k]) for k in range(1, 5)] == [2, 1, 2, 3]


@pytest.mark.parametrize("seed", range(5))
def test_a_multiplier_of_one_leaves_no_fixed_point(seed):
    generator = np.random.default_rng(seed)
    basis, offset = generator.normal(size=(3, 3)), generator.normal(size=3)
    model = fs.dynamics.ALRNN(1, 3, 1).double().requires_grad_(False)
    model.A.zero_()
    model.W.copy_(torch.from_numpy(basis @ np.diag([1.0, 0.5, 0.3]) @ np.linalg.inv(basis)))
    model.h.copy_(torch.from_numpy(offset))
    assert all(np.abs(point.multipliers - 1.0).min() > 1e-6 for point in model.fixed_points())


def test_fixed_points_of_the_tent_map(tent):
    low, high = sorted(tent.fixed_points(), key=lambda c: c.states[0, 0])
    assert low.admissible and high.admissible
    assert low.states[0, 0] == pytest.approx(-0.5) and high.states[0, 0] == pytest.approx(2 / 3 - 0.5)
    assert low.kind == high.kind == "unstable node"


def test_observations_of_cycles_are_in_the_units_of_the_data(tent):
    scaled = fs.dynamics.ALRNN(1, 1, 1).double()
    scaled.load_state_dict(tent.state_dict())
    scaled.mean.fill_(10.0)
    scaled.scale.fill_(4.0)
    point = max(scaled.fixed_points(), key=lambda c: c.states[0, 0])
    assert point.observed[0, 0] == pytest.approx(10.0 + 4.0 * (2 / 3 - 0.5))


@pytest.mark.parametrize("name", ["ALRNN", "clipped shallow", "clipped dendritic"])
def test_fixed_points_of_any_model_solve_their_region(name):
    model = disturbed(name, seed=3)
    z = model.generate_latent(torch.zeros(1, model.latent, dtype=torch.float64), 50)[0]
    regions = torch.unique(model.region(z), dim=0)
    for point in model.fixed_points(candidates=regions):
        at = torch.from_numpy(point.states[0])
        holds = bool((model.region(at).numpy() == point.regions[0]).all())
        assert holds == point.admissible
        jacobian, offset = model.affine(torch.from_numpy(point.regions[0]))
        torch.testing.assert_close(jacobian @ at + offset, at, rtol=1e-8, atol=1e-8)
        if point.admissible:
            torch.testing.assert_close(model.step(at), at, rtol=1e-8, atol=1e-8)


def test_symbols_of_the_tent_map(tent, tent_orbit):
    code = tent.symbolic_code(tent_orbit)
    assert code.symbols == 2 and code.graph.all()
    np.testing.assert_allclose(code.occupancy, 0.5, atol=0.02)
    np.testing.assert_allclose(code.transitions, 0.5, atol=0.02)
    assert code.topological_entropy() == pytest.approx(math.log(2.0))
    # Pesin: the entropy of the symbols is the exponent, log 2
    assert code.block_entropy(6, events=False) == pytest.approx(math.log(2.0), abs=0.01)


def test_lyapunov_exponent_of_the_tent_map(tent, tent_orbit):
    exponent = fs.dynamics.metrics.lyapunov_spectrum(tent.step, tent_orbit[0], steps=40)
    assert float(np.asarray(exponent)[0]) == pytest.approx(math.log(2.0), rel=1e-12)


def test_code_of_a_known_sequence():
    bits = np.array([[0, 1], [0, 1], [1, 1], [0, 1], [0, 0], [0, 0], [0, 1], [0, 1]], dtype=bool)
    code = SymbolicCode.of(bits, step=0.5)
    assert code.sequence.tolist() == [0, 0, 2, 0, 1, 1, 0, 0]
    assert code.regions.tolist() == [[False, True], [False, False], [True, True]]
    assert code.events.tolist() == [0, 2, 0, 1, 0]
    np.testing.assert_allclose(code.transitions.sum(axis=1), 1.0)
    np.testing.assert_allclose(code.transitions, [[0.5, 0.25, 0.25], [0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
    assert code.event_time == pytest.approx(0.5 * 7 / 4)
    figure = code.plot().figure
    assert len(figure.axes[0].patches) == 3 + 4  # regions and transitions between them
    with pytest.raises(fs.InputError, match="at least two states"):
        SymbolicCode.of(bits[:1])


@pytest.mark.parametrize("name", MODELS)
def test_exported_equations_are_the_map(name):
    model = disturbed(name, seed=4)
    scope = {}
    exec(model.equations(), scope)
    z = torch.randn(10, model.latent, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for state in z:
        np.testing.assert_allclose(
            scope["step"](state.numpy()), model.step(state).detach().numpy(), rtol=1e-12, atol=1e-12
        )
        np.testing.assert_allclose(scope["observe"](state.numpy()), model.observe(state).detach().numpy(), rtol=1e-12)
    latex = model.equations("latex")
    assert latex.startswith(r"\begin{aligned}") and latex.count(r"\begin{array}") == len(model.named_weights())
    rows = {weight.shape[0] for weight in model.named_weights().values()}  # vectors are columns
    assert {block.split(r"\end{array}")[0].count(r"\\") + 1 for block in latex.split(r"\begin{array}")[1:]} == rows
    assert "e-" not in latex


def test_latent_states_may_be_an_array(tent, tent_orbit):
    code = tent.symbolic_code(tent_orbit.numpy())
    np.testing.assert_array_equal(code.sequence, tent.symbolic_code(tent_orbit).sequence)


def test_a_free_run_settles_before_its_regions_count():
    """A unit that remembers: its lifted state lies in the region above zero, its own attractor in the one below."""
    model = fs.dynamics.ALRNN(observed=1, latent=2, relu=1).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.A.copy_(torch.tensor([0.5, 0.9]))
        model.h.copy_(torch.tensor([0.0, -0.1]))
    start = torch.tensor([[1.0, 1.0]], dtype=torch.float64)
    assert model.symbolic_code(start, steps=100).symbols == 2
    settled = model.symbolic_code(start, steps=100, transient=20)
    assert settled.symbols == 1 and not settled.regions.any() and len(settled.sequence) == 100
    for wrong in (-1, 2.5):
        with pytest.raises(fs.InputError, match="transient must be a whole number of steps"):
            model.symbolic_code(start, steps=100, transient=wrong)
    with pytest.raises(fs.InputError, match="transient goes with steps"):
        model.symbolic_code(torch.cat([start, start]), transient=5)


def test_bad_questions(tent):
    for order in (0, 1.5):
        with pytest.raises(fs.InputError, match="max_order must be a whole number of at least 1"):
            tent.cycles(max_order=order)
    for wrong in (torch.zeros(5, 2), np.zeros(5), None, "orbit"):
        with pytest.raises(fs.InputError, match=r"expected one trajectory.*latent states \(time, 1\); got"):
            tent.symbolic_code(wrong)
    times = fs.FunctionSpace(fs.Times(0.0, 1.0, 9))
    batch = fs.Function(times, torch.zeros(2, 9, dtype=torch.float64))
    with pytest.raises(fs.InputError, match="expected one trajectory"):
        tent.symbolic_code(batch)
    with pytest.raises(fs.InputError, match="the orbit holds NaN"):
        tent.symbolic_code(torch.full((5, 1), math.nan))
    with pytest.raises(fs.InputError, match="steps must be a whole number of at least 1"):
        tent.symbolic_code(batch[0], steps=0)
    for ask in (tent.fixed_points, lambda regions: tent.cycles(2, regions=regions)):
        with pytest.raises(fs.InputError, match=r"must be regions \(count, bits=1\) of this map; got \(4,\)"):
            ask([0, 1, 1, 0])
    with pytest.raises(fs.InputError, match="style must be"):
        tent.equations("matlab")


def skew_tent(a):
    """x -> x / a below a, (1 - x) / (1 - a) above."""
    model = fs.dynamics.ShallowPLRNN(1, 1, 1).double()
    with torch.no_grad():
        model.A.fill_(1.0 / a)
        model.W1.fill_(-1.0 / (1.0 - a) - 1.0 / a)
        model.W2.fill_(1.0)
        model.h2.fill_(-a)
        model.h1.zero_()
    return model.requires_grad_(False)


@pytest.mark.parametrize("a", [0.1, 0.3, 0.5])
def test_cycles_that_come_close_are_told_apart(a):
    # of whichever slopes, as many as of the tent map; the first states of some agree to 1e-6
    assert [len(found) for found in skew_tent(a).cycles(8).values()] == [2, 1, 2, 3, 6, 9, 18, 30]


@pytest.mark.parametrize("seed", range(5))
def test_fixed_points_on_a_border_are_found_once(seed):
    model = fs.dynamics.PLRNN(2, 3, seed=seed).double()
    z = torch.tensor([0.7, -0.4, 0.0], dtype=torch.float64)
    with torch.no_grad():
        model.A.mul_(0.5)  # away from maps with a multiplier of one
        model.h += z - model.step(z)
    found = [c for c in model.fixed_points() if c.admissible and np.allclose(c.states[0], z, rtol=0.0, atol=1e-9)]
    assert len(found) == 1


def test_regions_from_which_words_are_made(tent):
    regions = tent.symbolic_code(np.linspace(-0.5, 0.5, 40)[::-1, None]).regions[::-1]
    assert [len(c) for c in tent.cycles(3, regions=regions).values()] == [2, 1, 2]
    assert len(tent.fixed_points(candidates=np.concatenate([regions, regions]))) == 2
    none = np.zeros((0, 1), dtype=bool)
    assert tent.cycles(2, regions=none) == {1: [], 2: []} and tent.fixed_points(candidates=none) == []


def test_events_of_two_regions_are_told_apart_by_how_long_they_last(tent, tent_orbit):
    code = tent.symbolic_code(tent_orbit)
    # Pesin: the exponent is log 2; one region may follow the other after any number of steps
    assert code.block_entropy(3) / code.event_time == pytest.approx(math.log(2.0), abs=0.02)


def test_codes_of_many_regions_need_no_table():
    states = np.random.default_rng(0).normal(size=(30_000, 40))
    code = fs.dynamics.ALRNN(3, 40, 40).symbolic_code(states)  # a table of its transitions would take 7 GB
    assert repr(code) == "SymbolicCode(30000 regions, 29999 transitions, 30000 states)"
    assert code.topological_entropy() == 0.0  # nothing is visited twice
    code = fs.dynamics.ALRNN(3, 40, 10).symbolic_code(states)
    assert code.topological_entropy() == pytest.approx(
        math.log(np.abs(np.linalg.eigvals(code.graph.astype(float))).max()), rel=1e-9
    )


def test_equations_hold_external_inputs():
    model = fs.dynamics.ALRNN(2, 5, 3, inputs=2, seed=1).double()
    scope = {}
    exec(model.equations(), scope)
    z, s = torch.randn(2, 5, dtype=torch.float64), torch.randn(2, 1, 2, dtype=torch.float64)
    expected = model.generate_latent(z, 1, inputs=s)[:, 0]
    for state, drive, following in zip(z, s[:, 0], expected, strict=True):
        np.testing.assert_allclose(scope["step"](state.numpy(), drive.numpy()), following.numpy(), rtol=1e-12)
    assert "C s_t" in model.equations("latex") and "&C = " in model.equations("latex")
