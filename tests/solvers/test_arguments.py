"""The doors of problems and solvers: wrong arguments are refused by name, unusual right ones are not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch

import funcspace as fs
from funcspace.errors import InputError
from funcspace.solvers.gaussian_fields import GaussianField
from funcspace.solvers.problem_arguments import by_part, check_data, named, names_of, sampling
from funcspace.solvers.registry import PROBLEMS
from funcspace.solvers.spectral import Numerics
from funcspace.solvers.spectral.gray_scott import RandomDrops
from funcspace.solvers.spectral.shallow_water import HeightField

# Options that make a problem quick to build.
SMALL: dict[str, dict[str, Any]] = {
    "allen_cahn": {"resolution": 8},
    "burgers": {"resolution": 16},
    "cahn_hilliard": {"resolution": 8},
    "cylinder_flow": {"h": 0.2},
    "darcy": {"resolution": 5},
    "euler": {"resolution": 8, "times": 0.01},
    "gray_scott": {"resolution": 8},
    "heat_sines": {"h": 0.3},
    "helmholtz_cavity": {"resolution": 5, "frequency": 20.0},
    "heterogeneous_plate": {"resolution": 5},
    "holed_cell": {"around": 16, "layers": 2},
    "kolmogorov_flow": {"resolution": 16, "spin_up": 0.0},
    "korteweg_de_vries": {"resolution": 16},
    "kuramoto_sivashinsky": {"resolution": 16, "spin_up": 0.0},
    "lid_driven_cavity": {"h": 0.5},
    "poisson_gauss": {"resolution": 5},
    "poisson_sines": {"h": 0.3},
    "shallow_water": {"resolution": 8},
    "torus_navier_stokes": {"resolution": 8},
    "wave_layers": {"resolution": 5},
    "wave_sines": {"h": 0.3},
}
SPECTRAL = [
    "allen_cahn", "burgers", "cahn_hilliard", "gray_scott", "kolmogorov_flow", "korteweg_de_vries",
    "kuramoto_sivashinsky", "shallow_water", "torus_navier_stokes",
]  # fmt: skip
THREADED = [name for name in sorted(PROBLEMS) if name not in SPECTRAL]
LINEAR_SETS = ["heat_sines", "helmholtz_cavity", "poisson_gauss", "poisson_sines", "wave_layers", "wave_sines"]
NAN = float("nan")
MESH = fs.Mesh.rectangle(0.5)
TIMES = fs.Times(0.0, 0.1, 3)
TORUS = fs.Grid(x=(0.0, 1.0, 8), y=(0.0, 1.0, 8), periodic=("x", "y"))


def small(name: str, **options: Any) -> Any:
    return fs.solvers.problem(name, **{**SMALL[name], **options})


@pytest.fixture
def unannotated() -> Iterator[None]:
    """Leave values that no annotation names to the library alone, as outside the tests."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_sample_takes_whole_numbers_alone(name):
    problem = small(name)
    for n in (0, -1, 2.5, "a", True, None):
        with pytest.raises(InputError, match=f"n must be a whole number of at least 1, got {re.escape(repr(n))}"):
            problem.sample(n)
    for seed in (-1, 1.5, "x", True):
        with pytest.raises(InputError, match=f"seed must be a whole number .* got {re.escape(repr(seed))}"):
            problem.sample(1, seed)
    for first in (-1, 0.5, "x"):
        with pytest.raises(InputError, match=f"first must be a whole number .*, got {re.escape(repr(first))}"):
            problem.sample(1, 0, first=first)


@pytest.mark.parametrize("name", sorted(PROBLEMS))
@pytest.mark.usefixtures("unannotated")
def test_sample_takes_the_integers_of_numpy(name):
    problem = small(name)
    made = problem.sample(np.int64(1), np.int32(3), first=np.uint8(2))
    assert len(made) == 1 and type(made.attributes["seed"]) is int and type(made.attributes["first"]) is int
    plain = problem.sample(1, 3, first=2)
    for key, output in made.outputs.items():
        same = plain.outputs[key]
        if isinstance(output, fs.Function):
            assert torch.equal(output.coefficients, same.coefficients)
        else:
            assert torch.equal(output[0].coefficients, same[0].coefficients)


