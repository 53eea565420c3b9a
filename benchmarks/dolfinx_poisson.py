"""Poisson and elasticity against DOLFINx with PETSc: one sample, batches of 64 on one mesh, cost as the work grows.

make dolfinx-env
OMP_NUM_THREADS=1 .venv-dolfinx/bin/python benchmarks/dolfinx_poisson.py --output docs/benchmarks/dolfinx_poisson.md
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dolfinx
import numpy as np
import torch
import ufl
from dolfinx import fem
from dolfinx.mesh import CellType
from mpi4py import MPI
from petsc4py import PETSc
from ufl import dot, dx, grad, inner, sym

import funcspace as fs
from funcspace.solvers.solids import LinearElasticity

SOLVERS = {
    "CG + hypre": {"ksp_type": "cg", "pc_type": "hypre"},
    "CG + gamg": {"ksp_type": "cg", "pc_type": "gamg"},
    "LU": {"ksp_type": "preonly", "pc_type": "lu"},
}
TOLERANCE = 1e-10
FORCE = 1.0
POISSON_RATIO = 0.3

TEXT = """\
-div(k grad u) = f, u = 0 on the boundary, k a function on the P1 space of the mesh; and -div sigma(u) = f with Young's
modulus E a function on the P1 space, clamped at x = 0. Both sides have the same mesh and the same spaces, iterate to a
relative residual of 1e-10, and agree to the number in the column "difference" (relative, L2). DOLFINx runs in this
process, serially, its forms compiled before; of CG + hypre, CG + gamg (with the rigid motions as near-null space for
elasticity) and PETSc's LU the fastest is taken for each case, and named. Times are seconds of processor time (the
machine has other users), the best of several turns taken in turn by both sides: read the ratios."""

EXPLAINED = """\
"First": everything from the mesh on, that is dof numbering, quadrature, sparsity, boundary conditions, assembly and
solve. "Again": another coefficient on what is there, assembly and solve. A ratio below 1 says that ours is faster. Ours
chooses its method by the size: a multifrontal Cholesky factorisation in all of these cases."""

BATCHED = """\
Milliseconds of processor time per sample. "Coefficients": each sample has its own coefficient, so its own matrix;
DOLFINx assembles into the matrix that is there and solves, sample by sample. "Loads": one matrix, each sample has its
own source (body force); DOLFINx keeps its factorisation or preconditioner, and so do we from one batch to the next.
Ours takes the batch as one Function, on one thread; on more the samples are spread over the cores, as several processes
of DOLFINx would be."""

GROWN = """\
From the mesh to the solution, ours with `method="multigrid"`: conjugate gradients with smoothed aggregation, the cycles
compiled here for scalar equations and those of pyamg for elasticity."""

ONE = (
    "problem", "dofs", "PETSc solver", "DOLFINx first, ms", "ours, ms", "ratio", "DOLFINx again, ms", "ours, ms",
    "ratio", "difference",
)  # fmt: skip
SEVERAL = ("problem", "what varies", "dofs", "PETSc solver", "DOLFINx, ms", "ours, ms", "times faster", "difference")
GROWTH = ("problem", "dofs", "PETSc solver", "DOLFINx, s", "ours, s", "ratio", "difference")


def table(head: tuple[str, ...], rows: list[str]) -> str:
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *rows])


@dataclass(frozen=True)
class Case:
    """A problem, an element, and cells per side."""

    problem: str
    cell: str
    degree: int
    n: int

    @property
    def name(self) -> str:
        letter = "Q" if self.cell in ("quadrilateral", "hexahedron") else "P"
        return f"{self.problem}, {letter}{self.degree} on {self.cell} cells"

    @property
    def element(self) -> str:
        return f"{'Q' if self.cell in ('quadrilateral', 'hexahedron') else 'P'}{self.degree}"

    def mesh(self) -> Any:
        kind = getattr(CellType, self.cell)
        if self.cell in ("triangle", "quadrilateral"):
            return dolfinx.mesh.create_unit_square(MPI.COMM_SELF, self.n, self.n, kind)
        return dolfinx.mesh.create_unit_cube(MPI.COMM_SELF, self.n, self.n, self.n, kind)


class Theirs:
    """The problem in DOLFINx."""

    def __init__(self, case: Case, mesh: Any, solver: str) -> None:
        self.case, self.dim = case, mesh.topology.dim
        elastic = case.problem == "elasticity"
        make = fem.VectorFunctionSpace if elastic else fem.FunctionSpace
        space, linear = make(mesh, ("CG", case.degree)), fem.FunctionSpace(mesh, ("CG", 1))
        self.coefficient, self.source, self.u = fem.Function(linear), fem.Function(linear), fem.Function(space)
        u, v = ufl.TrialFunction(space), ufl.TestFunction(space)
        if elastic:
            mu = self.coefficient / (2 * (1 + POISSON_RATIO))
            lam = self.coefficient * POISSON_RATIO / ((1 + POISSON_RATIO) * (1 - 2 * POISSON_RATIO))
            eps = sym(grad(u))
            stress = lam * ufl.tr(eps) * ufl.Identity(self.dim) + 2 * mu * eps
            a, right = inner(stress, sym(grad(v))) * dx, self.source * v[self.dim - 1] * dx
        else:
            a, right = self.coefficient * dot(grad(u), grad(v)) * dx, self.source * v * dx
        self.a, self.right = fem.form(a), fem.form(right)
        mesh.topology.create_connectivity(self.dim - 1, self.dim)
        where = (lambda x: np.isclose(x[0], 0.0)) if elastic else (lambda x: np.full(x.shape[1], True))
        facets = dolfinx.mesh.locate_entities_boundary(mesh, self.dim - 1, where)
        dofs = fem.locate_dofs_topological(space, self.dim - 1, facets)
        zero = np.zeros(self.dim) if elastic else 0.0
        self.bc = fem.dirichletbc(zero, dofs, space)
        self.matrix = fem.petsc.create_matrix(self.a)
        if elastic and "gamg" in solver:
            self.matrix.setBlockSize(self.dim)
            self.matrix.setNearNullSpace(self.rigid_motions(space))
        self.ksp = PETSc.KSP().create(MPI.COMM_SELF)
        self.ksp.setOperators(self.matrix)
        self.ksp.setType(SOLVERS[solver]["ksp_type"])
        self.ksp.getPC().setType(SOLVERS[solver]["pc_type"])
        self.ksp.setTolerances(rtol=TOLERANCE)

    def rigid_motions(self, space: Any) -> Any:
        x = space.tabulate_dof_coordinates()[:, : self.dim]
        pairs = [(0, 1)] if self.dim == 2 else [(0, 1), (1, 2), (2, 0)]
        fields = [np.tile(np.eye(self.dim)[i], (len(x), 1)) for i in range(self.dim)]
        for i, j in pairs:
            field = np.zeros_like(x)
            field[:, i], field[:, j] = -x[:, j], x[:, i]
            fields.append(field)
        basis = np.linalg.qr(np.stack([f.ravel() for f in fields], axis=1))[0]
        vectors = [PETSc.Vec().createWithArray(np.ascontiguousarray(column), comm=MPI.COMM_SELF) for column in basis.T]
        self.kept = vectors
        return PETSc.NullSpace().create(vectors=vectors, comm=MPI.COMM_SELF)

    def assemble(self, coefficient: np.ndarray) -> None:
        self.coefficient.x.array[:] = coefficient
        self.matrix.zeroEntries()
        fem.petsc.assemble_matrix(self.matrix, self.a, bcs=[self.bc])
        self.matrix.assemble()

    def solve(self, source: np.ndarray) -> Any:
        self.source.x.array[:] = source
        load = fem.petsc.assemble_vector(self.right)
        fem.petsc.apply_lifting(load, [self.a], [[self.bc]])
        fem.petsc.set_bc(load, [self.bc])
        self.ksp.solve(load, self.u.vector)
        load.destroy()
        if self.ksp.getConvergedReason() < 0:
            raise SystemExit(f"{self.case.name}: PETSc did not converge")
        return self.u


def ours(case: Case, mesh: fs.Mesh, coefficient: Any, source: Any, **options: Any) -> Any:
    """The problem here."""
    if case.problem == "elasticity":
        down = vector_source(source, mesh.dim)
        return LinearElasticity(
            mesh,
            case.element,
            young=coefficient,
            poisson=POISSON_RATIO,
            displacement={"clamped": 0.0},
            body_force=down,
            **options,
        )
    return fs.solvers.Poisson(
        mesh, case.element, coefficient=coefficient, source=source, dirichlet={"boundary": 0.0}, **options
    )


def vector_source(source: fs.Function, dim: int) -> fs.Function:
    """The scalar source along the last axis."""
    space = fs.FunctionSpace(source.domain, "P1", components=tuple("xyz"[:dim]))
    values = torch.zeros(*source.coefficients.shape, dim, dtype=torch.float64)
    values[..., dim - 1] = source.coefficients
    return fs.Function(space, values)


def our_mesh(mesh: Any) -> fs.Mesh:
    return fs.Mesh.from_dolfinx(mesh).with_boundaries({"clamped": lambda x: x[:, 0] < 1e-9})


def timed(work: Callable[[], Any], clock: Callable[[], float] = time.process_time) -> tuple[float, Any]:
    """Seconds of processor time, which other processes on the machine do not count in."""
    started = clock()
    found = work()
    return clock() - started, found


def fields(mesh: fs.Mesh, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients and sources (samples, points), in the order of the points of both sides."""
    x = mesh.points.numpy()
    generator = np.random.default_rng(0)
    waves = generator.uniform(1.0, 6.0, (samples, x.shape[1]))
    phase = generator.uniform(0.0, 6.0, (samples, 1))
    return 1.5 + np.sin(waves @ x.T + phase), 1.0 + 0.5 * np.cos(waves @ x.T)


