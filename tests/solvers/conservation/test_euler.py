"""The Euler equations: exact solutions and rates, conservation, symmetry, monotonicity, positivity."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import funcspace as fs
from funcspace.solvers.conservation import Euler, Inflow, RiemannProblem, lax_liu
from funcspace.solvers.conservation.ideal_gas import conserved_from_primitive

SOD = RiemannProblem((1.0, 0.0, 1.0), (0.125, 0.0, 0.1))


def line(count, *, periodic=False):
    return fs.Grid(x=(0.0, 1.0, count), samples="cells", periodic=("x",) if periodic else ())


def plane(count, *, length=1.0, periodic=("x", "y")):
    return fs.Grid(x=(0.0, length, count), y=(0.0, length, count), samples="cells", periodic=periodic)


def errors(problem, exact, time):
    """L1 errors of density, velocity and pressure."""
    found = problem.primitive(problem.solve(problem.initial, time)).coefficients.numpy()
    return np.abs(found - exact(problem.domain.points.numpy(), time)).mean(axis=0)


def rates(sequence):
    return np.log2(np.array(sequence[:-1]) / np.array(sequence[1:]))


def random_states(grid, seed, spread=1.0):
    generator = np.random.default_rng(seed)
    n, d = len(grid.points), grid.dim
    parts = [
        np.exp(spread * generator.normal(size=(n, 1))),
        generator.normal(size=(n, d)),
        np.exp(spread * generator.normal(size=(n, 1))),
    ]
    values = np.concatenate(parts, axis=1)
    return lambda points: values


@pytest.mark.parametrize("limiter", ["minmod", "van_leer", "mc"])
def test_sod(limiter):
    found = [errors(Euler(SOD, domain=line(n), limiter=limiter), SOD.solution, 0.2) for n in (50, 100, 200, 400)]
    assert found[1][0] < 0.008 and found[3][0] < 0.0025
    # the contact spreads as n^(-2/3), the rest is of first order
    assert (rates(found) > 0.6).all() and rates(found)[:, 2].mean() > 0.9


@pytest.mark.parametrize(
    ("problem", "time", "bounds"),
    [
        (RiemannProblem((0.445, 0.698, 3.528), (0.5, 0.0, 0.571)), 0.14, (0.013, 0.012, 0.012)),
        (RiemannProblem((1.0, -2.0, 0.4), (1.0, 2.0, 0.4)), 0.15, (0.005, 0.016, 0.003)),
        (RiemannProblem((1.0, 0.0, 1000.0), (1.0, 0.0, 0.01)), 0.012, (0.1, 0.25, 4.8)),
        (RiemannProblem((1.0, -20.0, 0.4), (1.0, 20.0, 0.4)), 0.01, (0.025, 3.0, 0.06)),
    ],
)
def test_strong_waves_stay_positive_and_near_the_exact_solution(problem, time, bounds):
    """Lax's tube, the 123 problem, a blast of pressure ratio 1e5, and gases that part and leave a vacuum."""
    assert (errors(Euler(problem, domain=line(200)), problem.solution, time) < bounds).all()


def test_second_order_for_an_advected_wave():
    def wave(points, time=0.0):
        x = np.asarray(points)[:, 0]
        return np.stack([1 + 0.2 * np.sin(2 * np.pi * (x - time)), np.ones_like(x), np.ones_like(x)], axis=1)

    for stages in (2, 3):
        found = [errors(Euler(wave, domain=line(n, periodic=True), stages=stages), wave, 0.5)[0] for n in (32, 64, 128)]
        assert (rates(found) > 1.8).all() and found[-1] < 3e-4


def test_second_order_for_the_isentropic_vortex():
    def vortex(points, time=0.0):
        d = (np.asarray(points) - time) % 10.0 - 5.0
        spin = 5.0 / (2 * np.pi) * np.exp(0.5 * (1 - (d**2).sum(axis=1)))
        t = 1 - 0.4 / 2.8 * spin**2
        return np.stack([t**2.5, 1 - spin * d[:, 1], 1 + spin * d[:, 0], t**3.5], axis=1)

    grids = [plane(n, length=10.0) for n in (32, 64, 128)]
    found = [errors(Euler(vortex, domain=grid, limiter="mc"), vortex, 1.0) for grid in grids]
    assert (rates(found) > 1.9).all() and found[-1].max() < 3e-4


