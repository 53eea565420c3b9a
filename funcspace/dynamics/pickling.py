"""Pickles of frozen dataclasses: their fields, and nothing that was computed from them.

Addresses of machine code and compiled functions are worth nothing in another process; read-only mappings are not
pickled by Python.
"""

from __future__ import annotations

from dataclasses import fields
from types import MappingProxyType
from typing import Any

__all__ = ["by_fields"]


def by_fields(self: Any) -> tuple[Any, ...]:
    """What `__reduce__` of a frozen dataclass returns, so that it is made again from its fields."""
    values = {each.name: getattr(self, each.name) for each in fields(self) if each.init}
    plain = {name: dict(value) if isinstance(value, MappingProxyType) else value for name, value in values.items()}
    return _made, (type(self), plain)


def _made(kind: type, values: dict[str, Any]) -> Any:
    return kind(**values)
