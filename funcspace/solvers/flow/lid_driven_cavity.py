"""Flow in a box that a moving lid drives, and a data set of it."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from funcspace.arguments import positive_number
from funcspace.errors import InputError
from funcspace.functions import Function, FunctionSpace, OperatorData
from funcspace.geometry import Grid, Mesh
from funcspace.solvers.flow.flow_samples import Spread, checked_roughness, constant_fields, side_profile, spread
from funcspace.solvers.flow.flow_solution import Flow
from funcspace.solvers.flow.navier_stokes import NavierStokes
from funcspace.solvers.gaussian_fields import sample_generator
from funcspace.solvers.problem_arguments import checked_workers, sampling

__all__ = ["LidDrivenCavity"]

FloatArray = NDArray[np.float64]
Lid = Literal["constant", "smooth"]

PROFILE_POINTS = 65


class LidDrivenCavity:
    r"""Steady flow in the unit square whose lid moves along itself.

    .. math::
        u \cdot \nabla u - Re^{-1} \Delta u + \nabla p = 0, \quad \nabla\cdot u = 0,

    u = (g(x), 0) on the lid y = 1 and 0 on the other sides and at the corners. g = 1 is the benchmark of Ghia, Ghia
    and Shin (1982), whose pressure is infinite in the corners; :math:`g = 16 x^2 (1 - x)^2` is its regularisation.
    The pressure has mean zero.

    Data: input "lid", g (on a Grid over the lid); parameter "reynolds"; outputs "velocity" and "pressure".

    Parameters
    ----------
    h : mesh size.
    reynolds : Re, or a range (low, high) from which each sample draws it uniformly.
    lid : "constant" or "smooth".
    roughness : deviation of g from that: g is multiplied by a random cosine series of this size.
    cells : "triangle" or "quadrilateral".
    workers : number of threads; all cores by default.

    Raises
    ------
    InputError : a range that is none, an unknown lid.
    SolverError : no convergence.

    Examples
    --------
    >>> data = LidDrivenCavity(0.1, reynolds=(10.0, 100.0), lid="smooth").sample(3, seed=0)
    >>> tuple(data.outputs["velocity"].coefficients.shape), round(float(data.parameters["reynolds"][0]), 1)
    ((3, 441, 2), 94.9)
    """

    def __init__(
        self,
        h: float = 1.0 / 32.0,
        *,
        reynolds: Spread = (10.0, 400.0),
        lid: Lid = "constant",
        roughness: float = 0.0,
        cells: Literal["triangle", "quadrilateral"] = "triangle",
        workers: int | None = None,
    ) -> None:
        if cells not in ("triangle", "quadrilateral"):
            raise InputError(f'cells must be "triangle" or "quadrilateral"; got {cells!r}')
        self.mesh = Mesh.rectangle(positive_number(h, "h"), cells=cells)
        self.reynolds = spread(reynolds, "reynolds")
        if lid not in ("constant", "smooth"):
            raise InputError(f'lid must be "constant" or "smooth"; got {lid!r}')
        self.lid, self.roughness, self.workers = lid, checked_roughness(roughness), checked_workers(workers)

    def _profile(self, s: FloatArray) -> FloatArray:
        return np.ones_like(s) if self.lid == "constant" else 16.0 * s**2 * (1.0 - s) ** 2

    def problem(self, reynolds: float | Function | None = None, *, lid: Any = None) -> NavierStokes:
        """The equations for one Reynolds number (by default that in the middle of the range), and for g.

        Parameters
        ----------
        lid : velocity of the lid: a callable of points, or a velocity on the mesh; that of `lid` by default.
        """
        number = 0.5 * sum(self.reynolds) if reynolds is None else reynolds
        if isinstance(number, Function):
            viscosity: Any = number.with_coefficients(1.0 / number.coefficients)
        else:
            viscosity = 1.0 / spread(number, "reynolds")[0]
        moving = self._moving if lid is None else lid
        velocity = {"top": moving, "left": 0, "right": 0, "bottom": 0}
        return NavierStokes(self.mesh, viscosity=viscosity, velocity=velocity, workers=self.workers)

    def _moving(self, x: Tensor) -> Tensor:
        along = torch.from_numpy(self._profile(x[:, 0].numpy()))
        return torch.stack([along, torch.zeros_like(along)], dim=1)

    def solve(self, reynolds: float | None = None) -> Flow:
        """The flow at one Reynolds number."""
        return self.problem(reynolds).solve()

    @cached_property
    def _plain(self) -> NavierStokes:
        return self.problem()

    def sample(self, n: int, seed: int | None = 0, *, first: int = 0) -> OperatorData:
        """Samples first, ..., first + n - 1 of a seed (float64); sample i depends on (seed, i) alone.

        Parameters
        ----------
        n : number of samples.
        seed : any integer >= 0; None draws a fresh one, which `attributes["seed"]` keeps.
        first : number of the first sample, to continue a set.
        """
        n, chosen, first = sampling(n, seed, first)
        generators = [sample_generator(chosen, first + i) for i in range(n)]
        numbers = np.array([generator.uniform(*self.reynolds) for generator in generators])
        profiles = [side_profile(generator, self.roughness, self._profile) for generator in generators]
        elements = self._plain.problem.elements
        top = elements.scalar.dofs("top").numpy()
        moving = np.zeros((n, elements.n_velocity, 2))
        for row, profile in zip(moving, profiles, strict=True):
            row[top, 0] = profile(elements.dof_points[top, 0])
        reynolds = constant_fields(elements, numbers, "reynolds")
        flow = self.problem(reynolds, lid=Function(elements.velocity, torch.from_numpy(moving))).solve()
        grid = Grid(x=(0.0, 1.0, PROFILE_POINTS))
        along = grid.points[:, 0].numpy()
        rows = torch.from_numpy(np.stack([profile(along) for profile in profiles]))
        lid = Function(FunctionSpace(grid, components=("lid",)), rows, name="lid")
        attributes = {
            "problem": "Navier-Stokes flow in a lid-driven cavity", "lid": self.lid, "roughness": self.roughness,
            "seed": chosen, "first": first,
        }  # fmt: skip
        return OperatorData(
            {"lid": lid},
            {"velocity": flow.velocity, "pressure": flow.pressure},
            {"reynolds": torch.from_numpy(numbers)},
            {side: {"type": "dirichlet", "value": 0.0} for side in ("left", "right", "bottom")},
            attributes,
        )

    def __repr__(self) -> str:
        low, high = self.reynolds
        number = f"{low:g}" if low == high else f"{low:g} ... {high:g}"
        return f"LidDrivenCavity(Re {number}, lid={self.lid!r}) on {self.mesh!r}"
