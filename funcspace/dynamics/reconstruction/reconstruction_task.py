"""Learning from random windows of trajectories: the loss, its clipping, and what comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from funcspace.dynamics.reconstruction.forcing_gain import Gain
from funcspace.dynamics.reconstruction.free_run_scores import FREE_RUN_SCORES
from funcspace.dynamics.reconstruction.models.forced_model import ForcedModel
from funcspace.dynamics.reconstruction.models.piecewise_linear_rnn import PiecewiseLinearRNN
from funcspace.dynamics.reconstruction.rare_regions import RareRegions
from funcspace.dynamics.reconstruction.windows import Recording, Windows
from funcspace.errors import InputError

if TYPE_CHECKING:
    from funcspace.dynamics.reconstruction.reconstruction import Reconstruction

__all__ = ["ReconstructionTask", "WindowLoss", "mean_square"]


@dataclass(frozen=True)
class WindowLoss:
    """What is added to the squared error of a window, and how windows are disturbed.

    Attributes
    ----------
    noise, noisy_targets : standard deviation of the noise on windows, and whether targets carry it too.
    latent_weight, observation_weight : weights of the models' penalties.
    attractor_weight, attractor_share : weight and share of units of the manifold-attractor regularisation.
    region_weight, rare : weight of the penalty on rare regions, and the share of states below which one is rare.
    forced : how many first units the data pull on; None for all that they can.
    """

    noise: float
    noisy_targets: bool
    latent_weight: float
    observation_weight: float
    attractor_weight: float
    attractor_share: float
    region_weight: float = 0.0
    rare: float = 0.05
    forced: int | None = None


class ReconstructionTask:
    """One training problem of a recurrent map; see `Task` of `funcspace.training`.

    Parameters
    ----------
    model, recordings, windows, gain, terms : what is trained, on what, and how.
    samples : windows that count as an epoch.
    anneal : steps over which a gain that changes reaches its last value.
    validation : recordings to score free runs against.
    scores : further scores of a validation by name, functions of one trained model.
    description : what tells this run from another.
    """

    def __init__(
        self,
        model: ForcedModel,
        recordings: list[Recording],
        windows: Windows,
        gain: Gain,
        terms: WindowLoss,
        *,
        samples: int,
        anneal: int,
        validation: list[Recording] | None,
        scores: Mapping[str, Callable[[Reconstruction], float]] | None = None,
        description: Mapping[str, Any],
    ) -> None:
        self.model, self.recordings, self.windows, self.gain, self.terms = model, recordings, windows, gain, terms
        self.samples, self.description, self.validation = samples, description, validation
        self.scores = dict(scores or {})
        self._anneal, self._seen = anneal, 0
        self._regions = RareRegions(terms.rare)

    def loss(self, model: Callable[..., Tensor], rows: np.ndarray) -> Float[Tensor, ""]:
        """The mean squared error of predictions along random windows, plus penalties.

        The sum over independent replicas; the mean over those that share weights.
        """
        terms, replicas = self.terms, self.model.replicas
        window, inputs = self.windows.draw(len(rows), replicas)
        target = window[..., 1:, :]
        if terms.noise:
            window = window + terms.noise * torch.randn_like(window)
            if terms.noisy_targets:
                target = window[..., 1:, :]
        gain = self.gain.at(self.model, window, min(1.0, self._seen / self._anneal))
        self._seen += 1
        extra: Tensor | float = 0.0
        if terms.region_weight:
            assert isinstance(self.model, PiecewiseLinearRNN)
            states = model(window, gain, inputs, forced=terms.forced, latent=True)
            predicted = self.model.observe_columns(states)
            units = states[..., self.model.bending, :, :]
            extra = terms.region_weight * self._regions.penalty(units, self.model.region_maps()[0])
        else:
            predicted = model(window, gain, inputs, forced=terms.forced)
        return self.total(mean_square(predicted, target, missing=self.windows.missing) + extra)

    def total(self, each: Float[Tensor, "*replicas"]) -> Float[Tensor, ""]:
        """The errors of the replicas with their penalties, as one number."""
        terms = self.terms
        if terms.latent_weight:
            each = each + terms.latent_weight * self.model.latent_penalty()
        if terms.observation_weight:
            each = each + terms.observation_weight * self.model.observation_penalty()
        if terms.attractor_weight:
            each = each + terms.attractor_weight * self.model.attractor_penalty(terms.attractor_share)
        if self.model.replicas is None:
            return each
        if not self.model.independent:
            return each.mean()
        good = each.isfinite()
        # A replica that has run away sits this step out; the others do not notice.
        return torch.where(good, each, torch.zeros_like(each)).sum() if bool(good.any()) else each.sum()

    def clip_gradients(self, model: nn.Module, largest: float | None) -> Tensor:
        """Bound the norm of each independent replica's gradient, dropping what is not finite, or that of all."""
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        if self.model.replicas is None or not self.model.independent:
            if largest is None:
                return nn.utils.get_total_norm(gradients)
            return nn.utils.clip_grad_norm_(model.parameters(), largest)
        sizes = torch.stack([g.flatten(1).square().sum(dim=1) for g in gradients]).sum(dim=0)
        factor = torch.ones_like(sizes) if largest is None else (largest / sizes.sqrt().clamp_min(1e-30)).clamp_max(1.0)
        good = sizes.isfinite()
        for g in gradients:
            shape = (-1, *([1] * (g.ndim - 1)))
            g.mul_(factor.nan_to_num(nan=0.0).reshape(shape))
            if not bool(good.all()):
                g[~good] = 0.0
        return (sizes[good] if bool(good.any()) else sizes).sum().sqrt()

    @property
    def metrics(self) -> tuple[str, ...]:
        """The scores of free runs, and those of one's own."""
        return () if not self.validation else (*FREE_RUN_SCORES, *self.scores)

    def validate(self, model: nn.Module) -> dict[str, Any]:
        """Scores of a free run beside each validation trajectory; the median of replicas that share weights."""
        if not self.validation:
            return {}
        trained = self.surrogate(model)
        scores = trained.scores(self.validation)
        if self.scores:
            count = self.model.replicas
            models = [trained] if count is None else [trained.replica(i) for i in range(count)]
            scores |= {name: np.array([_number(name, score(m)) for m in models]) for name, score in self.scores.items()}
        if self.model.replicas is not None and self.model.independent:
            return scores
        return {name: float(np.median(values)) for name, values in scores.items()}

    def surrogate(self, model: nn.Module) -> Reconstruction:
        """The model with the scale of its data."""
        from funcspace.dynamics.reconstruction.reconstruction import Reconstruction

        return Reconstruction.of(self.model, self.recordings)

    def state(self) -> dict[str, Tensor]:
        """Steps taken, the state of the gain, and how often each region was visited."""
        kept = {} if self._regions.shares is None else {"regions": self._regions.shares}
        return {"seen": torch.tensor(self._seen), **kept, **{f"gain/{k}": v for k, v in self.gain.state().items()}}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state."""
        self._seen = int(state["seen"])
        self._regions.shares = state.get("regions")
        self.gain.restore({k.removeprefix("gain/"): v for k, v in state.items() if k.startswith("gain/")})


def mean_square(
    predicted: Float[Tensor, "*replicas observed time column"],
    target: Float[Tensor, "*replicas observed time column"],
    *,
    missing: bool,
) -> Float[Tensor, "*replicas"]:
    """The mean squared error over all but the replicas; of what is known where values are missing."""
    error = predicted - target
    if not missing:
        return error.square().flatten(-3).mean(dim=-1)
    known = target.isfinite()
    squares = torch.where(known, error, torch.zeros_like(error)).square().flatten(-3).sum(dim=-1)
    return squares / known.flatten(-3).sum(dim=-1).clamp_min(1)


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"the score {name!r} must be a number, got {value!r}") from error
