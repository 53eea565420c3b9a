"""Solids: convergence rates, Cook's membrane, Newton's method, cost as the work grows, and batches against loops.

The peer is scikit-fem with vector elements and a sparse direct solve, on the same mesh in the same process, taking
turns; the best of the rounds counts, for a machine that does other work too.

    python benchmarks/solids.py --output docs/benchmarks/solids.md
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
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

import funcspace as fs
from funcspace.solvers import HoledCell, Hyperelasticity, LinearElasticity, MooneyRivlin, NeoHookean
from funcspace.solvers.solids.strain_energies import determinant
from funcspace.solvers.threads import available_cores

PI, POISSON = math.pi, 0.3
PLURALS = {
    "triangle": "triangles", "quadrilateral": "quadrilaterals", "tetrahedron": "tetrahedra", "hexahedron": "hexahedra",
}  # fmt: skip
TARGETS = {"L2": 0.75, "H1": -0.15}


def u_exact(x: Tensor) -> Tensor:
    parts = [
        torch.sin(PI * x[..., 0]) * torch.cos(PI * x[..., 1] / 2),
        x[..., 0] * x[..., 1] + torch.cos(PI * x[..., 0]) / 2,
    ]
    if x.shape[-1] == 3:
        parts[0] = parts[0] + x[..., 2] ** 2 / 2
        parts.append(torch.sin(x[..., 2] * x[..., 0]) + x[..., 1] / 3)
    return torch.stack(parts, dim=-1)


def young(x: Tensor) -> Tensor:
    return 1.0 + x[..., 0] ** 2 + x[..., 1] / 2


def stress(x: Tensor) -> Tensor:
    """Plane strain or space, at one point."""
    h = torch.func.jacrev(u_exact)(x)
    strain = (h + h.T) / 2
    scale = young(x) / (1 + POISSON)
    return scale * (POISSON / (1 - 2 * POISSON) * torch.trace(strain) * torch.eye(len(x), dtype=x.dtype) + strain)


def force(x: Tensor) -> Tensor:
    return -torch.func.vmap(lambda p: torch.einsum("ijj->i", torch.func.jacrev(stress)(p)))(x)


def traction(*normal: float) -> Callable[[Tensor], Tensor]:
    n = torch.tensor(normal, dtype=torch.float64)
    return lambda x: torch.func.vmap(stress)(x) @ n


def manufactured(mesh: fs.Mesh, element: str) -> LinearElasticity:
    """Displacement left, a roller below (in space all of it, and on the two other sides), tractions elsewhere."""
    if mesh.dim == 2:
        held: dict[str, Any] = {"left": u_exact, "bottom": {"uy": lambda x: u_exact(x)[:, 1]}}
        pulled = {"right": traction(1.0, 0.0), "top": traction(0.0, 1.0), "bottom": traction(0.0, -1.0)}
    else:
        held = dict.fromkeys(("left", "bottom", "front", "back"), u_exact)
        pulled = {"right": traction(1.0, 0.0, 0.0), "top": traction(0.0, 1.0, 0.0)}
    return LinearElasticity(
        mesh, element, young=young, poisson=POISSON, displacement=held, traction=pulled, body_force=force
    )


def errors(u: fs.Function) -> tuple[float, float]:
    rule = u.space.quadrature(6)
    assert rule.gradients is not None
    value = rule.values(u.coefficients) - u_exact(rule.points)
    gradient = rule.gradients(u.coefficients) - torch.func.vmap(torch.func.jacrev(u_exact))(rule.points)
    first, second = ((rule.weights @ e.flatten(1).square().sum(dim=1)).sqrt() for e in (value, gradient))
    return float(first), float(second)


def rates() -> tuple[str, bool]:
    rows, good = [], True
    for dim, cells, element in (
        (2, "triangle", "P1"), (2, "triangle", "P2"), (2, "quadrilateral", "Q1"), (2, "quadrilateral", "Q2"),
        (3, "tetrahedron", "P1"), (3, "tetrahedron", "P2"), (3, "hexahedron", "Q1"), (3, "hexahedron", "Q2"),
    ):  # fmt: skip
        order = int(element[1])
        counts = ((8, 16, 32) if order == 1 else (4, 8, 16)) if dim == 2 else ((4, 8, 12) if order == 1 else (2, 4, 6))
        make = fs.Mesh.rectangle if dim == 2 else fs.Mesh.box
        solutions = [manufactured(make(1 / n, cells=cells), element).solve() for n in counts]  # type: ignore[arg-type]
        found = [errors(u) for u in solutions]
        step = math.log(counts[2] / counts[1])
        l2, h1 = (math.log(a / b) / step for a, b in zip(found[1], found[2], strict=True))
        good &= l2 >= order + TARGETS["L2"] and h1 >= order + TARGETS["H1"]
        shown = [", ".join(f"{pair[i]:.1e}" for pair in found) for i in range(2)]
        size = f"{solutions[-1].space.n_dofs * dim:,}"
        rows.append([PLURALS[cells], element, size, shown[0], f"{l2:.2f}", shown[1], f"{h1:.2f}"])
    heads = ["cells", "element", "unknowns, finest", "L2 errors", "rate", "H1 seminorm of errors", "rate"]
    return table(heads, rows), good


def cook(n: int, cells: str) -> fs.Mesh:
    square = fs.Mesh.rectangle(1 / n, cells=cells)  # type: ignore[arg-type]
    x, y = square.points.T
    points = torch.stack([48 * x, 44 * x + y * (44 - 28 * x)], dim=1)
    return fs.Mesh(points, square.cells).with_boundaries({name: square.boundary[name] for name in ("left", "right")})


def published_law(f: Tensor) -> Tensor:
    """psi = mu/2 (I1 - 3) - mu ln J + lambda/4 (J^2 - 1 - 2 ln J), E = 200, nu = 0.35."""
    mu, lame = 200 / 2.7, 200 * 0.35 / (1.35 * 0.3)
    j = determinant(f)
    return mu / 2 * (f.square().sum() - 3) - mu * j.log() + lame / 4 * (j**2 - 1 - 2 * j.log())


def cook_table() -> tuple[str, bool]:
    clamped, pull, shear = {"left": 0.0}, {"right": (0.0, 1 / 16)}, {"right": (0.0, 4.0)}

    def sheet(mesh: fs.Mesh, element: str) -> Any:
        return LinearElasticity(
            mesh, element, young=1.0, poisson=1 / 3, plane="stress", displacement=clamped, traction=pull
        )

    def incompressible(mesh: fs.Mesh, element: str) -> Any:
        return LinearElasticity(mesh, element, lame_lambda=7500.0, lame_mu=0.375, displacement=clamped, traction=pull)

    def large(mesh: fs.Mesh, element: str) -> Any:
        return Hyperelasticity(mesh, element, energy=published_law, displacement=clamped, traction=shear)

    cases = [
        ("linear, plane stress, E = 1, nu = 1/3", sheet, (48.0, 52.0), 23.97),
        ("linear, plane strain, lambda = 7500, mu = 0.375", incompressible, (48.0, 52.0), 16.4326),
        ("hyperelastic, plane strain, E = 200, nu = 0.35", large, (48.0, 60.0), 6.1469),
    ]
    counts, rows, good = (8, 16, 32), [], True
    for name, make, point, published in cases:
        for element in ("P1", "P2", "Q1", "Q2"):
            cells = "triangle" if element[0] == "P" else "quadrilateral"
            tips = [float(make(cook(n, cells), element).solve()([point])[0, 1]) for n in counts]
            rows.append(
                [
                    name,
                    element,
                    *(f"{tip:.4g}" for tip in tips),
                    f"{published:g}",
                    f"{100 * (tips[-1] / published - 1):+.2f} %",
                ]
            )
            good &= element[1] == "1" or abs(tips[-1] / published - 1) < 0.01
    return table(["problem", "element", *(f"{n} x {n}" for n in counts), "published", "finest against it"], rows), good


def newton_table() -> str:
    law = NeoHookean(lame_lambda=2.0, lame_mu=1.0)
    bodies = {
        "square, P2, neo-Hookean": Hyperelasticity(
            fs.Mesh.rectangle(1 / 16), "P2", energy=law, displacement={"left": 0.0}, traction={"right": (0.5, 0.5)}
        ),
        "cube, P2, neo-Hookean": Hyperelasticity(
            fs.Mesh.box(1 / 3), "P2", energy=law, displacement={"left": 0.0}, traction={"right": (0.5, 0.5, 0.0)}
        ),
        "square, Q2, Mooney-Rivlin": Hyperelasticity(
            fs.Mesh.rectangle(1 / 8, cells="quadrilateral"), "Q2", energy=MooneyRivlin(c10=0.3, c01=0.2, bulk=2.0),
            displacement={"left": 0.0, "right": (0.5, 0.3)},
        ),
    }  # fmt: skip
    rows = [[name, ", ".join(f"{r:.1e}" for r in body.follow()[-1].residuals)] for name, body in bodies.items()]
    return table(["body", "relative residuals, step by step"], rows)


def skfem_solve(mesh: fs.Mesh, element: str, modulus: float = 1.0) -> np.ndarray:
    """The bar of `cost` in scikit-fem: vector element, its elasticity form, and a sparse direct solve."""
    import skfem
    from skfem.models.elasticity import lame_parameters, linear_elasticity

    scalar = {"P1": skfem.ElementTriP1, "P2": skfem.ElementTriP2}[element]()
    basis = skfem.Basis(mesh.to_skfem(), skfem.ElementVector(scalar))
    right = skfem.FacetBasis(basis.mesh, basis.elem, facets=np.asarray(mesh.boundary["right"]))
    matrix = skfem.asm(linear_elasticity(*lame_parameters(modulus, POISSON)), basis)
    load = skfem.LinearForm(lambda v, w: v[1])
    fixed = basis.get_dofs(np.asarray(mesh.boundary["left"]))
    return skfem.solve(*skfem.condense(matrix, skfem.asm(load, right), D=fixed))


def bar(mesh: fs.Mesh, element: str, **options: Any) -> LinearElasticity:
    pull = (0.0, 1.0, 0.0)[: mesh.dim]
    return LinearElasticity(
        mesh,
        element,
        **{"young": 1.0, "traction": {"right": pull}, **options},
        poisson=POISSON,
        displacement={"left": 0.0},
    )


def seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def processor_seconds(work: Callable[[], Any]) -> float:
    """Time of this process alone, which other work on the machine does not lengthen."""
    started = time.process_time()
    work()
    return time.process_time() - started


def cost_table(largest: int, rounds: int) -> str:
    rows = []
    plane = [("P2", fs.Mesh.rectangle(1 / n)) for n in (16, 32, 64, 128, 256, 350)]
    space = [("P1", fs.Mesh.box(1 / n)) for n in (6, 12, 20, 32, 44, 68)]
    bar(plane[0][1], "P2").solve()  # imports
    previous: dict[int, tuple[int, float]] = {}
    for element, mesh in (*plane, *space):
        problem = bar(mesh, element)
        unknowns = problem.space.n_dofs * mesh.dim
        if unknowns > largest:
            continue
        best = min(processor_seconds(lambda m=mesh, e=element: bar(m, e).solve()) for _ in range(rounds))
        growth = ""
        if mesh.dim in previous:
            before, took = previous[mesh.dim]
            growth = f"{math.log(best / took) / math.log(unknowns / before):.2f}"
        previous[mesh.dim] = (unknowns, best)
        peer = ""
        if mesh.dim == 2 and unknowns <= 150_000:
            other = min(processor_seconds(lambda m=mesh, e=element: skfem_solve(m, e)) for _ in range(rounds))
            peer = f"{other / best:.1f}"
        rows.append(
            [
                PLURALS[mesh.cell_type],
                element,
                f"{unknowns:,}",
                f"{best:.2f}",
                f"{1e6 * best / unknowns:.1f}",
                growth,
                peer,
            ]
        )
    return table(["cells", "element", "unknowns", "s", "us per unknown", "exponent", "scikit-fem's time / ours"], rows)


def batch_table(samples: int, rounds: int) -> tuple[str, bool]:
    """One batch against a loop of solves of our own and of scikit-fem's."""
    rows, good, few = [], True, max(1, samples // 4)
    generator = np.random.default_rng(0)
    for element, n in (("P1", 32), ("P2", 32)):
        mesh = fs.Mesh.rectangle(1 / n)
        scalar = fs.FunctionSpace(mesh, "P1")
        pulls = torch.from_numpy(generator.standard_normal((samples, 1, 2))).expand(-1, scalar.n_dofs, -1)
        loads = fs.Function(scalar.with_components("x", "y"), pulls.contiguous())
        moduli = fs.Function(scalar, torch.from_numpy(1.0 + generator.random((samples, scalar.n_dofs))))
        cases = {
            "loads vary": lambda e=element, m=mesh, f=loads: bar(m, e, traction={"right": f}).solve(),
            "Young's modulus varies": lambda e=element, m=mesh, f=moduli: bar(m, e, young=f).solve(),
        }
        loops = {
            "loads vary": lambda e=element, m=mesh, f=loads[:few]: [
                bar(m, e, traction={"right": g}).solve() for g in f
            ],
            "Young's modulus varies": lambda e=element, m=mesh, f=moduli[:few]: [bar(m, e, young=g).solve() for g in f],
        }
        for name, batch in cases.items():
            batch()
            skfem_solve(mesh, element)
            tasks = {
                "batch": batch,
                "loop": loops[name],
                "peer": lambda e=element, m=mesh: [skfem_solve(m, e) for _ in range(few)],
            }
            counts = {"batch": samples, "loop": few, "peer": few}
            taken = [{task: seconds(work) / counts[task] for task, work in tasks.items()} for _ in range(rounds)]
            best = {task: min(t[task] for t in taken) for task in tasks}
            ratios = {task: median(t[task] / t["batch"] for t in taken) for task in ("loop", "peer")}
            good &= name != "loads vary" or ratios["peer"] >= 5.0
            per = [f"{1e3 * best[task]:.2f}" for task in ("batch", "loop", "peer")]
            unknowns = f"{bar(mesh, element).space.n_dofs * 2:,}"
            rows.append([name, element, unknowns, *per, *(f"{ratios[task]:.1f}" for task in ("loop", "peer"))])
    heads = ["batch", "element", "unknowns", "batch, ms per sample", "our loop, ms", "scikit-fem loop, ms"]
    heads += ["loop / batch", "scikit-fem / batch"]
    return table(heads, rows), good


def cell_table(samples: int) -> str:
    rows = []
    for kind in ("mapped", "free"):
        cell = HoledCell(kind)  # type: ignore[arg-type]
        cell.sample(1)
        started = time.perf_counter()
        data = cell.sample(samples, seed=0)
        took = time.perf_counter() - started
        values: Any = data.outputs["von_mises"]
        sizes = values.ptr.diff()
        nodes = (
            f"{int(sizes.min())}"
            if int(sizes.min()) == int(sizes.max())
            else f"{int(sizes.min())} to {int(sizes.max())}"
        )
        numbers = values.coefficients
        rows.append(
            [kind, nodes, f"{float(numbers.mean()):.1f}", f"{float(numbers.std()):.1f}", f"{1e3 * took / samples:.0f}"]
        )
    rows.append(["published", "972", "187.5", "127.0", ""])
    return table(["mesh", "nodes", "mean of the von Mises stress, Pa", "standard deviation, Pa", "ms per sample"], rows)


def table(heads: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (heads, ["---"] * len(heads), *rows))


def machine() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "scikit-fem", "pyamg", "torch"))
    load = f", load average {os.getloadavg()[0]:.1f} at the end" if hasattr(os, "getloadavg") else ""
    return f"{available_cores()} cores of {cpu}{load}; Python {platform.python_version()}, {packages}; seed 0."


