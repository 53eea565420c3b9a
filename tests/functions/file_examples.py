"""Domains and data sets of every kind that files must keep."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import funcspace as fs


def unit_circle(x: torch.Tensor) -> torch.Tensor:
    return x / x.norm(dim=1, keepdim=True)


def square(cell: str) -> fs.Mesh:
    points = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.1], [0.0, 1.0], [2.0, 0.0], [2.0, 1.0]])
    cells = {
        "triangle": [[0, 1, 2], [0, 2, 3], [1, 4, 2], [4, 5, 2]],
        "quadrilateral": [[0, 1, 2, 3], [1, 4, 5, 2]],
    }[cell]
    parts = {"left": lambda x: x[:, 0] == 0, "nothing/at all": np.empty(0, dtype=np.int64)}
    return fs.Mesh(points, cells, boundaries=parts, units={"x": "m"})


def domains() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    places: dict[str, Any] = {
        "grid": fs.Grid(x=(0.0, 1.0, 4), y=np.array([0.0, 0.3, 1.0]), units={"x": "m"}),
        "periodic cells": fs.Grid(a=(0.1, 0.7, 4), b=(-1.0, 1.0 / 3.0, 3), periodic="b", samples="cells"),
        "line": fs.Grid(x=(0.0, 1.0 / 7.0, 6)),
        "triangles": square("triangle"),
        "quadrilaterals": square("quadrilateral"),
        "disc": fs.Mesh.disc(0.7),
        "curved": fs.Mesh.disc(0.7).curved(unit_circle),
        "interval": fs.Mesh.interval(0.3),
        "tetrahedra": fs.Mesh.box(0.8),
        "cloud": fs.PointCloud(rng.random((8, 2)), boundary={"inlet": [1, 2]}, units={"y": "km"}),
        "weighted cloud": fs.PointCloud(rng.random((7, 3)), measure=rng.random(7), axis_names=("r", "s", "t")),
    }
    times: dict[str, Any] = {
        "times": fs.Times(0.1, 0.1, 4, "s"),
        "slice of times": fs.Times(0.0, 0.1, 9)[3:8],
        "instants": fs.Times.at([0.0, 0.1, 0.7]),
    }
    products = {f"times * {name}": fs.Times(0.1, 0.1, 3, "s") * place for name, place in places.items()}
    return {**places, **times, **products}


DOMAINS = domains()


def elements(domain: Any) -> list[str]:
    factor = getattr(domain, "factors", (domain,))[-1]
    kind = type(factor).__name__
    names = {"Grid": ["linear"], "Times": ["linear", "cubic"], "PointCloud": ["least_squares"]}.get(kind)
    if names is None:
        simplex = factor.reference.is_simplex
        names = ["P0", "P1", "P2"] if simplex else ["P0", "Q1", "Q2"]
        names += ["RT", "N1curl"] if factor.dim > 1 and not factor.is_curved else []
    return names if factor is domain else [f"linear * {name}" for name in names]


def random_function(
    space: fs.FunctionSpace, batch: tuple[int, ...], dtype: torch.dtype, seed: int = 0, **named: str
) -> fs.Function:
    generator = torch.Generator().manual_seed(seed)
    kind = torch.complex128 if dtype.is_complex else torch.float64
    values = torch.randn(*batch, *space.coefficient_shape, generator=generator, dtype=kind)
    return fs.Function(space, values.to(dtype), **named)


def same_domain(one: Any, other: Any) -> None:
    """Equal, bit for bit, with all that follows from the content."""
    assert one.fingerprint == other.fingerprint
    assert torch.equal(one.points, other.points)
    assert torch.equal(one.measure, other.measure)
    assert list(one.boundary) == list(other.boundary)
    assert all(torch.equal(one.boundary[name], other.boundary[name]) for name in one.boundary)
    assert dict(one.units) == dict(other.units)
    assert one.axis_names == other.axis_names


def same_function(one: Any, other: Any) -> None:
    assert one.space == other.space
    assert one.space.components == other.space.components
    same_domain(one.space.domain, other.space.domain)
    assert one.coefficients.dtype == other.coefficients.dtype
    assert one.coefficients.shape == other.coefficients.shape
    left, right = (torch.view_as_real(c) if c.is_complex() else c for c in (one.coefficients, other.coefficients))
    bits = {2: torch.int16, 4: torch.int32, 8: torch.int64}[left.element_size()]
    assert torch.equal(left.contiguous().view(bits), right.contiguous().view(bits))
    assert (one.name, one.units) == (other.name, other.units)
