"""Training of recurrent maps by multiple shooting: free runs over short segments that are made to meet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from funcspace.arguments import check_counts
from funcspace.dynamics.reconstruction.forcing_gain import ConstantGain
from funcspace.dynamics.reconstruction.models.neural_ode import NeuralODE
from funcspace.dynamics.reconstruction.models.piecewise_linear_rnn import PiecewiseLinearRNN
from funcspace.dynamics.reconstruction.reconstruction_task import ReconstructionTask, WindowLoss, mean_square
from funcspace.dynamics.reconstruction.recordings_for import described, held_out_recordings, training_recordings
from funcspace.dynamics.reconstruction.segments import Segments
from funcspace.dynamics.reconstruction.window_recipe import WINDOW_RECIPE
from funcspace.dynamics.reconstruction.windows import Windows
from funcspace.errors import InputError
from funcspace.training import ExponentialDecay

__all__ = ["MultipleShooting"]


@dataclass(frozen=True, kw_only=True)
class MultipleShooting:
    r"""Multiple shooting: every segment of a trajectory starts from a latent state that is learned with the weights.

    loss = mean_k [ mean_{t=0..L} |o(F^t(s_k)) - d_{kL+t}|^2 + w |F^L(s_k) - s_{k+1}|^2 / M ]

    over segments k of L steps, s_k in R^M free, o the observation, d the standardised data; the second term where a
    segment has one after it. Nothing forces the runs, yet no gradient goes through more than L steps; as w grows, the
    segments join into one orbit of the map. Bock: Recent advances in parameter identification techniques for ODE
    (1983); Voss, Timmer, Kurths: Nonlinear dynamical system identification from uncertain and indirect measurements,
    Int. J. Bifurcation Chaos 14, 1905 (2004).

    Trains PLRNNs of every family, replicas of them (each with starts of its own), and neural ODEs.

    Parameters
    ----------
    length : L; what is left over at the end of a trajectory is left out.
    segments : how many to cut the shortest trajectory into, in place of `length`.
    weight : w, or its first value.
    final : where w goes geometrically over the first `anneal` steps; None keeps it.
    anneal : steps.
    start_rate : the starts learn at this multiple of the learning rate.
    latent_weight, observation_weight : weights of the models' penalties.
    inputs : external inputs at the instants of the data, a Function over the same Times; used as they are.
    missing : whether NaN in the data stands for a missing value; it counts in no loss.
    validation_inputs : external inputs at the instants of the validation data, which must have no missing values.

    An epoch takes each segment once. By default `fit` trains for 200 epochs of batches of 64 segments with Adam, its
    rate falling from 3e-3 to 3e-5 exponentially. The reconstruction does not keep the starts.
    """

    length: int | None = None
    segments: int | None = None
    weight: float = 1.0
    final: float | None = None
    anneal: int = 5_000
    start_rate: float = 1.0
    latent_weight: float = 0.0
    observation_weight: float = 0.0
    inputs: Any = None
    missing: bool = False
    validation_inputs: Any = None

    recipe = replace(
        WINDOW_RECIPE,
        epochs=200,
        batch_size=64,
        learning_rate=3e-3,
        schedule=ExponentialDecay(1e-2),
        optimizer=torch.optim.Adam,
    )

    def __post_init__(self) -> None:
        if (self.length is None) == (self.segments is None):
            raise InputError(f"give one of length and segments; got length={self.length}, segments={self.segments}")
        check_counts(length=self.length, segments=self.segments, anneal=self.anneal)
        for name in ("weight", "latent_weight", "observation_weight"):
            if not 0.0 <= getattr(self, name) < float("inf"):
                raise InputError(f"{name} must be finite and not negative, got {getattr(self, name)}")
        if self.final is not None and not (0.0 < self.final < float("inf") and self.weight > 0.0):
            raise InputError(
                f"final and the weight it starts from must be finite and positive; got final={self.final}, "
                f"weight={self.weight}"
            )
        if not 0.0 < self.start_rate < float("inf"):
            raise InputError(f"start_rate must be finite and positive, got {self.start_rate}")

    def begin(
        self, model: Any, data: Any, validation: Any, *, device: torch.device, dtype: torch.dtype
    ) -> ShootingTask:
        """Set up the training of a recurrent map on trajectories."""
        if not isinstance(model, PiecewiseLinearRNN | NeuralODE):
            raise InputError(
                f"MultipleShooting trains maps whose whole state can be set, the PLRNNs and NeuralODE; got "
                f"{type(model).__name__}"
            )
        recordings = training_recordings(data, model, inputs=self.inputs, missing=self.missing)
        recordings = model.standardise(recordings)
        length = self.length
        if length is None:
            assert self.segments is not None
            shortest = min(len(v) for r in recordings for v in r.values)
            length = (shortest - 1) // self.segments
            if length < 1:
                raise InputError(f"a trajectory of {shortest} instants cannot be cut into {self.segments} segments")
        segments = Segments(recordings, length, device=device, dtype=dtype)
        held_out = held_out_recordings(validation, model, inputs=self.validation_inputs)
        description = {
            "algorithm": "MultipleShooting",
            **{f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("inputs", "validation_inputs")},
            **described(recordings),
        }
        terms = WindowLoss(0.0, False, self.latent_weight, self.observation_weight, 0.0, 1.0)
        windows = Windows(recordings, length + 1, device=device, dtype=dtype)
        whole = ReconstructionTask(
            model, recordings, windows, ConstantGain(0.0, None, model.replicas), terms, samples=segments.count,
            anneal=self.anneal, validation=held_out, description=description,
        )  # fmt: skip
        return ShootingTask(self, whole, segments)


class ShootingTask:
    """One training problem by multiple shooting; see `Task` of `funcspace.training`.

    Parameters
    ----------
    algorithm : its settings.
    whole : the problem without segments, which has the penalties, the validation and what comes out.
    segments : of the data.
    """

    def __init__(self, algorithm: MultipleShooting, whole: ReconstructionTask, segments: Segments) -> None:
        self.algorithm, self._whole, self.segments = algorithm, whole, segments
        self.samples, self.description = segments.count, whole.description
        self.model: Any = whole.model
        first = segments.first().nan_to_num(nan=0.0)
        with torch.no_grad():
            if self.model.replicas is None:
                starts = self._lifted(first[0].mT).mT
            else:
                starts = self._lifted(first.expand(self.model.replicas, *first.shape[1:]).mT).mT
        self.starts = nn.Parameter(starts.contiguous().clone())
        self._seen = 0

    def loss(self, model: Callable[..., Tensor], rows: np.ndarray) -> Float[Tensor, ""]:
        """The mean squared error of free runs over segments, with the gaps between them and the penalties."""
        window, inputs, numbers, follows = self.segments.take(rows, self.model.replicas)
        start = self._starts(numbers)
        states = self._run(start, inputs)
        whole = torch.cat([start[..., None, :], states], dim=-2)
        observed = whole
        if isinstance(self.model, PiecewiseLinearRNN):
            observed = self.model.observe(whole.movedim(-3, -1)).movedim(-1, -3)
        error = mean_square(observed, window, missing=self.segments.missing)
        gap = (states[..., -1, :] - self._starts(numbers + follows)).square().mean(dim=-2)
        gaps = torch.where(follows, gap, torch.zeros_like(gap)).mean(dim=-1)
        weight = self.weight
        self._seen += 1
        return self._whole.total(error + weight * gaps)

    @property
    def weight(self) -> float:
        """The weight w of the gaps at this point of the training."""
        first, final = self.algorithm.weight, self.algorithm.final
        if final is None:
            return first
        return first * (final / first) ** min(1.0, self._seen / self.algorithm.anneal)

    def parameter_groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """The starts."""
        return [([self.starts], self.algorithm.start_rate)]

    def clip_gradients(self, model: nn.Module, largest: float | None) -> Tensor:
        """Bound the gradients of the weights, for each independent replica apart, and drop starts' that are not finite.

        Those of the starts are sums over few segments each and are left as they are.
        """
        norm = self._whole.clip_gradients(model, largest)
        if self.starts.grad is not None:
            self.starts.grad.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)
        return norm

    @property
    def metrics(self) -> tuple[str, ...]:
        """The scores of free runs."""
        return self._whole.metrics

    def validate(self, model: nn.Module) -> dict[str, Any]:
        """Scores of a free run beside each validation trajectory."""
        return self._whole.validate(model)

    def surrogate(self, model: nn.Module) -> Any:
        """The model with the scale of its data."""
        return self._whole.surrogate(model)

    def state(self) -> dict[str, Tensor]:
        """Steps taken and the starts."""
        return {"seen": torch.tensor(self._seen), "starts": self.starts.detach()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state."""
        self._seen = int(state["seen"])
        with torch.no_grad():
            self.starts.copy_(state["starts"])

    def _starts(self, numbers: Tensor) -> Float[Tensor, "*replicas latent column"]:
        index = numbers[..., None, :].expand(*self.starts.shape[:-1], numbers.shape[-1])
        return self.starts.gather(-1, index)

    def _lifted(self, x: Tensor) -> Tensor:
        return self.model.start(x) if isinstance(self.model, PiecewiseLinearRNN) else x

    def _run(self, start: Tensor, inputs: Tensor | None) -> Float[Tensor, "*replicas latent time column"]:
        steps = self.segments.length
        if isinstance(self.model, PiecewiseLinearRNN):
            return self.model.scan(start, steps, inputs=inputs)
        window = torch.cat([start[:, None], start.new_zeros(len(start), steps, start.shape[-1])], dim=1)
        return self.model(window, start.new_zeros(steps))
