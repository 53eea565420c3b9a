"""What all tests share: threads, run-time checks of annotations, and skips for what the machine lacks."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import inspect
import os
import warnings
from collections.abc import Callable
from typing import Any, get_args

# Tests run side by side: one thread each, no windows, no network. Set before torch is imported.
for name, value in {
    "OMP_NUM_THREADS": "1",
    "MPLBACKEND": "Agg",
    "WANDB_MODE": "disabled",
}.items():
    os.environ.setdefault(name, value)
# Triton decides when it is imported, which torch.compile does too, whether its programs are interpreted.
if not os.path.exists("/dev/nvidia0"):
    os.environ.setdefault("TRITON_INTERPRET", "1")

import jaxtyping
import pytest
import torch
from beartype import BeartypeConf, beartype
from beartype.roar import BeartypeDecorHintPep585DeprecationWarning
from hypothesis import settings

# The machine's load decides how long an example takes; the law under test does not.
settings.register_profile("funcspace", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("funcspace")

jaxtyped = jaxtyping.jaxtyped


def is_structural(hint: Any) -> bool:
    """Whether a protocol of ours is in `hint`; Python 3.11 checks one by evaluating all its properties."""
    ours = getattr(hint, "_is_protocol", False) and hint.__module__.startswith("funcspace.")
    return ours or any(is_structural(part) for part in get_args(hint))


def check_values(function: Callable) -> Callable:
    """Let beartype check what can be checked on a value; protocols are left to pyright."""
    hints = function.__annotations__
    function.__annotations__ = {name: Any if is_structural(hint) else hint for name, hint in hints.items()}
    with warnings.catch_warnings():
        # classes made from scikit-fem's inherit its older spelling of annotations
        warnings.simplefilter("ignore", BeartypeDecorHintPep585DeprecationWarning)
        return beartype(function, conf=BeartypeConf(is_pep484_tower=True))


def checked(target: Any = None, *, typechecker: Any = None) -> Any:
    """Check annotations and shapes at each call, except where the call is refused anyway.

    A test of bad input breaks annotations on purpose and wants the library's own error. So an argument that
    contradicts its annotation is an error of the test run only if the function does not refuse it itself.
    """
    if target is None:
        return functools.partial(checked, typechecker=typechecker)
    if inspect.isclass(target):
        if dataclasses.is_dataclass(target) and "__init__" in vars(target):
            target.__init__ = checked(target.__init__)
        return target
    if not inspect.isfunction(target) or not target.__annotations__:
        return target  # numba compiles kernels from the plain function, and those carry no annotations

    strict = jaxtyped(target, typechecker=check_values)

    @functools.wraps(target)
    def call(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling() or jaxtyping.config.jaxtyping_disable:
            return target(*args, **kwargs)
        try:
            return strict(*args, **kwargs)
        except jaxtyping.TypeCheckError as contradiction:
            from funcspace.errors import FuncspaceError

            jaxtyping.config.update("jaxtyping_disable", True)
            try:
                target(*args, **kwargs)
            except FuncspaceError:
                raise
            except Exception:
                raise contradiction from None
            finally:
                jaxtyping.config.update("jaxtyping_disable", False)
            raise

    return call


# The hook decorates every function of the package with `jaxtyping.jaxtyped`, and has to precede its import.
if os.environ.get("FUNCSPACE_TYPECHECK", "1") != "0":
    jaxtyping.jaxtyped = checked
    jaxtyping.install_import_hook("funcspace", "beartype.beartype")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests that need a device or a package that is not here."""
    missing = {
        "gpu": None if torch.cuda.is_available() else "needs a CUDA device",
        "dolfinx": None if importlib.util.find_spec("dolfinx") else "needs dolfinx: make test-dolfinx",
    }
    for item in items:
        for marker, reason in missing.items():
            if reason is not None and item.get_closest_marker(marker) is not None:
                item.add_marker(pytest.mark.skip(reason=reason))
