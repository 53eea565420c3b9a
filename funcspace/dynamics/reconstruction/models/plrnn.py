"""The piecewise-linear recurrent network."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from funcspace.dynamics.reconstruction.models.initial_weights import contracting
from funcspace.dynamics.reconstruction.models.observation import ObservationKind
from funcspace.dynamics.reconstruction.models.piecewise_linear_rnn import PiecewiseLinearRNN
from funcspace.dynamics.reconstruction.models.replica_products import product

__all__ = ["PLRNN"]


class PLRNN(PiecewiseLinearRNN):
    r"""The piecewise-linear RNN, plain or mean-centred.

    z_t = A z_{t-1} + W relu(z_{t-1}) + h + C s_t;  mean-centred: relu(z - mean z)

    A is diagonal (a vector), W has a zero diagonal. Durstewitz: A state space approach for piecewise-linear recurrent
    neural networks, PLoS Comput. Biol. 13, 2017; mean-centring: Brenner et al., ICML 2022.

    Parameters
    ----------
    observed : N, number of observed components.
    latent : M, number of units.
    centred : rectify deviations from the mean over the units.
    inputs, observation, replicas, seed : as for `ALRNN`.

    Examples
    --------
    >>> model = PLRNN(observed=3, latent=10)
    >>> model.jacobian(torch.zeros(10)).shape
    torch.Size([10, 10])
    """

    family = "al_rnn"
    _off_diagonal: Tensor

    def __init__(
        self,
        observed: int,
        latent: int = 30,
        *,
        centred: bool = False,
        inputs: int = 0,
        observation: ObservationKind = "identity",
        replicas: int | None = None,
        seed: int = 0,
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        super().__init__(
            observed, latent, inputs=inputs, observation=observation, replicas=replicas, generator=generator
        )
        self.centred, self._seed = centred, seed
        whole = contracting(self._lead, latent, generator)
        self.A = nn.Parameter(whole.diagonal(dim1=-2, dim2=-1).contiguous())
        self.weights = nn.Parameter(whole * (1.0 - torch.eye(latent)))
        self.h = nn.Parameter(torch.zeros(*self._lead, latent))
        self.register_buffer("_off_diagonal", 1.0 - torch.eye(latent), persistent=False)

    @property
    def config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            "observed": self.observed, "latent": self.latent, "centred": self.centred, "inputs": self.inputs,
            "observation": self.observation.kind, "replicas": self.replicas, "seed": self._seed,
        }  # fmt: skip

    @property
    def W(self) -> Float[Tensor, "*replicas latent latent"]:
        """The coupling matrix, its diagonal zero."""
        return self.weights * self._off_diagonal

    def step(self, z: Float[Tensor, "... latent"]) -> Float[Tensor, "... latent"]:
        """A z + W relu(z) + h."""
        phi = ((z - z.mean(dim=-1, keepdim=True)) if self.centred else z).relu()
        return self._row(self.A, z) * z + product(phi, self.W) + self._row(self.h, z)

    def region(self, z: Float[Tensor, "... latent"]) -> Bool[Tensor, "... bit"]:
        """Whether each unit is active."""
        return (z - z.mean(dim=-1, keepdim=True) if self.centred else z) > 0

    def kinks(self) -> tuple[Float[Tensor, "bit latent"], Float[Tensor, " bit"]]:
        """Where a unit, less the mean of all where centred, is zero."""
        self._single()
        units = torch.eye(self.latent).to(self.weights)
        return units - 1.0 / self.latent if self.centred else units, units.new_zeros(self.latent)

    def affine(
        self, region: Bool[Tensor, "... bit"]
    ) -> tuple[Float[Tensor, "... latent latent"], Float[Tensor, "... latent"]]:
        """J = diag(A) + W D (1 - mean) and c = h, D the diagonal of active units."""
        self._single()
        coupling = self.W * region[..., None, :].to(self.weights.dtype)
        if self.centred:
            coupling = coupling - coupling.mean(dim=-1, keepdim=True)
        return torch.diag(self.A) + coupling, self.h.expand(*region.shape[:-1], self.latent)

    def scan_weights(self) -> tuple[list[Tensor], tuple[Any, ...]]:
        """A, W, h; all units are ReLUs."""
        return [self.A, self.W, self.h], (self.latent, self.centred)

    def latent_penalty(self) -> Float[Tensor, "*replicas"]:
        """The sum of the squares of 1 - A, W and h, which pulls the map to the identity."""
        return (1.0 - self.A).square().sum(dim=-1) + self.W.square().sum(dim=(-2, -1)) + self.h.square().sum(dim=-1)