TEXTS = {
    "rates": """\
-div sigma = f with E = 1 + x^2 + y/2, nu = 0.3, plane strain or space, and smooth trigonometric displacements; given
displacements, a roller and tractions on different sides. Errors on three meshes, rates between the last two.""",
    "cook": """\
The panel (0, 0), (48, 44), (48, 60), (0, 44), clamped on the left; vertical displacement of the middle (48, 52) of the
loaded edge under a unit shear force (linear), or of its upper corner (48, 60) under a shear traction of 4
(hyperelastic, psi = mu/2 (I1 - 3) - mu ln J + lambda/4 (J^2 - 1 - 2 ln J), a function given by the user). Published:
23.97 and 16.4326 in P. Krysl's FinEtools (the second by Richardson extrapolation), 6.1469 in B. Müller's thesis (Mixed
least squares finite element methods based on inverse stress-strain relations in hyperelasticity, Duisburg-Essen 2015).
The second problem has nu = 0.49998: P1 and Q1 lock.""",
    "newton": "Residuals relative to the forces in the body, for the whole load in one step.",
    "cost": """\
A clamped square (P2) or cube (P1) under a shear traction, from the mesh to the displacement: assembly and solve,
direct for small systems, conjugate gradients with smoothed aggregation and rigid-body modes for large ones; processor
time, best of {rounds}. The exponent is that of the growth since the row above.""",
    "batch": """\
{samples} samples on one mesh. The loops, over a quarter of them, make and solve one problem after another. scikit-fem
assembles the same form with constant modulus and solves directly; it runs on one core. Best of {rounds} rounds, ratios
are medians.""",
    "cell": """\
{samples} samples of `HoledCell`, the stress being means over cells averaged at the nodes; published: the metadata of
GAOT's "Elasticity" file, the hyperelastic set of Geo-FNO.""",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=int, default=150_000, help="most unknowns in the table of costs")
    parser.add_argument("--samples", type=int, default=64, help="samples of a batch")
    parser.add_argument("--cells", type=int, default=32, help="samples of HoledCell")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--output", type=Path, help="write the page here")
    arguments = parser.parse_args()
    rate_rows, rates_good = rates()
    cook_rows, cook_good = cook_table()
    batch_rows, batch_good = batch_table(arguments.samples, arguments.rounds)
    sections = [
        ("Convergence rates", TEXTS["rates"], rate_rows),
        ("Cook's membrane", TEXTS["cook"], cook_rows),
        ("Newton's method", TEXTS["newton"], newton_table()),
        (
            "Cost as the work grows",
            TEXTS["cost"].format(rounds=arguments.rounds),
            cost_table(arguments.largest, arguments.rounds),
        ),
        ("Batches on one mesh", TEXTS["batch"].format(samples=arguments.samples, rounds=arguments.rounds), batch_rows),
        ("The cell with a random hole", TEXTS["cell"].format(samples=arguments.cells), cell_table(arguments.cells)),
    ]
    page = "# Solids\n\n" + "\n\n".join(f"## {head}\n\n{text}\n\n{rows}" for head, text, rows in sections)
    page += f"\n\n{machine()}\n\nRegenerate with `python benchmarks/solids.py --output docs/benchmarks/solids.md`."
    print(page)
    if arguments.output:
        arguments.output.write_text(page + "\n")
    if not (rates_good and cook_good and batch_good):
        raise SystemExit(f"a target is missed: rates {rates_good}, Cook {cook_good}, batches {batch_good}")


if __name__ == "__main__":
    main()
