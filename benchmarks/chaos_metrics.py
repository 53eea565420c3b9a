"""Speed of the metrics and invariants of dynamics beside plain NumPy, PyTorch, dysts and nolds, on one core.

Every row runs ours and the peer on the same numbers in the same process, in turn; times are the best of `--repeats`
runs after a first one that compiles (the peer's slowest rows run once). "values" are what both return. Lorenz-63 is
sampled 0.1 apart for dimensions, 0.01 apart otherwise. nolds is optional; its rows are left out where it is missing.

The spectra are those of maps in PyTorch: a clipped shallow PLRNN (3 states, 50 hidden) and a dense piecewise-linear
map of 20 states with random weights. The peer is what is commonly written: one Jacobian by autograd and one QR
decomposition for each step.

Run: OMP_NUM_THREADS=1 python benchmarks/chaos_metrics.py
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numba
import numpy as np
import scipy
import torch

from funcspace.dynamics import metrics, system

HAVE_NOLDS = importlib.util.find_spec("nolds") is not None


class ShallowMap(torch.nn.Module):
    """z -> A z + W1 [relu(W2 z + h2) - relu(W2 z)] + h1 with random weights."""

    def __init__(self, states: int, hidden: int, seed: int) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(seed)
        self.a = torch.nn.Parameter(0.5 + 0.4 * torch.rand(states, generator=g))
        self.w1 = torch.nn.Parameter(torch.randn(states, hidden, generator=g) / hidden**0.5)
        self.w2 = torch.nn.Parameter(2.0 * torch.randn(hidden, states, generator=g) / states**0.5)
        self.h1 = torch.nn.Parameter(0.3 * torch.randn(states, generator=g))
        self.h2 = torch.nn.Parameter(torch.randn(hidden, generator=g))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        u = z @ self.w2.T
        return self.a * z + (torch.relu(u + self.h2) - torch.relu(u)) @ self.w1.T + self.h1


class DenseMap(torch.nn.Module):
    """z -> A z + W relu(z) + h with random weights."""

    def __init__(self, states: int, seed: int) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(seed)
        self.a = torch.nn.Parameter(0.5 * torch.rand(states, generator=g))
        self.w = torch.nn.Parameter(0.9 * torch.randn(states, states, generator=g) / states**0.5)
        self.h = torch.nn.Parameter(torch.randn(states, generator=g))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.a * z + torch.relu(z) @ self.w.T + self.h


def best(action: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    shortest, result = float("inf"), None
    for _ in range(repeats):
        start = time.perf_counter()
        result = action()
        shortest = min(shortest, time.perf_counter() - start)
    return shortest, result


def in_turn(ours: Callable[[], Any], peer: Callable[[], Any], repeats: int, peer_repeats: int) -> tuple[Any, ...]:
    """Best times and results of both, run alternately; ours once before, to compile."""
    ours()
    mine, theirs = [], []
    for k in range(max(repeats, peer_repeats)):
        if k < repeats:
            mine.append(best(ours, 1))
        if k < peer_repeats:
            theirs.append(best(peer, 1))
    return min(t for t, _ in mine), mine[-1][1], min(t for t, _ in theirs), theirs[-1][1]


def numpy_divergence(true: np.ndarray, generated: np.ndarray) -> float:
    """The definition with numpy.histogramdd."""
    sigma = true.std(axis=0)
    edges = [np.linspace(a, b, 31) for a, b in zip(true.min(0) - 0.1 * sigma, true.max(0) + 0.1 * sigma, strict=True)]
    p, q = (np.histogramdd(x, edges)[0] + 1e-5 for x in (true, generated))
    p, q = p / p.sum(), q / q.sum()
    return float((p * np.log(p / q)).sum())


def scipy_dimension(points: np.ndarray) -> float:
    """Slope of the correlation sum by scipy's two-tree counting, over the radii that ours chose."""
    from scipy.spatial import cKDTree

    scaled = points / points.std(axis=0)
    radii = np.geomspace(0.03, 0.4, 12)
    counts = cKDTree(scaled).count_neighbors(cKDTree(scaled), radii) - len(points)
    return float(np.polyfit(np.log(radii), np.log(counts), 1)[0])


def torch_spectrum(model: torch.nn.Module, initial: torch.Tensor, steps: int) -> np.ndarray:
    """One autograd Jacobian and one QR decomposition per step."""
    z, q = initial, torch.eye(len(initial))
    total = torch.zeros(len(initial))
    for _ in range(steps):
        jacobian = torch.autograd.functional.jacobian(model, z)
        with torch.no_grad():
            z = model(z)
            q, r = torch.linalg.qr(jacobian @ q)
            total += r.diagonal().abs().log()
    return (total / steps).numpy()


Row = tuple[str, str, Callable[[], Any], Callable[[], Any], int]


