"""What almost-linear RNNs make of Lorenz-63 and Rössler: regions, transitions, fixed points; how many ReLUs it takes.

    python benchmarks/al_rnn_topology.py --output docs/benchmarks/al_rnn_topology.md

All seeds of a setting train as replicas of one model by sparse teacher forcing on windows of a standardised orbit with
noise; each replica keeps the weights of its best state-space divergence on the training orbit, without its transient
(the protocol of Brenner, Hemmer, Monfared, Durstewitz, NeurIPS 2024, but for the transient), or, trained a second time
against rare regions, of the best among its minimal ones. These then go through an evolution strategy. Scores are
against an independent orbit.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import funcspace as fs

DYNAMICS = fs.dynamics
ROSSLER = {"a": 0.2, "b": 0.2, "c": 5.7}


def orbits(name: str, length: int) -> tuple[fs.Function, fs.Function, float]:
    """Two independent standardised orbits and the true largest exponent."""
    if name == "Lorenz":
        system, step = DYNAMICS.system("Lorenz").with_parameters(beta=8 / 3), 0.01
    else:
        system, step = DYNAMICS.system("Rossler").with_parameters(**ROSSLER), 0.08
    runs = system.trajectory(length, dt=step, batch=2, seed=0, standardise=True)
    return runs[0], runs[1], float(np.ravel(np.asarray(system.lyapunov_spectrum(seed=0)))[0])


def recipe(name: str, epochs: int, a: argparse.Namespace) -> dict[str, Any]:
    """How all replicas of one system train."""
    given = (a.interval, 200, 0.05, a.learning_rate) if name == "Lorenz" else (50, 300, 0.02, 5e-3)
    interval, sequence, noise, rate = given
    return {
        "algorithm": DYNAMICS.SparseTeacherForcing(interval=interval, sequence=sequence, noise=noise),
        "epochs": epochs, "validate_every": max(1, epochs // a.validations), "learning_rate": rate,
        "schedule": fs.training.ExponentialDecay(a.final_rate / rate), "seed": a.seed, "progress": False,
    }  # fmt: skip


def trained(name: str, relu: int, train: fs.Function, a: argparse.Namespace) -> fs.dynamics.Reconstruction:
    """All replicas of one setting."""
    model = DYNAMICS.ALRNN(observed=3, latent=20, relu=relu, replicas=a.replicas, seed=a.seed)
    return fs.fit(model, train, validation=train, **recipe(name, a.epochs, a))


def pruned(train: fs.Function, a: argparse.Namespace) -> fs.dynamics.Reconstruction:
    """Models of Lorenz-63 trained twice, the second time against rare regions; each keeps its best minimal weights."""
    settings: dict[str, Any] = {"interval": a.prune_interval, "noise": a.prune_noise}
    forcing = DYNAMICS.SparseTeacherForcing
    model = DYNAMICS.ALRNN(observed=3, latent=20, relu=2, replicas=a.replicas, seed=a.seed)
    options: dict[str, Any] = recipe("Lorenz", a.prune_from, a) | {"algorithm": forcing(**settings)}
    first = fs.fit(model, train, **options)

    def topology(single: fs.dynamics.Reconstruction) -> float:
        found = described(single, train, a.length // 3)
        if not minimal(found):
            return 100.0 if (found["regions"], found["transitions"]) == (3, 7) else 200.0
        return float(single.evaluate(train)["state_space_divergence"])

    penalised = forcing(**settings, region_weight=a.region_weight, rare=0.06, scores={"topology": topology})
    options = recipe("Lorenz", a.prune_epochs, a) | {"algorithm": penalised, "learning_rate": 3e-3}
    options |= {"schedule": fs.training.ExponentialDecay(a.final_rate / 3e-3)}
    options |= {"validate_every": max(1, a.prune_epochs // a.prune_validations)}
    return fs.fit(first.model, train, validation=train, monitor="topology", **options)


def refined(model: fs.dynamics.Reconstruction, train: fs.Function, a: argparse.Namespace) -> fs.dynamics.Reconstruction:
    """Models moved onto the invariant measure of the training orbit, their topology kept."""
    strategy = DYNAMICS.EvolutionStrategy(keep_topology=True, anneal=10 * a.refine_epochs)
    return fs.fit(model.model, train, algorithm=strategy, epochs=a.refine_epochs, seed=a.seed, progress=False)


def described(single: fs.dynamics.Reconstruction, test: fs.Function, steps: int) -> dict[str, Any]:
    """Regions, transitions and fixed points of one model on its own attractor; no region where it has none."""
    points = [point for point in single.model.fixed_points() if point.admissible]
    found: dict[str, Any] = {
        "regions": 0, "transitions": 0, "least": float("nan"), "points": points,
        "kinds": ", ".join(f"{p.kind} {abs(p.multipliers[0]):.4f}" for p in points) or "none",
    }  # fmt: skip
    try:
        code = single.model.symbolic_code(test, steps=steps, transient=steps // 4)
    except fs.InputError:  # the free run is not bounded
        return found
    return {
        **found, "regions": code.symbols, "transitions": int(code.graph.sum()), "least": float(code.occupancy.min()),
    }  # fmt: skip


def minimal(found: dict[str, Any]) -> bool:
    """Whether a model of Lorenz-63 has the minimal topology: one real saddle between two weakly unstable spirals."""
    points = found["points"]
    real = [p for p in points if p.unstable == 1 and abs(p.multipliers[0].imag) < 1e-9]
    spirals = [p for p in points if p.unstable == 2 and abs(p.multipliers[0].imag) > 1e-9]
    return (found["regions"], found["transitions"], len(real), len(spirals), len(points)) == (3, 7, 1, 2, 3)


def lorenz(a: argparse.Namespace) -> list[str]:
    """The tables of replicas with two ReLUs, as they are and pruned."""
    train, test, exponent = orbits("Lorenz", a.length)
    started = time.perf_counter()
    lines = lorenz_table("as they are", trained("Lorenz", 2, train, a), test, exponent, started, a)
    started = time.perf_counter()
    model = pruned(train, a)
    title = (
        f"{50 * a.prune_from:,} updates forced every {a.prune_interval}th step with {100 * a.prune_noise:g} % noise, "
        f"then {50 * a.prune_epochs:,} with region_weight {a.region_weight:g}"
    )
    lines += lorenz_table(title, model, test, exponent, started, a)
    started = time.perf_counter()
    title = f"these after {10 * a.refine_epochs} generations of `EvolutionStrategy(keep_topology=True)`"
    return lines + lorenz_table(title, refined(model, train, a), test, exponent, started, a)


def lorenz_table(
    title: str, model: fs.dynamics.Reconstruction, test: fs.Function, exponent: float, started: float,
    a: argparse.Namespace,
) -> list[str]:  # fmt: skip
    """Scores and topology of each replica."""
    wall = time.perf_counter() - started
    scores = model.evaluate(test)
    exponents = model.lyapunov_spectrum(initial=test[:1], count=1).value[:, 0]
    lines = [
        f"## Lorenz-63, 20 units, two ReLUs, {title}",
        "",
        "| seed | regions | least time in one | transitions | fixed points (admissible), largest "
        "multiplier | minimal | D_stsp | D_H | PE(20) | exponent |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    count = 0
    for i in range(a.replicas):
        found = described(model.replica(i), test, a.length)
        count += minimal(found)
        lines.append(
            f"| {i} | {found['regions']} | {100 * found['least']:.2f} % | {found['transitions']} | {found['kinds']} | "
            f"{'yes' if minimal(found) else 'no'} | {scores['state_space_divergence'][i]:.2f} | "
            f"{scores['spectral_distance'][i]:.3f} | {scores['prediction_error_20'][i]:.4f} | {exponents[i]:.3f} |"
        )
    middle = [float(np.nanmedian(v)) for v in (*scores.values(), exponents)]
    return [
        *lines,
        f"| **median** | | | | | **{count} of {a.replicas}** | **{middle[0]:.2f}** | **{middle[1]:.3f}** | "
        f"**{middle[2]:.4f}** | **{middle[3]:.3f}** |",
        "| truth | | | | multipliers of the flow: saddle 1.1256, spirals 1.0009 | | 0.03 to 0.06 | 0.05 | 0 | "
        f"{exponent:.3f} |",
        "| i.i.d. Gaussian | | | | | | 2.27 | 0.88 | 2.0 | |",
        "| the authors' shipped model | 3 | 30 % | 7 | saddle 1.0907, spirals 1.0023, 1.0009 | yes | 3.27 | 0.295 | | "
        "0.972 |",
        "",
        f"Training took {wall:.0f} s for all {a.replicas}.",
        "",
    ]


def front(a: argparse.Namespace) -> list[str]:
    """Scores against the number of ReLUs."""
    train, test, _ = orbits("Lorenz", a.length)
    choice = DYNAMICS.choose_relu(
        train, latent=20, candidates=a.front, seeds=a.replicas, validation=train, test=test, steps=a.length,
        **recipe("Lorenz", a.front_epochs, a),
    )  # fmt: skip
    rows = zip(choice.relu, choice.divergence, choice.spectral, choice.regions, choice.error, strict=True)
    return [
        "## How many ReLUs",
        "",
        f"`choose_relu`, {a.replicas} seeds of {50 * a.front_epochs:,} updates each: medians, in brackets the best.",
        f"The best median is that of P = {choice.best}; by the one-standard-error rule P = {choice.knee} is enough.",
        "",
        "| ReLUs | D_stsp | standard error | D_H | regions visited |",
        "|---|---|---|---|---|",
        *(
            f"| {p} | {np.median(d):.2f} ({d.min():.2f}) | {e:.2f} | {np.median(h):.3f} ({h.min():.3f}) | "
            f"{np.median(r):g} of {2**p} |"
            for p, d, h, r, e in rows
        ),
        "",
    ]


def rossler(a: argparse.Namespace) -> list[str]:
    """The table of replicas with one ReLU."""
    train, test, exponent = orbits("Rossler", a.length)
    true = rossler_multiplier()
    model = trained("Rossler", 1, train, a)
    scores, exponents = model.evaluate(test), model.lyapunov_spectrum(initial=test[:1], count=1).value[:, 0]
    lines = [
        "## Rössler (0.2, 0.2, 5.7) at steps of 0.08, 20 units, one ReLU",
        "",
        f"The focus that the orbit winds around has the multiplier {true:.5f} over a step.",
        "",
        "| seed | regions | spiral's multiplier | off by | D_stsp | D_H | exponent |",
        "|---|---|---|---|---|---|---|",
    ]
    for i in range(a.replicas):
        found = described(model.replica(i), test, a.length)
        sizes = [abs(p.multipliers[0]) for p in found["points"] if abs(p.multipliers[0].imag) > 1e-9]
        nearest = min(sizes, key=lambda size: abs(size - true), default=float("nan"))
        lines.append(
            f"| {i} | {found['regions']} | {nearest:.5f} | {100 * abs(nearest / true - 1):.3f} % | "
            f"{scores['state_space_divergence'][i]:.2f} | {scores['spectral_distance'][i]:.3f} | {exponents[i]:.4f} |"
        )
    return [*lines, f"| truth | 2 | {true:.5f} | | | | {exponent:.4f} |", ""]


def rossler_multiplier(step: float = 0.08) -> float:
    """|exp(eigenvalue step)| at the inner focus of the flow."""
    a, b, c = ROSSLER["a"], ROSSLER["b"], ROSSLER["c"]
    z = (c - np.sqrt(c * c - 4 * a * b)) / (2 * a)
    jacobian = np.array([[0.0, -1.0, -1.0], [1.0, a, 0.0], [z, 0.0, a * z - c]])
    values = np.linalg.eigvals(jacobian)
    return float(np.exp(step * values[np.abs(values.imag) > 1e-9].real.max()))


def main() -> None:
    """Train, read the models, and write the tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicas", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=800, help="of 50 updates each")
    parser.add_argument("--length", type=int, default=100_000)
    parser.add_argument("--learning-rate", type=float, default=4e-3)
    parser.add_argument("--final-rate", type=float, default=2e-4)
    parser.add_argument("--validations", type=int, default=30)
    parser.add_argument("--interval", type=int, default=10, help="of forcing, for Lorenz-63")
    parser.add_argument("--prune-from", type=int, default=300, help="epochs before the second training")
    parser.add_argument("--prune-interval", type=int, default=16, help="of forcing in both trainings")
    parser.add_argument("--prune-noise", type=float, default=0.02, help="in both trainings")
    parser.add_argument("--prune-epochs", type=int, default=300, help="epochs of the second training")
    parser.add_argument("--prune-validations", type=int, default=60)
    parser.add_argument("--refine-epochs", type=int, default=10, help="of ten generations each")
    parser.add_argument("--region-weight", type=float, default=0.03)
    parser.add_argument("--front-epochs", type=int, default=300)
    parser.add_argument("--front", type=int, nargs="*", default=[0, 1, 2, 3, 4], help="numbers of ReLUs to compare")
    parser.add_argument("--only", choices=("lorenz", "front", "rossler"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path)
    a = parser.parse_args()
    parts = {"lorenz": lorenz, "front": front, "rossler": rossler}
    lines = [
        "# Topology found by almost-linear RNNs",
        "",
        f"{a.replicas} seeds as replicas of one model; {50 * a.epochs:,} updates with RAdam on windows of 200 steps",
        f"(300 for Rössler), batches of 16, 5 % noise (2 %); forcing every {a.interval}th step (50th). Each replica "
        "keeps its",
        f"best weights by the divergence on the training orbit of {a.length:,} states, in the second training those of "
        "the",
        "best minimal model; scores against an independent orbit, 30 bins, spectra smoothed with sigma 20. Regions and",
        "transitions are those of a free run of as many steps, after a quarter as many to settle.",
        "",
    ]
    for name, part in parts.items():
        if a.only in (None, name):
            lines += part(a)
    lines += [
        f"{os.cpu_count()} cores, {platform.machine()}; Python {platform.python_version()}, torch {torch.__version__}, "
        f"funcspace {fs.__version__}; seed {a.seed}.",
        "",
        f"    python benchmarks/al_rnn_topology.py --epochs {a.epochs} --learning-rate {a.learning_rate:g} "
        f"--final-rate {a.final_rate:g}",
        "",
    ]
    print("\n".join(lines))
    if a.output:
        a.output.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
