"""The exceptions of the library: few types under one base, so that a caller can catch all of them or one kind."""

from __future__ import annotations

from typing import Any

__all__ = [
    "CheckpointError",
    "DomainError",
    "FileError",
    "FuncspaceError",
    "InputError",
    "MissingDependencyError",
    "OutsideError",
    "SolverError",
]


class FuncspaceError(Exception):
    """Base of every exception that the library raises on purpose."""


class InputError(FuncspaceError, ValueError):
    """An argument or array does not fit: wrong shape, wrong type, NaN or infinity, empty data, unknown name."""


class DomainError(FuncspaceError, ValueError):
    """A domain is broken (inverted or dangling cell) or is not the one that was expected."""


class OutsideError(DomainError):
    """Points lie outside the domain.

    Attributes
    ----------
    indices : the indices of the offending points, in the order given.
    distances : their distances to the domain, in the domain's length unit.
    """

    def __init__(self, message: str, indices: Any = (), distances: Any = ()) -> None:
        super().__init__(message)
        self.indices = indices
        self.distances = distances


class FileError(FuncspaceError, OSError):
    """A file is missing, truncated, of another format, of a newer schema, or cannot be written."""


class CheckpointError(FileError):
    """A saved model does not fit: another class, another shape, a newer schema, a damaged folder."""


class SolverError(FuncspaceError, RuntimeError):
    """A solver did not converge, or its system is singular.

    Attributes
    ----------
    state : the last good state of the solver, or None where there is none.
    """

    def __init__(self, message: str, state: Any = None) -> None:
        super().__init__(message)
        self.state = state


class MissingDependencyError(FuncspaceError, ImportError):
    """An optional package is needed for what was asked and is not installed."""
