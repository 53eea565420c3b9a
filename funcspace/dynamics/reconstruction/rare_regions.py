"""A penalty on the linear regions that hardly any state visits."""

from __future__ import annotations

import itertools

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["MOST_UNITS", "RareRegions"]

MOST_UNITS = 6  # all 2^P regions are gone through
MARGIN = 0.2  # how far outside of a rare region a state is still penalised, in root mean squares of the units
KEPT = 0.98  # share of the old shares of time that is kept at each step


class RareRegions:
    r"""How deep states lie in regions that hold less than a given share of them, each region a pattern of signs.

    sum over rare patterns b of mean_t max(0, min_i b_i u_i(t) / rms(u_i) + MARGIN),  b_i = +-1

    A region counts as rare by the mean share of the last fifty or so batches, which is kept here.

    Parameters
    ----------
    share : below which a region is rare.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self.shares: Tensor | None = None

    def penalty(self, units: Float[Tensor, "*replicas unit time column"]) -> Float[Tensor, "*replicas"]:
        """The penalty of a batch of orbits of the units that bend; takes note of the regions they are in."""
        *lead, count, _, _ = units.shape
        known = units.detach()
        patterns = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=count))).to(units)
        signs = [pattern[:, None, None] for pattern in patterns]
        now = torch.stack([(known * sign > 0).all(dim=-3).float().mean(dim=(-2, -1)) for sign in signs], dim=-1)
        self.shares = now if self.shares is None else KEPT * self.shares + (1.0 - KEPT) * now
        scaled = units / known.square().mean(dim=(-2, -1), keepdim=True).sqrt().clamp_min(1e-3)
        total = units.new_zeros(lead)
        for sign, shares in zip(signs, self.shares.unbind(dim=-1), strict=True):
            rare = shares < self.share
            if bool(rare.any()):
                depth = ((scaled * sign).amin(dim=-3) + MARGIN).relu().mean(dim=(-2, -1))
                total = total + torch.where(rare, depth, torch.zeros_like(depth))
        return total
