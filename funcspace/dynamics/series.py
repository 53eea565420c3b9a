"""Trajectories of any kind at the door of a metric: Functions over Times, tensors and arrays become one layout."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from funcspace.arguments import is_number, is_whole
from funcspace.errors import InputError
from funcspace.functions import Function
from funcspace.geometry import Times
from funcspace.geometry.product import ProductDomain

__all__ = ["Series", "as_series", "as_signal", "paired_series", "unbatched"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Series:
    """Trajectories as float64 samples.

    Attributes
    ----------
    values : samples, (batch, time, components).
    batch_shape : shape of the batch axes that were folded into one; () for a single trajectory.
    step : time between samples; None where the data do not tell.
    name : what messages call it.
    """

    values: FloatArray
    batch_shape: tuple[int, ...]
    step: float | None
    name: str

    @property
    def length(self) -> int:
        """Number of samples in time."""
        return self.values.shape[1]

    @property
    def components(self) -> int:
        """Number of components."""
        return self.values.shape[2]

    def time_step(self, default: float | None = None) -> float:
        """Time between samples, or an error that says how to give it."""
        step = self.step if self.step is not None else default
        if step is None:
            raise InputError(
                f"{self.name} does not say how far its samples are apart; pass step=... or a Function over "
                "fs.Times(start, step, count)"
            )
        return step

    def first(self, length: int) -> Series:
        """The first `length` samples."""
        return replace(self, values=self.values[:, :length])

    def time_contiguous(self) -> Series:
        """The same with neighbouring samples in time next to each other in memory: reductions over time run fast."""
        return replace(self, values=np.ascontiguousarray(self.values.transpose(0, 2, 1)).transpose(0, 2, 1))


def as_series(
    data: Any, *, name: str = "the trajectory", minimum: int = 2, step: float | None = None, finite: bool = True
) -> Series:
    """Samples `(..., time, components)` of a Function over Times (or Times times a domain), a tensor or an array.

    A vector is one component. A field over a domain has one component per degree of freedom and value.

    Parameters
    ----------
    data : the trajectories.
    name : what messages call them.
    minimum : fewest samples that make sense to the caller.
    step : time between samples where `data` is an array.
    finite : whether NaN and infinity are errors.

    Raises
    ------
    InputError
        Wrong type or shape, too short, complex, NaN or infinite, not equispaced in time, contradicting steps.
    """
    if isinstance(data, Function):
        array, step = _function_samples(data, name, step)
    else:
        array = data.detach().cpu().numpy() if isinstance(data, torch.Tensor) else np.asarray(data)
        if array.ndim == 1:
            array = array[:, None]
    if array.dtype.kind not in "fiu":
        raise InputError(
            f"{name} must be a Function over Times, a tensor or an array of real numbers; got {type(data).__name__} of "
            f"{array.dtype}"
        )
    if array.ndim < 2 or array.shape[-1] == 0 or 0 in array.shape[:-2]:
        raise InputError(f"{name} must have shape (..., time, components), got {array.shape}")
    if array.shape[-2] < minimum:
        raise InputError(f"{name} has {array.shape[-2]} samples in time; this needs at least {minimum}")
    if step is not None and not (is_number(step) and step > 0):
        raise InputError(f"step must be a positive time between samples, got {step!r}")
    values = np.ascontiguousarray(array, dtype=np.float64).reshape(-1, *array.shape[-2:])
    if finite and not np.isfinite(values).all():
        batch, time, component = np.argwhere(~np.isfinite(values))[0]
        where = f"trajectory {batch}, " if len(values) > 1 else ""
        raise InputError(
            f"{name} must be finite; {where}sample {time}, component {component} is {values[batch, time, component]}"
        )
    return Series(values, tuple(array.shape[:-2]), None if step is None else float(step), name)


def as_signal(
    data: Any, component: int | None, *, name: str = "the series", minimum: int = 2, step: float | None = None
) -> Series:
    """One component of a trajectory, which must be named where there are several."""
    series = as_series(data, name=name, minimum=minimum, step=step)
    if component is None:
        if series.components > 1:
            raise InputError(
                f"this works on a single component and {name} has {series.components}; pass component=0 ... "
                f"{series.components - 1}"
            )
        return series
    if not (is_whole(component) and -series.components <= component < series.components):
        raise InputError(f"component {component!r} does not exist; {name} has {series.components}")
    return replace(series, values=np.ascontiguousarray(series.values[:, :, [component]]))


def _function_samples(function: Function, name: str, step: float | None) -> tuple[np.ndarray, float]:
    domain = function.domain
    times = domain.factors[0] if isinstance(domain, ProductDomain) else domain
    if not isinstance(times, Times):
        raise InputError(f"{name} must be a Function over Times, got one on {domain!r}")
    if times.count > 1 and times.step is None:
        raise InputError(f"{name} must be sampled at equispaced times, got {times!r}; resample it with .to(space)")
    if function.space.layout[0] != times.count:
        raise InputError(f"{name} must have one sample per instant, got {function.space!r}; use the linear element")
    samples = function.numpy().reshape(*function.batch_shape, times.count, -1)
    own = times.step if times.step is not None else step
    if own is None:
        own = 1.0
    if step is not None and abs(step - own) > 1e-9 * own:
        raise InputError(f"step={step} contradicts the step {own} of {name}, {times!r}")
    return samples, own


def paired_series(
    true: Any,
    generated: Any,
    *,
    minimum: int = 2,
    step: float | None = None,
    equal_length: bool = False,
    finite: bool = False,
) -> tuple[Series, Series, tuple[int, ...]]:
    """True and generated trajectories with broadcast batch axes, and the shape of the batch.

    The truth must be finite. Generated trajectories may hold NaN and infinity, as diverged models give them, unless
    `finite` is asked for.

    Raises
    ------
    InputError
        As `as_series`, and where components, steps, batch axes or (if asked) lengths do not agree.
    """
    truth = as_series(true, name="the true trajectory", minimum=minimum, step=step)
    model = as_series(generated, name="the generated trajectory", minimum=minimum, step=step, finite=finite)
    if truth.components != model.components:
        raise InputError(
            f"true and generated trajectories must have equally many components; got {truth.components} and "
            f"{model.components}"
        )
    if truth.step is not None and model.step is not None and abs(truth.step - model.step) > 1e-6 * truth.step:
        raise InputError(f"true and generated trajectories have different time steps: {truth.step} and {model.step}")
    if equal_length and truth.length != model.length:
        raise InputError(
            f"true and generated trajectories are compared sample by sample and must be equally long; got "
            f"{truth.length} and {model.length} samples"
        )
    try:
        batch = np.broadcast_shapes(truth.batch_shape, model.batch_shape)
    except ValueError:
        raise InputError(
            f"batch axes of true and generated trajectories do not fit: {truth.batch_shape} and {model.batch_shape}"
        ) from None
    return _broadcast(truth, batch), _broadcast(model, batch), batch


def _broadcast(series: Series, batch: tuple[int, ...]) -> Series:
    if series.batch_shape == batch:
        return series
    tail = series.values.shape[1:]
    values = np.broadcast_to(series.values.reshape(*series.batch_shape, *tail), (*batch, *tail))
    return replace(series, values=values.reshape(-1, *tail), batch_shape=batch)


def unbatched(numbers: Any, batch: tuple[int, ...]) -> Any:
    """One result per trajectory in the shape of the batch; a float where there is neither batch nor other axis."""
    array = np.asarray(numbers, dtype=np.float64)
    shaped = array.reshape((*batch, *array.shape[1:]))
    return float(shaped) if shaped.ndim == 0 else shaped
