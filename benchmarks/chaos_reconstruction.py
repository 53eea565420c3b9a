"""Models of all three-dimensional flows of the database, trained in one command.

    python benchmarks/chaos_reconstruction.py --output docs/benchmarks/chaos_reconstruction.md

Each replica of one clipped shallow PLRNN learns one system from a standardised orbit at 100 points per period, and
keeps the weights whose free run covers that orbit best. Free runs are judged against an independent orbit of the same
system, exponents against those of its equations. Phases that grow without bound have no invariant measure: their cosine
and sine take their place.
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
    runs = system.trajectory(length, points_per_period=100, batch=2, seed=seed, standardise=not system.unbounded)
    if system.unbounded:
        runs = wound_up(runs, system)
    runs = fs.Function(runs.space, runs.coefficients.float(), name=name)
    return runs[0], runs[1], float(np.ravel(np.asarray(system.lyapunov_spectrum(seed=0)))[0])


def wound_up(runs: fs.Function, system: fs.dynamics.System) -> fs.Function:
    """Orbits with the cosine and sine of each phase in its place, standardised by the first of them.

    Phases are angles, but for the last component of systems with a period tau of their own.
    """
    values, columns = runs.coefficients, {}
    for i, name in enumerate(runs.space.components):
        if i in system.unbounded:
            period = system.parameters["tau"] if i == 2 and "tau" in system.parameters else 2.0 * np.pi
            angle = 2.0 * np.pi / float(period) * values[..., i]
            columns |= {f"cos {name}": angle.cos(), f"sin {name}": angle.sin()}
        else:
            columns[name] = values[..., i]
    states = torch.stack(list(columns.values()), dim=-1)
    states = (states - states[0].mean(dim=0)) / states[0].std(dim=0)
    return fs.Function(fs.FunctionSpace(runs.space.domain, components=tuple(columns)), states)


def reconstructed(names: list[str], a: argparse.Namespace) -> list[tuple[str, float, float, float, float, float]]:
    """Scores of one batch of systems of one number of components."""
    data = {name: orbits(name, a.length, a.seed) for name in names}
    observed = len(data[names[0]][0].space.components)
    model = DYNAMICS.ClippedShallowPLRNN(observed, hidden=a.hidden, replicas=len(names), seed=a.seed)
    train = DYNAMICS.PerReplica([train for train, _, _ in data.values()])
    trained = fs.fit(
        model, train, validation=train, validate_every=max(1, a.epochs // 30), epochs=a.epochs, seed=a.seed,
        algorithm=DYNAMICS.GeneralizedTeacherForcing(alpha=a.alpha, noise=a.noise), learning_rate=4e-3,
        schedule=fs.training.ExponentialDecay(0.05), progress=False,
    )  # fmt: skip
    scores = trained.evaluate(DYNAMICS.PerReplica([test for _, test, _ in data.values()]))
    exponents = trained.lyapunov_spectrum(count=1).value[:, 0]
    rows = []
    for i, (name, (seen, test, true)) in enumerate(data.items()):
        floor = float(
            DYNAMICS.metrics.state_space_divergence(test.coefficients.numpy(), seen.coefficients.numpy(), bins=30)
        )
        rows.append(
            (name, scores["state_space_divergence"][i], scores["spectral_distance"][i], exponents[i], true, floor)
        )
    return rows


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
    names = a.systems or list(DYNAMICS.systems("flow", dimension=3, kind_of="chaotic"))
    phases = {name: len(DYNAMICS.system(name).unbounded) for name in names}
    started, cpu = time.perf_counter(), time.process_time()
    rows = []
    for count in sorted(set(phases.values())):
        rows += reconstructed([name for name in names if phases[name] == count], a)
    rows.sort()
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    forced = [name for name in names if phases[name]]
    many = [row[0] for row in rows if not row[5] < 5.0]
    failed = [row[0] for row in rows if not row[1] < 5.0 and row[0] not in many]
    regular = [row[0] for row in rows if not row[3] > 0.0]
    near = [row[0] for row in rows if abs(row[3] - row[4]) <= 0.2 * abs(row[4])]
    d = np.array([row[1] for row in rows])
    lines = [
        "# All chaotic three-dimensional flows by one command",
        "",
        f"{len(names)} systems. Phases that grow without bound have their cosine and sine in their place, in "
        f"{', '.join(forced) or 'none'};",
        "a batch holds all systems with as many components.",
        f"Clipped shallow PLRNNs with {a.hidden} hidden units, generalised teacher forcing with",
        f"alpha = {a.alpha:g}, {50 * a.epochs:,} updates on windows of 200 of {a.length:,} standardised states at",
        "100 per period. D_stsp with 30 bins, free runs of 1.25 times the length without the first quarter; the floor",
        "is the divergence between the two true orbits.",
        f"All of it, exponents included, took {wall:.0f} s ({cpu:.0f} s of processor time) on {os.cpu_count()} cores, "
        f"{1e3 * cpu / len(names) / (50 * a.epochs):.3f} ms",
        "per model and update.",
        "",
        f"Median D_stsp {np.median(d):.2f}; D_stsp below 1 for {int((d < 1).sum())}, 5 or more (lost) for "
        f"{len(failed)}: {', '.join(failed) or 'none'};",
        f"not counted there, two true orbits are as far apart for {', '.join(many) or 'none'}.",
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
