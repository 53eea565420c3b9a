"""Polylines under a piecewise-affine map: exact images and preimages, as an affine piece maps a line to a line."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

__all__ = ["clipped", "image", "kinked", "preimages"]

HALVINGS = 60


def kinked(model: Any, line: Float[Tensor, "vertex latent"]) -> Float[Tensor, "finer latent"]:
    """The polyline with a vertex wherever it crosses from one linear region to another.

    Regions are convex: along a segment each of them takes one interval, whose end is found by bisection.
    """
    start, end = line[:-1], line[1:]
    place = torch.zeros(len(start), dtype=line.dtype)  # where on its segment each search stands, in [0, 1]
    active = torch.arange(len(start))
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
        return line
    owner, where = torch.cat(owners), torch.cat(places)
    crossings = start[owner] + where[:, None] * (end[owner] - start[owner])
    keys = torch.cat([torch.arange(len(line), dtype=line.dtype), owner + where.clamp_max(1.0 - 1e-12)])
    return torch.cat([line, crossings])[torch.argsort(keys, stable=True)]


def image(model: Any, line: Float[Tensor, "vertex latent"]) -> Float[Tensor, "finer latent"]:
    """The image of a polyline."""
    return model.step(kinked(model, line))


def preimages(
    model: Any, line: Float[Tensor, "vertex latent"], pieces: list[tuple[Tensor, Tensor, Tensor]]
) -> list[Float[Tensor, "_ latent"]]:
    """All polylines that the map takes to this one; `pieces` are region, J and c of the affine pieces.

    Where there is one preimage of every point the parts join at the kinks, and come out as one polyline.
    """
    parts = []
    for region, jacobian, offset in pieces:
        back = torch.linalg.solve(jacobian, (line - offset).mT).mT
        fine = kinked(model, back)
        middle = 0.5 * (fine[:-1] + fine[1:])
        parts += _runs(fine, (model.region(middle) == region).all(dim=1))
    return _joined(parts)


def clipped(line: Float[Tensor, "vertex latent"], extent: float) -> list[Float[Tensor, "_ latent"]]:
    """The parts of a polyline whose segments touch the ball of a radius."""
    a, b = line[:-1], line[1:]
    along = b - a
    nearest = (-(a * along).sum(dim=1) / along.square().sum(dim=1).clamp_min(1e-300)).clamp(0.0, 1.0)
    touches = torch.linalg.vector_norm(a + nearest[:, None] * along, dim=1) <= extent
    return _runs(line, touches)


def _runs(line: Tensor, wanted: Bool[Tensor, " segment"]) -> list[Tensor]:
    """The maximal runs of wanted segments, as polylines."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], wanted.numpy(), [False]]).astype(np.int8)))
    return [line[i : j + 1] for i, j in zip(edges[::2], edges[1::2], strict=True)]


def _joined(parts: list[Tensor]) -> list[Tensor]:
    """Polylines put together where the end of one is an end of another."""
    if len(parts) < 2:
        return parts
    size = max(float(part.abs().max()) for part in parts)
    chains = list(parts)
    grown = True
    while grown:
        grown = False
        ends = torch.stack([end for chain in chains for end in (chain[0], chain[-1])])
        distances = torch.cdist(ends, ends)
        for i in range(len(chains)):
            distances[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = torch.inf
        close = int(distances.argmin())
        first, second = divmod(close, len(ends))
        if distances[first, second] <= 1e-9 * size:
            one, other = chains[first // 2], chains[second // 2]
            one = one if first % 2 else one.flip(0)
            other = other.flip(0) if second % 2 else other
            chains = [c for k, c in enumerate(chains) if k not in (first // 2, second // 2)]
            chains.append(torch.cat([one, other[1:]]))
            grown = True
    return chains
