"""Ways of training recurrent maps on trajectories: how, and how often, the data pull on the states."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import torch

from funcspace.arguments import is_number, require_counts
from funcspace.dynamics.reconstruction.forcing_gain import AdaptiveGain, ConstantGain, Gain, PeriodicGain
from funcspace.dynamics.reconstruction.forcing_interval import forcing_interval
from funcspace.dynamics.reconstruction.forcing_strength import ESTIMATORS, Estimator
from funcspace.dynamics.reconstruction.models.forced_model import ForcedModel
from funcspace.dynamics.reconstruction.reconstruction_task import ReconstructionTask, WindowLoss
from funcspace.dynamics.reconstruction.recordings_for import described, held_out_recordings, training_recordings
from funcspace.dynamics.reconstruction.window_recipe import BATCH_SIZE, BATCHES, WINDOW_RECIPE
from funcspace.dynamics.reconstruction.windows import Recording, Windows
from funcspace.errors import InputError
from funcspace.training import ExponentialDecay

if TYPE_CHECKING:
    from funcspace.dynamics.reconstruction.reconstruction import Reconstruction

__all__ = ["GeneralizedTeacherForcing", "SparseTeacherForcing"]

NOT_SETTINGS = ("inputs", "validation_inputs", "scores")  # data and functions, which don't tell one run from another


@dataclass(frozen=True, kw_only=True)
class _WindowTraining:
    """Training on random windows of trajectories, each a batch of forced scans."""

    sequence: int = 200
    noise: float = 0.0
    noisy_targets: bool = True
    latent_weight: float = 0.0
    observation_weight: float = 0.0
    attractor_weight: float = 0.0
    attractor_share: float = 0.5
    region_weight: float = 0.0
    rare: float = 0.05
    forced: int | None = None
    inputs: Any = None
    missing: bool = False
    validation_inputs: Any = None
    scores: Mapping[str, Callable[[Reconstruction], float]] | None = None

    def __post_init__(self) -> None:
        require_counts(sequence=self.sequence)
        for name in ("noise", "latent_weight", "observation_weight", "attractor_weight", "region_weight"):
            value = getattr(self, name)
            if not (is_number(value) and value >= 0):
                raise InputError(f"{name} must not be negative, and a number; got {value!r}")
        if self.forced is not None:
            require_counts(forced=self.forced)
        if not (is_number(self.rare) and 0.0 < self.rare < 1.0):
            raise InputError(f"rare must lie between 0 and 1, got {self.rare!r}")
        if not 0.0 < self.attractor_share <= 1.0:
            raise InputError(f"attractor_share must lie in (0, 1], got {self.attractor_share}")
        if self.scores is not None and not (
            isinstance(self.scores, Mapping)
            and all(isinstance(name, str) and callable(score) for name, score in self.scores.items())
        ):
            raise InputError(f"scores must name functions of a trained model, got {self.scores!r}")

    @abstractmethod
    def _gain(self, model: ForcedModel, recordings: list[Recording]) -> tuple[Gain, int]:
        """The gain of a run, and the steps over which it changes."""

    def begin(
        self, model: Any, data: Any, validation: Any, *, device: torch.device, dtype: torch.dtype
    ) -> ReconstructionTask:
        """Set up the training of a recurrent map on trajectories."""
        if not isinstance(model, ForcedModel):
            raise InputError(
                f"{type(self).__name__} trains recurrent maps such as ALRNN and ClippedShallowPLRNN; got "
                f"{type(model).__name__}"
            )
        if self.forced is not None and self.forced > model.forceable:
            raise InputError(f"the data can force {model.forceable} units of the model; got forced={self.forced}")
        if self.scores and validation is None:
            raise InputError(
                f"scores are taken at validations: give fit(..., validation=) for {', '.join(self.scores)}"
            )
        if self.region_weight:
            _ = model.bending  # a model without such units refuses
        given = getattr(model, "context", 1)
        if self.sequence < given:
            raise InputError(
                f"{type(model).__name__} is given the first {given} instants of each window; sequence must be as long, "
                f"got {self.sequence}"
            )
        recordings = training_recordings(data, model, inputs=self.inputs, missing=self.missing)
        recordings = model.standardise(recordings)
        windows = Windows(recordings, self.sequence + 1, device=device, dtype=dtype)
        gain, anneal = self._gain(model, recordings)
        terms = WindowLoss(
            self.noise, self.noisy_targets, self.latent_weight, self.observation_weight, self.attractor_weight,
            self.attractor_share, self.region_weight, self.rare, self.forced,
        )  # fmt: skip
        settings = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in NOT_SETTINGS}
        description = {
            "algorithm": type(self).__name__,
            **{name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()},
            **described(recordings),
        }
        held_out = held_out_recordings(validation, model, inputs=self.validation_inputs)
        return ReconstructionTask(
            model, recordings, windows, gain, terms, samples=BATCHES * BATCH_SIZE, anneal=anneal, validation=held_out,
            scores=self.scores, description=description,
        )  # fmt: skip


@dataclass(frozen=True)
class SparseTeacherForcing(_WindowTraining):
    r"""Sparse (identity) teacher forcing: at every tau-th step the data take the place of the state.

    x_t = d_t where tau divides t, else z_t;  loss = mean |o(z_t) - d_t|^2 over t = 1 .. T, before the state is replaced

    Where the first N of M units are read out, only these are replaced. Mikhaeil, Monfared, Durstewitz: On the
    difficulty of learning chaotic dynamics with RNNs, NeurIPS 2022; Brenner et al., ICML 2022.

    Parameters
    ----------
    interval : tau; None estimates it from the data: the shortest of the first minimum of the autocorrelation, its
        fall below 1/e and the first minimum of the mutual information, the median over components.
    sequence : T, steps per window.
    noise : standard deviation of the noise added to each window, in units of each component's own.
    noisy_targets : whether the noise is on what the loss compares with too.
    latent_weight, observation_weight : weights of the models' penalties.
    attractor_weight, attractor_share : weight and share of units of the manifold-attractor regularisation, which
        pulls the map of the last units to the identity.
    region_weight, rare : weight of a penalty on the linear regions of an AL-RNN that hold less than this share of the
        states, which empties them and takes their saddles; see `RareRegions`. It is meant for a second training of a
        model that knows its attractor: from the start it keeps models from finding it.
    forced : partial forcing: only so many of the first units are forced, of those that data can force (the N that are
        read out, all M where the observation is affine or a network, the components of other models).
    inputs : external inputs at the instants of the data, a Function over the same Times; used as they are.
    missing : whether NaN in the data stands for a missing value; it forces nothing and counts in no loss.
    validation_inputs : external inputs at the instants of the validation data, which must have no missing values.
    scores : further scores of a validation by name, functions of one trained model (a `Reconstruction`, of each replica
        by itself) that give a number; `fit(..., monitor=name)` keeps the weights for which it is smallest.

    An epoch is 50 steps; each draws its windows at random. By default `fit` trains for 400 epochs of batches of 16
    windows with RAdam, its rate falling from 5e-3 to 1e-5 exponentially.
    """

    interval: int | None = None
    noise: float = 0.05

    recipe = WINDOW_RECIPE

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.interval is not None:
            require_counts(interval=self.interval)

    def _gain(self, model: ForcedModel, recordings: list[Recording]) -> tuple[Gain, int]:
        interval = self.interval
        if interval is None:
            interval = min(forcing_interval(recording) for recording in recordings)
        return PeriodicGain(interval, model.replicas), 1


@dataclass(frozen=True)
class GeneralizedTeacherForcing(_WindowTraining):
    r"""Generalised teacher forcing: at every step the states are pulled towards the data.

    x_t = (1 - alpha) z_t + alpha d_t;  loss = mean |o(z_t) - d_t|^2 over t = 1 .. T, before the pull

    which shrinks each Jacobian by 1 - alpha: gradients stay bounded where alpha > 1 - 1 / sigma, sigma the largest
    singular value of the Jacobians. alpha = 0 is plain backpropagation through time. Hess, Monfared, Brenner,
    Durstewitz: Generalized teacher forcing for learning chaotic dynamics, ICML 2023.

    Parameters
    ----------
    alpha : a number, one for each replica, or "adaptive": starts at 1 and follows the estimate of `forcing_strength`,
        up at once and down slowly (Algorithm 1 of the paper).
    final : where a constant alpha goes geometrically over the first `anneal` steps; None keeps it.
    anneal : steps.
    estimator : of the adaptive alpha.
    every, keep : steps between estimates, and the share of the old alpha that is kept on the way down.
    sequence, noise, noisy_targets, latent_weight, observation_weight : as for `SparseTeacherForcing`; no noise by
        default.
    attractor_weight, attractor_share, region_weight, rare, forced, inputs, missing, validation_inputs, scores : as for
        `SparseTeacherForcing`.

    An epoch is 50 steps; each draws its windows at random. By default `fit` trains for 1000 epochs of batches of 16
    windows with RAdam, its rate falling from 1e-3 to 1e-6 exponentially; the published tables take 5000.
    """

    alpha: float | tuple[float, ...] | list[float] | str = 0.1
    final: float | None = None
    anneal: int = 20_000
    estimator: Estimator = "product_bound"
    every: int = 5
    keep: float = 0.999

    recipe = replace(WINDOW_RECIPE, epochs=1000, learning_rate=1e-3, schedule=ExponentialDecay(1e-3))

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.alpha, str):
            if self.alpha != "adaptive":
                raise InputError(f'alpha must be a number, one for each replica, or "adaptive"; got {self.alpha!r}')
        else:
            if isinstance(self.alpha, list):
                object.__setattr__(self, "alpha", tuple(self.alpha))
            values = self.alpha if isinstance(self.alpha, tuple) else (self.alpha,)
            if not all(is_number(a) and 0.0 <= a <= 1.0 for a in values):
                raise InputError(f"alpha must lie between 0 and 1, got {self.alpha}")
        if self.final is not None and not (0.0 < self.final <= 1.0 and self.alpha != "adaptive"):
            raise InputError(f"final must lie in (0, 1] and goes with a constant alpha only; got {self.final}")
        if self.final is not None and 0.0 in (self.alpha if isinstance(self.alpha, tuple) else (self.alpha,)):
            raise InputError(
                f"an alpha that goes to a final one geometrically must not start at zero; got {self.alpha}"
            )
        if self.estimator not in ESTIMATORS:
            raise InputError(f"estimator must be one of {', '.join(ESTIMATORS)}; got {self.estimator!r}")
        if self.every < 1 or self.anneal < 1 or not 0.0 <= self.keep < 1.0:
            raise InputError(
                f"every and anneal must be at least 1 and keep in [0, 1); got {self.every}, {self.anneal}, {self.keep}"
            )

    def _gain(self, model: ForcedModel, recordings: list[Recording]) -> tuple[Gain, int]:
        if self.alpha == "adaptive":
            return AdaptiveGain(self.estimator, self.every, self.keep, model.replicas), self.anneal
        assert not isinstance(self.alpha, str)
        return ConstantGain(self.alpha, self.final, model.replicas), self.anneal