def rows(arguments: argparse.Namespace) -> Iterator[Row]:
    """What is measured: name, peer, ours, theirs, and how often the peer runs."""
    from dysts.analysis import gp_dim, max_lyapunov_exponent_rosenstein
    from dysts.metrics import estimate_kl_divergence

    lorenz = system("Lorenz")
    fine = [lorenz.trajectory(100_000, dt=0.01, seed=k).numpy() for k in range(2)]
    fine = [(x - fine[0].mean(0)) / fine[0].std(0) for x in fine]
    coarse = lorenz.trajectory(arguments.points, dt=0.1, seed=0).numpy()
    coarse = (coarse - coarse.mean(0)) / coarse.std(0)
    few = slice(0, 3000)
    yield (
        "state_space_divergence, 100,000 samples, 30 bins",
        "numpy.histogramdd",
        lambda: metrics.state_space_divergence(*fine),
        lambda: numpy_divergence(*fine),
        arguments.repeats,
    )
    short = [x[:: len(x) // 2000][:2000] for x in fine]
    yield (
        "the same by mixtures, 2,000 samples, 1,000 draws",
        "dysts estimate_kl_divergence",
        lambda: metrics.state_space_divergence(*short, method="mixture"),
        lambda: estimate_kl_divergence(*short, n_samples=1000, sigma_scale=1.0),
        1,
    )
    yield (
        f"correlation_dimension, {arguments.points:,} samples",
        "scipy count_neighbors",
        lambda: float(metrics.correlation_dimension(coarse)),
        lambda: scipy_dimension(coarse),
        1,
    )
    yield (
        "correlation_dimension, 3,000 samples",
        "dysts gp_dim",
        lambda: float(metrics.correlation_dimension(coarse[few])),
        lambda: float(gp_dim(coarse[few])),
        1,
    )
    series = fine[0][:40_000:10]
    yield (
        "rosenstein_exponent, 4,000 states 0.1 apart",
        "dysts (after nolds)",
        lambda: float(metrics.rosenstein_exponent(series, step=0.1)),
        lambda: max_lyapunov_exponent_rosenstein(series, tau=0.1, trajectory_len=40),
        1,
    )
    if HAVE_NOLDS:
        import nolds

        yield (
            "correlation_dimension, 3,000 samples, x embedded in 5",
            "nolds corr_dim",
            lambda: float(metrics.correlation_dimension(metrics.delay_embedding(coarse[few, 0], 5, 1))),
            lambda: nolds.corr_dim(coarse[few, 0], 5),
            1,
        )
        yield (
            "sample_entropy, 3,000 samples",
            "nolds sampen",
            lambda: metrics.sample_entropy(coarse[few, 0]),
            lambda: nolds.sampen(coarse[few, 0]),
            1,
        )
    for name, model in (
        ("shallow PLRNN, 3 states", ShallowMap(3, 50, arguments.seed)),
        ("dense PLRNN, 20 states", DenseMap(20, arguments.seed)),
    ):
        start = torch.zeros(model.a.shape[0])
        yield (
            f"lyapunov_spectrum, {name}, {arguments.steps:,} steps",
            "autograd Jacobian and QR per step",
            lambda model=model, start=start: metrics.lyapunov_spectrum(model, start, arguments.steps)[0],
            lambda model=model, start=start: float(torch_spectrum(model, start, arguments.steps).max()),
            1,
        )


def processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def seconds(t: float) -> str:
    return f"{1e3 * t:.3g} ms" if t < 1 else f"{t:.3g} s"


def report(arguments: argparse.Namespace) -> Iterator[str]:
    """The page, line by line as its rows are measured."""
    yield "# Metrics and invariants of dynamics: speed"
    yield ""
    yield from (__doc__ or "").split("Run:", maxsplit=1)[0].strip().splitlines()[2:]
    yield ""
    yield "| what | ours | peer | its time | ratio | values |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name, peer, ours, theirs, peer_repeats in rows(arguments):
        mine, value, other, reference = in_turn(ours, theirs, arguments.repeats, peer_repeats)
        values = f"{float(value):.3g}, {float(np.asarray(reference).flat[0]):.3g}"
        yield f"| {name} | {seconds(mine)} | {peer} | {seconds(other)} | {other / mine:.0f} | {values} |"
    yield ""
    peers = f"dysts {version('dysts')}" + (f", nolds {version('nolds')}" if HAVE_NOLDS else "")
    yield f"Seed {arguments.seed}; best of {arguments.repeats}, one thread. {processor()},"
    yield f"{os.cpu_count()} processors (mean load {os.getloadavg()[1]:.1f}); Python {platform.python_version()},"
    yield f"numpy {np.__version__}, scipy {scipy.__version__}, numba {numba.__version__},"
    yield f"torch {torch.__version__}, {peers}."
    yield ""
    command = "python benchmarks/chaos_metrics.py --output docs/benchmarks/chaos_metrics.md"
    yield f"Regenerate with `OMP_NUM_THREADS=1 {command}`."


def main() -> None:
    """Measure, print, and write the page where one is named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--points", type=int, default=20_000, help="samples for the correlation dimension")
    parser.add_argument("--steps", type=int, default=5_000, help="steps of the spectra")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", help="file for the page, in Markdown")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # the peers' own
    lines = []
    for line in report(arguments):
        print(line, flush=True)
        lines.append(line)
    if arguments.output:
        Path(arguments.output).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
