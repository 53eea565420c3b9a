"""Operator learning and dynamical-systems reconstruction on one function-space data abstraction."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from funcspace.errors import (
    CheckpointError,
    DomainError,
    FileError,
    FuncspaceError,
    InputError,
    MissingDependencyError,
    OutsideError,
    SolverError,
)
from funcspace.functions import Function, FunctionSpace, LazyFunction, LinearMap, OperatorData, RaggedFunction
from funcspace.geometry import Grid, Mesh, PointCloud, Times

if TYPE_CHECKING:
    from funcspace import dynamics, functions, geometry, operators, solvers, training
    from funcspace.training import Supervised, Surrogate, fit, load

__version__ = "0.1.0"

__all__ = [
    "CheckpointError",
    "DomainError",
    "FileError",
    "FuncspaceError",
    "Function",
    "FunctionSpace",
    "Grid",
    "InputError",
    "LazyFunction",
    "LinearMap",
    "Mesh",
    "MissingDependencyError",
    "OperatorData",
    "OutsideError",
    "PointCloud",
    "RaggedFunction",
    "SolverError",
    "Supervised",
    "Surrogate",
    "Times",
    "dynamics",
    "fit",
    "functions",
    "geometry",
    "load",
    "operators",
    "solvers",
    "training",
]

ROOMS = ("dynamics", "functions", "geometry", "operators", "solvers", "training")
FROM_TRAINING = ("Supervised", "Surrogate", "fit", "load")


def __getattr__(name: str) -> Any:
    """Import a room of the library when it is first used, so that `import funcspace` stays quick."""
    if name in ROOMS:
        return import_module(f"funcspace.{name}")
    if name in FROM_TRAINING:
        return getattr(import_module("funcspace.training"), name)
    raise AttributeError(f"module 'funcspace' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
