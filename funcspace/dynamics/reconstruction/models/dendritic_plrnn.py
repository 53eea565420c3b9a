"""The dendritic piecewise-linear recurrent network."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from funcspace.arguments import require_counts
from funcspace.dynamics.reconstruction.models.initial_weights import contracting, gaussian, uniform
from funcspace.dynamics.reconstruction.models.observation import ObservationKind
from funcspace.dynamics.reconstruction.models.piecewise_linear_rnn import PiecewiseLinearRNN
from funcspace.dynamics.reconstruction.models.replica_products import product

__all__ = ["DendriticPLRNN"]


class DendriticPLRNN(PiecewiseLinearRNN):
    r"""The dendritic PLRNN: each unit is a sum of ReLUs with thresholds of their own.

    z_t = A z_{t-1} + W Phi(z_{t-1}) + h + C s_t
    Phi_i(z) = sum_b alpha_b relu(z_i - H_ib);  clipped: sum_b alpha_b [relu(z_i - H_ib) - relu(z_i)]

    A is diagonal (a vector), W has a zero diagonal. Clipped, orbits are bounded where max|A| < 1. Brenner et al.:
    Tractable dendritic RNNs for reconstructing nonlinear dynamical systems, ICML 2022.

    Parameters
    ----------
    observed : N, number of observed components.
    latent : M, number of units.
    bases : B, ReLUs per unit.
    clipped : see the formula.
    inputs, observation, replicas, seed : as for `ALRNN`.

    Examples
    --------
    >>> model = DendriticPLRNN(observed=3, latent=10, bases=5)
    >>> model.region(torch.zeros(10)).shape
    torch.Size([60])
    """

    family = "dendritic"
    _off_diagonal: Tensor

    def __init__(
        self,
        observed: int,
        latent: int = 22,
        bases: int = 20,
        *,
        clipped: bool = True,
        inputs: int = 0,
        observation: ObservationKind = "identity",
        replicas: int | None = None,
        seed: int = 0,
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        super().__init__(
            observed, latent, inputs=inputs, observation=observation, replicas=replicas, generator=generator
        )
        require_counts(bases=bases)
        self.bases, self.clipped, self._seed = bases, clipped, seed
        lead = self._lead
        whole = contracting(lead, latent, generator)
        self.A = nn.Parameter(whole.diagonal(dim1=-2, dim2=-1).contiguous())
        self.weights = nn.Parameter(whole * (1.0 - torch.eye(latent)))
        self.h = nn.Parameter(torch.zeros(*lead, latent))
        self.slopes = nn.Parameter(uniform((*lead, bases), generator))
        self.thresholds = nn.Parameter(gaussian((*lead, latent, bases), generator, 1.0))
        self.register_buffer("_off_diagonal", 1.0 - torch.eye(latent), persistent=False)

    @property
    def config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            "observed": self.observed, "latent": self.latent, "bases": self.bases, "clipped": self.clipped,
            "inputs": self.inputs, "observation": self.observation.kind, "replicas": self.replicas, "seed": self._seed,
        }  # fmt: skip

    @property
    def W(self) -> Float[Tensor, "*replicas latent latent"]:
        """The coupling matrix, its diagonal zero."""
        return self.weights * self._off_diagonal

    def step(self, z: Float[Tensor, "... latent"]) -> Float[Tensor, "... latent"]:
        """A z + W Phi(z) + h."""
        branches = (z[..., None] - self._per_unit(self.thresholds, z)).relu()
        if self.clipped:
            branches = branches - z.relu()[..., None]
        phi = (branches * self._row(self.slopes, z)[..., None, :]).sum(dim=-1)
        return self._row(self.A, z) * z + product(phi, self.W) + self._row(self.h, z)

    def region(self, z: Float[Tensor, "... latent"]) -> Bool[Tensor, "... bit"]:
        """Whether z_i lies above each H_ib, unit by unit, and for clipped units then whether it is positive."""
        above = (z[..., None] > self._per_unit(self.thresholds, z)).flatten(-2)
        return torch.cat([above, z > 0], dim=-1) if self.clipped else above

    def kinks(self) -> tuple[Float[Tensor, "bit latent"], Float[Tensor, " bit"]]:
        """Where z_i is H_ib, and for clipped units then where it is zero."""
        self._single()
        units = torch.eye(self.latent).to(self.weights)
        forms, offsets = units.repeat_interleave(self.bases, dim=0), -self.thresholds.flatten()
        return (torch.cat([forms, units]), torch.cat([offsets, 0 * units[0]])) if self.clipped else (forms, offsets)

    def affine(
        self, region: Bool[Tensor, "... bit"]
    ) -> tuple[Float[Tensor, "... latent latent"], Float[Tensor, "... latent"]]:
        """J = diag(A) + W D and c = h - W (sum_b alpha_b H_ib over active branches), D_ii the slope of Phi_i."""
        self._single()
        on = region.to(self.weights.dtype)
        branches = on[..., : self.latent * self.bases].unflatten(-1, (self.latent, self.bases))
        slope = branches @ self.slopes
        if self.clipped:
            slope = slope - on[..., self.latent * self.bases :] * self.slopes.sum()
        offset = (branches * self.thresholds) @ self.slopes
        return torch.diag(self.A) + self.W * slope[..., None, :], self.h - offset @ self.W.mT

    def scan_weights(self) -> tuple[list[Tensor], tuple[Any, ...]]:
        """A, W, h, slopes, thresholds; whether units are clipped."""
        return [self.A, self.W, self.h, self.slopes, self.thresholds], (self.clipped,)

    def latent_penalty(self) -> Float[Tensor, "*replicas"]:
        """The sum of the squares of 1 - A, W and h, which pulls the map to the identity."""
        return (1.0 - self.A).square().sum(dim=-1) + self.W.square().sum(dim=(-2, -1)) + self.h.square().sum(dim=-1)

    def _per_unit(self, table: Tensor, z: Tensor) -> Tensor:
        if self.replicas is None:
            return table
        return table.reshape(self.replicas, *([1] * (z.ndim - 2)), *table.shape[-2:])
