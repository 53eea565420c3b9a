"""DynaMix on the chaos database: trained on some systems, it forecasts others from a piece of their orbits.

    python benchmarks/zero_shot.py --output docs/benchmarks/zero_shot.md

One model learns from orbits of the training systems for a given time. Then it gets the first part of an orbit of a
system and runs freely for as long as the rest of it. D_stsp (10 bins) and D_H compare this run with the rest of the
orbit; MASE is the mean absolute error of the first ten steps in units of that of persistence over one step. Beside
them: what independent Gaussian samples of the same mean and covariance score, and what an independent true orbit does.

The published model was trained for 100,000 updates. After fewer, free runs tend to settle on cycles: short forecasts
and spectra are good by then, while D_stsp is worse than that of the samples.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from page import publish

import funcspace as fs
from funcspace.dynamics import metrics

BINS = 10

TRAINING = (
    "Aizawa", "Arneodo", "BurkeShaw", "Chen", "Chua", "Coullet", "Dadras", "Finance", "Hadley", "Halvorsen", "Lorenz",
    "Lorenz84", "LuChenCheng", "NoseHoover", "QiChen", "RabinovichFabrikant", "RikitakeDynamo", "Rossler", "SprottB",
    "SprottC", "SprottE", "SprottF", "SprottH", "SprottJ", "SprottL", "SprottN", "SprottP", "SprottR", "Thomas",
    "WangSun",
)  # fmt: skip
UNSEEN = ("GenesioTesi", "LuChen", "Rucklidge", "ShimizuMorioka", "SprottD", "SprottG", "SprottK", "SprottM",
          "SprottO", "SprottQ")  # fmt: skip


def orbits(name: str, samples: int, batch: int, seed: int) -> fs.Function:
    """Orbits with as many samples per period for all systems."""
    found = fs.dynamics.system(name).trajectory(samples, points_per_period=60, batch=batch, seed=seed)
    space = fs.FunctionSpace(found.space.domain, components=("x", "y", "z"))
    return fs.Function(space, found.coefficients.reshape(batch, *space.coefficient_shape), name=name)


def row(forecaster: fs.dynamics.ContextForecaster, name: str, options: argparse.Namespace) -> list[float]:
    """The scores of the model, of Gaussian samples and of an independent orbit."""
    length = options.given + options.steps
    truth, other = orbits(name, length, 2, options.seed + 1).coefficients.numpy().reshape(2, length, 3)
    scores = forecaster.evaluate(truth, context=options.given, bins=BINS)
    rest = truth[options.given :]
    mean, scale = rest.mean(axis=0), rest.std(axis=0)
    standard, independent = (rest - mean) / scale, (other[options.given :] - mean) / scale
    cloud = np.random.default_rng(0).multivariate_normal(np.zeros(3), np.cov(standard.T), size=len(rest))
    anchors = []
    for orbit in (cloud, independent):
        anchors += [
            metrics.state_space_divergence(standard, orbit, bins=BINS),
            metrics.spectral_distance(standard, orbit),
        ]
    return [scores["state_space_divergence"], scores["spectral_distance"], scores["mase_10"], *anchors]


def report(options: argparse.Namespace) -> Iterator[str]:
    """The page, line by line."""
    torch.set_num_threads(options.threads)
    data = [orbits(name, 4000, 4, options.seed) for name in TRAINING]
    held_out = [orbits(name, 1500, 1, options.seed + 2) for name in TRAINING]
    algorithm = fs.dynamics.ContextForcing(context=options.context, sequence=options.sequence)
    model = fs.dynamics.DynaMix(seed=options.seed)
    started = time.process_time()
    trained = fs.fit(
        model, data, validation=held_out, algorithm=algorithm, epochs=10_000, seconds=options.seconds,
        validate_every=20, seed=options.seed, progress=False,
    )  # fmt: skip
    spent = time.process_time() - started
    yield "# Forecasts of systems that were not trained on"
    yield ""
    yield from (__doc__ or "").strip().splitlines()[4:]
    yield ""
    first, last = (trained.history[i]["loss"] for i in (0, -1))
    updates = 50 * len(trained.history)
    yield f"{trained.parameters:,} weights, {len(data)} training systems, 60 instants per period; contexts of"
    yield f"{options.context} instants, sequences of {options.sequence}, {updates:,} updates of batches of 16 in"
    yield f"{spent:.0f} s of processor time; loss {first:.3f} to {last:.3f}. In the tests {options.given:,} instants"
    yield f"are given, {options.steps:,} are compared."
    yield ""
    header = ("D_stsp", "D_H", "MASE", "Gaussian: D_stsp", "D_H", "true orbit: D_stsp", "D_H")
    for title, names in (("Trained on", TRAINING[::5]), ("Not trained on", UNSEEN)):
        yield f"| {title} | " + " | ".join(header) + " |"
        yield "| --- " * 8 + "|"
        rows = np.array([row(trained, name, options) for name in names])
        for name, values in zip(names, rows, strict=True):
            yield f"| {name} | " + " | ".join(f"{v:.2f}" for v in values) + " |"
        yield "| **median** | " + " | ".join(f"**{v:.2f}**" for v in np.median(rows, axis=0)) + " |"
        yield ""
    context = orbits("Lorenz", options.given, 1, 9)
    began = time.perf_counter()
    trained.forecast(context, 10_000)
    began = time.perf_counter() - began
    yield f"A forecast of 10,000 steps takes {began:.2f} s. {os.cpu_count()} processors, which others used too;"
    yield f"{options.threads} thread(s); Python {platform.python_version()}, torch {torch.__version__},"
    yield f"funcspace {fs.__version__}; seed {options.seed}."
    yield ""
    yield (
        f"Regenerate with `python benchmarks/zero_shot.py --seconds {options.seconds:g} --output "
        "docs/benchmarks/zero_shot.md`."
    )


def main() -> None:
    """Measure, print, and write the page where one is named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=200.0, help="of training")
    parser.add_argument("--context", type=int, default=300)
    parser.add_argument("--sequence", type=int, default=60)
    parser.add_argument("--given", type=int, default=1000, help="instants given in the tests")
    parser.add_argument("--steps", type=int, default=5000, help="steps compared in the tests")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="file for the page, in Markdown")
    options = parser.parse_args()
    publish(report(options), options.output)


if __name__ == "__main__":
    main()
