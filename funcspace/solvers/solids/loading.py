"""Supports and loads of a body: displacements of named parts, tractions, pressures, and forces in the volume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from funcspace.errors import InputError, SolverError
from funcspace.functions import Function
from funcspace.solvers.problem_arguments import check_data
from funcspace.solvers.problem_data import Data, values_at
from funcspace.solvers.solids.rigid_modes import free_motions
from funcspace.solvers.solids.vector_elements import VectorElements

__all__ = ["Displacement", "Loading", "VectorData"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
VectorData = Data | Sequence[float]
Displacement = VectorData | Mapping[str, Data]


@dataclass(frozen=True)
class Loading:
    """What holds a body and what pulls at it.

    Attributes
    ----------
    elements : the vector elements of the body.
    displacement : by part: a number for all components, values (d,), or numbers by component, {"uy": 0.0}, which
        leaves the others free. Where parts meet, the later one holds.
    traction : force per area, values (d,), by part.
    pressure : p by part, the traction -p n with the outward normal n.
    body_force : force per volume, values (d,).

    Raises
    ------
    InputError
        An unknown part or component; the message lists the known ones.
    """

    elements: VectorElements
    displacement: Mapping[str, Displacement] = field(default_factory=dict)
    traction: Mapping[str, VectorData] = field(default_factory=dict)
    pressure: Mapping[str, Data] = field(default_factory=dict)
    body_force: VectorData | None = None

    def __post_init__(self) -> None:
        known = sorted(self.elements.space.domain.boundary)
        components = self.elements.components
        for kind in ("displacement", "traction", "pressure"):
            parts = getattr(self, kind)
            if not isinstance(parts, Mapping):
                raise InputError(f'{kind} must be given by part, such as {{"left": ...}}; got {parts!r}')
            for part in parts:
                if part not in known:
                    raise InputError(f"{kind} names the part {part!r}; this domain has {known}")
        for part, value in self.displacement.items():
            unknown = [name for name in value if name not in components] if isinstance(value, Mapping) else []
            if unknown:
                raise InputError(
                    f"displacement[{part!r}] names the component {unknown[0]!r}; the components are {list(components)}"
                )
        check_data(self.data())

    def data(self) -> dict[str, Any]:
        """Every datum under a name for messages."""
        found: dict[str, Any] = {} if self.body_force is None else {"body_force": self.body_force}
        for part, value in self.displacement.items():
            if isinstance(value, Mapping):
                found |= {f"displacement[{part!r}][{name!r}]": datum for name, datum in value.items()}
            else:
                found[f"displacement[{part!r}]"] = value
        found |= {f"traction[{part!r}]": value for part, value in self.traction.items()}
        return found | {f"pressure[{part!r}]": value for part, value in self.pressure.items()}

    def layout(self) -> tuple[Any, ...]:
        """What the sparsity pattern depends on: the supported parts and components."""
        return tuple(
            (part, tuple(value) if isinstance(value, Mapping) else None) for part, value in self.displacement.items()
        )

    @cached_property
    def _supports(self) -> list[tuple[IntArray, int | None, Any, str]]:
        """For each condition its dofs, component (None for all), datum and name."""
        assembly, found = self.elements.assembly, []
        for part, value in self.displacement.items():
            dofs = assembly.facet_dofs(assembly.parts[part])
            if isinstance(value, Mapping):
                for name, datum in value.items():
                    label = f"displacement[{part!r}][{name!r}]"
                    found.append((dofs, self.elements.components.index(name), datum, label))
            else:
                found.append((dofs, None, value, f"displacement[{part!r}]"))
        return found

    @cached_property
    def fixed(self) -> IntArray:
        """Numbers d n + i of the unknowns that are given, ascending."""
        held = np.zeros((self.elements.nodes, self.elements.dim), dtype=bool)
        for dofs, component, *_ in self._supports:
            held[dofs, slice(None) if component is None else component] = True
        return np.flatnonzero(held.ravel())

    def given(self) -> FloatArray:
        """Values of the given unknowns, (samples or 1, fixed)."""
        d, points = self.elements.dim, self.elements.dof_points
        columns = []
        for dofs, component, datum, label in self._supports:
            if component is not None:
                values = values_at(datum, points[dofs], label)
            else:
                values = values_at(_vector(datum, d), points[dofs], label, shapes=((d,),))
            columns.append((dofs, component, values))
        samples = max((len(values) for *_, values in columns), default=1)
        found = np.zeros((samples, self.elements.nodes, d))
        for dofs, component, values in columns:
            if component is None:
                found[:, dofs] = values
            else:
                found[:, dofs, component] = values
        return found.reshape(samples, -1)[:, self.fixed]

    def forces(self) -> FloatArray:
        """The nodal forces of body force, tractions and pressures, (samples or 1, dofs, d)."""
        elements, d = self.elements, self.elements.dim
        assembly = elements.assembly
        loads = [np.zeros((1, elements.nodes, d))]

        def at(where: Any, datum: Any, name: str, shape: tuple[int, ...]) -> FloatArray:
            own = lambda f: elements.own_values(where, f)  # noqa: E731
            return values_at(datum, where.points, name, shapes=(shape,), same_space=own)

        if self.body_force is not None:
            shape = self.body_force.space.value_shape if isinstance(self.body_force, Function) else ()
            own = assembly.own_loads(self.body_force) if shape == (d,) else None
            if own is None:
                own = elements.load(assembly.cells, at(assembly.cells, self.body_force, "body_force", (d,)))
            loads.append(own)
        for part in (*self.traction, *self.pressure):
            if len(assembly.parts[part]) == 0:
                raise InputError(f"the part {part!r} that a load names has no facets")
        for part, datum in self.traction.items():
            facets = assembly.facets(assembly.parts[part])
            loads.append(elements.load(facets, at(facets, datum, f"traction[{part!r}]", (d,))))
        for part, datum in self.pressure.items():
            facets = assembly.facets(assembly.parts[part])
            values = at(facets, datum, f"pressure[{part!r}]", ())
            loads.append(elements.load(facets, -values[..., None] * elements.normals(facets)))
        return sum(loads[1:], loads[0])

    def check_supported(self) -> None:
        """Raise unless the supports exclude every rigid motion.

        Raises
        ------
        SolverError
            Naming the motions that are free.
        """
        elements = self.elements
        axes = tuple(name[1:] for name in elements.components)
        motions = free_motions(elements.dof_points, elements.dofs, self.fixed, axes)
        if motions:
            shown = ", ".join(motions[:6]) + (f" and {len(motions) - 6} more" if len(motions) > 6 else "")
            raise SolverError(
                f"the body is not held: the system is singular, because the supports leave free the {shown}. Give "
                f"displacement on further parts of {sorted(elements.space.domain.boundary)} or on single components "
                f'of them, such as displacement={{"bottom": {{{elements.components[1]!r}: 0.0}}}}'
            )


def _vector(datum: Any, dim: int) -> Any:
    """A single number stands for all components."""
    number = isinstance(datum, Real) or (isinstance(datum, Tensor | np.ndarray) and datum.ndim == 0)
    return np.full(dim, float(datum)) if number else datum