@pytest.mark.parametrize("domain", [line(60, periodic=True), plane(24)])
def test_conservation_on_periodic_grids(domain):
    problem = Euler(random_states(domain, 3), domain=domain)
    start = problem.solve(problem.initial, 1e-9)
    end = problem.solve(problem.initial, 0.3)
    scale = start.coefficients.abs().mean(dim=0)
    assert ((end.integral() - start.integral()).abs() <= 1e-12 * scale).all()
    assert float((end - start).norm("max")) > 0.1


def test_conservation_where_the_reconstruction_is_repaired():
    domain = line(200, periodic=True)

    def parting(points):
        x = np.asarray(points)[:, 0]
        return np.stack([np.ones_like(x), 20.0 * np.sign(x - 0.5), np.full_like(x, 0.4)], axis=1)

    problem = Euler(parting, domain=domain, courant=0.9, limiter="mc")
    state, _, repaired = advanced(problem, 0.01)
    start = conserved_from_primitive(parting(domain.points), 1.4)
    assert repaired > 0 and float(state[0].min()) > 0
    total = state[[0, 1, 3], 0].sum(axis=1)
    assert np.abs(total - start.sum(axis=0)).max() <= 1e-11 * np.abs(start).sum(axis=0).max()


def advanced(problem, time):
    """State (4, n, m), steps and repaired steps of the kernel itself."""
    values = problem._start(problem.initial).coefficients.numpy()
    dim, shape = problem.domain.dim, (1, *problem.domain.shape)[-2:]
    state = np.zeros((4, *shape))
    state[[0, *range(1, 1 + dim), 3]] = values.T.reshape(-1, *shape)
    from funcspace.solvers.conservation.euler import LIMITERS, STAGES

    _, _, steps, repaired, _ = problem._kernel(
        state, (0.0, time), np.array(problem.domain.spacing), 1.4, LIMITERS.index(problem.limiter),
        np.array(STAGES[problem.stages]), problem.courant, 0.0, problem._kinds, problem._inflow,
    )  # fmt: skip
    return state, steps, repaired


@pytest.mark.parametrize("limiter", ["minmod", "van_leer", "mc"])
@pytest.mark.parametrize("stages", [2, 3])
def test_advection_adds_no_variation(limiter, stages):
    domain = line(80, periodic=True)
    density = np.where(np.abs(domain.points[:, 0].numpy() - 0.4) < 0.15, 3.0, 1.0)
    density += np.random.default_rng(0).uniform(0, 0.5, 80)
    problem = Euler("riemann", domain=domain, limiter=limiter, stages=stages)
    history = problem.solve(problem.state(density, 1.0, 1.0), fs.Times(0.0, 0.02, 20))
    found = problem.primitive(history).values
    density = found[:, :, 0]
    variation = (density - density.roll(1, dims=1)).abs().sum(dim=1)
    assert float(variation.diff().max()) <= 1e-12 and float(variation[-1]) < 0.9 * float(variation[0])
    assert float(density.max(dim=1).values.diff().max()) <= 1e-12
    assert float((found[:, :, 1:] - 1.0).abs().max()) < 1e-12


def test_a_contact_at_rest_is_kept():
    problem = Euler(RiemannProblem((3.0, 0.0, 1.0), (0.2, 0.0, 1.0)), domain=line(40))
    end = problem.solve(problem.initial, 1.0).coefficients
    assert float((end - problem._start(problem.initial).coefficients).abs().max()) < 1e-14


@pytest.mark.parametrize("number", [3, 4, 5])
def test_symmetry_in_two_dimensions(number):
    """Configurations 3 and 4 are symmetric about the diagonal; any is, mirrored, the mirror image of its solution."""
    problem = Euler(lax_liu(number), domain=plane(48, periodic=()), workers=1)
    end = problem.solve(lax_liu(number), 0.2).values.numpy()
    if number != 5:
        swapped = end.transpose(1, 0, 2)[..., [0, 2, 1, 3]]
        assert np.abs(end - swapped).max() < 1e-12

    def turned(points):
        values = lax_liu(number)(1.0 - np.asarray(points))
        return values * np.array([1.0, -1.0, -1.0, 1.0])

    image = problem.solve(turned, 0.2).values.numpy()
    assert np.abs(image[::-1, ::-1] * np.array([1.0, -1.0, -1.0, 1.0]) - end).max() < 1e-12