def difference(mine: fs.Function, other: Any) -> float:
    theirs = fs.Function.from_dolfinx(other, mesh=mine.domain, copy=True)
    return float((mine - theirs).norm() / theirs.norm())


def fastest(case: Case, mesh: Any, names: list[str]) -> str:
    """The solver of PETSc that solves the problem again in the least time."""
    k, f = fields(fs.Mesh.from_dolfinx(mesh), 1)
    best = (math.inf, "")
    for name in names:
        problem = Theirs(case, mesh, name)
        for _ in range(2):
            took, _ = timed(lambda p=problem: (p.assemble(k[0]), p.solve(f[0])))
        best = min(best, (took, name))
    return best[1]


def one_sample(case: Case, turns: int) -> str:
    mesh = case.mesh()
    solver = fastest(case, mesh, list(SOLVERS))
    k, f = fields(fs.Mesh.from_dolfinx(mesh), 2)
    times: dict[str, list[float]] = {"t1": [], "t2": [], "o1": [], "o2": []}
    for _ in range(turns):

        def first(mesh: Any = mesh) -> Any:
            problem = Theirs(case, mesh, solver)
            problem.assemble(k[0])
            problem.solve(f[0])
            return problem

        took, problem = timed(first)
        times["t1"].append(took)
        for i in (1, 0):
            took, u = timed(lambda i=i, p=problem: (p.assemble(k[i]), p.solve(f[0]))[1])
            times["t2"].append(took)
        domain = our_mesh(mesh)
        domain.to_skfem()
        space = fs.FunctionSpace(domain, "P1")
        coefficients = [fs.Function(space, torch.from_numpy(values)) for values in k]
        source = fs.Function(space, torch.from_numpy(f[0]))

        def mine(domain: Any = domain, coefficients: Any = coefficients, source: Any = source) -> Any:
            built = ours(case, domain, coefficients[0], source)
            return built, built.solve()

        took, (built, _) = timed(mine)
        times["o1"].append(took)
        name = "young" if case.problem == "elasticity" else "coefficient"
        for i in (1, 0):
            took, v = timed(lambda i=i, b=built, c=coefficients, n=name: b.with_data(**{n: c[i]}).solve())
            times["o2"].append(took)
    best = {key: min(values) for key, values in times.items()}
    cells = [
        case.name,
        f"{v.coefficients.numel():,}",
        solver,
        f"{1e3 * best['t1']:.1f}",
        f"{1e3 * best['o1']:.1f}",
        f"**{best['o1'] / best['t1']:.2f}**",
        f"{1e3 * best['t2']:.1f}",
        f"{1e3 * best['o2']:.1f}",
        f"**{best['o2'] / best['t2']:.2f}**",
        f"{difference(v, u):.0e}",
    ]
    return f"| {' | '.join(cells)} |"


