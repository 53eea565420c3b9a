"""A mixture of almost-linear recurrent networks that a context chooses from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from funcspace.arguments import is_whole, require_counts
from funcspace.dynamics.reconstruction.context_scan import context_scan
from funcspace.dynamics.reconstruction.models.initial_weights import contracting, gaussian, glorot, uniform
from funcspace.errors import InputError

__all__ = ["Context", "DynaMix"]

STRETCH = 200  # steps of a free run that are made at a time


@dataclass(frozen=True, eq=False)
class Context:
    """Contexts as the gate sees them.

    Attributes
    ----------
    frames : all instants but the last.
    features : what the convolution makes of each pair of neighbours.
    """

    frames: Float[Tensor, "batch frame observed"]
    features: Float[Tensor, "batch frame observed"]


class DynaMix(nn.Module):
    r"""DynaMix: experts with one latent state, weighted at each step by where it stands in a context.

    z_{t+1} = sum_j w_j(z_t, c) [A_j z_t + W_j Phi(z_t) + h_j],   Phi as in `ALRNN`, x_t = the first N units of z_t

    a = softmax(-|q - c_i|_1 / |tau_1|),   q = D z_t + sigma * epsilon,   epsilon normal
    w = softmax(-V relu(U [sum_i a_i (K * c)_i; z_t]) / |tau_2|)

    c_1 .. c_{T-1} are the instants of the context but the last, K * c its convolution with a kernel of two instants.
    The query q passes no gradient to z. One set of weights serves many systems, also those it was not trained on: the
    context tells it which dynamics to go on with. Hemmer, Durstewitz: True zero-shot inference of dynamical systems
    preserving long-term statistics, NeurIPS 2025.

    Train it with `ContextForcing` on trajectories of many systems; `fit` returns a `ContextForecaster`. Forecasts are
    deterministic, without epsilon, unless a generator is given; in training, epsilon is drawn.

    Parameters
    ----------
    observed : N, number of components; contexts of fewer are filled up with delayed ones by the forecaster.
    latent : M, number of units.
    experts : J.
    relu : P, units of each expert that are not linear.
    seed : of the initial weights.

    Examples
    --------
    >>> model = DynaMix()
    >>> sum(p.numel() for p in model.parameters())
    10227
    >>> model.generate(torch.randn(2, 50, 3, generator=torch.Generator().manual_seed(0)), 7).shape
    torch.Size([2, 7, 3])
    """

    def __init__(self, observed: int = 3, latent: int = 30, *, experts: int = 10, relu: int = 2, seed: int = 0) -> None:
        super().__init__()
        require_counts(observed=observed, latent=latent, experts=experts)
        if latent < observed:
            raise InputError(
                f"the latent state must have at least as many units as there are observations; got latent={latent}, "
                f"observed={observed}"
            )
        if not (is_whole(relu) and 0 <= relu <= latent):
            raise InputError(f"relu must be an integer between 0 and latent={latent}, got {relu!r}")
        self.observed, self.latent, self.experts, self.relu, self._seed = observed, latent, experts, relu, seed
        generator = torch.Generator().manual_seed(seed)
        diagonal = contracting((experts,), latent, generator).diagonal(dim1=-2, dim2=-1)
        self.A = nn.Parameter(diagonal.contiguous())
        self.W = nn.Parameter(gaussian((experts, latent, latent), generator, 0.01))
        self.h = nn.Parameter(torch.zeros(experts, latent))
        if latent > observed:
            self.lift = nn.Parameter(glorot((latent - observed, observed), generator))
        width = (2 * observed) ** -0.5
        self.K = nn.Parameter(uniform((observed, observed, 2), generator, width))
        self.K_bias = nn.Parameter(uniform((observed,), generator, width))
        self.D = nn.Parameter(torch.eye(observed, latent))
        self.sigma = nn.Parameter(torch.full((observed,), 0.05))
        self.U = nn.Parameter(uniform((experts, observed + latent), generator))
        self.V = nn.Parameter(uniform((experts, experts), generator))
        self.tau = nn.Parameter(torch.full((2,), 0.1))

    @property
    def config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            "observed": self.observed, "latent": self.latent, "experts": self.experts, "relu": self.relu,
            "seed": self._seed,
        }  # fmt: skip

    def encode(self, context: Float[Tensor, "batch instant observed"]) -> Context:
        """What the gate needs of standardised contexts."""
        if context.ndim != 3 or context.shape[1] < 2 or context.shape[2] != self.observed:
            raise InputError(
                f"a context must have shape (batch, at least 2 instants, {self.observed} components); got "
                f"{tuple(context.shape)}"
            )
        pairs = torch.cat([context[:, :-1], context[:, 1:]], dim=-1)
        kernel = self.K.movedim(-1, 1).reshape(self.observed, -1)
        return Context(context[:, :-1], pairs @ kernel.mT + self.K_bias)

    def start(self, x: Float[Tensor, "batch observed"]) -> Float[Tensor, "batch latent"]:
        """The latent state [x; L x]."""
        return torch.cat([x, x @ self.lift.mT], dim=-1) if self.latent > self.observed else x

    def weights(
        self,
        z: Float[Tensor, "batch latent"],
        context: Context,
        epsilon: Float[Tensor, "batch observed"] | None = None,
    ) -> Float[Tensor, "batch expert"]:
        """The weights of the experts in states."""
        query = z.detach() @ self.D.mT
        if epsilon is not None:
            query = query + self.sigma * epsilon
        distance = (query[:, None, :] - context.frames).abs().sum(dim=-1)
        attention = torch.softmax(-distance / self.tau[0].abs(), dim=-1)
        seen = (attention[:, None, :] @ context.features)[:, 0]
        logits = (torch.cat([seen, z], dim=-1) @ self.U.mT).relu() @ self.V.mT
        return torch.softmax(-logits / self.tau[1].abs(), dim=-1)

    def step(
        self,
        z: Float[Tensor, "batch latent"],
        context: Context,
        epsilon: Float[Tensor, "batch observed"] | None = None,
    ) -> Float[Tensor, "batch latent"]:
        """The next latent states."""
        weights = self.weights(z, context, epsilon)
        linear = self.latent - self.relu
        phi = torch.cat([z[:, :linear], z[:, linear:].relu()], dim=-1)
        each = (phi @ self.W.flatten(0, 1).mT).unflatten(1, (self.experts, self.latent))
        return (weights @ self.A) * z + (weights[:, None, :] @ each)[:, 0] + weights @ self.h

    def forward(
        self,
        context: Float[Tensor, "batch instant observed"],
        targets: Float[Tensor, "batch time observed"],
        interval: int,
        *,
        compiled: bool | None = None,
    ) -> Float[Tensor, "batch time observed"]:
        """Observations after a context; at every interval-th step the targets then take the place of the first units.

        epsilon is drawn from torch's global generator.

        Parameters
        ----------
        compiled : whether to take the compiled loop, whose gradients do not reach context and targets but by the
            features and the start; by default on the CPU.
        """
        epsilon = torch.randn_like(targets)
        states = self.scan(self.start(context[:, -1]), self.encode(context), targets, epsilon, interval, compiled)
        return states[..., : self.observed]

    def scan(
        self,
        start: Float[Tensor, "batch latent"],
        context: Context,
        targets: Float[Tensor, "batch time observed"],
        epsilon: Float[Tensor, "batch time observed"],
        interval: int,
        compiled: bool | None = None,
    ) -> Float[Tensor, "batch time latent"]:
        """The states after a start, before forcing; see `forward`."""
        if compiled is None:
            compiled = start.device.type == "cpu"
        if compiled:
            weights = (self.A, self.W, self.h, self.D, self.sigma, self.U, self.V, self.tau.abs())
            return context_scan(start, context.frames, context.features, targets, epsilon, interval, self.relu, weights)
        z, found = start, []
        for t in range(targets.shape[1]):
            z = self.step(z, context, epsilon[:, t])
            found.append(z)
            if (t + 1) % interval == 0:
                z = torch.cat([targets[:, t], z[:, self.observed :]], dim=-1)
        return torch.stack(found, dim=1)

    @torch.no_grad()
    def generate(
        self,
        context: Float[Tensor, "batch instant observed"],
        steps: int,
        *,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "batch time observed"]:
        """A free run after standardised contexts.

        Parameters
        ----------
        generator : draws epsilon; without one there is none.
        """
        encoded = self.encode(context)
        z = self.start(context[:, -1])
        found = z.new_empty(len(z), steps, self.observed)
        for first in range(0, steps, STRETCH):
            count = min(STRETCH, steps - first)
            epsilon = z.new_zeros(len(z), count, self.observed)
            if generator is not None:
                epsilon = torch.randn(epsilon.shape, generator=generator, dtype=z.dtype).to(z.device)
            states = self.scan(z, encoded, torch.zeros_like(epsilon), epsilon, STRETCH + 1)
            z = states[:, -1]
            found[:, first : first + count] = states[..., : self.observed]
        return found

    def noise_penalty(self) -> Float[Tensor, ""]:
        """The mean of exp(-|sigma| / 0.01), which keeps the noise of the query away from zero."""
        return torch.exp(-self.sigma.abs() / 0.01).mean()

    def extra_repr(self) -> str:
        """Constructor arguments and the number of weights."""
        shown = ", ".join(f"{k}={v!r}" for k, v in self.config.items() if k != "seed")
        return f"{shown}, {sum(p.numel() for p in self.parameters()):,} parameters"
