"""Many Lorenz systems learned together: a hierarchical PLRNN beside models of one subject each.

    python benchmarks/hierarchical_lorenz.py --output docs/benchmarks/hierarchical_lorenz.md

Each subject is a Lorenz system with a rho of its own, of which a short orbit is known. All subjects are learned by one
hierarchical PLRNN, or each by a shallow PLRNN of its own; both are judged on long independent orbits of the subjects.
Then rho is predicted from the features by linear regression over the subjects, also of new subjects, for which only the
features are trained.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
import torch
from page import publish

import funcspace as fs

STEP = 0.02
NEW = (28.0, 34.5, 41.0)


def orbit(rho: float, samples: int, noise: float, seed: int) -> fs.Function:
    """An orbit with noise in units of each component's standard deviation."""
    system = fs.dynamics.system("Lorenz").with_parameters(beta=8 / 3, rho=rho)
    clean = system.trajectory(samples, dt=STEP, seed=seed, transient=20.0)
    values = clean.coefficients
    generator = torch.Generator().manual_seed(seed)
    return fs.Function(clean.space, values + noise * values.std(dim=0) * torch.randn(values.shape, generator=generator))


def scores(fitted: Any, tests: list[fs.Function]) -> list[np.ndarray]:
    """D_stsp, D_H, and the squared error after 20 steps in units of the variance, of each subject."""
    found = fitted.evaluate(fs.dynamics.PerReplica(tests))
    errors = [
        fs.dynamics.metrics.prediction_error(fitted.replica(i), test) / float(test.coefficients.var(dim=0).mean())
        for i, test in enumerate(tests)
    ]
    return [found["state_space_divergence"], found["spectral_distance"], np.array(errors)]


def row(name: str, weights: int, each: list[np.ndarray], seconds: float) -> str:
    """A line of the table, with medians over subjects and the worst one."""
    cells = [f"{np.median(v):.3g} ({v.max():.3g})" for v in each]
    return f"| {name} | {weights:,} | " + " | ".join(cells) + f" | {seconds:.0f} |"