def batch(case: Case, samples: int, turns: int, kind: str) -> str:
    mesh = case.mesh()
    solver = fastest(case, mesh, list(SOLVERS))
    domain = our_mesh(mesh)
    k, f = fields(domain, samples)
    space = fs.FunctionSpace(domain, "P1")
    problem = Theirs(case, mesh, solver)
    problem.assemble(k[0])
    several = kind == "coefficients"
    coefficient = fs.Function(space, torch.from_numpy(k if several else k[0]))
    source = fs.Function(space, torch.from_numpy(f[0] if several else f))
    mine = ours(case, domain, coefficient, source, workers=1)
    data: dict[str, Any] = {"young" if case.problem == "elasticity" else "coefficient": coefficient}
    if not several:
        data = {"body_force": vector_source(source, domain.dim)} if case.problem == "elasticity" else {"source": source}
    mine.with_data(**data).solve()

    def loop() -> Any:
        for i in range(samples):
            if several:
                problem.assemble(k[i])
            u = problem.solve(f[0 if several else i])
        return u

    best = [math.inf, math.inf]
    for _ in range(turns):
        took, u = timed(loop)
        best[0] = min(best[0], took)
        took, v = timed(mine.with_data(**data).solve)
        best[1] = min(best[1], took)
    cells = [
        case.name,
        kind,
        f"{v[0].coefficients.numel():,}",
        solver,
        f"{1e3 * best[0] / samples:.2f}",
        f"{1e3 * best[1] / samples:.2f}",
        f"**{best[0] / best[1]:.1f}**",
        f"{difference(v[-1], u):.0e}",
    ]
    return f"| {' | '.join(cells)} |"


