"""Reconstruction by models that are solved in closed form: a linear map, NVAR and a reservoir computer.

Each is trained by ridge regression on one orbit, the ridge chosen on its last tenth, and judged on an independent orbit
of the same system, all standardised. D_stsp and D_H compare a free run of 1.25 times the length of the test orbit,
without its first quarter, with the test orbit. VPT is the time until the error exceeds 0.4 standard deviations, in
Lyapunov times: median and mean over forecasts from starts that are spread over the test orbit. PE(20) is the squared
error after 20 steps. The anchors are what an independent true orbit (the floor), independent Gaussian samples of the
same mean and covariance, and, for the forecasts, persistence score. "noisy" orbits to learn from carry 5 % noise; tests
are clean.

Run: python benchmarks/closed_form_reconstruction.py
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from page import publish

import funcspace as fs
from funcspace.dynamics import metrics

STARTS = 100

# time step and Lyapunov times that a forecast may last
SYSTEMS = {"Lorenz": (0.02, 25.0), "Rossler": (0.1, 25.0), "Lorenz-96, 10 sites": (0.04, 15.0)}


def models(observed: int, units: int) -> dict[str, Callable[[], Any]]:
    """What is compared, by name."""
    reservoir, nvar = fs.dynamics.ReservoirComputer, fs.dynamics.NVAR
    found: dict[str, Callable[[], Any]] = {
        "linear, 2 delays": lambda: nvar(observed, 2, degree=1),
        "NVAR, 2 delays, quadratic": lambda: nvar(observed, 2, degree=2),
        f"reservoir, {units} units": lambda: reservoir(observed, units),
        f"reservoir, {units} units, quadratic": lambda: reservoir(observed, units, quadratic=True),
    }
    if observed <= 3:
        found["NVAR, 2 delays, cubic"] = lambda: nvar(observed, 2, degree=3)
    return found


def orbits(name: str, samples: int, dt: float, seed: int) -> tuple[fs.Function, fs.Function, fs.Function, float]:
    """Three independent standardised orbits, to learn from, to test on and for the floor, and the exponent."""
    ring = name.startswith("Lorenz-96")
    system = fs.dynamics.system("Lorenz96", dimension=10) if ring else fs.dynamics.system(name)
    exponent = system.largest_exponent
    runs = system.trajectory(samples, dt=dt, batch=3, seed=seed, transient=100.0)
    values = runs.coefficients.reshape(3, samples, -1).double()
    values = (values - values[0].mean(dim=0)) / values[0].std(dim=0)
    components = tuple(f"x{i}" for i in range(values.shape[-1]))
    space = fs.FunctionSpace(fs.Times(0.0, dt, samples), components=components)
    first, second, third = (fs.Function(space, each) for each in values)
    return first, second, third, exponent


def noisy(orbit: fs.Function, level: float, seed: int) -> fs.Function:
    """An orbit with white noise."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(orbit.coefficients.shape, generator=generator, dtype=torch.float64)
    return fs.Function(orbit.space, orbit.coefficients + level * noise)


