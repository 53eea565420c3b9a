"""Data of a boundary-value problem, numbers, callables or Functions, as arrays of values at points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from funcspace.errors import InputError
from funcspace.functions import Function

__all__ = ["Data", "batch_shape", "check_coefficient", "is_tracked", "tensors_at", "values_at"]

FloatArray = NDArray[np.float64]
Data = float | Function | Tensor | NDArray[Any] | Callable[[Tensor], Any]


def batch_shape(data: dict[str, Any]) -> tuple[int, ...]:
    """The common batch shape of all Functions among the data; () when there is no batch.

    Raises
    ------
    InputError
        When two batches differ, or one has no sample.
    """
    found = {
        name: value.batch_shape for name, value in data.items() if isinstance(value, Function) and value.batch_shape
    }
    if len(set(found.values())) > 1:
        raise InputError(f"the batches of the data must agree; got {found}")
    for name, shape in found.items():
        if 0 in shape:
            raise InputError(f"{name} has no sample: its batch has shape {shape}")
    return next(iter(found.values()), ())


def values_at(
    data: Any,
    points: FloatArray,
    name: str,
    *,
    shapes: tuple[tuple[int, ...], ...] = ((),),
    same_space: Callable[[Function], NDArray[Any] | None] | None = None,
    dtype: torch.dtype = torch.float64,
) -> Any:
    """Values at points (n, d) as float64 or complex128, shape (samples or 1, n, *value).

    Parameters
    ----------
    data : a number or constant array, a callable of float64 torch points (n, d), or a Function (a batch gives samples).
    shapes : the value shapes that are allowed.
    same_space : gives the values (samples, n, *value) of a Function on the solver's own mesh without point location;
        None where it does not know the space.
    dtype : torch.float64, or torch.complex128 where complex values make sense.

    Raises
    ------
    InputError
        When a shape does not fit, a value is not finite, or complex values come where real ones are expected.
    OutsideError
        When a Function's domain does not reach all points.
    """

    def own(function: Function) -> Tensor | None:
        values = same_space(function) if same_space else None
        return None if values is None else torch.from_numpy(values)

    with torch.no_grad():
        return tensors_at(data, points, name, shapes=shapes, same_space=own, dtype=dtype).numpy()


def tensors_at(
    data: Any,
    points: FloatArray,
    name: str,
    *,
    shapes: tuple[tuple[int, ...], ...] = ((),),
    same_space: Callable[[Function], Tensor | None] | None = None,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """As `values_at`, as a tensor on the CPU that remembers what it was computed from."""
    n = len(points)
    real = not dtype.is_complex
    if isinstance(data, Function):
        if real and data.coefficients.is_complex():
            raise InputError(f"{name} must be real; {data!r} is complex")
        if data.space.value_shape not in shapes:
            raise InputError(
                f"{name} must have values of shape {_either(shapes)}; {data!r} has {data.space.value_shape}"
            )
        values = same_space(data) if same_space else None
        if values is None:
            values = data(torch.from_numpy(np.ascontiguousarray(points)))
        values = values.to("cpu", dtype).reshape(-1, n, *data.space.value_shape)
    else:
        raw: Any = data(torch.from_numpy(np.ascontiguousarray(points))) if callable(data) else data
        try:
            found = (
                raw
                if isinstance(raw, Tensor)
                else torch.from_numpy(np.array(raw, dtype=np.complex128 if np.iscomplexobj(raw) else np.float64))
            )
        except (TypeError, ValueError) as error:
            raise InputError(f"{name} must be a number, a callable or a Function; got {data!r}") from error
        if real and found.is_complex():
            raise InputError(f"{name} must be real; got values of {found.dtype}")
        found = found.to("cpu", dtype)
        if callable(data) and tuple(found.shape) == (n, 1) and () in shapes:
            found = found[:, 0]
        if tuple(found.shape) in shapes:
            found = found.expand(n, *found.shape)
        elif not (callable(data) and tuple(found.shape[:1]) == (n,) and tuple(found.shape[1:]) in shapes):
            origin = (
                f"{name}(points) must have shape (n,) or (n, *value) for n = {n} points" if callable(data) else name
            )
            raise InputError(
                f"{origin} with values of shape {_either(shapes)}; got an array of shape {tuple(found.shape)}"
            )
        values = found[None]
    # a sum that is finite has finite terms
    if not np.isfinite(values.detach().sum().item()) and not (finite := torch.isfinite(values.detach()).numpy()).all():
        place = np.argwhere(~finite)[0]
        raise InputError(
            f"{name} must be finite; sample {place[0]} is {values[tuple(place)].item()} at {points[place[1]].tolist()}"
        )
    return values


def is_tracked(data: Any, point: FloatArray) -> bool:
    """Whether the values of the data are part of an autograd graph; a callable is asked at one point (1, d)."""
    if not torch.is_grad_enabled():
        return False
    if isinstance(data, Function):
        return data.coefficients.requires_grad
    raw = data(torch.from_numpy(np.ascontiguousarray(point))) if callable(data) else data
    return isinstance(raw, Tensor) and raw.requires_grad


def check_coefficient(values: FloatArray, points: FloatArray, name: str = "coefficient") -> None:
    """Raise an InputError unless scalars are positive, matrices symmetric and positive definite."""
    if values.ndim == 2:
        if values.min(initial=np.inf) > 0:
            return
        good = values > 0
        shown = values
    else:
        size = np.abs(values).max(axis=(-2, -1))
        skew = np.abs(values - values.swapaxes(-1, -2)).max(axis=(-2, -1))
        # A leading minor test in place of eigenvalues: all that positivity needs, and fast for many points.
        minors = [np.linalg.det(values[..., :m, :m]) for m in range(1, values.shape[-1] + 1)]
        good = (skew <= 1e-10 * size) & (np.min(minors, axis=0) > 0)
        shown = values
    if not good.all():
        sample, point = (int(i) for i in np.argwhere(~good)[0])
        kind = "positive" if values.ndim == 2 else "symmetric and positive definite"
        raise InputError(
            f"{name} must be {kind}; sample {sample} is {shown[sample, point].tolist()} at {points[point].tolist()}"
        )


def _either(shapes: tuple[tuple[int, ...], ...]) -> str:
    return " or ".join(str(shape) for shape in shapes)