def test_a_seed_of_none_is_kept_as_the_seed_that_gives_the_same_samples():
    problem = small("darcy")
    made = problem.sample(1, None)
    again = problem.sample(1, made.attributes["seed"])
    assert torch.equal(made.inputs["a"].coefficients, again.inputs["a"].coefficients)
    assert sampling(2, 5, 1) == (2, 5, 1) and sampling(1, None, 0)[1] != sampling(1, None, 0)[1]


# problem, option, values, message
OPTIONS: list[tuple[str, str, tuple[Any, ...], str]] = [
    *((name, "workers", ("abc", -1, 0, NAN, [], 1.5, True), "workers must be a whole number of at least 1, or None")
      for name in THREADED),
    *((name, "numerics", ("abc", -1, NAN, [], {}), "numerics must be a Numerics") for name in SPECTRAL),
    *((name, "initial", ("abc", -1, NAN, [], MESH), "initial must be a law of random fields") for name in SPECTRAL),
    *((name, "domain", ("abc", -1, NAN, [], fs.PointCloud(torch.rand(5, 2))), "solved on a Grid or a Mesh")
      for name in LINEAR_SETS),
    *((name, "domain", (fs.Mesh.interval(0.5),), "solved in 2 dimensions; this domain has 1") for name in LINEAR_SETS),
    *((name, "dim", ("abc", None, NAN, [], 0, 1.0), "dim must be a whole number of at least 1")
      for name in ("allen_cahn", "cahn_hilliard")),
    *((name, "dim", (4,), "dim must be 1, 2 or 3; got 4") for name in ("allen_cahn", "cahn_hilliard")),
    *((name, "modes", ("abc", 0, None, NAN, [], 2.5, True), "modes must be a whole number of at least 1")
      for name in ("heat_sines", "poisson_sines", "wave_sines")),
    *((name, "h", ("abc", -1, 0.0, None, NAN, []), "h must be a positive number")
      for name in ("cylinder_flow", "heat_sines", "lid_driven_cavity", "poisson_sines", "wave_sines")),
    *((name, "resolution", ("abc", 2, 5.0, NAN, [], True), "resolution must be a whole number of at least 3")
      for name in ("darcy", "helmholtz_cavity", "heterogeneous_plate", "poisson_gauss", "wave_layers")),
    *((name, "times", ("abc", -1, NAN, []), "times must be a Times, such as")
      for name in ("cylinder_flow", "heat_sines", "wave_layers", "wave_sines")),
    *((name, "step", ("abc", -1, 0.0, NAN, []), "step must be a positive time, or None")
      for name in ("wave_layers", "wave_sines")),
    *((name, "roughness", ("abc", -0.1, 0.6, None, []), "roughness must lie in")
      for name in ("cylinder_flow", "lid_driven_cavity")),
    *((name, "reynolds", (None, "ab", [], [1.0], (2.0, 1.0), (1.0, "x"), NAN), "reynolds must be a number or a range")
      for name in ("cylinder_flow", "lid_driven_cavity")),
    *((name, "cells", ("abc", -1, None, NAN, []), 'cells must be "triangle" or "quadrilateral"')
      for name in ("cylinder_flow", "lid_driven_cavity")),
    *((name, "domain", ("abc", -1, NAN, [], MESH, fs.Grid(x=(0.0, 1.0, 8), y=(0.0, 1.0, 8))), "periodic axes")
      for name in SPECTRAL),
    *((name, "horizon", ("abc", -1, NAN, [], None), "horizon must be Times or a finite number") for name in SPECTRAL
      if name != "torus_navier_stokes"),
    *((name, "horizon", (fs.Times(-1.0, 1.0, 3),), "times cannot be negative; got -1.0") for name in SPECTRAL),
    *((name, "spin_up", ("abc", -1, NAN, None), "spin_up must be") for name in SPECTRAL),
    *((name, "traction", ("abc", -1, NAN, [], (1.0, "a"), (NAN, 0.0)), "traction must be 2 finite numbers")
      for name in ("heterogeneous_plate", "holed_cell")),
    *((name, "outputs", ("abc", -1, None, NAN, [], ["u", 1]), "outputs are some of")
      for name in ("heterogeneous_plate", "holed_cell")),
    ("cylinder_flow", "mean_velocity", (None, [], "abc"), "mean_velocity must be a number or a range"),
    ("cylinder_flow", "center", (-1, None, NAN, "ab", (0.2,)), r"center must be \(x, y\)|center's x must be"),
    ("cylinder_flow", "step", ("abc", -1, 0.0, None, []), "step must be a positive number"),
    ("cylinder_flow", "spin_up", ("abc", -1, None, []), "spin_up must be a number that is not negative"),
    ("darcy", "coefficient", (-1, None, NAN, []), "coefficient must be a name, a GaussianRecipe, a callable"),
    ("darcy", "source", ("abc", None, [], {}), "source must be a number, a callable of points or a Function"),
    ("darcy", "source", (NAN,), "source must be finite"),
    ("darcy", "tolerance", ("abc", -1, 0.0, 1.0, None, NAN, []), "tolerance must lie between 0 and 1; got"),
    ("darcy", "domain", ("abc", -1, [], TIMES), "Darcy problems are solved on a Grid or a Mesh"),
    ("euler", "gamma", ("abc", 1.0, None, [], NAN), "gamma, the ratio of specific heats, must be a number above 1"),
    ("euler", "courant", ("abc", 0.0, 1.1, None, []), r"courant must lie in \(0, 1\]"),
    ("euler", "step", ("abc", -1, []), "step must be a positive number"),
    ("euler", "stages", ([], 4, 2.0, None), "stages must be 2 or 3"),
    ("euler", "boundary", ([], -1, None), "'left' must be"),
    ("euler", "compiled", ("abc", -1, None, NAN, []), "compiled must be True or False"),
    ("euler", "times", ("abc", -1, True, NAN, None), "times must be"),
    ("gray_scott", "pattern", (-1, None, NAN, (0.1,)), r"pattern is a name or a pair \(F, k\)"),
    ("gray_scott", "diffusion", (-1, None, NAN, "ab"), "diffusion a pair"),
    ("helmholtz_cavity", "frequency", ("abc", -1, None, NAN, []), "frequency must be a positive number"),
    ("helmholtz_cavity", "absorbing", ("abc", -1, None, []), "absorbing must be True or False"),
    ("heterogeneous_plate", "young", (-1, None, NAN, []), "young must be a name, a GaussianRecipe, a callable"),
    ("heterogeneous_plate", "poisson", ("abc", None, []), "poisson must be a number"),
    ("heterogeneous_plate", "poisson", (NAN, np.inf), "poisson must be finite"),
    ("heterogeneous_plate", "poisson", (-1, 0.6), "poisson must be above -1 and at most 0.5 in plane stress; got"),
    ("heterogeneous_plate", "plane", ("abc", -1, None, []), 'plane must be "stress" or "strain"'),
    ("heterogeneous_plate", "scale", ("abc", 0.0, None, NAN, []), "scale must be a positive number"),
    ("heterogeneous_plate", "domain", ("abc", -1, []), "plates are solved on a Grid or a Mesh"),
    ("holed_cell", "around", ("abc", None, [], 16.0, 20), "around must be a multiple of 8"),
    ("holed_cell", "layers", ("abc", None, NAN, [], 1.5), "layers must be a whole number of at least 1"),
    ("holed_cell", "modes", ("abc", None, NAN, [], -1), "modes must be a whole number that is not negative"),
    ("holed_cell", "c1", ("abc", None, []), "c1 must be a number, a callable of points or a Function"),
    ("holed_cell", "c1", (NAN,), "c1 must be finite"),
    ("holed_cell", "c2", (-1.9e5,), r"c1 \+ c2 must be positive"),
    ("kolmogorov_flow", "wavenumber", ("abc", 0, 4.0, None), "wavenumber must be a whole number of at least 1"),
    ("torus_navier_stokes", "recipe", ([], "fno", 3), "no recipe"),
    ("wave_layers", "side", ("abc", -1, None, []), "side must be a positive number"),
    ("wave_sines", "speed", ("abc", None, []), "speed must be a number, a callable of points or a Function"),
    ("wave_sines", "speed", (-1, 0.0), "speed must be positive"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "option", "values", "message"), OPTIONS)
