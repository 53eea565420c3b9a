"""Polylines under a piecewise-affine map: exact images and preimages, as an affine piece maps a line to a line."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

__all__ = ["clipped", "images", "kinked", "preimages"]

HALVINGS = 60
# Ends of polylines closer than this, relative to their size, are one.
SAME = 1e-9


def kinked(
    model: Any, line: Float[Tensor, "vertex latent"], whole: Bool[Tensor, " segment"]
) -> tuple[Float[Tensor, "finer latent"], Bool[Tensor, " pieces"]]:
    """Polylines with a vertex wherever they cross from one linear region to another.

    Regions are convex: along a segment each of them takes one interval, whose end is found by bisection.

    Parameters
    ----------
    line : vertices of one polyline, or of several one after the other.
    whole : of each two vertices that follow each other, whether a segment joins them.
    """
    start, end = line[:-1], line[1:]
    place = torch.zeros(len(start), dtype=line.dtype)  # where on its segment each search stands, in [0, 1]
    active = whole.nonzero()[:, 0]
    places, owners = [], []
    while len(active):
        a, b, at = start[active], end[active], place[active]
        # the region just behind the point reached, so that the search does not stay on its kink
        ahead = torch.nextafter(at, torch.ones_like(at)) + 1e-12
        region = model.region(a + ahead.clamp_max(1.0)[:, None] * (b - a))
        goes_on = (model.region(b) == region).all(dim=1) | (ahead >= 1.0)
        active, a, b, region = active[~goes_on], a[~goes_on], b[~goes_on], region[~goes_on]
        low, high = ahead[~goes_on], torch.ones(len(active), dtype=line.dtype)
        for _ in range(HALVINGS):
            middle = 0.5 * (low + high)
            inside = (model.region(a + middle[:, None] * (b - a)) == region).all(dim=1)
            low, high = torch.where(inside, middle, low), torch.where(inside, high, middle)
        place[active] = high
        places.append(high)
        owners.append(active)
    if not places:
        return line, whole
    owner, where = torch.cat(owners), torch.cat(places)
    crossings = start[owner] + where[:, None] * (end[owner] - start[owner])
    segment = torch.cat([torch.arange(len(line)), owner])  # whose first vertex stands before its crossings
    order = torch.from_numpy(np.lexsort((torch.cat([torch.full((len(line),), -1.0), where]), segment)))
    return torch.cat([line, crossings])[order], whole[segment[order[:-1]]]


def images(model: Any, lines: list[Float[Tensor, "_ latent"]]) -> list[Float[Tensor, "_ latent"]]:
    """The images of polylines."""
    fine, whole = kinked(model, *_together(lines))
    return _runs(model.step(fine), whole)


def preimages(
    model: Any, lines: list[Float[Tensor, "_ latent"]], pieces: list[tuple[Tensor, Tensor, Tensor]]
) -> list[Float[Tensor, "_ latent"]]:
    """All polylines that the map takes to these; `pieces` are region, J and c of the affine pieces.

    Where there is one preimage of every point the parts of a line join at the kinks, and come out as one polyline.
    """
    line, whole = _together(lines)
    parts = []
    for region, jacobian, offset in pieces:
        fine, there = kinked(model, torch.linalg.solve(jacobian, (line - offset).mT).mT, whole)
        middle = 0.5 * (fine[:-1] + fine[1:])
        parts += _runs(fine, there & (model.region(middle) == region).all(dim=1))
    return _joined(parts)


def clipped(lines: list[Float[Tensor, "_ latent"]], extent: float) -> list[Float[Tensor, "_ latent"]]:
    """The parts of polylines within the ball of a radius about the origin, cut where they leave it."""
    line, whole = _together(lines)
    a, b = line[:-1], line[1:]
    along = b - a
    # the segment is a + t along for t in [0, 1], within the ball between the roots of |a + t along|^2 = extent^2
    square = along.square().sum(dim=1).clamp_min(1e-300)
    middle = -(a * along).sum(dim=1) / square
    half = (middle.square() - (a.square().sum(dim=1) - extent**2) / square).clamp_min(0.0).sqrt()
    enters, leaves = (middle - half).clamp(0.0, 1.0), (middle + half).clamp(0.0, 1.0)
    kept = (whole & (leaves > enters)).nonzero()[:, 0]
    enters, leaves = enters[kept], leaves[kept]
    first = torch.where((enters > 0)[:, None], a[kept] + enters[:, None] * along[kept], a[kept])
    last = torch.where((leaves < 1)[:, None], a[kept] + leaves[:, None] * along[kept], b[kept])
    joined = (kept.diff() == 1) & (leaves[:-1] >= 1) & (enters[1:] <= 0)  # segments that go on in the next one
    runs = np.split(np.arange(len(kept)), (~joined).nonzero()[:, 0].numpy() + 1) if len(kept) else []
    return [torch.cat([first[run[:1]], last[run]]) for run in runs]


def _together(lines: list[Tensor]) -> tuple[Tensor, Tensor]:
    """All vertices one after the other, and which of them a segment joins to the next."""
    line = torch.cat(lines)
    whole = torch.ones(len(line) - 1, dtype=torch.bool)
    whole[torch.tensor([len(each) for each in lines[:-1]], dtype=torch.int64).cumsum(0) - 1] = False
    return line, whole


def _runs(line: Tensor, wanted: Tensor) -> list[Tensor]:
    """The maximal runs of wanted segments, as polylines."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], wanted.numpy(), [False]]).astype(np.int8)))
    return [line[i : j + 1] for i, j in zip(edges[::2], edges[1::2], strict=True)]


def _joined(parts: list[Tensor]) -> list[Tensor]:
    """Polylines put together where the end of one is an end of another."""
    from scipy.spatial import cKDTree

    if len(parts) < 2:
        return parts
    # ends 2 k and 2 k + 1 are the first and the last vertex of part k
    ends = torch.stack([end for part in parts for end in (part[0], part[-1])]).numpy()
    near = cKDTree(ends).query(ends, k=4, distance_upper_bound=SAME * np.abs(ends).max())[1]
    numbers = np.arange(len(ends))[:, None]
    usable = (near < len(ends)) & (near // 2 != numbers // 2)
    partner = np.where(usable.any(axis=1), near[numbers[:, 0], usable.argmax(axis=1)], -1)
    mutual = partner[partner] == numbers[:, 0]
    partner = np.where((partner >= 0) & mutual, partner, -1)
    chains, left = [], np.ones(len(parts), dtype=bool)
    for first in [*np.flatnonzero(partner < 0), *numbers[:, 0]]:  # open chains from an end of theirs, then closed ones
        chain, entry = [], int(first)
        while entry >= 0 and left[entry // 2]:
            left[entry // 2] = False
            part = parts[entry // 2]
            part = part.flip(0) if entry % 2 else part
            chain.append(part[1:] if chain else part)
            entry = int(partner[entry ^ 1])
        if chain:
            chains.append(torch.cat(chain))
    return chains
