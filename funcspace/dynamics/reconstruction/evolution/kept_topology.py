"""How far models have left the symbolic description that one of them had: transitions and fixed points."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from funcspace.dynamics.reconstruction.models.piecewise_linear_rnn import PiecewiseLinearRNN
from funcspace.dynamics.reconstruction.rare_regions import sign_patterns

__all__ = ["KeptTopology"]

MISPLACED = 5.0  # for other fixed points
CHANGED = 2.0  # for transitions that are new or lacking
SHARE = 50.0  # times the share of new ones


@dataclass(frozen=True, eq=False)
class KeptTopology:
    """Which transitions between linear regions a model makes and which fixed points it has.

    Attributes
    ----------
    transitions : whether state follows state from region i to j, at i 2^P + j.
    points : a number for each region that tells the fixed point there: zero where there is none, else how many
        multipliers lie outside of the unit circle and how many of these are not real.
    """

    transitions: Bool[Tensor, " pair"]
    points: Int[Tensor, " pattern"]

    @classmethod
    def of(cls, model: PiecewiseLinearRNN, states: Float[Tensor, "1 latent time column"]) -> KeptTopology:
        """That of a single copy with these orbits."""
        return cls(_made(model, _transitions(model, states))[0], _fixed_points(model)[0])

    def penalty(
        self, model: PiecewiseLinearRNN, states: Float[Tensor, "copy latent time column"]
    ) -> Float[Tensor, " copy"]:
        """What copies with these orbits pay for differing; nothing where they do not."""
        pairs = _transitions(model, states)
        share = (~self.transitions)[pairs].double().mean(dim=1)
        changed = (_made(model, pairs) != self.transitions).any(dim=1)
        misplaced = (_fixed_points(model) != self.points).any(dim=1)
        return SHARE * share + CHANGED * changed.double() + MISPLACED * misplaced.double()


def _units(model: PiecewiseLinearRNN) -> int:
    return model.bending.stop - model.bending.start


def _transitions(
    model: PiecewiseLinearRNN, states: Float[Tensor, "copy latent time column"]
) -> Int[Tensor, "copy step"]:
    """The numbers of the transitions along the orbits of each copy, one orbit after the other."""
    units = _units(model)
    bits = (states[:, model.bending] > 0).cpu()
    powers = 2 ** torch.arange(units - 1, -1, -1)  # as `sign_patterns` counts
    region = (bits * powers[None, :, None, None]).sum(dim=1)
    return (region[:, :-1] * 2**units + region[:, 1:]).flatten(1)


def _made(model: PiecewiseLinearRNN, pairs: Int[Tensor, "copy step"]) -> Bool[Tensor, "copy pair"]:
    """Which of all transitions each copy makes."""
    return torch.zeros(len(pairs), 4 ** _units(model), dtype=torch.bool).scatter_(1, pairs, value=True)


def _fixed_points(model: PiecewiseLinearRNN) -> Int[Tensor, "copy pattern"]:
    """A number for the fixed point of each region."""
    jacobians, offsets = (part.detach().to("cpu", torch.float64) for part in model.region_maps())
    unit = torch.eye(model.latent, dtype=torch.float64)
    places = torch.linalg.solve_ex(unit - jacobians, offsets[..., None]).result[..., 0]
    admissible = ((places[..., model.bending] > 0) == (sign_patterns(_units(model)) > 0)).all(dim=-1)
    multipliers = torch.linalg.eigvals(jacobians)
    outside = multipliers.abs() > 1.0
    turning = outside & (multipliers.imag.abs() > 1e-9)
    kind = 1 + outside.sum(dim=-1) * (model.latent + 1) + turning.sum(dim=-1)
    return torch.where(admissible, kind, torch.zeros_like(kind))