@pytest.mark.parametrize("axis", [0, 1])
def test_a_plane_wave_is_the_line_solution(axis):
    counts = [64, 4] if axis == 0 else [4, 64]
    grid = fs.Grid(x=(0.0, 1.0, counts[0]), y=(0.0, 1.0, counts[1]), samples="cells")

    def along(points):
        r, u, p = SOD(np.asarray(points)[:, axis : axis + 1]).T
        zero = np.zeros_like(r)
        return np.stack([r, *((u, zero) if axis == 0 else (zero, u)), p], axis=1)

    flat = Euler(along, domain=grid)
    two = flat.solve(along, 0.2).values.numpy()
    one = Euler(SOD, domain=line(64)).solve(SOD, 0.2).values.numpy()
    used = [0, 1 + axis, 3]
    for row in range(4):
        found = two[:, row] if axis == 0 else two[row]
        assert np.abs(found[:, used] - one).max() < 2e-3  # transverse waves make the steps shorter
        assert np.abs(found[:, 2 - axis]).max() == 0.0


def test_walls_reflect():
    """Between walls nothing is lost, and half of a symmetric flow is the flow against a wall."""

    def half(points):
        x = np.asarray(points)[:, 0]
        return np.stack([1 + 0.5 * (x > 0.6), 0.3 + 0 * x, 1 + 0.8 * (x > 0.3)], axis=1)

    def whole(points):
        x = np.asarray(points)[:, :1]
        return half(np.abs(x)) * np.concatenate([np.ones_like(x), np.sign(x), np.ones_like(x)], axis=1)

    walls = Euler(half, domain=line(50), boundary="reflecting")
    end = walls.solve(half, 0.7)
    mirrored = Euler(whole, domain=fs.Grid(x=(-1.0, 1.0, 100), samples="cells"), boundary="reflecting").solve(
        whole, 0.7
    )
    assert float((mirrored.coefficients[50:] - end.coefficients).abs().max()) < 1e-12
    start = walls._start(half)
    assert float((end.integral() - start.integral())[[0, 2]].abs().max()) < 1e-13


def test_inflow_fills_the_domain():
    grid = fs.Grid(x=(0.0, 1.0, 24), y=(0.0, 0.5, 8), samples="cells")
    boundary = {"left": Inflow(1.4, (3.0, 0.0), 1.0), "bottom": "reflecting", "top": "reflecting"}
    rest = Euler(lambda x: np.tile([0.5, 2.0, 0.0, 0.3], (len(x), 1)), domain=grid, boundary=boundary)
    end = rest.primitive(rest.solve(rest.initial, 4.0)).coefficients.numpy()
    assert end == pytest.approx(np.tile([1.4, 3.0, 0.0, 1.0], (192, 1)), abs=1e-9)


@pytest.mark.parametrize("limiter", ["minmod", "van_leer", "mc"])
@pytest.mark.parametrize("stages", [2, 3])
@pytest.mark.parametrize("kind", ["line", "plane"])
def test_the_kernels_are_their_plain_twin(limiter, stages, kind):
    inflow = Inflow(0.8, (0.5,) if kind == "line" else (0.5, -0.2), 1.2)
    grid = line(37) if kind == "line" else fs.Grid(x=(0.0, 1.0, 19), y=(0.0, 0.7, 13), samples="cells")
    cases = [(grid, {"left": inflow, "right": "reflecting", **({"bottom": "reflecting"} if kind == "plane" else {})})]
    cases.append((line(33, periodic=True) if kind == "line" else plane(14), "outflow"))
    for domain, boundary in cases:
        options = {"domain": domain, "boundary": boundary, "limiter": limiter, "stages": stages}
        source = random_states(domain, 5, spread=0.5)
        fast, plain = Euler(source, **options), Euler(source, compiled=False, **options)
        one, other = fast.solve(source, 0.05), plain.solve(source, 0.05)
        assert float((one - other).norm("max")) <= 1e-11 * float(other.norm("max"))
        assert advanced(fast, 0.05)[1:] == advanced(plain, 0.05)[1:]


