"""Equilibria of one hyperelastic body: Newton's method with a line search, and load steps that halve themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from funcspace.errors import SolverError
from funcspace.functions import Function
from funcspace.solvers.solids.block_pattern import BlockPattern
from funcspace.solvers.solids.pointwise_law import PointwiseLaw, volume_ratio
from funcspace.solvers.solids.vector_elements import VectorElements

__all__ = ["Equilibrium", "LoadState", "NewtonOptions"]

FloatArray = NDArray[np.float64]

SUFFICIENT_DECREASE = 1e-4
LEAST_STEP = 1.0 / 256.0
EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class LoadState:
    """An equilibrium on the way to the whole load.

    Attributes
    ----------
    factor : the part of loads and given displacements that is applied, from 0 to 1.
    displacement : u.
    residuals : norms of the out-of-balance forces before each Newton step and after the last, relative to the forces
        in the body.
    """

    factor: float
    displacement: Function
    residuals: tuple[float, ...] = ()


@dataclass(frozen=True)
class NewtonOptions:
    """Bounds of the solution process; see `Hyperelasticity`."""

    steps: int
    max_halvings: int
    max_iterations: int
    tolerance: float


@dataclass(frozen=True)
class _Point:
    """Energy, nodal forces (dofs, d) and blocks of the tangent at a displacement; the size of the energy's rounding."""

    u: FloatArray
    energy: float
    forces: FloatArray
    blocks: FloatArray
    rounding: float


class NoEquilibriumError(Exception):
    """Newton's method did not converge; the load step is too large."""