def test_problems_refuse(name, option, values, message):
    base = {key: value for key, value in SMALL[name].items() if option != "domain" or key != "resolution"}
    for value in values:
        with pytest.raises(InputError, match=message):
            fs.solvers.problem(name, **{**base, option: value})


SOLVERS: list[tuple[Any, dict[str, Any], str, tuple[Any, ...], str]] = [
    *((kind, base, option, values, message)
      for kind, base in (
          (fs.solvers.Poisson, {"domain": MESH}),
          (fs.solvers.Heat, {"domain": MESH, "times": TIMES}),
          (fs.solvers.Wave, {"domain": MESH, "times": TIMES}),
          (fs.solvers.LinearElasticity, {"domain": MESH, "young": 1.0, "poisson": 0.3}),
      )
      for option, values, message in (
          ("tolerance", ("abc", 0.0, 1.0, None, NAN, []), "tolerance must lie between 0 and 1; got"),
          ("max_iterations", ("abc", 0, 1.5, None, NAN), "max_iterations must be a whole number of at least 1"),
          ("workers", ("abc", 0, -1, NAN, []), "workers must be a whole number of at least 1, or None"),
      )),
    *((kind, base, option, values, message)
      for kind, base in (
          (fs.solvers.Poisson, {"domain": MESH}),
          (fs.solvers.Heat, {"domain": MESH, "times": TIMES}),
          (fs.solvers.Wave, {"domain": MESH, "times": TIMES}),
          (fs.solvers.Helmholtz, {"domain": MESH, "frequency": 1.0}),
          (fs.solvers.AdvectionDiffusion, {"domain": MESH, "velocity": (1.0, 0.0), "diffusion": 1.0}),
      )
      for option, values, message in (
          ("source", ("abc", None, [], {}, {"left": 1.0}), "source must be a number, a callable of points"),
          ("source", (NAN, np.array([NAN])), "source must be finite"),
          ("dirichlet", (3.0, "left", [1.0]), 'dirichlet must be given by part, such as {"left": ...}; got'),
          ("neumann", (3.0, "left", NAN), "neumann must be given by part"),
          ("dirichlet", ({"left": "abc"}, {"left": None}), r"dirichlet\['left'\] must be a number"),
          ("neumann", ({"left": NAN},), r"neumann\['left'\] must be finite"),
      )),
    *((kind, {"domain": MESH}, option, values, message)
      for kind in (fs.solvers.Stokes, fs.solvers.NavierStokes)
      for option, values, message in (
          ("viscosity", ("abc", None, []), "viscosity must be a number, a callable of points"),
          ("viscosity", (-1, 0.0), "viscosity must be positive; got"),
          ("force", ("abc", None, {}), "force must be a number"),
          ("velocity", (3.0, "left"), "velocity must be given by part"),
          ("velocity", ({"left": "abc"}, {"left": None}), r"velocity\['left'\] must be a number"),
          ("traction", (3.0, "left"), "traction must be given by part"),
          ("workers", ("abc", 0), "workers must be a whole number"),
      )),
    (fs.solvers.NavierStokes, {"domain": MESH}, "density", ("abc", 0, None, NAN), "density must be a positive number"),
    (fs.solvers.Poisson, {"domain": MESH}, "coefficient", (-1, np.array(0.0)), "coefficient must be positive; got"),
    (fs.solvers.Poisson, {"domain": MESH}, "reaction", (-1,), "reaction must not be negative; got -1"),
    (fs.solvers.Poisson, {"domain": MESH}, "robin", ({"left": (None, 0.0)},), r"robin\['left'\] alpha must be"),
    (fs.solvers.Heat, {"domain": MESH, "times": TIMES}, "theta", ("abc", 0.4, None), "theta must lie between"),
    (fs.solvers.Heat, {"domain": MESH, "times": TIMES}, "damped", ("abc", 1.5, -1), "damped must be a whole number"),
    (fs.solvers.Heat, {"domain": MESH, "times": TIMES}, "lumped", ("abc", None, 2), "lumped must be True or False"),
    (fs.solvers.Heat, {"domain": MESH, "times": TIMES}, "step", ("abc", 0, []), "step must be a positive time"),
    (fs.solvers.Heat, {"domain": MESH}, "times", ("abc", 1.0, None), "times must be a Times"),
    (fs.solvers.Wave, {"domain": MESH, "times": TIMES}, "beta", ("abc", 0.6, None), "beta must lie between"),
    (fs.solvers.Wave, {"domain": MESH, "times": TIMES}, "absorbing", (3, None, [1]), "absorbing must be a name or"),
    (fs.solvers.Wave, {"domain": MESH, "times": TIMES}, "damping", (-1,), "damping must not be negative; got -1"),
    (fs.solvers.Helmholtz, {"domain": MESH}, "frequency", ("abc", 0, None, 1j), "frequency must be a positive number"),
    (fs.solvers.LinearElasticity, {"domain": MESH, "poisson": 0.3}, "young", ("abc", []), "young must be a number"),
    (fs.solvers.LinearElasticity, {"domain": MESH, "poisson": 0.3}, "young", (-1, 0.0), "young must be positive"),
    (fs.solvers.LinearElasticity, {"domain": MESH, "young": 1.0}, "poisson", (-1, 0.5, 2), "above -1 and below 0.5"),
    (fs.solvers.LinearElasticity, {"domain": MESH, "young": 1.0, "poisson": 0.3}, "body_force", ("abc", {}),
     "body_force must be a number"),
    (fs.solvers.NeoHookean, {"young": 1.0}, "poisson", (-1, 0.5, 2), "poisson must be above -1 and below 0.5"),
    (fs.solvers.MooneyRivlin, {}, "c10", ("abc", None, []), "c10 must be a number"),
    (fs.solvers.MooneyRivlin, {}, "c10", (0, -1.0), r"c10 \+ c01 and bulk must be positive"),
    (fs.solvers.MooneyRivlin, {"c10": 1.0}, "bulk", (0, -1.0), "bulk must be positive"),
    (fs.solvers.Hyperelasticity, {"domain": MESH, "energy": fs.solvers.MooneyRivlin(1.0)}, "steps", ("abc", 0, 1.5),
     "steps must be a whole number of at least 1"),
    (fs.solvers.Hyperelasticity, {"domain": MESH, "energy": fs.solvers.MooneyRivlin(1.0)}, "tolerance", ("a", 0, None),
     "tolerance must lie between 0 and 1"),
    (GaussianField, {}, "domain", ("abc", None, 3, []), "domain must be a Grid, a Mesh or another domain"),
    (GaussianField, {"domain": TORUS}, "alpha", ("abc", None, 1.0, []), "alpha must exceed d/2"),
    (GaussianField, {"domain": TORUS}, "tau", ("abc", None, 0, []), "tau must be positive"),
    (GaussianField, {"domain": TORUS}, "mean", ("abc", None, NAN), "mean finite"),
    (GaussianField, {"domain": TORUS}, "modes", ("abc", 0, 2.5, [3], [3, 0]), "modes must be one positive whole"),
    (GaussianField, {"domain": TORUS}, "boundary", (3, None, []), "boundary must be"),
    (GaussianField, {"domain": TORUS}, "zero_mean", ("abc", None), "zero_mean must be True or False"),
    (fs.solvers.GaussianRecipe, {"alpha": 2.0}, "tau", ("abc", None, 0, NAN), "tau must be a positive number"),
    (fs.solvers.GaussianRecipe, {"alpha": 2.0, "tau": 3.0}, "values", ("ab", 3, (1.0,), (1.0, "a")), "values must be"),
    (fs.solvers.GaussianRecipe, {"alpha": 2.0, "tau": 3.0}, "sigma", ("ab", -1, NAN), "sigma must be a number"),
    (Numerics, {}, "step", ("abc", 0, []), "step must be a positive number of time units, or None"),
    (Numerics, {}, "tolerance", ("abc", -1, None, []), "tolerance must be a positive number, got"),
    (Numerics, {}, "courant", ("abc", 0, 3, None), "courant must be positive and at most 2"),
    (Numerics, {}, "refinement", ("abc", 0, 1.5), "refinement must be a whole number of at least 1"),
    (Numerics, {}, "workers", ("abc", 0, 1.5), "workers must be a whole number of at least 1"),
    (Numerics, {}, "device", (None, 1.5, []), "device must be a name"),
    (HeightField, {"domain": TORUS}, "alpha", ("abc", 1.0, None), "alpha must exceed"),
    (HeightField, {}, "domain", ("abc", None, MESH), "the domain must be a Grid with two periodic axes"),
    (RandomDrops, {}, "domain", ("abc", None, MESH), "the domain must be a Grid with two periodic axes"),
    (RandomDrops, {"domain": TORUS}, "drops", (3, "ab", (0, 2), (1.5, 2)), "drops are the least and the largest"),
    (fs.solvers.RiemannProblem, {"left": (1.0, 0.0, 1.0)}, "right", ("abc", None, (1.0, 0.0), (0.0, 0.0, 1.0)),
     "the right state must be"),
    (fs.solvers.RiemannProblem, {"left": (1, 0, 1), "right": (1, 0, 1)}, "position", ("abc", NAN), "position must be"),
    (fs.solvers.lax_liu, {}, "number", (0, [], "3", None), "have the numbers 1 to 19"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "base", "option", "values", "message"), SOLVERS)
