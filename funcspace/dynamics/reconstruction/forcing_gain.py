"""How strongly the data pull on the states at each step of a window, as training goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from funcspace.dynamics.reconstruction.forcing_strength import Estimator, forcing_strength
from funcspace.dynamics.reconstruction.models.forced_model import ForcedModel
from funcspace.dynamics.reconstruction.models.piecewise_linear_rnn import PiecewiseLinearRNN
from funcspace.errors import InputError

__all__ = ["AdaptiveGain", "ConstantGain", "Gain", "PeriodicGain"]


class Gain(Protocol):
    """The gains of one training run; what changes in it is its state."""

    def at(self, model: ForcedModel, window: Tensor, progress: float) -> Float[Tensor, "*replicas time"]:
        """The gains for a window (*replicas, observed, instant, column) that is about to be learned from."""
        ...

    def state(self) -> dict[str, Tensor]:
        """What a resumed run needs."""
        ...

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state."""
        ...


class PeriodicGain:
    """One at every interval-th step, zero elsewhere."""

    def __init__(self, interval: int, replicas: int | None) -> None:
        self.interval, self.replicas = interval, replicas

    def at(self, model: ForcedModel, window: Tensor, progress: float) -> Float[Tensor, "*replicas time"]:
        """The same gains for every window."""
        steps = window.shape[-2] - 1
        gain = window.new_zeros(steps)
        gain[self.interval - 1 :: self.interval] = 1.0
        return gain if self.replicas is None else gain.expand(self.replicas, -1)

    def state(self) -> dict[str, Tensor]:
        """Nothing changes."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Nothing to restore."""


class ConstantGain:
    """alpha at every step; it may go from a first to a last value geometrically over the training, per replica."""

    def __init__(self, alpha: float | Sequence[float], final: float | None, replicas: int | None) -> None:
        values = torch.as_tensor(alpha, dtype=torch.float64)
        if values.ndim and (replicas is None or len(values) != replicas):
            raise InputError(
                f"alpha holds {len(values)} values; give one number, or one for each replica of the model "
                f"(replicas={replicas})"
            )
        self.first, self.final, self.replicas = values, final, replicas

    def at(self, model: ForcedModel, window: Tensor, progress: float) -> Float[Tensor, "*replicas time"]:
        """The strength at this point of the training."""
        alpha = self.first
        if self.final is not None:
            alpha = alpha * (self.final / alpha) ** progress
        steps = window.shape[-2] - 1
        alpha = alpha.to(window)
        if self.replicas is None:
            return alpha.expand(steps)
        return (alpha if alpha.ndim else alpha.expand(self.replicas))[:, None].expand(-1, steps)

    def state(self) -> dict[str, Tensor]:
        """Nothing changes but with the progress."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Nothing to restore."""


class AdaptiveGain:
    """alpha estimated from the model's Jacobians every few steps: up at once, down slowly from one."""

    def __init__(self, estimator: Estimator, every: int, keep: float, replicas: int | None) -> None:
        self.estimator: Estimator = estimator
        self.every, self.keep = every, keep
        self.alpha = torch.ones(() if replicas is None else (replicas,))
        self.calls = torch.zeros((), dtype=torch.int64)

    def at(self, model: ForcedModel, window: Tensor, progress: float) -> Float[Tensor, "*replicas time"]:
        """The strength after this window has been looked at."""
        if not isinstance(model, PiecewiseLinearRNN):
            raise InputError(f"an adaptive alpha needs the Jacobians of a PLRNN; {type(model).__name__} has none")
        if int(self.calls) % self.every == 0:
            states = model.start(window.movedim(-3, -1).nan_to_num(nan=0.0)).movedim(-2, -3)
            found = forcing_strength(model, states, self.estimator).to(self.alpha)
            slow = self.keep * self.alpha + (1.0 - self.keep) * found
            self.alpha = torch.where(found > self.alpha, found, slow)
        self.calls = self.calls + 1
        return self.alpha.to(window)[..., None].expand(*self.alpha.shape, window.shape[-2] - 1)

    def state(self) -> dict[str, Tensor]:
        """The strength and the number of windows seen."""
        return {"alpha": self.alpha, "calls": self.calls}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state."""
        self.alpha, self.calls = state["alpha"], state["calls"]
