"""From the name of a chaotic system to a model of it: train, generate, compare, read its symbols."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from funcspace.atomic_write import atomic_file
from funcspace.optional import require
from funcspace.training import ExponentialDecay, fit, load

__all__ = ["run_lorenz_demo"]

STEP = 0.01
REPLICAS = 4


def run_lorenz_demo(
    output: Path, *, seconds: float = 95.0, seed: int = 0, progress: bool | None = None
) -> dict[str, Any]:
    """Run the demo and write `scores.json`, `attractor.png` and the models `lorenz/` and `symbols/` into `output`.

    Two models learn the Lorenz system from 50,000 states, each as four replicas. Each replica keeps the weights whose
    free run does best on what it learned from, and the best replica stays: a clipped shallow PLRNN, whose free run is
    shown and scored, and an almost-linear RNN of two ReLUs, whose few linear regions are symbols.

    Parameters
    ----------
    seconds : training time of both together.

    Returns
    -------
    dict
        Scores of a free run against an independent true orbit, exponents, numbers of regions and transitions.
    """
    from rich.console import Console

    from funcspace.dynamics import (
        ALRNN,
        ClippedShallowPLRNN,
        GeneralizedTeacherForcing,
        SparseTeacherForcing,
        metrics,
        system,
    )

    console = Console()
    output.mkdir(parents=True, exist_ok=True)
    lorenz = system("Lorenz")
    orbits = lorenz.trajectory(50_000, dt=STEP, batch=2, seed=seed)
    train, test = orbits[0], orbits[1]
    console.print(f"{lorenz!r}: two orbits of 50,000 states, {STEP:g} apart")
    shallow = ClippedShallowPLRNN(3, hidden=50, replicas=REPLICAS, seed=seed)
    almost_linear = ALRNN(observed=3, latent=20, relu=2, replicas=REPLICAS, seed=seed)
    learned = {}
    for name, model, algorithm, share in (
        ("lorenz", shallow, GeneralizedTeacherForcing(alpha=0.1), 0.45),
        ("symbols", almost_linear, SparseTeacherForcing(interval=10), 0.55),
    ):
        console.print(f"training {REPLICAS} x {type(model).__name__} for {share * seconds:.0f} s")
        several = fit(
            model, train, validation=train, validate_every=20, algorithm=algorithm, epochs=100_000,
            seconds=share * seconds, learning_rate=4e-3, schedule=ExponentialDecay(0.05), seed=seed, progress=progress,
        )  # fmt: skip
        best = int(np.argmin(several.evaluate(train)["state_space_divergence"]))
        several.replica(best).save(output / name)
        learned[name] = load(output / name)
    reconstruction, symbols = learned["lorenz"], learned["symbols"]
    run = reconstruction.rollout(test[:1], 60_000)
    generated = run.coefficients[10_001:].reshape(50_000, 3)
    code = symbols.model.symbolic_code(test, steps=50_000, transient=10_000)
    true = test.coefficients.reshape(50_000, 3)
    points = [point for point in symbols.model.fixed_points() if point.admissible]
    scores = {
        "state_space_divergence": float(metrics.state_space_divergence(true, generated)),
        "spectral_distance": float(metrics.spectral_distance(true, generated)),
        "largest_exponent": reconstruction.lyapunov_spectrum(initial=test[:1], count=1)[0],
        "true_largest_exponent": lorenz.largest_exponent,
        "regions": code.symbols,
        "transitions": int(code.graph.sum()),
        "admissible_fixed_points": len(points),
        "updates": reconstruction.history[-1]["step"],
    }
    for name, value in scores.items():
        console.print(f"{name.replace('_', ' '):>26}  {value:.4g}")
    for point in points:
        console.print(f"{'':>26}  {point!r}")
    with atomic_file(output / "scores.json") as temporary:
        temporary.write_text(json.dumps(scores, indent=1))
    figure = _picture(true.numpy(), generated.numpy(), code)
    with atomic_file(output / "attractor.png") as temporary:
        figure.savefig(temporary, dpi=110, format="png")
    console.print(f"written to {output}: scores.json, attractor.png, lorenz/, symbols/")
    return scores


def _picture(true: np.ndarray, generated: np.ndarray, code: Any) -> Any:
    """True and generated attractor, their spectra, and the graph of the model's regions."""
    from funcspace.dynamics.invariants import power_spectrum

    pyplot = require("matplotlib.pyplot", feature="the demo", install='pip install "funcspace[viz]"')
    figure = pyplot.figure(figsize=(14.0, 3.9), layout="constrained")
    low, high = true.min(axis=0), true.max(axis=0)
    for place, (name, states) in enumerate((("true", true), ("generated", generated)), start=1):
        ax = figure.add_subplot(1, 4, place, projection="3d")
        ax.plot(*states[:12_000].T, linewidth=0.35, color=f"C{place - 1}")
        ax.set(title=name, xlabel="x", ylabel="y")
        ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(low[2], high[2]))
        ax.set_box_aspect((1, 1, 1))
    ax = figure.add_subplot(1, 4, 3)
    for place, (name, states) in enumerate((("true", true), ("generated", generated))):
        spectrum = power_spectrum(states, step=STEP, smoothing=20.0)
        shown = spectrum.frequencies < 6.0
        ax.semilogy(spectrum.frequencies[shown], spectrum.density[shown, 2], color=f"C{place}", label=name)
    ax.set(xlim=(0.0, 6.0), title="power of z", xlabel="frequency")
    ax.legend()
    code.plot(figure.add_subplot(1, 4, 4))
    return figure
