"""Iterations that a surrogate saves: as a start of Krylov and Newton solves, and inside a preconditioner.

OMP_NUM_THREADS=1 python benchmarks/fem_surrogates.py --output docs/benchmarks/fem_surrogates.md
"""

from __future__ import annotations

import argparse
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import skfem
import torch
from skfem.helpers import dot, grad

import funcspace as fs
from funcspace.training.fem import (
    PointwiseLaw,
    SkfemOperator,
    SurrogatePreconditioner,
    flexible_cg,
    form_values,
    newton,
)

TEXT = """\
On the unit square with bilinear elements on {n} x {n} vertices. Medians over {tests} unseen problems, least and largest
in brackets. Krylov solves stop at a residual of 1e-4 or 1e-8 of the load's norm, Newton's method at 1e-10 of the
residual at zero, whatever the start."""

DARCY = """\
-div(a grad u) = 1 with the threshold coefficient: MgNO maps a to u (relative L2 error on unseen problems {error:.1%},
{epochs} epochs on {samples} samples, {took:.0f} s on a shared core). Its prediction starts the conjugate gradients,
without preconditioner, with Jacobi's, and with smoothed aggregation (pyamg)."""

POISSON = """\
-Lap u = f, one matrix: MgNO maps f to u, trained on {samples} sources of many scales (relative L2 error {error:.1%}).
The preconditioner is Jacobi, prediction, Jacobi, in flexible conjugate gradients, for random loads; its peers are
Jacobi alone and a V-cycle of smoothed aggregation. The last column is processor time."""

NEWTON = """\
-div((1 + u^2) grad u) = f: MgNO maps f to u (relative L2 error {error:.1%}, trained on {samples} solutions). Newton's
method from the prediction against Newton's method from zero; u reaches about 3."""


def summary(counts: list[int]) -> str:
    return f"{np.median(counts):.0f} ({min(counts)}..{max(counts)})"


def trained(data: fs.OperatorData, tests: int, epochs: int, width: int) -> tuple[fs.Surrogate, fs.OperatorData, float]:
    train, test = data.split(len(data) - tests)
    started = time.perf_counter()
    model = fs.operators.MgNO.for_data(train, width=width)
    surrogate = fs.fit(model, train, epochs=epochs, seed=0, progress=False, accelerator="cpu")
    return surrogate, test, time.perf_counter() - started


def square(n: int) -> tuple[skfem.CellBasis, np.ndarray]:
    """The basis on the vertices of the grid, and its free dofs."""
    line = np.linspace(0.0, 1.0, n)
    basis = skfem.CellBasis(skfem.MeshQuad.init_tensor(line, line), skfem.ElementQuad1(), intorder=4)
    return basis, basis.complement_dofs(basis.get_dofs())


@skfem.BilinearForm
def diffusion(u: Any, v: Any, w: Any) -> Any:
    return w["k"] * dot(grad(u), grad(v))


@skfem.LinearForm
def load(v: Any, w: Any) -> Any:
    return w["f"] * v


def multigrid(A: Any) -> Any:
    import pyamg

    return pyamg.smoothed_aggregation_solver(A).aspreconditioner()


def starts(n: int, samples: int, tests: int, epochs: int, width: int) -> str:
    data = fs.solvers.Darcy("threshold", resolution=n).sample(samples + tests, seed=0)
    surrogate, test, took = trained(data, tests, epochs, width)
    error = surrogate.evaluate(test)["rel_l2"]
    basis, free = square(n)
    predict = SkfemOperator(surrogate, basis, resample=True)
    counts: dict[tuple[str, float, str], list[int]] = {}
    for i in range(tests):
        a = test.inputs["a"][i].to_skfem(basis)
        A = diffusion.assemble(basis, k=basis.interpolate(a))[free][:, free].tocsr()
        b = load.assemble(basis, f=np.ones(basis.dx.shape))[free]
        guess = predict(a)[free]
        inverse = 1.0 / A.diagonal()
        methods = {"none": None, "Jacobi": lambda r, d=inverse: d * r, "multigrid": multigrid(A).matvec}
        for name, preconditioner in methods.items():
            for tolerance in (1e-4, 1e-8):
                for start, x0 in (("zero", None), ("surrogate", guess)):
                    found = flexible_cg(A, b, preconditioner, x0, tolerance=tolerance, max_iterations=5000)
                    counts.setdefault((name, tolerance, start), []).append(found.iterations)
    rows = ["| preconditioner | tolerance | from zero | from the surrogate | saved |", "|---|---|---|---|---|"]
    for name, tolerance in dict.fromkeys((name, tolerance) for name, tolerance, _ in counts):
        zero, guess = counts[name, tolerance, "zero"], counts[name, tolerance, "surrogate"]
        saved = 1.0 - np.median(guess) / np.median(zero)
        rows.append(f"| {name} | {tolerance:g} | {summary(zero)} | {summary(guess)} | {saved:.0%} |")
    text = DARCY.format(error=error, epochs=epochs, samples=samples, took=took)
    return "## A start for conjugate gradients\n\n" + text + "\n\n" + "\n".join(rows)


def sources(space: fs.FunctionSpace, count: int, seed: int) -> fs.Function:
    """Sums of products of sines, of all wavelengths with equal weight, of root mean square 1."""
    x = space.dof_points
    assert x is not None
    generator = torch.Generator().manual_seed(seed)
    modes = torch.arange(1, 13, dtype=torch.float64)
    sines = torch.sin(torch.pi * modes[:, None, None] * x.T[None])  # (modes, axes, points)
    weights = torch.randn(count, 12, 12, generator=generator, dtype=torch.float64)
    f = torch.einsum("sij,ip,jp->sp", weights, sines[:, 0], sines[:, 1])
    f = f / (f**2).mean(dim=1, keepdim=True).sqrt()
    return fs.Function(space, f.reshape(count, *space.coefficient_shape), name="f")


