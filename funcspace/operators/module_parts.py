"""The members of a module list with their own type."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from torch import nn

__all__ = ["parts"]

Part = TypeVar("Part", bound=nn.Module)


def parts(modules: Iterable[nn.Module], kind: type[Part]) -> list[Part]:
    """The members that are of a kind, in order: what a `ModuleList` of that kind holds.

    >>> parts(nn.ModuleList([nn.Linear(1, 2), nn.GELU()]), nn.Linear)
    [Linear(in_features=1, out_features=2, bias=True)]
    """
    return [module for module in modules if isinstance(module, kind)]
