"""Locate a million points in meshes of a hundred thousand cells: our tree against scikit-fem's finder, on one core.

Each row locates random points inside the unit box in one mesh. "ours" finds cells and reference coordinates, "tree"
builds our tree. scikit-fem's `element_finder` (a k-d tree over cell midpoints, a fixed number of neighbours tried,
then all cells) finds cells only; `mapping.invF` gives its reference coordinates. It tries every candidate of any
point for every point, so that its work and memory grow with the square of the points in a call: it is called for 100
points at a time, on the first of the same points (--peer-points), and the times are compared per point. "k-d tree"
is scipy's query of the nearest cell midpoint alone, which is no answer yet: the share of points for which it names
the right cell is given.

Run: OMP_NUM_THREADS=1 python benchmarks/point_location.py
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
import scipy
import skfem
import torch
from scipy.spatial import cKDTree

from funcspace.geometry.meshes.mesh import Mesh

MESHES: dict[str, Callable[[], Mesh]] = {
    "triangles": lambda: Mesh.rectangle(1 / 224),
    "quadrilaterals": lambda: Mesh.rectangle(1 / 317, cells="quadrilateral"),
    "tetrahedra": lambda: Mesh.box(1 / 27),
    "hexahedra": lambda: Mesh.box(1 / 47, cells="hexahedron"),
    "curved triangles": lambda: Mesh.rectangle(1 / 224).curved(),
}


def distorted(mesh: Mesh) -> Mesh:
    """The unit box with its inside moved smoothly, so that cells are no longer all alike."""
    nodes = mesh.nodes.numpy()
    bump = np.prod(np.sin(np.pi * nodes), axis=1, keepdims=True)
    return Mesh(nodes + 0.05 * bump * np.cos(5 * nodes[:, ::-1] + np.arange(mesh.dim)), mesh.cell_nodes)


def timed(action: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


def peer(mesh: Mesh, points: np.ndarray) -> tuple[float, float, str]:
    """Seconds to build scikit-fem's finder and seconds per point, or why it gives no answer."""
    theirs = mesh.to_skfem()

    def locate() -> None:
        for start in range(0, len(points), 100):
            x = points[start : start + 100].T
            mapping.invF(x[:, :, None], finder(*x))

    try:
        build, finder = timed(theirs.element_finder)
        mapping = theirs.mapping()
        finder(*points[:2].T)
        return build, timed(locate)[0] / len(points), ""
    except Exception as error:  # whatever it raises is the result
        return 0.0, float("nan"), type(error).__name__


def row(name: str, count: int, peer_count: int, seed: int) -> dict[str, str]:
    mesh = distorted(MESHES[name]())
    points = np.random.default_rng(seed).random((count, mesh.dim))
    build, _ = timed(lambda: mesh.locator)
    locate, location = timed(lambda: mesh.locate(points))
    error = float((mesh.map_to_points(location.cells, location.reference) - torch.from_numpy(points)).abs().max())
    middle = np.tile(mesh.reference.corners.mean(axis=0), (mesh.n_cells, 1))
    centres = mesh.map_to_points(np.arange(mesh.n_cells), middle).numpy()
    near, guess = timed(lambda: cKDTree(centres).query(points)[1])
    right = float((guess == location.cells.numpy()).mean())
    their_build, their_rate, trouble = peer(mesh, points[:peer_count])
    return {
        "mesh": f"{mesh.n_cells:,} {name}",
        "tree": f"{build:.2f} s",
        "ours": f"{locate:.2f} s",
        "per point": f"{1e6 * locate / count:.2f} us",
        "max error": f"{error:.0e}",
        "scikit-fem's tree": trouble or f"{their_build:.2f} s",
        "per point ": trouble or f"{1e6 * their_rate:.1f} us",
        "ratio": "-" if trouble else f"{their_rate * count / locate:.0f}",
        "k-d tree": f"{near:.2f} s, {right:.0%} right",
    }


def processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def report(arguments: argparse.Namespace) -> Iterator[str]:
    """The page, line by line as its rows are measured."""
    yield "# Point location"
    yield ""
    yield from (__doc__ or "").split("Run:", maxsplit=1)[0].strip().splitlines()[2:]
    yield ""
    for index, name in enumerate(MESHES):
        cells = row(name, arguments.points, arguments.peer_points, arguments.seed)
        if index == 0:
            yield "| " + " | ".join(cells) + " |"
            yield "|" + " --- |" * len(cells)
        yield "| " + " | ".join(cells.values()) + " |"
    yield ""
    yield f"{arguments.points:,} points, seed {arguments.seed}; ratio: scikit-fem's time per point over ours."
    load = f"mean load {os.getloadavg()[1]:.1f}"
    yield f"{processor()}, {arguments.threads} thread(s) of {os.cpu_count()} processors ({load});"
    yield f"Python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__},"
    yield f"numba {numba.__version__}, scikit-fem {skfem.__version__}, torch {torch.__version__}."
    yield ""
    command = "python benchmarks/point_location.py --output docs/benchmarks/point_location.md"
    yield f"Regenerate with `OMP_NUM_THREADS=1 {command}`."


def main() -> None:
    """Measure, print, and write the page where one is named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--peer-points", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", help="file for the page, in Markdown")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    logging.getLogger("skfem").setLevel(logging.ERROR)
    for cells in ("triangle", "quadrilateral"):  # compiles the kernels, or loads them from the cache
        Mesh.rectangle(0.5, cells=cells).locate([[0.5, 0.5]])  # pyright: ignore
    lines = []
    for line in report(arguments):
        print(line, flush=True)
        lines.append(line)
    if arguments.output:
        Path(arguments.output).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
