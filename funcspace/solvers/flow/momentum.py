"""The discrete Navier-Stokes operator of one sample, its linearisations, and states of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcspace.solvers.flow.convection import convection_entries, reaction_entries
from funcspace.solvers.flow.flow_problem import FlowProblem
from funcspace.solvers.flow.saddle_system import SaddleSystem
from funcspace.solvers.flow.stokes import balanced, right_side

__all__ = ["Linearised", "Momentum"]

FloatArray = NDArray[np.float64]


class Linearised:
    """A linear system: the matrix among the free unknowns, and the coupling to the others.

    Attributes
    ----------
    matrix : among the free unknowns, CSC.
    """

    def __init__(self, system: SaddleSystem, values: FloatArray) -> None:
        self.system, self.values = system, values
        self.matrix: Any = system.inner(values)

    def right(self, problem: FlowProblem, load: FloatArray, fixed: FloatArray) -> FloatArray:
        """Right-hand side (free,) for a load (d, N) and given velocities (fixed,)."""
        right = right_side(self.system, self.values, load[None], fixed[None])
        return balanced(problem, self.system, right, fixed[None])[0]


class Momentum:
    r"""The operator :math:`a \rho M + \nu L + \rho C(w)` beside the divergence, for one sample of a problem.

    Parameters
    ----------
    problem : the problem.
    viscosity : (cells, q).
    density : rho.
    """

    def __init__(self, problem: FlowProblem, viscosity: FloatArray, density: float) -> None:
        self.problem, self.density = problem, density
        self.elements = problem.elements
        self.viscous = problem.viscous(viscosity)
        self.mass: Any = problem.plain_system.scalar_matrix(problem.mass)

    def velocity(self, state: FloatArray) -> FloatArray:
        """Nodal velocities (N, d) of a state (unknowns,)."""
        d, n = self.elements.dim, self.elements.n_velocity
        return np.ascontiguousarray(state[: d * n].reshape(d, n).T)

    def _diagonal(self, rate: float, wind: FloatArray | None, weight: float) -> FloatArray:
        entries = np.zeros(self.problem.plain_system.entries)
        if rate:
            entries += (rate * self.density) * self.problem.mass
        if wind is not None and weight:
            carried = convection_entries(self.elements, self.problem.plain_system, wind)
            entries += (weight * self.density) * carried
        return entries

    def linearised(self, rate: float, wind: FloatArray | None, weight: float = 1.0) -> Linearised:
        """The system in which w carries the momentum; convection counts `weight` times."""
        system = self.problem.plain_system
        diagonal = self._diagonal(rate, wind, weight)
        if not system.coupled:
            return Linearised(system, system.values(self.viscous + diagonal))
        return Linearised(system, system.values(self._full(diagonal)))

    def jacobian(self, rate: float, velocity: FloatArray, weight: float = 1.0) -> Linearised:
        """The derivative at a velocity."""
        system = self.problem.coupled_system
        blocks = (weight * self.density) * reaction_entries(self.elements, system, velocity)
        return Linearised(system, system.values(blocks + self._full(self._diagonal(rate, velocity, weight))))

    def _full(self, diagonal: FloatArray) -> FloatArray:
        d = self.elements.dim
        blocks = np.zeros((d, d, len(diagonal)))
        if self.viscous.ndim == 3:
            blocks += self.viscous
        else:
            diagonal = diagonal + self.viscous
        blocks[range(d), range(d)] += diagonal
        return blocks
