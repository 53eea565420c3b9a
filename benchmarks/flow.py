"""Incompressible flow: rates, the DFG benchmarks, the lid-driven cavity, and cost as the work grows.

Assembly is compared with scikit-fem's forms for the same matrix, the factorisation with SciPy's default one of the same
matrix, both in the same process, taking turns; the best of the rounds counts.

    python benchmarks/flow.py --shedding 16 24 --output docs/benchmarks/flow.md
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import splu
from torch import Tensor

import funcspace as fs
from funcspace.solvers.flow import CylinderFlow, Flow, LidDrivenCavity, NavierStokes, Stokes
from funcspace.solvers.flow.linear_solve import Factorisation
from funcspace.solvers.flow.momentum import Momentum
from funcspace.solvers.threads import available_cores

PI = math.pi
DRAG, LIFT, DROP = 5.57953523384, 0.010618948146, 0.11752016697
# Ghia, Ghia and Shin (1982), Re = 100: y, u on the vertical middle line; x, v on the horizontal one.
GHIA_U = [
    (0.9766, 0.84123), (0.9688, 0.78871), (0.9609, 0.73722), (0.9531, 0.68717), (0.8516, 0.23151), (0.7344, 0.00332),
    (0.6172, -0.13641), (0.5, -0.20581), (0.4531, -0.21090), (0.2813, -0.15662), (0.1719, -0.10150),
    (0.1016, -0.06434), (0.0703, -0.04775), (0.0625, -0.04192), (0.0547, -0.03717),
]  # fmt: skip
GHIA_V = [
    (0.9688, -0.05906), (0.9609, -0.07391), (0.9531, -0.08864), (0.9453, -0.10313), (0.9063, -0.16914),
    (0.8594, -0.22445), (0.8047, -0.24533), (0.5, 0.05454), (0.2344, 0.17527), (0.2266, 0.17507), (0.1563, 0.16077),
    (0.0938, 0.12317), (0.0781, 0.10890), (0.0703, 0.10091), (0.0625, 0.09233),
]  # fmt: skip
# Botella and Peyret (1998), Re = 100: extrema of u and v on the middle lines.
EXTREMA = (-0.2140424, 0.1795728, -0.2538030)


def table(heads: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [heads, ["---"] * len(heads), *rows])


def velocity(x: Tensor) -> Tensor:
    """(sin pi x cos pi y, -cos pi x sin pi y); in space u_i = sin pi x_i (cos pi x_(i+1) - cos pi x_(i+2))."""
    s, c = torch.sin(PI * x), torch.cos(PI * x)
    if x.shape[1] == 2:
        return torch.stack([s[:, 0] * c[:, 1], -c[:, 0] * s[:, 1]], dim=1)
    return s * (c.roll(-1, 1) - c.roll(1, 1))


def pressure(x: Tensor) -> Tensor:
    return x[:, 0] * x[:, 1]


def slope(x: Tensor) -> Tensor:
    """Jacobian of the velocity by autograd."""
    with torch.enable_grad():
        x = x.detach().clone().requires_grad_(True)
        u = velocity(x)
        rows = [torch.autograd.grad(u[:, i].sum(), x, retain_graph=True)[0] for i in range(x.shape[1])]
    return torch.stack(rows, dim=1).detach()


def force(x: Tensor, density: float) -> Tensor:
    """2 pi^2 u (minus the Laplacian of the velocity) + grad p + density u . grad u."""
    rise = torch.zeros_like(x)
    rise[:, 0], rise[:, 1] = x[:, 1], x[:, 0]
    return 2 * PI**2 * velocity(x) + rise + density * torch.einsum("nij,nj->ni", slope(x), velocity(x))


def errors(flow: Flow) -> np.ndarray:
    rule = flow.velocity.space.quadrature(6)
    gap = rule.values(flow.velocity.coefficients) - velocity(rule.points)
    assert rule.gradients is not None
    bend = rule.gradients(flow.velocity.coefficients) - slope(rule.points)
    p = flow.pressure.space.quadrature(6).values(flow.pressure.coefficients) - pressure(rule.points)
    p = p - (rule.weights @ p) / rule.weights.sum()
    parts = [gap.square().sum(dim=1), bend.square().sum(dim=(1, 2)), p.square()]
    return np.sqrt([float(rule.weights @ part) for part in parts])


def divergence(flow: Flow) -> float:
    """Largest integral of psi div u over that of psi |grad u|."""
    rule = flow.velocity.space.quadrature(6)
    assert rule.gradients is not None
    bend = rule.gradients(flow.velocity.coefficients)
    test = flow.pressure.space.quadrature(6).values
    size = test.T(rule.weights * bend.flatten(1).norm(dim=1)).abs()
    return float((test.T(rule.weights * torch.einsum("qii->q", bend)).abs() / size).max())


def rates() -> str:
    cases: list[tuple[str, Callable[[float], Any], tuple[float, ...]]] = [
        ("triangles P2-P1", fs.Mesh.rectangle, (1 / 8, 1 / 16, 1 / 32)),
        ("quadrilaterals Q2-Q1", lambda h: fs.Mesh.rectangle(h, cells="quadrilateral"), (1 / 8, 1 / 16, 1 / 32)),
        ("disc, curved P2-P1", lambda h: fs.Mesh.disc(h, curved=True), (0.2, 0.1, 0.05)),
        ("tetrahedra P2-P1", fs.Mesh.box, (1 / 4, 1 / 8)),
        ("hexahedra Q2-Q1", lambda h: fs.Mesh.box(h, cells="hexahedron"), (1 / 3, 1 / 6)),
    ]
    rows = []
    for name, make, sizes in cases:
        for equation in ("Stokes", "Navier-Stokes"):
            found, meshes, worst = [], [], 0.0
            for h in sizes:
                mesh = make(h)
                if equation == "Stokes":
                    flow = Stokes(mesh, force=lambda x: force(x, 0.0), velocity={"boundary": velocity}).solve()
                else:
                    flow = NavierStokes(mesh, force=lambda x: force(x, 1.0), velocity={"boundary": velocity}).solve()
                found.append(errors(flow))
                meshes.append(mesh.n_cells ** (1.0 / mesh.dim))
                worst = max(worst, divergence(flow))
            order = np.log(found[-2] / found[-1]) / math.log(meshes[-1] / meshes[-2])
            cells = [f"{error:.1e}, {rate:.2f}" for error, rate in zip(found[-1], order, strict=True)]
            rows.append([name, equation, *cells, f"{worst:.0e}"])
    return table(["elements", "equations", "u in L2, rate", "grad u, rate", "p, rate", "weak divergence"], rows)


def orders() -> str:
    """Errors at t = 1 against a run with a step eight times smaller, on one mesh."""

    def pulse(t: float) -> float:
        return math.cos(t) + 0.3 * math.sin(2 * t)

    problem = NavierStokes(
        fs.Mesh.rectangle(0.125), viscosity=0.05,
        velocity={"boundary": lambda x, t: pulse(t) * velocity(x)},
        force=lambda x, t: math.sin(3 * t) * x.flip(1) ** 2,
    )  # fmt: skip
    rows = []
    for scheme, theta, convection in (
        ("bdf2", 0.5, "linearised"), ("bdf2", 0.5, "newton"), ("theta", 0.5, "linearised"), ("theta", 0.5, "newton"),
        ("theta", 1.0, "linearised"),
    ):  # fmt: skip
        ends = {
            n: problem.evolve(
                fs.Times(0.0, 1.0, 2), velocity, step=1 / n, scheme=scheme, theta=theta, convection=convection
            ).last
            for n in (16, 32, 256)
        }
        cells = []
        for part in (lambda f: f.velocity.coefficients, lambda f: f.pressure.coefficients, lambda f: f.force("left")):
            gaps = [float((part(ends[n]) - part(ends[256])).norm() / part(ends[256]).norm()) for n in (16, 32)]
            cells.append(f"{gaps[1]:.1e}, {math.log2(gaps[0] / gaps[1]):.2f}")
        rows.append([scheme if scheme == "bdf2" else f"theta = {theta:g}", convection, *cells])
    return table(["scheme", "convection", "u, order", "p, order", "force, order"], rows)


def steady_cylinder(levels: list[int]) -> str:
    rows = []
    for across in levels:
        channel = CylinderFlow(0.41 / across, reynolds=20.0, mean_velocity=0.2)
        started = time.perf_counter()
        flow = channel.solve()
        took = time.perf_counter() - started
        drag, lift = channel.coefficients(flow, 0.2).tolist()
        drop = float(channel.pressure_drop(flow))
        size = flow.velocity.coefficients.numel() + flow.pressure.coefficients.numel()
        pairs = [(drag, DRAG), (lift, LIFT), (drop, DROP)]
        cells = [f"{value:.6g} ({value / true - 1:+.1e})" for value, true in pairs]
        rows.append([str(across), f"{size:,}", *cells, str(len(flow.residuals) - 1), f"{took:.1f}"])
    rows.append(["published", "", f"{DRAG}", f"{LIFT}", f"{DROP}", "", ""])
    return table(["cells across", "unknowns", "drag", "lift", "pressure difference", "iterations", "s"], rows)


def shedding(levels: list[int], step: float, duration: float) -> str:
    rows = []
    for across in levels:
        channel = CylinderFlow(0.41 / across, reynolds=100.0)
        problem = channel.problem()
        dt = min(step, step * 16 / across)
        watch = {"c": channel.coefficients, "drop": channel.pressure_drop}
        started = time.perf_counter()
        history = problem.evolve(
            fs.Times(0.0, duration, 2), channel.tilted, step=dt,
            observe=lambda f, w=watch: {name: measure(f) for name, measure in w.items()},
        )  # fmt: skip
        took = time.perf_counter() - started
        late = history.steps > duration - 1.0
        t, (drag, lift) = history.steps[late].numpy(), history.observed["c"][late].T.numpy()
        up = np.flatnonzero((lift[:-1] < 0) & (lift[1:] >= 0))
        crossings = t[up] - lift[up] * (t[up + 1] - t[up]) / (lift[up + 1] - lift[up])
        strouhal = 0.1 * (len(crossings) - 1) / (crossings[-1] - crossings[0])
        period = 0.1 / strouhal
        early = t < t[-1] - 0.5 * period
        half = t[early][lift[early].argmax()] + 0.5 * period
        drop = float(np.interp(half, history.steps.numpy(), history.observed["drop"].numpy()))
        size = history.last.velocity.coefficients.numel() + history.last.pressure.coefficients.numel()
        rows.append([
            str(across), f"{size:,}", f"{dt:.3g}", f"{strouhal:.4f}", f"{drag.max():.4f}", f"{drag.min():.4f}",
            f"{lift.max():.4f}", f"{drop:.3f}", f"{1e3 * took / len(history.steps):.0f}",
        ])  # fmt: skip
    rows.append(["published", "", "", "0.295 ... 0.305", "3.22 ... 3.24", "", "0.99 ... 1.01", "2.46 ... 2.50", ""])
    heads = ["cells across", "unknowns", "step", "Strouhal", "largest drag", "least drag", "largest lift"]
    return table([*heads, "pressure difference", "ms per step"], rows)


def cavity(sizes: list[int]) -> str:
    rows = []
    for n in sizes:
        flow = LidDrivenCavity(1.0 / n, reynolds=100.0).solve()
        line = torch.linspace(0, 1, 2001, dtype=torch.float64)
        half = torch.full_like(line, 0.5)
        u = flow.velocity(torch.stack([half, line], dim=1))[:, 0]
        v = flow.velocity(torch.stack([line, half], dim=1))[:, 1]
        gaps = []
        for pairs, axis in ((GHIA_U, 0), (GHIA_V, 1)):
            at = torch.tensor([[0.5, s] if axis == 0 else [s, 0.5] for s, _ in pairs], dtype=torch.float64)
            ghia = torch.tensor([value for _, value in pairs], dtype=torch.float64)
            gaps.append(f"{float((flow.velocity(at)[:, axis] - ghia).abs().max()):.4f}")
        rows.append([f"{n} x {n}", *gaps, f"{float(u.min()):.7f}", f"{float(v.max()):.7f}", f"{float(v.min()):.7f}"])
    rows.append(["Botella and Peyret", "", "", *(f"{value:.7f}" for value in EXTREMA)])
    return table(["cells", "max. gap to Ghia, u", "v", "least u", "largest v", "least v"], rows)


def seconds(task: Callable[[], Any]) -> float:
    started = time.perf_counter()
    task()
    return time.perf_counter() - started


def cost(levels: list[int], rounds: int) -> tuple[str, float]:
    """Assembly and factorisation of one step's matrix against peers, and the growth of a Stokes solve."""
    from skfem import BilinearForm, CellBasis, asm
    from skfem.helpers import dot, grad

    @BilinearForm
    def carried(u: Any, v: Any, w: Any) -> Any:
        return dot(w["wind"], grad(u)) * v

    rows, growth = [], []
    for across in levels:
        channel = CylinderFlow(0.41 / across, reynolds=100.0)
        problem = channel.problem().problem
        elements, system = problem.elements, problem.plain_system
        momentum = Momentum(problem, problem.viscosities()[0], 1.0)
        wind = channel.tilted(torch.from_numpy(elements.dof_points)).numpy()
        matrix = momentum.linearised(200.0, wind).matrix
        basis: Any = elements.scalar.basis
        peer = CellBasis(channel.mesh.to_skfem(), basis.element.skfem, intorder=7)

        def forms(p: Any = peer, w: Any = wind) -> None:
            asm(carried, p, wind=np.stack([np.asarray(p.interpolate(w[:, i])) for i in range(2)]))

        factors = Factorisation(matrix)
        right = np.ones(matrix.shape[0])
        tasks: dict[str, Callable[[], Any]] = {
            "whole": lambda m=momentum, w=wind: m.linearised(200.0, w),
            "forms": forms,
            "factor": lambda a=matrix: Factorisation(a),
            "default": lambda a=matrix: splu(a),
            "solve": lambda f=factors, b=right: f.solve(b),
            "stokes": lambda m=channel.mesh: Stokes(m, velocity={"inlet": (1.0, 0.0), "walls": 0}).solve(),
        }
        taken = [{name: seconds(task) for name, task in tasks.items()} for _ in range(rounds)]
        best = {name: min(times[name] for times in taken) for name in tasks}
        growth.append((system.size, best["stokes"]))
        rows.append([
            str(across), f"{system.size:,}", f"{1e3 * best['whole']:.1f}", f"{best['forms'] / best['whole']:.1f}",
            f"{best['factor']:.2f}", f"{best['default'] / best['factor']:.1f}", f"{1e3 * best['solve']:.1f}",
            f"{best['stokes']:.2f}",
        ])  # fmt: skip
    exponent = math.log(growth[-1][1] / growth[0][1]) / math.log(growth[-1][0] / growth[0][0])
    heads = ["cells across", "unknowns", "matrix of a step, ms", "scikit-fem's form for its convection alone: ratio"]
    heads += ["factorisation, s", "SciPy's default order: ratio", "solve, ms", "Stokes flow from scratch, s"]
    return table(heads, rows), exponent


