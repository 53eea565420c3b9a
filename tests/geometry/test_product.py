"""Products of times with space."""

from __future__ import annotations

import pytest
import torch

import funcspace as fs
from funcspace.errors import DomainError, InputError
from funcspace.geometry import ProductDomain

TIMES = fs.Times(0.0, 0.5, 4, unit="s")
GRID = fs.Grid(x=(0.0, 1.0, 3), y=(0.0, 2.0, 5), units={"x": "m"})


def test_members():
    domain = TIMES * GRID
    assert domain.points.shape == (60, 3)
    assert domain.points[:15, 0].unique().tolist() == [0.0]
    assert torch.equal(domain.points[15:30, 1:], GRID.points)
    assert domain.axis_names == ("time", "x", "y")
    assert domain.units == {"time": "s", "x": "m"}
    assert domain.bounds.tolist() == [[0.0, 0.0, 0.0], [1.5, 1.0, 2.0]]
    assert domain.dim == 3
    assert float(domain.measure.sum()) == pytest.approx(3.0)
    assert domain.factors == (TIMES, GRID)


def test_parts():
    domain = TIMES * GRID
    assert set(domain.boundary) == {"boundary", "left", "right", "bottom", "top", "start", "end"}
    assert bool((domain.points[domain.boundary["start"]][:, 0] == 0.0).all())
    assert bool((domain.points[domain.boundary["end"]][:, 0] == 1.5).all())
    left = domain.points[domain.boundary["left"]]
    assert len(left) == 4 * 5 and bool((left[:, 1] == 0).all())
    assert len(domain.boundary["boundary"]) == 4 * len(GRID.boundary["boundary"])


def test_parts_of_a_mesh_are_facets():
    mesh = fs.Mesh.rectangle(0.5)
    domain = TIMES * mesh
    per_instant = mesh.boundary["left"]
    assert torch.equal(domain.boundary["left"], torch.cat([i * len(mesh.facets) + per_instant for i in range(4)]))
    assert len(domain.boundary["start"]) == len(mesh.points)


def test_slices_and_refinement():
    domain = TIMES * GRID
    assert domain[1:3] == TIMES[1:3] * GRID
    assert domain.refined() == TIMES.refined() * GRID.refined()
    assert domain != TIMES[1:] * GRID
    assert hash(domain) == hash(TIMES * GRID)
    assert "ProductDomain(Times" in repr(domain) and "Grid" in domain._repr_html_()


def test_wrong_factors_are_refused():
    with pytest.raises(DomainError, match=r"two factors.*got \['Grid', 'Times'\]"):
        ProductDomain((GRID, TIMES))
    with pytest.raises(DomainError, match="two factors"):
        ProductDomain((TIMES,))
    with pytest.raises(DomainError, match="not a Times"):
        TIMES * TIMES
    with pytest.raises(DomainError, match="not a float"):
        TIMES * 3.0
    with pytest.raises(DomainError, match="called time already"):
        TIMES * fs.Grid(time=(0.0, 1.0, 3))
    with pytest.raises(InputError, match="by a slice"):
        (TIMES * GRID)[0]
    with pytest.raises(DomainError, match="cannot be refined"):
        (TIMES * fs.PointCloud([[0.0, 1.0], [1.0, 1.0]])).refined()
