"""Convergence rates of the Poisson solver on manufactured solutions, for each element and domain.

python benchmarks/poisson_rates.py --output docs/benchmarks/poisson_rates.md
"""

from __future__ import annotations

import argparse
import math
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import funcspace as fs

PI = math.pi
NEEDED = {1: (1.9, 0.95), 2: (2.9, 1.9)}


def k(x: Tensor) -> Tensor:
    return 1 + x[:, 0] ** 2 + 0.5 * x[:, 1]


def smooth(x: Tensor) -> Tensor:
    return torch.sin(PI * x[:, 0]) * torch.cos(PI * x[:, 1] / 2) + x[:, 0] * x[:, 1] + _z(x) ** 2 / 2


def smooth_gradient(x: Tensor) -> Tensor:
    parts = [
        PI * torch.cos(PI * x[:, 0]) * torch.cos(PI * x[:, 1] / 2) + x[:, 1],
        -PI / 2 * torch.sin(PI * x[:, 0]) * torch.sin(PI * x[:, 1] / 2) + x[:, 0],
        _z(x),
    ]
    return torch.stack(parts[: x.shape[1]], dim=1)


def smooth_source(x: Tensor) -> Tensor:
    laplacian = -1.25 * PI**2 * torch.sin(PI * x[:, 0]) * torch.cos(PI * x[:, 1] / 2) + (x.shape[1] == 3)
    gradient = smooth_gradient(x)
    return -k(x) * laplacian - 2 * x[:, 0] * gradient[:, 0] - 0.5 * gradient[:, 1] + 2 * smooth(x)


def flux(*normal: float) -> Callable[[Tensor], Tensor]:
    n = torch.tensor(normal, dtype=torch.float64)
    return lambda x: k(x) * (smooth_gradient(x) @ n)


def _z(x: Tensor) -> Tensor:
    return x[:, 2] if x.shape[1] == 3 else torch.zeros(len(x), dtype=x.dtype)


def radial(x: Tensor) -> Tensor:
    return torch.cos(PI / 2 * (x**2).sum(dim=1))


def radial_gradient(x: Tensor) -> Tensor:
    return -PI * x * torch.sin(PI / 2 * (x**2).sum(dim=1))[:, None]


def radial_source(x: Tensor) -> Tensor:
    r2 = (x**2).sum(dim=1)
    return 2 * PI * torch.sin(PI / 2 * r2) + PI**2 * r2 * torch.cos(PI / 2 * r2)


MANUFACTURED: dict[str, Any] = {"coefficient": k, "source": smooth_source, "reaction": 2.0}
GIVEN = {**MANUFACTURED, "dirichlet": {"boundary": smooth}}
MIXED_2D = {
    **MANUFACTURED,
    "dirichlet": {"left": smooth},
    "neumann": {"right": flux(1.0, 0.0), "top": flux(0.0, 1.0)},
    "robin": {"bottom": (3.0, lambda x: flux(0.0, -1.0)(x) + 3 * smooth(x))},
}
MIXED_3D = {
    **MANUFACTURED,
    "dirichlet": {"left": smooth, "bottom": smooth},
    "neumann": {"right": flux(1.0, 0.0, 0.0), "back": flux(0.0, 0.0, 1.0), "front": flux(0.0, 0.0, -1.0)},
    "robin": {"top": (3.0, lambda x: flux(0.0, 1.0, 0.0)(x) + 3 * smooth(x))},
}
PLANE, SPACE, FINER = (0.1, 0.05, 0.025), (1 / 4, 1 / 8, 1 / 16), (0.2, 0.1, 0.05)


TEXT = """\
-div(k grad u) + c u = f with k = 1 + x^2 + y/2 and c = 2, u = sin(pi x) cos(pi y/2) + x y (+ z^2/2 in space); on the
disc -Lap u = f with u = cos(pi r^2/2), zero on the circle. "Mixed": Dirichlet, Neumann and Robin conditions on
different sides. Errors on three meshes, from coarse to fine; rates between the last two. Needed: 1.9 and 0.95 for
linear elements, 2.9 and 1.9 for quadratic ones."""


@dataclass(frozen=True)
class Case:
    """A domain by mesh size, an element, data, and the exact solution."""

    name: str
    make: Callable[[float], Any]
    element: str
    sizes: tuple[float, ...]
    data: dict[str, Any]
    exact: Callable[[Tensor], Tensor] = smooth
    gradient: Callable[[Tensor], Tensor] = smooth_gradient