def test_solvers_refuse(kind, base, option, values, message):
    for value in values:
        with pytest.raises(InputError, match=message):
            kind(**{**base, option: value})


@pytest.mark.usefixtures("unannotated")
def test_states_in_quadrants_and_inflows_are_checked():
    still = (1.0, 0.0, 0.0, 1.0)
    with pytest.raises(InputError, match="lower_left must be"):
        fs.solvers.FourStates(still, still, (0.0, 0.0, 0.0, 1.0), still)
    with pytest.raises(InputError, match="centre must be two finite coordinates"):
        fs.solvers.FourStates(still, still, still, still, centre=0.5)  # type: ignore[arg-type]
    for inflow in (fs.solvers.Inflow("a", (0.0,), 1.0), fs.solvers.Inflow(1.0, 0.0, 1.0)):  # type: ignore[arg-type]
        with pytest.raises(InputError, match="the inflow at 'left' needs"):
            small("euler", boundary={"left": inflow})
    with pytest.raises(InputError, match="velocity must have 2 entries"):
        small("euler", initial="quadrants").state(1.0, 0.0, 1.0)


def test_solving_checks_its_options():
    flow: Any = fs.solvers.NavierStokes(MESH)
    for options, message in (
        ({"tolerance": "abc"}, "tolerance must lie"),
        ({"max_iterations": 2.5}, "max_iterations must be a whole number"),
        ({"time": "now"}, "time must be a finite number"),
    ):
        with pytest.raises(InputError, match=message):
            flow.solve(**options)
    for options, message in (
        ({"step": "abc"}, "step must be a positive number"),
        ({"theta": None}, "theta must lie"),
        ({"observe": 3}, "observe must be a function"),
    ):
        with pytest.raises(InputError, match=message):
            flow.evolve(TIMES, **options)
    for times in ([], None, "", "abc"):
        with pytest.raises(InputError, match="times must be Times or"):
            small("burgers").solve(torch.zeros(16), times)
    for options in ({"duration": "abc"}, {"duration": 0.1, "steps": 1.5}):
        with pytest.raises(InputError, match="duration must be positive, steps a whole number"):
            small("burgers").flow_map(**options)
    plate = fs.solvers.LinearElasticity(MESH, young=1.0, poisson=0.3)
    with pytest.raises(InputError, match=r"poisson must be above -1 and below 0\.5"):
        plate.with_data(poisson=0.7)


