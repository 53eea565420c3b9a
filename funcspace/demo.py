"""The main job: solve Darcy problems, train two neural operators under one time budget, compare and use them."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

import torch

from funcspace.atomic_write import atomic_file
from funcspace.functions import Function, FunctionSpace, OperatorData
from funcspace.geometry import Mesh
from funcspace.optional import require
from funcspace.training import Surrogate, fit, load

__all__ = ["run_demo"]

log = logging.getLogger(__name__)


def run_demo(
    output: Path,
    *,
    seconds: float = 75.0,
    samples: int = 300,
    resolution: int = 64,
    seed: int = 0,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Run the demo and write `table.json`, `comparison.png` and the surrogate `mgno/` into `output`.

    Parameters
    ----------
    seconds : training time of each model.
    samples : Darcy problems to solve; a fifth of them is kept for testing.

    Returns
    -------
    dict
        The rows of the table, the solve time, and the error on an unstructured mesh.
    """
    from rich.console import Console

    from funcspace.operators import FNO, MgNO
    from funcspace.solvers import Darcy

    console = Console()
    output.mkdir(parents=True, exist_ok=True)
    solver = Darcy(coefficient="threshold", resolution=resolution)
    solver.sample(2, seed=seed + 1)  # compile and warm up, so that the time below is that of solving
    started = time.perf_counter()
    data = solver.sample(samples, seed=seed)
    solve_seconds = (time.perf_counter() - started) / samples
    console.print(f"{samples} Darcy problems on {resolution} x {resolution} points: {1e3 * solve_seconds:.2f} ms each")
    train, test = data.split(samples - samples // 5)
    rows, surrogates = [], {}
    for kind in (MgNO, FNO):
        console.print(f"training {kind.__name__} for {seconds:.0f} s on {len(train)} samples")
        model = kind.for_data(train, seed=seed)
        surrogate = fit(model, train, epochs=100_000, seconds=seconds, batch_size=4, seed=seed, progress=progress)
        surrogates[kind.__name__] = surrogate
        rows.append(measure(kind.__name__, surrogate, test))
    print_table(console, rows, solve_seconds)
    surrogates["MgNO"].save(output / "mgno")
    reloaded = load(output / "mgno")
    elsewhere = predict_on_mesh(reloaded, seed=seed + 2)
    console.print(
        f"reloaded from {output / 'mgno'}; on an unstructured mesh of {elsewhere['cells']} triangles it never saw: "
        f"relative L2 error {100 * elsewhere['rel_l2']:.2f} %"
    )
    draw(reloaded, test, output / "comparison.png")
    result = {
        "rows": rows,
        "solve_seconds": solve_seconds,
        "unseen_mesh": elsewhere,
        "training_seconds": seconds,
    }
    with atomic_file(output / "table.json") as temporary:
        temporary.write_text(json.dumps(result, indent=2))
    console.print(f"figure: {output / 'comparison.png'}, table: {output / 'table.json'}")
    return result


def measure(name: str, surrogate: Surrogate, test: OperatorData) -> dict[str, Any]:
    """Errors, size and speed of a surrogate on test data."""
    errors = surrogate.evaluate(test)
    surrogate(test)
    started = time.perf_counter()
    surrogate(test)
    speed = len(test) / (time.perf_counter() - started)
    return {
        "model": name,
        **errors,
        "parameters": surrogate.parameters,
        "seconds": surrogate.provenance["seconds"],
        "steps": surrogate.provenance["steps"],
        "samples_per_second": speed,
    }


def print_table(console: Any, rows: list[dict[str, Any]], solve_seconds: float) -> None:
    """The comparison as a table, with the solve that the surrogates replace in its last row."""
    from rich.table import Table

    table = Table(title="Darcy flow: test errors, size, training, speed")
    for heading in ("model", "rel. L2", "rel. H1", "weights", "seconds", "steps", "samples/s"):
        table.add_column(heading, justify="left" if heading == "model" else "right")
    for row in rows:
        table.add_row(
            row["model"], f"{100 * row['rel_l2']:.2f} %", f"{100 * row['rel_h1']:.2f} %", f"{row['parameters']:,}",
            f"{row['seconds']:.0f}", f"{row['steps']:,}", f"{row['samples_per_second']:.0f}",
        )  # fmt: skip
    table.add_row("finite elements", "-", "-", "-", "-", "-", f"{1 / solve_seconds:.0f}")
    console.print(table)


def predict_on_mesh(surrogate: Surrogate, seed: int) -> dict[str, Any]:
    """Predict for a new coefficient given on an unstructured mesh, against a finite-element solve on that mesh."""
    from funcspace.solvers import Darcy, Poisson

    mesh = Mesh.perforated_plate(0.03, 1.0, 1.0, holes=[])
    space = FunctionSpace(mesh, "P1", components=("a",))
    name, target = surrogate.packing.inputs[0].name, surrogate.packing.outputs[0].name
    coefficient = Darcy(coefficient="threshold", resolution=256).sample(1, seed=seed).inputs[name][0].to(space)
    truth = Poisson(domain=mesh, element="P1", coefficient=coefficient, source=1.0, dirichlet={"boundary": 0.0}).solve()
    predicted: Function = surrogate(coefficient, resample=True).to(truth.space)
    error = (predicted - truth).norm("L2") / truth.norm("L2")
    return {"cells": len(mesh.cells), "rel_l2": float(error), "output": target}


def draw(surrogate: Surrogate, test: OperatorData, path: Path) -> None:
    """Coefficient, truth, prediction and error of the median test sample."""
    require("matplotlib", feature="the demo's figure", install='pip install "funcspace[viz]"')
    from funcspace.functions.plots import plot_comparison

    coefficient, truth = test.inputs["a"], test.outputs["u"]
    prediction = surrogate(test)
    errors = (prediction - truth).norm("L2") / truth.norm("L2")
    median = int(torch.argsort(errors)[len(errors) // 2])
    figure = plot_comparison(coefficient[median], truth[median], prediction[median])
    figure.savefig(path, dpi=150, bbox_inches="tight")
