"""The error of a model's free forecast over a fixed number of steps, from every state of a true orbit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from funcspace.arguments import check_counts
from funcspace.dynamics.series import FloatArray, Series, as_series, unbatched
from funcspace.errors import InputError
from funcspace.functions import Function, FunctionSpace
from funcspace.geometry import Times

__all__ = ["prediction_error"]


def prediction_error(
    model: Any,
    true: Any,
    horizon: int = 20,
    *,
    all_horizons: bool = False,
    stride: int = 1,
    batch_size: int = 10_000,
) -> Any:
    r"""Mean squared error of forecasts over `horizon` steps, each started at a state of the true orbit, PE(n).

    .. math:: \mathrm{PE}(n) = \frac{1}{(T - n) N} \sum_{t=1}^{T-n} |x_{t+n} - F^n(x_t)|^2

    in the units of the data: standardise them, as the tables of the literature do (Hess et al., ICML 2023, n = 20).
    Only the error at the end counts; `all_horizons` gives PE(1), ..., PE(n). A forecast that is not finite
    makes the error infinite.

    Anchors for standardised data: the climatological mean scores 1, a forecast that has forgotten its start 2. On
    Lorenz-63 at dt = 0.01 persistence scores 1.35 for n = 20.

    Parameters
    ----------
    model : the forecaster, one of:

        - an object with `rollout(initial, steps)`: given a Function of initial states over `context` instants (an
          attribute of the object, one without it), batch axis first, it returns the states as a Function over Times,
          with or without the initial ones;
        - a torch module or function that maps states (batch, components) to the next states;
        - an object with `forecast(context, horizon)`, arrays (batch, context, components) to
          (batch, horizon, components).
    true : trajectories (..., time, components).
    horizon : n.
    all_horizons : return PE(1) to PE(n), in a last axis, each from all states that have so many after them.
    stride : use every so many-th state as a start.
    batch_size : number of forecasts made at a time.

    Returns
    -------
    float or array
        One number per trajectory of the batch.

    Raises
    ------
    InputError
        When the trajectory is no longer than the horizon, or the model is none of the above or returns other shapes.

    Examples
    --------
    >>> import torch
    >>> orbit = torch.tensor(0.9, dtype=torch.float64) ** torch.arange(50)[:, None]
    >>> round(prediction_error(lambda x: 0.9 * x, orbit), 12)
    0.0
    >>> prediction_error(lambda x: 0.9 * x + 0.1, orbit, 2, all_horizons=True).round(4)
    array([0.01  , 0.0361])
    """
    check_counts(horizon=horizon, stride=stride, batch_size=batch_size)
    context = getattr(model, "context", 1) if hasattr(model, "rollout") or hasattr(model, "forecast") else 1
    truth = as_series(true, name="the true trajectory", minimum=horizon + context)
    forecast = _forecaster(model, true, truth)
    errors = np.zeros((len(truth.values), horizon))
    # shorter horizons have starts that the longest does not reach the end from
    starts = np.arange(context - 1, truth.length - (1 if all_horizons else horizon), stride)
    numbers = (starts[:, None] + np.arange(1, horizon + 1) < truth.length).sum(axis=0)
    for orbit, sums in zip(truth.values, errors, strict=True):
        for first in range(0, len(starts), batch_size):
            chosen = starts[first : first + batch_size]
            found = forecast(orbit[chosen[:, None] + np.arange(1 - context, 1)], horizon)
            if found.shape != (len(chosen), horizon, truth.components):
                raise InputError(
                    f"the model must forecast (batch, steps, components) = "
                    f"{(len(chosen), horizon, truth.components)}, got {found.shape}"
                )
            reached = chosen[:, None] + np.arange(1, horizon + 1)
            target = orbit[np.minimum(reached, truth.length - 1)]
            with np.errstate(invalid="ignore", over="ignore"):
                squares = np.square(found - target).mean(axis=2)
                sums += np.where(reached < truth.length, squares, 0.0).sum(axis=0)
        sums /= numbers
    errors[~np.isfinite(errors)] = np.inf
    return unbatched(errors if all_horizons else errors[:, -1], truth.batch_shape)


def _forecaster(model: Any, true: Any, truth: Series) -> Callable[[FloatArray, int], FloatArray]:
    if hasattr(model, "rollout"):
        return lambda states, steps: _rolled_out(model, true, truth, states, steps)
    if hasattr(model, "forecast"):
        return lambda states, steps: _array(model.forecast(states, steps))
    if callable(model):
        return lambda states, steps: _iterated(model, true, states[:, -1], steps)
    raise InputError(
        "the model must have rollout(initial, steps) or forecast(context, horizon), or be a map of states; got "
        f"{type(model).__name__}"
    )


def _array(found: Any) -> np.ndarray:
    return found.detach().cpu().double().numpy() if isinstance(found, Tensor) else np.asarray(found, dtype=np.float64)


def _dtype_and_device(model: Any, true: Any) -> tuple[torch.dtype, torch.device]:
    """Those of the model's parameters, else of the data."""
    if isinstance(model, torch.nn.Module):
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                return tensor.dtype, tensor.device
    data = true.coefficients if isinstance(true, Function) else true
    if isinstance(data, Tensor) and data.is_floating_point():
        return data.dtype, data.device
    return torch.float64, torch.device("cpu")


def _iterated(model: Callable, true: Any, states: FloatArray, steps: int) -> FloatArray:
    dtype, device = _dtype_and_device(model, true)
    state = torch.as_tensor(states, dtype=dtype, device=device)
    found = np.empty((len(states), steps, states.shape[1]))
    with torch.no_grad():
        for n in range(steps):
            try:
                following = model(state)
            except (TypeError, RuntimeError, IndexError) as error:
                raise InputError(
                    f"the model could not be applied to states (batch, components) = {tuple(state.shape)}: {error}. Of "
                    "a model that fit trained, give what fit returned"
                ) from error
            if not isinstance(following, Tensor) or following.shape != state.shape:
                shape = tuple(following.shape) if hasattr(following, "shape") else type(following).__name__
                raise InputError(
                    f"the model must map states (batch, components) to states of the same shape {tuple(state.shape)}; "
                    f"got {shape}"
                )
            state = following
            found[:, n] = _array(state)
    return found


def _rolled_out(model: Any, true: Any, truth: Series, states: FloatArray, steps: int) -> FloatArray:
    step = truth.step if truth.step is not None else 1.0
    if isinstance(true, Function):
        space = FunctionSpace(Times(0.0, step, states.shape[1]), components=true.space.components)
        initial = Function(space, torch.as_tensor(states, dtype=true.dtype), name=true.name, units=true.units)
    else:
        dtype = true.dtype if isinstance(true, Tensor) and true.is_floating_point() else torch.float64
        space = FunctionSpace(
            Times(0.0, step, states.shape[1]), components=tuple(f"x{i}" for i in range(states.shape[2]))
        )
        initial = Function(space, torch.as_tensor(states, dtype=dtype))
    with torch.no_grad():
        found = model.rollout(initial, steps)
    array = _array(found.coefficients if isinstance(found, Function) else found)
    initials = array.shape[1] - steps if array.ndim == 3 else 0
    return array[:, initials:] if initials in (1, states.shape[1]) else array
