"""Cached properties that type checkers read as properties.

Domains are immutable, so a cached property of one is a read-only property that remembers. The type of
`functools.cached_property` allows assignment and so does not fit the read-only properties of the `Domain` protocol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    cached_property = property
else:
    from functools import cached_property

__all__ = ["cached_property"]
