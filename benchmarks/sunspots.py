"""Yearly sunspot numbers: models of the cycle, judged on years that they have not seen.

    pip install statsmodels && python benchmarks/sunspots.py --output docs/benchmarks/sunspots.md

The series (1700 to 2008, as shipped with statsmodels) is learned up to a year; from each later year models forecast the
next eleven from what was known then, without being trained again.
"""

from __future__ import annotations

import argparse
import platform
from pathlib import Path

import numpy as np
import torch

import funcspace as fs

HORIZONS = (1, 2, 3, 5, 8, 11)
DELAYS = 6


def series(values: np.ndarray, first: int, names: tuple[str, ...]) -> fs.Function:
    space = fs.FunctionSpace(fs.Times(float(first), 1.0, len(values), "year"), components=names)
    return fs.Function(space, torch.from_numpy(values).reshape(space.coefficient_shape), name="sunspots")


def errors(forecasts: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Root mean square errors at the horizons; forecasts (origins, 11), truth likewise with NaN beyond its end."""
    square = (forecasts - truth) ** 2
    return np.sqrt(np.nanmean(square, axis=0))[[h - 1 for h in HORIZONS]]


def main() -> None:
    """Train, forecast, and write the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--until", type=int, default=1930, help="last year of the training data")
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--replicas", type=int, default=8)
    parser.add_argument("--output", type=Path)
    a = parser.parse_args()
    from statsmodels.datasets import sunspots

    table = sunspots.load_pandas().data.to_numpy(dtype=np.float64)
    years, numbers = table[:, 0].astype(int), table[:, 1]
    roots = np.sqrt(numbers)  # of nearly constant scatter
    known = int(np.searchsorted(years, a.until)) + 1
    origins = np.arange(known - 1, len(years) - 1)
    ahead = origins[:, None] + np.arange(1, 12)
    truth = np.where(ahead < len(years), numbers[np.minimum(ahead, len(years) - 1)], np.nan)

    nvar = fs.fit(
        fs.dynamics.NVAR(observed=1, delays=9, degree=1), series(roots[:known, None], years[0], ("root",)),
        algorithm=fs.dynamics.RidgeRegression(), precision="64",
    )  # fmt: skip
    vectors = fs.dynamics.metrics.delay_embedding(roots, DELAYS)
    names = tuple(f"before{k}" for k in range(DELAYS))
    start = years[DELAYS - 1]
    recurrent = fs.fit(
        fs.dynamics.ALRNN(observed=DELAYS, latent=12, relu=3, replicas=a.replicas),
        series(vectors[: known - DELAYS + 1], start, names), epochs=a.epochs, progress=False, learning_rate=2e-3,
        algorithm=fs.dynamics.SparseTeacherForcing(interval=8, sequence=30, noise=0.1),
    )  # fmt: skip
    found: dict[str, np.ndarray] = {}
    forecasts = np.empty((2, len(origins), 11))
    for row, origin in enumerate(origins):
        history = series(roots[: origin + 1, None], years[0], ("root",))
        forecasts[0, row] = nvar.rollout(history, 11).coefficients[1:].reshape(11).numpy()
        state = series(vectors[origin - DELAYS + 1][None], years[origin], names)
        runs = recurrent.rollout(state, 11).coefficients.reshape(a.replicas, 12, DELAYS)[:, 1:, 0]
        forecasts[1, row] = runs.mean(dim=0).numpy()
    found["ALRNN, mean of the seeds"] = errors(np.maximum(forecasts[1], 0.0) ** 2, truth)
    found["NVAR, 9 years, linear"] = errors(np.maximum(forecasts[0], 0.0) ** 2, truth)
    found["eleven years before"] = errors(numbers[ahead - 11], truth)
    found["the last year"] = errors(np.repeat(numbers[origins][:, None], 11, axis=1), truth)
    found["the mean so far"] = errors(
        np.repeat(np.array([numbers[: o + 1].mean() for o in origins])[:, None], 11, axis=1), truth
    )
    lines = [
        "# Sunspots",
        "",
        f"Yearly numbers 1700 to 2008; models learn the square roots up to {a.until}, and forecast from each of the "
        f"{len(origins)} later",
        f"years. The ALRNN ({a.replicas} seeds, {recurrent.parameters} parameters each) sees {DELAYS} years at a time. "
        "Root mean square errors by",
        "how many years ahead, in sunspot numbers.",
        "",
        "| years ahead | " + " | ".join(str(h) for h in HORIZONS) + " |",
        "|---|" + "---|" * len(HORIZONS),
        *(f"| {name} | " + " | ".join(f"{e:.1f}" for e in row) + " |" for name, row in found.items()),
        "",
        f"Python {platform.python_version()}, torch {torch.__version__}, funcspace {fs.__version__}.",
        "",
        "    python benchmarks/sunspots.py",
        "",
    ]
    print("\n".join(lines))
    if a.output:
        a.output.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
