"""Anchors of the metrics of dynamics: what truth, noise, a short orbit, a Gaussian cloud and a fixed point score.

A score means something beside the scores of known orbits. Each table judges, against a true orbit: an independent
true orbit (the floor), the truth with 5 % noise added, the first tenth of the truth, independent Gaussian samples of
the same mean and covariance, and the fixed point at the mean. Orbits are standardised. D_stsp is
`state_space_divergence` with 30 bins (Gaussian mixtures of variance 1 in parentheses), D_H `spectral_distance` with
smoothing 20, VPT `valid_prediction_time` at 0.4 in Lyapunov times, the mean over windows of 1,000 samples, whose
length is the most; W is `sliced_wasserstein`, H `hausdorff_distance` (average in parentheses), MMD2
`maximum_mean_discrepancy`.

"Recordings" are the data sets of Hess et al. (ICML 2023), used in place where `--data` holds them. Beside our
numbers in the mode "reference" stand those of the authors' implementation on the same files; Gaussian samples are other
draws there (on the ECG the score of ours scatters between 9.0 and 10.0).

Run: python benchmarks/metric_anchors.py
"""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import scipy
import torch

import funcspace as fs
from funcspace.dynamics import metrics, system

# name: (samples, time step, largest exponent per unit of time)
SYSTEMS = {"Lorenz": (100_000, 0.01, 0.906), "Rossler": (100_000, 0.08, 0.0714), "Henon": (100_000, 1.0, 0.419)}

# of the authors' implementation, on their files: D_stsp by histogram and D_H
PUBLISHED: dict[str, dict[str, tuple[str, str]]] = {
    "lorenz63": {
        "with 5 % noise": ("0.12", ""),
        "first tenth": ("0.44", ""),
        "Gaussian": ("2.27", "0.88"),
        "fixed point": ("16.44", ""),
        "truth with noise as truth": ("0.69", ""),
    },
    "ECG": {
        "independent": ("0.294", "0.06"),
        "first tenth": ("0.69", ""),
        "Gaussian": ("9.68", "0.87"),
        "fixed point": ("16.90", ""),
    },
}


