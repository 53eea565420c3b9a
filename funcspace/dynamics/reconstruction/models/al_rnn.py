"""Almost-linear recurrent networks."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from funcspace.arguments import is_whole
from funcspace.dynamics.reconstruction.models.initial_weights import contracting, gaussian
from funcspace.dynamics.reconstruction.models.observation import ObservationKind
from funcspace.dynamics.reconstruction.models.piecewise_linear_rnn import PiecewiseLinearRNN
from funcspace.dynamics.reconstruction.models.replica_products import product
from funcspace.dynamics.reconstruction.rare_regions import MOST_UNITS, sign_patterns
from funcspace.errors import InputError

__all__ = ["ALRNN"]


class ALRNN(PiecewiseLinearRNN):
    r"""The almost-linear RNN: all units are linear but the last P.

    z_t = A z_{t-1} + W Phi(z_{t-1}) + h + C s_t,  Phi(z) = [z_1 .. z_{M-P}, relu(z_{M-P+1}) .. relu(z_M)]

    A is diagonal (a vector), W full. There are 2^P linear regions; the sign bits of the last P units are the symbol of
    a state. Brenner, Hemmer, Monfared, Durstewitz: Almost-linear RNNs yield highly interpretable symbolic codes in
    dynamical systems reconstruction, NeurIPS 2024.

    Ours starts z from [x; L x] without the unused rows of the reference's map, and P = 0 is a linear map (there it
    makes every unit a ReLU).

    Parameters
    ----------
    observed : N, number of observed components.
    latent : M, number of units; the first N are read out ("identity").
    relu : P.
    inputs : K, number of external inputs s.
    observation : see `Observation`.
    replicas : train this many models at once; None for a single one.
    seed : of the initial weights.

    Examples
    --------
    >>> import torch
    >>> model = ALRNN(observed=3, latent=20, relu=2)
    >>> sum(p.numel() for p in model.parameters())
    491
    >>> model.generate(torch.zeros(1, 3), 100).shape
    torch.Size([1, 100, 3])
    """

    family = "al_rnn"

    def __init__(
        self,
        observed: int,
        latent: int = 20,
        relu: int = 2,
        *,
        inputs: int = 0,
        observation: ObservationKind = "identity",
        replicas: int | None = None,
        seed: int = 0,
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        super().__init__(
            observed, latent, inputs=inputs, observation=observation, replicas=replicas, generator=generator
        )
        if not (is_whole(relu) and 0 <= relu <= latent):
            raise InputError(f"relu must be a whole number between 0 and latent={latent}, got {relu!r}")
        self.relu, self._seed = relu, seed
        lead = self._lead
        self.A = nn.Parameter(contracting(lead, latent, generator).diagonal(dim1=-2, dim2=-1).contiguous())
        self.W = nn.Parameter(gaussian((*lead, latent, latent), generator, 0.01))
        self.h = nn.Parameter(torch.zeros(*lead, latent))

    @property
    def config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            "observed": self.observed, "latent": self.latent, "relu": self.relu, "inputs": self.inputs,
            "observation": self.observation.kind, "replicas": self.replicas, "seed": self._seed,
        }  # fmt: skip

    def step(self, z: Float[Tensor, "... latent"]) -> Float[Tensor, "... latent"]:
        """A z + W Phi(z) + h."""
        linear = self.latent - self.relu
        phi = torch.cat([z[..., :linear], z[..., linear:].relu()], dim=-1)
        return self._row(self.A, z) * z + product(phi, self.W) + self._row(self.h, z)

    def region(self, z: Float[Tensor, "... latent"]) -> Bool[Tensor, "... bit"]:
        """Whether each of the last P units is positive."""
        return z[..., self.latent - self.relu :] > 0

    def kinks(self) -> tuple[Float[Tensor, "bit latent"], Float[Tensor, " bit"]]:
        """Where one of the last P units is zero."""
        self._single()
        units = torch.eye(self.latent).to(self.W)[self.latent - self.relu :]
        return units, units.new_zeros(self.relu)

    def affine(
        self, region: Bool[Tensor, "... bit"]
    ) -> tuple[Float[Tensor, "... latent latent"], Float[Tensor, "... latent"]]:
        """J = diag(A) + W D and c = h, D the diagonal of active units."""
        self._single()
        active = torch.cat([region.new_ones(*region.shape[:-1], self.latent - self.relu), region], dim=-1)
        jacobian = torch.diag(self.A) + self.W * active[..., None, :].to(self.W.dtype)
        return jacobian, self.h.expand(*region.shape[:-1], self.latent)

    def scan_weights(self) -> tuple[list[Tensor], tuple[Any, ...]]:
        """A, W, h; P."""
        return [self.A, self.W, self.h], (self.relu, False)

    @property
    def bending(self) -> slice:
        """The last P units."""
        if not 1 <= self.relu <= MOST_UNITS:
            raise InputError(
                f"region_weight and keep_topology need 1 to {MOST_UNITS} ReLU units; the model has {self.relu}"
            )
        return slice(self.latent - self.relu, self.latent)

    def region_maps(
        self,
    ) -> tuple[Float[Tensor, "*replicas pattern latent latent"], Float[Tensor, "*replicas pattern latent"]]:
        """diag(A) + W D and h for all 2^P regions, in the order of `sign_patterns`."""
        bent = (sign_patterns(self.relu) > 0).to(self.W)
        active = torch.cat([bent.new_ones(len(bent), self.latent - self.relu), bent], dim=-1)
        jacobians = torch.diag_embed(self.A)[..., None, :, :] + self.W[..., None, :, :] * active[:, None, :]
        return jacobians, self.h[..., None, :].expand(jacobians.shape[:-1])

    def latent_penalty(self) -> Float[Tensor, "*replicas"]:
        """The norm of relu(A + diag W - 0.05): how far the units' own memory exceeds a twentieth."""
        memory = self.A + self.W.diagonal(dim1=-2, dim2=-1)
        return torch.linalg.vector_norm((memory - 0.05).relu(), dim=-1)