def test_repairs_of_the_twins_agree():
    problem = RiemannProblem((1.0, -20.0, 0.4), (1.0, 20.0, 0.4))
    found = [
        advanced(Euler(problem, domain=line(200), courant=0.9, limiter="mc", compiled=c), 0.01) for c in (True, False)
    ]
    assert found[0][2] == found[1][2] > 0
    assert np.abs(found[0][0] - found[1][0]).max() < 1e-9


def test_histories_pass_through_their_instants():
    problem = Euler(SOD, domain=line(64))
    history = problem.solve(SOD, fs.Times(0.0, 0.05, 5))
    assert history.space.element == "linear * constant" and history.values.shape == (5, 64, 3)
    assert torch.equal(history.values[0], problem._start(SOD).values)
    straight = problem.solve(SOD, 0.2)
    assert float((history.values[-1] - straight.values).abs().mean()) < 2e-4
    listed = problem.solve(SOD, [0.0, 0.05, 0.1, 0.15, 0.2])
    assert float((listed.values - history.values).abs().max()) < 1e-12
    batch = problem.solve(problem.state(np.ones((3, 64)), 0.1, np.ones((3, 64))), fs.Times(0.1, 0.1, 2))
    assert batch.batch_shape == (3,) and batch.values.shape == (3, 2, 64, 3)


@pytest.mark.parametrize("name", ["riemann", "pieces", "quadrants", "lax_liu"])
def test_sample_i_depends_on_seed_and_i_alone(name):
    many = Euler(name, resolution=20, workers=2).sample(5, seed=9)
    late = Euler(name, resolution=20, workers=1).sample(2, seed=9, first=3)
    for kind in ("inputs", "outputs"):
        for column, function in getattr(many, kind).items():
            assert torch.equal(getattr(late, kind)[column].coefficients, function.coefficients[3:])
    other = Euler(name, resolution=20).sample(1, seed=8).inputs["initial"].coefficients
    assert not torch.equal(other[0], many.inputs["initial"].coefficients[0])
    assert many.attributes["initial"] == name and many.attributes["seed"] == 9


@pytest.mark.parametrize("name", ["riemann", "pieces"])
def test_the_same_data_at_several_resolutions(name):
    coarse, fine = (Euler(name, resolution=n).sample(2, seed=1) for n in (128, 256))
    one, other = coarse.outputs["state"].values, fine.outputs["state"].values
    means = 0.5 * (other[:, ::2] + other[:, 1::2])
    assert float((one - means).abs().mean() / means.abs().mean()) < 0.03


def test_own_initial_data():
    def bump(points, generator):
        x = np.asarray(points)[:, 0]
        return np.stack([1 + generator.uniform() * (x > 0.5), 0 * x, 1 + 0 * x], axis=1)

    data = Euler(bump, resolution=16, times=fs.Times(0.0, 0.1, 3)).sample(2, seed=0)
    assert not torch.equal(data.inputs["initial"].coefficients[0], data.inputs["initial"].coefficients[1])
    assert data.outputs["state"].values.shape == (2, 3, 16, 3)
    fixed = Euler(lax_liu(3), resolution=16, times=0.1).sample(1)
    assert fixed.attributes["initial"] == "FourStates" and fixed.outputs["state"].values.shape == (1, 16, 16, 4)
    assert Euler("pieces", domain=plane(12)).sample(1).outputs["state"].values.shape == (1, 12, 12, 4)
    closed = Euler("riemann", resolution=16, boundary="periodic")
    assert closed.domain.periodic == ("x",)


