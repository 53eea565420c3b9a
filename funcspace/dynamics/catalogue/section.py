"""Poincare sections: where an orbit crosses a plane, to the accuracy of the integration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from funcspace.arguments import check_amounts, check_counts, entropy_of, is_number
from funcspace.dynamics.catalogue.torch_field import NEEDS_COMPILED, TorchField
from funcspace.dynamics.catalogue.trajectory import starts
from funcspace.dynamics.compiled.expression import Graph
from funcspace.dynamics.compiled.llvm_code import field_address
from funcspace.dynamics.integrators.solve import Event, solve
from funcspace.errors import InputError, SolverError

if TYPE_CHECKING:
    from funcspace.dynamics.catalogue.system import System

__all__ = ["poincare_section"]

PERIODS_PER_CROSSING = 20


def poincare_section(
    system: System,
    normal: np.ndarray,
    offset: float,
    *,
    count: int,
    direction: int,
    seed: int | None,
    transient: float,
    longest: float | None,
    tolerance: float,
) -> tuple[np.ndarray, np.ndarray]:
    """The work of `System.poincare_section`, whose arguments these are."""
    if system.kind == "map":
        raise InputError(f"{system.name} is a map; its orbit does not cross a plane")
    if isinstance(system.equations, TorchField):
        raise InputError(f"sections of {system.name} {NEEDS_COMPILED}")
    if normal.shape != (system.dimension,) or not np.isfinite(normal).all() or not normal.any():
        raise InputError(f"normal must be a vector of {system.dimension} numbers, not all zero; got {normal}")
    check_counts(count=count)
    check_amounts(transient=transient)
    if direction not in (-1, 0, 1) or not np.isfinite(offset):
        raise InputError(f"offset must be finite and direction 1, -1 or 0; got {offset} and {direction!r}")
    if longest is not None and not (is_number(longest) and longest > 0):
        raise InputError(f"longest must be a positive time; got {longest!r}")
    unit = system.period
    if unit is None and longest is None:
        raise InputError(f"the period of {system.name} is not known; give longest=..., the time to look for crossings")
    graph = Graph()
    height = graph.constant(-offset)
    for i, weight in enumerate(normal):
        height = height + float(weight) * graph.state(i)
    first, before = system.initial[None], np.zeros(1)
    if seed is not None:
        first, before = starts(system, entropy_of(seed), 1)
    origin = float(before[0]) if system.equations.explicit_time else 0.0
    end = longest if longest is not None else PERIODS_PER_CROSSING * count * (unit or 1.0)
    begin = transient * (unit or 1.0)
    if begin:
        first = solve(
            system.equations, first, system.packed[None], origin + np.array([0.0, begin]), tolerance=tolerance,
            scale=system.scale, name=system.name,
        ).values[:, -1]  # fmt: skip
    event = Event(field_address(graph, [height.index]), direction, count)
    outcome = solve(
        system.equations,
        first,
        system.packed[None],
        origin + begin + np.array([0.0, end]),
        tolerance=tolerance,
        scale=system.scale,
        method="DOP853",
        event=event,
        name=system.name,
    )
    found = int(outcome.events[0])
    if found < count:
        raise SolverError(
            f"{system.name} crossed the plane {found} times in {end:.6g} units of time, not {count}; move the plane, "
            "or give a longer time with longest=...",
            state=outcome.final[0],
        )
    return outcome.event_times[0] - origin - begin, outcome.event_states[0]