class Equilibrium:
    """One body under one load.

    Parameters
    ----------
    elements, law, pattern : what the discrete problem consists of.
    values : the law's parameters at the quadrature points, one array (n,) each.
    load : nodal forces (dofs, d) at load factor one.
    given : values of the given unknowns at load factor one.
    solver : makes a linear solver among the free unknowns from blocks of the tangent.
    options : bounds.
    """

    def __init__(
        self,
        elements: VectorElements,
        law: PointwiseLaw,
        pattern: BlockPattern,
        *,
        values: list[FloatArray],
        load: FloatArray,
        given: FloatArray,
        solver: Callable[[FloatArray], Callable[[FloatArray], FloatArray]],
        options: NewtonOptions,
    ) -> None:
        self.elements, self.law, self.pattern = elements, law, pattern
        self.values, self.load, self.given = values, load, given
        self.solver, self.options = solver, options
        self._cell_size = float(elements.weights.sum(axis=1).mean()) ** (1.0 / elements.dim)

    def displacement_gradient(self, u: FloatArray) -> FloatArray:
        """H at all quadrature points, (n, d, d), from u (dofs, d)."""
        every = slice(None)
        h = self.elements.displacement_gradient(u, every, self.elements.all_gradients)
        return h.reshape(-1, self.elements.dim, self.elements.dim)

    def stored_energy(self, u: FloatArray) -> float:
        """The integral of psi; infinite where the body is turned inside out."""
        h = self.displacement_gradient(u)
        if not volume_ratio(h).min() > 0.0:
            return np.inf
        total = float(self.law.energies(h, self.values) @ self.elements.weights.ravel())
        return total if np.isfinite(total) else np.inf

    def forces(self, u: FloatArray) -> FloatArray:
        """Nodal forces (dofs, d) of the stress in the body."""
        _, stress = self.law.stresses(self.displacement_gradient(u), self.values)
        return self._nodal(stress)

    def _nodal(self, stress: FloatArray) -> FloatArray:
        elements, every = self.elements, slice(None)
        shaped = stress.reshape(*elements.weights.shape, elements.dim, elements.dim)
        return elements.scatter(elements.internal_forces(shaped, every, elements.all_gradients))

    def point(self, u: FloatArray) -> _Point:
        """Energy, forces and tangent at u.

        Raises
        ------
        NoEquilibriumError
            When the body is turned inside out, or the energy is not finite.
        """
        elements = self.elements
        h = self.displacement_gradient(u)
        if not volume_ratio(h).min() > 0.0:
            raise NoEquilibriumError("a cell is turned inside out (det F <= 0)")
        energy, stress, moduli = self.law.tangents(h, self.values)
        total = float(energy @ elements.weights.ravel())
        if not (np.isfinite(total) and np.isfinite(stress).all() and np.isfinite(moduli).all()):
            raise NoEquilibriumError("the strain energy or its derivatives are not finite")
        d, (cells, points) = elements.dim, elements.weights.shape
        shaped = moduli.reshape(cells, points, d, d, d, d)
        per_cell = (elements.dofs.shape[1] * d) ** 2 + points * d**4
        local = [
            elements.tangent(shaped[chunk], chunk, elements.all_gradients[chunk]) for chunk in elements.chunks(per_cell)
        ]
        # at small strains the energy is the small difference of large terms, of the size of the moduli
        largest = np.abs(moduli).reshape(len(moduli), -1).max(axis=1)
        rounding = 32 * EPSILON * (float(largest @ elements.weights.ravel()) + abs(total))
        return _Point(u, total, self._nodal(stress), self.pattern.blocks(np.concatenate(local)), rounding)

    def follow(self, factors: Sequence[float], start: FloatArray) -> list[LoadState]:
        """Equilibria at ascending load factors, with as many steps between them as it takes.

        Raises
        ------
        SolverError
            When halved steps fail too; `.state` is the LoadState that was reached last.
        """
        states = []
        largest = 1.0 / self.options.steps
        least = largest * 0.5**self.options.max_halvings
        last = LoadState(0.0, self._function(start))
        try:
            factor, stride, point = 0.0, largest, self.point(start)
        except NoEquilibriumError as failure:
            raise SolverError(f"the load cannot be raised from the start: {failure}", state=last) from failure
        for target in factors:
            while factor < target:
                following = target if factor + stride > target - 1e-9 else factor + stride
                try:
                    point, residuals = self.newton(point, following)
                except (NoEquilibriumError, SolverError) as failure:
                    stride = 0.5 * (following - factor)
                    if stride < least:
                        raise SolverError(
                            f"no equilibrium was found beyond load factor {factor:.6g}: for a step of "
                            f"{2 * stride:.2g}, {failure}. The error's .state holds the last converged displacement "
                            "and load factor. Beyond a limit point prescribe displacements in place of tractions; "
                            "otherwise raise max_halvings, max_iterations or steps",
                            state=last,
                        ) from failure
                    continue
                factor = following
                last = LoadState(factor, self._function(point.u), residuals)
                stride = min(largest, stride * 2.0)
            states.append(last)
        return states

    def _function(self, u: FloatArray) -> Function:
        return self.elements.function(u[None], ())

    def newton(self, point: _Point, factor: float) -> tuple[_Point, tuple[float, ...]]:
        """The equilibrium at a load factor, from a nearby one, and the residuals on the way.

        Raises
        ------
        NoEquilibriumError
            When the iteration leaves the admissible states or does not converge.
        """
        options, pattern = self.options, self.pattern
        load = factor * self.load
        residuals = []
        moved = factor * self.given - point.u.ravel()[pattern.fixed]
        if moved.size and np.abs(moved).max() > 0.0:
            point = self.point(self._predicted(point, load, moved))
        for _ in range(options.max_iterations + 1):
            difference = (point.forces - load).ravel()[pattern.free]
            size = float(np.linalg.norm(difference))
            scale = float(np.linalg.norm(point.forces) + np.linalg.norm(load))
            residuals.append(size / max(scale, self._floor(point)))
            if size <= max(options.tolerance * scale, self._floor(point)):
                return point, tuple(residuals)
            if len(residuals) > options.max_iterations:
                break
            step = np.zeros(pattern.size)
            step[pattern.free] = -self.solver(point.blocks)(difference)
            slope = float(difference @ step[pattern.free])
            if not slope < 0.0:
                raise NoEquilibriumError("the tangent is not positive definite (an instability)")
            point = self._searched(point, step.reshape(point.u.shape), slope, load)
        raise NoEquilibriumError(
            f"Newton's method stopped at relative residual {residuals[-1]:.1e} after {options.max_iterations} steps"
        )

    def _predicted(self, point: _Point, load: FloatArray, moved: FloatArray) -> FloatArray:
        """The displacement with its given part moved and the rest following along the tangent."""
        pattern = self.pattern
        difference = (point.forces - load).ravel()[pattern.free] + pattern.coupling(point.blocks) @ moved
        u = point.u.ravel().copy()
        if len(difference):
            u[pattern.free] -= self.solver(point.blocks)(difference)
        u[pattern.fixed] += moved
        return u.reshape(point.u.shape)

    def _searched(self, point: _Point, step: FloatArray, slope: float, load: FloatArray) -> _Point:
        """The first of the steps 1, 1/2, 1/4, ... that lowers the potential energy enough."""
        work = float((load * point.u).sum())
        before = point.energy - work
        slack = point.rounding + 32 * EPSILON * abs(work)
        length = 1.0
        while length >= LEAST_STEP:
            u = point.u + length * step
            bound = before + SUFFICIENT_DECREASE * length * slope + slack
            if length == 1.0:
                try:
                    trial = self.point(u)
                except NoEquilibriumError:
                    length *= 0.5
                    continue
                if trial.energy - float((load * u).sum()) <= bound:
                    return trial
            elif self.stored_energy(u) - float((load * u).sum()) <= bound:
                return self.point(u)
            length *= 0.5
        raise NoEquilibriumError("no step along Newton's direction lowers the energy")

    def _floor(self, point: _Point) -> float:
        """Out-of-balance forces that rounding alone leaves."""
        diagonal = np.einsum("nii->n", point.blocks[self.pattern.diagonal])
        reach = self._cell_size + float(np.abs(point.u).max(initial=0.0))
        return EPSILON * float(np.linalg.norm(diagonal)) * reach
