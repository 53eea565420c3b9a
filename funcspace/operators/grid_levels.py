"""Hierarchies of uniform grids: shapes, spacings and boundary conditions of each level, coarser by a factor of two."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from funcspace.errors import InputError

__all__ = [
    "BOUNDARY_KINDS",
    "Boundary",
    "GridHierarchy",
    "GridLevel",
    "anchored_hierarchy",
    "coarsest_levels",
    "parse_boundary",
    "scale_free_hierarchy",
]

SAME_SPACING = 0.1
BOUNDARY_KINDS = ("dirichlet", "neumann", "periodic")
Boundary = tuple[tuple[str, str], ...]


def parse_boundary(boundary: Any, dimension: int) -> Boundary:
    """One pair of kinds (low side, high side) per axis, from one name for all sides or a name or a pair per axis.

    >>> parse_boundary("dirichlet", 1)
    (('dirichlet', 'dirichlet'),)
    >>> parse_boundary(("periodic", ("neumann", "dirichlet")), 2)
    (('periodic', 'periodic'), ('neumann', 'dirichlet'))
    """
    if isinstance(boundary, str):
        boundary = (boundary,) * dimension
    if not isinstance(boundary, Sequence) or len(boundary) != dimension:
        raise InputError(f"boundary must be one name or one entry per axis ({dimension}), got {boundary!r}")
    pairs: list[tuple[str, str]] = []
    for axis, entry in enumerate(boundary):
        sides = (entry, entry) if isinstance(entry, str) else tuple(entry)
        if len(sides) != 2 or any(side not in BOUNDARY_KINDS for side in sides):
            raise InputError(f"boundary of axis {axis} must be one or two of {BOUNDARY_KINDS}, got {entry!r}")
        if (sides[0] == "periodic") != (sides[1] == "periodic"):
            raise InputError(f"axis {axis} is periodic on one side only: {entry!r}")
        pairs.append((sides[0], sides[1]))
    return tuple(pairs)


def _intervals(count: int, closed: bool, samples: str) -> int:
    return count - 1 if samples == "vertices" and not closed else count


def _coarse_count(count: int, closed: bool, samples: str) -> int:
    """Samples of the next coarser axis: half as many intervals, rounded up; the same count where it stops."""
    least = 4 if samples == "vertices" and not closed else 3
    intervals = _intervals(count, closed, samples)
    if intervals < least:
        return count
    half = (intervals + 1) // 2
    return half + 1 if samples == "vertices" and not closed else half


def _aligned_count(count: int, coarse: int, closed: bool, samples: str) -> int:
    """Samples of the axis from which every second one is a coarse one (on cells: each two make a coarse one)."""
    if coarse == count:
        return count
    return 2 * coarse - 1 if samples == "vertices" and not closed else 2 * coarse


@dataclass(frozen=True)
class GridLevel:
    """One grid of a hierarchy, and how it meets the next coarser one.

    Attributes
    ----------
    shape : samples per axis.
    spacing : distance of neighbouring samples per axis.
    boundary : boundary condition per axis and side.
    samples : "vertices" or "cells".
    coarse_shape : samples per axis of the next level; equal to `shape` on an axis that is not coarsened.
    aligned_shape : the shape between the two, on which a coarse sample is exactly every second one. It differs from
        `shape` where an axis has an odd number of intervals; the way there is linear interpolation by position, so that
        fine and coarse samples stay where they are in space, and mirror images stay mirror images.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    boundary: Boundary
    samples: str
    coarse_shape: tuple[int, ...] = ()
    aligned_shape: tuple[int, ...] = ()

    @property
    def halved(self) -> tuple[bool, ...]:
        """Which axes are coarsened on the way to the next level."""
        return tuple(c != n for c, n in zip(self.coarse_shape, self.shape, strict=True))

    @classmethod
    def finest(cls, shape: Sequence[int], spacing: Sequence[float], boundary: Boundary, samples: str) -> GridLevel:
        """The level of a given grid."""
        closed = [sides[0] == "periodic" for sides in boundary]
        coarse = tuple(_coarse_count(n, p, samples) for n, p in zip(shape, closed, strict=True))
        aligned = tuple(_aligned_count(n, c, p, samples) for n, c, p in zip(shape, coarse, closed, strict=True))
        return cls(tuple(shape), tuple(spacing), boundary, samples, coarse, aligned)

    def coarser(self) -> GridLevel | None:
        """The next coarser level; None where no axis can be coarsened any further."""
        if not any(self.halved):
            return None
        spacing = []
        for n, c, h, sides in zip(self.shape, self.coarse_shape, self.spacing, self.boundary, strict=True):
            closed = sides[0] == "periodic"
            spacing.append(h * _intervals(n, closed, self.samples) / _intervals(c, closed, self.samples))
        return GridLevel.finest(self.coarse_shape, spacing, self.boundary, self.samples)

    def with_natural_boundary(self) -> GridLevel:
        """The level for fields without Dirichlet conditions, such as inputs: Neumann on all sides but periodic ones."""
        sides = tuple(s if s[0] == "periodic" else ("neumann", "neumann") for s in self.boundary)
        return replace(self, boundary=sides)

    def interior_mask(self) -> Float[Tensor, ...] | None:
        """1 at unknowns and 0 at Dirichlet vertices, of the level's shape; None where every sample is an unknown."""
        if self.samples == "cells" or not any("dirichlet" in sides for sides in self.boundary):
            return None
        mask = torch.ones(self.shape, dtype=torch.float64)
        for axis, (low, high) in enumerate(self.boundary):
            if low == "dirichlet":
                mask.narrow(axis, 0, 1).zero_()
            if high == "dirichlet":
                mask.narrow(axis, self.shape[axis] - 1, 1).zero_()
        return mask


