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

# Length 22, to the digits of the papers: Edson, Bunder, Mattner, Roberts, ANZIAM J. 61 (2019), where perturbations may
# have a mean; Cvitanovic, Davidchack, Siminos, SIAM J. Appl. Dyn. Syst. 9 (2010), where they have none.
EDSON = (0.043, 0.003, 0.002, -0.004, -0.008, -0.185, -0.253, -0.296, -0.309, -1.965)
CVITANOVIC = (0.048, 0.0, 0.0, -0.003, -0.189, -0.256, -0.290, -0.310, -1.963)
TEXT = """\
{members} trajectories of length {duration:g} after a spin-up of {spin_up:g} time units and {settle:g} more in which the
tangent vectors settle, on {resolution} points (modes up to {cutoff}), steps of {step:g}; the vectors are made
orthonormal every {every:g} time units. Shifts in time and in space each give an exponent zero. The mean of the field is
conserved; a perturbation of it makes the pattern drift (Galilean invariance), which gives one more zero and, because it
feeds the shift in space, growth like the time: then all three approach zero only like log(T) / T."""


def spectrum(problem: KuramotoSivashinsky, count: int, members: int, *, step: float, every: float, duration: float,
             settle: float, seed: int, mean: bool) -> Tensor:  # fmt: skip
    """Exponents (members, count), largest first, of perturbations with or without a mean."""
    flow = problem.flow_map(every, steps=round(every / step))
    state = problem.initial_fields(members, seed=seed).coefficients
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(count, members, problem.space.n_dofs, generator=generator, dtype=torch.float64)
    total = torch.zeros(members, count, dtype=torch.float64)
    for number in range(round((settle + duration) / every)):
        if not mean:  # each time, for rounding brings it back, and nothing damps it
            vectors = vectors - vectors.mean(dim=-1, keepdim=True)
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
    sets = []
    for mean in (False, True):
        runs = spectrum(
            problem, a.count, a.members, step=a.step, every=a.every, duration=a.duration, settle=a.settle, seed=a.seed,
            mean=mean,
        )  # fmt: skip
        sets.append((runs.mean(dim=0), runs.std(dim=0) / a.members**0.5))
    (exponents, errors), (with_mean, with_mean_errors) = sets
    lines = [
        "| exponent | mean-zero perturbations | Cvitanović et al. 2010 | all perturbations | Edson et al. 2019 |",
        "| --- | --- | --- | --- | --- |",
    ]
    for i in range(a.count):
        known = [f"{values[i]:.3f}" if i < len(values) else "" for values in (CVITANOVIC, EDSON)]
        lines.append(
            f"| {i + 1} | {exponents[i]:.4f} ± {errors[i]:.4f} | {known[0]} | {with_mean[i]:.4f} ± "
            f"{with_mean_errors[i]:.4f} | {known[1]} |"
        )
    load = f", load average {os.getloadavg()[0]:.1f} at the end" if hasattr(os, "getloadavg") else ""
    page = "\n\n".join(
        [
            "# Kuramoto-Sivashinsky equation: Lyapunov exponents",
            TEXT.format(
                members=a.members, duration=a.duration, spin_up=problem.spin_up, settle=a.settle,
                resolution=a.resolution, cutoff=problem.equation.modes.cutoffs[0], step=a.step, every=a.every,
            ),
            "\n".join(lines),
            f"Kaplan-Yorke dimension {kaplan_yorke(exponents):.2f} of mean-zero fields, {kaplan_yorke(with_mean):.2f} "
            "with the mean.",
            f"Seed {a.seed}. {platform.machine()}{load}; Python {platform.python_version()}, "
            + ", ".join(f"{name} {version(name)}" for name in ("torch", "funcspace")) + ".",
            "Regenerate with `python benchmarks/kuramoto_sivashinsky_lyapunov.py --output "
            "docs/benchmarks/kuramoto_sivashinsky_lyapunov.md`.",
        ]
    )  # fmt: skip
    print(page)
    if a.output:
        a.output.write_text(page + "\n")
    close = zip(exponents.tolist()[:4], errors.tolist(), CVITANOVIC, strict=False)
    if any(abs(value - known) > 0.001 + 3.0 * error for value, error, known in close):
        raise SystemExit("the leading exponents are not the published ones")


if __name__ == "__main__":
    main()