def growth(problem: str, cell: str, sizes: list[int], solver: str) -> list[str]:
    rows, points = [], []
    for n in sizes:
        case = Case(problem, cell, 1, n)
        mesh = case.mesh()
        k, f = fields(fs.Mesh.from_dolfinx(mesh), 1)
        domain = our_mesh(mesh)
        domain.to_skfem()
        space = fs.FunctionSpace(domain, "P1")
        a, b = (fs.Function(space, torch.from_numpy(values[0])) for values in (k, f))
        best = [math.inf, math.inf]
        for _ in range(3 if len(k[0]) < 50_000 else 1):

            def theirs(case: Case = case, mesh: Any = mesh, k: Any = k, f: Any = f) -> Any:
                built = Theirs(case, mesh, solver)
                built.assemble(k[0])
                return built.solve(f[0])

            took, u = timed(theirs)
            best[0] = min(best[0], took)
            took, v = timed(lambda c=case, d=domain, a=a, b=b: ours(c, d, a, b, method="multigrid").solve())
            best[1] = min(best[1], took)
        size = v.coefficients.numel()
        points.append((math.log(size), *(math.log(t) for t in best)))
        rows.append(
            f"| {case.name} | {size:,} | {solver} | {best[0]:.3f} | {best[1]:.3f} | {best[1] / best[0]:.2f} | "
            f"{difference(v, u):.0e} |"
        )
    x, *ys = (np.array(column) for column in zip(*points[-3:], strict=True))
    slopes = [np.polyfit(x, y, 1)[0] for y in ys]
    rows.append(f"| slope of log time over log dofs, last {len(x)} | | | {slopes[0]:.2f} | {slopes[1]:.2f} | | |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="write the page here")
    parser.add_argument("--turns", type=int, default=5, help="turns of each side; the best counts")
    parser.add_argument("--samples", type=int, default=64, help="size of the batches")
    parser.add_argument("--large", action="store_true", help="let the dofs grow to 10^6 (minutes, 8 GB)")
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    cases = [
        Case("Poisson", "triangle", 1, 64),
        Case("Poisson", "triangle", 2, 32),
        Case("Poisson", "triangle", 1, 200),
        Case("Poisson", "tetrahedron", 1, 14),
        Case("elasticity", "triangle", 1, 40),
        Case("elasticity", "triangle", 2, 20),
        Case("elasticity", "tetrahedron", 1, 10),
    ]
    single = [one_sample(case, arguments.turns) for case in cases]
    several = [*cases[:2], Case("Poisson", "tetrahedron", 1, 10), *cases[4:6]]
    batches = [
        batch(case, arguments.samples, arguments.turns, kind) for case in several for kind in ("coefficients", "loads")
    ]
    plane, space, elastic = [32, 100, 200], [10, 15, 22], [22, 44, 88]
    if arguments.large:
        plane, space, elastic = [*plane, 316, 1000], [*space, 46, 99], [*elastic, 223, 700]
    grown = [
        *growth("Poisson", "triangle", plane, "CG + hypre"),
        *growth("Poisson", "tetrahedron", space, "CG + hypre"),
        *growth("elasticity", "triangle", elastic, "CG + gamg"),
    ]
    names = ("numpy", "scipy", "scikit-fem", "pyamg", "torch", "numba")
    packages = ", ".join(f"{name} {version(name)}" for name in names)
    petsc = ".".join(str(part) for part in PETSc.Sys.getVersion())
    page = "\n\n".join(
        [
            "# Poisson and elasticity against DOLFINx",
            TEXT,
            "## One sample\n\n" + EXPLAINED,
            table(ONE, single),
            f"## Batches of {arguments.samples} on one mesh\n\n" + BATCHED,
            table(SEVERAL, batches),
            "## Cost as the work grows\n\n" + GROWN,
            table(GROWTH, grown),
            f"{platform.machine()}, {os.cpu_count()} cores; Python {platform.python_version()}, {packages}, DOLFINx "
            f"{dolfinx.__version__}, PETSc {petsc}. Seed 0.",
            "Regenerate with `.venv-dolfinx/bin/python benchmarks/dolfinx_poisson.py --output "
            "docs/benchmarks/dolfinx_poisson.md` (`--large` for 10^6 dofs).",
        ]
    )
    print(page)
    if arguments.output:
        arguments.output.write_text(page + "\n")


if __name__ == "__main__":
    main()
