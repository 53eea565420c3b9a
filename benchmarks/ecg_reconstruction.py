"""Reconstruction of a human electrocardiogram by clipped shallow PLRNNs, under the protocol of the published table.

    python benchmarks/ecg_reconstruction.py --data ../shared/data --output docs/benchmarks/ecg_reconstruction.md
    python benchmarks/ecg_reconstruction.py --data ../shared/data --ours --output docs/benchmarks/ecg_refined.md

Data: ECG_pecuzal_5d_train.npz and ECG_pecuzal_5d_test.npz, one channel at 700 Hz (PPG-DaLiA) embedded in five delays,
100,000 states each, as published with Hess et al. (ICML 2023). From a recording of your own,
`embedded(signal)` makes such states. All seeds train as replicas of one model; each runs freely from the first test
state for 1.25 times the length of the test; without its first quarter it is compared with the whole test set.

With `--ours` the models have more units and fewer hidden ones, learn from windows of 20 steps that nothing forces, 160
at a time, and go through an evolution strategy in the end.
"""

from __future__ import annotations

import argparse
import os
import platform
from pathlib import Path

import numpy as np
import torch

import funcspace as fs

RATE = 700.0
LAGS = (0, 20, 68, 55, 10)


def embedded(signal: np.ndarray, lags: tuple[int, ...] = LAGS) -> np.ndarray:
    """Delay vectors (time, lags) of a signal, standardised."""
    length = len(signal) - max(lags)
    states = np.stack([signal[lag : lag + length] for lag in lags], axis=1)
    return (states - states.mean(axis=0)) / states.std(axis=0)


def trajectory(values: np.ndarray) -> fs.Function:
    space = fs.FunctionSpace(fs.Times(0.0, 1.0 / RATE, len(values)), components=tuple(f"lag{lag}" for lag in LAGS))
    return fs.Function(space, torch.from_numpy(values.astype(np.float32)))


def anchors(test: np.ndarray, train: np.ndarray) -> list[str]:
    """Scores of the training recording and of white noise of the same covariance."""
    m = fs.dynamics.metrics
    noise = np.random.default_rng(0).multivariate_normal(test.mean(axis=0), np.cov(test.T), len(test))
    rows = []
    for name, other in (("the training recording", train), ("i.i.d. Gaussian of the same covariance", noise)):
        scores = float(m.state_space_divergence(test, other)), float(m.spectral_distance(test, other, smoothing=20.0))
        rows.append(f"| {name} | {scores[0]:.2f} | {scores[1]:.2f} | |")
    return rows


def seconds(trained: fs.dynamics.Reconstruction) -> float:
    """How long a training took, all its parts where it was stopped."""
    return float(trained.history[-1]["seconds"])


def published(train: fs.Function, a: argparse.Namespace) -> tuple[list[str], fs.dynamics.Reconstruction, float]:
    """Models by the published recipe, what it is, and the seconds that they took."""
    model = fs.dynamics.ClippedShallowPLRNN(
        5, hidden=a.hidden, observation=a.observation, replicas=a.replicas, seed=a.seed
    )
    algorithm = fs.dynamics.GeneralizedTeacherForcing(alpha=a.alpha, observation_weight=1e-7)
    trained = fs.fit(
        model, train, algorithm=algorithm, epochs=a.epochs, learning_rate=a.learning_rate,
        schedule=fs.training.ExponentialDecay(a.final_rate / a.learning_rate), seed=a.seed, progress=False,
        folder=a.folder and a.folder / "published",
    )  # fmt: skip
    recipe = [
        f"M = 5, H = {a.hidden}, {a.observation} observation, {trained.parameters:,} parameters; generalised teacher "
        "forcing with",
        f"alpha = {a.alpha:g}, windows of 200, batches of 16, {50 * a.epochs:,} updates with RAdam, "
        f"{a.learning_rate:g} to {a.final_rate:g}.",
    ]
    return recipe, trained, seconds(trained)


