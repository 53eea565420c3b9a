"""Dynamical systems: the chaos database compiled, integrators, invariants and metrics.

Only what is used is imported: numba, dysts and plots come with the first call that needs them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from funcspace.dynamics.estimate import Estimate
from funcspace.dynamics.integrators.solve import Guards
from funcspace.dynamics.systems.registry import system, systems
from funcspace.dynamics.systems.system import System

if TYPE_CHECKING:
    from funcspace.dynamics import integrators, invariants, metrics

__all__ = ["Estimate", "Guards", "System", "integrators", "invariants", "metrics", "system", "systems"]

ROOMS = ("integrators", "invariants", "metrics")


def __getattr__(name: str) -> Any:
    """Import a room when it is first used."""
    if name in ROOMS:
        return import_module(f"funcspace.dynamics.{name}")
    raise AttributeError(f"module 'funcspace.dynamics' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