def valid_times(forecast: Callable[[torch.Tensor, int], torch.Tensor], test: torch.Tensor, dt: float, exponent: float,
                most: float) -> np.ndarray:  # fmt: skip
    """Valid prediction times of forecasts from starts over the test orbit, in Lyapunov times."""
    steps = min(int(most / (exponent * dt)), len(test) // 2)
    before = 200
    starts = np.linspace(before, len(test) - steps - 1, STARTS).astype(int)
    context = torch.stack([test[s - before : s] for s in starts])
    truth = np.stack([test[s - 1 : s + steps].numpy() for s in starts])
    run = np.concatenate([truth[:, :1], forecast(context, steps).numpy()], axis=1)
    return metrics.valid_prediction_time(truth, run, 0.4, exponent, step=dt, scale=np.ones(test.shape[1]))


def row(name: str, cells: dict[str, str]) -> str:
    """A line of a table."""
    return f"| {name} | " + " | ".join(cells.values()) + " |"


def divergence(value: float) -> str:
    """A state-space divergence; that of an orbit that has left for infinity says no more than that."""
    return f"{value:.3f}" if value < 1e3 else "escapes"


def long_scores(truth: np.ndarray, run: np.ndarray) -> dict[str, str]:
    """How alike two orbits are."""
    return {
        "D_stsp": divergence(float(metrics.state_space_divergence(truth, run))),
        "D_H": f"{metrics.spectral_distance(truth, run):.3f}",
    }


def judged(fitted: fs.dynamics.Reconstruction, test: fs.Function, exponent: float, most: float) -> dict[str, str]:
    """The scores of a model on a test orbit."""
    values = test.coefficients.double()
    scores = fitted.evaluate(test)

    def forecast(context: torch.Tensor, steps: int) -> torch.Tensor:
        space = fs.FunctionSpace(fs.Times(0.0, fitted.step, context.shape[1]), components=test.space.components)
        return fitted.rollout(fs.Function(space, context), steps).coefficients[:, 1:].double()

    reached = valid_times(forecast, values, fitted.step, exponent, most)
    return {
        "weights": f"{fitted.parameters:,}",
        "ridge": f"{fitted.history[-1]['ridge']:.0e}",
        "D_stsp": divergence(scores["state_space_divergence"]),
        "D_H": f"{scores['spectral_distance']:.3f}",
        "VPT": f"{np.median(reached):.2f} ({reached.mean():.2f})",
        "PE(20)": f"{scores['prediction_error_20']:.1e}",
    }


def anchors(test: fs.Function, other: fs.Function, exponent: float, most: float, seed: int) -> Iterator[str]:
    """Scores of an independent true orbit, Gaussian samples and persistence."""
    values, independent = test.coefficients.double().numpy(), other.coefficients.double().numpy()
    rng = np.random.default_rng(seed)
    cloud = rng.multivariate_normal(values.mean(axis=0), np.cov(values.T), size=len(values))
    error = metrics.prediction_error(lambda x: x, values, 20)
    dt = float(test.space.domain.step or 1.0)
    reached = valid_times(lambda c, n: c[:, -1:].expand(-1, n, -1), test.coefficients.double(), dt, exponent, most)
    none = {"weights": "", "ridge": ""}
    yield row(
        "*independent true orbit*", none | long_scores(values, independent) | {"VPT": "", "PE(20)": "", "seconds": ""}
    )
    yield row("*Gaussian samples*", none | long_scores(values, cloud) | {"VPT": "", "PE(20)": "", "seconds": ""})
    still = {"D_stsp": "", "D_H": "", "VPT": f"{np.median(reached):.2f} ({reached.mean():.2f})"}
    yield row("*persistence*", none | still | {"PE(20)": f"{error:.1e}", "seconds": ""})


def report(options: argparse.Namespace) -> Iterator[str]:
    """The page, line by line."""
    yield "# Reconstruction in closed form"
    yield ""
    yield from (__doc__ or "").split("Run:", maxsplit=1)[0].strip().splitlines()[2:]
    yield ""
    for name, (dt, most) in SYSTEMS.items():
        train, test, other, exponent = orbits(name, options.samples, dt, options.seed)
        yield f"## {name}"
        yield ""
        yield f"{options.samples:,} samples at dt = {dt:g}; largest exponent {exponent:.3f}; VPT is at most {most:g}."
        yield ""
        yield "| model | weights | ridge | D_stsp | D_H | VPT: median (mean) | PE(20) | seconds |"
        yield "| --- " * 8 + "|"
        for label, make in models(test.coefficients.shape[-1], options.units).items():
            for noise in (0.0, 0.05):
                learned = noisy(train, noise, options.seed) if noise else train
                started = time.perf_counter()
                fitted = fs.fit(make(), learned, algorithm=fs.dynamics.RidgeRegression(), precision="64",
                                seed=options.seed)  # fmt: skip
                seconds = {"seconds": f"{time.perf_counter() - started:.1f}"}
                which = f"{label}, noisy" if noise else label
                yield row(which, judged(fitted, test, exponent, most) | seconds)
        yield from anchors(test, other, exponent, most, options.seed)
        yield ""
    yield f"Seed {options.seed}, {STARTS} starts; the seconds are of the training, the choice of the ridge included, on"
    yield f"a machine that others used too. {os.cpu_count()} processors; Python {platform.python_version()},"
    yield f"torch {torch.__version__}, funcspace {fs.__version__}."
    yield ""
    yield (
        "Regenerate with `python benchmarks/closed_form_reconstruction.py --output "
        "docs/benchmarks/closed_form_reconstruction.md`."
    )


def main() -> None:
    """Measure, print, and write the page where one is named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--samples", type=int, default=20_000, help="samples of each orbit")
    parser.add_argument("--units", type=int, default=500, help="of the reservoirs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="file for the page, in Markdown")
    options = parser.parse_args()
    publish(report(options), options.output)


if __name__ == "__main__":
    main()