def machine() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "numba", "scikit-fem", "torch"))
    load = f", load average {os.getloadavg()[0]:.1f} at the end" if hasattr(os, "getloadavg") else ""
    return f"{available_cores()} cores of {cpu}{load}; Python {platform.python_version()}, {packages}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steady", type=int, nargs="+", default=[8, 16, 24, 32], help="cells across the channel")
    parser.add_argument("--shedding", type=int, nargs="*", default=[12], help="the same for Re = 100, in time")
    parser.add_argument("--step", type=float, default=0.004, help="time step at 16 cells across or fewer")
    parser.add_argument("--duration", type=float, default=6.0)
    parser.add_argument("--cavity", type=int, nargs="+", default=[16, 32, 64], help="cells per side")
    parser.add_argument("--cost", type=int, nargs="+", default=[8, 16, 32, 48], help="cells across the channel")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="write the page here")
    arguments = parser.parse_args()
    costs, exponent = cost(arguments.cost, arguments.rounds)
    blocks = [
        "# Incompressible flow",
        "## Rates",
        "Vortices (sin pi x cos pi y, -cos pi x sin pi y), in space u_i = sin pi x_i (cos pi x_(i+1) - cos pi "
        "x_(i+2)), with p = x y, unit viscosity and density, the velocity given on the whole boundary: errors on the "
        "finest mesh and the rate between the last two. Expected: 3, 2, 2. The weak divergence is the largest integral "
        "of psi div u over that of psi |grad u|, psi the pressure's functions.",
        rates(),
        "## Orders in time",
        "Pulsating vortices on one mesh, relative differences at t = 1 from a run with 256 steps: with 32 steps, and "
        "the order from 16 to 32.",
        orders(),
        "## DFG 2D-1: steady flow around a cylinder, Re = 20",
        "Schäfer and Turek (1996); reference values of Nabh (1998), by spectral elements. Forces by the consistent "
        "volume form, on curved cells. In brackets: relative error.",
        steady_cylinder(arguments.steady),
        "## DFG 2D-2: vortex street, Re = 100",
        f"BDF2 with extrapolated convection from a tilted start; the last of {arguments.duration:g} time units. The "
        "pressure difference is taken half a period after the largest lift. Published: the intervals of Schäfer and "
        "Turek.",
        shedding(arguments.shedding, arguments.step, arguments.duration),
        "## Lid-driven cavity, Re = 100",
        "Largest differences from the tabulated values of Ghia, Ghia and Shin (1982), a second-order difference scheme "
        "on 129 x 129 points, and extrema on the middle lines beside those of Botella and Peyret (1998), a spectral "
        "method.",
        cavity(arguments.cavity),
        "## Cost as the work grows",
        f"The cylinder's channel, one thread, best of {arguments.rounds}. Above 1 in a ratio: ours is faster. A Stokes "
        f"solve, numbering and all, grows as the {exponent:.2f}th power of the unknowns.",
        costs,
        f"{machine()}.",
        "Regenerate with `python benchmarks/flow.py --shedding 16 24 --output docs/benchmarks/flow.md`.",
    ]
    page = "\n\n".join(blocks)
    print(page)
    if arguments.output:
        arguments.output.write_text(page + "\n")


if __name__ == "__main__":
    main()