def test_a_fixed_step_that_is_too_long_keeps_the_last_good_state():
    problem = Euler(SOD, domain=line(100), step=0.005)
    with pytest.raises(
        fs.SolverError, match=r"sample 0 at time 0\.\d+ of 0.2: the fixed step 0.005 has the Courant number 1\."
    ) as caught:
        problem.solve(SOD, 0.2)
    state = problem.primitive(caught.value.state).coefficients
    assert torch.isfinite(state).all() and float(state[:, [0, 2]].min()) > 0 and float(state[:, 1].max()) > 0.5
    careful = Euler(SOD, domain=line(100), step=0.002)
    assert float(careful.solve(SOD, 0.2).norm("max")) < 3


def test_what_rounding_makes_negative_keeps_the_last_good_state():
    def fast(points):
        x = np.asarray(points)[:, 0]
        return np.stack([1 + 0.5 * np.sin(40 * x), 1e6 + 0 * x, 1e-3 + 0 * x], axis=1)

    problem = Euler(fast, domain=line(64, periodic=True))
    with pytest.raises(fs.SolverError, match="density or pressure would not stay positive") as caught:
        problem.solve(fast, 1.0)
    last = problem.primitive(caught.value.state).coefficients
    assert float(last[:, [0, 2]].min()) > 0 and bool(torch.isfinite(last).all())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"initial": "rieman"}, "no initial data 'rieman'; there are"),
        ({"initial": 3}, "initial must be"),
        ({"initial": "quadrants", "domain": line(8)}, "are for 2 dimensions; the domain has 1"),
        ({"resolution": 3}, "at least 4 cells"),
        ({"resolution": 8, "domain": line(8)}, "not both"),
        ({"domain": fs.Grid(x=(0.0, 1.0, 8))}, 'samples="cells"'),
        ({"domain": fs.Grid(x=[0.0, 1.0, 3.0, 4.0, 6.0], samples="cells")}, "must be uniform"),
        ({"gamma": 1.0}, "gamma"),
        ({"limiter": "superbee"}, "limiter must be"),
        ({"courant": 1.2}, r"courant must lie in \(0, 1\]"),
        ({"stages": 4}, "stages must be 2 or 3"),
        ({"step": 0.0}, "step must be a positive number"),
        ({"times": -1.0}, "times must be"),
        ({"times": fs.Times(-0.1, 0.1, 3)}, "times start at -0.1"),
        ({"boundary": "absorbing"}, "'left' must be"),
        ({"boundary": {"up": "outflow"}}, "boundary names 'up'"),
        ({"boundary": {"left": "periodic"}}, r"periodic=\('x',\)"),
        ({"boundary": {"left": Inflow(1.0, (0.0, 0.0), 1.0)}}, "1 components of velocity"),
        ({"boundary": {"left": "outflow"}, "domain": line(8, periodic=True)}, "is periodic"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(fs.InputError, match=message):
        Euler(**options)


def test_bad_data():
    problem = Euler("riemann", domain=line(8))
    with pytest.raises(fs.InputError, match=r"positive pressure; at \[0.0625\] density"):
        problem.state(1.0, 0.0, lambda x: x[:, 0] - 0.5)
    with pytest.raises(fs.InputError, match="sample 1, at"):
        problem.state(np.array([[1.0] * 8, [1.0] * 7 + [-1.0]]), 0.0, 1.0)
    with pytest.raises(fs.InputError, match="velocity must have 1 entries"):
        problem.state(1.0, (0.0, 0.0), 1.0)
    with pytest.raises(fs.InputError, match="shape"):
        problem.state(np.ones(7), 0.0, 1.0)
    with pytest.raises(fs.InputError, match=r"shape \(8, 3\)"):
        problem.solve(lambda x: x)
    with pytest.raises(fs.DomainError, match="must be on"):
        problem.solve(Euler("riemann", domain=line(9)).state(1.0, 0.0, 1.0))
    with pytest.raises(fs.InputError, match="float64"):
        problem.solve(problem.state(1.0, 0.0, 1.0).to(torch.float32))
    with pytest.raises(fs.InputError, match="a callable of points"):
        problem.solve(3.0)
    with pytest.raises(fs.InputError, match="n must be a whole number of at least 1"):
        problem.sample(0)
    with pytest.raises(fs.InputError, match="components"):
        problem.primitive(problem.primitive(problem.state(1.0, 0.0, 1.0)))
