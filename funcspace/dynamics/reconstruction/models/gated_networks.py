"""Gated recurrent networks, the usual baselines: GRU and LSTM."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from funcspace.arguments import require_counts
from funcspace.dynamics.reconstruction.models.forced_model import ForcedModel, pulled
from funcspace.dynamics.reconstruction.models.history_model import check_history
from funcspace.dynamics.reconstruction.models.initial_weights import uniform

__all__ = ["GRU", "LSTM", "GatedNetwork"]


class GatedNetwork(ForcedModel):
    """x_{t+1} = x_t + R h_t + c with a hidden state h that gates drive by x."""

    gates: int
    memories: int

    def __init__(self, observed: int, hidden: int = 50, *, context: int = 10, seed: int = 0) -> None:
        super().__init__()
        require_counts(observed=observed, hidden=hidden, context=context)
        self.observed, self.hidden, self.context, self._seed = observed, hidden, context, seed
        generator = torch.Generator().manual_seed(seed)
        bound = hidden**-0.5
        self.W = nn.Parameter(uniform((self.gates * hidden, observed), generator, bound))
        self.U = nn.Parameter(uniform((self.gates * hidden, hidden), generator, bound))
        self.b = nn.Parameter(uniform((self.gates * hidden,), generator, bound))
        self.R = nn.Parameter(0.1 * uniform((observed, hidden), generator, bound))
        self.c = nn.Parameter(torch.zeros(observed))
        self.register_buffer("mean", torch.zeros(observed))
        self.register_buffer("scale", torch.ones(observed))

    @property
    def config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {"observed": self.observed, "hidden": self.hidden, "context": self.context, "seed": self._seed}

    @property
    def latent(self) -> int:
        """Numbers that the state of a free run consists of."""
        return self.memories * self.hidden + self.observed

    @abstractmethod
    def cell(
        self, state: Float[Tensor, "batch memory"], x: Float[Tensor, "batch observed"]
    ) -> Float[Tensor, "batch memory"]:
        """The hidden state, h first, after one more instant."""

    def advance(
        self, state: Float[Tensor, "batch memory"], x: Float[Tensor, "batch observed"]
    ) -> tuple[Float[Tensor, "batch memory"], Float[Tensor, "batch observed"]]:
        """The hidden state after x, and the prediction of what follows x."""
        state = self.cell(state, x)
        return state, x + state[:, : self.hidden] @ self.R.mT + self.c

    def begin(self, like: Float[Tensor, "batch observed"]) -> Float[Tensor, "batch memory"]:
        """The hidden state before anything was seen, zero."""
        return like.new_zeros(len(like), self.memories * self.hidden)

    def forward(
        self,
        window: Float[Tensor, "observed instant column"],
        gain: Float[Tensor, " time"],
        inputs: Float[Tensor, "input time column"] | None = None,
        *,
        forced: int | None = None,
    ) -> Float[Tensor, "observed time column"]:
        """Predictions along a window; the first `context` instants are given whatever the gain says."""
        instants = window.movedim(0, -1).unbind(0)
        x = instants[0].nan_to_num(nan=0.0)
        state, found = self.begin(x), []
        for t, (target, g) in enumerate(zip(instants[1:], gain.tolist(), strict=True), start=1):
            state, prediction = self.advance(state, x)
            found.append(prediction)
            x = pulled(prediction, target, 1.0) if t < self.context else pulled(prediction, target, g, forced)
        return torch.stack(found).movedim(-1, 0)

    def follow(self, history: Float[Tensor, "batch instant observed"]) -> Float[Tensor, "batch prediction observed"]:
        """The state after each instant of a history, from instant `context` on."""
        check_history(self, history)
        state, found = self.begin(history[:, 0]), []
        for x in history.unbind(1):
            state, prediction = self.advance(state, x)
            found.append(prediction)
        return torch.stack(found[self.context - 1 :], dim=1)

    @torch.no_grad()
    def generate(
        self, history: Float[Tensor, "batch instant observed"], steps: int
    ) -> Float[Tensor, "batch time observed"]:
        """A free run after the last instant of a history, all of which is taken in."""
        check_history(self, history)
        state = self.begin(history[:, 0])
        for x in history[:, :-1].unbind(1):
            state = self.cell(state, x)
        x, found = history[:, -1], []
        for _ in range(steps):
            state, x = self.advance(state, x)
            found.append(x)
        return torch.stack(found, dim=1)


class LSTM(GatedNetwork):
    r"""A long short-term memory that predicts the change of the state.

    i, f, o = sigmoid(W x_t + U h_{t-1} + b),  g = tanh(W' x_t + U' h_{t-1} + b')
    m_t = f m_{t-1} + i g,  h_t = o tanh(m_t),  x_{t+1} = x_t + R h_t + c

    Hochreiter, Schmidhuber: Long short-term memory, Neural Computation 9, 1735 (1997). Trained as the recurrent maps
    are, with sparse or generalised teacher forcing of x; the hidden state is not forced.

    Parameters
    ----------
    observed : N, number of components.
    hidden : H; there are 4 H (N + H + 1) + N (H + 1) weights.
    context : instants that drive the hidden state, from zero, before it runs freely.
    seed : of the initial weights.

    Examples
    --------
    >>> model = LSTM(observed=3, hidden=16)
    >>> sum(p.numel() for p in model.parameters()), model.context
    (1331, 10)
    """

    gates, memories = 4, 2

    def cell(
        self, state: Float[Tensor, "batch memory"], x: Float[Tensor, "batch observed"]
    ) -> Float[Tensor, "batch memory"]:
        """[h; m] after x."""
        h, m = state.split(self.hidden, dim=1)
        enter, forget, g, out = (x @ self.W.mT + h @ self.U.mT + self.b).split(self.hidden, dim=1)
        m = forget.sigmoid() * m + enter.sigmoid() * g.tanh()
        return torch.cat([out.sigmoid() * m.tanh(), m], dim=1)


class GRU(GatedNetwork):
    r"""A gated recurrent unit that predicts the change of the state.

    r, u = sigmoid(W x_t + U h_{t-1} + b),  n = tanh(W' x_t + r (U' h_{t-1}) + b')
    h_t = (1 - u) n + u h_{t-1},  x_{t+1} = x_t + R h_t + c

    Cho et al.: Learning phrase representations using RNN encoder-decoder, EMNLP 2014. Trained as the recurrent maps
    are, with sparse or generalised teacher forcing of x; the hidden state is not forced.

    Parameters
    ----------
    observed : N, number of components.
    hidden : H; there are 3 H (N + H + 1) + N (H + 1) weights.
    context : instants that drive the hidden state, from zero, before it runs freely.
    seed : of the initial weights.

    Examples
    --------
    >>> model = GRU(observed=3, hidden=16)
    >>> sum(p.numel() for p in model.parameters())
    1011
    """

    gates, memories = 3, 1

    def cell(
        self, state: Float[Tensor, "batch memory"], x: Float[Tensor, "batch observed"]
    ) -> Float[Tensor, "batch memory"]:
        """The hidden state h after x."""
        r, u, n = (x @ self.W.mT + self.b).split(self.hidden, dim=1)
        of_r, of_u, of_n = (state @ self.U.mT).split(self.hidden, dim=1)
        u = (u + of_u).sigmoid()
        candidate = (n + (r + of_r).sigmoid() * of_n).tanh()
        return (1.0 - u) * candidate + u * state
