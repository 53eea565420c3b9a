"""The one place where optional packages are imported."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from funcspace.errors import MissingDependencyError

__all__ = ["require"]


def require(module: str, *, feature: str, install: str) -> ModuleType:
    """Import `module` or say which feature needs it and which command installs it.

    Raises
    ------
    MissingDependencyError
        When the package that holds `module` is not installed. Errors inside an installed package are passed on.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is not None and error.name.partition(".")[0] != package:
            raise
        raise MissingDependencyError(
            f"{feature} needs the package {package!r}, which is not installed; install it with: {install}"
        ) from error
