"""How a free run of a model compares with a test trajectory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from funcspace.dynamics.reconstruction.models.history_model import HistoryModel
from funcspace.dynamics.reconstruction.windows import Recording
from funcspace.errors import InputError

__all__ = ["FREE_RUN_SCORES", "HORIZON", "free_run_scores"]

HORIZON = 20  # of the prediction error, unless a caller wants another one
FREE_RUN_SCORES = ("state_space_divergence", "spectral_distance", f"prediction_error_{HORIZON}")
FORECASTS = 10_000  # at a time


def free_run_scores(
    model: Any, recording: Recording, *, context: int, bins: int | None, smoothing: float, horizon: int
) -> dict[str, float]:
    """Scores of a single model on standardised components, medians over the trajectories of a recording.

    Raises
    ------
    InputError : external inputs are missing, or of another number than the model's; what the metrics refuse.
    """
    from funcspace.dynamics.metrics import prediction_error, spectral_distance, state_space_divergence

    wanted = getattr(model, "inputs", 0)
    given = 0 if recording.inputs is None else recording.inputs[0].shape[1]
    if given != wanted:
        raise InputError(
            f"the model takes {wanted} external inputs; the test comes with {given}; give inputs=... at its instants"
        )
    mean, scale = model.mean.double(), model.scale.double()
    weight = next(model.parameters())
    options: dict[str, Any] = {} if bins is None else {"bins": bins}
    each: dict[str, list[float]] = {
        "state_space_divergence": [], "spectral_distance": [], f"prediction_error_{horizon}": []
    }  # fmt: skip
    for number, values in enumerate(recording.values):
        truth = (values - mean) / scale
        length = len(truth)
        if recording.inputs is not None:
            driving = recording.inputs[number].to(weight)
            skipped = length // 4
            run = model.generate(truth[:1].to(weight), length - 1, inputs=driving[None, 1:])[0, skipped:]
            reference = truth[1 + skipped :].numpy()
            error = _driven_error(model, truth, driving, horizon)
        else:
            started = isinstance(model, HistoryModel)
            if length < context:
                raise InputError(f"{type(model).__name__} starts from at least {context} instants; got {length}")
            first = truth[:context] if started else truth[0]
            run = model.generate(first[None].to(weight), length + length // 4)[0, length // 4 :]
            reference = truth.numpy()
            stride = max(1, length // 1000) if started else 1
            error = float(prediction_error(_Forecaster(model, weight, context), reference, horizon, stride=stride))
        generated = run.to("cpu", torch.float64).numpy()
        found = (
            float(state_space_divergence(reference, generated, **options)),
            float(spectral_distance(reference, generated, smoothing=smoothing)),
            error,
        )
        for scores, score in zip(each.values(), found, strict=True):
            scores.append(score)
    return {name: float(np.median(scores)) for name, scores in each.items()}


def _driven_error(
    model: Any, truth: Float[Tensor, "time component"], driving: Float[Tensor, "time input"], horizon: int
) -> float:
    """The mean squared error of `horizon` steps from each state, under the inputs of these steps."""
    if horizon < 1 or len(truth) <= horizon:
        raise InputError(f"horizon must lie between 1 and {len(truth) - 1}, the steps of the test; got {horizon}")
    total, count = 0.0, len(truth) - horizon
    inputs = driving.unfold(0, horizon, 1)[1:].mT
    for first in range(0, count, FORECASTS):
        part = slice(first, min(first + FORECASTS, count))
        found = model.generate(truth[part].to(driving), horizon, inputs=inputs[part])[:, -1]
        total += float((found.to("cpu", torch.float64) - truth[horizon:][part]).square().sum())
    error = total / (count * truth.shape[1])
    return error if np.isfinite(error) else float("inf")


@dataclass(frozen=True)
class _Forecaster:
    """A model of standardised components as what `prediction_error` asks for."""

    model: Any
    like: Tensor
    context: int

    def forecast(self, context: Any, horizon: int) -> Any:
        """Free runs from the last states of contexts (batch, time, components)."""
        history = torch.as_tensor(context).to(self.like)
        start = history if isinstance(self.model, HistoryModel) else history[:, -1]
        return self.model.generate(start, horizon).double()