def cases() -> list[Case]:
    """Each domain with linear and quadratic elements."""
    quads = {"cells": "quadrilateral"}
    found = []
    for element, sizes in (("P1", PLANE), ("P2", FINER)):
        disc = {"curved": element == "P2"}
        found += [
            Case("square, Dirichlet", fs.Mesh.rectangle, element, sizes, GIVEN),
            Case("square, mixed", fs.Mesh.rectangle, element, sizes, MIXED_2D),
            Case("L-shape, Dirichlet", fs.Mesh.l_shape, element, sizes, GIVEN),
            Case(
                "disc, zero Dirichlet, curved cells" if disc["curved"] else "disc, zero Dirichlet",
                lambda h, o=disc: fs.Mesh.disc(h, **o),
                element, sizes, {"source": radial_source}, radial, radial_gradient,
            ),
            Case("box, mixed", fs.Mesh.box, element, SPACE if element == "P1" else (1 / 3, 1 / 6, 1 / 9), MIXED_3D),
        ]  # fmt: skip
    found += [Case("square, mixed", lambda h: fs.Mesh.rectangle(h, **quads), e, PLANE, MIXED_2D) for e in ("Q1", "Q2")]
    box = {"cells": "hexahedron"}
    found += [Case("box, mixed", lambda h: fs.Mesh.box(h, **box), "Q1", SPACE, MIXED_3D)]
    found += [Case("box, mixed", lambda h: fs.Mesh.box(h, **box), "Q2", (1 / 3, 1 / 6, 1 / 9), MIXED_3D)]

    def grid(h: float) -> fs.Grid:
        n = round(1 / h)
        return fs.Grid(x=(0.0, 1.0, n + 1), y=(0.0, 1.0, n + 3))

    return [*found, Case("grid, mixed", grid, "linear", PLANE, MIXED_2D)]


def errors(u: fs.Function, case: Case) -> tuple[float, float]:
    """L2 norm and H1 seminorm of the error."""
    rule = u.space.quadrature(6)
    value = rule.values(u.coefficients) - case.exact(rule.points)
    assert rule.gradients is not None
    gradient = rule.gradients(u.coefficients) - case.gradient(rule.points)
    return float((rule.weights @ value**2).sqrt()), float((rule.weights @ (gradient**2).sum(dim=1)).sqrt())


def run(case: Case) -> tuple[str, bool]:
    """A row of the table, and whether the last rates are as needed."""
    found, took, spaces = [], 0.0, []
    for h in case.sizes:
        started = time.perf_counter()
        u = fs.solvers.Poisson(case.make(h), case.element, **case.data).solve()
        took = time.perf_counter() - started
        found.append(errors(u, case))
        spaces.append(u.space)
    size = math.log(spaces[-1].n_dofs / spaces[-2].n_dofs) / spaces[-1].domain.dim
    if "disc" not in case.name:
        size = math.log(case.sizes[-2] / case.sizes[-1])
    rates = [math.log(coarse / fine) / size for coarse, fine in zip(found[-2], found[-1], strict=True)]
    order = 2 if case.element.endswith("2") else 1
    good = all(rate >= least for rate, least in zip(rates, NEEDED[order], strict=True))
    l2 = ", ".join(f"{error[0]:.1e}" for error in found)
    h1 = ", ".join(f"{error[1]:.1e}" for error in found)
    cells = [
        case.name,
        case.element,
        f"{spaces[-1].n_dofs:,}",
        l2,
        f"{rates[0]:.2f}",
        h1,
        f"{rates[1]:.2f}",
        f"{took:.2f}",
    ]
    return f"| {' | '.join(cells)} |", good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="write the page here")
    arguments = parser.parse_args()
    rows = [run(case) for case in cases()]
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "scikit-fem", "torch"))
    page = "\n\n".join(
        [
            "# Poisson: convergence rates",
            TEXT,
            "| problem | element | dofs, finest | L2 errors | rate | H1 seminorm of errors | rate | finest solve, s |\n"
            "|---|---|---|---|---|---|---|---|\n" + "\n".join(text for text, _ in rows),
            f"{platform.machine()}; Python {platform.python_version()}, {packages}.",
            "Regenerate with `python benchmarks/poisson_rates.py --output docs/benchmarks/poisson_rates.md`.",
        ]
    )
    print(page)
    if arguments.output:
        arguments.output.write_text(page + "\n")
    if not all(good for _, good in rows):
        raise SystemExit("a rate is below what is needed")


if __name__ == "__main__":
    main()