def test_generation_and_sparse_solves_check_their_options(tmp_path):
    problem = small("darcy")
    for options, message in (
        ({"n": 1.5}, "n must be a whole number"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"path": 3}, "path must be the path of a file"),
        ({"client": "abc"}, r"client must be a dask\.distributed\.Client"),
        ({"resume": "abc"}, "resume must be True or False"),
        ({"progress": []}, "progress must be True or False"),
    ):
        with pytest.raises(InputError, match=message):
            fs.solvers.generate(**{"problem": problem, "n": 1, "path": tmp_path / "set.nc", **options})
    ones = torch.ones(1, dtype=torch.float64)
    with pytest.raises(InputError, match="rows must be a tensor"):
        fs.solvers.sparse_solve(ones, ones, [0], torch.tensor([0]))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="workers must be"):
        fs.solvers.sparse_solve(ones, ones, torch.tensor([0]), torch.tensor([0]), workers=0)
    with pytest.raises(InputError, match="a problem is named by a text"):
        fs.solvers.problem(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("darcy", {"resolution": np.int64(5), "tolerance": np.float32(1e-6), "workers": np.int64(1)}),
        ("darcy", {"tolerance": torch.tensor(1e-9), "source": torch.tensor(-2.0)}),
        ("darcy", {"source": np.array(2), "tolerance": Fraction(1, 1000)}),
        ("darcy", {"source": lambda x: x[:, 0], "coefficient": lambda x: 1 + x[:, 0]}),
        ("heterogeneous_plate", {"resolution": np.int32(5), "poisson": np.float64(0.5), "scale": np.array(2.0)}),
        ("heterogeneous_plate", {"poisson": lambda x: 0.3 + 0 * x[:, 0], "traction": np.array([1, 0])}),
        ("heterogeneous_plate", {"traction": torch.tensor([1.0, 0.0]), "outputs": "u", "plane": "strain"}),
        ("holed_cell", {"around": np.int64(16), "layers": np.int64(2), "modes": np.int64(0), "c2": 0}),
        ("holed_cell", {"c1": np.float64(2e5), "c2": -1.0, "outputs": ["u", "von_mises"]}),
        ("helmholtz_cavity", {"resolution": np.int64(5), "frequency": np.array(20), "absorbing": np.bool_(True)}),
        ("wave_sines", {"modes": np.int64(2), "speed": np.float32(2.0), "step": None}),
        ("wave_sines", {"speed": lambda x: 1 + x[:, 0] ** 2, "step": np.float64(0.01)}),
        ("wave_layers", {"side": torch.tensor(8000), "step": np.array(0.01)}),
        ("heat_sines", {"h": np.float64(0.3), "modes": np.uint8(3), "domain": fs.Mesh.disc(0.5)}),
        ("poisson_sines", {"domain": lambda generator: fs.Mesh.rectangle(0.5)}),
        ("euler", {"gamma": np.array(1.4), "stages": np.int64(3), "compiled": 0, "times": np.float32(0.01)}),
        ("cylinder_flow", {"reynolds": np.array([10.0, 20.0]), "center": [0.2, np.float64(0.2)]}),
        ("lid_driven_cavity", {"reynolds": np.int64(10), "roughness": np.float32(0.1), "h": np.float32(0.5)}),
        ("allen_cahn", {"width": torch.tensor(0.1), "dim": np.int64(1), "resolution": (np.int64(16),)}),
        ("gray_scott", {"pattern": np.array([0.03, 0.06]), "diffusion": [np.float32(2e-5), 1e-5], "horizon": 1}),
        ("kolmogorov_flow", {"wavenumber": np.int64(2), "drag": np.array(0.1)}),
        ("shallow_water", {"coriolis": -1, "length": np.float32(1.0), "numerics": Numerics(step=np.float64(0.1))}),
        ("cahn_hilliard", {"mean": -0.5, "horizon": fs.Times(0.0, 1e-3, 2)}),
    ],
)
@pytest.mark.usefixtures("unannotated")
def test_unusual_but_right_options_work(name, options):
    base = {k: v for k, v in SMALL[name].items() if not ("domain" in options and k == "h")}
    assert len(fs.solvers.problem(name, **{**base, **options}).sample(1)) == 1


