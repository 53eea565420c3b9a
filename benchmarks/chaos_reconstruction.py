"""Models of all three-dimensional flows of the database, trained as one batch.

    python benchmarks/chaos_reconstruction.py --output docs/benchmarks/chaos_reconstruction.md

Each replica of one clipped shallow PLRNN learns one system from a standardised orbit at 100 points per period, and
keeps the weights whose free run covers that orbit best. Free runs are judged against an independent orbit of the same
system, exponents against those of its equations. Forced systems, in which a phase that grows without bound is a
component, are left out: their orbits have no invariant measure.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from pathlib import Path

import numpy as np
import torch

import funcspace as fs

DYNAMICS = fs.dynamics


def orbits(name: str, length: int, seed: int) -> tuple[fs.Function, fs.Function, float]:
    """A standardised orbit to learn from, another to test on, and the true largest exponent."""
    system = DYNAMICS.system(name)
    runs = system.trajectory(length, points_per_period=100, batch=2, seed=seed, standardise=True)
    runs = fs.Function(runs.space, runs.coefficients.float(), name=name)
    return runs[0], runs[1], float(np.ravel(np.asarray(system.lyapunov_spectrum(seed=0)))[0])


def has_measure(name: str) -> bool:
    """Whether all components of a flow stay bounded, and time does not occur in its equations."""
    system = DYNAMICS.system(name)
    return not system.unbounded and not system.equations.explicit_time


def main() -> None:
    """Train, score, and write the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("systems", nargs="*", help="names; all chaotic flows of dimension 3 by default")
    parser.add_argument("--length", type=int, default=20_000)
    parser.add_argument("--hidden", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=1000, help="of 50 updates each")
    parser.add_argument("--alpha", type=float, default=0.2)
    parser.add_argument("--noise", type=float, default=0.0, help="on windows, in standard deviations")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path)
    a = parser.parse_args()
    chaotic = list(DYNAMICS.systems("flow", dimension=3, kind_of="chaotic"))
    names = a.systems or [name for name in chaotic if has_measure(name)]
    left_out = [name for name in chaotic if name not in names]
    data = {name: orbits(name, a.length, a.seed) for name in names}
    model = DYNAMICS.ClippedShallowPLRNN(3, hidden=a.hidden, replicas=len(names), seed=a.seed)
    started, cpu = time.perf_counter(), time.process_time()
    train = DYNAMICS.PerReplica([train for train, _, _ in data.values()])
    trained = fs.fit(
        model, train, validation=train, validate_every=max(1, a.epochs // 30), epochs=a.epochs, seed=a.seed,
        algorithm=DYNAMICS.GeneralizedTeacherForcing(alpha=a.alpha, noise=a.noise), learning_rate=4e-3,
        schedule=fs.training.ExponentialDecay(0.05), progress=False,
    )  # fmt: skip
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    scores = trained.evaluate(DYNAMICS.PerReplica([test for _, test, _ in data.values()]))
    exponents = trained.lyapunov_spectrum(count=1).value[:, 0]
    rows = []
    for i, (name, (seen, test, true)) in enumerate(data.items()):
        floor = float(
            DYNAMICS.metrics.state_space_divergence(test.coefficients.numpy(), seen.coefficients.numpy(), bins=30)
        )
        found = scores["state_space_divergence"][i], scores["spectral_distance"][i], exponents[i]
        rows.append((name, *found, true, floor))
    failed = [row[0] for row in rows if not row[1] < 5.0]
    regular = [row[0] for row in rows if not row[3] > 0.0]
    near = [row[0] for row in rows if abs(row[3] - row[4]) <= 0.2 * abs(row[4])]
    d = np.array([row[1] for row in rows])
    lines = [
        "# All chaotic three-dimensional flows as one batch",
        "",
        f"{len(names)} systems; left out are those with a phase that grows without bound: "
        f"{', '.join(left_out) or 'none'}.",
        f"Clipped shallow PLRNNs with {a.hidden} hidden units, generalised teacher forcing with",
        f"alpha = {a.alpha:g}, {50 * a.epochs:,} updates on windows of 200 of {a.length:,} standardised states at",
        "100 per period. D_stsp with 30 bins, free runs of 1.25 times the length without the first quarter; the floor",
        "is the divergence between the two true orbits.",
        f"Training of all took {wall:.0f} s ({cpu:.0f} s of processor time) on {os.cpu_count()} cores, "
        f"{1e3 * cpu / len(names) / (50 * a.epochs):.3f} ms",
        "per model and update.",
        "",
        f"Median D_stsp {np.median(d):.2f}; D_stsp below 1 for {int((d < 1).sum())}, 5 or more (lost) for "
        f"{len(failed)}: {', '.join(failed) or 'none'}.",
        f"Exponent within 20 % of the truth for {len(near)}, not positive for {len(regular)}: "
        f"{', '.join(regular) or 'none'}.",
        "",
        "| system | D_stsp | floor | D_H | exponent | true |",
        "|---|---|---|---|---|---|",
        *(f"| {n} | {x:.2f} | {z:.2f} | {y:.3f} | {e:.3g} | {t:.3g} |" for n, x, y, e, t, z in rows),
        "",
        f"Python {platform.python_version()}, torch {torch.__version__}, funcspace {fs.__version__}; seed {a.seed}.",
        "",
        f"    python benchmarks/chaos_reconstruction.py --epochs {a.epochs} --length {a.length} --alpha {a.alpha:g}",
        "",
    ]
    print("\n".join(lines))
    if a.output:
        a.output.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
