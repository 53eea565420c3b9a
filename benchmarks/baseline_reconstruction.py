"""Reconstruction of Lorenz-63 from noisy data by models of every kind, under one protocol and one budget.

Each learns from 100,000 standardised points at dt = 0.01 that carry 5 % noise, and is judged on an independent clean
orbit of the same length. D_stsp (30 bins) and D_H (sigma 20) compare a free run of 1.25 times that length, without its
first quarter, with it; PE(20) is the squared error after 20 steps; the exponent is the largest one along a free run, of
which the true one is 0.906. Models that learn step by step get the same processor time each, on one thread: the updates
that fit into it are counted on the first of them, compilation left out. The last weights are judged, of one seed.

Run: python benchmarks/baseline_reconstruction.py
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from page import publish

import funcspace as fs
from funcspace.dynamics import metrics

STEP = 0.01
BATCHES = 50  # updates of an epoch


@dataclass(frozen=True)
class Entry:
    """A model, how it learns, and its rates from the first to the last update; None where it is solved at once."""

    name: str
    model: Any
    algorithm: Any
    rates: tuple[float, float] | None
    recipe: str


def entries(seed: int) -> list[Entry]:
    """What is compared."""
    d = fs.dynamics
    forced, pulled, ridge = d.SparseTeacherForcing, d.GeneralizedTeacherForcing, d.RidgeRegression()
    return [
        Entry("linear", d.NVAR(3, 1, degree=1), ridge, None, "ridge regression"),
        Entry("NVAR, cubic", d.NVAR(3, 2, degree=3), ridge, None, "2 delays, ridge regression"),
        Entry(
            "reservoir", d.ReservoirComputer(3, 500, quadratic=True, seed=seed), ridge, None,
            "500 units, every second one squared, ridge regression",
        ),
        Entry(
            "SINDy", d.SINDy(3), d.SequentialThresholding(threshold=0.3, window=31), None,
            "quadratic, windows of 31, threshold 0.3",
        ),
        Entry(
            "LSTM", d.LSTM(3, 50, seed=seed), forced(interval=10, sequence=50, noise=0.0), (5e-3, 1e-5),
            "H = 50, forced every 10 of 50 steps",
        ),
        Entry(
            "GRU", d.GRU(3, 50, seed=seed), forced(interval=10, sequence=50, noise=0.0), (5e-3, 1e-5),
            "H = 50, forced every 10 of 50 steps",
        ),
        Entry(
            "neural ODE", d.NeuralODE(3, (50, 50), seed=seed), forced(interval=15, sequence=15, noise=0.0),
            (5e-3, 1e-5), "two layers of 50, free runs of 15 steps",
        ),
        Entry(
            "dendritic PLRNN", d.DendriticPLRNN(3, 22, 20, seed=seed), forced(interval=25, noise=0.0), (5e-3, 1e-5),
            "M = 22, B = 20, clipped, forced every 25 of 200 steps",
        ),
        Entry(
            "AL-RNN", d.ALRNN(3, 20, 2, seed=seed), forced(interval=16, noise=0.0), (5e-3, 1e-5),
            "M = 20, P = 2, forced every 16 of 200 steps",
        ),
        Entry(
            "clipped shallow PLRNN", d.ClippedShallowPLRNN(3, hidden=50, seed=seed), pulled(alpha=0.1), (4e-3, 2e-4),
            "M = 3, H = 50, alpha = 0.1, 200 steps",
        ),
    ]  # fmt: skip


def orbits(samples: int, seed: int) -> list[fs.Function]:
    """A noisy orbit to learn from, a clean one to test on, and another clean one, all independent and standardised."""
    lorenz = fs.dynamics.system("Lorenz").with_parameters(beta=8 / 3)
    runs = lorenz.trajectory(samples, dt=STEP, batch=3, seed=seed, transient=50.0).coefficients.double().numpy()
    train, test, other = ((run - run.mean(axis=0)) / run.std(axis=0) for run in runs)
    train = train + 0.05 * np.random.default_rng(seed).standard_normal(train.shape)
    space = fs.FunctionSpace(fs.Times(0.0, STEP, samples), components=("x", "y", "z"))
    return [fs.Function(space, torch.from_numpy(values)) for values in (train, test, other)]


def fitted(entry: Entry, train: fs.Function, seconds: float, seed: int) -> tuple[fs.dynamics.Reconstruction, int]:
    """A trained model and its updates."""
    if entry.rates is None:
        return fs.fit(entry.model, train, algorithm=entry.algorithm, precision="64", seed=seed), 0
    first, last = entry.rates
    initial = {name: value.clone() for name, value in entry.model.state_dict().items()}
    options = {"algorithm": entry.algorithm, "learning_rate": first, "seed": seed, "progress": False,
               "accelerator": "cpu"}  # fmt: skip
    fs.fit(entry.model, train, epochs=1, **options)
    started = time.process_time()
    fs.fit(entry.model, train, epochs=2, **options)
    epochs = max(2, round(seconds / ((time.process_time() - started) / 2)))
    entry.model.load_state_dict(initial)
    schedule = fs.training.ExponentialDecay(last / first)
    return fs.fit(entry.model, train, epochs=epochs, schedule=schedule, **options), BATCHES * epochs


def largest_exponent(model: fs.dynamics.Reconstruction, test: fs.Function) -> str:
    """The exponent along a free run from the test orbit."""
    try:
        found = model.lyapunov_spectrum(10_000, initial=test[: model.context], transient=1_000, count=1)
    except fs.SolverError:
        return "escapes"
    return f"{found.value[0]:.3f} ± {found.error[0]:.3f}"


def row(name: str, *cells: str) -> str:
    """A line of the table."""
    return "| " + " | ".join([name, *cells]) + " |"


def scored(truth: np.ndarray, run: np.ndarray) -> tuple[str, str]:
    """How alike two orbits are."""
    distances = metrics.state_space_divergence(truth, run), metrics.spectral_distance(truth, run, smoothing=20.0)
    return f"{float(distances[0]):.2f}", f"{float(distances[1]):.3f}"


def anchors(test: fs.Function, other: fs.Function, seed: int) -> Iterator[str]:
    """What an orbit that is right, noise and a point score."""
    truth, independent = test.coefficients.numpy(), other.coefficients.numpy()
    noise = np.random.default_rng(seed).multivariate_normal(truth.mean(axis=0), np.cov(truth.T), len(truth))
    still = np.broadcast_to(truth.mean(axis=0), truth.shape)
    persistence = metrics.prediction_error(lambda x: x, truth, 20)
    yield row("*independent true orbit*", *scored(truth, independent), "", "0.906", "", "", "")
    yield row("*i.i.d. Gaussian of the same covariance*", *scored(truth, noise), "2", "", "", "", "")
    yield row("*fixed point, at the mean*", *scored(truth, still), "1", "", "", "", "")
    yield row("*persistence*", "", "", f"{persistence:.2f}", "", "", "", "")


def report(options: argparse.Namespace) -> Iterator[str]:
    """The page, line by line."""
    torch.set_num_threads(1)
    train, test, other = orbits(options.samples, options.seed)
    chosen = [entry for entry in entries(options.seed) if options.only is None or entry.name in options.only]
    yield "# Lorenz-63 by models of every kind"
    yield ""
    yield from (__doc__ or "").split("Run:", maxsplit=1)[0].strip().splitlines()[2:]
    yield ""
    yield f"{options.samples:,} points; {options.seconds:g} s of processor time for each model that learns by steps."
    yield ""
    yield "| model | D_stsp | D_H | PE(20) | largest exponent | parameters | updates | processor time (s) |"
    yield "| --- " * 8 + "|"
    for entry in chosen:
        started = time.process_time()
        model, updates = fitted(entry, train, options.seconds, options.seed)
        spent = time.process_time() - started
        scores = model.evaluate(test)
        yield row(
            entry.name, f"{scores['state_space_divergence']:.2f}", f"{scores['spectral_distance']:.3f}",
            f"{scores['prediction_error_20']:.1e}", largest_exponent(model, test), f"{model.parameters:,}",
            f"{updates:,}" if updates else "", f"{spent:.0f}",
        )  # fmt: skip
    yield from anchors(test, other, options.seed)
    yield ""
    yield "Settings; all that learn by steps use RAdam and batches of 16 windows, no further noise:"
    yield ""
    for entry in chosen:
        rates = "" if entry.rates is None else f", rate {entry.rates[0]:g} to {entry.rates[1]:g}"
        yield f"- {entry.name}: {entry.recipe}{rates}"
    yield ""
    yield "The processor time counts the choice of the ridge, and compilation and the counting of the updates too. Seed"
    yield f"{options.seed}. Python {platform.python_version()}, torch {torch.__version__}, funcspace {fs.__version__}."
    yield ""
    yield (
        f"Regenerate with `python benchmarks/baseline_reconstruction.py --seconds {options.seconds:g} --output "
        "docs/benchmarks/baseline_reconstruction.md`."
    )


def main() -> None:
    """Measure, print, and write the page where one is named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--samples", type=int, default=100_000, help="points of each orbit")
    parser.add_argument(
        "--seconds", type=float, default=120.0, help="processor time of each model that learns by steps"
    )
    parser.add_argument("--only", nargs="+", help="names of models")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="file for the page, in Markdown")
    options = parser.parse_args()
    publish(report(options), options.output)


if __name__ == "__main__":
    main()
