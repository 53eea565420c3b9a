"""Neural ordinary differential equations."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from funcspace.arguments import require_counts
from funcspace.dynamics.reconstruction.models.forced_model import ForcedModel, pulled
from funcspace.dynamics.reconstruction.models.history_model import OneStepMap
from funcspace.dynamics.reconstruction.models.initial_weights import uniform
from funcspace.dynamics.reconstruction.models.ode_flow import tsit5_flow, tsit5_step
from funcspace.errors import InputError

__all__ = ["NeuralODE"]

Heuristic = Literal["error", "stiffness"]


class NeuralODE(OneStepMap, ForcedModel):
    r"""A vector field that is a network, integrated from one instant of the data to the next.

    dx/dt = f(x) = W_L tanh(... tanh(W_1 x + b_1) ...) + b_L,   x_{t+1} = the flow of f over one step of the data

    by Tsit5 in `substeps` equal steps, differentiated as it is. Time is counted in steps of the data. Chen, Rubanova,
    Bettencourt, Duvenaud: Neural ordinary differential equations, NeurIPS 2018.

    A `latent_weight` of the algorithm weighs a heuristic of the solver, the mean over the last predictions of

    ===========  ==========================================================================
    "error"      sum_j |E_j| |h_j|, E_j the embedded estimate of the local error of step j
    "stiffness"  sum_j S_j, S_j the estimate of the dominant eigenvalue at step j
    ===========  ==========================================================================

    which costs nothing more and keeps the field easy to integrate. Pal, Ma, Shah, Rackauckas: Opening the blackbox:
    accelerating neural differential equations by regularizing internal solver heuristics, ICML 2021. There steps are
    adaptive; here their number is fixed, so that the model is one smooth map.

    Parameters
    ----------
    observed : N, number of components.
    hidden : widths of the hidden layers.
    substeps : steps of the solver per step of the data.
    heuristic : see above.
    seed : of the initial weights.

    Examples
    --------
    >>> model = NeuralODE(observed=3, hidden=(32, 32))
    >>> sum(p.numel() for p in model.parameters())
    1283
    >>> model.velocity(torch.zeros(5, 3)).shape
    torch.Size([5, 3])
    """

    def __init__(
        self,
        observed: int,
        hidden: tuple[int, ...] | list[int] = (50, 50),
        *,
        substeps: int = 1,
        heuristic: Heuristic = "error",
        seed: int = 0,
    ) -> None:
        super().__init__()
        require_counts(observed=observed, substeps=substeps)
        if not isinstance(hidden, tuple | list):
            raise InputError(f"hidden must be the widths of the hidden layers, such as (50, 50); got {hidden!r}")
        for width in hidden:
            require_counts(hidden=width)
        if heuristic not in get_args(Heuristic):
            raise InputError(f'heuristic must be "error" or "stiffness", got {heuristic!r}')
        self.observed, self.hidden, self.substeps = observed, tuple(hidden), substeps
        self.heuristic, self._seed = heuristic, seed
        generator = torch.Generator().manual_seed(seed)
        widths = [observed, *hidden, observed]
        self.weights = nn.ParameterList(uniform((n, m), generator, m**-0.5) for m, n in pairwise(widths))
        self.biases = nn.ParameterList(torch.zeros(n) for n in widths[1:])
        with torch.no_grad():  # a slow field to begin with, as data are sampled finely
            self.weights[-1].mul_(0.1)
        self.register_buffer("mean", torch.zeros(observed))
        self.register_buffer("scale", torch.ones(observed))
        self._difficulty: Tensor | None = None

    @property
    def config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            "observed": self.observed, "hidden": list(self.hidden), "substeps": self.substeps,
            "heuristic": self.heuristic, "seed": self._seed,
        }  # fmt: skip

    def velocity(self, x: Float[Tensor, "*batch observed"]) -> Float[Tensor, "*batch observed"]:
        """The vector field f, per step of the data."""
        *inner, last = zip(self.weights, self.biases, strict=True)
        for weight, bias in inner:
            x = torch.tanh(x @ weight.mT + bias)
        return x @ last[0].mT + last[1]

    def step(self, x: Float[Tensor, "*batch observed"]) -> Float[Tensor, "*batch observed"]:
        """The flow over one step of the data."""
        return tsit5_flow(self.velocity, x, 1.0, self.substeps)

    def forward(
        self,
        window: Float[Tensor, "observed instant column"],
        gain: Float[Tensor, " time"],
        inputs: Float[Tensor, "input time column"] | None = None,
        *,
        forced: int | None = None,
    ) -> Float[Tensor, "observed time column"]:
        """Observations 1 .. T predicted from observation 0, forced towards the others as the gain says."""
        instants = window.movedim(0, -1).unbind(0)
        x, h = instants[0].nan_to_num(nan=0.0), 1.0 / self.substeps
        k, found, difficulties = self.velocity(x), [], []
        for target, g in zip(instants[1:], gain.tolist(), strict=True):
            for _ in range(self.substeps):
                x, error, stiffness, k = tsit5_step(self.velocity, x, h, k)
                hard = h * torch.linalg.vector_norm(error, dim=-1) if self.heuristic == "error" else stiffness
                difficulties.append(hard)
            found.append(x)
            if g:
                x = pulled(x, target, g, forced)
                k = self.velocity(x)
        self._difficulty = torch.stack(difficulties).mean() * self.substeps
        return torch.stack(found).movedim(-1, 0)

    def latent_penalty(self) -> Float[Tensor, ""]:
        """The heuristic per step of the data, the mean over the predictions of the last call."""
        if self._difficulty is None:
            raise InputError("the heuristic is that of the last predictions; call the model on a window first")
        return self._difficulty

    def __getstate__(self) -> dict[str, Any]:
        # copies do without the graph of the last predictions
        return self.__dict__ | {"_difficulty": None}
