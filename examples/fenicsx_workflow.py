"""FEniCSx and back: a DOLFINx problem makes the data, its surrogate serves DOLFINx, and ParaView shows the result.

Runs beside DOLFINx: `make dolfinx-env && .venv-dolfinx/bin/python examples/fenicsx_workflow.py`.
"""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

import funcspace as fs
from funcspace.training.fem import DolfinxOperator

if importlib.util.find_spec("dolfinx") is None:
    raise SystemExit("this example needs DOLFINx: apt-get install python3-dolfinx, then make dolfinx-env")

import dolfinx
import ufl
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc


class Plate:
    """-div(k grad u) = 1 on the unit square, u = 0 on its boundary, P1 on triangles: an ordinary DOLFINx program."""

    def __init__(self, n: int) -> None:
        self.mesh = dolfinx.mesh.create_unit_square(MPI.COMM_SELF, n, n)
        self.space = V = fem.FunctionSpace(self.mesh, ("CG", 1))
        self.k = fem.Function(V, name="k")
        u, v = ufl.TrialFunction(V), ufl.TestFunction(V)
        self.a = fem.form(self.k * ufl.dot(ufl.grad(u), ufl.grad(v)) * ufl.dx)
        self.load = fem.form(v * ufl.dx(domain=self.mesh))
        edge = dolfinx.mesh.locate_entities_boundary(self.mesh, 1, lambda x: np.full(x.shape[1], True))
        self.bc = fem.dirichletbc(0.0, fem.locate_dofs_topological(V, 1, edge), V)

    def random_coefficient(self, seed: int) -> Any:
        """Exp of a sum of random waves."""
        generator = np.random.default_rng(seed)
        waves, phases = generator.normal(0.0, 5.0, (6, 2)), generator.uniform(0.0, 2 * np.pi, 6)
        k = fem.Function(self.space, name="k")
        k.interpolate(lambda x: np.exp(0.6 * np.sin(waves @ x[:2] + phases[:, None]).sum(axis=0)))
        return k

    def solve(self, k: Any, start: Any = None) -> tuple[Any, int]:
        """The solution by PETSc's conjugate gradients from a start, and the number of iterations."""
        self.k.x.array[:] = k.x.array
        A, b = fem.petsc.assemble_matrix(self.a, bcs=[self.bc]), fem.petsc.assemble_vector(self.load)
        A.assemble()
        fem.petsc.set_bc(b, [self.bc])
        u = fem.Function(self.space, name="u")
        if start is not None:
            u.x.array[:] = start.x.array
            fem.set_bc(u.x.array, [self.bc])
        solver = PETSc.KSP().create(MPI.COMM_SELF)
        solver.setOperators(A)
        solver.setType("cg")
        solver.getPC().setType("jacobi")
        solver.setInitialGuessNonzero(start is not None)
        solver.setTolerances(rtol=1e-4)  # of the load's norm, whatever the start
        solver.solve(b, u.vector)
        return u, solver.getIterationNumber()


def main(folder: Path, samples: int = 220, epochs: int = 25, n: int = 16) -> dict[str, float]:
    """Data from DOLFINx, a surrogate, and its predictions back in DOLFINx, where they start a solve."""
    plate = Plate(n)
    coefficients = [plate.random_coefficient(seed) for seed in range(samples)]
    solutions = [plate.solve(k)[0] for k in coefficients]

    # many functions on one space are one batched Function; the model learns on the grid of the vertices
    grid = fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, n + 1), y=(0.0, 1.0, n + 1)))
    k, u = (fs.Function.from_dolfinx(functions).to(grid) for functions in (coefficients, solutions))
    train, test = fs.OperatorData({"k": k}, {"u": u}).split(samples - 20)
    surrogate = fs.fit(fs.operators.MgNO.for_data(train, width=16), train, validation=test, epochs=epochs, seed=0)
    metrics = surrogate.evaluate(test)

    # a DOLFINx function in, a DOLFINx function out, on any mesh: here a finer one, with coefficients never seen
    finer = Plate(2 * n)
    operator = DolfinxOperator(surrogate, finer.space, resample=True)
    unseen = finer.random_coefficient(samples + 1)
    predicted = operator(unseen)
    exact, metrics["iterations"] = finer.solve(unseen)
    _, metrics["iterations_from_surrogate"] = finer.solve(unseen, start=predicted)
    ours, truth = (fs.Function.from_dolfinx(f) for f in (predicted, exact))
    metrics["finer_rel_l2"] = float((ours - truth).norm() / truth.norm())

    with dolfinx.io.XDMFFile(MPI.COMM_SELF, str(folder / "plate.xdmf"), "w") as file:  # open it in ParaView
        file.write_mesh(finer.mesh)
        for name, function in (("k", unseen), ("u predicted", predicted), ("u", exact)):
            function.name = name
            file.write_function(function)
    ours.plot(title="Prediction, back in DOLFINx").figure.savefig(folder / "plate.png", dpi=150)
    return metrics


if __name__ == "__main__":
    print(main(Path(".")))
