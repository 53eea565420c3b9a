"""A penalty on the linear regions that hardly any state visits."""

from __future__ import annotations

import itertools

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["MOST_UNITS", "RareRegions", "sign_patterns"]

MOST_UNITS = 6  # all 2^P regions are gone through
DEPTH_MARGIN = 0.2  # how far outside of a rare region a state is still penalised, in root mean squares of the units
SADDLE_MARGIN = 0.1  # how far from zero the determinant of a rare region is to stay
KEPT = 0.98  # share of the old shares of time that is kept at each step


def sign_patterns(units: int) -> Float[Tensor, "pattern unit"]:
    """All 2^P patterns of -1 and 1, each the linear region where the units have these signs."""
    return torch.tensor(list(itertools.product((-1.0, 1.0), repeat=units)))


class RareRegions:
    r"""How deep states lie in regions that hold less than a given share of them, and whether these may hold saddles.

    sum over rare patterns b of  mean_t max(0, min_i b_i u_i(t) / rms(u_i) + DEPTH_MARGIN)
                               + max(0, SADDLE_MARGIN - d_b / (|d_b| + g)),  b_i = +-1,  d_b = det(1 - J_b)

    g is the geometric mean of all |d_b|, taken as it is. The sign of d_b is the index of the fixed point of region b,
    and the indices of a map whose orbits all stay bounded sum to +1. A saddle between the two spirals of an attractor
    gives that by itself; one more fixed point of index -1, where there are no data, means that orbits escape beyond it.
    Where d_b > 0 there is none: it has left through infinity, where it disturbs no orbit.

    A region counts as rare by the mean share of the last fifty or so batches, which is kept here.

    Parameters
    ----------
    share : below which a region is rare.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self.shares: Tensor | None = None

    def penalty(
        self,
        units: Float[Tensor, "*replicas unit time column"],
        jacobians: Float[Tensor, "*replicas pattern latent latent"],
    ) -> Float[Tensor, "*replicas"]:
        """The penalty of a batch of orbits of the units that bend; takes note of the regions they are in."""
        known = units.detach()
        signs = [pattern[:, None, None] for pattern in sign_patterns(units.shape[-3]).to(units)]
        now = torch.stack([(known * sign > 0).all(dim=-3).float().mean(dim=(-2, -1)) for sign in signs], dim=-1)
        self.shares = now if self.shares is None else KEPT * self.shares + (1.0 - KEPT) * now
        scaled = units / known.square().mean(dim=(-2, -1), keepdim=True).sqrt().clamp_min(1e-3)
        rare = self.shares < self.share
        saddles = (SADDLE_MARGIN - relative_determinants(jacobians)).relu()
        total = torch.where(rare, saddles, torch.zeros_like(saddles)).sum(dim=-1)
        for sign, here in zip(signs, rare.unbind(dim=-1), strict=True):
            if bool(here.any()):
                depth = ((scaled * sign).amin(dim=-3) + DEPTH_MARGIN).relu().mean(dim=(-2, -1))
                total = total + torch.where(here, depth, torch.zeros_like(depth))
        return total


def relative_determinants(
    jacobians: Float[Tensor, "*replicas pattern latent latent"],
) -> Float[Tensor, "*replicas pattern"]:
    """The numbers d / (|d| + g), d = det(1 - J) and g the geometric mean of the |d|, through which no gradient goes."""
    identity = torch.eye(jacobians.shape[-1]).to(jacobians)
    sign, size = torch.linalg.slogdet(identity - jacobians)
    return sign * (size - size.detach().mean(dim=-1, keepdim=True)).sigmoid()
