"""The cost of a gradient through a Poisson solve, in units of the plain solve.

    python benchmarks/differentiable_solves.py --output docs/benchmarks/differentiable_solves.md

The gradient is that of the integral of u in all coefficients of k and f, and takes one adjoint solve whatever their
number; central differences would take two solves for each of them. Best of some rounds in which the solves take turns.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import torch

import funcspace as fs


def problem(kind: str, size: int, batch: int) -> tuple[str, int, Callable[[bool], object]]:
    """A name, the number of unknowns per sample, and a function that solves with or without derivatives."""
    if kind == "grid":
        domain, element = fs.Grid(x=(0.0, 1.0, size), y=(0.0, 1.0, size)), "linear"
    else:
        domain, element = fs.Mesh.rectangle(1.0 / (size - 1)), kind
    space = fs.FunctionSpace(domain, element)
    generator = torch.Generator().manual_seed(0)
    k, f = (0.5 + torch.rand(batch, space.n_dofs, generator=generator, dtype=torch.float64) for _ in range(2))
    posed = fs.solvers.Poisson(domain, element, coefficient=fs.Function(space, k), source=fs.Function(space, f))
    posed.solve()

    def run(gradient: bool) -> object:
        a, b = (t.clone().requires_grad_(gradient) for t in (k, f))
        u = posed.with_data(coefficient=fs.Function(space, a), source=fs.Function(space, b)).solve()
        return torch.autograd.grad(u.integral().sum(), (a, b)) if gradient else u

    return f"{kind}, {size} x {size} points", space.n_dofs, run


def main() -> None:
    """Measure and print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    lines = [
        "# Gradients through a solve",
        "",
        f"Batches of {options.batch} Poisson problems, each with a coefficient of its own. Milliseconds of "
        "processor time per sample of",
        "the plain solve and of solve plus gradient in all values of coefficient and source, best of "
        f"{options.rounds} rounds",
        "in which they take turns, and the ratio.",
        "",
        "| problem | unknowns | solve, ms | solve and gradient, ms | ratio |",
        "|---|---|---|---|---|",
    ]
    for kind, size in [("grid", 33), ("grid", 65), ("grid", 129), ("P1", 33), ("P1", 65), ("P2", 33)]:
        name, unknowns, run = problem(kind, size, options.batch)
        best = {False: float("inf"), True: float("inf")}
        for _ in range(options.rounds):
            for gradient in best:
                start = time.process_time()
                run(gradient)
                best[gradient] = min(best[gradient], time.process_time() - start)
        plain, both = (1e3 * best[g] / options.batch for g in (False, True))
        lines.append(f"| {name} | {unknowns:,} | {plain:.2f} | {both:.2f} | {both / plain:.1f} |")
        print(lines[-1], flush=True)
    lines += [
        "",
        f"{os.cpu_count()} cores; Python {platform.python_version()}, torch {torch.__version__}, "
        f"funcspace {fs.__version__}; seed 0.",
        "",
        "    python benchmarks/differentiable_solves.py",
        "",
    ]
    print("\n".join(lines))
    if options.output:
        options.output.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