def report(options: argparse.Namespace) -> Iterator[str]:
    """The page, line by line."""
    torch.set_num_threads(options.threads)
    rhos = np.linspace(25.0, 45.0, options.subjects)
    data = fs.dynamics.PerReplica([orbit(r, options.samples, options.noise, i) for i, r in enumerate(rhos)])
    tests = [orbit(r, 10_000, 0.0, 100 + i) for i, r in enumerate(rhos)]
    algorithm = fs.dynamics.GeneralizedTeacherForcing(alpha=0.15, sequence=60)
    settings: dict[str, Any] = {
        "algorithm": algorithm, "epochs": options.epochs, "learning_rate": 2e-3, "seed": options.seed,
        "progress": False,
    }  # fmt: skip
    yield "# Many Lorenz systems learned together"
    yield ""
    yield from (__doc__ or "").strip().splitlines()[4:]
    yield ""
    yield from wrap(
        f"{options.subjects} subjects, rho = {rhos[0]:g} to {rhos[-1]:g}, {options.samples:,} instants of each at dt = "
        f"{STEP:g} with {options.noise:.0%} noise; M = 3, H = {options.hidden}, {options.features} features; "
        f"generalised teacher forcing with alpha = 0.15 on windows of 60, {50 * options.epochs:,} updates. Medians "
        "over subjects, the worst in parentheses; test orbits of 10,000 instants. PE(20) is the squared error after 20 "
        "steps in units of the variance.",
        118,
    )
    yield ""
    yield "| model | weights in all | D_stsp | D_H | PE(20) | processor time, s |"
    yield "| --- | --- | --- | --- | --- | --- |"
    started = time.process_time()
    hierarchical = fs.dynamics.HierarchicalPLRNN(
        3, hidden=options.hidden, subjects=options.subjects, features=options.features, seed=options.seed
    )
    together = fs.fit(hierarchical, data, **settings)
    spent = time.process_time() - started
    yield row("hierarchical", together.parameters, scores(together, tests), spent)
    started = time.process_time()
    single = fs.dynamics.ClippedShallowPLRNN(3, hidden=options.hidden, replicas=options.subjects, seed=options.seed)
    apart = fs.fit(single, data, **settings)
    spent = time.process_time() - started
    yield row("one for each subject", apart.parameters * options.subjects, scores(apart, tests), spent)
    floor = [orbit(r, 10_000, 0.0, 200 + i) for i, r in enumerate(rhos)]
    metrics = fs.dynamics.metrics
    pairs = [(a.numpy(), b.numpy()) for a, b in zip(tests, floor, strict=True)]
    distances = [
        np.array([metric(*pair) for pair in pairs])
        for metric in (metrics.state_space_divergence, metrics.spectral_distance)
    ]
    cells = [f"{np.median(v):.3f} ({v.max():.3f})" for v in distances]
    yield "| *independent true orbits* | | " + " | ".join(cells) + " | | |"
    yield ""
    features = hierarchical.p.detach().double().numpy()
    table = np.column_stack([features, np.ones(len(rhos))])
    line = np.linalg.lstsq(table, rhos, rcond=None)[0]
    errors = table @ line - rhos
    share = 1.0 - np.square(errors).sum() / np.square(rhos - rhos.mean()).sum()
    yield from wrap(
        f"Linear regression of rho on the features: R^2 = {share:.5f}, largest error {np.abs(errors).max():.2f}. For "
        f"new subjects, of which {options.few} instants are known, features alone are trained "
        f"({50 * options.adapt:,} updates):",
        118,
    )
    yield ""
    yield "| rho | predicted from its features | PE(20), adapted | PE(20), a model of its own on the same instants |"
    yield "| --- | --- | --- | --- |"
    few = [orbit(r, options.few, options.noise, 300 + i) for i, r in enumerate(NEW)]
    adapted = hierarchical.adapt(few, algorithm, epochs=options.adapt, seed=options.seed)
    own = fs.dynamics.ClippedShallowPLRNN(3, hidden=options.hidden, replicas=len(NEW), seed=options.seed)
    alone = fs.fit(own, fs.dynamics.PerReplica(few), **settings)
    fresh = [orbit(r, 10_000, 0.0, 400 + i) for i, r in enumerate(NEW)]
    found = np.column_stack([adapted.model.p.detach().double().numpy(), np.ones(len(NEW))]) @ line
    for rho, guess, a, b in zip(NEW, found, scores(adapted, fresh)[2], scores(alone, fresh)[2], strict=True):
        yield f"| {rho:g} | {guess:.2f} | {a:.1e} | {b:.1e} |"
    yield ""
    yield from wrap(
        f"{os.cpu_count()} processors, {options.threads} thread(s); Python {platform.python_version()}, torch "
        f"{torch.__version__}, funcspace {fs.__version__}; seed {options.seed}.",
        118,
    )
    yield ""
    yield (
        "Regenerate with `python benchmarks/hierarchical_lorenz.py --output docs/benchmarks/hierarchical_lorenz.md`."
    )


def main() -> None:
    """Measure, print, and write the page where one is named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--subjects", type=int, default=8)
    parser.add_argument("--samples", type=int, default=1000, help="instants of each subject")
    parser.add_argument("--noise", type=float, default=0.01)
    parser.add_argument("--hidden", type=int, default=60)
    parser.add_argument("--features", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=300, help="of 50 updates each")
    parser.add_argument("--few", type=int, default=200, help="instants of a new subject")
    parser.add_argument("--adapt", type=int, default=20, help="epochs of the adaptation")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="file for the page, in Markdown")
    options = parser.parse_args()
    publish(report(options), options.output)


if __name__ == "__main__":
    main()
