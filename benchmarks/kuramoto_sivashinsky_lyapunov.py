"""Lyapunov exponents of the Kuramoto-Sivashinsky equation at length 22, by the solver's tangent map.

An ensemble of trajectories on the attractor carries tangent vectors through `flow_map(...).tangent`, made orthonormal
by QR; exponents are means of the logarithms of the diagonals, their errors those of the means over the ensemble.

    python benchmarks/kuramoto_sivashinsky_lyapunov.py --output docs/benchmarks/kuramoto_sivashinsky_lyapunov.md
"""

from __future__ import annotations

import argparse
import os
import platform
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor

from funcspace.solvers.spectral import KuramotoSivashinsky

# Cvitanovic, Davidchack and Siminos, SIAM J. Appl. Dyn. Syst. 9 (2010), length 22, to the digits of the text.
PUBLISHED = (0.043, 0.003, 0.002)
TEXT = """\
{members} trajectories of length {duration:g} after a spin-up of {spin_up:g} time units and {settle:g} more in which the
tangent vectors settle, on {resolution} points (modes up to {cutoff}), steps of {step:g}; the vectors are made
orthonormal every {every:g} time units. Shifts in time and in space each give an exponent zero. The published values are
those of Cvitanović, Davidchack and Siminos (2010). Exponents near zero are told apart only over long times: over
shorter ones the largest come out too large, the next too small."""


def spectrum(problem: KuramotoSivashinsky, count: int, members: int, *, step: float, every: float, duration: float,
             settle: float, seed: int) -> Tensor:  # fmt: skip
    """Exponents (members, count), largest first, over `duration` after the vectors have settled."""
    flow = problem.flow_map(every, steps=round(every / step))
    state = problem.initial_fields(members, seed=seed).coefficients
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(count, members, problem.space.n_dofs, generator=generator, dtype=torch.float64)
    total = torch.zeros(members, count, dtype=torch.float64)
    for number in range(round((settle + duration) / every)):
        state, vectors = flow.tangent(state, vectors)
        q, r = torch.linalg.qr(vectors.movedim(0, -1))
        vectors = q.movedim(-1, 0)
        if number * every >= settle:
            total += torch.diagonal(r, dim1=-2, dim2=-1).abs().log()
    return total / duration


def kaplan_yorke(exponents: Tensor) -> float:
    """j + (sum of the first j) / |the next|, j the largest number whose sum is not negative."""
    sums = exponents.cumsum(0)
    j = int((sums >= 0).nonzero().max()) + 1
    return j + float(sums[j - 1] / exponents[j].abs())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--members", type=int, default=12)
    parser.add_argument("--duration", type=float, default=1500.0)
    parser.add_argument("--settle", type=float, default=100.0)
    parser.add_argument("--step", type=float, default=0.2)
    parser.add_argument("--every", type=float, default=2.0)
    parser.add_argument("--resolution", type=int, default=48)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="write the page here")
    a = parser.parse_args()
    torch.set_num_threads(1)
    problem = KuramotoSivashinsky(resolution=a.resolution, length=22.0, spin_up=200.0)
    runs = spectrum(
        problem, a.count, a.members, step=a.step, every=a.every, duration=a.duration, settle=a.settle, seed=a.seed
    )
    exponents, errors = runs.mean(dim=0), runs.std(dim=0) / a.members**0.5
    lines = ["| exponent | value | standard error | published |", "| --- | --- | --- | --- |"]
    for number, (value, error) in enumerate(zip(exponents.tolist(), errors.tolist(), strict=True)):
        known = f"{PUBLISHED[number]:.3f}" if number < len(PUBLISHED) else ""
        lines.append(f"| {number + 1} | {value:.4f} | {error:.4f} | {known} |")
    load = f", load average {os.getloadavg()[0]:.1f} at the end" if hasattr(os, "getloadavg") else ""
    page = "\n\n".join(
        [
            "# Kuramoto-Sivashinsky equation: Lyapunov exponents",
            TEXT.format(
                members=a.members, duration=a.duration, spin_up=problem.spin_up, settle=a.settle,
                resolution=a.resolution, cutoff=problem.equation.modes.cutoffs[0], step=a.step, every=a.every,
            ),
            "\n".join(lines),
            f"Kaplan-Yorke dimension {kaplan_yorke(exponents):.2f}.",
            f"Seed {a.seed}. {platform.machine()}{load}; Python {platform.python_version()}, "
            + ", ".join(f"{name} {version(name)}" for name in ("torch", "funcspace")) + ".",
            "Regenerate with `python benchmarks/kuramoto_sivashinsky_lyapunov.py --output "
            "docs/benchmarks/kuramoto_sivashinsky_lyapunov.md`.",
        ]
    )  # fmt: skip
    print(page)
    if a.output:
        a.output.write_text(page + "\n")
    if any(abs(value - known) > 0.004 for value, known in zip(exponents.tolist(), PUBLISHED, strict=False)):
        raise SystemExit("the leading exponents are not the published ones")


if __name__ == "__main__":
    main()
