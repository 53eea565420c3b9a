"""Function spaces of DOLFINx, 0.5 to 0.11: every difference between its versions that matters here is in this file."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcspace.errors import DomainError, InputError
from funcspace.optional import require

__all__ = ["INSTALL", "cell_transformations", "describe", "element_name", "new_function", "tabulated", "value_shape"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

INSTALL = "apt-get install python3-dolfinx, or conda install -c conda-forge fenics-dolfinx"

_FAMILIES = {"P": "P", "RT": "RT", "N1E": "N1curl", "DPC": "P"}
_TENSOR_CELLS = ("quadrilateral", "hexahedron")


def check_space(space: Any) -> None:
    """Refuse what is not a dolfinx.fem.FunctionSpace on one process."""
    if not all(hasattr(space, name) for name in ("dofmap", "element", "mesh")):
        raise InputError(f"expected a dolfinx.fem.FunctionSpace; got {type(space).__name__}")
    if space.mesh.comm.size > 1:
        raise InputError(f"the space is spread over {space.mesh.comm.size} processes; make its mesh on MPI.COMM_SELF")


def describe(space: Any) -> str:
    """The space in messages."""
    return f"the DOLFINx space {space.ufl_element()}"


def element_name(space: Any, cell: str) -> str:
    """Our name of the element: P0, P1, P2, Q1, Q2, RT or N1curl.

    Raises
    ------
    DomainError
        When there is none.
    """
    if space.num_sub_spaces and space.dofmap.bs == 1:
        raise DomainError(
            f"{describe(space)} is mixed: convert its parts, V.sub(i).collapse() and u.sub(i).collapse(), one by one"
        )
    basix = _basix(space)
    family, degree = str(getattr(basix.family, "name", basix.family)), int(basix.degree)
    name = _FAMILIES.get(family)
    if name == "P":
        letter = "Q" if cell in _TENSOR_CELLS and degree else "P"
        allowed, name = (0, 1, 2), f"{letter}{degree}"
    else:
        allowed = (1,)
    if name is None or degree not in allowed:
        raise DomainError(
            f"{describe(space)} (Basix family {family}, degree {degree}) has no counterpart: known are Lagrange of "
            "degree 0, 1, 2 and Raviart-Thomas and Nedelec (first kind) of degree 1; interpolate into one of these"
        )
    return name


def value_shape(space: Any, intrinsic: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of a value.

    Raises
    ------
    DomainError
        For symmetric tensors, which carry fewer dofs than components.
    """
    found = getattr(space, "value_shape", None)
    if found is None:
        found = space.ufl_element().value_shape()
    shape = tuple(int(n) for n in found)
    if int(space.dofmap.bs) * math.prod(intrinsic) != math.prod(shape):
        raise DomainError(f"{describe(space)} has {space.dofmap.bs} dofs for values of shape {shape}")
    return shape


def cell_dofs(space: Any) -> IntArray:
    """Dofs of each cell (cells, local dofs); of blocked spaces the blocks."""
    rows = space.dofmap.list
    if hasattr(rows, "offsets"):
        return np.asarray(rows.array).reshape(len(rows.offsets) - 1, -1).astype(np.int64)
    return np.asarray(rows).astype(np.int64)


def size(space: Any) -> int:
    """Length of the coefficient vector of a function."""
    return int(space.dofmap.index_map.size_local) * int(space.dofmap.index_map_bs)


def tabulated(space: Any, points: FloatArray) -> FloatArray:
    """Reference basis functions at reference points: (points, functions, components)."""
    return np.asarray(_basix(space).tabulate(0, np.ascontiguousarray(points)), dtype=np.float64)[0]


def cell_transformations(space: Any, functions: int) -> tuple[FloatArray, IntArray] | None:
    """Distinct matrices T that turn reference functions into those of a cell, and the one of each cell.

    None where cells use the reference functions as they are.
    """
    if not space.element.needs_dof_transformations:
        return None
    topology = space.mesh.topology
    topology.create_entity_permutations()
    codes, of_cell = np.unique(np.asarray(topology.get_cell_permutation_info()), return_inverse=True)
    flat = np.tile(np.eye(functions).ravel(), len(codes))
    if hasattr(space.element, "T_apply"):
        space.element.T_apply(flat, codes, functions)
    else:
        rows = flat.reshape(len(codes), -1)
        for row, code in zip(rows, codes, strict=True):
            space.element.apply_dof_transformation(row, int(code), functions)
    return flat.reshape(len(codes), functions, functions), of_cell


def new_function(space: Any, name: str) -> Any:
    """A dolfinx.fem.Function of zeros."""
    fem = require("dolfinx.fem", feature="functions of DOLFINx", install=INSTALL)
    function = fem.Function(space)
    function.name = name
    return function


def _basix(space: Any) -> Any:
    element = space.element.basix_element
    return element() if callable(element) else element
