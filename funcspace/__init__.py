"""Operator learning and dynamical-systems reconstruction on one function-space data abstraction."""

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
from funcspace.geometry import Grid

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
    "MissingDependencyError",
    "OperatorData",
    "OutsideError",
    "RaggedFunction",
    "SolverError",
]