@pytest.mark.usefixtures("unannotated")
def test_unusual_but_right_data_of_solvers_work():
    poisson: Any = fs.solvers.Poisson
    u = poisson(
        MESH,
        coefficient=np.eye(2),
        source=torch.tensor(1.0),
        dirichlet=[("left", 0)],
        neumann=(),
        robin={"right": [np.float64(1.0), 0]},
        max_iterations=np.int64(9),
    ).solve()
    assert bool(torch.isfinite(u.coefficients).all())
    wave = fs.solvers.Wave(MESH, TIMES, absorbing="left", damping=np.int64(0), beta=np.float32(0.25), lumped=1)  # type: ignore[arg-type]
    assert float(wave.solve().coefficients.abs().max()) == 0.0
    free = fs.solvers.Stokes(MESH, velocity={"bottom": 0, "top": (None, 0.0)}, force=[1.0, 0.0]).solve()
    assert bool(torch.isfinite(free.velocity.coefficients).all())
    fs.solvers.NavierStokes(MESH, density=np.int64(2), viscosity=np.float32(1.0)).solve(tolerance=np.array(1e-8))  # type: ignore[arg-type]
    over_time = GaussianField(TIMES * fs.Grid(x=(0.0, 1.0, 5)), modes=np.int64(3))  # type: ignore[arg-type]
    assert over_time.sample(2).coefficients.shape == (2, 3, 5)


def test_names_conditions_and_data():
    assert by_part(None, "neumann") == {} and by_part([("left", 1.0)], "neumann") == {"left": 1.0}
    assert names_of("top", "absorbing") == ("top",) and names_of(["top"], "absorbing") == ("top",)
    data = {"source": 1.0, "dirichlet": {"left": 2.0}, "neumann": None}
    assert named(data) == {"source": 1.0, "dirichlet['left']": 2.0}
    good = (0, -1.5, True, 1j, np.ones((2, 2)), [[1.0, 0.0], [0.0, 1.0]], (1, 2), torch.ones(2), lambda x: x)
    check_data({str(number): value for number, value in enumerate(good)})
    tracked = torch.tensor(1.0, requires_grad=True)
    check_data({"k": tracked, "weight": np.float32(2.0)}, ("k", "weight"))
    with pytest.raises(InputError, match=r"k must be positive; got tensor\(0\.\)"):
        check_data({"k": torch.tensor(0.0)}, ("k",))
    for bad in ("abc", b"1", None, [], {}, object(), [1.0, [2.0]], [1.0, "a"], torch.nn):
        with pytest.raises(InputError, match="f must be a number, a callable of points or a Function"):
            check_data({"f": bad})
