"""Our solutions against DOLFINx's on the same mesh; data are polynomials, which both sides integrate exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import funcspace as fs
from funcspace.solvers.linear import Heat
from funcspace.solvers.solids import LinearElasticity

pytestmark = [
    pytest.mark.dolfinx,
    # FFCx leaves files that it compiles open
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]
pytest.importorskip("dolfinx")

import dolfinx  # noqa: E402
import ufl  # noqa: E402
from dolfinx import fem  # noqa: E402
from dolfinx.mesh import CellType  # noqa: E402
from mpi4py import MPI  # noqa: E402
from petsc4py import PETSc  # noqa: E402
from ufl import dot, dx, grad, inner  # noqa: E402

AGREEMENT = 1e-9
CASES = [
    ("triangle", 1),
    ("triangle", 2),
    ("quadrilateral", 1),
    ("quadrilateral", 2),
    ("tetrahedron", 1),
    ("tetrahedron", 2),
    ("hexahedron", 1),
]


class Box:
    """The unit square or cube in DOLFINx with tagged sides, and our mesh of it."""

    def __init__(self, cell: str, n: int = 6) -> None:
        kind = getattr(CellType, cell)
        flat = cell in ("triangle", "quadrilateral")
        self.mesh = (
            dolfinx.mesh.create_unit_square(MPI.COMM_SELF, n, n, kind)
            if flat
            else dolfinx.mesh.create_unit_cube(MPI.COMM_SELF, n // 2, n // 2, n // 2, kind)
        )
        self.dim = self.mesh.topology.dim
        sides = {"left": (0, 0.0), "right": (0, 1.0), "bottom": (1, 0.0), "top": (1, 1.0)}
        self.names = {name: tag for tag, name in enumerate(sides, 1)}
        found = {
            name: dolfinx.mesh.locate_entities_boundary(
                self.mesh, self.dim - 1, lambda x, a=axis, v=value: np.isclose(x[a], v)
            )
            for name, (axis, value) in sides.items()
        }
        facets = np.concatenate(list(found.values()))
        values = np.repeat([self.names[name] for name in found], [len(part) for part in found.values()])
        order = np.argsort(facets, kind="stable")
        self.facets = found
        self.tags = dolfinx.mesh.meshtags(
            self.mesh, self.dim - 1, facets[order].astype(np.int32), values[order].astype(np.int32)
        )
        self.ours = fs.Mesh.from_dolfinx(self.mesh, self.tags, self.names)

    def ds(self, name: str) -> Any:
        return ufl.Measure("ds", domain=self.mesh, subdomain_data=self.tags)(self.names[name])

    def fixed(self, space: Any, values: dict[str, Any]) -> list[Any]:
        """Dirichlet conditions from functions of points (3, n) by side; where sides meet, the later one holds."""
        conditions = []
        for name, value in values.items():
            g = fem.Function(space)
            g.interpolate(value)
            conditions.append(fem.dirichletbc(g, fem.locate_dofs_topological(space, self.dim - 1, self.facets[name])))
        return conditions


def solve(a: Any, linear: Any, conditions: list[Any], space: Any) -> Any:
    """PETSc's LU factorisation."""
    a, linear = fem.form(a), fem.form(linear)
    matrix = fem.petsc.assemble_matrix(a, bcs=conditions)
    matrix.assemble()
    load = fem.petsc.assemble_vector(linear)
    fem.petsc.apply_lifting(load, [a], bcs=[conditions])
    fem.petsc.set_bc(load, conditions)
    solver = PETSc.KSP().create(MPI.COMM_SELF)
    solver.setOperators(matrix)
    solver.setType("preonly")
    solver.getPC().setType("lu")
    u = fem.Function(space)
    solver.solve(load, u.vector)
    return u


def difference(ours: fs.Function, theirs: Any) -> float:
    """L2 norm of the difference, relative to that of the solution."""
    converted = fs.Function.from_dolfinx(theirs, mesh=ours.domain)
    return float((ours - converted).norm() / converted.norm())


@pytest.mark.parametrize(("cell", "degree"), CASES)
def test_poisson(cell: str, degree: int) -> None:
    """Variable coefficient, reaction, Dirichlet, Neumann and Robin sides."""
    box = Box(cell)
    space = fem.FunctionSpace(box.mesh, ("CG", degree))
    u, v, x = ufl.TrialFunction(space), ufl.TestFunction(space), ufl.SpatialCoordinate(box.mesh)
    k, f = 1.0 + x[0] + 0.5 * x[1], 1.0 + x[0] * x[1]
    a = k * dot(grad(u), grad(v)) * dx + 2.0 * u * v * dx + 3.0 * u * v * box.ds("bottom")
    linear = f * v * dx + x[1] * v * box.ds("right") + x[0] * v * box.ds("bottom")
    theirs = solve(a, linear, box.fixed(space, {"left": lambda x: x[1] ** degree}), space)
    ours = fs.solvers.Poisson(
        box.ours,
        f"{'Q' if cell in ('quadrilateral', 'hexahedron') else 'P'}{degree}",
        coefficient=lambda x: 1.0 + x[:, 0] + 0.5 * x[:, 1],
        reaction=2.0,
        source=lambda x: 1.0 + x[:, 0] * x[:, 1],
        dirichlet={"left": lambda x: x[:, 1] ** degree},
        neumann={"right": lambda x: x[:, 1]},
        robin={"bottom": (3.0, lambda x: x[:, 0])},
    ).solve()
    assert difference(ours, theirs) < AGREEMENT


