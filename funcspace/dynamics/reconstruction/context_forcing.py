"""Training of models that go on from a context, on trajectories of many systems."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from funcspace.arguments import is_whole
from funcspace.dynamics.reconstruction.models.dynamix import DynaMix
from funcspace.dynamics.reconstruction.recordings_for import check_components
from funcspace.dynamics.reconstruction.window_recipe import BATCH_SIZE, BATCHES, WINDOW_RECIPE
from funcspace.dynamics.reconstruction.windows import Recording, as_recording, standardised_rows
from funcspace.errors import InputError
from funcspace.functions import Function

if TYPE_CHECKING:
    from funcspace.dynamics.reconstruction.context_forecaster import ContextForecaster

__all__ = ["ContextForcing", "standardised_by_context"]

VALIDATION_WINDOWS = 64
WORST = 1e3


@dataclass(frozen=True, kw_only=True)
class ContextForcing:
    r"""Sparse teacher forcing after a context, on windows of trajectories of many systems.

    loss = mean |x_t - d_t|^2 over t = 1 .. T after the context + noise_weight mean exp(-|sigma| / 0.01)

    Each window is a context and the T steps after it, of a system drawn at random; mean and scale of each component are
    those of the context, as in a forecast. Systems may differ in their components and time step.

    Ours standardises by the context, where the reference trains on trajectories that are standardised as wholes. Noise
    is on what the model sees, not on what it is compared with.

    Parameters
    ----------
    context : instants of the context.
    sequence : T.
    interval : every so many steps the data take the place of the observed units.
    noise : standard deviation of the noise on context and forcing, in units of the context's.
    noise_weight : see the formula.

    An epoch is 50 steps. By default `fit` trains for 2000 epochs of batches of 16 windows with RAdam, its rate falling
    from 5e-3 to 1e-5 exponentially. Validation is the median over windows of the squared error of free forecasts over T
    steps, "forecast_error"; a state that forgets its start scores about 2.
    """

    context: int = 500
    sequence: int = 98
    interval: int = 10
    noise: float = 0.05
    noise_weight: float = 0.1

    recipe = replace(WINDOW_RECIPE, epochs=2000, monitor="forecast_error")

    def __post_init__(self) -> None:
        for name, least in {"context": 2, "sequence": 1, "interval": 1}.items():
            value = getattr(self, name)
            if not (is_whole(value) and value >= least):
                raise InputError(f"{name} must be an integer of at least {least}, got {value!r}")
        for name in ("noise", "noise_weight"):
            if not getattr(self, name) >= 0.0:
                raise InputError(f"{name} must not be negative, got {getattr(self, name)}")

    def begin(self, model: Any, data: Any, validation: Any, *, device: torch.device, dtype: torch.dtype) -> ContextTask:
        """Set up the training on a Function, or a sequence of Functions, each of a system of its own."""
        if not isinstance(model, DynaMix):
            raise InputError(f"ContextForcing trains DynaMix; got {type(model).__name__}")
        systems = self._systems(data, model, "data")
        length = self.context + self.sequence
        windows = SystemWindows(systems, length, device=device, dtype=dtype)
        held_out = None
        if validation is not None:
            held_out = SystemWindows(
                self._systems(validation, model, "validation"), length, device=device, dtype=dtype, name="validation"
            )
        description = {
            "algorithm": "ContextForcing",
            **{f.name: getattr(self, f.name) for f in fields(self)},
            "systems": [[len(v) for v in system.values] for system in systems],
            "means": [[round(float(m), 12) for m in system.mean] for system in systems],
        }
        return ContextTask(model, self, windows, held_out, description)

    def _systems(self, data: Any, model: DynaMix, name: str) -> list[Recording]:
        each = [data] if isinstance(data, Function) or not isinstance(data, Sequence) else list(data)
        if not each:
            raise InputError(f"{name} holds no trajectory")
        systems = []
        for number, one in enumerate(each):
            system = as_recording(one, name=name if len(each) == 1 else f"{name}[{number}]")
            check_components([system], model.observed, f"{name}[{number}]")
            systems.append(system)
        return systems


class SystemWindows:
    """Random windows (batch, instant, component) of the trajectories of several systems."""

    def __init__(
        self, systems: Sequence[Recording], length: int, *, device: Any, dtype: torch.dtype, name: str = "data"
    ) -> None:
        # standardised, as large numbers far from the origin keep no digits in single precision
        rows, starts = standardised_rows(systems, length)
        for number, (system, admissible) in enumerate(zip(systems, starts, strict=True)):
            if not len(admissible):
                raise InputError(
                    f"no trajectory of {name}[{number}] is as long as context and sequence together, {length} "
                    f"instants; the longest has {max(len(v) for v in system.values)}"
                )
        self._starts = [admissible.to(device) for admissible in starts]
        self._values = rows.to(device, dtype)
        self._steps = torch.arange(length, device=device)

    def draw(self, count: int) -> Float[Tensor, "batch instant component"]:
        """Windows of systems chosen at random, from torch's generator."""
        chosen = torch.randint(len(self._starts), (count,)).tolist()
        starts = [self._starts[s][torch.randint(len(self._starts[s]), ())] for s in chosen]
        return self._values[torch.stack(starts)[:, None] + self._steps]

    def spread(self, count: int) -> Float[Tensor, "batch instant component"]:
        """About `count` windows spread evenly over all systems."""
        each = max(1, count // len(self._starts))
        starts = [s[torch.linspace(0, len(s) - 1, min(each, len(s))).long()] for s in self._starts]
        return self._values[torch.cat(starts)[:, None] + self._steps]


class ContextTask:
    """One training problem of a model that goes on from contexts; see `Task` of `funcspace.training`."""

    samples = BATCHES * BATCH_SIZE

    def __init__(
        self,
        model: DynaMix,
        algorithm: ContextForcing,
        windows: SystemWindows,
        validation: SystemWindows | None,
        description: Mapping[str, Any],
    ) -> None:
        self.model, self.algorithm, self.windows, self.validation = model, algorithm, windows, validation
        self.description = description

    def loss(self, model: Callable[..., Tensor], rows: np.ndarray) -> Float[Tensor, ""]:
        """The mean squared error after random contexts, and the penalty."""
        settings = self.algorithm
        window, _, _ = standardised_by_context(self.windows.draw(len(rows)), settings.context)
        seen = window
        if settings.noise:
            seen = window + settings.noise * torch.randn_like(window)
        found = model(seen[:, : settings.context], seen[:, settings.context :], settings.interval)
        error = (found - window[:, settings.context :]).square().mean()
        return error + settings.noise_weight * self.model.noise_penalty() if settings.noise_weight else error

    @property
    def metrics(self) -> tuple[str, ...]:
        """The error of free forecasts."""
        return () if self.validation is None else ("forecast_error",)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """The error of free forecasts on windows of the validation data."""
        if self.validation is None:
            return {}
        context = self.algorithm.context
        window, _, _ = standardised_by_context(self.validation.spread(VALIDATION_WINDOWS), context)
        found = self.model.generate(window[:, :context], self.algorithm.sequence)
        errors = (found - window[:, context:]).square().mean(dim=(1, 2)).nan_to_num(nan=WORST, posinf=WORST)
        return {"forecast_error": float(errors.median())}

    def surrogate(self, model: nn.Module) -> ContextForecaster:
        """The model as a forecaster."""
        from funcspace.dynamics.reconstruction.context_forecaster import ContextForecaster

        return ContextForecaster(self.model, self.algorithm.context)


def standardised_by_context(
    window: Float[Tensor, "batch instant component"], context: int
) -> tuple[Tensor, Float[Tensor, "batch 1 component"], Float[Tensor, "batch 1 component"]]:
    """Windows standardised by their first `context` instants, with their mean and scale, 1 where they stand still."""
    past = window[:, :context]
    mean = past.mean(dim=1, keepdim=True)
    scale = (past - mean).square().mean(dim=1, keepdim=True).sqrt()
    scale = torch.where(scale > 1e-6 * mean.abs().clamp_min(1e-6), scale, torch.ones_like(scale))
    return (window - mean) / scale, mean, scale