def generated(truth: np.ndarray, other: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """The orbits that are judged, by name."""
    rng = np.random.default_rng(seed)
    return {
        "independent": other,
        "with 5 % noise": truth + 0.05 * truth.std(axis=0) * rng.standard_normal(truth.shape),
        "first tenth": truth[: len(truth) // 10],
        "Gaussian": rng.multivariate_normal(truth.mean(axis=0), np.cov(truth.T), size=len(truth)),
        "fixed point": np.tile(truth.mean(axis=0), (len(truth), 1)),
    }


def scores(truth: np.ndarray, model: np.ndarray, dt: float, exponent: float) -> dict[str, str]:
    """One row: all metrics of one generated orbit."""
    n = min(len(truth), len(model))
    windows = n // 1000
    cut = (part[: windows * 1000].reshape(windows, 1000, -1) for part in (truth, model))
    vpt = metrics.valid_prediction_time(*cut, lyapunov=exponent, step=dt, scale=truth.std(axis=0)).mean()
    few = slice(None, None, max(1, len(model) // 20_000))
    distances = [metrics.hausdorff_distance(truth[::5], model[few], kind=kind) for kind in ("largest", "average")]
    mixture = metrics.state_space_divergence(truth, model, method="mixture")
    return {
        "D_stsp": f"{metrics.state_space_divergence(truth, model):.3f} ({mixture:.3f})",
        "D_H": f"{metrics.spectral_distance(truth, model):.3f}",
        "VPT": f"{vpt:.2f}",
        "NRMSE": f"{metrics.nrmse(truth[:n], model[:n]):.2f}",
        "sMAPE 200": f"{metrics.smape200(truth[:n], model[:n]):.0f}",
        "W": f"{metrics.sliced_wasserstein(truth, model, 50):.3f}",
        "H": f"{distances[0]:.2f} ({distances[1]:.3f})",
        "MMD2": f"{metrics.maximum_mean_discrepancy(truth, model):.3f}",
    }


def table(rows: dict[str, dict[str, str]], first: str) -> Iterator[str]:
    columns = list(next(iter(rows.values())))
    yield "| " + " | ".join([first, *columns]) + " |"
    yield "| --- |" + " --- |" * len(columns)
    for name, row in rows.items():
        yield "| " + " | ".join([name, *row.values()]) + " |"


def system_orbits(name: str, seed: int, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Two independent standardised orbits."""
    _, dt, _ = SYSTEMS[name]
    orbits = []
    for k in range(2):
        options = {} if name == "Henon" else {"dt": dt}
        orbits.append(system(name).trajectory(samples, seed=seed + k, **options).numpy())
    mean, sigma = orbits[0].mean(axis=0), orbits[0].std(axis=0)
    return (orbits[0] - mean) / sigma, (orbits[1] - mean) / sigma


def persistence(truth: np.ndarray, horizon: int) -> tuple[float, float]:
    """Prediction errors of the forecasts "as now" and "as always"."""
    mean = torch.from_numpy(truth.mean(axis=0))
    return (
        metrics.prediction_error(lambda x: x, truth, horizon),
        metrics.prediction_error(lambda x: mean.expand_as(x), truth, horizon),
    )


def recordings(folder: Path, seed: int) -> Iterator[str]:
    files = {
        "lorenz63": ("lorenz63_test.npz", "lorenz63_on0.05_train.npz"),
        "ECG": ("ECG_pecuzal_5d_test.npz", "ECG_pecuzal_5d_train.npz"),
    }
    if not all((folder / name).exists() for pair in files.values() for name in pair):
        yield f"The recordings are not in {folder}; this part was left out."
        return
    for name, (test, train) in files.items():
        truth, other = (np.load(folder / file)["x"].astype(np.float64) for file in (test, train))
        judged = generated(truth, other, seed)
        if name == "lorenz63":
            judged["with 5 % noise"] = judged.pop("independent")  # the training set carries the noise
            judged = {"independent": None, **judged}
        rows = {}
        for label, model in judged.items():
            pair = (truth[:50_000], truth[50_000:]) if model is None else (truth, model)
            ours = metrics.state_space_divergence(*pair, mode="reference")
            ratio = metrics.spectral_distance(*pair, mode="reference") if label != "fixed point" else float("nan")
            theirs = PUBLISHED[name].get(label, ("", ""))
            note = " (halves of the test set)" if model is None else ""
            rows[label + note] = {
                "D_stsp, reference mode": f"{ours:.3f}",
                "authors' implementation": theirs[0],
                "D_stsp, standard mode": f"{metrics.state_space_divergence(*pair):.3f}",
                "D_H, reference mode": f"{ratio:.3f}",
                "authors' implementation ": theirs[1],
            }
        yield f"### {name}: {len(truth):,} samples, {truth.shape[1]} components"
        yield ""
        yield from table(rows, "generated")
        yield ""
        if name == "lorenz63":
            swapped = metrics.state_space_divergence(other, truth, mode="reference")
            expected = PUBLISHED[name]["truth with noise as truth"][0]
            yield f"With the noisy set as the truth D_stsp is {swapped:.3f} (authors' implementation: {expected})."
            yield ""


def processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def report(arguments: argparse.Namespace) -> Iterator[str]:
    """The page, line by line."""
    yield "# Anchors of the metrics"
    yield ""
    yield from (__doc__ or "").split("Run:", maxsplit=1)[0].strip().splitlines()[2:]
    yield ""
    for name, (samples, dt, exponent) in SYSTEMS.items():
        samples = min(samples, arguments.samples)
        truth, other = system_orbits(name, arguments.seed, samples)
        yield f"## {name}, {samples:,} samples at dt = {dt:g}"
        yield ""
        judged = generated(truth, other, arguments.seed)
        yield from table({label: scores(truth, model, dt, exponent) for label, model in judged.items()}, "generated")
        yield ""
        if dt < 1:
            now, always = persistence(truth, 20)
            yield f"`prediction_error` over 20 steps: persistence {now:.3f}, the mean {always:.3f}."
            yield ""
    yield "## Recordings"
    yield ""
    yield from recordings(Path(arguments.data), arguments.seed)
    yield f"Seed {arguments.seed}. {processor()}, {os.cpu_count()} processors; Python {platform.python_version()},"
    yield f"funcspace {fs.__version__}, numpy {np.__version__}, scipy {scipy.__version__}, torch {torch.__version__}."
    yield ""
    yield "Regenerate with `python benchmarks/metric_anchors.py --output docs/benchmarks/metric_anchors.md`."


def main() -> None:
    """Measure, print, and write the page where one is named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--samples", type=int, default=100_000, help="most samples of an orbit of a system")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--data", default=str(Path(__file__).parents[2] / "shared" / "data"), help="folder of recordings"
    )
    parser.add_argument("--output", help="file for the page, in Markdown")
    arguments = parser.parse_args()
    lines = []
    for line in report(arguments):
        print(line, flush=True)
        lines.append(line)
    if arguments.output:
        Path(arguments.output).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