def preconditioners(n: int, samples: int, tests: int, epochs: int, width: int) -> str:
    space = fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, n), y=(0.0, 1.0, n)))
    f = sources(space, samples + tests, 0)
    u = fs.solvers.Poisson(space.domain, source=f).solve()
    surrogate, test, _ = trained(fs.OperatorData({"f": f}, {"u": u}), tests, epochs, width)
    error = surrogate.evaluate(test)["rel_l2"]
    free = np.setdiff1d(np.arange(space.n_dofs), space.dofs("boundary").numpy())
    A = space.stiffness.matrix.tocsr()[free][:, free]
    inverse = 1.0 / A.diagonal()
    hybrid = SurrogatePreconditioner(surrogate, A, space, free)
    methods = {
        "none": None,
        "Jacobi": lambda r: inverse * r,
        "Jacobi and surrogate": hybrid,
        "surrogate alone": SurrogatePreconditioner(surrogate, A, space, free, sweeps=0),
        "multigrid": multigrid(A).matvec,
    }
    rows = ["| preconditioner | iterations to 1e-4 | to 1e-8 | ms per application |", "|---|---|---|---|"]
    generator = np.random.default_rng(1)
    loads = [generator.standard_normal(len(free)) * space.integrals.reshape(-1).numpy()[free] for _ in range(tests)]
    for name, preconditioner in methods.items():
        cells = []
        for tolerance in (1e-4, 1e-8):
            try:
                found = [
                    flexible_cg(A, b, preconditioner, tolerance=tolerance, max_iterations=500).iterations for b in loads
                ]
                cells.append(summary(found))
            except fs.SolverError:
                cells.append("more than 500")
        started = time.process_time()
        for b in loads:
            _ = b.copy() if preconditioner is None else preconditioner(b)
        cells.append(f"{1e3 * (time.process_time() - started) / tests:.2f}")
        rows.append(f"| {name} | {' | '.join(cells)} |")
    text = POISSON.format(error=error, samples=samples)
    return "## Part of a preconditioner\n\n" + text + "\n\n" + "\n".join(rows)


@skfem.LinearForm
def residual(v: Any, w: Any) -> Any:
    return w["k"] * dot(grad(w["u"]), grad(v)) - w["f"] * v


@skfem.BilinearForm
def jacobian(du: Any, v: Any, w: Any) -> Any:
    return dot(w["k"] * grad(du) + w["dk"] * du * grad(w["u"]), grad(v))


def nonlinear(n: int, samples: int, tests: int, epochs: int, width: int) -> str:
    basis, free = square(n)
    grid = fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, n), y=(0.0, 1.0, n)))
    smooth = sources(grid, samples + tests, 2)
    f = smooth * 40.0 + fs.Function(grid, torch.full_like(smooth.coefficients, 150.0), name="f")
    vectors = f.to_skfem(basis)
    law = PointwiseLaw(lambda u: 1.0 + u**2)

    def solve(source: np.ndarray, start: np.ndarray, absolute: float = 0.0) -> Any:
        field = basis.interpolate(source)

        def system(x: np.ndarray) -> tuple[np.ndarray, Any]:
            u = basis.interpolate(x)
            k = form_values(law, u)
            first = residual.assemble(basis, u=u, k=k.value, f=field)
            return first, jacobian.assemble(basis, u=u, k=k.value, dk=k.derivatives[0])

        return newton(system, start, free, absolute=absolute, tolerance=1e-10 if absolute == 0.0 else 1e-16)

    zero = [solve(source, np.zeros(basis.N)) for source in vectors]
    u = fs.Function.from_skfem(basis, np.stack([result.solution for result in zero])).to(grid)
    surrogate, test, _ = trained(fs.OperatorData({"f": f.renamed("f")}, {"u": u}), tests, epochs, width)
    error = surrogate.evaluate(test)["rel_l2"]
    predict = SkfemOperator(surrogate, basis, resample=True)
    plain, started = [], []
    for i in range(samples, samples + tests):
        guess = np.zeros(basis.N)
        guess[free] = predict(vectors[i])[free]
        plain.append(zero[i].iterations)
        started.append(solve(vectors[i], guess, absolute=1e-10 * zero[i].residuals[0]).iterations)
    rows = [
        "| start | Newton steps |",
        "|---|---|",
        f"| zero | {summary(plain)} |",
        f"| surrogate | {summary(started)} |",
    ]
    text = NEWTON.format(error=error, samples=samples)
    return "## A start for Newton's method\n\n" + text + "\n\n" + "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="write the page here")
    parser.add_argument("--vertices", type=int, default=33, help="per side")
    parser.add_argument("--samples", type=int, default=200, help="for training")
    parser.add_argument("--tests", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--width", type=int, default=12, help="of MgNO")
    arguments = parser.parse_args()
    options = (arguments.vertices, arguments.samples, arguments.tests, arguments.epochs, arguments.width)
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "scikit-fem", "pyamg", "torch"))
    page = "\n\n".join(
        [
            "# Surrogates inside finite-element solves",
            TEXT.format(n=arguments.vertices, tests=arguments.tests),
            starts(*options),
            preconditioners(*options),
            nonlinear(*options),
            f"{platform.machine()}; Python {platform.python_version()}, {packages}. Seeds 0, 1, 2.",
            "Regenerate with `python benchmarks/fem_surrogates.py --output docs/benchmarks/fem_surrogates.md`.",
        ]
    )
    print(page)
    if arguments.output:
        arguments.output.write_text(page + "\n")


if __name__ == "__main__":
    main()
