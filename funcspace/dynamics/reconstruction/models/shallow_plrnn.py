"""Shallow piecewise-linear recurrent networks, plain and with clipped units."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from funcspace.arguments import require_counts
from funcspace.dynamics.reconstruction.models.initial_weights import contracting, uniform
from funcspace.dynamics.reconstruction.models.observation import ObservationKind
from funcspace.dynamics.reconstruction.models.piecewise_linear_rnn import PiecewiseLinearRNN
from funcspace.dynamics.reconstruction.models.replica_products import product

__all__ = ["ClippedShallowPLRNN", "ShallowMap", "ShallowPLRNN"]


class ShallowMap(PiecewiseLinearRNN):
    """A latent map of M units with one hidden layer of H ReLUs, wherever its weights A, W1, W2, h1, h2 come from."""

    family = "shallow"
    clipped: bool
    hidden: int
    A: Tensor
    W1: Tensor
    W2: Tensor
    h1: Tensor
    h2: Tensor

    def step(self, z: Float[Tensor, "... latent"]) -> Float[Tensor, "... latent"]:
        """The latent map."""
        u = product(z, self.W2)
        psi = (u + self._row(self.h2, z)).relu()
        if self.clipped:
            psi = psi - u.relu()
        return self._row(self.A, z) * z + product(psi, self.W1) + self._row(self.h1, z)

    def region(self, z: Float[Tensor, "... latent"]) -> Bool[Tensor, "... bit"]:
        """Whether W2 z + h2 is positive, and for clipped units then whether W2 z is."""
        u = product(z, self.W2)
        shifted = u + self._row(self.h2, z) > 0
        return torch.cat([shifted, u > 0], dim=-1) if self.clipped else shifted

    def kinks(self) -> tuple[Float[Tensor, "bit latent"], Float[Tensor, " bit"]]:
        """Where W2 z + h2 is zero, and for clipped units then where W2 z is."""
        self._single()
        if self.clipped:
            return torch.cat([self.W2, self.W2]), torch.cat([self.h2, 0 * self.h2])
        return self.W2, self.h2

    def affine(
        self, region: Bool[Tensor, "... bit"]
    ) -> tuple[Float[Tensor, "... latent latent"], Float[Tensor, "... latent"]]:
        """J = diag(A) + W1 (D - D') W2 and c = h1 + W1 D h2, with D' = 0 unless units are clipped."""
        self._single()
        on = region.to(self.W1.dtype)
        shifted = on[..., : self.hidden]
        slopes = shifted - on[..., self.hidden :] if self.clipped else shifted
        jacobian = torch.diag(self.A) + (self.W1 * slopes[..., None, :]) @ self.W2
        return jacobian, self.h1 + (shifted * self.h2) @ self.W1.mT

    def scan_weights(self) -> tuple[list[Tensor], tuple[Any, ...]]:
        """A, W1, W2, h1, h2; whether units are clipped."""
        return [self.A, self.W1, self.W2, self.h1, self.h2], (self.clipped,)

    def latent_penalty(self) -> Float[Tensor, "*replicas"]:
        """The sum of the squares of 1 - A, W1, W2, h1 and h2, which pulls the map to the identity."""
        matrices = self.W1.square().sum(dim=(-2, -1)) + self.W2.square().sum(dim=(-2, -1))
        return (1.0 - self.A).square().sum(dim=-1) + matrices + sum(h.square().sum(dim=-1) for h in (self.h1, self.h2))

    def jacobian_bound(self) -> Float[Tensor, "*replicas"]:
        """The bound max|A| + |W1| |W2|, which no Jacobian exceeds in the spectral norm."""
        norms = torch.linalg.matrix_norm(self.W1, 2) * torch.linalg.matrix_norm(self.W2, 2)
        return self.A.abs().amax(dim=-1) + norms


class _Shallow(ShallowMap):
    """A shallow map with weights of its own."""

    def __init__(
        self,
        observed: int,
        latent: int | None = None,
        hidden: int = 50,
        *,
        inputs: int = 0,
        observation: ObservationKind = "identity",
        replicas: int | None = None,
        seed: int = 0,
    ) -> None:
        require_counts(hidden=hidden)
        generator = torch.Generator().manual_seed(seed)
        latent = observed if latent is None else latent
        super().__init__(
            observed, latent, inputs=inputs, observation=observation, replicas=replicas, generator=generator
        )
        self.hidden, self._seed = hidden, seed
        lead = self._lead
        self.A = nn.Parameter(contracting(lead, latent, generator).diagonal(dim1=-2, dim2=-1).contiguous())
        self.W1 = nn.Parameter(uniform((*lead, latent, hidden), generator))
        self.W2 = nn.Parameter(uniform((*lead, hidden, latent), generator))
        self.h1 = nn.Parameter(torch.zeros(*lead, latent))
        self.h2 = nn.Parameter(uniform((*lead, hidden), generator) if self.clipped else torch.zeros(*lead, hidden))

    @property
    def config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            "observed": self.observed, "latent": self.latent, "hidden": self.hidden, "inputs": self.inputs,
            "observation": self.observation.kind, "replicas": self.replicas, "seed": self._seed,
        }  # fmt: skip


class ShallowPLRNN(_Shallow):
    r"""The shallow PLRNN: a latent map with one hidden layer.

    z_t = A z_{t-1} + W1 relu(W2 z_{t-1} + h2) + h1 + C s_t

    A is diagonal (a vector), W1 is M x H. Hess, Monfared, Brenner, Durstewitz: Generalized teacher forcing for learning
    chaotic dynamics, ICML 2023.

    Parameters
    ----------
    observed : N, number of observed components.
    latent : M, number of units; N by default.
    hidden : H.
    inputs, observation, replicas, seed : as for `ALRNN`.

    Examples
    --------
    >>> model = ShallowPLRNN(observed=3, hidden=20)
    >>> model.step(torch.zeros(5, 3)).shape
    torch.Size([5, 3])
    """

    clipped = False


class ClippedShallowPLRNN(_Shallow):
    r"""The clipped shallow PLRNN, whose orbits are bounded where max|A| < 1.

    z_t = A z_{t-1} + W1 [relu(W2 z_{t-1} + h2) - relu(W2 z_{t-1})] + h1 + C s_t

    Each hidden unit lies between 0 and h2, so that |z| stays within |W1 h2| + |h1| over 1 - max|A| in the end. This is
    the model of the published tables. Hess, Monfared, Brenner, Durstewitz, ICML 2023.

    Parameters
    ----------
    observed, latent, hidden, inputs, observation, replicas, seed : as for `ShallowPLRNN`.

    Examples
    --------
    >>> model = ClippedShallowPLRNN(observed=5, hidden=250, observation="affine")
    >>> sum(p.numel() for p in model.parameters())
    2785
    """

    clipped = True

    def orbit_bound(self) -> Float[Tensor, "*replicas latent"]:
        """Where every orbit without input ends up: bounds on |z_i|; infinite where |A_i| >= 1."""
        reach = (self.W1.abs() @ self.h2.abs()[..., None])[..., 0] + self.h1.abs()
        return torch.where(self.A.abs() < 1, reach / (1.0 - self.A.abs()), torch.inf)