def coarsest_levels(level: GridLevel, limit: int | None = None) -> tuple[GridLevel, ...]:
    """The level and all coarser ones, at most `limit` of them."""
    levels = [level]
    while (limit is None or len(levels) < limit) and (coarser := levels[-1].coarser()) is not None:
        levels.append(coarser)
    return tuple(levels)


@dataclass(frozen=True)
class GridHierarchy:
    """The levels of one grid, finest first, and which weights of a model each level uses.

    Attributes
    ----------
    levels : the grids; the first is the one of the input and the output.
    weights : for each level the index of the model's level whose weights it uses.
    extra : number of levels before the one that has the spacing of the model's finest weights.
    """

    levels: tuple[GridLevel, ...]
    weights: tuple[int, ...]
    extra: int = 0
    _cache: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    def cached(self, key: Any, like: Tensor, make: Callable[[], Tensor | None]) -> Any:
        """What `make` gives, on the device and in the type of a tensor; computed once for each."""
        place = (key, like.device, like.dtype)
        if place not in self._cache:
            made = make()
            self._cache[place] = None if made is None else made.to(like)
        return self._cache[place]

    def mask(self, level: int, like: Tensor) -> Tensor | None:
        """The interior mask of a level, on the device and in the type of a tensor."""
        return self.cached(("mask", level), like, self.levels[level].interior_mask)

    def to(self, *args: Any, **kwargs: Any) -> GridHierarchy:
        """The hierarchy itself: its tensors follow the model's input."""
        return self


def _octaves(level: GridLevel, spacing: Sequence[float]) -> float:
    """How many times finer the level is, in powers of two, as a mean over the axes."""
    return sum(math.log2(h / own) for h, own in zip(spacing, level.spacing, strict=True)) / len(spacing)


def anchored_hierarchy(finest: GridLevel, spacing: Sequence[float], limit: int) -> GridHierarchy:
    """Levels for weights that belong to a spacing: the way to a grid of that spacing, and the coarser ones under it.

    Parameters
    ----------
    finest : the grid of the input.
    spacing : the spacing that the finest weights belong to.
    limit : number of levels with weights.
    """
    way = [finest]
    while _octaves(way[-1], spacing) > 0.5 and (coarser := way[-1].coarser()) is not None:
        way.append(coarser)
    last = way[-1]
    ratios = [own / h for own, h in zip(last.spacing, spacing, strict=True)]
    if max(abs(ratio - 1.0) for ratio in ratios) > SAME_SPACING:
        counts, spacings = [], []
        for n, own, ratio, sides in zip(last.shape, last.spacing, ratios, last.boundary, strict=True):
            intervals = _intervals(n, sides[0] == "periodic", last.samples)
            wanted = max(round(intervals * ratio), 1)
            counts.append(wanted + n - intervals)
            spacings.append(own * intervals / wanted)
        way.append(GridLevel.finest(counts, spacings, last.boundary, last.samples))
    under = coarsest_levels(way[-1], limit)
    extra = len(way) - 1
    return GridHierarchy((*way[:-1], *under), (*[0] * extra, *range(len(under))), extra)


def scale_free_hierarchy(finest: GridLevel, spacing: Sequence[float], limit: int) -> GridHierarchy:
    """Levels for weights that hold on any spacing: halved from the grid itself, which has the finest weights.

    On a finer grid than that of the spacing the finest weights serve several levels.
    """
    offset = max(round(_octaves(finest, spacing)), 0)
    levels = coarsest_levels(finest, max(limit + offset, 1))
    weights = [min(max(i - offset, 0), limit - 1) for i in range(len(levels))]
    return GridHierarchy(levels, tuple(weights))