@pytest.mark.parametrize("cell", ["triangle", "tetrahedron"])
def test_darcy(cell: str) -> None:
    """A random coefficient, linear in each cell: its integral over a cell is what counts on both sides."""
    box = Box(cell, 8)
    data = fs.solvers.Darcy("lognormal", domain=box.ours).sample(2, seed=3)
    space = fem.FunctionSpace(box.mesh, ("CG", 1))
    u, v = ufl.TrialFunction(space), ufl.TestFunction(space)
    boundary = dolfinx.mesh.locate_entities_boundary(box.mesh, box.dim - 1, lambda x: np.full(x.shape[1], True))
    zero = fem.dirichletbc(0.0, fem.locate_dofs_topological(space, box.dim - 1, boundary), space)
    for sample in range(2):
        k = data.inputs["a"][sample].to_dolfinx(space)
        theirs = solve(k * dot(grad(u), grad(v)) * dx, v * dx(domain=box.mesh), [zero], space)
        assert difference(data.outputs["u"][sample], theirs) < AGREEMENT


@pytest.mark.parametrize(("cell", "degree"), CASES)
def test_elasticity(cell: str, degree: int) -> None:
    box = Box(cell)
    young, poisson = 200.0, 0.3
    lam, mu = young * poisson / ((1 + poisson) * (1 - 2 * poisson)), young / (2 * (1 + poisson))
    space = fem.VectorFunctionSpace(box.mesh, ("CG", degree))
    u, v = ufl.TrialFunction(space), ufl.TestFunction(space)
    strain = ufl.sym(grad(u))
    stress = lam * ufl.tr(strain) * ufl.Identity(box.dim) + 2.0 * mu * strain
    force, pull = np.arange(1.0, box.dim + 1), np.full(box.dim, 0.5)
    linear = dot(fem.Constant(box.mesh, force), v) * dx + dot(fem.Constant(box.mesh, pull), v) * box.ds("right")
    theirs = solve(
        inner(stress, ufl.sym(grad(v))) * dx, linear, box.fixed(space, {"left": lambda x: 0.01 * x[: box.dim]}), space
    )
    ours = LinearElasticity(
        box.ours,
        f"{'Q' if cell in ('quadrilateral', 'hexahedron') else 'P'}{degree}",
        young=young,
        poisson=poisson,
        displacement={"left": lambda x: 0.01 * x},
        traction={"right": pull.tolist()},
        body_force=force.tolist(),
    ).solve()
    assert difference(ours, theirs) < AGREEMENT


@pytest.mark.parametrize("theta", [0.5, 1.0])
@pytest.mark.parametrize(("cell", "degree"), CASES)
def test_heat(cell: str, degree: int, theta: float) -> None:
    """Four steps of the theta scheme."""
    box, step, count = Box(cell), 0.05, 4
    space = fem.FunctionSpace(box.mesh, ("CG", degree))
    u, v, x = ufl.TrialFunction(space), ufl.TestFunction(space), ufl.SpatialCoordinate(box.mesh)
    old = fem.Function(space)
    old.interpolate(lambda x: x[0] * (1.0 + x[1]))
    k = 1.0 + x[0]
    between = theta * u + (1.0 - theta) * old
    residual = (u - old) / step * v * dx + k * dot(grad(between), grad(v)) * dx - x[1] * v * dx
    conditions = box.fixed(space, {"left": lambda x: 0.0 * x[0]})
    for _ in range(count):
        old.x.array[:] = solve(ufl.lhs(residual), ufl.rhs(residual), conditions, space).x.array
    ours = Heat(
        box.ours,
        fs.Times(0.0, step, count + 1),
        f"{'Q' if cell in ('quadrilateral', 'hexahedron') else 'P'}{degree}",
        coefficient=lambda x: 1.0 + x[:, 0],
        source=lambda x: x[:, 1],
        initial=lambda x: x[:, 0] * (1.0 + x[:, 1]),
        dirichlet={"left": 0.0},
        theta=theta,
        damped=0,
    ).solve()
    last = fs.Function(fs.FunctionSpace(box.ours, ours.space.element.split(" * ")[-1]), ours.coefficients[-1])
    assert difference(last, old) < AGREEMENT
    assert bool(torch.isfinite(ours.coefficients).all())
