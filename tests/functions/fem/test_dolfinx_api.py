"""The two shapes of DOLFINx's interface to spaces, told apart without DOLFINx: 0.5 and 0.10."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from funcspace.errors import InputError
from funcspace.functions import Function, FunctionSpace

POINTS = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]])
CELLS = np.array([[0, 1, 2], [3, 2, 1]], dtype=np.int32)


def table(rows: np.ndarray, recent: bool) -> Any:
    """Rows as a 2-D array, or as the adjacency list of before."""
    if recent:
        return rows
    return SimpleNamespace(array=rows.ravel(), offsets=np.arange(len(rows) + 1) * rows.shape[1])


class Element:
    """Raviart-Thomas or vector P1 functions on the reference triangle, as Basix tabulates them."""

    degree = 1

    def __init__(self, name: str) -> None:
        self.family = SimpleNamespace(name="RT" if name == "RT" else "P")

    def tabulate(self, derivatives: int, points: np.ndarray) -> np.ndarray:
        x, y = points.T
        if self.family.name == "P":
            return np.stack([1 - x - y, x, y], axis=1)[None, ..., None]
        functions = [np.stack([-x, -y], 1), np.stack([x - 1, y], 1), np.stack([-x, 1 - y], 1)]
        return np.stack(functions, axis=1)[None]


class Space:
    """A function space on two triangles in the shape of either interface."""

    num_sub_spaces = 0

    def __init__(self, name: str, recent: bool, processes: int = 1) -> None:
        dofs = np.array([[2, 0, 1], [2, 3, 4]] if name == "RT" else CELLS, dtype=np.int32)
        block = 1 if name == "RT" else 2
        # across the shared edge 1-2, number 0 in both cells, the second cell's function is turned round
        codes = np.array([0, 1], dtype=np.uint32)
        element, size = Element(name), int(dofs.max()) + 1
        self.element = SimpleNamespace(
            basix_element=element if recent else lambda: element, needs_dof_transformations=name == "RT"
        )
        if recent:
            self.value_shape = (2,)
            self.element.T_apply = self.all_cells
        else:
            self.element.apply_dof_transformation = self.one_cell
        self.dofmap = SimpleNamespace(
            list=table(dofs, recent), bs=block, index_map=SimpleNamespace(size_local=size), index_map_bs=block
        )
        topology = SimpleNamespace(
            dim=2,
            cell_type=SimpleNamespace(name="triangle"),
            create_entity_permutations=lambda: None,
            get_cell_permutation_info=lambda: codes,
        )
        geometry = SimpleNamespace(x=POINTS.copy(), dim=2, dofmap=table(CELLS, recent))
        self.mesh = Mesh(SimpleNamespace(size=processes), topology, geometry)

    def ufl_element(self) -> Any:
        return SimpleNamespace(value_shape=lambda: (2,))

    @staticmethod
    def one_cell(data: np.ndarray, code: int, width: int) -> None:
        if code & 1:
            data[:width] *= -1.0

    @classmethod
    def all_cells(cls, data: np.ndarray, codes: np.ndarray, width: int) -> None:
        for row, code in zip(data.reshape(len(codes), -1), codes, strict=True):
            cls.one_cell(row, int(code), width)


class Mesh:
    """What can be remembered by reference."""

    def __init__(self, comm: Any, topology: Any, geometry: Any) -> None:
        self.comm, self.topology, self.geometry = comm, topology, geometry


def function(space: Any, values: np.ndarray) -> Any:
    return SimpleNamespace(function_space=space, x=SimpleNamespace(array=values), name="f")


@pytest.mark.parametrize("recent", [False, True])
def test_raviart_thomas(recent: bool) -> None:
    """The field (1 + x, 2 + y) from its normal moments, whose signs both sides choose for themselves."""
    space = Space("RT", recent)
    coefficients = np.zeros(5)
    ours = FunctionSpace.from_dolfinx(space).interpolate(lambda x: x + torch.tensor([1.0, 2.0]))
    filled = ours.to_dolfinx(function(space, coefficients))
    assert filled.x.array is coefficients
    first = Element("RT").tabulate(0, np.array([[0.25, 0.5]]))[0, 0]
    np.testing.assert_allclose(coefficients[[2, 0, 1]] @ first, [1.25, 2.5], atol=1e-13)
    back = Function.from_dolfinx(filled)
    torch.testing.assert_close(back.coefficients, ours.coefficients, rtol=0, atol=0)


@pytest.mark.parametrize("recent", [False, True])
def test_vectors_share_memory(recent: bool) -> None:
    values = np.arange(8.0)
    ours = Function.from_dolfinx(function(Space("P1", recent), values))
    assert ours.space.value_shape == (2,) and ours.coefficients.data_ptr() == values.__array_interface__["data"][0]
    torch.testing.assert_close(ours(torch.tensor([[0.5, 0.5]])), torch.tensor([[3.0, 4.0]], dtype=torch.float64))


@pytest.mark.parametrize("recent", [False, True])
def test_new_functions(recent: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spaces make functions through dolfinx.fem.Function in both."""
    made = function(None, np.zeros(8))

    def make(space: Any) -> Any:
        made.function_space = space
        return made

    module = ModuleType("dolfinx.fem")
    module.__dict__["Function"] = make
    monkeypatch.setitem(sys.modules, "dolfinx", ModuleType("dolfinx"))
    monkeypatch.setitem(sys.modules, "dolfinx.fem", module)
    space = Space("P1", recent)
    ours = FunctionSpace.from_dolfinx(space).interpolate(lambda x: 2.0 * x, name="displacement")
    assert ours.to_dolfinx(space).name == "displacement"
    np.testing.assert_array_equal(made.x.array.reshape(-1, 2), 2.0 * POINTS[:, :2])


def test_distributed_spaces_are_refused() -> None:
    with pytest.raises(InputError, match="3 processes"):
        FunctionSpace.from_dolfinx(Space("P1", True, processes=3))
