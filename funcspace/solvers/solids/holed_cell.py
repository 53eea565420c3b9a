"""Stress around a random hole: the elasticity data set of operator learning, with one mesh per sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from funcspace.arguments import entropy_of, number_of, whole_number
from funcspace.errors import InputError, SolverError
from funcspace.functions import Function, FunctionSpace, OperatorData
from funcspace.functions.ragged import RaggedFunction
from funcspace.geometry import Grid, Mesh
from funcspace.solvers.gaussian_fields import sample_generator
from funcspace.solvers.problem_arguments import (
    check_data,
    checked_outputs,
    checked_workers,
    sampling,
    vector_of_numbers,
)
from funcspace.solvers.solids.hyperelasticity import Hyperelasticity
from funcspace.solvers.solids.random_holes import RandomHole, check_around, radius_tensor
from funcspace.solvers.solids.recovery import averaged_at_nodes
from funcspace.solvers.solids.strain_energies import MooneyRivlin
from funcspace.solvers.threads import over_threads

__all__ = ["HoledCell"]

FloatArray = NDArray[np.float64]
Output = Literal["von_mises", "u"]


class HoledCell:
    r"""Pairs (shape, stress) of a unit cell with a random hole under tension.

    psi = C1 (I1 - 3) + C2 (I2 - 3), an incompressible sheet in plane stress, on [0, 1]^2 without a hole about the
    middle; bottom clamped, traction (0, 100) Pa on top, sides and hole free. The hole's radius is
    r = 0.2 + 0.2/(1 + exp(g)), g ~ N(0, 4^2 (-d^2/dtheta^2 + 3^2)^(-1)).

    This is the law of the hyperelastic data set of Li, Huang, Liu and Anandkumar (Geo-FNO, J. Mach. Learn. Res. 24,
    2023), with C1 = 1.863e5 Pa and C2 = 9.79e3 Pa. The published set has 972 nodes on mapped quadrilaterals; here
    the default has 40 x 6 quadratic ones, 1040 nodes. At this load strains are of the order 1e-3.

    Inputs: "distance", from each node to the hole. Outputs: "von_mises", the von Mises stress in Pa, and on request
    "u", the displacement in the unit of length of the cell. All of them live on the mesh of the sample. The hole is a
    polygon, whose corners have unbounded stress: nodal values are averages of the means over the cells around a node.
    Over all nodes their mean is 190 and their standard deviation 132 (187.5 and 127.0 in the published set).

    Parameters
    ----------
    mesh : "mapped": quadrilaterals along rays, the same number for all samples; "free": triangles of size h, whose
        number varies.
    around : vertices of the hole, a multiple of 8.
    layers : cells between hole and side of a mapped mesh.
    h : mesh size of a free mesh, by default that of the hole's edges.
    element : "Q2" or "Q1" on mapped meshes, "P2" or "P1" on free ones; quadratic by default.
    outputs : which outputs the data hold.
    c1, c2 : moduli in Pa.
    traction : on the top, in Pa.
    modes : number of sines and of cosines of the radius.
    workers : number of threads; all cores by default.

    Raises
    ------
    InputError : an option out of range.
    SolverError : no equilibrium; the message names the sample.

    Examples
    --------
    >>> data = HoledCell(around=16, layers=2).sample(3, seed=0)
    >>> data.inputs["distance"]
    RaggedFunction 'distance': 3 functions, Q2 with 160 to 160 dofs
    """

    def __init__(
        self,
        mesh: Literal["mapped", "free"] = "mapped",
        *,
        around: int = 40,
        layers: int = 6,
        h: float | None = None,
        element: str | None = None,
        outputs: Sequence[Output] = ("von_mises",),
        c1: float = 1.863e5,
        c2: float = 9.79e3,
        traction: tuple[float, float] = (0.0, 100.0),
        modes: int = 20,
        workers: int | None = None,
    ) -> None:
        if mesh not in ("mapped", "free"):
            raise InputError(f'mesh must be "mapped" or "free"; got {mesh!r}')
        check_around(around)
        if h is not None and (mesh == "mapped" or not 0.0 < number_of(h) <= 0.25):
            raise InputError(f'h is the size of "free" meshes, above 0 and at most 0.25; got h={h!r} and mesh={mesh!r}')
        allowed = ("Q2", "Q1") if mesh == "mapped" else ("P2", "P1")
        if element is not None and element not in allowed:
            raise InputError(f"element must be one of {allowed} on {mesh} meshes; got {element!r}")
        self.mesh: Literal["mapped", "free"] = mesh
        self.around = int(around)
        self.layers, self.modes = whole_number(layers, "layers"), whole_number(modes, "modes", least=0)
        self.h = 2 * math.pi * 0.3 / around if h is None else number_of(h)
        self.element = element or allowed[0]
        self.outputs = checked_outputs(outputs, ("von_mises", "u"))
        check_data({"c1": c1, "c2": c2})
        if number_of(c1) + number_of(c2) <= 0:
            raise InputError(f"c1 + c2 must be positive; got c1={c1!r} and c2={c2!r}")
        self.c1, self.c2 = c1, c2
        self.traction, self.workers = vector_of_numbers(traction, "traction", 2), checked_workers(workers)

    @cached_property
    def _law(self) -> MooneyRivlin:
        return MooneyRivlin(c10=self.c1, c01=self.c2)

    def hole(self, seed: int, index: int) -> RandomHole:
        """The hole of sample `index` of a seed."""
        return self._hole(entropy_of(seed), whole_number(index, "index", least=0))

    def _hole(self, entropy: Any, index: int) -> RandomHole:
        numbers = sample_generator(entropy, index).standard_normal(2 * self.modes + 1)
        return RandomHole(numbers, self.around)

    def domain(self, hole: RandomHole) -> Mesh:
        """The mesh around a hole; parts left, right, bottom, top, hole."""
        return hole.mapped_mesh(self.layers) if self.mesh == "mapped" else hole.free_mesh(self.h)

    def radii(self, n: int, seed: int = 0, *, first: int = 0, angles: int = 42) -> Function:
        """Radii of the holes of samples first, ..., first + n - 1 at equispaced angles, a function on the circle."""
        n, entropy, first = sampling(n, seed, first)
        circle = Grid(theta=(0.0, 2 * math.pi, whole_number(angles, "angles")), periodic=("theta",))
        values = [radius_tensor(angles, self._hole(entropy, first + i).numbers) for i in range(n)]
        return Function(FunctionSpace(circle), torch.stack(values), name="radius")

    def problem(self, mesh: Mesh) -> Hyperelasticity:
        """The boundary-value problem on a mesh with the parts bottom and top."""
        return Hyperelasticity(
            mesh,
            self.element,
            energy=self._law,
            plane="incompressible",
            displacement={"bottom": 0.0},
            traction={"top": self.traction},
        )

    def solve(self, hole: RandomHole) -> dict[str, Function]:
        """The functions "distance", "von_mises" and "u" of one hole."""
        problem = self.problem(self.domain(hole))
        u = problem.solve()
        scalar = FunctionSpace(problem.space.domain, self.element)
        points = scalar.dof_points
        assert points is not None
        distance = Function(scalar, torch.from_numpy(hole.distance(points.numpy())), name="distance")
        stress = averaged_at_nodes(problem.elements, problem.von_mises(u, "P0"))
        return {"distance": distance, "von_mises": stress.renamed("von_mises", "Pa"), "u": u}

    def sample(self, n: int, seed: int | None = 0, *, first: int = 0) -> OperatorData:
        """Samples first, ..., first + n - 1 of a seed (float64), each on a mesh of its own.

        Sample i depends on (seed, i) alone: the same bytes whatever n and the number of threads.

        Parameters
        ----------
        n : number of samples.
        seed : any integer >= 0; None draws a fresh one from the operating system, which `attributes["seed"]` keeps.
        first : number of the first sample, to continue a set.
        """
        n, chosen, first = sampling(n, seed, first)
        found: list[dict[str, Function]] = [{} for _ in range(n)]

        def work(start: int, stop: int) -> None:
            for i in range(start, stop):
                try:
                    found[i] = self.solve(self._hole(chosen, first + i))
                except SolverError as error:
                    raise SolverError(f"sample {first + i} of seed {chosen}: {error}", state=error.state) from error

        over_threads(work, n, self.workers)

        def column(name: str) -> RaggedFunction:
            return RaggedFunction.pack([functions[name] for functions in found])

        attributes = {
            "problem": "incompressible Mooney-Rivlin sheet with a random hole, bottom clamped, traction on top",
            "c1": self.c1,
            "c2": self.c2,
            "traction": list(self.traction),
            "mesh": self.mesh,
            "around": self.around,
            "modes": self.modes,
            "seed": chosen,
            "first": first,
        }
        boundary = {"bottom": {"type": "dirichlet", "value": 0.0}}
        return OperatorData(
            {"distance": column("distance")}, {name: column(name) for name in self.outputs}, {}, boundary, attributes
        )

    def __repr__(self) -> str:
        size = f"around={self.around}, layers={self.layers}" if self.mesh == "mapped" else f"h={self.h:.3g}"
        return f"HoledCell({self.mesh!r}, {size}, element={self.element!r})"
