"""From the name of a chaotic system to a model of it: train, generate, compare, read its symbols."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from funcspace.atomic_write import atomic_file
from funcspace.functions import Function
from funcspace.optional import require
from funcspace.training import fit, load

__all__ = ["run_lorenz_demo"]

STEP = 0.01


def run_lorenz_demo(
    output: Path, *, seconds: float = 75.0, seed: int = 0, progress: bool | None = None
) -> dict[str, Any]:
    """Run the demo and write `scores.json`, `attractor.png` and the model `lorenz/` into `output`.

    An almost-linear RNN of 20 units, two of them ReLUs, learns the Lorenz system from 50,000 states,
    with 5 % of noise added to each window that it trains on.

    Parameters
    ----------
    seconds : training time.

    Returns
    -------
    dict
        Scores of a free run against an independent true orbit, exponents, numbers of regions and transitions.
    """
    from rich.console import Console

    from funcspace.dynamics import ALRNN, SparseTeacherForcing, metrics, system

    console = Console()
    output.mkdir(parents=True, exist_ok=True)
    lorenz = system("Lorenz")
    orbits = lorenz.trajectory(50_000, dt=STEP, batch=2, seed=seed)
    train, test = orbits[0], orbits[1]
    console.print(f"{lorenz!r}: two orbits of 50,000 states, {STEP:g} apart")
    reconstruction = fit(
        ALRNN(observed=3, latent=20, relu=2, seed=seed), train, algorithm=SparseTeacherForcing(interval=16),
        epochs=100_000, seconds=seconds, seed=seed, progress=progress,
    )  # fmt: skip
    reconstruction.save(output / "lorenz")
    reconstruction = load(output / "lorenz")
    model = reconstruction.model
    run = reconstruction.rollout(test[:1], 60_000)
    generated = run.coefficients[10_001:].reshape(50_000, 3)
    code = model.symbolic_code(test, steps=60_000)
    latent = model.generate_latent(model.start(torch.zeros(1, 3)), 5000)[0, -1].double()
    exponent = metrics.lyapunov_spectrum(model, latent, steps=40_000, dt=STEP)
    true = test.coefficients.reshape(50_000, 3)
    points = [point for point in model.fixed_points() if point.admissible]
    scores = {
        "state_space_divergence": float(metrics.state_space_divergence(true, generated)),
        "spectral_distance": float(metrics.spectral_distance(true, generated)),
        "largest_exponent": float(np.ravel(np.asarray(exponent))[0]),
        "true_largest_exponent": float(np.ravel(np.asarray(lorenz.lyapunov_spectrum(seed=seed)))[0]),
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
    figure = _picture(test, true.numpy(), generated.numpy(), code)
    with atomic_file(output / "attractor.png") as temporary:
        figure.savefig(temporary, dpi=110, format="png")
    console.print(f"written to {output}: scores.json, attractor.png, lorenz/")
    return scores


def _picture(test: Function, true: np.ndarray, generated: np.ndarray, code: Any) -> Any:
    """True and generated attractor, their spectra, and the graph of the model's regions."""
    from funcspace.dynamics.invariants import power_spectrum

    pyplot = require("matplotlib.pyplot", feature="the demo", install='pip install "funcspace[viz]"')
    figure = pyplot.figure(figsize=(14.0, 3.9), layout="constrained")
    low, high = true.min(axis=0), true.max(axis=0)
    for place, (name, states) in enumerate((("true", true), ("generated", generated)), start=1):
        ax = figure.add_subplot(1, 4, place, projection="3d")
        ax.plot(*states[:12_000].T, linewidth=0.35, color=f"C{place - 1}")
        ax.set(title=name, xlabel="x", ylabel="y", zlabel="z")
        ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(low[2], high[2]))
        ax.set_box_aspect((1, 1, 1))
    ax = figure.add_subplot(1, 4, 3)
    for place, (name, states) in enumerate((("true", true), ("generated", generated))):
        spectrum = power_spectrum(states, step=STEP, smoothing=20.0)
        ax.semilogy(spectrum.frequencies, spectrum.density[:, 2], color=f"C{place}", label=name)
    ax.set(xlim=(0.0, 6.0), title="power of z", xlabel="frequency")
    ax.legend()
    code.plot(figure.add_subplot(1, 4, 4))
    return figure
