"""Forms of DOLFINx, 0.5 to 0.11: every difference between its versions that matters to laws and solves is here."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcspace.functions.fem.dolfinx_api import INSTALL
from funcspace.optional import require

__all__ = [
    "assemble_jacobian",
    "assemble_residual",
    "constrained_dofs",
    "evaluate",
    "expression",
    "impose",
    "quadrature_function",
    "quadrature_points",
    "solve_linear",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def _module(name: str) -> Any:
    return require(name, feature="learned laws in DOLFINx", install=INSTALL)


def quadrature_points(mesh: Any, degree: int) -> FloatArray:
    """Reference points (q, d) of the rule of a degree."""
    basix = _module("basix")
    kind = mesh.topology.cell_type
    cell = getattr(basix.CellType, str(getattr(kind, "name", kind)).rsplit(".", 1)[-1])
    return np.asarray(basix.make_quadrature(cell, degree)[0], dtype=np.float64)


def quadrature_function(mesh: Any, degree: int, components: int, name: str) -> Any:
    """A coefficient with its own value(s) at each quadrature point."""
    ufl, fem = _module("ufl"), _module("dolfinx.fem")
    if hasattr(ufl, "FiniteElement"):
        cell = mesh.ufl_cell()
        options = {"degree": degree, "quad_scheme": "default"}
        element = (
            ufl.FiniteElement("Quadrature", cell, **options)
            if components == 1
            else ufl.VectorElement("Quadrature", cell, dim=components, **options)
        )
        space = fem.FunctionSpace(mesh, element)
    else:
        shape = () if components == 1 else (components,)
        element = _module("basix.ufl").quadrature_element(
            mesh.basix_cell(), value_shape=shape, scheme="default", degree=degree
        )
        space = fem.functionspace(mesh, element)
    function = fem.Function(space)
    function.name = name
    return function


def expression(operand: Any, points: FloatArray) -> Any:
    """A compiled UFL expression at reference points."""
    return _module("dolfinx.fem").Expression(operand, points)


def evaluate(compiled: Any, mesh: Any, cells: IntArray, shape: tuple[int, ...]) -> FloatArray:
    """Its values (cells * q, *shape) on cells."""
    where = cells.astype(np.int32)
    of_mesh = next(iter(inspect.signature(compiled.eval).parameters)) == "mesh"
    found = compiled.eval(mesh, where) if of_mesh else compiled.eval(where)
    return np.asarray(found).reshape(-1, *shape)


def cell_count(mesh: Any) -> int:
    """Number of cells on this process."""
    return int(mesh.topology.index_map(mesh.topology.dim).size_local)


def fill(function: Any, values: FloatArray) -> None:
    """Set a quadrature function from values (cells * q, components)."""
    function.x.array[:] = values.reshape(math.prod(values.shape))


def compiled(form: Any) -> Any:
    """A form ready to be assembled."""
    return _module("dolfinx.fem").form(form)


def constrained_dofs(conditions: list[Any]) -> IntArray:
    """Dofs with boundary values."""
    found = [np.asarray(condition.dof_indices()[0]) for condition in conditions]
    return np.unique(np.concatenate(found)).astype(np.int64) if found else np.empty(0, dtype=np.int64)


def impose(function: Any, conditions: list[Any]) -> None:
    """Write the boundary values into a function."""
    for condition in conditions:
        if hasattr(condition, "set"):
            condition.set(function.x.array)
        else:
            _module("dolfinx.fem").set_bc(function.x.array, [condition])


def assemble_residual(form: Any) -> Any:
    """A PETSc vector."""
    return _module("dolfinx.fem.petsc").assemble_vector(form)


def assemble_jacobian(form: Any, conditions: list[Any]) -> Any:
    """A PETSc matrix with unit rows at constrained dofs."""
    matrix = _module("dolfinx.fem.petsc").assemble_matrix(form, bcs=conditions)
    matrix.assemble()
    return matrix


def solve_linear(matrix: Any, load: Any, options: dict[str, Any]) -> FloatArray:
    """The solution of a linear system by a PETSc Krylov solver or factorisation with the given options."""
    petsc = _module("petsc4py.PETSc")
    solver = petsc.KSP().create(matrix.getComm())
    prefix = f"funcspace_{solver.handle}_"
    solver.setOptionsPrefix(prefix)
    database = petsc.Options()
    for key, value in options.items():
        database[prefix + key] = value
    solver.setFromOptions()
    for key in options:
        del database[prefix + key]
    solver.setOperators(matrix)
    solution = load.duplicate()
    solver.solve(load, solution)
    found, good = solution.getArray().copy(), solver.getConvergedReason() > 0
    for owned in (solution, solver):
        owned.destroy()
    return found if good else np.full_like(found, np.nan)