def ours(
    train: fs.Function, test: fs.Function, a: argparse.Namespace
) -> tuple[list[str], fs.dynamics.Reconstruction, float]:
    """Models by a recipe of our own, what it is, and the seconds that they took."""
    model = fs.dynamics.ClippedShallowPLRNN(5, 10, hidden=130, replicas=a.replicas, seed=a.seed)
    free = fs.dynamics.SparseTeacherForcing(interval=20, sequence=20, noise=0.0)
    trained = fs.fit(
        model, train, algorithm=free, epochs=a.free_epochs, batch_size=160, learning_rate=1e-2,
        schedule=fs.training.ExponentialDecay(1e-3), seed=a.seed, progress=False, folder=a.folder and a.folder / "free",
    )  # fmt: skip
    strategy = fs.dynamics.EvolutionStrategy(
        horizon=20, error_weight=a.error_weight, spread=a.spread, final=0.1 * a.spread, anneal=10 * a.refine_epochs
    )
    before = [float(np.median(scores)) for scores in trained.evaluate(test).values()]
    refined = fs.fit(
        trained.model, train, algorithm=strategy, epochs=a.refine_epochs, seed=a.seed, progress=False,
        folder=a.folder and a.folder / f"refined_{a.refine_epochs}_{a.error_weight:g}_{a.spread:g}",
    )  # fmt: skip
    recipe = [
        f"M = 10, H = 130, identity observation, {refined.parameters:,} parameters; windows of 20 steps that nothing "
        "forces, batches of",
        f"160, {5 * a.free_epochs:,} updates with RAdam, 0.01 to 1e-05, after which the medians are "
        "{:.2f}, {:.3f} and {:.2e};".format(*before),
        f"then {10 * a.refine_epochs} generations of EvolutionStrategy(horizon=20, error_weight={a.error_weight:g}, "
        f"spread={a.spread:g}, final={0.1 * a.spread:g}).",
    ]
    return recipe, refined, seconds(trained) + seconds(refined)


def main() -> None:
    """Train, score, and write the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the two files")
    parser.add_argument("--replicas", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=1000, help="of 50 updates each")
    parser.add_argument("--alpha", type=float, default=0.3)
    parser.add_argument("--hidden", type=int, default=250)
    parser.add_argument("--observation", choices=("affine", "affine-detached"), default="affine-detached")
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--final-rate", type=float, default=1e-5)
    parser.add_argument("--ours", action="store_true", help="a recipe of our own in place of the published one")
    parser.add_argument("--free-epochs", type=int, default=20_000, help="of five updates each, with --ours")
    parser.add_argument("--refine-epochs", type=int, default=6, help="of ten generations each, with --ours")
    parser.add_argument("--error-weight", type=float, default=50.0, help="with --ours")
    parser.add_argument("--spread", type=float, default=0.005, help="of the evolution strategy at first, with --ours")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="for checkpoints, from which a stopped run goes on")
    parser.add_argument("--output", type=Path)
    a = parser.parse_args()
    train, test = (np.load(a.data / f"ECG_pecuzal_5d_{name}.npz")["x"] for name in ("train", "test"))
    recipe, trained, wall = ours(trajectory(train), trajectory(test), a) if a.ours else published(trajectory(train), a)
    scores = trained.evaluate(trajectory(test))
    seen = np.median(trained.evaluate(trajectory(train))["prediction_error_20"])
    rows = np.stack([scores[name] for name in scores], axis=1)
    deviation = np.median(np.abs(rows - np.median(rows, axis=0)), axis=0)
    middle = np.median(rows, axis=0)
    lines = [
        "# ECG by clipped shallow PLRNNs" + (", refined" if a.ours else ""),
        "",
        *recipe,
        "Free runs from the first test state, 1.25 times as long as the test less the first quarter, against the",
        "100,000 test states; 30 bins in each of five dimensions, spectra smoothed with sigma 20.",
        "",
        "| replica | D_stsp | D_H | PE(20) |",
        "|---|---|---|---|",
        *(f"| {i} | {x:.2f} | {y:.3f} | {z:.2e} |" for i, (x, y, z) in enumerate(rows)),
        "| **median ± median deviation** | **{:.2f} ± {:.2f}** | **{:.3f} ± {:.3f}** | **{:.2e} ± {:.0e}** |".format(
            *np.stack([middle, deviation], axis=1).ravel()
        ),
        "| published, 2,785 parameters, 250,000 updates, median of 20 | 4.3 ± 0.6 | 0.34 ± 0.02 | 2.4e-03 ± 1e-04 |",
        f"| median on the training recording | | | {seen:.2e} |",
        *anchors(test, train),
        "",
        f"Training of all {a.replicas} together took {wall:.0f} s on "
        f"{os.cpu_count()} cores. Python {platform.python_version()}, torch {torch.__version__}, funcspace "
        f"{fs.__version__}; seed {a.seed}.",
        "",
        "    python benchmarks/ecg_reconstruction.py --data FOLDER "
        + (
            f"--ours --free-epochs {a.free_epochs} --refine-epochs {a.refine_epochs} "
            f"--error-weight {a.error_weight:g} --spread {a.spread:g}"
            if a.ours
            else f"--epochs {a.epochs} --alpha {a.alpha:g} --learning-rate {a.learning_rate:g} "
            f"--final-rate {a.final_rate:g} --observation {a.observation}"
        ),
        "",
    ]
    print("\n".join(lines))
    if a.output:
        a.output.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
