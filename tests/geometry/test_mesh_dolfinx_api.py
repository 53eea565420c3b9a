"""The two shapes of DOLFINx's interface, told apart without DOLFINx: adjacency lists (0.5) and 2-D arrays (0.10)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from funcspace.errors import InputError
from funcspace.geometry.meshes.mesh import Mesh


def adjacency(rows: np.ndarray) -> Any:
    return SimpleNamespace(array=rows.ravel(), offsets=np.arange(len(rows) + 1) * rows.shape[1])


def stand_in(*, recent: bool, processes: int = 1) -> tuple[Any, Any]:
    """Two quadrilaterals in Basix order; topology numbers the vertices backwards, as it may."""
    x = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [2, 0, 0], [2, 1, 0]])
    cells = np.array([[0, 1, 2, 3], [1, 4, 3, 5]], dtype=np.int32)
    tables = {(2, 0): 5 - cells, (1, 0): 5 - np.array([[0, 1], [0, 2], [4, 5]], dtype=np.int32)}
    topology = SimpleNamespace(
        dim=2,
        cell_type=SimpleNamespace(name="quadrilateral"),
        create_connectivity=lambda *_: None,
        connectivity=lambda a, b: adjacency(tables[a, b]),
    )
    geometry = SimpleNamespace(x=x, dim=2, dofmap=cells if recent else adjacency(cells))
    tags = SimpleNamespace(dim=1, indices=np.array([1, 2], dtype=np.int32), values=np.array([7, 8], dtype=np.int32))
    return SimpleNamespace(comm=SimpleNamespace(size=processes), topology=topology, geometry=geometry), tags


@pytest.mark.parametrize("recent", [False, True])
def test_both_interfaces_give_one_mesh(recent: bool) -> None:
    source, tags = stand_in(recent=recent)
    mesh = Mesh.from_dolfinx(source, tags, {"left": 7})
    assert float(mesh.measure.sum()) == pytest.approx(2.0)
    assert mesh.facet_midpoints[mesh.boundary["left"]].tolist() == [[0.0, 0.5]]
    assert mesh.facet_midpoints[mesh.boundary["tag_8"]].tolist() == [[2.0, 0.5]]


def test_distributed_meshes_are_refused() -> None:
    with pytest.raises(InputError, match="4 processes"):
        Mesh.from_dolfinx(stand_in(recent=True, processes=4)[0])
