"""A trained model that goes on from the context of any system."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from funcspace.dynamics.reconstruction.context_forcing import standardised_by_context
from funcspace.dynamics.reconstruction.model_files import load_model, save_model
from funcspace.dynamics.reconstruction.models.dynamix import DynaMix
from funcspace.dynamics.series import as_series
from funcspace.errors import InputError
from funcspace.functions import Function, FunctionSpace
from funcspace.geometry import Times

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["ContextForecaster", "load_forecaster"]


@dataclass(eq=False, repr=False)
class ContextForecaster:
    """A model that forecasts any system from a piece of its orbit, without training on it.

    A context is standardised by its own mean and scale. One of fewer components than the model observes is filled up
    with delayed ones: of each component in turn, by once, twice, ... the time in which its autocorrelation falls below
    1/e.

    Attributes
    ----------
    model : the trained model.
    context : instants of the contexts that it was trained on; it takes others too.
    history : one record per epoch.
    provenance : versions, seed and settings of the training.
    """

    model: DynaMix
    context: int = 500
    history: list[dict[str, Any]] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)

    def forecast(self, context: Any, horizon: int, *, seed: int | None = None) -> Any:
        """What follows after contexts.

        Parameters
        ----------
        context : a Function over Times, single or batched, of any step and of at most as many components as the model
            observes; or an array or tensor (..., time, components).
        horizon : steps.
        seed : of the noise of the gate; None for none.

        Returns
        -------
        Function, or tensor (..., horizon, components)
            The states after the context, in its dtype and units.

        Raises
        ------
        InputError
            When the context has too many components, too few instants, or is not finite.
        """
        if isinstance(horizon, bool) or horizon < 1:
            raise InputError(f"horizon must be at least 1, got {horizon!r}")
        if isinstance(context, Function) and not isinstance(context.space.domain, Times):
            raise InputError("the context must be a Function over Times; forecast a field by its values as an array")
        series = as_series(context, name="the context")
        components = series.components
        if components > self.model.observed:
            raise InputError(
                f"the model forecasts at most {self.model.observed} components; the context has {components}: forecast "
                "them apart, or train a model with a larger `observed`"
            )
        weight = self.model.A
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        past = torch.from_numpy(series.values)
        batches = [past] if components == self.model.observed else list(past.split(1))
        found = []
        for batch in batches:
            filled = batch if components == self.model.observed else filled_up(batch[0], self.model.observed)[None]
            standard, mean, scale = standardised_by_context(filled, filled.shape[1])
            run = self.model.generate(standard.to(weight), horizon, generator=generator)
            found.append((run.to("cpu", torch.float64) * scale + mean)[..., :components])
        values = torch.cat(found).reshape(*series.batch_shape, horizon, components)
        if not isinstance(context, Function):
            return values
        times: Any = context.space.domain
        step = series.time_step()
        space = FunctionSpace(Times(times.stop + step, step, horizon, times.unit), components=context.space.components)
        shaped = values.reshape(*values.shape[:-2], *space.coefficient_shape)
        return Function(space, shaped.to(context.dtype), name=context.name, units=context.units)

    def evaluate(
        self,
        test: Any,
        *,
        context: int | None = None,
        horizon: int | None = None,
        bins: int | None = None,
        smoothing: float = 20.0,
    ) -> dict[str, float]:
        """Scores of the forecast after the first part of an orbit beside the rest of it.

        Parameters
        ----------
        test : one trajectory.
        context : instants at its start that are given to the model; `self.context` by default.
        horizon : steps that are compared; all the rest by default.
        bins : per component, see `state_space_divergence`.
        smoothing : of the spectra, see `spectral_distance`.

        Returns
        -------
        dict
            "state_space_divergence" and "spectral_distance" on components standardised by the rest of the orbit, and
            "mase_10", the mean absolute error of the first ten steps in units of that of persistence over one step.
        """
        from funcspace.dynamics.metrics import mase, spectral_distance, state_space_divergence

        series = as_series(test, name="test")
        if series.batch_shape not in ((), (1,)):
            raise InputError(f"test must be one trajectory, got a batch of shape {series.batch_shape}")
        orbit = series.values[0]
        context = self.context if context is None else context
        if not 2 <= context <= len(orbit) - 20:
            raise InputError(
                f"context must leave at least 20 of the {len(orbit)} instants of test to compare with, and hold at "
                f"least 2; got {context}"
            )
        truth = orbit[context : None if horizon is None else context + horizon]
        run = self.forecast(orbit[:context], len(truth)).numpy()
        mean, scale = truth.mean(axis=0), truth.std(axis=0)
        still = np.flatnonzero(~(scale > 1e-12 * np.abs(mean)))
        if len(still):
            raise InputError(
                f"component {still[0]} of test is constant after the context: it has no scale to compare by"
            )
        given: dict[str, Any] = {} if bins is None else {"bins": bins}
        standard = ((truth - mean) / scale, (run - mean) / scale)
        return {
            "state_space_divergence": float(state_space_divergence(*standard, **given)),
            "spectral_distance": float(spectral_distance(*standard, smoothing=smoothing)),
            "mase_10": float(mase(truth[:10], run[:10], orbit[:context])),
        }

    @property
    def parameters(self) -> int:
        """Number of trainable numbers."""
        return sum(p.numel() for p in self.model.parameters())

    def save(self, folder: str | PathLike[str]) -> Path:
        """Write weights, arguments and provenance to one folder; whole or not at all. `fs.load` reads it."""
        about = {"context": self.context, "history": self.history, "provenance": self.provenance}
        return save_model(self.model, Path(folder), loader=f"{__name__}:load_forecaster", about=about)

    def __repr__(self) -> str:
        return (
            f"ContextForecaster({type(self.model).__name__}: up to {self.model.observed} components, "
            f"{self.parameters:,} parameters)"
        )


def load_forecaster(folder: Path) -> ContextForecaster:
    """Read what `ContextForecaster.save` wrote.

    Raises
    ------
    CheckpointError
        When the folder is truncated, of a newer schema, or of another model.
    """

    def made(model: Any, about: dict[str, Any]) -> ContextForecaster:
        return ContextForecaster(model, int(about["context"]), about["history"], about["provenance"])

    return load_model(folder, made)


def filled_up(context: Float[Tensor, "instant component"], observed: int) -> Float[Tensor, "later observed"]:
    """A context with delayed components up to `observed` of them, without the instants that have no past."""
    from funcspace.dynamics.invariants import autocorrelation

    length, given = context.shape
    if length < 4:
        raise InputError(f"a context of {given} components needs at least 4 instants to be filled up; got {length}")
    rho = np.asarray(autocorrelation(context.numpy(), length // 2)).reshape(-1, given)
    below = rho < 1.0 / np.e
    lags = [int(below[:, i].argmax()) if below[:, i].any() else max(1, length // 8) for i in range(given)]
    delays = [lags[k % given] * (k // given) for k in range(observed)]
    longest = max(delays)
    if length - longest < 2:
        raise InputError(
            f"the context of {length} instants is too short: to fill up {given} components to {observed} takes delays "
            f"of up to {longest} instants"
        )
    return torch.stack([context[longest - d : length - d, k % given] for k, d in enumerate(delays)], dim=-1)
