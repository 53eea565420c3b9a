"""The data of a flow problem, checked at the door, and the discrete objects that they make."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from funcspace.errors import InputError
from funcspace.functions import Function
from funcspace.geometry.domain import Domain
from funcspace.solvers.assembly import Assembly
from funcspace.solvers.flow.saddle_system import SaddleSystem
from funcspace.solvers.flow.taylor_hood import TaylorHood
from funcspace.solvers.linear.time_data import at_time, check_steady, varies_in_time
from funcspace.solvers.problem_arguments import by_part, check_data
from funcspace.solvers.problem_data import batch_shape, check_coefficient, values_at

__all__ = ["FlowProblem", "Stress"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Stress = Literal["gradient", "symmetric"]


class FlowProblem:
    """Viscosity, force, and conditions on named parts of the boundary, on one pair of elements.

    Arrays of values have the samples first and no strides, so that the last bits of a sample, which products of arrays
    with strides may change, do not depend on the samples beside it.

    Parameters
    ----------
    domain : a Mesh.
    viscosity : nu > 0: a number, a callable of points, or a scalar Function.
    velocity : by part; None for 0 on all of the boundary that `traction` does not name.
    traction : by part.
    force : f.
    stress : form of the viscous term.
    """

    def __init__(
        self,
        domain: Domain,
        *,
        viscosity: Any,
        velocity: Mapping[str, Any] | None,
        traction: Mapping[str, Any] | None,
        force: Any,
        stress: Stress,
    ) -> None:
        self.elements = TaylorHood(domain)
        if stress not in ("gradient", "symmetric"):
            raise InputError(f'stress must be "gradient" or "symmetric"; got {stress!r}')
        self.symmetric = stress == "symmetric"
        check_steady(viscosity=viscosity)
        self.viscosity, self.force = viscosity, force
        self.traction = by_part(traction, "traction")
        self.velocity = None if velocity is None else by_part(velocity, "velocity")
        known = set(domain.boundary)
        for kind, parts in (("velocity", self.velocity or {}), ("traction", self.traction)):
            for part in parts:
                if part not in known:
                    raise InputError(f"{kind} names the part {part!r}; this domain has {sorted(known)}")
        both = set(self.traction) & {part for part, value in (self.velocity or {}).items() if not _has_gaps(value)}
        if both:
            raise InputError(
                f"the part {sorted(both)[0]!r} has both a velocity and a traction; a velocity with None for the free "
                "components leaves these to the traction"
            )
        if self.velocity is not None and not self.velocity:
            raise InputError("give the velocity on at least one part: nothing else holds the fluid")
        check_data({name: _without_gaps(value) for name, value in self.named_data().items()}, ("viscosity",))
        self.batch = batch_shape(self.named_data())
        self.samples = int(np.prod(self.batch, dtype=np.int64)) if self.batch else 1

    def named_data(self) -> dict[str, Any]:
        """All data by the name that messages give them."""
        found: dict[str, Any] = {"viscosity": self.viscosity, "force": self.force}
        found |= {f"velocity[{part!r}]": value for part, value in (self.velocity or {}).items()}
        return found | {f"traction[{part!r}]": value for part, value in self.traction.items()}

    @property
    def varies_in_time(self) -> bool:
        """Whether any of the data is a callable of points and time, or a Function over Times * domain."""
        return varies_in_time(self.named_data())

    @cached_property
    def _fixed_columns(self) -> dict[str, tuple[IntArray, IntArray]]:
        """Velocity dofs of each part, and the components that are given there."""
        elements, d = self.elements, self.elements.dim
        if self.velocity is None:
            whole = elements.mesh.boundary["boundary"].numpy()
            named = [elements.mesh.boundary[part].numpy() for part in self.traction]
            rest = np.setdiff1d(whole, np.concatenate(named)) if named else whole
            basis: Any = elements.velocity.basis
            dofs = np.unique(basis._dofs.get_facet_dofs(rest).flatten()).astype(np.int64)
            return {"": (dofs, np.arange(d))}
        found = {}
        for part, value in self.velocity.items():
            gaps = [component is None for component in value] if _has_gaps(value) else [False] * d
            if len(gaps) != d:
                raise InputError(f"velocity[{part!r}] must have {d} components; got {value!r}")
            found[part] = (elements.scalar.dofs(part).numpy(), np.flatnonzero(~np.array(gaps)))
        return found

    @cached_property
    def fixed(self) -> IntArray:
        """The unknowns that the velocity data give, ascending; component i of dof k is i N + k."""
        n = self.elements.n_velocity
        columns = [(components[:, None] * n + dofs).ravel() for dofs, components in self._fixed_columns.values()]
        fixed = np.unique(np.concatenate(columns)) if columns else np.empty(0, dtype=np.int64)
        if not len(fixed):
            raise InputError("give the velocity on at least one part: nothing else holds the fluid")
        return fixed

    def check_held(self) -> None:
        """Refuse steady flow that could be moved along an axis as a whole: nothing would tell how fast it moves.

        Raises
        ------
        InputError
            When a component of the velocity is given nowhere.
        """
        for component in range(self.elements.dim):
            n = self.elements.n_velocity
            if not ((component * n <= self.fixed) & (self.fixed < (component + 1) * n)).any():
                name = self.elements.velocity.components[component]
                raise InputError(f"give the component {name!r} of the velocity on at least one part: nothing holds it")

    def given(self, time: float = 0.0) -> FloatArray:
        """Values (samples or 1, fixed) at a time."""
        elements, d = self.elements, self.elements.dim
        columns = []
        for part, (dofs, components) in self._fixed_columns.items():
            data = 0.0 if self.velocity is None else self.velocity[part]
            data = _without_gaps(data)
            own = partial(self._nodal, dofs)
            values = self._vectors(data, elements.dof_points[dofs], f"velocity[{part!r}]", time, own)
            columns.append((dofs, components, values))
        samples = max(len(values) for _, _, values in columns)
        found = np.zeros((samples, d, elements.n_velocity))
        for dofs, components, values in columns:
            for i in components:
                found[:, i, dofs] = values[..., i]
        return np.ascontiguousarray(found.reshape(samples, -1)[:, self.fixed])

    def _vectors(self, data: Any, points: FloatArray, name: str, time: float, own: Any = None) -> FloatArray:
        d = self.elements.dim
        if _is_zero(data):
            return np.zeros((1, len(points), d))
        return np.ascontiguousarray(values_at(at_time(data, time), points, name, shapes=((d,),), same_space=own))

    def _nodal(self, dofs: IntArray, function: Function) -> FloatArray | None:
        """Values (samples, dofs, d) of a Function of the solver's own space; None for others."""
        space = self.elements.velocity
        if function.space.fingerprint != space.fingerprint:
            return None
        coefficients = function.coefficients.detach().cpu().to(torch.float64).numpy()
        return coefficients.reshape(-1, *space.coefficient_shape)[:, dofs]

    def load(self, time: float = 0.0) -> FloatArray:
        """Integrals (samples or 1, d, N) of force and tractions against the velocity's basis functions."""
        elements = self.elements
        total = np.zeros((1, elements.dim, elements.n_velocity))
        if not _is_zero(self.force):
            values = self._vectors(self.force, elements.points, "force", time, elements.values)
            total = total + elements.load(values)
        for part, data in self.traction.items():
            facets = self._facets[part]
            values = self._vectors(data, facets.points, f"traction[{part!r}]", time)
            loads = [facets.load(values[..., i], elements.n_velocity) for i in range(elements.dim)]
            total = total + np.stack(loads, axis=1)
        return total

    @cached_property
    def _facets(self) -> dict[str, Any]:
        assembly = Assembly(self.elements.scalar)
        return {part: assembly.facets(assembly.parts[part]) for part in self.traction}

    def viscosities(self) -> FloatArray:
        """Values (samples or 1, cells, q) at the quadrature points."""
        elements = self.elements
        values = values_at(self.viscosity, elements.points, "viscosity", same_space=elements.values)
        check_coefficient(values, elements.points, "viscosity")
        return np.ascontiguousarray(values).reshape(-1, *elements.weights.shape)

    @cached_property
    def plain_system(self) -> SaddleSystem:
        """The pattern in which only the stress couples components of the velocity."""
        return SaddleSystem(self.elements, self.fixed, coupled=self.symmetric)

    @cached_property
    def coupled_system(self) -> SaddleSystem:
        """The pattern in which all components of the velocity are coupled."""
        system = self.plain_system
        return system if system.coupled else SaddleSystem(self.elements, self.fixed, coupled=True)

    @cached_property
    def mass(self) -> FloatArray:
        """Entries of the mass matrix on the scalar pattern."""
        return self.plain_system.scatter(self.elements.mass())

    def viscous(self, viscosity: FloatArray) -> FloatArray:
        """Entries (d, d, entries) or, where the components are not coupled, (entries,) of the viscous term."""
        local = self.elements.viscous(viscosity, symmetric=self.symmetric)
        scatter = self.plain_system.scatter
        if not self.symmetric:
            return scatter(local[0, 0])
        return np.stack([np.stack([scatter(block) for block in row]) for row in local])

    def part_dofs(self, part: str) -> IntArray:
        """Velocity dofs on a part.

        Raises
        ------
        InputError
            When the mesh has no such part.
        """
        return self.elements.scalar.dofs(part).numpy()

    def fluxes(self, values: FloatArray) -> dict[str, float]:
        """Flux through each part whose velocity is given, by the integral of div u; values (fixed,) of one sample."""
        n, d = self.elements.n_velocity, self.elements.dim
        weights = -(self.plain_system.divergence.T @ np.ones(self.elements.n_pressure))
        whole = np.zeros(d * n)
        whole[self.fixed] = values * weights[self.fixed]
        found = {}
        for part, (dofs, _) in self._fixed_columns.items():
            found[part or "boundary"] = float(whole.reshape(d, n)[:, dofs].sum())
        return found


def _has_gaps(value: Any) -> bool:
    return isinstance(value, tuple | list) and any(component is None for component in value)


def _without_gaps(value: Any) -> Any:
    """The value with 0 for components that are free."""
    return [0.0 if entry is None else entry for entry in value] if isinstance(value, tuple | list) else value


def _is_zero(data: Any) -> bool:
    return isinstance(data, int | float) and data == 0
